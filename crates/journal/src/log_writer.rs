//! Writing the transaction log: append, sync, roll (quorum-and-disk §3).
//!
//! A file is named after its first record and is always begun anew, also after a restart. It is extended in large
//! steps before it is needed, so that a sync seldom has to write a new file length.

use crate::mark;
use crate::names;
use crate::storage::{Dir, Storage, StorageFile};
use planted::{Bug, has};
use std::io;
use wire::file::FileHeader;
use wire::jute::Limits;

/// A record that ends this close to the known end of the file triggers the next extension, as in Java.
const EXTEND_MARGIN: u64 = 4096;

#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// `zookeeper.preAllocSize` in bytes; 0 switches pre-allocation off.
    pub prealloc_bytes: u64,
    /// `zookeeper.forceSync`: false leaves durability to the system, at the operator's risk.
    pub sync: bool,
    /// `jute.maxbuffer` plus extra size: no record may become longer, or nobody could read it.
    pub max_record: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { prealloc_bytes: 64 << 20, sync: true, max_record: Limits::default().field_bytes }
    }
}

struct Open<F> {
    file: F,
    first_zxid: i64,
    position: u64,
    known_len: u64,
    /// Everything before this position is durable.
    durable: u64,
}

/// Owns the log's end. After any error it must be dropped: what reached the disk is then unknown until recovery.
pub struct LogWriter<S: Storage> {
    storage: S,
    options: LogOptions,
    open: Option<Open<S::File>>,
    /// Kept for its capacity.
    marked: Vec<u8>,
}

impl<S: Storage> LogWriter<S> {
    pub fn new(storage: S, options: LogOptions) -> Self {
        LogWriter { storage, options, open: None, marked: Vec::new() }
    }

    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Appends whole records, of which the first has `first_zxid`. Not durable before [`LogWriter::sync`].
    pub fn append(&mut self, first_zxid: i64, records: &[u8]) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(create(&self.storage, first_zxid, self.options.sync)?),
        };
        let mut records = records;
        if self.options.sync && open.durable == open.position {
            mark::stamp(records, open.durable, self.options.max_record, &mut self.marked);
            records = &self.marked;
        }
        extend(open, records.len() as u64, self.options.prealloc_bytes)?;
        open.file.write_all(records)?;
        open.position += records.len() as u64;
        open.known_len = open.known_len.max(open.position);
        Ok(())
    }

    /// Returns when everything appended is durable.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if has(Bug::LogNotSynced) {
            return Ok(());
        }
        if self.options.sync && open.durable < open.position {
            open.file.sync_data()?;
            open.durable = open.position;
        }
        Ok(())
    }

    /// Bytes written to the present file.
    pub fn file_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.position)
    }

    /// The present file by its first zxid, and the bytes written to it: for [`LogRanges::written`].
    ///
    /// [`LogRanges::written`]: crate::LogRanges::written
    pub fn file(&self) -> Option<(i64, u64)> {
        self.open.as_ref().map(|open| (open.first_zxid, open.position))
    }

    /// Syncs and ends the present file; the next record begins another.
    pub fn roll(&mut self) -> io::Result<()> {
        self.sync()?;
        self.open = None;
        Ok(())
    }
}

/// A new file whose header and name are durable before the first record is written, so that a file without a header
/// never holds one. A file of that name is not touched: it would hold transactions.
fn create<S: Storage>(storage: &S, first_zxid: i64, sync: bool) -> io::Result<Open<S::File>> {
    let name = names::log(first_zxid);
    if storage.list(Dir::Log)?.iter().any(|entry| entry.name == name) {
        let message =
            format!("{name} in {} exists already and would be overwritten", storage.describe(Dir::Log));
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, message));
    }
    let mut file = storage.create(Dir::Log, &name)?;
    let mut header = Vec::with_capacity(FileHeader::ENCODED_BYTES);
    FileHeader::LOG.encode(&mut header);
    file.write_all(&header)?;
    if sync {
        file.sync_data()?;
        if !has(Bug::LogFolderNotSynced) {
            storage.sync_dir(Dir::Log)?;
        }
    }
    let position = header.len() as u64;
    Ok(Open { file, first_zxid, position, known_len: position, durable: position })
}

/// Java's rule: extend when less than a margin is left, to a multiple of the step when already past the end.
fn extend<F: StorageFile>(open: &mut Open<F>, more: u64, step: u64) -> io::Result<()> {
    if step == 0 || open.position + more + EXTEND_MARGIN < open.known_len {
        return Ok(());
    }
    let wanted = open.position + more;
    let mut len = open.known_len;
    while len <= wanted + EXTEND_MARGIN {
        len = if wanted > len { (wanted + step) / step * step } else { len + step };
    }
    open.file.set_len(len)?;
    open.known_len = len;
    Ok(())
}
