//! Taking over a leader's whole tree (SNAP): the old state is there until the new one is, and then nothing of it is.
//!
//! The step from one to the other is one rename, to a name that no release takes for a snapshot: from
//! then on the folder's state is that file, and a recovery finishes what is left to do. That is: removing every log
//! and every other snapshot, and giving the file its real name.
//!
//! Everything old goes, not only what is newer. What this server had may be a dead branch of the history: a
//! record behind the new tree would be replayed over it; and one before it would be taken for the past of what
//! follows, by a recovery that falls back to an older snapshot or by a learner that is sent a range of the log
//! (ZOOKEEPER-2846), because where an epoch changes the numbers do not show the break.

use crate::image::encode_node;
use crate::names;
use crate::recover::numbered;
use crate::snapshot_writer::{SnapshotOptions, SnapshotWriter};
use crate::storage::{Dir, Storage};
use planted::{Bug, has};
use std::io;
use tree::{FrozenHeader, Tree};

const PIECE_BYTES: usize = 1 << 20;

/// Makes `tree` the whole state of the folders and returns the name of its snapshot. When this returns, only this
/// tree can be recovered; while it has not, either the old state or this one.
///
/// No [`LogWriter`](crate::LogWriter) may be at work; the next record goes to a new file, and
/// [`LogRanges::new`](crate::LogRanges::new) begins at the tree's zxid. After an error, recover before anything else.
///
/// The tree must be exact: of what came with a SNAP from Java, everything up to NEWLEADER must have been applied
/// again first ([`Tree::reapply`]). One that holds znodes from behind its position is refused.
///
/// # Panics
/// If the tree is frozen.
pub fn install<S: Storage>(storage: &S, tree: &mut Tree, options: SnapshotOptions) -> io::Result<String> {
    if let Some(name) = unfinished(storage)? {
        let dir = storage.describe(Dir::Snapshot);
        let message = format!("{name} in {dir} is not finished: a recovery must come first");
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let installing = names::installing(tree.last_zxid(), options.compression);
    let header = tree.freeze();
    let written = write(storage, tree, &header, options, &installing);
    tree.thaw();
    written?;
    finish(storage, &installing)
}

fn write<S: Storage>(
    storage: &S,
    tree: &Tree,
    header: &FrozenHeader,
    options: SnapshotOptions,
    name: &str,
) -> io::Result<()> {
    let mut writer = SnapshotWriter::begin_as(storage, header, options, names::INSTALL_IN_PROGRESS)?;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    let (mut znodes, mut more) = (0, true);
    while more {
        more = tree.read_frozen(u32::MAX, |node| {
            encode_node(&node, &mut piece);
            znodes += 1;
            piece.len() < PIECE_BYTES
        });
        writer.write(&piece)?;
        piece.clear();
    }
    if znodes < tree.len() {
        // The view passes over them, and they would be lost without a word.
        let message = format!("the tree has znodes from behind its position {:#x}", header.zxid);
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    writer.finish_as(storage, name)
}

/// The snapshot that is the folders' state although it does not have its name yet.
pub(crate) fn unfinished<S: Storage>(storage: &S) -> io::Result<Option<String>> {
    let mut names = storage.list(Dir::Snapshot)?.into_iter().map(|entry| entry.name);
    Ok(names.find(|name| names::installing_zxid(name).is_some()))
}

/// Removes everything else, and then gives the file its name: only with the last step is it forgotten that
/// something was to be removed. Logs go from the newest, so that what is left is always a beginning.
pub(crate) fn finish<S: Storage>(storage: &S, installing: &str) -> io::Result<String> {
    for log in numbered(storage, Dir::Log, names::log_zxid)?.iter().rev().filter(|_| !has(Bug::SnapKeepsLog))
    {
        storage.remove(Dir::Log, &log.name)?;
        storage.sync_dir(Dir::Log)?;
    }
    for snapshot in numbered(storage, Dir::Snapshot, names::snapshot_zxid)?.iter().rev() {
        storage.remove(Dir::Snapshot, &snapshot.name)?;
    }
    storage.sync_dir(Dir::Snapshot)?;
    let name = names::installed(installing);
    storage.rename(Dir::Snapshot, installing, &name)?;
    storage.sync_dir(Dir::Snapshot)?;
    Ok(name)
}
