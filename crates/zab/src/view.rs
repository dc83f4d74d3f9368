//! Configurations as election and broadcast see them: who votes, who watches, and which configuration is newer.
//!
//! Addresses and options stay outside: here a server is its number.

use crate::quorum::{Quorum, ServerId};
use std::collections::BTreeSet;

/// One configuration of the ensemble.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub quorum: Quorum,
    pub observers: BTreeSet<ServerId>,
    /// The zxid of the transaction that made it; 0 for one read from a file that never changed.
    pub version: i64,
}

impl View {
    /// A majority of these voters, no observers, version 0.
    pub fn of(voters: impl IntoIterator<Item = ServerId>) -> View {
        View { quorum: Quorum::majority(voters), observers: BTreeSet::new(), version: 0 }
    }

    pub fn is_member(&self, server: ServerId) -> bool {
        self.quorum.is_voter(server) || self.observers.contains(&server)
    }
}

/// The configurations in force: the committed one, and the one seen last while it is newer and not yet committed. What
/// is decided must be decided in each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Views {
    committed: View,
    next: Option<View>,
}

impl Views {
    /// A `last_seen` that is not newer than the committed one is of no consequence.
    pub fn new(committed: View, last_seen: Option<View>) -> Views {
        let next = last_seen.filter(|view| view.version > committed.version);
        Views { committed, next }
    }

    pub fn committed(&self) -> &View {
        &self.committed
    }

    fn all(&self) -> impl Iterator<Item = &View> {
        std::iter::once(&self.committed).chain(&self.next)
    }

    /// A voter of any configuration in force.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.all().any(|view| view.quorum.is_voter(server))
    }

    /// The voters of all configurations in force.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        self.all().flat_map(|view| view.quorum.voters()).copied().collect()
    }

    /// Whether a server adds to any quorum.
    pub fn has_weight(&self, server: ServerId) -> bool {
        self.all().any(|view| view.quorum.weight(server) > 0)
    }

    /// Whether those who agreed suffice in every configuration in force.
    pub fn decide(&self, agreed: &BTreeSet<ServerId>) -> bool {
        self.all().all(|view| view.quorum.decides(agreed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_configurations_in_force_must_both_agree() {
        let next = View { version: 7, ..View::of([3, 4, 5]) };
        let views = Views::new(View::of([1, 2, 3]), Some(next.clone()));
        assert_eq!(views.voters(), [1, 2, 3, 4, 5].into());
        assert!(!views.decide(&[1, 2].into()));
        assert!(!views.decide(&[3, 4].into()));
        assert!(views.decide(&[1, 3, 4].into()));
        let views = Views::new(View { version: 7, ..View::of([1, 2, 3]) }, Some(next));
        assert!(views.decide(&[1, 2].into()), "one that is not newer has no say");
        assert!(!views.is_voter(4));
    }
}
