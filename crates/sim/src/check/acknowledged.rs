//! Nothing that anybody was told is lost: what was applied before a crash is there after it, and nothing is said
//! before it is durable.

use super::{Broken, Truth};

/// A server alone has started from everything up to `recovered`: all that was ever applied must be in it.
pub fn after_recovery(truth: &Truth, recovered: i64) -> Result<(), Broken> {
    let committed = truth.history.last_committed();
    if recovered < committed {
        return Err(format!(
            "acknowledged: {committed:#x} had been applied, only {recovered:#x} was recovered"
        ));
    }
    Ok(())
}

/// A server's memory stands at `applied`: its own disk must have all of it.
pub fn before_applied(truth: &Truth, server: usize, applied: i64) -> Result<(), Broken> {
    let durable = truth.replicas[server].durable;
    if applied > durable {
        return Err(format!(
            "acknowledged: server {} has applied {applied:#x}, but has only {durable:#x} on its disk",
            server + 1
        ));
    }
    Ok(())
}
