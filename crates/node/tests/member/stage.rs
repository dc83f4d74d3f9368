//! One member with its clients and its peers' bytes: the helper through which every test here goes. Its disk is durable
//! at once; nothing else happens by itself.

use node::{
    Conn, ConnContext, ConnId, DiskDone, DiskTask, Effect, EnsembleSettings, Epochs, Inflight, Node,
    NodeStats, Now, Outbound, Peer, Session, Settings, Submission, Timing, Watches,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tree::{Rules, Tree};
use wire::data::OPEN_ACL;
use wire::election::{NOTIFICATION_VERSION, Notification, ServerState};
use wire::jute::{Put, Reader};
use wire::reply::{ConnectResponse, ReplyHeader};
use wire::request::{ConnectRequest, RequestHeader};
use wire::{OpCode, frame};
use zab::{LearnerKey, View};

/// The wall clock stands this far ahead of the monotonic one.
pub const WALL_MS: i64 = 1_700_000_000_000;
const RULES: Rules = Rules {
    digest: true,
    owners: wire::data::OwnerRules { extended_types: false, emulate_353_ttl: false },
    hash_seed: 1,
};

/// Settings of member `me` of three voters and the observer 4.
pub fn settings(me: i64) -> EnsembleSettings {
    EnsembleSettings {
        me,
        view: View { observers: BTreeSet::from([4]), ..View::of([1, 2, 3]) },
        is_observer: me == 4,
        config_lines: "server.1=a:1:2:participant".into(),
        timing: Timing { tick_ms: 500, init_ms: 5000, sync_ms: 2500, last_counter: u32::MAX },
        connect_ms: 5000,
        election: Default::default(),
        force_snapshot_sync: false,
        leader_serves: true,
        is_observer_master: me != 4,
        read_only_after_ms: Some(2000),
    }
}

enum Delivery {
    Event(Vec<u8>),
    Reply(Vec<u8>, u64),
    Welcome(Vec<u8>, Arc<Session>),
    Close(Vec<u8>),
}

#[derive(Default)]
struct Mail {
    items: Vec<(ConnId, Delivery)>,
    closes_all: bool,
}

impl Outbound for Mail {
    fn event(&mut self, conn: ConnId, frame: &[u8]) {
        self.items.push((conn, Delivery::Event(frame.to_vec())));
    }

    fn reply(&mut self, conn: ConnId, frame: &[u8], latency_ms: u64) {
        self.items.push((conn, Delivery::Reply(frame.to_vec(), latency_ms)));
    }

    fn welcome(&mut self, conn: ConnId, frame: &[u8], session: Arc<Session>) {
        self.items.push((conn, Delivery::Welcome(frame.to_vec(), session)));
    }

    fn close(&mut self, conn: ConnId, frame: Option<&[u8]>) {
        self.items.push((conn, Delivery::Close(frame.unwrap_or_default().to_vec())));
    }

    fn close_all(&mut self) {
        self.closes_all = true;
    }
}

/// A frame that a client received, without its length.
pub type Frame = Vec<u8>;

pub struct Stage {
    pub node: Node,
    pub tree: Tree,
    pub now_ms: i64,
    /// What the node asked for that the stage does not do by itself.
    pub effects: Vec<Effect>,
    pub reports: Vec<String>,
    /// Bytes for the leader.
    pub to_leader: Vec<u8>,
    pub to_learners: BTreeMap<LearnerKey, Vec<u8>>,
    watches: Watches,
    inflight: Inflight,
    settings: Arc<Settings>,
    conns: BTreeMap<ConnId, Conn>,
    mail: Mail,
}

impl Stage {
    /// A member over an empty database that has just begun to look for a leader.
    pub fn new(ensemble: EnsembleSettings) -> Stage {
        Stage::with_settings(ensemble, Settings::default(), Tree::new(RULES))
    }

    pub fn with_settings(ensemble: EnsembleSettings, settings: Settings, tree: Tree) -> Stage {
        let settings = Arc::new(Settings { server_id: ensemble.me, tick_ms: 500, ..settings });
        let now = Now { mono_ms: 0, wall_ms: WALL_MS };
        let epochs = Epochs { accepted: 0, current: 0 };
        let mut stage = Stage {
            node: Node::member(settings.clone(), ensemble, epochs, &tree, now, 1),
            tree,
            now_ms: 0,
            effects: Vec::new(),
            reports: Vec::new(),
            to_leader: Vec::new(),
            to_learners: BTreeMap::new(),
            watches: Watches::new(1),
            inflight: Inflight::default(),
            settings,
            conns: BTreeMap::new(),
            mail: Mail::default(),
        };
        stage.settle();
        stage
    }

    pub fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, wall_ms: WALL_MS + self.now_ms }
    }

    pub fn stats(&self) -> NodeStats {
        self.node.stats(&self.tree)
    }

    /// Everything that can happen without time passing or bytes coming.
    pub fn settle(&mut self) {
        for _ in 0..20 {
            let now = self.now();
            if self.node.next_tick_ms() <= self.now_ms {
                self.node.tick(&self.tree, now, &mut self.mail);
            }
            self.carry_out();
            self.write_to_disk();
            while self.node.commit(&mut self.tree, &self.watches, now, 3, &mut self.mail) {}
            self.node.settled(&self.tree, now);
            self.carry_out();
            self.write_to_disk();
            self.deliver();
        }
        let (to_leader, to_learners) = (&mut self.to_leader, &mut self.to_learners);
        self.node.for_each_outgoing(|peer, bytes| match peer {
            Peer::Leader => to_leader.append(bytes),
            Peer::Learner(key) => to_learners.entry(key).or_default().append(bytes),
        });
    }

    fn carry_out(&mut self) {
        for effect in self.node.take_effects() {
            match effect {
                Effect::Adopt(tree) => self.tree = *tree,
                Effect::Report(report) => self.reports.push(report.to_string()),
                other => self.effects.push(other),
            }
        }
    }

    fn write_to_disk(&mut self) {
        while let Some(batch) = self.node.take_batch() {
            self.node.durable(batch.last_zxid());
        }
        while let Some(task) = self.node.take_task() {
            let done = match task {
                DiskTask::SaveAcceptedEpoch(epoch) => DiskDone::AcceptedEpoch(epoch),
                DiskTask::SaveCurrentEpoch(epoch) => DiskDone::CurrentEpoch(epoch),
                DiskTask::Install(tree) => DiskDone::Installed(tree),
                DiskTask::Truncate { .. } => panic!("no log to cut here"),
            };
            self.node.disk_done(
                done,
                &self.tree,
                Now { mono_ms: self.now_ms, wall_ms: WALL_MS },
                &mut self.mail,
            );
        }
    }

    fn deliver(&mut self) {
        let mail = std::mem::take(&mut self.mail);
        for (id, item) in mail.items {
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            match item {
                Delivery::Event(frame) => conn.on_event(&frame),
                Delivery::Reply(frame, ms) => conn.on_reply(&frame, ms, &self.inflight),
                Delivery::Welcome(frame, session) => conn.on_welcome(&frame, session, self.tree.last_zxid()),
                Delivery::Close(frame) => conn.on_close((!frame.is_empty()).then_some(&frame[..])),
            }
        }
        if mail.closes_all {
            for conn in self.conns.values_mut().filter(|conn| !conn.is_fresh()) {
                conn.close();
            }
        }
    }

    /// Time passes; everything that is due on the way happens at its time.
    pub fn pass(&mut self, ms: i64) {
        let end_ms = self.now_ms + ms;
        while self.node.next_tick_ms() <= end_ms {
            self.now_ms = self.now_ms.max(self.node.next_tick_ms());
            self.settle();
        }
        self.now_ms = end_ms;
        self.settle();
    }

    /// Servers 2 and 3 say that 3 leads, in this epoch.
    pub fn elect_three(&mut self, epoch: i64) {
        for (from, state) in [(2, ServerState::Following), (3, ServerState::Leading)] {
            let config = Some("server.1=a:1:2:participant\nversion=0".into());
            let (version, peer_epoch) = (NOTIFICATION_VERSION, epoch);
            let said = Notification { state, leader: 3, zxid: 0, round: 7, peer_epoch, version, config };
            let mut payload = Vec::new();
            said.encode(&mut payload);
            self.node.election_message(from, &payload, &self.tree, self.now());
        }
        self.settle();
    }

    /// The connection to the leader stands.
    pub fn leader_connects(&mut self) {
        self.node.leader_connected(&self.tree, self.now());
        self.settle();
    }

    /// The leader sends what `write` appends.
    pub fn leader_sends(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.leader_bytes(&bytes);
    }

    pub fn leader_bytes(&mut self, bytes: &[u8]) {
        self.node.leader_bytes(bytes, &self.tree, self.now(), &mut self.mail);
        self.settle();
    }

    /// The connection to the leader breaks.
    pub fn leader_leaves(&mut self) {
        self.node.leader_gone("it broke", &mut self.mail);
        self.settle();
    }

    /// A learner connects; whether it is wanted.
    pub fn learner_connects(&mut self, key: LearnerKey) -> bool {
        let wanted = self.node.learner_connected(key, self.now());
        self.settle();
        wanted
    }

    pub fn learner_leaves(&mut self, key: LearnerKey) {
        self.node.learner_gone(key);
        self.settle();
    }

    pub fn learner_bytes(&mut self, key: LearnerKey, bytes: &[u8]) {
        self.node.learner_bytes(key, bytes, &self.tree, self.now(), &mut self.mail);
        self.settle();
    }

    /// A client connects.
    pub fn connect(&mut self, id: ConnId, request: &ConnectRequest<'_>) {
        self.conns.insert(id, Conn::new(id, IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        request.encode(&mut bytes);
        frame::finish(&mut bytes, start);
        self.feed(id, &bytes);
    }

    pub fn request(&mut self, id: ConnId, xid: i32, op: OpCode, body: &[u8]) {
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        RequestHeader { xid, op: op.code() }.encode(&mut bytes);
        bytes.extend_from_slice(body);
        frame::finish(&mut bytes, start);
        self.feed(id, &bytes);
    }

    fn feed(&mut self, id: ConnId, bytes: &[u8]) {
        let mut submission = Submission::default();
        let mut cx = ConnContext {
            tree: &self.tree,
            watches: &self.watches,
            settings: &self.settings,
            inflight: &self.inflight,
            now_ms: self.now_ms,
            submission: &mut submission,
        };
        self.conns.get_mut(&id).unwrap().handle(bytes, &mut cx);
        self.node.submit(&self.tree, self.now(), &submission, &mut self.mail);
        self.settle();
    }

    /// The client's connection breaks.
    pub fn break_off(&mut self, id: ConnId) {
        let mut conn = self.conns.remove(&id).unwrap();
        let mut submission = Submission::default();
        conn.on_gone(&self.watches, &self.inflight, self.now_ms, &mut submission);
        self.node.submit(&self.tree, self.now(), &submission, &mut self.mail);
        self.settle();
    }

    /// What the client has received since the last look.
    pub fn received(&mut self, id: ConnId) -> Vec<Frame> {
        let bytes = std::mem::take(self.conns.get_mut(&id).unwrap().outgoing());
        let (mut frames, mut rest) = (Vec::new(), &bytes[..]);
        while let Some((payload, used)) = frame::split(rest, 1 << 20).unwrap() {
            frames.push(payload.to_vec());
            rest = &rest[used..];
        }
        frames
    }

    pub fn is_closed(&self, id: ConnId) -> bool {
        self.conns[&id].is_closing()
    }

    /// The one answer to a handshake.
    pub fn welcome(&mut self, id: ConnId) -> ConnectResponse {
        let frames = self.received(id);
        assert_eq!(frames.len(), 1);
        ConnectResponse::decode(&frames[0]).unwrap()
    }

    /// The one reply: header and body.
    pub fn reply(&mut self, id: ConnId) -> (ReplyHeader, Vec<u8>) {
        let frames = self.received(id);
        assert_eq!(frames.len(), 1, "{frames:?}");
        let mut reader = Reader::new(&frames[0]);
        (ReplyHeader::decode(&mut reader).unwrap(), reader.rest().to_vec())
    }
}

/// A handshake for a new session.
pub fn hello(read_only: Option<bool>) -> ConnectRequest<'static> {
    ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: 4000,
        session_id: 0,
        password: Some(&[0; 16]),
        read_only,
    }
}

/// Path and watch, as getData, exists and getChildren want them.
pub fn read_body(path: &str, watch: bool) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_ustring(path);
    body.put_bool(watch);
    body
}

pub fn create_body(path: &str, data: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    body.put_ustring(path);
    body.put_buffer(Some(data));
    body.extend_from_slice(OPEN_ACL);
    body.put_i32(0);
    body
}
