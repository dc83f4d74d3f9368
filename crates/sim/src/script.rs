//! Random but valid transactions, as a leader would make them, each with the state that must be there after it.

use crate::Rng;
use model::Model;
use std::sync::Arc;
use wire::data::{OPEN_ACL, OwnerRules, READ_ACL};
use wire::jute::{Limits, Put};
use wire::txn::{TxnDigest, TxnHeader, TxnRecord};
use wire::{OpCode, file};

/// How the owners in scripts are to be read: TTL znodes occur.
pub const OWNERS: OwnerRules = OwnerRules { extended_types: true, emulate_353_ttl: false };

/// Transactions 1, 2, 3, …
pub struct Script {
    /// Whole log records; `records[i]` has zxid `first + i`.
    pub records: Vec<Vec<u8>>,
    /// `states[i]` is the state before `records[i]`; one more than there are records.
    pub states: Vec<Arc<Model>>,
    /// The digests of `states`.
    pub digests: Vec<u64>,
}

impl Script {
    pub fn generate(seed: u64, len: usize) -> Script {
        let mut writer = Writer { rng: Rng::new(seed), model: Model::new(OWNERS), sessions: Vec::new() };
        let mut script = Script { records: Vec::new(), states: Vec::new(), digests: Vec::new() };
        for n in 0..=len {
            script.states.push(Arc::new(writer.model.clone()));
            script.digests.push(writer.model.digest());
            if n < len {
                script.records.push(writer.next());
            }
        }
        script
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The state after the transaction with this zxid.
    pub fn after(&self, zxid: i64) -> Option<&Model> {
        self.states.get(usize::try_from(zxid).ok()?).map(Arc::as_ref)
    }
}

struct Writer {
    rng: Rng,
    model: Model,
    sessions: Vec<i64>,
}

impl Writer {
    /// Makes, applies and frames the next transaction.
    fn next(&mut self) -> Vec<u8> {
        let zxid = self.model.last_zxid + 1;
        let (session_id, op, body) = self.choose();
        let time_ms = 1_700_000_000_000 + zxid * 13;
        let header = TxnHeader { session_id, cxid: zxid as i32, zxid, time_ms, op: op.code() };
        let mut out = Vec::new();
        let start = file::begin_record(&mut out);
        header.encode(&mut out);
        out.extend_from_slice(&body);
        let record = TxnRecord::decode(&out[start + 12..], Limits::default()).expect("made to be decoded");
        self.model.apply(&record);
        if op != OpCode::Error {
            let digest = TxnDigest { version: TxnDigest::VERSION, tree_digest: self.model.digest() };
            digest.encode(&mut out);
        }
        file::finish_record(&mut out, start);
        out
    }

    fn choose(&mut self) -> (i64, OpCode, Vec<u8>) {
        let mut body = Vec::new();
        if self.sessions.is_empty() || self.rng.chance(4) {
            let id = 0x0100_0000_0000_0000 + self.model.last_zxid;
            self.sessions.push(id);
            body.put_i32(4000);
            return (id, OpCode::CreateSession, body);
        }
        let session = *self.rng.pick(&self.sessions.clone());
        match self.rng.below(100) {
            0..=2 => {
                self.sessions.retain(|s| *s != session);
                let paths = self.model.ephemerals(session);
                body.put_count(paths.len());
                paths.iter().for_each(|p| body.put_ustring(p));
                (session, OpCode::CloseSession, body)
            }
            3..=5 => {
                body.put_i32(-110);
                (session, OpCode::Error, body)
            }
            6..=12 => (session, OpCode::Multi, self.multi()),
            13..=17 => {
                body.put_ustring(&self.existing());
                body.extend_from_slice(if self.rng.chance(50) { OPEN_ACL } else { READ_ACL });
                body.put_i32(self.rng.below(50) as i32);
                (session, OpCode::SetAcl, body)
            }
            _ => {
                let (op, body) = self.change();
                (session, op, body)
            }
        }
    }

    /// A create, delete or setData.
    fn change(&mut self) -> (OpCode, Vec<u8>) {
        let mut body = Vec::new();
        if let Some(path) = self.deletable().filter(|_| self.rng.chance(20)) {
            body.put_ustring(&path);
            return (OpCode::Delete, body);
        }
        let data = self.data();
        if self.rng.chance(35) {
            let path = self.existing();
            let version = self.model.get(&path).map_or(0, |n| n.stat.version) + 1;
            body.put_ustring(&path);
            body.put_buffer(data.as_deref());
            body.put_i32(version);
            return (OpCode::SetData, body);
        }
        let parent = self.parent();
        let cversion = self.model.get(&parent).map_or(0, |n| n.stat.cversion) + 1;
        let slash = if parent == "/" { "" } else { "/" };
        body.put_ustring(&format!("{parent}{slash}n{cversion:010}"));
        body.put_buffer(data.as_deref());
        body.extend_from_slice(if self.rng.chance(80) { OPEN_ACL } else { READ_ACL });
        let op = *self.rng.pick(&[
            OpCode::Create,
            OpCode::Create,
            OpCode::Create2,
            OpCode::Create2,
            OpCode::CreateContainer,
            OpCode::CreateTtl,
        ]);
        if matches!(op, OpCode::Create | OpCode::Create2) {
            body.put_bool(self.rng.chance(30));
        }
        body.put_i32(cversion);
        if op == OpCode::CreateTtl {
            body.put_i64(1 + self.rng.below(100_000) as i64);
        }
        (op, body)
    }

    /// Up to four changes; parts that fit the state before the multi may not fit inside it, which is harmless. One in
    /// four is a failed one.
    fn multi(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        let count = self.rng.index(4);
        let failed = self.rng.chance(25);
        body.put_count(count);
        for i in 0..count {
            let (op, part) = self.change();
            let error: i32 = if i == 0 { -103 } else { -2 };
            let (code, part) = if failed { (-1, error.to_be_bytes().to_vec()) } else { (op.code(), part) };
            body.put_i32(code);
            body.put_buffer(Some(&part));
        }
        body
    }

    /// Values of all kinds: null, short, long, and long ones of zeros, which look like sectors never written.
    fn data(&mut self) -> Option<Vec<u8>> {
        let mut bytes = match self.rng.below(20) {
            0 => return None,
            1 => vec![0; 600 + self.rng.index(3000)],
            2 => vec![0; 1500 + self.rng.index(3000)],
            n => vec![0; self.rng.index(if n == 3 { 1 } else { 150 })],
        };
        if bytes.len() < 600 || self.rng.chance(50) {
            self.rng.fill(&mut bytes);
        }
        Some(bytes)
    }

    fn existing(&mut self) -> String {
        let n = self.rng.index(self.model.nodes.len());
        self.model
            .nodes
            .keys()
            .nth(n)
            .filter(|p| !p.starts_with("/zookeeper"))
            .map_or("/".into(), Clone::clone)
    }

    /// A znode that may have children.
    fn parent(&mut self) -> String {
        let path = self.existing();
        let ephemeral = self.model.get(&path).is_some_and(|n| n.stat.ephemeral_owner > 0);
        if ephemeral || path.len() > 60 { "/".into() } else { path }
    }

    fn deletable(&mut self) -> Option<String> {
        let path = self.existing();
        (path != "/" && self.model.descendants(&path).is_empty()).then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_script_and_it_has_all_kinds() {
        let (a, b) = (Script::generate(1, 300), Script::generate(1, 300));
        assert_eq!(a.records, b.records);
        assert_ne!(a.records, Script::generate(2, 300).records);
        let mut ops = std::collections::BTreeSet::new();
        for record in &a.records {
            ops.insert(i32::from_be_bytes(record[40..44].try_into().unwrap()));
        }
        assert!(ops.is_superset(&[-11, -10, -1, 1, 2, 5, 7, 14, 15, 19, 21].into()), "{ops:?}");
        assert!(a.states[300].nodes.len() > 60);
    }
}
