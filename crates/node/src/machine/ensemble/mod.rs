//! How a server comes into its ensemble, which role it has there, and how it leaves it (quorum-and-disk §1, §2).
//!
//! ```text
//!            ┌───────────────────────── anything goes wrong ────────────────────────┐
//!            ▼                                                                      │
//!   draining ──► looking ──elected──► leading: discovery … established, serving ────┤
//!                       └─────────► connecting ──► learning: … serving ─────────────┘
//! ```
//!
//! *Draining*: what was handed to the log becomes durable and is applied, committed or not; then memory and log say the
//! same, and a vote can be cast with the last zxid of both. Whatever of it was never committed is cut off by the next
//! leader. Clients are let go before, so nobody sees it.
//!
//! The rest stands in [`leader`] (packets from learners), [`learner`] (packets from the leader) and [`observer_master`]
//! (packets from observers of a follower).

mod effect;
mod leader;
mod learner;
mod observer_master;

use super::core::Core;
use super::leading::Leading;
use super::pipeline::Pipeline;
use super::{Node, NodeStats, Now, Role};
use crate::outbound::Outbound;
use crate::settings::Settings;
pub use effect::{DiskDone, DiskTask, Effect, Located, Peer, Report, Standing};
use planted::{Bug, has};
use std::collections::VecDeque;
use std::sync::Arc;
use tree::Tree;
use wire::election::{NOTIFICATION_VERSION, Notification, ServerState};
pub use zab::Timing;
use zab::election::{self, Election, Message, OwnVote};
use zab::{History, Leader, LeaderEffect, LearnerKind, Resignation, ServerId, View, Vote, Zxid, epoch_start};

/// What a member of an ensemble is told. Times in ms.
#[derive(Debug, Clone)]
pub struct EnsembleSettings {
    pub me: ServerId,
    pub view: View,
    pub is_observer: bool,
    /// The configuration's lines, without that of its version.
    pub config_lines: String,
    pub timing: Timing,
    /// For a connection to the leader.
    pub connect_ms: i64,
    pub election: election::Options,
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot_sync: bool,
    /// `zookeeper.leaderServes`
    pub leader_serves: bool,
    /// `observerMasterPort` is set: as a follower, this server serves observers.
    pub is_observer_master: bool,
    /// How long there must be no leader before clients are served without one; `None`: they never are.
    pub read_only_after_ms: Option<i64>,
}

impl EnsembleSettings {
    /// The configuration as members show and send it, under this version.
    fn config_text(&self, version: i64) -> String {
        format!("{}\nversion={version:x}", self.config_lines)
    }
}

impl EnsembleSettings {
    /// Whether a configuration text names the same members, in the same roles.
    fn has_members(&self, text: &str) -> bool {
        let lines = |text: &str| -> std::collections::BTreeSet<String> {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            lines.filter(|line| !line.starts_with("version=")).map(str::to_owned).collect()
        };
        lines(text) == lines(&self.config_lines)
    }
}

/// What the epoch files hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epochs {
    pub accepted: i64,
    pub current: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Draining,
    Looking {
        /// When to serve without a leader, if it does not yet.
        read_only_at_ms: i64,
    },
    Connecting {
        leader: ServerId,
        until_ms: i64,
    },
    /// See [`Role`].
    InRole,
}

pub(super) struct Ensemble {
    settings: EnsembleSettings,
    election: Election,
    epochs: Epochs,
    phase: Phase,
    /// What the shell is to do.
    effects: Vec<Effect>,
    /// Tasks for the disk, in order; behind every record that was built before.
    tasks: VecDeque<DiskTask>,
    /// Tasks that were taken and are not done.
    tasks_running: usize,
    resigned: Option<Resignation>,
    /// This server's log cannot be brought into step: it asks for a dump.
    wants_tree: bool,
    /// The process is ending: no leader is looked for.
    is_stopping: bool,
    /// Read-only mode has ended: its clients are to be told at the next tick, which is due.
    closes_clients: bool,
    /// The tree does not show the configuration yet.
    config_due: bool,
    /// Kept for their capacity.
    election_out: Vec<election::Effect>,
    leader_out: Vec<LeaderEffect>,
}

impl Ensemble {
    pub fn next_tick_ms(&self) -> i64 {
        if self.closes_clients {
            return 0;
        }
        match self.phase {
            Phase::Draining | Phase::InRole => i64::MAX,
            Phase::Looking { read_only_at_ms } => self.election.next_tick_ms().min(read_only_at_ms),
            Phase::Connecting { until_ms, .. } => until_ms,
        }
    }

    /// The configuration as the leader of `epoch` tells it: one that never changed gets its version then, if it may
    /// change at all.
    fn told_config(&self, epoch: i64, may_change: bool) -> String {
        let version = match self.settings.view.version {
            0 if may_change => epoch_start(epoch),
            version => version,
        };
        self.settings.config_text(version)
    }

    pub fn current_epoch(&self) -> i64 {
        self.epochs.current
    }
}

impl Node {
    /// A member of an ensemble over a recovered tree. Nothing happens before [`Node::settled`].
    pub fn member(
        settings: Arc<Settings>,
        ensemble: EnsembleSettings,
        epochs: Epochs,
        tree: &Tree,
        now: Now,
        seed: u64,
    ) -> Node {
        let election =
            Election::new(ensemble.me, !ensemble.is_observer, ensemble.view.clone(), ensemble.election);
        let ensemble = Ensemble {
            election,
            epochs,
            phase: Phase::Draining,
            effects: Vec::new(),
            tasks: VecDeque::new(),
            tasks_running: 0,
            resigned: None,
            wants_tree: false,
            is_stopping: false,
            closes_clients: false,
            config_due: true,
            election_out: Vec::new(),
            leader_out: Vec::new(),
            settings: ensemble,
        };
        let core = Core::new(settings, tree, now, seed, true);
        Node { core, role: Role::Idle, ensemble: Some(Box::new(ensemble)) }
    }

    /// What the shell is to do, in order.
    pub fn take_effects(&mut self) -> Vec<Effect> {
        self.ensemble.as_mut().map(|e| std::mem::take(&mut e.effects)).unwrap_or_default()
    }

    /// The next task for the disk; it is to be done behind every batch that was taken before.
    pub fn take_task(&mut self) -> Option<DiskTask> {
        if !self.core.pipeline.building.is_empty() && !has(Bug::CurrentEpochBeforeLog) {
            return None;
        }
        let ensemble = self.ensemble.as_mut()?;
        let task = ensemble.tasks.pop_front()?;
        ensemble.tasks_running += 1;
        Some(task)
    }

    /// Bytes for peers: each gets its own vector, to take from as much as can be sent.
    pub fn for_each_outgoing(&mut self, mut each: impl FnMut(Peer, &mut Vec<u8>)) {
        match &mut self.role {
            Role::Leading(leading) => {
                leading.learners.for_each_out(|key, out| each(Peer::Learner(key), out));
            }
            Role::Learning(learning) => {
                if !learning.out.is_empty() {
                    each(Peer::Leader, &mut learning.out);
                }
                if let Some(observers) = &mut learning.observers {
                    observers.learners.for_each_out(|key, out| each(Peer::Learner(key), out));
                }
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    /// To be called at the end of every turn, when effects are carried out and everything was applied that could be: a
    /// server that has left its role, or has just started, looks for a leader once nothing is on its way.
    pub fn settled(&mut self, tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let drained =
            self.core.pipeline.is_idle() && ensemble.tasks.is_empty() && ensemble.tasks_running == 0;
        if ensemble.phase != Phase::Draining || !drained || ensemble.is_stopping {
            return;
        }
        let grace_ms = ensemble.settings.read_only_after_ms;
        let read_only_at_ms = grace_ms.map_or(i64::MAX, |ms| now.mono_ms + ms);
        ensemble.phase = Phase::Looking { read_only_at_ms };
        let zxid = tree.last_zxid();
        self.core.pipeline.restart(zxid);
        let own = OwnVote { zxid, epoch: ensemble.epochs.current };
        ensemble.effects.push(Effect::Report(Report::Looking { zxid, epoch: own.epoch }));
        let mut out = std::mem::take(&mut ensemble.election_out);
        ensemble.election.look(own, now.mono_ms, &mut out);
        self.carry_out_election(&mut out, tree, now);
    }

    fn carry_out_election(&mut self, out: &mut Vec<election::Effect>, tree: &Tree, now: Now) {
        for effect in out.drain(..) {
            let Some(ensemble) = &mut self.ensemble else { return };
            match effect {
                election::Effect::Send { to, message } => {
                    let payload = ensemble.notification(&message);
                    ensemble.effects.push(Effect::Notify { to, payload });
                }
                election::Effect::ReconnectAll => ensemble.effects.push(Effect::ReconnectPeers),
                election::Effect::Elected { leader, standing, vote: _ } => {
                    ensemble.effects.push(Effect::Report(Report::Elected { leader, standing }));
                    self.elected(leader, standing, tree, now);
                }
            }
        }
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.election_out = std::mem::take(out);
        }
    }

    fn elected(&mut self, leader: ServerId, standing: Standing, tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if matches!(self.role, Role::ReadOnly) {
            // They move on to where they can write.
            self.role = Role::Idle;
            ensemble.closes_clients = true;
        }
        if standing != Standing::Leading {
            let until_ms = now.mono_ms + ensemble.settings.connect_ms;
            ensemble.phase = Phase::Connecting { leader, until_ms };
            ensemble.effects.push(Effect::ConnectToLeader { leader });
            return;
        }
        ensemble.phase = Phase::InRole;
        ensemble.effects.push(Effect::Listen);
        let history = History { current_epoch: ensemble.epochs.current, last_zxid: tree.last_zxid() };
        let mut out = std::mem::take(&mut ensemble.leader_out);
        let control = Leader::new(
            ensemble.settings.me,
            &ensemble.settings.view,
            ensemble.settings.timing,
            history,
            ensemble.epochs.accepted,
            now.mono_ms,
            &mut out,
        );
        self.role = Role::Leading(Box::new(Leading::new(control)));
        self.carry_out_leader(&mut out, tree, now);
    }

    /// A notification came over the election port.
    pub fn election_message(&mut self, from: ServerId, payload: &[u8], tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let notification = match Notification::decode(payload) {
            Ok(notification) => notification,
            Err(error) => {
                let report = Report::BadNotification { from, error: error.to_string() };
                return ensemble.effects.push(Effect::Report(report));
            }
        };
        let message = message(&notification);
        let mut out = std::mem::take(&mut ensemble.election_out);
        ensemble.election.receive(from, &message, now.mono_ms, &mut out);
        self.carry_out_election(&mut out, tree, now);
    }

    /// An established connection to a peer's election port began or ended.
    pub fn election_link(&mut self, peer: ServerId, is_up: bool, tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let mut out = std::mem::take(&mut ensemble.election_out);
        if is_up {
            ensemble.election.link_up(peer, &mut out);
        } else {
            ensemble.election.link_lost(peer, now.mono_ms, &mut out);
        }
        self.carry_out_election(&mut out, tree, now);
    }

    pub(super) fn tick_ensemble(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if std::mem::take(&mut ensemble.closes_clients) {
            out.close_all();
            ensemble.effects.push(Effect::CloseClients);
        }
        match &mut ensemble.phase {
            Phase::Draining => {}
            Phase::Looking { read_only_at_ms } => {
                if now.mono_ms >= *read_only_at_ms {
                    *read_only_at_ms = i64::MAX;
                    ensemble.effects.push(Effect::Report(Report::ReadOnly));
                    self.begin_read_only(tree);
                }
                let Some(ensemble) = &mut self.ensemble else { return };
                let mut effects = std::mem::take(&mut ensemble.election_out);
                ensemble.election.tick(now.mono_ms, &mut effects);
                self.carry_out_election(&mut effects, tree, now);
            }
            Phase::Connecting { leader, until_ms } if now.mono_ms >= *until_ms => {
                let leader = *leader;
                let error = "it does not answer within initLimit".to_owned();
                self.leave(Report::LeaderOutOfReach { leader, error }, out);
            }
            Phase::Connecting { .. } => {}
            Phase::InRole => self.tick_role(tree, now, out),
        }
    }

    fn tick_role(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let Some(ensemble) = &mut self.ensemble else { return };
        match &mut self.role {
            Role::Leading(leading) => {
                let mut effects = std::mem::take(&mut ensemble.leader_out);
                // Who is being sent a dump or a part of the log has nothing to say meanwhile.
                for key in leading.learners.being_sent() {
                    leading.control.heard(key, now.mono_ms);
                }
                leading.control.tick(now.mono_ms, &mut effects);
                for key in leading.learners.overfull() {
                    effects.push(LeaderEffect::Close { learner: key, why: zab::Parting::Lagging });
                }
                self.carry_out_leader(&mut effects, tree, now);
                self.finish_resignation(out);
            }
            Role::Learning(learning) => {
                let limit_ms = learning.silence_limit_ms(ensemble.settings.timing);
                let silent_ms = now.mono_ms - learning.heard_ms;
                // While the disk works, nothing is read, so nothing can be heard.
                let is_deaf =
                    (learning.is_busy && !learning.is_receiving_dump()) || self.core.pipeline.is_full();
                if silent_ms > limit_ms && !is_deaf {
                    let report = Report::LeaderSilent { leader: learning.leader, silent_ms };
                    return self.leave(report, out);
                }
                self.tick_observer_master(tree, now.mono_ms);
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    /// The time of [`Node::tick_ensemble`] that roles ask for.
    pub(super) fn role_tick_ms(&self) -> i64 {
        let Some(ensemble) = &self.ensemble else { return i64::MAX };
        match &self.role {
            Role::Leading(leading) => leading.control.next_tick_ms(),
            Role::Learning(learning) if learning.is_busy && !learning.is_receiving_dump() => i64::MAX,
            Role::Learning(learning) => {
                let limit_ms = learning.silence_limit_ms(ensemble.settings.timing);
                let observers_ms = learning.observers.as_ref().map_or(i64::MAX, |o| o.control.next_tick_ms());
                (learning.heard_ms + limit_ms + 1).min(observers_ms)
            }
            Role::Idle | Role::ReadOnly => i64::MAX,
        }
    }

    /// Gives up the present role, and looks for a leader once everything on its way has ended.
    pub(super) fn leave(&mut self, why: Report, out: &mut impl Outbound) {
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.effects.push(Effect::Report(why));
        let learners = match &self.role {
            Role::Leading(leading) => Some(leading.learners.keys()),
            Role::Learning(learning) => learning.observers.as_ref().map(|o| o.learners.keys()),
            Role::Idle | Role::ReadOnly => None,
        };
        if let Some(keys) = learners {
            ensemble.effects.extend(keys.into_iter().map(Effect::CloseLearner));
            ensemble.effects.push(Effect::StopListening);
        }
        match (&self.role, ensemble.phase) {
            (Role::Leading(_), _) => {}
            (Role::Learning(_), _) | (Role::Idle, Phase::Connecting { .. }) => {
                ensemble.effects.push(Effect::DisconnectFromLeader);
            }
            (Role::Idle | Role::ReadOnly, _) => {}
        }
        out.close_all();
        ensemble.effects.push(Effect::CloseClients);
        self.role = Role::Idle;
        ensemble.phase = Phase::Draining;
        self.core.waiting.clear();
        self.core.pipeline.drop_building();
        // Memory follows the log, committed or not.
        if has(Bug::MemoryBehindLog) {
            self.core.pipeline.forget_in_flight();
        }
        self.core.pipeline.set_committed(Zxid::MAX);
    }

    /// The process is ending: a member leaves its role, so that others need not find out that it is gone.
    pub fn stop(&mut self, out: &mut impl Outbound) {
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.is_stopping = true;
        self.leave(Report::Stopping, out);
    }

    /// The quorum port cannot be taken: another server must lead.
    pub fn cannot_lead(&mut self, error: &str, out: &mut impl Outbound) {
        if matches!(self.role, Role::Leading(_)) {
            self.leave(Report::CannotListen { error: error.to_owned() }, out);
        }
    }

    /// A task of the disk is done.
    pub fn disk_done(&mut self, done: DiskDone, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.tasks_running -= 1;
        match done {
            DiskDone::AcceptedEpoch(epoch) => {
                ensemble.epochs.accepted = epoch;
                self.accepted_epoch_saved(tree, now, out);
            }
            DiskDone::CurrentEpoch(epoch) => {
                ensemble.epochs.current = epoch;
                self.current_epoch_saved(tree, now, out);
            }
            DiskDone::Truncated(new) => self.adopt(new, true, tree, now, out),
            DiskDone::Installed(new) => {
                ensemble.wants_tree = false;
                self.adopt(new, false, tree, now, out);
            }
            DiskDone::Refused(error) => {
                ensemble.wants_tree = true;
                // What was to follow makes no sense any more.
                ensemble.tasks.clear();
                self.leave(Report::DoesNotFit { error }, out);
            }
        }
    }

    /// Whether clients are served.
    pub fn is_serving(&self) -> bool {
        match &self.role {
            Role::Idle => false,
            Role::ReadOnly => true,
            Role::Leading(leading) => leading.is_serving() && self.leader_serves(),
            Role::Learning(learning) => learning.is_serving(),
        }
    }

    pub(super) fn leader_serves(&self) -> bool {
        self.ensemble.as_ref().is_none_or(|e| e.settings.leader_serves)
    }

    pub(super) fn add_standing(&self, stats: &mut NodeStats) {
        let Some(ensemble) = &self.ensemble else { return };
        stats.standing = Some(match &self.role {
            Role::Idle | Role::ReadOnly => Standing::Looking,
            Role::Leading(_) => Standing::Leading,
            Role::Learning(learning) if learning.is_observer => Standing::Observing,
            Role::Learning(_) => Standing::Following,
        });
        stats.is_serving = self.is_serving();
        stats.is_read_only = matches!(self.role, Role::ReadOnly);
        stats.epochs = Some(ensemble.epochs);
        match &self.role {
            Role::Leading(leading) => {
                let count = |kind| leading.control.synced().filter(|(_, k)| *k == kind).count();
                stats.leader = Some(ensemble.settings.me);
                stats.learners = leading.control.learners().count();
                stats.synced_followers = count(LearnerKind::Follower);
                stats.synced_observers = count(LearnerKind::Observer);
                let broadcast = leading.control.broadcast();
                stats.proposals = (broadcast.last_proposed() - broadcast.committed()).max(0) as usize;
            }
            Role::Learning(learning) => {
                stats.leader = Some(learning.leader);
                stats.synced_observers = learning.observers.as_ref().map_or(0, |o| o.control.synced());
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    pub(super) fn is_config_due(&self) -> bool {
        self.ensemble.as_ref().is_some_and(|e| e.config_due)
    }

    /// What the configuration's znode shows is each member's own: it is written at the start and after every
    /// synchronisation, over what a file or the leader's dump had there.
    pub(super) fn write_config(&mut self, tree: &mut Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        if std::mem::take(&mut ensemble.config_due) {
            let version = ensemble.settings.view.version;
            tree.set_config(&ensemble.settings.config_text(version), version, now.wall_ms);
        }
    }

    /// The tree was replaced by one that stands on the disk.
    fn adopt(&mut self, new: Box<Tree>, truncated: bool, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let position = new.last_zxid();
        let keeps_window = true;
        self.core.pipeline = Pipeline::new(position, keeps_window);
        if let Role::Learning(learning) = &mut self.role {
            learning.dump = None;
            if truncated {
                learning.control.prepared();
                learning.is_busy = false;
            }
        }
        let Some(ensemble) = &mut self.ensemble else { return };
        ensemble.effects.push(Effect::Adopt(new));
        ensemble.config_due = true;
        if truncated {
            self.read_leader(tree, now, out);
        }
    }
}

impl Ensemble {
    fn notification(&self, message: &Message) -> Vec<u8> {
        let vote = message.vote;
        let state = match message.standing {
            Standing::Looking => ServerState::Looking,
            Standing::Following => ServerState::Following,
            Standing::Leading => ServerState::Leading,
            Standing::Observing => ServerState::Observing,
        };
        let config = self.settings.config_text(self.settings.view.version);
        let mut payload = Vec::new();
        let notification = Notification {
            state,
            leader: vote.leader,
            zxid: vote.zxid,
            round: vote.round,
            peer_epoch: vote.peer_epoch,
            version: NOTIFICATION_VERSION,
            config: Some(config.into()),
        };
        notification.encode(&mut payload);
        payload
    }
}

fn message(notification: &Notification<'_>) -> Message {
    let standing = match notification.state {
        ServerState::Looking => Standing::Looking,
        ServerState::Following => Standing::Following,
        ServerState::Leading => Standing::Leading,
        ServerState::Observing => Standing::Observing,
    };
    let version_line = notification.config.as_deref().and_then(|text| text.rsplit("version=").next());
    Message {
        standing,
        vote: Vote {
            leader: notification.leader,
            zxid: notification.zxid,
            round: notification.round,
            peer_epoch: notification.peer_epoch,
        },
        config_version: version_line.and_then(|v| i64::from_str_radix(v.trim(), 16).ok()).unwrap_or(0),
        version: notification.version,
    }
}
