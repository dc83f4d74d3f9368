//! A follower or an observer: requests go to the leader, transactions come back (quorum-and-disk §2.4, §2.5, §7.1).
//!
//! What always holds: a transaction is acknowledged only when it is durable here; one is applied only when the leader
//! said that it is committed and it is durable here.

mod observers;

use super::core::Core;
use super::waiting::{Awaited, Until, Waiting};
use super::{Now, Submitted};
use crate::auth::AuthIds;
use crate::limits::DEPARTED_SESSIONS;
use crate::outbound::{ConnId, Outbound};
use crate::password::session_password;
use crate::session::Speaker;
pub(super) use observers::Observers;
use std::borrow::Cow;
use std::collections::VecDeque;
use tree::Tree;
use wire::jute::Limits;
use wire::quorum::parts::{Request, Revalidate, Revalidated};
use wire::quorum::{AuthInfo, send};
use wire::request::ConnectRequest;
use wire::{ErrorCode, OpCode, Reader};
use zab::{LearnerKey, ServerId, Timing, Zxid, epoch_start};

/// A session that the leader was asked about.
struct Revalidating {
    session_id: i64,
    timeout_ms: i32,
    asker: Asker,
}

/// To whom the answer goes.
enum Asker {
    Client { conn: ConnId, read_only: Option<bool> },
    Observer(LearnerKey),
}

/// How a dump of the tree stands.
pub(super) enum Dump {
    /// The shell is receiving it.
    Arriving,
    /// Loaded, and not yet on the disk: transactions go into it.
    Loaded(Box<Tree>),
}

pub(super) struct Learning {
    pub control: zab::Learner,
    pub leader: ServerId,
    pub is_observer: bool,
    /// Bytes from the leader that are not looked at yet.
    pub inbound: Vec<u8>,
    pub out: Vec<u8>,
    /// A task of the disk is under way: nothing further is read from the leader until it is done.
    pub is_busy: bool,
    pub dump: Option<Dump>,
    /// Proposed and not committed, while this server is being brought up to date.
    pub held: VecDeque<(Zxid, Vec<u8>)>,
    pub heard_ms: i64,
    /// UPTODATE was read in this turn.
    pub begins_serving: bool,
    /// Observers that follow this follower.
    pub observers: Option<Box<Observers>>,
    revalidating: VecDeque<Revalidating>,
    /// Whose syncs are with the leader, in order: an observer's, or this server's own client's.
    syncs: VecDeque<Option<LearnerKey>>,
    /// Sessions that left since the last ping, with their timeouts.
    departed: Vec<(i64, i32)>,
    /// Acknowledged to the leader.
    acked: Zxid,
    last_ping_ms: i64,
}

impl Learning {
    pub fn new(control: zab::Learner, leader: ServerId, is_observer: bool, now_ms: i64) -> Learning {
        Learning {
            control,
            leader,
            is_observer,
            inbound: Vec::new(),
            out: Vec::new(),
            is_busy: false,
            dump: None,
            held: VecDeque::new(),
            heard_ms: now_ms,
            begins_serving: false,
            observers: None,
            revalidating: VecDeque::new(),
            syncs: VecDeque::new(),
            departed: Vec::new(),
            acked: 0,
            last_ping_ms: now_ms,
        }
    }

    /// How long the leader may say nothing.
    pub fn silence_limit_ms(&self, timing: Timing) -> i64 {
        if self.control.is_synchronized() { timing.sync_ms } else { timing.init_ms }
    }

    pub fn is_serving(&self) -> bool {
        self.control.is_serving()
    }

    /// NEWLEADER is acknowledged: it stands for everything that is durable by now.
    pub fn history_acknowledged(&mut self, core: &Core) {
        self.acked = core.pipeline.durable().max(epoch_start(self.control.epoch()));
    }

    pub fn is_receiving_dump(&self) -> bool {
        matches!(self.dump, Some(Dump::Arriving))
    }

    /// What is held goes to the log; from now on what is durable is acknowledged.
    pub fn log_held(&mut self, core: &mut Core) {
        for (zxid, payload) in std::mem::take(&mut self.held) {
            core.pipeline.append(zxid, &payload);
        }
        self.durable(core.pipeline.durable());
    }

    /// UPTODATE: clients are served at the end of this turn.
    pub fn up_to_date(&mut self, core: &mut Core, epoch: i64) {
        send::ack(&mut self.out, epoch_start(epoch));
        // What stands behind this packet comes after what is held.
        self.log_held(core);
        self.begins_serving = true;
    }

    /// From now on clients are served.
    pub fn begin(&mut self, core: &mut Core, tree: &Tree, now: Now) {
        core.sessions.restart_as_learner(tree.sessions());
        self.last_ping_ms = now.mono_ms;
    }

    /// Everything up to `zxid` is durable: the leader is told of each.
    pub fn durable(&mut self, zxid: Zxid) {
        if self.is_observer || !self.is_serving() {
            return;
        }
        for zxid in self.acked + 1..=zxid {
            send::ack(&mut self.out, zxid);
        }
        self.acked = self.acked.max(zxid);
    }

    /// A request that needs the leader.
    pub fn request(&mut self, core: &mut Core, rq: &Submitted, op: OpCode, xid: i32, body: &[u8]) {
        let limits = Limits { field_bytes: core.settings.max_record };
        let mut waiting = Waiting {
            until: Until::Forwarded,
            conn: rq.conn,
            xid,
            session_id: rq.session_id,
            received_ms: rq.received_ms,
            what: Awaited::Txn,
        };
        if op == OpCode::Sync {
            match Reader::with_limits(body, limits).ustring() {
                Ok(path) => {
                    waiting.what = Awaited::Sync { path: path.map(Cow::into_owned) };
                    self.syncs.push_back(None);
                }
                Err(_) => waiting.what = Awaited::Refusal(ErrorCode::MarshallingError),
            }
        } else if op == OpCode::CloseSession {
            core.sessions.set_closing(rq.session_id);
        } else if !crate::prep::is_decodable(op, Reader::with_limits(body, limits)) {
            // A leader gives no answer to what it cannot decode.
            waiting.what = Awaited::Refusal(ErrorCode::MarshallingError);
        }
        if !matches!(waiting.what, Awaited::Refusal(_)) {
            let request = Request { session_id: rq.session_id, cxid: xid, op: op.code(), body };
            self.forward(&request, Some(&rq.ids));
        }
        core.waiting.push_back(waiting);
    }

    fn forward(&mut self, request: &Request<'_>, ids: Option<&AuthIds>) {
        let mut encoded = Vec::new();
        let auth = match ids {
            Some(ids) => {
                let pairs = ids.iter().map(|id| (id.scheme.as_str(), id.id.as_str()));
                wire::quorum::encode_auth(pairs, &mut encoded);
                AuthInfo::decode(&mut Reader::new(&encoded)).unwrap_or(AuthInfo::NULL)
            }
            None => AuthInfo::NULL,
        };
        send::request(&mut self.out, request, auth);
    }

    /// A handshake: a new session is made by the leader, an old one is confirmed by it.
    pub fn connect(
        &mut self,
        core: &mut Core,
        rq: &Submitted,
        request: &ConnectRequest<'_>,
        timeout_ms: i32,
        out: &mut impl Outbound,
    ) {
        let (id, read_only) = (request.session_id, request.read_only);
        if id == 0 {
            let session_id = core.sessions.allocate_id();
            let body = timeout_ms.to_be_bytes();
            let op = OpCode::CreateSession.code();
            self.forward(&Request { session_id, cxid: 0, op, body: &body }, None);
            core.waiting.push_back(Waiting {
                until: Until::Forwarded,
                conn: rq.conn,
                xid: 0,
                session_id,
                received_ms: rq.received_ms,
                what: Awaited::Welcome { timeout_ms, read_only },
            });
            return;
        }
        if let Some(former) = core.sessions.client(id).filter(|conn| *conn != rq.conn) {
            core.sessions.remove(id);
            out.close(former, None);
        }
        if request.password != Some(&session_password(id)[..]) {
            return super::handshake::refuse(core, rq.conn, read_only.map(|_| false), out);
        }
        send::revalidate(&mut self.out, &Revalidate { session_id: id, timeout_ms });
        let asker = Asker::Client { conn: rq.conn, read_only };
        self.revalidating.push_back(Revalidating { session_id: id, timeout_ms, asker });
    }

    /// The leader has everything up to the oldest sync behind it.
    pub fn synced(&mut self, core: &mut Core) {
        let committed = core.pipeline.committed();
        match self.syncs.pop_front() {
            Some(Some(key)) => {
                self.inform_observers(core);
                if let Some(observers) = &mut self.observers {
                    observers.learners.owe_sync(committed, key);
                }
            }
            Some(None) | None => core.sync_answered(committed),
        }
    }

    /// The leader has said whether a session lives.
    pub fn revalidated(&mut self, core: &mut Core, answer: Revalidated, now: Now, out: &mut impl Outbound) {
        let session_id = answer.session_id;
        let Some(at) = self.revalidating.iter().position(|r| r.session_id == session_id) else { return };
        let Some(asked) = self.revalidating.remove(at) else { return };
        match asked.asker {
            Asker::Observer(key) => {
                if let Some(observers) = &mut self.observers {
                    observers.revalidated(key, asked.timeout_ms, answer);
                }
            }
            Asker::Client { conn, read_only } if !answer.valid => {
                super::handshake::refuse(core, conn, read_only.map(|_| false), out);
            }
            Asker::Client { conn, read_only } => {
                if let Some(former) = core.sessions.client(session_id).filter(|c| *c != conn) {
                    out.close(former, None);
                }
                let session = core.sessions.track(session_id, asked.timeout_ms, now.mono_ms);
                core.sessions.set_owner(session_id, Some(Speaker::Client(conn)));
                core.frame.clear();
                super::handshake::write_response(&mut core.frame, session_id, asked.timeout_ms, read_only);
                out.welcome(conn, &core.frame, session);
            }
        }
    }

    /// A connection is gone: this server does not report its session as alive any more.
    pub fn forget(&mut self, core: &mut Core, session_id: i64, conn: ConnId) {
        if core.sessions.client(session_id) != Some(conn) {
            return;
        }
        // It was alive until now: the leader should hear so.
        if let Some(renewed) = core.sessions.renewed(session_id, self.last_ping_ms)
            && self.departed.len() < DEPARTED_SESSIONS
        {
            self.departed.push(renewed);
        }
        core.sessions.remove(session_id);
    }

    /// Who has been heard since the last ping.
    pub fn answer_ping(&mut self, core: &Core, zxid: Zxid, now: Now) {
        let theirs = self.observers.as_mut().map(|o| o.take_touched()).unwrap_or_default();
        let own = core.sessions.renewed_since(self.last_ping_ms);
        let departed = std::mem::take(&mut self.departed);
        send::ping_reply(&mut self.out, zxid, own.chain(theirs).chain(departed));
        self.last_ping_ms = now.mono_ms;
    }
}
