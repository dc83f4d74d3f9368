//! The network: connections between hosts, each with two directions in which bytes keep their order.
//!
//! A connection never loses or reorders what travels on it, as TCP does not. It delays; while the way between two hosts
//! is blocked it holds everything back; and it breaks, on both sides, or on one side while the other does not know
//! (half-open), or by standing still for good. A host without power holds back too: nobody answers. A host without the
//! process refuses.

use std::collections::{BTreeMap, VecDeque};

/// A machine: servers come first, then clients.
pub(super) type Host = usize;

/// Names one connection.
pub(super) type WireId = u64;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Port {
    Client,
    Quorum,
    /// Where followers take observers.
    Observers,
    Election,
    /// To an election port, by the server with the smaller id: it asks to be connected to.
    Knock,
}

/// 0 has opened the connection, 1 has accepted it.
pub(super) type Side = usize;

#[derive(Debug)]
pub(super) enum Parcel {
    /// The attempt to connect.
    Knock,
    Accepted,
    Bytes(Vec<u8>),
    /// The other side is gone, or refuses.
    End,
}

/// One direction. For each parcel there is one arrival to come, or one that was missed.
#[derive(Debug, Default)]
struct Lane {
    /// Nothing arrives before what was sent before it.
    clear_us: u64,
    under_way: VecDeque<Parcel>,
    /// Arrivals that came while the way was blocked.
    missed: usize,
    /// Stands still for good.
    stuck: bool,
}

#[derive(Debug)]
pub(super) struct Wire {
    pub port: Port,
    pub hosts: [Host; 2],
    open: [bool; 2],
    /// By the side that receives.
    lanes: [Lane; 2],
}

pub(super) struct Net {
    hosts: usize,
    /// How many reasons there are why nothing gets from one host to another.
    blocked: Vec<u32>,
    slow_us: Vec<u64>,
    without_power: Vec<bool>,
    wires: BTreeMap<WireId, Wire>,
    next: WireId,
}

impl Net {
    pub fn new(hosts: usize) -> Net {
        Net {
            hosts,
            blocked: vec![0; hosts * hosts],
            slow_us: vec![0; hosts * hosts],
            without_power: vec![false; hosts],
            wires: BTreeMap::new(),
            next: 0,
        }
    }

    pub fn wire(&self, id: WireId) -> Option<&Wire> {
        self.wires.get(&id)
    }

    /// Connections of which both ends live.
    pub fn whole(&self) -> Vec<WireId> {
        self.wires.iter().filter(|(_, w)| w.open == [true; 2]).map(|(id, _)| *id).collect()
    }

    pub fn open(&mut self, from: Host, to: Host, port: Port) -> WireId {
        self.next += 1;
        let wire = Wire { port, hosts: [from, to], open: [true, false], lanes: Default::default() };
        self.wires.insert(self.next, wire);
        self.next
    }

    pub fn is_open(&self, id: WireId, side: Side) -> bool {
        self.wires.get(&id).is_some_and(|w| w.open[side])
    }

    pub fn accept(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.open[1] = true;
        }
    }

    /// The end of one side; whether the other is to hear of it.
    pub fn shut(&mut self, id: WireId, side: Side) -> bool {
        let Some(wire) = self.wires.get_mut(&id) else { return false };
        std::mem::replace(&mut wire.open[side], false)
    }

    /// Forgets connections of which nobody knows any more.
    pub fn sweep(&mut self) {
        self.wires.retain(|_, w| w.open != [false; 2]);
    }

    pub fn stick(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.lanes.iter_mut().for_each(|lane| lane.stuck = true);
        }
    }

    /// Connections that stand still: in the end the hosts give them up.
    pub fn stuck(&self) -> Vec<WireId> {
        self.wires.iter().filter(|(_, w)| w.lanes[0].stuck).map(|(id, _)| *id).collect()
    }

    pub fn unstick(&mut self, id: WireId) {
        if let Some(wire) = self.wires.get_mut(&id) {
            wire.lanes = Default::default();
        }
    }

    fn is_blocked(&self, from: Host, to: Host) -> bool {
        self.blocked[from * self.hosts + to] > 0 || self.without_power[to]
    }

    /// Sends towards `to`; gives the time of the arrival.
    pub fn send(
        &mut self,
        id: WireId,
        to: Side,
        parcel: Parcel,
        now_us: u64,
        latency_us: u64,
    ) -> Option<u64> {
        let wire = self.wires.get_mut(&id)?;
        let slow_us = self.slow_us[wire.hosts[1 - to] * self.hosts + wire.hosts[to]];
        let lane = &mut wire.lanes[to];
        lane.clear_us = (now_us + latency_us + slow_us).max(lane.clear_us + 1);
        lane.under_way.push_back(parcel);
        Some(lane.clear_us)
    }

    /// Something arrives, unless the way is blocked or nobody knows the connection any more.
    pub fn arrive(&mut self, id: WireId, to: Side) -> Option<Parcel> {
        let wire = self.wires.get(&id)?;
        let blocked = self.is_blocked(wire.hosts[1 - to], wire.hosts[to]);
        let lane = &mut self.wires.get_mut(&id)?.lanes[to];
        if blocked || lane.stuck {
            lane.missed += 1;
            return None;
        }
        lane.under_way.pop_front()
    }

    /// A host has lost its power: what it still had to send again is lost, and all behind that.
    pub fn forget_unsent(&mut self, host: Host) {
        for wire in self.wires.values_mut() {
            for to in 0..2 {
                if wire.hosts[1 - to] == host && wire.lanes[to].missed > 0 {
                    wire.lanes[to].under_way.clear();
                }
            }
        }
    }

    /// Puts something into the way from one host to another, or takes one such thing away.
    pub fn block(&mut self, from: Host, to: Host, on: bool) {
        let reasons = &mut self.blocked[from * self.hosts + to];
        *reasons = if on { *reasons + 1 } else { reasons.saturating_sub(1) };
    }

    pub fn slow(&mut self, from: Host, to: Host, us: u64) {
        self.slow_us[from * self.hosts + to] = us;
    }

    pub fn clear_all(&mut self) {
        self.blocked.fill(0);
        self.slow_us.fill(0);
    }

    pub fn set_power(&mut self, host: Host, on: bool) {
        self.without_power[host] = !on;
    }

    /// Connections with an end at this host that is open, and which end it is.
    pub fn of_host(&self, host: Host) -> Vec<(WireId, Side)> {
        let sides = self.wires.iter().flat_map(|(id, w)| (0..2).map(move |side| (*id, w, side)));
        sides
            .filter(|(_, w, side)| w.hosts[*side] == host && w.open[*side])
            .map(|(id, _, side)| (id, side))
            .collect()
    }

    /// Arrivals that were missed and can come now: connection, receiving side, how many.
    pub fn released(&mut self) -> Vec<(WireId, Side, usize)> {
        let mut out = Vec::new();
        let ids: Vec<WireId> = self.wires.keys().copied().collect();
        for id in ids {
            for to in 0..2 {
                let Some(wire) = self.wires.get(&id) else { continue };
                let free = !self.is_blocked(wire.hosts[1 - to], wire.hosts[to]) && !wire.lanes[to].stuck;
                if free && let Some(lane) = self.wires.get_mut(&id).map(|w| &mut w.lanes[to]) {
                    out.push((id, to, std::mem::take(&mut lane.missed)));
                }
            }
        }
        out
    }
}
