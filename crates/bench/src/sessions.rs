//! Many connections with little on each: what the watch and session workloads have in common.

use crate::cli::nth;
use crate::frames::{FrameStream, Happened};
use anyhow::{Context, Result, bail};
use client::wire::reply::ReplyHeader;
use client::wire::request::RequestHeader;
use client::wire::{OpCode, Reader, frame};
use client::{ConnectOptions, wire::ops::xid};
use mio::{Events, Interest, Poll, Token};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Room for a few small replies; thousands of connections have one each.
const INPUT_BYTES: usize = 512;
/// Descriptors beside the connections.
const OTHER_DESCRIPTORS: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(60);

/// Raises the limit of open files as far as `connections` need it.
pub fn allow_connections(connections: usize) -> Result<()> {
    let needed = connections as u64 + OTHER_DESCRIPTORS;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    if limit.maximum.is_some_and(|maximum| maximum < needed) {
        bail!("{connections} connections need {needed} open files: raise the hard limit (ulimit -Hn)");
    }
    limit.current = Some(needed);
    setrlimit(Resource::Nofile, limit).context("cannot raise the limit of open files")
}

/// A frame of an operation.
pub fn request(xid: i32, op: OpCode, body: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = frame::begin(&mut bytes);
    RequestHeader { xid, op: op.code() }.encode(&mut bytes);
    body(&mut bytes);
    frame::finish(&mut bytes, start);
    bytes
}

/// Open sessions, each on its connection.
pub struct Sessions {
    poll: Poll,
    streams: Vec<FrameStream>,
    events: Events,
}

impl Sessions {
    /// Opens them one after the other.
    pub fn open(servers: &[SocketAddr], count: usize, progress: impl Fn(usize)) -> Result<Self> {
        allow_connections(count)?;
        let mut sessions = Self::new(count)?;
        for number in 0..count {
            let options = ConnectOptions { timeout_ms: 40_000, ..Default::default() };
            let session = options
                .connect(nth(servers, number))
                .with_context(|| format!("cannot open session {number}"))?;
            let stream = session.into_stream();
            stream.set_nonblocking(true)?;
            sessions.add(mio::net::TcpStream::from_std(stream))?;
            progress(number + 1);
        }
        Ok(sessions)
    }

    pub fn new(count: usize) -> Result<Self> {
        let events = Events::with_capacity(4096);
        Ok(Sessions { poll: Poll::new()?, streams: Vec::with_capacity(count), events })
    }

    pub fn len(&self) -> usize {
        self.streams.len()
    }

    /// Takes a connection; its number is the count before.
    pub fn add(&mut self, mut stream: mio::net::TcpStream) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(self.streams.len()), interest)?;
        self.streams.push(FrameStream::new(stream, INPUT_BYTES));
        Ok(())
    }

    /// Puts another connection in the place of one that failed.
    pub fn replace(&mut self, number: usize, mut stream: mio::net::TcpStream) -> Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(number), interest)?;
        self.streams[number] = FrameStream::new(stream, INPUT_BYTES);
        Ok(())
    }

    /// Waits at most `nap` and hands over what happened on which connection.
    pub fn wait(
        &mut self,
        nap: Duration,
        mut happened: impl FnMut(usize, &mut FrameStream, Happened) -> Result<()>,
    ) -> Result<()> {
        match self.poll.poll(&mut self.events, Some(nap)) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        for event in &self.events {
            let number = event.token().0;
            happened(number, &mut self.streams[number], Happened::on(event))?;
        }
        Ok(())
    }

    /// Sends the same request on every connection.
    pub fn send_all(&mut self, request: &[u8]) -> Result<()> {
        for frames in &mut self.streams {
            frames.output.extend_from_slice(request);
            frames.flush()?;
        }
        Ok(())
    }

    /// Waits for one frame on each connection and hands over its header and body.
    pub fn receive_all(&mut self, mut take: impl FnMut(ReplyHeader, Reader<'_>) -> Result<()>) -> Result<()> {
        let mut missing = self.streams.len();
        let mut last = Instant::now();
        while missing > 0 {
            let before = missing;
            self.wait(Duration::from_millis(100), |_, frames, happened| {
                let mut more = happened.readable;
                while more {
                    more = frames.fill()?;
                    frames.drain(|payload, _| {
                        missing = missing.checked_sub(1).context("more frames came than were asked for")?;
                        let mut r = Reader::new(payload);
                        take(ReplyHeader::decode(&mut r)?, r)
                    })?;
                }
                if happened.ended {
                    bail!("the server closed a connection");
                }
                frames.flush()
            })?;
            if missing != before {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                bail!("{missing} connections stay without a frame: the server hangs");
            }
        }
        Ok(())
    }

    /// Sends a request on every connection and waits until all are granted.
    pub fn call_all(&mut self, xid: i32, op: OpCode, body: impl FnOnce(&mut Vec<u8>)) -> Result<()> {
        self.send_all(&request(xid, op, body))?;
        self.receive_all(|header, _| {
            if header.xid != xid || header.err != 0 {
                bail!("{} was answered with error {} (xid {})", op.name(), header.err, header.xid);
            }
            Ok(())
        })
    }

    /// Shows that every session is alive.
    pub fn ping(&mut self) -> Result<()> {
        self.call_all(xid::PING, OpCode::Ping, |_| {})
    }

    /// Ends every session and waits until the server has closed every connection.
    pub fn close(mut self) -> Result<()> {
        self.send_all(&request(i32::MAX, OpCode::CloseSession, |_| {}))?;
        let mut open = vec![true; self.streams.len()];
        let mut left = open.len();
        let start = Instant::now();
        while left > 0 {
            self.wait(Duration::from_millis(100), |number, _, happened| {
                if happened.ended && open[number] {
                    open[number] = false;
                    left -= 1;
                }
                Ok(())
            })?;
            if start.elapsed() > PATIENCE {
                bail!("the server has not closed {left} connections whose sessions were ended");
            }
        }
        Ok(())
    }
}
