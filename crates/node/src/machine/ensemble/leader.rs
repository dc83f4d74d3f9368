//! A leader's side of its learners' connections: what they send, and what the epoch's control asks for.

use super::{DiskTask, Effect, Located, Node, Report, Role};
use crate::limits::LEARNERS;
use crate::machine::Now;
use crate::machine::learners::Learners;
use crate::outbound::Outbound;
use tree::Tree;
use wire::DecodeError;
use wire::jute::Limits;
use wire::quorum::parts::{self, LearnerInfo, Request, Revalidate, Touches};
use wire::quorum::{Packet, PacketKind};
use zab::{Greeting, LeaderEffect, LearnerKey, LearnerKind, ServerId, Zxid, epoch_of, epoch_start};

impl Node {
    /// A connection of a learner. `false` if it is not wanted: close it.
    pub fn learner_connected(&mut self, key: LearnerKey, now: Now) -> bool {
        let Some(learners) = self.learners() else { return false };
        if learners.keys().len() >= LEARNERS {
            return false;
        }
        learners.connected(key);
        match &mut self.role {
            Role::Leading(leading) => leading.control.connected(key, now.mono_ms),
            Role::Learning(learning) => {
                if let Some(observers) = &mut learning.observers {
                    observers.control.connected(key, now.mono_ms);
                }
            }
            Role::Idle | Role::ReadOnly => {}
        }
        true
    }

    /// Those that this server keeps up to date, if it does that at all.
    pub(super) fn learners(&mut self) -> Option<&mut Learners> {
        match &mut self.role {
            Role::Leading(leading) => Some(&mut leading.learners),
            Role::Learning(learning) => learning.observers.as_mut().map(|observers| &mut observers.learners),
            Role::Idle | Role::ReadOnly => None,
        }
    }

    /// A learner's connection has ended.
    pub fn learner_gone(&mut self, key: LearnerKey) {
        let server = self.learner_server(key);
        let Some(ensemble) = &mut self.ensemble else { return };
        if matches!(self.role, Role::Idle | Role::ReadOnly) {
            return;
        }
        ensemble.effects.push(Effect::Report(Report::LearnerLeft { server }));
        self.forget_learner(key);
    }

    /// Whatever was known of it, for whoever knew it.
    pub(super) fn forget_learner(&mut self, key: LearnerKey) {
        match &mut self.role {
            Role::Leading(leading) => {
                leading.learners.gone(key);
                leading.control.gone(key);
            }
            Role::Learning(learning) => {
                if let Some(observers) = &mut learning.observers {
                    observers.learners.gone(key);
                    observers.control.gone(key);
                }
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    fn learner_server(&self, key: LearnerKey) -> Option<ServerId> {
        match &self.role {
            Role::Leading(leading) => leading.control.learner_server(key),
            Role::Learning(learning) => learning.observers.as_ref()?.control.server(key),
            Role::Idle | Role::ReadOnly => None,
        }
    }

    /// Bytes from a learner.
    pub fn learner_bytes(
        &mut self,
        key: LearnerKey,
        bytes: &[u8],
        tree: &Tree,
        now: Now,
        out: &mut impl Outbound,
    ) {
        match &mut self.role {
            Role::Leading(leading) => leading.control.heard(key, now.mono_ms),
            Role::Learning(learning) => {
                if let Some(observers) = &mut learning.observers {
                    observers.control.heard(key, now.mono_ms);
                }
            }
            Role::Idle | Role::ReadOnly => return,
        }
        let Some(kept) = self.learners().and_then(|learners| learners.inbound(key)) else { return };
        let mut inbound = std::mem::take(kept);
        inbound.extend_from_slice(bytes);
        let limits = Limits { field_bytes: self.core.settings.max_record };
        let mut used = 0;
        // Acknowledgements come in a row: only the last of a row needs to be counted.
        let mut acknowledged = None;
        let failed = loop {
            match Packet::split(&inbound[used..], limits) {
                Ok(Some((packet, n))) => {
                    used += n;
                    if packet.kind() == Some(PacketKind::Ack) {
                        match acknowledged {
                            Some(zxid)
                                if epoch_of(zxid) == epoch_of(packet.zxid)
                                    && packet.zxid > zxid
                                    && zxid & 0xffff_ffff != 0 => {}
                            Some(zxid) => self.acknowledged(key, zxid, tree, now),
                            None => {}
                        }
                        acknowledged = Some(packet.zxid);
                        continue;
                    }
                    if let Err(error) = self.learner_packet(key, &packet, tree, now, out) {
                        break Some(error);
                    }
                }
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        if let Some(zxid) = acknowledged {
            self.acknowledged(key, zxid, tree, now);
        }
        if let Some(error) = failed {
            return self.dismiss_unreadable(key, error);
        }
        inbound.drain(..used);
        if let Some(kept) = self.learners().and_then(|learners| learners.inbound(key)) {
            *kept = inbound;
        }
        self.finish_resignation(out);
    }

    fn dismiss_unreadable(&mut self, key: LearnerKey, error: DecodeError) {
        let server = self.learner_server(key);
        let Some(ensemble) = &mut self.ensemble else { return };
        let report = Report::LearnerUnreadable { server, error: error.to_string() };
        ensemble.effects.push(Effect::Report(report));
        ensemble.effects.push(Effect::CloseLearner(key));
        self.learner_gone(key);
    }

    fn acknowledged(&mut self, key: LearnerKey, zxid: Zxid, tree: &Tree, now: Now) {
        let (Role::Leading(leading), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else {
            return self.observer_acknowledged(key, zxid, tree);
        };
        let mut effects = std::mem::take(&mut ensemble.leader_out);
        let committed = leading.control.acknowledged(key, zxid, now.mono_ms, &mut effects);
        // The epoch may have begun by this very packet; then nothing is committed yet.
        if effects.is_empty() {
            leading.announce(&mut self.core, committed);
        }
        self.carry_out_leader(&mut effects, tree, now);
    }

    /// One packet of a learner, but for acknowledgements.
    fn learner_packet(
        &mut self,
        key: LearnerKey,
        packet: &Packet<'_>,
        tree: &Tree,
        now: Now,
        out: &mut impl Outbound,
    ) -> Result<(), DecodeError> {
        let (Role::Leading(leading), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else {
            return self.observer_packet(key, packet, tree);
        };
        let mut effects = std::mem::take(&mut ensemble.leader_out);
        match packet.kind() {
            Some(PacketKind::FollowerInfo) => {
                let greeting = greeting(packet, LearnerKind::Follower)?;
                if greeting.config_version.is_none() {
                    ensemble.effects.push(Effect::Report(Report::OldLearner { server: greeting.server }));
                }
                leading.control.greeted(key, greeting, &mut effects);
                let server = leading.control.learner_server(key).unwrap_or(0);
                leading.learners.introduce(key, LearnerKind::Follower, server);
            }
            Some(PacketKind::ObserverInfo) => {
                let greeting = greeting(packet, LearnerKind::Observer)?;
                leading.control.greeted(key, greeting, &mut effects);
                let server = leading.control.learner_server(key).unwrap_or(0);
                leading.learners.introduce(key, LearnerKind::Observer, server);
            }
            Some(PacketKind::AckEpoch) => {
                let current = parts::ack_epoch(packet.required_data()?)?;
                let current = (current != -1).then_some(i64::from(current));
                leading.control.epoch_acknowledged(key, current, packet.zxid, &mut effects);
            }
            Some(PacketKind::Request) if leading.is_serving() => {
                let request = Request::decode(packet.required_data()?)?;
                leading.learner_request(&mut self.core, tree, now, key, &request, packet.auth)?;
            }
            Some(PacketKind::Revalidate) if leading.is_serving() => {
                let asked = Revalidate::decode(packet.required_data()?)?;
                if let Some(former) = leading.revalidate(&mut self.core, now, key, &asked) {
                    out.close(former, None);
                }
            }
            Some(PacketKind::Ping) => {
                leading.touched(&self.core, Touches::decode(packet.required_data()?)?, now);
            }
            // A learner that takes itself for up to date while this leader does not serve: it will be told.
            Some(PacketKind::Request | PacketKind::Revalidate) => {}
            Some(
                PacketKind::Ack
                | PacketKind::Proposal
                | PacketKind::Commit
                | PacketKind::Sync
                | PacketKind::Inform
                | PacketKind::CommitAndActivate
                | PacketKind::NewLeader
                | PacketKind::UpToDate
                | PacketKind::Diff
                | PacketKind::Trunc
                | PacketKind::Snap
                | PacketKind::LeaderInfo
                | PacketKind::InformAndActivate,
            )
            | None => {}
        }
        self.carry_out_leader(&mut effects, tree, now);
        Ok(())
    }

    pub(super) fn carry_out_leader(&mut self, effects: &mut Vec<LeaderEffect>, tree: &Tree, now: Now) {
        for effect in std::mem::take(effects) {
            let (Role::Leading(leading), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else {
                return;
            };
            match effect {
                LeaderEffect::SaveAcceptedEpoch(epoch) => {
                    ensemble.tasks.push_back(DiskTask::SaveAcceptedEpoch(epoch));
                }
                LeaderEffect::SaveCurrentEpoch(epoch) => {
                    leading.learners.config =
                        ensemble.told_config(epoch, self.core.settings.reconfig_enabled);
                    ensemble.tasks.push_back(DiskTask::SaveCurrentEpoch(epoch));
                }
                LeaderEffect::SendLeaderInfo { .. }
                | LeaderEffect::Synchronize { .. }
                | LeaderEffect::SendUpToDate { .. }
                | LeaderEffect::PingAll => {
                    let last = leading.control.broadcast().last_proposed();
                    let source = leading.source(&self.core, tree, ensemble.settings.force_snapshot_sync);
                    leading.learners.obey(&effect, &source, last, &mut ensemble.effects);
                }
                LeaderEffect::Established { epoch } => {
                    ensemble.effects.push(Effect::Report(Report::Established { epoch }));
                    ensemble.election.synced(epoch);
                    leading.learners.begin_announcing(epoch_start(epoch));
                    leading.begin(&mut self.core, tree, now);
                }
                LeaderEffect::Close { learner, why } => {
                    let server = leading.control.learner_server(learner);
                    ensemble.effects.push(Effect::Report(Report::LearnerDismissed { server, why }));
                    ensemble.effects.push(Effect::CloseLearner(learner));
                    self.forget_learner(learner);
                }
                LeaderEffect::Resign { why } => ensemble.resigned = Some(why),
            }
        }
        if let Some(ensemble) = &mut self.ensemble {
            effects.clear();
            ensemble.leader_out = std::mem::take(effects);
        }
    }

    /// A leader that has lost its ground gives up its role.
    pub(super) fn finish_resignation(&mut self, out: &mut impl Outbound) {
        let why = self.ensemble.as_mut().and_then(|e| e.resigned.take());
        if let Some(why) = why {
            self.leave(Report::Resigned { why }, out);
        }
    }

    /// The log was searched for a learner's last transaction. `None`: it is not there, or too far back.
    pub fn located(&mut self, key: LearnerKey, located: Option<Located>, tree: &Tree) {
        let Some(ensemble) = &mut self.ensemble else { return };
        match &mut self.role {
            Role::Leading(leading) => {
                let source = leading.source(&self.core, tree, false);
                leading.learners.located(&source, key, located, &mut ensemble.effects);
            }
            Role::Learning(learning) => {
                let Some(observers) = &mut learning.observers else { return };
                let source = observers.source(&self.core, tree, false);
                observers.learners.located(&source, key, located, &mut ensemble.effects);
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }

    /// A learner was sent everything up to `through`, by a dump or from the log.
    pub fn streamed(&mut self, key: LearnerKey, through: Zxid, tree: &Tree, now: Now) {
        let Some(ensemble) = &mut self.ensemble else { return };
        match &mut self.role {
            Role::Leading(leading) => {
                leading.control.heard(key, now.mono_ms);
                let source = leading.source(&self.core, tree, false);
                leading.learners.catch_up(&source, key, through, &mut ensemble.effects);
            }
            Role::Learning(learning) => {
                let Some(observers) = &mut learning.observers else { return };
                observers.control.heard(key, now.mono_ms);
                let source = observers.source(&self.core, tree, false);
                observers.learners.catch_up(&source, key, through, &mut ensemble.effects);
            }
            Role::Idle | Role::ReadOnly => {}
        }
    }
}

pub(super) fn greeting(packet: &Packet<'_>, kind: LearnerKind) -> Result<Greeting, DecodeError> {
    let info = LearnerInfo::decode(packet.data)?;
    Ok(Greeting {
        kind,
        server: info.map(|i| i.sid),
        accepted_epoch: epoch_of(packet.zxid),
        protocol: info.map_or(wire::quorum::PROTOCOL_VERSION, |i| i.protocol_version),
        config_version: info.and_then(|i| i.config_version),
    })
}
