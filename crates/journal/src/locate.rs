//! Looking for a learner's last transaction in the log, where sending what follows costs less than a dump
//! (quorum-and-disk §2.6 row 5).

use crate::names;
use crate::range::{LogCursor, LogRanges};
use crate::storage::{Dir, Storage};

/// The surroundings of a transaction in the log, which has no hole from `first` to where the search went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// The first transaction that the log holds.
    pub first: i64,
    pub at_or_before: Option<i64>,
    pub after: Option<i64>,
}

/// Looks around `last` and reads on through `end`, since all of it must be one piece. `None`: the log does not reach so
/// far, has a hole, or is larger than the newest snapshot times `size_factor` (`zookeeper.snapshotSizeFactor`; below 0,
/// the log is never used). `limit` bounds a record, in bytes.
pub fn locate<S: Storage>(
    storage: S,
    ranges: &LogRanges,
    last: i64,
    end: i64,
    size_factor: f64,
    limit: usize,
) -> Option<Surroundings> {
    if size_factor < 0.0 {
        return None;
    }
    let first = ranges.first_zxid()?;
    if first > last || ranges.bytes(last, end) as f64 > snapshot_bytes(&storage) as f64 * size_factor {
        return None;
    }
    let mut cursor = LogCursor::open(storage, ranges, last, end, limit).ok()?;
    let at_or_before = cursor.preceding();
    cursor.rewind_to_preceding();
    let mut after = None;
    while let Some((zxid, _)) = cursor.next().ok()? {
        after.get_or_insert(zxid);
    }
    Some(Surroundings { first, at_or_before, after })
}

/// The size of the newest snapshot.
fn snapshot_bytes<S: Storage>(storage: &S) -> u64 {
    let files = storage.list(Dir::Snapshot).unwrap_or_default();
    let snapshots = files.into_iter().filter_map(|f| Some((names::snapshot_zxid(&f.name)?, f.bytes)));
    snapshots.max().map_or(0, |(_, bytes)| bytes)
}
