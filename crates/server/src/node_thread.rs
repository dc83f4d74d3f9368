//! The node thread: drives [`node::Node`], the only writer of the tree.

use crate::election_net::ElectionEvent;
use crate::event_first::{self, Publish};
use crate::log_thread::{self, LogHandle, LogInput};
use crate::outbox::Outboxes;
use crate::quorum::{QuorumInput, QuorumNet};
use crate::shared::{NodeInput, Shared};
use crate::snapshot_thread::SnapshotInput;
use crate::start::StopReason;
use mio::Events;
use node::limits::FROZEN_BYTES;
use node::{Node, Now, Standing};
use std::io::ErrorKind;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;
use std::time::Duration;

/// Records applied under one hold of the exclusive lock.
const COMMIT_SLICE: usize = 256;
/// The longest sleep: time must be looked at even when nothing happens.
const MAX_WAIT_MS: i64 = 1000;

/// When to take a snapshot and begin a new log: after a number of transactions or bytes that differs from server to
/// server and from time to time, so that the servers of an ensemble do not all pause at once (quorum-and-disk §3.6).
struct SnapshotPolicy {
    txn_limit: i64,
    byte_limit: Option<i64>,
    txns: i64,
    bytes: i64,
    txn_target: i64,
    byte_target: i64,
    random: u64,
}

impl SnapshotPolicy {
    fn new(txn_limit: i64, byte_limit: Option<i64>, seed: u64) -> Self {
        let mut policy = SnapshotPolicy {
            txn_limit,
            byte_limit,
            txns: 0,
            bytes: 0,
            txn_target: 0,
            byte_target: 0,
            random: seed | 1,
        };
        policy.restart();
        policy
    }

    fn restart(&mut self) {
        (self.txns, self.bytes) = (0, 0);
        self.txn_target = self.half_to_whole(self.txn_limit);
        self.byte_target = self.byte_limit.map_or(i64::MAX, |limit| self.half_to_whole(limit));
    }

    fn half_to_whole(&mut self, limit: i64) -> i64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        let half = (limit / 2).max(1);
        half + (self.random % half as u64) as i64
    }

    fn is_due(&self) -> bool {
        self.txns > self.txn_target || self.bytes > self.byte_target
    }
}

/// Says that there is no leader: after a while, and then less and less often.
struct NoLeader {
    since_ms: i64,
    next_ms: i64,
}

impl NoLeader {
    const FIRST_MS: i64 = 5000;
    const LONGEST_PAUSE_MS: i64 = 60_000;

    fn new(now_ms: i64) -> NoLeader {
        NoLeader { since_ms: now_ms, next_ms: now_ms + Self::FIRST_MS }
    }

    fn note(&mut self, is_serving: bool, now_ms: i64, voters: usize) {
        if is_serving {
            *self = NoLeader::new(now_ms);
        } else if now_ms >= self.next_ms {
            let waited_ms = now_ms - self.since_ms;
            self.next_ms = now_ms + waited_ms.min(Self::LONGEST_PAUSE_MS);
            let needed = voters / 2 + 1;
            tracing::warn!(
                "no leader for {} s, and clients are refused: {needed} of the {voters} voting servers must reach each \
                 other. Which of them this server cannot reach, or why it was not let in, stands in the lines above",
                waited_ms / 1000
            );
        }
    }
}

pub(crate) struct NodeThread {
    shared: Arc<Shared>,
    node: Node,
    out: Outboxes,
    log: LogHandle,
    snapshots: Sender<SnapshotInput>,
    stop: Sender<StopReason>,
    policy: SnapshotPolicy,
    /// `None` for a standalone server.
    quorum: Option<QuorumNet>,
    events: Events,
    no_leader: NoLeader,
    stopping: bool,
    failed: bool,
}

impl NodeThread {
    pub fn new(
        shared: Arc<Shared>,
        node: Node,
        log: LogHandle,
        snapshots: Sender<SnapshotInput>,
        stop: Sender<StopReason>,
        replayed: u64,
    ) -> Self {
        let storage = &shared.config.storage;
        let mut policy = SnapshotPolicy::new(
            i64::from(storage.snap_count),
            storage.snap_size_limit_bytes.map(|b| b as i64),
            shared.seed,
        );
        // What a start had to replay counts: a server that is restarted often must take snapshots too.
        policy.txns = replayed as i64;
        let out = Outboxes::new(shared.mailboxes.clone());
        NodeThread {
            shared,
            node,
            out,
            log,
            snapshots,
            stop,
            policy,
            quorum: None,
            events: Events::with_capacity(64),
            no_leader: NoLeader::new(0),
            stopping: false,
            failed: false,
        }
    }

    pub fn with_quorum(mut self, quorum: QuorumNet) -> Self {
        self.quorum = Some(quorum);
        self
    }

    /// Runs until told to stop; then finishes what is on its way.
    pub fn run(mut self) {
        let mut inputs = Vec::new();
        // A member of an ensemble begins by looking for a leader.
        self.settle(self.shared.clock.now());
        while !self.has_ended() {
            self.wait(&mut inputs);
            let now = self.shared.clock.now();
            self.take_inputs(now, &mut inputs);
            self.carry_out(now);
            self.hand_to_log();
            self.send();
            self.commit(now);
            self.settle(now);
            self.hand_to_log();
            self.send();
            self.snapshot_if_due();
            self.out.wake();
        }
        if let Some(quorum) = &mut self.quorum {
            quorum.stop();
        }
        // Those threads may have ended by themselves; then there is nobody to tell.
        self.log.send(LogInput::Stop);
        let _snapshots_gone = self.snapshots.send(SnapshotInput::Stop);
    }

    fn has_ended(&self) -> bool {
        self.failed || (self.stopping && self.node.is_idle())
    }

    /// Sleeps until something comes or is due.
    fn wait(&mut self, inputs: &mut Vec<NodeInput>) {
        let mut wait_ms = (self.node.next_tick_ms() - self.shared.clock.mono_ms()).clamp(0, MAX_WAIT_MS);
        let Some(quorum) = &mut self.quorum else {
            return self.shared.inbox.take(Duration::from_millis(wait_ms as u64), inputs);
        };
        if quorum.has_readable(&self.node) {
            wait_ms = 0;
        }
        match quorum.poll().poll(&mut self.events, Some(Duration::from_millis(wait_ms as u64))) {
            Ok(()) => {}
            Err(e) if e.kind() == ErrorKind::Interrupted => self.events.clear(),
            Err(error) => {
                self.failed = true;
                // Nobody listens only when the server is ending anyway.
                let _ended = self.stop.send(StopReason::IoFailed(error.to_string()));
            }
        }
        self.shared.inbox.take_all(inputs);
    }

    fn take_inputs(&mut self, now: Now, inputs: &mut Vec<NodeInput>) {
        let shared = self.shared.clone();
        let tree = shared.tree.read();
        for input in inputs.drain(..) {
            match input {
                NodeInput::Submission(submission) => self.node.submit(&tree, now, &submission, &mut self.out),
                NodeInput::Durable(zxid) => self.node.durable(zxid),
                NodeInput::DiskDone(done) => self.node.disk_done(done, &tree, now, &mut self.out),
                NodeInput::Quorum(QuorumInput::Election(ElectionEvent::Failed(error))) => {
                    self.failed = true;
                    let _ended = self.stop.send(StopReason::ElectionPortFailed(error));
                }
                NodeInput::Quorum(input) => {
                    if let Some(quorum) = &mut self.quorum {
                        quorum.on_input(input, &mut self.node, &tree, now, &mut self.out);
                    }
                }
                NodeInput::SnapshotEnded => {}
                NodeInput::Stop => {
                    self.stopping = true;
                    self.node.stop(&mut self.out);
                }
                NodeInput::Failed => self.failed = true,
            }
        }
        if let Some(quorum) = &mut self.quorum {
            for event in &self.events {
                quorum.on_ready(event, &mut self.node, &tree, now, &mut self.out);
            }
            quorum.read_on(&mut self.node, &tree, now, &mut self.out);
        }
        if now.mono_ms >= self.node.next_tick_ms() {
            self.node.tick(&tree, now, &mut self.out);
        }
        self.out.publish();
    }

    /// Does what the node asked for.
    fn carry_out(&mut self, now: Now) {
        let Some(quorum) = &mut self.quorum else { return };
        let shared = self.shared.clone();
        let tree = shared.tree.read();
        let adopted = quorum.carry_out(&mut self.node, &tree, now, &mut self.out);
        self.out.publish();
        drop(tree);
        if let Some(adopted) = adopted {
            let mut tree = shared.tree.write();
            shared.generation.fetch_add(1, Ordering::Relaxed);
            *tree = *adopted;
        }
        shared.serving.store(self.node.is_serving(), Ordering::Relaxed);
    }

    /// Everything was applied that could be.
    fn settle(&mut self, now: Now) {
        if self.quorum.is_none() {
            return;
        }
        self.node.settled(&self.shared.tree.read(), now);
        self.carry_out(now);
        let stats = self.node.stats(&self.shared.tree.read());
        *self.shared.node_stats.lock() = stats;
        let ensemble = &self.shared.config.ensemble;
        // A leader that takes no clients is one all the same.
        let keeps_out = stats.standing == Some(Standing::Leading) && !ensemble.leader_serves;
        let has_leader = stats.standing != Some(Standing::Looking) && (stats.is_serving || keeps_out);
        self.no_leader.note(has_leader, now.mono_ms, ensemble.membership.participants().count());
    }

    fn send(&mut self) {
        if let Some(quorum) = &mut self.quorum {
            quorum.send(&mut self.node);
        }
    }

    fn hand_to_log(&mut self) {
        while let Some(batch) = self.node.take_batch() {
            self.policy.txns += batch.len() as i64;
            self.policy.bytes += batch.bytes.len() as i64;
            let last_sync_us = self.shared.counters.last_fsync_us.load(Ordering::Relaxed);
            if !self.log.is_idle_for(&batch, last_sync_us) || self.node.has_batch() {
                self.log.send(LogInput::Append(batch));
                continue;
            }
            // The followers write at the same time.
            self.send();
            match self.log.write(&batch) {
                Ok(()) => self.node.durable(batch.last_zxid()),
                Err(error) => {
                    self.failed = true;
                    return log_thread::fail(&self.shared, &self.stop, &error);
                }
            }
        }
        while let Some(task) = self.node.take_task() {
            self.log.send(LogInput::Task(task));
        }
    }

    fn commit(&mut self, now: Now) {
        let shared = self.shared.clone();
        let mut worked = false;
        while self.node.has_commits() {
            let held_back = event_first::change(&shared.tree, &mut self.out, |tree, out| {
                self.node.commit(tree, &shared.watches, now, COMMIT_SLICE, out);
                tree.frozen_bytes()
            });
            worked = true;
            if held_back > FROZEN_BYTES {
                // The view must stay exact: writers wait for the snapshot, which hurries when it sees this.
                self.out.wake();
                while shared.tree.read().is_frozen() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        if worked && self.quorum.is_none() {
            let stats = self.node.stats(&shared.tree.read());
            *shared.node_stats.lock() = stats;
        }
    }

    /// Freezes the tree and begins a new log. One snapshot at a time: when one is still being written, the next
    /// begins as soon as it has ended.
    fn snapshot_if_due(&mut self) {
        if !self.policy.is_due() {
            return;
        }
        let mut tree = self.shared.tree.write();
        if tree.is_frozen() {
            return;
        }
        let header = tree.freeze();
        let generation = self.shared.generation.load(Ordering::Relaxed);
        drop(tree);
        self.policy.restart();
        self.log.send(LogInput::Roll);
        let _snapshots_gone = self.snapshots.send(SnapshotInput::Write(header, generation));
    }
}
