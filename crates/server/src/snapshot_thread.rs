//! The snapshot thread: writes the frozen view of the tree while the server goes on, then purges what is old.
//!
//! The tree is locked for short steps only, and the file is written at a bounded rate and synced in pieces, so that
//! the transaction log's syncs do not wait behind it.

use crate::shared::{NodeInput, Shared};
use crate::start::StopReason;
use journal::{Dir, SnapshotWriter, Storage};
use node::limits::{FROZEN_BYTES, SNAPSHOT_STEP_SLOTS};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};
use tree::FrozenHeader;

pub(crate) enum SnapshotInput {
    /// The tree of this generation is frozen; write what this header begins.
    Write(FrozenHeader, u64),
    Stop,
}

/// Bytes after which what is written is given to the disk and the rate is looked at.
const PIECE_BYTES: usize = 256 << 10;
/// The file grows no faster than this, unless writers wait for the end of the snapshot.
const BYTES_PER_SECOND: f64 = 64.0 * 1024.0 * 1024.0;

pub(crate) fn run(shared: Arc<Shared>, inputs: Receiver<SnapshotInput>, failed: Sender<StopReason>) {
    let storage = &shared.config.storage;
    let interval = storage.purge_interval_ms.map(Duration::from_millis);
    let mut next_purge = interval.map(|_| Instant::now());
    loop {
        if next_purge.is_some_and(|due| due <= Instant::now()) {
            purge(&shared);
            next_purge = interval.map(|interval| Instant::now() + interval);
        }
        let input = match next_purge {
            Some(due) => inputs.recv_timeout(due.saturating_duration_since(Instant::now())),
            None => inputs.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match input {
            Ok(SnapshotInput::Write(header, generation)) => {
                let zxid = header.zxid;
                let written = write(&shared, &header, generation);
                // Also after a failure, so that nobody waits for the view to end.
                thaw(&shared, generation);
                if let Err(error) = written {
                    let reason = StopReason::SnapshotFailed(format!("snapshot.{zxid:x}: {error}"));
                    // The receiver is gone only when the server is ending anyway.
                    let _ended = failed.send(reason);
                    return;
                }
                shared.counters.snapshots.fetch_add(1, Ordering::Relaxed);
                shared.inbox.send(NodeInput::SnapshotEnded);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(SnapshotInput::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// Ends the view, if its tree is still the server's.
fn thaw(shared: &Shared, generation: u64) -> bool {
    let mut tree = shared.tree.write();
    let same = shared.generation.load(Ordering::Relaxed) == generation;
    if same {
        tree.thaw();
    }
    same
}

fn write(shared: &Shared, header: &FrozenHeader, generation: u64) -> io::Result<()> {
    let start = Instant::now();
    let mut writer =
        SnapshotWriter::begin(&shared.disk, header, crate::recovery::snapshot_options(&shared.config))?;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    let mut written = 0usize;
    let mut more = true;
    while more {
        if shared.stopping.load(Ordering::Relaxed) {
            return Ok(());
        }
        let hurry;
        {
            let tree = shared.tree.read();
            if shared.generation.load(Ordering::Relaxed) != generation {
                // The tree was replaced by a leader's: nobody needs a snapshot of the former one.
                return Ok(());
            }
            hurry = tree.frozen_bytes() > FROZEN_BYTES / 2;
            more = tree.read_frozen(SNAPSHOT_STEP_SLOTS, |node| {
                SnapshotWriter::<<crate::disk::Disk as Storage>::File>::encode_node(&node, &mut piece);
                piece.len() < PIECE_BYTES
            });
        }
        if piece.len() >= PIECE_BYTES || !more {
            writer.write(&piece)?;
            written += piece.len();
            piece.clear();
            if !hurry {
                writer.sync_piece()?;
                let due = Duration::from_secs_f64(written as f64 / BYTES_PER_SECOND);
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
    }
    // The view is read to its end: writers need not keep it whole while the file is made durable.
    if !thaw(shared, generation) {
        return Ok(());
    }
    let files = shared.files.lock();
    if *files != generation {
        return Ok(());
    }
    let name = writer.finish(&shared.disk)?;
    drop(files);
    let ms = start.elapsed().as_millis();
    tracing::info!(file = name, bytes = written, ms, "snapshot written");
    Ok(())
}

fn purge(shared: &Shared) {
    // Not while the files are replaced.
    let _files = shared.files.lock();
    let retain = shared.config.storage.snap_retain_count as usize;
    let pinned = shared.ranges.lock().lowest_pin();
    match journal::purge_behind(&shared.disk, retain, pinned) {
        Ok(report) => {
            shared.ranges.lock().forget(report.removed.iter().map(|(_, name)| name.as_str()));
            for (dir, name) in report.removed {
                let what = if dir == Dir::Log { "log" } else { "snapshot" };
                tracing::info!(what, file = name, "removed: no longer needed for recovery");
            }
        }
        Err(error) => tracing::warn!(%error, "old files cannot be removed; will be tried again"),
    }
}
