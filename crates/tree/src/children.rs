//! The children of one znode. A znode without any has no `Children` at all.

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
        let ids = &mut self.node_mut(parent).below.get_or_insert_default().ids;
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
        let node = self.node_mut(parent);
        let below = node.below.as_mut().expect("a child's parent lists it");
        below.ids.swap_remove(position);
        let moved = below.ids.get(position).copied();
        if below.ids.is_empty() {
            node.below = None;
        } else if below.ids.capacity() > 4 * below.ids.len() {
            below.ids.shrink_to(2 * below.ids.len());
        }
        if let Some(moved) = moved {
            self.node_mut(moved).position = position as u32;
        }
    }

    fn count_in_ancestors(&mut self, mut at: NodeId, by: i32) {
        loop {
            let node = self.node_mut(at);
            let below = node.below.as_mut().expect("an ancestor has children");
            below.descendants = below.descendants.wrapping_add_signed(by);
            if at == ROOT {
                return;
            }
            at = node.parent;
        }
    }
}
