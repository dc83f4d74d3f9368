//! Which sets of servers may decide.

use std::collections::BTreeSet;

/// The number of a server: the content of its `myid`.
pub type ServerId = i64;

/// A majority of voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quorum {
    voters: BTreeSet<ServerId>,
}

impl Quorum {
    /// # Panics
    /// Without voters: nothing could ever be decided.
    pub fn majority(voters: impl IntoIterator<Item = ServerId>) -> Quorum {
        let voters: BTreeSet<ServerId> = voters.into_iter().collect();
        assert!(!voters.is_empty(), "an ensemble has at least one voter");
        Quorum { voters }
    }

    pub fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server)
    }

    /// Whether those who agreed suffice. Who is no voter does not count.
    pub fn decides(&self, agreed: &BTreeSet<ServerId>) -> bool {
        agreed.intersection(&self.voters).count() > self.voters.len() / 2
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
    }
}
