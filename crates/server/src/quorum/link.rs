//! One connection on the quorum port: bytes in, bytes out, never waiting.

use mio::event::Event;
use mio::net::TcpStream;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

/// The most that one turn reads of one connection.
const READ_BYTES: usize = 1 << 20;
/// Outgoing bytes beyond which the node keeps further ones, where their number is watched.
const QUEUE_BYTES: usize = 1 << 20;

pub(super) struct Link {
    stream: TcpStream,
    pub peer: SocketAddr,
    pub readable: bool,
    /// Nothing more will come than what is there.
    read_closed: bool,
    writable: bool,
    arrived: Vec<u8>,
    pub out: Vec<u8>,
    sent: usize,
    /// Another thread sends at present.
    pub is_lent: bool,
}

pub(super) enum Received {
    Open,
    /// With the reason.
    Ended(String),
}

impl Link {
    pub fn new(stream: TcpStream, peer: SocketAddr) -> Link {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
        }
        Link {
            stream,
            peer,
            readable: true,
            read_closed: false,
            writable: true,
            arrived: Vec::new(),
            out: Vec::new(),
            sent: 0,
            is_lent: false,
        }
    }

    pub fn on_ready(&mut self, event: &Event) {
        self.read_closed |= event.is_read_closed() || event.is_error();
        self.readable |= event.is_readable() || self.read_closed;
        self.writable |= event.is_writable() || event.is_write_closed();
    }

    /// Reads what is there, up to a limit; see [`Link::arrived`].
    pub fn receive(&mut self) -> Received {
        self.arrived.resize(READ_BYTES.min(self.arrived.capacity().max(64 << 10)), 0);
        loop {
            match self.stream.read(&mut self.arrived) {
                Ok(0) => {
                    self.arrived.clear();
                    return Received::Ended("the other side closed it".into());
                }
                Ok(n) => {
                    let full = n == self.arrived.len();
                    self.arrived.truncate(n);
                    // Nobody tells again of an end that came with these bytes.
                    self.readable = full || self.read_closed;
                    if full {
                        // More at a time from now on.
                        self.arrived.reserve(READ_BYTES);
                    }
                    return Received::Open;
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.readable = false;
                    self.arrived.clear();
                    return Received::Open;
                }
                Err(e) => {
                    self.arrived.clear();
                    return Received::Ended(e.to_string());
                }
            }
        }
    }

    pub fn arrived(&self) -> &[u8] {
        &self.arrived
    }

    /// Takes bytes to send, if there is room.
    pub fn queue(&mut self, bytes: &mut Vec<u8>) {
        if self.is_lent || self.out.len() - self.sent > QUEUE_BYTES {
            return;
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            std::mem::swap(&mut self.out, bytes);
        } else {
            self.out.append(bytes);
        }
    }

    /// Sends as much as the socket takes. A broken connection shows when it is read.
    pub fn send(&mut self) {
        if self.is_lent || !self.writable {
            return;
        }
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => {
                    self.writable = false;
                    return;
                }
                Err(_) => {
                    self.readable = true;
                    self.out.clear();
                    self.sent = 0;
                    return;
                }
            }
        }
        self.out.clear();
        self.sent = 0;
    }

    /// Ends the connection for whoever else sends on it, too.
    pub fn shut(&self) {
        // One that has ended already is as good.
        let _ended = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// What waits to be sent.
    pub fn take_unsent(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.drain(..std::mem::take(&mut self.sent));
        out
    }

    /// The same connection for another thread.
    pub fn duplicate(&self) -> io::Result<OwnedFd> {
        self.stream.as_fd().try_clone_to_owned()
    }
}
