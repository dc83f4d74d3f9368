//! Reading one log file record by record, and telling how it ends.
//!
//! A log normally ends in zeros. It may also end in a batch whose write was cut short, of which any sectors may be
//! missing; that is harmless: nobody was told that it is durable. Damage is something else: a record that was whole
//! and durable once. A record that is not whole counts as torn only if
//! 1. it is not one flipped bit from being whole, and
//! 2. nothing but zeros follows from before its trailer on, or a sector of it reads as never written (`torn`) and
//! 3. no later record says that the file was durable beyond it (`mark`).
//!
//! Files of other writers have no marks; there, whole records farther behind than one batch reaches are the proof.

use crate::mark;
use crate::storage::{StorageFile, read_full};
use crate::torn::{SECTOR, lost_sector, one_bit_from_whole, to_sector_end};
use std::io;
use thiserror::Error;
use wire::file::{self, FileHeader, LOG_MAGIC, RecordAt};
use wire::{DecodeError, Reader};

const CHUNK: usize = 1 << 20;
/// Without marks: more than this is not in flight at once.
const UNMARKED_BATCH_BYTES: u64 = 4 << 20;
/// A record found behind one that is not whole is believed if it is at most this far ahead: some epochs.
const PROBE_ZXIDS: u64 = 1 << 40;

/// What stands next in the file.
#[derive(Debug, PartialEq, Eq)]
pub enum LogItem<'a> {
    /// The payload of a whole record.
    Record(&'a [u8]),
    /// The end. `torn_at` is where a record begins whose write was cut short.
    End { torn_at: Option<u64> },
}

#[derive(Debug, Error)]
pub enum LogError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is empty")]
    Empty,
    #[error("its header is incomplete ({0} of 16 bytes)")]
    ShortHeader(usize),
    #[error("it does not begin with ZKLG but with {0:08x}: it is no transaction log")]
    BadMagic(i32),
    #[error(
        "the record at byte {offset} is damaged ({what}): it was whole once, so this is no interrupted write"
    )]
    Damaged { offset: u64, what: &'static str },
    #[error("the record at byte {offset} cannot be understood: {source}")]
    Undecodable { offset: u64, source: DecodeError },
}

/// A log file being read.
pub struct LogFile<F: StorageFile> {
    file: F,
    buffer: Vec<u8>,
    /// Start of what has not been given out.
    at: usize,
    /// Position of `buffer[0]` in the file.
    base: u64,
    at_eof: bool,
    limit: usize,
    /// Of the last whole record.
    zxid: Option<i64>,
    /// The last durable position that a mark told of, if the file's writer leaves marks.
    mark: Option<u64>,
}

impl<F: StorageFile> LogFile<F> {
    /// Checks the header. `limit` bounds one record: the reader's `jute.maxbuffer` plus extra size.
    pub fn open(file: F, limit: usize) -> Result<Self, LogError> {
        let mut log = LogFile {
            file,
            buffer: Vec::new(),
            at: 0,
            base: 0,
            at_eof: false,
            limit,
            zxid: None,
            mark: None,
        };
        log.fill(FileHeader::ENCODED_BYTES)?;
        let have = log.buffer.len().min(FileHeader::ENCODED_BYTES);
        match FileHeader::decode(&mut Reader::new(&log.buffer)) {
            _ if have == 0 => Err(LogError::Empty),
            Err(_) => Err(LogError::ShortHeader(have)),
            Ok(header) if header.magic != LOG_MAGIC => {
                // The header is durable before the first record is written: nothing but zeros is a file whose
                // creation was cut short, zeros with something behind them are not.
                if log.skip_zeros()? { Err(LogError::Empty) } else { Err(LogError::BadMagic(header.magic)) }
            }
            Ok(_) => {
                log.at = FileHeader::ENCODED_BYTES;
                Ok(log)
            }
        }
    }

    /// Where the next record begins.
    pub fn position(&self) -> u64 {
        self.base + self.at as u64
    }

    /// From where on the records that end at `end` may not be durable: what the last sync wrote, of which no mark
    /// tells yet.
    pub fn doubtful_from(&self, end: u64) -> u64 {
        self.mark.unwrap_or(end.saturating_sub(UNMARKED_BATCH_BYTES))
    }

    /// Has at least `n` bytes after `at` unless the file ends before.
    fn fill(&mut self, n: usize) -> io::Result<()> {
        while self.buffer.len() - self.at < n && !self.at_eof {
            if self.at > CHUNK {
                self.buffer.drain(..self.at);
                self.base += self.at as u64;
                self.at = 0;
            }
            let old = self.buffer.len();
            let want = CHUNK.max(n);
            self.buffer.resize(old + want, 0);
            let got = read_full(&mut self.file, &mut self.buffer[old..])?;
            self.buffer.truncate(old + got);
            self.at_eof = got < want;
        }
        Ok(())
    }

    /// Moves to the next byte that is not zero. Whether there is none.
    fn skip_zeros(&mut self) -> io::Result<bool> {
        loop {
            self.fill(1)?;
            if let Some(n) = self.buffer[self.at..].iter().position(|b| *b != 0) {
                self.at += n;
                return Ok(false);
            }
            self.at = self.buffer.len();
            if self.at_eof {
                return Ok(true);
            }
        }
    }

    /// The next record, or how the file ends.
    #[allow(clippy::should_implement_trait, reason = "it lends from itself, which Iterator cannot")]
    pub fn next(&mut self) -> Result<LogItem<'_>, LogError> {
        self.fill(64 * 1024)?;
        loop {
            match file::read_record(&self.buffer[self.at..], self.limit) {
                RecordAt::Needs(n) if !self.at_eof => self.fill(n)?,
                RecordAt::Whole { used, .. } => {
                    let payload = self.at + 12..self.at + used - 1;
                    self.at += used;
                    let payload = &self.buffer[payload];
                    self.zxid = zxid_of(payload).or(self.zxid);
                    self.mark = mark::read(payload).or(self.mark);
                    return Ok(LogItem::Record(payload));
                }
                RecordAt::Needs(_) if self.at == self.buffer.len() => {
                    return Ok(LogItem::End { torn_at: None });
                }
                RecordAt::End => return self.end_of_zeros(),
                RecordAt::Needs(used) => return self.judge(used, "it goes beyond the end of the file"),
                RecordAt::NoTrailer { used } => return self.judge(used, "no trailer"),
                RecordAt::BadChecksum { used } => return self.judge(used, "checksum mismatch"),
                RecordAt::BadLength(_) => {
                    let (offset, what) = (self.position(), "unreasonable length");
                    return Err(LogError::Damaged { offset, what });
                }
            }
        }
    }

    /// A length of zero: the end, if nothing but zeros follows.
    fn end_of_zeros(&mut self) -> Result<LogItem<'_>, LogError> {
        let offset = self.position();
        let sector = to_sector_end(offset);
        self.fill(sector)?;
        let rest = &self.buffer[self.at..];
        if rest[..sector.min(rest.len())].iter().any(|b| *b != 0) {
            return self.judge(file::RECORD_OVERHEAD_BYTES, "a length of zero");
        }
        if self.skip_zeros()? {
            return Ok(LogItem::End { torn_at: None });
        }
        // A whole record begins with zeros, too.
        self.at = self.at.saturating_sub(file::RECORD_OVERHEAD_BYTES);
        self.look_behind(offset, "zeros where a record was")
    }

    /// A record that is not whole and claims `used` bytes.
    fn judge(&mut self, used: usize, what: &'static str) -> Result<LogItem<'_>, LogError> {
        let offset = self.position();
        self.fill(used.saturating_add(SECTOR))?;
        let rest = &self.buffer[self.at..];
        if one_bit_from_whole(rest, self.limit) {
            return Err(LogError::Damaged { offset, what });
        }
        if lost_sector(rest, offset, used) {
            self.at += 1;
            return self.look_behind(offset, what);
        }
        // A write that stopped half way (a full disk, a killed process) may end at any byte, before the trailer.
        self.at += used - 1;
        if self.skip_zeros()? {
            return Ok(LogItem::End { torn_at: Some(offset) });
        }
        Err(LogError::Damaged { offset, what })
    }

    /// Looks for proof that the record at `offset` was durable: a later mark beyond it, or (without marks) whole
    /// records too far behind to have been in flight with it.
    fn look_behind(&mut self, offset: u64, what: &'static str) -> Result<LogItem<'_>, LogError> {
        let mut farthest = offset;
        let mut marked = self.mark.is_some();
        loop {
            self.fill(self.limit + file::RECORD_OVERHEAD_BYTES)?;
            let rest = &self.buffer[self.at..];
            if rest.len() <= file::RECORD_OVERHEAD_BYTES {
                break;
            }
            if self.may_follow(rest)
                && let RecordAt::Whole { payload, used } = file::read_record(rest, self.limit)
            {
                farthest = self.base + self.at as u64;
                if let Some(durable) = mark::read(payload) {
                    marked = true;
                    if durable > offset && durable <= farthest {
                        return Err(LogError::Damaged { offset, what });
                    }
                }
                self.at += used;
            } else {
                self.at += 1;
            }
        }
        if !marked && farthest - offset > UNMARKED_BATCH_BYTES {
            return Err(LogError::Damaged { offset, what });
        }
        Ok(LogItem::End { torn_at: Some(offset) })
    }
}

impl<F: StorageFile> LogFile<F> {
    /// A look at the head, before the sum over all of it: the upper half of a checksum is zero, and the zxid goes on
    /// from the last.
    fn may_follow(&self, rest: &[u8]) -> bool {
        let Some(zxid) = rest.get(12..).and_then(zxid_of) else { return false };
        let near = |last: i64| zxid.wrapping_sub(last) as u64 <= PROBE_ZXIDS;
        rest[..4] == [0; 4] && self.zxid.is_none_or(near)
    }
}

/// The zxid of a payload.
fn zxid_of(payload: &[u8]) -> Option<i64> {
    let bytes: [u8; 8] = payload.get(12..20)?.try_into().ok()?;
    (payload.len() >= 32).then(|| i64::from_be_bytes(bytes))
}
