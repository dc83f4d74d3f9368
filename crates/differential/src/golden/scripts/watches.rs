//! Watches and their events.

use super::Script;
use crate::step::{Handshake, ZxidChoice};
use wire::OpCode;

/// Every change to a node and below it; the other clients get the events.
fn life(s: &mut Script, path: &str) {
    s.node(0, path);
    s.set(0, path, b"1", -1);
    s.node(0, &format!("{path}/c"));
    s.set(0, &format!("{path}/c"), b"2", -1);
    s.set_acl(0, path, wire::data::OPEN_ACL, -1);
    s.delete(0, &format!("{path}/c"), -1);
    s.delete(0, path, 99);
    s.delete(0, path, -1);
}

pub fn one_shot(s: &mut Script) {
    s.read(1, OpCode::Exists, "~/a", true);
    s.read(1, OpCode::Exists, "~/a", true);
    s.read(1, OpCode::GetData, "~/a", true);
    s.read(1, OpCode::GetChildren, "~/a", true);
    s.read(2, OpCode::GetChildren2, "~", true);
    life(s, "~/a");
    for op in [OpCode::Exists, OpCode::GetData, OpCode::GetChildren, OpCode::GetChildren2] {
        s.node(0, "~/b");
        s.read(1, op, "~/b", true);
        s.set(0, "~/b", b"1", -1);
        s.read(1, op, "~/b", true);
        s.node(0, "~/b/c");
        s.read(1, op, "~/b", true);
        s.delete(0, "~/b/c", -1);
        s.read(1, op, "~/b", true);
        s.delete(0, "~/b", -1);
    }
    s.node(0, "~/both");
    s.read(1, OpCode::GetData, "~/both", true);
    s.read(1, OpCode::GetChildren, "~/both", true);
    s.delete(0, "~/both", -1);
    s.node(1, "~/own");
    s.read(1, OpCode::GetData, "~/own", true);
    s.set(1, "~/own", b"self", -1);
    s.read(1, OpCode::Exists, "~/own", true);
    s.open(1, Handshake::REATTACH);
    s.set(0, "~/own", b"the watch went with its connection", -1);
    s.read(1, OpCode::GetData, "/zookeeper/config", true);
    s.numbered(1, OpCode::CheckWatches, "/zookeeper/config", 2);
}

pub fn lasting(s: &mut Script) {
    for mode in [0, 1, 2, -1, i32::MAX] {
        s.numbered(1, OpCode::AddWatch, "~/a", mode);
    }
    life(s, "~/a");
    s.numbered(2, OpCode::AddWatch, "~", 1);
    s.read(2, OpCode::GetChildren, "~", true);
    s.read(2, OpCode::Exists, "~/a", true);
    life(s, "~/a");
    for kind in [0, 1, 2, 3, 4, 5, 6, -1] {
        for client in [1, 2] {
            s.numbered(client, OpCode::CheckWatches, "~/a", kind);
            s.numbered(client, OpCode::CheckWatches, "~", kind);
        }
    }
    for kind in [0, 1, 2, 3, 4, 5, 6] {
        s.node(0, "~/r");
        s.numbered(1, OpCode::AddWatch, "~/r", 0);
        s.numbered(1, OpCode::AddWatch, "~/r", 1);
        s.read(1, OpCode::GetData, "~/r", true);
        s.read(1, OpCode::GetChildren, "~/r", true);
        s.numbered(1, OpCode::RemoveWatches, "~/r", kind);
        for left in 1..=5 {
            s.numbered(1, OpCode::CheckWatches, "~/r", left);
        }
        life(s, "~/r/x");
        s.set(0, "~/r", b"", -1);
        s.numbered(1, OpCode::RemoveWatches, "~/r", 3);
        s.numbered(1, OpCode::RemoveWatches, "~/r", 3);
    }
    for path in ["/", "", "bad", "~/", "~//", "/zookeeper"] {
        s.numbered(2, OpCode::AddWatch, path, 0);
        s.numbered(2, OpCode::AddWatch, path, 1);
        s.numbered(2, OpCode::CheckWatches, path, 4);
        s.numbered(2, OpCode::CheckWatches, path, 5);
        s.node(0, "~/one");
        s.delete(0, "~/one", -1);
        s.numbered(2, OpCode::RemoveWatches, path, 3);
    }
}

pub fn set_watches(s: &mut Script) {
    s.node(0, "~/a");
    s.node(0, "~/b");
    s.node(0, "~/b/c");
    let some: &[&str] = &["~/a", "~/none", "~/b", "/", "", "bad"];
    for zxid in [
        ZxidChoice::Relative(0),
        ZxidChoice::Relative(5),
        ZxidChoice::Relative(6),
        ZxidChoice::Absolute(i64::MAX),
        ZxidChoice::Absolute(-1),
    ] {
        s.open(1, Handshake { last_zxid: ZxidChoice::Absolute(0), ..Handshake::REATTACH });
        s.set_watches(1, OpCode::SetWatches, zxid, &[some, some, some]);
        s.open(2, Handshake::REATTACH);
        s.set_watches(2, OpCode::SetWatches2, zxid, &[some, some, some, some, some]);
        for kind in 1..=5 {
            for path in ["~/a", "~/none", "~/b"] {
                s.numbered(2, OpCode::CheckWatches, path, kind);
            }
        }
        s.set(0, "~/a", b"x", -1);
        s.node(0, "~/none");
        s.node(0, "~/b/d");
        s.delete(0, "~/b/d", -1);
        s.delete(0, "~/none", -1);
    }
    s.set_watches(1, OpCode::SetWatches, ZxidChoice::Relative(0), &[&["~/a", "~/a"], &["~/a"], &["~/a"]]);
    s.set_watches(1, OpCode::SetWatches, ZxidChoice::Relative(0), &[&[], &[], &[]]);
    s.set_watches(1, OpCode::SetWatches, ZxidChoice::Relative(0), &[&[], &[]]);
    let null = (-1i32).to_be_bytes();
    let nulls = [&[0; 8][..], &null, &null, &null, &null, &null].concat();
    s.send(1, OpCode::SetWatches, nulls.clone());
    s.send(1, OpCode::SetWatches2, nulls);
    let below_zero = [&[0; 8][..], &(-2i32).to_be_bytes(), &[0; 16]].concat();
    s.send(1, OpCode::SetWatches2, below_zero);
}
