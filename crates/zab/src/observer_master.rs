//! A follower's control of observers that follow it instead of the leader (quorum-and-disk §2.10).
//!
//! Nothing has to be decided here: the epoch is established, and whatever the follower tells is committed. So an
//! observer is taken through the same states as by a leader, and nobody waits for anybody else. What always holds: only
//! observers are taken, and none of them acknowledges a proposal.

use crate::epoch::{Zxid, counter_of, epoch_of, epoch_start};
use crate::leader::learner::{Learner, Stage};
use crate::leader::{Greeting, LeaderEffect, LearnerKey, LearnerKind, Parting, Timing};
use crate::quorum::ServerId;
use std::collections::BTreeMap;

/// See the module's introduction. Of the effects of a leader it has those that concern one learner, and PING.
#[derive(Debug)]
pub struct ObserverMaster {
    epoch: i64,
    timing: Timing,
    config_version: i64,
    observers: BTreeMap<LearnerKey, Learner>,
    next_ping_ms: i64,
    /// Numbers for observers that have none.
    next_anonymous: ServerId,
}

impl ObserverMaster {
    /// This follower is up to date with the leader of `epoch`.
    pub fn new(epoch: i64, config_version: i64, timing: Timing, now_ms: i64) -> ObserverMaster {
        ObserverMaster {
            epoch,
            timing,
            config_version,
            observers: BTreeMap::new(),
            next_ping_ms: now_ms + timing.tick_ms / 2,
            next_anonymous: -1,
        }
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// `None` before it has said who it is, and for one that is not there.
    pub fn server(&self, key: LearnerKey) -> Option<ServerId> {
        self.observers.get(&key)?.server
    }

    /// How many are being kept up to date.
    pub fn synced(&self) -> usize {
        self.observers.values().filter(|o| o.stage == Stage::UpToDate).count()
    }

    /// A connection on the observers' port.
    pub fn connected(&mut self, key: LearnerKey, now_ms: i64) {
        self.observers.insert(key, Learner::new(now_ms));
    }

    /// The connection has ended, from whichever side.
    pub fn gone(&mut self, key: LearnerKey) {
        self.observers.remove(&key);
    }

    /// Anything at all came from an observer.
    pub fn heard(&mut self, key: LearnerKey, now_ms: i64) {
        if let Some(observer) = self.observers.get_mut(&key) {
            observer.heard_ms = now_ms;
        }
    }

    /// OBSERVERINFO, or what should have been that.
    pub fn greeted(&mut self, key: LearnerKey, greeting: Greeting, out: &mut Vec<LeaderEffect>) {
        let Some(observer) = self.observers.get_mut(&key) else { return };
        let why = if observer.stage != Stage::Connected || greeting.kind != LearnerKind::Observer {
            Some(Parting::OutOfTurn)
        } else if greeting.protocol < 0x10000 {
            Some(Parting::TooOld)
        } else if greeting.config_version.is_some_and(|version| version > self.config_version) {
            Some(Parting::NewerConfig)
        } else {
            None
        };
        if let Some(why) = why {
            return out.push(LeaderEffect::Close { learner: key, why });
        }
        let server = greeting.server.unwrap_or_else(|| {
            self.next_anonymous -= 1;
            self.next_anonymous + 1
        });
        observer.stage = Stage::Informed;
        observer.server = Some(server);
        for (former, other) in &self.observers {
            if *former != key && other.server == Some(server) {
                out.push(LeaderEffect::Close { learner: *former, why: Parting::Replaced });
            }
        }
        out.push(LeaderEffect::SendLeaderInfo { to: key, epoch: self.epoch });
    }

    /// ACKEPOCH: the observer has everything up to `last`; this follower knows that everything up to `committed` is.
    ///
    /// What an observer has of the present epoch is committed. If that is more than this follower knows of, it is only
    /// late, or cut off without knowing it: telling the observer to cut its log would undo what clients have seen.
    pub fn epoch_acknowledged(
        &mut self,
        key: LearnerKey,
        last: Zxid,
        committed: Zxid,
        out: &mut Vec<LeaderEffect>,
    ) {
        let Some(observer) = self.observers.get_mut(&key) else { return };
        if observer.stage != Stage::Informed {
            return out.push(LeaderEffect::Close { learner: key, why: Parting::OutOfTurn });
        }
        if last > committed && counter_of(last) != 0 && epoch_of(last) >= self.epoch {
            return out.push(LeaderEffect::Close { learner: key, why: Parting::Ahead });
        }
        observer.stage = Stage::Synchronizing;
        out.push(LeaderEffect::Synchronize { to: key, last });
    }

    /// ACK: of NEWLEADER, then of UPTODATE, and of nothing else.
    pub fn acknowledged(&mut self, key: LearnerKey, zxid: Zxid, out: &mut Vec<LeaderEffect>) {
        let Some(observer) = self.observers.get_mut(&key) else { return };
        match observer.stage {
            Stage::Synchronizing if zxid == epoch_start(self.epoch) => {
                observer.stage = Stage::UpToDate;
                out.push(LeaderEffect::SendUpToDate { to: key });
            }
            Stage::UpToDate if counter_of(zxid) == 0 => {}
            Stage::Connected
            | Stage::Greeted
            | Stage::Informed
            | Stage::Accepted { .. }
            | Stage::Synchronizing
            | Stage::Synchronized
            | Stage::UpToDate => out.push(LeaderEffect::Close { learner: key, why: Parting::OutOfTurn }),
        }
    }

    /// Time passes: pings, and who has said nothing for too long.
    pub fn tick(&mut self, now_ms: i64, out: &mut Vec<LeaderEffect>) {
        if now_ms < self.next_ping_ms {
            return;
        }
        self.next_ping_ms = now_ms + self.timing.tick_ms / 2;
        for (key, observer) in &self.observers {
            if observer.is_silent(now_ms, self.timing) {
                out.push(LeaderEffect::Close { learner: *key, why: Parting::Silent });
            }
        }
        out.push(LeaderEffect::PingAll);
    }

    /// When [`ObserverMaster::tick`] next has something to do.
    pub fn next_tick_ms(&self) -> i64 {
        self.next_ping_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIMING: Timing =
        Timing { tick_ms: 100, init_ms: 1000, sync_ms: 500, last_counter: crate::LAST_COUNTER };
    const OBSERVER: Greeting = Greeting {
        kind: LearnerKind::Observer,
        server: Some(4),
        accepted_epoch: 0,
        protocol: 0x10000,
        config_version: Some(0),
    };

    /// What one step asks for.
    fn step(run: impl FnOnce(&mut Vec<LeaderEffect>)) -> Vec<LeaderEffect> {
        let mut out = Vec::new();
        run(&mut out);
        out
    }

    fn close(learner: LearnerKey, why: Parting) -> Vec<LeaderEffect> {
        vec![LeaderEffect::Close { learner, why }]
    }

    #[test]
    fn an_observer_is_waited_for_by_nobody() {
        let mut master = ObserverMaster::new(7, 0, TIMING, 0);
        master.connected(1, 0);
        let info = LeaderEffect::SendLeaderInfo { to: 1, epoch: 7 };
        assert_eq!(step(|out| master.greeted(1, OBSERVER, out)), [info]);
        let synchronize = LeaderEffect::Synchronize { to: 1, last: 3 };
        assert_eq!(step(|out| master.epoch_acknowledged(1, 3, 5, out)), [synchronize]);
        assert_eq!(master.synced(), 0);
        let up_to_date = LeaderEffect::SendUpToDate { to: 1 };
        assert_eq!(step(|out| master.acknowledged(1, 7 << 32, out)), [up_to_date]);
        assert_eq!(step(|out| master.acknowledged(1, 7 << 32, out)), []);
        assert_eq!((master.synced(), master.server(1)), (1, Some(4)));
        let proposal = step(|out| master.acknowledged(1, (7 << 32) + 1, out));
        assert_eq!(proposal, close(1, Parting::OutOfTurn), "an observer has no voice");
    }

    #[test]
    fn voters_strangers_and_newer_configurations_are_sent_away() {
        let mut master = ObserverMaster::new(7, 0, TIMING, 0);
        let cases = [
            (Greeting { kind: LearnerKind::Follower, ..OBSERVER }, Parting::OutOfTurn),
            (Greeting { protocol: 1, ..OBSERVER }, Parting::TooOld),
            (Greeting { config_version: Some(1), ..OBSERVER }, Parting::NewerConfig),
        ];
        for (key, (greeting, why)) in (1..).zip(cases) {
            master.connected(key, 0);
            assert_eq!(step(|out| master.greeted(key, greeting, out)), close(key, why));
        }
        master.connected(9, 0);
        assert_eq!(step(|out| master.epoch_acknowledged(9, 0, 5, out)), close(9, Parting::OutOfTurn));
    }

    #[test]
    fn what_an_observer_has_of_this_epoch_is_never_cut_off() {
        let mut master = ObserverMaster::new(7, 0, TIMING, 0);
        let committed = (7 << 32) + 5;
        for (key, last, is_taken) in [
            (1, committed, true),
            (2, committed + 1, false),
            (3, 8 << 32 | 1, false),
            (4, 7 << 32, true),
            // Never committed, or the leader of this epoch would have it, and this follower.
            (5, 6 << 32 | 99, true),
        ] {
            master.connected(key, 0);
            step(|out| master.greeted(key, Greeting { server: Some(key as i64), ..OBSERVER }, out));
            let told = step(|out| master.epoch_acknowledged(key, last, committed, out));
            let taken = vec![LeaderEffect::Synchronize { to: key, last }];
            assert_eq!(told, if is_taken { taken } else { close(key, Parting::Ahead) }, "{last:x}");
        }
    }

    #[test]
    fn a_later_connection_replaces_the_former_and_silence_ends_it() {
        let mut master = ObserverMaster::new(7, 0, TIMING, 0);
        for key in [1, 2] {
            master.connected(key, 0);
        }
        step(|out| master.greeted(1, OBSERVER, out));
        let replaced = step(|out| master.greeted(2, OBSERVER, out));
        assert_eq!(replaced[0], close(1, Parting::Replaced)[0]);
        master.gone(1);
        assert_eq!(step(|out| master.tick(50, out)), [LeaderEffect::PingAll]);
        master.heard(2, 60);
        assert_eq!(step(|out| master.tick(1060, out)), [LeaderEffect::PingAll]);
        assert_eq!(step(|out| master.tick(1110, out))[0], close(2, Parting::Silent)[0]);
    }
}
