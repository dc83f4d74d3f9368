//! The quorum port: captured packets, splitting at every byte, and what must be refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;

use golden::{golden, hex, names};
use proptest::prelude::*;
use std::borrow::Cow;
use wire::jute::{DecodeError, Limits, Put};
use wire::quorum::parts::{self, LearnerInfo, Request, Revalidate, Revalidated, Touches};
use wire::quorum::{
    AuthInfo, MAX_AUTH_BYTES, PROTOCOL_VERSION, Packet, PacketKind, SNAP_SIGNATURE, encode_auth, send,
};
use wire::{OpCode, Reader};

const SESSION: i64 = 0x100_00ba_d2ea_0000;
const EPOCH: i64 = 1 << 32;

/// The one packet in `bytes`; nothing comes out until its last byte is there.
fn only(bytes: &[u8]) -> Packet<'_> {
    for cut in 0..bytes.len() {
        assert_eq!(Packet::split(&bytes[..cut], Limits::default()), Ok(None), "{cut} bytes");
    }
    let (packet, used) = Packet::split(bytes, Limits::default()).unwrap().unwrap();
    assert_eq!(used, bytes.len());
    packet
}

fn kinds(mut bytes: &[u8]) -> Vec<PacketKind> {
    let mut kinds = Vec::new();
    while let Some((packet, used)) = Packet::split(bytes, Limits::default()).unwrap() {
        kinds.push(packet.kind().unwrap());
        bytes = &bytes[used..];
    }
    assert!(bytes.is_empty());
    kinds
}

/// What `write` appends is the captured packet `name`.
#[track_caller]
fn check(name: &str, write: impl FnOnce(&mut Vec<u8>, &Packet<'_>)) {
    let bytes = golden(name);
    let packet = only(&bytes);
    let mut written = Vec::new();
    write(&mut written, &packet);
    assert_eq!(written, bytes, "{name}");
    written.clear();
    packet.encode(&mut written);
    assert_eq!(written, bytes, "{name}");
}

fn data<'a>(packet: &Packet<'a>) -> &'a [u8] {
    packet.required_data().unwrap()
}

fn text(packet: &Packet<'_>) -> String {
    String::from_utf8(data(packet).to_vec()).unwrap()
}

#[test]
fn captured_packets_of_discovery_read_and_write_the_same() {
    let first = LearnerInfo::new(2, 0);
    let again = LearnerInfo::new(1, EPOCH + 9);
    let of_3_4 = LearnerInfo { sid: 1, protocol_version: PROTOCOL_VERSION, config_version: None };
    let observer = LearnerInfo::new(4, 0);
    for (name, epoch, info) in
        [("followerinfo", 0, first), ("followerinfo-again", 1, again), ("followerinfo-3.4", 0, of_3_4)]
    {
        check(name, |out, p| {
            assert_eq!(LearnerInfo::decode(p.data), Ok(Some(info)));
            send::follower_info(out, epoch, &info);
        });
    }
    check("observerinfo", |out, p| {
        assert_eq!(LearnerInfo::decode(p.data), Ok(Some(observer)));
        send::observer_info(out, 0, &observer);
    });
    check("leaderinfo", |out, p| {
        assert_eq!(parts::leader_info_version(data(p)), Ok(PROTOCOL_VERSION));
        send::leader_info(out, 1);
    });
    check("ackepoch", |out, p| {
        assert_eq!(parts::ack_epoch(data(p)), Ok(0));
        send::ack_epoch(out, Some(0), 0);
    });
    check("ackepoch-again", |out, p| {
        assert_eq!(parts::ack_epoch(data(p)), Ok(-1));
        send::ack_epoch(out, None, EPOCH + 9);
    });
}

#[test]
fn captured_packets_of_synchronisation_read_and_write_the_same() {
    check("diff-empty", |out, _| send::diff(out, 0));
    check("diff", |out, _| send::diff(out, EPOCH + 10));
    check("newleader", |out, p| {
        assert!(text(p).ends_with("\nversion=100000000"));
        send::new_leader(out, 1, Some(&text(p)));
    });
    check("newleader-3.4", |out, _| send::new_leader(out, 1, None));
    check("ack-newleader", |out, _| send::ack(out, EPOCH));
    check("uptodate", |out, _| send::up_to_date(out));

    let bytes = golden("snap");
    let (packet, used) = Packet::split(&bytes, Limits::default()).unwrap().unwrap();
    assert_eq!(packet, Packet::new(PacketKind::Snap, EPOCH + 8, None));
    let mut written = Vec::new();
    send::snap(&mut written, packet.zxid);
    assert_eq!(written, bytes[..used]);
    let dump = &mut Reader::new(&bytes[used..]);
    assert_eq!((dump.i32(), dump.i64(), dump.i32()), (Ok(1), Ok(SESSION), Ok(30_000)));
    assert!(bytes.ends_with(&[b"\0\0\0\x01/", SNAP_SIGNATURE].concat()));
}

#[test]
fn captured_packets_of_broadcast_read_and_write_the_same() {
    check("proposal", |out, p| send::proposal(out, EPOCH + 2, data(p)));
    check("inform", |out, p| send::inform(out, EPOCH + 2, data(p)));
    assert_eq!(data(&only(&golden("proposal"))), data(&only(&golden("inform"))));
    check("ack-txn", |out, p| send::ack(out, p.zxid));
    check("commit", |out, _| send::commit(out, EPOCH + 1));
    check("commitandactivate", |out, p| {
        assert_eq!(parts::commit_and_activate(data(p)), Ok(3));
        send::commit_and_activate(out, EPOCH + 9, 3);
    });
    check("informandactivate", |out, p| {
        let (leader, txn) = parts::inform_and_activate(data(p)).unwrap();
        assert_eq!(leader, 3);
        assert_eq!(wire::txn::TxnHeader::decode(&mut Reader::new(txn)).unwrap().zxid, EPOCH + 9);
        send::inform_and_activate(out, EPOCH + 9, leader, txn);
    });
}

#[test]
fn captured_packets_of_sessions_read_and_write_the_same() {
    check("ping", |out, p| send::ping(out, p.zxid));
    check("ping-reply", |out, p| {
        assert_eq!(p.data, Some(&[][..]));
        send::ping_reply(out, p.zxid, []);
    });
    check("ping-reply-touched", |out, p| {
        let touches = Touches::decode(data(p)).unwrap();
        assert_eq!((touches.len(), touches.collect::<Vec<_>>()), (1, vec![(SESSION, 30_000)]));
        send::ping_reply(out, p.zxid, touches);
    });
    check("revalidate", |out, p| {
        let asked = Revalidate { session_id: SESSION, timeout_ms: 30_000 };
        assert_eq!(Revalidate::decode(data(p)), Ok(asked));
        send::revalidate(out, &asked);
    });
    check("revalidated", |out, p| {
        let answer = Revalidated { session_id: SESSION, valid: true };
        assert_eq!(Revalidated::decode(data(p)), Ok(answer));
        send::revalidated(out, p.zxid, SESSION, true);
    });
    check("sync", |out, _| send::sync(out));
}

#[test]
fn captured_requests_read_and_write_the_same() {
    let ip = ("ip", "127.0.0.1");
    let digest = ("digest", "user:5w9W4eL3797Y4Wq8AcKUPPk8ha4=");
    let none: Option<&[(&str, &str)]> = None;
    let all = [
        ("request-create-session", OpCode::CreateSession, none),
        ("request-close-session", OpCode::CloseSession, Some(&[ip][..])),
        ("request-create", OpCode::Create, Some(&[ip])),
        ("request-two-ids", OpCode::SetData, Some(&[ip, digest])),
        ("request-sync", OpCode::Sync, Some(&[ip])),
    ];
    for (name, op, ids) in all {
        check(name, |out, p| {
            let request = Request::decode(data(p)).unwrap();
            assert_eq!((p.zxid, request.op), (-1, op.code()), "{name}");
            assert_eq!(p.auth.is_null(), ids.is_none());
            let ids = ids.unwrap_or_default();
            assert!(p.auth.iter().eq(ids.iter().map(|(s, i)| (Cow::from(*s), Cow::from(*i)))), "{name}");
            let mut encoded = Vec::new();
            encode_auth(ids.iter().copied(), &mut encoded);
            let auth = AuthInfo::decode(&mut Reader::new(&encoded)).unwrap();
            send::request(out, &request, if p.auth.is_null() { AuthInfo::NULL } else { auth });
        });
    }
}

#[test]
fn captured_streams_split_into_their_packets() {
    use PacketKind::*;
    let leader = kinds(&golden("stream-leader"));
    let sync = [LeaderInfo, Diff, Proposal, Commit, NewLeader, UpToDate, Proposal, Commit, Ping];
    assert_eq!(leader[..9], sync);
    assert!(leader[9..].iter().all(|kind| *kind == Ping));
    let follower = kinds(&golden("stream-follower"));
    assert_eq!(follower[..6], [FollowerInfo, AckEpoch, Ack, Ack, Ack, Ping]);
    assert!(follower[6..].iter().all(|kind| *kind == Ping));
}

#[test]
fn every_capture_is_of_a_known_kind() {
    let packets = names(&["initial-", "notification-", "stream-"], false);
    assert_eq!(packets.len(), 31);
    for name in packets {
        let bytes = golden(&name);
        let (packet, _) = Packet::split(&bytes, Limits::default()).unwrap().unwrap();
        let kind = format!("{:?}", packet.kind().unwrap()).to_lowercase();
        let stem = name.split('-').next().unwrap();
        assert!(stem == kind || stem == "revalidated", "{name} holds {kind}");
    }
}

#[test]
fn reference_bytes_are_written() {
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        out
    };
    let info = LearnerInfo::new(1, 0);
    let expected =
        hex("0000000b 0000000000000000 00000014 0000000000000001 00010000 0000000000000000 ffffffff");
    assert_eq!(written(&|out| send::follower_info(out, 0, &info)), expected);
    let expected = hex("00000011 0000000100000000 00000004 00010000 ffffffff");
    assert_eq!(written(&|out| send::leader_info(out, 1)), expected);
    let expected = hex("00000012 0000000000000000 00000004 00000000 ffffffff");
    assert_eq!(written(&|out| send::ack_epoch(out, Some(0), 0)), expected);
    let expected = hex("00000003 0000000100000000 ffffffff ffffffff");
    assert_eq!(written(&|out| send::ack(out, EPOCH)), expected);
    let expected = hex("0000000c ffffffffffffffff ffffffff ffffffff");
    assert_eq!(written(&|out| send::up_to_date(out)), expected);
    let expected = hex("00000005 0000000100000007 00000000 ffffffff");
    assert_eq!(written(&|out| send::ping_reply(out, EPOCH + 7, [])), expected);
    let expected = hex("00000007 0000000000000000 ffffffff ffffffff");
    assert_eq!(written(&|out| send::sync(out)), expected);
    let expected = hex("0000000e 0000000100000007 ffffffff ffffffff");
    assert_eq!(written(&|out| send::trunc(out, EPOCH + 7)), expected);
    let request = Request { session_id: 5, cxid: 0, op: -10, body: &[0, 0, 0x27, 0x10] };
    let expected =
        hex("00000001 ffffffffffffffff 00000014 0000000000000005 00000000 fffffff6 00002710 ffffffff");
    assert_eq!(written(&|out| send::request(out, &request, AuthInfo::NULL)), expected);
}

#[test]
fn codes_and_kinds_name_each_other() {
    assert_eq!(PacketKind::ALL.len(), 19);
    for (kind, code) in PacketKind::ALL.iter().zip(1..) {
        assert_eq!((kind.code(), PacketKind::from_code(code)), (code, Some(*kind)));
    }
    for code in [0, 20, -1, i32::MAX] {
        assert_eq!(PacketKind::from_code(code), None);
    }
    let mut bytes = Vec::new();
    Packet { code: 77, ..Packet::new(PacketKind::Ack, 5, Some(b"later")) }.encode(&mut bytes);
    let packet = only(&bytes);
    assert_eq!((packet.kind(), packet.code, packet.data), (None, 77, Some(&b"later"[..])));
}

#[test]
fn learner_info_has_the_fields_its_length_allows() {
    let full = hex("0000000000000007 00010000 0000000000000009");
    let decode = |n: usize| LearnerInfo::decode(Some(&full[..n]));
    let bare = LearnerInfo { sid: 7, protocol_version: 1, config_version: None };
    let old = LearnerInfo { protocol_version: PROTOCOL_VERSION, ..bare };
    for length in 0..=20 {
        match length {
            0..8 => assert_eq!(decode(length), Err(DecodeError::Truncated { missing: 8 - length })),
            8..12 => assert_eq!(decode(length), Ok(Some(bare))),
            12..20 => assert_eq!(decode(length), Ok(Some(old))),
            _ => assert_eq!(decode(length), Ok(Some(LearnerInfo::new(7, 9)))),
        }
    }
    assert_eq!(LearnerInfo::decode(None), Ok(None));
}

#[test]
fn short_data_is_refused() {
    for length in [1, 11, 13, 23] {
        assert!(matches!(Touches::decode(&vec![0; length]), Err(DecodeError::Truncated { .. })));
    }
    assert!(Revalidate::decode(&[0; 11]).is_err());
    assert!(Revalidated::decode(&[0; 8]).is_err());
    assert!(Request::decode(&[0; 15]).is_err());
    assert!(parts::ack_epoch(&[0; 3]).is_err());
    assert!(parts::leader_info_version(&[0; 3]).is_err());
    assert!(parts::commit_and_activate(&[0; 7]).is_err());
    assert!(parts::inform_and_activate(&[0; 7]).is_err());
    assert_eq!(Packet::new(PacketKind::Ping, 0, None).required_data(), Err(DecodeError::UnexpectedNull));
}

#[test]
fn hostile_lengths_are_refused_before_what_they_announce() {
    let limits = Limits { field_bytes: 1000 };
    let head = |rest: &[i32]| {
        let mut out = hex("00000001 ffffffffffffffff");
        rest.iter().for_each(|v| out.put_i32(*v));
        out
    };
    for length in [-2, i32::MIN, 1001, i32::MAX] {
        let error = DecodeError::UnreasonableLength { length, limit: 1000 };
        assert_eq!(Packet::split(&head(&[length]), limits), Err(error));
        assert!(Packet::split(&head(&[-1, 1, length]), limits).is_err());
        assert!(Packet::split(&head(&[-1, 1, -1, length]), limits).is_err());
    }
    assert_eq!(Packet::split(&head(&[1000]), limits), Ok(None));
    assert_eq!(Packet::split(&head(&[-1, 1, 1000]), limits), Ok(None));
    let most = (MAX_AUTH_BYTES / 8) as i32;
    for count in [-2, i32::MIN, most + 1, i32::MAX] {
        let error = DecodeError::UnreasonableCount { count, available: MAX_AUTH_BYTES };
        assert_eq!(Packet::split(&head(&[-1, count]), limits), Err(error));
    }
    assert_eq!(Packet::split(&head(&[-1, most]), limits), Ok(None));
}

#[test]
fn authinfo_as_a_whole_is_bounded() {
    let limits = Limits { field_bytes: MAX_AUTH_BYTES };
    let mut bytes = hex("00000001 ffffffffffffffff ffffffff 00000001");
    bytes.put_count(MAX_AUTH_BYTES - 12);
    bytes.resize(bytes.len() + MAX_AUTH_BYTES - 12, b'x');
    bytes.put_i32(0);
    let (packet, used) = Packet::split(&bytes, limits).unwrap().unwrap();
    assert_eq!((packet.auth.encoded().len(), used), (MAX_AUTH_BYTES, bytes.len()));
    let end = bytes.len();
    bytes.patch_i32(end - 4, 1);
    assert!(matches!(Packet::split(&bytes, limits), Err(DecodeError::UnreasonableLength { length: 1, .. })));
}

#[test]
fn null_and_empty_identities_differ_but_list_nothing() {
    let mut empty = Vec::new();
    encode_auth([].into_iter(), &mut empty);
    let empty = AuthInfo::decode(&mut Reader::new(&empty)).unwrap();
    assert!(!empty.is_null() && AuthInfo::NULL.is_null());
    assert_eq!((empty.iter().count(), AuthInfo::NULL.iter().count()), (0, 0));
    let nulls = hex("00000001 ffffffff ffffffff");
    let nulls = AuthInfo::decode(&mut Reader::new(&nulls)).unwrap();
    assert_eq!(nulls.iter().collect::<Vec<_>>(), [("".into(), "".into())]);
}

fn any_data() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40))
}

proptest! {
    #[test]
    fn packets_survive(
        code in prop_oneof![1..20, any::<i32>()],
        zxid in any::<i64>(),
        data in any_data(),
        ids in proptest::option::of(proptest::collection::vec(("[a-z]{0,8}", "[\u{0}-\u{d7ff}]{0,8}"), 0..4)),
    ) {
        let mut auth = Vec::new();
        match &ids {
            Some(ids) => encode_auth(ids.iter().map(|(s, i)| (s.as_str(), i.as_str())), &mut auth),
            None => auth.put_i32(-1),
        }
        let auth = AuthInfo::decode(&mut Reader::new(&auth)).unwrap();
        let packet = Packet { code, zxid, data: data.as_deref(), auth };
        let mut bytes = Vec::new();
        packet.encode(&mut bytes);
        let back = only(&bytes);
        prop_assert_eq!(back, packet);
        let expected = ids.unwrap_or_default();
        prop_assert!(back.auth.iter().eq(expected.into_iter().map(|(s, i)| (Cow::from(s), Cow::from(i)))));
    }

    #[test]
    fn what_is_split_off_writes_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Ok(Some((packet, used))) = Packet::split(&bytes, Limits::default()) {
            let mut again = Vec::new();
            packet.encode(&mut again);
            prop_assert_eq!(again, &bytes[..used]);
        }
    }

    #[test]
    fn touches_survive(touches in proptest::collection::vec(any::<(i64, i32)>(), 0..5), zxid in any::<i64>()) {
        let mut bytes = Vec::new();
        send::ping_reply(&mut bytes, zxid, touches.iter().copied());
        let back = Touches::decode(only(&bytes).required_data().unwrap()).unwrap();
        prop_assert_eq!(back.collect::<Vec<_>>(), touches);
    }
}
