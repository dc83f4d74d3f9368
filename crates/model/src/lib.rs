//! What ZooKeeper's tree does, written as plainly as possible and as slowly as it likes.
//!
//! One map from full paths to znodes; everything else (children, counts, ephemerals, digest) is found by looking at
//! all of it. It shares nothing with crate `tree` but the records of `wire`, so that a mistake in one shows as a
//! difference from the other. The rules are those of client-surface §4.8, §6, §7 and quorum-and-disk §3.4, §3.5, §5.

mod apply;
mod digest;
mod quota;

pub use apply::{Event, EventKind, Outcome};
pub use quota::{Quota, Usage};

use std::collections::{BTreeMap, BTreeSet};
use wire::data::{OPEN_ACL, Owner, OwnerRules, READ_ACL, Stat, StatPersisted};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// `None` is null, which is not the same as empty.
    pub data: Option<Vec<u8>>,
    /// The encoded list.
    pub acl: Vec<u8>,
    pub stat: StatPersisted,
}

/// The state after some transaction. Clone it to remember a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// By full path; root is `/`.
    pub nodes: BTreeMap<String, Node>,
    /// Timeouts in ms by session.
    pub sessions: BTreeMap<i64, i32>,
    pub last_zxid: i64,
    pub owners: OwnerRules,
    /// Paths with a quota.
    quotas: BTreeSet<String>,
}

impl Model {
    /// A new database.
    pub fn new(owners: OwnerRules) -> Model {
        let node = |acl: &[u8], aversion| Node {
            data: Some(Vec::new()),
            acl: acl.to_vec(),
            stat: StatPersisted { aversion, ..StatPersisted::default() },
        };
        let nodes = BTreeMap::from([
            ("/".to_owned(), node(OPEN_ACL, 0)),
            ("/zookeeper".to_owned(), node(OPEN_ACL, 0)),
            ("/zookeeper/config".to_owned(), node(READ_ACL, -1)),
            ("/zookeeper/quota".to_owned(), node(OPEN_ACL, 0)),
        ]);
        Model { nodes, sessions: BTreeMap::new(), last_zxid: 0, owners, quotas: BTreeSet::new() }
    }

    /// The empty string is another name of root.
    fn key(path: &str) -> &str {
        if path.is_empty() { "/" } else { path }
    }

    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(Self::key(path))
    }

    fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        self.nodes.get_mut(Self::key(path))
    }

    /// All paths strictly below `path`.
    pub fn descendants(&self, path: &str) -> Vec<&str> {
        let key = Self::key(path);
        let prefix = if key == "/" { "/".to_owned() } else { format!("{key}/") };
        self.nodes.keys().filter(|p| p.starts_with(&prefix) && *p != key).map(String::as_str).collect()
    }

    /// Names of the children.
    pub fn children(&self, path: &str) -> BTreeSet<String> {
        let key = Self::key(path);
        let skip = if key == "/" { 1 } else { key.len() + 1 };
        let names = self.descendants(path).into_iter().map(|p| &p[skip..]);
        names.filter(|n| !n.contains('/')).map(str::to_owned).collect()
    }

    pub fn owner(&self, node: &Node) -> Owner {
        Owner::decode(node.stat.ephemeral_owner, self.owners)
    }

    /// The paths of a session's ephemerals.
    pub fn ephemerals(&self, session: i64) -> BTreeSet<String> {
        let owned = self.nodes.iter().filter(|(_, n)| self.owner(n) == Owner::Session(session));
        owned.map(|(p, _)| p.clone()).collect()
    }

    /// What clients see of a znode.
    pub fn visible_stat(&self, path: &str) -> Option<Stat> {
        let node = self.get(path)?;
        let children = self.children(path).len() as i32;
        let s = node.stat;
        Some(Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: s.aversion,
            ephemeral_owner: match self.owner(node) {
                Owner::Session(id) => id,
                Owner::Persistent | Owner::Container | Owner::Ttl(_) => 0,
            },
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: s.pzxid,
        })
    }

    /// The digest of the whole tree, from nothing.
    pub fn digest(&self) -> u64 {
        self.nodes.iter().fold(0, |sum: u64, (path, node)| sum.wrapping_add(digest::of(path, node)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed on Apache ZooKeeper (quorum-and-disk §5).
    #[test]
    fn a_new_database_has_the_known_digest() {
        assert_eq!(Model::new(OwnerRules::default()).digest(), 0x51c6_d660);
    }

    #[test]
    fn children_are_only_one_level_deep() {
        let m = Model::new(OwnerRules::default());
        assert_eq!(m.children("/"), BTreeSet::from(["zookeeper".to_owned()]));
        assert_eq!(m.children("/zookeeper").len(), 2);
        assert_eq!(m.descendants("").len(), 3);
    }
}
