//! Sessions end by a transaction, never before their time unless asked, and take exactly their ephemerals with them.

use super::{Broken, History, Truth};
use tree::Tree;
use wire::OpCode;
use wire::txn::TxnHeader;

/// So many moments of each session are remembered: more than happen while a batch waits for the disk.
const MOMENTS: usize = 512;

/// A server heard from a session, itself or through a learner.
pub fn heard(truth: &mut Truth, server: usize, session: i64, now_ms: i64) {
    let moments = truth.heard_ms[server].entry(session).or_default();
    if moments.last() != Some(&now_ms) {
        moments.push(now_ms);
    }
    if moments.len() > 2 * MOMENTS {
        moments.drain(..MOMENTS);
    }
}

/// A server begins to lead: every session gets a full new timeout.
pub fn begun(truth: &mut Truth, server: usize, now_ms: i64) {
    let all: Vec<i64> = truth.history.model.sessions.keys().copied().collect();
    truth.heard_ms[server] = all.into_iter().map(|id| (id, vec![now_ms])).collect();
}

/// A leader has made a transaction, at this time.
pub fn proposed(truth: &Truth, server: usize, header: &TxnHeader, proposed_ms: i64) -> Result<(), Broken> {
    if header.op != OpCode::CloseSession.code() || header.cxid != 0 {
        return Ok(());
    }
    let id = header.session_id;
    let timeout_ms = truth.history.model.sessions.get(&id).copied().unwrap_or(0);
    let Some(moments) = truth.heard_ms[server].get(&id) else { return Ok(()) };
    let Some(heard_ms) = moments.iter().rfind(|at| **at < proposed_ms) else { return Ok(()) };
    let silent_ms = proposed_ms - heard_ms;
    if silent_ms < i64::from(timeout_ms) {
        return Err(format!(
            "sessions: {id:#x} was ended {silent_ms} ms after it was heard, its timeout is {timeout_ms}"
        ));
    }
    Ok(())
}

/// After a closeSession was applied.
pub fn after_close(history: &History, tree: &Tree, session: i64) -> Result<(), Broken> {
    let left = history.model.ephemerals(session);
    if !left.is_empty() || tree.ephemeral_count_of(session) > 0 || tree.sessions().contains_key(&session) {
        return Err(format!("sessions: {session:#x} has ended, but has left {left:?}"));
    }
    Ok(())
}

/// Long after everybody went silent.
pub fn all_gone(tree: &Tree) -> Result<(), Broken> {
    if tree.sessions().is_empty() && tree.ephemeral_count() == 0 {
        return Ok(());
    }
    Err(format!("sessions: {} still live, with {} ephemerals", tree.sessions().len(), tree.ephemeral_count()))
}
