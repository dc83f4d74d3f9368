//! One socket with its connection.

use mio::event::Event;
use mio::net::TcpStream;
use node::Conn;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;

/// A closing connection whose peer does not take the last bytes is cut off after this long.
const LINGER_MS: i64 = 5000;

pub(super) struct Slot {
    pub conn: Conn,
    pub stream: TcpStream,
    pub peer: SocketAddr,
    /// The socket may have bytes: cleared when a read did not fill its buffer.
    pub readable: bool,
    pub writable: bool,
    /// In the list of slots with something to do.
    pub queued: bool,
    /// Got mail in this turn.
    pub mailed: bool,
    /// To be removed once everything is sent.
    pub closing: bool,
    /// The socket has failed or ended.
    pub gone: bool,
    /// The peer sends no more: reading goes on until it has ended.
    read_closed: bool,
    /// How much of the outgoing bytes is sent already.
    sent: usize,
    accepted_ms: i64,
    last_io_ms: i64,
}

/// Bytes of the arena that belong to a slot; none when it only has kept bytes to handle.
pub(super) struct Received {
    pub slot: usize,
    pub start: usize,
    pub end: usize,
}

impl Slot {
    pub fn new(conn: Conn, stream: TcpStream, peer: SocketAddr, now_ms: i64) -> Slot {
        Slot {
            conn,
            stream,
            peer,
            readable: false,
            writable: true,
            queued: false,
            mailed: false,
            closing: false,
            gone: false,
            read_closed: false,
            sent: 0,
            accepted_ms: now_ms,
            last_io_ms: now_ms,
        }
    }

    pub fn on_ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable();
        self.read_closed |= event.is_read_closed() || event.is_error();
    }

    pub fn queue(&mut self, slot: usize, ready: &mut Vec<usize>) {
        if !self.queued {
            self.queued = true;
            ready.push(slot);
        }
    }

    /// One read call, if the connection has room. Gives the number of bytes.
    pub fn receive(&mut self, into: &mut [u8], max_buffer: usize, now_ms: i64) -> usize {
        if !self.readable || self.gone || !self.conn.wants_bytes(max_buffer) {
            return 0;
        }
        match self.stream.read(into) {
            Ok(0) => {
                self.gone = true;
                0
            }
            Ok(n) => {
                // The poll tells of every arrival after this call, so a short read means: nothing more for now. An end
                // that came together with bytes is not told again.
                self.readable = n == into.len() || self.read_closed;
                self.heard(now_ms);
                n
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                self.readable = false;
                0
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => 0,
            Err(_) => {
                self.gone = true;
                0
            }
        }
    }

    /// The peer is alive, whether or not its requests can be handled now.
    fn heard(&mut self, now_ms: i64) {
        self.last_io_ms = now_ms;
        if let Some(session) = self.conn.session() {
            session.touch(now_ms);
        }
    }

    /// One write call, or several while the socket takes everything it is given.
    pub fn send(&mut self, now_ms: i64) {
        while self.conn.has_outgoing() && self.writable && !self.gone {
            let out = self.conn.outgoing();
            match self.stream.write(&out[self.sent..]) {
                Ok(n) => {
                    self.sent += n;
                    if self.sent == out.len() {
                        self.sent = 0;
                        // An idle connection holds no memory; a busy one keeps a small buffer.
                        if out.capacity() > 64 * 1024 { *out = Vec::new() } else { out.clear() }
                    } else if self.sent * 2 > out.len() {
                        out.drain(..self.sent);
                        self.sent = 0;
                    }
                    if n > 0 {
                        self.heard(now_ms);
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.writable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.gone = true,
            }
        }
    }

    /// Whether it is time to cut the connection off.
    pub fn is_overdue(&self, now_ms: i64, fresh_ms: i64) -> bool {
        let silent_ms = now_ms - self.last_io_ms;
        if self.closing {
            return silent_ms > LINGER_MS;
        }
        match self.conn.session() {
            Some(session) => silent_ms > i64::from(session.timeout_ms()),
            // From the beginning: a peer that sends a byte now and then is no better than a silent one.
            None => self.conn.is_fresh() && now_ms - self.accepted_ms > fresh_ms,
        }
    }
}
