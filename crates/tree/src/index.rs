//! From a path to its slot: four bytes per znode, and no second copy of any name.
//!
//! The index is cut into shards that grow by themselves, so that no single insertion has to move a large part of it
//! while readers wait.

use crate::slab::Slab;
use crate::{NodeId, ROOT};
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

const SHARD_BITS: u32 = 10;

pub(crate) struct PathIndex {
    hasher: FixedState,
    shards: Vec<HashTable<NodeId>>,
}

fn shard(hash: u32) -> usize {
    (hash >> (32 - SHARD_BITS)) as usize
}

/// Spreads a kept 32-bit hash over the 64 bits that the tables look at (they take their tag from the top).
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl PathIndex {
    pub fn new(seed: u64) -> PathIndex {
        let shards = (0..1 << SHARD_BITS).map(|_| HashTable::new()).collect();
        PathIndex { hasher: FixedState::with_seed(seed), shards }
    }

    pub fn hash(&self, path: &str) -> u32 {
        self.hasher.hash_one(path.as_bytes()) as u32
    }

    pub fn find(&self, nodes: &Slab, path: &str) -> Option<NodeId> {
        let hash = self.hash(path);
        let same = |id: &NodeId| nodes.get(*id).hash == hash && spells(nodes, *id, path);
        self.shards[shard(hash)].find(spread(hash), same).copied()
    }

    /// Adds a node whose `hash` field is set.
    pub fn insert(&mut self, nodes: &Slab, id: NodeId) {
        let hash = nodes.get(id).hash;
        self.shards[shard(hash)].insert_unique(spread(hash), id, |other| spread(nodes.get(*other).hash));
    }

    pub fn remove(&mut self, hash: u32, id: NodeId) {
        let entry = self.shards[shard(hash)].find_entry(spread(hash), |other| *other == id);
        entry.expect("every live znode is indexed").remove();
    }
}

/// Whether the node's path is `path`, compared from the last name upwards.
fn spells(nodes: &Slab, mut id: NodeId, path: &str) -> bool {
    let mut rest = path.as_bytes();
    while id != ROOT {
        let node = nodes.get(id);
        let name = node.name_as_bytes();
        match rest.strip_suffix(name) {
            Some([before @ .., b'/']) => rest = before,
            _ => return false,
        }
        id = node.parent;
    }
    rest.is_empty()
}
