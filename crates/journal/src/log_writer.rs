//! Writing the transaction log: append, sync, roll (quorum-and-disk §3).
//!
//! A file is named after its first record and is always begun anew, also after a restart. It is extended in large
//! steps before it is needed, so that a sync seldom has to write a new file length.

use crate::names;
use crate::storage::{Dir, Storage, StorageFile};
use std::io;
use wire::file::FileHeader;

/// A record that ends this close to the known end of the file triggers the next extension, as in Java.
const EXTEND_MARGIN: u64 = 4096;

#[derive(Debug, Clone, Copy)]
pub struct LogOptions {
    /// `zookeeper.preAllocSize` in bytes; 0 switches pre-allocation off.
    pub prealloc_bytes: u64,
    /// `zookeeper.forceSync`: false leaves durability to the system, at the operator's risk.
    pub sync: bool,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { prealloc_bytes: 64 << 20, sync: true }
    }
}

struct Open<F> {
    file: F,
    position: u64,
    known_len: u64,
    /// The folder does not yet know the file durably.
    new: bool,
}

/// Owns the log's end. After any error it must be dropped: what reached the disk is then unknown until recovery.
pub struct LogWriter<S: Storage> {
    storage: S,
    options: LogOptions,
    open: Option<Open<S::File>>,
}

impl<S: Storage> LogWriter<S> {
    pub fn new(storage: S, options: LogOptions) -> Self {
        LogWriter { storage, options, open: None }
    }

    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Appends whole records, of which the first has `first_zxid`. Not durable before [`LogWriter::sync`].
    pub fn append(&mut self, first_zxid: i64, records: &[u8]) -> io::Result<()> {
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(create(&self.storage, first_zxid)?),
        };
        extend(open, records.len() as u64, self.options.prealloc_bytes)?;
        open.file.write_all(records)?;
        open.position += records.len() as u64;
        open.known_len = open.known_len.max(open.position);
        Ok(())
    }

    /// Returns when everything appended is durable.
    pub fn sync(&mut self) -> io::Result<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if !self.options.sync {
            return Ok(());
        }
        open.file.sync_data()?;
        if open.new {
            self.storage.sync_dir(Dir::Log)?;
            open.new = false;
        }
        Ok(())
    }

    /// Bytes written to the present file.
    pub fn file_bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |o| o.position)
    }

    /// Ends the present file; the next record begins another. Call after [`LogWriter::sync`].
    pub fn roll(&mut self) -> io::Result<()> {
        if let Some(mut open) = self.open.take()
            && self.options.sync
        {
            open.file.sync_data()?;
        }
        Ok(())
    }
}

fn create<S: Storage>(storage: &S, first_zxid: i64) -> io::Result<Open<S::File>> {
    let mut file = storage.create(Dir::Log, &names::log(first_zxid))?;
    let mut header = Vec::with_capacity(FileHeader::ENCODED_BYTES);
    FileHeader::LOG.encode(&mut header);
    file.write_all(&header)?;
    let position = header.len() as u64;
    Ok(Open { file, position, known_len: position, new: true })
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
