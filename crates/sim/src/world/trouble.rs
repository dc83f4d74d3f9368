//! What goes wrong: crashes, power cuts, pauses, partitions, broken and slow connections, failing disks, clocks.
//!
//! What to do is chosen when the time has come, so that it can be aimed at whoever leads then.

use super::World;
use super::net::{Host, WireId};
use super::stage::Event;

#[derive(Debug)]
pub(super) enum Trouble {
    /// Something happens.
    Strike,
    /// Nothing gets through between these any more.
    Heal(Vec<(Host, Host)>),
    Resume {
        server: usize,
    },
    Hurry(Vec<(Host, Host)>),
}

impl World {
    pub(super) fn trouble(&mut self, trouble: Trouble) {
        match trouble {
            Trouble::Strike if self.stage.calm => {}
            Trouble::Strike => self.strike(),
            Trouble::Heal(ways) => {
                ways.iter().for_each(|(from, to)| self.stage.net.block(*from, *to, false));
                self.stage.trace(|| format!("partition healed: {ways:?}"));
                self.stage.release();
            }
            Trouble::Resume { server } => self.resume(server),
            Trouble::Hurry(ways) => ways.iter().for_each(|(from, to)| self.stage.net.slow(*from, *to, 0)),
        }
    }

    pub(super) fn resume(&mut self, server: usize) {
        for event in self.servers[server].resume() {
            self.handle(event);
        }
    }

    /// The leader more often than others.
    fn victim(&mut self) -> usize {
        let leader = self.servers.iter().position(|s| s.is_leading());
        match leader {
            Some(leader) if self.stage.rng.chance(45) => leader,
            _ => self.stage.rng.index(self.servers.len()),
        }
    }

    fn strike(&mut self) {
        let victim = self.victim();
        let alone = self.servers.len() == 1;
        match self.stage.rng.below(100) {
            0..=17 => self.fell(victim, false),
            18..=29 => self.fell(victim, true),
            30..=35 => {
                self.stage.fault("crash: power cut of all");
                for server in 0..self.servers.len() {
                    self.fell(server, true);
                }
            }
            36..=38 => {
                self.stage.fault("crash: all processes");
                for server in 0..self.servers.len() {
                    self.fell(server, false);
                }
            }
            39..=50 => {
                self.servers[victim].arm_disk(&mut self.stage);
            }
            51..=57 => self.pause(victim),
            58..=60 => {
                let ms = self.stage.rng.below(7_200_000) as i64 - 3_600_000;
                self.stage.fault("clock: step");
                self.servers[victim].step_clock(ms);
            }
            61..=68 => self.break_one(),
            69..=73 => self.slow(victim),
            74..=78 => self.cut_client(),
            _ if alone => self.cut_client(),
            _ => self.partition(victim),
        }
    }

    fn fell(&mut self, server: usize, power: bool) {
        if !self.servers[server].is_up() {
            return;
        }
        self.stage.faults += 1;
        self.servers[server].crash(power, &mut self.stage);
        let down_us = match self.stage.rng.below(3) {
            0 => 1000 + self.stage.rng.below(100_000),
            _ => 10_000 + self.stage.rng.below(5_000_000),
        };
        self.stage.after(down_us, Event::Restart { server });
    }

    fn pause(&mut self, server: usize) {
        self.stage.fault("pause");
        self.stage.trace(|| format!("server {}: stands still", server + 1));
        self.servers[server].pause();
        let us = 50_000 + self.stage.rng.below(6_000_000);
        self.stage.after(us, Event::Trouble(Trouble::Resume { server }));
    }

    /// A connection breaks: on both sides, on one, or it stands still.
    fn break_one(&mut self) {
        let whole = self.stage.net.whole();
        if whole.is_empty() {
            return;
        }
        let wire = *self.stage.rng.pick(&whole);
        self.stage.trace(|| format!("connection {wire} breaks: {:?}", self.stage.net.wire(wire)));
        match self.stage.rng.below(3) {
            0 => {
                self.stage.fault("connection: broken");
                self.break_both(wire);
            }
            1 => {
                self.stage.fault("connection: half-open");
                let to = self.stage.rng.index(2);
                self.stage.at(self.stage.now_us, Event::Break { wire, to });
            }
            _ => {
                self.stage.fault("connection: stuck");
                self.stage.net.stick(wire);
            }
        }
    }

    pub(super) fn break_both(&mut self, wire: WireId) {
        for to in 0..2 {
            self.stage.at(self.stage.now_us, Event::Break { wire, to });
        }
    }

    fn slow(&mut self, server: usize) {
        self.stage.fault("network: slow");
        let us = 20_000 + self.stage.rng.below(800_000);
        let hosts = self.plan.hosts();
        let mut ways = Vec::new();
        for other in (0..hosts).filter(|h| *h != server) {
            ways.extend([(server, other), (other, server)]);
        }
        ways.iter().for_each(|(from, to)| self.stage.net.slow(*from, *to, us));
        let us = 500_000 + self.stage.rng.below(5_000_000);
        self.stage.after(us, Event::Trouble(Trouble::Hurry(ways)));
    }

    fn cut_client(&mut self) {
        let client = self.plan.servers() + self.stage.rng.index(self.clients.len());
        let ways = (0..self.plan.servers()).flat_map(|s| [(s, client), (client, s)]).collect();
        self.stage.fault("partition: a client");
        self.cut(ways);
    }

    fn partition(&mut self, victim: usize) {
        let servers = self.plan.servers();
        let kind = self.stage.rng.below(6);
        let others = || (0..servers).filter(move |s| *s != victim);
        let with_clients = self.stage.rng.chance(30);
        let ways: Vec<(Host, Host)> = match kind {
            0 | 1 => {
                self.stage.fault("partition: one server");
                others().flat_map(|s| [(s, victim), (victim, s)]).collect()
            }
            2 => {
                self.stage.fault("partition: one way out");
                others().map(|s| (victim, s)).collect()
            }
            3 => {
                self.stage.fault("partition: one way in");
                others().map(|s| (s, victim)).collect()
            }
            4 => {
                self.stage.fault("partition: one pair");
                let other = (victim + 1 + self.stage.rng.index(servers - 1)) % servers;
                vec![(victim, other), (other, victim)]
            }
            _ => {
                self.stage.fault("partition: in two");
                let side: Vec<bool> = (0..servers).map(|_| self.stage.rng.chance(50)).collect();
                let pairs = (0..servers).flat_map(|a| (0..servers).map(move |b| (a, b)));
                pairs.filter(|(a, b)| side[*a] != side[*b]).collect()
            }
        };
        let mut ways = ways;
        if with_clients && kind < 2 {
            ways.extend((servers..self.plan.hosts()).flat_map(|c| [(c, victim), (victim, c)]));
        }
        self.cut(ways);
    }

    fn cut(&mut self, ways: Vec<(Host, Host)>) {
        self.stage.trace(|| format!("partition: {ways:?}"));
        ways.iter().for_each(|(from, to)| self.stage.net.block(*from, *to, true));
        let us = 100_000 + self.stage.rng.below(8_000_000);
        self.stage.after(us, Event::Trouble(Trouble::Heal(ways)));
    }
}
