//! Files as readable listings: one line for each transaction, session or znode.

use crate::{READ_LIMIT_BYTES, ToolError, reading, show, walk};
use journal::{Dir, LogFile, LogItem, Storage, names, read_snapshot};
use std::io::Write;
use tree::NodeRef;
use wire::Reader;
use wire::data::Owner;
use wire::jute::Limits;
use wire::txn::{TxnHeader, TxnRecord};

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DumpOptions {
    /// Show data itself, not only its length.
    pub data: bool,
}

/// Lists a log file; returns how many transactions it holds. A record that cannot be understood is listed as such, and
/// the listing goes on behind it; one that is damaged ends it with an error.
pub fn dump_log<S: Storage>(
    storage: &S,
    file: &str,
    options: DumpOptions,
    out: &mut dyn Write,
) -> Result<u64, ToolError> {
    let log_error = |source| ToolError::Log { file: file.to_owned(), source };
    let opened = storage.open(Dir::Log, file)?;
    let mut log = LogFile::open(opened, READ_LIMIT_BYTES).map_err(log_error)?;
    let mut count = 0;
    loop {
        match log.next().map_err(log_error)? {
            LogItem::Record(payload) => {
                writeln!(out, "{}", record_line(payload, options))?;
                count += 1;
            }
            LogItem::End { torn_at: Some(offset) } => {
                writeln!(out, "# the write of the record at byte {offset} was cut short")?;
                return Ok(count);
            }
            LogItem::End { torn_at: None } => return Ok(count),
        }
    }
}

fn record_line(payload: &[u8], options: DumpOptions) -> String {
    let limits = Limits { field_bytes: READ_LIMIT_BYTES };
    match TxnRecord::decode(payload, limits) {
        Ok(record) => show::record(&record, options),
        Err(e) => match TxnHeader::decode(&mut Reader::new(payload)) {
            Ok(header) => format!("{} ({e})", show::header(&header)),
            Err(_) => format!("# a record of {} bytes without a header", payload.len()),
        },
    }
}

/// Lists a snapshot: sessions, znodes by path, and what stands behind them; returns how many znodes it holds.
///
/// `/zookeeper` and what is below it are listed also for a snapshot of an old release that lacks them.
pub fn dump_snapshot<S: Storage>(
    storage: &S,
    file: &str,
    options: DumpOptions,
    out: &mut dyn Write,
) -> Result<u64, ToolError> {
    let zxid = names::snapshot_zxid(file).unwrap_or(0);
    let reading = reading();
    let (tree, tail) = read_snapshot(storage, file, zxid, reading.rules, reading.limits)
        .map_err(|source| ToolError::Snapshot { file: file.to_owned(), source })?;
    writeln!(out, "zxid={zxid:#x} znodes={} sessions={}", tree.len(), tree.sessions().len())?;
    for (id, timeout_ms) in tree.sessions() {
        writeln!(out, "session={id:#x} timeout={timeout_ms}ms")?;
    }
    let mut count = 0;
    walk(&tree, |path, node| {
        count += 1;
        writeln!(out, "{path:?} {}", node_line(node, options))
    })?;
    writeln!(out, "computed digest={:#x}", tree.digest())?;
    if let Some((zxid, digest)) = tail.digest {
        writeln!(out, "stored digest={:#x} at zxid={zxid:#x}", digest.tree_digest)?;
    }
    if let Some(zxid) = tail.last_zxid {
        writeln!(out, "last zxid={zxid:#x}")?;
    }
    Ok(count)
}

fn node_line(node: NodeRef<'_>, options: DumpOptions) -> String {
    let stat = node.stored_stat();
    let owner = match node.owner() {
        Owner::Persistent => String::new(),
        Owner::Container => " container".into(),
        Owner::Ttl(ms) => format!(" ttl={ms}ms"),
        Owner::Session(id) => format!(" ephemeral={id:#x}"),
    };
    let acl = node.acl().map_or_else(|| "undefined".into(), show::acl);
    format!(
        "{} acl={acl}{owner} czxid={:#x} mzxid={:#x} pzxid={:#x} ctime={} mtime={} version={} cversion={} aversion={}",
        show::data(node.data(), options),
        stat.czxid,
        stat.mzxid,
        stat.pzxid,
        show::time(stat.ctime),
        show::time(stat.mtime),
        stat.version,
        stat.cversion,
        stat.aversion,
    )
}
