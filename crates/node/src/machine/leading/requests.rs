//! What learners ask of a leader.

use super::super::Now;
use super::super::core::Core;
use super::super::learners::Source;
use super::{Leading, Origin};
use crate::session::Speaker;
use tree::Tree;
use wire::jute::Limits;
use wire::quorum::parts::{Request, Revalidate, Touches};
use wire::quorum::{AuthInfo, send};
use wire::{DecodeError, ErrorCode, OpCode, Reader};
use zab::{LearnerKey, Zxid};

impl Leading {
    /// Everything up to `committed` is committed.
    pub fn announce(&mut self, core: &mut Core, committed: Zxid) {
        core.pipeline.set_committed(committed);
        if self.control.is_established() {
            self.learners.announce(core, self.control.epoch().unwrap_or(0), committed);
        }
    }

    pub fn source<'a>(&self, core: &'a Core, tree: &'a Tree, force_snapshot: bool) -> Source<'a> {
        let (epoch, is_established) = (self.control.epoch().unwrap_or(0), self.control.is_established());
        Source { core, tree, epoch, is_established, force_snapshot }
    }

    /// REQUEST of a learner's client.
    pub fn learner_request(
        &mut self,
        core: &mut Core,
        tree: &Tree,
        now: Now,
        key: LearnerKey,
        request: &Request<'_>,
        auth: AuthInfo<'_>,
    ) -> Result<(), DecodeError> {
        if request.op == OpCode::Sync.code() {
            let last = self.control.broadcast().last_proposed();
            self.learners.owe_sync(last, key);
            return Ok(());
        }
        if !self.control.can_propose() {
            return Ok(());
        }
        let speaker = Speaker::Learner(key);
        let op = OpCode::from_code(request.op);
        if op == Some(OpCode::CreateSession) {
            let timeout_ms = Reader::new(request.body).i32()?;
            self.propose_session(core, request.session_id, timeout_ms, speaker, now);
            return Ok(());
        }
        let session = core.sessions.check(request.session_id, speaker);
        if op == Some(OpCode::CloseSession) {
            self.propose_close(core, tree, request.session_id, request.cxid, now);
            return Ok(());
        }
        let ids = self.learners.ids(key, auth);
        let origin = Origin { session_id: request.session_id, cxid: request.cxid, ids: &ids, session };
        let limits = Limits { field_bytes: core.settings.max_record };
        let proposed = match op {
            Some(op) => {
                let body = Reader::with_limits(request.body, limits);
                self.propose_request(core, tree, now, &origin, op, body)
            }
            None => None,
        };
        if proposed.is_none() {
            // Somebody waits for it at the learner: it must come back.
            let error = if op.is_some() { ErrorCode::MarshallingError } else { ErrorCode::Unimplemented };
            self.propose_refusal(core, now, &origin, error);
        }
        Ok(())
    }

    /// A client has come back to a learner: may its session go on?
    pub fn revalidate(
        &mut self,
        core: &mut Core,
        now: Now,
        key: LearnerKey,
        asked: &Revalidate,
    ) -> Option<u64> {
        let renewed = core.sessions.renew(asked.session_id, asked.timeout_ms, now.mono_ms).is_some();
        let former = core.sessions.client(asked.session_id);
        if renewed {
            core.sessions.set_owner(asked.session_id, Some(Speaker::Learner(key)));
        }
        if let Some(out) = self.learners.out(key) {
            send::revalidated(out, -1, asked.session_id, renewed);
        }
        former.filter(|_| renewed)
    }

    /// The learner's clients were heard.
    pub fn touched(&mut self, core: &Core, touches: Touches<'_>, now: Now) {
        for (session_id, _) in touches {
            if let Some(session) = core.sessions.get(session_id) {
                session.touch(now.mono_ms);
            }
        }
    }
}
