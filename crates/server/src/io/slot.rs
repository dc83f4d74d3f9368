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
    /// The peer sends no more: once what it sent is read, the end is read.
    pub ended: bool,
    pub writable: bool,
    /// In the list of slots with something to do.
    pub queued: bool,
    /// Got mail in this turn.
    pub mailed: bool,
    /// To be removed once everything is sent.
    pub closing: bool,
    /// The socket has failed or ended.
    pub gone: bool,
    pub last_io_ms: i64,
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
            ended: false,
            writable: true,
            queued: false,
            mailed: false,
            closing: false,
            gone: false,
            last_io_ms: now_ms,
        }
    }

    pub fn on_ready(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.ended |= event.is_read_closed();
        self.writable |= event.is_writable();
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
                // The poll tells of every arrival after this call, so a short read means: nothing more for now. An
                // end that came with the last bytes has been told of already.
                self.readable = n == into.len() || self.ended;
                self.last_io_ms = now_ms;
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

    /// One write call, or several while the socket takes everything it is given.
    pub fn send(&mut self) {
        while self.conn.has_outgoing() && self.writable && !self.gone {
            let out = self.conn.outgoing();
            match self.stream.write(out) {
                Ok(n) if n == out.len() => {
                    // An idle connection holds no memory; a busy one keeps a small buffer.
                    if out.capacity() > 64 * 1024 { *out = Vec::new() } else { out.clear() }
                }
                Ok(n) => {
                    out.drain(..n);
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
            None => self.conn.is_fresh() && silent_ms > fresh_ms,
        }
    }
}
