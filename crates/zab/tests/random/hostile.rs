//! Messages that no honest server sends: whatever they say, the machine does not panic, answers each with a bounded number
//! of messages, and elects nobody but a voter with weight.

use crate::rng::Rng;
use std::collections::BTreeMap;
use zab::election::{Effect, Election, Message, Options, OwnVote, Standing, Vote};
use zab::{Quorum, View};

/// Numbers at which arithmetic goes wrong, and small ones.
fn number(rng: &mut Rng) -> i64 {
    match rng.between(0, 79) {
        0 => i64::MIN,
        1 => i64::MAX,
        2 => i64::MAX - 1,
        3 => -1,
        _ => rng.between(0, 5),
    }
}

fn message(rng: &mut Rng) -> Message {
    let standings = [Standing::Looking, Standing::Following, Standing::Leading, Standing::Observing];
    Message {
        standing: standings[rng.between(0, 3) as usize],
        vote: Vote { leader: number(rng), zxid: number(rng), round: number(rng), peer_epoch: number(rng) },
        config_version: number(rng),
        version: number(rng) as i32,
    }
}

#[test]
fn no_message_makes_it_panic_or_talk_without_end() {
    let weights = BTreeMap::from([(3, 0)]);
    let quorum = Quorum::hierarchical([(1, [1, 2, 3, 4].into())].into(), weights).unwrap();
    let view = View { quorum, observers: [5].into(), version: 0 };
    let mut elected = 0;
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let me = rng.between(1, 5);
        let mut election = Election::new(me, me != 5, view.clone(), Options::default());
        let mut now_ms = if rng.chance(10) { i64::MAX - 1000 } else { 0 };
        for _ in 0..500 {
            let mut out = Vec::new();
            now_ms = now_ms.saturating_add(rng.between(0, 50));
            match rng.between(0, 30) {
                0 => election.look(
                    OwnVote { zxid: number(&mut rng), epoch: number(&mut rng) },
                    now_ms,
                    &mut out,
                ),
                1 => election.link_up(number(&mut rng), &mut out),
                2 => election.link_lost(number(&mut rng), now_ms, &mut out),
                3 => election.synced(number(&mut rng)),
                4..8 => election.tick(now_ms, &mut out),
                _ => election.receive(number(&mut rng), &message(&mut rng), now_ms, &mut out),
            }
            assert!(out.len() <= 6, "seed {seed}: {out:?}");
            for effect in out {
                if let Effect::Elected { leader, standing, .. } = effect {
                    elected += 1;
                    assert!([1, 2, 4].contains(&leader), "seed {seed}: {leader}");
                    assert_eq!(standing, election.standing());
                }
            }
        }
    }
    assert!(elected > 100, "only {elected} elections ended: little was tested");
}
