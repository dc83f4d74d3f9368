//! Taking connections from the listener, within the limits on their number.

use crate::clock::wall_ms;
use crate::shared::{Listed, Shared};
use mio::net::{TcpListener, TcpStream};
use node::{ConnId, ConnStats};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(super) struct Acceptor {
    listener: TcpListener,
    threads: usize,
    next: usize,
    /// Accepting fails since the last success: said once, or the log would fill as fast as clients come.
    failing: bool,
}

impl Acceptor {
    pub fn new(listener: TcpListener, threads: usize) -> Acceptor {
        Acceptor { listener, threads, next: 0, failing: false }
    }

    /// The next connection that the limits allow, and the thread it goes to. `None` when no more wait.
    pub fn next(&mut self, shared: &Shared) -> Option<(TcpStream, SocketAddr, usize)> {
        loop {
            let (stream, peer) = match shared.disk.reserve().accept(|| self.listener.accept()) {
                Ok(accepted) => accepted,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return None,
                Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {
                    continue;
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.failing, true) {
                        tracing::error!(%error, "cannot accept connections; the limit on open files may be reached (ulimit -n)");
                    }
                    return None;
                }
            };
            self.failing = false;
            if !admit(shared, peer) {
                refuse(shared, &stream, peer);
                continue;
            }
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
            }
            if shared.config.listen.tcp_keep_alive
                && let Err(error) = rustix::net::sockopt::set_socket_keepalive(&stream, true)
            {
                tracing::debug!(%error, %peer, "cannot set SO_KEEPALIVE");
            }
            self.next = (self.next + 1) % self.threads;
            return Some((stream, peer, self.next));
        }
    }
}

/// Counts the connection, unless a limit is reached.
fn admit(shared: &Shared, peer: SocketAddr) -> bool {
    let limits = &shared.config.limits;
    let mut listed = shared.listed.lock();
    let total = shared.counters.connections.load(Ordering::Relaxed);
    let from_there = listed.per_ip.get(&peer.ip()).copied().unwrap_or(0);
    let over = |limit: u32, count: usize| limit > 0 && count >= limit as usize;
    if over(limits.max_cnxns, total) || over(limits.max_client_cnxns_per_ip, from_there) {
        return false;
    }
    *listed.per_ip.entry(peer.ip()).or_default() += 1;
    shared.counters.connections.fetch_add(1, Ordering::Relaxed);
    true
}

/// Closes with a reset, as Apache does, so that the client notices at once.
fn refuse(shared: &Shared, stream: &TcpStream, peer: SocketAddr) {
    shared.counters.rejected.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(%peer, "too many connections (maxClientCnxns or maxCnxns): refused");
    // Without the option the close is an ordinary one.
    let _plain_close = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

pub(super) fn list(shared: &Shared, id: ConnId, peer: SocketAddr, stats: Arc<ConnStats>) {
    let entry = Listed { peer, established_wall_ms: wall_ms(), stats };
    shared.listed.lock().connections.insert(id, entry);
}

pub(super) fn unlist(shared: &Shared, id: ConnId, peer: SocketAddr) {
    shared.listed.lock().connections.remove(&id);
    forget(shared, peer);
}

/// Takes back what [`admit`] counted.
pub(super) fn forget(shared: &Shared, peer: SocketAddr) {
    shared.counters.connections.fetch_sub(1, Ordering::Relaxed);
    let ip = peer.ip();
    let mut listed = shared.listed.lock();
    if let Some(count) = listed.per_ip.get_mut(&ip) {
        *count -= 1;
        if *count == 0 {
            listed.per_ip.remove(&ip);
        }
    }
}
