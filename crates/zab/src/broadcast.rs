//! The leader's broadcast phase: proposals in zxid order, acknowledgements, commits.
//!
//! A server acknowledges a zxid when that proposal and all before it are durable there. What always holds: a proposal
//! is committed only after all before it, and only when a quorum has it durably.

use crate::quorum::{Quorum, ServerId};
use std::collections::{BTreeMap, BTreeSet};

/// Epoch in the high 32 bits, counter in the low.
pub type Zxid = i64;

/// One leader's established epoch.
#[derive(Debug, Clone)]
pub struct Broadcast {
    quorum: Quorum,
    last_proposed: Zxid,
    committed: Zxid,
    /// How far each server has acknowledged.
    acked: BTreeMap<ServerId, Zxid>,
}

impl Broadcast {
    /// Starts behind `position`, which is committed.
    pub fn new(quorum: Quorum, position: Zxid) -> Broadcast {
        Broadcast { quorum, last_proposed: position, committed: position, acked: BTreeMap::new() }
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

    /// `server` has everything up to `zxid` durably. Returns the zxid up to which everything is committed now.
    /// Acknowledgements of what was never proposed, and repeated ones, change nothing.
    pub fn acknowledge(&mut self, server: ServerId, zxid: Zxid) -> Zxid {
        if zxid > self.last_proposed {
            return self.committed;
        }
        let acked = self.acked.entry(server).or_insert(zxid);
        *acked = (*acked).max(zxid);
        let mut positions: Vec<Zxid> = self.acked.values().copied().filter(|z| *z > self.committed).collect();
        positions.sort_unstable_by(|a, b| b.cmp(a));
        for position in positions {
            let agreed: BTreeSet<ServerId> =
                self.acked.iter().filter(|(_, z)| **z >= position).map(|(s, _)| *s).collect();
            if self.quorum.decides(&agreed) {
                self.committed = position;
                break;
            }
        }
        self.committed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_commits_what_it_has_durably() {
        let mut b = Broadcast::new(Quorum::majority([1]), 40);
        assert_eq!((b.propose(), b.propose()), (41, 42));
        assert_eq!(b.acknowledge(1, 41), 41);
        assert_eq!(b.acknowledge(1, 43), 41, "never proposed");
        assert_eq!(b.acknowledge(1, 42), 42);
        assert_eq!(b.acknowledge(1, 41), 42, "repeated");
    }

    #[test]
    fn three_servers_commit_what_two_have() {
        let mut b = Broadcast::new(Quorum::majority([1, 2, 3]), 0);
        for _ in 0..5 {
            b.propose();
        }
        assert_eq!(b.acknowledge(1, 5), 0);
        assert_eq!(b.acknowledge(2, 3), 3);
        assert_eq!(b.acknowledge(3, 4), 4);
        assert_eq!(b.acknowledge(9, 5), 4, "an observer does not count");
    }
}
