//! Servers, links between them, and time.

use crate::decisions::Decisions;
use crate::rng::Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use zab::election::{Effect, Election, Message, Options, OwnVote, Standing};
use zab::{Quorum, ServerId, View};

/// How often the world looks whether something breaks, and whether leaders and followers have each other.
const CHORE_MS: i64 = 25;
/// A follower that does not reach its leader, and a leader without a quorum of followers, look again after this.
const PATIENCE_MS: i64 = 500;

struct Server {
    /// None: the process is down.
    machine: Option<Election>,
    own: OwnVote,
    options: Options,
    observer: bool,
    /// Sends messages as servers before 3.5 do.
    old: bool,
    lonely_since_ms: Option<i64>,
    up_at_ms: i64,
    /// The round after the last input, of this process.
    round: i64,
    /// Who said that it leads since this server looks.
    heard_leading: BTreeSet<ServerId>,
}

#[derive(Default)]
struct Link {
    up: bool,
    /// What is on its way, and when it arrives; in order.
    flying: VecDeque<(i64, Message)>,
    /// What a new connection repeats.
    last_sent: Option<Message>,
}

pub struct World {
    rng: Rng,
    now_ms: i64,
    next_chore_ms: i64,
    faulty: bool,
    /// Whether histories grow.
    writes: bool,
    pub view: View,
    servers: BTreeMap<ServerId, Server>,
    /// From and to; both directions of a pair are up or down together.
    links: BTreeMap<(ServerId, ServerId), Link>,
    pub decisions: Decisions,
    /// Whether a message of a server with a leader is being handed in.
    hears_established: bool,
    next_epoch: i64,
}

impl World {
    pub fn random(mut rng: Rng) -> World {
        let voters = rng.between(3, 7);
        let view = random_view(&mut rng, voters);
        let observers = rng.between(0, 3).saturating_sub(2);
        let options = Options { fast_finish: rng.chance(90), ..Options::default() };
        World::of(rng, view, observers, options, true)
    }

    /// Links break only with a server, and nobody's history grows.
    pub fn calm(mut rng: Rng) -> World {
        let voters = rng.between(3, 7);
        let view = random_view(&mut rng, voters);
        World::of(rng, view, 0, Options::default(), false)
    }

    fn of(mut rng: Rng, mut view: View, observers: i64, options: Options, faulty: bool) -> World {
        let voters: Vec<ServerId> = view.quorum.voters().iter().copied().collect();
        view.observers = (100..100 + observers).collect();
        let everybody: Vec<ServerId> = voters.into_iter().chain(view.observers.iter().copied()).collect();
        let mut servers = BTreeMap::new();
        for id in &everybody {
            let own = OwnVote { epoch: rng.between(0, 2), zxid: rng.between(0, 2) << 32 | rng.between(0, 2) };
            let observer = view.observers.contains(id);
            let old = rng.chance(10);
            let up_at_ms = rng.between(0, if faulty { 2_000 } else { 50 });
            let heard_leading = BTreeSet::new();
            let server = Server {
                machine: None,
                own,
                options,
                observer,
                old,
                lonely_since_ms: None,
                up_at_ms,
                round: 0,
                heard_leading,
            };
            servers.insert(*id, server);
        }
        let mut links = BTreeMap::new();
        for from in &everybody {
            links.extend(everybody.iter().filter(|to| *to != from).map(|to| ((*from, *to), Link::default())));
        }
        World {
            rng,
            now_ms: 0,
            next_chore_ms: 0,
            faulty,
            writes: faulty,
            view,
            servers,
            links,
            decisions: Decisions::default(),
            hears_established: false,
            next_epoch: 3,
        }
    }

    pub fn now_ms(&self) -> i64 {
        self.now_ms
    }

    pub fn own(&self, id: ServerId) -> OwnVote {
        self.servers[&id].own
    }

    pub fn standing(&self, id: ServerId) -> Standing {
        self.servers[&id].machine.as_ref().map_or(Standing::Looking, Election::standing)
    }

    pub fn alive(&self) -> Vec<ServerId> {
        self.servers.iter().filter(|(_, server)| server.machine.is_some()).map(|(id, _)| *id).collect()
    }

    /// The one leader that everybody alive has, if so.
    pub fn agreed_leader(&self) -> Option<ServerId> {
        let mut leaders = BTreeSet::new();
        for server in self.servers.values() {
            match &server.machine {
                Some(machine) if machine.standing() != Standing::Looking => {
                    leaders.insert(machine.vote().leader)
                }
                None if server.up_at_ms == i64::MAX => false,
                _ => return None,
            };
        }
        let leader = leaders.pop_first().filter(|_| leaders.is_empty())?;
        (self.standing(leader) == Standing::Leading).then_some(leader)
    }

    pub fn show(&self) -> String {
        let mut text = format!("at {} ms, {:?}\n", self.now_ms, self.view);
        for (id, server) in &self.servers {
            let state = server.machine.as_ref().map(|machine| (machine.standing(), machine.vote()));
            text.push_str(&format!("{id} {:?} {state:?}\n", server.own));
        }
        text
    }

    /// From now on nothing breaks, and what is down comes back.
    pub fn heal(&mut self) {
        self.faulty = false;
        for server in self.servers.values_mut() {
            server.up_at_ms = server.up_at_ms.min(self.now_ms);
        }
    }

    /// For good.
    pub fn kill(&mut self, id: ServerId) {
        self.stop(id, i64::MAX);
        let followers: Vec<ServerId> = self.alive().into_iter().filter(|f| self.follows(*f, id)).collect();
        for follower in followers {
            self.look(follower);
        }
    }

    pub fn run_until(&mut self, end_ms: i64) {
        while let Some(at_ms) = self.next_event_ms().filter(|at_ms| *at_ms <= end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.deliver();
            self.tick();
            if self.next_chore_ms <= self.now_ms {
                self.next_chore_ms = self.now_ms + CHORE_MS;
                self.chores();
            }
        }
        self.now_ms = end_ms;
    }

    fn next_event_ms(&self) -> Option<i64> {
        let arrivals = self.links.values().filter_map(|link| link.flying.front().map(|(at_ms, _)| *at_ms));
        let ticks =
            self.servers.values().filter_map(|server| server.machine.as_ref().map(Election::next_tick_ms));
        arrivals.chain(ticks).chain([self.next_chore_ms]).min()
    }

    fn deliver(&mut self) {
        let now_ms = self.now_ms;
        let mut arrived = Vec::new();
        for ((from, to), link) in &mut self.links {
            while link.flying.front().is_some_and(|(at_ms, _)| *at_ms <= now_ms) {
                arrived.extend(link.flying.pop_front().map(|(_, message)| (*from, *to, message)));
            }
        }
        for (from, to, message) in arrived {
            if let Some(server) = self.servers.get_mut(&to).filter(|_| message.standing == Standing::Leading)
            {
                server.heard_leading.insert(from);
            }
            self.hears_established = message.standing != Standing::Looking;
            self.with(to, |machine, now_ms, out| machine.receive(from, &message, now_ms, out));
            self.hears_established = false;
        }
    }

    fn tick(&mut self) {
        for id in self.alive() {
            self.with(id, |machine, now_ms, out| machine.tick(now_ms, out));
        }
    }

    fn with(&mut self, id: ServerId, act: impl FnOnce(&mut Election, i64, &mut Vec<Effect>)) {
        let mut out = Vec::new();
        let Some(server) = self.servers.get_mut(&id) else { return };
        let round = server.round;
        if let Some(machine) = &mut server.machine {
            let looked = machine.standing() == Standing::Looking;
            act(machine, self.now_ms, &mut out);
            if looked && machine.standing() == Standing::Looking {
                assert!(machine.round() >= server.round, "{id} lost its round");
            }
            server.round = machine.round();
        }
        for effect in out {
            match effect {
                Effect::Send { to, message } => self.send(id, to, message),
                Effect::ReconnectAll => {}
                Effect::Elected { standing, vote, .. } => {
                    let joined = self.hears_established && vote.round != round;
                    let led = self.servers[&id].heard_leading.contains(&vote.leader);
                    assert!(
                        !joined || led,
                        "{id} joined {vote:?} in round {round}, without a word of that leader"
                    );
                    self.decisions.decided(id, standing, &vote, &self.view);
                }
            }
        }
    }

    fn send(&mut self, from: ServerId, to: ServerId, mut message: Message) {
        self.decisions.told(from, self.servers[&from].own, &message);
        if self.servers[&from].old {
            message = Message { version: 0, config_version: 0, ..message };
        }
        let lost = self.faulty && self.rng.chance(5);
        let delay_ms = if self.faulty && self.rng.chance(10) { 500 } else { 10 };
        let at_ms = self.now_ms + self.rng.between(1, delay_ms);
        let Some(link) = self.links.get_mut(&(from, to)) else { return };
        link.last_sent = Some(message);
        if link.up && !lost {
            let at_ms = link.flying.back().map_or(at_ms, |(last, _)| at_ms.max(*last));
            link.flying.push_back((at_ms, message));
        }
    }

    fn look(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        let (own, before) = (server.own, server.round);
        server.heard_leading.clear();
        self.with(id, |machine, now_ms, out| machine.look(own, now_ms, out));
        assert!(self.servers[&id].round > before, "{id} began an old round");
    }

    fn start(&mut self, id: ServerId) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.machine = Some(Election::new(id, !server.observer, self.view.clone(), server.options));
        server.round = 0;
        server.lonely_since_ms = None;
        self.look(id);
    }

    fn stop(&mut self, id: ServerId, up_at_ms: i64) {
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.machine = None;
        server.up_at_ms = up_at_ms;
        let peers: Vec<ServerId> = self.servers.keys().filter(|peer| **peer != id).copied().collect();
        for peer in peers {
            self.disconnect(id, peer);
            for ends in [(id, peer), (peer, id)] {
                self.links.insert(ends, Link::default());
            }
        }
    }

    fn connect(&mut self, a: ServerId, b: ServerId) {
        for (from, to) in [(a, b), (b, a)] {
            let stale = self.links.get_mut(&(from, to)).and_then(|link| {
                link.up = true;
                link.last_sent
            });
            if let Some(message) = stale {
                self.send(from, to, message);
            }
            self.with(from, |machine, _, out| machine.link_up(to, out));
        }
    }

    fn disconnect(&mut self, a: ServerId, b: ServerId) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(link) = self.links.get_mut(&(from, to)).filter(|link| link.up) {
                link.up = false;
                link.flying.clear();
                self.with(from, |machine, now_ms, out| machine.link_lost(to, now_ms, out));
            }
        }
    }

    fn chores(&mut self) {
        for id in self.servers.keys().copied().collect::<Vec<_>>() {
            let server = &self.servers[&id];
            if server.machine.is_none() && server.up_at_ms <= self.now_ms {
                self.start(id);
            } else if server.machine.is_some() && self.faulty && self.rng.next().is_multiple_of(150) {
                let up_at_ms = self.now_ms + self.rng.between(1, 3_000);
                self.stop(id, up_at_ms);
            }
        }
        let pairs: Vec<_> = self.links.keys().filter(|(a, b)| a < b).copied().collect();
        for (a, b) in pairs {
            let both = self.servers[&a].machine.is_some() && self.servers[&b].machine.is_some();
            let up = self.links[&(a, b)].up;
            if both && !up && (!self.faulty || self.rng.chance(15)) {
                self.connect(a, b);
            } else if up && self.faulty && self.rng.chance(1) {
                self.disconnect(a, b);
            }
        }
        for id in self.alive() {
            self.supervise(id);
        }
    }

    fn follows(&self, id: ServerId, leader: ServerId) -> bool {
        self.servers[&id].machine.as_ref().is_some_and(|machine| {
            matches!(machine.standing(), Standing::Following | Standing::Observing)
                && machine.vote().leader == leader
        })
    }

    /// Whether leader and follower have each other: a follower reaches its leader, a leader has a quorum.
    fn is_lonely(&self, id: ServerId, leader: ServerId) -> bool {
        if id != leader {
            return self.standing(leader) != Standing::Leading || !self.links[&(id, leader)].up;
        }
        let followers = self.servers.keys().filter(|f| self.follows(**f, id) && !self.is_lonely(**f, id));
        !self.view.quorum.decides(&followers.copied().chain([id]).collect())
    }

    fn supervise(&mut self, id: ServerId) {
        let Some(machine) = self.servers[&id].machine.as_ref() else { return };
        let (standing, leader) = (machine.standing(), machine.vote().leader);
        let lonely = standing != Standing::Looking && self.is_lonely(id, leader);
        let since_ms = self.servers[&id].lonely_since_ms.filter(|_| lonely);
        let gone = since_ms.is_some_and(|since_ms| self.now_ms - since_ms >= PATIENCE_MS);
        if let Some(server) = self.servers.get_mut(&id) {
            server.lonely_since_ms = if lonely && !gone { since_ms.or(Some(self.now_ms)) } else { None };
        }
        if gone {
            self.look(id);
        } else if self.writes && standing != Standing::Looking && !lonely && self.rng.chance(30) {
            self.synchronise(id, leader);
        }
    }

    /// A leader with a quorum establishes an epoch and writes on; a follower takes over what the leader has.
    fn synchronise(&mut self, id: ServerId, leader: ServerId) {
        let OwnVote { epoch, zxid } = self.servers[&leader].own;
        let own = if id != leader {
            OwnVote { epoch, zxid }
        } else if self.rng.chance(5) || zxid >> 32 != epoch {
            self.next_epoch += 1;
            OwnVote { epoch: self.next_epoch, zxid: self.next_epoch << 32 }
        } else {
            OwnVote { epoch, zxid: zxid + 1 }
        };
        if let Some(server) = self.servers.get_mut(&id) {
            server.own = own;
            if let Some(machine) = &mut server.machine {
                machine.synced(own.epoch);
            }
        }
    }
}

fn random_view(rng: &mut Rng, voters: i64) -> View {
    let ids: Vec<ServerId> = (1..=voters).collect();
    let quorum = if rng.chance(60) {
        Quorum::majority(ids)
    } else {
        let groups_count = rng.between(1, 3);
        let mut groups: BTreeMap<i64, BTreeSet<ServerId>> = BTreeMap::new();
        for id in &ids {
            groups.entry(id % groups_count).or_default().insert(*id);
        }
        let weights = ids.iter().map(|id| (*id, if rng.chance(20) { 0 } else { rng.between(1, 2) as u64 }));
        let weights: BTreeMap<ServerId, u64> = weights.collect();
        Quorum::hierarchical(groups, weights).unwrap_or_else(|_| Quorum::majority(1..=voters))
    };
    View { quorum, observers: BTreeSet::new(), version: 0 }
}
