//! Filling a tree from a snapshot, znode by znode.

use crate::acl::AclTable;
use crate::index::PathIndex;
use crate::node::Node;
use crate::quota::Quotas;
use crate::slab::Slab;
use crate::{CONFIG, NodeId, QUOTA, ROOT, Rules, Tree, ZOOKEEPER, digest, path};
use std::collections::{BTreeMap, BTreeSet};
use wire::data::{AclList, Owner, READ_ACL, StatPersisted};

/// Why a snapshot's contents cannot be a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The first znode is not the root.
    NoRoot,
    /// A znode's parent did not come before it.
    NoParent(String),
    /// A path that no znode can have, or one that came twice.
    BadPath(String),
    BadAclKey(i64),
    /// TTL znodes while `zookeeper.extendedTypesEnabled` is off: they would be taken for ephemerals of unknown
    /// sessions and deleted (quorum-and-disk §11 rule 16).
    TtlWithoutExtendedTypes(String),
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LoadError::NoRoot => write!(f, "its first znode is not the root"),
            LoadError::NoParent(p) => write!(f, "the parent of {p} does not come before it"),
            LoadError::BadPath(p) => write!(f, "no znode can have the path {p:?} at this point"),
            LoadError::BadAclKey(key) => write!(f, "a znode refers to the impossible ACL key {key}"),
            LoadError::TtlWithoutExtendedTypes(p) => write!(
                f,
                "{p} is a TTL znode, but zookeeper.extendedTypesEnabled is not true: \
                 start with -Dzookeeper.extendedTypesEnabled=true, or its data would be deleted"
            ),
        }
    }
}

impl std::error::Error for LoadError {}

/// Takes the parts of a snapshot in the order of the file.
pub struct Loader {
    tree: Tree,
    /// The parent of the last znode: siblings often stand together.
    last_parent: (String, NodeId),
}

impl Loader {
    pub fn new(rules: Rules) -> Loader {
        let tree = Tree {
            rules,
            nodes: Slab::default(),
            index: PathIndex::new(rules.hash_seed),
            acls: AclTable::new(rules.hash_seed),
            sessions: BTreeMap::new(),
            ephemerals: BTreeMap::new(),
            containers: BTreeSet::new(),
            ttls: BTreeSet::new(),
            quotas: Quotas::default(),
            digest: 0,
            last_zxid: 0,
            data_bytes: 0,
            digest_mismatches: 0,
            freeze: None,
        };
        Loader { tree, last_parent: (String::new(), ROOT) }
    }

    pub fn session(&mut self, id: i64, timeout_ms: i32) {
        self.tree.sessions.insert(id, timeout_ms);
    }

    /// One access list. A key that comes twice would make one list pass for another.
    pub fn acl(&mut self, key: i64, list: AclList<'_>) -> Result<(), LoadError> {
        if self.tree.acls.load_definition(key, list) { Ok(()) } else { Err(LoadError::BadAclKey(key)) }
    }

    /// One znode; root first (as the empty string), parents before children.
    pub fn node(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        acl_key: i64,
        stat: &StatPersisted,
    ) -> Result<(), LoadError> {
        let tree = &mut self.tree;
        let acl = tree.acls.load_reference(acl_key).ok_or(LoadError::BadAclKey(acl_key))?;
        if tree.nodes.len() == 0 {
            return if path.is_empty() {
                self.root(Node::new("", data, stat, ROOT, acl));
                Ok(())
            } else {
                Err(LoadError::NoRoot)
            };
        }
        let (parent_path, name) = path::split_parent(path).ok_or_else(|| LoadError::BadPath(path.into()))?;
        if name.is_empty() || parent_path == "/" || tree.find(path).is_some() {
            return Err(LoadError::BadPath(path.into()));
        }
        self.check_owner(path, stat.ephemeral_owner)?;
        if self.last_parent.0 != parent_path {
            let id = self.tree.find(parent_path).ok_or_else(|| LoadError::NoParent(path.into()))?;
            self.last_parent = (parent_path.to_owned(), id);
        }
        let node = Node::new(name, data, stat, self.last_parent.1, acl);
        self.tree.insert_node(node, path);
        Ok(())
    }

    fn check_owner(&self, path: &str, stored: i64) -> Result<(), LoadError> {
        let extended = wire::data::OwnerRules { extended_types: true, emulate_353_ttl: false };
        let would_be_ttl = matches!(Owner::decode(stored, extended), Owner::Ttl(_));
        if would_be_ttl && !self.tree.rules.owners.extended_types && !self.tree.sessions.contains_key(&stored)
        {
            return Err(LoadError::TtlWithoutExtendedTypes(path.into()));
        }
        Ok(())
    }

    fn root(&mut self, mut node: Node) {
        let tree = &mut self.tree;
        node.prefix = digest::prefix("", node.data());
        if tree.rules.digest {
            tree.digest = node.digest();
        }
        tree.data_bytes = node.data().map_or(0, <[u8]>::len) as u64;
        let id = tree.nodes.insert_root(node);
        debug_assert_eq!(id, ROOT);
    }

    /// Root and the reserved znodes as a new database has them.
    pub(crate) fn add_reserved(&mut self) {
        self.acl(1, AclList::from_encoded(READ_ACL)).expect("key 1 is valid");
        let zero = StatPersisted::default();
        let config = StatPersisted { aversion: -1, ..zero };
        let all = [("", -1, zero), (ZOOKEEPER, -1, zero), (CONFIG, 1, config), (QUOTA, -1, zero)];
        for (path, key, stat) in all {
            self.node(path, Some(b""), key, &stat).expect("the reserved znodes stand in order");
        }
    }

    pub(crate) fn finish_fresh(self) -> Tree {
        self.tree
    }

    /// The tree of a snapshot that is named after `zxid`: adds reserved znodes that an old release did not write and
    /// recomputes quota usage.
    pub fn finish(mut self, zxid: i64) -> Result<Tree, LoadError> {
        if self.tree.nodes.len() == 0 {
            return Err(LoadError::NoRoot);
        }
        let zero = StatPersisted::default();
        for path in [ZOOKEEPER, QUOTA] {
            if self.tree.find(path).is_none() {
                self.node(path, Some(b""), -1, &zero)?;
            }
        }
        if self.tree.find(CONFIG).is_none() {
            let read = self.tree.acls.acquire(AclList::from_encoded(READ_ACL));
            let stat = StatPersisted { aversion: -1, ..zero };
            self.node(CONFIG, Some(b""), crate::acl::key(read), &stat)?;
            self.tree.acls.release(read);
        }
        self.tree.acls.drop_unreferenced();
        self.tree.last_zxid = zxid;
        self.tree.restore_quotas();
        Ok(self.tree)
    }
}
