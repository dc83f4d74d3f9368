//! The node: writes in, log records and replies out.
//!
//! A submitted write is validated and becomes a record of the batch being built. The shell takes the batch, makes it
//! durable and says so; then the batch is committed: applied to the tree, watches fired, replies sent. A standalone
//! server is an ensemble of one and runs through the same steps as the leader of many.

mod batch;
mod commit;
mod handshake;
mod reaper;

use crate::auth::AuthIds;
use crate::limits::BATCHES_IN_FLIGHT;
use crate::outbound::{ConnId, Outbound};
use crate::prep::{Prep, Refusal, Request};
use crate::reply;
use crate::session::Sessions;
use crate::settings::Settings;
use crate::throttle::ConnectThrottle;
pub use batch::Batch;
use reaper::Reaper;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;
use tree::Tree;
use wire::jute::{Limits, Put};
use wire::txn::{TxnDigest, TxnHeader};
use wire::{ErrorCode, OpCode, Reader, file};
use zab::{Broadcast, Quorum};

/// What connections hand to the node in one go: requests over one shared run of bytes.
#[derive(Debug, Default)]
pub struct Submission {
    pub bytes: Vec<u8>,
    pub requests: Vec<Submitted>,
}

#[derive(Debug)]
pub struct Submitted {
    pub conn: ConnId,
    /// 0 before the handshake.
    pub session_id: i64,
    pub kind: SubmissionKind,
    /// The request's body within the submission's bytes.
    pub start: usize,
    pub end: usize,
    pub ids: AuthIds,
    pub received_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionKind {
    /// A handshake: the body is the whole ConnectRequest.
    Connect,
    /// A request of class write or sync: the body is what follows its header.
    Request { op: OpCode, xid: i32 },
    /// The connection is gone.
    Gone,
}

/// The present time: monotonic for sessions, wall clock for transactions. Both in ms.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub mono_ms: i64,
    pub wall_ms: i64,
}

/// Numbers for status pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeStats {
    pub sessions: usize,
    pub outstanding: usize,
    pub last_zxid: i64,
    pub digest_mismatches: u64,
    pub expired_sessions: u64,
}

/// Somebody to answer once a zxid is applied.
#[derive(Debug)]
struct Waiting {
    zxid: i64,
    conn: ConnId,
    xid: i32,
    session_id: i64,
    received_ms: i64,
    what: Awaited,
}

#[derive(Debug)]
enum Awaited {
    /// The result of the transaction.
    Txn,
    /// The transaction creates the session; `read_only` as the client sent it.
    Welcome { timeout_ms: i32, read_only: Option<bool> },
    /// No transaction: everything before it.
    Sync { path: Option<String> },
    /// No transaction: a refusal that must keep its place in the order.
    Refusal(ErrorCode),
}

/// One server. See the module's introduction.
pub struct Node {
    settings: Arc<Settings>,
    sessions: Sessions,
    prep: Prep,
    zab: Broadcast,
    building: Batch,
    in_flight: VecDeque<Arc<Batch>>,
    /// Records of the front batch that are applied already.
    applied_records: usize,
    waiting: VecDeque<Waiting>,
    reaper: Reaper,
    connects: ConnectThrottle,
    frame: Vec<u8>,
    expired_sessions: u64,
}

impl Node {
    /// A standalone server over a recovered tree. `seed` feeds the tables and the connection throttle.
    pub fn new(settings: Arc<Settings>, tree: &Tree, now: Now, seed: u64) -> Node {
        let restored = tree.sessions().iter().map(|(id, timeout)| (*id, *timeout));
        let sessions =
            Sessions::new(settings.server_id as u64 & 0xff, settings.tick_ms, now.wall_ms, now.mono_ms, restored);
        let zab = Broadcast::new(Quorum::majority([settings.server_id]), tree.last_zxid());
        let mut node = Node {
            sessions,
            prep: Prep::new(settings.clone(), tree, seed),
            zab,
            building: Batch::default(),
            in_flight: VecDeque::new(),
            applied_records: 0,
            waiting: VecDeque::new(),
            reaper: Reaper::new(now.mono_ms, &settings),
            connects: ConnectThrottle::new(settings.throttle.connect, now.mono_ms, seed),
            frame: Vec::new(),
            expired_sessions: 0,
            settings,
        };
        node.close_lost_owners(tree, now);
        node
    }

    /// Ephemerals whose session no file knows (a fuzzy snapshot can leave such) go the way of every ended session.
    fn close_lost_owners(&mut self, tree: &Tree, now: Now) {
        let lost: Vec<i64> = tree.ephemeral_owners().filter(|id| !tree.sessions().contains_key(id)).collect();
        for id in lost {
            self.propose_close(tree, id, 0, now);
        }
    }

    /// Takes what connections have handed in.
    pub fn submit(&mut self, tree: &Tree, now: Now, submission: &Submission, out: &mut impl Outbound) {
        for rq in &submission.requests {
            let body = &submission.bytes[rq.start..rq.end];
            match rq.kind {
                SubmissionKind::Connect => self.connect(tree, now, rq, body, out),
                SubmissionKind::Request { op, xid } => self.request(tree, now, rq, op, xid, body, out),
                SubmissionKind::Gone => self.gone(rq),
            }
        }
        self.answer_ready(tree, now, out);
    }

    fn gone(&mut self, rq: &Submitted) {
        if self.sessions.owner(rq.session_id) == Some(rq.conn) {
            self.sessions.set_owner(rq.session_id, None);
        }
    }

    /// Whether the session may write: it lives, and on this connection.
    fn check_session(&self, rq: &Submitted) -> Result<(), ErrorCode> {
        match self.sessions.get(rq.session_id) {
            None => Err(ErrorCode::SessionExpired),
            Some(session) if session.is_closing() => Err(ErrorCode::SessionExpired),
            Some(_) if self.sessions.owner(rq.session_id) != Some(rq.conn) => Err(ErrorCode::SessionMoved),
            Some(_) => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a request and where it came from")]
    fn request(
        &mut self,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        op: OpCode,
        xid: i32,
        body: &[u8],
        out: &mut impl Outbound,
    ) {
        let session = self.check_session(rq);
        if session == Err(ErrorCode::SessionMoved) {
            return out.close(rq.conn, None);
        }
        let waiting = |zxid, what| Waiting {
            zxid,
            conn: rq.conn,
            xid,
            session_id: rq.session_id,
            received_ms: rq.received_ms,
            what,
        };
        let limits = Limits { field_bytes: self.settings.max_record };
        let mut reader = Reader::with_limits(body, limits);
        let entry = if op == OpCode::CloseSession {
            waiting(self.propose_close(tree, rq.session_id, xid, now), Awaited::Txn)
        } else if op == OpCode::Sync {
            let path = reader.ustring().map_err(|_| ErrorCode::MarshallingError);
            let what = match session.and(path) {
                Ok(path) => Awaited::Sync { path: path.map(Cow::into_owned) },
                Err(e) => Awaited::Refusal(e),
            };
            waiting(self.zab.last_proposed(), what)
        } else {
            match self.propose_request(tree, now, rq, session, op, xid, reader) {
                Some(zxid) => waiting(zxid, Awaited::Txn),
                None => waiting(self.zab.last_proposed(), Awaited::Refusal(ErrorCode::MarshallingError)),
            }
        };
        self.waiting.push_back(entry);
    }

    /// A record for the request: its effect, or its refusal, which is logged as well. `None` for a request that cannot be
    /// decoded, which takes no zxid (but for a multi, which does).
    #[allow(clippy::too_many_arguments, reason = "a request and where it came from")]
    fn propose_request(
        &mut self,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        session: Result<(), ErrorCode>,
        op: OpCode,
        cxid: i32,
        body: Reader<'_>,
    ) -> Option<i64> {
        let zxid = self.zab.last_proposed() + 1;
        let header = TxnHeader { session_id: rq.session_id, cxid, zxid, time_ms: now.wall_ms, op: op.code() };
        let request =
            Request { session_id: rq.session_id, ids: &rq.ids, session, zxid, time_ms: now.wall_ms };
        let out = &mut self.building.bytes;
        let start = file::begin_record(out);
        header.encode(out);
        let body_start = out.len();
        match self.prep.request(tree, &request, op, body, out) {
            Ok(()) => self.finish_record(start, zxid, true),
            Err(Refusal::Undecodable) => {
                self.building.bytes.truncate(start);
                return None;
            }
            Err(refusal) => {
                let error = refusal.code();
                let out = &mut self.building.bytes;
                out.truncate(body_start - TxnHeader::ENCODED_BYTES);
                TxnHeader { op: OpCode::Error.code(), ..header }.encode(out);
                out.extend_from_slice(&error.code().to_be_bytes());
                self.finish_record(start, zxid, false);
            }
        }
        let proposed = self.zab.propose();
        debug_assert_eq!(proposed, zxid);
        Some(zxid)
    }

    fn finish_record(&mut self, start: usize, zxid: i64, with_digest: bool) {
        let out = &mut self.building.bytes;
        if with_digest && self.settings.digest {
            TxnDigest { version: TxnDigest::VERSION, tree_digest: self.prep.digest() }.encode(out);
        }
        file::finish_record(out, start);
        self.building.add(start, zxid);
    }

    /// Ends a session by a transaction, as everything does.
    fn propose_close(&mut self, tree: &Tree, session_id: i64, cxid: i32, now: Now) -> i64 {
        let zxid = self.zab.propose();
        let header =
            TxnHeader { session_id, cxid, zxid, time_ms: now.wall_ms, op: OpCode::CloseSession.code() };
        let out = &mut self.building.bytes;
        let start = file::begin_record(out);
        header.encode(out);
        self.prep.close_session(tree, session_id, zxid, out);
        // Without the list, a digest would be read as one (quorum-and-disk §3.4), and stop the start of Apache's.
        self.finish_record(start, zxid, self.settings.close_session_paths);
        self.sessions.set_closing(session_id);
        zxid
    }

    /// Time passes: sessions whose time is up, containers and TTL znodes to reap.
    pub fn tick(&mut self, tree: &Tree, now: Now) {
        for id in self.sessions.expired(now.mono_ms) {
            self.expired_sessions += 1;
            self.propose_close(tree, id, 0, now);
        }
        self.reap(tree, now);
    }

    /// When [`Node::tick`] next has something to do.
    pub fn next_tick_ms(&self) -> i64 {
        let sessions = self.sessions.next_deadline_ms().unwrap_or(i64::MAX);
        sessions.min(self.reaper.next_ms())
    }

    /// Whether there are records to make durable.
    pub fn has_batch(&self) -> bool {
        !self.building.is_empty() && self.in_flight.len() < BATCHES_IN_FLIGHT
    }

    /// The records built since the last call, to be made durable in the order of the calls.
    pub fn take_batch(&mut self) -> Option<Arc<Batch>> {
        if !self.has_batch() {
            return None;
        }
        let capacity = self.building.bytes.len();
        let batch = Arc::new(std::mem::replace(&mut self.building, Batch::with_capacity(capacity)));
        self.in_flight.push_back(batch.clone());
        Some(batch)
    }

    /// This server's log has everything up to `zxid` durably.
    pub fn durable(&mut self, zxid: i64) {
        self.zab.acknowledge(self.settings.server_id, zxid);
    }

    /// Answers those who wait for nothing that is still to come.
    fn answer_ready(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let applied = tree.last_zxid();
        while self.waiting.front().is_some_and(|w| w.zxid <= applied && !w.what.is_txn()) {
            let Some(w) = self.waiting.pop_front() else { return };
            self.frame.clear();
            let answered = reply::write(&mut self.frame, w.xid, applied, |body| match &w.what {
                Awaited::Sync { path } => {
                    match path {
                        Some(path) => body.put_ustring(path),
                        None => body.put_buffer(None),
                    }
                    Ok(())
                }
                Awaited::Refusal(error) => Err(*error),
                Awaited::Txn | Awaited::Welcome { .. } => Ok(()),
            });
            debug_assert!(answered.is_ok() || matches!(w.what, Awaited::Refusal(_)));
            out.reply(w.conn, &self.frame, w.age_ms(now));
        }
    }

    pub fn stats(&self, tree: &Tree) -> NodeStats {
        NodeStats {
            sessions: self.sessions.len(),
            outstanding: self.waiting.len(),
            last_zxid: tree.last_zxid(),
            digest_mismatches: tree.digest_mismatches(),
            expired_sessions: self.expired_sessions,
        }
    }

    /// Whether nothing is on its way: every proposal is applied and every request answered.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty()
            && self.in_flight.is_empty()
            && self.building.is_empty()
            && self.prep.is_idle()
    }
}

impl Waiting {
    fn age_ms(&self, now: Now) -> u64 {
        (now.mono_ms - self.received_ms).max(0) as u64
    }
}

impl Awaited {
    fn is_txn(&self) -> bool {
        match self {
            Awaited::Txn | Awaited::Welcome { .. } => true,
            Awaited::Sync { .. } | Awaited::Refusal(_) => false,
        }
    }
}
