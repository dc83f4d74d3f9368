//! Zxids and their two halves.

/// Epoch in the high 32 bits, counter in the low.
pub type Zxid = i64;

/// The epoch of a zxid, with the sign that Java gives it.
pub fn epoch_of(zxid: Zxid) -> i64 {
    zxid >> 32
}

pub fn counter_of(zxid: Zxid) -> u32 {
    zxid as u32
}

/// The zxid with which an epoch begins. No transaction ever has it.
pub fn epoch_start(epoch: i64) -> Zxid {
    epoch << 32
}

/// The last counter that an epoch can use: the leader steps down before it would propose with it, and the next epoch
/// begins (quorum-and-disk §2.5).
pub const LAST_COUNTER: u32 = u32::MAX;

/// How far a server has come: what it votes with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct History {
    /// The epoch whose leader this server last followed, or was.
    pub current_epoch: i64,
    /// The last transaction in its log, committed or not.
    pub last_zxid: Zxid,
}
