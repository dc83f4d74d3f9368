//! From files to a tree: newest good snapshot, then every log record behind it (quorum-and-disk §3.7, §4.8, §11).
//!
//! Stricter than Java where Java would go on with a gap: every record must follow the one before it, so that a
//! missing file is a refusal and not a silent loss. What was repaired is reported; what cannot be is refused, with
//! the way out.

use crate::install;
use crate::log_reader::{LogError, LogFile, LogItem};
use crate::names;
use crate::order::{begins_epoch, follows};
use crate::range::{LogRange, LogRanges};
use crate::snapshot_reader::{SnapshotError, is_plausible, read_snapshot};
use crate::storage::{Dir, Storage, StorageFile, read_full};
use std::io;
use thiserror::Error;
use tree::{Rules, Tree};
use wire::jute::Limits;
use wire::txn::{CreateKind, Txn, TxnRecord};

/// Java looks at no more snapshots than this.
const MAX_CANDIDATES: usize = 100;

#[derive(Debug, Clone, Copy)]
pub struct RecoverOptions {
    pub rules: Rules,
    pub limits: Limits,
    /// `zookeeper.snapshot.trust.empty`: logs without a snapshot are replayed from nothing.
    pub trust_empty: bool,
    /// False for reading only: nothing is repaired, removed or synced.
    pub repair: bool,
}

/// What was found, for the log and for `verify`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub snapshot: Option<String>,
    /// Snapshots that were passed over, with the reason.
    pub rejected: Vec<(String, String)>,
    pub logs: Vec<String>,
    pub txns: u64,
    /// What was mended, as sentences.
    pub repaired: Vec<String>,
    /// What is odd but harmless, as sentences.
    pub warnings: Vec<String>,
    /// Nothing was there: this is a new database.
    pub fresh: bool,
}

pub struct Recovered {
    pub tree: Tree,
    pub report: Report,
    /// What a learner may be sent of the log.
    pub ranges: LogRanges,
}

#[derive(Debug, Error)]
pub enum RecoverError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error(
        "{file} stands in {dir}, which is the other folder's: dataDir and dataLogDir seem to be swapped. \
         Correct the configuration, or move the file"
    )]
    WrongDir { file: String, dir: String },
    #[error(
        "none of the {count} snapshots in {dir} can be read:{reasons}\nRestore one from a backup, or (with other \
         servers to copy from) empty the folder"
    )]
    NoGoodSnapshot { dir: String, count: usize, reasons: String },
    #[error(
        "there are transaction logs in {dir} but no snapshot. A lost snapshot would mean lost data, so this is \
         refused. If the logs are complete from the first transaction (a folder of ZooKeeper before 3.5.3), start \
         once with -Dzookeeper.snapshot.trust.empty=true"
    )]
    LogsWithoutSnapshot { dir: String },
    #[error("{file}: {source}. {advice}")]
    Log { file: String, source: LogError, advice: &'static str },
    #[error(
        "transactions are missing between {from:#x} and {to:#x} ({file} begins behind the gap). Bring the missing \
         log file back; a start without it would lose acknowledged writes"
    )]
    Gap { from: i64, to: i64, file: String },
    #[error(
        "{file} holds the transaction {zxid:#x} of the kind {kind}, which cannot be applied: {reason}. It was \
         written by another version or is damaged"
    )]
    BadTxn { file: String, zxid: i64, kind: i32, reason: &'static str },
    #[error(
        "{file} says that there were transactions up to {zxid:#x}, but it cannot be read ({reason}), and older files \
         lead only to {found:#x}. Restore it from a backup, or copy the folder of a healthy server; if it holds \
         nothing that is needed, move it away"
    )]
    Behind { file: String, zxid: i64, reason: String, found: i64 },
    #[error(
        "{file} in {dir} is a copy of a leader's tree that had replaced this server's own data, but it cannot be \
         read: {source}. Empty the folders of this server, so that it copies the tree again from a healthy quorum"
    )]
    Installing { file: String, dir: String, source: SnapshotError },
    #[error("{0}")]
    Load(String),
}

const DAMAGED_ADVICE: &str = "Bring the file back from a backup, or copy the folder of a healthy server. \
                              Nothing was changed";

/// Reads everything. With `repair`, leaves a folder from which the next start finds the same state.
pub fn recover<S: Storage>(storage: &S, options: &RecoverOptions) -> Result<Recovered, RecoverError> {
    let mut report = Report::default();
    check_dirs(storage)?;
    let (mut replay, logs) = match install::unfinished(storage)? {
        Some(name) => (installed(storage, options, &name, &mut report)?, Vec::new()),
        None => {
            let logs = numbered(storage, Dir::Log, names::log_zxid)?;
            (start(storage, options, &logs, &mut report)?, logs)
        }
    };
    let floor = replay.tree.last_zxid();
    replay.logs(storage, options, &logs, &mut report)?;
    replay.check_rejected(storage, &report)?;
    if options.repair {
        settle(storage, &report)?;
    }
    for path in replay.tree.undefined_acls().into_iter().take(10) {
        report
            .warnings
            .push(format!("{path} refers to an access list that no file defines: only super can reach it"));
    }
    let ranges = LogRanges::found(replay.ranges(logs), floor);
    Ok(Recovered { tree: replay.tree, report, ranges })
}

/// Where the replay starts.
fn start<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    logs: &[Numbered],
    report: &mut Report,
) -> Result<Replay, RecoverError> {
    match newest_snapshot(storage, options, report)? {
        Some(start) => Ok(start),
        None if logs.iter().all(|l| l.bytes == 0) => {
            report.fresh = true;
            Ok(Replay::from_nothing(options.rules))
        }
        None if options.trust_empty => {
            report
                .warnings
                .push("no snapshot: replaying the logs from nothing, as snapshot.trust.empty says".into());
            Ok(Replay::from_nothing(options.rules))
        }
        None => Err(RecoverError::LogsWithoutSnapshot { dir: storage.describe(Dir::Log) }),
    }
}

/// A leader's tree had been made this folder's state when the process stopped: everything else is of the past, and
/// goes now.
fn installed<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    name: &str,
    report: &mut Report,
) -> Result<Replay, RecoverError> {
    let zxid = names::installing_zxid(name).unwrap_or(0);
    let (tree, _) = read_snapshot(storage, name, zxid, options.rules, options.limits).map_err(|source| {
        RecoverError::Installing { file: name.into(), dir: storage.describe(Dir::Snapshot), source }
    })?;
    report.repaired.push(format!("{name}: a copy of the leader's tree had not yet replaced all older files"));
    let name = if options.repair { install::finish(storage, name)? } else { name.to_owned() };
    report.snapshot = Some(name);
    let exact_from = Some((zxid, tree.digest()));
    Ok(Replay::new(tree, exact_from))
}

/// What was read becomes durable before anybody is told of it. The process that wrote it may have ended before its
/// own syncs, and Java does not sync its periodic snapshots at all.
fn settle<S: Storage>(storage: &S, report: &Report) -> io::Result<()> {
    if let Some(name) = &report.snapshot {
        storage.open(Dir::Snapshot, name)?.sync_data()?;
    }
    for name in &report.logs {
        storage.open(Dir::Log, name)?.sync_data()?;
    }
    storage.sync_dir(Dir::Log)?;
    if !storage.same_dir() {
        storage.sync_dir(Dir::Snapshot)?;
    }
    Ok(())
}

/// Writes the bytes of a range once more. After a failed sync the system may hold pages for written that are not, and
/// a later sync would pass them over: the server that died of that failure must not trust them after its restart.
fn rewrite(file: &mut impl StorageFile, from: u64, to: u64) -> io::Result<()> {
    const PIECE: u64 = 1 << 20;
    let mut at = from.min(to);
    while at < to {
        let mut piece = vec![0; PIECE.min(to - at) as usize];
        file.seek(at)?;
        let n = read_full(file, &mut piece)?;
        if n == 0 {
            break;
        }
        file.seek(at)?;
        file.write_all(&piece[..n])?;
        at += n as u64;
    }
    Ok(())
}

pub(crate) struct Numbered {
    pub name: String,
    pub zxid: i64,
    pub bytes: u64,
}

/// The files whose names carry a zxid, oldest first.
pub(crate) fn numbered<S: Storage>(
    storage: &S,
    dir: Dir,
    zxid_of: impl Fn(&str) -> Option<i64>,
) -> io::Result<Vec<Numbered>> {
    let entries = storage.list(dir)?.into_iter();
    let mut files: Vec<Numbered> = entries
        .filter_map(|e| Some(Numbered { zxid: zxid_of(&e.name)?, name: e.name, bytes: e.bytes }))
        .collect();
    files.sort_by(|a, b| (a.zxid, &a.name).cmp(&(b.zxid, &b.name)));
    Ok(files)
}

fn check_dirs<S: Storage>(storage: &S) -> Result<(), RecoverError> {
    if storage.same_dir() {
        return Ok(());
    }
    let logs = numbered(storage, Dir::Snapshot, names::log_zxid)?;
    let snapshots = numbered(storage, Dir::Log, names::snapshot_zxid)?;
    for (stray, dir) in [(logs.first(), Dir::Snapshot), (snapshots.first(), Dir::Log)] {
        if let Some(file) = stray {
            return Err(RecoverError::WrongDir { file: file.name.clone(), dir: storage.describe(dir) });
        }
    }
    Ok(())
}

/// The newest snapshot that can be read; `None` if there is no candidate at all.
fn newest_snapshot<S: Storage>(
    storage: &S,
    options: &RecoverOptions,
    report: &mut Report,
) -> Result<Option<Replay>, RecoverError> {
    let mut candidates = numbered(storage, Dir::Snapshot, names::snapshot_zxid)?;
    candidates.reverse();
    candidates.truncate(MAX_CANDIDATES);
    for file in &candidates {
        if !is_plausible(storage, &file.name)? {
            let reason = "it is not finished: a write was interrupted".to_owned();
            report.rejected.push((file.name.clone(), reason));
            continue;
        }
        match read_snapshot(storage, &file.name, file.zxid, options.rules, options.limits) {
            Ok((tree, tail)) => {
                report.snapshot = Some(file.name.clone());
                let exact_from = tail.digest.map(|(zxid, digest)| {
                    // Zero is Java's "no transaction since the start", an older zxid its "none since the election":
                    // in both cases nothing changed while the file was written.
                    if zxid == 0 || zxid < file.zxid {
                        (file.zxid, tree.digest())
                    } else {
                        (zxid, digest.tree_digest)
                    }
                });
                let mut replay = Replay::new(tree, exact_from);
                replay.compare_at_snapshot(report);
                return Ok(Some(replay));
            }
            Err(SnapshotError::Load(e @ tree::LoadError::TtlWithoutExtendedTypes(_))) => {
                return Err(RecoverError::Load(format!("{}: {e}", file.name)));
            }
            Err(e) => report.rejected.push((file.name.clone(), e.to_string())),
        }
    }
    if candidates.is_empty() {
        return Ok(None);
    }
    let reasons = report.rejected.iter().map(|(name, why)| format!("\n  {name}: {why}")).collect();
    Err(RecoverError::NoGoodSnapshot {
        dir: storage.describe(Dir::Snapshot),
        count: candidates.len(),
        reasons,
    })
}

/// How a log file ends.
enum End {
    /// Where the records end, from where on they may not be durable, and whether a write was cut short there.
    Records { end: u64, doubtful_from: u64, torn: bool },
    /// It is the last file, and nothing was ever written to it.
    NoRecords,
}

/// A tree on its way from a snapshot to the end of the log.
struct Replay {
    tree: Tree,
    /// Where a snapshot that was written during changes ends, and the digest there. Not compared before.
    exact_from: Option<(i64, u64)>,
    mismatch_reported: bool,
    /// The last record seen, in whichever file.
    previous: Option<i64>,
    /// Where the records of the files that were read end, if there are any.
    ends: Vec<(String, Option<u64>)>,
}

impl Replay {
    fn new(tree: Tree, exact_from: Option<(i64, u64)>) -> Replay {
        Replay { tree, exact_from, mismatch_reported: false, previous: None, ends: Vec::new() }
    }

    fn from_nothing(rules: Rules) -> Replay {
        let tree = Tree::new(rules);
        let exact_from = Some((0, tree.digest()));
        Replay::new(tree, exact_from)
    }

    fn compare_at_snapshot(&mut self, report: &mut Report) {
        if let Some((zxid, digest)) = self.exact_from
            && zxid == self.tree.last_zxid()
            && self.tree.rules().digest
            && digest != self.tree.digest()
        {
            self.mismatch(zxid, report);
        }
    }

    fn mismatch(&mut self, zxid: i64, report: &mut Report) {
        if !self.mismatch_reported {
            self.mismatch_reported = true;
            report.warnings.push(format!(
                "the tree's digest differs from the recorded one at zxid {zxid:#x}: the data may have been changed \
                 by something else than its log; compare it with another server's"
            ));
        }
    }

    /// Replays every log from the one that reaches beyond the snapshot. A last file without any record is the trace
    /// of a crash right after its creation; the one before it is then the last.
    fn logs<S: Storage>(
        &mut self,
        storage: &S,
        options: &RecoverOptions,
        logs: &[Numbered],
        report: &mut Report,
    ) -> Result<(), RecoverError> {
        let next = self.tree.last_zxid().saturating_add(1);
        let first = logs.iter().rposition(|l| l.zxid <= next).unwrap_or(0);
        let mut sealed = None;
        for (i, file) in logs.iter().enumerate().skip(first) {
            let last = i + 1 == logs.len();
            match self.file(storage, options, file, last, report)? {
                End::Records { end, doubtful_from, torn } => sealed = Some((file, end, doubtful_from, torn)),
                End::NoRecords => {
                    self.ends.push((file.name.clone(), None));
                    report.repaired.push(format!("{} was never begun: removed", file.name));
                    if options.repair {
                        storage.remove(Dir::Log, &file.name)?;
                    }
                }
            }
        }
        let Some((file, end, doubtful_from, torn)) = sealed else { return Ok(()) };
        if torn {
            report.repaired.push(format!(
                "{}: the write of the record at byte {end} was cut short; nobody was told of it, and it is removed",
                file.name
            ));
        }
        if options.repair {
            let mut opened = storage.open(Dir::Log, &file.name)?;
            if torn {
                // Java would trip over its checksum.
                opened.set_len(end)?;
            }
            rewrite(&mut opened, doubtful_from, end)?;
        }
        Ok(())
    }

    /// The log files that hold records. Those that the snapshot covers were not read.
    fn ranges(&self, logs: Vec<Numbered>) -> Vec<LogRange> {
        let files = logs.into_iter().filter_map(|log| {
            let end = self.ends.iter().find(|(name, _)| *name == log.name);
            let bytes = end.map_or(Some(log.bytes), |(_, end)| *end)?;
            Some(LogRange { name: log.name.into(), first_zxid: log.zxid, bytes })
        });
        files.collect()
    }

    /// A snapshot that cannot be read still says how far the database had come.
    fn check_rejected<S: Storage>(&self, storage: &S, report: &Report) -> Result<(), RecoverError> {
        let found = self.tree.last_zxid();
        for (file, reason) in &report.rejected {
            let zxid = names::snapshot_zxid(file).unwrap_or(0);
            // A new leader of Java's names one after the beginning of its epoch, which no transaction has.
            if zxid > found && !begins_epoch(zxid) {
                let file = format!("{file} in {}", storage.describe(Dir::Snapshot));
                return Err(RecoverError::Behind { file, zxid, reason: reason.clone(), found });
            }
        }
        Ok(())
    }

    fn file<S: Storage>(
        &mut self,
        storage: &S,
        options: &RecoverOptions,
        file: &Numbered,
        last: bool,
        report: &mut Report,
    ) -> Result<End, RecoverError> {
        let opened = storage.open(Dir::Log, &file.name)?;
        let mut log = match LogFile::open(opened, options.limits.field_bytes) {
            Ok(log) => log,
            Err(LogError::Empty | LogError::ShortHeader(_)) if last => return Ok(End::NoRecords),
            Err(source) => return Err(self.log_error(file, source)),
        };
        let mut records = false;
        loop {
            let offset = log.position();
            match log.next() {
                Ok(LogItem::Record(payload)) => self.record(payload, offset, options, file, report)?,
                Ok(LogItem::End { .. }) if last && !records => return Ok(End::NoRecords),
                Ok(LogItem::End { torn_at }) => {
                    let torn = torn_at.is_some();
                    report.logs.push(file.name.clone());
                    self.ends.push((file.name.clone(), Some(offset)));
                    return Ok(End::Records { end: offset, doubtful_from: log.doubtful_from(offset), torn });
                }
                Err(source) => return Err(self.log_error(file, source)),
            }
            records = true;
        }
    }

    fn log_error(&self, file: &Numbered, source: LogError) -> RecoverError {
        RecoverError::Log { file: file.name.clone(), source, advice: DAMAGED_ADVICE }
    }

    fn record(
        &mut self,
        payload: &[u8],
        offset: u64,
        options: &RecoverOptions,
        file: &Numbered,
        report: &mut Report,
    ) -> Result<(), RecoverError> {
        let record = TxnRecord::decode(payload, options.limits)
            .map_err(|source| self.log_error(file, LogError::Undecodable { offset, source }))?;
        let zxid = record.header.zxid;
        self.check_order(zxid, file, report)?;
        if zxid <= self.tree.last_zxid() && !(zxid == self.tree.last_zxid() && report.txns > 0) {
            return Ok(());
        }
        self.check_kind(&record, options, file)?;
        if self.exact_from.is_some_and(|(at, _)| zxid <= at) {
            self.tree.reapply(&record);
        } else {
            self.tree.apply(&record, &mut Vec::new());
            self.tree.sweep();
        }
        report.txns += 1;
        self.compare(&record, report);
        Ok(())
    }

    fn compare(&mut self, record: &TxnRecord<'_>, report: &mut Report) {
        let zxid = record.header.zxid;
        if !self.tree.rules().digest {
            return;
        }
        match self.exact_from {
            Some((at, digest)) if at == zxid && digest != self.tree.digest() => self.mismatch(zxid, report),
            Some((at, _)) if zxid > at && !self.tree.check_digest(record.digest) => {
                self.mismatch(zxid, report);
            }
            _ => {}
        }
    }

    /// Each record follows the one before. Equal zxids occur (an error record may repeat the last one).
    fn check_order(&mut self, zxid: i64, file: &Numbered, report: &mut Report) -> Result<(), RecoverError> {
        let position = self.tree.last_zxid();
        if let Some(previous) = self.previous
            && zxid < previous
        {
            report.warnings.push(format!("{}: zxid {zxid:#x} stands behind {previous:#x}", file.name));
        }
        self.previous = Some(zxid);
        if zxid > position && !follows(position, zxid) {
            return Err(RecoverError::Gap { from: position, to: zxid, file: file.name.clone() });
        }
        Ok(())
    }

    fn check_kind(
        &self,
        record: &TxnRecord<'_>,
        options: &RecoverOptions,
        file: &Numbered,
    ) -> Result<(), RecoverError> {
        let reason = match &record.txn {
            Txn::Check { .. } => Some("a check stands only inside a multi (ZOOKEEPER-2623)"),
            Txn::Multi(multi) => multi.txns().flatten().find_map(|part| refusal(&part, options)),
            txn => refusal(txn, options),
        };
        let Some(reason) = reason else { return Ok(()) };
        Err(RecoverError::BadTxn {
            file: file.name.clone(),
            zxid: record.header.zxid,
            kind: record.header.op,
            reason,
        })
    }
}

/// Why a transaction of a log must not be applied.
fn refusal(txn: &Txn<'_>, options: &RecoverOptions) -> Option<&'static str> {
    let Txn::Create(create) = txn else { return None };
    let ttl = matches!(create.kind, CreateKind::Ttl { .. });
    if !create.path.starts_with('/') || create.path.ends_with('/') || create.path.contains("//") {
        return Some("no znode can have its path");
    }
    (ttl && !options.rules.owners.extended_types).then_some(
        "it makes a TTL znode, but zookeeper.extendedTypesEnabled is not true: start with \
         -Dzookeeper.extendedTypesEnabled=true, or its data would be deleted",
    )
}

/// A tree from the one snapshot called `name`, without any log: for tools.
pub fn load_snapshot<S: Storage>(
    storage: &S,
    name: &str,
    options: &RecoverOptions,
) -> Result<Tree, RecoverError> {
    let zxid = names::snapshot_zxid(name).unwrap_or(0);
    match read_snapshot(storage, name, zxid, options.rules, options.limits) {
        Ok((tree, _)) => Ok(tree),
        Err(e) => Err(RecoverError::Load(format!("{name}: {e}"))),
    }
}
