//! What everything in the world shares: time, the queue of what is to happen, chance, the network, the history, and
//! the first rule that was broken.

use super::net::{Host, Net, Parcel, Port, Side, WireId};
use super::server::Local;
use super::trouble::Trouble;
use crate::Rng;
use crate::check::{Broken, History, Replica, Truth};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BinaryHeap};

/// Something that happens.
pub(super) enum Event {
    Arrive {
        wire: WireId,
        to: Side,
    },
    /// A connection breaks, as this side sees it.
    Break {
        wire: WireId,
        to: Side,
    },
    /// Within a server. `life` is its process's, so that what a crash cut off does not reach the next one.
    Server {
        server: usize,
        life: u64,
        what: Local,
    },
    Restart {
        server: usize,
    },
    /// The client's own clock.
    Act {
        client: usize,
    },
    Trouble(Trouble),
}

struct Entry {
    time_us: u64,
    sequence: u64,
    event: Event,
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> Ordering {
        (other.time_us, other.sequence).cmp(&(self.time_us, self.sequence))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Entry {}

pub(super) struct Stage {
    pub now_us: u64,
    pub rng: Rng,
    pub net: Net,
    pub truth: Truth,
    pub marks: BTreeMap<&'static str, u64>,
    pub broken: Option<Broken>,
    /// No new faults from here on.
    pub calm: bool,
    pub events: u64,
    pub requests: u64,
    pub faults: u64,
    hash: u64,
    tracing: bool,
    queue: BinaryHeap<Entry>,
    sequence: u64,
}

const HASH_PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

impl Stage {
    pub fn new(seed: u64, hosts: usize, truth: Truth, tracing: bool) -> Stage {
        Stage {
            now_us: 0,
            rng: Rng::new(seed),
            net: Net::new(hosts),
            truth,
            marks: BTreeMap::new(),
            broken: None,
            calm: false,
            events: 0,
            requests: 0,
            faults: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            tracing,
            queue: BinaryHeap::new(),
            sequence: 0,
        }
    }

    pub fn now_ms(&self) -> i64 {
        (self.now_us / 1000) as i64
    }

    pub fn history(&self) -> &History {
        &self.truth.history
    }

    pub fn replica(&mut self, server: usize) -> &mut Replica {
        &mut self.truth.replicas[server]
    }

    pub fn mark(&mut self, name: &'static str) {
        *self.marks.entry(name).or_default() += 1;
    }

    /// A mark that is an injected fault too.
    pub fn fault(&mut self, name: &'static str) {
        self.faults += 1;
        self.mark(name);
    }

    /// One line of a readable trace.
    pub fn trace(&self, line: impl FnOnce() -> String) {
        if self.tracing {
            println!("{:>10.3} ms  {}", self.now_us as f64 / 1000.0, line());
        }
    }

    /// Remembers the first broken rule: it ends the run.
    pub fn check(&mut self, result: Result<(), Broken>) {
        if let (Err(broken), None) = (result, &self.broken) {
            self.trace(|| format!("BROKEN {broken}"));
            self.broken = Some(broken);
        }
    }

    pub fn at(&mut self, time_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.push(Entry { time_us: time_us.max(self.now_us), sequence: self.sequence, event });
    }

    pub fn after(&mut self, us: u64, event: Event) {
        self.at(self.now_us + us, event);
    }

    /// The next event; time moves to it.
    pub fn next(&mut self, until_us: u64) -> Option<Event> {
        if self.queue.peek()?.time_us > until_us {
            return None;
        }
        let entry = self.queue.pop()?;
        self.now_us = entry.time_us;
        self.events += 1;
        self.absorb(entry.time_us);
        match &entry.event {
            Event::Arrive { wire, to } => self.absorb(wire << 8 | *to as u64),
            Event::Break { wire, to } => self.absorb(wire << 8 | 0x80 | *to as u64),
            Event::Server { server, life, what } => {
                self.absorb((*server as u64) << 32 | life << 8 | what.tag())
            }
            Event::Restart { server } => self.absorb(0x100 | *server as u64),
            Event::Act { client } => self.absorb(0x200 | *client as u64),
            Event::Trouble(_) => self.absorb(0x300),
        }
        Some(entry.event)
    }

    fn absorb(&mut self, word: u64) {
        self.hash = (self.hash.rotate_left(5) ^ word).wrapping_mul(HASH_PRIME);
    }

    fn absorb_bytes(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.absorb(u64::from_le_bytes(*word)));
        rest.iter().for_each(|byte| self.absorb(u64::from(*byte)));
        self.absorb(bytes.len() as u64);
    }

    /// A digest of everything that happened: equal for equal seeds.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    fn latency_us(&mut self) -> u64 {
        if self.rng.chance(1) { 1000 + self.rng.below(100_000) } else { 30 + self.rng.below(1200) }
    }

    pub fn connect(&mut self, from: Host, to: Host, port: Port) -> WireId {
        let wire = self.net.open(from, to, port);
        self.ship(wire, 1, Parcel::Knock);
        wire
    }

    pub fn accept(&mut self, wire: WireId) {
        self.net.accept(wire);
        self.ship(wire, 0, Parcel::Accepted);
    }

    pub fn refuse(&mut self, wire: WireId) {
        self.ship(wire, 0, Parcel::End);
    }

    /// Sends bytes from one side to the other; in pieces now and then.
    pub fn send(&mut self, wire: WireId, from: Side, mut bytes: Vec<u8>) {
        if !self.net.is_open(wire, from) || bytes.is_empty() {
            return;
        }
        if bytes.len() > 1 && self.rng.chance(5) {
            let rest = bytes.split_off(1 + self.rng.index(bytes.len() - 1));
            self.ship(wire, 1 - from, Parcel::Bytes(bytes));
            bytes = rest;
        }
        self.ship(wire, 1 - from, Parcel::Bytes(bytes));
    }

    /// Sends what must not be cut into pieces.
    pub fn send_whole(&mut self, wire: WireId, from: Side, bytes: Vec<u8>) {
        if self.net.is_open(wire, from) {
            self.ship(wire, 1 - from, Parcel::Bytes(bytes));
        }
    }

    /// One side closes; the other hears of it in time.
    pub fn close(&mut self, wire: WireId, side: Side) {
        if self.net.shut(wire, side) {
            self.ship(wire, 1 - side, Parcel::End);
        }
    }

    fn ship(&mut self, wire: WireId, to: Side, parcel: Parcel) {
        let latency_us = self.latency_us();
        if let Some(arrival_us) = self.net.send(wire, to, parcel, self.now_us, latency_us) {
            self.at(arrival_us, Event::Arrive { wire, to });
        }
    }

    /// A parcel reaches its host, and a process that knows the connection. What nobody knows is answered by an end.
    pub fn arrive(&mut self, wire: WireId, to: Side) -> Option<Parcel> {
        let parcel = self.net.arrive(wire, to)?;
        if let Parcel::Bytes(bytes) = &parcel {
            self.absorb_bytes(bytes);
        }
        let is_knock = matches!(parcel, Parcel::Knock);
        if !is_knock && !self.net.is_open(wire, to) {
            if !matches!(parcel, Parcel::End) {
                self.ship(wire, 1 - to, Parcel::End);
            }
            return None;
        }
        if matches!(parcel, Parcel::End) {
            self.net.shut(wire, to);
        }
        Some(parcel)
    }

    /// One side takes the connection for broken. Whether it knew it at all.
    pub fn break_side(&mut self, wire: WireId, to: Side) -> bool {
        self.net.shut(wire, to)
    }

    /// What was held back goes on where the way is free again.
    pub fn release(&mut self) {
        self.net.sweep();
        for (wire, to, missed) in self.net.released() {
            for _ in 0..missed {
                let us = self.latency_us();
                self.after(us, Event::Arrive { wire, to });
            }
        }
    }
}
