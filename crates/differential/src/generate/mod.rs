//! Random sequences: a seed and a profile make a plan, always the same one.
//!
//! A plan is made without looking at answers. The values come from small sets, so that requests still meet: the same
//! few paths, versions around 0, ACLs of two users.
//!
//! Left out is what Apache 3.9.5 answers by chance or does not survive:
//! * behind a setACL in one pipeline, anything that depends on it (its check does not see a pending ACL);
//! * two writes in one pipeline under a hard quota (its check sees the usage as applied so far);
//! * a connection dropped without waiting for the server to notice before the session is attached again (the end of
//!   the old connection makes Apache forget the new one);
//! * requests of one connection behind an auth, a closeSession or an unknown operation in the same write;
//! * operation 21 with a flag that is not a TTL and a negative TTL, text that is no usage in a `zookeeper_stats`, and
//!   a quota on `/`: the server stops while it applies them;
//! * createContainer with the flag of an ephemeral (until it is applied, Apache takes the node for an ephemeral);
//! * reaping of containers and TTL nodes, which happens by the clock.

pub mod requests;
pub mod values;

use crate::conversation::Plan;
use crate::profile::Profile;
use crate::step::{Client, Handshake, PasswordChoice, Request, SessionChoice, Step, ZxidChoice};
use fastrand::Rng;
use values::{Paths, chance};
use wire::OpCode;
use wire::data::OPEN_ACL;
use wire::jute::Put;

/// A sequence has at least this many requests and clients.
pub const MIN_REQUESTS: usize = 100;
pub const MIN_CLIENTS: usize = 3;

struct Generator {
    /// Where authentication is enforced only [`Generator::stranger`] goes without: a connection that is closed over
    /// the first of several requests may lose the answer to it.
    profile: Profile,
    rng: Rng,
    paths: Paths,
    clients: usize,
    steps: Vec<Step>,
    requests: usize,
    xid: i32,
    /// Whether usage limits may be in force.
    limited: bool,
}

/// The plan of one seed.
pub fn plan(profile: Profile, seed: u64) -> Plan {
    let mut rng = Rng::with_seed(seed ^ (profile as u64) << 56);
    let clients = rng.usize(MIN_CLIENTS..=5);
    let mut plan = Plan { profile, seed, clients, steps: Vec::new(), last: Vec::new() };
    let mut g = Generator {
        profile,
        rng,
        paths: Paths::new(plan.root()),
        clients,
        steps: Vec::new(),
        requests: 0,
        xid: 0,
        limited: false,
    };
    g.opening(profile);
    let wanted = MIN_REQUESTS + g.rng.usize(..40);
    while g.requests < wanted {
        g.movement();
        if profile == Profile::EnforceAuth && g.rng.u32(..20) == 0 {
            g.stranger();
        }
    }
    plan.steps = std::mem::take(&mut g.steps);
    if g.rng.u32(..3) == 0 {
        g.last_steps();
        plan.last = g.steps;
    }
    plan
}

impl Generator {
    fn client(&mut self) -> Client {
        self.rng.usize(..self.clients)
    }

    fn next_xid(&mut self) -> i32 {
        self.xid += 1;
        self.xid
    }

    fn send(&mut self, client: Client, requests: Vec<Request>) {
        self.requests += requests.len();
        let piece = if self.rng.u32(..40) == 0 { self.rng.usize(1..9) } else { 0 };
        self.steps.push(Step::Send { client, piece, requests });
    }

    fn opening(&mut self, profile: Profile) {
        for client in 0..self.clients {
            let mut handshake = Handshake::NEW;
            handshake.read_only = [Some(0), Some(0), Some(1), None][self.rng.usize(..4)];
            handshake.timeout_ms = [20_000, 30_000, 40_000, 50_000, i32::MAX][self.rng.usize(..5)];
            handshake.authenticate = !chance(&mut self.rng, 20) || self.profile == Profile::EnforceAuth;
            self.steps.push(Step::Open { client, handshake });
        }
        let quotas = match profile {
            Profile::Full | Profile::SkipAcl => 55,
            Profile::Plain | Profile::EnforceAuth => 20,
        };
        for name in ["a", "b", "c"] {
            let path = format!("{}/{name}", self.paths.root());
            self.create(0, &path, Some(b"first".to_vec()));
            self.paths.made(&path, false);
        }
        if chance(&mut self.rng, quotas) {
            self.quota();
        }
    }

    /// Creates an open, persistent node.
    fn create(&mut self, client: Client, path: &str, data: Option<Vec<u8>>) {
        let mut body = Vec::new();
        body.put_ustring(path);
        body.put_buffer(data.as_deref());
        body.extend_from_slice(OPEN_ACL);
        body.put_i32(0);
        let request = Request::new(self.next_xid(), OpCode::Create, body);
        self.send(client, vec![request]);
    }

    fn movement(&mut self) {
        match self.rng.u32(..1000) {
            0..=619 => self.single(),
            620..=699 => self.pipeline(),
            700..=829 => self.watched_change(),
            830..=869 => self.reattach(),
            870..=889 => self.odd_handshake(),
            890..=904 => {
                let client = self.client();
                self.steps.push(Step::Drop { client });
            }
            905..=919 => self.close_session(),
            920..=944 => self.quota(),
            945..=956 => self.fresh(),
            957..=963 => self.garbage(),
            964..=983 => self.ephemerals(),
            984..=985 => self.expiry(),
            986..=992 => self.stranger(),
            _ => self.short_timeout(),
        }
    }

    fn single(&mut self) {
        let (client, xid) = (self.client(), self.next_xid());
        let request = requests::any(&mut self.rng, &mut self.paths, xid);
        self.send(client, vec![request]);
    }

    /// Several requests in one write. Apache checks them against what is not applied yet, with two exceptions, in
    /// which its answer depends on how fast it applies: it overlooks a pending setACL, so that comes last; and it looks
    /// at the usage of quotas as it was applied, so under quotas there is one write at most.
    fn pipeline(&mut self) {
        let client = self.client();
        let n = self.rng.usize(2..9);
        let mut list: Vec<Request> = Vec::new();
        for _ in 0..n {
            let xid = self.next_xid();
            let request = requests::ordinary(&mut self.rng, &mut self.paths, xid);
            let is_last = request.op == OpCode::SetAcl.code() || (self.limited && !request.is_quiet());
            list.push(request);
            if is_last {
                break;
            }
        }
        self.send(client, list);
    }

    /// One client leaves a watch, another changes what it watches.
    fn watched_change(&mut self) {
        let (watcher, writer) = (self.client(), self.client());
        let path = if self.rng.bool() {
            self.paths.existing(&mut self.rng)
        } else {
            self.paths.likely(&mut self.rng)
        };
        let op =
            [OpCode::Exists, OpCode::GetData, OpCode::GetChildren, OpCode::GetChildren2, OpCode::AddWatch]
                [self.rng.usize(..5)];
        let mut body = Vec::new();
        body.put_ustring(&path);
        match op {
            OpCode::AddWatch => body.put_i32(self.rng.i32(0..2)),
            _ => body.put_bool(true),
        }
        let request = Request::new(self.next_xid(), op, body);
        self.send(watcher, vec![request]);
        if chance(&mut self.rng, 20) {
            self.about_watch(watcher, &path);
        }
        let mut body = Vec::new();
        let op = [OpCode::SetData, OpCode::Delete, OpCode::Create, OpCode::Create][self.rng.usize(..4)];
        let below = format!("{path}/w{}", self.rng.u32(..3));
        let target = if op == OpCode::Create && self.rng.bool() { below } else { path };
        let root_would_go = op == OpCode::Delete && target == self.paths.root();
        body.put_ustring(&target);
        match op {
            OpCode::Delete => {}
            _ => body.put_buffer(values::data(&mut self.rng).as_deref()),
        }
        match op {
            OpCode::Create => {
                body.extend_from_slice(OPEN_ACL);
                body.put_i32([0, 0, 1][self.rng.usize(..3)]);
                self.paths.made(&target, false);
            }
            _ => body.put_i32(if root_would_go { 4711 } else { -1 }),
        }
        let request = Request::new(self.next_xid(), op, body);
        self.send(writer, vec![request]);
    }

    /// Asks for a watch that may be there, or takes it away.
    fn about_watch(&mut self, client: Client, path: &str) {
        let op = [OpCode::CheckWatches, OpCode::RemoveWatches][self.rng.usize(..2)];
        let mut body = Vec::new();
        body.put_ustring(path);
        body.put_i32(self.rng.i32(1..6));
        let request = Request::new(self.next_xid(), op, body);
        self.send(client, vec![request]);
    }

    /// A request of any kind on a connection that has not authenticated itself.
    fn stranger(&mut self) {
        let (client, xid) = (self.client(), self.next_xid());
        self.steps
            .push(Step::Open { client, handshake: Handshake { authenticate: false, ..Handshake::NEW } });
        let request = requests::of_any_kind(&mut self.rng, &mut self.paths, xid);
        self.send(client, vec![request]);
    }

    fn reattach(&mut self) {
        let client = self.client();
        let mut handshake = Handshake { keep_old: self.rng.bool(), ..Handshake::REATTACH };
        handshake.read_only = [Some(0), Some(1), None][self.rng.usize(..3)];
        handshake.last_zxid =
            [ZxidChoice::Absolute(0), ZxidChoice::Absolute(-1), ZxidChoice::Relative(0)][self.rng.usize(..3)];
        handshake.authenticate = !chance(&mut self.rng, 20) || self.profile == Profile::EnforceAuth;
        self.steps.push(Step::Open { client, handshake });
        if self.rng.bool() {
            let op = [OpCode::SetWatches, OpCode::SetWatches2][self.rng.usize(..2)];
            let request = requests::of(&mut self.rng, &mut self.paths, op, 0);
            self.send(client, vec![request]);
        }
    }

    fn odd_handshake(&mut self) {
        let client = self.client();
        let mut handshake = Handshake { keep_old: self.rng.bool(), ..Handshake::REATTACH };
        match self.rng.u32(..9) {
            0 => handshake.password = PasswordChoice::Wrong,
            1 => handshake.password = PasswordChoice::Zeros,
            2 => handshake.password = PasswordChoice::Short,
            3 => handshake.password = PasswordChoice::Empty,
            4 => handshake.password = PasswordChoice::Null,
            5 => handshake.last_zxid = ZxidChoice::Relative(1_000_000),
            6 => handshake.last_zxid = ZxidChoice::Absolute(i64::MAX),
            7 => {
                handshake.session =
                    SessionChoice::Literal([-1, 1, i64::MIN, 0x0102_0304_0506_0708][self.rng.usize(..4)])
            }
            _ => {
                handshake.session = SessionChoice::New;
                handshake.protocol = [1, -1, i32::MAX][self.rng.usize(..3)];
                handshake.password =
                    [PasswordChoice::Wrong, PasswordChoice::Null, PasswordChoice::Short][self.rng.usize(..3)];
            }
        }
        self.steps.push(Step::Open { client, handshake });
    }

    fn close_session(&mut self) {
        let client = self.client();
        let request = Request::new(self.next_xid(), OpCode::CloseSession, Vec::new());
        self.send(client, vec![request]);
        if self.rng.bool() {
            self.steps.push(Step::Open { client, handshake: Handshake::REATTACH });
        }
    }

    /// Some ephemerals of one client, then the end of its session or of its connection.
    fn ephemerals(&mut self) {
        let client = self.client();
        for _ in 0..self.rng.usize(1..4) {
            let path = self.paths.likely(&mut self.rng);
            self.ephemeral(client, &path);
        }
        match self.rng.u32(..3) {
            0 => self.close_session(),
            1 => self.steps.push(Step::Drop { client }),
            _ => {
                let below = format!("{}/below", self.paths.existing(&mut self.rng));
                self.create(client, &below, None);
            }
        }
    }

    fn ephemeral(&mut self, client: Client, path: &str) {
        let mut body = Vec::new();
        body.put_ustring(path);
        body.put_buffer(Some(b"e"));
        body.extend_from_slice(OPEN_ACL);
        body.put_i32(if path != self.paths.root() && self.rng.u32(..4) == 0 { 3 } else { 1 });
        self.paths.made(path, false);
        let op = [OpCode::Create, OpCode::Create2][self.rng.usize(..2)];
        let request = Request::new(self.next_xid(), op, body);
        self.send(client, vec![request]);
    }

    /// A session that dies of silence, with its ephemerals. The shortest timeout; its client holds no watches, because
    /// Apache may lose what it is about to send when it closes a connection.
    fn expiry(&mut self) {
        if self.rng.u32(..3) != 0 {
            return;
        }
        let client = self.client();
        let handshake = Handshake { timeout_ms: [0, -1, 1, 1000][self.rng.usize(..4)], ..Handshake::NEW };
        self.steps.push(Step::Open { client, handshake });
        let path = self.paths.likely(&mut self.rng);
        self.ephemeral(client, &path);
        self.steps.push(Step::Expire { client });
        if self.rng.bool() {
            self.steps.push(Step::Open { client, handshake: Handshake::REATTACH });
        }
    }

    /// A timeout below the minimum, made longer at once by attaching again.
    fn short_timeout(&mut self) {
        let client = self.client();
        let handshake =
            Handshake { timeout_ms: [0, i32::MIN, 999, 1001][self.rng.usize(..4)], ..Handshake::NEW };
        self.steps.push(Step::Open { client, handshake });
        let keep_old = self.rng.bool();
        self.steps.push(Step::Open { client, handshake: Handshake { keep_old, ..Handshake::REATTACH } });
    }

    /// Sets up a quota, or changes one.
    fn quota(&mut self) {
        self.limited = true;
        let client = self.client();
        let path =
            if self.rng.bool() { self.paths.root().to_owned() } else { self.paths.existing(&mut self.rng) };
        let mut parent = "/zookeeper/quota".to_owned();
        for part in path.split('/').skip(1) {
            parent = format!("{parent}/{part}");
            self.create(client, &parent, None);
        }
        let limits = values::limits(&mut self.rng);
        let node = format!("{parent}/zookeeper_limits");
        let mut body = Vec::new();
        match self.rng.u32(..6) {
            0 => {
                body.put_ustring(&node);
                body.put_buffer(limits.as_deref());
                body.put_i32(-1);
                let request = Request::new(self.next_xid(), OpCode::SetData, body);
                self.send(client, vec![request]);
            }
            1 => {
                body.put_ustring(&node);
                body.put_i32(-1);
                let request = Request::new(self.next_xid(), OpCode::Delete, body);
                self.send(client, vec![request]);
            }
            kind => {
                self.create(client, &node, limits);
                if kind != 2 {
                    self.create(
                        client,
                        &format!("{parent}/zookeeper_stats"),
                        Some(b"count=1,bytes=1".to_vec()),
                    );
                }
            }
        }
    }

    fn fresh(&mut self) {
        let ping: &[u8] = b"\0\0\0\x08\xff\xff\xff\xfe\0\0\0\x0b";
        let shapes: [&[u8]; 10] = [
            b"ruok",
            b"isro",
            b"\xff\xff\xff\xff",
            b"\x80\0\0\0",
            b"\x7f\xff\xff\xff",
            b"\0\x10\0\0",
            b"\0\0\0\0",
            ping,
            b"\0\0\0\x1b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\xff\xff\xff",
            b"\0\0\0\x1c\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x75\x30\0\0\0\0\0\0\0\0\0\0\0\x05",
        ];
        let bytes = shapes[self.rng.usize(..shapes.len())].to_vec();
        self.steps.push(Step::Fresh { bytes });
    }

    fn garbage(&mut self) {
        let client = self.client();
        let shapes: [&[u8]; 7] = [
            b"\xff\xff\xff\xff",
            b"\x80\0\0\0",
            b"\x7f\xff\xff\xff",
            b"\0\x10\0\0",
            b"\0\0\0\0",
            b"\0\0\0\x04\0\0\0\x01",
            b"\0\0\0\x07\0\0\0\x01\0\0\0",
        ];
        let bytes = shapes[self.rng.usize(..shapes.len())].to_vec();
        self.steps.push(Step::Garbage { client, bytes });
    }

    /// What a server may refuse although Apache does not.
    fn last_steps(&mut self) {
        let client = self.client();
        for _ in 0..3 {
            let xid = self.next_xid();
            let op = if self.rng.u32(..4) == 0 { OpCode::CreateSession } else { OpCode::DeleteContainer };
            let mut request = requests::of(&mut self.rng, &mut self.paths, op, xid);
            if op == OpCode::DeleteContainer && chance(&mut self.rng, 60) {
                request.body.clear();
                request.body.put_ustring(&self.paths.existing(&mut self.rng));
            } else if self.rng.u32(..6) == 0 {
                request.body.pop();
            }
            self.send(client, vec![request]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_makes_the_same_plan_and_others_differ() {
        assert_eq!(plan(Profile::Full, 7), plan(Profile::Full, 7));
        assert_ne!(plan(Profile::Full, 7).steps, plan(Profile::Full, 8).steps);
        assert_ne!(plan(Profile::Full, 7).steps, plan(Profile::Plain, 7).steps);
    }

    #[test]
    fn plans_are_long_and_have_several_clients() {
        for profile in Profile::ALL {
            for seed in 0..50 {
                let plan = plan(profile, seed);
                let requests: usize = plan
                    .steps
                    .iter()
                    .map(|s| if let Step::Send { requests, .. } = s { requests.len() } else { 0 })
                    .sum();
                assert!(requests >= MIN_REQUESTS);
                assert!(plan.clients >= MIN_CLIENTS);
            }
        }
    }
}
