//! A read shows the state at the zxid of its answer, exactly; a write's answer tells what its transaction did.

use super::{Broken, History};
use model::Outcome;
use std::collections::BTreeSet;
use wire::data::Stat;

const NO_NODE: i32 = -101;

/// What a read returned: the parts that its kind has.
#[derive(Debug, Default)]
pub struct Seen {
    pub data: Option<Option<Vec<u8>>>,
    pub stat: Option<Stat>,
    pub children: Option<BTreeSet<String>>,
}

pub fn read(history: &History, path: &str, zxid: i64, err: i32, seen: &Seen) -> Result<(), Broken> {
    let expected = history.at(path, zxid);
    let fits = match (expected, err) {
        (None, NO_NODE) => true,
        (Some(view), 0) => {
            seen.data.as_ref().is_none_or(|d| *d == view.data)
                && seen.stat.is_none_or(|s| s == view.stat)
                && seen.children.as_ref().is_none_or(|c| *c == view.children)
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    Err(format!("reads: {path} at {zxid} was answered with {err}, {seen:?}, but is {expected:?}"))
}

/// A write's answer: its own transaction's zxid, its own session and number, and that transaction's outcome.
pub fn write(
    history: &History,
    session: i64,
    xid: i32,
    zxid: i64,
    err: i32,
    created: Option<&str>,
) -> Result<(), Broken> {
    let Some(txn) = history.committed(zxid) else {
        return Err(format!("reads: a write was answered with {zxid}, which is not committed"));
    };
    if (txn.header.session_id, txn.header.cxid) != (session, xid) {
        return Err(format!(
            "reads: {xid} of {session:#x} was answered with another's transaction {:?}",
            txn.header
        ));
    }
    let expected = if let Outcome::Error(e) = txn.outcome { e } else { 0 };
    if err != expected {
        return Err(format!("reads: {zxid} came out as {expected}, the client was told {err}"));
    }
    match created {
        Some(path) if txn.created.as_deref() != Some(path) => {
            Err(format!("reads: {zxid} made {:?}, the client was told {path}", txn.created))
        }
        _ => Ok(()),
    }
}
