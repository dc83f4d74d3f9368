//! The election port: one TCP connection to every other server, over which votes are exchanged.
//!
//! Two servers share one connection, and the one with the larger id is the one who opens it. A server with a
//! smaller id that wants to talk knocks: it connects, says who it is, and closes; the larger one then connects
//! back. Nobody is asked to speak: a link may be silent for months, so there is no read timeout on it, only on
//! the introduction that comes first.
//!
//! A vote matters only until the next one. So the queue towards each server holds one message, and a newer one
//! replaces it. And because a message that was written may still be lost with its connection, a new link begins
//! by sending the last one again, unless a newer one waits; receivers must cope with old votes.
//!
//! One thread does all of it (`hub.rs`) without ever waiting for one peer: sockets are non-blocking, names are
//! resolved on short-lived threads of their own (`resolve.rs`). What callers and that thread share is the
//! `mailbox.rs`. The rest is the life of a connection: `listen.rs`, then `hello.rs` (somebody introduces himself) or
//! `dial.rs` (we do), then `link.rs`.
//!
//! Always: at most one link per server; no caller waits; whatever strangers do takes a bounded number of sockets
//! and bytes, and ends in one line of the log that names their address.
//!
//! Apache's counterpart is `QuorumCnxManager`. Kept apart from it on purpose: a name that resolves slowly or a
//! dead address delays nobody (ZOOKEEPER-2164, 3756); no second attempt runs beside the first (4220); when a
//! smaller server asks to be connected to, the configured addresses are tried before the ones it announces; an
//! observer without an id keeps its connection, where Apache would connect back for ever; and a connection that
//! claims our own id is closed.

mod dial;
mod hello;
mod hub;
mod link;
mod listen;
mod mailbox;
mod resolve;

use hub::Hub;
use mailbox::Shared;
use mio::{Poll, Waker};
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A host name or address, and an election port.
pub type HostPort = (String, u16);

/// Where one other server can be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerAddress {
    pub sid: i64,
    /// In the order in which they are tried.
    pub hosts: Vec<HostPort>,
}

#[derive(Clone, Debug)]
pub struct ElectionNetOptions {
    /// `quorumListenOnAllIPs`.
    pub listen_on_all_ips: bool,
    /// `zookeeper.cnxTimeout`: how long one address may take to accept a connection.
    pub cnx_timeout_ms: u64,
    /// tickTime × syncLimit, or `zookeeper.quorumCnxnTimeoutMs`: how long an introduction may take. Links whose
    /// peer stops in the middle of a message, or does not read for so long, are cut as well.
    pub handshake_timeout_ms: u64,
    /// `zookeeper.electionPortBindRetry`: attempts to take the port, one second apart; 0 for ever.
    pub bind_retries: u32,
    /// `zookeeper.tcpKeepAlive`.
    pub keep_alive: bool,
    /// `multiAddress.enabled`: announce all own addresses, which servers before 3.6 do not understand
    /// (ZOOKEEPER-3720).
    pub multi_address: bool,
}

impl Default for ElectionNetOptions {
    fn default() -> Self {
        ElectionNetOptions {
            listen_on_all_ips: false,
            cnx_timeout_ms: 5000,
            handshake_timeout_ms: 10_000,
            bind_retries: 3,
            keep_alive: false,
            multi_address: false,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElectionEvent {
    /// A message, without its length. Observers that have no id are numbered -1, -2, …
    Message { from: i64, payload: Vec<u8> },
    /// There is a link now. Said once, also when a newer connection takes the place of the link.
    LinkUp(i64),
    /// The link is gone, and no other one is about to take its place.
    LinkLost(i64),
    /// No election can be taken part in any more; the text says why and what to do. The process should end
    /// (Apache: exit code 14).
    Failed(String),
}

/// See the module. Ends with [`ElectionNet::stop`], or when dropped.
pub struct ElectionNet {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ElectionNet {
    /// Starts listening on the `own` addresses and waits for messages to send; connects to nobody yet.
    ///
    /// The port is taken in the background, because that may need retries: failing that is an event. `events` is
    /// called on the network's thread and must not wait; whoever keeps what it is given should keep a limited
    /// number (Apache: 100 messages, dropping the oldest).
    pub fn start(
        me: i64,
        own: Vec<HostPort>,
        peers: Vec<PeerAddress>,
        options: ElectionNetOptions,
        events: impl Fn(ElectionEvent) + Send + Sync + 'static,
    ) -> io::Result<ElectionNet> {
        if own.is_empty() {
            let text = format!("server {me} has no election address; complete its server.{me} line");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        let poll = Poll::new()?;
        let shared = Arc::new(Shared::new(me, Waker::new(poll.registry(), hub::WAKE)?));
        shared.update(|mail| mail.set_peers(peers));
        let hub = Hub::new(me, own, options, shared.clone(), poll, Box::new(events));
        let thread = std::thread::Builder::new().name("election".into()).spawn(move || hub.run())?;
        Ok(ElectionNet { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Sends to one server, connecting if there is no link; to myself too. Takes the place of a message that is
    /// still waiting.
    pub fn send(&self, to: i64, payload: Vec<u8>) {
        self.shared.update(|mail| mail.send(to, payload));
    }

    /// Connects to every server to which there is no link.
    pub fn connect_all(&self) {
        self.shared.update(mailbox::Mailbox::connect_all);
    }

    /// Whether nothing waits for at least one of the servers that were written to. (The reading of Apache's
    /// `haveDelivered`: if everything waits, then rather connections than messages are what is missing.)
    pub fn delivered_all(&self) -> bool {
        self.shared.mailbox.lock().delivered_all()
    }

    /// From now on these are the known servers. Links stay.
    pub fn set_peers(&self, peers: Vec<PeerAddress>) {
        self.shared.update(|mail| mail.set_peers(peers));
    }

    /// Closes everything and waits for the thread to end; there are no events afterwards. A thread that waits for
    /// the system's resolver at this moment cannot be woken; it ends by itself and reports to nobody.
    pub fn stop(&self) {
        self.shared.update(|mail| mail.stop = true);
        let Some(thread) = self.thread.lock().take() else { return };
        // From within an event, waiting would be for ourselves.
        if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
            tracing::error!("the election thread had ended with a panic");
        }
    }
}

impl Drop for ElectionNet {
    fn drop(&mut self) {
        self.stop();
    }
}
