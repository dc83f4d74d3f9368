//! The log thread: batches in, "durable up to here" out. It writes what has piled up with one sync.
//!
//! A single small batch that comes while nothing else is on its way is written by the node thread itself: handing it over
//! and back would take as long as the disk.

use crate::log::Log;
use crate::shared::{NodeInput, Shared};
use crate::start::StopReason;
use node::{Batch, DiskTask};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};

pub(crate) enum LogInput {
    Append(Arc<Batch>),
    /// Behind everything before, which is durable then.
    Task(DiskTask),
    /// Begin a new file with the next record.
    Roll,
    Stop,
}

/// Records of a batch that the node thread writes itself.
const FEW_RECORDS: usize = 1;
/// And only while the disk is fast: the node thread has pings to send.
const FAST_US: u64 = 2000;

/// The node thread's way to the log.
pub(crate) struct LogHandle {
    log: Arc<Mutex<Log>>,
    inputs: Sender<LogInput>,
    /// Handed over and not yet done.
    queued: Arc<AtomicUsize>,
}

impl LogHandle {
    pub fn new(log: Arc<Mutex<Log>>, inputs: Sender<LogInput>, queued: Arc<AtomicUsize>) -> LogHandle {
        LogHandle { log, inputs, queued }
    }

    pub fn send(&self, input: LogInput) {
        self.queued.fetch_add(1, Ordering::AcqRel);
        // A log thread that has ended has said why; the server is ending.
        let _log_gone = self.inputs.send(input);
    }

    /// Whether a batch is better written here and now.
    pub fn is_idle_for(&self, batch: &Batch, last_sync_us: u64) -> bool {
        batch.len() <= FEW_RECORDS && last_sync_us < FAST_US && self.queued.load(Ordering::Acquire) == 0
    }

    /// Returns when the batch is durable.
    pub fn write(&self, batch: &Batch) -> io::Result<()> {
        let mut log = self.log.lock();
        log.append(batch)?;
        log.sync()
    }
}

/// Runs until told to stop or until the disk fails: then nothing more is acknowledged, and the server ends.
pub(crate) fn run(
    log: &Mutex<Log>,
    inputs: &Receiver<LogInput>,
    queued: &AtomicUsize,
    shared: &Shared,
    failed: &Sender<StopReason>,
) {
    while let Ok(first) = inputs.recv() {
        let more: Vec<LogInput> = std::iter::from_fn(|| inputs.try_recv().ok()).collect();
        let taken = 1 + more.len();
        let mut log = log.lock();
        match write(&mut log, first, more, shared) {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => return fail(shared, failed, &error),
        }
        queued.fetch_sub(taken, Ordering::AcqRel);
    }
}

/// Whether to go on.
fn write(log: &mut Log, first: LogInput, more: Vec<LogInput>, shared: &Shared) -> io::Result<bool> {
    let mut durable = None;
    for input in std::iter::once(first).chain(more) {
        match input {
            LogInput::Append(batch) => {
                log.append(&batch)?;
                durable = Some(batch.last_zxid());
            }
            LogInput::Roll => log.roll()?,
            LogInput::Task(task) => {
                let done = log.carry_out(task)?;
                if let Some(zxid) = durable.take() {
                    shared.inbox.send(NodeInput::Durable(zxid));
                }
                shared.inbox.send(NodeInput::DiskDone(done));
            }
            LogInput::Stop => {
                log.sync()?;
                return Ok(false);
            }
        }
    }
    log.sync()?;
    if let Some(zxid) = durable {
        shared.inbox.send(NodeInput::Durable(zxid));
    }
    Ok(true)
}

/// What cannot be written is not acknowledged: the server ends.
pub(crate) fn fail(shared: &Shared, failed: &Sender<StopReason>, error: &io::Error) {
    shared.inbox.send(NodeInput::Failed);
    let reason = StopReason::LogFailed(error.to_string());
    if failed.send(reason).is_err() {
        tracing::error!(%error, "the transaction log failed while the server was ending");
    }
}
