//! Which sets of servers may decide.
//!
//! Any two sets that may decide share a server: that is all that the protocol asks of a quorum, and what keeps two
//! leaders of one epoch, or two histories, apart. ZooKeeper knows two kinds:
//!
//! - **Majority**: more than half of the voters.
//! - **Hierarchical**: voters stand in groups and carry weights. A group agrees when more than half of its weight does,
//!   and the ensemble agrees when more than half of its groups do. Groups without any weight are not counted; a server
//!   of weight 0 adds nothing and is never elected.
//!
//! Halves are integer divisions, as in Apache ZooKeeper, so that both kinds of server judge every set alike.

use planted::{Bug, has};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// The number of a server: the content of its `myid`. Negative ones name observers without an id of their own.
pub type ServerId = i64;

/// The number behind `group.` in a configuration.
pub type GroupId = i64;

/// Why groups and weights make no quorum system.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum QuorumError {
    #[error("server {server} is in group.{first} and in group.{second}: name it in exactly one group")]
    InTwoGroups { server: ServerId, first: GroupId, second: GroupId },
    #[error(
        "no group has any weight, so nothing could ever be decided: give at least one server a weight above 0"
    )]
    NoWeight,
    #[error("the weights of group.{group} add up to more than {max}: use smaller weights", max = i64::MAX)]
    TooHeavy { group: GroupId },
}

/// The voters of one configuration, and which of their sets may decide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    voters: BTreeSet<ServerId>,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Majority,
    Hierarchical {
        group_of: BTreeMap<ServerId, GroupId>,
        weights: BTreeMap<ServerId, u64>,
        /// Groups whose servers have any weight; others do not count.
        group_weights: BTreeMap<GroupId, u64>,
    },
}

impl Quorum {
    /// # Panics
    /// Without voters: nothing could ever be decided.
    pub fn majority(voters: impl IntoIterator<Item = ServerId>) -> Quorum {
        let voters: BTreeSet<ServerId> = voters.into_iter().collect();
        assert!(!voters.is_empty(), "an ensemble has at least one voter");
        Quorum { voters, kind: Kind::Majority }
    }

    /// The voters are the servers of all groups. Who has no entry in `weights` has weight 1; weights of servers that
    /// are in no group say nothing.
    pub fn hierarchical(
        groups: BTreeMap<GroupId, BTreeSet<ServerId>>,
        weights: BTreeMap<ServerId, u64>,
    ) -> Result<Quorum, QuorumError> {
        let mut group_of = BTreeMap::new();
        let mut own_weights = BTreeMap::new();
        let mut group_weights = BTreeMap::new();
        for (group, servers) in groups {
            let mut sum = 0u64;
            for server in servers {
                if let Some(first) = group_of.insert(server, group) {
                    return Err(QuorumError::InTwoGroups { server, first, second: group });
                }
                let weight = weights.get(&server).copied().unwrap_or(1);
                own_weights.insert(server, weight);
                sum = sum
                    .checked_add(weight)
                    .filter(|sum| *sum <= i64::MAX as u64)
                    .ok_or(QuorumError::TooHeavy { group })?;
            }
            if sum > 0 {
                group_weights.insert(group, sum);
            }
        }
        if group_weights.is_empty() {
            return Err(QuorumError::NoWeight);
        }
        let voters = group_of.keys().copied().collect();
        Ok(Quorum { voters, kind: Kind::Hierarchical { group_of, weights: own_weights, group_weights } })
    }

    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server)
    }

    pub fn voters(&self) -> &BTreeSet<ServerId> {
        &self.voters
    }

    /// With a majority every voter weighs 1. Who is no voter weighs nothing.
    pub fn weight(&self, server: ServerId) -> u64 {
        match &self.kind {
            Kind::Majority => u64::from(self.is_voter(server)),
            Kind::Hierarchical { weights, .. } => weights.get(&server).copied().unwrap_or(0),
        }
    }

    /// Whether those who agreed suffice. Who is no voter does not count.
    pub fn decides(&self, agreed: &BTreeSet<ServerId>) -> bool {
        match &self.kind {
            Kind::Majority if has(Bug::HalfIsAQuorum) => {
                agreed.intersection(&self.voters).count() >= self.voters.len() / 2
            }
            Kind::Majority => agreed.intersection(&self.voters).count() > self.voters.len() / 2,
            Kind::Hierarchical { group_of, weights, group_weights } => {
                let mut agreed_weights: BTreeMap<GroupId, u64> = BTreeMap::new();
                for server in agreed {
                    if let (Some(group), Some(weight)) = (group_of.get(server), weights.get(server)) {
                        *agreed_weights.entry(*group).or_insert(0) += weight;
                    }
                }
                let groups = group_weights
                    .iter()
                    .filter(|(group, weight)| agreed_weights.get(group).copied().unwrap_or(0) > **weight / 2)
                    .count();
                groups > group_weights.len() / 2
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_majority_is_more_than_half_of_the_voters() {
        let q = Quorum::majority([1, 2, 3, 4]);
        assert!(!q.decides(&[1, 2].into()));
        assert!(q.decides(&[1, 2, 4].into()));
        assert!(!q.decides(&[1, 2, 8, 9].into()), "observers do not count");
        assert!(Quorum::majority([5]).decides(&[5].into()));
        assert!(!Quorum::majority([5]).decides(&BTreeSet::new()));
        assert_eq!((q.weight(4), q.weight(9)), (1, 0));
    }

    fn three_groups() -> BTreeMap<GroupId, BTreeSet<ServerId>> {
        [(1, [1, 2, 3].into()), (2, [4, 5, 6].into()), (3, [7, 8, 9].into())].into()
    }

    #[test]
    fn a_hierarchical_quorum_is_a_majority_in_a_majority_of_groups() {
        let q = Quorum::hierarchical(three_groups(), BTreeMap::new()).unwrap();
        assert!(q.decides(&[1, 2, 4, 5].into()), "four of nine suffice");
        assert!(!q.decides(&[1, 2, 3, 4, 7].into()), "five of nine do not: one group agrees");
        assert!(!q.decides(&[1, 2, 3, 10, 11].into()), "strangers do not count");
        assert_eq!(q.voters().len(), 9);
    }

    #[test]
    fn weights_count_and_weightless_groups_do_not() {
        let weights: BTreeMap<ServerId, u64> = [(1, 3), (7, 0), (8, 0), (9, 0), (77, 5)].into();
        let q = Quorum::hierarchical(three_groups(), weights).unwrap();
        assert!(
            q.decides(&[1, 4, 5].into()),
            "3 of 5 in one group, 2 of 3 in the other, and the third has no weight"
        );
        assert!(!q.decides(&[2, 3, 4, 5, 7, 8, 9].into()), "2 of 5 in the first group");
        assert_eq!((q.weight(1), q.weight(4), q.weight(7), q.weight(77)), (3, 1, 0, 0));
        assert!(q.is_voter(7) && !q.is_voter(77));
    }

    #[test]
    fn half_of_an_even_weight_is_not_enough() {
        let q = Quorum::hierarchical([(1, [1, 2].into())].into(), BTreeMap::new()).unwrap();
        assert!(!q.decides(&[1].into()));
        assert!(q.decides(&[1, 2].into()));
    }

    #[test]
    fn impossible_groups_are_refused() {
        let twice = Quorum::hierarchical([(1, [1, 2].into()), (2, [2, 3].into())].into(), BTreeMap::new());
        assert_eq!(twice, Err(QuorumError::InTwoGroups { server: 2, first: 1, second: 2 }));
        let light = Quorum::hierarchical([(1, [1].into())].into(), [(1, 0)].into());
        assert_eq!(light, Err(QuorumError::NoWeight));
        assert_eq!(Quorum::hierarchical(BTreeMap::new(), BTreeMap::new()), Err(QuorumError::NoWeight));
        let heavy = Quorum::hierarchical([(4, [1, 2].into())].into(), [(1, u64::MAX), (2, 1)].into());
        assert_eq!(heavy, Err(QuorumError::TooHeavy { group: 4 }));
    }
}
