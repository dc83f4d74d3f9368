//! What happened: every proposed record, and the states that the committed ones led to.

use crate::run::recover_options;
use model::{Model, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use wire::data::Stat;
use wire::jute::Limits;
use wire::txn::{Txn, TxnHeader, TxnRecord};

/// A znode as a client may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    pub data: Option<Vec<u8>>,
    pub stat: Stat,
    pub children: BTreeSet<String>,
}

/// A committed transaction: who asked for it, and what became of it.
#[derive(Debug, Clone)]
pub struct Committed {
    pub header: TxnHeader,
    pub outcome: Outcome,
    /// The path of a create, with its sequence number.
    pub created: Option<String>,
    /// Of the tree behind it.
    pub digest: u64,
    /// What watches hear of.
    pub events: Vec<model::Event>,
}

pub struct History {
    /// The state after the last committed transaction.
    pub model: Model,
    base: i64,
    /// In an ensemble a zxid is given once; a server alone gives those that a crash took away again.
    given_once: bool,
    /// Payloads handed to logs, by zxid.
    proposed: BTreeMap<i64, Vec<u8>>,
    committed: BTreeMap<i64, Committed>,
    versions: BTreeMap<String, Vec<(i64, Option<View>)>>,
    /// The number of each session's last request that changed something.
    last_cxid: BTreeMap<i64, i32>,
    first_digest: u64,
}

impl History {
    /// Of a tree that is empty at `base`.
    pub fn new(base: i64, given_once: bool) -> History {
        let mut model = Model::new(recover_options().rules.owners);
        model.last_zxid = base;
        let mut history = History {
            first_digest: model.digest(),
            base,
            given_once,
            proposed: BTreeMap::new(),
            committed: BTreeMap::new(),
            versions: BTreeMap::new(),
            last_cxid: BTreeMap::new(),
            model,
        };
        let all: Vec<String> = history.model.nodes.keys().cloned().collect();
        all.iter().for_each(|path| history.note(path, 0));
        history
    }

    /// A record went to a log.
    pub fn propose(&mut self, zxid: i64, payload: &[u8]) -> Result<(), String> {
        match self.proposed.get(&zxid) {
            Some(known) if known == payload => {}
            Some(_) if self.given_once || zxid <= self.last_committed() => {
                return Err(format!("agreement: two different transactions have the zxid {zxid:#x}"));
            }
            _ => {
                self.proposed.insert(zxid, payload.to_vec());
            }
        }
        Ok(())
    }

    pub fn is_proposed(&self, zxid: i64) -> bool {
        self.proposed.contains_key(&zxid)
    }

    pub fn last_committed(&self) -> i64 {
        self.model.last_zxid
    }

    pub fn committed(&self, zxid: i64) -> Option<&Committed> {
        self.committed.get(&zxid)
    }

    /// Committed transactions behind `after` up to `through`.
    pub fn between(&self, after: i64, through: i64) -> impl Iterator<Item = (i64, &Committed)> {
        let through = through.max(after);
        let range = (Bound::Excluded(after), Bound::Included(through.saturating_add(1)));
        self.committed.range(range).filter(move |(z, _)| **z <= through).map(|(z, c)| (*z, c))
    }

    /// The tree's digest behind a committed transaction.
    pub fn digest(&self, zxid: i64) -> Option<u64> {
        if zxid == self.base { Some(self.first_digest) } else { Some(self.committed.get(&zxid)?.digest) }
    }

    /// The transaction is committed, the next behind the last one.
    pub fn commit(&mut self, zxid: i64) -> Result<TxnHeader, String> {
        let last = self.last_committed();
        let next_epoch = zxid >> 32 > last >> 32 && zxid & 0xffff_ffff == 1;
        if zxid != last + 1 && !next_epoch {
            return Err(format!("agreement: {zxid:#x} was committed behind {last:#x}"));
        }
        let payload =
            self.proposed.get(&zxid).ok_or(format!("{zxid:#x} was committed but never proposed"))?.clone();
        let record = TxnRecord::decode(&payload, Limits::default()).map_err(|e| format!("{zxid:#x}: {e}"))?;
        let (outcome, events) = self.model.apply(&record);
        let created =
            if let Txn::Create(create) = &record.txn { Some(create.path.to_string()) } else { None };
        let mut touched: BTreeSet<String> = events.iter().map(|e| e.path.clone()).collect();
        touched.extend(named_paths(&record.txn));
        let parents: Vec<String> = touched.iter().filter_map(|p| parent(p)).collect();
        touched.extend(parents);
        touched.iter().for_each(|path| self.note(path, zxid));
        let previous = self.digest(last).unwrap_or_default();
        let digest = if touched.is_empty() { previous } else { self.model.digest() };
        let header = record.header;
        let fifo = self.in_session_order(&header, &outcome);
        self.committed.insert(zxid, Committed { header, outcome, created, digest, events });
        fifo.map(|()| header)
    }

    /// What a session asked for comes into effect in the order in which it asked, and once.
    fn in_session_order(&mut self, header: &TxnHeader, outcome: &Outcome) -> Result<(), String> {
        let refused = match outcome {
            Outcome::Error(_) => true,
            Outcome::Multi(parts) => parts.iter().any(|part| matches!(part, Outcome::Error(_))),
            Outcome::Done | Outcome::Stat(_) => false,
        };
        if refused || header.cxid == 0 {
            return Ok(());
        }
        match self.last_cxid.insert(header.session_id, header.cxid) {
            Some(last) if last >= header.cxid => Err(format!(
                "order: request {} of session {:#x} took effect behind its request {last}, as {:#x}",
                header.cxid, header.session_id, header.zxid
            )),
            _ => Ok(()),
        }
    }

    fn note(&mut self, path: &str, zxid: i64) {
        let view = self.model.get(path).map(|node| View {
            data: node.data.clone(),
            stat: self.model.visible_stat(path).unwrap_or_default(),
            children: self.model.children(path),
        });
        let versions = self.versions.entry(path.to_owned()).or_default();
        if versions.last().is_none_or(|(_, last)| *last != view) {
            versions.push((zxid, view));
        }
    }

    /// The znode after the transaction `zxid`.
    pub fn at(&self, path: &str, zxid: i64) -> Option<&View> {
        let versions = self.versions.get(path)?;
        let n = versions.partition_point(|(z, _)| *z <= zxid);
        versions.get(n.checked_sub(1)?)?.1.as_ref()
    }

    /// The znode at `after`, and after each change of it up to `until`.
    pub fn changes(&self, path: &str, after: i64, until: i64) -> impl Iterator<Item = (i64, Option<&View>)> {
        let versions = self.versions.get(path).map_or(&[][..], Vec::as_slice);
        let (from, to) =
            (versions.partition_point(|(z, _)| *z <= after), versions.partition_point(|(z, _)| *z <= until));
        versions[from..to.max(from)].iter().map(|(z, v)| (*z, v.as_ref()))
    }
}

fn parent(path: &str) -> Option<String> {
    let slash = path.rfind('/')?;
    Some(if slash == 0 { "/".into() } else { path[..slash].into() })
}

fn named_paths(txn: &Txn<'_>) -> Vec<String> {
    match txn {
        Txn::Create(create) => vec![create.path.to_string()],
        Txn::Delete { path, .. } | Txn::SetData { path, .. } | Txn::SetAcl { path, .. } => {
            vec![path.to_string()]
        }
        Txn::Multi(multi) => multi.txns().flatten().flat_map(|part| named_paths(&part)).collect(),
        Txn::CreateSession { .. } | Txn::CloseSession { .. } | Txn::Error { .. } | Txn::Check { .. } => {
            Vec::new()
        }
    }
}
