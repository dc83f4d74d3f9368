//! At most one established leader per epoch, and epochs rise.

use super::{Broken, Truth};

pub fn established(truth: &mut Truth, server: usize, epoch: i64) -> Result<(), Broken> {
    if let Some(other) = truth.leaders.insert(epoch, server) {
        return Err(format!(
            "epochs: {} and {} were both established in epoch {epoch}",
            other + 1,
            server + 1
        ));
    }
    let last = truth.history.last_committed();
    if epoch <= last >> 32 {
        return Err(format!("epochs: epoch {epoch} was established behind {last:#x}"));
    }
    Ok(())
}
