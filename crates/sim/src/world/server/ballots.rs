//! The election port: at most one link to every other server, opened by the one with the larger id; the other knocks.
//! The queue towards each holds one message, and a new link begins by sending the last one again.

use super::running::{Input, Local, Running};
use super::{host, sid};
use crate::world::net::{Parcel, Port, Side, WireId};
use crate::world::stage::Stage;
use std::collections::BTreeMap;

const DIAL_LATE_US: u64 = 5_000_000;
/// How long a server with a larger id may take to connect back.
const CONNECT_BACK_US: u64 = 1_000_000;

#[derive(Default)]
struct Other {
    link: Option<(WireId, Side)>,
    dial: Option<WireId>,
    /// Knocked; until then it may connect back.
    expected_until_us: Option<u64>,
    waiting: Option<Vec<u8>>,
    last_sent: Option<Vec<u8>>,
    up: bool,
}

pub(super) struct Ballots {
    others: BTreeMap<i64, Other>,
}

impl Ballots {
    pub fn new(index: usize, servers: usize) -> Ballots {
        let others = (0..servers).filter(|i| *i != index).map(|i| (sid(i), Other::default())).collect();
        Ballots { others }
    }

    fn by_wire(&self, wire: WireId) -> Option<i64> {
        let known = |o: &Other| o.link.is_some_and(|(w, _)| w == wire) || o.dial == Some(wire);
        self.others.iter().find(|(_, o)| known(o)).map(|(peer, _)| *peer)
    }
}

impl Running {
    pub fn vote_send(&mut self, to: i64, payload: Vec<u8>, stage: &mut Stage) {
        let Some(other) = self.ballots.others.get_mut(&to) else { return };
        other.waiting = Some(payload);
        if other.link.is_some() {
            self.vote_pump(to, stage);
        } else {
            self.vote_connect(to, stage);
        }
    }

    pub fn vote_connect_all(&mut self, stage: &mut Stage) {
        for peer in self.ballots.others.keys().copied().collect::<Vec<_>>() {
            self.vote_connect(peer, stage);
        }
    }

    fn vote_connect(&mut self, peer: i64, stage: &mut Stage) {
        let (index, me) = (self.index, sid(self.index));
        let Some(other) = self.ballots.others.get_mut(&peer) else { return };
        if other.link.is_some() || other.dial.is_some() || other.expected_until_us.is_some() {
            return;
        }
        let port = if me > peer { Port::Election } else { Port::Knock };
        let wire = stage.connect(index, host(peer), port);
        other.dial = Some(wire);
        self.later(DIAL_LATE_US, Local::VoteDialLate { peer, wire }, stage);
    }

    pub fn vote_dial_late(&mut self, peer: i64, wire: WireId, stage: &mut Stage) {
        let Some(other) = self.ballots.others.get_mut(&peer) else { return };
        if other.dial.take_if(|w| *w == wire).is_some() {
            stage.close(wire, 0);
            self.vote_settle(peer, stage);
        }
    }

    /// When nothing is left that could bring a link: it is lost.
    pub fn vote_settle(&mut self, peer: i64, stage: &mut Stage) {
        let Some(other) = self.ballots.others.get_mut(&peer) else { return };
        other.expected_until_us = other.expected_until_us.filter(|until| stage.now_us < *until);
        if other.link.is_some() || other.dial.is_some() || other.expected_until_us.is_some() {
            return;
        }
        if std::mem::take(&mut other.up) {
            self.post(Input::Link { peer, is_up: false }, stage);
        }
    }

    pub fn vote_parcel(&mut self, wire: WireId, side: Side, port: Port, parcel: Parcel, stage: &mut Stage) {
        let Some(peer) = stage.net.wire(wire).map(|w| sid(w.hosts[1 - side])) else { return };
        match (port, side, parcel) {
            (Port::Election, 1, Parcel::Knock) => {
                stage.accept(wire);
                self.vote_install(peer, wire, 1, stage);
            }
            (Port::Election, 0, Parcel::Accepted) => {
                let Some(other) = self.ballots.others.get_mut(&peer) else { return };
                if other.dial.take_if(|w| *w == wire).is_some() {
                    self.vote_install(peer, wire, 0, stage);
                } else {
                    stage.close(wire, 0);
                }
            }
            // Somebody with a smaller id wants to talk: it believes that there is no link, so what there is is dead.
            (Port::Knock, 1, Parcel::Knock) => {
                stage.accept(wire);
                let Some(other) = self.ballots.others.get_mut(&peer) else { return };
                if let Some((former, side)) = other.link.take() {
                    stage.close(former, side);
                }
                self.vote_connect(peer, stage);
            }
            (Port::Knock, 0, Parcel::Accepted) => {
                let Some(other) = self.ballots.others.get_mut(&peer) else { return };
                if other.dial.take_if(|w| *w == wire).is_some() {
                    other.expected_until_us = Some(stage.now_us + CONNECT_BACK_US);
                    self.later(CONNECT_BACK_US, Local::VoteSettle { peer }, stage);
                }
                stage.close(wire, 0);
            }
            (Port::Knock, 1, Parcel::End) => {}
            (Port::Election, _, Parcel::Bytes(payload)) if self.ballots.by_wire(wire).is_some() => {
                self.post(Input::Vote { from: peer, payload }, stage);
            }
            (_, _, Parcel::End) => {
                let Some(other) = self.ballots.others.get_mut(&peer) else { return };
                other.dial.take_if(|w| *w == wire);
                other.link.take_if(|(w, _)| *w == wire);
                self.vote_settle(peer, stage);
            }
            _ => {}
        }
    }

    /// This connection is the link from now on, in the place of an older one.
    fn vote_install(&mut self, peer: i64, wire: WireId, side: Side, stage: &mut Stage) {
        let Some(other) = self.ballots.others.get_mut(&peer) else { return };
        if let Some(dial) = other.dial.take() {
            stage.close(dial, 0);
        }
        if let Some((former, side)) = other.link.replace((wire, side)) {
            stage.close(former, side);
        }
        other.expected_until_us = None;
        other.up = true;
        if other.waiting.is_none() {
            other.waiting = other.last_sent.clone();
        }
        self.post(Input::Link { peer, is_up: true }, stage);
        self.vote_pump(peer, stage);
    }

    fn vote_pump(&mut self, peer: i64, stage: &mut Stage) {
        let Some(other) = self.ballots.others.get_mut(&peer) else { return };
        if let (Some((wire, side)), Some(payload)) = (other.link, other.waiting.take()) {
            other.last_sent = Some(payload.clone());
            stage.send_whole(wire, side, payload);
        }
    }
}
