//! Somebody has connected and says who he is; then we know who keeps a connection.

use super::HostPort;
use super::hub::{Conn, Hub, MAX_STRANGERS};
use mio::net::TcpStream;
use std::io::{ErrorKind, Read};
use std::net::SocketAddr;
use std::time::Instant;
use wire::election::{InitialMessage, InitialVersion, OBSERVER_SID};

/// Connections back to servers that no configuration names, under way at one time.
const MAX_STRANGE_ATTEMPTS: usize = 8;
/// A bare first number beyond this is text or TLS rather than the id of a server before 3.5, which had ids up to 255.
const MAX_BARE_STRANGER: i64 = u32::MAX as i64;

pub(super) struct Hello {
    pub stream: TcpStream,
    pub peer: SocketAddr,
    pub deadline: Instant,
    /// See [`Hub::next_number`].
    pub began: u64,
    received: Vec<u8>,
}

impl Hello {
    pub fn new(stream: TcpStream, peer: SocketAddr, deadline: Instant, began: u64) -> Hello {
        Hello { stream, peer, deadline, began, received: Vec::new() }
    }
}

impl Hub {
    pub fn hello_ready(&mut self, slot: usize) {
        let Some(Conn::Hello(hello)) = self.conns.get_mut(slot) else { return };
        let peer = hello.peer;
        let mut chunk = [0; 4096];
        loop {
            match hello.stream.read(&mut chunk) {
                Ok(0) => {
                    let bytes = hello.received.len();
                    tracing::debug!(%peer, bytes, "closed the election connection before saying who it is");
                    self.remove(slot);
                    return;
                }
                Ok(n) => hello.received.extend_from_slice(&chunk[..n]),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    tracing::debug!(%peer, %error, "an election connection broke before saying who it is");
                    self.remove(slot);
                    return;
                }
            }
            match InitialMessage::decode(&hello.received) {
                // The addresses' length has been checked, so this cannot grow.
                Ok(None) => {}
                Ok(Some((message, used))) => return self.introduced(slot, message, used),
                Err(error) => return self.garbage(slot, &error.to_string()),
            }
        }
    }

    pub fn hello_late(&mut self, slot: usize) {
        let Some(Conn::Hello(hello)) = self.remove(slot) else { return };
        let (peer, bytes, within_ms) = (hello.peer, hello.received.len(), self.options.handshake_timeout_ms);
        tracing::warn!(%peer, bytes, within_ms, "closed an election connection that did not say who it is in time");
    }

    fn garbage(&mut self, slot: usize, what: &str) {
        let Some(Conn::Hello(hello)) = self.remove(slot) else { return };
        let (peer, hint) = (hello.peer, hint(&hello.received));
        tracing::warn!(%peer, "closed an election connection that speaks another protocol: {what}{hint}");
    }

    fn introduced(&mut self, slot: usize, message: InitialMessage, used: usize) {
        let sid = message.sid;
        let known = self.peers.contains_key(&sid);
        if message.version == InitialVersion::Bare && !known && sid > MAX_BARE_STRANGER && sid != OBSERVER_SID
        {
            return self.garbage(slot, &format!("it begins with {sid}, which no server here has as its id"));
        }
        if sid < 0 {
            return self.garbage(slot, &format!("it claims the server id {sid}"));
        }
        let Some(Conn::Hello(hello)) = self.remove(slot) else { return };
        let peer = hello.peer;
        if sid == self.me {
            tracing::error!(
                %peer,
                "two servers with id {sid}: {peer} says that it is server {sid}, which is this server. Give each \
                 server its own number in myid, and check that no server.N line has the address of another server. \
                 Connection closed"
            );
        } else if sid == OBSERVER_SID {
            let given = self.next_observer;
            self.next_observer -= 1;
            tracing::info!(%peer, server = given, "an observer without an id gets one for this connection");
            self.keep(given, hello, used);
        } else if sid > self.me {
            self.keep(sid, hello, used);
        } else {
            self.connect_back(sid, &message, &hello);
        }
    }

    fn keep(&mut self, sid: i64, hello: Hello, used: usize) {
        if !self.peers.contains_key(&sid) {
            tracing::info!(server = sid, peer = %hello.peer, "an election connection of a server that is not configured here");
            self.make_room_for_stranger();
        }
        self.install(sid, hello.stream, hello.peer, hello.began, &hello.received[used..]);
    }

    /// The stranger whose link is oldest goes.
    fn make_room_for_stranger(&mut self) {
        let strangers = self.peers.values().filter(|peer| peer.is_stranger()).filter_map(|peer| peer.link);
        let links = strangers.filter_map(|slot| match self.conns.get(slot) {
            Some(Conn::Link(link)) => Some((link.began, slot)),
            _ => None,
        });
        let links: Vec<(u64, usize)> = links.collect();
        if links.len() >= MAX_STRANGERS
            && let Some((_, slot)) = links.into_iter().min()
        {
            self.link_cut(slot, "too many servers that are not configured here are connected");
        }
    }

    /// A server with a smaller id wants to talk. It believes that there is no link; if there is one, it is dead,
    /// unless it was opened after the other decided to knock.
    fn connect_back(&mut self, sid: i64, message: &InitialMessage, hello: &Hello) {
        let peer = hello.peer;
        let announced: Vec<HostPort> = message.reachable().filter_map(host_port).collect();
        if let Some(slot) = self.peers.get(&sid).and_then(|peer| peer.link) {
            if matches!(self.conns.get(slot), Some(Conn::Link(link)) if link.began > hello.began) {
                return;
            }
            // Not said to be lost: another link is about to take its place, or the attempt fails and says so.
            self.remove(slot);
            if let Some(known) = self.peers.get_mut(&sid) {
                known.link = None;
            }
        }
        if !self.peers.contains_key(&sid) {
            if announced.is_empty() {
                tracing::warn!(%peer, "server {sid} cannot be connected to: it gave no address, and has none in the configuration here");
                return;
            }
            let strange = self.peers.values().filter(|peer| peer.is_stranger() && peer.attempt.is_some());
            if strange.count() >= MAX_STRANGE_ATTEMPTS {
                tracing::warn!(%peer, "server {sid} is not connected to: too many servers that are not configured here ask for it");
                return;
            }
            tracing::info!(%peer, server = sid, "connecting to a server that is not configured here");
        }
        self.connect_to_also(sid, announced);
        self.settle(sid);
    }
}

fn host_port(address: &str) -> Option<HostPort> {
    let (host, port) = address.rsplit_once(':')?;
    Some((host.to_owned(), port.parse().ok()?))
}

/// What the first bytes look like.
fn hint(received: &[u8]) -> &'static str {
    match received {
        [0x16, 3, ..] => " (this looks like TLS: does the other server have sslQuorum=true?)",
        [first, ..] if first.is_ascii_graphic() => {
            " (this looks like text, such as HTTP or a four-letter word)"
        }
        [0, 0, 0, ..] => " (this looks like a client or a quorum connection: is the port right?)",
        _ => "",
    }
}
