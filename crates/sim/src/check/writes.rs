//! Writes are linearizable: one that was asked for after another was answered comes behind it.

use super::{Broken, Truth};

/// What a client must remember of the moment at which it asks.
pub fn asked(truth: &Truth) -> i64 {
    truth.told
}

/// A write that was asked for when `floor` had been answered is answered with its own zxid.
pub fn answered(truth: &mut Truth, zxid: i64, floor: i64) -> Result<(), Broken> {
    truth.told = truth.told.max(zxid);
    if zxid > floor {
        return Ok(());
    }
    Err(format!(
        "writes: a write came out as {zxid:#x}, though {floor:#x} had been answered before it was asked for"
    ))
}
