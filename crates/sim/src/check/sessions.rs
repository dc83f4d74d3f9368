//! Sessions end by a transaction, never before their time unless asked, and take exactly their ephemerals with them.

use super::{Broken, History};
use tree::Tree;
use wire::OpCode;
use wire::txn::TxnHeader;

/// The server handled all that a session had sent by now.
pub fn heard(history: &mut History, session: i64, now_ms: i64) {
    history.heard_ms.insert(session, now_ms);
}

/// After a restart every session gets a full new timeout.
pub fn restarted(history: &mut History, now_ms: i64) {
    let all: Vec<i64> = history.model.sessions.keys().copied().collect();
    history.heard_ms = all.into_iter().map(|id| (id, now_ms)).collect();
}

/// Call before a transaction is committed to the history, with its header: `timeout_ms` is the session's.
pub fn before_close(
    history: &History,
    header: &TxnHeader,
    proposed_ms: i64,
    timeout_ms: i32,
) -> Result<(), Broken> {
    let by_server = header.op == OpCode::CloseSession.code() && header.cxid == 0;
    let heard = history.heard_ms.get(&header.session_id).copied().unwrap_or(i64::MIN / 2);
    if by_server && proposed_ms - heard < i64::from(timeout_ms) {
        return Err(format!(
            "sessions: {:#x} was ended {} ms after it was heard, its timeout is {timeout_ms}",
            header.session_id,
            proposed_ms - heard
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
