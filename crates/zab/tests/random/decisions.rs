//! What is true of every decision. Written without the crate's own vote order, so that it can be wrong alone.

use std::collections::BTreeSet;
use zab::election::{Message, OwnVote, Standing, Vote};
use zab::{ServerId, View};

type Told = (ServerId, i64, ServerId, i64, i64);

/// All that was ever said and decided.
#[derive(Default)]
pub struct Decisions {
    /// Who supported what while looking: server, round, leader, epoch, zxid.
    supported: BTreeSet<Told>,
    /// The votes with which servers entered rounds: server, round, epoch, zxid.
    entered: BTreeSet<(ServerId, i64, i64, i64)>,
    /// Who ever became leader, and in which round.
    led: BTreeSet<(ServerId, i64)>,
    count: usize,
}

impl Decisions {
    pub fn count(&self) -> usize {
        self.count
    }

    /// A server says something while it looks.
    pub fn told(&mut self, from: ServerId, own: OwnVote, message: &Message) {
        if message.standing == Standing::Looking {
            let Vote { leader, zxid, round, peer_epoch } = message.vote;
            self.supported.insert((from, round, leader, peer_epoch, zxid));
            self.entered.insert((from, round, own.epoch, own.zxid));
        }
    }

    pub fn decided(&mut self, me: ServerId, standing: Standing, vote: &Vote, view: &View) {
        self.count += 1;
        assert!(view.quorum.weight(vote.leader) > 0, "{me} elected a server without weight: {vote:?}");
        assert_eq!(standing == Standing::Leading, vote.leader == me, "{me}: {vote:?}");
        let supporters: BTreeSet<ServerId> = view
            .quorum
            .voters()
            .iter()
            .filter(|id| {
                self.supported.contains(&(**id, vote.round, vote.leader, vote.peer_epoch, vote.zxid))
            })
            .copied()
            .collect();
        if standing == Standing::Leading {
            self.led.insert((me, vote.round));
        }
        if view.quorum.decides(&supporters) {
            self.is_the_best_of_a_quorum(vote, view, &supporters);
        } else {
            self.leads(me, vote);
        }
    }

    /// A quorum supported this vote in this round. Each of them came with no more history than the leader's.
    fn is_the_best_of_a_quorum(&self, vote: &Vote, view: &View, supporters: &BTreeSet<ServerId>) {
        for id in supporters.iter().filter(|id| view.quorum.weight(**id) > 0) {
            let own = self.entered.iter().filter(|(who, round, ..)| who == id && *round == vote.round);
            // A server that was restarted may have entered a round twice.
            let least = own.map(|(_, _, epoch, zxid)| (*epoch, *zxid)).min().expect("it entered the round");
            assert!(
                least <= (vote.peer_epoch, vote.zxid),
                "{id} knew more ({least:?}) than the leader of {vote:?}"
            );
        }
    }

    /// Nobody can have counted a quorum of this round for this vote, so an established leader was found: it led.
    fn leads(&self, me: ServerId, vote: &Vote) {
        assert!(
            self.led.iter().any(|(leader, _)| *leader == vote.leader),
            "{me} follows {}, which never led: {vote:?}",
            vote.leader
        );
    }
}
