//! The quorum port: connections between a leader and its learners, and what the node asks of them.

use super::running::{Input, Local, Running};
use super::streams::Job;
use super::{host, sid};
use crate::check::{packets, sessions};
use crate::run::recover_options;
use crate::world::net::{Parcel, Port, WireId};
use crate::world::stage::Stage;
use journal::DumpDecoder;
use node::{Effect, Peer};
use std::collections::BTreeMap;
use wire::OpCode;
use wire::jute::Limits;
use wire::quorum::parts::{Request, Revalidate, Touches};
use wire::quorum::{Packet, PacketKind};
use zab::LearnerKey;

/// How often to try to reach a leader: a few times in quick succession, then with a pause between.
const QUICK_TRIES: u32 = 10;
const TRIES: u32 = QUICK_TRIES + 5;
const QUICK_RETRY_US: u64 = 5_000;
const RETRY_US: u64 = 100_000;

/// A learner's connection.
pub(super) struct Learner {
    pub wire: WireId,
    /// A stream sends at present.
    pub is_lent: bool,
    /// What came and is not a whole packet: for the rules.
    overheard: Vec<u8>,
}

/// The connection to the leader.
struct Leader {
    wire: WireId,
    unread: Vec<u8>,
    ended: bool,
}

struct Dial {
    attempt: u64,
    leader: i64,
    port: Port,
    wire: WireId,
    tries: u32,
    until_us: u64,
}

#[derive(Default)]
pub(super) struct Peers {
    /// The port on which learners are taken.
    listening: Option<Port>,
    pub learners: BTreeMap<LearnerKey, Learner>,
    next_learner: LearnerKey,
    leader: Option<Leader>,
    /// Attempts to reach a leader; answers to former ones are of no interest.
    attempt: u64,
    dial: Option<Dial>,
    dump: Option<(DumpDecoder, i64, Vec<u8>)>,
}

impl Peers {
    fn key_of(&self, wire: WireId) -> Option<LearnerKey> {
        self.learners.iter().find(|(_, l)| l.wire == wire).map(|(key, _)| *key)
    }
}

impl Running {
    /// The side of a leader, or of a follower that observers follow.
    pub fn learner_parcel(&mut self, wire: WireId, port: Port, parcel: Parcel, stage: &mut Stage) {
        let now = self.now(stage);
        match parcel {
            Parcel::Knock => {
                let key = self.peers.next_learner;
                if self.peers.listening != Some(port) || !self.node.learner_connected(key, now) {
                    return stage.refuse(wire);
                }
                self.peers.next_learner += 1;
                self.peers.learners.insert(key, Learner { wire, is_lent: false, overheard: Vec::new() });
                stage.accept(wire);
            }
            Parcel::Bytes(bytes) => {
                let Some(key) = self.peers.key_of(wire) else { return };
                self.overhear(key, &bytes, stage);
                self.node.learner_bytes(key, &bytes, &self.tree, now, &mut self.outbox);
            }
            Parcel::End => {
                let Some(key) = self.peers.key_of(wire) else { return };
                self.peers.learners.remove(&key);
                self.node.learner_gone(key);
            }
            Parcel::Accepted => {}
        }
    }

    /// Notes of which sessions a leader hears.
    fn overhear(&mut self, key: LearnerKey, bytes: &[u8], stage: &mut Stage) {
        let now_ms = stage.now_ms();
        let Some(learner) = self.peers.learners.get_mut(&key) else { return };
        learner.overheard.extend_from_slice(bytes);
        let mut used = 0;
        while let Ok(Some((packet, n))) = Packet::split(&learner.overheard[used..], Limits::default()) {
            used += n;
            let data = packet.data.unwrap_or_default();
            let mut heard = |session| sessions::heard(&mut stage.truth, self.index, session, now_ms);
            match packet.kind() {
                Some(PacketKind::Ping) => {
                    if let Ok(touches) = Touches::decode(data) {
                        touches.for_each(|(session, _)| heard(session));
                    }
                }
                Some(PacketKind::Revalidate) => {
                    if let Ok(asked) = Revalidate::decode(data) {
                        heard(asked.session_id);
                    }
                }
                Some(PacketKind::Request) => {
                    if let Ok(request) = Request::decode(data)
                        && request.op == OpCode::CreateSession.code()
                    {
                        heard(request.session_id);
                    }
                }
                _ => {}
            }
        }
        learner.overheard.drain(..used);
    }

    /// A learner's side.
    pub fn leader_parcel(&mut self, wire: WireId, parcel: Parcel, stage: &mut Stage) {
        if let Some(leader) = self.peers.leader.as_mut().filter(|l| l.wire == wire) {
            match parcel {
                Parcel::Bytes(bytes) => leader.unread.extend_from_slice(&bytes),
                Parcel::End => leader.ended = true,
                Parcel::Knock | Parcel::Accepted => {}
            }
            return;
        }
        let Some(dial) = self.peers.dial.as_mut().filter(|d| d.wire == wire) else {
            if matches!(parcel, Parcel::Accepted) {
                stage.close(wire, 0);
            }
            return;
        };
        let attempt = dial.attempt;
        match parcel {
            Parcel::Accepted => {
                self.peers.dial = None;
                self.post(Input::Connected(attempt, Some(wire)), stage);
            }
            Parcel::End if dial.tries < TRIES => {
                let us = if dial.tries < QUICK_TRIES { QUICK_RETRY_US } else { RETRY_US };
                self.later(us, Local::Redial(attempt), stage);
            }
            Parcel::End => {
                self.peers.dial = None;
                self.post(Input::Connected(attempt, None), stage);
            }
            Parcel::Knock | Parcel::Bytes(_) => {}
        }
    }

    pub fn redial(&mut self, attempt: u64, stage: &mut Stage) {
        let index = self.index;
        let Some(dial) = self.peers.dial.as_mut().filter(|d| d.attempt == attempt) else { return };
        if stage.now_us < dial.until_us {
            dial.tries += 1;
            if dial.port == Port::Observers {
                dial.leader = sid(stage.rng.index(self.plan.voters));
            }
            dial.wire = stage.connect(index, host(dial.leader), dial.port);
        }
    }

    /// The time for an attempt is over.
    pub fn dial_late(&mut self, attempt: u64, stage: &mut Stage) {
        if let Some(dial) = self.peers.dial.take_if(|d| d.attempt == attempt) {
            stage.close(dial.wire, 0);
            self.post(Input::Connected(attempt, None), stage);
        }
    }

    pub fn leader_dialed(&mut self, attempt: u64, wire: Option<WireId>, stage: &mut Stage) {
        if attempt != self.peers.attempt {
            if let Some(wire) = wire {
                stage.close(wire, 0);
            }
            return;
        }
        match wire {
            Some(wire) => {
                self.peers.leader =
                    Some(Leader { wire, unread: Vec::new(), ended: !stage.net.is_open(wire, 0) });
                let now = self.now(stage);
                self.node.leader_connected(&self.tree, now);
            }
            None => self.node.leader_gone("no answer", &mut self.outbox),
        }
    }

    /// Reads from the leader what the node wants to have; whether there was anything.
    pub fn read_on(&mut self, stage: &mut Stage) -> bool {
        let wanted = self.node.wants_leader_bytes() || self.peers.dump.is_some();
        let Some(leader) = self.peers.leader.as_mut().filter(|l| wanted && (l.ended || !l.unread.is_empty()))
        else {
            return false;
        };
        let bytes = std::mem::take(&mut leader.unread);
        let now = self.now(stage);
        let mut failed = None;
        if self.peers.dump.is_some() {
            self.node.dump_progress(now);
            failed = self.feed_dump(&bytes, stage).err();
        } else if !bytes.is_empty() {
            self.node.leader_bytes(&bytes, &self.tree, now, &mut self.outbox);
        }
        if failed.is_none() && self.peers.leader.as_ref().is_some_and(|l| l.ended) {
            failed = Some("the other side closed it".to_owned());
        }
        if let Some(error) = failed {
            self.drop_leader(stage);
            self.node.leader_gone(&error, &mut self.outbox);
        }
        true
    }

    fn drop_leader(&mut self, stage: &mut Stage) {
        self.peers.dump = None;
        if let Some(leader) = self.peers.leader.take() {
            stage.close(leader.wire, 0);
        }
    }

    fn feed_dump(&mut self, bytes: &[u8], stage: &mut Stage) -> Result<(), String> {
        let Some((decoder, _, kept)) = &mut self.peers.dump else { return Ok(()) };
        kept.extend_from_slice(bytes);
        let fed = decoder.feed(kept).map_err(|e| e.to_string())?;
        kept.drain(..fed.used);
        if !fed.done {
            return Ok(());
        }
        let Some((decoder, zxid, rest)) = self.peers.dump.take() else { return Ok(()) };
        let loaded = decoder.finish(zxid).map_err(|e| e.to_string())?;
        let now = self.now(stage);
        self.node.dump_received(Box::new(loaded), &rest, &self.tree, now, &mut self.outbox);
        Ok(())
    }

    /// What the node asks for, as far as peers are concerned.
    pub fn peer_effect(&mut self, effect: Effect, stage: &mut Stage) {
        match effect {
            Effect::Notify { to, payload } => self.vote_send(to, payload, stage),
            Effect::ReconnectPeers => self.vote_connect_all(stage),
            Effect::ConnectToLeader { leader } => self.dial_leader(leader, stage),
            Effect::DisconnectFromLeader => {
                self.peers.attempt += 1;
                if let Some(dial) = self.peers.dial.take() {
                    stage.close(dial.wire, 0);
                }
                self.drop_leader(stage);
            }
            Effect::Listen => self.peers.listening = Some(Port::Quorum),
            Effect::ListenForObservers => self.peers.listening = Some(Port::Observers),
            Effect::StopListening => {
                self.peers.listening = None;
                for learner in std::mem::take(&mut self.peers.learners).into_values() {
                    stage.close(learner.wire, 1);
                }
            }
            Effect::CloseLearner(key) => {
                if let Some(learner) = self.peers.learners.remove(&key) {
                    stage.close(learner.wire, 1);
                }
            }
            Effect::Locate { to, last } => {
                let us = 100 + stage.rng.below(3000);
                self.later(us, Local::Locate { to, last }, stage);
            }
            Effect::StreamLog { to, after, through } => self.lend(to, Job::Log { after, through }, stage),
            Effect::StreamTree { to } => self.lend(to, Job::Tree, stage),
            Effect::ReceiveDump { zxid, bytes } => {
                let decoder = DumpDecoder::new(recover_options().rules, Limits::default());
                self.peers.dump = Some((decoder, zxid, Vec::new()));
                if let Err(error) = self.feed_dump(&bytes, stage) {
                    self.drop_leader(stage);
                    self.node.leader_gone(&error, &mut self.outbox);
                }
            }
            // The mail says so already, or the caller has done it.
            Effect::CloseClients | Effect::Adopt(_) | Effect::Report(_) => {}
        }
    }

    fn dial_leader(&mut self, leader: i64, stage: &mut Stage) {
        self.peers.attempt += 1;
        let attempt = self.peers.attempt;
        let budget_us = self.plan.tick_ms as u64 * 10_000;
        let behind_a_follower = self.plan.observer_masters && self.index >= self.plan.voters;
        let (port, leader) = match behind_a_follower {
            true => (Port::Observers, sid(stage.rng.index(self.plan.voters))),
            false => (Port::Quorum, leader),
        };
        let wire = stage.connect(self.index, host(leader), port);
        let until_us = stage.now_us + budget_us;
        self.peers.dial = Some(Dial { attempt, leader, port, wire, tries: 1, until_us });
        self.later(budget_us, Local::DialLate(attempt), stage);
    }

    /// A stream sends to the learner until it is done; what waits goes first.
    fn lend(&mut self, key: LearnerKey, job: Job, stage: &mut Stage) {
        self.send_peers(stage);
        let Some(learner) = self.peers.learners.get_mut(&key) else { return };
        learner.is_lent = true;
        let wire = learner.wire;
        self.begin_stream(key, wire, job, stage);
    }

    /// Sends what the node has for its peers.
    pub fn send_peers(&mut self, stage: &mut Stage) {
        let mut parcels = Vec::new();
        let (leader, learners) = (&self.peers.leader, &self.peers.learners);
        self.node.for_each_outgoing(|peer, out| {
            let (wire, side) = match peer {
                Peer::Leader => match leader {
                    Some(leader) => (leader.wire, 0),
                    None => return,
                },
                Peer::Learner(key) => match learners.get(&key).filter(|l| !l.is_lent) {
                    Some(learner) => (learner.wire, 1),
                    None => return,
                },
            };
            parcels.push((wire, side, std::mem::take(out)));
        });
        for (wire, side, bytes) in parcels {
            let mut rest = &bytes[..];
            while let Ok(Some((packet, used))) = Packet::split(rest, Limits::default()) {
                let fair = match side {
                    0 => packets::from_learner(&stage.truth, self.index, &packet),
                    _ => packets::from_leader(&stage.truth, self.index, &packet),
                };
                stage.check(fair);
                rest = &rest[used..];
            }
            stage.send(wire, side, bytes);
        }
    }
}
