//! A follower's side of its observers' connections: what they send, and what their control asks for.

use super::leader::greeting;
use super::{Effect, Node, Report, Role};
use crate::machine::learning::Observers;
use tree::Tree;
use wire::DecodeError;
use wire::quorum::parts::{Request, Revalidate, Touches};
use wire::quorum::{Packet, PacketKind};
use zab::{LeaderEffect, LearnerKey, LearnerKind, ObserverMaster, Zxid};

impl Node {
    /// This follower is up to date: observers may follow it, if the operator wants that.
    pub(super) fn begin_observer_master(&mut self, now_ms: i64) {
        let (Role::Learning(learning), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else { return };
        if learning.is_observer || !ensemble.settings.is_observer_master {
            return;
        }
        let (settings, epoch) = (&ensemble.settings, learning.control.epoch());
        let control = ObserverMaster::new(epoch, settings.view.version, settings.timing, now_ms);
        let position = self.core.pipeline.committed().min(self.core.pipeline.handed());
        let config = settings.config_text(settings.view.version);
        learning.observers = Some(Box::new(Observers::new(control, position, config)));
        ensemble.effects.push(Effect::ListenForObservers);
    }

    pub(super) fn observer_acknowledged(&mut self, key: LearnerKey, zxid: Zxid, tree: &Tree) {
        let Role::Learning(learning) = &mut self.role else { return };
        let Some(observers) = &mut learning.observers else { return };
        let mut effects = Vec::new();
        observers.control.acknowledged(key, zxid, &mut effects);
        self.carry_out_observer_master(effects, tree);
    }

    /// One packet of an observer, but for acknowledgements.
    pub(super) fn observer_packet(
        &mut self,
        key: LearnerKey,
        packet: &Packet<'_>,
        tree: &Tree,
    ) -> Result<(), DecodeError> {
        let Role::Learning(learning) = &mut self.role else { return Ok(()) };
        let Some(observers) = &mut learning.observers else { return Ok(()) };
        let mut effects = Vec::new();
        match packet.kind() {
            Some(kind @ (PacketKind::ObserverInfo | PacketKind::FollowerInfo)) => {
                let is_observer = kind == PacketKind::ObserverInfo;
                let kind = if is_observer { LearnerKind::Observer } else { LearnerKind::Follower };
                observers.control.greeted(key, greeting(packet, kind)?, &mut effects);
                observers.learners.introduce(key, kind, observers.control.server(key).unwrap_or(0));
            }
            Some(PacketKind::AckEpoch) => {
                let committed = observers.learners.announced().max(tree.last_zxid());
                observers.control.epoch_acknowledged(key, packet.zxid, committed, &mut effects);
            }
            Some(PacketKind::Request) => {
                let request = Request::decode(packet.required_data()?)?;
                learning.forward_for(key, &request, packet.auth);
            }
            Some(PacketKind::Revalidate) => {
                learning.revalidate_for(key, &Revalidate::decode(packet.required_data()?)?);
            }
            Some(PacketKind::Ping) => observers.touched(Touches::decode(packet.required_data()?)?),
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
        self.carry_out_observer_master(effects, tree);
        Ok(())
    }

    pub(super) fn tick_observer_master(&mut self, tree: &Tree, now_ms: i64) {
        let Role::Learning(learning) = &mut self.role else { return };
        let Some(observers) = &mut learning.observers else { return };
        let mut effects = Vec::new();
        for key in observers.learners.being_sent() {
            observers.control.heard(key, now_ms);
        }
        observers.control.tick(now_ms, &mut effects);
        for learner in observers.learners.overfull() {
            effects.push(LeaderEffect::Close { learner, why: zab::Parting::Lagging });
        }
        self.carry_out_observer_master(effects, tree);
    }

    fn carry_out_observer_master(&mut self, effects: Vec<LeaderEffect>, tree: &Tree) {
        for effect in effects {
            let (Role::Learning(learning), Some(ensemble)) = (&mut self.role, &mut self.ensemble) else {
                return;
            };
            let Some(observers) = &mut learning.observers else { return };
            if let LeaderEffect::Close { learner, why } = effect {
                let server = observers.control.server(learner);
                ensemble.effects.push(Effect::Report(Report::LearnerDismissed { server, why }));
                ensemble.effects.push(Effect::CloseLearner(learner));
                self.forget_learner(learner);
                continue;
            }
            let last = self.core.pipeline.handed();
            let source = observers.source(&self.core, tree, ensemble.settings.force_snapshot_sync);
            observers.learners.obey(&effect, &source, last, &mut ensemble.effects);
        }
    }
}
