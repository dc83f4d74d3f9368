//! A leader: requests become transactions, transactions become proposals, and what a quorum has is committed.
//!
//! The first half is the same for a server alone. What learners ask for stands in [`requests`].

mod requests;

use super::core::Core;
use super::learners::Learners;
use super::reaper::Reaper;
use super::waiting::{Awaited, Until, Waiting};
use super::{Batch, Now, Submitted};
use crate::outbound::Outbound;
use crate::prep::{Prep, Refusal, Request};
use crate::session::Speaker;
use planted::{Bug, has};
use std::borrow::Cow;
use tree::Tree;
use wire::jute::Limits;
use wire::txn::{Txn, TxnDigest, TxnHeader};
use wire::{ErrorCode, OpCode, Reader, file};
use zab::{Leader, Zxid};

/// What exists only once the epoch is established.
pub(super) struct Serving {
    pub prep: Prep,
    pub reaper: Reaper,
    pub began: Now,
}

pub(super) struct Leading {
    pub control: Leader,
    pub serving: Option<Serving>,
    pub learners: Learners,
}

impl Leading {
    pub fn new(control: Leader) -> Leading {
        Leading { control, serving: None, learners: Learners::default() }
    }

    /// The epoch is established: requests may come. The tree holds everything that came before.
    pub fn begin(&mut self, core: &mut Core, tree: &Tree, now: Now) {
        core.restore_sessions(tree, now);
        self.serving = Some(Serving {
            prep: Prep::new(core.settings.clone(), tree, core.seed),
            reaper: Reaper::new(now.mono_ms, &core.settings),
            began: now,
        });
        self.close_lost_owners(core, tree, now);
    }

    pub fn is_serving(&self) -> bool {
        self.serving.is_some()
    }

    pub fn is_idle(&self) -> bool {
        self.serving.as_ref().is_none_or(|s| s.prep.is_idle())
    }

    /// Ephemerals whose session no file knows (a fuzzy snapshot can leave such) go the way of every ended session.
    fn close_lost_owners(&mut self, core: &mut Core, tree: &Tree, now: Now) {
        let lost: Vec<i64> = tree.ephemeral_owners().filter(|id| !tree.sessions().contains_key(id)).collect();
        for id in lost {
            self.propose_close(core, tree, id, 0, now);
        }
    }

    #[allow(clippy::too_many_arguments, reason = "a request and where it came from")]
    pub fn request(
        &mut self,
        core: &mut Core,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        op: OpCode,
        xid: i32,
        body: &[u8],
        out: &mut impl Outbound,
    ) {
        let session = core.sessions.check(rq.session_id, Speaker::Client(rq.conn));
        if session == Err(ErrorCode::SessionMoved) || !self.control.can_propose() {
            return out.close(rq.conn, None);
        }
        let limits = Limits { field_bytes: core.settings.max_record };
        let mut reader = Reader::with_limits(body, limits);
        // A new epoch has proposed nothing yet, and no transaction has the zxid with which it begins.
        let last_proposed = match core.pipeline.is_idle() {
            true => tree.last_zxid(),
            false => self.control.broadcast().last_proposed(),
        };
        let (zxid, what) = if op == OpCode::CloseSession {
            (self.propose_close(core, tree, rq.session_id, xid, now), Awaited::Txn)
        } else if op == OpCode::Sync {
            let path = reader.ustring().map_err(|_| ErrorCode::MarshallingError);
            let what = match session.and(path) {
                Ok(path) => Awaited::Sync { path: path.map(Cow::into_owned) },
                Err(e) => Awaited::Refusal(e),
            };
            (last_proposed, what)
        } else {
            let origin = Origin { session_id: rq.session_id, cxid: xid, ids: &rq.ids, session };
            match self.propose_request(core, tree, now, &origin, op, reader) {
                Some(zxid) => (zxid, Awaited::Txn),
                None => (last_proposed, Awaited::Refusal(ErrorCode::MarshallingError)),
            }
        };
        core.waiting.push_back(Waiting {
            until: Until::Zxid(zxid),
            conn: rq.conn,
            xid,
            session_id: rq.session_id,
            received_ms: rq.received_ms,
            what,
        });
    }

    /// A record for the request: its effect, or its refusal, which is logged as well. `None` for a request that cannot
    /// be decoded, which takes no zxid (but for a multi, which does).
    pub(super) fn propose_request(
        &mut self,
        core: &mut Core,
        tree: &Tree,
        now: Now,
        origin: &Origin<'_>,
        op: OpCode,
        body: Reader<'_>,
    ) -> Option<Zxid> {
        let serving = self.serving.as_mut()?;
        if self.control.has_old_learner() && !crate::prep::is_readable_by_3_4(op, body) {
            self.propose_refusal(core, now, origin, ErrorCode::Unimplemented);
            return Some(self.control.broadcast().last_proposed());
        }
        let zxid = self.control.broadcast().last_proposed() + 1;
        let header = origin.header(zxid, now, op);
        let request = Request {
            session_id: origin.session_id,
            ids: origin.ids,
            session: origin.session,
            zxid,
            time_ms: now.wall_ms,
        };
        let out = &mut core.pipeline.building.bytes;
        let start = file::begin_record(out);
        header.encode(out);
        match serving.prep.request(tree, &request, op, body, out) {
            Ok(()) => self.finish_record(core, start, zxid, true),
            Err(Refusal::Undecodable) => {
                core.pipeline.building.bytes.truncate(start);
                return None;
            }
            Err(refusal) => {
                core.pipeline.building.bytes.truncate(start);
                self.propose_refusal(core, now, origin, refusal.code());
                return Some(zxid);
            }
        }
        self.control.broadcast_mut().propose();
        Some(zxid)
    }

    /// A refusal that keeps its place among the transactions.
    pub(super) fn propose_refusal(
        &mut self,
        core: &mut Core,
        now: Now,
        origin: &Origin<'_>,
        error: ErrorCode,
    ) {
        let zxid = self.control.broadcast_mut().propose();
        let out = &mut core.pipeline.building.bytes;
        let start = file::begin_record(out);
        origin.header(zxid, now, OpCode::Error).encode(out);
        out.extend_from_slice(&error.code().to_be_bytes());
        self.finish_record(core, start, zxid, false);
    }

    pub(super) fn finish_record(&mut self, core: &mut Core, start: usize, zxid: Zxid, with_digest: bool) {
        let out = &mut core.pipeline.building.bytes;
        if with_digest
            && core.settings.digest
            && let Some(serving) = &self.serving
        {
            TxnDigest { version: TxnDigest::VERSION, tree_digest: serving.prep.digest() }.encode(out);
        }
        file::finish_record(out, start);
        core.pipeline.building.add(start, zxid);
    }

    /// Ends a session by a transaction, as everything does.
    pub(super) fn propose_close(
        &mut self,
        core: &mut Core,
        tree: &Tree,
        session_id: i64,
        cxid: i32,
        now: Now,
    ) -> Zxid {
        let zxid = self.control.broadcast_mut().propose();
        let header =
            TxnHeader { session_id, cxid, zxid, time_ms: now.wall_ms, op: OpCode::CloseSession.code() };
        let out = &mut core.pipeline.building.bytes;
        let start = file::begin_record(out);
        header.encode(out);
        if let Some(serving) = &mut self.serving {
            serving.prep.close_session(tree, session_id, zxid, out);
        }
        // Without the list, a digest would be read as one (quorum-and-disk §3.4), and stop the start of Apache's.
        self.finish_record(core, start, zxid, core.settings.close_session_paths);
        core.sessions.set_closing(session_id);
        zxid
    }

    /// Begins a session that `speaker` speaks for.
    pub(super) fn propose_session(
        &mut self,
        core: &mut Core,
        session_id: i64,
        timeout_ms: i32,
        speaker: Speaker,
        now: Now,
    ) -> Zxid {
        core.sessions.track(session_id, timeout_ms, now.mono_ms);
        core.sessions.set_owner(session_id, Some(speaker));
        let zxid = self.control.broadcast_mut().propose();
        let op = OpCode::CreateSession.code();
        let out = &mut core.pipeline.building.bytes;
        let start = file::begin_record(out);
        TxnHeader { session_id, cxid: 0, zxid, time_ms: now.wall_ms, op }.encode(out);
        Txn::CreateSession { timeout_ms }.encode(out);
        self.finish_record(core, start, zxid, true);
        zxid
    }

    pub fn tick(&mut self, core: &mut Core, tree: &Tree, now: Now) {
        if !self.is_serving() || !self.control.can_propose() {
            return;
        }
        let mut now_ms = now.mono_ms;
        if has(Bug::ExpiryByWallClock)
            && let Some(serving) = &self.serving
        {
            now_ms = serving.began.mono_ms + now.wall_ms - serving.began.wall_ms;
        }
        for id in core.sessions.expired(now_ms) {
            if !self.control.can_propose() {
                return;
            }
            core.expired_sessions += 1;
            self.propose_close(core, tree, id, 0, now);
        }
        // Its transactions are unknown to 3.4.
        if !self.control.has_old_learner() {
            self.reap(core, tree, now);
        }
    }

    pub fn next_tick_ms(&self, core: &Core) -> i64 {
        let Some(serving) = &self.serving else { return i64::MAX };
        core.sessions.next_deadline_ms().unwrap_or(i64::MAX).min(serving.reaper.next_ms())
    }

    /// This server's log has everything up to `zxid`.
    pub fn durable(&mut self, core: &mut Core, zxid: Zxid) {
        let committed = self.control.durable(zxid);
        self.announce(core, committed);
    }

    pub fn propose_to_followers(&mut self, batch: &Batch) {
        self.learners.propose(batch);
    }
}

/// Whose request it is.
pub(super) struct Origin<'a> {
    pub session_id: i64,
    pub cxid: i32,
    pub ids: &'a crate::auth::AuthIds,
    /// Whether the session may write at all.
    pub session: Result<(), ErrorCode>,
}

impl Origin<'_> {
    fn header(&self, zxid: Zxid, now: Now, op: OpCode) -> TxnHeader {
        TxnHeader { session_id: self.session_id, cxid: self.cxid, zxid, time_ms: now.wall_ms, op: op.code() }
    }
}
