//! Creating, changing, reading and removing nodes.

use super::{Script, acl, multi_body};
use wire::OpCode;
use wire::data::OPEN_ACL;
use wire::jute::Put;
use wire::multi::MultiHeader;

pub(super) const CREATES: [OpCode; 4] =
    [OpCode::Create, OpCode::Create2, OpCode::CreateContainer, OpCode::CreateTtl];

/// A create of any kind; a TTL only where the operation has one.
fn create_any(s: &mut Script, op: OpCode, path: &str, data: Option<&[u8]>, acl: &[u8], flags: i32, ttl: i64) {
    let mut body = s.create_body(path, data, acl, flags);
    if op == OpCode::CreateTtl {
        body.put_i64(ttl);
    }
    s.send(0, op, body);
}

pub fn creates(s: &mut Script) {
    for op in CREATES {
        let name = format!("~/{}", op.name());
        let (flags, ttl) = if op == OpCode::CreateTtl { (5, 3_600_000) } else { (0, 0) };
        create_any(s, op, &name, Some(b"x"), OPEN_ACL, flags, ttl);
        create_any(s, op, &name, Some(b"x"), OPEN_ACL, flags, ttl);
        create_any(s, op, &format!("{name}/null"), None, OPEN_ACL, flags, ttl);
        create_any(s, op, &format!("{name}/empty"), Some(b""), OPEN_ACL, flags, ttl);
        create_any(s, op, &format!("{name}/a/b"), Some(b""), OPEN_ACL, flags, ttl);
        create_any(s, op, "~/no/parent", Some(b""), &acl(&[(31, "world", "foo")]), flags, ttl);
        create_any(s, op, "bad", Some(b""), &acl(&[]), flags, ttl);
        create_any(s, op, "/", Some(b""), OPEN_ACL, flags, ttl);
        create_any(s, op, "/zookeeper", Some(b""), OPEN_ACL, flags, ttl);
        create_any(s, op, &format!("{name}/"), Some(b""), OPEN_ACL, flags, ttl);
        create_any(s, op, "~/none/", Some(b""), OPEN_ACL, flags, ttl);
    }
    for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
        for flags in [-1, 0, 1, 2, 3, 4, 5, 6, 7, i32::MAX] {
            create_any(s, op, &format!("~/f{}-{flags}", op.code()), Some(b"x"), OPEN_ACL, flags, 0);
        }
    }
    for (flags, ttl) in
        [(5, 1), (6, 1), (5, 0xff_ffff_ffff), (5, 0), (5, -1), (5, 0x100_0000_0000), (6, i64::MAX)]
    {
        create_any(s, OpCode::CreateTtl, &format!("~/t{flags}{ttl}"), Some(b"x"), OPEN_ACL, flags, ttl);
    }
    for flags in [0, 1, 2, 3, 4, 7, -1] {
        create_any(s, OpCode::CreateTtl, "~/t", Some(b"x"), OPEN_ACL, flags, 5000);
    }
    s.create(1, "~/ephemeral", 1);
    for op in CREATES {
        let flags = if op == OpCode::CreateTtl { 5 } else { 0 };
        create_any(s, op, "~/ephemeral/below", Some(b"x"), OPEN_ACL, flags, 9);
    }
    for op in [OpCode::GetChildren2, OpCode::GetData] {
        for path in
            ["~", "~/createContainer", "~/createTTL", "~/ephemeral", "~/create/null", "~/create/empty"]
        {
            s.read(0, op, path, false);
        }
    }
    let body = s.body("~/createTTL/empty", &[]);
    let request = s.request(OpCode::DeleteContainer, body);
    s.last.push(crate::step::Step::Send { client: 0, piece: 0, requests: vec![request] });
}

pub fn sequential_names(s: &mut Script) {
    s.node(0, "~/q");
    for _ in 0..3 {
        s.create(0, "~/q/n-", 2);
        s.create(1, "~/q/m-", 3);
        s.node(2, "~/q/plain");
        s.delete(2, "~/q/plain", -1);
    }
    s.create(0, "~/q/", 2);
    s.create(0, "~/q/0", 2);
    s.create(0, "~/none/n-", 2);
    s.create(0, "~/q/n-0000000000/x", 2);
    s.create(0, "~/q/m-0000000001/x", 2);
    s.create(0, "~/q/..", 2);
    s.create(0, "~/q/.", 3);
    let child = |s: &Script, flags| (OpCode::Create, s.create_body("~/q/multi-", Some(b""), OPEN_ACL, flags));
    let ops = [child(s, 2), child(s, 3), child(s, 0), child(s, 2)];
    s.multi(0, &ops);
    let mut failing = ops.to_vec();
    failing.push((OpCode::Delete, s.body("~/none", &(-1i32).to_be_bytes())));
    s.multi(0, &failing);
    s.create(0, "~/q/after-", 2);
    let mut body = s.create_body("~/q/ttl-", None, OPEN_ACL, 6);
    body.put_i64(9999);
    s.send(0, OpCode::CreateTtl, body);
    s.read(0, OpCode::GetChildren2, "~/q", false);
}

pub fn deletes_and_sets(s: &mut Script) {
    s.node(0, "~/a");
    s.node(0, "~/a/b");
    for version in [1, -2, i32::MIN, i32::MAX, -1] {
        s.delete(0, "~/a", version);
    }
    for path in
        ["~/none", "~/none/below", "bad", "", "/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"]
    {
        s.delete(0, path, -1);
        s.set(0, path, b"x", 4711);
        s.set_acl(0, path, OPEN_ACL, 4711);
    }
    s.delete(0, "~/a/b/", -1);
    s.delete(0, "~/a/b", 0);
    s.delete(0, "~/a", 0);
    s.delete(0, "~/a", 0);
    s.node(0, "~/v");
    for version in [-1, 0, 1, 1, 2, -2, i32::MIN, i32::MAX] {
        s.set(1, "~/v", b"second", version);
    }
    let body = s.set_body("~/v", None, -1);
    s.send(0, OpCode::SetData, body);
    s.read(0, OpCode::GetData, "~/v", false);
    s.set(0, "~/v", b"", -1);
    s.read(0, OpCode::GetData, "~/v", false);
    s.set(0, "~/v", &[b'z'; 5000], -1);
    s.read(0, OpCode::GetData, "~/v", false);
    s.set(0, "~/v/", b"", -1);
    for version in [-1, 0, 1, 1, 2, -2] {
        s.set_acl(0, "~/v", &acl(&[(31, "world", "anyone"), (1, "ip", "10.0.0.0/8")]), version);
    }
    s.set_acl(0, "~/v", &acl(&[]), -1);
    s.ask(0, OpCode::GetAcl, "~/v");
    for (path, version) in [("~/v", -1), ("~/v", 7), ("~/none", -1), ("bad", 0), ("/", 99)] {
        let check = (OpCode::Check, s.body(path, &i32::to_be_bytes(version)));
        s.multi(0, &[check]);
    }
    s.numbered(0, OpCode::Check, "~/v", -1);
    s.ask(0, OpCode::Sync, "~/v");
}

pub fn reads(s: &mut Script) {
    s.node(0, "~/a");
    s.node(0, "~/a/b");
    s.node(0, "~/a/c");
    s.node(0, "~/a/b/d");
    let reads = [OpCode::Exists, OpCode::GetData, OpCode::GetChildren, OpCode::GetChildren2];
    let odd = ["~/a/", "~/none", "bad", "", "//", "~/a//b", "~/a\0", "/zookeeper/config", "/zookeeper/quota"];
    for path in ["~", "~/a", "~/a/b", "/", "/zookeeper"].into_iter().chain(odd) {
        for op in reads {
            s.read(1, op, path, false);
        }
        for op in [OpCode::GetAcl, OpCode::Sync, OpCode::GetEphemerals] {
            s.ask(1, op, path);
        }
        if path.starts_with('~') {
            s.ask(1, OpCode::GetAllChildrenNumber, path);
        }
    }
    for op in reads.into_iter().chain([
        OpCode::GetAcl,
        OpCode::Sync,
        OpCode::GetEphemerals,
        OpCode::GetAllChildrenNumber,
    ]) {
        s.send(1, op, [&(-1i32).to_be_bytes()[..], &[0]].concat());
    }
    s.send(1, OpCode::WhoAmI, Vec::new());
    s.send(1, OpCode::Ping, Vec::new());
    multi_reads(s);
}

fn multi_reads(s: &mut Script) {
    let read = |s: &Script, op, path: &str| (op, s.body(path, &[1]));
    let ops = [
        read(s, OpCode::GetData, "~/a"),
        read(s, OpCode::GetChildren, "~/a"),
        read(s, OpCode::GetData, "~/none"),
        read(s, OpCode::GetChildren, "~/none"),
        read(s, OpCode::GetData, ""),
    ];
    s.send(1, OpCode::MultiRead, multi_body(&ops));
    s.send(1, OpCode::MultiRead, multi_body(&[]));
    s.send(1, OpCode::MultiRead, Vec::new());
    s.set(0, "~/a", b"the watch flag does not count", -1);
    let delete = (OpCode::Delete, s.body("~/a", &(-1i32).to_be_bytes()));
    let check = (OpCode::Check, s.body("~/a", &(-1i32).to_be_bytes()));
    s.send(1, OpCode::MultiRead, multi_body(&[ops[0].clone(), delete.clone()]));
    s.send(1, OpCode::MultiRead, multi_body(std::slice::from_ref(&delete)));
    s.send(1, OpCode::MultiRead, multi_body(&[check]));
    s.send(1, OpCode::Multi, multi_body(&ops));
    s.send(1, OpCode::Multi, multi_body(&[ops[0].clone(), delete]));
}

pub fn paths(s: &mut Script) {
    s.node(0, "~/a");
    let odd: [&[u8]; 34] = [
        b"a",
        b"/",
        b"//",
        b"/a/",
        b"/a//b",
        b"/a/./b",
        b"/a/../b",
        b"/a/.",
        b"/a/..",
        b"/a/...",
        b"/a/..a",
        b"/a/.a",
        b"/a/\0",
        b"/a/\x01",
        b"/a/\x1f",
        b"/a/ ",
        b"/a/\x7e",
        b"/a/\x7f",
        b"/a/\xc2\x80",
        b"/a/\xc2\x9f",
        b"/a/\xc2\xa0",
        b"/a/\xed\x9f\xbf",
        b"/a/\xed\xa0\x80",
        b"/a/\xed\xa0\xbd\xed\xb8\x80",
        b"/a/\xee\x80\x80",
        b"/a/\xef\xa3\xbf",
        b"/a/\xef\xa4\x80",
        b"/a/\xef\xbf\xaf",
        b"/a/\xef\xbf\xb0",
        b"/a/\xef\xbf\xbd",
        b"/a/\xf0\x9f\x98\x80",
        b"/a/\xff",
        b"/a/\xe6\x97",
        b"/a/\xc0\x80",
    ];
    for path in odd {
        let full = [s.root.as_bytes(), path].concat();
        for (op, rest) in [
            (OpCode::Create, [&0i32.to_be_bytes()[..], OPEN_ACL, &0i32.to_be_bytes()].concat()),
            (OpCode::Create, [&0i32.to_be_bytes()[..], OPEN_ACL, &2i32.to_be_bytes()].concat()),
            (OpCode::Exists, vec![0]),
            (OpCode::SetData, [0i32.to_be_bytes(), (-1i32).to_be_bytes()].concat()),
            (OpCode::Delete, (-1i32).to_be_bytes().to_vec()),
            (OpCode::Sync, Vec::new()),
            (OpCode::AddWatch, 0i32.to_be_bytes().to_vec()),
        ] {
            let mut body = Vec::new();
            body.put_buffer(Some(&full));
            body.extend_from_slice(&rest);
            s.send(0, op, body);
        }
    }
    for (op, rest) in [
        (OpCode::Create, [&0i32.to_be_bytes()[..], OPEN_ACL, &0i32.to_be_bytes()].concat()),
        (OpCode::Delete, (-1i32).to_be_bytes().to_vec()),
        (OpCode::SetData, [0i32.to_be_bytes(), (-1i32).to_be_bytes()].concat()),
        (OpCode::SetAcl, [OPEN_ACL, &(-1i32).to_be_bytes()].concat()),
        (OpCode::AddWatch, 0i32.to_be_bytes().to_vec()),
        (OpCode::RemoveWatches, 3i32.to_be_bytes().to_vec()),
        (OpCode::CheckWatches, 3i32.to_be_bytes().to_vec()),
    ] {
        s.send(0, op, [&(-1i32).to_be_bytes()[..], &rest].concat());
    }
}

pub fn multis(s: &mut Script) {
    let any = (-1i32).to_be_bytes();
    s.node(0, "~/a");
    s.read(1, OpCode::GetChildren, "~/a", true);
    s.numbered(2, OpCode::AddWatch, "~", 1);
    s.multi(0, &[]);
    let ops = vec![
        (OpCode::Create, s.create_body("~/a/1", Some(b"1"), OPEN_ACL, 0)),
        (OpCode::Create2, s.create_body("~/a/1/2", Some(b"2"), OPEN_ACL, 1)),
        (OpCode::CreateContainer, s.create_body("~/a/c", None, OPEN_ACL, 4)),
        (
            OpCode::CreateTtl,
            [s.create_body("~/a/t", None, OPEN_ACL, 5), 9i64.to_be_bytes().to_vec()].concat(),
        ),
        (OpCode::SetData, s.set_body("~/a/1", Some(b"new"), 0)),
        (OpCode::Check, s.body("~/a/1", &1i32.to_be_bytes())),
        (OpCode::Delete, s.body("~/a/1/2", &any)),
        (OpCode::Delete, s.body("~/a/1", &1i32.to_be_bytes())),
        (OpCode::SetData, s.set_body("~/a", Some(b"all"), -1)),
    ];
    s.multi(0, &ops);
    s.multi(0, &ops);
    let failing = [
        (OpCode::Create, s.create_body("~/a", None, OPEN_ACL, 0)),
        (OpCode::Create, s.create_body("~/none/x", None, OPEN_ACL, 0)),
        (OpCode::Create, s.create_body("~/b", None, &acl(&[]), 0)),
        (OpCode::Create, s.create_body("bad", None, OPEN_ACL, 0)),
        (OpCode::CreateTtl, [s.create_body("~/b", None, OPEN_ACL, 5), 0i64.to_be_bytes().to_vec()].concat()),
        (OpCode::Delete, s.body("~/none", &any)),
        (OpCode::Delete, s.body("~/a", &7i32.to_be_bytes())),
        (OpCode::Delete, s.body("~/a", &any)),
        (OpCode::Delete, s.body("/zookeeper", &any)),
        (OpCode::SetData, s.set_body("~/none", None, -1)),
        (OpCode::SetData, s.set_body("~/a", None, 77)),
        (OpCode::SetData, s.set_body("bad", None, 77)),
        (OpCode::Check, s.body("~/none", &any)),
        (OpCode::Check, s.body("~/a", &77i32.to_be_bytes())),
    ];
    let good = (OpCode::SetData, s.set_body("~/a", Some(b"rolled back"), -1));
    for op in failing {
        s.multi(0, &[good.clone(), op.clone(), good.clone()]);
        s.multi(0, &[op]);
    }
    s.read(0, OpCode::GetData, "~/a", false);
    multi_creates(s);
    malformed_multis(s, &good);
    first_fault_decides(s, &good);
}

/// Inside a multi, flags and operation numbers of creates are read in another way than outside.
fn multi_creates(s: &mut Script) {
    for op in CREATES {
        for flags in 0..=7 {
            for ttl in [-1i64, 0, 5] {
                let mut body =
                    s.create_body(&format!("~/m{}-{flags}-{ttl}", op.code()), None, OPEN_ACL, flags);
                if op == OpCode::CreateTtl {
                    body.put_i64(ttl);
                } else if ttl != 0 {
                    continue;
                }
                s.multi(0, &[(op, body)]);
            }
        }
    }
}

fn malformed_multis(s: &mut Script, good: &(OpCode, Vec<u8>)) {
    let read = (OpCode::GetData, s.body("~/a", &[0]));
    let bad_flag = (OpCode::Create, s.create_body("~/x", None, OPEN_ACL, 9));
    let null_path = (OpCode::Delete, vec![0xff; 8]);
    for sub in [
        (OpCode::SetAcl, s.body("~/a", &[OPEN_ACL, &(-1i32).to_be_bytes()].concat())),
        (OpCode::DeleteContainer, s.body("~/a/c", &[])),
        (OpCode::Reconfig, Vec::new()),
        (OpCode::Multi, Vec::new()),
        read.clone(),
        bad_flag,
        null_path,
    ] {
        s.multi(0, &[good.clone(), sub.clone()]);
        s.multi(0, &[sub]);
    }
    s.multi(0, &[read, good.clone()]);
    let mut unfinished = multi_body(std::slice::from_ref(good));
    unfinished.truncate(unfinished.len() - 9);
    s.send(0, OpCode::Multi, unfinished);
    let mut odd_end = Vec::new();
    MultiHeader { op: 5, done: true, err: 7 }.encode(&mut odd_end);
    s.send(0, OpCode::Multi, odd_end);
    let mut unknown = Vec::new();
    MultiHeader { op: 99, done: false, err: -1 }.encode(&mut unknown);
    s.send(0, OpCode::Multi, unknown);
    s.read(0, OpCode::GetData, "~/a", false);
}

/// A multi is judged while it is read, and a create without an access list takes no zxid: it shows which fault came first.
fn first_fault_decides(s: &mut Script, good: &(OpCode, Vec<u8>)) {
    let null_acl = [0xff; 4];
    let tripping = (OpCode::Create, s.create_body("~/x", None, &null_acl, 0));
    for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
        for flags in [-1, 0, 3, 4, 5, 6, 7, i32::MAX] {
            let create = (op, s.create_body("~/x", None, &null_acl, flags));
            s.multi(0, &[good.clone(), create]);
        }
    }
    let read = (OpCode::GetData, s.body("~/a", &[0]));
    let bad_flag = (OpCode::Create, s.create_body("~/x", None, OPEN_ACL, 9));
    let needs_ttl = (OpCode::Create, s.create_body("~/x", None, OPEN_ACL, 6));
    let null_path = (OpCode::Delete, vec![0xff; 8]);
    let unreadable = (OpCode::SetAcl, Vec::new());
    let no_acl_ttl = [s.create_body("~/x", None, &null_acl, 5), 9i64.to_be_bytes().to_vec()].concat();
    let ttl = (OpCode::CreateTtl, no_acl_ttl);
    for other in [good, &bad_flag, &needs_ttl, &read, &null_path, &unreadable, &ttl] {
        s.multi(0, &[other.clone(), tripping.clone()]);
        s.multi(0, &[tripping.clone(), other.clone()]);
    }
    s.multi(0, &[good.clone(), read.clone(), tripping.clone()]);
    s.multi(0, &[read, good.clone(), tripping]);
    s.multi(0, &[ttl]);
    s.read(0, OpCode::GetData, "~/a", false);
}

/// Creates the quota nodes of a path below the root, with limits if given.
fn quota(s: &mut Script, path: &str, limits: &[u8]) {
    let mut parent = "/zookeeper/quota".to_owned();
    for part in s.path(path).split('/').skip(1) {
        parent = format!("{parent}/{part}");
        s.node(0, &parent);
    }
    for (name, data) in [("zookeeper_limits", limits), ("zookeeper_stats", &b"count=7,bytes=7"[..])] {
        let body = s.create_body(&format!("{parent}/{name}"), Some(data), OPEN_ACL, 0);
        s.send(0, OpCode::Create, body);
        s.read(0, OpCode::GetData, &format!("{parent}/{name}"), true);
    }
}

pub fn quotas(s: &mut Script) {
    s.node(0, "~/soft");
    s.node(0, "~/hard");
    s.node(0, "~/bytes");
    s.node(0, "~/odd");
    quota(s, "~/soft", b"count=2,bytes=5");
    quota(s, "~/hard", b"count=-1,bytes=-1=;byteHardLimit=-1;countHardLimit=3");
    quota(s, "~/bytes", b"byteHardLimit=20");
    quota(s, "~/odd", b"garbage");
    for top in ["soft", "hard", "bytes", "odd"] {
        for n in 0..4 {
            s.node(0, &format!("~/{top}/{n}"));
        }
        s.set(0, &format!("~/{top}"), b"a longer text than all limits", -1);
        s.set(0, &format!("~/{top}"), b"", -1);
        s.set(0, &format!("~/{top}/1"), b"four", -1);
        s.delete(0, &format!("~/{top}/0"), -1);
        s.node(0, &format!("~/{top}/2/deep"));
        let stats = format!("/zookeeper/quota{}/{top}/zookeeper_stats", s.root);
        s.read(0, OpCode::GetData, &stats, false);
        let add = |s: &Script, n| {
            (OpCode::Create, s.create_body(&format!("~/{top}/m{n}"), Some(b"123456"), OPEN_ACL, 0))
        };
        let ops = [add(s, 1), add(s, 2), add(s, 3)];
        s.multi(0, &ops);
        s.read(0, OpCode::GetData, &stats, false);
    }
    quota(s, "~/hard/1", b"countHardLimit=9");
    s.node(0, "~/hard/1/nested");
    let limits = format!("/zookeeper/quota{}/hard/zookeeper_limits", s.root);
    let stats = format!("/zookeeper/quota{}/hard/zookeeper_stats", s.root);
    s.read(0, OpCode::GetData, &stats, false);
    s.set(0, &limits, b"countHardLimit=100", -1);
    s.node(0, "~/hard/again");
    s.delete(0, &limits, -1);
    s.node(0, "~/hard/free");
    s.read(0, OpCode::GetData, &stats, false);
}
