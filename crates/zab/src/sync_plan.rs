//! What a learner lacks, and how it gets it: DIFF, TRUNC or SNAP (quorum-and-disk §2.6).
//!
//! The rules are Apache's, decided on ranges of zxids alone. What always holds: a learner that carries the plan out has
//! exactly the leader's history up to [`SyncPlan::from`], or, after SNAP, up to the zxid of the dump.

use crate::epoch::{Zxid, counter_of, epoch_of};

/// The leader's side of the decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Available {
    /// The last applied transaction, or the beginning of the epoch.
    pub last_processed: Zxid,
    /// First and last transaction that memory holds; `None` when it holds none.
    pub window: Option<(Zxid, Zxid)>,
    /// First and last transaction that can be read from the log without a hole; `None` when reading it would cost more
    /// than a dump.
    pub log: Option<(Zxid, Zxid)>,
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPlan {
    /// Everything the learner has is right. The packet names `upto`; transactions behind `from` follow.
    Diff { upto: Zxid, from: Zxid },
    /// What the learner has behind `keep` was never committed. Transactions behind `keep` follow.
    Truncate { keep: Zxid },
    /// The whole tree.
    Snapshot,
}

/// The transactions around a learner's last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbours {
    /// The last one at or before it.
    pub at_or_before: Option<Zxid>,
    /// The first one behind it.
    pub after: Option<Zxid>,
}

impl SyncPlan {
    /// `last` is the learner's last logged zxid. `neighbours` looks into memory and log together.
    pub fn choose(
        last: Zxid,
        available: &Available,
        neighbours: impl FnOnce(Zxid) -> Neighbours,
    ) -> SyncPlan {
        let end = available.last_processed;
        if available.force_snapshot {
            return SyncPlan::Snapshot;
        }
        if last == end {
            return SyncPlan::Diff { upto: last, from: last };
        }
        let (min, max) = available.window.unwrap_or((end, end));
        let begins_epoch = counter_of(last) == 0;
        if last > max && !begins_epoch {
            return SyncPlan::Truncate { keep: max };
        }
        let reachable = (min <= last && last <= max)
            || available
                .log
                .is_some_and(|(first, through)| first <= last && last <= max && through + 1 >= min);
        if !reachable {
            return SyncPlan::Snapshot;
        }
        match neighbours(last) {
            Neighbours { at_or_before: Some(same), .. } if same == last => {
                SyncPlan::Diff { upto: max, from: last }
            }
            // The beginning of an epoch stands for all before it.
            Neighbours { at_or_before: Some(before), .. } if begins_epoch => {
                SyncPlan::Diff { upto: max, from: before }
            }
            Neighbours { at_or_before: Some(before), after: Some(after) }
                if epoch_of(after) == epoch_of(last) =>
            {
                SyncPlan::Truncate { keep: before }
            }
            _ => SyncPlan::Snapshot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zxid(epoch: i64, counter: i64) -> Zxid {
        epoch << 32 | counter
    }

    /// What a real leader answered (quorum-and-disk §2.6): its log is 1:1 to 1:7, and, in the second column, 2:1 to
    /// 2:4 behind it.
    fn plan(last: Zxid, with_second_epoch: bool) -> SyncPlan {
        let mut log: Vec<Zxid> = (1..=7).map(|c| zxid(1, c)).collect();
        if with_second_epoch {
            log.extend((1..=4).map(|c| zxid(2, c)));
        }
        let end = if with_second_epoch { zxid(2, 4) } else { zxid(2, 0) };
        let available = Available {
            last_processed: end,
            window: Some((log[0], log[log.len() - 1])),
            log: None,
            force_snapshot: false,
        };
        SyncPlan::choose(last, &available, |z| Neighbours {
            at_or_before: log.iter().copied().rfind(|x| *x <= z),
            after: log.iter().copied().find(|x| *x > z),
        })
    }

    #[test]
    fn as_observed_before_transactions_of_the_new_epoch() {
        let (one_seven, e2) = (zxid(1, 7), zxid(2, 0));
        assert_eq!(plan(0, false), SyncPlan::Snapshot);
        assert_eq!(plan(one_seven, false), SyncPlan::Diff { upto: one_seven, from: one_seven });
        assert_eq!(plan(zxid(1, 3), false), SyncPlan::Diff { upto: one_seven, from: zxid(1, 3) });
        assert_eq!(plan(zxid(1, 8), false), SyncPlan::Truncate { keep: one_seven });
        assert_eq!(plan(e2, false), SyncPlan::Diff { upto: e2, from: e2 });
        assert_eq!(plan(zxid(2, 1), false), SyncPlan::Truncate { keep: one_seven });
        assert_eq!(plan(zxid(1, 0), false), SyncPlan::Snapshot);
        assert_eq!(plan(zxid(3, 0), false), SyncPlan::Snapshot);
    }

    #[test]
    fn as_observed_after_transactions_of_the_new_epoch() {
        let end = zxid(2, 4);
        assert_eq!(plan(0, true), SyncPlan::Snapshot);
        assert_eq!(plan(zxid(1, 7), true), SyncPlan::Diff { upto: end, from: zxid(1, 7) });
        assert_eq!(plan(zxid(1, 3), true), SyncPlan::Diff { upto: end, from: zxid(1, 3) });
        assert_eq!(plan(zxid(1, 8), true), SyncPlan::Snapshot, "across a border of epochs");
        assert_eq!(plan(zxid(2, 0), true), SyncPlan::Diff { upto: end, from: zxid(1, 7) });
        assert_eq!(plan(zxid(2, 1), true), SyncPlan::Diff { upto: end, from: zxid(2, 1) });
    }
}
