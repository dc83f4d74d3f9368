//! What is known of connections: whether there is one to a peer, and since when there is none any more.
//!
//! A connection that was established and just broke says something about its peer, which a connection that never came
//! about does not: the peer was there, and it is gone. It is only a hint. It may shorten a wait, never decide.

use crate::quorum::ServerId;
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Up,
    Lost { at_ms: i64 },
}

#[derive(Debug, Clone, Default)]
pub(super) struct Links {
    known: BTreeMap<ServerId, Link>,
}

impl Links {
    pub fn up(&mut self, peer: ServerId) {
        self.known.insert(peer, Link::Up);
    }

    /// Only an established connection can break; repeated news do not make the loss any newer.
    pub fn lost(&mut self, peer: ServerId, now_ms: i64) {
        if self.is_up(peer) {
            self.known.insert(peer, Link::Lost { at_ms: now_ms });
        }
    }

    pub fn is_up(&self, peer: ServerId) -> bool {
        self.known.get(&peer) == Some(&Link::Up)
    }

    pub fn just_lost(&self, peer: ServerId, now_ms: i64, fresh_ms: i64) -> bool {
        matches!(self.known.get(&peer), Some(Link::Lost { at_ms }) if now_ms.saturating_sub(*at_ms) <= fresh_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_established_connection_is_lost_and_only_for_a_while() {
        let mut links = Links::default();
        links.lost(2, 100);
        assert!(!links.just_lost(2, 100, 50), "there was none");
        links.up(2);
        links.lost(2, 200);
        links.lost(2, 240);
        assert!(links.just_lost(2, 250, 50));
        assert!(!links.just_lost(2, 251, 50), "lost at 200, whatever was said later");
        links.up(2);
        assert!(links.is_up(2) && !links.just_lost(2, 200, 50));
    }
}
