//! Listings, verification and comparison.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::*;
use journal::{Compression, Dir, Storage};
use tools::{Difference, DumpOptions, compare, dump_log, dump_snapshot, verify};
use wire::data::AclList;
use wire::jute::Reader;
use wire::txn::{CreateKind, Txn};

fn listing(write: impl FnOnce(&mut Vec<u8>) -> u64) -> (u64, Vec<String>) {
    let mut out = Vec::new();
    let count = write(&mut out);
    (count, String::from_utf8(out).unwrap().lines().map(str::to_owned).collect())
}

fn filled() -> Database {
    let mut db = Database::new();
    db.txn(Txn::CreateSession { timeout_ms: 4000 });
    db.create("/a", PLAIN);
    db.create("/a/e\n", EPHEMERAL);
    db.create("/t", CreateKind::Ttl { ttl_ms: 5000 });
    db
}

#[test]
fn one_line_for_each_transaction() {
    let mut db = filled();
    let read = AclList::from_encoded(wire::data::READ_ACL);
    db.txn(Txn::SetAcl { path: "/a".into(), acl: read, version: 1 });
    let parts = multi(&[Txn::Check { path: "/a".into(), version: 1 }, Txn::Error { err: -103 }]);
    db.txn(Txn::decode(14, &mut Reader::new(&parts)).unwrap());
    db.txn(Txn::CloseSession { paths: Some(vec!["/a/e\n".into()]) });
    let options = DumpOptions { data: true };
    let (count, lines) = listing(|out| dump_log(&db.storage, "log.1", options, out).unwrap());
    assert_eq!(count, 7);
    let without_digest: Vec<&str> = lines
        .iter()
        .map(|line| line.rsplit_once(" digest=").map_or(line.as_str(), |(line, _)| line))
        .collect();
    let start = |zxid| format!("{zxid} 2026-11-20T08:30:33.218Z session=0x100000000000001 cxid=0x7");
    assert_eq!(
        without_digest,
        [
            format!("{} createSession timeout=4000ms", start("0x1")),
            format!("{} create \"/a\" data=\"data\" acl=world:anyone:cdrwa parentCVersion=-1", start("0x2")),
            format!(
                "{} create \"/a/e\\n\" data=\"data\" acl=world:anyone:cdrwa ephemeral parentCVersion=-1",
                start("0x3")
            ),
            format!(
                "{} createTTL \"/t\" data=\"data\" acl=world:anyone:cdrwa ttl=5000ms parentCVersion=-1",
                start("0x4")
            ),
            format!("{} setACL \"/a\" acl=world:anyone:r aversion=1", start("0x5")),
            format!("{} multi [check \"/a\" version=1] [error -103 (BadVersion)]", start("0x6")),
            format!("{} closeSession ephemerals=[\"/a/e\\n\"]", start("0x7")),
        ]
    );
    assert!(lines[0].ends_with(" digest=0x51c6d660"), "{}", lines[0]);
}

#[test]
fn one_line_for_each_znode() {
    let mut db = filled();
    let name = db.snapshot(Compression::Gzip, true, true);
    let (count, lines) =
        listing(|out| dump_snapshot(&db.storage, &name, DumpOptions::default(), out).unwrap());
    assert_eq!(count, 7);
    assert_eq!(lines[..2], ["zxid=0x4 znodes=7 sessions=1", "session=0x100000000000001 timeout=4000ms"]);
    assert!(lines[2].starts_with("\"/\" data=0 bytes"), "{}", lines[2]);
    assert_eq!(
        lines[4],
        "\"/a/e\\n\" data=4 bytes acl=world:anyone:cdrwa ephemeral=0x100000000000001 czxid=0x3 mzxid=0x3 pzxid=0x3 \
         ctime=2026-11-20T08:30:33.218Z mtime=2026-11-20T08:30:33.218Z version=0 cversion=0 aversion=0"
    );
    assert!(lines[5].starts_with("\"/t\" data=4 bytes acl=world:anyone:cdrwa ttl=5000ms "), "{}", lines[5]);
    let digest = db.tree.digest();
    assert_eq!(
        lines[9..],
        [
            format!("computed digest={digest:#x}"),
            format!("stored digest={digest:#x} at zxid=0x4"),
            "last zxid=0x4".into()
        ]
    );
}

#[test]
fn a_sound_folder_and_an_unsound_one() {
    let db = filled();
    let sound = verify(&db.storage, false).unwrap();
    assert!(sound.is_sound(), "{sound:?}");
    assert_eq!((sound.zxid, sound.znodes, sound.sessions, sound.ephemerals), (4, 7, 1, 1));
    assert_eq!(sound.report.txns, 4);
    assert_eq!(sound.digest, db.tree.digest());
    let (_, lines) = listing(|out| sound.write(out).map(|()| 0).unwrap());
    assert_eq!(lines.first().map(String::as_str), Some("snapshot: snapshot.0"));
    assert_eq!(lines.last().map(String::as_str), Some("sound"));

    // Another transaction under the same number: its digest is not that of the tree.
    let mut other = Database::new();
    other.txn(Txn::CreateSession { timeout_ms: 4000 });
    other.create_with("/b", b"x", PLAIN);
    other.storage.edit("log.1", |bytes| {
        let at = bytes.windows(2).position(|w| w == b"/b").unwrap();
        let record = at - 4 - 32 - 12;
        bytes[at + 1] = b'c';
        let length = u32::from_be_bytes(bytes[record + 8..record + 12].try_into().unwrap()) as usize;
        let mut fresh = Vec::new();
        let start = wire::file::begin_record(&mut fresh);
        fresh.extend_from_slice(&bytes[record + 12..record + 12 + length]);
        wire::file::finish_record(&mut fresh, start);
        bytes[record..record + fresh.len()].copy_from_slice(&fresh);
    });
    let unsound = verify(&other.storage, false).unwrap();
    assert_eq!(unsound.digest_mismatches, 1);
    assert!(!unsound.is_sound());
    let (_, lines) = listing(|out| unsound.write(out).map(|()| 0).unwrap());
    assert_eq!(lines.last().map(String::as_str), Some("not sound"));
}

#[test]
fn verifying_changes_nothing() {
    let db = filled();
    db.storage.create(Dir::Log, "log.9").unwrap();
    let before = db.storage.names();
    let seen = verify(&db.storage, false).unwrap();
    assert_eq!(seen.report.repaired.len(), 1);
    assert_eq!(db.storage.names(), before);
}

#[test]
fn trees_side_by_side() {
    let (mut first, mut second) = (filled(), filled());
    let told = |first: &Database, second: &Database| {
        let mut all = Vec::new();
        let compared = compare(&first.tree, &second.tree, &mut |difference| all.push(difference));
        assert_eq!(compared.differences, all.len() as u64);
        all
    };
    assert_eq!(told(&first, &second), []);
    first.create("/only", PLAIN);
    first.create("/only/below", PLAIN);
    second.txn(Txn::SetData { path: "/a".into(), data: Some(b"new"), version: 1, reconfig: false });
    second.create("/zzz", PLAIN);
    second.txn(Txn::CloseSession { paths: Some(vec![]) });
    let all: Vec<String> = told(&first, &second).iter().map(ToString::to_string).collect();
    assert_eq!(
        all,
        [
            "last zxid: 0x6 | 0x7",
            "session 0x100000000000001: 4000ms | none",
            "\"/\": pzxid: 0x5 | 0x6",
            "\"/a\": data: 4 bytes \"data\" | 3 bytes \"new\"",
            "\"/a\": mzxid: 0x2 | 0x5",
            "\"/a\": pzxid: 0x3 | 0x7",
            "\"/a\": version: 0 | 1",
            "\"/a/e\\n\": only in the first",
            "\"/only\": only in the first",
            "\"/only/below\": only in the first",
            "\"/zzz\": only in the second",
        ]
    );
    assert_eq!(told(&first, &second)[0], Difference::LastZxid { first: 6, second: 7 });
}
