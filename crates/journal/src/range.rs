//! Which part of the history the log files hold, and reading a part of it while the writer goes on: what a leader
//! sends to a learner that is too far behind for its memory (quorum-and-disk §2.6 row 5).
//!
//! A range is served only if it is certain to be one piece of one history; on any doubt the learner gets a SNAP:
//! * Every transaction must follow the one before ([`follows`]): a gap would be passed on (ZOOKEEPER-4925).
//! * Where the epoch changes, the numbers prove nothing: between the end of one file and the next, this server may have
//!   taken a SNAP and left a dead branch behind (ZOOKEEPER-2846). Such a step counts only from [`LogRanges::floor`]
//!   on: recovery went over it itself, or this process wrote it.

use crate::log_reader::{LogError, LogFile, LogItem};
use crate::mark;
use crate::order::{crosses_epoch, follows};
use crate::storage::{Dir, Storage};
use planted::{Bug, has};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// One log file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRange {
    pub name: Arc<str>,
    /// Of its first record.
    pub first_zxid: i64,
    /// What it takes on the disk, or what is written of it where that is known.
    pub bytes: u64,
}

/// Keeps files from being purged; see [`LogRanges::pin`].
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pin(u64);

/// The log files in order, in memory. Recovery builds it; whoever owns the writer tells it of every new file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogRanges {
    files: Vec<LogRange>,
    floor: i64,
    pins: BTreeMap<u64, i64>,
    next_pin: u64,
}

impl LogRanges {
    /// No files; what is written from now on follows `floor`: after [`install`](crate::install()).
    pub fn new(floor: i64) -> LogRanges {
        LogRanges { floor, ..LogRanges::default() }
    }

    pub(crate) fn found(files: Vec<LogRange>, floor: i64) -> LogRanges {
        LogRanges { files, floor, ..LogRanges::default() }
    }

    /// Tells of the file that the writer is at, and how much of it is written: at each roll at least
    /// (see [`LogWriter::file`](crate::LogWriter::file)).
    pub fn written(&mut self, first_zxid: i64, bytes: u64) {
        match self.files.iter_mut().rfind(|file| file.first_zxid == first_zxid) {
            Some(file) => file.bytes = bytes,
            None => {
                let name = crate::names::log(first_zxid).into();
                self.files.push(LogRange { name, first_zxid, bytes });
            }
        }
    }

    /// Forgets what [`truncate`](crate::truncate()) removed behind `keep`.
    pub fn truncated(&mut self, keep: i64) {
        self.files.retain(|file| file.first_zxid <= keep);
    }

    /// Forgets removed files.
    pub fn forget<'n>(&mut self, names: impl IntoIterator<Item = &'n str>) {
        for name in names {
            self.files.retain(|file| *file.name != *name);
        }
    }

    pub fn files(&self) -> &[LogRange] {
        &self.files
    }

    /// The first transaction that the files hold.
    pub fn first_zxid(&self) -> Option<i64> {
        self.files.first().map(|file| file.first_zxid)
    }

    /// From where on steps into a later epoch are known to be right.
    pub fn floor(&self) -> i64 {
        self.floor
    }

    /// The files that hold what comes after `after`, up to `through`; the first may begin before.
    pub fn between(&self, after: i64, through: i64) -> &[LogRange] {
        let start = self.files.iter().rposition(|file| file.first_zxid <= after).unwrap_or(0);
        let end = self.files.iter().position(|file| file.first_zxid > through).unwrap_or(self.files.len());
        &self.files[start.min(end)..end]
    }

    /// Their bytes, to weigh a DIFF against a SNAP.
    pub fn bytes(&self, after: i64, through: i64) -> u64 {
        self.between(after, through).iter().map(|file| file.bytes).sum()
    }

    /// Keeps what comes after `after` from being purged, until [`LogRanges::unpin`].
    pub fn pin(&mut self, after: i64) -> Pin {
        self.next_pin += 1;
        self.pins.insert(self.next_pin, after);
        Pin(self.next_pin)
    }

    /// Moves a pin forward as its reader goes on.
    pub fn move_pin(&mut self, pin: &Pin, after: i64) {
        if let Some(at) = self.pins.get_mut(&pin.0) {
            *at = after;
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "a pin is gone after this")]
    pub fn unpin(&mut self, pin: Pin) {
        self.pins.remove(&pin.0);
    }

    /// The position behind which somebody reads: for [`purge_behind`](crate::purge_behind).
    pub fn lowest_pin(&self) -> Option<i64> {
        self.pins.values().min().copied()
    }
}

/// Why a range cannot be served. The learner gets a SNAP.
#[derive(Debug, Error)]
pub enum RangeError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{file}: {source}")]
    Log { file: String, source: LogError },
    #[error("{file} holds a record without a header")]
    NoHeader { file: String },
    #[error("{file}: {zxid:#x} does not follow {position:#x}")]
    Gap { file: String, position: i64, zxid: i64 },
    #[error(
        "{file}: whether {zxid:#x} follows {position:#x} is not certain: this server's snapshot is newer than the latter"
    )]
    Unproven { file: String, position: i64, zxid: i64 },
    #[error("the log files end at {position:#x}, before {through:#x}")]
    Ends { position: i64, through: i64 },
}

/// Reads records in order, beginning behind a zxid.
pub struct LogCursor<S: Storage> {
    storage: S,
    files: Vec<LogRange>,
    /// Of the next file to open.
    next_file: usize,
    open: Option<LogFile<S::File>>,
    /// The last record given out, or what the range begins behind.
    position: i64,
    through: i64,
    floor: i64,
    limit: usize,
    preceding: Option<i64>,
    payload: Vec<u8>,
    /// Whether `payload` is the next record, which opening the cursor has already met.
    met: Option<i64>,
}

impl<S: Storage> LogCursor<S> {
    /// Finds the place behind `after`. Everything up to `through` must be durable; nothing beyond is looked at, so
    /// the writer may go on meanwhile. `limit` bounds a record, as in recovery. Pin the range first.
    pub fn open(
        storage: S,
        ranges: &LogRanges,
        after: i64,
        through: i64,
        limit: usize,
    ) -> Result<Self, RangeError> {
        let mut cursor = LogCursor {
            storage,
            files: ranges.between(after, through).to_vec(),
            next_file: 0,
            open: None,
            position: after,
            through,
            floor: ranges.floor,
            limit,
            preceding: None,
            payload: Vec::new(),
            met: None,
        };
        if after < through {
            cursor.skip(after)?;
        }
        Ok(cursor)
    }

    /// Reads to the first record behind `after`.
    fn skip(&mut self, after: i64) -> Result<(), RangeError> {
        loop {
            let zxid = self.read()?;
            if zxid > after {
                self.met = Some(zxid);
                return Ok(());
            }
            self.preceding = Some(zxid);
        }
    }

    /// The last record of the files that is not behind the place where this began: equal to it if the log knows it.
    /// Where it differs, the learner has something that this server has not, and must go back to this.
    pub fn preceding(&self) -> Option<i64> {
        self.preceding
    }

    /// Begins behind [`LogCursor::preceding`] instead, for a learner that is told to go back to it.
    pub fn rewind_to_preceding(&mut self) {
        self.position = self.preceding.unwrap_or(self.position);
    }

    /// The zxid and payload (header, transaction, digest) of the next record, or `None` behind `through`.
    #[allow(clippy::should_implement_trait, reason = "it lends from itself, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<(i64, &[u8])>, RangeError> {
        if self.position >= self.through {
            return Ok(None);
        }
        let zxid = match self.met.take() {
            Some(zxid) => zxid,
            None => self.read()?,
        };
        self.check(zxid)?;
        self.position = zxid;
        Ok(Some((zxid, &self.payload)))
    }

    fn check(&self, zxid: i64) -> Result<(), RangeError> {
        let position = self.position;
        let file = || self.file_name();
        if !follows(position, zxid) || zxid > self.through {
            return Err(RangeError::Gap { file: file(), position, zxid });
        }
        if crosses_epoch(position, zxid) && position < self.floor {
            return Err(RangeError::Unproven { file: file(), position, zxid });
        }
        Ok(())
    }

    fn file_name(&self) -> String {
        self.files[self.next_file - 1].name.as_ref().into()
    }

    /// Reads the next record of the files into `payload`.
    fn read(&mut self) -> Result<i64, RangeError> {
        loop {
            let Some(log) = &mut self.open else {
                self.open_next()?;
                continue;
            };
            match log.next() {
                Ok(LogItem::Record(payload)) => {
                    self.payload.clear();
                    let bare = if has(Bug::MarksTravel) { payload } else { mark::unmarked(payload) };
                    self.payload.extend_from_slice(bare);
                    return zxid_of(payload).ok_or_else(|| RangeError::NoHeader { file: self.file_name() });
                }
                Ok(LogItem::End { .. }) => self.open = None,
                Err(source) => return Err(RangeError::Log { file: self.file_name(), source }),
            }
        }
    }

    fn open_next(&mut self) -> Result<(), RangeError> {
        let Some(file) = self.files.get(self.next_file) else {
            return Err(RangeError::Ends { position: self.position, through: self.through });
        };
        self.next_file += 1;
        let opened = self.storage.open(Dir::Log, &file.name)?;
        let log = LogFile::open(opened, self.limit);
        self.open = Some(log.map_err(|source| RangeError::Log { file: self.file_name(), source })?);
        Ok(())
    }
}

fn zxid_of(payload: &[u8]) -> Option<i64> {
    wire::txn::TxnHeader::decode(&mut wire::Reader::new(payload)).ok().map(|header| header.zxid)
}
