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

/// Name and data share one allocation (`tail`: the name, then the data).
pub(crate) struct Node {
    pub czxid: i64,
    pub mzxid: i64,
    pub pzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub owner: i64,
    pub version: i32,
    /// Counts creates below this node (client-surface §4.8).
    pub cversion: i32,
    pub aversion: i32,
    pub parent: NodeId,
    /// Where the parent lists this node.
    pub position: u32,
    pub acl: AclId,
    /// The checksum over path and data with which this node's digest begins.
    pub prefix: u32,
    /// The path's hash: kept so that the index can grow without spelling paths.
    pub hash: u32,
    name_bytes: u32,
    tail: Box<[u8]>,
    pub below: Option<Box<Children>>,
}

impl Node {
    pub fn new(name: &str, data: Option<&[u8]>, stat: &StatPersisted, parent: NodeId, acl: AclId) -> Node {
        let mut node = Node {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            pzxid: stat.pzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            owner: stat.ephemeral_owner,
            version: stat.version,
            cversion: stat.cversion,
            aversion: stat.aversion,
            parent,
            position: 0,
            acl,
            prefix: 0,
            hash: 0,
            name_bytes: 0,
            tail: Box::default(),
            below: None,
        };
        node.set_tail(name.as_bytes(), data);
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
        StatPersisted {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.cversion,
            aversion: self.aversion,
            ephemeral_owner: self.owner,
            pzxid: self.pzxid,
        }
    }

    pub fn children(&self) -> &[NodeId] {
        self.below.as_ref().map_or(&[], |b| &b.ids)
    }

    #[inline]
    pub fn child_count(&self) -> usize {
        self.below.as_ref().map_or(0, |b| b.ids.len())
    }

    pub fn descendant_count(&self) -> usize {
        self.below.as_ref().map_or(0, |b| b.descendants as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_stays_small() {
        assert!(std::mem::size_of::<Node>() <= 112, "{}", std::mem::size_of::<Node>());
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
