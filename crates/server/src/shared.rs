//! What the threads of one server share.

use crate::clock::Clock;
use crate::outbox::Mailbox;
use crate::quorum::QuorumInput;
use config::Config;
use journal::LogRanges;
use mio::Waker;
use node::{ConnId, ConnStats, DiskDone, Inflight, NodeStats, Settings, Submission, Tally, Watches};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tree::Tree;

/// What the node thread is told.
pub(crate) enum NodeInput {
    Submission(Submission),
    /// The log has everything up to this zxid durably.
    Durable(i64),
    SnapshotEnded,
    /// A task was done by the log's owner.
    DiskDone(DiskDone),
    /// From the ensemble.
    Quorum(QuorumInput),
    Stop,
    /// The log has failed: nothing more can be committed.
    Failed,
}

/// The node thread's inbox.
#[derive(Default)]
pub(crate) struct Inbox {
    inputs: Mutex<Vec<NodeInput>>,
    arrived: Condvar,
    /// A node thread that waits for sockets as well is woken through its poll.
    waker: OnceLock<Waker>,
}

impl Inbox {
    pub fn send(&self, input: NodeInput) {
        let mut inputs = self.inputs.lock();
        inputs.push(input);
        if inputs.len() > 1 {
            return;
        }
        match self.waker.get() {
            None => {
                self.arrived.notify_one();
            }
            Some(waker) => {
                drop(inputs);
                if let Err(error) = waker.wake() {
                    tracing::error!(%error, "the node thread cannot be woken");
                }
            }
        }
    }

    /// From now on the owner waits in a poll, and this wakes it.
    pub fn wake_through(&self, waker: Waker) {
        // Set once, before any thread runs.
        let _earlier = self.waker.set(waker);
    }

    /// Takes all there are, without waiting.
    pub fn take_all(&self, into: &mut Vec<NodeInput>) {
        into.clear();
        std::mem::swap(&mut *self.inputs.lock(), into);
    }

    /// Waits for inputs until the timeout; takes all there are.
    pub fn take(&self, timeout: Duration, into: &mut Vec<NodeInput>) {
        into.clear();
        let mut inputs = self.inputs.lock();
        if inputs.is_empty() {
            self.arrived.wait_for(&mut inputs, timeout);
        }
        std::mem::swap(&mut *inputs, into);
    }
}

/// A connection as status pages see it.
pub(crate) struct Listed {
    pub peer: SocketAddr,
    pub established_wall_ms: i64,
    pub stats: Arc<ConnStats>,
}

/// All open connections.
#[derive(Default)]
pub(crate) struct Connections {
    pub connections: BTreeMap<ConnId, Listed>,
    pub per_ip: BTreeMap<IpAddr, usize>,
}

/// Counters that I/O threads keep.
#[derive(Default)]
pub(crate) struct Counters {
    pub rejected: AtomicU64,
    pub fsyncs: AtomicU64,
    pub fsync_us_total: AtomicU64,
    pub fsync_us_max: AtomicU64,
    pub last_fsync_us: AtomicU64,
    pub snapshots: AtomicU64,
    /// Open connections.
    pub connections: AtomicUsize,
}

impl Counters {
    /// What `srst` zeroes.
    pub fn reset(&self) {
        for counter in [&self.rejected, &self.fsyncs, &self.fsync_us_total, &self.fsync_us_max] {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

pub(crate) struct Shared {
    pub config: Arc<Config>,
    pub settings: Arc<Settings>,
    pub clock: Clock,
    pub tree: RwLock<Tree>,
    pub watches: Watches,
    pub inflight: Inflight,
    pub inbox: Inbox,
    pub mailboxes: Arc<Vec<Mailbox>>,
    pub counters: Counters,
    /// What the connections of each I/O thread did since the start or `srst`.
    pub tallies: Vec<Mutex<Tally>>,
    pub trace_mask: AtomicI64,
    /// The server is ending: what takes long is given up.
    pub stopping: AtomicBool,
    /// Renewed by the node thread whenever it has done something.
    pub node_stats: Mutex<NodeStats>,
    pub listed: Mutex<Connections>,
    /// Whether clients are served: always, standalone.
    pub serving: AtomicBool,
    /// Counts how often the tree was replaced by another. Changed under the tree's exclusive lock.
    pub generation: AtomicU64,
    /// Likewise for the files: held while they are replaced, and while a snapshot gets its name.
    pub files: Mutex<u64>,
    pub seed: u64,
    /// What the log files hold, for learners.
    pub ranges: Mutex<LogRanges>,
    pub disk: crate::disk::Disk,
    pub address: SocketAddr,
}
