//! A database in memory, and short ways to fill it.
#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test file uses its own part")]

use journal::{
    Compression, Dir, Entry, LogOptions, LogWriter, SnapshotOptions, SnapshotWriter, Storage, StorageFile,
};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use tree::Tree;
use wire::data::{AclList, OPEN_ACL};
use wire::file::{begin_record, finish_record};
use wire::jute::Put;
use wire::txn::{CreateKind, CreateTxn, Txn, TxnDigest, TxnHeader, TxnRecord};

type Bytes = Rc<RefCell<Vec<u8>>>;

/// One folder for logs and snapshots.
#[derive(Clone, Default)]
pub struct Memory {
    files: Rc<RefCell<BTreeMap<String, Bytes>>>,
}

pub struct MemoryFile {
    bytes: Bytes,
    at: usize,
}

impl Storage for Memory {
    type File = MemoryFile;

    fn same_dir(&self) -> bool {
        true
    }

    fn describe(&self, _: Dir) -> String {
        "memory".into()
    }

    fn list(&self, _: Dir) -> io::Result<Vec<Entry>> {
        let files = self.files.borrow();
        let entry = |(name, bytes): (&String, &Bytes)| Entry {
            name: name.clone(),
            bytes: bytes.borrow().len() as u64,
        };
        Ok(files.iter().map(entry).collect())
    }

    fn open(&self, _: Dir, name: &str) -> io::Result<MemoryFile> {
        let found = self.files.borrow().get(name).cloned();
        Ok(MemoryFile { bytes: found.ok_or(io::ErrorKind::NotFound)?, at: 0 })
    }

    fn create(&self, _: Dir, name: &str) -> io::Result<MemoryFile> {
        let bytes = Bytes::default();
        self.files.borrow_mut().insert(name.into(), bytes.clone());
        Ok(MemoryFile { bytes, at: 0 })
    }

    fn rename(&self, _: Dir, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.files.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.files.borrow_mut().insert(to.into(), bytes);
        Ok(())
    }

    fn remove(&self, _: Dir, name: &str) -> io::Result<()> {
        self.files.borrow_mut().remove(name).map(drop).ok_or(io::ErrorKind::NotFound.into())
    }

    fn sync_dir(&self, _: Dir) -> io::Result<()> {
        Ok(())
    }
}

impl StorageFile for MemoryFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.bytes.borrow();
        let rest = &bytes[self.at.min(bytes.len())..];
        let n = rest.len().min(into.len());
        into[..n].copy_from_slice(&rest[..n]);
        self.at += n;
        Ok(n)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.at = to as usize;
        Ok(())
    }

    fn write_all(&mut self, new: &[u8]) -> io::Result<()> {
        let mut bytes = self.bytes.borrow_mut();
        let end = self.at + new.len();
        if bytes.len() < end {
            bytes.resize(end, 0);
        }
        bytes[self.at..end].copy_from_slice(new);
        self.at = end;
        Ok(())
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.bytes.borrow_mut().resize(len as usize, 0);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Memory {
    /// Changes a file's bytes.
    pub fn edit(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        change(&mut self.files.borrow()[name].borrow_mut());
    }

    pub fn names(&self) -> Vec<String> {
        self.files.borrow().keys().cloned().collect()
    }
}

pub const SESSION: i64 = 0x0100_0000_0000_0001;

/// A tree, and the files that a server would write along with it.
pub struct Database {
    pub storage: Memory,
    pub tree: Tree,
    log: LogWriter<Memory>,
    zxid: i64,
}

impl Default for Database {
    fn default() -> Self {
        let storage = Memory::default();
        let log =
            LogWriter::new(storage.clone(), LogOptions { prealloc_bytes: 4096, ..LogOptions::default() });
        Database { tree: Tree::new(tools::reading().rules), storage, log, zxid: 0 }
    }
}

impl Database {
    /// With the snapshot of the empty tree that every server writes first.
    pub fn new() -> Database {
        let mut database = Database::default();
        database.snapshot(Compression::None, true, true);
        database
    }

    /// Applies and logs a transaction with its digest.
    pub fn txn(&mut self, txn: Txn<'_>) -> i64 {
        self.zxid += 1;
        let header = TxnHeader {
            session_id: SESSION,
            cxid: 7,
            zxid: self.zxid,
            time_ms: 1_795_163_433_218,
            op: txn.op().code(),
        };
        let mut record = TxnRecord { header, txn, digest: None };
        self.tree.apply(&record, &mut Vec::new());
        self.tree.sweep();
        let is_error = matches!(record.txn, Txn::Error { .. });
        record.digest =
            (!is_error).then_some(TxnDigest { version: TxnDigest::VERSION, tree_digest: self.tree.digest() });
        let mut payload = Vec::new();
        record.encode(&mut payload);
        self.raw(&payload)
    }

    /// Logs a payload as it is; it has the database's present zxid.
    pub fn raw(&mut self, payload: &[u8]) -> i64 {
        let mut bytes = Vec::new();
        let start = begin_record(&mut bytes);
        bytes.extend_from_slice(payload);
        finish_record(&mut bytes, start);
        self.log.append(self.zxid, &bytes).unwrap();
        self.log.sync().unwrap();
        self.zxid
    }

    /// Moves the zxid on, for [`Database::raw`].
    pub fn next_zxid(&mut self) -> i64 {
        self.zxid += 1;
        self.zxid
    }

    pub fn roll(&mut self) {
        self.log.roll().unwrap();
    }

    pub fn create(&mut self, path: &str, kind: CreateKind) -> i64 {
        self.create_with(path, b"data", kind)
    }

    pub fn create_with(&mut self, path: &str, data: &[u8], kind: CreateKind) -> i64 {
        self.txn(Txn::Create(create(path, data, kind)))
    }

    pub fn snapshot(&mut self, compression: Compression, digest: bool, last_zxid: bool) -> String {
        let options = SnapshotOptions { compression, digest, last_zxid };
        let header = self.tree.freeze();
        let mut writer = SnapshotWriter::begin(&self.storage, &header, options).unwrap();
        let mut bytes = Vec::new();
        self.tree.read_frozen(u32::MAX, |node| {
            SnapshotWriter::<MemoryFile>::encode_node(&node, &mut bytes);
            true
        });
        writer.write(&bytes).unwrap();
        self.tree.thaw();
        writer.finish(&self.storage).unwrap()
    }
}

pub const PLAIN: CreateKind = CreateKind::Plain { ephemeral: false, with_stat: false };
pub const PLAIN2: CreateKind = CreateKind::Plain { ephemeral: false, with_stat: true };
pub const EPHEMERAL: CreateKind = CreateKind::Plain { ephemeral: true, with_stat: false };

pub fn create<'a>(path: &'a str, data: &'a [u8], kind: CreateKind) -> CreateTxn<'a> {
    let acl = AclList::from_encoded(OPEN_ACL);
    CreateTxn { path: path.into(), data: Some(data), acl, kind, parent_cversion: -1 }
}

/// The record of a multi of these parts.
pub fn multi(parts: &[Txn<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_count(parts.len());
    for part in parts {
        let mut body = Vec::new();
        part.encode(&mut body);
        out.put_i32(part.op().code());
        out.put_buffer(Some(&body));
    }
    out
}
