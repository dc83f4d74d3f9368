//! Taking ports: bound first, listening once everything behind them is ready.

use crate::start::StartError;
use config::Config;
use std::io;
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

pub(crate) fn cannot_listen(address: String, source: io::Error) -> StartError {
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another process has this port (an Apache ZooKeeper, perhaps): stop it, or choose another clientPort"
        }
        io::ErrorKind::PermissionDenied => ". Ports below 1024 need the right to take them",
        io::ErrorKind::AddrNotAvailable => {
            ". No interface of this machine has this address: see clientPortAddress"
        }
        _ => "",
    };
    StartError::Listen { address, source, advice }
}

/// The socket for clients, bound but not yet listening.
pub(crate) fn take_port(config: &Config) -> Result<TcpListener, StartError> {
    let any = config::Address { host: None, port: 0 };
    take(config.listen.client.as_ref().unwrap_or(&any)).map_err(|(address, e)| cannot_listen(address, e))
}

/// A listening socket for other servers.
pub(crate) fn listen_at(wanted: &config::Address, backlog: i32) -> Result<TcpListener, String> {
    let socket = take(wanted).map_err(|(address, error)| format!("{address}: {error}"))?;
    rustix::net::listen(&socket, backlog).map_err(|e| e.to_string())?;
    Ok(socket)
}

/// The error comes with the address it is about.
fn take(wanted: &config::Address) -> Result<TcpListener, (String, io::Error)> {
    let address = format!("{}:{}", wanted.host.as_deref().unwrap_or("[::]"), wanted.port);
    let fail = |error| (address.clone(), error);
    let candidates: Vec<SocketAddr> = match &wanted.host {
        Some(host) => (host.as_str(), wanted.port).to_socket_addrs().map_err(fail)?.collect(),
        // Like Java: both families on one socket where the system has IPv6.
        None => vec![
            SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, wanted.port)),
            SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, wanted.port)),
        ],
    };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host name has no address");
    for candidate in candidates {
        match bind(candidate) {
            Ok(listener) => return Ok(listener),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(fail(e)),
            Err(e) => last = e,
        }
    }
    Err(fail(last))
}

/// A bound socket; an IPv6 wildcard takes IPv4 too.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
}
