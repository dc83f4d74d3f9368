//! A member whose folder is empty though nobody promised that it may be: it waits to be told what there was.

use crate::stage::{Stage, hello, settings};
use node::{Effect, Settings};
use wire::election::Notification;
use wire::quorum::{Packet, PacketKind, send};
use zab::election::UNVERIFIED;

fn empty() -> Stage {
    let mut tree = tree::Tree::new(tree::Rules { hash_seed: 1, ..Default::default() });
    tree.set_last_zxid(UNVERIFIED);
    Stage::with_settings(settings(1), Settings::default(), tree)
}

#[test]
fn it_says_so_in_its_vote_and_shows_nobody_its_emptiness() {
    let mut stage = empty();
    let votes: Vec<i64> = stage
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Notify { payload, .. } => Some(Notification::decode(payload).unwrap().zxid),
            _ => None,
        })
        .collect();
    assert_eq!(votes, [-1, -1]);
    stage.pass(2000);
    stage.connect(1, &hello(Some(true)));
    assert!(stage.is_closed(1) && stage.received(1).is_empty());
}

#[test]
fn it_tells_the_leader_that_it_has_nothing() {
    let mut stage = empty();
    stage.elect_three(1);
    assert!(stage.effects.iter().any(|e| matches!(e, Effect::ConnectToLeader { leader: 3 })));
    stage.leader_connects();
    stage.to_leader.clear();
    stage.leader_sends(|out| send::leader_info(out, 1));
    let (packet, _) = Packet::split(&stage.to_leader, Default::default()).unwrap().unwrap();
    assert_eq!((packet.kind(), packet.zxid), (Some(PacketKind::AckEpoch), -1));
    stage.connect(1, &hello(None));
    assert!(stage.is_closed(1));
}
