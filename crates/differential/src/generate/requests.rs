//! One random request.

use super::values::{Paths, acl, chance, data, pick, put_raw, version};
use crate::profile::auth;
use crate::step::{Request, ZxidChoice};
use fastrand::Rng;
use wire::OpCode;
use wire::jute::Put;
use wire::multi::MultiHeader;

/// How often each operation is asked for.
const WEIGHTS: [(OpCode, u32); 27] = [
    (OpCode::Create, 150),
    (OpCode::Create2, 60),
    (OpCode::CreateContainer, 20),
    (OpCode::CreateTtl, 40),
    (OpCode::Delete, 90),
    (OpCode::Exists, 50),
    (OpCode::GetData, 60),
    (OpCode::SetData, 110),
    (OpCode::GetAcl, 35),
    (OpCode::SetAcl, 45),
    (OpCode::GetChildren, 35),
    (OpCode::GetChildren2, 40),
    (OpCode::Sync, 10),
    (OpCode::Ping, 6),
    (OpCode::Multi, 110),
    (OpCode::MultiRead, 25),
    (OpCode::Reconfig, 14),
    (OpCode::CheckWatches, 18),
    (OpCode::RemoveWatches, 22),
    (OpCode::SetWatches, 14),
    (OpCode::SetWatches2, 16),
    (OpCode::AddWatch, 35),
    (OpCode::GetEphemerals, 12),
    (OpCode::GetAllChildrenNumber, 15),
    (OpCode::WhoAmI, 8),
    (OpCode::Auth, 22),
    (OpCode::Check, 3),
];

/// Numbers that name no operation that a client may ask for.
const UNKNOWN: [i32; 10] = [0, 10, 13, 23, 99, 108, -1, -2, 1000, i32::MIN];

fn choose(rng: &mut Rng) -> OpCode {
    let total: u32 = WEIGHTS.iter().map(|(_, w)| w).sum();
    let mut at = rng.u32(..total);
    for (op, weight) in WEIGHTS {
        if at < weight {
            return op;
        }
        at -= weight;
    }
    OpCode::Ping
}

/// The bytes of any request that ZooKeeper 3.9.5 survives; the caller decides where to send it.
pub fn any(rng: &mut Rng, paths: &mut Paths, xid: i32) -> Request {
    if rng.u32(..150) == 0 {
        let op = UNKNOWN[rng.usize(..UNKNOWN.len())];
        return Request { op, ..of(rng, paths, OpCode::GetData, xid) };
    }
    let op = choose(rng);
    let mut request = of(rng, paths, op, xid);
    if chance(rng, 4) {
        damage(rng, &mut request);
    }
    if rng.u32(..200) == 0 && request.xid > 0 {
        request.xid = [0, -3, i32::MAX, i32::MIN, 1, -4, -8][rng.usize(..7)];
    }
    request
}

/// A request that does not end its connection.
pub fn ordinary(rng: &mut Rng, paths: &mut Paths, xid: i32) -> Request {
    loop {
        let request = any(rng, paths, xid);
        if !request.ends_connection() {
            return request;
        }
    }
}

/// Breaks the encoding of a body. Of createTTL only its end: a flag or a TTL that is off by chance can stop Apache.
pub fn damage(rng: &mut Rng, request: &mut Request) {
    request.zxid = None;
    let length = request.body.len();
    let kinds = if request.op == OpCode::CreateTtl.code() { 3 } else { 6 };
    match rng.u32(..kinds) {
        0..=2 => request.body.truncate(rng.usize(..=length)),
        3 => request.body.extend_from_slice(&[7; 9][..rng.usize(1..9)]),
        _ if length >= 4 => {
            let bad = [-1, -2, i32::MIN, i32::MAX, 2_097_151, 1_000_000, 1000][rng.usize(..7)];
            let at = if rng.bool() { 0 } else { first_field_end(&request.body) };
            if at + 4 <= length {
                request.body.patch_i32(at, bad);
            }
        }
        _ => request.body.clear(),
    }
}

/// Where the second field begins, when the first one is a string.
fn first_field_end(body: &[u8]) -> usize {
    wire::Reader::new(body).buffer().ok().flatten().map_or(0, |b| 4 + b.len())
}

/// A request of any kind, all equally likely.
pub fn of_any_kind(rng: &mut Rng, paths: &mut Paths, xid: i32) -> Request {
    let op = WEIGHTS[rng.usize(..WEIGHTS.len())].0;
    let op = if rng.u32(..28) == 0 { OpCode::CloseSession } else { op };
    let mut request = of(rng, paths, op, xid);
    if rng.u32(..28) == 0 {
        request.op = 99;
    }
    request
}

/// A well-formed request of one kind; its values may be wrong.
pub fn of(rng: &mut Rng, paths: &mut Paths, op: OpCode, xid: i32) -> Request {
    use OpCode::*;
    let mut body = Vec::new();
    let mut zxid = None;
    match op {
        Create | Create2 | CreateContainer | CreateTtl => create(rng, paths, op, &mut body),
        Delete | Check => delete(rng, paths, &mut body),
        SetData => set_data(rng, paths, &mut body),
        SetAcl => set_acl(rng, paths, &mut body),
        Exists | GetData | GetChildren | GetChildren2 => {
            put_raw(&mut body, &paths.any(rng));
            body.put_bool(chance(rng, 45));
        }
        GetAcl | Sync | GetEphemerals | GetAllChildrenNumber | DeleteContainer => {
            put_raw(&mut body, &paths.any(rng));
        }
        CheckWatches | RemoveWatches => {
            put_raw(&mut body, &paths.any(rng));
            body.put_i32([1, 2, 3, 3, 4, 5, 0, 6, -1][rng.usize(..9)]);
        }
        AddWatch => {
            put_raw(&mut body, &paths.any(rng));
            body.put_i32([0, 0, 0, 1, 1, 1, 2, -1][rng.usize(..8)]);
        }
        Multi => multi(rng, paths, &mut body),
        MultiRead => multi_read(rng, paths, &mut body),
        SetWatches | SetWatches2 => zxid = Some(watches(rng, paths, op, &mut body)),
        Auth => return auth_request(rng),
        Reconfig => reconfig(rng, &mut body),
        Ping | WhoAmI | CloseSession | Notification | Error | Sasl => {}
        CreateSession => body.put_i32(20_000),
    }
    let xid = match op {
        Ping if chance(rng, 70) => wire::ops::xid::PING,
        SetWatches | SetWatches2 => wire::ops::xid::SET_WATCHES,
        _ => xid,
    };
    Request { zxid, ..Request::new(xid, op, body) }
}

fn flags(rng: &mut Rng, op: OpCode) -> i32 {
    match (op, rng.u32(..100)) {
        (_, 0..=2) => [7, -1, 8, i32::MAX][rng.usize(..4)],
        (OpCode::CreateTtl, 3..=80) => rng.i32(5..7),
        (OpCode::CreateContainer, 3..=80) => 4,
        (_, 0..=55) => 0,
        (_, 56..=72) => 1,
        (_, 73..=87) => rng.i32(2..4),
        (_, 88..=93) => 4,
        (_, _) => rng.i32(5..7),
    }
}

/// Apache takes a container made with an ephemeral's flag for an ephemeral until it is applied, so that what follows in
/// the same multi or pipeline is answered by chance.
fn settled(op: OpCode, flags: i32) -> i32 {
    match (op, flags) {
        (OpCode::CreateContainer, 1 | 3) => flags - 1,
        _ => flags,
    }
}

/// A TTL flag with any TTL; other flags only with TTLs that are refused (with a negative one Apache accepts the
/// request and stops while applying it).
fn ttl(rng: &mut Rng, flags: i32) -> i64 {
    let good = [1, 5000, 3_600_000, 0xff_ffff_ffff][rng.usize(..4)];
    let bad = [0, 0x100_0000_0000, i64::MAX][rng.usize(..3)];
    match (flags, rng.u32(..10)) {
        (5 | 6, 0) => bad,
        (5 | 6, 1) => -1,
        (5 | 6, _) => good,
        (0..=4, n) if n < 5 => bad,
        (0..=4, _) => good,
        _ => rng.i64(..),
    }
}

fn create(rng: &mut Rng, paths: &mut Paths, op: OpCode, body: &mut Vec<u8>) {
    let mut path = if chance(rng, 75) { Some(paths.likely(rng).into_bytes()) } else { paths.any(rng) };
    let mut flags = flags(rng, op);
    if is_shared(&path) {
        flags = [0, 1, 4][rng.usize(..3)];
    } else if path.as_deref() == Some(paths.root().as_bytes()) {
        // A sequential name would lie beside the root, where other sequences see it.
        flags = [0, 1, 4][rng.usize(..3)];
    } else if path.as_ref().is_some_and(|p| p.ends_with(b"/nothing")) {
        path = Some(paths.likely(rng).into_bytes());
    }
    flags = settled(op, flags);
    let acl = acl(rng, 9);
    put_raw(body, &path);
    body.put_buffer(data(rng).as_deref());
    body.extend_from_slice(&acl);
    body.put_i32(flags);
    if op == OpCode::CreateTtl {
        body.put_i64(ttl(rng, flags));
    }
    if let Some(path) = path.and_then(|p| String::from_utf8(p).ok()).filter(|p| p.starts_with(paths.root())) {
        paths.made(&path, matches!(flags, 2 | 3 | 6));
    }
}

fn delete(rng: &mut Rng, paths: &mut Paths, body: &mut Vec<u8>) {
    let path = paths.any(rng);
    put_raw(body, &path);
    let is_root = path.as_deref() == Some(paths.root().as_bytes());
    body.put_i32(if is_root { 4711 } else { version(rng) });
    if let Some(path) = path.and_then(|p| String::from_utf8(p).ok()).filter(|_| chance(rng, 60)) {
        paths.forget(&path);
    }
}

/// Nodes that all sequences share must not be changed by one of them.
fn is_shared(path: &Option<Vec<u8>>) -> bool {
    path.as_ref().is_some_and(|p| {
        matches!(p.as_slice(), b"" | b"/" | b"/zookeeper" | b"/zookeeper/quota" | b"/zookeeper/config")
    })
}

/// Apache reads what is in a usage node when it next changes it, and stops on text that it cannot read.
fn is_usage(path: &Option<Vec<u8>>) -> bool {
    path.as_ref().is_some_and(|p| p.ends_with(b"zookeeper_stats"))
}

fn set_data(rng: &mut Rng, paths: &mut Paths, body: &mut Vec<u8>) {
    let path = paths.any(rng);
    let given = if is_usage(&path) { Some(b"count=4,bytes=7".to_vec()) } else { data(rng) };
    put_raw(body, &path);
    body.put_buffer(given.as_deref());
    body.put_i32(if is_shared(&path) { 4711 } else { version(rng) });
}

fn set_acl(rng: &mut Rng, paths: &mut Paths, body: &mut Vec<u8>) {
    let mut path = paths.any(rng);
    if path.as_deref() == Some(paths.root().as_bytes()) && chance(rng, 75) {
        path = Some(paths.likely(rng).into_bytes());
    }
    put_raw(body, &path);
    body.extend_from_slice(&acl(rng, 20));
    body.put_i32(if is_shared(&path) { 4711 } else { version(rng) });
}

fn multi(rng: &mut Rng, paths: &mut Paths, body: &mut Vec<u8>) {
    use OpCode::*;
    const WRITES: [OpCode; 11] =
        [Create, Create, Create2, CreateContainer, CreateTtl, Delete, Delete, SetData, SetData, Check, Check];
    let reads = rng.u32(..25) == 0;
    for _ in 0..rng.usize(..6) {
        let op = if reads { GetData } else { WRITES[rng.usize(..WRITES.len())] };
        let sub = match (op, chance(rng, 82)) {
            (Create | Create2 | CreateContainer | CreateTtl, _) if rng.u32(..25) == 0 => misnamed(paths, op),
            (Create | Create2 | CreateContainer, true) => well_meant_create(rng, paths, op),
            (Delete | Check | SetData, true) => well_meant_write(rng, paths, op),
            _ => of(rng, paths, op, 0),
        };
        let done = rng.u32(..300) == 0;
        MultiHeader { op: sub.op, done, err: -1 }.encode(body);
        body.extend_from_slice(&sub.body);
    }
    match rng.u32(..40) {
        0 => {
            let odd = [SetAcl, DeleteContainer, Reconfig, GetData, GetChildren, Ping, Multi][rng.usize(..7)];
            MultiHeader { op: odd.code(), done: false, err: -1 }.encode(body);
            let sub = of(rng, paths, if odd == Multi { Ping } else { odd }, 0);
            body.extend_from_slice(&sub.body);
            MultiHeader::END.encode(body);
        }
        1 => MultiHeader { op: 99, done: false, err: -1 }.encode(body),
        2 => {}
        3 => MultiHeader { op: 7, done: true, err: 3 }.encode(body),
        _ => MultiHeader::END.encode(body),
    }
}

/// A create that fails only when the node exists.
fn well_meant_create(rng: &mut Rng, paths: &mut Paths, op: OpCode) -> Request {
    let path = paths.likely(rng);
    let mut body = Vec::new();
    body.put_ustring(&path);
    body.put_buffer(data(rng).as_deref());
    body.extend_from_slice(wire::data::OPEN_ACL);
    let flags = if path == paths.root() { 0 } else { [0, 0, 1, 2, 3][rng.usize(..5)] };
    let flags = settled(op, flags);
    body.put_i32(flags);
    paths.made(&path, flags > 1);
    Request::new(0, op, body)
}

/// A create that fails because of its path alone.
fn misnamed(paths: &Paths, op: OpCode) -> Request {
    let mut body = Vec::new();
    body.put_ustring(&format!("{}/../a", paths.root()));
    body.put_buffer(None);
    body.extend_from_slice(wire::data::OPEN_ACL);
    body.put_i32(0);
    if op == OpCode::CreateTtl {
        body.put_i64(7);
    }
    Request::new(0, op, body)
}

/// A write of any version to a node that probably exists.
fn well_meant_write(rng: &mut Rng, paths: &mut Paths, op: OpCode) -> Request {
    let mut body = Vec::new();
    let path = paths.existing(rng);
    let op = if path == paths.root() && op == OpCode::Delete { OpCode::Check } else { op };
    body.put_ustring(&path);
    if op == OpCode::SetData {
        body.put_buffer(data(rng).as_deref());
    }
    body.put_i32(if chance(rng, 88) { -1 } else { version(rng) });
    Request::new(0, op, body)
}

fn multi_read(rng: &mut Rng, paths: &mut Paths, body: &mut Vec<u8>) {
    for _ in 0..rng.usize(..5) {
        let odd = rng.u32(..40) == 0;
        let op = if odd { OpCode::Delete } else { [OpCode::GetData, OpCode::GetChildren][rng.usize(..2)] };
        MultiHeader { op: op.code(), done: false, err: -1 }.encode(body);
        body.extend_from_slice(&of(rng, paths, op, 0).body);
    }
    MultiHeader::END.encode(body);
}

fn watches(rng: &mut Rng, paths: &Paths, op: OpCode, body: &mut Vec<u8>) -> ZxidChoice {
    body.put_i64(0);
    for _ in 0..if op == OpCode::SetWatches2 { 5 } else { 3 } {
        match rng.u32(..12) {
            0 => body.put_i32(-1),
            n => {
                let list: Vec<_> = (0..n.min(3)).map(|_| paths.any(rng)).collect();
                body.put_count(list.len());
                // A null path here is met by Apache with an exception halfway through the lists.
                list.iter().for_each(|path| body.put_buffer(Some(path.as_deref().unwrap_or(b"/null"))));
            }
        }
    }
    match rng.u32(..6) {
        0 => ZxidChoice::Absolute(0),
        1 => ZxidChoice::Absolute(i64::MAX),
        2 => ZxidChoice::Absolute(-1),
        _ => ZxidChoice::Relative(rng.i64(0..60)),
    }
}

fn auth_request(rng: &mut Rng) -> Request {
    match rng.u32(..22) {
        0..=6 => auth("digest", Some(b"alice:pw")),
        7..=12 => auth("digest", Some(b"bob:pw")),
        13..=14 => auth("digest", Some(b"alice:wrong")),
        15 => auth("digest", Some(b"super:admin")),
        16 => auth("digest", Some(b"no colon")),
        17 => {
            auth("digest", Some(pick(rng, &[&b""[..], b":", b"a:b:c", b"\xff:\xff", b"\xf0\x9f\x98\x80:x"])))
        }
        18 => auth("ip", Some(pick(rng, &[&b""[..], b"10.1.2.3"]))),
        19 => auth(pick(rng, &["world", "unknown", "sasl", "x509", "", "auth"]), Some(b"x")),
        20 => auth("digest", None),
        _ => {
            let mut request = auth("digest", Some(b"alice:pw"));
            match rng.u32(..3) {
                0 => request.body.truncate(9),
                1 => request.body.patch_i32(4, -1),
                _ => request.body.patch_i32(0, 77),
            }
            request
        }
    }
}

fn reconfig(rng: &mut Rng, body: &mut Vec<u8>) {
    for _ in 0..3 {
        body.put_buffer(
            pick(rng, &[&None, &None, &Some(&b"server.2=localhost:1:2;3"[..]), &Some(&b"2"[..])]).as_deref(),
        );
    }
    body.put_i64([-1, 0, 77][rng.usize(..3)]);
}
