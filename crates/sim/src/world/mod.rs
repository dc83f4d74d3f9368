//! One server, or an ensemble, and its clients in virtual time, with crashes, partitions and failing disks.
//!
//! One loop takes the next event from a queue ordered by time, and hands it to a server or to a client; both answer
//! with further events. Every choice comes from one generator, so a seed is a whole history.
//!
//! * [`stage`]: time, the queue, chance. [`net`]: connections between hosts. [`plan`], [`trouble`]: what a seed does.
//! * [`server`]: a machine with its disk and processes. [`client`]: sessions that check what they are told.

mod client;
mod net;
mod outbox;
mod plan;
mod server;
mod stage;
mod trouble;

use crate::check::{Truth, sessions, state};
use client::Client;
use net::Parcel;
pub(crate) use outbox::{Delivery, Outbox};
use plan::Plan;
use server::Server;
use stage::{Event, Stage};
use std::collections::BTreeMap;
use std::sync::Arc;
use trouble::Trouble;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Virtual time under faults.
    pub seconds: u64,
    pub clients: usize,
    /// Voters; chosen by the seed if `None`. With 1, a server alone.
    pub servers: Option<usize>,
    pub observers: Option<usize>,
    /// Whether to print what happens.
    pub trace: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options { seconds: 60, clients: 5, servers: None, observers: None, trace: false }
    }
}

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of everything that happened, in order.
    pub hash: u64,
    pub virtual_ms: u64,
    pub events: u64,
    pub requests: u64,
    pub faults: u64,
    /// What was reached, and how often.
    pub marks: BTreeMap<&'static str, u64>,
    /// The first rule that was broken.
    pub broken: Option<String>,
}

/// Virtual time within which everything must be answered once the faults are over.
const SETTLE_US: u64 = 30_000_000;
/// Every session is gone by then once nobody speaks.
const EXPIRE_US: u64 = 20_000_000;

struct World {
    plan: Arc<Plan>,
    stage: Stage,
    servers: Vec<Server>,
    clients: Vec<Client>,
}

/// Runs one seed.
pub fn simulate(seed: u64, options: Options) -> Outcome {
    let plan = Arc::new(Plan::draw(seed, options));
    let truth = Truth::new(plan.voters, plan.observers, plan.base);
    let mut world = World {
        stage: Stage::new(seed, plan.hosts(), truth, options.trace),
        servers: (0..plan.servers()).map(|index| Server::new(index, plan.clone())).collect(),
        clients: (0..plan.clients).map(|index| Client::new(index, plan.servers(), plan.think_us)).collect(),
        plan,
    };
    world.stage.trace(|| format!("{:?}", world.plan));
    world.begin(options.seconds * 1_000_000);
    world.run_until(options.seconds * 1_000_000);
    world.settle();
    world.expire();
    let stage = world.stage;
    Outcome {
        hash: stage.hash(),
        virtual_ms: stage.now_us / 1000,
        events: stage.events,
        requests: stage.requests,
        faults: stage.faults,
        marks: stage.marks,
        broken: stage.broken,
    }
}

impl World {
    fn begin(&mut self, until_us: u64) {
        for server in 0..self.servers.len() {
            let us = if self.stage.rng.chance(80) { 0 } else { self.stage.rng.below(2_000_000) };
            self.stage.at(us, Event::Restart { server });
        }
        for client in 0..self.clients.len() {
            let us = self.stage.rng.below(500_000);
            self.stage.after(us, Event::Act { client });
        }
        for _ in 0..self.plan.strikes {
            let us = self.stage.rng.below(until_us.max(1));
            self.stage.at(us, Event::Trouble(Trouble::Strike));
        }
    }

    fn run_until(&mut self, until_us: u64) {
        while self.stage.broken.is_none() {
            let Some(event) = self.stage.next(until_us) else { break };
            self.handle(event);
        }
        if self.stage.broken.is_none() {
            self.stage.now_us = self.stage.now_us.max(until_us);
        }
    }

    fn handle(&mut self, event: Event) {
        let server = match &event {
            Event::Server { server, .. } => Some(*server),
            Event::Arrive { wire, to } | Event::Break { wire, to } => {
                self.stage.net.wire(*wire).map(|w| w.hosts[*to]).filter(|h| *h < self.servers.len())
            }
            Event::Restart { .. } | Event::Act { .. } | Event::Trouble(_) => None,
        };
        let event = match server {
            Some(server) => self.servers[server].hold(event),
            None => Some(event),
        };
        match event {
            Some(Event::Arrive { wire, to }) => {
                if let Some(parcel) = self.stage.arrive(wire, to) {
                    self.deliver(wire, to, parcel);
                }
            }
            Some(Event::Break { wire, to }) if self.stage.break_side(wire, to) => {
                self.deliver(wire, to, Parcel::End);
            }
            Some(Event::Break { .. }) => {}
            Some(Event::Server { server, life, what }) => {
                self.servers[server].local(life, what, &mut self.stage)
            }
            Some(Event::Restart { server }) => self.servers[server].restart(&mut self.stage),
            Some(Event::Act { client }) => self.clients[client].act(&mut self.stage),
            Some(Event::Trouble(trouble)) => self.trouble(trouble),
            None => {}
        }
    }

    fn deliver(&mut self, wire: net::WireId, to: net::Side, parcel: Parcel) {
        let Some(host) = self.stage.net.wire(wire).map(|w| w.hosts[to]) else { return };
        match host.checked_sub(self.servers.len()) {
            None => self.servers[host].arrive(wire, to, parcel, &mut self.stage),
            Some(client) => self.clients[client].arrive(wire, parcel, &mut self.stage),
        }
    }

    /// No more faults: in bounded time everybody is up and has been answered.
    fn settle(&mut self) {
        if self.stage.broken.is_some() {
            return;
        }
        self.stage.calm = true;
        self.stage.trace(|| "no more faults".to_owned());
        self.stage.net.clear_all();
        for wire in self.stage.net.stuck() {
            self.stage.net.unstick(wire);
            self.break_both(wire);
        }
        self.stage.release();
        for server in 0..self.servers.len() {
            self.servers[server].heal_disk();
            self.resume(server);
        }
        let end_us = self.stage.now_us + SETTLE_US;
        self.run_until(end_us - SETTLE_US / 3);
        let mut settled = vec![false; self.clients.len()];
        while self.stage.broken.is_none() {
            // An epoch may end at any time: it is enough that everybody serves at one moment.
            let down = self.servers.iter().position(|s| !s.is_serving());
            let waiting = settled.iter().position(|s| !s);
            if down.is_none() && waiting.is_none() {
                break;
            }
            let Some(event) = self.stage.next(end_us) else {
                self.stage.check(Err(match (waiting, down) {
                    (Some(client), _) => {
                        format!("liveness: client {client} was not answered after the faults")
                    }
                    (None, down) => {
                        format!("liveness: server {:?} does not serve after the faults", down.map(|d| d + 1))
                    }
                }));
                return;
            };
            self.handle(event);
            for (done, client) in settled.iter_mut().zip(&self.clients) {
                *done |= client.is_settled();
            }
        }
    }

    /// Everybody falls silent: every session expires, and its ephemerals with it; and the trees are equal.
    fn expire(&mut self) {
        for client in &mut self.clients {
            client.fall_silent(&mut self.stage);
        }
        self.run_until(self.stage.now_us + EXPIRE_US);
        for server in &self.servers {
            if self.stage.broken.is_some() {
                return;
            }
            let Some(tree) = server.tree() else {
                return self.stage.check(Err("liveness: a server is down at the end".to_owned()));
            };
            self.stage.check(sessions::all_gone(tree));
            self.stage.check(state::equal(&self.stage.truth.history, tree));
        }
    }
}
