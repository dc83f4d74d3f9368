//! Leader election: how servers agree on whom to follow, before any history is exchanged.
//!
//! # The algorithm
//! A server that has no leader is *looking*. It starts a new **round**, proposes itself and tells every voter. Each
//! message carries the sender's whole opinion: its standing, and the vote it supports. Who hears of a better candidate
//! ([`Vote::is_better_than`]) supports that one from then on, and tells every voter again. Votes of different rounds
//! are never mixed: who hears of a later round joins it and starts from its own vote; who hears of an earlier one
//! answers with its own round. Once a quorum supports my candidate, I wait a moment for a better one, and the election
//! is over: the candidate *leads*, the others *follow* (or *observe*).
//!
//! A server that is not looking answers who is. So a late or restarted server finds an established leader: a quorum
//! says that it follows that leader, and the leader says that it leads. The second part matters (*checkLeader*):
//! followers that have not noticed yet that their leader is dead would otherwise send everybody after it, for ever.
//!
//! # What it promises, and what not
//! Election finds a leader that a quorum wants and whose log is as long as any in that quorum. It does **not** promise
//! that there is only one: a slow server may still believe in an older election. That only one of them can do anything
//! is the business of the epochs that a leader must get accepted by a quorum before it proposes. So everything here may
//! be as quick as it likes: a wrong guess costs time, not data. Votes and rounds are therefore never written to disk.
//!
//! # The wait at the end
//! Messages are not ordered between servers, so a quorum may agree before the best candidate was heard. Apache
//! ZooKeeper always waits for 200 ms of silence. The wait saves a second election, nothing else, so this machine ends
//! at once when nobody is left who could say anything new: every voter has sent this very vote, except those whose
//! established connection has just broken (usually one, the dead leader, whose end began this election). At the first
//! start of a process no connection has a past, and only the vote of every single voter ends the wait early: so of
//! three servers started together the largest number still wins. (`unanimous` in `looking.rs`)
//!
//! # The machine
//! It does no I/O and asks no clock. Call [`Election::look`] when the server has no leader, hand in what happens, and
//! carry out the [`Effect`]s in order. Messages may be lost, repeated, late and stale; a link delivers what it delivers
//! in order. The parts: `looking.rs` the election itself, `count.rs` ballots and who supports whom, `answer.rs` what
//! others are told, `links.rs` what is known of connections.

mod answer;
mod count;
mod links;
mod looking;

use crate::quorum::ServerId;
use crate::view::{View, Views};
pub use crate::vote::{Standing, Vote};
use crate::{Ballot, Zxid};
use answer::Answered;
use links::Links;
use looking::Search;
use std::collections::BTreeSet;

/// The format this machine speaks: 2, with a configuration (3.5 and later).
pub const FORMAT: i32 = 2;

/// The last zxid of a database that may be incomplete (`zookeeper.db.autocreate=false` without an `initialize` file).
/// Its owner neither counts votes nor is counted; it may only join an established leader.
pub const UNVERIFIED: Zxid = -1;

/// How much history this server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnVote {
    /// The last logged zxid, committed or not.
    pub zxid: Zxid,
    /// The content of the file `currentEpoch`.
    pub epoch: i64,
}

/// One notification, as the election sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    pub standing: Standing,
    pub vote: Vote,
    /// The version of the sender's committed configuration; 0 if the message carried none.
    pub config_version: i64,
    /// [`FORMAT`]; 0 for what servers older than 3.5 send, whatever they write there.
    pub version: i32,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Send the message. Of several to one peer that were not sent yet, the last one suffices.
    Send { to: ServerId, message: Message },
    /// Try again to connect to every voter that there is no connection to.
    ReconnectAll,
    /// The election is over.
    Elected { leader: ServerId, standing: Standing, vote: Vote },
}

/// Times in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// A looking server repeats itself after this, then after twice as long, and so on
    /// (`zookeeper.fastleader.minNotificationInterval`).
    pub min_interval_ms: i64,
    /// The longest such pause (`zookeeper.fastleader.maxNotificationInterval`).
    pub max_interval_ms: i64,
    /// How long nothing new may be heard before a quorum's candidate is elected.
    pub finalize_wait_ms: i64,
    /// Whether to end without that wait when nobody could say anything new.
    pub fast_finish: bool,
    /// How long a connection counts as just broken. Whoever lost it earlier may be on its way back.
    pub fresh_loss_ms: i64,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            min_interval_ms: 200,
            max_interval_ms: 60_000,
            finalize_wait_ms: 200,
            fast_finish: true,
            fresh_loss_ms: 2_000,
        }
    }
}

/// One server's part in elections, for the life of its process.
#[derive(Debug, Clone)]
pub struct Election {
    me: ServerId,
    /// Configured to take part (`peerType`), as opposed to observing.
    participant: bool,
    views: Views,
    options: Options,
    standing: Standing,
    /// While looking: what this server supports now. Later: the result. Its round is the server's round.
    vote: Vote,
    /// The election that is going on; none before the first one, and none while there is a leader.
    search: Option<Search>,
    /// Whether this process has come to the end of any election.
    experienced: bool,
    /// Who agreed on the result.
    supporters: BTreeSet<ServerId>,
    /// Supporters that were heard looking for another leader since.
    disloyal: BTreeSet<ServerId>,
    links: Links,
    answered: Answered,
}

impl Election {
    /// A server that looks, but has not begun: call [`Election::look`] before anything else.
    pub fn new(me: ServerId, is_participant: bool, view: View, options: Options) -> Election {
        Election {
            me,
            participant: is_participant,
            views: Views::new(view, None),
            // A pause of nothing would never end.
            options: Options {
                min_interval_ms: options.min_interval_ms.max(1),
                max_interval_ms: options.max_interval_ms.max(1),
                ..options
            },
            standing: Standing::Looking,
            vote: Vote { leader: ServerId::MIN, zxid: Zxid::MIN, round: 0, peer_epoch: i64::MIN },
            search: None,
            experienced: false,
            supporters: BTreeSet::new(),
            disloyal: BTreeSet::new(),
            links: Links::default(),
            answered: Answered::default(),
        }
    }

    pub fn standing(&self) -> Standing {
        self.standing
    }

    /// While looking, what this server supports; afterwards, the result.
    pub fn vote(&self) -> Vote {
        self.vote
    }

    /// The election round (Java's logical clock). It lives in memory only and grows with each election; joining an
    /// established leader sets it to that leader's round, even a smaller one.
    pub fn round(&self) -> i64 {
        self.vote.round
    }

    /// Other configurations are in force. A looking server should call [`Election::look`] again: what was counted under
    /// the old ones is no answer.
    pub fn set_views(&mut self, committed: View, last_seen: Option<View>) {
        self.views = Views::new(committed, last_seen);
    }

    /// Whether the sender's configuration should be adopted before its message is handed in: it is newer, and this
    /// server is looking. One that has a leader learns configurations from the leader.
    pub fn wants_config(&self, message: &Message) -> bool {
        self.standing == Standing::Looking && message.config_version > self.views.committed().version
    }

    /// This server has synchronised with its leader in `epoch`: from now on it reports that epoch. Zxid and round stay
    /// those of the election.
    pub fn synced(&mut self, epoch: i64) {
        if self.standing != Standing::Looking {
            self.vote.peer_epoch = epoch;
        }
    }

    /// Of those who elected me, who was heard looking for another leader since. A leader that still waits for a quorum
    /// to accept its epoch may give up early because of them (`zookeeper.leader.maxTimeToWaitForEpoch`). One that has
    /// connected to this leader in the meantime has come back, which only the caller knows.
    pub fn disloyal(&self) -> &BTreeSet<ServerId> {
        &self.disloyal
    }

    /// Hands in a message. The caller has looked at its configuration already (see [`Election::wants_config`]).
    pub fn receive(&mut self, from: ServerId, message: &Message, now_ms: i64, out: &mut Vec<Effect>) {
        let begun = self.search.is_some() || self.standing != Standing::Looking;
        if from == self.me || !begun {
            return;
        }
        if !self.views.is_voter(from) {
            self.answer_outsider(from, message, now_ms, out);
        } else if self.standing == Standing::Looking {
            self.answer_laggard(from, message, out);
            self.hear(from, message, now_ms, out);
        } else {
            self.note_loyalty(from, message);
            self.answer_looking(from, message, out);
        }
    }

    /// A connection to this peer is established, or a new one has replaced it.
    pub fn link_up(&mut self, peer: ServerId, out: &mut Vec<Effect>) {
        self.links.up(peer);
        self.answered.forget(peer);
        if self.search.is_some() && peer != self.me && self.views.is_voter(peer) {
            self.tell(peer, self.vote, out);
        }
    }

    /// The established connection to this peer broke, and no other has replaced it. Attempts that fail are no loss.
    pub fn link_lost(&mut self, peer: ServerId, now_ms: i64, out: &mut Vec<Effect>) {
        self.links.lost(peer, now_ms);
        self.judge(now_ms, out);
    }

    /// When [`Election::tick`] is due; `i64::MAX` for never.
    pub fn next_tick_ms(&self) -> i64 {
        self.search.as_ref().map_or(i64::MAX, Search::due_ms)
    }

    /// Time has passed. Early and repeated calls do nothing.
    pub fn tick(&mut self, now_ms: i64, out: &mut Vec<Effect>) {
        if self.next_tick_ms() <= now_ms {
            self.wake(now_ms, out);
        }
    }

    fn own_ballot(&self) -> Ballot {
        Ballot { vote: self.vote, standing: self.standing, version: FORMAT }
    }
}
