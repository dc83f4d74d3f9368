//! Applying transactions to the model (quorum-and-disk §3.4, §3.5).

use crate::{Model, Node};
use wire::ErrorCode;
use wire::data::{CONTAINER_OWNER, Owner, Stat, StatPersisted};
use wire::txn::{CreateKind, CreateTxn, Txn, TxnHeader, TxnRecord};

/// What became of a transaction or of one part of a multi.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Done,
    Stat(Stat),
    Error(i32),
    Multi(Vec<Outcome>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    Created,
    Deleted,
    DataChanged,
}

/// What watches hear of, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    pub path: String,
}

/// The parent's path; `None` if there is no slash.
fn parent_of(path: &str) -> Option<String> {
    let slash = path.rfind('/')?;
    Some(if slash == 0 { "/".to_owned() } else { path[..slash].to_owned() })
}

impl Model {
    /// Applies one transaction and tells what became of it and what changed.
    pub fn apply(&mut self, record: &TxnRecord<'_>) -> (Outcome, Vec<Event>) {
        let mut events = Vec::new();
        let outcome = self.apply_one(&record.header, &record.txn, &mut events);
        self.last_zxid = record.header.zxid;
        (outcome, events)
    }

    fn apply_one(&mut self, header: &TxnHeader, txn: &Txn<'_>, events: &mut Vec<Event>) -> Outcome {
        let result = match txn {
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(header.session_id, *timeout_ms);
                Ok(Outcome::Done)
            }
            Txn::CloseSession { paths } => {
                let listed = paths.iter().flatten().map(|p| p.to_string());
                let own = self.ephemerals(header.session_id);
                for path in listed.chain(own) {
                    let _ = self.delete(header, &path, events);
                }
                self.sessions.remove(&header.session_id);
                Ok(Outcome::Done)
            }
            Txn::Error { err } => Ok(Outcome::Error(*err)),
            Txn::Create(create) => self.create(header, create, events),
            Txn::Delete { path, .. } => self.delete(header, path, events),
            Txn::SetData { path, data, version, .. } => self.set_data(header, path, *data, *version, events),
            Txn::SetAcl { path, acl, version } => match self.get_mut(path) {
                None => Err(ErrorCode::NoNode),
                Some(node) => {
                    node.acl = acl.encoded().to_vec();
                    node.stat.aversion = *version;
                    self.stat_outcome(path)
                }
            },
            Txn::Check { .. } => Ok(Outcome::Done),
            Txn::Multi(multi) => match multi.txns().collect::<Result<Vec<_>, _>>() {
                Err(_) => Err(ErrorCode::MarshallingError),
                Ok(parts) => Ok(Outcome::Multi(self.multi(header, &parts, events))),
            },
        };
        result.unwrap_or_else(|code| Outcome::Error(code.code()))
    }

    fn stat_outcome(&self, path: &str) -> Result<Outcome, ErrorCode> {
        self.visible_stat(path).map(Outcome::Stat).ok_or(ErrorCode::NoNode)
    }

    /// A multi with an error among its parts changes nothing.
    fn multi(&mut self, header: &TxnHeader, parts: &[Txn<'_>], events: &mut Vec<Event>) -> Vec<Outcome> {
        let Some(failed) = parts.iter().position(|p| matches!(p, Txn::Error { .. })) else {
            return parts.iter().map(|p| self.apply_one(header, p, events)).collect();
        };
        let codes = parts.iter().enumerate().map(|(i, part)| match part {
            Txn::Error { err } => *err,
            _ if i < failed => 0,
            _ => -2,
        });
        codes.map(Outcome::Error).collect()
    }

    fn raise_parent(&mut self, parent: &str, cversion: i32, zxid: i64) {
        if let Some(node) = self.get_mut(parent) {
            let wanted = if cversion == -1 { node.stat.cversion.wrapping_add(1) } else { cversion };
            if wanted > node.stat.cversion {
                node.stat.cversion = wanted;
                node.stat.pzxid = zxid;
            }
        }
    }

    fn create(
        &mut self,
        header: &TxnHeader,
        txn: &CreateTxn<'_>,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, ErrorCode> {
        let parent = parent_of(&txn.path).ok_or(ErrorCode::BadArguments)?;
        if self.get(&parent).is_none() {
            return Err(ErrorCode::NoNode);
        }
        if let Some(existing) = self.get_mut(&txn.path) {
            existing.acl = txn.acl.encoded().to_vec();
            if let CreateKind::Plain { with_stat: false, .. } = txn.kind {
                self.raise_parent(&parent, txn.parent_cversion, header.zxid);
            }
            return Err(ErrorCode::NodeExists);
        }
        self.raise_parent(&parent, txn.parent_cversion, header.zxid);
        let owner = match txn.kind {
            CreateKind::Plain { ephemeral: true, .. } => header.session_id,
            CreateKind::Plain { ephemeral: false, .. } => 0,
            CreateKind::Container => CONTAINER_OWNER,
            CreateKind::Ttl { ttl_ms } => Owner::Ttl(ttl_ms).encode(),
        };
        let node = Node {
            data: txn.data.map(<[u8]>::to_vec),
            acl: txn.acl.encoded().to_vec(),
            stat: StatPersisted {
                czxid: header.zxid,
                mzxid: header.zxid,
                pzxid: header.zxid,
                ctime: header.time_ms,
                mtime: header.time_ms,
                version: 0,
                cversion: 0,
                aversion: 0,
                ephemeral_owner: owner,
            },
        };
        self.nodes.insert(txn.path.to_string(), node);
        events.push(Event { kind: EventKind::Created, path: txn.path.to_string() });
        let outcome = self.stat_outcome(&txn.path);
        self.quota_created(&txn.path, txn.data.map_or(0, <[u8]>::len));
        outcome
    }

    /// The parent's pzxid moves even when there is nothing to delete.
    fn delete(
        &mut self,
        header: &TxnHeader,
        path: &str,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, ErrorCode> {
        let parent = parent_of(path).ok_or(ErrorCode::NoNode)?;
        let parent = self.get_mut(&parent).ok_or(ErrorCode::NoNode)?;
        parent.stat.pzxid = parent.stat.pzxid.max(header.zxid);
        if path == "/" || !self.descendants(path).is_empty() {
            return Err(ErrorCode::NoNode);
        }
        let node = self.nodes.remove(path).ok_or(ErrorCode::NoNode)?;
        events.push(Event { kind: EventKind::Deleted, path: path.to_owned() });
        self.quota_deleted(path, node.data.map_or(0, |d| d.len()));
        Ok(Outcome::Done)
    }

    fn set_data(
        &mut self,
        header: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        events: &mut Vec<Event>,
    ) -> Result<Outcome, ErrorCode> {
        let node = self.get_mut(path).ok_or(ErrorCode::NoNode)?;
        let old = node.data.as_ref().map_or(0, Vec::len) as i64;
        node.data = data.map(<[u8]>::to_vec);
        node.stat.version = version;
        node.stat.mzxid = header.zxid;
        node.stat.mtime = header.time_ms;
        events.push(Event { kind: EventKind::DataChanged, path: path.to_owned() });
        let outcome = self.stat_outcome(path);
        self.quota_changed(path, data.map_or(0, <[u8]>::len) as i64 - old);
        outcome
    }
}
