//! Mistakes that can be put back into protocol and storage, to see that the simulator finds them.
//!
//! Without the feature `on`, [`has`] is `false` for the compiler too, and nothing of this is in the program. With it,
//! one mistake at a time is planted for the calling thread. Each changes one rule; none changes a check.

/// A mistake. Those with a number were made in Apache ZooKeeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    AckBeforeSync,
    NewLeaderAckedBeforeHistory,
    CurrentEpochBeforeLog,
    AppliedBeforeDurable,
    HeldAppliedAtNewLeader,
    HalfIsAQuorum,
    EpochsNotCompared,
    AheadCountedOnReturn,
    TruncKeepsOneMore,
    TruncKeepsSnapshots,
    SnapKeepsLog,
    SnapNotInstalled,
    LeaderInfoBeforeSave,
    AcceptedEpochNotCompared,
    SyncLeavesHoleInMemory,
    OutstandingNotSent,
    MemoryBehindLog,
    ExpiryByWallClock,
    EphemeralsStayOnLearners,
    WatchFiredLate,
    MissedEventsNotTold,
    OwnerNotChecked,
    SpeakerReleased,
    SyncBehindLaterCommits,
    LogNotSynced,
    LogFolderNotSynced,
    EpochFileInPlace,
    MarksTravel,
}

use Bug::*;

/// Each with a name for the command line and a sentence.
pub const ALL: &[(Bug, &str, &str)] = &[
    (AckBeforeSync, "ack-before-sync", "a follower acknowledges proposals before they are synced"),
    (
        NewLeaderAckedBeforeHistory,
        "newleader-before-history",
        "NEWLEADER is acknowledged before the history is durable (3911, 4646)",
    ),
    (CurrentEpochBeforeLog, "epoch-before-log", "currentEpoch is written before the history (4643)"),
    (AppliedBeforeDurable, "apply-before-durable", "commits are applied before they are durable here (4882)"),
    (
        HeldAppliedAtNewLeader,
        "held-applied",
        "proposals that are not committed are applied at NEWLEADER (4394)",
    ),
    (HalfIsAQuorum, "half-quorum", "half of the voters count as a quorum, and one less of three"),
    (EpochsNotCompared, "epochs-not-compared", "votes and histories are compared by zxid alone"),
    (
        AheadCountedOnReturn,
        "ahead-counted",
        "a follower that was ahead is counted when it comes back with epoch -1",
    ),
    (TruncKeepsOneMore, "trunc-one-more", "TRUNC keeps one record too many (1156)"),
    (
        TruncKeepsSnapshots,
        "trunc-keeps-snapshots",
        "TRUNC keeps snapshots that hold what was cut (4837, 1549)",
    ),
    (SnapKeepsLog, "snap-keeps-log", "SNAP leaves the log of a dead branch behind (2846)"),
    (
        SnapNotInstalled,
        "snap-not-installed",
        "a SNAP is not on the disk when NEWLEADER is acknowledged (3642)",
    ),
    (
        LeaderInfoBeforeSave,
        "leaderinfo-before-save",
        "LEADERINFO is sent before the leader has accepted the epoch on its disk",
    ),
    (
        AcceptedEpochNotCompared,
        "accepted-epoch-not-compared",
        "a learner follows a leader of an epoch below the one it has accepted",
    ),
    (
        SyncLeavesHoleInMemory,
        "hole-in-memory",
        "what was applied while synchronizing is missing in memory, and in the next DIFF (4925)",
    ),
    (
        OutstandingNotSent,
        "outstanding-not-sent",
        "a learner is not sent the proposals that were under way when it came (962)",
    ),
    (MemoryBehindLog, "memory-behind-log", "memory is not brought up to the log when a role ends (2845)"),
    (ExpiryByWallClock, "expiry-by-wall-clock", "sessions expire by the wall clock"),
    (EphemeralsStayOnLearners, "ephemerals-stay", "ephemerals of a closed session stay on learners (5010)"),
    (WatchFiredLate, "watch-late", "the event of a change comes behind its answer"),
    (MissedEventsNotTold, "missed-events", "setWatches ignores the zxid that the client has seen"),
    (OwnerNotChecked, "owner-not-checked", "a session's requests are taken from whatever server"),
    (SpeakerReleased, "speaker-released", "a session's owner is forgotten with its connection"),
    (SyncBehindLaterCommits, "sync-late", "SYNC is sent behind commits that came after it"),
    (LogNotSynced, "log-not-synced", "the log is not synced"),
    (LogFolderNotSynced, "folder-not-synced", "the folder is not synced when a log file is made"),
    (EpochFileInPlace, "epoch-in-place", "epoch files are overwritten in place"),
    (MarksTravel, "marks-travel", "records go to learners with the marks of the leader's log file"),
];

#[cfg(feature = "on")]
mod planted {
    use super::Bug;
    use std::cell::Cell;

    thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether the mistake is made on this thread.
    #[inline]
    pub fn has(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Makes the mistake from now on, or none.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}

#[cfg(not(feature = "on"))]
mod planted {
    use super::Bug;

    /// Nothing is planted.
    #[inline(always)]
    pub const fn has(_bug: Bug) -> bool {
        false
    }
}

pub use planted::*;
