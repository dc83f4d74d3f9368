//! Snapshots written from a frozen view through the journal, against the model and against captured bytes.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use journal::{
    Compression, Dir, Entry, SnapshotOptions, SnapshotWriter, Storage, StorageFile, read_snapshot,
};
use model::Model;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use support::{Pair, acl, assert_same, put_create};
use tree::{Rules, Tree};
use wire::OpCode;
use wire::data::OwnerRules;
use wire::jute::{Limits, Put};

type Bytes = Rc<RefCell<Vec<u8>>>;

/// Files in memory, without faults.
#[derive(Clone, Default)]
struct Memory(Rc<RefCell<BTreeMap<String, Bytes>>>);

struct MemoryFile(Bytes, usize);

impl StorageFile for MemoryFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.0.borrow();
        let n = into.len().min(bytes.len() - self.1);
        into[..n].copy_from_slice(&bytes[self.1..self.1 + n]);
        self.1 += n;
        Ok(n)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.1 = to as usize;
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.0.borrow_mut();
        file.truncate(self.1);
        file.extend_from_slice(bytes);
        self.1 += bytes.len();
        Ok(())
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.borrow_mut().resize(bytes as usize, 0);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        let files = self.0.borrow();
        let entry =
            |(name, b): (&String, &Bytes)| Entry { name: name.clone(), bytes: b.borrow().len() as u64 };
        Ok(files.iter().map(entry).collect())
    }

    fn open(&self, _: Dir, name: &str) -> io::Result<MemoryFile> {
        let bytes = self.0.borrow().get(name).cloned().ok_or(io::ErrorKind::NotFound)?;
        Ok(MemoryFile(bytes, 0))
    }

    fn create(&self, dir: Dir, name: &str) -> io::Result<MemoryFile> {
        self.0.borrow_mut().insert(name.into(), Bytes::default());
        self.open(dir, name)
    }

    fn rename(&self, _: Dir, from: &str, to: &str) -> io::Result<()> {
        let bytes = self.0.borrow_mut().remove(from).ok_or(io::ErrorKind::NotFound)?;
        self.0.borrow_mut().insert(to.into(), bytes);
        Ok(())
    }

    fn remove(&self, _: Dir, name: &str) -> io::Result<()> {
        self.0.borrow_mut().remove(name);
        Ok(())
    }

    fn sync_dir(&self, _: Dir) -> io::Result<()> {
        Ok(())
    }
}

const RULES: Rules =
    Rules { owners: OwnerRules { extended_types: true, emulate_353_ttl: false }, digest: true, hash_seed: 3 };

/// Writes the view that is on, `slots` at a time, with `between` run before each piece.
fn write(
    tree: &mut Tree,
    header: &tree::FrozenHeader,
    options: SnapshotOptions,
    slots: u32,
    mut between: impl FnMut(&mut Tree),
) -> (Memory, String) {
    let storage = Memory::default();
    let mut writer = SnapshotWriter::begin(&storage, header, options).unwrap();
    loop {
        between(tree);
        let mut bytes = Vec::new();
        let more = tree.read_frozen(slots, |node| {
            SnapshotWriter::<MemoryFile>::encode_node(&node, &mut bytes);
            true
        });
        writer.write(&bytes).unwrap();
        if !more {
            break;
        }
    }
    tree.thaw();
    let name = writer.finish(&storage).unwrap();
    (storage, name)
}

fn options(compression: Compression) -> SnapshotOptions {
    SnapshotOptions { compression, digest: true, last_zxid: true }
}

fn create(pair: &mut Pair, session: i64, path: &str, data: &[u8], list: u8, ephemeral: bool) {
    let mut b = Vec::new();
    put_create(&mut b, path, Some(data), &acl(list));
    b.put_bool(ephemeral);
    b.put_i32(-1);
    pair.apply(session, OpCode::Create.code(), &b);
}

fn path_only(pair: &mut Pair, op: OpCode, path: &str) {
    let mut b = Vec::new();
    b.put_ustring(path);
    pair.apply(1, op.code(), &b);
}

fn populated() -> Pair {
    let mut pair = Pair::new(Tree::new(RULES), Model::new(RULES.owners));
    pair.apply(7, OpCode::CreateSession.code(), &4000i32.to_be_bytes());
    for i in 0..40u8 {
        create(&mut pair, 7, &format!("/n{i}"), &vec![i; usize::from(i) * 50], i, i % 3 == 1);
        if i % 3 == 0 {
            create(&mut pair, 7, &format!("/n{i}/below"), b"", i + 1, false);
        }
    }
    for i in [5u8, 8, 11] {
        path_only(&mut pair, OpCode::Delete, &format!("/n{i}"));
    }
    pair
}

#[test]
fn a_snapshot_taken_during_changes_loads_to_the_frozen_state() {
    for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
        let mut pair = populated();
        let then = pair.model.clone();
        let header = pair.tree.freeze();
        let mut piece = 0;
        // `write` borrows the tree, so the changes go through a pair that shares it for the moment.
        let mut model = pair.model.clone();
        let (storage, name) = write(&mut pair.tree, &header, options(compression), 5, |tree| {
            let mut p = Pair::new(std::mem::replace(tree, Tree::new(RULES)), model.clone());
            path_only(&mut p, OpCode::Delete, &format!("/n{}", 39 - piece));
            create(&mut p, 7, &format!("/later{piece}"), b"new", piece as u8, false);
            piece += 1;
            model = p.model;
            *tree = p.tree;
        });
        assert!(piece > 8, "the view was read in pieces");
        let (loaded, tail) =
            read_snapshot(&storage, &name, then.last_zxid, RULES, Limits::default()).unwrap();
        assert_same(&loaded, &then);
        assert_eq!(tail.last_zxid, Some(then.last_zxid));
        assert_eq!(tail.digest.map(|(zxid, d)| (zxid, d.tree_digest)), Some((then.last_zxid, then.digest())));
        assert_same(&pair.tree, &model);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap()).collect()
}

/// `snapshot.0` of a new standalone Apache ZooKeeper 3.9 (quorum-and-disk §10).
fn captured_fresh() -> Vec<u8> {
    let zeros = |n: usize| vec![0u8; n];
    let mut b = hex("5a4b534e 00000002 ffffffffffffffff 00000000 00000001 0000000000000001 00000001");
    b.extend(hex("00000001 00000005 776f726c64 00000006 616e796f6e65"));
    b.extend(hex("00000000 00000000 ffffffffffffffff"));
    b.extend(zeros(60));
    b.extend(hex("0000000a 2f7a6f6f6b6565706572 00000000 ffffffffffffffff"));
    b.extend(zeros(60));
    b.extend(hex("00000011 2f7a6f6f6b65657065722f636f6e666967 00000000 0000000000000001"));
    b.extend(zeros(40));
    b.extend(hex("ffffffff"));
    b.extend(zeros(16));
    b.extend(hex("00000010 2f7a6f6f6b65657065722f71756f7461 00000000 ffffffffffffffff"));
    b.extend(zeros(60));
    b.extend(hex("00000001 2f 00000000b8a23b49 00000001 2f"));
    b.extend(hex("0000000000000000 00000002 0000000000000000 0000000095b93d59 00000001 2f"));
    b.extend(hex("0000000000000000 00000000bde83f6d 00000001 2f"));
    b
}

#[test]
fn the_fresh_snapshot_is_the_captured_one() {
    let expected = captured_fresh();
    assert_eq!(expected.len(), 478);
    let mut tree = Tree::new(RULES);
    let header = tree.freeze();
    let (storage, name) = write(&mut tree, &header, options(Compression::None), 100, |_| {});
    assert_eq!(name, "snapshot.0");
    let written = storage.0.borrow()[&name].borrow().clone();
    assert_eq!(written, expected);
}

#[test]
fn the_captured_fresh_snapshot_loads_without_complaint() {
    let storage = Memory::default();
    storage.create(Dir::Snapshot, "snapshot.0").unwrap().write_all(&captured_fresh()).unwrap();
    let options =
        journal::RecoverOptions { rules: RULES, limits: Limits::default(), trust_empty: false, repair: true };
    let recovered = journal::recover(&storage, &options).unwrap();
    assert_eq!(recovered.report.warnings, [""; 0]);
    assert_same(&recovered.tree, &Model::new(RULES.owners));
}

/// quorum-and-disk §5, §10: the digests that Apache ZooKeeper shows.
#[test]
fn digests_are_the_captured_ones() {
    let mut pair = Pair::new(Tree::new(RULES), Model::new(RULES.owners));
    assert_eq!((pair.tree.digest(), pair.model.digest()), (0x51c6_d660, 0x51c6_d660));
    pair.apply(1, OpCode::CreateSession.code(), &10000i32.to_be_bytes());
    let bytes = hex(
        "0100000edb320000 00000001 0000000000000002 000001a1f796aebd 00000001 00000002 2f61  00000002 6869
         00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 00 00000001 00000002 000000013f3d1cb4",
    );
    let record = wire::txn::TxnRecord::decode(&bytes, Limits::default()).unwrap();
    pair.tree.apply(&record, &mut Vec::new());
    pair.model.apply(&record);
    assert_eq!((pair.tree.digest(), pair.model.digest()), (0x1_3f3d_1cb4, 0x1_3f3d_1cb4));
    pair.assert_same();
}
