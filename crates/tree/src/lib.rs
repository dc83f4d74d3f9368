//! The replicated state of a ZooKeeper server: znodes, sessions, ephemerals, quotas and the digest over them.
//!
//! There is one way to change it, [`Tree::apply`], which takes a transaction and says what changed; and one way to
//! fill it, [`Loader`], which takes a snapshot node by node. Everything else reads. The tree knows no clock, no
//! disk and no client.
//!
//! What always holds:
//! * A znode's slot number is larger than its parent's, so that walking the slots in order meets parents first.
//! * The digest is the sum of the digests of all znodes outside `/zookeeper/`.
//! * While a [`freeze`](Tree::freeze) is on, the state at its zxid can still be read in full.

mod acl;
mod apply;
mod children;
pub mod digest;
mod freeze;
mod index;
mod load;
mod node;
mod path;
mod quota;
mod slab;

pub use acl::AclId;
pub use apply::{ApplyResult, Change, ChangeKind};
pub use freeze::{FrozenHeader, FrozenNode};
pub use load::{LoadError, Loader};
pub use path::{parent_and_name, split_parent};
pub use quota::{Limits as QuotaLimits, Quota, Usage as QuotaUsage};

use acl::AclTable;
use freeze::Freeze;
use index::PathIndex;
use node::Node;
use quota::Quotas;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use wire::data::{AclList, Owner, OwnerRules, Stat, StatPersisted};

/// Names one znode while it lives; slots are used again.
pub type NodeId = u32;

const ROOT: NodeId = 0;

/// The reserved paths that exist in every tree (client-surface §7).
pub const ZOOKEEPER: &str = "/zookeeper";
pub const QUOTA: &str = "/zookeeper/quota";
pub const CONFIG: &str = "/zookeeper/config";

/// How the tree reads what it is given.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    pub owners: OwnerRules,
    /// Keep the digest (`zookeeper.digest.enabled`).
    pub digest: bool,
    /// Seeds the path index, so that chosen names cannot be made to collide.
    pub hash_seed: u64,
}

/// See the module's introduction.
pub struct Tree {
    rules: Rules,
    nodes: Slab,
    index: PathIndex,
    acls: AclTable,
    sessions: BTreeMap<i64, i32>,
    ephemerals: BTreeMap<i64, BTreeSet<NodeId>>,
    containers: BTreeSet<NodeId>,
    ttls: BTreeSet<NodeId>,
    quotas: Quotas,
    digest: u64,
    last_zxid: i64,
    data_bytes: u64,
    digest_mismatches: u64,
    freeze: Option<Freeze>,
}

impl Tree {
    /// The tree of a new database: root and the reserved subtree.
    pub fn new(rules: Rules) -> Tree {
        let mut loader = Loader::new(rules);
        loader.add_reserved();
        loader.finish_fresh()
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// The zxid of the last transaction applied.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// Moves the position without a transaction: a new epoch, or the name of a restored snapshot.
    pub fn set_last_zxid(&mut self, zxid: i64) {
        self.last_zxid = zxid;
    }

    /// The sum of all node digests modulo 2^64 (quorum-and-disk §5).
    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// How many transactions left a digest other than the one they carried.
    pub fn digest_mismatches(&self) -> u64 {
        self.digest_mismatches
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// A tree always has a root.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Bytes of paths and data, as the metric `approximate_data_size` counts them.
    pub fn data_bytes(&self) -> u64 {
        self.data_bytes
    }

    pub fn ephemeral_count(&self) -> usize {
        self.ephemerals.values().map(BTreeSet::len).sum()
    }

    /// Every session with its timeout in ms.
    pub fn sessions(&self) -> &BTreeMap<i64, i32> {
        &self.sessions
    }

    /// The znode at `path`, which is looked up as it stands; the empty string is an alias of root, as in Apache.
    pub fn get(&self, path: &str) -> Option<NodeRef<'_>> {
        let id = self.find(path)?;
        Some(self.at(id))
    }

    fn at(&self, id: NodeId) -> NodeRef<'_> {
        NodeRef { tree: self, id, node: self.nodes.get(id) }
    }

    fn find(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(ROOT);
        }
        self.index.find(&self.nodes, path)
    }

    /// The full path of a znode.
    fn path_of(&self, id: NodeId) -> String {
        let mut out = String::new();
        self.push_path(id, &mut out);
        if out.is_empty() {
            out.push('/');
        }
        out
    }

    /// Appends the path as snapshots spell it: root is the empty string.
    fn push_path(&self, id: NodeId, out: &mut String) {
        let mut chain = [ROOT; 64];
        let (mut depth, mut at) = (0, id);
        while at != ROOT && depth < chain.len() {
            chain[depth] = at;
            depth += 1;
            at = self.nodes.get(at).parent;
        }
        let mut deeper = Vec::new();
        while at != ROOT {
            deeper.push(at);
            at = self.nodes.get(at).parent;
        }
        for &id in deeper.iter().rev().chain(chain[..depth].iter().rev()) {
            out.push('/');
            out.push_str(self.nodes.get(id).name());
        }
    }

    /// The ephemerals of a session, in no particular order.
    pub fn ephemerals_of(&self, session_id: i64) -> impl Iterator<Item = String> + '_ {
        self.ephemerals.get(&session_id).into_iter().flatten().map(|id| self.path_of(*id))
    }

    /// How many ephemerals a session has.
    pub fn ephemeral_count_of(&self, session_id: i64) -> usize {
        self.ephemerals.get(&session_id).map_or(0, BTreeSet::len)
    }

    /// Every session that owns ephemerals.
    pub fn ephemeral_owners(&self) -> impl Iterator<Item = i64> + '_ {
        self.ephemerals.keys().copied()
    }

    /// Containers and TTL znodes without children: what the reaper looks at.
    pub fn reapable(&self) -> impl Iterator<Item = NodeRef<'_>> + '_ {
        let ids = self.containers.iter().chain(self.ttls.iter());
        ids.map(|id| self.at(*id)).filter(|n| n.node.child_count() == 0)
    }

    /// The encoded list behind an id; `None` for an id that a fuzzy snapshot mentioned but never defined.
    pub fn acl(&self, id: AclId) -> Option<AclList<'_>> {
        self.acls.get(id)
    }

    /// Nodes whose ACL a snapshot left undefined, with their paths. Only `super` can reach them.
    pub fn undefined_acls(&self) -> Vec<String> {
        if self.acls.undefined().next().is_none() {
            return Vec::new();
        }
        let ids = self.nodes.iter_live().filter(|(_, n)| self.acls.get(n.acl).is_none());
        ids.map(|(id, _)| self.path_of(id)).collect()
    }

    /// The quota that governs `path`.
    pub fn quota_for(&self, path: &str) -> Option<Quota<'_>> {
        self.quotas.governing(self, path)
    }

    /// Recomputes the digest from nothing, for checks.
    pub fn recompute_digest(&self) -> u64 {
        let mut path = String::new();
        self.nodes.iter_live().fold(0u64, |sum, (id, node)| {
            path.clear();
            self.push_path(id, &mut path);
            sum.wrapping_add(u64::from(digest::node(&path, node.data(), &node.stat())))
        })
    }

    fn node_mut(&mut self, id: NodeId) -> &mut Node {
        self.nodes.get_mut(id)
    }
}

/// One znode, read in place.
#[derive(Clone, Copy)]
pub struct NodeRef<'t> {
    tree: &'t Tree,
    id: NodeId,
    node: &'t Node,
}

impl<'t> NodeRef<'t> {
    /// Null data is `None`; empty data is not null.
    pub fn data(&self) -> Option<&'t [u8]> {
        self.node.data()
    }

    /// What clients see: `cversion` doubled and less the children, the owner only of real ephemerals.
    #[inline]
    pub fn stat(&self) -> Stat {
        self.tree.visible_stat(self.node)
    }

    /// What files hold.
    pub fn stored_stat(&self) -> StatPersisted {
        self.node.stat()
    }

    pub fn owner(&self) -> Owner {
        Owner::decode(self.node.owner(), self.tree.rules.owners)
    }

    #[inline]
    pub fn acl_id(&self) -> AclId {
        self.node.acl
    }

    pub fn acl(&self) -> Option<AclList<'t>> {
        self.tree.acls.get(self.node.acl)
    }

    pub fn child_count(&self) -> usize {
        self.node.child_count()
    }

    /// The checksum with which this znode's digest begins (see [`digest`]).
    pub fn digest_prefix(&self) -> u32 {
        self.node.prefix
    }

    /// Names of the children, in no particular order.
    pub fn children(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        let tree = self.tree;
        self.node.children().iter().map(move |id| tree.nodes.get(*id).name())
    }

    /// All znodes below this one.
    pub fn descendant_count(&self) -> usize {
        self.node.descendant_count()
    }

    pub fn path(&self) -> String {
        self.tree.path_of(self.id)
    }
}

impl Tree {
    #[inline]
    fn visible_stat(&self, node: &Node) -> Stat {
        let children = node.child_count() as i32;
        let s = node.stat();
        let owner = match s.ephemeral_owner {
            0 => 0,
            stored => Owner::decode(stored, self.rules.owners).visible(),
        };
        Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion.wrapping_mul(2).wrapping_sub(children),
            aversion: s.aversion,
            ephemeral_owner: owner,
            data_length: node.data().map_or(0, <[u8]>::len) as i32,
            num_children: children,
            pzxid: s.pzxid,
        }
    }
}
