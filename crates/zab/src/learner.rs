//! A learner's way to its leader: greet, accept the epoch, get what is missing, make it durable, serve
//! (quorum-and-disk §2.4, with the rules of 3.9.5 and those of §11).
//!
//! The machine sees kinds and zxids of packets and says what to do; the transactions themselves are its caller's. What
//! always holds: an epoch is acknowledged only when it is durably accepted, NEWLEADER only when the history it stands
//! for, and then the epoch, are durable.

use crate::epoch::{Zxid, epoch_of, epoch_start};
use planted::{Bug, has};
use std::fmt;
use wire::quorum::PacketKind;

/// What the caller does next. Those marked *then* end in a call back; until it comes, no further packet may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// *Then* [`Learner::accepted_epoch_saved`].
    SaveAcceptedEpoch(i64),
    /// `current` is `None` when the epoch had been accepted before.
    SendAckEpoch {
        current: Option<i64>,
    },
    /// Everything that this server has is right.
    Keep,
    /// Everything behind `keep` must go, from the log and from memory. *Then* [`Learner::prepared`].
    Truncate {
        keep: Zxid,
    },
    /// A dump of the whole tree follows, which stands at this zxid. *Then* [`Learner::prepared`].
    Load {
        zxid: Zxid,
    },
    /// Keep the transaction until it is committed.
    Hold,
    /// The oldest transaction that is held is committed.
    CommitHeld,
    /// A transaction that is committed already.
    Inform,
    /// The history is complete: make it durable, then the epoch. *Then* [`Learner::history_saved`].
    SaveHistory {
        epoch: i64,
    },
    /// Acknowledge the beginning of the epoch, and serve. What is still held is to be logged as proposals are.
    Serve {
        epoch: i64,
    },
    /// Log it and acknowledge it.
    Propose,
    /// Everything up to this zxid is committed.
    Commit,
    AnswerPing,
    AnswerRevalidate,
    AnswerSync,
}

/// Why the connection must be given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The leader's epoch is older than one that this server has promised to another.
    OldEpoch {
        leader: i64,
        accepted: i64,
    },
    OutOfTurn {
        kind: PacketKind,
        stage: &'static str,
    },
    /// Transactions are missing between these two.
    Gap {
        after: Zxid,
        next: Zxid,
    },
    /// A commit for something else than the oldest proposal.
    UnmatchedCommit {
        committed: Zxid,
        oldest: Option<Zxid>,
    },
    /// An observer is told to cut off what was committed.
    CutsCommitted {
        keep: Zxid,
        last: Zxid,
    },
    OldLeader,
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Violation::OldEpoch { leader, accepted } => write!(
                out,
                "its epoch {leader} is older than {accepted}, which this server has accepted already; a new election \
                 will settle that"
            ),
            Violation::OutOfTurn { kind, stage } => write!(out, "it sent {kind:?} while {stage}"),
            Violation::Gap { after, next } => {
                write!(
                    out,
                    "it sent the transaction {next:#x} behind {after:#x}, and those between are missing"
                )
            }
            Violation::UnmatchedCommit { committed, oldest: Some(oldest) } => {
                write!(out, "it committed {committed:#x}, but the oldest proposal is {oldest:#x}")
            }
            Violation::UnmatchedCommit { committed, oldest: None } => {
                write!(out, "it committed {committed:#x}, which it never proposed")
            }
            Violation::CutsCommitted { keep, last } => write!(
                out,
                "it wants to cut off what was committed between {keep:#x} and {last:#x}: it lags behind this observer"
            ),
            Violation::OldLeader => {
                write!(out, "it speaks the protocol of a ZooKeeper before 3.4.6, which cannot be followed")
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// FOLLOWERINFO or OBSERVERINFO is sent.
    Greeted,
    SavingAccepted {
        first_time: bool,
    },
    Accepted,
    /// Cutting, or loading.
    Preparing,
    Synchronizing,
    SavingHistory,
    /// NEWLEADER is acknowledged.
    Saved,
    Serving,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Stage::Greeted => "LEADERINFO was expected",
            Stage::SavingAccepted { .. } => "the epoch was being accepted",
            Stage::Accepted => "DIFF, TRUNC or SNAP was expected",
            Stage::Preparing => "the log was being prepared",
            Stage::Synchronizing => "this server was being brought up to date",
            Stage::SavingHistory => "the history was being saved",
            Stage::Saved => "UPTODATE was expected",
            Stage::Serving => "serving",
        }
    }
}

/// See the module's introduction.
#[derive(Debug)]
pub struct Learner {
    stage: Stage,
    accepted_epoch: i64,
    current_epoch: i64,
    epoch: i64,
    /// The last transaction that this server has or holds.
    last_queued: Zxid,
    /// Held transactions, oldest first.
    held: std::collections::VecDeque<Zxid>,
    is_observer: bool,
}

impl Learner {
    /// A connection to the leader stands, and the greeting was sent.
    pub fn new(accepted_epoch: i64, current_epoch: i64, last_zxid: Zxid, is_observer: bool) -> Learner {
        Learner {
            stage: Stage::Greeted,
            accepted_epoch,
            current_epoch,
            epoch: 0,
            last_queued: last_zxid,
            held: std::collections::VecDeque::new(),
            is_observer,
        }
    }

    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    pub fn is_serving(&self) -> bool {
        self.stage == Stage::Serving
    }

    /// Whether NEWLEADER has been acknowledged: from then on the shorter limit of silence holds.
    pub fn is_synchronized(&self) -> bool {
        matches!(self.stage, Stage::Saved | Stage::Serving)
    }

    /// A packet came. For transactions, `zxid` is that in their header; for COMMIT, what it names.
    pub fn packet(&mut self, kind: PacketKind, zxid: Zxid) -> Result<Step, Violation> {
        match self.stage {
            Stage::Greeted => self.leader_info(kind, zxid),
            Stage::Accepted => self.plan(kind, zxid),
            Stage::Synchronizing | Stage::Saved => self.synchronizing(kind, zxid),
            Stage::Serving => self.serving(kind, zxid),
            Stage::SavingAccepted { .. } | Stage::Preparing | Stage::SavingHistory => {
                Err(self.out_of_turn(kind))
            }
        }
    }

    fn out_of_turn(&self, kind: PacketKind) -> Violation {
        Violation::OutOfTurn { kind, stage: self.stage.name() }
    }

    fn leader_info(&mut self, kind: PacketKind, zxid: Zxid) -> Result<Step, Violation> {
        match kind {
            PacketKind::LeaderInfo => {}
            PacketKind::NewLeader => return Err(Violation::OldLeader),
            _ => return Err(self.out_of_turn(kind)),
        }
        let epoch = epoch_of(zxid);
        self.epoch = epoch;
        if epoch < self.accepted_epoch && !has(Bug::AcceptedEpochNotCompared) {
            return Err(Violation::OldEpoch { leader: epoch, accepted: self.accepted_epoch });
        }
        if epoch == self.accepted_epoch {
            self.stage = Stage::Accepted;
            return Ok(Step::SendAckEpoch { current: None });
        }
        self.stage = Stage::SavingAccepted { first_time: true };
        Ok(Step::SaveAcceptedEpoch(epoch))
    }

    pub fn accepted_epoch_saved(&mut self) -> Step {
        self.accepted_epoch = self.epoch;
        self.stage = Stage::Accepted;
        Step::SendAckEpoch { current: Some(self.current_epoch) }
    }

    fn plan(&mut self, kind: PacketKind, zxid: Zxid) -> Result<Step, Violation> {
        match kind {
            PacketKind::Diff => {
                self.stage = Stage::Synchronizing;
                Ok(Step::Keep)
            }
            // In the present epoch an observer has only what is committed; a master that lacks it is late.
            PacketKind::Trunc
                if self.is_observer
                    && zxid < self.last_queued
                    && epoch_of(self.last_queued) == self.epoch =>
            {
                Err(Violation::CutsCommitted { keep: zxid, last: self.last_queued })
            }
            PacketKind::Trunc => {
                self.stage = Stage::Preparing;
                self.last_queued = zxid;
                Ok(Step::Truncate { keep: zxid })
            }
            PacketKind::Snap => {
                self.stage = Stage::Preparing;
                self.last_queued = zxid;
                Ok(Step::Load { zxid })
            }
            _ => Err(self.out_of_turn(kind)),
        }
    }

    /// The log is cut, or the dump is loaded.
    pub fn prepared(&mut self) {
        self.stage = Stage::Synchronizing;
    }

    fn synchronizing(&mut self, kind: PacketKind, zxid: Zxid) -> Result<Step, Violation> {
        match kind {
            PacketKind::Proposal => {
                if !self.follows(zxid)? {
                    return Ok(Step::Nothing);
                }
                self.held.push_back(zxid);
                Ok(Step::Hold)
            }
            PacketKind::Commit | PacketKind::CommitAndActivate => match self.held.front() {
                Some(oldest) if *oldest == zxid => {
                    self.held.pop_front();
                    Ok(Step::CommitHeld)
                }
                // Contained in the dump, or in what this server had.
                oldest if oldest.is_none_or(|oldest| zxid < *oldest) => Ok(Step::Nothing),
                oldest => Err(Violation::UnmatchedCommit { committed: zxid, oldest: oldest.copied() }),
            },
            PacketKind::Inform | PacketKind::InformAndActivate => {
                // An observer may have been sent it as a proposal before.
                if self.held.front() == Some(&zxid) {
                    self.held.pop_front();
                    return Ok(Step::CommitHeld);
                }
                Ok(if self.follows(zxid)? { Step::Inform } else { Step::Nothing })
            }
            PacketKind::NewLeader if self.stage == Stage::Synchronizing => {
                self.stage = Stage::SavingHistory;
                Ok(Step::SaveHistory { epoch: self.epoch })
            }
            PacketKind::UpToDate if self.stage == Stage::Saved => {
                self.stage = Stage::Serving;
                Ok(Step::Serve { epoch: self.epoch })
            }
            PacketKind::Ping | PacketKind::Sync | PacketKind::Revalidate => Ok(Step::Nothing),
            _ => Err(self.out_of_turn(kind)),
        }
    }

    /// Whether a transaction is the next one. One that this server has already is passed over.
    fn follows(&mut self, zxid: Zxid) -> Result<bool, Violation> {
        if zxid <= self.last_queued {
            return Ok(false);
        }
        let next = zxid == self.last_queued + 1;
        let next_epoch =
            epoch_of(zxid) > epoch_of(self.last_queued) && zxid == epoch_start(epoch_of(zxid)) + 1;
        if !next && !next_epoch {
            return Err(Violation::Gap { after: self.last_queued, next: zxid });
        }
        self.last_queued = zxid;
        Ok(true)
    }

    /// The history up to NEWLEADER and then the epoch are durable: NEWLEADER may be acknowledged.
    pub fn history_saved(&mut self) {
        self.current_epoch = self.epoch;
        self.stage = Stage::Saved;
    }

    fn serving(&mut self, kind: PacketKind, zxid: Zxid) -> Result<Step, Violation> {
        match kind {
            PacketKind::Proposal if self.is_observer => Ok(Step::Nothing),
            PacketKind::Proposal => {
                if !self.follows(zxid)? {
                    return Ok(Step::Nothing);
                }
                Ok(Step::Propose)
            }
            PacketKind::Commit | PacketKind::CommitAndActivate if self.is_observer => Ok(Step::Nothing),
            PacketKind::Commit | PacketKind::CommitAndActivate => {
                if zxid > self.last_queued {
                    return Err(Violation::UnmatchedCommit { committed: zxid, oldest: None });
                }
                Ok(Step::Commit)
            }
            PacketKind::Inform | PacketKind::InformAndActivate => {
                Ok(if self.follows(zxid)? { Step::Inform } else { Step::Nothing })
            }
            PacketKind::Ping => Ok(Step::AnswerPing),
            PacketKind::Revalidate => Ok(Step::AnswerRevalidate),
            PacketKind::Sync => Ok(Step::AnswerSync),
            PacketKind::UpToDate => Ok(Step::Nothing),
            _ => Err(self.out_of_turn(kind)),
        }
    }
}
