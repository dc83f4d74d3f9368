//! Zab, ZooKeeper's atomic broadcast, as a machine without I/O: what happened goes in, what to do comes out.
//!
//! It orders transactions and decides when they are committed; it knows nothing of znodes. A standalone server is an
//! ensemble of one: its own durable log is the quorum, and it runs through the same [`Broadcast`].

mod broadcast;
mod quorum;

pub use broadcast::{Broadcast, Zxid};
pub use quorum::{Quorum, ServerId};
