//! Going back: removing what a leader does not know (TRUNC), so that no recovery finds it again
//! (quorum-and-disk §11 rule 5).
//!
//! Java cuts behind the first record that is *not before* the zxid, which keeps one too many if it is not in the log;
//! and it keeps snapshots that hold what was cut (ZOOKEEPER-4837, ZOOKEEPER-1549). Here the cut is exact or refused,
//! and a snapshot stays only if it is certain to hold nothing later.
//!
//! Everything is looked at before anything is changed. Then snapshots go, then log files from the newest, each
//! durably before the next, and last the file in which the cut lies is replaced by a copy of its beginning. A crash
//! anywhere leaves a folder from which recovery finds the old history, or a beginning of it that still has all that
//! is kept.

use crate::log_reader::{LogError, LogFile, LogItem};
use crate::names;
use crate::order::{begins_epoch, follows};
use crate::recover::{Numbered, RecoverOptions, numbered};
use crate::snapshot_reader::{SnapshotTail, is_plausible, read_snapshot};
use crate::storage::{Dir, Storage, StorageFile, read_full};
use planted::{Bug, has};
use std::io;
use thiserror::Error;
use tree::Tree;
use wire::Reader;
use wire::file::FileHeader;
use wire::txn::TxnHeader;

#[derive(Debug, Error)]
pub enum TruncateError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "the log in {dir} does not know {keep:#x} (it has {before:#x}, then {}), so it cannot be cut there; nothing \
         was changed. Only a whole copy of the leader's tree helps", hex(.behind)
    )]
    NotInLog { dir: String, keep: i64, before: i64, behind: Option<i64> },
    #[error(
        "no snapshot in {dir} is certain to hold nothing later than {keep:#x}, so there would be nothing to start \
         from; nothing was changed. Only a whole copy of the leader's tree helps"
    )]
    NoSnapshot { dir: String, keep: i64 },
    #[error("{file}: {source}; nothing was changed")]
    Log { file: String, source: LogError },
    #[error("transactions are missing between {from:#x} and {to:#x} ({file}); nothing was changed")]
    Gap { file: String, from: i64, to: i64 },
}

fn hex(zxid: &Option<i64>) -> String {
    zxid.map_or("nothing".into(), |zxid| format!("{zxid:#x}"))
}

/// Removes every transaction behind `keep` from log and snapshots. `keep` must be in the log, or be where a
/// snapshot stands, or be the beginning of the epoch whose first transaction comes next; otherwise, and on every
/// error but [`TruncateError::Io`], nothing was changed.
///
/// No [`LogWriter`](crate::LogWriter) may be at work; the next record goes to a new file. The state at `keep` is what
/// [`recover`](crate::recover()) finds from now on; where `keep` begins an epoch, it finds the transaction before.
pub fn truncate<S: Storage>(storage: &S, options: &RecoverOptions, keep: i64) -> Result<(), TruncateError> {
    let (start, snapshots) = snapshots_to_remove(storage, options, keep)?;
    let logs = numbered(storage, Dir::Log, names::log_zxid)?;
    let cut = find_cut(storage, options, &logs, start, keep)?;
    for name in snapshots.iter().filter(|_| !has(Bug::TruncKeepsSnapshots)) {
        storage.remove(Dir::Snapshot, name)?;
    }
    if !snapshots.is_empty() {
        storage.sync_dir(Dir::Snapshot)?;
    }
    let Some(Cut { file, at }) = cut else { return Ok(()) };
    let first_removed = if at.is_some() { file + 1 } else { file };
    for log in logs[first_removed..].iter().rev() {
        storage.remove(Dir::Log, &log.name)?;
        storage.sync_dir(Dir::Log)?;
    }
    if let Some(at) = at {
        shorten(storage, &logs[file].name, at)?;
    }
    Ok(())
}

/// The zxid of the newest snapshot that stays, and the names of those that must go.
fn snapshots_to_remove<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    keep: i64,
) -> Result<(i64, Vec<String>), TruncateError> {
    let mut remove = Vec::new();
    let mut newer_began = false;
    let mut files = numbered(storage, Dir::Snapshot, names::snapshot_zxid)?;
    files.reverse();
    for file in files {
        if file.zxid <= keep && stays(storage, options, &file, keep, newer_began)? {
            // Older ones were finished before this one was begun.
            return Ok((file.zxid, remove));
        }
        newer_began |= file.zxid <= keep;
        remove.push(file.name);
    }
    Err(TruncateError::NoSnapshot { dir: storage.describe(Dir::Snapshot), keep })
}

fn stays<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    file: &Numbered,
    keep: i64,
    newer_began: bool,
) -> Result<bool, TruncateError> {
    if !is_plausible(storage, &file.name)? {
        return Ok(false);
    }
    match read_snapshot(storage, &file.name, file.zxid, options.rules, options.limits) {
        Ok((tree, tail)) => Ok(holds_nothing_behind(keep, &tree, &tail, newer_began)),
        Err(crate::SnapshotError::Io(error)) => Err(error.into()),
        Err(_) => Ok(false),
    }
}

/// Whether a snapshot is certain to hold nothing of what comes after `keep`. Java writes them while transactions go on:
/// what it says at its end is the last one that was complete by then, and half of the next may be in it.
/// `newer_began`: there is a newer one that is not behind `keep` either, and one is written at a time.
fn holds_nothing_behind(keep: i64, tree: &Tree, tail: &SnapshotTail, newer_began: bool) -> bool {
    let zxid = tree.last_zxid();
    let ended = tail.digest.map(|(zxid, _)| zxid).max(tail.last_zxid);
    match ended {
        _ if newer_began => true,
        // The first one of a database, from before anybody could connect.
        _ if zxid == 0 => ended.unwrap_or(0) <= keep,
        None => false,
        Some(ended) if ended.max(zxid) != keep => ended.max(zxid) < keep,
        // It ends right at the place, so it must be exact: then its digest is the one of its znodes.
        Some(_) => zxid == keep && tail.digest.is_some_and(|(_, d)| d.tree_digest == tree.recompute_digest()),
    }
}

/// Where the log is cut.
struct Cut {
    file: usize,
    /// The byte where the file ends; `None` if nothing of it stays.
    at: Option<u64>,
}

/// Goes through the log from the snapshot at `start` on, as a recovery would, to the first record behind `keep`.
/// `None` if there is no such record.
fn find_cut<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    logs: &[Numbered],
    start: i64,
    keep: i64,
) -> Result<Option<Cut>, TruncateError> {
    let first = logs.iter().rposition(|log| log.zxid <= start.saturating_add(1)).unwrap_or(0);
    let mut position = start;
    for (i, file) in logs.iter().enumerate().skip(first) {
        let failed = |source| TruncateError::Log { file: file.name.clone(), source };
        let opened = storage.open(Dir::Log, &file.name)?;
        let mut log = match LogFile::open(opened, options.limits.field_bytes) {
            Ok(log) => log,
            Err(LogError::Empty | LogError::ShortHeader(_)) if i + 1 == logs.len() => break,
            Err(source) => return Err(failed(source)),
        };
        loop {
            let at = log.position();
            let LogItem::Record(payload) = log.next().map_err(failed)? else { break };
            let header = TxnHeader::decode(&mut Reader::new(payload))
                .map_err(|source| failed(LogError::Undecodable { offset: at, source }))?;
            let zxid = header.zxid;
            if zxid > keep + i64::from(has(Bug::TruncKeepsOneMore)) {
                known(storage, keep, position, Some(zxid))?;
                let some_stays = at > FileHeader::ENCODED_BYTES as u64;
                return Ok(Some(Cut { file: i, at: some_stays.then_some(at) }));
            }
            if zxid > position && !follows(position, zxid) {
                return Err(TruncateError::Gap { file: file.name.clone(), from: position, to: zxid });
            }
            position = position.max(zxid);
        }
    }
    known(storage, keep, position, None)?;
    Ok(None)
}

/// Whether the history has the place `keep`, given the last transaction before it and the first one behind.
fn known<S: Storage>(storage: &S, keep: i64, before: i64, behind: Option<i64>) -> Result<(), TruncateError> {
    if before == keep || begins_epoch(keep) && behind == Some(keep + 1) {
        return Ok(());
    }
    Err(TruncateError::NotInLog { dir: storage.describe(Dir::Log), keep, before, behind })
}

/// Ends a log file at `at`. A copy takes its place, because of a file that is cut the disk may keep any part of what
/// was cut off, and then a recovery sees damage.
fn shorten<S: Storage>(storage: &S, name: &str, at: u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut from = storage.open(Dir::Log, name)?;
    let mut to = storage.create(Dir::Log, names::LOG_IN_PROGRESS)?;
    let mut left = at;
    while left > 0 {
        let mut piece = vec![0; PIECE.min(left) as usize];
        let n = read_full(&mut from, &mut piece)?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        to.write_all(&piece[..n])?;
        left -= n as u64;
    }
    to.sync_data()?;
    storage.rename(Dir::Log, names::LOG_IN_PROGRESS, name)?;
    storage.sync_dir(Dir::Log)
}
