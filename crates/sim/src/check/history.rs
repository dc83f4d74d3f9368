//! What happened: every proposed record, and the states that the committed ones led to.

use crate::run::recover_options;
use model::{Model, Outcome};
use std::collections::{BTreeMap, BTreeSet};
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
}

pub struct History {
    /// The state after the last committed transaction.
    pub model: Model,
    /// Payloads handed to the log, by zxid.
    proposed: BTreeMap<i64, Vec<u8>>,
    committed: BTreeMap<i64, Committed>,
    versions: BTreeMap<String, Vec<(i64, Option<View>)>>,
    /// When the server certainly heard last from a session, in ms.
    pub(super) heard_ms: BTreeMap<i64, i64>,
}

impl Default for History {
    fn default() -> Self {
        let model = Model::new(recover_options().rules.owners);
        let mut history = History {
            proposed: BTreeMap::new(),
            committed: BTreeMap::new(),
            versions: BTreeMap::new(),
            heard_ms: BTreeMap::new(),
            model,
        };
        let all: Vec<String> = history.model.nodes.keys().cloned().collect();
        all.iter().for_each(|path| history.note(path, 0));
        history
    }
}

impl History {
    /// A record went to the log. One that follows a crash takes the place of one that was lost.
    pub fn propose(&mut self, zxid: i64, payload: &[u8]) {
        self.proposed.insert(zxid, payload.to_vec());
    }

    pub fn last_committed(&self) -> i64 {
        self.model.last_zxid
    }

    pub fn committed(&self, zxid: i64) -> Option<&Committed> {
        self.committed.get(&zxid)
    }

    /// The server applied, or recovered, the transaction behind the last one. Gives its header.
    pub fn commit_next(&mut self) -> Result<TxnHeader, String> {
        let zxid = self.model.last_zxid + 1;
        let payload =
            self.proposed.remove(&zxid).ok_or(format!("{zxid} was committed but never proposed"))?;
        let record = TxnRecord::decode(&payload, Limits::default()).map_err(|e| format!("{zxid}: {e}"))?;
        let (outcome, events) = self.model.apply(&record);
        let created =
            if let Txn::Create(create) = &record.txn { Some(create.path.to_string()) } else { None };
        let mut touched: BTreeSet<String> = events.into_iter().map(|e| e.path).collect();
        touched.extend(named_paths(&record.txn));
        let parents: Vec<String> = touched.iter().filter_map(|p| parent(p)).collect();
        touched.extend(parents);
        touched.iter().for_each(|path| self.note(path, zxid));
        self.committed.insert(zxid, Committed { header: record.header, outcome, created });
        Ok(record.header)
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
