//! Reading one log file record by record, and telling how it ends.
//!
//! A log normally ends in zeros. It may also end in a record whose write was cut short, which is harmless: nobody was
//! told that it is durable. Damage is something else: a record that was whole once. The two are told apart here, so
//! that a torn tail is repaired and damage is never taken for one.

use crate::storage::{StorageFile, read_full};
use std::io;
use thiserror::Error;
use wire::file::{self, FileHeader, LOG_MAGIC, RecordAt};
use wire::{DecodeError, Reader};

const CHUNK: usize = 1 << 20;
/// The smallest unit that a disk writes; a unit that was never written reads as zeros in a pre-extended file.
const SECTOR: u64 = 512;
/// An empty file record that a damaged one may be followed by is looked for over at most this many bytes.
const PROBE_LIMIT: usize = 64 << 20;

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
    #[error("the record at byte {offset} is damaged ({what}), and whole records follow it")]
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
}

impl<F: StorageFile> LogFile<F> {
    /// Checks the header. `limit` bounds one record: the reader's `jute.maxbuffer` plus extra size.
    pub fn open(file: F, limit: usize) -> Result<Self, LogError> {
        let mut log = LogFile { file, buffer: Vec::new(), at: 0, base: 0, at_eof: false, limit };
        log.fill(FileHeader::ENCODED_BYTES)?;
        let have = log.buffer.len().min(FileHeader::ENCODED_BYTES);
        match FileHeader::decode(&mut Reader::new(&log.buffer)) {
            _ if have == 0 => Err(LogError::Empty),
            Err(_) => Err(LogError::ShortHeader(have)),
            Ok(header) if header.magic != LOG_MAGIC => {
                // A header that was never written, in a file that was already extended, is a cut-short creation.
                if log.buffer.iter().all(|b| *b == 0) {
                    Err(LogError::Empty)
                } else {
                    Err(LogError::BadMagic(header.magic))
                }
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

    /// Gives the file back, its position undefined.
    pub fn into_file(self) -> F {
        self.file
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

    /// The next record, or how the file ends.
    #[allow(clippy::should_implement_trait, reason = "it lends from itself, which Iterator cannot")]
    pub fn next(&mut self) -> Result<LogItem<'_>, LogError> {
        self.fill(64 * 1024)?;
        loop {
            match file::read_record(&self.buffer[self.at..], self.limit) {
                RecordAt::Needs(n) if !self.at_eof => self.fill(n)?,
                RecordAt::Whole { used, .. } => {
                    let start = self.at;
                    self.at += used;
                    let payload = start + 12..self.at - 1;
                    return Ok(LogItem::Record(&self.buffer[payload]));
                }
                RecordAt::End => return self.end_of_zeros(),
                RecordAt::Needs(_) => {
                    let torn_at = (self.at < self.buffer.len()).then(|| self.position());
                    return Ok(LogItem::End { torn_at });
                }
                RecordAt::NoTrailer { used } => return self.judge(used, "no trailer"),
                RecordAt::BadChecksum { used } => return self.judge(used, "checksum mismatch"),
                RecordAt::BadLength(_) => return self.judge(12, "unreasonable length"),
            }
        }
    }

    /// A zero length is the end, unless something whole stands behind the zeros of an unwritten sector: that is a cut
    /// short batch whose later parts reached the disk first, and equally nothing that anybody was told of.
    fn end_of_zeros(&mut self) -> Result<LogItem<'_>, LogError> {
        self.fill(SECTOR as usize + 12)?;
        let rest = &self.buffer[self.at..];
        let torn = rest.iter().take(SECTOR as usize).any(|b| *b != 0);
        Ok(LogItem::End { torn_at: torn.then(|| self.position()) })
    }

    /// A record that is not whole: torn if one of its sectors was never written or nothing whole follows; else damaged.
    fn judge(&mut self, used: usize, what: &'static str) -> Result<LogItem<'_>, LogError> {
        let offset = self.position();
        self.fill(used.saturating_add(CHUNK).min(PROBE_LIMIT))?;
        let rest = &self.buffer[self.at..];
        if has_unwritten_sector(&rest[..used.min(rest.len())], offset)
            || !whole_record_within(rest, self.limit)
        {
            return Ok(LogItem::End { torn_at: Some(offset) });
        }
        Err(LogError::Damaged { offset, what })
    }
}

/// Whether `bytes`, which stand at `offset`, cover a whole sector, or the part of one they begin or end in, of zeros.
fn has_unwritten_sector(bytes: &[u8], offset: u64) -> bool {
    let to_boundary = ((SECTOR - offset % SECTOR) % SECTOR) as usize;
    let body = bytes.get(to_boundary..).unwrap_or(&[]);
    body.chunks(SECTOR as usize).any(|s| s.len() >= 16 && s.iter().all(|b| *b == 0))
}

/// Whether a whole, decodable record begins anywhere after the first byte.
fn whole_record_within(bytes: &[u8], limit: usize) -> bool {
    (1..bytes.len().saturating_sub(12)).any(|at| {
        // Adler-32 is stored in a long: four zero bytes, a cheap first look.
        bytes[at..at + 4] == [0; 4]
            && matches!(file::read_record(&bytes[at..], limit), RecordAt::Whole { payload, .. } if payload.len() >= 32)
    })
}
