//! What the tree will be once everything proposed is applied: the pending changes, and nothing else looks at them.
//!
//! Writes are validated against the committed tree seen through this overlay. An entry lives from the proposal that
//! made it until that proposal is applied; the whole overlay is dropped when leadership ends. A failed multi takes its
//! entries back. This is where both Java ZooKeeper and ClickHouse Keeper were hurt, so it is kept small.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use tree::{AclId, Tree, digest};
use wire::data::{AclList, Owner, OwnerRules, StatPersisted};

/// The access list of a pending znode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PendingAcl {
    InTree(AclId),
    Encoded(Arc<[u8]>),
}

/// A znode as it will be. `children` and `data_bytes` are counts; the data itself is never needed again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    pub zxid: i64,
    pub exists: bool,
    pub stat: StatPersisted,
    pub children: i32,
    pub data_bytes: i64,
    /// See [`tree::digest::prefix`].
    pub prefix: u32,
    pub counted: bool,
    pub acl: PendingAcl,
}

impl Pending {
    /// This znode's share of the tree's digest.
    pub fn digest(&self) -> u64 {
        if self.exists && self.counted { u64::from(digest::with_stat(self.prefix, &self.stat)) } else { 0 }
    }

    pub fn acl<'a>(&'a self, tree: &'a Tree) -> Option<AclList<'a>> {
        match &self.acl {
            PendingAcl::InTree(id) => tree.acl(*id),
            PendingAcl::Encoded(list) => Some(AclList::from_encoded(list)),
        }
    }
}

type Key = Arc<str>;

/// The pending changes, and the digest after all of them.
pub struct Overlay {
    rules: OwnerRules,
    track_digest: bool,
    changes: HashMap<Key, Pending, FixedState>,
    /// In the order of their zxids, so that retiring looks only at what is due.
    order: VecDeque<(i64, Key)>,
    /// Pending creates of ephemerals, by session.
    ephemerals: BTreeMap<i64, BTreeSet<Key>>,
    digest: u64,
    /// What a multi in progress replaced.
    undo: Option<Undo>,
}

struct Undo {
    replaced: Vec<(Key, Option<Pending>)>,
    order_len: usize,
    digest: u64,
}

/// Root has two spellings; the overlay knows one.
fn canonical(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

impl Overlay {
    pub fn new(tree: &Tree, seed: u64) -> Overlay {
        Overlay {
            rules: tree.rules().owners,
            track_digest: tree.rules().digest,
            changes: HashMap::with_hasher(FixedState::with_seed(seed)),
            order: VecDeque::new(),
            ephemerals: BTreeMap::new(),
            digest: tree.digest(),
            undo: None,
        }
    }

    /// The digest of the tree after all pending changes.
    pub fn digest(&self) -> u64 {
        self.digest
    }

    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// The znode as it will be; `None` if it will not exist.
    pub fn get(&self, tree: &Tree, path: &str) -> Option<Pending> {
        let path = canonical(path);
        if let Some(pending) = self.changes.get(path) {
            return pending.exists.then(|| pending.clone());
        }
        let node = tree.get(path)?;
        Some(Pending {
            zxid: 0,
            exists: true,
            stat: node.stored_stat(),
            children: node.child_count() as i32,
            data_bytes: node.data().map_or(0, <[u8]>::len) as i64,
            prefix: node.digest_prefix(),
            counted: digest::counts(path),
            acl: PendingAcl::InTree(node.acl_id()),
        })
    }

    /// Puts `new` in the place of `old` (what [`Overlay::get`] gave, if anything).
    pub fn put(&mut self, path: &str, old: Option<&Pending>, new: Pending) {
        let path = canonical(path);
        if self.track_digest {
            let gone = old.map_or(0, Pending::digest);
            self.digest = self.digest.wrapping_sub(gone).wrapping_add(new.digest());
        }
        let key: Key = match self.changes.get_key_value(path) {
            Some((key, _)) => key.clone(),
            None => path.into(),
        };
        self.order.push_back((new.zxid, key.clone()));
        self.forget_ephemeral(&key);
        self.list_ephemeral(&key, &new);
        let replaced = self.changes.insert(key.clone(), new);
        if let Some(undo) = &mut self.undo {
            undo.replaced.push((key, replaced));
        }
    }

    fn list_ephemeral(&mut self, key: &Key, new: &Pending) {
        if new.exists
            && new.stat.ephemeral_owner != 0
            && let Owner::Session(session) = Owner::decode(new.stat.ephemeral_owner, self.rules)
        {
            self.ephemerals.entry(session).or_default().insert(key.clone());
        }
    }

    /// Paths of all ephemerals that the session will have.
    pub fn ephemerals_of(&self, tree: &Tree, session: i64) -> Vec<String> {
        let mut paths: BTreeSet<String> = tree.ephemerals_of(session).collect();
        if let Some(pending) = self.ephemerals.get(&session) {
            paths.extend(pending.iter().map(|key| key.to_string()));
        }
        paths.retain(|path| self.get(tree, path).is_some_and(|p| p.stat.ephemeral_owner == session));
        paths.into_iter().collect()
    }

    /// From here on, changes can be taken back.
    pub fn begin(&mut self) {
        self.undo = Some(Undo { replaced: Vec::new(), order_len: self.order.len(), digest: self.digest });
    }

    /// Keeps the changes since [`Overlay::begin`].
    pub fn keep(&mut self) {
        self.undo = None;
    }

    /// Takes back the changes since [`Overlay::begin`].
    pub fn roll_back(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        for (key, replaced) in undo.replaced.into_iter().rev() {
            self.forget_ephemeral(&key);
            match replaced {
                Some(pending) => {
                    self.list_ephemeral(&key, &pending);
                    self.changes.insert(key, pending);
                }
                None => {
                    self.changes.remove(&key);
                }
            }
        }
        self.order.truncate(undo.order_len);
        self.digest = undo.digest;
    }

    fn forget_ephemeral(&mut self, key: &Key) {
        let Some(owner) = self.changes.get(key).map(|p| p.stat.ephemeral_owner).filter(|o| *o != 0) else {
            return;
        };
        if let Some(keys) = self.ephemerals.get_mut(&owner) {
            keys.remove(key);
            if keys.is_empty() {
                self.ephemerals.remove(&owner);
            }
        }
    }

    /// Everything up to `zxid` is applied: the tree itself has these changes now.
    pub fn retire(&mut self, zxid: i64) {
        while self.order.front().is_some_and(|(z, _)| *z <= zxid) {
            let Some((_, key)) = self.order.pop_front() else { return };
            if self.changes.get(&key).is_some_and(|p| p.zxid <= zxid) {
                self.forget_ephemeral(&key);
                self.changes.remove(&key);
            }
        }
    }
}
