//! The log thread and the snapshot thread, as events: what was appended is synced a while later, tasks are done in
//! order behind it, and whatever happens between is the disk's risk.

use super::running::{Input, Local, Running};
use super::{Snapshot, snapshot_options};
use crate::run::recover_options;
use crate::world::stage::Stage;
use journal::{Compression, LogRanges, SnapshotWriter};
use node::{Batch, DiskDone, DiskTask};
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;

pub(super) enum LogInput {
    Append(Arc<Batch>),
    /// Behind everything before, which is durable then.
    Task(DiskTask),
    Roll,
}

pub(super) struct SnapshotJob {
    writer: Snapshot,
    generation: u64,
}

impl Running {
    pub fn wake_log(&mut self, stage: &mut Stage) {
        if !self.log_busy && !self.log_queue.is_empty() {
            self.log_busy = true;
            let us = 5 + stage.rng.below(100);
            self.later(us, Local::LogTurn, stage);
        }
    }

    /// Appends what has piled up, up to a task.
    pub fn log_turn(&mut self, stage: &mut Stage) -> io::Result<()> {
        while let Some(input) = self.log_queue.pop_front() {
            match input {
                LogInput::Append(batch) => {
                    self.announce(batch.last_zxid())?;
                    self.log.append(batch.first_zxid(), &batch.bytes)?;
                    self.syncing = Some(batch.last_zxid());
                }
                LogInput::Roll => {
                    self.log.sync()?;
                    self.note_written();
                    self.log.roll()?;
                    stage.mark("log: rolled");
                }
                task @ LogInput::Task(_) => {
                    self.log_queue.push_front(task);
                    break;
                }
            }
        }
        let us = sync_us(stage);
        self.later(us, Local::Synced, stage);
        Ok(())
    }

    fn note_written(&mut self) {
        if let Some((first_zxid, bytes)) = self.log.file() {
            self.ranges.written(first_zxid, bytes);
        }
    }

    /// The log has synced what it had.
    pub fn synced(&mut self, stage: &mut Stage) -> io::Result<()> {
        self.log.sync()?;
        self.note_written();
        if let Some(zxid) = self.syncing.take() {
            stage.replica(self.index).synced(zxid);
            self.post(Input::Durable(zxid), stage);
        }
        if let Some(LogInput::Task(_)) = self.log_queue.front() {
            let us = sync_us(stage);
            self.later(us, Local::Task, stage);
        } else {
            self.log_busy = false;
            self.wake_log(stage);
        }
        Ok(())
    }

    pub fn task(&mut self, stage: &mut Stage) -> io::Result<()> {
        let Some(LogInput::Task(task)) = self.log_queue.pop_front() else { return Ok(()) };
        let done = self.carry_out_task(task, stage)?;
        self.post(Input::DiskDone(done), stage);
        self.log_busy = false;
        self.wake_log(stage);
        Ok(())
    }

    /// History of an epoch that is not this server's current one yet is about to reach the disk.
    fn announce(&mut self, zxid: i64) -> io::Result<()> {
        let coming = zab::epoch_of(zxid);
        if self.in_ensemble && coming > self.epoch {
            journal::announce_epoch(&self.disk)?;
            self.epoch = coming;
        }
        Ok(())
    }

    fn carry_out_task(&mut self, task: DiskTask, stage: &mut Stage) -> io::Result<DiskDone> {
        match task {
            DiskTask::SaveAcceptedEpoch(epoch) => {
                journal::save_accepted_epoch(&self.disk, epoch)?;
                stage.replica(self.index).accepted_epoch = epoch;
                Ok(DiskDone::AcceptedEpoch(epoch))
            }
            DiskTask::SaveCurrentEpoch(epoch) => {
                journal::save_current_epoch(&self.disk, epoch)?;
                stage.replica(self.index).current_epoch = epoch;
                self.epoch = epoch;
                Ok(DiskDone::CurrentEpoch(epoch))
            }
            DiskTask::Truncate { keep } => {
                self.log.roll()?;
                self.files += 1;
                stage.replica(self.index).cutting(keep);
                let options = recover_options();
                match journal::truncate(&self.disk, &options, keep) {
                    Ok(()) => {}
                    Err(journal::TruncateError::Io(error)) => return Err(error),
                    Err(error) => return Ok(DiskDone::Refused(error.to_string())),
                }
                let recovered = journal::recover(&self.disk, &options).map_err(io::Error::other)?;
                stage.replica(self.index).cut(recovered.tree.last_zxid());
                self.ranges = recovered.ranges;
                Ok(DiskDone::Truncated(Box::new(recovered.tree)))
            }
            DiskTask::Install(mut tree) => {
                self.log.roll()?;
                self.files += 1;
                let zxid = tree.last_zxid();
                self.announce(zxid)?;
                let holds = self.held_by_leader(zxid, stage);
                stage.replica(self.index).installing(zxid, holds);
                journal::install(&self.disk, &mut tree, snapshot_options(Compression::None))?;
                stage.replica(self.index).installed();
                self.ranges = LogRanges::new(zxid);
                Ok(DiskDone::Installed(tree))
            }
        }
    }

    /// The transactions in the leader's tree at `zxid`, of those that may not be committed yet.
    fn held_by_leader(&self, zxid: i64, stage: &mut Stage) -> BTreeSet<i64> {
        let Some(leader) = self.leader else { return BTreeSet::new() };
        let last = stage.truth.history.last_committed();
        let mut held: BTreeSet<i64> = stage.replica(super::host(leader)).between(last, zxid).collect();
        // What it has lost in a crash meanwhile.
        let mut at = zxid;
        while at > last && !held.contains(&at) && stage.truth.history.is_proposed(at) {
            held.insert(at);
            at -= 1;
        }
        held
    }

    /// Freezes the tree and begins a new log. One at a time.
    pub fn snapshot_if_due(&mut self, stage: &mut Stage) -> io::Result<()> {
        if self.txns < self.txn_target || self.snapshot.is_some() || self.tree.is_frozen() {
            return Ok(());
        }
        self.txns = 0;
        let half = self.plan.snapshot_txns / 2;
        self.txn_target = half + stage.rng.below(half.max(1));
        let header = self.tree.freeze();
        let kinds = [Compression::None, Compression::Gzip, Compression::Snappy];
        let options = snapshot_options(*stage.rng.pick(&kinds));
        let writer = SnapshotWriter::begin(&self.disk, &header, options)?;
        self.snapshot = Some(SnapshotJob { writer, generation: self.generation });
        self.log_queue.push_back(LogInput::Roll);
        self.wake_log(stage);
        self.later(1000, Local::SnapshotStep, stage);
        Ok(())
    }

    pub fn snapshot_step(&mut self, stage: &mut Stage) -> io::Result<()> {
        let Some(mut job) = self.snapshot.take() else { return Ok(()) };
        if self.generation != job.generation {
            // The tree was replaced by a leader's: nobody needs a snapshot of the former one.
            return Ok(());
        }
        let mut bytes = Vec::new();
        let slots = 1 + stage.rng.below(40) as u32;
        let more = self.tree.read_frozen(slots, |node| {
            Snapshot::encode_node(&node, &mut bytes);
            true
        });
        job.writer.write(&bytes)?;
        if more {
            self.snapshot = Some(job);
            let us = 200 + stage.rng.below(20_000);
            self.later(us, Local::SnapshotStep, stage);
            return Ok(());
        }
        self.tree.thaw();
        if self.files != job.generation {
            return Ok(());
        }
        job.writer.finish(&self.disk)?;
        stage.mark("snapshot: written");
        if stage.rng.chance(30) {
            let report = journal::purge_behind(&self.disk, 3, self.ranges.lowest_pin())?;
            self.ranges.forget(report.removed.iter().map(|(_, name)| name.as_str()));
            if !report.removed.is_empty() {
                stage.mark("snapshot: purged");
            }
        }
        Ok(())
    }
}

/// How long a sync takes.
fn sync_us(stage: &mut Stage) -> u64 {
    match stage.rng.below(6000) {
        0 if !stage.calm => {
            stage.fault("disk: slow sync");
            1_000_000 + stage.rng.below(6_000_000)
        }
        1..=10 => 300_000,
        _ => 50 + stage.rng.below(4000),
    }
}
