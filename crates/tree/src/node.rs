//! One znode as it lies in memory. Its size is the size of the database: count bytes before adding a field.

use crate::NodeId;
use crate::acl::AclId;
use crate::children::Children;
use crate::digest;
use wire::data::StatPersisted;

/// Set in `name_bytes` when the data is null.
const NULL_DATA: u32 = 1 << 31;
/// Set in `name_bytes` when the node has no part in the tree's digest.
const NOT_COUNTED: u32 = 1 << 30;

/// What a znode has only once something happened to it: a leaf that was created and never touched again, which is
/// most of a large tree, does without.
#[derive(Default)]
struct Touched {
    mzxid: i64,
    pzxid: i64,
    mtime: i64,
    owner: i64,
    version: i32,
    /// Counts creates below this node (client-surface §4.8).
    cversion: i32,
    aversion: i32,
    below: Children,
}

/// Name and data share one allocation (`tail`: the name, then the data).
pub(crate) struct Node {
    pub czxid: i64,
    ctime: i64,
    touched: Option<Box<Touched>>,
    tail: Box<[u8]>,
    pub parent: NodeId,
    /// Where the parent lists this node.
    pub position: u32,
    pub acl: AclId,
    /// The checksum over path and data with which this node's digest begins.
    pub prefix: u32,
    /// The path's hash: kept so that the index can grow without spelling paths.
    pub hash: u32,
    name_bytes: u32,
}

impl Node {
    pub fn new(name: &str, data: Option<&[u8]>, stat: &StatPersisted, parent: NodeId, acl: AclId) -> Node {
        let mut node = Node {
            czxid: stat.czxid,
            ctime: stat.ctime,
            touched: None,
            tail: Box::default(),
            parent,
            position: 0,
            acl,
            prefix: 0,
            hash: 0,
            name_bytes: 0,
        };
        node.set_tail(name.as_bytes(), data);
        if node.stat() != *stat {
            node.set_stat(stat);
        }
        node
    }

    fn set_tail(&mut self, name: &[u8], data: Option<&[u8]>) {
        let body = data.unwrap_or(&[]);
        let mut tail = Vec::with_capacity(name.len() + body.len());
        tail.extend_from_slice(name);
        tail.extend_from_slice(body);
        self.tail = tail.into_boxed_slice();
        let null = if data.is_none() { NULL_DATA } else { 0 };
        self.name_bytes = name.len() as u32 | null | (self.name_bytes & NOT_COUNTED);
    }

    /// Leaves the node out of the digest.
    pub fn set_not_counted(&mut self) {
        self.name_bytes |= NOT_COUNTED;
    }

    /// This node's share of the tree's digest.
    pub fn digest(&self) -> u64 {
        if self.name_bytes & NOT_COUNTED != 0 {
            0
        } else {
            u64::from(digest::with_stat(self.prefix, &self.stat()))
        }
    }

    #[inline]
    fn name_len(&self) -> usize {
        (self.name_bytes & !(NULL_DATA | NOT_COUNTED)) as usize
    }

    #[inline]
    pub fn name_as_bytes(&self) -> &[u8] {
        &self.tail[..self.name_len()]
    }

    pub fn name(&self) -> &str {
        std::str::from_utf8(self.name_as_bytes()).expect("a name is written from a str and never changed")
    }

    #[inline]
    pub fn data(&self) -> Option<&[u8]> {
        if self.name_bytes & NULL_DATA != 0 { None } else { Some(&self.tail[self.name_len()..]) }
    }

    pub fn set_data(&mut self, data: Option<&[u8]>) {
        match (self.data(), data) {
            (Some(old), Some(new)) if old.len() == new.len() => {
                let at = self.name_len();
                self.tail[at..].copy_from_slice(new);
            }
            _ => {
                let tail = std::mem::take(&mut self.tail);
                let name = &tail[..self.name_len()];
                self.set_tail(name, data);
            }
        }
    }

    pub fn stat(&self) -> StatPersisted {
        let fresh = StatPersisted {
            czxid: self.czxid,
            mzxid: self.czxid,
            pzxid: self.czxid,
            ctime: self.ctime,
            mtime: self.ctime,
            ..StatPersisted::default()
        };
        match &self.touched {
            None => fresh,
            Some(t) => StatPersisted {
                mzxid: t.mzxid,
                pzxid: t.pzxid,
                mtime: t.mtime,
                version: t.version,
                cversion: t.cversion,
                aversion: t.aversion,
                ephemeral_owner: t.owner,
                ..fresh
            },
        }
    }

    pub fn set_stat(&mut self, stat: &StatPersisted) {
        self.czxid = stat.czxid;
        self.ctime = stat.ctime;
        let t = self.touched.get_or_insert_default();
        t.mzxid = stat.mzxid;
        t.pzxid = stat.pzxid;
        t.mtime = stat.mtime;
        t.owner = stat.ephemeral_owner;
        t.version = stat.version;
        t.cversion = stat.cversion;
        t.aversion = stat.aversion;
    }

    pub fn owner(&self) -> i64 {
        self.touched.as_ref().map_or(0, |t| t.owner)
    }

    /// The lists of what is below; makes the node one that may have children.
    pub fn below_mut(&mut self) -> &mut Children {
        if self.touched.is_none() {
            let stat = self.stat();
            self.set_stat(&stat);
        }
        &mut self.touched.get_or_insert_default().below
    }

    pub fn children(&self) -> &[NodeId] {
        self.touched.as_ref().map_or(&[], |t| &t.below.ids)
    }

    #[inline]
    pub fn child_count(&self) -> usize {
        self.touched.as_ref().map_or(0, |t| t.below.ids.len())
    }

    pub fn descendant_count(&self) -> usize {
        self.touched.as_ref().map_or(0, |t| t.below.descendants as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stays_small() {
        assert!(std::mem::size_of::<Option<Node>>() <= 64, "{}", std::mem::size_of::<Node>());
    }

    #[test]
    fn data_may_change_between_null_empty_and_full() {
        let mut n = Node::new("nm", None, &StatPersisted::default(), 0, 0);
        assert_eq!((n.name(), n.data()), ("nm", None));
        for data in [Some(&b"abc"[..]), Some(&b"xyz"[..]), Some(&b""[..]), None] {
            n.set_data(data);
            assert_eq!((n.name(), n.data()), ("nm", data));
        }
    }
}
