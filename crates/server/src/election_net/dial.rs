//! Connecting to a server: all its names and addresses, the first that accepts is taken.
//!
//! There is at most one attempt per server. Within it, the next address is tried when the one before has failed or
//! has not answered for a moment, so a dead address costs that moment and not the whole connect timeout.

use super::HostPort;
use super::hub::{Conn, Hub};
use super::resolve::{Addresses, Asker};
use mio::net::TcpStream;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::election::{InitialMessage, InitialVersion};

/// How long one address may keep the next from being tried.
const STAGGER: Duration = Duration::from_millis(300);
/// How long a server with a larger id may take to connect back, before we knock again.
const CONNECT_BACK: Duration = Duration::from_secs(1);
/// Names of one server that are being resolved at one time; more are not asked for.
const MAX_NAMES: usize = 4;
/// More addresses are not tried in one attempt.
const MAX_CANDIDATES: usize = 32;

#[derive(Default)]
pub(super) struct Attempt {
    number: u64,
    /// Names whose addresses are not known yet.
    resolving: usize,
    candidates: VecDeque<SocketAddr>,
    /// Sockets that are connecting.
    dials: Vec<usize>,
    next_at: Option<Instant>,
    failures: Vec<String>,
}

impl Attempt {
    /// When the next address is due though the one before has not answered.
    pub fn next_at(&self) -> Option<Instant> {
        self.next_at.filter(|_| !self.candidates.is_empty())
    }

    fn add(&mut self, addresses: Addresses) {
        match addresses {
            Err(text) => self.failures.push(text),
            Ok(addresses) => {
                for address in addresses {
                    if !self.candidates.contains(&address) && self.candidates.len() < MAX_CANDIDATES {
                        self.candidates.push_back(address);
                    }
                }
            }
        }
    }
}

/// A socket on its way.
pub(super) struct Dial {
    pub stream: TcpStream,
    pub deadline: Instant,
    sid: i64,
    address: SocketAddr,
    /// See [`Hub::next_number`].
    began: u64,
}

impl Hub {
    /// Connects to a configured server, unless there is a link or one is on its way.
    pub fn connect(&mut self, sid: i64) {
        let Some(peer) = self.peers.get(&sid) else { return };
        let busy = peer.link.is_some() || peer.attempt.is_some() || peer.expected_until.is_some();
        if !busy && !peer.is_stranger() {
            self.connect_to_also(sid, Vec::new());
        }
    }

    /// Connects to the configured addresses and to others. Joins the attempt that is being made.
    pub fn connect_to_also(&mut self, sid: i64, others: Vec<HostPort>) {
        let number = self.next_number();
        let peer = self.peers.entry(sid).or_default();
        let configured = if peer.attempt.is_none() { peer.hosts.clone() } else { Vec::new() };
        let attempt = peer.attempt.get_or_insert_with(|| Attempt { number, ..Attempt::default() });
        let asker = Asker::Attempt { sid, attempt: attempt.number };
        for (host, port) in configured.into_iter().chain(others) {
            if attempt.resolving == MAX_NAMES {
                break;
            }
            match self.resolver.resolve(asker, &host, port) {
                Some(addresses) => attempt.add(addresses),
                None => attempt.resolving += 1,
            }
        }
        self.advance(sid);
    }

    pub fn resolved(&mut self, sid: i64, number: u64, addresses: Addresses) {
        let attempt = self.peers.get_mut(&sid).and_then(|peer| peer.attempt.as_mut());
        let Some(attempt) = attempt.filter(|attempt| attempt.number == number) else { return };
        attempt.resolving -= 1;
        attempt.add(addresses);
        self.advance(sid);
    }

    /// Tries the next addresses of the attempt, if it is time; ends it when nothing is left.
    pub fn advance(&mut self, sid: i64) {
        let now = Instant::now();
        while let Some(attempt) = self.peers.get_mut(&sid).and_then(|peer| peer.attempt.as_mut()) {
            let waiting = !attempt.dials.is_empty() && attempt.next_at.is_some_and(|at| at > now);
            let next = if waiting { None } else { attempt.candidates.pop_front() };
            let Some(address) = next else {
                if attempt.candidates.is_empty() && attempt.dials.is_empty() && attempt.resolving == 0 {
                    self.attempt_failed(sid);
                }
                return;
            };
            attempt.next_at = Some(now + STAGGER);
            let dialed = self.dial(sid, address, now);
            let Some(attempt) = self.peers.get_mut(&sid).and_then(|peer| peer.attempt.as_mut()) else {
                return;
            };
            match dialed {
                Ok(slot) => attempt.dials.push(slot),
                Err(error) => attempt.failures.push(format!("{address}: {error}")),
            }
        }
    }

    fn dial(&mut self, sid: i64, address: SocketAddr, now: Instant) -> io::Result<usize> {
        let stream = TcpStream::connect(address)?;
        self.set_options(&stream, address);
        let deadline = now + Duration::from_millis(self.options.cnx_timeout_ms);
        let began = self.next_number();
        self.add(Conn::Dial(Dial { stream, deadline, sid, address, began }))
    }

    pub fn dial_ready(&mut self, slot: usize) {
        let Some(Conn::Dial(dial)) = self.conns.get(slot) else { return };
        match connected(&dial.stream) {
            Ok(false) => {}
            Ok(true) => self.dial_won(slot),
            Err(error) => self.dial_failed(slot, &error.to_string()),
        }
    }

    pub fn dial_failed(&mut self, slot: usize, why: &str) {
        let Some(Conn::Dial(dial)) = self.remove(slot) else { return };
        let attempt = self.peers.get_mut(&dial.sid).and_then(|peer| peer.attempt.as_mut());
        if let Some(attempt) = attempt {
            attempt.dials.retain(|other| *other != slot);
            attempt.failures.push(format!("{}: {why}", dial.address));
            attempt.next_at = None;
        }
        self.advance(dial.sid);
    }

    /// The first address that accepts. We say who we are; the larger id keeps the connection.
    fn dial_won(&mut self, slot: usize) {
        let message = self.introduction();
        let Some(Conn::Dial(dial)) = self.conns.get_mut(slot) else { return };
        // In one write: Apache reads the addresses with one call and takes a part for a broken message.
        match dial.stream.write(&message) {
            Ok(n) if n == message.len() => {}
            Ok(_) => return self.dial_failed(slot, "the connection took only a part of the first message"),
            Err(error) => return self.dial_failed(slot, &error.to_string()),
        }
        let Some(Conn::Dial(dial)) = self.remove(slot) else { return };
        let sid = dial.sid;
        self.abandon_attempt(sid);
        if sid < self.me {
            return self.install(sid, dial.stream, dial.address, dial.began, &[]);
        }
        if let Some(peer) = self.peers.get_mut(&sid) {
            peer.expected_until = Some(Instant::now() + CONNECT_BACK);
        }
    }

    fn introduction(&self) -> Vec<u8> {
        let version = if self.options.multi_address { InitialVersion::V2 } else { InitialVersion::V1 };
        let addresses = self.own.iter().map(|(host, port)| {
            let v6 = host.contains(':') && !host.starts_with('[');
            if v6 { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        });
        let mut message = Vec::new();
        InitialMessage { version, sid: self.me, addresses: addresses.collect() }.encode(&mut message);
        message
    }

    /// Closes what is on its way; a link makes it needless, or its addresses are no longer the right ones.
    /// False if there was none.
    pub fn abandon_attempt(&mut self, sid: i64) -> bool {
        let attempt = self.peers.get_mut(&sid).and_then(|peer| peer.attempt.take());
        let existed = attempt.is_some();
        for slot in attempt.into_iter().flat_map(|attempt| attempt.dials) {
            self.remove(slot);
        }
        existed
    }

    fn attempt_failed(&mut self, sid: i64) {
        let Some(peer) = self.peers.get_mut(&sid) else { return };
        let Some(attempt) = peer.attempt.take() else { return };
        let text = attempt.failures.join("; ");
        // An election tries again every moment: the same news is told once.
        if peer.told.as_ref() == Some(&text) {
            tracing::debug!(server = sid, "cannot connect: {text}");
        } else {
            tracing::warn!(server = sid, "cannot connect to the election port of server {sid}: {text}");
            peer.told = Some(text);
        }
        self.settle(sid);
    }
}

/// Whether the connection exists; `Ok(false)` while it may still come.
fn connected(stream: &TcpStream) -> io::Result<bool> {
    if let Some(error) = stream.take_error()? {
        return Err(error);
    }
    match stream.peer_addr() {
        // A port of the ephemeral range on which nobody listens can be connected to itself.
        Ok(peer) if stream.local_addr().is_ok_and(|own| own == peer) => {
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, "nobody listens there"))
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(false),
        Err(error) => Err(error),
    }
}
