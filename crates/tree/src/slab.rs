//! Where znodes live: numbered slots in chunks that never move.
//!
//! A new znode gets the lowest free slot above its parent's, so that slot order is always an order in which parents
//! come first. Snapshots are written in slot order and depend on it.

use crate::NodeId;
use crate::node::Node;
use std::collections::BTreeSet;

const CHUNK: usize = 1024;

#[derive(Default)]
pub(crate) struct Slab {
    chunks: Vec<Vec<Option<Node>>>,
    free: BTreeSet<NodeId>,
    end: NodeId,
}

impl Slab {
    /// Number of live znodes.
    pub fn len(&self) -> usize {
        self.end as usize - self.free.len()
    }

    /// One past the highest slot ever used.
    pub fn end(&self) -> NodeId {
        self.end
    }

    /// The first znode, which is its own parent.
    pub fn insert_root(&mut self, node: Node) -> NodeId {
        debug_assert_eq!(self.end, 0);
        self.push(node)
    }

    pub fn insert(&mut self, node: Node) -> NodeId {
        if let Some(&id) = self.free.range(node.parent + 1..).next() {
            self.free.remove(&id);
            self.chunks[id as usize / CHUNK][id as usize % CHUNK] = Some(node);
            return id;
        }
        self.push(node)
    }

    fn push(&mut self, node: Node) -> NodeId {
        let id = self.end;
        if (id as usize).is_multiple_of(CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks[id as usize / CHUNK].push(Some(node));
        self.end = id.checked_add(1).expect("a tree has fewer than 2^32 znodes");
        id
    }

    pub fn remove(&mut self, id: NodeId) -> Node {
        let node = self.chunks[id as usize / CHUNK][id as usize % CHUNK].take();
        self.free.insert(id);
        node.expect("only live slots are removed")
    }

    pub fn try_get(&self, id: NodeId) -> Option<&Node> {
        self.chunks.get(id as usize / CHUNK)?.get(id as usize % CHUNK)?.as_ref()
    }

    #[inline]
    pub fn get(&self, id: NodeId) -> &Node {
        self.chunks[id as usize / CHUNK][id as usize % CHUNK].as_ref().expect("ids name live slots")
    }

    #[inline]
    pub fn get_mut(&mut self, id: NodeId) -> &mut Node {
        self.chunks[id as usize / CHUNK][id as usize % CHUNK].as_mut().expect("ids name live slots")
    }

    pub fn iter_live(&self) -> impl Iterator<Item = (NodeId, &Node)> + '_ {
        let all = self.chunks.iter().flatten().enumerate();
        all.filter_map(|(i, slot)| slot.as_ref().map(|node| (i as NodeId, node)))
    }
}
