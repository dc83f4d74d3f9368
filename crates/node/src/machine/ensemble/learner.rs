//! A learner's side of the connection to its leader.

use super::{DiskTask, Effect, Node, Phase, Report, Role};
use crate::machine::Now;
use crate::machine::learning::{Dump, Learning};
use crate::machine::pipeline::Pipeline;
use crate::outbound::Outbound;
use planted::{Bug, has};
use tree::Tree;
use wire::jute::Limits;
use wire::quorum::parts::{self, LearnerInfo, Revalidated};
use wire::quorum::{Packet, PacketKind, send};
use wire::txn::{CreateKind, Txn, TxnRecord};
use zab::{Learner, ServerId, Step, Zxid, epoch_start};

const NO_TTL: &str = "it makes a TTL znode, but zookeeper.extendedTypesEnabled is not true here: it must be set alike on \
                      all members";

impl Node {
    /// The connection that [`Effect::ConnectToLeader`] asked for stands.
    pub fn leader_connected(&mut self, tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        let Phase::Connecting { leader, .. } = ensemble.phase else { return };
        ensemble.phase = Phase::InRole;
        let epochs = ensemble.epochs;
        let is_observer = ensemble.settings.is_observer;
        let control = Learner::new(epochs.accepted, epochs.current, tree.last_zxid(), is_observer);
        let mut learning = Learning::new(control, leader, is_observer, now.mono_ms);
        let info = LearnerInfo::new(ensemble.settings.me, ensemble.settings.view.version);
        if is_observer {
            send::observer_info(&mut learning.out, epochs.accepted as i32, &info);
        } else {
            send::follower_info(&mut learning.out, epochs.accepted as i32, &info);
        }
        self.role = Role::Learning(Box::new(learning));
    }

    /// The connection to the leader has ended, or could not be made.
    pub fn leader_gone(&mut self, error: &str, out: &mut impl Outbound) {
        let Some(ensemble) = &self.ensemble else { return };
        let report = match (&self.role, ensemble.phase) {
            (Role::Learning(learning), _) => {
                Report::LeaderGone { leader: learning.leader, error: error.to_owned() }
            }
            (Role::Idle, Phase::Connecting { leader, .. }) => {
                Report::LeaderOutOfReach { leader, error: error.to_owned() }
            }
            (Role::Idle | Role::ReadOnly | Role::Leading(_), _) => return,
        };
        self.leave(report, out);
    }

    /// Bytes from the leader.
    pub fn leader_bytes(&mut self, bytes: &[u8], tree: &Tree, now: Now, out: &mut impl Outbound) {
        let Role::Learning(learning) = &mut self.role else { return };
        learning.heard_ms = now.mono_ms;
        learning.inbound.extend_from_slice(bytes);
        self.read_leader(tree, now, out);
    }

    /// Whether the shell should read from the leader's connection: what has come can be handled.
    pub fn wants_leader_bytes(&self) -> bool {
        match &self.role {
            Role::Learning(learning) => !learning.is_busy && !self.core.pipeline.is_full(),
            Role::Idle | Role::ReadOnly | Role::Leading(_) => false,
        }
    }

    pub(super) fn read_leader(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let Role::Learning(learning) = &mut self.role else { return };
        let mut inbound = std::mem::take(&mut learning.inbound);
        let limits = Limits { field_bytes: self.core.settings.max_record };
        let mut used = 0;
        let failed = loop {
            let Role::Learning(learning) = &mut self.role else { return };
            if learning.is_busy {
                break None;
            }
            match Packet::split(&inbound[used..], limits) {
                Ok(Some((packet, n))) => {
                    used += n;
                    if let Err(report) = self.leader_packet(&packet, limits, now, out) {
                        break Some(report);
                    }
                    if matches!(packet.kind(), Some(PacketKind::Snap)) {
                        self.hand_over_dump(packet.zxid, inbound.split_off(used));
                    }
                }
                Ok(None) => break None,
                Err(error) => {
                    let report =
                        Report::LeaderUnreadable { leader: learning.leader, error: error.to_string() };
                    break Some(report);
                }
            }
        };
        if let Some(report) = failed {
            return self.leave(report, out);
        }
        inbound.drain(..used);
        if let Role::Learning(learning) = &mut self.role {
            // What came meanwhile stands behind.
            inbound.append(&mut learning.inbound);
            learning.inbound = inbound;
        }
        if let Role::Learning(learning) = &mut self.role {
            learning.inform_observers(&self.core);
        }
        self.begin_serving(tree, now);
        // A sync may be answered with nothing to apply.
        self.core.answer_ready(tree, now, out);
    }

    fn hand_over_dump(&mut self, zxid: Zxid, bytes: Vec<u8>) {
        if let (Role::Learning(_), Some(ensemble)) = (&self.role, &mut self.ensemble) {
            ensemble.effects.push(Effect::ReceiveDump { zxid, bytes });
        }
    }

    fn leader_packet(
        &mut self,
        packet: &Packet<'_>,
        limits: Limits,
        now: Now,
        out: &mut impl Outbound,
    ) -> Result<(), Report> {
        let (Role::Learning(learning), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else {
            return Ok(());
        };
        let leader = learning.leader;
        // Unknown kinds are passed over, as by every release.
        let Some(kind) = packet.kind() else { return Ok(()) };
        let step = learning
            .control
            .packet(kind, packet.zxid)
            .map_err(|violation| Report::LeaderViolates { leader, violation })?;
        let unreadable =
            |error: wire::DecodeError| Report::LeaderUnreadable { leader, error: error.to_string() };
        match step {
            Step::Nothing | Step::Keep => {}
            Step::SaveAcceptedEpoch(epoch) => {
                learning.is_busy = true;
                ensemble.tasks.push_back(DiskTask::SaveAcceptedEpoch(epoch));
            }
            Step::SendAckEpoch { current } => {
                let last = if ensemble.wants_tree { 0 } else { self.core.pipeline.durable() };
                send::ack_epoch(&mut learning.out, current.map(|e| e as i32), last);
            }
            Step::Truncate { keep } => {
                learning.is_busy = true;
                ensemble.tasks.push_back(DiskTask::Truncate { keep });
            }
            Step::Load { .. } => {
                learning.is_busy = true;
                learning.dump = Some(Dump::Arriving);
            }
            Step::Hold => {
                let payload = self.checked_record(kind, packet, limits)?.to_vec();
                if let Role::Learning(learning) = &mut self.role {
                    learning.held.push_back((packet.zxid, payload));
                }
            }
            Step::CommitHeld => {
                if let Some((zxid, payload)) = learning.held.pop_front() {
                    self.accept_committed(zxid, &payload, limits);
                }
            }
            Step::Inform => {
                let payload = self.checked_record(kind, packet, limits)?;
                self.accept_committed(packet.zxid, payload, limits);
            }
            Step::Propose => {
                let payload = self.checked_record(kind, packet, limits)?;
                self.core.pipeline.append(packet.zxid, payload);
            }
            Step::Commit => self.core.pipeline.set_committed(packet.zxid),
            Step::SaveHistory { epoch } => self.save_history(epoch, limits),
            Step::Serve { epoch } => learning.up_to_date(&mut self.core, epoch),
            Step::AnswerPing => learning.answer_ping(&self.core, packet.zxid, now),
            Step::AnswerRevalidate => {
                let answer = packet.required_data().and_then(Revalidated::decode).map_err(unreadable)?;
                learning.revalidated(&mut self.core, answer, now, out);
            }
            Step::AnswerSync => learning.synced(&mut self.core),
        }
        Ok(())
    }

    /// NEWLEADER: what came so far must be durable, and then the epoch.
    fn save_history(&mut self, epoch: i64, limits: Limits) {
        let (Role::Learning(learning), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else { return };
        if has(Bug::NewLeaderAckedBeforeHistory) {
            send::ack(&mut learning.out, epoch_start(epoch));
        }
        if has(Bug::CurrentEpochBeforeLog) {
            ensemble.tasks.push_front(DiskTask::SaveCurrentEpoch(epoch));
        }
        learning.is_busy = true;
        if let Some(Dump::Loaded(tree)) = learning.dump.take() {
            if has(Bug::SnapNotInstalled) {
                self.core.pipeline = Pipeline::new(tree.last_zxid(), true);
                ensemble.effects.push(Effect::Adopt(tree));
            } else {
                ensemble.tasks.push_back(DiskTask::Install(tree));
            }
        }
        if !has(Bug::CurrentEpochBeforeLog) {
            ensemble.tasks.push_back(DiskTask::SaveCurrentEpoch(epoch));
        }
        if has(Bug::HeldAppliedAtNewLeader) {
            self.apply_held(limits);
        }
    }

    /// The record in a packet, if this server can apply it: what cannot be read must never be logged.
    fn checked_record<'p>(
        &self,
        kind: PacketKind,
        packet: &Packet<'p>,
        limits: Limits,
    ) -> Result<&'p [u8], Report> {
        let Role::Learning(learning) = &self.role else { return Ok(&[]) };
        let bad = |error: wire::DecodeError| Report::BadRecord {
            leader: learning.leader,
            zxid: packet.zxid,
            error: error.to_string(),
        };
        let data = packet.required_data().map_err(bad)?;
        let payload = match kind {
            PacketKind::InformAndActivate => parts::inform_and_activate(data).map_err(bad)?.1,
            _ => data,
        };
        let record =
            TxnRecord::decode(payload, Limits { field_bytes: limits.field_bytes.max(payload.len()) })
                .map_err(bad)?;
        if record.header.zxid != packet.zxid {
            let error = format!("its header says {:#x}", record.header.zxid);
            return Err(Report::BadRecord { leader: learning.leader, zxid: packet.zxid, error });
        }
        self.check_txn(learning.leader, &record)?;
        Ok(payload)
    }

    /// Whether this server may log the transaction: its next start must be able to read it, and it must not change who
    /// the members are behind this server's back.
    fn check_txn(&self, leader: ServerId, record: &TxnRecord<'_>) -> Result<(), Report> {
        let zxid = record.header.zxid;
        let refuse = |error: &str| Err(Report::BadRecord { leader, zxid, error: error.to_owned() });
        let extended = self.core.settings.owners.extended_types;
        let is_ttl = |txn: &Txn<'_>| {
            matches!(txn, Txn::Create(create) if matches!(create.kind, CreateKind::Ttl { .. })) && !extended
        };
        match &record.txn {
            Txn::Check { .. } => refuse("a check stands only inside a multi (ZOOKEEPER-2623)"),
            Txn::SetData { reconfig: true, data, .. } => {
                let text = String::from_utf8_lossy(data.unwrap_or_default()).into_owned();
                match self.ensemble.as_ref().is_some_and(|e| e.settings.has_members(&text)) {
                    true => Ok(()),
                    false => Err(Report::Reconfigured { leader, members: text.replace('\n', "  ") }),
                }
            }
            Txn::Multi(multi) if multi.txns().flatten().any(|txn| is_ttl(&txn)) => refuse(NO_TTL),
            txn if is_ttl(txn) => refuse(NO_TTL),
            _ => Ok(()),
        }
    }

    /// What nobody has said is committed.
    fn apply_held(&mut self, limits: Limits) {
        let Role::Learning(learning) = &mut self.role else { return };
        for (zxid, payload) in std::mem::take(&mut learning.held) {
            self.accept_committed(zxid, &payload, limits);
        }
    }

    /// A transaction that is committed, while this server is being brought up to date, or an observer's.
    fn accept_committed(&mut self, zxid: Zxid, payload: &[u8], limits: Limits) {
        if let Role::Learning(learning) = &mut self.role
            && let Some(Dump::Loaded(tree)) = &mut learning.dump
        {
            let limits = Limits { field_bytes: limits.field_bytes.max(payload.len()) };
            if let Ok(record) = TxnRecord::decode(payload, limits) {
                tree.reapply(&record);
            }
            return;
        }
        self.core.pipeline.append(zxid, payload);
        self.core.pipeline.set_committed(zxid);
    }

    pub(super) fn accepted_epoch_saved(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        match &mut self.role {
            Role::Leading(leading) => {
                let Some(ensemble) = &mut self.ensemble else { return };
                let mut effects = std::mem::take(&mut ensemble.leader_out);
                leading.control.accepted_epoch_saved(now.mono_ms, &mut effects);
                self.carry_out_leader(&mut effects, tree, now);
            }
            Role::Learning(learning) => {
                if let Step::SendAckEpoch { current } = learning.control.accepted_epoch_saved() {
                    let wants_tree = self.ensemble.as_ref().is_some_and(|e| e.wants_tree);
                    let last = if wants_tree { 0 } else { self.core.pipeline.durable() };
                    send::ack_epoch(&mut learning.out, current.map(|e| e as i32), last);
                }
                learning.is_busy = false;
                self.read_leader(tree, now, out);
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    pub(super) fn current_epoch_saved(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        match &mut self.role {
            Role::Leading(leading) => {
                let Some(ensemble) = &mut self.ensemble else { return };
                let mut effects = std::mem::take(&mut ensemble.leader_out);
                leading.control.current_epoch_saved(now.mono_ms, &mut effects);
                self.carry_out_leader(&mut effects, tree, now);
            }
            Role::Learning(learning) => {
                learning.control.history_saved();
                learning.history_acknowledged(&self.core);
                send::ack(&mut learning.out, epoch_start(learning.control.epoch()));
                learning.is_busy = false;
                self.read_leader(tree, now, out);
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    /// The dump is read to its end; `rest` stands behind it.
    pub fn dump_received(
        &mut self,
        loaded: Box<Tree>,
        rest: &[u8],
        tree: &Tree,
        now: Now,
        out: &mut impl Outbound,
    ) {
        let Role::Learning(learning) = &mut self.role else { return };
        learning.heard_ms = now.mono_ms;
        learning.dump = Some(Dump::Loaded(loaded));
        learning.control.prepared();
        learning.is_busy = false;
        learning.inbound.extend_from_slice(rest);
        self.read_leader(tree, now, out);
    }

    /// Whether the bytes that come from the leader are a dump's.
    pub fn is_receiving_dump(&self) -> bool {
        matches!(&self.role, Role::Learning(l) if matches!(l.dump, Some(Dump::Arriving)))
    }

    /// More of a dump has come: the leader is alive.
    pub fn dump_progress(&mut self, now: Now) {
        if let Role::Learning(learning) = &mut self.role {
            learning.heard_ms = now.mono_ms;
        }
    }

    /// UPTODATE came: clients are served from now on.
    fn begin_serving(&mut self, tree: &Tree, now: Now) {
        let (Role::Learning(learning), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else { return };
        if !std::mem::take(&mut learning.begins_serving) {
            return;
        }
        let epoch = learning.control.epoch();
        learning.begin(&mut self.core, tree, now);
        if has(Bug::SyncLeavesHoleInMemory) {
            self.core.pipeline.forget_window();
        }
        ensemble.election.synced(epoch);
        ensemble.config_due = true;
        ensemble.effects.push(Effect::Report(Report::Serving { leader: learning.leader, epoch }));
        self.begin_observer_master(now.mono_ms);
    }
}
