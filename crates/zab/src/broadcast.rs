//! The leader's broadcast phase: proposals in zxid order, acknowledgements, commits.
//!
//! A server acknowledges a zxid when that proposal and all before it are durable there. What always holds: a proposal
//! is committed only after all before it, and only when a quorum has it durably.

use crate::epoch::{Zxid, counter_of};
use crate::quorum::{Quorum, ServerId};
use std::collections::BTreeSet;

/// One leader's established epoch.
#[derive(Debug, Clone)]
pub struct Broadcast {
    quorum: Quorum,
    last_proposed: Zxid,
    committed: Zxid,
    /// How far each voter has acknowledged.
    acked: Vec<(ServerId, Zxid)>,
    last_counter: u32,
}

impl Broadcast {
    /// Starts behind `position`, which is committed. `last_counter`: see [`LAST_COUNTER`](crate::LAST_COUNTER).
    pub fn new(quorum: Quorum, position: Zxid, last_counter: u32) -> Broadcast {
        Broadcast { quorum, last_proposed: position, committed: position, acked: Vec::new(), last_counter }
    }

    pub fn last_proposed(&self) -> Zxid {
        self.last_proposed
    }

    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// The zxid of the next proposal.
    pub fn propose(&mut self) -> Zxid {
        self.last_proposed += 1;
        self.last_proposed
    }

    /// Whether the epoch has no number left for another proposal.
    pub fn is_exhausted(&self) -> bool {
        counter_of(self.last_proposed) >= self.last_counter - 1
    }

    /// `server` has everything up to `zxid` durably. Returns the zxid up to which everything is committed now.
    /// Acknowledgements of what was never proposed, repeated ones, and those of servers without a vote change nothing.
    pub fn acknowledge(&mut self, server: ServerId, zxid: Zxid) -> Zxid {
        if zxid > self.last_proposed || !self.quorum.is_voter(server) {
            return self.committed;
        }
        match self.acked.iter_mut().find(|(s, _)| *s == server) {
            Some((_, acked)) if *acked >= zxid => return self.committed,
            Some((_, acked)) => *acked = zxid,
            None => self.acked.push((server, zxid)),
        }
        let mut positions: Vec<Zxid> =
            self.acked.iter().map(|(_, z)| *z).filter(|z| *z > self.committed).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        for position in positions {
            let agreed: BTreeSet<ServerId> =
                self.acked.iter().filter(|(_, z)| *z >= position).map(|(s, _)| *s).collect();
            if self.quorum.decides(&agreed) {
                self.committed = position;
                break;
            }
        }
        self.committed
    }

    /// How far `server` has acknowledged.
    pub fn acked(&self, server: ServerId) -> Option<Zxid> {
        self.acked.iter().find(|(s, _)| *s == server).map(|(_, z)| *z)
    }

    /// The server is gone: what it has is not counted on until it comes back and says so again.
    pub fn forget(&mut self, server: ServerId) {
        self.acked.retain(|(s, _)| *s != server);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_commits_what_it_has_durably() {
        let mut b = Broadcast::new(Quorum::majority([1]), 40, u32::MAX);
        assert_eq!((b.propose(), b.propose()), (41, 42));
        assert_eq!(b.acknowledge(1, 41), 41);
        assert_eq!(b.acknowledge(1, 43), 41, "never proposed");
        assert_eq!(b.acknowledge(1, 42), 42);
        assert_eq!(b.acknowledge(1, 41), 42, "repeated");
    }

    #[test]
    fn three_servers_commit_what_two_have() {
        let mut b = Broadcast::new(Quorum::majority([1, 2, 3]), 0, u32::MAX);
        for _ in 0..5 {
            b.propose();
        }
        assert_eq!(b.acknowledge(1, 5), 0);
        assert_eq!(b.acknowledge(2, 3), 3);
        assert_eq!(b.acknowledge(3, 4), 4);
        assert_eq!(b.acknowledge(9, 5), 4, "an observer does not count");
    }

    #[test]
    fn who_left_does_not_count_until_it_says_so_again() {
        let mut b = Broadcast::new(Quorum::majority([1, 2, 3]), 0, u32::MAX);
        b.propose();
        b.propose();
        assert_eq!(b.acknowledge(2, 2), 0);
        b.forget(2);
        assert_eq!(b.acknowledge(1, 2), 0);
        assert_eq!(b.acknowledge(2, 1), 1);
    }
}
