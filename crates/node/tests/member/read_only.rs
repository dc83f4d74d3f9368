//! Read-only mode as a client meets it.

use crate::stage::{Stage, create_body, hello, read_body, settings};
use node::session_password;
use wire::request::ConnectRequest;
use wire::{ErrorCode, OpCode};

/// A member that has long had no leader, and a client of it.
fn with_client() -> (Stage, i64) {
    let mut stage = Stage::new(settings(1));
    stage.pass(2000);
    stage.connect(1, &hello(Some(true)));
    let welcome = stage.welcome(1);
    assert_eq!((welcome.read_only, welcome.timeout_ms), (Some(true), 4000));
    (stage, welcome.session_id)
}

#[test]
fn nobody_is_served_before_the_grace_is_over() {
    let mut stage = Stage::new(settings(1));
    stage.pass(1999);
    stage.connect(1, &hello(Some(true)));
    assert!(stage.is_closed(1) && stage.received(1).is_empty());
    assert!(!stage.stats().is_serving);
    stage.pass(1);
    assert!(stage.stats().is_serving && stage.stats().is_read_only);
    stage.connect(2, &hello(Some(true)));
    assert_eq!(stage.welcome(2).read_only, Some(true));
}

#[test]
fn without_the_option_nobody_ever_is() {
    let mut stage = Stage::new(node::EnsembleSettings { read_only_after_ms: None, ..settings(1) });
    stage.pass(100_000);
    stage.connect(1, &hello(Some(true)));
    assert!(stage.is_closed(1) && !stage.stats().is_serving);
}

#[test]
fn clients_that_want_to_write_are_closed() {
    let (mut stage, _) = with_client();
    for (id, read_only) in [(2, Some(false)), (3, None)] {
        stage.connect(id, &hello(read_only));
        assert!(stage.is_closed(id) && stage.received(id).is_empty());
    }
}

#[test]
fn reads_are_answered_and_writes_are_not() {
    let (mut stage, _) = with_client();
    stage.request(1, 1, OpCode::GetData, &read_body("/zookeeper/quota", true));
    assert_eq!(stage.reply(1).0.err, 0);
    stage.request(1, -2, OpCode::Ping, &[]);
    assert_eq!(stage.reply(1).0.err, 0);
    let refused = [
        (OpCode::Create, create_body("/a", b"")),
        (OpCode::SetData, vec![1, 2, 3]),
        (OpCode::Multi, vec![]),
        (OpCode::Reconfig, vec![]),
        (OpCode::Sync, read_body("/", false)),
    ];
    for (xid, (op, body)) in (10..).zip(refused) {
        stage.request(1, xid, op, &body);
        let (header, body) = stage.reply(1);
        assert_eq!((header.xid, header.err), (xid, ErrorCode::NotReadOnly.code()), "{op:?}");
        assert!(body.is_empty() && header.zxid == stage.tree.last_zxid());
    }
    assert!(!stage.is_closed(1) && !stage.node.has_batch());
}

#[test]
fn a_session_is_local_and_comes_back_to_this_server_only() {
    let (mut stage, id) = with_client();
    assert!(!stage.tree.sessions().contains_key(&id), "no transaction made it");
    stage.break_off(1);
    let password = session_password(id);
    let again = ConnectRequest { session_id: id, password: Some(&password), ..hello(Some(true)) };
    stage.connect(2, &again);
    assert_eq!(stage.welcome(2).session_id, id);
    stage.connect(3, &ConnectRequest { password: Some(&[1; 16]), ..again.clone() });
    let refused = stage.welcome(3);
    assert_eq!((refused.session_id, refused.timeout_ms, refused.read_only), (0, 0, Some(true)));
    assert!(stage.is_closed(3) && stage.is_closed(2), "the former connection goes first, as in Apache");
    let unknown = session_password(77);
    stage.connect(4, &ConnectRequest { session_id: 77, password: Some(&unknown), ..hello(Some(true)) });
    assert_eq!(stage.welcome(4).session_id, 0);
}

#[test]
fn a_session_of_the_ensemble_is_turned_away_without_a_word_on_its_life() {
    let mut tree = tree::Tree::new(tree::Rules { hash_seed: 1, ..Default::default() });
    let header = wire::txn::TxnHeader { session_id: 99, cxid: 0, zxid: 1, time_ms: 0, op: -10 };
    let txn = wire::txn::Txn::CreateSession { timeout_ms: 4000 };
    tree.apply(&wire::txn::TxnRecord { header, txn, digest: None }, &mut Vec::new());
    let mut stage = Stage::with_settings(settings(1), node::Settings::default(), tree);
    stage.pass(2000);
    let password = session_password(99);
    stage.connect(1, &ConnectRequest { session_id: 99, password: Some(&password), ..hello(Some(true)) });
    assert!(stage.is_closed(1) && stage.received(1).is_empty());
    let ahead = ConnectRequest { last_zxid_seen: 2, ..hello(Some(true)) };
    stage.connect(2, &ahead);
    assert!(stage.is_closed(2) && stage.received(2).is_empty(), "it has seen more than this server");
}

#[test]
fn sessions_end_by_request_and_by_silence() {
    let (mut stage, _) = with_client();
    stage.request(1, 5, OpCode::CloseSession, &[]);
    assert_eq!(stage.reply(1).0.err, 0);
    assert!(stage.is_closed(1));
    stage.connect(2, &hello(Some(true)));
    let id = stage.welcome(2).session_id;
    stage.pass(4500);
    assert!(stage.is_closed(2) && stage.stats().expired_sessions == 1);
    let password = session_password(id);
    stage.connect(3, &ConnectRequest { session_id: id, password: Some(&password), ..hello(Some(true)) });
    assert_eq!(stage.welcome(3).session_id, 0);
    assert!(!stage.node.has_batch(), "nothing of it reaches the log");
}

#[test]
fn a_leader_ends_it() {
    let (mut stage, _) = with_client();
    stage.request(1, 1, OpCode::GetData, &read_body("/zookeeper/quota", true));
    assert_eq!(stage.reply(1).0.err, 0);
    stage.elect_three(1);
    assert!(stage.is_closed(1) && !stage.stats().is_serving);
    stage.connect(2, &hello(Some(true)));
    assert!(stage.is_closed(2));
}
