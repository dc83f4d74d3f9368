//! The two promises that a member of an ensemble must not forget: `acceptedEpoch`, the newest epoch it promised to
//! follow, and `currentEpoch`, the newest one whose initial history it holds (quorum-and-disk §2.3).
//!
//! Both are decimal text without a newline beside the snapshots, written to a second file that then takes the name,
//! so that a reader finds the old number or the new one. Unlike Java, the name is durable too before anybody acts on
//! the number.
//!
//! `currentEpoch` is written behind the history that it speaks of. A crash between the two leaves a history of an
//! epoch newer than `currentEpoch`. Java 3.9 refuses such a folder unless it finds `currentEpoch.tmp`; 3.4 announced
//! the change by an empty file `updatingEpoch`, which is done here too ([`announce_epoch`]): with it, the epoch
//! of the history is taken. That claims no more than the folder holds, because transactions of an epoch are only
//! ever written behind its whole initial history.

use crate::storage::{Dir, Storage, StorageFile, read_full};
use planted::{Bug, has};
use std::io;
use thiserror::Error;

const ACCEPTED: &str = "acceptedEpoch";
const CURRENT: &str = "currentEpoch";
/// Java's own name for a number on its way.
const ACCEPTED_TMP: &str = "acceptedEpoch.tmp";
const CURRENT_TMP: &str = "currentEpoch.tmp";
const UPDATING: &str = "updatingEpoch";
/// No epoch file is as long; more is not worth showing.
const MAX_BYTES: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    pub accepted: i64,
    pub current: i64,
}

#[derive(Debug, Error)]
pub enum EpochError {
    #[error("{file} in {dir} cannot be read or written: {source}")]
    Io { file: &'static str, dir: String, source: io::Error },
    #[error(
        "{file} in {dir} holds {found:?} where a decimal epoch must stand. Restore it from a backup; or, with a \
         healthy quorum to copy from, empty {dir} and the log folder and start again"
    )]
    NotAnEpoch { file: &'static str, dir: String, found: String },
    #[error(
        "currentEpoch in {dir} is {current}, but the last transaction {last_zxid:#x} is of epoch {epoch}: they are \
         not of one database, or a server stopped while it changed epochs. If snapshots and logs are the \
         right ones, write {epoch} into currentEpoch; otherwise restore the folder from a backup"
    )]
    HistoryAhead { dir: String, current: i64, last_zxid: i64, epoch: i64 },
    #[error(
        "acceptedEpoch in {dir} is {accepted}{from}, less than currentEpoch, {current}: one of them is an old copy. \
         Restore both from one backup; or, with a healthy quorum to copy from, empty {dir} and the log folder \
         and start again"
    )]
    AcceptedBehind { dir: String, accepted: i64, current: i64, from: &'static str },
}

/// Reads both numbers after recovery found `last_zxid`, and checks them as Java does. With `repair`, missing ones
/// are written, so that what is returned is durable.
pub fn load_epochs<S: Storage>(storage: &S, last_zxid: i64, repair: bool) -> Result<Epochs, EpochError> {
    let dir = || storage.describe(Dir::Snapshot);
    // A database that trusts nothing is at -1, of which Java takes the epoch -1.
    let of_history = (last_zxid >> 32).max(0);
    let stored_current = read(storage, CURRENT)?;
    let stored_accepted = read(storage, ACCEPTED)?;
    let mut current = stored_current.unwrap_or(of_history);
    if of_history > current {
        current = interrupted(storage, of_history)?.ok_or_else(|| EpochError::HistoryAhead {
            dir: dir(),
            current,
            last_zxid,
            epoch: of_history,
        })?;
    }
    let accepted = stored_accepted.unwrap_or(of_history);
    if accepted < current {
        let from = if stored_accepted.is_some() { "" } else { " (missing; taken from the last transaction)" };
        return Err(EpochError::AcceptedBehind { dir: dir(), accepted, current, from });
    }
    if repair {
        if stored_accepted.is_none() {
            save_accepted_epoch(storage, accepted).map_err(failed(storage, ACCEPTED))?;
        }
        if stored_current != Some(current) {
            save_current_epoch(storage, current).map_err(failed(storage, CURRENT))?;
        }
    }
    Ok(Epochs { accepted, current })
}

/// What `currentEpoch` was about to become when its server stopped, if that can be told.
fn interrupted<S: Storage>(storage: &S, of_history: i64) -> Result<Option<i64>, EpochError> {
    match read(storage, CURRENT_TMP) {
        Ok(Some(epoch)) if epoch >= of_history => return Ok(Some(epoch)),
        // Its own write was cut short, or it is left from an earlier epoch. It is written behind the history.
        Ok(Some(_)) | Err(EpochError::NotAnEpoch { .. }) => return Ok(Some(of_history)),
        Ok(None) => {}
        Err(error) => return Err(error),
    }
    let announced = exists(storage, UPDATING).map_err(failed(storage, UPDATING))?;
    Ok(announced.then_some(of_history))
}

fn failed<S: Storage>(storage: &S, file: &'static str) -> impl Fn(io::Error) -> EpochError {
    move |source| EpochError::Io { file, dir: storage.describe(Dir::Snapshot), source }
}

fn exists<S: Storage>(storage: &S, name: &str) -> io::Result<bool> {
    Ok(storage.list(Dir::Snapshot)?.iter().any(|entry| entry.name == name))
}

fn contents<S: Storage>(storage: &S, name: &str) -> io::Result<Option<Vec<u8>>> {
    if !exists(storage, name)? {
        return Ok(None);
    }
    let mut bytes = vec![0; MAX_BYTES];
    let n = read_full(&mut storage.open(Dir::Snapshot, name)?, &mut bytes)?;
    bytes.truncate(n);
    Ok(Some(bytes))
}

/// The number in a file, if there is the file. Java looks at its first line only.
fn read<S: Storage>(storage: &S, name: &'static str) -> Result<Option<i64>, EpochError> {
    let Some(bytes) = contents(storage, name).map_err(failed(storage, name))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&bytes);
    let line = text.split(['\n', '\r']).next().unwrap_or_default();
    match line.parse::<i64>() {
        // What Java writes for a database that trusts nothing.
        Ok(-1) => Ok(Some(0)),
        Ok(epoch) if (0..=i64::from(i32::MAX)).contains(&epoch) => Ok(Some(epoch)),
        _ => Err(EpochError::NotAnEpoch {
            file: name,
            dir: storage.describe(Dir::Snapshot),
            found: line.to_owned(),
        }),
    }
}

/// Returns when the promise to follow `epoch` would survive a power cut: before ACKEPOCH, or before LEADERINFO.
pub fn save_accepted_epoch<S: Storage>(storage: &S, epoch: i64) -> io::Result<()> {
    save(storage, ACCEPTED_TMP, ACCEPTED, epoch)
}

/// Says that the history is about to reach the disk of an epoch newer than `currentEpoch`: before the first of its
/// transactions is logged, or an installed snapshot is written is called. [`save_current_epoch`] ends it.
pub fn announce_epoch<S: Storage>(storage: &S) -> io::Result<()> {
    if exists(storage, CURRENT_TMP)? {
        // It spoke of an earlier history, and must not be taken for a claim about the next one.
        storage.remove(Dir::Snapshot, CURRENT_TMP)?;
    }
    if !exists(storage, UPDATING)? {
        storage.create(Dir::Snapshot, UPDATING)?.sync_data()?;
    }
    storage.sync_dir(Dir::Snapshot)
}

/// Returns when it would survive a power cut that this server holds the initial history of `epoch`, which must be
/// durable before the call: behind it, the NEWLEADER may be acknowledged.
pub fn save_current_epoch<S: Storage>(storage: &S, epoch: i64) -> io::Result<()> {
    save(storage, CURRENT_TMP, CURRENT, epoch)?;
    if exists(storage, UPDATING)? {
        // If the removal is lost, the file says nothing: the history is not ahead any more.
        storage.remove(Dir::Snapshot, UPDATING)?;
    }
    Ok(())
}

fn save<S: Storage>(storage: &S, tmp: &str, name: &str, epoch: i64) -> io::Result<()> {
    let tmp = if has(Bug::EpochFileInPlace) { name } else { tmp };
    let mut file = storage.create(Dir::Snapshot, tmp)?;
    file.write_all(epoch.to_string().as_bytes())?;
    file.sync_data()?;
    if tmp != name {
        storage.rename(Dir::Snapshot, tmp, name)?;
    }
    storage.sync_dir(Dir::Snapshot)
}
