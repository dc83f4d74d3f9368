//! Which snapshot a release would start from, and what it would misread in it.

use super::{Findings, Problem};
use crate::{NumberedFile, Release, ToolError, numbered, reading};
use journal::{Compression, Dir, Storage, is_plausible, names, read_snapshot};
use std::io;
use tree::Tree;
use wire::data::{CONTAINER_OWNER, Owner};

/// Every release looks at no more than this.
const MAX_CANDIDATES: usize = 100;

fn newest_first<S: Storage>(storage: &S) -> io::Result<Vec<NumberedFile>> {
    let mut files = numbered(storage, Dir::Snapshot, names::snapshot_zxid)?;
    files.reverse();
    files.truncate(MAX_CANDIDATES);
    Ok(files)
}

/// The zxid of the newest snapshot that looks whole; 0 without any.
pub(super) fn newest<S: Storage>(storage: &S) -> io::Result<i64> {
    for file in newest_first(storage)? {
        if is_plausible(storage, &file.name)? {
            return Ok(file.zxid);
        }
    }
    Ok(0)
}

/// What a release makes of the snapshots.
pub(super) enum Choice {
    /// It starts from this one.
    From { name: String, zxid: i64 },
    /// It sees none.
    None,
    /// It sees some and can load none, which it refuses, logs or no logs.
    AllRejected,
}

/// Takes the first snapshot, from the newest on, that the release would load.
pub(super) fn choose<S: Storage>(
    storage: &S,
    target: Release,
    findings: &mut Findings,
) -> Result<Choice, ToolError> {
    let reading = reading();
    let mut choice = Choice::None;
    for NumberedFile { zxid, name, .. } in newest_first(storage)? {
        let mut pass_over = |problem| findings.add(Dir::Snapshot, &name, problem, zxid);
        if Compression::of_name(&name) != Compression::None && !target.reads_packed_snapshots() {
            pass_over(Problem::PackedSnapshot);
            continue;
        }
        if !is_plausible(storage, &name)? {
            pass_over(Problem::UnreadableSnapshot("it is not finished: a write was interrupted".into()));
            continue;
        }
        match read_snapshot(storage, &name, zxid, reading.rules, reading.limits) {
            Err(e) => {
                pass_over(Problem::UnreadableSnapshot(e.to_string()));
                choice = Choice::AllRejected;
            }
            Ok((_, tail)) if tail.last_zxid.is_some() && tail.digest.is_none() && target.has_digests() => {
                pass_over(Problem::SnapshotTail);
                choice = Choice::AllRejected;
            }
            Ok((mut tree, _)) => {
                znodes(&mut tree, &name, target, findings);
                return Ok(Choice::From { name, zxid });
            }
        }
    }
    Ok(choice)
}

fn znodes(tree: &mut Tree, name: &str, target: Release, findings: &mut Findings) {
    let owners = tree.rules().owners;
    tree.freeze();
    tree.read_frozen(u32::MAX, |node| {
        let czxid = node.stat.czxid;
        let largest = node.path.len().max(node.data.map_or(0, <[u8]>::len));
        if largest > target.read_limit() {
            findings.add_large(Dir::Snapshot, name, Problem::LargeField, czxid, largest);
        }
        let stored = node.stat.ephemeral_owner;
        if stored == CONTAINER_OWNER && !target.has_containers() {
            findings.add(Dir::Snapshot, name, Problem::Container, czxid);
        }
        if matches!(Owner::decode(stored, owners), Owner::Ttl(_)) {
            findings.add(Dir::Snapshot, name, Problem::Ttl, czxid);
        }
        true
    });
    tree.thaw();
}
