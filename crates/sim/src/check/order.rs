//! Order within a session: answers come in the order of the requests, and time never runs backwards, across
//! reconnections too.

use super::Broken;

/// The answer `xid` came while `expected` was the oldest request without one.
pub fn of_answers(xid: i32, expected: Option<i32>) -> Result<(), Broken> {
    if expected == Some(xid) {
        return Ok(());
    }
    Err(format!("order: the answer to {xid} came, but {expected:?} was next"))
}

/// An answer speaks of `zxid` to a session that has seen `seen`.
pub fn of_states(zxid: i64, seen: i64) -> Result<(), Broken> {
    if zxid < seen {
        return Err(format!("order: a session that had seen {seen} was answered from {zxid}"));
    }
    Ok(())
}
