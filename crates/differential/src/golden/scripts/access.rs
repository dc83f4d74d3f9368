//! ACLs, authentication, and who may do what.

use super::{Script, acl};
use crate::generate::values::ALICE;
use crate::step::{Handshake, Request};
use wire::OpCode;
use wire::data::OPEN_ACL;
use wire::jute::Put;

pub fn schemes(s: &mut Script) {
    let ids: [(&str, &str); 36] = [
        ("world", "anyone"),
        ("world", "foo"),
        ("auth", ""),
        ("auth", "x"),
        ("digest", ALICE),
        ("digest", ""),
        ("digest", "a"),
        ("digest", "a:b:c"),
        ("digest", ":b"),
        ("digest", "a:"),
        ("digest", ":"),
        ("digest", "a:b:"),
        ("digest", "a:\u{1f600}"),
        ("ip", "127.0.0.1"),
        ("ip", "127.0.0.1/0"),
        ("ip", "127.0.0.1/8"),
        ("ip", "127.0.0.1/32"),
        ("ip", "127.0.0.1/33"),
        ("ip", "127.0.0.1/-1"),
        ("ip", "127.0.0.1/"),
        ("ip", "127.0.0.1/8/8"),
        ("ip", "127.0.0"),
        ("ip", "1.2.3.256"),
        ("ip", "01.2.3.4"),
        ("ip", "host"),
        ("ip", ""),
        ("ip", "::1"),
        ("ip", "::1/64"),
        ("ip", "::1/129"),
        ("ip", "fe80::1%eth0"),
        ("ip", "::ffff:1.2.3.4"),
        ("super", ""),
        ("sasl", "x"),
        ("x509", "CN=a"),
        ("unknown", "x"),
        ("", ""),
    ];
    for client in [0, 1] {
        for (n, (scheme, id)) in ids.iter().enumerate() {
            let path = format!("~/c{client}-{n}");
            s.create_with(client, &path, &acl(&[(31, scheme, id)]));
            if client == 1 {
                s.ask(client, OpCode::GetAcl, &path);
            }
        }
        s.auth(1, "digest", b"alice:pw");
        s.auth(1, "digest", b"bob:pw");
    }
    odd_lists(s);
    auth_packets(s);
}

fn odd_lists(s: &mut Script) {
    let all = (31, "world", "anyone");
    let read = (1, "world", "anyone");
    for (n, list) in [
        vec![],
        vec![all, all],
        vec![read, all, read],
        vec![all, (0, "ip", "10.0.0.1"), (63, "ip", "10.0.0.1")],
    ]
    .iter()
    .enumerate()
    {
        s.create_with(0, &format!("~/list{n}"), &acl(list));
        s.ask(0, OpCode::GetAcl, &format!("~/list{n}"));
    }
    for count in [-1i32, -2, 0, 5, i32::MAX] {
        s.create_with(0, &format!("~/count{count}"), &count.to_be_bytes());
    }
    for (scheme, id) in [
        (None, Some("x")),
        (Some("world"), None),
        (Some("digest"), None),
        (Some("auth"), None),
        (Some("ip"), None),
    ] {
        let mut list = 1i32.to_be_bytes().to_vec();
        list.put_i32(31);
        list.put_buffer(scheme.map(str::as_bytes));
        list.put_buffer(id.map(str::as_bytes));
        s.create_with(1, "~/null", &list);
    }
}

fn auth_packets(s: &mut Script) {
    s.send(2, OpCode::WhoAmI, Vec::new());
    for (scheme, given) in [
        ("digest", &b"alice:pw"[..]),
        ("digest", b"alice:pw"),
        ("digest", b"alice:wrong"),
        ("digest", b""),
        ("digest", b":"),
        ("digest", b"a:b:c"),
        ("digest", b"no colon"),
        ("digest", b"\xff:\xff"),
        ("ip", b""),
        ("ip", b"10.1.2.3"),
        ("digest", b"super:admin"),
    ] {
        s.auth(2, scheme, given);
        s.send(2, OpCode::WhoAmI, Vec::new());
    }
    for scheme in ["world", "auth", "super", "sasl", "x509", "unknown", ""] {
        s.auth(2, scheme, b"x");
    }
    let null_given = crate::profile::auth("digest", None);
    let mut null_scheme = crate::profile::auth("digest", Some(b"a:b"));
    null_scheme.body.truncate(4);
    null_scheme.body.put_buffer(None);
    null_scheme.body.put_buffer(Some(b"a:b"));
    let mut short = crate::profile::auth("digest", Some(b"a:b"));
    short.body.truncate(9);
    let other_xid = Request { xid: 77, ..crate::profile::auth("digest", Some(b"a:b")) };
    for request in [null_given, null_scheme, short, other_xid] {
        s.pipeline(2, vec![request]);
        s.send(2, OpCode::WhoAmI, Vec::new());
    }
}

/// Each operation by somebody else, alice, and the super user, on nodes with each single permission.
pub fn permissions(s: &mut Script) {
    s.auth(1, "digest", b"alice:pw");
    for perms in [0, 1, 2, 4, 8, 16, 30, 31] {
        let top = format!("~/p{perms}");
        s.create_with(0, &top, OPEN_ACL);
        s.node(0, &format!("{top}/child"));
        s.set_acl(0, &top, &acl(&[(perms, "digest", ALICE)]), -1);
        for client in [0, 1] {
            use_all(s, client, &top);
        }
    }
    s.auth(2, "digest", b"super:admin");
    use_all(s, 2, "~/p0");
    use_all(s, 2, "/zookeeper/config");
    use_all(s, 0, "/zookeeper/config");
    s.numbered(0, OpCode::AddWatch, "~", 1);
    s.read(0, OpCode::Exists, "~/secret", true);
    let body = s.create_body("~/secret", Some(b"x"), &acl(&[(31, "auth", "")]), 0);
    s.send(1, OpCode::Create, body);
    s.set(1, "~/secret", b"y", -1);
    s.delete(1, "~/secret", -1);
    s.node(1, "~/public");
}

fn use_all(s: &mut Script, client: usize, path: &str) {
    for op in [OpCode::Exists, OpCode::GetData, OpCode::GetChildren, OpCode::GetChildren2] {
        s.read(client, op, path, false);
    }
    for op in [OpCode::GetAcl, OpCode::GetAllChildrenNumber, OpCode::Sync] {
        s.ask(client, op, path);
    }
    let read = [(OpCode::GetData, s.body(path, &[0])), (OpCode::GetChildren, s.body(path, &[0]))];
    s.send(client, OpCode::MultiRead, super::multi_body(&read));
    let check = (OpCode::Check, s.body(path, &(-1i32).to_be_bytes()));
    s.multi(client, &[check]);
    if path.starts_with('~') {
        s.set(client, path, b"new", -1);
        s.node(client, &format!("{path}/new"));
        s.delete(client, &format!("{path}/new"), -1);
        s.delete(client, &format!("{path}/child"), 3);
    }
    s.set(client, path, b"new", 4711);
    s.set_acl(client, path, OPEN_ACL, 4711);
}

pub fn enforced(s: &mut Script) {
    let unknown = Handshake { authenticate: false, ..Handshake::NEW };
    let requests: [(OpCode, &[u8]); 8] = [
        (OpCode::Ping, b""),
        (OpCode::WhoAmI, b""),
        (OpCode::GetData, b"\0\0\0\x01/\0"),
        (OpCode::Sync, b"\0\0\0\x01/"),
        (OpCode::Delete, b"\0\0\0\x02/x\xff\xff\xff\xff"),
        (OpCode::Multi, b"\xff\xff\xff\xff\x01\xff\xff\xff\xff"),
        (OpCode::CloseSession, b""),
        (OpCode::Check, b""),
    ];
    for (op, body) in requests {
        s.open(0, unknown.clone());
        s.send(0, op, body.to_vec());
    }
    s.open(0, unknown.clone());
    s.pipeline(0, vec![Request::new(wire::ops::xid::PING, OpCode::Ping, Vec::new())]);
    s.open(0, unknown.clone());
    s.auth(0, "ip", b"");
    s.send(0, OpCode::WhoAmI, Vec::new());
    s.open(0, unknown.clone());
    s.auth(0, "unknown", b"");
    s.open(0, unknown);
    s.auth(0, "digest", b"alice:pw");
    s.send(0, OpCode::WhoAmI, Vec::new());
    s.node(0, "~/a");
    s.read(1, OpCode::GetData, "~/a", false);
    s.open(1, Handshake { authenticate: false, ..Handshake::REATTACH });
    s.read(1, OpCode::GetData, "~/a", false);
}

/// An ACL of `digest` entries with all permissions and one that lets everybody read, its ids in these bytes.
fn digests(ids: &[&[u8]]) -> Vec<u8> {
    let mut list = Vec::new();
    list.put_count(ids.len() + 1);
    for id in ids {
        list.put_i32(31);
        list.put_ustring("digest");
        list.put_buffer(Some(id));
    }
    list.extend_from_slice(&wire::data::READ_ACL[4..]);
    list
}

/// Ids with a character above U+FFFF: Java writes it as two surrogates, and reads those as two U+FFFD.
pub fn surrogates(s: &mut Script) {
    let own = acl(&[(31, "auth", "")]);
    s.auth(1, "digest", "\u{1f600}:pw".as_bytes());
    s.send(1, OpCode::WhoAmI, Vec::new());
    s.create_with(1, "~/plain", &own);
    s.create_with(1, "~/given", &digests(&["\u{1f600}:x".as_bytes(), "b:\u{1f600}".as_bytes()]));
    s.create_with(1, "~/halves", &digests(&[b"\xed\xa0\xbd\xed\xb8\x80:x"]));
    s.node(1, "~/set");
    s.set_acl(1, "~/set", &own, -1);
    s.node(1, "~/in");
    for path in ["~/plain", "~/given", "~/halves", "~/set"] {
        for client in [0, 1] {
            s.ask(client, OpCode::GetAcl, path);
            s.set(client, path, b"new", -1);
        }
    }
    for op in super::tree::CREATES {
        let path = format!("~/in/{}", op.name());
        let mut body = s.create_body(&path, None, &own, if op == OpCode::CreateTtl { 5 } else { 0 });
        if op == OpCode::CreateTtl {
            body.put_i64(1000);
        }
        // Within the multi, the list is still as it was given.
        let set = (OpCode::SetData, s.set_body(&path, Some(b"new"), -1));
        s.multi(1, &[(op, body), set]);
        s.ask(1, OpCode::GetAcl, &path);
        s.read(1, OpCode::GetData, &path, false);
        s.set(1, &path, b"newer", -1);
    }
    let given = digests(&["\u{1f600}:x".as_bytes(), "b:\u{1f600}".as_bytes()]);
    let body = s.create_body("~/in/given", None, &given, 0);
    s.multi(1, &[(OpCode::Create, body)]);
    s.ask(0, OpCode::GetAcl, "~/in/given");
}
