//! Zab, ZooKeeper's atomic broadcast, as a machine without I/O: what happened goes in, what to do comes out.
//!
//! It finds a leader, orders transactions and decides when they are committed; it knows nothing of znodes. A standalone
//! server is an ensemble of one: its own durable log is the quorum, and it runs through the same [`Leader`] and
//! [`Broadcast`].
//!
//! * [`election`] finds a leader.
//! * [`Leader`] begins an epoch and keeps it; [`Learner`] is the other end of each of its connections.
//! * [`ObserverMaster`] is what a follower is to observers that follow it.
//! * [`SyncPlan`] says how a learner gets what it lacks.
//! * [`Broadcast`] counts acknowledgements.

mod broadcast;
pub mod election;
mod epoch;
mod leader;
mod learner;
mod observer_master;
mod quorum;
mod sync_plan;
mod view;
mod vote;

pub use broadcast::Broadcast;
pub use epoch::{History, LAST_COUNTER, Zxid, counter_of, epoch_of, epoch_start};
pub use leader::{Greeting, Leader, LeaderEffect, LearnerKey, LearnerKind, Parting, Resignation, Timing};
pub use learner::{Learner, Step, Violation};
pub use observer_master::ObserverMaster;
pub use quorum::{GroupId, Quorum, QuorumError, ServerId};
pub use sync_plan::{Available, Neighbours, SyncPlan};
pub use view::{View, Views};
pub use vote::{Ballot, Standing, Vote};
