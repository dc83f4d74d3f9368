//! What lives in a server's process, and one turn of its node thread.

use super::ballots::Ballots;
use super::disk_thread::{LogInput, SnapshotJob};
use super::peers::Peers;
use super::streams::Stream;
use super::{Server, sid};
use crate::SimDisk;
use crate::check::{acknowledged, agreement, durable, epochs, sessions};
use crate::world::net::{Parcel, Port, Side, WireId};
use crate::world::outbox::Outbox;
use crate::world::plan::Plan;
use crate::world::stage::{Event, Stage};
use journal::{LogOptions, LogRanges, LogWriter};
use node::{
    Conn, ConnId, DiskDone, Effect, Inflight, Located, Node, Now, Report, Settings, Standing, Submission,
    Watches,
};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;
use tree::Tree;
use wire::jute::Reader;
use wire::txn::TxnHeader;
use zab::{LearnerKey, SyncPlan};

/// What the node's inbox holds.
pub(in crate::world) enum Input {
    Submission(Submission),
    Durable(i64),
    DiskDone(DiskDone),
    Vote {
        from: i64,
        payload: Vec<u8>,
    },
    Link {
        peer: i64,
        is_up: bool,
    },
    /// An attempt to reach the leader, by its number.
    Connected(u64, Option<WireId>),
    Located(LearnerKey, Option<Located>),
    Streamed(LearnerKey, Result<i64, String>),
}

/// What happens within a process.
pub(in crate::world) enum Local {
    Input(Input),
    Mail,
    Tick,
    LogTurn,
    Synced,
    Task,
    SnapshotStep,
    StreamStep(LearnerKey),
    Locate { to: LearnerKey, last: i64 },
    Redial(u64),
    DialLate(u64),
    VoteDialLate { peer: i64, wire: WireId },
    VoteSettle { peer: i64 },
}

impl Local {
    pub fn tag(&self) -> u64 {
        match self {
            Local::Input(_) => 1,
            Local::Mail => 2,
            Local::Tick => 3,
            Local::LogTurn => 4,
            Local::Synced => 5,
            Local::Task => 6,
            Local::SnapshotStep => 7,
            Local::StreamStep(_) => 8,
            Local::Locate { .. } => 9,
            Local::Redial(_) => 10,
            Local::DialLate(_) => 11,
            Local::VoteDialLate { .. } => 12,
            Local::VoteSettle { .. } => 13,
        }
    }
}

pub(super) struct Running {
    pub index: usize,
    pub life: u64,
    pub settings: Arc<Settings>,
    pub plan: Arc<Plan>,
    pub disk: SimDisk,
    pub wall_base_ms: i64,
    pub in_ensemble: bool,
    pub node: Node,
    pub tree: Tree,
    pub watches: Watches,
    pub inflight: Inflight,
    pub conns: BTreeMap<ConnId, Conn>,
    pub submission: Submission,
    pub outbox: Outbox,
    /// When the last thing put into the inbox is read.
    inbox_us: u64,
    mail_due: bool,
    next_tick_us: u64,
    pub log: LogWriter<SimDisk>,
    pub log_queue: VecDeque<LogInput>,
    pub log_busy: bool,
    /// The last zxid of what is being synced.
    pub syncing: Option<i64>,
    pub ranges: LogRanges,
    /// The newest one that the disk has heard of.
    pub epoch: i64,
    pub snapshot: Option<SnapshotJob>,
    pub txns: u64,
    pub txn_target: u64,
    /// How often the tree, and the files, were replaced.
    pub generation: u64,
    pub files: u64,
    pub peers: Peers,
    pub ballots: Ballots,
    pub streams: BTreeMap<LearnerKey, Stream>,
    pub leader: Option<i64>,
    standing: Standing,
}

impl Running {
    pub fn new(server: &Server, node: Node, tree: Tree, ranges: LogRanges, seed: u64) -> Running {
        let options = LogOptions { prealloc_bytes: 32 << 10, ..LogOptions::default() };
        Running {
            index: server.index,
            life: server.life,
            settings: server.settings.clone(),
            plan: server.plan.clone(),
            disk: server.disk.clone(),
            wall_base_ms: server.wall_base_ms,
            in_ensemble: server.ensemble.is_some(),
            node,
            tree,
            watches: Watches::new(seed),
            inflight: Inflight::default(),
            conns: BTreeMap::new(),
            submission: Submission::default(),
            outbox: Outbox::default(),
            inbox_us: 0,
            mail_due: false,
            next_tick_us: u64::MAX,
            log: LogWriter::new(server.disk.clone(), options),
            log_queue: VecDeque::new(),
            log_busy: false,
            syncing: None,
            ranges,
            epoch: 0,
            snapshot: None,
            txns: 0,
            txn_target: server.plan.snapshot_txns / 2 + seed % (server.plan.snapshot_txns / 2).max(1),
            generation: 0,
            files: 0,
            peers: Peers::default(),
            ballots: Ballots::new(server.index, server.plan.servers()),
            streams: BTreeMap::new(),
            leader: None,
            standing: Standing::Looking,
        }
    }

    pub fn now(&self, stage: &Stage) -> Now {
        Now { mono_ms: stage.now_ms(), wall_ms: self.wall_base_ms + stage.now_ms() }
    }

    pub fn is_leading(&self) -> bool {
        !self.in_ensemble || self.standing == Standing::Leading
    }

    /// Something that another thread of this process does at a later time.
    pub fn later(&self, us: u64, what: Local, stage: &mut Stage) {
        stage.after(us, Event::Server { server: self.index, life: self.life, what });
    }

    /// Another thread puts something into the node's inbox, which keeps the order in which it was filled.
    pub fn post(&mut self, input: Input, stage: &mut Stage) {
        let us = 5 + stage.rng.below(200);
        self.inbox_us = (self.inbox_us + 1).max(stage.now_us + us);
        let event = Event::Server { server: self.index, life: self.life, what: Local::Input(input) };
        stage.at(self.inbox_us, event);
    }

    pub fn local(&mut self, what: Local, stage: &mut Stage) -> io::Result<()> {
        match what {
            Local::Input(input) => self.input(input, stage),
            Local::Mail => {
                self.mail_due = false;
                self.mail(stage);
            }
            Local::Tick => self.tick(stage),
            Local::LogTurn => return self.log_turn(stage),
            Local::Synced => return self.synced(stage),
            Local::Task => return self.task(stage),
            Local::SnapshotStep => return self.snapshot_step(stage),
            Local::StreamStep(key) => self.stream_step(key, stage),
            Local::Locate { to, last } => self.locate(to, last, stage),
            Local::Redial(attempt) => self.redial(attempt, stage),
            Local::DialLate(attempt) => self.dial_late(attempt, stage),
            Local::VoteDialLate { peer, wire } => self.vote_dial_late(peer, wire, stage),
            Local::VoteSettle { peer } => self.vote_settle(peer, stage),
        }
        Ok(())
    }

    fn input(&mut self, input: Input, stage: &mut Stage) {
        let now = self.now(stage);
        let (tree, out) = (&self.tree, &mut self.outbox);
        match input {
            Input::Submission(submission) => self.node.submit(tree, now, &submission, out),
            Input::Durable(zxid) => self.node.durable(zxid),
            Input::DiskDone(done) => self.node.disk_done(done, tree, now, out),
            Input::Vote { from, payload } => self.node.election_message(from, &payload, tree, now),
            Input::Link { peer, is_up } => self.node.election_link(peer, is_up, tree, now),
            Input::Connected(attempt, wire) => self.leader_dialed(attempt, wire, stage),
            Input::Located(key, located) => self.node.located(key, located, tree),
            Input::Streamed(key, result) => self.streamed(key, result, stage),
        }
    }

    pub fn arrive(&mut self, wire: WireId, side: Side, parcel: Parcel, stage: &mut Stage) -> io::Result<()> {
        let Some(port) = stage.net.wire(wire).map(|w| w.port) else { return Ok(()) };
        match port {
            Port::Client => self.client_parcel(wire, parcel, stage),
            Port::Quorum | Port::Observers if side == 1 => self.learner_parcel(wire, port, parcel, stage),
            Port::Quorum | Port::Observers => self.leader_parcel(wire, parcel, stage),
            Port::Election | Port::Knock => self.vote_parcel(wire, side, port, parcel, stage),
        }
        Ok(())
    }

    fn tick(&mut self, stage: &mut Stage) {
        self.next_tick_us = u64::MAX;
        let now = self.now(stage);
        if now.mono_ms >= self.node.next_tick_ms() {
            self.node.tick(&self.tree, now, &mut self.outbox);
        }
    }

    /// Everything that follows by itself from what has just happened: turns of the node thread, until it has nothing
    /// more to read.
    pub fn advance(&mut self, stage: &mut Stage) -> io::Result<()> {
        loop {
            self.turn(stage)?;
            if stage.broken.is_some() || !self.read_on(stage) {
                break;
            }
        }
        self.post_submission(stage);
        self.send_clients(stage);
        if !self.outbox.0.is_empty() && !self.mail_due {
            self.mail_due = true;
            let us = 5 + stage.rng.below(300);
            self.later(us, Local::Mail, stage);
        }
        let tick_us = (self.node.next_tick_ms().clamp(0, 1 << 40) as u64 * 1000).max(stage.now_us + 1000);
        if tick_us < self.next_tick_us {
            self.next_tick_us = tick_us;
            let event = Event::Server { server: self.index, life: self.life, what: Local::Tick };
            stage.at(tick_us, event);
        }
        Ok(())
    }

    fn turn(&mut self, stage: &mut Stage) -> io::Result<()> {
        self.carry_out(stage);
        self.hand_to_log(stage);
        self.send_peers(stage);
        self.commit(stage);
        if self.in_ensemble {
            self.node.settled(&self.tree, self.now(stage));
            self.carry_out(stage);
        }
        self.hand_to_log(stage);
        self.send_peers(stage);
        self.snapshot_if_due(stage)
    }

    fn post_submission(&mut self, stage: &mut Stage) {
        if !self.submission.requests.is_empty() {
            let submission = std::mem::take(&mut self.submission);
            self.post(Input::Submission(submission), stage);
        }
    }

    /// Does what the node asks for.
    fn carry_out(&mut self, stage: &mut Stage) {
        let mut adopted = None;
        loop {
            let effects = self.node.take_effects();
            if effects.is_empty() {
                break;
            }
            for effect in effects {
                match effect {
                    Effect::Adopt(new) => adopted = Some(new),
                    Effect::Report(report) => self.report(report, stage),
                    effect => self.peer_effect(effect, stage),
                }
            }
        }
        if let Some(tree) = adopted {
            self.generation += 1;
            self.tree = *tree;
        }
    }

    fn hand_to_log(&mut self, stage: &mut Stage) {
        while let Some(batch) = self.node.take_batch() {
            for i in 0..batch.len() {
                let zxid = batch.zxid(i);
                let known = stage.truth.history.propose(zxid, batch.payload(i));
                stage.check(known);
                stage.replica(self.index).appended(zxid);
                if self.is_leading()
                    && let Ok(header) = TxnHeader::decode(&mut Reader::new(batch.payload(i)))
                {
                    let proposed_ms = header.time_ms - self.wall_base_ms;
                    // The clock was not set in between.
                    if (stage.now_ms() - 20_000..=stage.now_ms()).contains(&proposed_ms) {
                        let in_time = sessions::proposed(&stage.truth, self.index, &header, proposed_ms);
                        stage.check(in_time);
                    }
                }
            }
            self.txns += batch.len() as u64;
            self.log_queue.push_back(LogInput::Append(batch));
        }
        while let Some(task) = self.node.take_task() {
            self.log_queue.push_back(LogInput::Task(task));
        }
        self.wake_log(stage);
    }

    fn commit(&mut self, stage: &mut Stage) {
        while self.node.has_commits() && stage.broken.is_none() {
            let limit = 1 + stage.rng.index(20);
            let (before, serving) = (self.tree.last_zxid(), self.node.is_serving());
            let now = self.now(stage);
            self.node.commit(&mut self.tree, &self.watches, now, limit, &mut self.outbox);
            let durable = acknowledged::before_applied(&stage.truth, self.index, self.tree.last_zxid());
            stage.check(durable);
            if serving {
                let applied = agreement::applied(&mut stage.truth, self.index, before, &self.tree);
                self.committed(applied, stage);
            }
        }
    }

    fn committed(&self, fresh: Result<Vec<i64>, String>, stage: &mut Stage) {
        let fresh = match fresh {
            Ok(fresh) => fresh,
            Err(broken) => return stage.check(Err(broken)),
        };
        for zxid in fresh {
            let Some(header) = stage.truth.history.committed(zxid).map(|c| c.header) else { continue };
            if header.op != wire::OpCode::CloseSession.code() {
                continue;
            }
            stage.mark(if header.cxid == 0 { "session: expired" } else { "session: closed" });
            if zxid == self.tree.last_zxid() && zxid == stage.truth.history.last_committed() {
                let left = sessions::after_close(&stage.truth.history, &self.tree, header.session_id);
                stage.check(left);
            }
        }
    }

    /// This server leads from now on, in `epoch` if there are others.
    pub fn established(&mut self, epoch: Option<i64>, stage: &mut Stage) {
        if let Some(epoch) = epoch {
            let first = epochs::established(&mut stage.truth, self.index, epoch);
            stage.check(first);
            let held = durable::before_epoch(&stage.truth, epoch, self.tree.last_zxid());
            stage.check(held);
            stage.mark("epoch: begun");
        }
        let fresh = agreement::established(&mut stage.truth, self.index, &self.tree);
        self.committed(fresh, stage);
        let now_ms = stage.now_ms();
        sessions::begun(&mut stage.truth, self.index, now_ms);
    }

    fn report(&mut self, report: Report, stage: &mut Stage) {
        stage.trace(|| format!("server {}: {report}", self.index + 1));
        match &report {
            Report::Looking { .. } => {
                self.leader = None;
                self.standing = Standing::Looking;
            }
            Report::Elected { leader, standing } => {
                self.leader = Some(*leader);
                self.standing = *standing;
                stage.mark("election: done");
            }
            Report::Established { epoch } => self.established(Some(*epoch), stage),
            Report::Serving { .. } => {
                if self.index >= self.plan.voters {
                    stage.mark(if self.plan.observer_masters {
                        "observer: joined a follower"
                    } else {
                        "observer: joined"
                    });
                }
                let same = agreement::same(&stage.truth, self.index, &self.tree);
                stage.check(same);
            }
            Report::Synchronizing { plan, .. } => stage.mark(match plan {
                SyncPlan::Diff { .. } => "sync: DIFF",
                SyncPlan::Truncate { .. } => "sync: TRUNC",
                SyncPlan::Snapshot => "sync: SNAP",
            }),
            Report::Resigned { why: zab::Resignation::EpochExhausted } => stage.mark("epoch: zxid rollover"),
            Report::LeaderViolates { violation: zab::Violation::OldEpoch { .. }, .. } => {
                stage.mark("epoch: older leader refused");
            }
            Report::LearnerDismissed { why: zab::Parting::Ahead, .. } => stage.mark("epoch: follower ahead"),
            Report::LearnerDismissed {
                why: zab::Parting::OutOfTurn | zab::Parting::TooOld | zab::Parting::NewerConfig,
                ..
            }
            | Report::LeaderViolates { .. }
            | Report::BadNotification { .. }
            | Report::LeaderUnreadable { .. }
            | Report::ReadOnly
            | Report::DoesNotFit { .. }
            | Report::Reconfigured { .. }
            | Report::Stopping
            | Report::BadRecord { .. }
            | Report::LearnerUnreadable { .. }
            | Report::CannotListen { .. } => {
                stage.check(Err(format!("packets: server {} says: {report}", sid(self.index))));
            }
            Report::OldLearner { .. }
            | Report::LeaderOutOfReach { .. }
            | Report::LeaderSilent { .. }
            | Report::LeaderGone { .. }
            | Report::Resigned { .. }
            | Report::LearnerDismissed { .. }
            | Report::LearnerLeft { .. } => {}
        }
    }
}
