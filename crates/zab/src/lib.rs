//! Zab, ZooKeeper's atomic broadcast, as a machine without I/O: what happened goes in, what to do comes out.
//!
//! It finds a leader ([`election`]), orders transactions and decides when they are committed; it knows nothing of
//! znodes. A standalone server is an ensemble of one: its own durable log is the quorum, and it runs through the same
//! [`Broadcast`].

mod broadcast;
pub mod election;
mod quorum;
mod view;
mod vote;

pub use broadcast::{Broadcast, Zxid};
pub use quorum::{GroupId, Quorum, QuorumError, ServerId};
pub use view::{View, Views};
pub use vote::{Ballot, Standing, Vote};
