//! What a release would meet in the logs, in its own order of reading.

use super::{Findings, Problem};
use crate::{NumberedFile, READ_LIMIT_BYTES, Release, ToolError, numbered};
use journal::{Dir, LogError, LogFile, LogItem, Storage, names};
use wire::jute::Limits;
use wire::txn::{CreateKind, MultiTxn, Txn, TxnHeader, TxnRecord};
use wire::{DecodeError, OpCode, Reader};

pub(super) struct Logs {
    pub opened: Vec<String>,
    /// Where the release would stand after the last record.
    pub reached: i64,
}

/// Reads what the release would read when it starts from a snapshot at `start`: the last file that begins at or before
/// it, from its first record on, and all later ones.
pub(super) fn check<S: Storage>(
    storage: &S,
    target: Release,
    start: i64,
    findings: &mut Findings,
) -> Result<Logs, ToolError> {
    let files = numbered(storage, Dir::Log, names::log_zxid)?;
    let first = files.iter().rposition(|file| file.zxid <= start).unwrap_or(0);
    let last = files.len().saturating_sub(1);
    let mut reader = LogCheck { target, start, reached: start, findings };
    for (at, file) in files.iter().enumerate().skip(first) {
        reader.file(storage, file, at == last)?;
    }
    let reached = reader.reached;
    Ok(Logs { opened: files.into_iter().skip(first).map(|file| file.name).collect(), reached })
}

struct LogCheck<'f> {
    target: Release,
    start: i64,
    reached: i64,
    findings: &'f mut Findings,
}

impl LogCheck<'_> {
    fn file<S: Storage>(&mut self, storage: &S, file: &NumberedFile, last: bool) -> Result<(), ToolError> {
        let name = &file.name;
        let mut log = match LogFile::open(storage.open(Dir::Log, name)?, READ_LIMIT_BYTES) {
            Ok(log) => log,
            Err(LogError::Io(e)) => return Err(e.into()),
            Err(LogError::Empty) if last && file.bytes == 0 => {
                if !self.target.removes_empty_log() {
                    self.add(name, Problem::EmptyLog, file.zxid);
                }
                return Ok(());
            }
            Err(e) => {
                self.add(name, Problem::DamagedLog(e.to_string()), file.zxid);
                return Ok(());
            }
        };
        loop {
            match log.next() {
                Ok(LogItem::Record(payload)) => self.record(name, payload),
                Ok(LogItem::End { torn_at }) => {
                    if let Some(offset) = torn_at {
                        self.add(name, Problem::TornRecord(offset), self.reached);
                    }
                    return Ok(());
                }
                Err(LogError::Io(e)) => return Err(e.into()),
                Err(e) => {
                    self.add(name, Problem::DamagedLog(e.to_string()), self.reached);
                    return Ok(());
                }
            }
        }
    }

    fn add(&mut self, file: &str, problem: Problem, zxid: i64) {
        self.findings.add(Dir::Log, file, problem, zxid);
    }

    fn record(&mut self, file: &str, payload: &[u8]) {
        let limits = Limits { field_bytes: READ_LIMIT_BYTES };
        let mut body = Reader::with_limits(payload, limits);
        let Ok(header) = TxnHeader::decode(&mut body) else {
            let what = format!("a record of {} bytes has no header", payload.len());
            return self.add(file, Problem::DamagedLog(what), self.reached);
        };
        let zxid = header.zxid;
        if payload.len() > self.target.read_limit() {
            self.findings.add_large(Dir::Log, file, Problem::LargeRecord, zxid, payload.len());
        }
        self.position(file, zxid);
        match TxnRecord::decode(payload, limits) {
            Err(DecodeError::UnknownType(code)) => self.add(file, Problem::UnknownType(code), zxid),
            Err(e) => self.add(file, Problem::DamagedLog(format!("a transaction cannot be read: {e}")), zxid),
            Ok(record) => self.txn(file, &record, body.rest()),
        }
    }

    /// A release goes on over a gap without noticing (before 3.9.4), so it is noticed here.
    fn position(&mut self, file: &str, zxid: i64) {
        if zxid <= self.reached {
            return;
        }
        let next_in_epoch = zxid >> 32 == self.reached >> 32 && zxid == self.reached + 1;
        let first_of_epoch = zxid >> 32 > self.reached >> 32 && zxid & 0xffff_ffff == 1;
        if !next_in_epoch && !first_of_epoch {
            self.add(file, Problem::Gap { after: self.reached }, zxid);
        }
        self.reached = zxid;
    }

    /// A record before the snapshot is read as well, but not applied: only what cannot be read matters there.
    fn txn(&mut self, file: &str, record: &TxnRecord<'_>, body: &[u8]) {
        let TxnHeader { zxid, op, .. } = record.header;
        let applied = zxid > self.start;
        if OpCode::from_code(op).is_none_or(|op| !self.target.knows(op)) {
            return self.add(file, Problem::UnknownType(op), zxid);
        }
        match &record.txn {
            Txn::Check { .. } => self.add(file, Problem::LoneCheck, zxid),
            Txn::CloseSession { paths: None } if self.target.has_digests() => {
                if misread_as_list(body, self.target.read_limit()) {
                    self.add(file, Problem::CloseSessionDigest, zxid);
                }
            }
            Txn::Create(create) if applied && matches!(create.kind, CreateKind::Ttl { .. }) => {
                self.add(file, Problem::Ttl, zxid);
            }
            Txn::Multi(multi) if applied => self.multi(file, multi, zxid),
            Txn::CloseSession { .. }
            | Txn::Create(_)
            | Txn::Multi(_)
            | Txn::CreateSession { .. }
            | Txn::Error { .. }
            | Txn::Delete { .. }
            | Txn::SetData { .. }
            | Txn::SetAcl { .. } => {}
        }
    }

    /// A failed multi changes nothing anywhere, whatever it is made of.
    fn multi(&mut self, file: &str, multi: &MultiTxn<'_>, zxid: i64) {
        if multi.parts().any(|(code, _)| code == OpCode::Error.code()) {
            return;
        }
        for (code, _) in multi.parts() {
            match OpCode::from_code(code).filter(|op| self.target.applies_in_multi(*op)) {
                None => self.add(file, Problem::MultiPart(code), zxid),
                Some(OpCode::CreateTtl) => self.add(file, Problem::Ttl, zxid),
                Some(_) => {}
            }
        }
    }
}

/// Whether Java, which expects a list of strings here, meets a length that it refuses: 3.6.4, 3.7.2 and 3.9.5 do not
/// start then, which is the usual case while the digest is below 2^32. Bytes that end too early are
/// forgiven there.
fn misread_as_list(body: &[u8], limit: usize) -> bool {
    let mut reader = Reader::new(body);
    let count = reader.i32().unwrap_or(0);
    for _ in 0..count.max(0) {
        let Ok(length) = reader.i32() else { return false };
        match usize::try_from(length) {
            _ if length == -1 => {}
            Err(_) => return true,
            Ok(length) if length > limit => return true,
            Ok(length) if reader.bytes(length).is_err() => return false,
            Ok(_) => {}
        }
    }
    false
}
