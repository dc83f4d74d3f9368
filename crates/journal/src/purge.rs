//! Removing what recovery no longer needs (quorum-and-disk §4.9).

use crate::names;
use crate::recover::numbered;
use crate::snapshot_reader::is_plausible;
use crate::storage::{Dir, Storage};
use std::io;

/// Names of the removed files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    pub removed: Vec<(Dir, String)>,
}

/// Keeps the `retain` newest snapshots that are whole, and every log that recovery from the oldest of them needs: the
/// one that may begin before it and reach beyond it, too (ZOOKEEPER-2574). With fewer whole snapshots, removes nothing.
pub fn purge<S: Storage>(storage: &S, retain: usize) -> io::Result<PurgeReport> {
    purge_behind(storage, retain, None)
}

/// Likewise, but keeps the logs that hold what comes after `pinned`, where somebody reads
/// ([`LogRanges::lowest_pin`](crate::LogRanges::lowest_pin)). Of what is removed,
/// [`LogRanges::forget`](crate::LogRanges::forget) must hear.
pub fn purge_behind<S: Storage>(storage: &S, retain: usize, pinned: Option<i64>) -> io::Result<PurgeReport> {
    let mut snapshots = numbered(storage, Dir::Snapshot, names::snapshot_zxid)?;
    snapshots.reverse();
    let mut kept = 0;
    let mut oldest_kept = None;
    for file in &snapshots {
        if kept < retain.max(1) && is_plausible(storage, &file.name)? {
            kept += 1;
            oldest_kept = Some(file.zxid);
        }
    }
    let mut report = PurgeReport::default();
    let Some(oldest) = oldest_kept.filter(|_| kept >= retain) else { return Ok(report) };
    let logs = numbered(storage, Dir::Log, names::log_zxid)?;
    let needed = pinned.map_or(oldest, |pinned| pinned.min(oldest));
    let reaching = logs.iter().map(|log| log.zxid).filter(|z| *z <= needed).max().unwrap_or(needed);
    let old_snapshots = snapshots.into_iter().filter(|f| f.zxid < oldest).map(|f| (Dir::Snapshot, f.name));
    let old_logs = logs.into_iter().filter(|f| f.zxid < reaching).map(|f| (Dir::Log, f.name));
    for (dir, name) in old_snapshots.chain(old_logs) {
        storage.remove(dir, &name)?;
        report.removed.push((dir, name));
    }
    Ok(report)
}
