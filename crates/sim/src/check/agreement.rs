//! One total order: what any server has applied while it served is a prefix of what was committed, the same on all;
//! a new leader has all of it; and equal zxids mean equal trees.

use super::{Broken, Truth, durable};
use std::collections::BTreeSet;
use tree::Tree;

/// A server that serves has applied what is behind `before`: the tree shows the result.
pub fn applied(truth: &mut Truth, server: usize, before: i64, tree: &Tree) -> Result<Vec<i64>, Broken> {
    let after = tree.last_zxid();
    let mut fresh = Vec::new();
    for zxid in truth.replicas[server].between(before, after).collect::<Vec<_>>() {
        let last = truth.history.last_committed();
        if zxid > last {
            durable::before_commit(truth, zxid)?;
            truth.history.commit(zxid)?;
            fresh.push(zxid);
        } else if truth.history.committed(zxid).is_none() {
            return Err(format!(
                "agreement: server {} has applied {zxid:#x}, which is not in the history that ends at {last:#x}",
                server + 1
            ));
        }
    }
    let ours = truth.replicas[server].between(before, after).count();
    let all = truth.history.between(before, after).count();
    if ours != all {
        return Err(format!(
            "agreement: behind {before:#x} up to {after:#x} server {} has applied {ours} transactions of {all}",
            server + 1
        ));
    }
    same(truth, server, tree)?;
    Ok(fresh)
}

/// The tree of a server that serves is the one that the history leads to.
pub fn same(truth: &Truth, server: usize, tree: &Tree) -> Result<(), Broken> {
    let (zxid, last) = (tree.last_zxid(), truth.history.last_committed());
    if zxid > last {
        return Err(format!("agreement: server {} serves {zxid:#x}, committed is {last:#x}", server + 1));
    }
    if tree.digest_mismatches() > 0 {
        return Err(format!(
            "agreement: a digest differs from that of its record on server {} at {zxid:#x}",
            server + 1
        ));
    }
    match truth.history.digest(zxid) {
        Some(digest) if digest == tree.digest() => Ok(()),
        Some(_) => Err(format!("agreement: server {} has another tree at {zxid:#x}", server + 1)),
        None => {
            Err(format!("agreement: server {} stands at {zxid:#x}, which was never committed", server + 1))
        }
    }
}

/// A leader begins an epoch: all of its history is chosen, and all that was committed is in it.
pub fn established(truth: &mut Truth, server: usize, tree: &Tree) -> Result<Vec<i64>, Broken> {
    let (after, last) = (tree.last_zxid(), truth.history.last_committed());
    if after < last {
        return Err(format!(
            "agreement: server {} leads with {after:#x}, but {last:#x} was committed before",
            server + 1
        ));
    }
    let mut fresh = Vec::new();
    for zxid in truth.replicas[server].between(last, after).collect::<Vec<_>>() {
        truth.history.commit(zxid)?;
        fresh.push(zxid);
    }
    let base = truth.replicas[server].base().min(after);
    let ours: BTreeSet<i64> = truth.replicas[server].between(base, after).collect();
    if let Some((zxid, _)) = truth.history.between(base, after).find(|(zxid, _)| !ours.contains(zxid)) {
        return Err(format!("agreement: server {} leads without {zxid:#x}, which was committed", server + 1));
    }
    same(truth, server, tree)?;
    Ok(fresh)
}
