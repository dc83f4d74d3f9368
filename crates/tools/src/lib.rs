//! Tools for data folders: what is in them, whether it is sound, and which release of ZooKeeper could start on it.
//!
//! They work through [`journal::Storage`] on a folder that no server is using. All of them only read, but
//! [`write_snapshot`]. They give values, or write lines to where they are told.
//!
//! What always holds: nothing in a file makes them panic; what cannot be read is said, with its file and place.

mod compare;
pub mod compat;
mod dump;
mod release;
mod show;
mod snapshot;
mod verify;

pub use compare::{Compared, Difference, compare};
pub use dump::{DumpOptions, dump_log, dump_snapshot};
pub use release::{BadRelease, Release};
pub use snapshot::{Written, write_snapshot};
pub use verify::{Verification, verify};

use journal::{Dir, LogError, RecoverError, RecoverOptions, SnapshotError, Storage};
use std::io;
use thiserror::Error;
use tree::{NodeRef, Rules, Tree};
use wire::data::OwnerRules;
use wire::jute::Limits;

/// Bytes of the largest record or field that the tools read, whatever limit the servers have: so that what is above
/// their limit can be named.
pub const READ_LIMIT_BYTES: usize = 256 << 20;

#[derive(Debug, Error)]
pub enum ToolError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{file}: {source}")]
    Log { file: String, source: LogError },
    #[error("{file}: {source}")]
    Snapshot { file: String, source: SnapshotError },
    #[error("{0}")]
    Recover(#[from] RecoverError),
}

/// How the tools read a folder: TTL znodes as what they are, no limit that a server could have, nothing repaired.
pub fn reading() -> RecoverOptions {
    let owners = OwnerRules { extended_types: true, emulate_353_ttl: false };
    RecoverOptions {
        rules: Rules { owners, digest: true, hash_seed: 0 },
        limits: Limits { field_bytes: READ_LIMIT_BYTES },
        trust_empty: false,
        repair: false,
    }
}

/// Files of one kind by the zxid in their names, oldest first, with their sizes.
fn numbered<S: Storage>(
    storage: &S,
    dir: Dir,
    zxid_of: impl Fn(&str) -> Option<i64>,
) -> io::Result<Vec<NumberedFile>> {
    let entries = storage.list(dir)?.into_iter();
    let mut files: Vec<_> = entries
        .filter_map(|e| Some(NumberedFile { zxid: zxid_of(&e.name)?, name: e.name, bytes: e.bytes }))
        .collect();
    files.sort_by(|a, b| (a.zxid, &a.name).cmp(&(b.zxid, &b.name)));
    Ok(files)
}

struct NumberedFile {
    zxid: i64,
    name: String,
    bytes: u64,
}

/// Every znode, parents first and siblings by name.
fn walk<E>(tree: &Tree, mut visit: impl FnMut(&str, NodeRef<'_>) -> Result<(), E>) -> Result<(), E> {
    let mut waiting = vec!["/".to_owned()];
    while let Some(path) = waiting.pop() {
        let Some(node) = tree.get(&path) else { continue };
        visit(&path, node)?;
        let parent = if path == "/" { "" } else { path.as_str() };
        let mut names: Vec<&str> = node.children().collect();
        names.sort_unstable_by(|a, b| b.cmp(a));
        waiting.extend(names.into_iter().map(|name| format!("{parent}/{name}")));
    }
    Ok(())
}
