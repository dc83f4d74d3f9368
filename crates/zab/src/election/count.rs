//! Ballots received, and who of them supports a given one.

use crate::quorum::ServerId;
use crate::vote::{Ballot, Standing, Vote};
use std::collections::{BTreeMap, BTreeSet};

/// The last ballot of each server.
#[derive(Debug, Clone, Default)]
pub(super) struct Ballots {
    cast: BTreeMap<ServerId, Ballot>,
}

impl Ballots {
    /// Returns whether this is news: the server had said something else before, or nothing.
    pub fn record(&mut self, from: ServerId, ballot: Ballot) -> bool {
        self.cast.insert(from, ballot) != Some(ballot)
    }

    pub fn clear(&mut self) {
        self.cast.clear();
    }

    /// Whether the last vote of this server is exactly this one.
    pub fn has_sent(&self, server: ServerId, vote: &Vote) -> bool {
        self.cast.get(&server).is_some_and(|ballot| ballot.vote == *vote)
    }

    /// Everybody whose ballot agrees with this one.
    pub fn supporters(&self, ballot: &Ballot) -> BTreeSet<ServerId> {
        self.cast.iter().filter(|(_, cast)| ballot.agrees_with(cast)).map(|(server, _)| *server).collect()
    }

    /// checkLeader, the half that concerns others: whether that server said itself that it leads. A crowd that follows
    /// a leader proves only that it once had one.
    pub fn says_it_leads(&self, leader: ServerId) -> bool {
        self.cast.get(&leader).is_some_and(|ballot| ballot.standing == Standing::Leading)
    }
}
