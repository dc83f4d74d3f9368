//! A simulated server: the real node, tree, connections and journal, with threads replaced by events.
//!
//! It does what crate `server` does with threads: connections hand writes to the node, the node hands batches and
//! tasks to the log, the log syncs and says so, the node commits; a snapshot is written beside, a learner is sent a dump
//! or a part of the log. Between any two of these steps anything else may happen.
//!
//! Here: the machine, its disk, and the life and death of its processes. [`Running`] is what lives in a process.

mod ballots;
mod clients;
mod disk_thread;
mod peers;
mod running;
mod streams;

use super::net::{Host, Parcel, Side, WireId};
use super::plan::Plan;
use super::stage::{Event, Stage};
use crate::SimDisk;
use crate::check::{acknowledged, sessions};
use crate::disk::{Fault, Image};
use crate::run::recover_options;
use journal::{Compression, Recovered, SnapshotOptions, SnapshotWriter, Storage, load_epochs, recover};
use node::{EnsembleSettings, Epochs, Node, Now, Settings};
pub(super) use running::Local;
use running::Running;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use tree::Tree;
use zab::election::Options as ElectionOptions;
use zab::{Quorum, Timing, View};

type Snapshot = SnapshotWriter<<SimDisk as Storage>::File>;

pub(super) struct Server {
    index: usize,
    settings: Arc<Settings>,
    /// `None` for a server alone.
    ensemble: Option<EnsembleSettings>,
    plan: Arc<Plan>,
    disk: SimDisk,
    /// A fault is set on the disk; with the power cut, if that is what the fault stands for.
    armed: bool,
    dying: bool,
    life: u64,
    running: Option<Running>,
    paused: bool,
    backlog: Vec<Event>,
    /// What the wall clock shows at virtual time 0, in ms.
    wall_base_ms: i64,
}

/// The number of a server in the configuration.
pub(super) fn sid(index: usize) -> i64 {
    index as i64 + 1
}

fn host(sid: i64) -> Host {
    (sid - 1) as usize
}

fn snapshot_options(compression: Compression) -> SnapshotOptions {
    SnapshotOptions { compression, digest: true, last_zxid: true }
}

fn ensemble_settings(index: usize, plan: &Plan) -> EnsembleSettings {
    let voters = (0..plan.voters).map(sid);
    let observers: BTreeSet<i64> = (plan.voters..plan.servers()).map(sid).collect();
    let tick_ms = plan.tick_ms;
    EnsembleSettings {
        me: sid(index),
        view: View { quorum: Quorum::majority(voters), observers, version: 0 },
        is_observer: index >= plan.voters,
        config_lines: String::from("simulated"),
        timing: Timing {
            tick_ms,
            init_ms: tick_ms * 10,
            sync_ms: tick_ms * 5,
            last_counter: plan.last_counter,
        },
        connect_ms: tick_ms * 10,
        election: ElectionOptions::default(),
        force_snapshot_sync: plan.force_snapshot_sync,
        leader_serves: true,
        is_observer_master: plan.observer_masters,
        read_only_after_ms: None,
    }
}

/// An empty database at `base`, for histories that begin near the end of an epoch.
fn first_image(base: i64) -> Image {
    let disk = SimDisk::new(false);
    if base > 0 {
        let mut tree = Tree::new(recover_options().rules);
        tree.set_last_zxid(base);
        let made = journal::install(&disk, &mut tree, snapshot_options(Compression::None)).map(|_name| ());
        let saved = made
            .and_then(|()| journal::save_accepted_epoch(&disk, base >> 32))
            .and_then(|()| journal::save_current_epoch(&disk, base >> 32));
        assert!(saved.is_ok(), "a disk without faults works");
    }
    disk.image()
}

impl Server {
    pub fn new(index: usize, plan: Arc<Plan>) -> Server {
        let owners = recover_options().rules.owners;
        let settings = Settings {
            server_id: sid(index),
            tick_ms: plan.tick_ms,
            owners,
            container_check_interval_ms: 5000,
            ..Settings::default()
        };
        let ensemble = (plan.servers() > 1).then(|| ensemble_settings(index, &plan));
        Server {
            index,
            settings: Arc::new(settings),
            ensemble,
            disk: SimDisk::from_image(first_image(plan.base)),
            plan,
            armed: false,
            dying: false,
            life: 0,
            running: None,
            paused: false,
            backlog: Vec::new(),
            wall_base_ms: 1_800_000_000_000,
        }
    }

    pub fn is_up(&self) -> bool {
        self.running.is_some()
    }

    pub fn is_serving(&self) -> bool {
        self.running.as_ref().is_some_and(|r| r.node.is_serving())
    }

    pub fn is_leading(&self) -> bool {
        self.is_serving() && self.running.as_ref().is_some_and(Running::is_leading)
    }

    pub fn tree(&self) -> Option<&Tree> {
        self.running.as_ref().map(|r| &r.tree)
    }

    fn now(&self, stage: &Stage) -> Now {
        Now { mono_ms: stage.now_ms(), wall_ms: self.wall_base_ms + stage.now_ms() }
    }

    /// The wall clock is set.
    pub fn step_clock(&mut self, ms: i64) {
        self.wall_base_ms += ms;
        if let Some(running) = &mut self.running {
            running.wall_base_ms = self.wall_base_ms;
        }
    }

    /// Keeps what happens to a process that stands still.
    pub fn hold(&mut self, event: Event) -> Option<Event> {
        if !self.paused {
            return Some(event);
        }
        self.backlog.push(event);
        None
    }

    pub fn pause(&mut self) {
        self.paused = self.running.is_some();
    }

    /// Gives what happened meanwhile.
    pub fn resume(&mut self) -> Vec<Event> {
        self.paused = false;
        std::mem::take(&mut self.backlog)
    }

    /// Something in the process happens.
    pub fn local(&mut self, life: u64, what: Local, stage: &mut Stage) {
        if life != self.life {
            return;
        }
        self.run(stage, |running, stage| running.local(what, stage));
    }

    pub fn arrive(&mut self, wire: WireId, side: Side, parcel: Parcel, stage: &mut Stage) {
        if self.running.is_none() {
            if matches!(parcel, Parcel::Knock) {
                stage.refuse(wire);
            }
            return;
        }
        self.run(stage, |running, stage| running.arrive(wire, side, parcel, stage));
    }

    fn run(&mut self, stage: &mut Stage, step: impl FnOnce(&mut Running, &mut Stage) -> io::Result<()>) {
        let Some(running) = &mut self.running else { return };
        if let Err(error) = step(running, stage).and_then(|()| running.advance(stage)) {
            self.disk_failed(&error, stage);
        }
    }

    /// No more faults on the disk.
    pub fn heal_disk(&mut self) {
        self.disk.heal();
        (self.armed, self.dying) = (false, false);
    }

    pub fn arm_disk(&mut self, stage: &mut Stage) {
        let faults =
            [Fault::Eio, Fault::Full, Fault::ShortWrite, Fault::SyncDropsPages, Fault::Stall(5), Fault::Halt];
        let fault = *stage.rng.pick(&faults);
        stage.fault(match fault {
            Fault::Eio => "disk: EIO armed",
            Fault::Full => "disk: full armed",
            Fault::ShortWrite => "disk: short write armed",
            Fault::SyncDropsPages => "disk: lost sync armed",
            Fault::Stall(_) => "disk: stall armed",
            Fault::Halt => "disk: power cut in a call armed",
        });
        stage.trace(|| format!("server {}: {fault:?} on the disk soon", self.index + 1));
        self.armed = true;
        self.dying = fault == Fault::Halt;
        self.disk.fail_call(self.disk.calls() + 1 + stage.rng.below(40), fault);
    }

    /// Nothing more is acknowledged: the process ends, and somebody starts it again.
    fn disk_failed(&mut self, error: &io::Error, stage: &mut Stage) {
        stage.mark("disk: server stopped");
        let expected = if self.armed { Ok(()) } else { Err(format!("disk: {error}, without a fault")) };
        stage.check(expected);
        let dying = self.dying;
        self.crash(dying, stage);
        let down_us = 10_000 + stage.rng.below(4_000_000);
        stage.after(down_us, Event::Restart { server: self.index });
    }

    /// The process ends at once; with the power, nobody is told, and what was not synced is lost, or torn.
    pub fn crash(&mut self, power: bool, stage: &mut Stage) {
        self.life += 1;
        self.paused = false;
        self.backlog.clear();
        let image = self.disk.image();
        let image: Image = if power { image.power_cut(&mut stage.rng, true) } else { image };
        stage.mark(if power { "crash: power cut" } else { "crash: process" });
        stage.trace(|| format!("server {}: {}", self.index + 1, if power { "power cut" } else { "killed" }));
        self.replace_disk(image);
        self.running = None;
        for (wire, side) in stage.net.of_host(self.index) {
            if power {
                stage.net.shut(wire, side);
            } else {
                stage.close(wire, side);
            }
        }
        if power {
            stage.net.forget_unsent(self.index);
        }
        stage.net.set_power(self.index, !power);
    }

    /// The same contents, and no faults.
    fn replace_disk(&mut self, image: Image) {
        self.disk = SimDisk::from_image(image);
        self.armed = false;
        self.dying = false;
    }

    pub fn restart(&mut self, stage: &mut Stage) {
        if self.running.is_some() {
            return;
        }
        stage.net.set_power(self.index, true);
        stage.release();
        if !stage.calm && stage.rng.chance(10) {
            self.arm_disk(stage);
        }
        if !stage.calm && stage.rng.chance(20) {
            let ms = stage.rng.below(7_200_000) as i64 - 3_600_000;
            self.step_clock(ms);
            stage.fault("clock: step at restart");
        }
        match self.start(stage) {
            Ok(running) => {
                self.heal_disk();
                self.running = Some(running);
                stage.mark("restart");
                self.local(self.life, Local::Tick, stage);
            }
            Err(error) => {
                let expected = if self.armed { Ok(()) } else { Err(format!("refused to start: {error}")) };
                stage.check(expected);
                stage.mark("recovery: failed by a fault");
                let image = self.disk.image();
                let image = if self.dying { image.power_cut(&mut stage.rng, true) } else { image };
                self.replace_disk(image);
                stage.after(1_000_000, Event::Restart { server: self.index });
            }
        }
    }

    fn start(&mut self, stage: &mut Stage) -> Result<Running, String> {
        let Recovered { mut tree, report, ranges } =
            recover(&self.disk, &recover_options()).map_err(|e| e.to_string())?;
        if report.snapshot.is_none() {
            first_snapshot(&mut tree, &self.disk).map_err(|e| e.to_string())?;
        }
        if !report.repaired.is_empty() {
            stage.mark("recovery: torn tail");
        }
        let last = tree.last_zxid();
        let seed = stage.rng.next_u64();
        let (settings, now) = (self.settings.clone(), self.now(stage));
        let node = match &self.ensemble {
            None => {
                stage.check(acknowledged::after_recovery(&stage.truth, last));
                let found = stage.replica(self.index).recovered(last, 0, 0);
                stage.check(found);
                Node::alone(settings, &tree, now, seed)
            }
            Some(ensemble) => {
                let epochs = load_epochs(&self.disk, last, true).map_err(|e| e.to_string())?;
                let found = stage.replica(self.index).recovered(last, epochs.accepted, epochs.current);
                stage.check(found);
                let epochs = Epochs { accepted: epochs.accepted, current: epochs.current };
                Node::member(settings, ensemble.clone(), epochs, &tree, now, seed)
            }
        };
        stage.trace(|| format!("server {}: started at {last:#x} ({:?})", self.index + 1, report.snapshot));
        let mut running = Running::new(self, node, tree, ranges, seed);
        running.txns = report.txns;
        running.epoch = stage.replica(self.index).current_epoch;
        if self.ensemble.is_none() {
            running.established(None, stage);
            sessions::begun(&mut stage.truth, self.index, now.mono_ms);
        }
        Ok(running)
    }
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
