//! The quorum port: connections between a leader and its learners, and what the node asks of them.
//!
//! They belong to the node thread, which waits for them and for its inbox in one poll: a proposal that arrives is
//! looked at without passing from thread to thread. What would keep that thread waiting has threads of its own: reaching
//! the leader (`connect.rs`), and sending a dump or a part of the log (`stream.rs`).

mod connect;
mod link;
mod stream;

use crate::election_net::{ElectionEvent, ElectionNet, ElectionNetOptions, PeerAddress};
use crate::outbox::Outboxes;
use crate::shared::{NodeInput, Shared};
use config::{Config, Role};
use journal::DumpDecoder;
use link::{Link, Received};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Poll, Registry, Token};
use node::{Effect, EnsembleSettings, Node, Now, Peer, Timing};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tree::Tree;
use wire::jute::Limits;
use zab::election::Options;
use zab::{LearnerKey, Quorum, ServerId, View};

pub(crate) const WAKE: Token = Token(usize::MAX);
const LISTEN: Token = Token(usize::MAX - 1);
/// A member serves read-only no sooner than this after it lost its leader: most elections are over by then.
const READ_ONLY_AFTER_MS: i64 = 2000;
const LEADER: Token = Token(usize::MAX - 2);

/// What other threads have to say about the quorum port.
#[derive(Debug)]
pub(crate) enum QuorumInput {
    Election(ElectionEvent),
    /// Attempt number, and the connection or why there is none.
    Connected(u64, Result<std::net::TcpStream, String>),
    Located(LearnerKey, Option<node::Located>),
    /// The learner was sent everything up to the zxid; or why not.
    Streamed(LearnerKey, Result<i64, String>),
}

/// See the module's introduction.
pub(crate) struct QuorumNet {
    shared: Arc<Shared>,
    poll: Poll,
    election: ElectionNet,
    /// Quorum addresses of all members.
    addresses: BTreeMap<ServerId, Vec<(String, u16)>>,
    me: ServerId,
    listener: Option<TcpListener>,
    learners: BTreeMap<LearnerKey, Link>,
    next_learner: LearnerKey,
    leader: Option<Link>,
    /// Where an observer finds those that it may follow instead of the leader; empty if there are none.
    masters: Vec<(String, u16)>,
    /// Attempts to reach a leader; answers to former ones are of no interest.
    attempt: u64,
    dump: Option<(DumpDecoder, i64, Vec<u8>)>,
}

/// What the node is told of its ensemble.
pub(crate) fn settings(config: &Config) -> Result<EnsembleSettings, String> {
    let ensemble = &config.ensemble;
    let me = ensemble.my_id.unwrap_or(0);
    let members = &ensemble.membership;
    let voters = members.participants().map(|m| m.id);
    let quorum = if members.is_hierarchical() {
        let groups =
            members.groups.iter().map(|(group, ids)| (*group, ids.iter().copied().collect())).collect();
        let weights = members.weights.iter().map(|(id, w)| (*id, (*w).max(0) as u64)).collect();
        Quorum::hierarchical(groups, weights).map_err(|e| e.to_string())?
    } else {
        Quorum::majority(voters)
    };
    let observers = members.observers().map(|m| m.id).collect();
    let tick_ms = i64::from(config.sessions.tick_time_ms);
    let text = members.to_string();
    let (config_lines, _version) = text.rsplit_once('\n').unwrap_or((&text, ""));
    let init_ms = tick_ms * i64::from(ensemble.init_limit_ticks);
    let connect_ms = match ensemble.connect_to_learner_master_limit_ticks {
        0 => init_ms,
        ticks => tick_ms * i64::from(ticks),
    };
    Ok(EnsembleSettings {
        me,
        view: View { quorum, observers, version: members.version },
        is_observer: ensemble.role == Role::Observer
            || members.members.get(&me).is_some_and(|m| m.role == Role::Observer),
        config_lines: config_lines.to_owned(),
        timing: Timing { tick_ms, init_ms, sync_ms: tick_ms * i64::from(ensemble.sync_limit_ticks) },
        connect_ms,
        election: Options {
            min_interval_ms: ensemble.min_notification_interval_ms as i64,
            max_interval_ms: ensemble.max_notification_interval_ms as i64,
            ..Options::default()
        },
        force_snapshot_sync: ensemble.force_snapshot_sync,
        leader_serves: ensemble.leader_serves,
        is_observer_master: ensemble.observer_master_port.is_some(),
        read_only_after_ms: config.sessions.read_only_mode_enabled.then_some(tick_ms.max(READ_ONLY_AFTER_MS)),
    })
}

/// The voters' addresses with the port for observers, in an order of this server's own, so that observers spread.
fn masters(shared: &Shared) -> Vec<(String, u16)> {
    let ensemble = &shared.config.ensemble;
    let members = &ensemble.membership;
    let me = ensemble.my_id.and_then(|id| members.members.get(&id));
    let is_observer = ensemble.role == Role::Observer || me.is_some_and(|m| m.role == Role::Observer);
    let Some(port) = ensemble.observer_master_port.filter(|_| is_observer) else { return Vec::new() };
    let addresses = members.participants().flat_map(|member| &member.addresses);
    let mut masters: Vec<(String, u16)> = addresses.map(|a| (a.host.clone(), port)).collect();
    let count = masters.len().max(1);
    masters.rotate_left(shared.seed as usize % count);
    masters
}

impl QuorumNet {
    /// Takes part in elections from now on. `poll` is the one that wakes the node thread.
    pub fn start(shared: Arc<Shared>, poll: Poll) -> io::Result<QuorumNet> {
        let ensemble = &shared.config.ensemble;
        let me = ensemble.my_id.unwrap_or(0);
        let members = &ensemble.membership.members;
        let election_of = |id: &i64| -> Vec<(String, u16)> {
            let addresses = members.get(id).map(|m| m.addresses.as_slice()).unwrap_or_default();
            addresses.iter().map(|a| (a.host.clone(), a.election_port)).collect()
        };
        let peers = members.keys().filter(|id| **id != me);
        let peers = peers.map(|id| PeerAddress { sid: *id, hosts: election_of(id) }).collect();
        let sync_ms = u64::from(shared.config.sessions.tick_time_ms) * u64::from(ensemble.sync_limit_ticks);
        let options = ElectionNetOptions {
            listen_on_all_ips: ensemble.quorum_listen_on_all_ips,
            cnx_timeout_ms: ensemble.cnx_timeout_ms,
            handshake_timeout_ms: ensemble.quorum_cnxn_timeout_ms.map_or(sync_ms, u64::from),
            bind_retries: ensemble.election_port_bind_retries.unwrap_or(0),
            keep_alive: ensemble.tcp_keep_alive,
            multi_address: ensemble.multi_address_enabled,
        };
        let inbox = shared.clone();
        let events = move |event| inbox.inbox.send(NodeInput::Quorum(QuorumInput::Election(event)));
        let election = ElectionNet::start(me, election_of(&me), peers, options, events)?;
        let addresses = members
            .iter()
            .map(|(id, m)| (*id, m.addresses.iter().map(|a| (a.host.clone(), a.quorum_port)).collect()))
            .collect();
        Ok(QuorumNet {
            poll,
            election,
            addresses,
            me,
            listener: None,
            learners: BTreeMap::new(),
            next_learner: 0,
            leader: None,
            masters: masters(&shared),
            shared,
            attempt: 0,
            dump: None,
        })
    }

    pub fn poll(&mut self) -> &mut Poll {
        &mut self.poll
    }

    fn registry(&self) -> &Registry {
        self.poll.registry()
    }

    /// A socket is ready.
    pub fn on_ready(&mut self, event: &Event, node: &mut Node, tree: &Tree, now: Now, out: &mut Outboxes) {
        match event.token() {
            WAKE => {}
            LISTEN => self.accept(node, now),
            LEADER => {
                if let Some(link) = &mut self.leader {
                    link.on_ready(event);
                }
                self.read_leader(node, tree, now, out);
            }
            Token(key) => {
                let key = key as LearnerKey;
                if let Some(link) = self.learners.get_mut(&key) {
                    link.on_ready(event);
                }
                self.read_learner(key, node, tree, now, out);
            }
        }
    }

    /// Sockets that had more to read than one turn takes.
    pub fn read_on(&mut self, node: &mut Node, tree: &Tree, now: Now, out: &mut Outboxes) {
        if self.leader.as_ref().is_some_and(|l| l.readable) {
            self.read_leader(node, tree, now, out);
        }
        let readable: Vec<LearnerKey> =
            self.learners.iter().filter(|(_, l)| l.readable).map(|(key, _)| *key).collect();
        for key in readable {
            self.read_learner(key, node, tree, now, out);
        }
    }

    /// Whether something can be read without waiting.
    pub fn has_readable(&self, node: &Node) -> bool {
        self.learners.values().any(|l| l.readable)
            || self
                .leader
                .as_ref()
                .is_some_and(|l| l.readable && (node.wants_leader_bytes() || self.dump.is_some()))
    }

    fn accept(&mut self, node: &mut Node, now: Now) {
        let Some(listener) = &self.listener else { return };
        while let Ok((mut stream, peer)) = listener.accept() {
            let key = self.next_learner;
            if !node.learner_connected(key, now) {
                tracing::warn!(%peer, "a connection to the quorum port is refused: there are too many");
                continue;
            }
            self.next_learner += 1;
            let interest = Interest::READABLE | Interest::WRITABLE;
            if let Err(error) = self.poll.registry().register(&mut stream, Token(key as usize), interest) {
                tracing::warn!(%error, %peer, "a connection to the quorum port cannot be watched");
                node.learner_gone(key);
                continue;
            }
            self.learners.insert(key, Link::new(stream, peer));
        }
    }

    fn read_learner(&mut self, key: LearnerKey, node: &mut Node, tree: &Tree, now: Now, out: &mut Outboxes) {
        let Some(link) = self.learners.get_mut(&key) else { return };
        if !link.readable {
            return;
        }
        let received = link.receive();
        if !link.arrived().is_empty() {
            node.learner_bytes(key, link.arrived(), tree, now, out);
        }
        if let Received::Ended(error) = received {
            tracing::debug!(peer = %link.peer, error, "a learner's connection ended");
            if let Some(link) = self.learners.remove(&key) {
                link.shut();
            }
            node.learner_gone(key);
        }
    }

    fn read_leader(&mut self, node: &mut Node, tree: &Tree, now: Now, out: &mut Outboxes) {
        let Some(link) = &mut self.leader else { return };
        let wanted = node.wants_leader_bytes() || self.dump.is_some();
        if !link.readable || !wanted {
            return;
        }
        let received = link.receive();
        let failed = if self.dump.is_some() {
            node.dump_progress(now);
            let bytes = link.arrived().to_vec();
            self.feed_dump(&bytes, node, tree, now, out).err()
        } else {
            if !link.arrived().is_empty() {
                node.leader_bytes(link.arrived(), tree, now, out);
            }
            None
        };
        let failed = failed.or(match received {
            Received::Ended(error) => Some(error),
            Received::Open => None,
        });
        if let Some(error) = failed {
            self.leader = None;
            self.dump = None;
            node.leader_gone(&error, out);
        }
    }

    fn feed_dump(
        &mut self,
        bytes: &[u8],
        node: &mut Node,
        tree: &Tree,
        now: Now,
        out: &mut Outboxes,
    ) -> Result<(), String> {
        let Some((decoder, _, kept)) = &mut self.dump else { return Ok(()) };
        kept.extend_from_slice(bytes);
        let fed = decoder.feed(kept).map_err(|e| e.to_string())?;
        kept.drain(..fed.used);
        if !fed.done {
            return Ok(());
        }
        let Some((decoder, zxid, rest)) = self.dump.take() else { return Ok(()) };
        let loaded = decoder.finish(zxid).map_err(|e| e.to_string())?;
        tracing::info!(znodes = loaded.len(), zxid = format!("{zxid:#x}"), "the leader's tree is loaded");
        node.dump_received(Box::new(loaded), &rest, tree, now, out);
        Ok(())
    }

    /// What another thread has done.
    pub fn on_input(
        &mut self,
        input: QuorumInput,
        node: &mut Node,
        tree: &Tree,
        now: Now,
        out: &mut Outboxes,
    ) {
        match input {
            QuorumInput::Election(ElectionEvent::Message { from, payload }) => {
                node.election_message(from, &payload, tree, now);
            }
            QuorumInput::Election(ElectionEvent::LinkUp(peer)) => node.election_link(peer, true, tree, now),
            QuorumInput::Election(ElectionEvent::LinkLost(peer)) => {
                node.election_link(peer, false, tree, now)
            }
            QuorumInput::Election(ElectionEvent::Failed(_)) => {}
            QuorumInput::Connected(attempt, result) if attempt == self.attempt => match result {
                Ok(stream) => self.adopt_leader(stream, node, tree, now, out),
                Err(error) => node.leader_gone(&error, out),
            },
            QuorumInput::Connected(..) => {}
            QuorumInput::Located(key, located) => node.located(key, located, tree),
            QuorumInput::Streamed(key, Ok(through)) => {
                if let Some(link) = self.learners.get_mut(&key) {
                    link.is_lent = false;
                    node.streamed(key, through, tree, now);
                }
            }
            QuorumInput::Streamed(key, Err(error)) => {
                if let Some(link) = self.learners.remove(&key) {
                    tracing::warn!(peer = %link.peer, error, "a learner cannot be brought up to date");
                    node.learner_gone(key);
                }
            }
        }
    }

    fn adopt_leader(
        &mut self,
        stream: std::net::TcpStream,
        node: &mut Node,
        tree: &Tree,
        now: Now,
        out: &mut Outboxes,
    ) {
        let peer = stream.peer_addr().unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)));
        let mut stream = TcpStream::from_std(stream);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.registry().register(&mut stream, LEADER, interest) {
            return node.leader_gone(&error.to_string(), out);
        }
        self.leader = Some(Link::new(stream, peer));
        node.leader_connected(tree, now);
    }

    /// Does what the node asks for; what concerns the tree itself comes back.
    pub fn carry_out(
        &mut self,
        node: &mut Node,
        tree: &Tree,
        now: Now,
        out: &mut Outboxes,
    ) -> Option<Box<Tree>> {
        let mut adopted = None;
        loop {
            let effects = node.take_effects();
            if effects.is_empty() {
                return adopted;
            }
            for effect in effects {
                match effect {
                    Effect::Adopt(new) => adopted = Some(new),
                    effect => self.effect(effect, node, tree, now, out),
                }
            }
        }
    }

    fn effect(&mut self, effect: Effect, node: &mut Node, tree: &Tree, now: Now, out: &mut Outboxes) {
        match effect {
            Effect::Notify { to, payload } => self.election.send(to, payload),
            Effect::ReconnectPeers => self.election.connect_all(),
            Effect::ConnectToLeader { leader } => self.connect(leader),
            Effect::DisconnectFromLeader => {
                self.attempt += 1;
                self.leader = None;
                self.dump = None;
            }
            Effect::Listen => {
                if let Err(error) = self.listen(None) {
                    node.cannot_lead(&error, out);
                }
            }
            Effect::ListenForObservers => {
                let port = self.shared.config.ensemble.observer_master_port;
                if let Err(error) = self.listen(port) {
                    tracing::warn!(
                        "observers cannot follow this server, as observerMasterPort cannot be taken: {error}; it goes on \
                         as a follower without them"
                    );
                }
            }
            Effect::StopListening => {
                self.listener = None;
                for link in std::mem::take(&mut self.learners).into_values() {
                    link.shut();
                }
            }
            Effect::CloseLearner(key) => {
                if let Some(mut link) = self.learners.remove(&key) {
                    link.send();
                    link.shut();
                }
            }
            Effect::Locate { to, last } => stream::locate(&self.shared, to, last),
            Effect::StreamLog { to, after, through } => {
                let job = stream::Job::Log { after, through };
                self.lend(to, job, node);
            }
            Effect::StreamTree { to } => self.lend(to, stream::Job::Tree, node),
            Effect::ReceiveDump { zxid, bytes } => {
                let rules = tree.rules();
                let limits = Limits { field_bytes: self.shared.settings.max_record };
                self.dump = Some((DumpDecoder::new(rules, limits), zxid, Vec::new()));
                if let Err(error) = self.feed_dump(&bytes, node, tree, now, out) {
                    self.leader = None;
                    self.dump = None;
                    node.leader_gone(&error, out);
                }
            }
            Effect::Report(report) if report.is_warning() => tracing::warn!("{report}"),
            Effect::Report(report) => tracing::info!("{report}"),
            // The mail says so already; the tree is the caller's.
            Effect::CloseClients | Effect::Adopt(_) => {}
        }
    }

    /// Another thread sends to the learner until it is done; what waits goes first.
    fn lend(&mut self, key: LearnerKey, job: stream::Job, node: &mut Node) {
        let Some(link) = self.learners.get_mut(&key) else { return };
        node.for_each_outgoing(|peer, out| {
            if peer == Peer::Learner(key) {
                link.out.append(out);
            }
        });
        link.is_lent = true;
        let first = link.take_unsent();
        match link.duplicate() {
            Ok(socket) => stream::start(&self.shared, key, socket, first, job),
            Err(error) => {
                let failed = QuorumInput::Streamed(key, Err(error.to_string()));
                self.shared.inbox.send(NodeInput::Quorum(failed));
            }
        }
    }

    fn connect(&mut self, leader: ServerId) {
        self.attempt += 1;
        let mut addresses = self.addresses.get(&leader).cloned().unwrap_or_default();
        if !self.masters.is_empty() {
            // Each attempt begins with the next one.
            let count = self.masters.len();
            self.masters.rotate_left(1.min(count - 1));
            addresses = self.masters.clone();
        }
        connect::start(&self.shared, self.attempt, addresses);
    }

    /// On the quorum port, or on another one of the same address.
    fn listen(&mut self, instead: Option<u16>) -> Result<(), String> {
        let own = self.addresses.get(&self.me).and_then(|a| a.first()).cloned();
        let (host, port) = own.ok_or("this server has no server.N line of its own")?;
        let port = instead.unwrap_or(port);
        let host = if self.shared.config.ensemble.quorum_listen_on_all_ips { None } else { Some(host) };
        let address = config::Address { host, port };
        let listener = crate::listen::listen_at(&address, 128)?;
        let mut listener = TcpListener::from_std(listener);
        self.registry().register(&mut listener, LISTEN, Interest::READABLE).map_err(|e| e.to_string())?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Sends what the node has for its peers.
    pub fn send(&mut self, node: &mut Node) {
        let (leader, learners) = (&mut self.leader, &mut self.learners);
        node.for_each_outgoing(|peer, out| {
            let link = match peer {
                Peer::Leader => leader.as_mut(),
                Peer::Learner(key) => learners.get_mut(&key),
            };
            if let Some(link) = link {
                link.queue(out);
            }
        });
        for link in leader.iter_mut().chain(learners.values_mut()) {
            link.send();
        }
    }

    pub fn stop(&mut self) {
        self.election.stop();
        self.learners.clear();
        self.leader = None;
    }
}
