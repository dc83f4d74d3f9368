//! Does a plan to one server and writes down all that comes back.
//!
//! The record is the same for every correct server because nothing is left to chance: one step at a time, every
//! answer awaited, and after each step that may cause notifications every other connection sends a ping, whose
//! answer comes behind all that was queued for it before.

use crate::connection::{Connection, Incoming, PATIENCE};
use crate::coverage::{CLOSED, Coverage, ROLLED_BACK, SILENT};
use crate::describe::op_row;
use crate::profile::Profile;
use crate::step::{Client, Handshake, PasswordChoice, Request, SessionChoice, Step};
use crate::text::{Symbols, hex};
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::multi::{MultiHeader, MultiOps};
use wire::reply::{ConnectResponse, ReplyHeader};
use wire::request::ConnectRequest;
use wire::{ErrorCode, OpCode, Reader};

/// Everything that is done to a server in one sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub profile: Profile,
    pub seed: u64,
    pub clients: usize,
    pub steps: Vec<Step>,
    /// Done after the tree was compared: what may end in states that differ for a known reason.
    pub last: Vec<Step>,
}

impl Plan {
    /// The node under which the sequence happens.
    pub fn root(&self) -> String {
        format!("/s{}", self.seed)
    }
}

/// When something was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    Begin,
    Step(usize),
    Dump,
    Last(usize),
    End,
}

/// One thing that a server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub place: Place,
    pub who: String,
    /// Comparable between servers.
    pub text: String,
    /// As it came.
    pub raw: Vec<u8>,
}

#[derive(Debug, Default)]
pub struct Transcript {
    pub records: Vec<Record>,
    pub coverage: Coverage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Session {
    pub id: i64,
    pub password: [u8; 16],
}

#[derive(Debug, Default)]
pub(crate) struct Slot {
    pub connection: Option<Connection>,
    pub session: Option<Session>,
    pub closed: bool,
}

pub(crate) struct Conversation {
    address: SocketAddr,
    profile: Profile,
    pub(crate) symbols: Symbols,
    pub(crate) slots: Vec<Slot>,
    /// Sessions that must be closed before the sequence is over.
    pub(crate) live: Vec<Session>,
    pub(crate) place: Place,
    pub(crate) transcript: Transcript,
}

/// The slot of the connection that prepares, reads and removes the tree; the sequence's clients follow.
pub(crate) const CONTROL: usize = 0;

/// Does the whole plan.
pub fn run(address: SocketAddr, plan: &Plan) -> io::Result<Transcript> {
    let mut c = Conversation::new(address, plan);
    c.begin(&plan.root())?;
    for (at, step) in plan.steps.iter().enumerate() {
        c.place = Place::Step(at);
        c.step(step)?;
    }
    c.place = Place::Dump;
    c.dump(&plan.root());
    for (at, step) in plan.last.iter().enumerate() {
        c.place = Place::Last(at);
        c.step(step)?;
    }
    c.place = Place::End;
    c.end(&plan.root())?;
    Ok(c.transcript)
}

/// The end of a connection, with the bytes before it that were no whole frame.
fn closed(rest: &[u8]) -> String {
    if rest.is_empty() { "closed".to_owned() } else { format!("closed {}", hex(rest)) }
}

fn ping() -> Request {
    Request::new(wire::ops::xid::PING, OpCode::Ping, Vec::new())
}

/// Whether a connection ends with this answer.
fn is_final(request: &Request, payload: &[u8]) -> bool {
    let Ok(header) = ReplyHeader::decode(&mut Reader::new(payload)) else { return false };
    match ErrorCode::from_code(header.err) {
        Some(ErrorCode::AuthFailed | ErrorCode::SessionClosedRequireSaslAuth) => true,
        Some(ErrorCode::Unimplemented) => request.ends_connection(),
        Some(_) => false,
        None => header.err == 0 && request.op == OpCode::CloseSession.code(),
    }
}

impl Conversation {
    fn new(address: SocketAddr, plan: &Plan) -> Self {
        Conversation {
            address,
            profile: plan.profile,
            symbols: Symbols::default(),
            slots: (0..=plan.clients).map(|_| Slot::default()).collect(),
            live: Vec::new(),
            place: Place::Begin,
            transcript: Transcript::default(),
        }
    }

    pub(crate) fn record(&mut self, slot: usize, text: impl Into<String>, raw: &[u8]) {
        let who = if slot == CONTROL { "control".to_owned() } else { format!("client{}", slot - 1) };
        let record = Record { place: self.place, who, text: text.into(), raw: raw.to_vec() };
        self.transcript.records.push(record);
    }

    fn count(&mut self, slot: usize, row: &str, code: i32) {
        if slot != CONTROL {
            self.transcript.coverage.count(row, code);
        }
    }

    fn slot_of(&self, client: Client) -> usize {
        1 + client % (self.slots.len() - 1)
    }

    fn step(&mut self, step: &Step) -> io::Result<()> {
        match step {
            Step::Open { client, handshake } => self.open(self.slot_of(*client), handshake),
            Step::Send { client, piece, requests } => self.send(self.slot_of(*client), *piece, requests),
            Step::Fresh { bytes } => self.fresh(bytes),
            Step::Garbage { client, bytes } => self.garbage(self.slot_of(*client), bytes),
            Step::Drop { client } => {
                let slot = self.slot_of(*client);
                self.hang_up(slot);
                Ok(())
            }
            Step::Expire { client } => self.expire(self.slot_of(*client)),
        }
    }

    fn password(&self, slot: usize, choice: PasswordChoice) -> Option<Vec<u8>> {
        let right = self.slots[slot].session.map_or([0; 16], |s| s.password);
        match choice {
            PasswordChoice::Right => Some(right.to_vec()),
            PasswordChoice::Zeros => Some(vec![0; 16]),
            PasswordChoice::Wrong => {
                let mut wrong = right;
                wrong[15] ^= 1;
                Some(wrong.to_vec())
            }
            PasswordChoice::Short => Some(right[..15].to_vec()),
            PasswordChoice::Empty => Some(Vec::new()),
            PasswordChoice::Null => None,
        }
    }

    fn handshake_frame(&self, slot: usize, handshake: &Handshake) -> Vec<u8> {
        let password = self.password(slot, handshake.password);
        let request = ConnectRequest {
            protocol_version: handshake.protocol,
            last_zxid_seen: handshake.last_zxid.resolve(self.symbols.base_zxid),
            timeout_ms: handshake.timeout_ms,
            session_id: match handshake.session {
                SessionChoice::New => 0,
                SessionChoice::Own => self.slots[slot].session.map_or(0, |s| s.id),
                SessionChoice::Literal(id) => id,
            },
            password: password.as_deref(),
            read_only: handshake.read_only.map(|b| b != 0),
        };
        let mut frame = Vec::new();
        let start = wire::frame::begin(&mut frame);
        request.encode(&mut frame);
        wire::frame::finish(&mut frame, start);
        frame
    }

    pub(crate) fn open(&mut self, slot: usize, handshake: &Handshake) -> io::Result<()> {
        let frame = self.handshake_frame(slot, handshake);
        if !handshake.keep_old {
            self.hang_up(slot);
        }
        let old = self.slots[slot].connection.take();
        let mut connection = Connection::open(self.address)?;
        connection.send(&frame, 0);
        let accepted = self.handshake_answer(slot, &mut connection);
        let survivor = old.and_then(|old| self.probe_old(slot, old));
        match (accepted, survivor) {
            (Some(session), survivor) => {
                if let Some(survivor) = survivor {
                    survivor.end();
                }
                let state = &mut self.slots[slot];
                state.session = Some(session);
                state.closed = false;
                state.connection = Some(connection);
                if !self.live.contains(&session) {
                    self.live.push(session);
                }
                if let Some(opening) = self.profile.opening().filter(|_| handshake.authenticate)
                    && self.exchange(slot, 0, &[opening], false)
                {
                    self.expect_end(slot);
                }
            }
            (None, survivor) => self.slots[slot].connection = survivor,
        }
        Ok(())
    }

    fn hang_up(&mut self, slot: usize) {
        if let Some(connection) = self.slots[slot].connection.take() {
            connection.end();
        }
    }

    /// The session, when the server granted one.
    fn handshake_answer(&mut self, slot: usize, connection: &mut Connection) -> Option<Session> {
        let payload = match connection.receive() {
            Incoming::Frame(payload) => payload,
            Incoming::Closed(rest) => {
                self.count(slot, "connect", CLOSED);
                self.record(slot, format!("handshake: {}", closed(&rest)), &rest);
                return None;
            }
            Incoming::Silent => {
                self.count(slot, "connect", SILENT);
                self.record(slot, "handshake: silent", &[]);
                return None;
            }
        };
        let text = self.symbols.connect_response(&payload);
        self.record(slot, text, &payload);
        let granted = ConnectResponse::decode(&payload).ok().filter(|r| r.session_id != 0);
        match granted {
            Some(r) => {
                self.count(slot, "connect", 0);
                Some(Session { id: r.session_id, password: r.password })
            }
            None => {
                self.count(slot, "connect", ErrorCode::SessionExpired.code());
                self.record_end(slot, connection);
                None
            }
        }
    }

    /// After an answer behind which the server closes the connection.
    fn expect_end(&mut self, slot: usize) {
        if let Some(mut connection) = self.slots[slot].connection.take() {
            self.record_end(slot, &mut connection);
        }
    }

    /// What happens on a connection that must be closed by the server now.
    fn record_end(&mut self, slot: usize, connection: &mut Connection) {
        match connection.receive() {
            Incoming::Closed(rest) => self.record(slot, closed(&rest), &rest),
            Incoming::Frame(payload) => {
                let text = self.symbols.frame(OpCode::Error.code(), &payload);
                self.record(slot, format!("instead of closing: {text}"), &payload);
            }
            Incoming::Silent => self.record(slot, "still open", &[]),
        }
    }

    /// Whether a connection whose session was just attached elsewhere still lives.
    fn probe_old(&mut self, slot: usize, old: Connection) -> Option<Connection> {
        self.record(slot, "earlier connection:", &[]);
        let current = self.slots[slot].connection.replace(old);
        self.ping(slot);
        std::mem::replace(&mut self.slots[slot].connection, current)
    }

    /// Opens a connection when there is none: the steps of a sequence must make sense after any answer.
    fn ensure_open(&mut self, slot: usize) -> io::Result<bool> {
        if self.slots[slot].connection.is_some() {
            return Ok(true);
        }
        let state = &self.slots[slot];
        let usable = state.session.is_some() && !state.closed;
        self.open(slot, if usable { &Handshake::REATTACH } else { &Handshake::NEW })?;
        if self.slots[slot].connection.is_none() {
            self.open(slot, &Handshake::NEW)?;
        }
        Ok(self.slots[slot].connection.is_some())
    }

    fn send(&mut self, slot: usize, piece: usize, requests: &[Request]) -> io::Result<()> {
        if !self.ensure_open(slot)? {
            return Ok(());
        }
        let closing = requests.iter().any(|r| r.op == OpCode::CloseSession.code());
        if self.exchange(slot, piece, requests, closing) {
            self.expect_end(slot);
        }
        if requests.iter().any(Request::ends_connection) && self.slots[slot].connection.is_some() {
            self.ping(slot);
        }
        if !requests.iter().all(Request::is_quiet) {
            self.flush_others(slot, closing);
        }
        Ok(())
    }

    /// Sends requests and writes down everything up to the last answer. True when after that answer the server
    /// must close the connection.
    pub(crate) fn exchange(
        &mut self,
        slot: usize,
        piece: usize,
        requests: &[Request],
        unordered: bool,
    ) -> bool {
        let mut bytes = Vec::new();
        requests.iter().for_each(|r| r.encode(self.symbols.base_zxid, &mut bytes));
        if let Some(connection) = &mut self.slots[slot].connection {
            connection.send(&bytes, piece);
        }
        let mut ended = false;
        for request in requests {
            let Some(payload) = self.collect(slot, request.op, unordered) else {
                self.count(slot, &op_row(request.op), CLOSED);
                return false;
            };
            self.account(slot, request, &payload);
            ended |= is_final(request, &payload);
        }
        ended
    }

    /// Writes down notifications up to and including one reply, which is returned; `None` when the connection
    /// ended. `unordered`: the notifications come from one transaction whose parts have no order.
    fn collect(&mut self, slot: usize, op: i32, unordered: bool) -> Option<Vec<u8>> {
        let mut events: Vec<(String, Vec<u8>)> = Vec::new();
        let end = loop {
            let Some(connection) = &mut self.slots[slot].connection else { return None };
            match connection.receive() {
                Incoming::Frame(payload) => {
                    let text = self.symbols.frame(op, &payload);
                    if !text.starts_with("event ") {
                        break Ok((text, payload));
                    }
                    let kind =
                        payload.get(16..20).map_or(-1, |b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
                    self.count(slot, "event", kind);
                    events.push((text, payload));
                }
                Incoming::Closed(rest) => break Err((closed(&rest), rest)),
                Incoming::Silent => break Err(("silent".to_owned(), Vec::new())),
            }
        };
        if unordered {
            events.sort();
        }
        events.iter().for_each(|(text, raw)| self.record(slot, text.clone(), raw));
        match end {
            Ok((text, payload)) => {
                self.record(slot, text, &payload);
                Some(payload)
            }
            Err((text, raw)) => {
                self.record(slot, text, &raw);
                self.slots[slot].connection = None;
                None
            }
        }
    }

    fn account(&mut self, slot: usize, request: &Request, payload: &[u8]) {
        let mut r = Reader::new(payload);
        let Ok(header) = ReplyHeader::decode(&mut r) else { return };
        let is_handshake = request.op == OpCode::CreateSession.code() && payload.len() > 16;
        self.count(slot, &op_row(request.op), if is_handshake { 0 } else { header.err });
        match OpCode::from_code(request.op) {
            Some(OpCode::CloseSession) if header.err == 0 => {
                let gone = self.slots[slot].session;
                self.live.retain(|s| Some(*s) != gone);
                self.slots[slot].closed = true;
            }
            Some(OpCode::Multi | OpCode::MultiRead) if header.err == 0 => {
                self.account_multi(slot, request, r)
            }
            Some(_) | None => {}
        }
    }

    fn account_multi(&mut self, slot: usize, request: &Request, mut r: Reader<'_>) {
        for op in MultiOps::new(Reader::new(&request.body)).map_while(Result::ok) {
            let Ok(header) = MultiHeader::decode(&mut r) else { return };
            let undone = header.op == OpCode::Error.code() && header.err == 0;
            self.count(
                slot,
                &format!("multi/{}", op.op().name()),
                if undone { ROLLED_BACK } else { header.err },
            );
            let skipped = match OpCode::from_code(header.op) {
                Some(OpCode::Create) => r.buffer().map(|_| ()),
                Some(OpCode::Create2) => r.buffer().and_then(|_| wire::Stat::decode(&mut r)).map(|_| ()),
                Some(OpCode::SetData) => wire::Stat::decode(&mut r).map(|_| ()),
                Some(OpCode::GetData) => r.buffer().and_then(|_| wire::Stat::decode(&mut r)).map(|_| ()),
                Some(OpCode::GetChildren) => r.ustrings().map(|_| ()),
                Some(OpCode::Error) => r.i32().map(|_| ()),
                Some(_) | None => Ok(()),
            };
            if skipped.is_err() {
                return;
            }
        }
    }

    pub(crate) fn ping(&mut self, slot: usize) {
        self.start_ping(slot);
        self.finish_ping(slot, false);
    }

    fn finish_ping(&mut self, slot: usize, unordered: bool) {
        let ping = ping();
        if self.collect(slot, ping.op, unordered).is_some_and(|payload| is_final(&ping, &payload)) {
            self.expect_end(slot);
        }
    }

    fn start_ping(&mut self, slot: usize) {
        let mut frame = Vec::new();
        ping().encode(0, &mut frame);
        if let Some(connection) = &mut self.slots[slot].connection {
            connection.send(&frame, 0);
        }
    }

    /// Makes every other connection's notifications arrive.
    fn flush_others(&mut self, slot: usize, unordered: bool) {
        let others: Vec<usize> =
            (1..self.slots.len()).filter(|s| *s != slot && self.slots[*s].connection.is_some()).collect();
        others.iter().for_each(|s| self.start_ping(*s));
        for other in others {
            self.finish_ping(other, unordered);
        }
    }

    fn fresh(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut connection = Connection::open(self.address)?;
        connection.send(bytes, 0);
        let text = match connection.receive_rest(PATIENCE) {
            Incoming::Closed(all) => format!("closed after \"{}\"", all.escape_ascii()),
            Incoming::Frame(_) | Incoming::Silent => "still open".to_owned(),
        };
        self.count(1, "fresh bytes", CLOSED);
        self.record(1, format!("fresh: {text}"), &[]);
        Ok(())
    }

    fn garbage(&mut self, slot: usize, bytes: &[u8]) -> io::Result<()> {
        if !self.ensure_open(slot)? {
            return Ok(());
        }
        if let Some(mut connection) = self.slots[slot].connection.take() {
            connection.send(bytes, 0);
            self.count(slot, "garbage", CLOSED);
            self.record_end(slot, &mut connection);
        }
        Ok(())
    }

    /// A server may close a silent connection a little before it ends the session. The end of the session shows in
    /// the zxid, and there is nothing else to wait for.
    fn expire(&mut self, slot: usize) -> io::Result<()> {
        let before = self.current_zxid();
        if let Some(mut connection) = self.slots[slot].connection.take() {
            self.record_end(slot, &mut connection);
            let deadline = Instant::now() + PATIENCE;
            while self.current_zxid() == before && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(20));
            }
            let gone = self.slots[slot].session;
            self.live.retain(|s| Some(*s) != gone);
            self.slots[slot].closed = true;
            self.flush_others(slot, true);
        }
        Ok(())
    }

    /// Where the server stands, without a record.
    fn current_zxid(&mut self) -> Option<i64> {
        self.start_ping(CONTROL);
        match self.slots[CONTROL].connection.as_mut()?.receive() {
            Incoming::Frame(payload) => ReplyHeader::decode(&mut Reader::new(&payload)).ok().map(|h| h.zxid),
            Incoming::Closed(_) | Incoming::Silent => None,
        }
    }
}
