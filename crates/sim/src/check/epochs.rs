//! At most one established leader per epoch, and epochs rise: in history, and in what each server has promised.

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

/// A server is about to write its acceptedEpoch.
pub fn promised(truth: &Truth, server: usize, epoch: i64) -> Result<(), Broken> {
    let accepted = truth.replicas[server].accepted_epoch;
    if epoch >= accepted {
        return Ok(());
    }
    Err(format!("epochs: server {} accepts epoch {epoch}, but had promised {accepted}", server + 1))
}

/// A server is about to write its currentEpoch.
pub fn entered(truth: &Truth, server: usize, epoch: i64) -> Result<(), Broken> {
    let replica = &truth.replicas[server];
    if epoch >= replica.current_epoch && epoch <= replica.accepted_epoch {
        return Ok(());
    }
    let (current, accepted) = (replica.current_epoch, replica.accepted_epoch);
    Err(format!(
        "epochs: server {} enters epoch {epoch} from {current}, having accepted {accepted}",
        server + 1
    ))
}
