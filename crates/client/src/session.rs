//! One session on one connection: numbered requests, their replies in order, and events between them.

use crate::{ClientError, ConnectOptions, Transport};
use std::collections::VecDeque;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use wire::ops::xid;
use wire::reply::{ConnectResponse, ReplyHeader, WatcherEvent};
use wire::request::{AuthPacket, RequestHeader};
use wire::{OpCode, Reader, frame};

/// A reply as it came: the body is there only when `header.err` is 0, apart from few exceptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub header: ReplyHeader,
    payload: Vec<u8>,
}

impl Reply {
    const HEADER_BYTES: usize = 16;

    fn decode(payload: Vec<u8>) -> Result<Self, ClientError> {
        Ok(Reply { header: ReplyHeader::decode(&mut Reader::new(&payload))?, payload })
    }

    /// Everything behind the header.
    pub fn body(&self) -> &[u8] {
        &self.payload[Self::HEADER_BYTES..]
    }

    /// The whole payload, header included.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The reply itself if the server granted the request.
    pub fn granted(self) -> Result<Self, ClientError> {
        match self.header.err {
            0 => Ok(self),
            code => Err(ClientError::Refused(code)),
        }
    }
}

/// A notification with the zxid in its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub zxid: i64,
    pub event: WatcherEvent,
}

/// A session that is open on a connection.
#[derive(Debug)]
pub struct Session {
    transport: Transport,
    handshake: ConnectResponse,
    next_xid: i32,
    last_zxid: i64,
    events: VecDeque<Event>,
    output: Vec<u8>,
}

impl Session {
    /// Opens a new session with the default options.
    pub fn open(address: impl ToSocketAddrs) -> Result<Self, ClientError> {
        ConnectOptions::default().connect(address)
    }

    pub(crate) fn new(transport: Transport, handshake: ConnectResponse, last_zxid: i64) -> Self {
        Session { transport, handshake, next_xid: 1, last_zxid, events: VecDeque::new(), output: Vec::new() }
    }

    /// What the server granted: id, password, timeout.
    pub fn handshake(&self) -> &ConnectResponse {
        &self.handshake
    }

    /// The highest zxid seen in a reply.
    pub fn last_zxid(&self) -> i64 {
        self.last_zxid
    }

    /// The connection, for frames of the caller's own making.
    pub fn transport(&mut self) -> &mut Transport {
        &mut self.transport
    }

    /// Leaves the session without closing it.
    pub fn into_stream(self) -> TcpStream {
        self.transport.into_stream()
    }

    /// Sends one request and returns its xid; [`Session::receive`] takes the replies in the same order.
    pub fn send(&mut self, op: OpCode, body: impl FnOnce(&mut Vec<u8>)) -> Result<i32, ClientError> {
        let xid = self.next_xid;
        self.next_xid = xid.checked_add(1).unwrap_or(1);
        self.send_as(xid, op.code(), body)?;
        Ok(xid)
    }

    /// Sends one request under a given xid and type, which need not mean anything.
    pub fn send_as(&mut self, xid: i32, op: i32, body: impl FnOnce(&mut Vec<u8>)) -> Result<(), ClientError> {
        self.output.clear();
        let start = frame::begin(&mut self.output);
        RequestHeader { xid, op }.encode(&mut self.output);
        body(&mut self.output);
        frame::finish(&mut self.output, start);
        self.transport.send_bytes(&self.output)
    }

    /// The next reply, whatever it answers; events before it go to the queue.
    pub fn receive(&mut self) -> Result<Reply, ClientError> {
        let deadline = Instant::now() + self.transport.timeout();
        loop {
            if let Some(reply) = self.receive_one(deadline)? {
                return Ok(reply);
            }
        }
    }

    /// Sends one request and waits for its reply.
    pub fn call(&mut self, op: OpCode, body: impl FnOnce(&mut Vec<u8>)) -> Result<Reply, ClientError> {
        let expected = self.send(op, body)?;
        self.receive_expected(expected)
    }

    /// Like [`Session::call`], for the requests whose xid is fixed.
    pub(crate) fn call_as(
        &mut self,
        xid: i32,
        op: OpCode,
        body: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Reply, ClientError> {
        self.send_as(xid, op.code(), body)?;
        self.receive_expected(xid)
    }

    /// Adds an identity; a refusal is followed by the server closing the connection.
    pub fn auth(&mut self, scheme: &str, auth: &[u8]) -> Result<(), ClientError> {
        let packet = AuthPacket { scheme: Some(scheme.into()), auth: Some(auth) };
        self.call_as(xid::AUTH, OpCode::Auth, |out| packet.encode(out))?.granted().map(drop)
    }

    /// Keeps the session alive.
    pub fn ping(&mut self) -> Result<(), ClientError> {
        self.call_as(xid::PING, OpCode::Ping, |_| {})?.granted().map(drop)
    }

    /// Ends the session and waits until the server has closed the connection.
    pub fn close(mut self) -> Result<(), ClientError> {
        self.call(OpCode::CloseSession, |_| {})?.granted()?;
        self.transport.read_to_close().map(drop)
    }

    /// An event that has arrived already.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// The next event, waiting for it; `None` when the time is over. No reply may be outstanding.
    pub fn wait_event(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(Some(event));
            }
            match self.receive_one(deadline) {
                Ok(None) => {}
                Ok(Some(reply)) => {
                    return Err(ClientError::WrongXid { expected: xid::NOTIFICATION, got: reply.header.xid });
                }
                Err(ClientError::TimedOut) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn receive_expected(&mut self, expected: i32) -> Result<Reply, ClientError> {
        let reply = self.receive()?;
        if reply.header.xid != expected {
            return Err(ClientError::WrongXid { expected, got: reply.header.xid });
        }
        Ok(reply)
    }

    /// Takes one frame: a reply is returned, an event is queued.
    fn receive_one(&mut self, deadline: Instant) -> Result<Option<Reply>, ClientError> {
        let left = deadline.saturating_duration_since(Instant::now());
        let reply = Reply::decode(self.transport.receive_frame_within(left)?)?;
        if reply.header.xid == xid::NOTIFICATION {
            let event = WatcherEvent::decode(&mut Reader::new(reply.body()))?;
            self.events.push_back(Event { zxid: reply.header.zxid, event });
            return Ok(None);
        }
        // The headers of auth and ping carry 0 or an older zxid.
        self.last_zxid = self.last_zxid.max(reply.header.zxid);
        Ok(Some(reply))
    }
}
