//! The election port: captured messages, every length of a notification, and what must be refused.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod golden;

use golden::{golden, hex, names};
use proptest::prelude::*;
use wire::election::{
    ElectionError, InitialMessage, InitialVersion, MAX_FRAME_BYTES, Notification, ServerState, split_frame,
};

const CONFIG: &str = "server.1=127.0.0.1:24011:24021:participant;127.0.0.1:24001\n\
    server.2=127.0.0.1:24012:24022:participant;127.0.0.1:24002\n\
    server.3=127.0.0.1:24013:24023:participant;127.0.0.1:24003\n\
    server.4=127.0.0.1:24014:24024:observer;127.0.0.1:24004\nversion=0";

fn initial(version: InitialVersion, sid: i64, addresses: &[&str]) -> InitialMessage {
    InitialMessage { version, sid, addresses: addresses.iter().map(|a| a.to_string()).collect() }
}

fn vote(state: ServerState, leader: i64, config: &str) -> Notification<'_> {
    let (zxid, round, peer_epoch) = (0, 1, 0);
    Notification { state, leader, zxid, round, peer_epoch, version: 2, config: Some(config.into()) }
}

/// Nothing comes out until the last byte is there, and then always the same.
fn check_initial(bytes: &[u8], message: &InitialMessage) {
    for cut in 0..bytes.len() {
        assert_eq!(InitialMessage::decode(&bytes[..cut]), Ok(None), "{cut} bytes");
    }
    let longer = [bytes, b"more"].concat();
    assert_eq!(InitialMessage::decode(&longer), Ok(Some((message.clone(), bytes.len()))));
    let mut again = Vec::new();
    message.encode(&mut again);
    assert_eq!(again, bytes);
}

#[test]
fn captured_initial_messages_read_and_write_the_same() {
    let all = [
        ("initial-bare", initial(InitialVersion::Bare, 1, &[])),
        ("initial-v1", initial(InitialVersion::V1, 2, &["127.0.0.1:24022"])),
        ("initial-v2", initial(InitialVersion::V2, 2, &["127.0.0.1:24022", "127.0.0.2:24042"])),
    ];
    assert_eq!(all.each_ref().map(|(name, _)| name.to_string()).to_vec(), names(&["initial-"], true));
    for (name, message) in all {
        check_initial(&golden(name), &message);
    }
    let reference = hex("ffffffffffff0000 0000000000000002 0000000f 3132372e302e302e313a3233383832");
    check_initial(&reference, &initial(InitialVersion::V1, 2, &["127.0.0.1:23882"]));
}

#[test]
fn initial_messages_with_impossible_parts_are_refused() {
    let v1 = |length: i32, text: &[u8]| {
        [&hex("ffffffffffff0000 0000000000000002")[..], &length.to_be_bytes(), text].concat()
    };
    for length in [0, -1, i32::MIN, 2049, i32::MAX] {
        // Refused before any byte of the text is there.
        assert_eq!(InitialMessage::decode(&v1(length, b"")), Err(ElectionError::AddressLength(length)));
    }
    assert_eq!(InitialMessage::decode(&v1(2048, b"")), Ok(None));
    for version in [-1, i64::MIN, -65537, -65534] {
        let bytes = version.to_be_bytes();
        assert_eq!(InitialMessage::decode(&bytes), Err(ElectionError::ProtocolVersion(version)));
    }
    for text in
        ["|", "a", "a:", ":1", "a:65536", "a:+1", "a:1|", "a:1||b:2", "::1:5", "[::1:5", "[::1]5", "\u{fffd}"]
    {
        let decoded = InitialMessage::decode(&v1(text.len() as i32, text.as_bytes()));
        // Apache drops empty parts at the end too.
        let fine = text == "a:1|";
        assert_eq!(matches!(decoded, Err(ElectionError::Address(_))), !fine, "{text}: {decoded:?}");
    }
    let invalid_text = InitialMessage::decode(&v1(3, b"\xff:1"));
    assert!(matches!(invalid_text, Err(ElectionError::Address(_))));
}

#[test]
fn wildcard_addresses_reach_nobody() {
    let all = ["0.0.0.0:1", "[::]:2", "[::1]:3", "host:4"];
    let message = initial(InitialVersion::V2, 1, &all);
    assert_eq!(message.reachable().collect::<Vec<_>>(), ["[::1]:3", "host:4"]);
}

#[test]
fn captured_notifications_read_and_write_the_same() {
    let changed = CONFIG.replace("24004\nversion=0", "24009\nversion=100000009");
    let nobody = i64::MIN;
    let of_3_4 = Notification { version: 0, config: None, ..vote(ServerState::Looking, 2, "") };
    let observer = vote(ServerState::Looking, nobody, CONFIG);
    let all = [
        ("notification-3.4", of_3_4),
        ("notification-following", vote(ServerState::Following, 3, CONFIG)),
        ("notification-leading", Notification { peer_epoch: 1, ..vote(ServerState::Leading, 3, &changed) }),
        ("notification-looking", vote(ServerState::Looking, 3, CONFIG)),
        ("notification-observer-looking", Notification { zxid: nobody, peer_epoch: nobody, ..observer }),
    ];
    assert_eq!(all.each_ref().map(|(name, _)| name.to_string()).to_vec(), names(&["notification-"], true));
    for (name, notification) in all {
        let bytes = golden(name);
        let (payload, used) = split_frame(&bytes).unwrap().unwrap();
        assert_eq!((used, Notification::decode(payload)), (bytes.len(), Ok(notification.clone())), "{name}");
        let mut again = Vec::new();
        notification.encode_frame(&mut again);
        assert_eq!(again, bytes, "{name}");
    }
}

/// A notification with every field different, as an election of epoch 5 after epoch 4 would send it.
fn written() -> (Notification<'static>, Vec<u8>) {
    let config = Some("version=0".into());
    let (leader, zxid, round, peer_epoch) = (3, 0x4_0000_0009, 7, 5);
    let n =
        Notification { state: ServerState::Observing, leader, zxid, round, peer_epoch, version: 2, config };
    let mut bytes = Vec::new();
    n.encode(&mut bytes);
    (n, bytes)
}

#[test]
fn the_length_of_a_notification_says_which_fields_it_has() {
    let (full, bytes) = written();
    assert_eq!(bytes.len(), 44 + 9);
    for length in 0..44 {
        let decoded = Notification::decode(&bytes[..length]);
        let expected = match length {
            28 => Ok(Notification { peer_epoch: 4, version: 0, config: None, ..full.clone() }),
            40 => Ok(Notification { version: 0, config: None, ..full.clone() }),
            _ => Err(ElectionError::NotificationLength(length)),
        };
        assert_eq!(decoded, expected, "{length}");
    }
    for length in 44..bytes.len() {
        let error = ElectionError::ConfigLength { length: 9, available: length - 44 };
        assert_eq!(Notification::decode(&bytes[..length]), Err(error));
    }
    let longer = [&bytes[..], b"later"].concat();
    assert_eq!(Notification::decode(&longer), Ok(full.clone()));
    // A version without config: what follows it is ignored.
    let mut version_1 = bytes;
    version_1[39] = 1;
    assert_eq!(Notification::decode(&version_1), Ok(Notification { version: 1, config: None, ..full }));
}

#[test]
fn notifications_with_impossible_parts_are_refused() {
    let (_, bytes) = written();
    for length in [-1, i32::MIN, 10, i32::MAX] {
        let mut hostile = bytes.clone();
        hostile[40..44].copy_from_slice(&length.to_be_bytes());
        let error = ElectionError::ConfigLength { length, available: 9 };
        assert_eq!(Notification::decode(&hostile), Err(error));
    }
    for state in [-1, 4, i32::MAX] {
        let mut unknown = bytes.clone();
        unknown[..4].copy_from_slice(&state.to_be_bytes());
        assert_eq!(Notification::decode(&unknown), Err(ElectionError::State(state)));
    }
}

#[test]
fn frames_have_one_to_524288_bytes() {
    for length in [0, -1, i32::MIN, 524_289, i32::MAX] {
        assert_eq!(split_frame(&length.to_be_bytes()), Err(ElectionError::FrameLength(length)));
    }
    let mut longest = 524_288_i32.to_be_bytes().to_vec();
    assert_eq!(split_frame(&longest), Ok(None));
    longest.resize(4 + MAX_FRAME_BYTES + 1, 7);
    assert_eq!(split_frame(&longest[..4 + MAX_FRAME_BYTES - 1]), Ok(None));
    let (payload, used) = split_frame(&longest).unwrap().unwrap();
    assert_eq!((payload.len(), used), (MAX_FRAME_BYTES, MAX_FRAME_BYTES + 4));
}

fn any_address() -> impl Strategy<Value = String> {
    let host = prop_oneof!["[a-z0-9.-]{1,20}", "\\[[0-9a-f:]{2,20}\\]"];
    (host, any::<u16>()).prop_map(|(host, port)| format!("{host}:{port}"))
}

proptest! {
    #[test]
    fn initial_messages_survive(sid in any::<i64>(), mut addresses in proptest::collection::vec(any_address(), 1..5)) {
        let mut bytes = Vec::new();
        let v2 = InitialMessage { version: InitialVersion::V2, sid, addresses: addresses.clone() };
        v2.encode(&mut bytes);
        check_initial(&bytes, &v2);
        addresses.truncate(1);
        let v1 = InitialMessage { version: InitialVersion::V1, sid, addresses };
        bytes.clear();
        v1.encode(&mut bytes);
        check_initial(&bytes, &v1);
        let sid = sid & i64::MAX;
        check_initial(&sid.to_be_bytes(), &initial(InitialVersion::Bare, sid, &[]));
    }

    #[test]
    fn notifications_survive(
        state in 0..4,
        (leader, zxid, round, peer_epoch) in any::<(i64, i64, i64, i64)>(),
        version in 2..i32::MAX,
        config in ".{0,40}",
    ) {
        let state = ServerState::from_code(state).unwrap();
        let config = Some(config.as_str().into());
        let n = Notification { state, leader, zxid, round, peer_epoch, version, config };
        let mut bytes = Vec::new();
        n.encode_frame(&mut bytes);
        for cut in 0..bytes.len() {
            prop_assert_eq!(split_frame(&bytes[..cut]), Ok(None));
        }
        let (payload, _) = split_frame(&bytes).unwrap().unwrap();
        prop_assert_eq!(Notification::decode(payload), Ok(n.clone()));
        let old = Notification { version: 0, config: None, ..n };
        bytes.clear();
        old.encode(&mut bytes);
        prop_assert_eq!(bytes.len(), 40);
        prop_assert_eq!(Notification::decode(&bytes), Ok(old));
    }
}
