//! One server and its clients in virtual time, with crashes, power cuts and a failing disk.
//!
//! One loop takes the next event from a queue ordered by time, and hands it to the server or to a client; both answer
//! with further events. Every choice comes from one generator, so a seed is a whole history.

mod client;
mod outbox;
mod server;
mod stage;

use crate::check::{sessions, state};
use client::Client;
pub(crate) use outbox::{Delivery, Outbox};
use server::Server;
use stage::{Event, Stage};
use std::collections::BTreeMap;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Virtual time under faults.
    pub seconds: u64,
    pub clients: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options { seconds: 60, clients: 5 }
    }
}

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Of everything that happened, in order.
    pub hash: u64,
    pub virtual_ms: u64,
    pub events: u64,
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
    stage: Stage,
    server: Server,
    clients: Vec<Client>,
}

/// Runs one seed.
pub fn simulate(seed: u64, options: Options) -> Outcome {
    let mut world = World {
        stage: Stage::new(seed),
        server: Server::new(),
        clients: (0..options.clients).map(Client::new).collect(),
    };
    world.stage.at(0, Event::Restart);
    for client in 0..options.clients {
        let us = world.stage.rng.below(500_000);
        world.stage.after(us, Event::Act { client });
    }
    world.plan_faults(options.seconds * 1_000_000);
    world.run_until(options.seconds * 1_000_000);
    world.settle();
    world.expire();
    let stage = world.stage;
    Outcome {
        hash: stage.hash(),
        virtual_ms: stage.now_us / 1000,
        events: stage.events,
        marks: stage.marks,
        broken: stage.broken,
    }
}

impl World {
    fn plan_faults(&mut self, until_us: u64) {
        let stage = &mut self.stage;
        let (crashes, faults) = (stage.rng.below(6), stage.rng.below(8));
        for _ in 0..crashes {
            let power = stage.rng.chance(70);
            let time = stage.rng.below(until_us);
            stage.at(time, Event::Crash { power });
        }
        for _ in 0..faults {
            let time = stage.rng.below(until_us);
            stage.at(time, Event::ArmDisk);
        }
    }

    fn run_until(&mut self, until_us: u64) {
        while self.stage.broken.is_none() {
            let Some(event) = self.stage.next(until_us) else { break };
            self.handle(event);
        }
        self.stage.now_us = self.stage.now_us.max(until_us);
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Act { client } => self.clients[client].act(&mut self.stage),
            Event::ToClient { conn, bytes, durable } => {
                if let Some(client) = self.stage.client_of(conn) {
                    self.clients[client].receive(conn, &bytes, durable, &mut self.stage);
                }
            }
            Event::Closed(conn) => {
                if let Some(client) = self.stage.client_of(conn) {
                    self.clients[client].closed(conn);
                }
                self.stage.forget(conn);
            }
            other => self.server.handle(other, &mut self.stage),
        }
    }

    /// No more faults: in bounded time the server is up and everybody has been answered.
    fn settle(&mut self) {
        self.stage.calm = true;
        let end_us = self.stage.now_us + SETTLE_US;
        self.run_until(end_us - SETTLE_US / 3);
        let mut settled = vec![false; self.clients.len()];
        while self.stage.broken.is_none() && settled.contains(&false) {
            let Some(event) = self.stage.next(end_us) else {
                let who = settled.iter().position(|s| !s);
                self.stage.check(Err(format!("liveness: client {who:?} was not answered after the faults")));
                return;
            };
            self.handle(event);
            for (done, client) in settled.iter_mut().zip(&self.clients) {
                *done |= client.is_settled();
            }
        }
        if !self.server.is_up() {
            self.stage.check(Err("liveness: the server did not come up after the faults".into()));
        }
    }

    /// Everybody falls silent: every session expires, and its ephemerals with it; and the trees are equal.
    fn expire(&mut self) {
        for client in &mut self.clients {
            client.fall_silent(&mut self.stage);
        }
        self.run_until(self.stage.now_us + EXPIRE_US);
        if self.stage.broken.is_some() {
            return;
        }
        let Some(tree) = self.server.tree() else { return };
        self.stage.check(sessions::all_gone(tree));
        self.stage.check(state::equal(&self.stage.history, tree));
    }
}
