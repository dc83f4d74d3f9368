//! Applying a transaction: the only way in which a loaded tree changes.
//!
//! The same code serves a live server and the replay of a log over a snapshot that Java wrote while its tree was
//! changing ("fuzzy"): there a transaction may meet its own effects, so every rule here can be applied twice, and
//! what is refused the second time is ignored by the caller (quorum-and-disk §3.5, §4.6).

use crate::node::Node;
use crate::{AclId, CONFIG, NodeId, ROOT, Tree, digest, path};
use std::borrow::Cow;
use wire::ErrorCode;
use wire::data::{AclList, CONTAINER_OWNER, Owner, Stat, StatPersisted};
use wire::txn::{CreateKind, CreateTxn, MultiTxn, Txn, TxnDigest, TxnHeader, TxnRecord};

/// What became of one transaction or one part of a multi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyResult {
    /// Done, with nothing to tell: delete, check, sessions.
    Done,
    /// Done; the znode's stat as it is now.
    Stat(Stat),
    /// Refused: when it was validated, or (in replay only) because its effect is there already.
    Error(i32),
    Multi(Vec<ApplyResult>),
}

/// What happened to one znode; watches fire on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'a> {
    pub kind: ChangeKind,
    pub path: Cow<'a, str>,
    /// The znode's access list: the new one of a created znode, the last one of a deleted one.
    pub acl: AclId,
    pub parent_acl: AclId,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChangeKind {
    Created,
    Deleted,
    DataChanged,
}

type Changes<'a> = Vec<Change<'a>>;

impl Tree {
    /// Applies one transaction and moves the position to it. `changes` receives what watches must hear of, in order.
    ///
    /// The access lists named in `changes` stay readable until [`Tree::sweep`].
    pub fn apply<'a>(&mut self, record: &TxnRecord<'a>, changes: &mut Changes<'a>) -> ApplyResult {
        let result = self.apply_txn(&record.header, &record.txn, changes);
        self.last_zxid = record.header.zxid;
        result
    }

    /// Applies a transaction that the tree may already hold, wholly or in part: between a snapshot or dump that Java
    /// wrote while its tree was changing, and the point from which the tree is known to be exact.
    ///
    /// Every transaction behind the snapshot's zxid must come, in order; then the tree is what it would be
    /// without the early effects. On the way there is no answer to give, no watch to fire and no digest to compare.
    /// The position never goes back: a dump may be newer than the first transactions that follow it.
    ///
    /// There are two places for this: recovery, up to where a snapshot says it ends; and a learner, for what comes
    /// between a SNAP and its NEWLEADER. From then on, [`Tree::apply`].
    pub fn reapply(&mut self, record: &TxnRecord<'_>) {
        let position = self.last_zxid.max(record.header.zxid);
        self.apply_txn(&record.header, &record.txn, &mut Vec::new());
        self.last_zxid = position;
        self.sweep();
    }

    /// Writes the configuration of the ensemble into its reserved znode, which no transaction does: each member has its
    /// own text there, and its own time. `version` is the zxid that the configuration is named after, 0 for one that
    /// never changed. Neither position nor digest move.
    pub fn set_config(&mut self, text: &str, version: i64, time_ms: i64) {
        let op = wire::OpCode::SetData.code();
        let header = TxnHeader { session_id: 0, cxid: 0, zxid: version, time_ms, op };
        let data = Some(text.as_bytes());
        let set = self.apply_set_data(&header, Cow::Borrowed(CONFIG), data, -1, &mut Vec::new());
        debug_assert!(set.is_ok(), "the reserved znodes are always there");
    }

    /// Whether the tree has the digest that the transaction just applied says it must have. Counts a mismatch.
    pub fn check_digest(&mut self, expected: Option<TxnDigest>) -> bool {
        match expected {
            Some(d)
                if self.rules.digest && d.version == TxnDigest::VERSION && d.tree_digest != self.digest =>
            {
                self.digest_mismatches += 1;
                false
            }
            _ => true,
        }
    }

    /// Forgets access lists that lost their last znode in the changes delivered so far.
    pub fn sweep(&mut self) {
        self.acls.sweep();
    }

    fn apply_txn<'a>(&mut self, h: &TxnHeader, txn: &Txn<'a>, changes: &mut Changes<'a>) -> ApplyResult {
        match txn {
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(h.session_id, *timeout_ms);
                ApplyResult::Done
            }
            Txn::CloseSession { paths } => {
                self.close_session(h, paths.as_deref().unwrap_or(&[]), changes);
                ApplyResult::Done
            }
            Txn::Error { err } => ApplyResult::Error(*err),
            Txn::Multi(multi) => self.apply_multi(h, multi, changes),
            Txn::Create(_)
            | Txn::Delete { .. }
            | Txn::SetData { .. }
            | Txn::SetAcl { .. }
            | Txn::Check { .. } => self.apply_single(h, txn.clone(), changes),
        }
    }

    fn apply_single<'a>(&mut self, h: &TxnHeader, txn: Txn<'a>, changes: &mut Changes<'a>) -> ApplyResult {
        let result = match txn {
            Txn::Create(create) => self.apply_create(h, create, changes),
            Txn::Delete { path, .. } => self
                .apply_delete(h.zxid, path, changes)
                .map_or(Err(ErrorCode::NoNode), |()| Ok(ApplyResult::Done)),
            Txn::SetData { path, data, version, .. } => self.apply_set_data(h, path, data, version, changes),
            Txn::SetAcl { path, acl, version } => self.apply_set_acl(&path, acl, version),
            Txn::Error { err } => return ApplyResult::Error(err),
            Txn::Check { .. } | Txn::CreateSession { .. } | Txn::CloseSession { .. } | Txn::Multi(_) => {
                Ok(ApplyResult::Done)
            }
        };
        result.unwrap_or_else(|e| ApplyResult::Error(e.code()))
    }

    /// All parts, or none when any of them is an error.
    fn apply_multi<'a>(&mut self, h: &TxnHeader, m: &MultiTxn<'a>, changes: &mut Changes<'a>) -> ApplyResult {
        let parts: Result<Vec<Txn<'a>>, _> = m.txns().collect();
        let Ok(parts) = parts else {
            return ApplyResult::Error(ErrorCode::MarshallingError.code());
        };
        if let Some(failed) = parts.iter().position(|t| matches!(t, Txn::Error { .. })) {
            let results = parts.iter().enumerate().map(|(i, txn)| match txn {
                Txn::Error { err } => ApplyResult::Error(*err),
                _ if i < failed => ApplyResult::Error(0),
                _ => ApplyResult::Error(ErrorCode::RuntimeInconsistency.code()),
            });
            return ApplyResult::Multi(results.collect());
        }
        ApplyResult::Multi(parts.into_iter().map(|txn| self.apply_single(h, txn, changes)).collect())
    }

    fn apply_create<'a>(
        &mut self,
        h: &TxnHeader,
        txn: CreateTxn<'a>,
        changes: &mut Changes<'a>,
    ) -> Result<ApplyResult, ErrorCode> {
        let (parent_path, name) = path::split_parent(&txn.path).ok_or(ErrorCode::BadArguments)?;
        // Root is spelled as nothing here: `//a` would be a child that no path leads to.
        if parent_path == "/" {
            return Err(ErrorCode::BadArguments);
        }
        let parent = self.find(parent_path).ok_or(ErrorCode::NoNode)?;
        if let Some(existing) = self.find(&txn.path) {
            self.replace_acl(existing, txn.acl);
            if matches!(txn.kind, CreateKind::Plain { with_stat: false, .. }) {
                self.raise_parent(parent, txn.parent_cversion, h.zxid);
            }
            return Err(ErrorCode::NodeExists);
        }
        if name.is_empty() {
            return Err(ErrorCode::BadArguments);
        }
        self.raise_parent(parent, txn.parent_cversion, h.zxid);
        let owner = match txn.kind {
            CreateKind::Plain { ephemeral: true, .. } => h.session_id,
            CreateKind::Plain { ephemeral: false, .. } => 0,
            CreateKind::Container => CONTAINER_OWNER,
            CreateKind::Ttl { ttl_ms } => Owner::Ttl(ttl_ms).encode(),
        };
        let stat = StatPersisted {
            czxid: h.zxid,
            mzxid: h.zxid,
            pzxid: h.zxid,
            ctime: h.time_ms,
            mtime: h.time_ms,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        let acl = self.acls.acquire(txn.acl);
        let node = Node::new(name, txn.data, &stat, parent, acl);
        let id = self.insert_node(node, &txn.path);
        let parent_acl = self.nodes.get(parent).acl;
        let result = ApplyResult::Stat(self.visible_stat(self.nodes.get(id)));
        self.quota_created(&txn.path, txn.data.map_or(0, <[u8]>::len));
        changes.push(Change { kind: ChangeKind::Created, path: txn.path, acl, parent_acl });
        Ok(result)
    }

    /// Puts a node with its name, parent and stat in place: slot, index, lists by owner, digest.
    pub(crate) fn insert_node(&mut self, mut node: Node, path: &str) -> NodeId {
        node.hash = self.index.hash(path);
        if digest::counts(path) {
            node.prefix = digest::prefix(path, node.data());
        } else {
            node.set_not_counted();
        }
        if self.rules.digest {
            self.digest = self.digest.wrapping_add(node.digest());
        }
        self.data_bytes += path.len() as u64 + node.data().map_or(0, <[u8]>::len) as u64;
        let (parent, owner) = (node.parent, node.owner());
        let id = self.nodes.insert(node);
        self.index.insert(&self.nodes, id);
        self.link(parent, id);
        if owner != 0 {
            self.list_owned(id, owner);
        }
        id
    }

    fn list_owned(&mut self, id: NodeId, owner: i64) {
        match Owner::decode(owner, self.rules.owners) {
            Owner::Persistent => {}
            Owner::Container => {
                self.containers.insert(id);
            }
            Owner::Ttl(_) => {
                self.ttls.insert(id);
            }
            Owner::Session(session) => {
                self.ephemerals.entry(session).or_default().insert(id);
            }
        }
    }

    fn unlist_owned(&mut self, id: NodeId, owner: i64) {
        match Owner::decode(owner, self.rules.owners) {
            Owner::Persistent => {}
            Owner::Container => {
                self.containers.remove(&id);
            }
            Owner::Ttl(_) => {
                self.ttls.remove(&id);
            }
            Owner::Session(session) => {
                if let Some(owned) = self.ephemerals.get_mut(&session) {
                    owned.remove(&id);
                    if owned.is_empty() {
                        self.ephemerals.remove(&session);
                    }
                }
            }
        }
    }

    /// The parent's counter and pzxid move up, never down: sequential names must not be given twice
    /// (ZOOKEEPER-3125, ZOOKEEPER-3249).
    fn raise_parent(&mut self, parent: NodeId, cversion: i32, zxid: i64) {
        let current = self.nodes.get(parent).stat().cversion;
        let wanted = if cversion == -1 { current.wrapping_add(1) } else { cversion };
        if wanted > current {
            self.change(parent, |_, stat| {
                stat.cversion = wanted;
                stat.pzxid = zxid;
            });
        }
    }

    fn replace_acl(&mut self, id: NodeId, acl: AclList<'_>) {
        self.preserve(id);
        let new = self.acls.acquire(acl);
        let old = std::mem::replace(&mut self.node_mut(id).acl, new);
        self.acls.release(old);
    }

    /// `None` when there is no such znode; its parent's pzxid moves all the same.
    fn apply_delete<'a>(&mut self, zxid: i64, path: Cow<'a, str>, changes: &mut Changes<'a>) -> Option<()> {
        let (parent_path, _) = path::split_parent(&path)?;
        let parent = self.find(parent_path)?;
        if self.nodes.get(parent).stat().pzxid < zxid {
            self.change(parent, |_, stat| stat.pzxid = zxid);
        }
        let id = self.find(&path)?;
        if id == ROOT || self.nodes.get(id).child_count() > 0 {
            return None;
        }
        self.preserve(id);
        self.unlink(id);
        let node = self.nodes.remove(id);
        self.index.remove(node.hash, id);
        if self.rules.digest {
            self.digest = self.digest.wrapping_sub(node.digest());
        }
        let data_bytes = node.data().map_or(0, <[u8]>::len);
        self.data_bytes -= path.len() as u64 + data_bytes as u64;
        if node.owner() != 0 {
            self.unlist_owned(id, node.owner());
        }
        self.acls.release(node.acl);
        self.quota_deleted(&path, data_bytes);
        let parent_acl = self.nodes.get(parent).acl;
        changes.push(Change { kind: ChangeKind::Deleted, path, acl: node.acl, parent_acl });
        Some(())
    }

    fn apply_set_data<'a>(
        &mut self,
        h: &TxnHeader,
        path: Cow<'a, str>,
        data: Option<&[u8]>,
        version: i32,
        changes: &mut Changes<'a>,
    ) -> Result<ApplyResult, ErrorCode> {
        let id = self.find(&path).ok_or(ErrorCode::NoNode)?;
        let node = self.nodes.get(id);
        let acl = node.acl;
        let old_bytes = node.data().map_or(0, <[u8]>::len);
        let new_bytes = data.map_or(0, <[u8]>::len);
        self.change(id, |node, stat| {
            node.set_data(data);
            stat.version = version;
            stat.mzxid = h.zxid;
            stat.mtime = h.time_ms;
            if digest::counts(&path) {
                node.prefix = digest::prefix(&path, data);
            }
        });
        self.data_bytes = self.data_bytes + new_bytes as u64 - old_bytes as u64;
        let result = ApplyResult::Stat(self.visible_stat(self.nodes.get(id)));
        self.quota_changed(&path, new_bytes as i64 - old_bytes as i64);
        changes.push(Change { kind: ChangeKind::DataChanged, path, acl, parent_acl: acl });
        Ok(result)
    }

    fn apply_set_acl(
        &mut self,
        path: &str,
        acl: AclList<'_>,
        version: i32,
    ) -> Result<ApplyResult, ErrorCode> {
        let id = self.find(path).ok_or(ErrorCode::NoNode)?;
        self.replace_acl(id, acl);
        self.change(id, |_, stat| stat.aversion = version);
        Ok(ApplyResult::Stat(self.visible_stat(self.nodes.get(id))))
    }

    /// Removes the session and its ephemerals: those the transaction lists, then any others found here.
    fn close_session<'a>(&mut self, h: &TxnHeader, paths: &[Cow<'a, str>], changes: &mut Changes<'a>) {
        for path in paths {
            self.apply_delete(h.zxid, path.clone(), changes);
        }
        let others: Vec<String> = self.ephemerals_of(h.session_id).collect();
        for path in others {
            self.apply_delete(h.zxid, Cow::Owned(path), changes);
        }
        self.sessions.remove(&h.session_id);
    }

    /// Every change of a living znode's data or stat: keeps the frozen view and the digest true.
    fn change(&mut self, id: NodeId, f: impl FnOnce(&mut Node, &mut StatPersisted)) {
        self.preserve(id);
        let counted = self.rules.digest;
        let node = self.nodes.get_mut(id);
        let old = if counted { node.digest() } else { 0 };
        let mut stat = node.stat();
        f(node, &mut stat);
        node.set_stat(&stat);
        let new = if counted { node.digest() } else { 0 };
        self.digest = self.digest.wrapping_sub(old).wrapping_add(new);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Rules;
    use wire::data::OPEN_ACL;

    const RULES: Rules = Rules {
        digest: true,
        owners: wire::data::OwnerRules { extended_types: false, emulate_353_ttl: false },
        hash_seed: 1,
    };

    fn create<'a>(path: &'a str, data: &'a [u8]) -> Txn<'a> {
        Txn::Create(CreateTxn {
            path: path.into(),
            data: Some(data),
            acl: AclList::from_encoded(OPEN_ACL),
            kind: CreateKind::Plain { ephemeral: false, with_stat: false },
            parent_cversion: -1,
        })
    }

    fn run<'a>(tree: &mut Tree, zxid: i64, time_ms: i64, txn: Txn<'a>) -> (ApplyResult, Vec<Change<'a>>) {
        let header = TxnHeader { session_id: 7, cxid: 1, zxid, time_ms, op: txn.op().code() };
        let mut changes = Vec::new();
        let result = tree.apply(&TxnRecord { header, txn, digest: None }, &mut changes);
        assert_eq!(tree.digest(), tree.recompute_digest());
        (result, changes)
    }

    /// The digests that Apache ZooKeeper showed for the same steps (quorum-and-disk §10).
    #[test]
    fn digests_as_captured() {
        let mut tree = Tree::new(RULES);
        assert_eq!(tree.digest(), 0x51c6_d660);
        run(&mut tree, 1, 0, Txn::CreateSession { timeout_ms: 10000 });
        assert_eq!(tree.digest(), 0x51c6_d660);
        run(&mut tree, 2, 0x0000_01a1_f796_aebd, create("/a", b"hi"));
        assert_eq!(tree.digest(), 0x1_3f3d_1cb4);
        let expected = TxnDigest { version: 2, tree_digest: 0x1_3f3d_1cb4 };
        assert!(tree.check_digest(Some(expected)));
        assert!(!tree.check_digest(Some(TxnDigest { tree_digest: 1, ..expected })));
        assert_eq!(tree.digest_mismatches(), 1);
    }

    #[test]
    fn a_path_that_would_not_be_found_again_is_refused() {
        let mut tree = Tree::new(RULES);
        run(&mut tree, 1, 0, create("/a", b""));
        for (zxid, path) in [(2, "//b"), (3, "/a/"), (4, "//"), (5, "b")] {
            let (result, changes) = run(&mut tree, zxid, 0, create(path, b""));
            assert_eq!(result, ApplyResult::Error(ErrorCode::BadArguments.code()), "{path}");
            assert!(changes.is_empty());
        }
        assert_eq!(tree.len(), 5);
    }

    #[test]
    fn cversion_counts_creates_and_shows_both() {
        let mut tree = Tree::new(RULES);
        run(&mut tree, 1, 0, create("/a", b""));
        run(&mut tree, 2, 0, create("/a/b", b""));
        run(&mut tree, 3, 0, Txn::Delete { path: "/a/b".into(), container: false });
        let stat = tree.get("/a").unwrap().stat();
        assert_eq!((stat.cversion, stat.num_children, stat.pzxid), (2, 0, 3));
        assert_eq!(tree.get("/").unwrap().stat().cversion, -1 + 1);
    }

    #[test]
    fn replayed_effects_do_not_move_the_parent_down() {
        let mut tree = Tree::new(RULES);
        run(&mut tree, 1, 0, create("/a", b""));
        for (zxid, path) in [(2, "/a/2"), (3, "/a/3"), (4, "/a/4")] {
            run(&mut tree, zxid, 0, create(path, b""));
        }
        let replay = Txn::Create(CreateTxn {
            path: "/a/3".into(),
            data: None,
            acl: AclList::from_encoded(OPEN_ACL),
            kind: CreateKind::Plain { ephemeral: false, with_stat: false },
            parent_cversion: 2,
        });
        let before = tree.get("/a").unwrap().stored_stat();
        run(&mut tree, 3, 0, replay);
        let after = tree.get("/a").unwrap().stored_stat();
        assert_eq!((after.cversion, after.pzxid), (before.cversion, before.pzxid));
    }

    #[test]
    fn a_closed_session_takes_listed_and_unlisted_ephemerals() {
        let mut tree = Tree::new(RULES);
        for (zxid, path) in [(1, "/x"), (2, "/y")] {
            let Txn::Create(mut c) = create(path, b"") else { unreachable!() };
            c.kind = CreateKind::Plain { ephemeral: true, with_stat: true };
            run(&mut tree, zxid, 0, Txn::Create(c));
        }
        assert_eq!(tree.ephemeral_count_of(7), 2);
        let (_, changes) = run(&mut tree, 3, 0, Txn::CloseSession { paths: Some(vec!["/y".into()]) });
        let deleted: Vec<_> = changes.iter().map(|c| c.path.as_ref()).collect();
        assert_eq!(deleted, ["/y", "/x"]);
        assert_eq!(tree.ephemeral_count(), 0);
    }
}
