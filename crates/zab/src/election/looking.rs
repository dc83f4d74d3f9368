//! One election, from the first proposal to the result.
//!
//! Two boxes collect ballots. `current` has what was said in this round, by whomever; `established` has what servers
//! with a leader say, in whatever round. A looking server leaves when
//!
//! - voters whose ballots equal its own form a quorum, and nothing new was heard for a while (or nothing new can come);
//! - or voters that agree with a follower or leader form a quorum, in either box, and that leader says it leads.
//!
//! What always holds: while looking, `current` has this server's own ballot, the vote it supports and told to all.

use super::count::Ballots;
use super::{Effect, Election, Message, OwnVote, UNVERIFIED};
use crate::quorum::ServerId;
use crate::vote::{Ballot, Standing, Vote};
use std::collections::BTreeSet;

/// What a looking server knows about the election that is going on.
#[derive(Debug, Clone)]
pub(super) struct Search {
    /// The vote this server enters every round with.
    own: Vote,
    current: Ballots,
    established: Ballots,
    /// The pause before the next repetition.
    interval_ms: i64,
    repeat_at_ms: i64,
    /// A quorum supports my vote: it wins if nothing new is heard until then.
    settled_at_ms: Option<i64>,
}

impl Search {
    pub fn due_ms(&self) -> i64 {
        self.settled_at_ms.unwrap_or(self.repeat_at_ms)
    }
}

impl Election {
    /// This server has no leader: begins a new round with `own` as its vote. Its log must be durable up to there.
    pub fn look(&mut self, own: OwnVote, now_ms: i64, out: &mut Vec<Effect>) {
        let in_view = self.views.is_voter(self.me);
        let (zxid, peer_epoch) = if self.participant { (own.zxid, own.epoch) } else { (i64::MIN, i64::MIN) };
        let leader = if in_view { self.me } else { ServerId::MIN };
        let own = Vote { leader, zxid, round: self.round().saturating_add(1), peer_epoch };
        self.standing = Standing::Looking;
        self.supporters.clear();
        self.disloyal.clear();
        self.answered.forget_all();
        self.search = Some(Search {
            own,
            current: Ballots::default(),
            established: Ballots::default(),
            interval_ms: self.options.min_interval_ms,
            repeat_at_ms: now_ms.saturating_add(self.options.min_interval_ms),
            settled_at_ms: None,
        });
        self.support(own, out);
        self.judge(now_ms, out);
    }

    /// A message from a voter, while looking.
    pub(super) fn hear(&mut self, from: ServerId, message: &Message, now_ms: i64, out: &mut Vec<Effect>) {
        if !self.views.is_voter(message.vote.leader) {
            return;
        }
        match message.standing {
            Standing::Looking => self.hear_looking(from, message, now_ms, out),
            Standing::Following | Standing::Leading => self.hear_established(from, message, now_ms, out),
            Standing::Observing => {}
        }
    }

    fn hear_looking(&mut self, from: ServerId, message: &Message, now_ms: i64, out: &mut Vec<Effect>) {
        let Some(search) = &mut self.search else { return };
        let theirs = message.vote;
        if search.own.zxid == UNVERIFIED || theirs.zxid == UNVERIFIED || theirs.round < self.vote.round {
            return;
        }
        let candidate = self.views.has_weight(theirs.leader);
        if theirs.round > self.vote.round {
            search.current.clear();
            search.own.round = theirs.round;
            let best = if candidate && theirs.is_better_than(&search.own) { theirs } else { search.own };
            self.support(best, out);
        } else if candidate && theirs.is_better_than(&self.vote) {
            self.support(theirs, out);
        }
        self.record(from, message, now_ms);
        self.judge(now_ms, out);
    }

    fn hear_established(&mut self, from: ServerId, message: &Message, now_ms: i64, out: &mut Vec<Effect>) {
        let ballot = Ballot { vote: message.vote, standing: message.standing, version: message.version };
        if message.vote.round == self.round() {
            self.record(from, message, now_ms);
            if self.join(&ballot, |search| &search.current, out) {
                return;
            }
        }
        if let Some(search) = &mut self.search {
            search.established.record(from, ballot);
        }
        if !self.join(&ballot, |search| &search.established, out) {
            self.judge(now_ms, out);
        }
    }

    /// Takes up a vote and tells every voter.
    fn support(&mut self, vote: Vote, out: &mut Vec<Effect>) {
        self.vote = vote;
        let ballot = self.own_ballot();
        if let Some(search) = &mut self.search {
            search.current.record(self.me, ballot);
        }
        self.tell_all(out);
    }

    fn tell_all(&self, out: &mut Vec<Effect>) {
        for peer in self.views.voters() {
            if peer != self.me {
                self.tell(peer, self.vote, out);
            }
        }
    }

    /// Puts a ballot of this round into `current`. News begins the silence anew.
    ///
    /// The format is not kept here, so that ballots of established servers agree by their leader alone, as in Apache
    /// ZooKeeper: while an ensemble synchronises, some report the new epoch and some the old one.
    fn record(&mut self, from: ServerId, message: &Message, now_ms: i64) {
        let ballot = Ballot { vote: message.vote, standing: message.standing, version: 0 };
        let Some(search) = &mut self.search else { return };
        if search.current.record(from, ballot) && search.settled_at_ms.is_some() {
            search.settled_at_ms = Some(now_ms.saturating_add(self.options.finalize_wait_ms));
        }
    }

    /// Ends the election if a quorum of that box agrees with an established server. Returns whether it did.
    ///
    /// checkLeader: the leader must have said itself that it leads. If a quorum says that I do, I do, provided that they
    /// speak of this round, and that my database is not one that may have lost what made them elect me.
    fn join(&mut self, ballot: &Ballot, ballots: fn(&Search) -> &Ballots, out: &mut Vec<Effect>) -> bool {
        let Some(search) = &self.search else { return false };
        let ballots = ballots(search);
        let supporters = ballots.supporters(ballot);
        let leader = ballot.vote.leader;
        let leads = if leader == self.me {
            ballot.vote.round == self.round() && search.own.zxid != UNVERIFIED
        } else {
            ballots.says_it_leads(leader)
        };
        if !leads || !self.views.has_weight(leader) || !self.views.decide(&supporters) {
            return false;
        }
        self.finish(ballot.vote, supporters, out);
        true
    }

    /// Looks whether my candidate has won, and whether it is settled.
    pub(super) fn judge(&mut self, now_ms: i64, out: &mut Vec<Effect>) {
        let ballot = self.own_ballot();
        let Some(search) = &mut self.search else { return };
        let supporters = search.current.supporters(&ballot);
        if search.own.zxid == UNVERIFIED || !self.views.decide(&supporters) {
            search.settled_at_ms = None;
            return;
        }
        let settled_at_ms =
            *search.settled_at_ms.get_or_insert(now_ms.saturating_add(self.options.finalize_wait_ms));
        if settled_at_ms <= now_ms || self.unanimous(now_ms) {
            self.finish(self.vote, supporters, out);
        }
    }

    /// Whether nobody could say anything new: every voter has sent this very vote, except those whose established
    /// connection has just broken. Without weight nobody is a candidate or counted, so nobody waits for such a server.
    /// The candidate itself must be there, and before the first election of a process every single voter.
    fn unanimous(&self, now_ms: i64) -> bool {
        let Some(search) = &self.search else { return false };
        let just_lost = |peer| self.links.just_lost(peer, now_ms, self.options.fresh_loss_ms);
        self.options.fast_finish
            && !just_lost(self.vote.leader)
            && self.views.voters().into_iter().filter(|voter| self.views.has_weight(*voter)).all(|voter| {
                search.current.has_sent(voter, &self.vote) || (self.experienced && just_lost(voter))
            })
    }

    /// A deadline has passed: the silence is over, or it is time to repeat.
    pub(super) fn wake(&mut self, now_ms: i64, out: &mut Vec<Effect>) {
        let Some(search) = &mut self.search else { return };
        if search.settled_at_ms.is_some() {
            self.judge(now_ms, out);
            return;
        }
        search.interval_ms = search.interval_ms.saturating_mul(2).min(self.options.max_interval_ms);
        search.repeat_at_ms = now_ms.saturating_add(search.interval_ms);
        self.tell_all(out);
        let disconnected =
            self.views.voters().into_iter().any(|peer| peer != self.me && !self.links.is_up(peer));
        if disconnected {
            out.push(Effect::ReconnectAll);
        }
    }

    fn finish(&mut self, vote: Vote, supporters: BTreeSet<ServerId>, out: &mut Vec<Effect>) {
        self.standing = match (vote.leader == self.me, self.participant) {
            (true, _) => Standing::Leading,
            (false, true) => Standing::Following,
            (false, false) => Standing::Observing,
        };
        self.vote = vote;
        self.supporters = supporters;
        self.experienced = true;
        self.search = None;
        self.answered.forget_all();
        out.push(Effect::Elected { leader: vote.leader, standing: self.standing, vote });
    }
}
