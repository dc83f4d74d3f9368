//! One client of the load: a session at a time, on whichever member answers, everything written down.
//!
//! It sends a few requests in one go and reads the replies in their order. When a connection breaks it goes to
//! another member with the same session, sets its watches again, and never uses an xid twice, so that every
//! write can be found in the logs by session and xid.
use super::history::{Arrival, End, Operation, Outcome, Request, SessionHistory, Told};
use crate::jute::{Acl, Reader, Writer};
use crate::raw::{Credentials, NO_NODE, Reply, Session, Target, create_record, flag, op, xid};
use anyhow::{Context, Result, bail};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Well above every fault that is made, so that no session may expire.
pub const SESSION_TIMEOUT_MS: i32 = 20_000;
/// A member that is silent for so long is left for another.
const STEP_LIMIT: Duration = Duration::from_millis(1500);
/// A client that finds no member for so long gives up: the ensemble is dead.
const GIVE_UP: Duration = Duration::from_secs(60);
const SESSION_MOVED: i32 = -118;
const SESSION_EXPIRED: i32 = -112;

pub struct Client {
    number: usize,
    members: Vec<SocketAddr>,
    rng: Rng,
    session: Option<Session>,
    /// Watched paths; true if the watch waits for a znode that is not there.
    watches: BTreeMap<String, bool>,
    last_zxid: i64,
    last_xid: i32,
    batch: u32,
    heard: Instant,
    history: Option<SessionHistory>,
    finished: Vec<SessionHistory>,
}

impl Client {
    pub fn new(number: usize, members: Vec<SocketAddr>, seed: u64) -> Client {
        let rng = Rng::with_seed(seed.wrapping_mul(1000).wrapping_add(number as u64));
        let watches = BTreeMap::new();
        let (session, history, finished) = (None, None, Vec::new());
        let (last_zxid, last_xid, batch, heard) = (0, 0, 0, Instant::now());
        Client {
            number,
            members,
            rng,
            session,
            watches,
            last_zxid,
            last_xid,
            batch,
            heard,
            history,
            finished,
        }
    }

    /// Sends the requests together and waits for all replies; returns the outcomes, `None` where unknown.
    pub fn perform(&mut self, requests: Vec<Request>) -> Result<Vec<Option<Outcome>>> {
        self.be_connected()?;
        let count = requests.len();
        let first = self.history().operations.len();
        if let Err(error) = self.exchange(requests, first) {
            self.lose(&format!("{error:#}"));
        }
        let operations = &self.history().operations[first..];
        let mut outcomes: Vec<_> = operations.iter().map(|one| one.outcome.clone()).collect();
        outcomes.resize(count, None);
        Ok(outcomes)
    }

    fn exchange(&mut self, requests: Vec<Request>, first: usize) -> Result<()> {
        self.batch += 1;
        let batch = self.batch;
        for request in requests {
            let (operation, body) = encode(&request);
            let sent = Instant::now();
            // The xid is known before the bytes leave: a request may arrive although sending it failed.
            let xid = self.last_xid + 1;
            self.last_xid = xid;
            self.history().operations.push(Operation { xid, request, sent, batch, outcome: None });
            let used = self.session()?.send(operation, &body)?;
            anyhow::ensure!(used == xid, "xid {used} was used instead of {xid}");
        }
        for index in first..self.history().operations.len() {
            let xid = self.history().operations[index].xid;
            let reply = self.reply_to(xid)?;
            self.note_reply(index, &reply)?;
        }
        Ok(())
    }

    /// The reply with this xid; events that come before it are noted.
    fn reply_to(&mut self, wanted: i32) -> Result<Reply> {
        loop {
            let (got, reply) = self.session()?.receive()?;
            let silence = self.heard.elapsed().as_millis() as u64;
            self.heard = Instant::now();
            let history = self.history();
            history.longest_silence_ms = history.longest_silence_ms.max(silence);
            if got == xid::EVENT {
                self.note_event(&reply)?;
                continue;
            }
            if got != wanted {
                bail!("the reply to request {got} came instead of {wanted}");
            }
            if matches!(reply.error, SESSION_MOVED | SESSION_EXPIRED) {
                bail!("the server answered with error {}", reply.error);
            }
            self.last_zxid = self.last_zxid.max(reply.zxid);
            return Ok(reply);
        }
    }

    fn note_event(&mut self, event: &Reply) -> Result<()> {
        let mut reader = Reader::new(&event.body);
        let (kind, _state, path) = (reader.int()?, reader.int()?, reader.string()?);
        if kind >= 1 {
            self.watches.remove(&path);
            self.history().arrivals.push(Arrival::Event { path, kind });
        }
        Ok(())
    }

    fn note_reply(&mut self, index: usize, reply: &Reply) -> Result<()> {
        let request = self.history().operations[index].request.clone();
        let told = if reply.error == 0 { decode(&request, &reply.body)? } else { Told::Nothing };
        match &request {
            Request::Get { path, watch: true } if reply.error == 0 => self.watch(path, false),
            Request::Exists { path, watch: true } if reply.error == 0 => self.watch(path, false),
            Request::Exists { path, watch: true } if reply.error == NO_NODE => self.watch(path, true),
            _ => {}
        }
        let outcome = Outcome { zxid: reply.zxid, error: reply.error, told, at: Instant::now() };
        let history = self.history();
        history.operations[index].outcome = Some(outcome);
        history.arrivals.push(Arrival::Reply(index));
        Ok(())
    }

    fn watch(&mut self, path: &str, missing: bool) {
        self.watches.entry(path.to_owned()).or_insert(missing);
    }

    /// Shows the server that the session lives.
    pub fn ping(&mut self) -> Result<()> {
        self.be_connected()?;
        if let Err(error) = self.extra(op::PING, &[]) {
            self.lose(&format!("{error:#}"));
        }
        Ok(())
    }

    /// A request that is no operation of the history.
    fn extra(&mut self, operation: i32, body: &[u8]) -> Result<()> {
        let xid = self.session()?.send(operation, body)?;
        let reply = self.reply_to(xid)?;
        self.history().arrivals.push(Arrival::Zxid(reply.zxid));
        Ok(())
    }

    /// Closes the session; the next request opens another.
    pub fn close(&mut self) -> Result<()> {
        let outcomes = self.perform(vec![Request::Close])?;
        let answered = outcomes.first().is_some_and(Option::is_some);
        self.end(if answered { End::Closed } else { End::Closing });
        Ok(())
    }

    fn end(&mut self, end: End) {
        self.session = None;
        self.watches.clear();
        if let Some(mut history) = self.history.take() {
            history.end = end;
            self.finished.push(history);
        }
        (self.last_zxid, self.last_xid) = (0, 0);
    }

    fn lose(&mut self, reason: &str) {
        self.session = None;
        self.history().arrivals.push(Arrival::Lost(reason.to_owned()));
    }

    /// Connects if needed, with the session it has, or a new one.
    pub fn be_connected(&mut self) -> Result<()> {
        let since = Instant::now();
        while self.session.is_none() {
            if let Err(error) = self.try_connect() {
                if since.elapsed() > GIVE_UP {
                    return Err(
                        error.context(format!("client {} found no member for {GIVE_UP:?}", self.number))
                    );
                }
                std::thread::sleep(Duration::from_millis(self.rng.u64(10..60)));
            }
        }
        Ok(())
    }

    fn try_connect(&mut self) -> Result<()> {
        let member = self.rng.usize(..self.members.len());
        let target = Target {
            address: self.members[member],
            timeout_ms: SESSION_TIMEOUT_MS,
            last_zxid: self.last_zxid,
            limit: STEP_LIMIT,
            last_xid: self.last_xid,
        };
        let known = self.history.as_ref().map(|history| history.credentials.clone());
        let Some(session) = target.connect(&known.clone().unwrap_or_else(Credentials::fresh))? else {
            if known.is_some() {
                self.end(End::Expired);
            }
            bail!("the server does not know the session");
        };
        let (number, credentials) = (self.number, session.credentials.clone());
        self.history.get_or_insert_with(|| SessionHistory::new(number, credentials));
        self.session = Some(session);
        self.heard = Instant::now();
        // What a watch on a missing znode would have seen in between cannot be told afterwards.
        self.watches.retain(|_, missing| !*missing);
        let watches: Vec<String> = self.watches.keys().cloned().collect();
        self.history().arrivals.push(Arrival::Connected { member, watches: watches.clone() });
        if !watches.is_empty() {
            let record = Writer::default().long(self.last_zxid).strings(watches.iter().map(String::as_str));
            if let Err(error) = self.extra(op::SET_WATCHES, &record.int(0).int(0).bytes) {
                self.lose(&format!("{error:#}"));
            }
        }
        Ok(())
    }

    fn session(&mut self) -> Result<&mut Session> {
        self.session.as_mut().context("not connected")
    }

    fn history(&mut self) -> &mut SessionHistory {
        self.history.as_mut().expect("a client that was connected has a history")
    }

    /// Sessions of this client that a server declared expired.
    pub fn expired(&self) -> usize {
        self.finished.iter().filter(|session| session.end == End::Expired).count()
    }

    /// The histories of all its sessions; the last one is left as it is.
    pub fn into_histories(mut self) -> Vec<SessionHistory> {
        self.finished.extend(self.history.take());
        self.finished
    }
}

fn encode(request: &Request) -> (i32, Vec<u8>) {
    let path_and_flag = |path: &str, flag: bool| Writer::default().string(path).boolean(flag).bytes;
    match request {
        Request::Create { path, data, flags } => {
            (op::CREATE, create_record(path, Some(data), &[Acl::open()], *flags))
        }
        Request::Delete { path, version } => (op::DELETE, Writer::default().string(path).int(*version).bytes),
        Request::Check { path, version } => (op::CHECK, Writer::default().string(path).int(*version).bytes),
        Request::Set { path, data, version } => {
            (op::SET_DATA, Writer::default().string(path).buffer(Some(data)).int(*version).bytes)
        }
        Request::Multi(parts) => {
            (op::MULTI, crate::raw::multi_record(&parts.iter().map(encode).collect::<Vec<_>>()))
        }
        Request::Get { path, watch } => (op::GET_DATA, path_and_flag(path, *watch)),
        Request::Exists { path, watch } => (op::EXISTS, path_and_flag(path, *watch)),
        Request::Children { path } => (op::GET_CHILDREN2, path_and_flag(path, false)),
        Request::Close => (op::CLOSE_SESSION, Vec::new()),
    }
}

fn decode(request: &Request, body: &[u8]) -> Result<Told> {
    let mut reader = Reader::new(body);
    Ok(match request {
        Request::Create { .. } => Told::Path(reader.string()?),
        Request::Set { .. } | Request::Exists { .. } => Told::Stat(reader.stat()?),
        Request::Get { .. } => Told::Data(reader.buffer()?, reader.stat()?),
        Request::Children { .. } => Told::Children(reader.strings()?, reader.stat()?),
        // Every part of a failed multi has type -1 in the answer.
        Request::Multi(_) => Told::Multi(reader.int()? != -1),
        Request::Delete { .. } | Request::Check { .. } | Request::Close => Told::Nothing,
    })
}

/// A sequential znode's flags.
pub const SEQUENTIAL: i32 = flag::SEQUENTIAL;
