//! What others are told when they ask.
//!
//! Only who is looking asks, and only voters answer: nobody counts what others would say. Both limits also keep two
//! servers from answering each other's answers for ever.

use super::{Effect, Election, FORMAT, Message};
use crate::quorum::ServerId;
use crate::vote::{Standing, Vote};
use std::collections::BTreeMap;

/// Outsiders remembered at most; when there are more, all are forgotten, which costs a repeated answer.
const OUTSIDERS_MAX: usize = 1024;

/// The last question of each outsider that was answered, and when.
///
/// An outsider in a later round takes an answer from an earlier one for a lagging voter, and repeats itself at once. So
/// that this does not go round at the speed of the network, a question that was just answered is not answered again.
#[derive(Debug, Clone, Default)]
pub(super) struct Answered {
    questions: BTreeMap<ServerId, (Message, i64)>,
}

impl Answered {
    fn is_repeated(&mut self, from: ServerId, message: &Message, now_ms: i64, pause_ms: i64) -> bool {
        if self
            .questions
            .get(&from)
            .is_some_and(|(last, at)| last == message && now_ms.saturating_sub(*at) < pause_ms)
        {
            return true;
        }
        if self.questions.len() >= OUTSIDERS_MAX {
            self.questions.clear();
        }
        self.questions.insert(from, (*message, now_ms));
        false
    }

    /// There is a new connection: what went over the old one may be lost.
    pub fn forget(&mut self, peer: ServerId) {
        self.questions.remove(&peer);
    }

    pub fn forget_all(&mut self) {
        self.questions.clear();
    }
}

impl Election {
    /// An observer or a server of another configuration asks. Its vote is never counted.
    pub(super) fn answer_outsider(
        &mut self,
        from: ServerId,
        message: &Message,
        now_ms: i64,
        out: &mut Vec<Effect>,
    ) {
        // Half the pause after which anybody repeats a question of its own accord.
        let pause_ms = self.options.min_interval_ms / 2;
        if message.standing == Standing::Looking
            && self.views.is_voter(self.me)
            && !self.answered.is_repeated(from, message, now_ms, pause_ms)
        {
            self.tell(from, self.vote, out);
        }
    }

    /// Both are looking, and the other has not heard of this round.
    pub(super) fn answer_laggard(&self, from: ServerId, message: &Message, out: &mut Vec<Effect>) {
        if message.standing == Standing::Looking
            && message.vote.round < self.round()
            && self.views.is_voter(self.me)
        {
            self.tell(from, self.vote, out);
        }
    }

    /// This server has a leader, and a voter is looking for one.
    pub(super) fn answer_looking(&self, from: ServerId, message: &Message, out: &mut Vec<Effect>) {
        if message.standing == Standing::Looking && self.views.is_voter(self.me) {
            self.tell(from, self.vote, out);
        }
    }

    /// A supporter of this leader that looks is disloyal, unless what it says is the very vote that elected me: then it
    /// is only slower to finish.
    pub(super) fn note_loyalty(&mut self, from: ServerId, message: &Message) {
        let supports_me = message.vote.leader == self.me && message.vote.round == self.round();
        if self.standing == Standing::Leading
            && message.standing == Standing::Looking
            && !supports_me
            && self.supporters.contains(&from)
        {
            self.disloyal.insert(from);
        }
    }

    pub(super) fn tell(&self, to: ServerId, vote: Vote, out: &mut Vec<Effect>) {
        let config_version = self.views.committed().version;
        out.push(Effect::Send {
            to,
            message: Message { standing: self.standing, vote, config_version, version: FORMAT },
        });
    }
}
