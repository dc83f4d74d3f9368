//! What everything in the world shares: time, the queue of what is to happen, chance, the network, the history, and
//! the first rule that was broken.

use crate::Rng;
use crate::check::{Broken, History};
use node::{ConnId, Now, Submission};
use std::collections::BTreeMap;

/// Something that happens. `life` is the server's, so that what a crash cut off does not reach the next one.
#[derive(Debug)]
pub(super) enum Event {
    /// A client's connection attempt, bytes and hanging up reach the server.
    Accept(ConnId),
    ToServer(ConnId, Vec<u8>),
    HangUp(ConnId),
    /// Bytes, and the end of a connection, reach the client. `durable` is how far the log was synced when they left.
    ToClient {
        conn: ConnId,
        bytes: Vec<u8>,
        durable: i64,
    },
    Closed(ConnId),
    Submit {
        life: u64,
        submission: Submission,
    },
    Mail {
        life: u64,
    },
    Tick {
        life: u64,
    },
    Synced {
        life: u64,
    },
    SnapshotStep {
        life: u64,
    },
    /// The client's own clock.
    Act {
        client: usize,
    },
    Crash {
        power: bool,
    },
    Restart,
    /// A storage call soon to come will fail.
    ArmDisk,
}

/// One connection's two directions: bytes keep their order.
#[derive(Debug, Default)]
struct Line {
    client: usize,
    to_server_us: u64,
    to_client_us: u64,
}

pub(super) struct Stage {
    pub now_us: u64,
    pub rng: Rng,
    pub history: History,
    pub marks: BTreeMap<&'static str, u64>,
    pub broken: Option<Broken>,
    /// No new faults from here on.
    pub calm: bool,
    /// What the wall clock shows at virtual time 0, in ms: moved at restarts.
    pub wall_base_ms: i64,
    pub events: u64,
    hash: u64,
    queue: BTreeMap<(u64, u64), Event>,
    sequence: u64,
    lines: BTreeMap<ConnId, Line>,
    next_conn: ConnId,
}

const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
const FNV_START: u64 = 0xcbf2_9ce4_8422_2325;

impl Stage {
    pub fn new(seed: u64) -> Stage {
        Stage {
            now_us: 0,
            rng: Rng::new(seed),
            history: History::default(),
            marks: BTreeMap::new(),
            broken: None,
            calm: false,
            wall_base_ms: 1_800_000_000_000,
            events: 0,
            hash: FNV_START,
            queue: BTreeMap::new(),
            sequence: 0,
            lines: BTreeMap::new(),
            next_conn: 0,
        }
    }

    pub fn now_ms(&self) -> i64 {
        (self.now_us / 1000) as i64
    }

    pub fn now(&self) -> Now {
        Now { mono_ms: self.now_ms(), wall_ms: self.wall_base_ms + self.now_ms() }
    }

    pub fn mark(&mut self, name: &'static str) {
        *self.marks.entry(name).or_default() += 1;
    }

    /// Remembers the first broken rule: it ends the run.
    pub fn check(&mut self, result: Result<(), Broken>) {
        if let (Err(broken), None) = (result, &self.broken) {
            self.broken = Some(broken);
        }
    }

    pub fn at(&mut self, time_us: u64, event: Event) {
        self.sequence += 1;
        self.queue.insert((time_us.max(self.now_us), self.sequence), event);
    }

    pub fn after(&mut self, us: u64, event: Event) {
        self.at(self.now_us + us, event);
    }

    /// The next event; time moves to it.
    pub fn next(&mut self, until_us: u64) -> Option<Event> {
        let entry = self.queue.first_entry().filter(|e| e.key().0 <= until_us)?;
        let ((time_us, _), event) = entry.remove_entry();
        self.now_us = time_us;
        self.events += 1;
        self.absorb(&time_us.to_le_bytes());
        match &event {
            Event::ToServer(conn, bytes) | Event::ToClient { conn, bytes, .. } => {
                self.absorb(&conn.to_le_bytes());
                self.absorb(bytes);
            }
            other => self.absorb(format!("{other:?}").as_bytes()),
        }
        Some(event)
    }

    fn absorb(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(FNV_PRIME);
        }
    }

    /// A digest of everything that happened: equal for equal seeds.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    pub fn connect(&mut self, client: usize) -> ConnId {
        self.next_conn += 1;
        self.lines.insert(self.next_conn, Line { client, ..Line::default() });
        let conn = self.next_conn;
        self.send_to_server(conn, Event::Accept(conn));
        conn
    }

    pub fn client_of(&self, conn: ConnId) -> Option<usize> {
        self.lines.get(&conn).map(|line| line.client)
    }

    fn latency_us(&mut self) -> u64 {
        if self.rng.chance(2) { 1000 + self.rng.below(200_000) } else { 30 + self.rng.below(1500) }
    }

    pub fn send_to_server(&mut self, conn: ConnId, event: Event) {
        let arrival = self.now_us + self.latency_us();
        let Some(line) = self.lines.get_mut(&conn) else { return };
        line.to_server_us = arrival.max(line.to_server_us + 1);
        let time = line.to_server_us;
        self.at(time, event);
    }

    pub fn send_to_client(&mut self, conn: ConnId, event: Event) {
        let arrival = self.now_us + self.latency_us();
        let Some(line) = self.lines.get_mut(&conn) else { return };
        line.to_client_us = arrival.max(line.to_client_us + 1);
        let time = line.to_client_us;
        self.at(time, event);
    }

    /// Nothing more travels on this connection.
    pub fn forget(&mut self, conn: ConnId) {
        self.lines.remove(&conn);
    }
}
