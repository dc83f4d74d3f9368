//! A small tree of its own, to which the members' common history is applied.
//!
//! It shares no code with the server. Access lists are left out: every znode here is open, and the digest does
//! not hold them either.
use super::txn::{Change, Owner, Record};
use crate::jute::Stat;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// One znode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Znode {
    pub data: Option<Vec<u8>>,
    pub children: BTreeSet<String>,
    czxid: i64,
    mzxid: i64,
    pzxid: i64,
    ctime: i64,
    mtime: i64,
    pub version: i32,
    /// Creates below it; clients see another number made from it.
    creates: i32,
    aversion: i32,
    pub owner: i64,
}

impl Znode {
    /// As clients see it.
    pub fn stat(&self) -> Stat {
        let children = self.children.len() as i32;
        Stat {
            czxid: self.czxid,
            mzxid: self.mzxid,
            ctime: self.ctime,
            mtime: self.mtime,
            version: self.version,
            cversion: self.creates.wrapping_mul(2).wrapping_sub(children),
            aversion: self.aversion,
            ephemeral_owner: self.owner,
            data_length: self.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: self.pzxid,
        }
    }

    /// The field order of Apache's digest is that of no record.
    fn digest(&self, path: &str) -> u64 {
        if path.starts_with("/zookeeper/") {
            return 0;
        }
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(if path == "/" { b"" } else { path.as_bytes() });
        hasher.update(self.data.as_deref().unwrap_or_default());
        for long in [self.czxid, self.mzxid, self.pzxid, self.ctime, self.mtime] {
            hasher.update(&long.to_be_bytes());
        }
        for int in [self.version, self.creates, self.aversion] {
            hasher.update(&int.to_be_bytes());
        }
        hasher.update(&self.owner.to_be_bytes());
        u64::from(hasher.finalize())
    }
}

/// The tree, its digest, and the open sessions.
#[derive(Clone, Debug)]
pub struct State {
    nodes: HashMap<String, Znode>,
    ephemerals: BTreeMap<i64, BTreeSet<String>>,
    pub sessions: BTreeSet<i64>,
    pub zxid: i64,
    pub digest: u64,
}

impl Default for State {
    /// The tree of an ensemble that never did anything.
    fn default() -> State {
        let (nodes, ephemerals, sessions) = (HashMap::new(), BTreeMap::new(), BTreeSet::new());
        let mut state = State { nodes, ephemerals, sessions, zxid: 0, digest: 0 };
        for path in ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"] {
            state.insert(path, Znode { data: Some(Vec::new()), ..Znode::default() });
        }
        state
    }
}

impl State {
    pub fn get(&self, path: &str) -> Option<&Znode> {
        self.nodes.get(path)
    }

    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.nodes.keys()
    }

    /// Applies one record; returns the paths whose znode it made, changed or removed.
    pub fn apply(&mut self, record: &Record) -> Result<Vec<String>> {
        let mut touched = Vec::new();
        self.change(record, &record.change, &mut touched)?;
        self.zxid = record.zxid;
        Ok(touched)
    }

    fn change(&mut self, record: &Record, change: &Change, touched: &mut Vec<String>) -> Result<()> {
        match change {
            Change::CreateSession => drop(self.sessions.insert(record.session)),
            Change::CloseSession(paths) => {
                self.sessions.remove(&record.session);
                let own = self.ephemerals.remove(&record.session).unwrap_or_default();
                for path in paths.iter().flatten().chain(&own) {
                    if self.nodes.contains_key(path) {
                        self.delete(record, path)?;
                        touched.push(path.clone());
                    }
                }
            }
            Change::Error(_) | Change::FailedMulti(_) | Change::Check => {}
            Change::Create { path, data, owner, parent_cversion } => {
                self.create(record, path, data, *owner, *parent_cversion)?;
                touched.push(path.clone());
            }
            Change::Delete { path } => {
                self.delete(record, path)?;
                touched.push(path.clone());
            }
            Change::Set { path, data, version } => {
                self.alter(path, |node| {
                    node.data.clone_from(data);
                    (node.version, node.mzxid, node.mtime) = (*version, record.zxid, record.time);
                })?;
                touched.push(path.clone());
            }
            Change::SetAcl { path, version } => self.alter(path, |node| node.aversion = *version)?,
            Change::Multi(parts) => parts.iter().try_for_each(|part| self.change(record, part, touched))?,
        }
        Ok(())
    }

    fn create(
        &mut self,
        record: &Record,
        path: &str,
        data: &Option<Vec<u8>>,
        owner: Owner,
        parent_cversion: i32,
    ) -> Result<()> {
        if self.nodes.contains_key(path) {
            bail!("zxid 0x{:x} creates {path}, which exists", record.zxid);
        }
        let (parent, name) = split(path);
        self.alter(parent, |node| {
            let creates = if parent_cversion == -1 { node.creates + 1 } else { parent_cversion };
            if creates > node.creates {
                (node.creates, node.pzxid) = (creates, record.zxid);
            }
            node.children.insert(name.to_owned());
        })?;
        let owner = match owner {
            Owner::Nobody => 0,
            Owner::Special(number) => number,
            Owner::Session => {
                self.ephemerals.entry(record.session).or_default().insert(path.to_owned());
                record.session
            }
        };
        let (zxid, time) = (record.zxid, record.time);
        let znode = Znode {
            data: data.clone(),
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            owner,
            ..Znode::default()
        };
        self.insert(path, znode);
        Ok(())
    }

    fn delete(&mut self, record: &Record, path: &str) -> Result<()> {
        let Some(node) = self.nodes.remove(path) else {
            bail!("zxid 0x{:x} deletes {path}, which does not exist", record.zxid);
        };
        self.digest = self.digest.wrapping_sub(node.digest(path));
        if let Some(own) = self.ephemerals.get_mut(&node.owner) {
            own.remove(path);
        }
        let (parent, name) = split(path);
        self.alter(parent, |node| {
            node.children.remove(name);
            node.pzxid = node.pzxid.max(record.zxid);
        })
    }

    fn insert(&mut self, path: &str, node: Znode) {
        self.digest = self.digest.wrapping_add(node.digest(path));
        self.nodes.insert(path.to_owned(), node);
        if path != "/"
            && let (parent, name) = split(path)
            && let Some(parent) = self.nodes.get_mut(parent)
        {
            // The children are no part of a znode's digest.
            parent.children.insert(name.to_owned());
        }
    }

    fn alter(&mut self, path: &str, change: impl FnOnce(&mut Znode)) -> Result<()> {
        let Some(node) = self.nodes.get_mut(path) else { bail!("{path} is changed, which does not exist") };
        let before = node.digest(path);
        change(node);
        self.digest = self.digest.wrapping_sub(before).wrapping_add(node.digest(path));
        Ok(())
    }
}

/// Parent and name of a path.
pub fn split(path: &str) -> (&str, &str) {
    match path.rsplit_once('/') {
        Some(("", name)) => ("/", name),
        Some(both) => both,
        None => ("/", path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_tree_has_the_digest_that_apache_shows() {
        assert_eq!(State::default().digest, 0x51c6_d660);
    }

    #[test]
    fn a_close_takes_the_ephemerals_along_and_the_digest_back() {
        let mut state = State::default();
        let record = |zxid, change| Record { session: 5, cxid: 1, zxid, time: 9, change, digest: None };
        let create =
            Change::Create { path: "/e".into(), data: None, owner: Owner::Session, parent_cversion: 1 };
        state.apply(&record(1, Change::CreateSession)).unwrap();
        state.apply(&record(2, create.clone())).unwrap();
        assert!(state.apply(&record(3, create)).is_err());
        assert_eq!(state.get("/e").unwrap().owner, 5);
        assert_eq!(state.get("/").unwrap().stat().cversion, 0);
        let touched = state.apply(&record(4, Change::CloseSession(None))).unwrap();
        assert_eq!((touched, state.sessions.len()), (vec!["/e".to_owned()], 0));
        assert_eq!(state.get("/").unwrap().stat().pzxid, 4);
        assert_eq!(state.nodes.len(), 4);
    }
}
