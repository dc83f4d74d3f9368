//! Requests that are broken, unknown, or in a row.

use super::{Script, acl};
use crate::step::{Request, Step};
use wire::OpCode;
use wire::data::OPEN_ACL;
use wire::jute::Put;

/// A correct body of every operation that has one.
fn bodies(s: &Script) -> Vec<(OpCode, Vec<u8>)> {
    let any = (-1i32).to_be_bytes();
    let mut ttl = s.create_body("~/ttl", Some(b"d"), OPEN_ACL, 5);
    ttl.put_i64(1000);
    let watches = [&[0; 8][..], &1i32.to_be_bytes(), &s.body("~/a", &[]), &[0; 8]].concat();
    let set = (OpCode::SetData, s.set_body("~/a", Some(b"x"), -1));
    vec![
        (
            OpCode::Create,
            s.create_body("~/new", Some(b"d"), &acl(&[(31, "world", "anyone"), (1, "ip", "10.0.0.1")]), 0),
        ),
        (OpCode::Create2, s.create_body("~/new2", Some(b"d"), OPEN_ACL, 0)),
        (OpCode::CreateContainer, s.create_body("~/new3", Some(b"d"), OPEN_ACL, 4)),
        (OpCode::Exists, s.body("~/a", &[0])),
        (OpCode::GetData, s.body("~/a", &[0])),
        (OpCode::SetData, set.1.clone()),
        (OpCode::GetAcl, s.body("~/a", &[])),
        (OpCode::SetAcl, s.body("~/a", &[OPEN_ACL, &any].concat())),
        (OpCode::GetChildren, s.body("~/a", &[0])),
        (OpCode::Sync, s.body("~/a", &[])),
        (OpCode::GetChildren2, s.body("~/a", &[0])),
        (OpCode::Multi, super::multi_body(&[set])),
        (OpCode::CheckWatches, s.body("~/a", &3i32.to_be_bytes())),
        (OpCode::RemoveWatches, s.body("~/a", &3i32.to_be_bytes())),
        (OpCode::CreateTtl, ttl),
        (OpCode::MultiRead, super::multi_body(&[(OpCode::GetData, s.body("~/a", &[0]))])),
        (OpCode::SetWatches, watches.clone()),
        (OpCode::GetEphemerals, s.body("~", &[])),
        (OpCode::GetAllChildrenNumber, s.body("~/a", &[])),
        (OpCode::SetWatches2, [&watches[..], &[0; 8]].concat()),
        (OpCode::AddWatch, s.body("~/a", &0i32.to_be_bytes())),
        (OpCode::Reconfig, [&[0xff; 12][..], &[0xff; 8]].concat()),
        (OpCode::Delete, s.body("~/a", &any)),
    ]
}

pub fn malformed(s: &mut Script) {
    s.node(0, "~/a");
    for (op, body) in bodies(s) {
        s.steps.push(Step::Send { client: 1, piece: 3, requests: vec![Request::new(7, op, body.clone())] });
        for cut in (0..body.len()).step_by(if body.len() > 40 { 5 } else { 3 }) {
            s.send(0, op, body[..cut].to_vec());
        }
        s.send(0, op, [&body[..], b"trailing"].concat());
        for length in [-1i32, -2, i32::MIN, i32::MAX, 2_097_151] {
            let mut bad = body.clone();
            bad.patch_i32(0, length);
            if !matches!(op, OpCode::CreateTtl) {
                s.send(0, op, bad);
            }
        }
    }
    for op in [0, 10, 13, 23, 99, 108, -1, -2, 1000, i32::MIN, i32::MAX] {
        for body in [Vec::new(), s.body("~/a", &[0; 4])] {
            s.pipeline(0, vec![Request { op, ..Request::new(5, OpCode::Ping, body) }]);
        }
    }
    for xid in [0, -3, -8, -4, i32::MIN, i32::MAX] {
        let body = s.body("~", &[0]);
        s.pipeline(0, vec![Request::new(xid, OpCode::Exists, body)]);
        s.pipeline(0, vec![Request::new(xid, OpCode::Ping, Vec::new())]);
    }
}

/// What differs where nothing is switched on.
pub fn plain(s: &mut Script) {
    for flags in [4, 5, 6] {
        for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
            let body = s.create_body(&format!("~/{}-{flags}", op.code()), None, OPEN_ACL, flags);
            s.send(0, op, body);
        }
        for ttl in [0i64, 5, -1] {
            if flags != 4 || ttl > 0 {
                let mut body = s.create_body("~/ttl", None, OPEN_ACL, flags);
                body.put_i64(ttl);
                s.send(0, OpCode::CreateTtl, body);
            }
        }
    }
    s.send(0, OpCode::Reconfig, [&[0xff; 12][..], &[0xff; 8]].concat());
    s.send(0, OpCode::Reconfig, Vec::new());
    s.node(0, "~/q");
    let top = format!("/zookeeper/quota{}", s.root);
    for path in [top.clone(), format!("{top}/q")] {
        s.node(0, &path);
    }
    for (name, data) in [("zookeeper_limits", &b"countHardLimit=1"[..]), ("zookeeper_stats", b"")] {
        let body = s.create_body(&format!("{top}/q/{name}"), Some(data), OPEN_ACL, 0);
        s.send(0, OpCode::Create, body);
    }
    s.node(0, "~/q/over");
    s.read(0, OpCode::GetData, &format!("{top}/q/zookeeper_stats"), false);
}

/// Many requests in one write: each read sees exactly the writes before it.
pub fn pipelines(s: &mut Script) {
    s.numbered(1, OpCode::AddWatch, "~", 1);
    s.read(0, OpCode::Exists, "~/a", true);
    let mut requests = Vec::new();
    for n in 0..8 {
        let body = s.create_body("~/a", Some(b"0"), OPEN_ACL, 0);
        requests.push(s.request(OpCode::Create2, body));
        let body = s.body("~/a", &[1]);
        requests.push(s.request(OpCode::GetData, body));
        let body = s.set_body("~/a", Some(format!("value {n}").as_bytes()), n % 3 - 1);
        requests.push(s.request(OpCode::SetData, body));
        let body = s.body("~/a", &[1]);
        requests.push(s.request(OpCode::GetChildren2, body));
        let body = s.body("~/a", &[0]);
        requests.push(s.request(OpCode::Exists, body));
        let body = s.body("~", &[]);
        requests.push(s.request(OpCode::GetAllChildrenNumber, body));
        let body = s.body("~/a", &(n % 2 - 1).to_be_bytes());
        requests.push(s.request(OpCode::Delete, body));
        requests.push(Request::new(wire::ops::xid::PING, OpCode::Ping, Vec::new()));
    }
    for piece in [0, 1, 7] {
        s.steps.push(Step::Send { client: 0, piece, requests: requests.clone() });
    }
    let body = s.body("~", &[0]);
    let mut list = vec![s.request(OpCode::GetChildren2, body)];
    list.push(s.request(OpCode::CloseSession, Vec::new()));
    s.pipeline(0, list);
    for _ in 0..10 {
        s.create(2, "~/end-", 3);
    }
    s.send(2, OpCode::CloseSession, Vec::new());
}
