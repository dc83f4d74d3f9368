//! The floor under any server: one thread that frames requests and answers each, whatever it asks, with the same
//! getData reply of 100 bytes. One read and one write call per connection and wake-up, nothing else. A setData is
//! told to every connection that has asked with a watch, whatever the paths.
//!
//! What a real server reaches of this is what its locks, trees and queues leave of what the system allows.

use crate::frames::{FrameStream, Happened};
use anyhow::{Context, Result, bail};
use client::wire::data::Stat;
use client::wire::jute::Put;
use client::wire::reply::{ConnectResponse, EventType, ReplyHeader, encode_event};
use client::wire::request::ConnectRequest;
use client::wire::{OpCode, Reader, frame};
use mio::net::TcpListener;
use mio::{Events, Interest, Poll, Token};
use std::net::{Ipv4Addr, SocketAddr};

const LISTENER: Token = Token(usize::MAX);
const INPUT_BYTES: usize = 64 << 10;
const VALUE_BYTES: usize = 100;

struct Connection {
    frames: FrameStream,
    greeted: bool,
    watching: bool,
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
            let mut changed = None;
            // A connection that ends or misbehaves is dropped; the floor goes on.
            if connection
                .serve(Happened::on(event), &self.reply, &mut self.next_session, &mut changed)
                .is_err()
            {
                *slot = None;
            }
            if let Some(path) = changed {
                self.notify(&path);
            }
        }
        Ok(())
    }

    fn notify(&mut self, path: &str) {
        let mut event = Vec::new();
        encode_event(&mut event, -1, EventType::DataChanged, path);
        for slot in &mut self.connections {
            let Some(connection) = slot.as_mut().filter(|connection| connection.watching) else { continue };
            connection.watching = false;
            connection.frames.output.extend_from_slice(&event);
            if connection.frames.flush().is_err() {
                *slot = None;
            }
        }
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
            let connection = Some(Connection {
                frames: FrameStream::new(stream, INPUT_BYTES),
                greeted: false,
                watching: false,
            });
            match free {
                Some(at) => self.connections[at] = connection,
                None => self.connections.push(connection),
            }
        }
    }
}

impl Connection {
    /// `changed` is set to the path of a setData.
    fn serve(
        &mut self,
        happened: Happened,
        reply: &[u8],
        next_session: &mut i64,
        changed: &mut Option<String>,
    ) -> Result<()> {
        let Connection { frames, greeted, watching } = self;
        let mut closing = false;
        let mut more = happened.readable;
        while more {
            more = frames.fill()?;
            frames.drain(|payload, out| {
                if !*greeted {
                    *greeted = true;
                    *next_session += 1;
                    return greet(payload, *next_session, out);
                }
                let Some((header, body)) = payload.split_first_chunk::<8>() else { bail!("no header") };
                let op = i32::from_be_bytes([header[4], header[5], header[6], header[7]]);
                if op == OpCode::GetData.code() {
                    *watching |= body.last() == Some(&1);
                } else if op == OpCode::SetData.code() {
                    *changed = Some(Reader::new(body).required_ustring()?.into_owned());
                }
                closing |= op == OpCode::CloseSession.code();
                let at = out.len();
                out.extend_from_slice(reply);
                out[at + 4..at + 8].copy_from_slice(&header[..4]);
                Ok(())
            })?;
        }
        frames.flush()?;
        if closing || happened.ended {
            bail!("the session or the connection has ended");
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
    fn a_change_is_told_to_those_who_watch() {
        let mut floor = Floor::bind(0).unwrap();
        let address = floor.address().unwrap();
        let client = std::thread::spawn(move || {
            let mut watcher = Session::open(address).unwrap();
            watcher.get_data("/a", true).unwrap();
            let mut writer = Session::open(address).unwrap();
            writer.set_data("/a", b"", -1).unwrap();
            let event = watcher.wait_event(std::time::Duration::from_secs(10)).unwrap();
            assert_eq!(writer.next_event(), None);
            event.unwrap().event.path
        });
        let mut events = Events::with_capacity(8);
        while floor.connections.len() < 2 || floor.connections.iter().any(Option::is_some) {
            floor.turn(&mut events).unwrap();
        }
        assert_eq!(client.join().unwrap(), "/a");
    }

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
