//! Nothing that anybody was told is lost: what was applied before a crash is there after it, and nothing is said
//! before it is durable.

use super::{Broken, History};

/// A recovery found everything up to `recovered`.
pub fn after_recovery(history: &History, recovered: i64) -> Result<(), Broken> {
    let committed = history.last_committed();
    if recovered < committed {
        return Err(format!("acknowledged: {committed} had been applied, only {recovered} was recovered"));
    }
    Ok(())
}

/// An answer that names `zxid` left the server when everything up to `durable` was on the disk.
pub fn before_answer(zxid: i64, durable: i64) -> Result<(), Broken> {
    if zxid > durable {
        return Err(format!("acknowledged: an answer speaks of {zxid}, but only {durable} is durable"));
    }
    Ok(())
}
