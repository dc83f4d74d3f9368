//! Learners of this server, which leads, or follows and serves observers: what they are sent.
//!
//! A learner that was brought up to date is sent every proposal, commit and information in the order in which they
//! happen. Until then it is owed a position in the history: what lies behind it is taken from memory, or read from the
//! log by the shell, until the two meet. What always holds: nothing is left out between the position and the first
//! live packet, and nothing is committed to a learner before it was proposed to it.

use super::Batch;
use super::core::Core;
use super::ensemble::{Effect, Located, Report};
use crate::auth::AuthIds;
use crate::limits::LEARNER_OUT_BYTES;
use planted::{Bug, has};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use tree::Tree;
use wire::data::Id;
use wire::quorum::{AuthInfo, send};
use zab::{
    Available, LeaderEffect, LearnerKey, LearnerKind, Neighbours, ServerId, SyncPlan, Zxid, epoch_start,
};

/// Where learners get what they lack from.
pub(super) struct Source<'a> {
    pub core: &'a Core,
    pub tree: &'a Tree,
    pub epoch: i64,
    /// Before the epoch is established, all of this server's log is history.
    pub is_established: bool,
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot: bool,
}

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
    server: ServerId,
    feed: Feed,
    inbound: Vec<u8>,
    out: Vec<u8>,
    /// The identities that were decoded last: most requests come with the same.
    ids: (Vec<u8>, AuthIds),
}

#[derive(Default)]
pub(super) struct Learners {
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
            server: 0,
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

    /// A learner has said who it is.
    pub fn introduce(&mut self, key: LearnerKey, kind: LearnerKind, server: ServerId) {
        if let Some(link) = self.links.get_mut(&key) {
            link.kind = kind;
            link.server = server;
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

    /// Learners that others send to at present, or soon.
    pub fn being_sent(&self) -> Vec<LearnerKey> {
        let busy = |link: &Link| matches!(link.feed, Feed::Locating { .. } | Feed::Streaming);
        self.links.iter().filter(|(_, link)| busy(link)).map(|(key, _)| *key).collect()
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

    /// What the control of the epoch asks for one learner, or for all; `false` for what is not theirs.
    pub fn obey(
        &mut self,
        effect: &LeaderEffect,
        source: &Source<'_>,
        last_proposed: Zxid,
        effects: &mut Vec<Effect>,
    ) -> bool {
        match effect {
            LeaderEffect::SendLeaderInfo { to, epoch } => {
                if let Some(out) = self.out(*to) {
                    send::leader_info(out, *epoch as i32);
                }
            }
            LeaderEffect::Synchronize { to, last } => self.synchronize(source, *to, *last, effects),
            LeaderEffect::SendUpToDate { to } => {
                if let Some(out) = self.out(*to) {
                    send::up_to_date(out);
                }
            }
            LeaderEffect::PingAll => self.ping(last_proposed),
            LeaderEffect::SaveAcceptedEpoch(_)
            | LeaderEffect::SaveCurrentEpoch(_)
            | LeaderEffect::Established { .. }
            | LeaderEffect::Close { .. }
            | LeaderEffect::Resign { .. } => return false,
        }
        true
    }

    /// PING to all that are live.
    fn ping(&mut self, last_proposed: Zxid) {
        for link in self.links.values_mut().filter(|l| l.feed == Feed::Live) {
            send::ping(&mut link.out, last_proposed);
        }
    }
}

impl Source<'_> {
    /// What can be offered: everything that is committed, applied here or not.
    fn available(&self, announced: Zxid, log: Option<(Zxid, Zxid)>) -> Available {
        let applied = self.tree.last_zxid();
        let end = if self.is_established { announced.max(applied) } else { applied };
        let window = self.core.pipeline.window_to(end);
        Available {
            last_processed: window.map_or(applied, |(_, last)| last.max(applied)),
            window,
            log,
            force_snapshot: self.force_snapshot,
        }
    }
}

impl Learners {
    /// Everything up to `committed` is committed: followers are told so, observers get the transactions, and syncs that
    /// waited for it are answered, each before anything later is committed: the learner takes what was committed before
    /// the answer for what the sync waits for.
    pub fn announce(&mut self, core: &Core, epoch: i64, committed: Zxid) {
        while self.announced < committed {
            let from = self.announced;
            let next_sync = self.syncs.front().map_or(committed, |(zxid, _)| *zxid);
            let split = next_sync > from && !has(Bug::SyncBehindLaterCommits);
            let until = if split { next_sync.min(committed) } else { committed };
            self.announced = until;
            self.announce_range(core, epoch, from, until);
            self.answer_syncs();
        }
    }

    fn announce_range(&mut self, core: &Core, epoch: i64, from: Zxid, until: Zxid) {
        if self.links.is_empty() {
            return;
        }
        let mut bytes = std::mem::take(&mut self.scratch);
        if self.live(LearnerKind::Follower).next().is_some() {
            bytes.clear();
            for zxid in from.max(epoch_start(epoch)) + 1..=until {
                send::commit(&mut bytes, zxid);
            }
            for link in self.live(LearnerKind::Follower) {
                link.out.extend_from_slice(&bytes);
            }
        }
        if self.live(LearnerKind::Observer).next().is_some() {
            bytes.clear();
            core.pipeline.for_each(from, until, |zxid, payload| send::inform(&mut bytes, zxid, payload));
            for link in self.live(LearnerKind::Observer) {
                link.out.extend_from_slice(&bytes);
            }
        }
        self.scratch = bytes;
    }

    /// A sync of a learner, to be answered behind everything up to `zxid`.
    pub fn owe_sync(&mut self, zxid: Zxid, key: LearnerKey) {
        self.syncs.push_back((zxid, key));
        self.answer_syncs();
    }

    fn answer_syncs(&mut self) {
        let announced = self.announced;
        while self.syncs.front().is_some_and(|(zxid, _)| *zxid <= announced) {
            let Some((_, key)) = self.syncs.pop_front() else { return };
            if let Some(link) = self.links.get_mut(&key) {
                send::sync(&mut link.out);
            }
        }
    }

    /// How far everything is committed, as learners were told.
    pub fn announced(&self) -> Zxid {
        self.announced
    }

    /// Everything up to `position` was announced, or needs not be.
    pub fn begin_announcing(&mut self, position: Zxid) {
        self.announced = position;
    }

    /// Decides how a learner with this last transaction is brought up to date, and begins with it.
    fn synchronize(&mut self, source: &Source<'_>, key: LearnerKey, last: Zxid, effects: &mut Vec<Effect>) {
        let available = source.available(self.announced, None);
        let (min, max) = available.window.unwrap_or((available.last_processed, available.last_processed));
        let in_memory = source.force_snapshot
            || last == available.last_processed
            || (min <= last && last <= max)
            || (last > max && zab::counter_of(last) != 0);
        if in_memory {
            let plan = SyncPlan::choose(last, &available, |zxid| source.core.pipeline.neighbours(zxid));
            return self.carry_out(source, key, plan, effects);
        }
        if let Some(link) = self.links.get_mut(&key) {
            link.feed = Feed::Locating { last };
            effects.push(Effect::Locate { to: key, last });
        }
    }

    /// The log was looked at.
    pub fn located(
        &mut self,
        source: &Source<'_>,
        key: LearnerKey,
        located: Option<Located>,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get_mut(&key) else { return };
        let Feed::Locating { last } = link.feed else { return };
        let plan = match located {
            // The log goes on in memory, or up to where the tree stands.
            Some(found) => {
                let available =
                    source.available(self.announced, Some((found.first, source.tree.last_zxid())));
                SyncPlan::choose(last, &available, |_| Neighbours {
                    at_or_before: found.at_or_before,
                    after: found.after,
                })
            }
            None => SyncPlan::Snapshot,
        };
        self.carry_out(source, key, plan, effects);
    }

    fn carry_out(&mut self, source: &Source<'_>, key: LearnerKey, plan: SyncPlan, effects: &mut Vec<Effect>) {
        let Some(link) = self.links.get_mut(&key) else { return };
        effects.push(Effect::Report(Report::Synchronizing { learner: link.server, plan }));
        match plan {
            SyncPlan::Snapshot => {
                link.feed = Feed::Streaming;
                effects.push(Effect::StreamTree { to: key });
            }
            SyncPlan::Diff { upto, from } => {
                send::diff(&mut link.out, upto);
                self.catch_up(source, key, from, effects);
            }
            SyncPlan::Truncate { keep } => {
                send::trunc(&mut link.out, keep);
                self.catch_up(source, key, keep, effects);
            }
        }
    }

    /// The learner has everything up to `position`: what is behind comes from memory if it is there, else from the log.
    pub fn catch_up(
        &mut self,
        source: &Source<'_>,
        key: LearnerKey,
        position: Zxid,
        effects: &mut Vec<Effect>,
    ) {
        let Some(link) = self.links.get_mut(&key) else { return };
        let core = source.core;
        let applied = source.tree.last_zxid();
        if !core.pipeline.covers(position, applied) {
            link.feed = Feed::Streaming;
            // The first one in memory is read from the log as well: where an epoch begins, what precedes it is not the
            // number before.
            let (first, _) = core.pipeline.window().unwrap_or((applied, applied));
            let through = applied.min(first).max(position);
            effects.push(Effect::StreamLog { to: key, after: position, through });
            return;
        }
        let committed = if source.is_established { self.announced.max(applied) } else { applied };
        let is_follower = link.kind == LearnerKind::Follower;
        let out = &mut link.out;
        core.pipeline.for_each(position, Zxid::MAX, |zxid, payload| {
            if zxid <= committed {
                send::proposal(out, zxid, payload);
                send::commit(out, zxid);
            } else if is_follower && !has(Bug::OutstandingNotSent) {
                send::proposal(out, zxid, payload);
            }
        });
        link.feed = Feed::Live;
        send::new_leader(&mut link.out, source.epoch as i32, Some(&self.config));
    }
}

impl Learners {
    /// The identities of a client whose request a learner has forwarded.
    pub fn ids(&mut self, key: LearnerKey, auth: AuthInfo<'_>) -> AuthIds {
        let Some(link) = self.links.get_mut(&key) else { return AuthIds::default() };
        if link.ids.0 != auth.encoded() {
            let ids = auth.iter().map(|(scheme, id)| Id::new(scheme, id)).collect();
            link.ids = (auth.encoded().to_vec(), Arc::new(ids));
        }
        link.ids.1.clone()
    }
}
