//! What the journal needs of a disk.

use std::io;

/// The two folders of a database. They may be the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dir {
    /// `dataLogDir/version-2`
    Log,
    /// `dataDir/version-2`
    Snapshot,
}

/// A file in one of the folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: String,
    pub bytes: u64,
}

/// Blocking access to the database's folders. Errors are the system's own; nothing is retried here.
pub trait Storage {
    type File: StorageFile;

    /// Whether both folders are one and the same.
    fn same_dir(&self) -> bool;

    /// The folder as a person would name it, for messages.
    fn describe(&self, dir: Dir) -> String;

    fn list(&self, dir: Dir) -> io::Result<Vec<Entry>>;

    /// Opens for reading and writing at the beginning.
    fn open(&self, dir: Dir, name: &str) -> io::Result<Self::File>;

    /// Creates an empty file, emptying one that exists. The name is durable after [`Storage::sync_dir`].
    fn create(&self, dir: Dir, name: &str) -> io::Result<Self::File>;

    fn rename(&self, dir: Dir, from: &str, to: &str) -> io::Result<()>;

    fn remove(&self, dir: Dir, name: &str) -> io::Result<()>;

    /// Makes the folder's entries durable.
    fn sync_dir(&self, dir: Dir) -> io::Result<()>;
}

/// An open file with a position that reading and writing move.
pub trait StorageFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize>;

    /// Moves the position, counted from the beginning.
    fn seek(&mut self, to: u64) -> io::Result<()>;

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Sets the length; a longer file reads as zeros there.
    fn set_len(&mut self, bytes: u64) -> io::Result<()>;

    /// Makes contents and length durable.
    fn sync_data(&mut self) -> io::Result<()>;
}

/// Reads until `into` is full or the file ends.
pub(crate) fn read_full(file: &mut impl StorageFile, into: &mut [u8]) -> io::Result<usize> {
    let mut got = 0;
    while got < into.len() {
        match file.read(&mut into[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}
