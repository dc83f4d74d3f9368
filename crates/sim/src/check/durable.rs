//! What is committed is on the disks of a quorum.

use super::{Broken, Truth};

/// The transaction is about to count as committed.
pub fn before_commit(truth: &Truth, zxid: i64) -> Result<(), Broken> {
    if truth.majority(|replica| replica.has_durably(zxid)) {
        return Ok(());
    }
    Err(format!("durable: {zxid:#x} was committed, but no quorum has it on its disks"))
}

/// A leader says that `epoch` is established with the history up to `last`: a quorum has both on its disks.
pub fn before_epoch(truth: &Truth, epoch: i64, last: i64) -> Result<(), Broken> {
    if truth
        .majority(|replica| replica.current_epoch >= epoch && replica.durable >= last && replica.has(last))
    {
        return Ok(());
    }
    Err(format!("durable: epoch {epoch} began behind {last:#x}, but no quorum has both on its disks"))
}
