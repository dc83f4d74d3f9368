//! The leader's learners: what they ask, and what they are sent.
//!
//! A learner that was brought up to date is sent every proposal, commit and information in the order in which they
//! happen. Until then it is owed a position in the history: what lies behind it is taken from memory, or read from the
//! log by the shell, until the two meet. What always holds: nothing is left out between the position and the first
//! live packet, and nothing is committed to a learner before it was proposed to it.

use super::super::core::Core;
use super::super::ensemble::{Effect, Located, Report};
use super::super::{Batch, Now};
use super::{Leading, Origin};
use crate::auth::AuthIds;
use crate::limits::LEARNER_OUT_BYTES;
use crate::session::Speaker;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tree::Tree;
use wire::data::Id;
use wire::jute::Limits;
use wire::quorum::parts::{Request, Revalidate, Touches};
use wire::quorum::{AuthInfo, send};
use wire::{DecodeError, ErrorCode, OpCode, Reader};
use zab::{Available, LearnerKey, LearnerKind, Neighbours, SyncPlan, Zxid, epoch_start};

/// Where the transactions of one learner come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Feed {
    /// It is not due any.
    None,
    /// The log is being asked for the surroundings of its last transaction.
    Locating { last: Zxid },
    /// The shell sends it a dump, or a part of the log; nothing else may be sent meanwhile.
    Streaming,
    /// It gets everything as it happens.
    Live,
}

struct Link {
    kind: LearnerKind,
    feed: Feed,
    inbound: Vec<u8>,
    out: Vec<u8>,
    /// The identities that were decoded last: most requests come with the same.
    ids: (Vec<u8>, AuthIds),
}

#[derive(Default)]
pub(in super::super) struct Learners {
    links: BTreeMap<LearnerKey, Link>,
    /// Kept for its capacity.
    scratch: Vec<u8>,
    /// What was announced as committed.
    announced: Zxid,
    /// Syncs of learners, each to be answered once the zxid is committed.
    syncs: VecDeque<(Zxid, LearnerKey)>,
    /// The text of the configuration, sent with NEWLEADER.
    pub config: String,
}

impl Learners {
    pub fn connected(&mut self, key: LearnerKey) {
        let link = Link {
            kind: LearnerKind::Observer,
            feed: Feed::None,
            inbound: Vec::new(),
            out: Vec::new(),
            ids: Default::default(),
        };
        self.links.insert(key, link);
    }

    pub fn gone(&mut self, key: LearnerKey) {
        self.links.remove(&key);
        self.syncs.retain(|(_, learner)| *learner != key);
    }

    pub fn keys(&self) -> Vec<LearnerKey> {
        self.links.keys().copied().collect()
    }

    pub fn inbound(&mut self, key: LearnerKey) -> Option<&mut Vec<u8>> {
        self.links.get_mut(&key).map(|l| &mut l.inbound)
    }

    pub fn set_kind(&mut self, key: LearnerKey, kind: LearnerKind) {
        if let Some(link) = self.links.get_mut(&key) {
            link.kind = kind;
        }
    }

    pub fn out(&mut self, key: LearnerKey) -> Option<&mut Vec<u8>> {
        self.links.get_mut(&key).map(|l| &mut l.out)
    }

    /// Everything that can be sent now.
    pub fn for_each_out(&mut self, mut each: impl FnMut(LearnerKey, &mut Vec<u8>)) {
        for (key, link) in &mut self.links {
            if !link.out.is_empty() {
                each(*key, &mut link.out);
            }
        }
    }

    /// Learners that do not take what they are sent.
    pub fn overfull(&self) -> Vec<LearnerKey> {
        let full = self.links.iter().filter(|(_, l)| l.out.len() > LEARNER_OUT_BYTES);
        full.map(|(key, _)| *key).collect()
    }

    fn live(&mut self, kind: LearnerKind) -> impl Iterator<Item = &mut Link> {
        self.links.values_mut().filter(move |l| l.feed == Feed::Live && l.kind == kind)
    }

    /// A batch goes to the log, and to the followers at the same time.
    pub fn propose(&mut self, batch: &Batch) {
        if self.links.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        bytes.clear();
        for i in 0..batch.len() {
            send::proposal(&mut bytes, batch.zxid(i), batch.payload(i));
        }
        for link in self.live(LearnerKind::Follower) {
            link.out.extend_from_slice(&bytes);
        }
        self.scratch = bytes;
    }

    /// PING to all that are live.
    pub fn ping(&mut self, last_proposed: Zxid) {
        for link in self.links.values_mut().filter(|l| l.feed == Feed::Live) {
            send::ping(&mut link.out, last_proposed);
        }
    }
}

impl Leading {
    /// Everything up to `committed` is committed: followers are told so, observers get the transactions, and syncs that
    /// waited for it are answered.
    pub fn announce(&mut self, core: &mut Core, committed: Zxid) {
        core.pipeline.set_committed(committed);
        let learners = &mut self.learners;
        let from = learners.announced;
        if committed <= from || !self.control.is_established() {
            return;
        }
        learners.announced = committed;
        if learners.links.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut learners.scratch);
        bytes.clear();
        for zxid in from.max(epoch_start(self.control.epoch().unwrap_or(0))) + 1..=committed {
            send::commit(&mut bytes, zxid);
        }
        for link in learners.live(LearnerKind::Follower) {
            link.out.extend_from_slice(&bytes);
        }
        if learners.live(LearnerKind::Observer).next().is_some() {
            bytes.clear();
            core.pipeline.for_each(from, committed, |zxid, payload| send::inform(&mut bytes, zxid, payload));
            for link in learners.live(LearnerKind::Observer) {
                link.out.extend_from_slice(&bytes);
            }
        }
        learners.scratch = bytes;
        self.answer_syncs(committed);
    }

    fn answer_syncs(&mut self, committed: Zxid) {
        let learners = &mut self.learners;
        while let Some((_, key)) = learners.syncs.pop_front_if(|(zxid, _)| *zxid <= committed) {
            if let Some(link) = learners.links.get_mut(&key) {
                send::sync(&mut link.out);
            }
        }
    }

    /// The epoch begins: nothing of it is announced yet.
    pub fn begin_announcing(&mut self, position: Zxid) {
        self.learners.announced = position;
    }

    /// Decides how a learner with this last transaction is brought up to date, and begins with it.
    pub fn synchronize(
        &mut self,
        core: &Core,
        tree: &Tree,
        key: LearnerKey,
        last: Zxid,
        force_snapshot: bool,
        effects: &mut Vec<Effect>,
    ) {
        let kind = self.control.learner_kind(key).unwrap_or(LearnerKind::Observer);
        self.learners.set_kind(key, kind);
        let available = self.available(core, tree, None, force_snapshot);
        let (min, max) = available.window.unwrap_or((available.last_processed, available.last_processed));
        let in_memory = force_snapshot
            || last == available.last_processed
            || (min <= last && last <= max)
            || (last > max && zab::counter_of(last) != 0);
        if in_memory {
            let plan = SyncPlan::choose(last, &available, |zxid| core.pipeline.neighbours(zxid));
            return self.carry_out(core, tree, key, plan, effects);
        }
        if let Some(link) = self.learners.links.get_mut(&key) {
            link.feed = Feed::Locating { last };
            effects.push(Effect::Locate { to: key, last });
        }
    }

    /// What can be offered. Before the epoch is established, all of this server's log is history.
    fn available(
        &self,
        core: &Core,
        tree: &Tree,
        log: Option<(Zxid, Zxid)>,
        force_snapshot: bool,
    ) -> Available {
        Available { last_processed: tree.last_zxid(), window: core.pipeline.window(), log, force_snapshot }
    }

    /// The log was looked at.
    pub fn located(
        &mut self,
        core: &Core,
        tree: &Tree,
        key: LearnerKey,
        located: Option<Located>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.learners.links.get_mut(&key) else { return };
        let Feed::Locating { last } = link.feed else { return };
        let plan = match located {
            // The log goes on in memory, or up to where the tree stands.
            Some(found) => {
                let log = Some((found.first, tree.last_zxid()));
                let available = self.available(core, tree, log, false);
                SyncPlan::choose(last, &available, |_| Neighbours {
                    at_or_before: found.at_or_before,
                    after: found.after,
                })
            }
            None => SyncPlan::Snapshot,
        };
        self.carry_out(core, tree, key, plan, effects);
    }

    fn carry_out(
        &mut self,
        core: &Core,
        tree: &Tree,
        key: LearnerKey,
        plan: SyncPlan,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.learners.links.get_mut(&key) else { return };
        effects.push(Effect::Report(Report::Synchronizing {
            learner: self.control.learner_server(key).unwrap_or(0),
            plan,
        }));
        match plan {
            SyncPlan::Snapshot => {
                link.feed = Feed::Streaming;
                effects.push(Effect::StreamTree { to: key });
            }
            SyncPlan::Diff { upto, from } => {
                send::diff(&mut link.out, upto);
                self.catch_up(core, tree, key, from, effects);
            }
            SyncPlan::Truncate { keep } => {
                send::trunc(&mut link.out, keep);
                self.catch_up(core, tree, key, keep, effects);
            }
        }
    }

    /// The learner has everything up to `position`: what is behind comes from memory if it is there, else from the log.
    pub fn catch_up(
        &mut self,
        core: &Core,
        tree: &Tree,
        key: LearnerKey,
        position: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.learners.links.get_mut(&key) else { return };
        let applied = tree.last_zxid();
        if !core.pipeline.covers(position, applied) {
            link.feed = Feed::Streaming;
            let (first, _) = core.pipeline.window().unwrap_or((applied + 1, applied));
            effects.push(Effect::StreamLog {
                to: key,
                after: position,
                through: applied.min(first - 1).max(position),
            });
            return;
        }
        let committed =
            if self.control.is_established() { self.learners.announced.max(applied) } else { applied };
        let is_follower = link.kind == LearnerKind::Follower;
        let out = &mut link.out;
        core.pipeline.for_each(position, Zxid::MAX, |zxid, payload| {
            if zxid <= committed {
                send::proposal(out, zxid, payload);
                send::commit(out, zxid);
            } else if is_follower {
                send::proposal(out, zxid, payload);
            }
        });
        link.feed = Feed::Live;
        let epoch = self.control.epoch().unwrap_or(0);
        send::new_leader(&mut link.out, epoch as i32, Some(&self.learners.config));
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
            self.learners.syncs.push_back((last, key));
            self.answer_syncs(self.learners.announced);
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

impl Learners {
    fn ids(&mut self, key: LearnerKey, auth: AuthInfo<'_>) -> AuthIds {
        let Some(link) = self.links.get_mut(&key) else { return AuthIds::default() };
        if link.ids.0 != auth.encoded() {
            let ids = auth.iter().map(|(scheme, id)| Id::new(scheme, id)).collect();
            link.ids = (auth.encoded().to_vec(), Arc::new(ids));
        }
        link.ids.1.clone()
    }
}
