//! An exact view of the tree at one zxid, read while writers go on.
//!
//! Freezing sets a mark. From then on the first change of a znode that the view has not yet passed puts the old
//! version aside. The reader walks the slots in order, taking what was put aside where there is something, and the
//! living znode otherwise; znodes born after the mark are passed over. Slot order has parents first, which the file
//! format needs.

use crate::{NodeId, Tree, acl};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use wire::data::StatPersisted;

/// What a snapshot says before its znodes.
#[derive(Debug, Clone)]
pub struct FrozenHeader {
    pub zxid: i64,
    pub digest: u64,
    /// Session ids with their timeouts in ms.
    pub sessions: Vec<(i64, i32)>,
    /// Access lists, encoded, by the key that znodes name.
    pub acls: Vec<(i64, Arc<[u8]>)>,
}

/// One znode of the view.
pub struct FrozenNode<'t> {
    /// Root is the empty string, as snapshots spell it.
    pub path: &'t str,
    pub data: Option<&'t [u8]>,
    pub acl_key: i64,
    pub stat: StatPersisted,
}

struct Aside {
    path: String,
    data: Option<Box<[u8]>>,
    acl_key: i64,
    stat: StatPersisted,
}

pub(crate) struct Freeze {
    zxid: i64,
    end: NodeId,
    /// Slots below are done. Moved by the reader under the shared lock, so no writer runs meanwhile.
    cursor: AtomicU32,
    aside: BTreeMap<NodeId, Aside>,
    aside_bytes: usize,
}

impl Tree {
    /// Starts a view at the present state. One at a time.
    ///
    /// # Panics
    /// If a view is on already.
    pub fn freeze(&mut self) -> FrozenHeader {
        assert!(self.freeze.is_none(), "one snapshot at a time");
        self.freeze = Some(Freeze {
            zxid: self.last_zxid,
            end: self.nodes.end(),
            cursor: AtomicU32::new(0),
            aside: BTreeMap::new(),
            aside_bytes: 0,
        });
        FrozenHeader {
            zxid: self.last_zxid,
            digest: self.digest,
            sessions: self.sessions.iter().map(|(id, timeout)| (*id, *timeout)).collect(),
            acls: self.acls.definitions(),
        }
    }

    /// Whether a view is on.
    pub fn is_frozen(&self) -> bool {
        self.freeze.is_some()
    }

    /// Ends the view, whether it was read to its end or not.
    pub fn thaw(&mut self) {
        self.freeze = None;
    }

    /// Bytes held back for the view. Its owner slows writers down when this grows too large.
    pub fn frozen_bytes(&self) -> usize {
        self.freeze.as_ref().map_or(0, |f| f.aside_bytes)
    }

    /// Gives the next znodes of the view to `take` until it returns false or `slots` slots were looked at.
    /// Returns whether there is more.
    pub fn read_frozen(&self, slots: u32, mut take: impl FnMut(FrozenNode<'_>) -> bool) -> bool {
        let Some(freeze) = &self.freeze else { return false };
        let mut at = freeze.cursor.load(Ordering::Relaxed);
        let stop = freeze.end.min(at.saturating_add(slots));
        let mut path = String::new();
        let mut go_on = true;
        while at < stop && go_on {
            if let Some(aside) = freeze.aside.get(&at) {
                go_on = take(FrozenNode {
                    path: &aside.path,
                    data: aside.data.as_deref(),
                    acl_key: aside.acl_key,
                    stat: aside.stat,
                });
            } else if let Some(node) = self.nodes.try_get(at).filter(|n| n.czxid <= freeze.zxid) {
                path.clear();
                self.push_path(at, &mut path);
                go_on = take(FrozenNode {
                    path: &path,
                    data: node.data(),
                    acl_key: acl::key(node.acl),
                    stat: node.stat(),
                });
            }
            at += 1;
        }
        freeze.cursor.store(at, Ordering::Relaxed);
        at < freeze.end
    }

    /// Called before every change or removal of a znode.
    #[inline]
    pub(crate) fn preserve(&mut self, id: NodeId) {
        if self.freeze.is_some() {
            self.put_aside(id);
        }
    }

    fn put_aside(&mut self, id: NodeId) {
        let mut freeze = self.freeze.take().expect("the caller saw a freeze");
        let node = self.nodes.get(id);
        let unread = id >= *freeze.cursor.get_mut() && id < freeze.end;
        if unread && node.czxid <= freeze.zxid && !freeze.aside.contains_key(&id) {
            let mut path = String::new();
            self.push_path(id, &mut path);
            let aside = Aside {
                data: node.data().map(Into::into),
                acl_key: acl::key(node.acl),
                stat: node.stat(),
                path,
            };
            freeze.aside_bytes += aside.path.len()
                + aside.data.as_ref().map_or(0, |d| d.len())
                + std::mem::size_of::<Aside>()
                + 32;
            freeze.aside.insert(id, aside);
        }
        self.freeze = Some(freeze);
    }
}
