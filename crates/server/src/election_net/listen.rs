//! Taking the election port, and connections from it.

use super::hello::Hello;
use super::hub::{Conn, Hub};
use super::resolve::{Addresses, Asker};
use super::{ElectionEvent, HostPort};
use mio::net::TcpListener;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

/// Between attempts to take the port, and after the system could not give us a connection.
const PAUSE: Duration = Duration::from_secs(1);
/// Connections that have not said yet who they are. A server needs milliseconds for that, so the one that has
/// waited longest makes room for the next.
const MAX_HELLOS: usize = 64;

/// One of the own addresses.
pub(super) struct Listener {
    /// As configured; with `quorumListenOnAllIPs` only the port counts.
    name: HostPort,
    any: bool,
    socket: Option<TcpListener>,
    errors: u32,
    lost: Option<String>,
    /// When to try again: to take the port, or to accept.
    retry_at: Option<Instant>,
}

impl Listener {
    pub fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }
}

impl Hub {
    pub fn start_listening(&mut self) {
        let any = self.options.listen_on_all_ips;
        for (host, port) in self.own.clone() {
            if any && self.listeners.iter().any(|listener| listener.name.1 == port) {
                continue;
            }
            let name = (host, port);
            self.listeners.push(Listener { name, any, socket: None, errors: 0, lost: None, retry_at: None });
        }
        for index in 0..self.listeners.len() {
            self.listener_due(index);
        }
    }

    /// A pause is over, or the first attempt begins.
    pub fn listener_due(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        listener.retry_at = None;
        if listener.socket.is_some() {
            return self.accept(index);
        }
        let (host, port) = &listener.name;
        if listener.any {
            let all = [(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()];
            return self.bind(index, Ok(all.to_vec()));
        }
        if let Some(addresses) = self.resolver.resolve(Asker::Listener(index), host, *port) {
            self.bind(index, addresses);
        }
    }

    /// Listens on the first of the addresses that can be had.
    pub fn bind(&mut self, index: usize, addresses: Addresses) {
        let mut trouble = String::new();
        match addresses {
            Err(text) => trouble = text,
            Ok(addresses) => {
                for address in addresses {
                    match self.bind_one(index, address) {
                        Ok(()) => return,
                        Err(error) => trouble = format!("{error}{}", advice(self.me, &error)),
                    }
                }
            }
        }
        self.bind_failed(index, &trouble);
    }

    fn bind_one(&mut self, index: usize, address: SocketAddr) -> io::Result<()> {
        // Sets SO_REUSEADDR: connections of an earlier process in TIME_WAIT do not keep the port.
        let mut socket = TcpListener::bind(address)?;
        self.register_listener(index, &mut socket)?;
        tracing::info!(server = self.me, %address, "listening for votes");
        self.listeners[index].socket = Some(socket);
        Ok(())
    }

    fn bind_failed(&mut self, index: usize, trouble: &str) {
        let limit = self.options.bind_retries;
        let listener = &mut self.listeners[index];
        let (host, port) = &listener.name;
        let address = if listener.any { format!("port {port}") } else { format!("{host}:{port}") };
        listener.errors += 1;
        let text = format!("cannot listen on the election address {address}: {trouble}");
        if limit == 0 || listener.errors < limit {
            tracing::warn!("{text}; trying again in one second");
            listener.retry_at = Some(Instant::now() + PAUSE);
            return;
        }
        tracing::error!(attempts = listener.errors, "{text}");
        listener.lost = Some(text);
        let lost: Vec<&str> = self.listeners.iter().filter_map(|listener| listener.lost.as_deref()).collect();
        if lost.len() == self.listeners.len() {
            self.emit(ElectionEvent::Failed(lost.join("; ")));
        }
    }

    pub fn accept(&mut self, index: usize) {
        loop {
            let Some(socket) = &self.listeners[index].socket else { return };
            match socket.accept() {
                Ok((stream, peer)) => {
                    let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                    self.make_room();
                    self.set_options(&stream, peer);
                    let deadline = Instant::now() + self.handshake_timeout();
                    let began = self.next_number();
                    match self.add(Conn::Hello(Hello::new(stream, peer, deadline, began))) {
                        Ok(slot) => self.hello_ready(slot),
                        Err(error) => tracing::error!(%error, %peer, "cannot watch an election connection"),
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error)
                    if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionAborted) => {}
                Err(error) => {
                    tracing::error!(%error, "cannot accept election connections for a second; the limit on open files may be reached (ulimit -n)");
                    self.listeners[index].retry_at = Some(Instant::now() + PAUSE);
                    return;
                }
            }
        }
    }

    pub fn handshake_timeout(&self) -> Duration {
        Duration::from_millis(self.options.handshake_timeout_ms)
    }

    fn make_room(&mut self) {
        let hellos = self.conns.iter().filter_map(|(slot, conn)| match conn {
            Conn::Hello(hello) => Some((hello.began, slot, hello.peer)),
            _ => None,
        });
        let (count, oldest) = hellos.fold((0, None), |(n, oldest), hello| {
            (n + 1, oldest.filter(|old: &(u64, usize, SocketAddr)| old.0 < hello.0).or(Some(hello)))
        });
        if let Some((_, slot, peer)) = oldest.filter(|_| count >= MAX_HELLOS) {
            tracing::warn!(%peer, "too many connections on the election port that do not say who they are: closed the oldest");
            self.remove(slot);
        }
    }

    pub fn set_options(&self, stream: &mio::net::TcpStream, peer: SocketAddr) {
        let keep_alive = self.options.keep_alive;
        let set = stream
            .set_nodelay(true)
            .and_then(|()| Ok(rustix::net::sockopt::set_socket_keepalive(stream, keep_alive)?));
        if let Err(error) = set {
            tracing::debug!(%error, %peer, "cannot set the options of an election connection");
        }
    }
}

fn advice(me: i64, error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::AddrInUse => format!(
            ". Another process has this port, perhaps a second server with the same configuration: 'ss -ltnp' shows \
             it. Stop it, or change the election port of server.{me} in the configuration of all servers"
        ),
        ErrorKind::AddrNotAvailable => format!(
            ". No network interface here has this address: either this is not the machine of server.{me} (then \
             correct myid), or the address is translated on the way (then set quorumListenOnAllIPs=true)"
        ),
        ErrorKind::PermissionDenied => ". Ports below 1024 need a privilege; choose another one".to_owned(),
        _ => String::new(),
    }
}
