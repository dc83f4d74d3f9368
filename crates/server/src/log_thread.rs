//! The log thread: batches in, "durable up to here" out. It writes what has piled up with one sync.

use crate::disk::Disk;
use crate::shared::{Counters, NodeInput, Shared};
use crate::start::StopReason;
use journal::{LogRanges, LogWriter};
use node::{Batch, DiskDone, DiskTask};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

pub(crate) enum LogInput {
    Append(Arc<Batch>),
    /// Behind everything before, which is durable then.
    Task(DiskTask),
    /// Begin a new file with the next record.
    Roll,
    Stop,
}

/// Runs until told to stop or until the disk fails: then nothing more is acknowledged, and the server ends.
pub(crate) fn run(
    mut log: LogWriter<Disk>,
    inputs: Receiver<LogInput>,
    shared: Arc<Shared>,
    current_epoch: i64,
    failed: Sender<StopReason>,
) {
    let storage = &shared.config.storage;
    let warn_after = Duration::from_millis(storage.fsync_warning_threshold_ms);
    let roll_bytes = storage.txn_log_size_limit_bytes;
    let mut epoch = shared.config.ensemble.is_distributed().then_some(current_epoch);
    while let Ok(first) = inputs.recv() {
        let more = std::iter::from_fn(|| inputs.try_recv().ok());
        let mut durable = None;
        for input in std::iter::once(first).chain(more) {
            let done = match input {
                LogInput::Append(batch) => {
                    durable = Some(batch.last_zxid());
                    announce(&shared, &mut epoch, batch.last_zxid())
                        .and_then(|()| log.append(batch.first_zxid(), &batch.bytes))
                }
                LogInput::Roll => log.sync().and_then(|()| log.roll()),
                LogInput::Task(task) => log.sync().and_then(|()| {
                    if let Some(zxid) = durable.take() {
                        shared.inbox.send(NodeInput::Durable(zxid));
                    }
                    if let DiskTask::Install(tree) = &task {
                        announce(&shared, &mut epoch, tree.last_zxid())?;
                    }
                    let done = carry_out(task, &mut log, &shared)?;
                    if let DiskDone::CurrentEpoch(saved) = &done {
                        epoch = Some(*saved);
                    }
                    shared.inbox.send(NodeInput::DiskDone(done));
                    Ok(())
                }),
                LogInput::Stop => {
                    if let Err(error) = log.sync() {
                        tracing::error!(%error, "the log cannot be synced at the end");
                    }
                    return;
                }
            };
            if let Err(error) = done {
                return fail(&shared, &failed, error);
            }
        }
        if let Err(error) = sync(&mut log, warn_after, &shared.counters) {
            return fail(&shared, &failed, error);
        }
        if let Some((first_zxid, bytes)) = log.file() {
            shared.ranges.lock().written(first_zxid, bytes);
        }
        if let Some(zxid) = durable {
            shared.inbox.send(NodeInput::Durable(zxid));
        }
        if roll_bytes.is_some_and(|limit| log.file_bytes() > limit)
            && let Err(error) = log.roll()
        {
            return fail(&shared, &failed, error);
        }
    }
}

/// History of an epoch that is not this server's current one yet is about to reach the disk: a crash in between must
/// not look like damage.
fn announce(shared: &Shared, current: &mut Option<i64>, zxid: i64) -> io::Result<()> {
    let coming = zab::epoch_of(zxid);
    if current.is_some_and(|current| coming > current) {
        journal::announce_epoch(&shared.disk)?;
        *current = Some(coming);
    }
    Ok(())
}

/// Does what belongs to no log record: everything is durable when this returns.
fn carry_out(task: DiskTask, log: &mut LogWriter<Disk>, shared: &Shared) -> io::Result<DiskDone> {
    match task {
        DiskTask::SaveAcceptedEpoch(epoch) => {
            journal::save_accepted_epoch(&shared.disk, epoch)?;
            Ok(DiskDone::AcceptedEpoch(epoch))
        }
        DiskTask::SaveCurrentEpoch(epoch) => {
            journal::save_current_epoch(&shared.disk, epoch)?;
            Ok(DiskDone::CurrentEpoch(epoch))
        }
        DiskTask::Truncate { keep } => {
            log.roll()?;
            let mut files = shared.files.lock();
            *files += 1;
            let options = crate::recovery::recover_options(&shared.config, &shared.settings, shared.seed);
            journal::truncate(&shared.disk, &options, keep).map_err(io::Error::other)?;
            let recovered = journal::recover(&shared.disk, &options).map_err(io::Error::other)?;
            let found = recovered.tree.last_zxid();
            tracing::info!(zxid = format!("{found:#x}"), "the log was cut, and the database read again");
            *shared.ranges.lock() = recovered.ranges;
            Ok(DiskDone::Truncated(Box::new(recovered.tree)))
        }
        DiskTask::Install(mut tree) => {
            log.roll()?;
            let mut files = shared.files.lock();
            *files += 1;
            let options = crate::recovery::snapshot_options(&shared.config);
            let file = journal::install(&shared.disk, &mut tree, options)?;
            tracing::info!(file, "the leader's tree is this server's database now");
            *shared.ranges.lock() = LogRanges::new(tree.last_zxid());
            Ok(DiskDone::Installed(tree))
        }
    }
}

fn sync(log: &mut LogWriter<Disk>, warn_after: Duration, counters: &Counters) -> io::Result<()> {
    let start = Instant::now();
    log.sync()?;
    let took = start.elapsed();
    let us = took.as_micros() as u64;
    counters.fsyncs.fetch_add(1, Ordering::Relaxed);
    counters.fsync_us_total.fetch_add(us, Ordering::Relaxed);
    counters.fsync_us_max.fetch_max(us, Ordering::Relaxed);
    if took > warn_after {
        let ms = took.as_millis();
        tracing::warn!(
            ms,
            "syncing the transaction log took long; the disk is slow or shared with something busy"
        );
    }
    Ok(())
}

fn fail(shared: &Shared, failed: &Sender<StopReason>, error: io::Error) {
    shared.inbox.send(NodeInput::Failed);
    let reason = StopReason::LogFailed(error.to_string());
    if failed.send(reason).is_err() {
        tracing::error!(%error, "the transaction log failed while the server was ending");
    }
}
