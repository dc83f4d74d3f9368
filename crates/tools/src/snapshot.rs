//! A fresh snapshot of a folder that no server is using.
//!
//! It is the way out of most of what keeps an older release from a folder: with a snapshot of the newest state, in the
//! form that every release reads, no log is needed, and whatever the logs hold no longer matters.

use crate::{ToolError, numbered, reading};
use journal::{Compression, Dir, RecoverOptions, SnapshotOptions, SnapshotWriter, Storage, names, recover};
use std::io;

const STEP_SLOTS: u32 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    pub snapshot: String,
    pub zxid: i64,
    /// Log files of which nothing is needed any more once the snapshot is trusted. A Java server still reads the newest
    /// of them.
    pub unneeded_logs: Vec<String>,
}

/// Recovers, repairing what can be repaired, and writes an uncompressed snapshot with the sections that 3.9 writes,
/// which older releases pass over.
pub fn write_snapshot<S: Storage>(storage: &S, trust_empty: bool) -> Result<Written, ToolError> {
    let mut tree = recover(storage, &RecoverOptions { trust_empty, repair: true, ..reading() })?.tree;
    let options = SnapshotOptions { compression: Compression::None, digest: true, last_zxid: true };
    let header = tree.freeze();
    let mut writer = SnapshotWriter::begin(storage, &header, options)?;
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        let more = tree.read_frozen(STEP_SLOTS, |node| {
            SnapshotWriter::<S::File>::encode_node(&node, &mut bytes);
            true
        });
        writer.write(&bytes)?;
        if !more {
            break;
        }
    }
    let snapshot = writer.finish(storage)?;
    let logs: io::Result<Vec<_>> = numbered(storage, Dir::Log, names::log_zxid);
    let unneeded_logs = logs?.into_iter().map(|file| file.name).collect();
    Ok(Written { snapshot, zxid: header.zxid, unneeded_logs })
}
