//! Votes: what they say, which is better, and when two of them say the same.
//!
//! A vote names a candidate and how much history that candidate has. Election looks for the candidate with the newest
//! history, because a leader whose log holds all that was ever committed need not fetch anything from the others:
//! epochs are compared first, then zxids, and among equals the larger server number wins, only so that all agree.

use crate::{Zxid, quorum::ServerId};
use planted::{Bug, has};

/// What a server stands for during an election, and what it found when it is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vote {
    pub leader: ServerId,
    /// The last zxid in the log of that leader, committed or not.
    pub zxid: Zxid,
    /// The election round (Java's logical clock) of the server that sends it.
    pub round: i64,
    /// The current epoch of that leader.
    pub peer_epoch: i64,
}

/// What a server is doing (ZooKeeper's `ServerState`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Looking,
    Following,
    Leading,
    Observing,
}

impl Vote {
    /// Whether this candidate has more history, or as much and the larger number. Rounds and weights are not part of
    /// the order: votes of different rounds are never compared, and who has no weight is no candidate.
    pub fn is_better_than(&self, other: &Vote) -> bool {
        let rank = |vote: &Vote| (vote.peer_epoch, vote.zxid, vote.leader);
        if has(Bug::EpochsNotCompared) {
            return (self.zxid, self.leader) > (other.zxid, other.leader);
        }
        rank(self) > rank(other)
    }
}

/// A vote as it was cast: with the standing of the server that sent it and the format it was sent in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ballot {
    pub vote: Vote,
    pub standing: Standing,
    /// The format of the message; 0 for servers older than 3.5.
    pub version: i32,
}

impl Ballot {
    /// Whether two ballots support the same leader. There are three rules:
    ///
    /// 1. As long as one of the two is looking, the votes must be equal in everything.
    /// 2. Of two established servers only leader and epoch count: zxid and round are those of the election each of
    ///    them took part in, and one ensemble may have been joined in several (ZOOKEEPER-1805).
    /// 3. Of two established servers of which exactly one speaks the old format only the leader counts: the two
    ///    generations report different epochs (ZOOKEEPER-1732).
    pub fn agrees_with(&self, other: &Ballot) -> bool {
        let (a, b) = (&self.vote, &other.vote);
        if self.standing == Standing::Looking || other.standing == Standing::Looking {
            a == b
        } else if (self.version > 0) != (other.version > 0) {
            a.leader == b.leader
        } else {
            a.leader == b.leader && a.peer_epoch == b.peer_epoch
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VOTE: Vote = Vote { leader: 2, zxid: 0x100000005, round: 4, peer_epoch: 1 };

    #[test]
    fn epoch_before_zxid_before_number() {
        let newer_epoch = Vote { leader: 1, zxid: 0, peer_epoch: 2, ..VOTE };
        let longer_log = Vote { leader: 1, zxid: VOTE.zxid + 1, ..VOTE };
        let larger_number = Vote { leader: 3, ..VOTE };
        for better in [newer_epoch, longer_log, larger_number] {
            assert!(better.is_better_than(&VOTE) && !VOTE.is_better_than(&better));
        }
        assert!(newer_epoch.is_better_than(&longer_log) && longer_log.is_better_than(&larger_number));
        assert!(!VOTE.is_better_than(&VOTE));
        let later_round = Vote { round: 9, ..VOTE };
        assert!(!later_round.is_better_than(&VOTE), "rounds are no part of the order");
        let nobody = Vote { leader: i64::MIN, zxid: i64::MIN, peer_epoch: i64::MIN, ..VOTE };
        assert!(VOTE.is_better_than(&nobody), "numbers are signed");
    }

    #[test]
    fn three_rules_of_agreement() {
        let cast = |vote, standing, version| Ballot { vote, standing, version };
        let other_log = Vote { zxid: 7, round: 9, ..VOTE };
        let other_epoch = Vote { peer_epoch: 2, ..VOTE };
        let other_leader = Vote { leader: 3, ..VOTE };
        let (looking, following, leading) = (Standing::Looking, Standing::Following, Standing::Leading);

        let mine = cast(VOTE, looking, 2);
        assert!(mine.agrees_with(&cast(VOTE, following, 2)));
        assert!(!mine.agrees_with(&cast(other_log, looking, 2)));
        assert!(!mine.agrees_with(&cast(other_epoch, leading, 0)), "rule 1 goes before the others");

        let established = cast(VOTE, following, 2);
        assert!(established.agrees_with(&cast(other_log, leading, 2)));
        assert!(!established.agrees_with(&cast(other_epoch, leading, 2)));

        assert!(established.agrees_with(&cast(other_epoch, leading, 0)));
        assert!(!established.agrees_with(&cast(other_leader, leading, 0)));
        assert!(
            !cast(VOTE, following, 0).agrees_with(&cast(other_epoch, leading, 0)),
            "two old ones are alike"
        );
    }
}
