//! Histories over several epochs, the states along them, and folders that hold them.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![allow(dead_code, reason = "each test uses its part")]

use journal::{
    Compression, Dir, LogOptions, LogRanges, LogWriter, SnapshotOptions, SnapshotWriter, Storage, recover,
};
use sim::SimDisk;
use sim::disk::SimFile;
use sim::run::recover_options;
use tree::Tree;
use wire::data::OPEN_ACL;
use wire::jute::{Limits, Put};
use wire::txn::{TxnDigest, TxnHeader, TxnRecord};
use wire::{OpCode, file};

pub fn at(epoch: i64, counter: i64) -> i64 {
    epoch << 32 | counter
}

/// Transactions in order: zxid, log record, digest behind it.
#[derive(Clone, Default)]
pub struct History {
    pub records: Vec<(i64, Vec<u8>, u64)>,
    salt: u8,
}

impl History {
    /// So many transactions in each of these epochs.
    pub fn of(epochs: &[(i64, i64)]) -> History {
        let mut history = History::default();
        for (epoch, count) in epochs {
            (1..=*count).for_each(|counter| history.push(at(*epoch, counter)));
        }
        history
    }

    pub fn push(&mut self, zxid: i64) {
        let mut tree = self.tree();
        let salt = self.salt;
        let (op, mut body) = (if zxid % 4 == 1 { OpCode::CreateSession } else { OpCode::Create }, Vec::new());
        if op == OpCode::CreateSession {
            body.put_i32(4000);
        } else {
            body.put_ustring(&format!("/n{zxid:x}-{salt}"));
            body.put_buffer(Some(&vec![salt + 1; 1 + (zxid as usize * 311) % 1500]));
            body.extend_from_slice(OPEN_ACL);
            body.put_bool(zxid % 5 == 0);
            body.put_i32(-1);
        }
        let header = TxnHeader {
            session_id: 77 + zxid,
            cxid: 1,
            zxid,
            time_ms: 1_700_000_000_000 + zxid,
            op: op.code(),
        };
        let mut out = Vec::new();
        let start = file::begin_record(&mut out);
        header.encode(&mut out);
        out.extend_from_slice(&body);
        let record = TxnRecord::decode(&out[start + 12..], Limits::default()).unwrap();
        tree.apply(&record, &mut Vec::new());
        TxnDigest { version: TxnDigest::VERSION, tree_digest: tree.digest() }.encode(&mut out);
        file::finish_record(&mut out, start);
        self.records.push((zxid, out, tree.digest()));
    }

    /// The tree behind the last transaction.
    pub fn tree(&self) -> Tree {
        let mut tree = Tree::new(recover_options().rules);
        for (_, record, _) in &self.records {
            let record = TxnRecord::decode(&record[12..record.len() - 1], Limits::default()).unwrap();
            tree.apply(&record, &mut Vec::new());
        }
        tree
    }

    pub fn last(&self) -> i64 {
        self.records.last().map_or(0, |(zxid, ..)| *zxid)
    }

    /// The last transaction before `zxid`.
    pub fn before(&self, zxid: i64) -> i64 {
        self.records.iter().map(|(z, ..)| *z).take_while(|z| *z < zxid).last().unwrap_or(0)
    }

    pub fn truncate(&mut self, keep: i64) {
        self.records.retain(|(zxid, ..)| *zxid <= keep);
    }

    pub fn digest_at(&self, zxid: i64) -> Option<u64> {
        if zxid == 0 {
            return Some(Tree::new(recover_options().rules).digest());
        }
        self.records.iter().find(|(z, ..)| *z == zxid).map(|(.., digest)| *digest)
    }
}

/// A history of another branch: its znodes have other names.
pub fn spread(epochs: &[(i64, i64)]) -> History {
    let mut history = History { salt: 1, ..History::default() };
    for (epoch, count) in epochs {
        (1..=*count).for_each(|counter| history.push(at(*epoch, counter)));
    }
    history
}

/// Writes a folder with this history: a new log file after `roll` transactions, a snapshot after `snapshot`.
pub fn folder(disk: &SimDisk, history: &History, roll: usize, snapshot: usize) -> LogRanges {
    let mut recovered = recover(disk, &recover_options()).unwrap();
    let mut ranges = recovered.ranges;
    write_snapshot(disk, &mut recovered.tree);
    let mut log = LogWriter::new(disk.clone(), LogOptions { prealloc_bytes: 8192, ..LogOptions::default() });
    let mut so_far = History { salt: history.salt, ..History::default() };
    for (i, record) in history.records.iter().enumerate() {
        if i > 0 && i % roll == 0 {
            log.roll().unwrap();
        }
        log.append(record.0, &record.1).unwrap();
        log.sync().unwrap();
        let (first, bytes) = log.file().unwrap();
        ranges.written(first, bytes);
        so_far.records.push(record.clone());
        if (i + 1) % snapshot == 0 {
            write_snapshot(disk, &mut so_far.tree());
        }
    }
    ranges
}

fn write_snapshot(disk: &SimDisk, tree: &mut Tree) {
    let options = SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };
    let header = tree.freeze();
    let mut writer = SnapshotWriter::begin(disk, &header, options).unwrap();
    let mut bytes = Vec::new();
    tree.read_frozen(u32::MAX, |node| {
        SnapshotWriter::<SimFile>::encode_node(&node, &mut bytes);
        true
    });
    tree.thaw();
    writer.write(&bytes).unwrap();
    writer.finish(disk).unwrap();
}

/// Zxid and digest that a recovery finds, without a warning.
pub fn recovered(disk: &SimDisk) -> Result<(i64, u64), String> {
    let found = recover(disk, &recover_options()).map_err(|e| format!("refused: {e}"))?;
    if !found.report.warnings.is_empty() {
        return Err(format!("warnings: {:?}", found.report.warnings));
    }
    Ok((found.tree.last_zxid(), found.tree.digest()))
}

/// Every file with its contents.
pub fn clean(disk: &SimDisk) -> Vec<(Dir, String, Vec<u8>)> {
    let image = disk.image();
    let files = [Dir::Log, Dir::Snapshot].into_iter().flat_map(|dir| {
        let names = disk.list(dir).unwrap().into_iter().map(|entry| entry.name);
        let files = names.map(|name| (dir, name.clone(), image.read(dir, &name).unwrap().to_vec()));
        files.collect::<Vec<_>>()
    });
    files.collect()
}

/// A snapshot with both sections, its end said to be at `ended`, with the digest there.
pub fn retail(snapshot: &[u8], ended: i64, digest: u64) -> Vec<u8> {
    let mut out = snapshot[..snapshot.len() - 33 - 21].to_vec();
    let mut with_digest = ended.to_be_bytes().to_vec();
    TxnDigest { version: TxnDigest::VERSION, tree_digest: digest }.encode(&mut with_digest);
    for section in [with_digest, ended.to_be_bytes().to_vec()] {
        out.extend_from_slice(&section);
        let sum = i64::from(simd_adler32::adler32(&&out[..]));
        out.put_i64(sum);
        out.put_ustring("/");
    }
    out
}
