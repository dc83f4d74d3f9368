//! What the tests of tree against model share: building transactions, and comparing the two in every field.

#![allow(dead_code, reason = "each test file uses its part")]

use model::{EventKind, Model, Node, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use tree::{ApplyResult, Change, ChangeKind, Tree};
use wire::data::{Acl, AclList, Id, OPEN_ACL, READ_ACL, StatPersisted, encode_acls};
use wire::jute::{Limits, Put};
use wire::txn::{TxnHeader, TxnRecord};

/// One of a few access lists, encoded.
pub fn acl(choice: u8) -> Vec<u8> {
    match choice % 5 {
        0 => OPEN_ACL.to_vec(),
        1 => READ_ACL.to_vec(),
        n => {
            let entries: Vec<Acl> = (0..n)
                .map(|i| Acl { perms: i32::from(i), id: Id::new("digest", format!("u{n}:x")) })
                .collect();
            let mut out = Vec::new();
            encode_acls(&entries, &mut out);
            out
        }
    }
}

/// Both at once: every record goes to the tree and to the model, and their answers must agree.
pub struct Pair {
    pub tree: Tree,
    pub model: Model,
}

impl Pair {
    pub fn new(tree: Tree, model: Model) -> Pair {
        Pair { tree, model }
    }

    /// Applies the next transaction, given as type and bare record.
    pub fn apply(&mut self, session_id: i64, op: i32, body: &[u8]) -> Outcome {
        let zxid = self.model.last_zxid + 1;
        let header = TxnHeader { session_id, cxid: 1, zxid, time_ms: 1_700_000_000_000 + zxid * 7, op };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        bytes.extend_from_slice(body);
        let record = TxnRecord::decode(&bytes, Limits::default()).unwrap();
        let mut changes = Vec::new();
        let result = self.tree.apply(&record, &mut changes);
        let (outcome, events) = self.model.apply(&record);
        assert_eq!(outcome_of(&result), outcome, "{record:?}");
        let seen: Vec<_> = changes.iter().map(|c| (kind_of(c), c.path.to_string())).collect();
        let mut expected: Vec<_> = events.iter().map(|e| (e.kind, e.path.clone())).collect();
        let mut seen_sorted = seen.clone();
        if op == wire::OpCode::CloseSession.code() {
            // The order among ephemerals that the transaction does not list is nobody's business.
            seen_sorted.sort_by(|a, b| a.1.cmp(&b.1));
            expected.sort_by(|a, b| a.1.cmp(&b.1));
        }
        assert_eq!(seen_sorted, expected, "{record:?}");
        self.tree.sweep();
        outcome
    }

    pub fn assert_same(&self) {
        assert_same(&self.tree, &self.model);
    }
}

fn kind_of(change: &Change<'_>) -> EventKind {
    match change.kind {
        ChangeKind::Created => EventKind::Created,
        ChangeKind::Deleted => EventKind::Deleted,
        ChangeKind::DataChanged => EventKind::DataChanged,
    }
}

fn outcome_of(result: &ApplyResult) -> Outcome {
    match result {
        ApplyResult::Done => Outcome::Done,
        ApplyResult::Stat(s) => Outcome::Stat(*s),
        ApplyResult::Error(e) => Outcome::Error(*e),
        ApplyResult::Multi(parts) => Outcome::Multi(parts.iter().map(outcome_of).collect()),
    }
}

/// Every field of every znode, and everything that is derived from them.
pub fn assert_same(tree: &Tree, model: &Model) {
    assert_eq!(tree.last_zxid(), model.last_zxid);
    assert_eq!(tree.sessions(), &model.sessions);
    assert_eq!(tree.len(), model.nodes.len());
    assert_eq!(tree.digest(), model.digest(), "kept digest");
    assert_eq!(tree.recompute_digest(), model.digest(), "recomputed digest");
    let mut bytes = 0;
    for (path, expected) in &model.nodes {
        let node = tree.get(path).unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(node.path(), *path);
        assert_eq!(node.data(), expected.data.as_deref(), "{path}");
        assert_eq!(node.stored_stat(), expected.stat, "{path}");
        assert_eq!(Some(node.stat()), model.visible_stat(path), "{path}");
        assert_eq!(node.acl().map(|a| a.encoded().to_vec()), Some(expected.acl.clone()), "{path}");
        assert_eq!(node.owner(), model.owner(expected), "{path}");
        let children: BTreeSet<String> = node.children().map(str::to_owned).collect();
        assert_eq!(children, model.children(path), "{path}");
        assert_eq!(node.child_count(), children.len());
        assert_eq!(node.descendant_count(), model.descendants(path).len(), "{path}");
        let path_bytes = if path == "/" { 0 } else { path.len() };
        bytes += path_bytes + expected.data.as_ref().map_or(0, Vec::len);
        compare_quota(tree, model, path);
    }
    assert_eq!(tree.data_bytes(), bytes as u64);
    compare_owned(tree, model);
}

fn compare_quota(tree: &Tree, model: &Model, path: &str) {
    let ours = tree.quota_for(path).map(|q| model::Quota {
        path: q.path.to_owned(),
        limits: q.limits.map(|l| [l.count, l.bytes, l.count_hard, l.bytes_hard]),
        usage: q.usage.map(|u| u.map(|u| model::Usage { count: u.count, bytes: u.bytes })),
    });
    assert_eq!(ours, model.quota_for(path), "quota at {path}");
}

fn compare_owned(tree: &Tree, model: &Model) {
    use wire::data::Owner;
    let mut by_session: BTreeMap<i64, BTreeSet<String>> = BTreeMap::new();
    let mut reapable = BTreeSet::new();
    for (path, node) in &model.nodes {
        match model.owner(node) {
            Owner::Session(s) => {
                by_session.entry(s).or_default().insert(path.clone());
            }
            Owner::Container | Owner::Ttl(_) if model.children(path).is_empty() => {
                reapable.insert(path.clone());
            }
            Owner::Container | Owner::Ttl(_) | Owner::Persistent => {}
        }
    }
    let owners: BTreeSet<i64> = tree.ephemeral_owners().collect();
    assert_eq!(owners, by_session.keys().copied().collect());
    for (session, paths) in &by_session {
        assert_eq!(&tree.ephemerals_of(*session).collect::<BTreeSet<_>>(), paths);
        assert_eq!(tree.ephemeral_count_of(*session), paths.len());
    }
    assert_eq!(tree.ephemeral_count(), by_session.values().map(BTreeSet::len).sum::<usize>());
    assert_eq!(tree.reapable().map(|n| n.path()).collect::<BTreeSet<_>>(), reapable);
}

/// A frozen view, read into the model's shape.
#[derive(Default)]
pub struct Collected {
    pub nodes: Vec<(String, Option<Vec<u8>>, i64, StatPersisted)>,
}

impl Collected {
    /// Reads up to `slots` slots; whether there is more.
    pub fn read(&mut self, tree: &Tree, slots: u32) -> bool {
        tree.read_frozen(slots, |n| {
            self.nodes.push((n.path.to_owned(), n.data.map(<[u8]>::to_vec), n.acl_key, n.stat));
            true
        })
    }

    /// Compares with the model as it was at the freeze.
    pub fn assert_is(&self, header: &tree::FrozenHeader, then: &Model) {
        assert_eq!(header.zxid, then.last_zxid);
        assert_eq!(header.digest, then.digest());
        assert_eq!(header.sessions.iter().copied().collect::<BTreeMap<_, _>>(), then.sessions);
        let acls: BTreeMap<i64, &[u8]> = header.acls.iter().map(|(k, l)| (*k, &l[..])).collect();
        let mut seen: BTreeMap<String, Node> = BTreeMap::new();
        for (path, data, key, stat) in &self.nodes {
            let parent = path.rsplit_once('/').map(|(p, _)| if p.is_empty() { "/" } else { p });
            assert!(parent.is_none_or(|p| seen.contains_key(p)), "{path} comes before its parent");
            let acl = if *key == -1 { OPEN_ACL } else { acls[key] };
            let node = Node { data: data.clone(), acl: acl.to_vec(), stat: *stat };
            let name = if path.is_empty() { "/".to_owned() } else { path.clone() };
            assert!(seen.insert(name, node).is_none(), "{path} came twice");
        }
        assert_eq!(seen, then.nodes);
    }
}

pub fn put_create(out: &mut Vec<u8>, path: &str, data: Option<&[u8]>, acl: &[u8]) {
    out.put_ustring(path);
    out.put_buffer(data);
    out.extend_from_slice(AclList::from_encoded(acl).encoded());
}
