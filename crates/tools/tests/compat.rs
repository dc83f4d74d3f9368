//! What each release would make of folders of every kind.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use journal::{Compression, Dir, Storage, names};
use tools::compat::{Compatibility, Problem, Verdict, check};
use tools::{Release, write_snapshot};
use wire::jute::{Put, Reader};
use wire::txn::{CreateKind, Txn, TxnDigest, TxnHeader};

const ALL: [&str; 7] = ["3.4.14", "3.5.10", "3.6.4", "3.7.2", "3.8.6", "3.9.5", "3.10.0"];

fn look(storage: &Memory, target: &str) -> Compatibility {
    check(storage, target.parse::<Release>().unwrap()).unwrap()
}

/// The verdict, and each finding as file, zxid, count and problem.
fn findings(storage: &Memory, target: &str) -> (Verdict, Vec<(String, i64, u64, Problem)>) {
    let seen = look(storage, target);
    let found = seen.findings.iter().map(|f| (f.file.clone(), f.zxid, f.count, f.problem.clone()));
    (seen.verdict(), found.collect())
}

fn assert_readable(storage: &Memory, target: &str) {
    assert_eq!(findings(storage, target), (Verdict::Readable, vec![]), "{target}");
}

fn text(seen: &Compatibility) -> String {
    let mut out = Vec::new();
    seen.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn remove_logs(storage: &Memory) {
    for name in storage.names().into_iter().filter(|name| names::log_zxid(name).is_some()) {
        storage.remove(Dir::Log, &name).unwrap();
    }
}

#[test]
fn what_every_release_knows_is_readable_by_all() {
    let mut db = Database::new();
    db.txn(Txn::CreateSession { timeout_ms: 4000 });
    db.create("/a", PLAIN);
    db.create("/a/e", EPHEMERAL);
    db.txn(Txn::SetData { path: "/a".into(), data: None, version: 1, reconfig: false });
    db.txn(Txn::Error { err: -101 });
    db.txn(Txn::CloseSession { paths: Some(vec!["/a/e".into()]) });
    db.txn(Txn::Delete { path: "/a".into(), container: false });
    for target in ALL {
        assert_readable(&db.storage, target);
    }
    assert!(text(&look(&db.storage, "3.4")).ends_with("ZooKeeper 3.4.x can start on this folder.\n"));
}

#[test]
fn unknown_transactions_stop_an_old_release() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    db.create("/b", PLAIN2);
    db.create("/c", PLAIN2);
    db.create("/d", CreateKind::Container);
    let expected = vec![
        ("log.1".into(), 2, 2, Problem::UnknownType(15)),
        ("log.1".into(), 4, 1, Problem::UnknownType(19)),
    ];
    assert_eq!(findings(&db.storage, "3.4.14"), (Verdict::Refused, expected));
    assert_readable(&db.storage, "3.5.10");
    let text = text(&look(&db.storage, "3.4.14"));
    assert!(
        text.contains("log.1, zxid 0x2: a transaction of a type it does not know: create2 (2 times"),
        "{text}"
    );
    assert!(text.contains("rookeeper snapshot"), "{text}");
}

#[test]
fn a_fresh_snapshot_is_the_way_out_once_the_logs_are_moved() {
    let mut db = Database::new();
    db.create("/a", PLAIN2);
    let written = write_snapshot(&db.storage, false).unwrap();
    assert_eq!((written.snapshot.as_str(), written.zxid), ("snapshot.1", 1));
    assert_eq!(written.unneeded_logs, ["log.1"]);
    assert_eq!(findings(&db.storage, "3.4.14").0, Verdict::Refused, "it still reads the newest log");
    remove_logs(&db.storage);
    for target in ALL {
        assert_readable(&db.storage, target);
    }
}

#[test]
fn create2_within_a_multi_is_lost_silently() {
    let mut db = Database::new();
    let parts = multi(&[Txn::Create(create("/a", b"", PLAIN)), Txn::Create(create("/b", b"", PLAIN2))]);
    db.txn(Txn::decode(14, &mut Reader::new(&parts)).unwrap());
    let failed = multi(&[Txn::Create(create("/c", b"", PLAIN2)), Txn::Error { err: -110 }]);
    db.txn(Txn::decode(14, &mut Reader::new(&failed)).unwrap());
    let lost = vec![("log.1".into(), 1, 1, Problem::MultiPart(15))];
    for target in ["3.4.14", "3.5.10", "3.6.4", "3.7.1", "3.8.1"] {
        assert_eq!(findings(&db.storage, target), (Verdict::Unsafe, lost.clone()), "{target}");
    }
    for target in ["3.7.2", "3.8.2", "3.9.0"] {
        assert_readable(&db.storage, target);
    }
    db.snapshot(Compression::None, true, true);
    assert_readable(&db.storage, "3.5.10");
}

#[test]
fn owners_that_a_release_takes_for_sessions() {
    let mut db = Database::new();
    db.create("/c", CreateKind::Container);
    db.create("/t", CreateKind::Ttl { ttl_ms: 5000 });
    let log = vec![("log.1".into(), 2, 1, Problem::Ttl)];
    assert_eq!(findings(&db.storage, "3.5.10"), (Verdict::ReadableWithSettings, log));
    db.snapshot(Compression::None, true, true);
    remove_logs(&db.storage);
    let container = ("snapshot.2".to_owned(), 1, 1, Problem::Container);
    let ttl = ("snapshot.2".to_owned(), 2, 1, Problem::Ttl);
    assert_eq!(findings(&db.storage, "3.4.14"), (Verdict::Unsafe, vec![container, ttl.clone()]));
    assert_eq!(findings(&db.storage, "3.5.2"), (Verdict::Unsafe, vec![ttl.clone()]));
    assert_eq!(findings(&db.storage, "3.5.3"), (Verdict::Unsafe, vec![ttl.clone()]));
    assert_eq!(findings(&db.storage, "3.9.5"), (Verdict::ReadableWithSettings, vec![ttl]));
    assert!(text(&look(&db.storage, "3.9.5")).contains("-Dzookeeper.extendedTypesEnabled=true"));
}

#[test]
fn a_compressed_snapshot_is_invisible_before_3_6() {
    for compression in [Compression::Gzip, Compression::Snappy] {
        let mut db = Database::default();
        db.create("/a", PLAIN);
        db.roll();
        let name = db.snapshot(compression, true, true);
        remove_logs(&db.storage);
        db.create("/b", PLAIN);
        assert_readable(&db.storage, "3.6.0");
        let packed = (name, 1, 1, Problem::PackedSnapshot);
        let none = (String::new(), 0, 1, Problem::NoSnapshot);
        let gap = ("log.2".to_owned(), 2, 1, Problem::Gap { after: 0 });
        assert_eq!(
            findings(&db.storage, "3.5.10"),
            (Verdict::Unsafe, vec![packed.clone(), gap.clone(), none]),
            "refused by default, and wrong if it is forced"
        );
        assert_eq!(findings(&db.storage, "3.4.14"), (Verdict::Unsafe, vec![packed, gap]));
    }
}

#[test]
fn an_older_snapshot_will_do_if_the_logs_are_complete() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    db.create("/b", PLAIN);
    let name = db.snapshot(Compression::Gzip, true, true);
    let seen = look(&db.storage, "3.5.10");
    assert_eq!(seen.verdict(), Verdict::Readable);
    assert_eq!(
        (seen.snapshot.as_deref(), seen.logs.as_slice()),
        (Some("snapshot.0"), &["log.1".to_owned()][..])
    );
    assert_eq!(seen.findings.len(), 1);
    remove_logs(&db.storage);
    let packed = (name, 2, 1, Problem::PackedSnapshot);
    let early = (String::new(), 2, 1, Problem::EndsEarly { reached: 0 });
    assert_eq!(findings(&db.storage, "3.5.10"), (Verdict::Unsafe, vec![packed, early]));
}

#[test]
fn a_last_zxid_without_a_digest_is_taken_for_one() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    let name = db.snapshot(Compression::None, false, true);
    let tail = (name, 1, 1, Problem::SnapshotTail);
    assert_eq!(findings(&db.storage, "3.6.4"), (Verdict::Readable, vec![tail.clone()]));
    assert_eq!(findings(&db.storage, "3.9.5"), (Verdict::Readable, vec![tail.clone()]));
    db.storage.remove(Dir::Snapshot, "snapshot.0").unwrap();
    let none = (String::new(), 0, 1, Problem::NoGoodSnapshot);
    assert_eq!(findings(&db.storage, "3.6.4"), (Verdict::Refused, vec![tail, none]));
    assert_readable(&db.storage, "3.5.10");
}

/// A closeSession as 3.5 writes it, but with a digest.
fn bare_close(db: &mut Database, tree_digest: u64) -> i64 {
    let header = TxnHeader { session_id: SESSION, cxid: 1, zxid: db.next_zxid(), time_ms: 0, op: -11 };
    let mut payload = Vec::new();
    header.encode(&mut payload);
    TxnDigest { version: 2, tree_digest }.encode(&mut payload);
    db.raw(&payload)
}

#[test]
fn a_digest_that_reads_as_a_list_of_ephemerals() {
    let mut db = Database::new();
    bare_close(&mut db, 0x51c6_d660);
    let trap = vec![("log.1".into(), 1, 1, Problem::CloseSessionDigest)];
    for target in ["3.6.4", "3.9.5"] {
        assert_eq!(findings(&db.storage, target), (Verdict::ReadableWithSettings, trap.clone()));
    }
    assert_readable(&db.storage, "3.5.10");
    let mut harmless = Database::new();
    bare_close(&mut harmless, 0x5_51c6_d660);
    assert_readable(&harmless.storage, "3.9.5");
}

#[test]
fn sizes_above_the_limit_of_the_release() {
    let mut db = Database::new();
    let data = vec![b'x'; 1_100_000];
    db.create_with("/a", &data, PLAIN);
    db.create_with("/b", &data[..10], PLAIN);
    let seen = look(&db.storage, "3.5.6");
    assert_eq!(seen.verdict(), Verdict::ReadableWithSettings);
    assert_eq!((&seen.findings[0].problem, seen.findings[0].zxid), (&Problem::LargeRecord, 1));
    assert!(seen.findings[0].largest_bytes > 1_100_000);
    assert_readable(&db.storage, "3.5.7");
    db.snapshot(Compression::None, true, true);
    remove_logs(&db.storage);
    let field = vec![("snapshot.2".into(), 1, 1, Problem::LargeField)];
    assert_eq!(findings(&db.storage, "3.4.14"), (Verdict::ReadableWithSettings, field));
    assert!(text(&look(&db.storage, "3.4.14")).contains("-Djute.maxbuffer=1100000"));
}

#[test]
fn logs_that_end_badly() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    db.storage.create(Dir::Log, "log.9").unwrap();
    let empty = vec![("log.9".into(), 9, 1, Problem::EmptyLog)];
    assert_eq!(findings(&db.storage, "3.9.2"), (Verdict::Refused, empty));
    assert_readable(&db.storage, "3.9.3");
    db.storage.remove(Dir::Log, "log.9").unwrap();
    let second = db.create("/b", PLAIN);
    assert_eq!(second, 2);
    db.storage.edit("log.1", |bytes| {
        let end = bytes.iter().rposition(|b| *b == 0x42).unwrap();
        bytes.truncate(end - 5);
    });
    let (verdict, found) = findings(&db.storage, "3.9.5");
    assert_eq!(verdict, Verdict::Refused);
    assert!(matches!(found.as_slice(), [(_, 1, 1, Problem::TornRecord(_))]), "{found:?}");
    db.storage.edit("log.1", |bytes| bytes[0] = b'X');
    let (verdict, found) = findings(&db.storage, "3.9.5");
    assert_eq!(verdict, Verdict::Refused);
    assert!(matches!(found.as_slice(), [(_, 1, 1, Problem::DamagedLog(_))]), "{found:?}");
}

#[test]
fn a_lone_check_and_a_gap() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    db.txn(Txn::Check { path: "/a".into(), version: 1 });
    db.next_zxid();
    db.create("/b", PLAIN);
    let check = ("log.1".to_owned(), 2, 1, Problem::LoneCheck);
    let gap = ("log.1".to_owned(), 4, 1, Problem::Gap { after: 2 });
    assert_eq!(findings(&db.storage, "3.9.5"), (Verdict::Unsafe, vec![check, gap]));
}

#[test]
fn nonsense_is_said_and_not_fatal() {
    let mut db = Database::new();
    db.create("/a", PLAIN);
    db.raw(b"short");
    let mut unknown = Vec::new();
    TxnHeader { session_id: 1, cxid: 1, zxid: db.next_zxid(), time_ms: 0, op: 77 }.encode(&mut unknown);
    unknown.put_i32(1);
    db.raw(&unknown);
    let (verdict, found) = findings(&db.storage, "3.9.5");
    assert_eq!(verdict, Verdict::Refused);
    assert_eq!(found[1], ("log.1".into(), 2, 1, Problem::UnknownType(77)));
    assert_eq!(found.len(), 2);
    assert_readable(&Memory::default(), "3.4.14");
}
