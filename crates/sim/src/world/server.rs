//! The simulated server: the real node, tree, connections and journal, with threads replaced by events.
//!
//! It does what crate `server` does with threads: connections hand writes to the node, the node hands batches to the
//! log, the log syncs and says so, the node commits. Between any two of these steps anything else may happen.

use super::outbox::{Delivery, Outbox};
use super::stage::{Event, Stage};
use crate::SimDisk;
use crate::check::{acknowledged, sessions, state};
use crate::disk::{Fault, Image};
use crate::run::recover_options;
use journal::{Compression, LogOptions, LogWriter, SnapshotOptions, SnapshotWriter, Storage, purge, recover};
use node::{Batch, Conn, ConnContext, ConnId, Inflight, Node, Progress, Settings, Submission, Watches};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tree::Tree;
use wire::OpCode;

type Snapshot = SnapshotWriter<<SimDisk as Storage>::File>;

/// Transactions after which a snapshot is taken.
const SNAPSHOT_TXNS: u64 = 150;
/// All state is compared with the model after so many commits.
const COMPARE_COMMITS: u64 = 64;

enum LogInput {
    Append(Arc<Batch>),
    Roll,
}

/// What lives in the process.
struct Running {
    node: Node,
    tree: Tree,
    watches: Watches,
    inflight: Inflight,
    conns: BTreeMap<ConnId, Conn>,
    submission: Submission,
    outbox: Outbox,
    log: LogWriter<SimDisk>,
    log_queue: VecDeque<LogInput>,
    /// The last zxid of what is being synced.
    syncing: Option<i64>,
    durable: i64,
    snapshot: Option<Snapshot>,
    txns: u64,
    commits: u64,
    next_tick_us: u64,
    /// When the last submission reaches the node.
    submit_us: u64,
    /// When each closeSession that the server decided on was proposed, in ms.
    ended_ms: BTreeMap<i64, i64>,
}

pub(super) struct Server {
    settings: Arc<Settings>,
    disk: SimDisk,
    /// A fault is set on the disk.
    armed: bool,
    life: u64,
    running: Option<Running>,
}

impl Server {
    pub fn new() -> Server {
        let owners = recover_options().rules.owners;
        let settings = Settings { owners, container_check_interval_ms: 5000, ..Settings::default() };
        Server {
            settings: Arc::new(settings),
            disk: SimDisk::new(false),
            armed: false,
            life: 0,
            running: None,
        }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub fn tree(&self) -> Option<&Tree> {
        self.running.as_ref().map(|r| &r.tree)
    }

    pub fn handle(&mut self, event: Event, stage: &mut Stage) {
        let life = self.life;
        let stale = |l: u64| l != life;
        match event {
            Event::Restart => return self.restart(stage),
            Event::Crash { power } => return self.crash(power, stage),
            Event::ArmDisk => return self.arm_disk(stage),
            _ => {}
        }
        let Some(running) = &mut self.running else {
            if let Event::Accept(conn) = event {
                stage.send_to_client(conn, Event::Closed(conn));
            }
            return;
        };
        let result = match event {
            Event::Accept(conn) => running.accept(conn),
            Event::ToServer(conn, bytes) => {
                running.bytes(conn, &bytes, &self.settings, stage);
                Ok(())
            }
            Event::HangUp(conn) => {
                running.gone(conn, stage);
                Ok(())
            }
            Event::Submit { life, .. }
            | Event::Mail { life }
            | Event::Tick { life }
            | Event::Synced { life }
            | Event::SnapshotStep { life }
                if stale(life) =>
            {
                Ok(())
            }
            Event::Submit { submission, .. } => {
                running.node.submit(&running.tree, stage.now(), &submission, &mut running.outbox);
                Ok(())
            }
            Event::Mail { .. } => {
                running.mail(&self.settings, stage);
                Ok(())
            }
            Event::Tick { .. } => {
                running.tick(stage);
                Ok(())
            }
            Event::Synced { .. } => running.synced(),
            Event::SnapshotStep { .. } => running.snapshot_step(life, &self.disk, stage),
            Event::Restart | Event::Crash { .. } | Event::ArmDisk => Ok(()),
            Event::ToClient { .. } | Event::Closed(_) | Event::Act { .. } => Ok(()),
        };
        if let Err(error) = result.and_then(|()| running.advance(life, stage)) {
            self.disk_failed(&error, stage);
        }
    }

    fn arm_disk(&mut self, stage: &mut Stage) {
        if stage.calm {
            return;
        }
        let faults = [Fault::Eio, Fault::Full, Fault::ShortWrite, Fault::SyncDropsPages, Fault::Stall(5)];
        let fault = *stage.rng.pick(&faults);
        stage.mark(match fault {
            Fault::Eio => "disk: EIO armed",
            Fault::Full => "disk: full armed",
            Fault::ShortWrite => "disk: short write armed",
            Fault::SyncDropsPages => "disk: lost sync armed",
            Fault::Stall(_) => "disk: stall armed",
        });
        self.armed = true;
        self.disk.fail_call(self.disk.calls() + 1 + stage.rng.below(40), fault);
    }

    /// Nothing more is acknowledged: the process ends, and somebody starts it again.
    fn disk_failed(&mut self, error: &io::Error, stage: &mut Stage) {
        stage.mark("disk: server stopped");
        let expected = if self.armed { Ok(()) } else { Err(format!("disk: {error}, without a fault")) };
        stage.check(expected);
        self.crash(false, stage);
    }

    fn crash(&mut self, power: bool, stage: &mut Stage) {
        self.life += 1;
        let image = self.disk.image();
        let image: Image = if power { image.power_cut(&mut stage.rng, true) } else { image };
        stage.mark(if power { "crash: power cut" } else { "crash: process" });
        self.replace_disk(image);
        if let Some(running) = self.running.take() {
            for conn in running.conns.into_keys() {
                stage.send_to_client(conn, Event::Closed(conn));
            }
            let down_us = 10_000 + stage.rng.below(8_000_000);
            stage.after(down_us, Event::Restart);
        }
    }

    /// The same contents, and no faults.
    fn replace_disk(&mut self, image: Image) {
        self.disk = SimDisk::from_image(image);
        self.armed = false;
    }

    fn restart(&mut self, stage: &mut Stage) {
        if self.running.is_some() {
            return;
        }
        if !stage.calm && stage.rng.chance(10) {
            self.arm_disk(stage);
        }
        if stage.rng.chance(20) {
            stage.wall_base_ms += stage.rng.below(7_200_000) as i64 - 3_600_000;
            stage.mark("clock: step at restart");
        }
        match self.start(stage) {
            Ok(running) => {
                self.disk.heal();
                self.armed = false;
                self.running = Some(running);
                stage.mark("restart");
                self.handle(Event::Tick { life: self.life }, stage);
            }
            Err(error) => {
                let expected = if self.armed { Ok(()) } else { Err(format!("refused to start: {error}")) };
                stage.check(expected);
                stage.mark("recovery: failed by a fault");
                self.replace_disk(self.disk.image());
                stage.after(1_000_000, Event::Restart);
            }
        }
    }

    fn start(&mut self, stage: &mut Stage) -> Result<Running, String> {
        let recovered = recover(&self.disk, &recover_options()).map_err(|e| e.to_string())?;
        let mut tree = recovered.tree;
        if recovered.report.fresh {
            first_snapshot(&mut tree, &self.disk).map_err(|e| e.to_string())?;
        }
        if !recovered.report.repaired.is_empty() {
            stage.mark("recovery: torn tail");
        }
        stage.check(acknowledged::after_recovery(&stage.history, tree.last_zxid()));
        while stage.broken.is_none() && stage.history.last_committed() < tree.last_zxid() {
            if let Err(e) = stage.history.commit_next() {
                stage.check(Err(e));
            }
        }
        stage.check(state::equal(&stage.history, &tree));
        let now_ms = stage.now_ms();
        sessions::restarted(&mut stage.history, now_ms);
        let options = LogOptions { prealloc_bytes: 32 << 10, ..LogOptions::default() };
        let seed = stage.rng.next_u64();
        Ok(Running {
            node: Node::alone(self.settings.clone(), &tree, stage.now(), seed),
            durable: tree.last_zxid(),
            tree,
            watches: Watches::new(seed),
            inflight: Inflight::default(),
            conns: BTreeMap::new(),
            submission: Submission::default(),
            outbox: Outbox::default(),
            log: LogWriter::new(self.disk.clone(), options),
            log_queue: VecDeque::new(),
            syncing: None,
            snapshot: None,
            txns: 0,
            commits: 0,
            next_tick_us: u64::MAX,
            submit_us: 0,
            ended_ms: BTreeMap::new(),
        })
    }
}

fn snapshot_options(compression: Compression) -> SnapshotOptions {
    SnapshotOptions { compression, digest: true, last_zxid: true }
}

fn first_snapshot(tree: &mut Tree, disk: &SimDisk) -> io::Result<()> {
    let header = tree.freeze();
    let mut writer = SnapshotWriter::begin(disk, &header, snapshot_options(Compression::None))?;
    let mut bytes = Vec::new();
    while tree.read_frozen(u32::MAX, |node| {
        Snapshot::encode_node(&node, &mut bytes);
        true
    }) {}
    tree.thaw();
    writer.write(&bytes)?;
    writer.finish(disk).map(|_name| ())
}

impl Running {
    fn accept(&mut self, conn: ConnId) -> io::Result<()> {
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, (conn % 250) as u8));
        self.conns.insert(conn, Conn::new(conn, address));
        Ok(())
    }

    /// Bytes from a client. Whatever was applied before goes into its connection first.
    fn bytes(&mut self, conn: ConnId, bytes: &[u8], settings: &Settings, stage: &mut Stage) {
        self.mail(settings, stage);
        self.let_handle(conn, bytes, settings, stage);
    }

    fn let_handle(&mut self, conn: ConnId, bytes: &[u8], settings: &Settings, stage: &mut Stage) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        let mut cx = ConnContext {
            tree: &self.tree,
            watches: &self.watches,
            settings,
            inflight: &self.inflight,
            now_ms: stage.now_ms(),
            submission: &mut self.submission,
        };
        let mut progress = c.handle(bytes, &mut cx);
        while progress == Progress::More {
            progress = c.handle(&[], &mut cx);
        }
        if let (Some(session), false) = (c.session(), c.has_backlog())
            && !session.is_closing()
        {
            sessions::heard(&mut stage.history, session.id, stage.now_us as i64 / 1000);
        }
    }

    /// Gives connections what the node has for them.
    fn mail(&mut self, settings: &Settings, stage: &mut Stage) {
        while !self.outbox.0.is_empty() {
            let mut kept = Vec::new();
            for (id, delivery) in std::mem::take(&mut self.outbox.0) {
                if matches!(delivery, Delivery::CloseAll) {
                    self.conns.values_mut().for_each(|conn| conn.on_close(None));
                    continue;
                }
                let Some(conn) = self.conns.get_mut(&id) else { continue };
                match delivery {
                    Delivery::Event(frame) => conn.on_event(&frame),
                    Delivery::Reply(frame, latency_ms) => conn.on_reply(&frame, latency_ms, &self.inflight),
                    Delivery::Welcome(frame, session) => {
                        conn.on_welcome(&frame, session, self.tree.last_zxid())
                    }
                    Delivery::Close(frame) => conn.on_close(Some(&frame)),
                    Delivery::CloseAll => {}
                }
                if conn.has_backlog() && conn.writes_in_flight() == 0 {
                    kept.push(id);
                }
            }
            for id in kept {
                self.let_handle(id, &[], settings, stage);
            }
        }
    }

    fn gone(&mut self, id: ConnId, stage: &mut Stage) {
        if let Some(mut conn) = self.conns.remove(&id) {
            conn.on_gone(&self.watches, &self.inflight, stage.now_ms(), &mut self.submission);
        }
    }

    fn tick(&mut self, stage: &mut Stage) {
        self.next_tick_us = u64::MAX;
        let now = stage.now();
        if now.mono_ms >= self.node.next_tick_ms() {
            self.node.tick(&self.tree, now, &mut self.outbox);
        }
    }

    /// The log has synced what it had.
    fn synced(&mut self) -> io::Result<()> {
        self.log.sync()?;
        if let Some(zxid) = self.syncing.take() {
            self.durable = zxid;
            self.node.durable(zxid);
        }
        Ok(())
    }

    /// Everything that follows by itself from what has just happened.
    fn advance(&mut self, life: u64, stage: &mut Stage) -> io::Result<()> {
        self.take_batch(stage);
        self.commit(stage);
        self.take_batch(stage);
        self.freeze_if_due(life, stage)?;
        self.write_log(life, stage)?;
        if !self.outbox.0.is_empty() {
            let us = 5 + stage.rng.below(300);
            stage.after(us, Event::Mail { life });
        }
        self.send(stage);
        if !self.submission.requests.is_empty() {
            let submission = std::mem::take(&mut self.submission);
            // The node's inbox keeps the order in which it was filled.
            self.submit_us = (self.submit_us + 1).max(stage.now_us + 5 + stage.rng.below(300));
            stage.at(self.submit_us, Event::Submit { life, submission });
        }
        let tick_us = (self.node.next_tick_ms().clamp(0, 1 << 40) as u64 * 1000).max(stage.now_us + 1000);
        if tick_us < self.next_tick_us {
            self.next_tick_us = tick_us;
            stage.at(tick_us, Event::Tick { life });
        }
        Ok(())
    }

    fn take_batch(&mut self, stage: &mut Stage) {
        let Some(batch) = self.node.take_batch() else { return };
        for i in 0..batch.len() {
            let zxid = batch.first_zxid() + i as i64;
            stage.history.propose(zxid, batch.payload(i));
            self.ended_ms.insert(zxid, stage.now_ms());
        }
        self.txns += batch.len() as u64;
        self.log_queue.push_back(LogInput::Append(batch));
    }

    fn commit(&mut self, stage: &mut Stage) {
        while self.node.has_commits() && stage.broken.is_none() {
            let limit = 1 + stage.rng.index(20);
            self.node.commit(&mut self.tree, &self.watches, stage.now(), limit, &mut self.outbox);
            while stage.history.last_committed() < self.tree.last_zxid() && stage.broken.is_none() {
                self.record(stage);
            }
            stage.check(acknowledged::before_answer(self.tree.last_zxid(), self.durable));
        }
    }

    /// Follows one applied transaction in the history.
    fn record(&mut self, stage: &mut Stage) {
        let before = stage.history.model.sessions.clone();
        let header = match stage.history.commit_next() {
            Ok(header) => header,
            Err(e) => return stage.check(Err(e)),
        };
        self.commits += 1;
        if self.commits.is_multiple_of(COMPARE_COMMITS)
            && stage.history.last_committed() == self.tree.last_zxid()
        {
            let same = state::equal(&stage.history, &self.tree);
            stage.check(same);
        }
        let Some(proposed_ms) = self.ended_ms.remove(&header.zxid) else { return };
        if header.op != OpCode::CloseSession.code() {
            return;
        }
        stage.mark(if header.cxid == 0 { "session: expired" } else { "session: closed" });
        let timeout_ms = before.get(&header.session_id).copied().unwrap_or(0);
        let in_time = sessions::before_close(&stage.history, &header, proposed_ms, timeout_ms);
        stage.check(in_time);
        if stage.history.last_committed() == self.tree.last_zxid() {
            let left = sessions::after_close(&stage.history, &self.tree, header.session_id);
            stage.check(left);
        }
    }

    fn write_log(&mut self, life: u64, stage: &mut Stage) -> io::Result<()> {
        if self.syncing.is_some() || self.log_queue.is_empty() {
            return Ok(());
        }
        for input in std::mem::take(&mut self.log_queue) {
            match input {
                LogInput::Append(batch) => {
                    self.log.append(batch.first_zxid(), &batch.bytes)?;
                    self.syncing = Some(batch.last_zxid());
                }
                LogInput::Roll => {
                    self.log.roll()?;
                    stage.mark("log: rolled");
                }
            }
        }
        let us = match stage.rng.below(3000) {
            0 if !stage.calm => {
                stage.mark("disk: slow sync");
                6_000_000
            }
            1..=10 => 500_000,
            _ => 50 + stage.rng.below(8000),
        };
        stage.after(us, Event::Synced { life });
        Ok(())
    }

    fn freeze_if_due(&mut self, life: u64, stage: &mut Stage) -> io::Result<()> {
        if self.txns < SNAPSHOT_TXNS || self.snapshot.is_some() {
            return Ok(());
        }
        self.txns = 0;
        let header = self.tree.freeze();
        let kinds = [Compression::None, Compression::Gzip, Compression::Snappy];
        let options = snapshot_options(*stage.rng.pick(&kinds));
        self.snapshot = Some(SnapshotWriter::begin(self.log.storage(), &header, options)?);
        self.log_queue.push_back(LogInput::Roll);
        stage.after(1000, Event::SnapshotStep { life });
        Ok(())
    }

    fn snapshot_step(&mut self, life: u64, disk: &SimDisk, stage: &mut Stage) -> io::Result<()> {
        let Some(mut writer) = self.snapshot.take() else { return Ok(()) };
        let mut bytes = Vec::new();
        let slots = 1 + stage.rng.below(40) as u32;
        let more = self.tree.read_frozen(slots, |node| {
            Snapshot::encode_node(&node, &mut bytes);
            true
        });
        writer.write(&bytes)?;
        if more {
            self.snapshot = Some(writer);
            let us = 200 + stage.rng.below(20_000);
            stage.after(us, Event::SnapshotStep { life });
            return Ok(());
        }
        self.tree.thaw();
        writer.finish(disk)?;
        stage.mark("snapshot: written");
        if stage.rng.chance(30) && !purge(disk, 3)?.removed.is_empty() {
            stage.mark("snapshot: purged");
        }
        Ok(())
    }

    /// Puts outgoing bytes on the lines, and lets go of connections that are done.
    fn send(&mut self, stage: &mut Stage) {
        let mut closed = Vec::new();
        for (id, conn) in &mut self.conns {
            if conn.has_outgoing() {
                let bytes = std::mem::take(conn.outgoing());
                stage.send_to_client(*id, Event::ToClient { conn: *id, bytes, durable: self.durable });
            }
            if conn.is_closing() {
                closed.push(*id);
            }
        }
        for id in closed {
            self.gone(id, stage);
            stage.send_to_client(id, Event::Closed(id));
        }
    }
}
