//! Ranges of the log and dumps of the tree: what a leader reads to bring a learner up.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod history;

use history::{History, at, clean, folder};
use journal::{
    Compression, Dir, DumpDecoder, DumpError, Epochs, LogCursor, LogRanges, RangeError, SnapshotOptions,
    encode_dump_end, encode_node, encode_tables, install, load_epochs, purge_behind, recover,
};
use sim::disk::Image;
use sim::run::{nodes_of, recover_options};
use sim::script::Script;
use sim::{Rng, SimDisk, java, script};
use tree::Tree;
use wire::jute::Limits;
use wire::txn::TxnRecord;

const LIMIT: usize = 1 << 20;

fn read(disk: &SimDisk, ranges: &LogRanges, after: i64, through: i64) -> Result<Vec<i64>, RangeError> {
    let mut cursor = LogCursor::open(disk.clone(), ranges, after, through, LIMIT)?;
    let mut found = Vec::new();
    while let Some((zxid, payload)) = cursor.next()? {
        assert_eq!(TxnRecord::decode(payload, Limits::default()).unwrap().header.zxid, zxid);
        found.push(zxid);
    }
    Ok(found)
}

#[test]
fn any_range_is_what_the_history_has_between() {
    let history = History::of(&[(1, 9), (2, 3), (5, 8)]);
    let all: Vec<i64> = history.records.iter().map(|(zxid, ..)| *zxid).collect();
    for roll in [1, 4, 100] {
        let disk = SimDisk::new(false);
        let ranges = folder(&disk, &history, roll, 100);
        let recovered = recover(&disk, &recover_options()).unwrap().ranges;
        assert_eq!(recovered, ranges);
        for (i, after) in std::iter::once(0).chain(all.iter().copied()).enumerate() {
            for through in all.iter().copied().filter(|z| *z >= after) {
                let expected: Vec<i64> = all[i..].iter().copied().take_while(|z| *z <= through).collect();
                assert_eq!(read(&disk, &ranges, after, through).unwrap(), expected);
            }
        }
        let behind = read(&disk, &ranges, at(2, 1), at(5, 9));
        assert!(matches!(behind, Err(RangeError::Ends { .. })), "{behind:?}");
    }
}

#[test]
fn a_learner_with_something_else_is_told_where_to_go_back_to() {
    let history = History::of(&[(1, 9), (2, 3), (5, 8)]);
    let disk = SimDisk::new(false);
    let ranges = folder(&disk, &history, 4, 100);
    for (after, preceding) in [(at(1, 12), at(1, 9)), (at(2, 3), at(2, 3)), (at(3, 7), at(2, 3))] {
        let mut cursor = LogCursor::open(disk.clone(), &ranges, after, at(5, 8), LIMIT).unwrap();
        assert_eq!(cursor.preceding(), Some(preceding));
        cursor.rewind_to_preceding();
        let (first, _) = cursor.next().unwrap().unwrap();
        assert!(first > preceding && history.before(first) == preceding);
    }
    assert!(ranges.bytes(at(2, 1), at(5, 1)) < ranges.bytes(0, at(5, 8)));
    assert_eq!(ranges.first_zxid(), Some(at(1, 1)));
}

#[test]
fn a_gap_and_a_step_that_nobody_has_proved_are_refused() {
    let history = History::of(&[(1, 9), (2, 3), (5, 8)]);
    let disk = SimDisk::new(false);
    let ranges = folder(&disk, &history, 4, 100);
    let mut holed = ranges.clone();
    holed.forget(["log.200000004", "log.100000005"]);
    let result = read(&disk, &holed, at(1, 2), at(5, 8));
    assert!(matches!(result, Err(RangeError::Gap { .. })), "{result:?}");
    // The newest snapshot stands in epoch 2: what came before it may be another branch.
    let disk = SimDisk::new(false);
    folder(&disk, &history, 4, 11);
    let recovered = recover(&disk, &recover_options()).unwrap();
    let result = read(&disk, &recovered.ranges, at(1, 8), at(5, 8));
    assert!(matches!(result, Err(RangeError::Unproven { .. })), "{result:?}");
    assert_eq!(read(&disk, &recovered.ranges, at(2, 1), at(5, 1)).unwrap(), [at(2, 2), at(2, 3), at(5, 1)]);
}

#[test]
fn pinned_ranges_are_not_purged() {
    let history = History::of(&[(1, 40)]);
    let disk = SimDisk::new(false);
    let mut ranges = folder(&disk, &history, 4, 8);
    let pin = ranges.pin(at(1, 10));
    let report = purge_behind(&disk, 1, ranges.lowest_pin()).unwrap();
    ranges.forget(report.removed.iter().map(|(_, name)| name.as_str()));
    assert_eq!(ranges.first_zxid(), Some(at(1, 9)));
    assert_eq!(read(&disk, &ranges, at(1, 10), at(1, 40)).unwrap().len(), 30);
    ranges.unpin(pin);
    assert_eq!(ranges.lowest_pin(), None);
    assert!(!purge_behind(&disk, 1, ranges.lowest_pin()).unwrap().removed.is_empty());
}

fn dump(tree: &mut Tree) -> Vec<u8> {
    let mut out = Vec::new();
    encode_tables(&tree.freeze(), &mut out);
    tree.read_frozen(u32::MAX, |node| {
        encode_node(&node, &mut out);
        true
    });
    tree.thaw();
    encode_dump_end(&mut out);
    out
}

fn decoder() -> DumpDecoder {
    DumpDecoder::new(recover_options().rules, Limits::default())
}

/// A socket's side: pieces of any size into a buffer, from which whole elements are taken.
fn decode(bytes: &[u8], mut piece: impl FnMut() -> usize) -> (Tree, usize) {
    let (mut decoder, mut buffer, mut taken, mut given) = (decoder(), Vec::new(), 0, 0);
    loop {
        let end = (given + piece()).min(bytes.len());
        buffer.extend_from_slice(&bytes[given..end]);
        given = end;
        let fed = decoder.feed(&buffer).unwrap();
        buffer.drain(..fed.used);
        taken += fed.used;
        if fed.done {
            return (decoder.finish(7).unwrap(), taken);
        }
        assert!(given < bytes.len(), "not done at the end");
    }
}

fn tree_of(script: &Script) -> Tree {
    let mut tree = Tree::new(recover_options().rules);
    for record in &script.records {
        let record = TxnRecord::decode(&record[12..record.len() - 1], Limits::default()).unwrap();
        tree.apply(&record, &mut Vec::new());
        tree.sweep();
    }
    tree
}

#[test]
fn any_split_of_a_dump_gives_the_same_tree() {
    for seed in 0..6 {
        let mut tree = tree_of(&Script::generate(seed, 150));
        let mut bytes = dump(&mut tree);
        let length = bytes.len();
        bytes.extend_from_slice(b"the next packet");
        let mut rng = Rng::new(seed);
        for most in [1, 7, 300, 1 << 20] {
            let (found, taken) = decode(&bytes, || 1 + rng.index(most));
            assert_eq!(taken, length, "it stops behind the signature");
            assert_eq!((found.digest(), found.last_zxid()), (tree.digest(), 7));
            assert!(found.sessions() == tree.sessions() && nodes_of(&found) == nodes_of(&tree));
        }
        for cut in (0..length).step_by(97) {
            let mut decoder = decoder();
            assert!(!decoder.feed(&bytes[..cut]).unwrap().done);
            assert!(matches!(decoder.finish(7), Err(DumpError::Unfinished { .. })));
        }
        bytes[length - 3] ^= 1;
        assert!(matches!(decoder().feed(&bytes), Err(DumpError::BadSignature { .. })));
    }
}

#[test]
fn a_dump_is_the_middle_of_a_snapshot_and_java_reads_it() {
    let mut tree = tree_of(&Script::generate(3, 200));
    let disk = SimDisk::new(true);
    let options = SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };
    let name = install(&disk, &mut tree, options).unwrap();
    let image = disk.image();
    let file = image.read(Dir::Snapshot, &name).unwrap();
    let bytes = dump(&mut tree);
    assert_eq!(&bytes[..bytes.len() - 14], &file[16..file.len() - 13 - 33 - 21]);
    assert_eq!(&bytes[bytes.len() - 14..], b"\0\0\0\x0aBenWasHere");
    assert_eq!(java::start(&image, script::OWNERS).unwrap().nodes, nodes_of(&tree));
}

/// A server may be told to take over a tree while it writes a snapshot of its own.
#[test]
fn a_snapshot_in_the_making_does_not_get_into_an_installed_tree() {
    let (mut old, mut new) = (tree_of(&Script::generate(4, 60)), tree_of(&Script::generate(5, 200)));
    let disk = SimDisk::new(false);
    let options = SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };
    let header = old.freeze();
    let mut writer = journal::SnapshotWriter::begin(&disk, &header, options).unwrap();
    install(&disk, &mut new, options).unwrap();
    writer.write(&[7; 5000]).unwrap();
    drop(writer);
    let found = recover(&disk, &recover_options()).unwrap();
    assert_eq!((found.tree.last_zxid(), found.tree.digest()), (new.last_zxid(), new.digest()));
}

/// Transactions that a fuzzy dump holds already come again, and the tree is exact behind them.
#[test]
fn what_a_dump_holds_early_may_be_applied_again() {
    for seed in 20..30 {
        let script = Script::generate(seed, 200);
        let mut tree = tree_of(&script);
        let from = 100 + (seed as usize * 7) % 90;
        let (mut early, _) = decode(&dump(&mut tree), || 1 << 20);
        early.set_last_zxid(script.len() as i64);
        for record in &script.records[from..] {
            let record = TxnRecord::decode(&record[12..record.len() - 1], Limits::default()).unwrap();
            early.reapply(&record);
            assert_eq!(early.last_zxid(), script.len() as i64, "the position does not go back");
        }
        assert_eq!((early.recompute_digest(), early.digest()), (tree.digest(), tree.digest()));
        assert!(early.sessions() == tree.sessions() && nodes_of(&early) == nodes_of(&tree));
    }
}

/// Captured from Apache ZooKeeper 3.9.5: the files of the leader of a new ensemble after eight transactions, and the
/// dump that it sent to a third member with an empty folder.
#[test]
fn a_dump_from_apache_is_the_tree_of_its_log() {
    let dump = include_bytes!("fixtures/apache-3.9.5/snap-dump");
    let mut image = SimDisk::new(true).image();
    let files: [(&str, &[u8]); 4] = [
        ("snapshot.0", include_bytes!("fixtures/apache-3.9.5/snapshot.0")),
        ("log.100000001", include_bytes!("fixtures/apache-3.9.5/log.100000001")),
        ("acceptedEpoch", include_bytes!("fixtures/apache-3.9.5/acceptedEpoch")),
        ("currentEpoch", include_bytes!("fixtures/apache-3.9.5/currentEpoch")),
    ];
    files.iter().for_each(|(name, bytes)| image.put(Dir::Snapshot, name, bytes));
    let disk = SimDisk::from_image(image);
    let before = recover(&disk, &recover_options()).unwrap();
    assert_eq!((before.tree.last_zxid(), before.report.warnings), (at(1, 8), vec![]));
    assert_eq!(load_epochs(&disk, at(1, 8), false).unwrap(), Epochs { accepted: 1, current: 1 });
    let (mut tree, taken) = decode(dump, || 11);
    assert_eq!((taken, tree.digest()), (dump.len(), before.tree.digest()));
    let without_config = |tree: &Tree| {
        let mut nodes = nodes_of(tree);
        // Each server writes its own there.
        nodes.remove("/zookeeper/config");
        nodes
    };
    assert_eq!(without_config(&tree), without_config(&before.tree));
    assert_eq!(tree.sessions(), before.tree.sessions());
    assert_eq!(tree.len(), 10);
    let options = SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };
    let refused = install(&SimDisk::new(true), &mut tree, options).unwrap_err();
    assert!(refused.to_string().contains("behind its position"), "{refused}");
    tree.set_last_zxid(at(1, 8));
    let (again, _) = decode(&self::dump(&mut tree), || 1 << 20);
    assert_eq!(nodes_of(&again), nodes_of(&tree));
}

/// Epoch files as Apache ZooKeeper 3.9.5 leaves them, and what may have become of them.
#[test]
fn epoch_files_are_read_as_java_reads_them() {
    let load = |files: &[(&str, &str)], last_zxid: i64| {
        let mut image: Image = SimDisk::new(false).image();
        files.iter().for_each(|(name, text)| image.put(Dir::Snapshot, name, text.as_bytes()));
        let disk = SimDisk::from_image(image);
        let found = load_epochs(&disk, last_zxid, true).map(|e| (e.accepted, e.current));
        let before = clean(&disk);
        if let Ok(found) = found {
            let again = load_epochs(&disk, last_zxid, false).unwrap();
            assert_eq!(((again.accepted, again.current), clean(&disk)), (found, before));
        }
        found.map_err(|e| e.to_string())
    };
    let (a, c) = ("acceptedEpoch", "currentEpoch");
    assert_eq!(load(&[], 0), Ok((0, 0)));
    assert_eq!(load(&[], at(3, 9)), Ok((3, 3)));
    assert_eq!(load(&[], -1), Ok((0, 0)));
    assert_eq!(load(&[(a, "5"), (c, "4")], at(4, 9)), Ok((5, 4)));
    assert_eq!(load(&[(a, "5\n"), (c, "4\r\nx")], at(3, 9)), Ok((5, 4)));
    assert_eq!(load(&[(a, "-1"), (c, "-1")], -1), Ok((0, 0)));
    assert_eq!(load(&[(a, "6"), (c, "4"), ("currentEpoch.tmp", "6")], at(5, 9)), Ok((6, 6)));
    assert_eq!(load(&[(a, "6"), (c, "4"), ("currentEpoch.tmp", "")], at(5, 9)), Ok((6, 5)));
    assert_eq!(load(&[(a, "6"), (c, "4"), ("updatingEpoch", "")], at(5, 9)), Ok((6, 5)));
    assert_eq!(load(&[(a, "6"), (c, "4"), ("updatingEpoch", "")], at(4, 9)), Ok((6, 4)));
    let refused = |files: &[(&str, &str)], zxid, words: &str| {
        let error = load(files, zxid).unwrap_err();
        assert!(error.contains(words) && error.contains("simulated Snapshot folder"), "{error}");
    };
    refused(&[(a, "5"), (c, "4")], at(5, 1), "write 5 into currentEpoch");
    refused(&[(a, "3"), (c, "4")], at(4, 1), "acceptedEpoch");
    refused(&[(c, "4")], at(3, 1), "taken from the last transaction");
    for odd in ["", "four", " 4", "4 ", "4294967296", "-2"] {
        refused(&[(a, "9"), (c, odd)], at(1, 1), &format!("{odd:?}"));
    }
}
