//! The transaction log as the server writes it: records, syncs that are timed, and what else changes the files.

use crate::disk::Disk;
use crate::shared::Shared;
use journal::{LogOptions, LogRanges, LogWriter, TruncateError};
use node::{Batch, DiskDone, DiskTask};
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tree::Tree;

/// After an error it must not be used again: what reached the disk is then unknown until recovery.
pub(crate) struct Log {
    writer: LogWriter<Disk>,
    shared: Arc<Shared>,
    /// Of a member of an ensemble: the epoch that its files admit to.
    epoch: Option<i64>,
    warn_after: Duration,
    roll_bytes: Option<u64>,
}

impl Log {
    /// `current_epoch` is `None` for a standalone server.
    pub fn new(shared: Arc<Shared>, current_epoch: Option<i64>) -> Log {
        let storage = &shared.config.storage;
        let options = LogOptions {
            prealloc_bytes: storage.pre_alloc_bytes,
            sync: storage.force_sync,
            max_record: shared.settings.max_record,
        };
        Log {
            writer: LogWriter::new(shared.disk.clone(), options),
            epoch: current_epoch,
            warn_after: Duration::from_millis(storage.fsync_warning_threshold_ms),
            roll_bytes: storage.txn_log_size_limit_bytes,
            shared,
        }
    }

    /// Not durable before [`Log::sync`].
    pub fn append(&mut self, batch: &Batch) -> io::Result<()> {
        self.announce(batch.last_zxid())?;
        self.writer.append(batch.first_zxid(), &batch.bytes)
    }

    /// Returns when everything appended is durable.
    pub fn sync(&mut self) -> io::Result<()> {
        let start = Instant::now();
        self.writer.sync()?;
        let took = start.elapsed();
        let us = took.as_micros() as u64;
        let counters = &self.shared.counters;
        counters.fsyncs.fetch_add(1, Ordering::Relaxed);
        counters.fsync_us_total.fetch_add(us, Ordering::Relaxed);
        counters.last_fsync_us.store(us, Ordering::Relaxed);
        counters.fsync_us_max.fetch_max(us, Ordering::Relaxed);
        if took > self.warn_after {
            let ms = took.as_millis();
            tracing::warn!(
                ms,
                "syncing the transaction log took long; the disk is slow or shared with something busy"
            );
        }
        self.tell_ranges();
        if self.roll_bytes.is_some_and(|limit| self.writer.file_bytes() > limit) {
            self.writer.roll()?;
        }
        Ok(())
    }

    /// Begins a new file with the next record.
    pub fn roll(&mut self) -> io::Result<()> {
        self.tell_ranges();
        self.writer.roll()
    }

    fn tell_ranges(&self) {
        if let Some((first_zxid, bytes)) = self.writer.file() {
            self.shared.ranges.lock().written(first_zxid, bytes);
        }
    }

    /// History of an epoch that is not this server's current one yet is about to reach the disk: a crash in between must
    /// not look like damage.
    fn announce(&mut self, zxid: i64) -> io::Result<()> {
        let coming = zab::epoch_of(zxid);
        if self.epoch.is_some_and(|current| coming > current) {
            journal::announce_epoch(&self.shared.disk)?;
            self.epoch = Some(coming);
        }
        Ok(())
    }

    /// Does what belongs to no record, behind everything that was appended. It is durable when this returns.
    pub fn carry_out(&mut self, task: DiskTask) -> io::Result<DiskDone> {
        self.writer.sync()?;
        match task {
            DiskTask::SaveAcceptedEpoch(epoch) => {
                journal::save_accepted_epoch(&self.shared.disk, epoch)?;
                Ok(DiskDone::AcceptedEpoch(epoch))
            }
            DiskTask::SaveCurrentEpoch(epoch) => {
                journal::save_current_epoch(&self.shared.disk, epoch)?;
                self.epoch = Some(epoch);
                Ok(DiskDone::CurrentEpoch(epoch))
            }
            DiskTask::Truncate { keep } => self.truncate(keep),
            DiskTask::Install(tree) => self.install(tree),
        }
    }

    fn truncate(&mut self, keep: i64) -> io::Result<DiskDone> {
        self.writer.roll()?;
        let shared = &self.shared;
        let mut files = shared.files.lock();
        *files += 1;
        let options = crate::recovery::recover_options(&shared.config, &shared.settings, shared.seed);
        match journal::truncate(&shared.disk, &options, keep) {
            Ok(()) => {}
            Err(TruncateError::Io(error)) => return Err(error),
            // Nothing was changed.
            Err(error) => return Ok(DiskDone::Refused(error.to_string())),
        }
        let recovered = journal::recover(&shared.disk, &options).map_err(io::Error::other)?;
        let found = recovered.tree.last_zxid();
        tracing::info!(zxid = format!("{found:#x}"), "the log was cut, and the database read again");
        *shared.ranges.lock() = recovered.ranges;
        Ok(DiskDone::Truncated(Box::new(recovered.tree)))
    }

    fn install(&mut self, mut tree: Box<Tree>) -> io::Result<DiskDone> {
        self.announce(tree.last_zxid())?;
        self.writer.roll()?;
        let shared = &self.shared;
        let mut files = shared.files.lock();
        *files += 1;
        let options = crate::recovery::snapshot_options(&shared.config);
        let file = match journal::install(&shared.disk, &mut tree, options) {
            Ok(file) => file,
            // The tree is not what it says it is: nothing was changed.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                return Ok(DiskDone::Refused(error.to_string()));
            }
            Err(error) => return Err(error),
        };
        tracing::info!(file, "the leader's tree is this server's database now");
        *shared.ranges.lock() = LogRanges::new(tree.last_zxid());
        Ok(DiskDone::Installed(tree))
    }
}
