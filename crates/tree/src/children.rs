//! The children of one znode. Empty lists take no memory of their own.

use crate::{NodeId, ROOT, Tree};

#[derive(Default)]
pub(crate) struct Children {
    /// Unordered; each child knows its position, so that removal does not search.
    pub ids: Vec<NodeId>,
    /// All znodes below, not only the direct ones: `getAllChildrenNumber` must not walk a subtree under the lock.
    pub descendants: u32,
}

impl Tree {
    /// Lists `child` under `parent` and counts it in every ancestor.
    pub(crate) fn link(&mut self, parent: NodeId, child: NodeId) {
        let ids = &mut self.node_mut(parent).below_mut().ids;
        let position = ids.len() as u32;
        ids.push(child);
        self.node_mut(child).position = position;
        self.count_in_ancestors(parent, 1);
    }

    /// The reverse of [`Tree::link`].
    pub(crate) fn unlink(&mut self, child: NodeId) {
        let (parent, position) = {
            let node = self.nodes.get(child);
            (node.parent, node.position as usize)
        };
        self.count_in_ancestors(parent, -1);
        let below = self.node_mut(parent).below_mut();
        below.ids.swap_remove(position);
        let moved = below.ids.get(position).copied();
        if below.ids.capacity() > 4 * below.ids.len() {
            below.ids.shrink_to(2 * below.ids.len());
        }
        if let Some(moved) = moved {
            self.node_mut(moved).position = position as u32;
        }
    }

    fn count_in_ancestors(&mut self, mut at: NodeId, by: i32) {
        loop {
            let below = self.node_mut(at).below_mut();
            below.descendants = below.descendants.wrapping_add_signed(by);
            if at == ROOT {
                return;
            }
            at = self.nodes.get(at).parent;
        }
    }
}
