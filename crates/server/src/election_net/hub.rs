//! The one thread: its sockets, what it knows of each server, and its deadlines.

use super::dial::{Attempt, Dial};
use super::hello::Hello;
use super::link::Link;
use super::listen::Listener;
use super::mailbox::{Shared, Wishes};
use super::resolve::{Answer, Asker, Resolver};
use super::{ElectionEvent, ElectionNetOptions, HostPort, PeerAddress};
use mio::event::Source;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const WAKE: Token = Token(0);

/// Servers that no configuration names and that may be linked at one time: those about to be added, and whoever
/// claims to be one.
pub(super) const MAX_STRANGERS: usize = 32;

pub(super) type EventSink = Box<dyn Fn(ElectionEvent) + Send + Sync>;

pub(super) struct Hub {
    pub me: i64,
    pub own: Vec<HostPort>,
    pub options: ElectionNetOptions,
    pub shared: Arc<Shared>,
    pub resolver: Resolver,
    pub listeners: Vec<Listener>,
    pub conns: Slab<Conn>,
    pub peers: BTreeMap<i64, Peer>,
    /// Links with more to read than one turn takes.
    pub again: Vec<usize>,
    /// The id for the next observer that has none.
    pub next_observer: i64,
    poll: Poll,
    events: EventSink,
    counter: u64,
}

/// A socket, by what it is for.
pub(super) enum Conn {
    Hello(Hello),
    Dial(Dial),
    Link(Link),
}

impl Conn {
    fn stream(&mut self) -> &mut TcpStream {
        match self {
            Conn::Hello(hello) => &mut hello.stream,
            Conn::Dial(dial) => &mut dial.stream,
            Conn::Link(link) => &mut link.stream,
        }
    }

    fn deadline(&self) -> Option<Instant> {
        match self {
            Conn::Hello(hello) => Some(hello.deadline),
            Conn::Dial(dial) => Some(dial.deadline),
            Conn::Link(link) => link.deadline(),
        }
    }
}

/// Another server.
#[derive(Default)]
pub(super) struct Peer {
    /// Empty for a stranger.
    pub hosts: Vec<HostPort>,
    pub link: Option<usize>,
    pub attempt: Option<Attempt>,
    /// We have knocked at a server with a larger id; until then it may connect back.
    pub expected_until: Option<Instant>,
    pub last_sent: Option<Vec<u8>>,
    /// LinkUp was said, and LinkLost not yet.
    pub up: bool,
    /// What the log already says about attempts since the last link.
    pub told: Option<String>,
}

impl Peer {
    pub fn is_stranger(&self) -> bool {
        self.hosts.is_empty()
    }

    fn deadline(&self) -> Option<Instant> {
        let next = self.attempt.as_ref().and_then(Attempt::next_at);
        next.into_iter().chain(self.expected_until).min()
    }
}

impl Hub {
    pub fn new(
        me: i64,
        own: Vec<HostPort>,
        options: ElectionNetOptions,
        shared: Arc<Shared>,
        poll: Poll,
        events: EventSink,
    ) -> Hub {
        let resolver = Resolver::new(shared.clone());
        Hub {
            me,
            own,
            options,
            shared,
            resolver,
            listeners: Vec::new(),
            conns: Slab::new(),
            peers: BTreeMap::new(),
            again: Vec::new(),
            next_observer: -1,
            poll,
            events,
            counter: 0,
        }
    }

    /// Runs until told to stop.
    pub fn run(mut self) {
        self.start_listening();
        let mut events = Events::with_capacity(64);
        while !self.shared.mailbox.lock().stop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    let text = format!("the election thread cannot wait for its sockets: {error}");
                    return self.emit(ElectionEvent::Failed(text));
                }
                Ok(()) => {}
            }
            let wishes = self.shared.mailbox.lock().take_wishes();
            self.grant(wishes);
            for slot in std::mem::take(&mut self.again) {
                self.conn_ready(slot);
            }
            for event in &events {
                self.ready(event.token());
            }
            self.expire(Instant::now());
        }
    }

    pub fn emit(&self, event: ElectionEvent) {
        (self.events)(event);
    }

    /// Numbers everything that begins, so that one can tell what began first.
    pub fn next_number(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn listener_token(index: usize) -> Token {
        Token(1 + index)
    }

    fn conn_token(&self, slot: usize) -> Token {
        Token(1 + self.listeners.len() + slot)
    }

    fn ready(&mut self, token: Token) {
        match token.0.checked_sub(1) {
            None => {}
            Some(index) if index < self.listeners.len() => self.accept(index),
            Some(index) => self.conn_ready(index - self.listeners.len()),
        }
    }

    fn conn_ready(&mut self, slot: usize) {
        match self.conns.get(slot) {
            Some(Conn::Hello(_)) => self.hello_ready(slot),
            Some(Conn::Dial(_)) => self.dial_ready(slot),
            Some(Conn::Link(_)) => self.link_ready(slot),
            // The event of a socket that was closed meanwhile.
            None => {}
        }
    }

    pub fn register_listener(&self, index: usize, socket: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(socket, Self::listener_token(index), Interest::READABLE)
    }

    pub fn add(&mut self, mut conn: Conn) -> io::Result<usize> {
        let token = self.conn_token(self.conns.vacant_key());
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(conn.stream(), token, interest)?;
        Ok(self.conns.insert(conn))
    }

    /// Takes the socket out of the poll; dropping what is returned closes it.
    pub fn remove(&mut self, slot: usize) -> Option<Conn> {
        let mut conn = self.conns.try_remove(slot)?;
        if let Err(error) = self.poll.registry().deregister(conn.stream()) {
            tracing::debug!(%error, "cannot take a socket out of the poll");
        }
        Some(conn)
    }

    fn grant(&mut self, wishes: Wishes) {
        if let Some(peers) = wishes.peers {
            self.take_peers(peers);
        }
        for Answer { asker, addresses } in wishes.answers {
            match asker {
                Asker::Listener(index) => self.bind(index, addresses),
                Asker::Attempt { sid, attempt } => self.resolved(sid, attempt, addresses),
            }
        }
        for payload in wishes.to_self {
            self.emit(ElectionEvent::Message { from: self.me, payload });
        }
        for sid in wishes.sent {
            match self.peers.get(&sid).and_then(|peer| peer.link) {
                Some(slot) => self.pump(slot),
                None => self.connect(sid),
            }
        }
        if wishes.connect_all {
            let written_to = self.shared.mailbox.lock().written_to();
            let known = self.peers.iter().filter(|(_, peer)| !peer.is_stranger()).map(|(sid, _)| *sid);
            let all: BTreeSet<i64> = known.chain(written_to).collect();
            for sid in all {
                self.connect(sid);
            }
        }
    }

    fn take_peers(&mut self, peers: Vec<PeerAddress>) {
        let mut new: BTreeMap<i64, Vec<HostPort>> = peers.into_iter().map(|p| (p.sid, p.hosts)).collect();
        let all: BTreeSet<i64> = self.peers.keys().chain(new.keys()).copied().collect();
        for sid in all {
            let hosts = new.remove(&sid).unwrap_or_default();
            let peer = self.peers.entry(sid).or_default();
            if peer.hosts != hosts {
                peer.hosts = hosts;
                if self.abandon_attempt(sid) {
                    self.connect(sid);
                }
                self.settle(sid);
            }
        }
    }

    /// When nothing is left that could bring a link: says that it is lost, and forgets strangers.
    pub fn settle(&mut self, sid: i64) {
        let Some(peer) = self.peers.get_mut(&sid) else { return };
        if peer.link.is_some() || peer.attempt.is_some() || peer.expected_until.is_some() {
            return;
        }
        let lost = std::mem::take(&mut peer.up);
        if peer.is_stranger() {
            self.peers.remove(&sid);
            self.shared.mailbox.lock().close_queue(sid);
        }
        if lost {
            self.emit(ElectionEvent::LinkLost(sid));
        }
    }

    fn timeout(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let conns = self.conns.iter().filter_map(|(_, conn)| conn.deadline());
        let peers = self.peers.values().filter_map(Peer::deadline);
        let listeners = self.listeners.iter().filter_map(Listener::deadline);
        let next = conns.chain(peers).chain(listeners).min()?;
        // Rounded up: the poll counts whole milliseconds, and one that ends too early would spin.
        Some(next.saturating_duration_since(Instant::now()) + Duration::from_millis(1))
    }

    fn expire(&mut self, now: Instant) {
        let due = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
        let slots: Vec<usize> =
            self.conns.iter().filter(|(_, conn)| due(conn.deadline())).map(|(slot, _)| slot).collect();
        for slot in slots {
            match self.conns.get(slot) {
                Some(Conn::Hello(_)) => self.hello_late(slot),
                Some(Conn::Dial(_)) => self.dial_failed(slot, "no answer within the connect timeout"),
                Some(Conn::Link(_)) => {
                    self.link_cut(slot, "it stopped in the middle of a message, or does not read")
                }
                None => {}
            }
        }
        let sids: Vec<i64> =
            self.peers.iter().filter(|(_, p)| due(p.deadline())).map(|(sid, _)| *sid).collect();
        for sid in sids {
            if let Some(peer) = self.peers.get_mut(&sid) {
                peer.expected_until = peer.expected_until.filter(|at| *at > now);
            }
            self.advance(sid);
            self.settle(sid);
        }
        for index in 0..self.listeners.len() {
            if due(self.listeners[index].deadline()) {
                self.listener_due(index);
            }
        }
    }
}
