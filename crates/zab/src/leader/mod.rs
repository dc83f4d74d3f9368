//! A leader's control of its epoch: discovery, synchronisation, and staying leader (quorum-and-disk §2.4, §2.5).
//!
//! ```text
//! Discovery ──quorum of FOLLOWERINFO──► acceptedEpoch durable ──LEADERINFO to all──► quorum of ACKEPOCH ──►
//! currentEpoch durable ──each learner: what it lacks, NEWLEADER──► quorum of ACKs ──► established, UPTODATE
//! ```
//!
//! Learners come at any time and each goes through the same states. What always holds: LEADERINFO of an epoch is sent
//! only after that epoch is durably accepted here; this server counts as having acknowledged NEWLEADER only after the
//! epoch is its durable current one; nothing is proposed before a quorum has.

pub(crate) mod learner;

use crate::broadcast::Broadcast;
use crate::epoch::{History, LAST_COUNTER, Zxid, epoch_of, epoch_start};
use crate::quorum::{Quorum, ServerId};
use crate::view::View;
use learner::{Learner, Stage};
use planted::{Bug, has};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Names one connection of a learner for as long as this server leads.
pub type LearnerKey = u64;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LearnerKind {
    Follower,
    Observer,
}

/// Times in ms.
#[derive(Debug, Clone, Copy)]
pub struct Timing {
    pub tick_ms: i64,
    /// `initLimit` in ms.
    pub init_ms: i64,
    /// `syncLimit` in ms.
    pub sync_ms: i64,
    /// [`LAST_COUNTER`], or less where the end of an epoch is to be tried.
    pub last_counter: u32,
}

/// What a learner says of itself first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Greeting {
    pub kind: LearnerKind,
    /// `None`: it did not say; it is given a number that no server has.
    pub server: Option<ServerId>,
    pub accepted_epoch: i64,
    pub protocol: i32,
    /// `None` before 3.5.
    pub config_version: Option<i64>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaderEffect {
    /// Make the number durable as acceptedEpoch, then call [`Leader::accepted_epoch_saved`].
    SaveAcceptedEpoch(i64),
    /// Make the number durable as currentEpoch, then call [`Leader::current_epoch_saved`].
    SaveCurrentEpoch(i64),
    SendLeaderInfo {
        to: LearnerKey,
        epoch: i64,
    },
    /// Decide what the learner lacks behind its `last`, send that, then NEWLEADER, then everything that comes.
    Synchronize {
        to: LearnerKey,
        last: Zxid,
    },
    SendUpToDate {
        to: LearnerKey,
    },
    /// PING to everybody who is being kept up to date.
    PingAll,
    /// The epoch begins: proposals may be made.
    Established {
        epoch: i64,
    },
    Close {
        learner: LearnerKey,
        why: Parting,
    },
    Resign {
        why: Resignation,
    },
}

/// Why a learner is sent away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// It speaks a protocol from before 3.4.
    TooOld,
    /// It knows a later configuration than this server.
    NewerConfig,
    /// Its history is longer than this leader's: it should have been elected.
    Ahead,
    /// It said something that does not belong here.
    OutOfTurn,
    /// It has said nothing for too long.
    Silent,
    /// It has not acknowledged a proposal for too long.
    Lagging,
    /// Another connection of the same server came.
    Replaced,
    /// It says that it is this server.
    SameId,
}

impl fmt::Display for Parting {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Parting::TooOld => "it speaks the protocol of a ZooKeeper before 3.4.6, which cannot be served",
            Parting::NewerConfig => "it knows a newer configuration of the ensemble than this server",
            Parting::Ahead => "its history is ahead of this server's",
            Parting::OutOfTurn => "it sent a packet that does not belong there",
            Parting::Silent => "it has said nothing within its limit (initLimit, then syncLimit)",
            Parting::Lagging => "it has not acknowledged a proposal within syncLimit",
            Parting::Replaced => "the same server has connected again",
            Parting::SameId => "it has this leader's own number in its myid: give it one of its own",
        })
    }
}

/// Why this server stops leading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resignation {
    NoQuorumForEpoch,
    NoQuorumForHistory,
    NoQuorumForNewLeader,
    /// Followers that are up to date are no quorum any more.
    LostQuorum,
    /// Zxids of this epoch are used up.
    EpochExhausted,
}

impl fmt::Display for Resignation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Resignation::NoQuorumForEpoch => "no quorum of servers has connected within initLimit",
            Resignation::NoQuorumForHistory => "no quorum of servers has accepted the epoch within initLimit",
            Resignation::NoQuorumForNewLeader => {
                "no quorum of servers was brought up to date within initLimit"
            }
            Resignation::LostQuorum => "the followers that answer are no quorum any more",
            Resignation::EpochExhausted => "the numbers of this epoch are used up",
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Who would follow, and what is the highest epoch?
    Discovery {
        until_ms: i64,
    },
    SavingAccepted,
    /// Who accepts the epoch, and is anybody ahead?
    Acceptance {
        until_ms: i64,
    },
    SavingCurrent,
    /// Who has this leader's history?
    Synchronization {
        until_ms: i64,
    },
    Established,
    Resigned,
}

/// See the module's introduction.
#[derive(Debug)]
pub struct Leader {
    me: ServerId,
    quorum: Quorum,
    timing: Timing,
    config_version: i64,
    history: History,
    phase: Phase,
    /// The highest epoch that anybody has accepted; then the one this leader began.
    epoch: i64,
    learners: BTreeMap<LearnerKey, Learner>,
    connecting: BTreeSet<ServerId>,
    accepting: BTreeSet<ServerId>,
    synchronized: BTreeSet<ServerId>,
    broadcast: Broadcast,
    next_ping_ms: i64,
    /// Numbers for learners that have none.
    next_anonymous: ServerId,
    /// A server that follows nobody and has no epochs: its zxids count on over the border.
    is_alone: bool,
}

impl Leader {
    /// Begins discovery. `accepted_epoch` is this server's own.
    pub fn new(
        me: ServerId,
        view: &View,
        timing: Timing,
        history: History,
        accepted_epoch: i64,
        now_ms: i64,
        out: &mut Vec<LeaderEffect>,
    ) -> Leader {
        let mut leader = Leader {
            me,
            timing,
            config_version: view.version,
            history,
            phase: Phase::Discovery { until_ms: now_ms + timing.init_ms },
            epoch: accepted_epoch,
            learners: BTreeMap::new(),
            connecting: BTreeSet::from([me]),
            accepting: BTreeSet::new(),
            synchronized: BTreeSet::new(),
            broadcast: Broadcast::new(view.quorum.clone(), history.last_zxid, timing.last_counter),
            quorum: view.quorum.clone(),
            next_ping_ms: now_ms + timing.tick_ms / 2,
            next_anonymous: -1,
            is_alone: false,
        };
        leader.try_begin_epoch(out);
        leader
    }

    /// A server that is its own quorum and follows nobody: it leads from the start, behind `position`, and its zxids
    /// count on.
    pub fn alone(me: ServerId, position: Zxid) -> Leader {
        let quorum = Quorum::majority([me]);
        Leader {
            me,
            timing: Timing {
                tick_ms: i64::MAX / 4,
                init_ms: i64::MAX / 4,
                sync_ms: i64::MAX / 4,
                last_counter: LAST_COUNTER,
            },
            config_version: 0,
            history: History { current_epoch: epoch_of(position), last_zxid: position },
            phase: Phase::Established,
            epoch: epoch_of(position),
            learners: BTreeMap::new(),
            connecting: BTreeSet::new(),
            accepting: BTreeSet::new(),
            synchronized: BTreeSet::new(),
            broadcast: Broadcast::new(quorum.clone(), position, LAST_COUNTER),
            quorum,
            next_ping_ms: i64::MAX,
            next_anonymous: -1,
            is_alone: true,
        }
    }

    /// The epoch that this leader began; `None` during discovery.
    pub fn epoch(&self) -> Option<i64> {
        match self.phase {
            Phase::Discovery { .. } => None,
            _ => Some(self.epoch),
        }
    }

    pub fn is_established(&self) -> bool {
        self.phase == Phase::Established
    }

    /// Whether the epoch has a number left for another proposal. When it has none, this server steps down at its next
    /// tick, and the next epoch begins with the first number.
    pub fn can_propose(&self) -> bool {
        self.is_alone || !self.broadcast.is_exhausted()
    }

    /// Whether a learner of a release before 3.5 is connected: it cannot read every transaction.
    pub fn has_old_learner(&self) -> bool {
        self.learners.values().any(|l| l.is_old)
    }

    pub fn broadcast(&self) -> &Broadcast {
        &self.broadcast
    }

    /// For proposing. Only while established.
    pub fn broadcast_mut(&mut self) -> &mut Broadcast {
        &mut self.broadcast
    }

    pub fn learner_server(&self, key: LearnerKey) -> Option<ServerId> {
        self.learners.get(&key)?.server
    }

    pub fn learner_kind(&self, key: LearnerKey) -> Option<LearnerKind> {
        Some(self.learners.get(&key)?.kind)
    }

    /// Learners that have been brought up to date, with their kind.
    pub fn synced(&self) -> impl Iterator<Item = (LearnerKey, LearnerKind)> {
        self.learners.iter().filter(|(_, l)| l.stage == Stage::UpToDate).map(|(key, l)| (*key, l.kind))
    }

    pub fn learners(&self) -> impl Iterator<Item = (LearnerKey, LearnerKind, Option<ServerId>)> {
        self.learners.iter().map(|(key, l)| (*key, l.kind, l.server))
    }

    /// A connection on the quorum port.
    pub fn connected(&mut self, key: LearnerKey, now_ms: i64) {
        self.learners.insert(key, Learner::new(now_ms));
    }

    /// The connection has ended, from whichever side.
    pub fn gone(&mut self, key: LearnerKey) {
        let Some(learner) = self.learners.remove(&key) else { return };
        let Some(server) = learner.server else { return };
        // A later connection of the same server may stand already.
        if !self.learners.values().any(|l| l.server == Some(server)) {
            self.broadcast.forget(server);
            self.synchronized.remove(&server);
        }
    }

    /// Anything at all came from a learner.
    pub fn heard(&mut self, key: LearnerKey, now_ms: i64) {
        if let Some(learner) = self.learners.get_mut(&key) {
            learner.heard_ms = now_ms;
        }
    }

    /// FOLLOWERINFO or OBSERVERINFO.
    pub fn greeted(&mut self, key: LearnerKey, greeting: Greeting, out: &mut Vec<LeaderEffect>) {
        let Some(learner) = self.learners.get_mut(&key) else { return };
        if learner.stage != Stage::Connected {
            return self.close(key, Parting::OutOfTurn, out);
        }
        if greeting.server == Some(self.me) {
            return self.close(key, Parting::SameId, out);
        }
        if greeting.protocol < 0x10000 {
            return self.close(key, Parting::TooOld, out);
        }
        if greeting.config_version.is_some_and(|version| version > self.config_version) {
            return self.close(key, Parting::NewerConfig, out);
        }
        let server = greeting.server.unwrap_or_else(|| {
            self.next_anonymous -= 1;
            self.next_anonymous + 1
        });
        learner.stage = Stage::Greeted;
        learner.kind = greeting.kind;
        learner.is_old = greeting.config_version.is_none() && greeting.server.is_some();
        learner.server = Some(server);
        self.replace_former(key, server, out);
        match self.phase {
            Phase::Discovery { .. } => {
                self.epoch = self.epoch.max(greeting.accepted_epoch);
                if greeting.kind == LearnerKind::Follower && self.quorum.is_voter(server) {
                    self.connecting.insert(server);
                }
                self.try_begin_epoch(out);
            }
            Phase::SavingAccepted => {}
            // Who comes later is told the running epoch, even if it has accepted a higher one: it refuses by itself.
            Phase::Acceptance { .. }
            | Phase::SavingCurrent
            | Phase::Synchronization { .. }
            | Phase::Established => self.send_leader_info(key, out),
            Phase::Resigned => {}
        }
    }

    /// Two connections of one server: the former one is dead, though nobody has noticed yet.
    fn replace_former(&mut self, key: LearnerKey, server: ServerId, out: &mut Vec<LeaderEffect>) {
        let former: Vec<LearnerKey> = self
            .learners
            .iter()
            .filter(|(k, l)| **k != key && l.server == Some(server))
            .map(|(k, _)| *k)
            .collect();
        for key in former {
            self.close(key, Parting::Replaced, out);
            self.gone(key);
            // What it acknowledged then, it may be told to cut off now.
            self.broadcast.forget(server);
            self.synchronized.remove(&server);
        }
    }

    fn try_begin_epoch(&mut self, out: &mut Vec<LeaderEffect>) {
        if self.quorum.decides(&self.connecting) {
            self.epoch += 1;
            self.phase = Phase::SavingAccepted;
            out.push(LeaderEffect::SaveAcceptedEpoch(self.epoch));
            if has(Bug::LeaderInfoBeforeSave) {
                let all: Vec<LearnerKey> = self.learners.keys().copied().collect();
                all.into_iter().for_each(|key| self.send_leader_info(key, out));
            }
        }
    }

    pub fn accepted_epoch_saved(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        if self.phase != Phase::SavingAccepted {
            return;
        }
        self.phase = Phase::Acceptance { until_ms: now_ms + self.timing.init_ms };
        let waiting: Vec<LearnerKey> =
            self.learners.iter().filter(|(_, l)| l.stage == Stage::Greeted).map(|(key, _)| *key).collect();
        for key in waiting {
            self.send_leader_info(key, out);
        }
        self.accepting.insert(self.me);
        self.try_end_acceptance(out);
    }

    fn send_leader_info(&mut self, key: LearnerKey, out: &mut Vec<LeaderEffect>) {
        if let Some(learner) = self.learners.get_mut(&key) {
            learner.stage = Stage::Informed;
            out.push(LeaderEffect::SendLeaderInfo { to: key, epoch: self.epoch });
        }
    }

    /// ACKEPOCH: `current_epoch` is `None` when the learner had accepted this epoch before.
    pub fn epoch_acknowledged(
        &mut self,
        key: LearnerKey,
        current_epoch: Option<i64>,
        last_zxid: Zxid,
        out: &mut Vec<LeaderEffect>,
    ) {
        let Some(learner) = self.learners.get_mut(&key) else { return };
        if learner.stage != Stage::Informed {
            return self.close(key, Parting::OutOfTurn, out);
        }
        learner.stage = Stage::Accepted { last: last_zxid };
        let (kind, server) = (learner.kind, learner.server);
        match self.phase {
            Phase::Acceptance { .. } => {
                let theirs = current_epoch.map(|current_epoch| History { current_epoch, last_zxid });
                let is_ahead = |theirs: History| match has(Bug::EpochsNotCompared) {
                    true => theirs.last_zxid > self.history.last_zxid,
                    false => theirs > self.history,
                };
                if theirs.is_some_and(is_ahead) {
                    return self.close(key, Parting::Ahead, out);
                }
                // One that does not say how far its history reaches may have been sent away as ahead before: whoever
                // counts it can elect a history that lacks what is committed.
                if let Some(server) = server.filter(|s| self.quorum.is_voter(*s))
                    && kind == LearnerKind::Follower
                    && (theirs.is_some() || has(Bug::AheadCountedOnReturn))
                    && last_zxid != -1
                {
                    self.accepting.insert(server);
                }
                self.try_end_acceptance(out);
            }
            Phase::Synchronization { .. } | Phase::Established => self.synchronize(key, out),
            Phase::Discovery { .. } | Phase::SavingAccepted | Phase::SavingCurrent | Phase::Resigned => {}
        }
    }

    fn try_end_acceptance(&mut self, out: &mut Vec<LeaderEffect>) {
        if self.quorum.decides(&self.accepting) {
            self.phase = Phase::SavingCurrent;
            out.push(LeaderEffect::SaveCurrentEpoch(self.epoch));
        }
    }

    pub fn current_epoch_saved(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        if self.phase != Phase::SavingCurrent {
            return;
        }
        self.phase = Phase::Synchronization { until_ms: now_ms + self.timing.init_ms };
        let waiting: Vec<LearnerKey> = self
            .learners
            .iter()
            .filter(|(_, l)| matches!(l.stage, Stage::Accepted { .. }))
            .map(|(key, _)| *key)
            .collect();
        for key in waiting {
            self.synchronize(key, out);
        }
        self.synchronized.insert(self.me);
        self.try_establish(now_ms, out);
    }

    fn synchronize(&mut self, key: LearnerKey, out: &mut Vec<LeaderEffect>) {
        let Some(learner) = self.learners.get_mut(&key) else { return };
        if let Stage::Accepted { last } = learner.stage {
            learner.stage = Stage::Synchronizing;
            out.push(LeaderEffect::Synchronize { to: key, last });
        }
    }

    /// ACK: of NEWLEADER, or of proposals up to `zxid`. Returns how far everything is committed.
    pub fn acknowledged(
        &mut self,
        key: LearnerKey,
        zxid: Zxid,
        now_ms: i64,
        out: &mut Vec<LeaderEffect>,
    ) -> Zxid {
        let Some(learner) = self.learners.get_mut(&key) else { return self.broadcast.committed() };
        match learner.stage {
            // Releases before 3.8.5 may acknowledge a proposal before NEWLEADER: it does not stand for that.
            Stage::Synchronizing if zxid == epoch_start(self.epoch) => {
                learner.stage = Stage::Synchronized;
                if let Some(server) = learner.server.filter(|s| self.quorum.is_voter(*s))
                    && learner.kind == LearnerKind::Follower
                {
                    self.synchronized.insert(server);
                }
                if self.phase == Phase::Established {
                    self.bring_up_to_date(key, now_ms, out);
                }
                self.try_establish(now_ms, out);
            }
            Stage::Synchronizing | Stage::Synchronized | Stage::UpToDate => {}
            Stage::Connected | Stage::Greeted | Stage::Informed | Stage::Accepted { .. } => {
                self.close(key, Parting::OutOfTurn, out);
                return self.broadcast.committed();
            }
        }
        let Some(learner) = self.learners.get_mut(&key) else { return self.broadcast.committed() };
        learner.acknowledged(zxid, now_ms, self.broadcast.last_proposed(), self.timing.sync_ms);
        match learner.server {
            // What was sent in this epoch is what it has; what an older one counts for was settled by NEWLEADER.
            Some(server) if learner.kind == LearnerKind::Follower && zxid > epoch_start(self.epoch) => {
                self.broadcast.acknowledge(server, zxid)
            }
            _ => self.broadcast.committed(),
        }
    }

    fn try_establish(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        if !matches!(self.phase, Phase::Synchronization { .. }) || !self.quorum.decides(&self.synchronized) {
            return;
        }
        self.phase = Phase::Established;
        self.broadcast =
            Broadcast::new(self.quorum.clone(), epoch_start(self.epoch), self.timing.last_counter);
        out.push(LeaderEffect::Established { epoch: self.epoch });
        let ready: Vec<LearnerKey> = self
            .learners
            .iter()
            .filter(|(_, l)| l.stage == Stage::Synchronized)
            .map(|(key, _)| *key)
            .collect();
        for key in ready {
            self.bring_up_to_date(key, now_ms, out);
        }
    }

    fn bring_up_to_date(&mut self, key: LearnerKey, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        if let Some(learner) = self.learners.get_mut(&key) {
            learner.stage = Stage::UpToDate;
            learner.heard_ms = now_ms;
            out.push(LeaderEffect::SendUpToDate { to: key });
        }
    }

    /// This server's log has everything up to `zxid` durably. Returns how far everything is committed.
    pub fn durable(&mut self, zxid: Zxid) -> Zxid {
        self.broadcast.acknowledge(self.me, zxid)
    }

    fn close(&mut self, learner: LearnerKey, why: Parting, out: &mut Vec<LeaderEffect>) {
        out.push(LeaderEffect::Close { learner, why });
    }

    fn resign(&mut self, why: Resignation, out: &mut Vec<LeaderEffect>) {
        self.phase = Phase::Resigned;
        out.push(LeaderEffect::Resign { why });
    }

    /// Time passes: pings, silent learners, and whether there is a quorum still.
    pub fn tick(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        let late = match self.phase {
            Phase::Discovery { until_ms } if now_ms >= until_ms => Some(Resignation::NoQuorumForEpoch),
            Phase::Acceptance { until_ms } if now_ms >= until_ms => Some(Resignation::NoQuorumForHistory),
            Phase::Synchronization { until_ms } if now_ms >= until_ms => {
                Some(Resignation::NoQuorumForNewLeader)
            }
            _ => None,
        };
        if let Some(why) = late {
            return self.resign(why, out);
        }
        if self.phase == Phase::Established && !self.can_propose() {
            return self.resign(Resignation::EpochExhausted, out);
        }
        if now_ms < self.next_ping_ms || self.phase == Phase::Resigned {
            return;
        }
        self.next_ping_ms = now_ms + self.timing.tick_ms / 2;
        self.drop_the_late(now_ms, out);
        if self.phase == Phase::Established {
            let present: BTreeSet<ServerId> = self.present().collect();
            if !self.quorum.decides(&present) {
                return self.resign(Resignation::LostQuorum, out);
            }
        }
        out.push(LeaderEffect::PingAll);
    }

    fn drop_the_late(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        let last_proposed = self.broadcast.last_proposed();
        let mut late = Vec::new();
        for (key, learner) in &mut self.learners {
            if learner.is_silent(now_ms, self.timing) {
                late.push((*key, Parting::Silent));
            } else if learner.kind == LearnerKind::Follower && learner.is_lagging(now_ms) {
                late.push((*key, Parting::Lagging));
            } else {
                learner.expect(last_proposed, now_ms, self.timing.sync_ms);
            }
        }
        for (key, why) in late {
            self.close(key, why, out);
            self.gone(key);
        }
    }

    /// This server and the followers that are being kept up to date.
    fn present(&self) -> impl Iterator<Item = ServerId> {
        let followers =
            self.learners.values().filter(|l| l.kind == LearnerKind::Follower && l.stage != Stage::Connected);
        followers.filter_map(|l| l.server).chain([self.me])
    }

    /// When [`Leader::tick`] next has something to do.
    pub fn next_tick_ms(&self) -> i64 {
        match self.phase {
            Phase::Discovery { until_ms }
            | Phase::Acceptance { until_ms }
            | Phase::Synchronization { until_ms } => until_ms.min(self.next_ping_ms),
            Phase::Established if !self.can_propose() => 0,
            Phase::SavingAccepted | Phase::SavingCurrent | Phase::Established => self.next_ping_ms,
            Phase::Resigned => i64::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Otherwise a leader that lacks a committed transaction has it cut off from the only other server that has it.
    #[test]
    fn who_was_ahead_is_not_counted_when_it_comes_back_and_does_not_say() {
        let timing = Timing { tick_ms: 1000, init_ms: 10_000, sync_ms: 5000, last_counter: LAST_COUNTER };
        let history = History { current_epoch: 5, last_zxid: epoch_start(5) + 1 };
        let mut out = Vec::new();
        let view = View::of([1, 2, 3]);
        let mut leader = Leader::new(3, &view, timing, history, 5, 0, &mut out);
        let hello = |accepted_epoch| Greeting {
            kind: LearnerKind::Follower,
            server: Some(1),
            accepted_epoch,
            protocol: 0x10000,
            config_version: Some(0),
        };
        leader.connected(7, 0);
        leader.greeted(7, hello(5), &mut out);
        leader.accepted_epoch_saved(0, &mut out);
        out.clear();
        leader.epoch_acknowledged(7, Some(5), epoch_start(5) + 2, &mut out);
        assert_eq!(out, [LeaderEffect::Close { learner: 7, why: Parting::Ahead }]);
        leader.gone(7);
        leader.connected(8, 0);
        leader.greeted(8, hello(6), &mut out);
        out.clear();
        leader.epoch_acknowledged(8, None, epoch_start(5) + 2, &mut out);
        assert_eq!(out, []);
    }
}
