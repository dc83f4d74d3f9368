//! A follower that observers follow: the test is the leader, and sometimes the observer too.

use crate::stage::{Stage, create_body, hello, read_body, settings};
use node::{Effect, session_password};
use wire::jute::Limits;
use wire::quorum::parts::{LearnerInfo, Request, Revalidate, Revalidated};
use wire::quorum::{AuthInfo, Packet, PacketKind, send};
use wire::request::ConnectRequest;
use wire::txn::{Txn, TxnHeader};
use wire::{OpCode, Reader};

const EPOCH: i32 = 1;
const FIRST: i64 = (1 << 32) + 1;
/// The key of the observer's connection.
const KEY: u64 = 5;

/// A record that creates a session.
fn session_record(zxid: i64, session_id: i64) -> Vec<u8> {
    let mut record = Vec::new();
    let op = OpCode::CreateSession.code();
    TxnHeader { session_id, cxid: 0, zxid, time_ms: 7, op }.encode(&mut record);
    Txn::CreateSession { timeout_ms: 4000 }.encode(&mut record);
    record
}

/// Kinds and zxids of packets, and their bytes used up.
fn packets(bytes: &mut Vec<u8>) -> Vec<(PacketKind, i64)> {
    let taken = std::mem::take(bytes);
    let (mut found, mut rest) = (Vec::new(), &taken[..]);
    while let Some((packet, used)) = Packet::split(rest, Limits::default()).unwrap() {
        found.push((packet.kind().unwrap(), packet.zxid));
        rest = &rest[used..];
    }
    assert!(rest.is_empty());
    found
}

/// The data of the one packet that is there.
fn only(bytes: &mut Vec<u8>, kind: PacketKind) -> Vec<u8> {
    let taken = std::mem::take(bytes);
    let (packet, used) = Packet::split(&taken, Limits::default()).unwrap().unwrap();
    assert_eq!((packet.kind(), used), (Some(kind), taken.len()));
    packet.data.unwrap_or_default().to_vec()
}

/// Member 1 follows 3 in epoch 1 and serves.
fn follower() -> Stage {
    let mut stage = Stage::new(settings(1));
    stage.elect_three(0);
    stage.leader_connects();
    stage.leader_sends(|out| send::leader_info(out, EPOCH));
    stage.leader_sends(|out| send::diff(out, 0));
    stage.leader_sends(|out| send::new_leader(out, EPOCH, Some("version=0")));
    assert!(!listens(&stage), "not before it is up to date");
    stage.leader_sends(send::up_to_date);
    assert!(listens(&stage) && stage.stats().is_serving);
    stage.to_leader.clear();
    stage
}

fn listens(stage: &Stage) -> bool {
    stage.effects.iter().any(|e| matches!(e, Effect::ListenForObservers))
}

fn to_observer(stage: &mut Stage) -> Vec<(PacketKind, i64)> {
    packets(stage.to_learners.entry(KEY).or_default())
}

fn from_observer(stage: &mut Stage, write: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    stage.learner_bytes(KEY, &bytes);
}

/// With an observer that was brought up to date.
fn with_observer() -> Stage {
    let mut stage = follower();
    assert!(stage.learner_connects(KEY));
    from_observer(&mut stage, |out| send::observer_info(out, 0, &LearnerInfo::new(4, 0)));
    assert_eq!(to_observer(&mut stage), [(PacketKind::LeaderInfo, 1 << 32)]);
    from_observer(&mut stage, |out| send::ack_epoch(out, Some(0), 0));
    assert_eq!(to_observer(&mut stage), [(PacketKind::Diff, 0), (PacketKind::NewLeader, 1 << 32)]);
    from_observer(&mut stage, |out| send::ack(out, 1 << 32));
    assert_eq!(to_observer(&mut stage), [(PacketKind::UpToDate, -1)]);
    from_observer(&mut stage, |out| send::ack(out, 1 << 32));
    assert_eq!(stage.stats().synced_observers, 1);
    stage
}

#[test]
fn observers_hear_of_what_is_committed_and_of_nothing_else() {
    let mut stage = with_observer();
    stage.leader_sends(|out| send::proposal(out, FIRST, &session_record(FIRST, 77)));
    stage.leader_sends(|out| send::proposal(out, FIRST + 1, &session_record(FIRST + 1, 78)));
    assert!(to_observer(&mut stage).is_empty());
    stage.leader_sends(|out| send::commit(out, FIRST));
    assert_eq!(to_observer(&mut stage), [(PacketKind::Inform, FIRST)]);
    stage.leader_sends(|out| send::commit(out, FIRST + 1));
    assert_eq!(to_observer(&mut stage), [(PacketKind::Inform, FIRST + 1)]);
    assert_eq!(stage.tree.last_zxid(), FIRST + 1);
}

#[test]
fn one_that_comes_later_gets_what_it_lacks() {
    let mut stage = with_observer();
    stage.leader_sends(|out| {
        send::proposal(out, FIRST, &session_record(FIRST, 77));
        send::commit(out, FIRST);
        send::proposal(out, FIRST + 1, &session_record(FIRST + 1, 78));
    });
    stage.learner_leaves(KEY);
    stage.to_learners.clear();
    assert!(stage.learner_connects(KEY));
    from_observer(&mut stage, |out| send::observer_info(out, EPOCH, &LearnerInfo::new(4, 0)));
    from_observer(&mut stage, |out| send::ack_epoch(out, None, 1 << 32));
    let sent = to_observer(&mut stage);
    assert_eq!(sent[0], (PacketKind::LeaderInfo, 1 << 32));
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::Locate { to: KEY, last } if *last == 1 << 32)));
    stage.node.located(KEY, None, &stage.tree);
    stage.settle();
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::StreamTree { to: KEY })));
    let (through, now) = (stage.tree.last_zxid(), stage.now());
    stage.leader_sends(|out| send::commit(out, FIRST + 1));
    assert!(to_observer(&mut stage).is_empty(), "another thread sends");
    stage.node.streamed(KEY, through, &stage.tree, now);
    stage.settle();
    let expected = [
        (PacketKind::Proposal, FIRST + 1),
        (PacketKind::Commit, FIRST + 1),
        (PacketKind::NewLeader, 1 << 32),
    ];
    assert_eq!(to_observer(&mut stage), expected);
}

#[test]
fn voters_and_acknowledgements_are_not_taken() {
    let mut stage = with_observer();
    from_observer(&mut stage, |out| send::ack(out, FIRST));
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::CloseLearner(KEY))));
    assert!(stage.learner_connects(6));
    let mut bytes = Vec::new();
    send::follower_info(&mut bytes, 0, &LearnerInfo::new(2, 0));
    stage.learner_bytes(6, &bytes);
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::CloseLearner(6))));
}

#[test]
fn syncs_are_answered_in_the_order_in_which_they_were_asked() {
    let mut stage = with_observer();
    stage.connect(1, &hello(Some(false)));
    let asked = only(&mut stage.to_leader, PacketKind::Request);
    let session = Request::decode(&asked).unwrap().session_id;
    stage.leader_sends(|out| {
        send::proposal(out, FIRST, &session_record(FIRST, session));
        send::commit(out, FIRST);
    });
    assert_eq!(stage.welcome(1).session_id, session);
    stage.to_leader.clear();
    let sync = Request { session_id: 99, cxid: 3, op: OpCode::Sync.code(), body: &read_body("/", false) };
    from_observer(&mut stage, |out| send::request(out, &sync, AuthInfo::NULL));
    stage.request(1, 1, OpCode::Sync, &read_body("/", false)[..5]);
    let forwarded = packets(&mut stage.to_leader);
    assert_eq!(forwarded.len(), 2);
    to_observer(&mut stage);
    // The commit of the same moment must come to the observer before the answer.
    stage.leader_sends(|out| {
        send::proposal(out, FIRST + 1, &session_record(FIRST + 1, 99));
        send::commit(out, FIRST + 1);
        send::sync(out);
    });
    assert_eq!(to_observer(&mut stage), [(PacketKind::Inform, FIRST + 1), (PacketKind::Sync, 0)]);
    assert!(stage.received(1).is_empty());
    stage.leader_sends(send::sync);
    assert_eq!(stage.reply(1).0.err, 0);
    assert!(to_observer(&mut stage).is_empty());
}

#[test]
fn sessions_are_revalidated_for_whoever_asked() {
    let mut stage = with_observer();
    let asked = Revalidate { session_id: 99, timeout_ms: 6000 };
    from_observer(&mut stage, |out| send::revalidate(out, &asked));
    assert_eq!(Revalidate::decode(&only(&mut stage.to_leader, PacketKind::Revalidate)).unwrap(), asked);
    // A client of this follower asks for the same session behind the observer's.
    let password = session_password(99);
    stage.connect(1, &ConnectRequest { session_id: 99, password: Some(&password), ..hello(Some(false)) });
    stage.to_leader.clear();
    stage.leader_sends(|out| send::revalidated(out, -1, 99, true));
    let answer = only(stage.to_learners.get_mut(&KEY).unwrap(), PacketKind::Revalidate);
    assert_eq!(Revalidated::decode(&answer).unwrap(), Revalidated { session_id: 99, valid: true });
    assert!(stage.received(1).is_empty());
    stage.leader_sends(|out| send::revalidated(out, -1, 99, false));
    assert_eq!(stage.welcome(1).session_id, 0);
    // The leader hears that the observer's client is alive, and what the observer hears itself.
    from_observer(&mut stage, |out| send::ping_reply(out, 0, [(98, 4000)]));
    stage.to_leader.clear();
    stage.leader_sends(|out| send::ping(out, FIRST));
    let data = only(&mut stage.to_leader, PacketKind::Ping);
    let mut reader = Reader::new(&data);
    let touched = [(); 2].map(|()| (reader.i64().unwrap(), reader.i32().unwrap()));
    assert_eq!(touched, [(98, 4000), (99, 6000)]);
    assert!(reader.is_empty());
}

#[test]
fn observers_are_pinged_and_let_go_with_the_leader() {
    let mut stage = with_observer();
    stage.pass(250);
    assert_eq!(to_observer(&mut stage), [(PacketKind::Ping, 0)]);
    stage.leader_leaves();
    let closed = stage.effects.iter().any(|e| matches!(e, Effect::CloseLearner(KEY)));
    assert!(closed && stage.effects.iter().any(|e| matches!(e, Effect::StopListening)));
    assert!(!stage.learner_connects(7));
}

/// Bytes go from one to the other until nobody has any.
fn exchange(master: &mut Stage, observer: &mut Stage) {
    loop {
        let down = std::mem::take(master.to_learners.entry(KEY).or_default());
        let up = std::mem::take(&mut observer.to_leader);
        if down.is_empty() && up.is_empty() {
            return;
        }
        observer.leader_bytes(&down);
        master.learner_bytes(KEY, &up);
    }
}

#[test]
fn an_observer_of_ours_serves_clients_behind_it() {
    let mut master = follower();
    let mut observer = Stage::new(settings(4));
    observer.elect_three(1);
    assert!(master.learner_connects(KEY));
    observer.leader_connects();
    exchange(&mut master, &mut observer);
    assert!(observer.stats().is_serving);
    observer.connect(1, &hello(Some(false)));
    exchange(&mut master, &mut observer);
    let asked = only(&mut master.to_leader, PacketKind::Request);
    let session = Request::decode(&asked).unwrap().session_id;
    master.leader_sends(|out| {
        send::proposal(out, FIRST, &session_record(FIRST, session));
        send::commit(out, FIRST);
    });
    exchange(&mut master, &mut observer);
    assert_eq!(observer.welcome(1).session_id, session);
    master.to_leader.clear();
    observer.request(1, 1, OpCode::Create, &create_body("/a", b"x"));
    exchange(&mut master, &mut observer);
    let forwarded = packets(&mut master.to_leader);
    assert_eq!(forwarded, [(PacketKind::Request, -1)], "the leader hears of it from the follower");
}

#[test]
fn an_observer_ahead_of_its_master_is_never_cut() {
    let mut stage = with_observer();
    stage.learner_leaves(KEY);
    stage.to_learners.clear();
    assert!(stage.learner_connects(KEY));
    from_observer(&mut stage, |out| send::observer_info(out, EPOCH, &LearnerInfo::new(4, 0)));
    from_observer(&mut stage, |out| send::ack_epoch(out, None, FIRST + 7));
    to_observer(&mut stage);
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::CloseLearner(KEY))));
    // And from the other side: an observer leaves a master that would cut it.
    let mut observer = Stage::new(settings(4));
    observer.elect_three(1);
    observer.leader_connects();
    observer.leader_sends(|out| send::leader_info(out, EPOCH));
    observer.leader_sends(|out| send::diff(out, 0));
    observer.leader_sends(|out| send::new_leader(out, EPOCH, Some("version=0")));
    observer.leader_sends(send::up_to_date);
    observer.leader_sends(|out| send::inform(out, FIRST, &session_record(FIRST, 77)));
    observer.leader_leaves();
    observer.elect_three(1);
    observer.leader_connects();
    observer.leader_sends(|out| send::leader_info(out, EPOCH));
    observer.leader_sends(|out| send::trunc(out, 0));
    assert!(
        observer.reports.iter().any(|r| r.contains("lags behind this observer")),
        "{:?}",
        observer.reports
    );
    assert_eq!(observer.tree.last_zxid(), FIRST);
}
