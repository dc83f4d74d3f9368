//! What the threads of one server share.

use crate::clock::Clock;
use crate::outbox::Mailbox;
use config::Config;
use node::{ConnId, ConnStats, Inflight, NodeStats, Settings, Submission, Tally, Watches};
use parking_lot::{Condvar, Mutex, RwLock};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tree::Tree;

/// What the node thread is told.
#[derive(Debug)]
pub(crate) enum NodeInput {
    Submission(Submission),
    /// The log has everything up to this zxid durably.
    Durable(i64),
    SnapshotEnded,
    Stop,
    /// The log has failed: nothing more can be committed.
    Failed,
}

/// The node thread's inbox.
#[derive(Default)]
pub(crate) struct Inbox {
    inputs: Mutex<Vec<NodeInput>>,
    arrived: Condvar,
}

impl Inbox {
    pub fn send(&self, input: NodeInput) {
        let mut inputs = self.inputs.lock();
        inputs.push(input);
        if inputs.len() == 1 {
            self.arrived.notify_one();
        }
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
    pub disk: crate::disk::Disk,
    pub address: SocketAddr,
}
