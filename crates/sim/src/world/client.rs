//! A simulated client: sessions, pipelined requests, watches re-registered after a reconnection, long naps.
//!
//! It checks every answer as it comes, against the history and against what it has seen itself.

use super::net::{Host, Parcel, Port, WireId};
use super::stage::{Event, Stage};
use crate::check::reads::Seen;
use crate::check::watches::{Book, Kind};
use crate::check::{order, reads, writes};
use std::collections::{BTreeSet, VecDeque};
use wire::data::{AclList, OPEN_ACL, Stat};
use wire::multi::{MultiHeader, MultiOp};
use wire::ops::xid;
use wire::reply::{ConnectResponse, ReplyHeader, WatcherEvent};
use wire::request::{
    ConnectRequest, CreateRequest, ReadRequest, RequestHeader, SetDataRequest, SetWatchesRequest,
    VersionedPath,
};
use wire::{OpCode, Reader, frame};

const TIMEOUT_MS: i32 = 6000;
const MAX_PENDING: usize = 24;

/// A request without an answer yet.
#[derive(Debug)]
struct Pending {
    xid: i32,
    op: OpCode,
    path: String,
    watch: bool,
    sent_us: u64,
    /// What had been answered when it was sent: see [`writes`].
    floor: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Apart,
    Connecting,
    Open,
    /// Sends nothing any more.
    Silent,
}

pub(super) struct Client {
    index: usize,
    host: Host,
    /// How many servers there are to connect to.
    servers: usize,
    /// The one it is or was connected to last.
    server: Host,
    /// The one that its session was on last.
    home: Host,
    phase: Phase,
    conn: WireId,
    session: i64,
    password: Vec<u8>,
    seen_zxid: i64,
    next_xid: i32,
    pending: VecDeque<Pending>,
    inbound: Vec<u8>,
    book: Book,
    since_us: u64,
}

impl Client {
    pub fn new(index: usize, servers: usize) -> Client {
        Client {
            index,
            host: servers + index,
            servers,
            server: 0,
            home: 0,
            phase: Phase::Apart,
            conn: 0,
            session: 0,
            password: Vec::new(),
            seen_zxid: 0,
            next_xid: 1,
            pending: VecDeque::new(),
            inbound: Vec::new(),
            book: Book::default(),
            since_us: 0,
        }
    }

    /// Whether it is connected and everything it asked was answered.
    pub fn is_settled(&self) -> bool {
        self.phase == Phase::Open && self.pending.is_empty()
    }

    /// From now on it neither sends nor reconnects.
    pub fn fall_silent(&mut self, stage: &mut Stage) {
        self.hang_up(stage);
        self.phase = Phase::Silent;
    }

    fn hang_up(&mut self, stage: &mut Stage) {
        stage.close(self.conn, 0);
        self.apart();
    }

    fn apart(&mut self) {
        // Who has asked for the end of his session does not come back to it.
        if self.pending.iter().any(|p| p.op == OpCode::CloseSession) {
            self.forget_session();
        }
        self.phase = Phase::Apart;
        self.conn = 0;
        self.pending.clear();
        self.inbound.clear();
    }

    fn forget_session(&mut self) {
        self.session = 0;
        self.password.clear();
        self.book.clear();
    }

    /// The client's own clock.
    pub fn act(&mut self, stage: &mut Stage) {
        let mut pause_us = 1000 + stage.rng.below(400_000);
        match self.phase {
            Phase::Silent => return,
            Phase::Apart => self.connect(stage),
            Phase::Connecting => {
                if stage.now_us - self.since_us > 3_000_000 {
                    self.hang_up(stage);
                }
            }
            Phase::Open => {
                let oldest = self.pending.front().map_or(0, |p| stage.now_us - p.sent_us);
                if oldest > TIMEOUT_MS as u64 * 1000 * 2 / 3 {
                    stage.mark("client: gave up waiting");
                    self.hang_up(stage);
                } else if !stage.calm && stage.rng.chance(2) {
                    stage.mark("client: hung up");
                    self.hang_up(stage);
                } else if !stage.calm && stage.rng.chance(1) {
                    stage.mark("client: napped");
                    pause_us = 3_000_000 + stage.rng.below(15_000_000);
                } else {
                    self.send_some(stage);
                }
            }
        }
        stage.after(pause_us, Event::Act { client: self.index });
    }

    fn connect(&mut self, stage: &mut Stage) {
        let former = self.server;
        self.server = stage.rng.index(self.servers);
        if self.session != 0 && self.server != former {
            stage.mark("session: tried another server");
        }
        self.conn = stage.connect(self.host, self.server, Port::Client);
        self.phase = Phase::Connecting;
        self.since_us = stage.now_us;
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.seen_zxid,
            timeout_ms: TIMEOUT_MS,
            session_id: self.session,
            password: Some(&self.password).filter(|p| !p.is_empty()).map(Vec::as_slice),
            read_only: Some(false),
        };
        let mut out = Vec::new();
        let start = frame::begin(&mut out);
        request.encode(&mut out);
        frame::finish(&mut out, start);
        stage.send(self.conn, 0, out);
    }

    fn send_some(&mut self, stage: &mut Stage) {
        let mut bytes = Vec::new();
        for _ in 0..1 + stage.rng.below(4) {
            if self.pending.len() < MAX_PENDING {
                stage.requests += 1;
                self.request(&mut bytes, stage);
            }
        }
        stage.send(self.conn, 0, bytes);
    }

    /// A path of a small world, so that clients meet.
    fn path(stage: &mut Stage) -> String {
        let top = stage.rng.below(6);
        let below = stage.rng.below(8);
        if below < 4 { format!("/t{top}") } else { format!("/t{top}/b{below}") }
    }

    fn request(&mut self, out: &mut Vec<u8>, stage: &mut Stage) {
        let path = Self::path(stage);
        let watch = stage.rng.chance(30);
        let choice = stage.rng.below(100);
        let op = match choice {
            0..=19 => OpCode::Create,
            20..=29 => OpCode::Create2,
            30..=44 => OpCode::SetData,
            45..=54 => OpCode::Delete,
            55..=62 => OpCode::Multi,
            63..=75 => OpCode::GetData,
            76..=84 => OpCode::Exists,
            85..=93 => OpCode::GetChildren2,
            94..=96 => OpCode::Sync,
            97..=98 => OpCode::Ping,
            _ if stage.calm => OpCode::Ping,
            _ => OpCode::CloseSession,
        };
        let start = self.begin(out, op, path.clone(), watch, stage);
        self.body(out, op, &path, watch, stage);
        frame::finish(out, start);
    }

    fn begin(&mut self, out: &mut Vec<u8>, op: OpCode, path: String, watch: bool, stage: &Stage) -> usize {
        let xid = match op {
            OpCode::Ping => xid::PING,
            OpCode::SetWatches => xid::SET_WATCHES,
            _ => {
                self.next_xid += 1;
                self.next_xid
            }
        };
        let start = frame::begin(out);
        RequestHeader { xid, op: op.code() }.encode(out);
        stage
            .trace(|| format!("client {}: {op:?} {path} as {xid} to server {}", self.index, self.server + 1));
        let floor = writes::asked(&stage.truth);
        self.pending.push_back(Pending { xid, op, path, watch, sent_us: stage.now_us, floor });
        start
    }

    fn body(&self, out: &mut Vec<u8>, op: OpCode, path: &str, watch: bool, stage: &mut Stage) {
        let mut data = vec![0; stage.rng.index(120)];
        stage.rng.fill(&mut data);
        let path = Some(path.into());
        match op {
            OpCode::Create | OpCode::Create2 => {
                let flags = *stage.rng.pick(&[0, 0, 0, 1, 1, 2, 3]);
                let acl = AclList::from_encoded(OPEN_ACL);
                CreateRequest { path, data: Some(&data), acl, flags, ttl_ms: -1 }.encode(out, false);
            }
            OpCode::SetData => {
                let version = *stage.rng.pick(&[-1, -1, 0, 1]);
                SetDataRequest { path, data: Some(&data), version }.encode(out);
            }
            OpCode::Delete => VersionedPath { path, version: -1 }.encode(out),
            OpCode::Multi => {
                let check = MultiOp::Check(VersionedPath { path: path.clone(), version: -1 });
                let set = MultiOp::SetData(SetDataRequest { path, data: Some(&data), version: -1 });
                let other = SetDataRequest { path: Some(Self::path(stage).into()), data: None, version: -1 };
                [check, set, MultiOp::SetData(other)].iter().for_each(|part| part.encode(out));
                MultiHeader::END.encode(out);
            }
            OpCode::GetData | OpCode::Exists | OpCode::GetChildren2 => {
                ReadRequest { path, watch }.encode(out);
            }
            OpCode::Sync => wire::jute::Put::put_ustring(out, "/"),
            _ => {}
        }
    }

    /// What a client library does first on a session that goes on.
    fn set_watches(&mut self, stage: &mut Stage) {
        let to_cows = |paths: Vec<&str>| paths.into_iter().map(|p| p.to_owned().into()).collect();
        let request = SetWatchesRequest {
            relative_zxid: self.seen_zxid,
            data: to_cows(self.book.paths(Kind::Data)),
            exist: to_cows(self.book.paths(Kind::Exist)),
            child: to_cows(self.book.paths(Kind::Child)),
            ..SetWatchesRequest::default()
        };
        let mut out = Vec::new();
        let start = self.begin(&mut out, OpCode::SetWatches, String::new(), false, stage);
        request.encode(&mut out, false);
        frame::finish(&mut out, start);
        stage.mark("watches: set again");
        stage.send(self.conn, 0, out);
    }

    pub fn arrive(&mut self, wire: WireId, parcel: Parcel, stage: &mut Stage) {
        if self.conn != wire || self.phase == Phase::Silent {
            return;
        }
        match parcel {
            Parcel::Bytes(bytes) => self.receive(&bytes, stage),
            Parcel::End => self.apart(),
            Parcel::Knock | Parcel::Accepted => {}
        }
    }

    fn receive(&mut self, bytes: &[u8], stage: &mut Stage) {
        self.inbound.extend_from_slice(bytes);
        let inbound = std::mem::take(&mut self.inbound);
        let mut rest = &inbound[..];
        while let Ok(Some((payload, used))) = frame::split(rest, 1 << 20) {
            if self.phase == Phase::Connecting {
                self.connected(payload, stage);
            } else {
                self.frame(payload, stage);
            }
            rest = &rest[used..];
        }
        self.inbound = rest.to_vec();
    }

    fn connected(&mut self, payload: &[u8], stage: &mut Stage) {
        let Ok(response) = ConnectResponse::decode(payload) else {
            return stage.check(Err("protocol: a handshake answer that cannot be read".into()));
        };
        if response.session_id == 0 {
            stage.mark("client: session was gone");
            self.forget_session();
            return self.apart();
        }
        self.phase = Phase::Open;
        self.password = response.password.to_vec();
        let again = self.session == response.session_id;
        stage.trace(|| {
            let how = if again { "goes on" } else { "begins" };
            format!(
                "client {}: session {:#x} {how} on server {}",
                self.index,
                response.session_id,
                self.server + 1
            )
        });
        self.session = response.session_id;
        if again {
            stage.mark("client: re-attached");
            if self.home != self.server {
                stage.mark("session: moved");
            }
            if !self.book.is_empty() {
                self.set_watches(stage);
            }
        }
        self.home = self.server;
    }

    fn frame(&mut self, payload: &[u8], stage: &mut Stage) {
        let mut r = Reader::new(payload);
        let Ok(header) = ReplyHeader::decode(&mut r) else {
            return stage.check(Err("protocol: an answer without a header".into()));
        };
        stage.trace(|| format!("client {}: {header:?}", self.index));
        if header.xid == xid::NOTIFICATION {
            let Ok(event) = WatcherEvent::decode(&mut r) else {
                return stage.check(Err("protocol: an event that cannot be read".into()));
            };
            stage.mark("watches: fired");
            let replaying = self.pending.front().is_some_and(|p| p.op == OpCode::SetWatches);
            let fits = self.book.event(stage.history(), event.event, &event.path, replaying);
            return stage.check(fits);
        }
        let pending = self.pending.pop_front();
        stage.check(order::of_answers(header.xid, pending.as_ref().map(|p| p.xid)));
        stage.check(order::of_states(header.zxid, self.seen_zxid));
        self.seen_zxid = self.seen_zxid.max(header.zxid);
        if pending.as_ref().is_some_and(|p| p.op == OpCode::SetWatches) {
            self.book.set_again(stage.history(), header.zxid);
        }
        let fresh = self.book.answered(stage.history(), header.zxid);
        stage.check(fresh);
        if let Some(pending) = pending {
            let fits = self.answer(&pending, &header, r, stage);
            stage.check(fits);
        }
    }

    fn answer(
        &mut self,
        asked: &Pending,
        header: &ReplyHeader,
        mut r: Reader<'_>,
        stage: &mut Stage,
    ) -> Result<(), String> {
        let unreadable = |e| format!("protocol: the body of an answer cannot be read: {e}");
        let mut seen = Seen::default();
        match asked.op {
            OpCode::GetData | OpCode::Exists | OpCode::GetChildren2 => {
                if header.err == 0 {
                    if asked.op == OpCode::GetData {
                        seen.data = Some(r.buffer().map_err(unreadable)?.map(<[u8]>::to_vec));
                    }
                    if asked.op == OpCode::GetChildren2 {
                        let names = r.ustrings().map_err(unreadable)?;
                        seen.children =
                            Some(names.into_iter().map(|n| n.into_owned()).collect::<BTreeSet<_>>());
                    }
                    seen.stat = Some(Stat::decode(&mut r).map_err(unreadable)?);
                }
                if asked.watch {
                    self.note_watch(asked, header);
                }
                reads::read(stage.history(), &asked.path, header.zxid, header.err, &seen)
            }
            OpCode::Create | OpCode::Create2 | OpCode::SetData | OpCode::Delete | OpCode::Multi => {
                stage.mark(if header.err == 0 { "write: done" } else { "write: refused" });
                let created = match asked.op {
                    OpCode::Create | OpCode::Create2 if header.err == 0 => {
                        Some(r.required_ustring().map_err(unreadable)?.into_owned())
                    }
                    _ => None,
                };
                let (zxid, err) = (header.zxid, header.err);
                let in_time = writes::answered(&mut stage.truth, zxid, asked.floor);
                stage.check(in_time);
                reads::write(stage.history(), self.session, asked.xid, zxid, err, created.as_deref())
            }
            OpCode::CloseSession => {
                self.forget_session();
                self.hang_up(stage);
                Ok(())
            }
            _ if header.err == 0 => Ok(()),
            _ => Err(format!("protocol: {:?} was refused with {}", asked.op, header.err)),
        }
    }

    fn note_watch(&mut self, asked: &Pending, header: &ReplyHeader) {
        let kind = match (asked.op, header.err) {
            (OpCode::GetChildren2, 0) => Kind::Child,
            (OpCode::GetData | OpCode::Exists, 0) => Kind::Data,
            (OpCode::Exists, _) => Kind::Exist,
            _ => return,
        };
        self.book.left(kind, &asked.path, header.zxid);
    }
}
