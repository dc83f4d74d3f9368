//! Handshakes, and the ends of sessions.

use super::Script;
use crate::step::{Handshake, PasswordChoice, SessionChoice, Step, ZxidChoice};
use wire::OpCode;

pub fn handshakes(s: &mut Script) {
    for read_only in [None, Some(0), Some(1)] {
        s.open(0, Handshake { read_only, ..Handshake::NEW });
    }
    for timeout_ms in [i32::MIN, -1, 0, 999, 1000, 1001, 40_000, 40_001, i32::MAX] {
        s.open(0, Handshake { timeout_ms, ..Handshake::NEW });
        s.open(0, Handshake::REATTACH);
    }
    for password in
        [PasswordChoice::Wrong, PasswordChoice::Short, PasswordChoice::Empty, PasswordChoice::Null]
    {
        s.open(0, Handshake { password, ..Handshake::NEW });
        s.open(0, Handshake { password, keep_old: true, ..Handshake::REATTACH });
        s.open(0, Handshake { read_only: None, ..Handshake::REATTACH });
    }
    for protocol in [1, -1] {
        s.open(1, Handshake { protocol, ..Handshake::NEW });
    }
    s.open(1, Handshake { keep_old: true, ..Handshake::REATTACH });
    for zxid in [ZxidChoice::Relative(1_000_000), ZxidChoice::Absolute(i64::MAX)] {
        s.open(1, Handshake { last_zxid: zxid, keep_old: true, ..Handshake::REATTACH });
        s.open(1, Handshake { last_zxid: zxid, ..Handshake::NEW });
    }
    for zxid in [ZxidChoice::Absolute(-1), ZxidChoice::Relative(0), ZxidChoice::Relative(5)] {
        s.open(1, Handshake { last_zxid: zxid, keep_old: true, ..Handshake::REATTACH });
    }
    for id in [1, -1, i64::MIN, 0x0102_0304_0506_0708] {
        s.open(2, Handshake { session: SessionChoice::Literal(id), ..Handshake::NEW });
        s.open(2, Handshake { session: SessionChoice::Literal(id), read_only: None, ..Handshake::NEW });
    }
    fresh_bytes(s);
}

fn fresh_bytes(s: &mut Script) {
    let shapes: [&[u8]; 12] = [
        b"ruok",
        b"isro",
        b"\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"\x7f\xff\xff\xff",
        b"\0\x10\0\0",
        b"\0\0\0\0",
        b"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b",
        b"\0\0\0\x1b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\xff\xff\xff",
        b"\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\0\0\0\x05",
        b"\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\xff\xff\xff\xfe",
        b"\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\x7f\xff\xff\xff",
    ];
    for bytes in shapes {
        s.steps.push(Step::Fresh { bytes: bytes.to_vec() });
    }
    let shapes: [&[u8]; 6] = [
        b"\xff\xff\xff\xff",
        b"\x80\0\0\0",
        b"\0\x10\0\0",
        b"\0\0\0\0",
        b"\0\0\0\x04\0\0\0\x01",
        b"\0\0\0\x07\0\0\0\x01\0\0\0",
    ];
    for bytes in shapes {
        s.steps.push(Step::Garbage { client: 0, bytes: bytes.to_vec() });
    }
}

pub fn lifetimes(s: &mut Script) {
    s.node(0, "~/a");
    s.create(1, "~/e1", 1);
    s.create(1, "~/a/e2", 1);
    s.create(1, "~/a/e3", 3);
    s.create(0, "~/a/mine", 1);
    for prefix in ["", " ", "/", "~", "~/a", "~/a/e", "~/none"] {
        s.ask(1, OpCode::GetEphemerals, prefix);
    }
    s.read(0, OpCode::Exists, "~/e1", true);
    s.read(0, OpCode::GetChildren, "~/a", true);
    s.numbered(2, OpCode::AddWatch, "~", 1);
    s.numbered(2, OpCode::AddWatch, "~/a", 0);
    s.send(1, OpCode::CloseSession, Vec::new());
    s.open(1, Handshake::REATTACH);
    s.open(1, Handshake::NEW);
    s.ask(1, OpCode::GetEphemerals, "/");
    s.create(1, "~/e1", 1);
    s.steps.push(Step::Drop { client: 1 });
    s.read(0, OpCode::GetData, "~/e1", false);
    s.open(1, Handshake::REATTACH);
    s.ask(1, OpCode::GetEphemerals, "/");
    s.open(1, Handshake { keep_old: true, ..Handshake::REATTACH });
    s.ask(1, OpCode::GetEphemerals, "/");
    s.delete(0, "~/e1", -1);
    s.ask(1, OpCode::GetEphemerals, "/");
    s.open(1, Handshake { timeout_ms: 0, ..Handshake::NEW });
    s.create(1, "~/a/short", 1);
    s.read(0, OpCode::Exists, "~/a/short", true);
    s.steps.push(Step::Expire { client: 1 });
    s.open(1, Handshake::REATTACH);
    s.read(0, OpCode::Exists, "~/a/short", false);
    let request = s.request(OpCode::CreateSession, 20_000i32.to_be_bytes().to_vec());
    s.last.push(Step::Send { client: 2, piece: 0, requests: vec![request] });
}
