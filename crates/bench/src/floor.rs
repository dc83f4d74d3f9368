//! The floor under any server: one thread that frames requests and answers each, whatever it asks, with the same
//! getData reply of 100 bytes. One read and one write call per connection and wake-up, nothing else.
//!
//! What a real server reaches of this is what its locks, trees and queues leave of what the system allows.

use crate::frames::FrameStream;
use anyhow::{Context, Result, bail};
use client::wire::data::Stat;
use client::wire::jute::Put;
use client::wire::reply::{ConnectResponse, ReplyHeader};
use client::wire::request::ConnectRequest;
use client::wire::{OpCode, frame};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::net::{Ipv4Addr, SocketAddr};

const LISTENER: Token = Token(usize::MAX);
const INPUT_BYTES: usize = 64 << 10;
const VALUE_BYTES: usize = 100;

struct Connection {
    frames: FrameStream,
    greeted: bool,
}

pub struct Floor {
    poll: Poll,
    listener: TcpListener,
    connections: Vec<Option<Connection>>,
    reply: Vec<u8>,
    next_session: i64,
}

/// Serves for ever.
pub fn run(port: u16) -> Result<()> {
    let mut floor = Floor::bind(port)?;
    eprintln!("the floor listens on {}", floor.address()?);
    let mut events = Events::with_capacity(1024);
    loop {
        floor.turn(&mut events)?;
    }
}

impl Floor {
    /// Port 0 takes a free one.
    pub fn bind(port: u16) -> Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut listener =
            TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))?;
        let poll = Poll::new()?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Floor { poll, listener, connections: Vec::new(), reply: canned_reply(), next_session: 1 })
    }

    pub fn address(&self) -> Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Waits for events and answers what came.
    pub fn turn(&mut self, events: &mut Events) -> Result<()> {
        match self.poll.poll(events, None) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in events.iter() {
            if event.token() == LISTENER {
                self.accept()?;
                continue;
            }
            let slot = &mut self.connections[event.token().0];
            let Some(connection) = slot else { continue };
            // A connection that ends or misbehaves is dropped; the floor goes on.
            if connection
                .serve(event.is_readable() || event.is_error(), &self.reply, &mut self.next_session)
                .is_err()
            {
                *slot = None;
            }
        }
        Ok(())
    }

    fn accept(&mut self) -> Result<()> {
        loop {
            let (mut stream, _) = match self.listener.accept() {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(()),
                other => other.context("cannot accept")?,
            };
            stream.set_nodelay(true)?;
            let free = self.connections.iter().position(Option::is_none);
            let at = free.unwrap_or(self.connections.len());
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll.registry().register(&mut stream, Token(at), interest)?;
            let connection =
                Some(Connection { frames: FrameStream::new(stream, INPUT_BYTES), greeted: false });
            match free {
                Some(at) => self.connections[at] = connection,
                None => self.connections.push(connection),
            }
        }
    }
}

impl Connection {
    fn serve(&mut self, readable: bool, reply: &[u8], next_session: &mut i64) -> Result<()> {
        let Connection { frames, greeted } = self;
        let mut closing = false;
        let mut more = readable;
        while more {
            more = frames.fill()?;
            frames.drain(|payload, out| {
                if !*greeted {
                    *greeted = true;
                    *next_session += 1;
                    return greet(payload, *next_session, out);
                }
                let Some(header) = payload.first_chunk::<8>() else { bail!("no header") };
                closing |= header[4..] == OpCode::CloseSession.code().to_be_bytes();
                let at = out.len();
                out.extend_from_slice(reply);
                out[at + 4..at + 8].copy_from_slice(&header[..4]);
                Ok(())
            })?;
        }
        frames.flush()?;
        if closing {
            bail!("the session ended");
        }
        Ok(())
    }
}

fn greet(payload: &[u8], session_id: i64, out: &mut Vec<u8>) -> Result<()> {
    let request = ConnectRequest::decode(payload)?;
    let start = frame::begin(out);
    let read_only = request.read_only.map(|_| false);
    ConnectResponse { timeout_ms: request.timeout_ms, session_id, password: [0; 16], read_only }.encode(out);
    frame::finish(out, start);
    Ok(())
}

/// A whole frame whose xid is to be filled in.
fn canned_reply() -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    ReplyHeader { xid: 0, zxid: 1, err: 0 }.encode(&mut bytes);
    bytes.put_buffer(Some(&crate::load::value(VALUE_BYTES)));
    let data_length = VALUE_BYTES as i32;
    Stat { czxid: 1, mzxid: 1, pzxid: 1, data_length, ..Stat::default() }.encode(&mut bytes);
    frame::finish(&mut bytes, start);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Session;

    #[test]
    fn a_session_reads_the_canned_value_and_ends() {
        let mut floor = Floor::bind(0).unwrap();
        let address = floor.address().unwrap();
        let client = std::thread::spawn(move || {
            let mut session = Session::open(address).unwrap();
            let read = session.get_data("/any", false).unwrap();
            session.ping().unwrap();
            session.close().unwrap();
            read
        });
        let mut events = Events::with_capacity(8);
        while floor.connections.is_empty() || floor.connections.iter().any(Option::is_some) {
            floor.turn(&mut events).unwrap();
        }
        let read = client.join().unwrap();
        assert_eq!((read.data.unwrap().len(), read.stat.data_length), (100, 100));
    }
}
