//! A ZooKeeper session over one blocking socket: frames out, frames in, nothing hidden.
//!
//! Requests are answered in order; events that arrive in between are kept. There is no reconnecting: a broken
//! connection is an error, and who wants the session back attaches to it with its id and password, at any server.
use crate::jute::{Acl, Reader, Stat, Writer};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// Operation numbers as they are on the wire.
pub mod op {
    pub const CREATE: i32 = 1;
    pub const DELETE: i32 = 2;
    pub const EXISTS: i32 = 3;
    pub const GET_DATA: i32 = 4;
    pub const SET_DATA: i32 = 5;
    pub const GET_ACL: i32 = 6;
    pub const SET_ACL: i32 = 7;
    pub const SYNC: i32 = 9;
    pub const PING: i32 = 11;
    pub const GET_CHILDREN2: i32 = 12;
    pub const CHECK: i32 = 13;
    pub const MULTI: i32 = 14;
    pub const CREATE2: i32 = 15;
    pub const CREATE_CONTAINER: i32 = 19;
    pub const CREATE_TTL: i32 = 21;
    pub const AUTH: i32 = 100;
    pub const SET_WATCHES: i32 = 101;
    pub const CLOSE_SESSION: i32 = -11;
}

/// The xids that are not numbers of requests.
pub mod xid {
    pub const EVENT: i32 = -1;
    pub const PING: i32 = -2;
    pub const AUTH: i32 = -4;
    pub const SET_WATCHES: i32 = -8;
}

/// Create flags.
pub mod flag {
    pub const PERSISTENT: i32 = 0;
    pub const EPHEMERAL: i32 = 1;
    pub const SEQUENTIAL: i32 = 2;
    pub const CONTAINER: i32 = 4;
    pub const TTL: i32 = 5;
}

/// The error code of a missing znode.
pub const NO_NODE: i32 = -101;

/// What names a session for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    pub id: i64,
    pub password: Vec<u8>,
}

impl Credentials {
    /// Those that ask for a new session.
    pub fn fresh() -> Credentials {
        Credentials { id: 0, password: vec![0; 16] }
    }
}

/// A reply: its header without the xid, and its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub zxid: i64,
    pub error: i32,
    pub body: Vec<u8>,
}

impl Reply {
    /// The body of a success; an error code is an error.
    pub fn success(self) -> Result<Vec<u8>> {
        if self.error == 0 { Ok(self.body) } else { bail!("the server answered with error {}", self.error) }
    }
}

/// Where and how to connect.
#[derive(Clone, Debug)]
pub struct Target {
    pub address: SocketAddr,
    /// The session timeout to ask for.
    pub timeout_ms: i32,
    /// The newest zxid that the session has seen: an older server refuses it.
    pub last_zxid: i64,
    /// How long one step may take, connecting or waiting for a reply.
    pub limit: Duration,
    /// The xid of the last request of the session, so that no number is used twice.
    pub last_xid: i32,
}

impl Default for Target {
    fn default() -> Target {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 2181));
        Target { address, timeout_ms: 10_000, last_zxid: 0, limit: Duration::from_secs(30), last_xid: 0 }
    }
}

impl Target {
    /// Opens a new session.
    pub fn open(&self) -> Result<Session> {
        self.connect(&Credentials::fresh())?.context("the server refused a new session")
    }

    /// Attaches to the session with these credentials; `None` if the server says that it has expired.
    pub fn connect(&self, credentials: &Credentials) -> Result<Option<Session>> {
        let mut stream = TcpStream::connect_timeout(&self.address, self.limit).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.limit))?;
        let request = Writer::default().int(0).long(self.last_zxid).int(self.timeout_ms).long(credentials.id);
        let request = request.buffer(Some(&credentials.password)).boolean(false);
        write_frame(&mut stream, &request.bytes)?;
        let answer = read_frame(&mut stream).context("no answer to the handshake")?;
        let mut reader = Reader::new(&answer);
        let (_, timeout_ms) = (reader.int()?, reader.int()?);
        let id = reader.long()?;
        let password = reader.buffer()?.context("a null password")?;
        if timeout_ms <= 0 || id == 0 {
            return Ok(None);
        }
        let credentials = Credentials { id, password };
        Ok(Some(Session { stream, xid: self.last_xid, credentials, timeout_ms, events: Vec::new() }))
    }
}

/// A connected session.
pub struct Session {
    stream: TcpStream,
    xid: i32,
    pub credentials: Credentials,
    /// The session timeout that the server granted.
    pub timeout_ms: i32,
    /// Bodies of the events that came so far.
    pub events: Vec<Vec<u8>>,
}

impl Session {
    /// Opens a new session.
    pub fn open(port: u16, timeout_ms: i32) -> Result<Session> {
        Session::connect(port, timeout_ms, &Credentials::fresh())?.context("the server refused a new session")
    }

    /// Attaches to an existing session; `None` if the server says that it has expired or the password is wrong.
    pub fn attach(port: u16, timeout_ms: i32, credentials: &Credentials) -> Result<Option<Session>> {
        Session::connect(port, timeout_ms, credentials)
    }

    fn connect(port: u16, timeout_ms: i32, credentials: &Credentials) -> Result<Option<Session>> {
        let target = Target { address: (Ipv4Addr::LOCALHOST, port).into(), timeout_ms, ..Target::default() };
        target.connect(credentials)
    }

    /// Sends one request and returns its xid; replies come in the order of requests.
    pub fn send(&mut self, operation: i32, body: &[u8]) -> Result<i32> {
        let xid = match operation {
            op::AUTH => xid::AUTH,
            op::PING => xid::PING,
            op::SET_WATCHES => xid::SET_WATCHES,
            _ => {
                self.xid += 1;
                self.xid
            }
        };
        let frame = Writer::default().int(xid).int(operation).raw(body);
        write_frame(&mut self.stream, &frame.bytes)?;
        Ok(xid)
    }

    /// The next reply or event. An event has the xid [`xid::EVENT`].
    pub fn receive(&mut self) -> Result<(i32, Reply)> {
        let answer = read_frame(&mut self.stream)?;
        let mut reader = Reader::new(&answer);
        let (got, zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
        Ok((got, Reply { zxid, error, body: reader.rest.to_vec() }))
    }

    /// Sends one request and waits for its reply.
    pub fn call(&mut self, operation: i32, body: &[u8]) -> Result<Reply> {
        let xid = self.send(operation, body)?;
        loop {
            let (got, reply) = self.receive()?;
            if got == xid::EVENT {
                self.events.push(reply.body);
            } else if got == xid {
                return Ok(reply);
            } else {
                bail!("the reply to request {got} came instead of {xid}");
            }
        }
    }

    /// Waits until this server has all that was committed when it was asked.
    pub fn sync(&mut self) -> Result<()> {
        self.call(op::SYNC, &Writer::default().string("/").bytes)?.success().map(drop)
    }

    /// Creates a znode with operation 1 and returns its path.
    pub fn create(&mut self, path: &str, data: Option<&[u8]>, acls: &[Acl], flags: i32) -> Result<String> {
        let body = self.call(op::CREATE, &create_record(path, data, acls, flags))?.success()?;
        Reader::new(&body).string()
    }

    /// Changes a znode's data, whatever its version.
    pub fn set(&mut self, path: &str, data: &[u8]) -> Result<Stat> {
        let record = Writer::default().string(path).buffer(Some(data)).int(-1);
        let body = self.call(op::SET_DATA, &record.bytes)?.success()?;
        Reader::new(&body).stat()
    }

    /// Data and Stat of a znode, or `None` if it does not exist.
    pub fn get(&mut self, path: &str) -> Result<Option<(Option<Vec<u8>>, Stat)>> {
        let reply = self.call(op::GET_DATA, &Writer::default().string(path).boolean(false).bytes)?;
        if reply.error == NO_NODE {
            return Ok(None);
        }
        let body = reply.success()?;
        let mut reader = Reader::new(&body);
        Ok(Some((reader.buffer()?, reader.stat()?)))
    }

    pub fn acls(&mut self, path: &str) -> Result<Vec<Acl>> {
        let body = self.call(op::GET_ACL, &Writer::default().string(path).bytes)?.success()?;
        Reader::new(&body).acls()
    }

    pub fn children(&mut self, path: &str) -> Result<Vec<String>> {
        let record = Writer::default().string(path).boolean(false);
        let body = self.call(op::GET_CHILDREN2, &record.bytes)?.success()?;
        Reader::new(&body).strings()
    }

    /// Adds an identity, such as `digest` and `user:password`.
    pub fn authenticate(&mut self, scheme: &str, secret: &str) -> Result<()> {
        let record = Writer::default().int(0).string(scheme).string(secret);
        self.call(op::AUTH, &record.bytes)?.success().map(drop)
    }

    /// Ends the session, so that its ephemerals go.
    pub fn close(mut self) -> Result<()> {
        self.call(op::CLOSE_SESSION, &[])?.success().map(drop)
    }

    /// Ends the connection only; the session lives on until it expires.
    pub fn abandon(self) -> Result<Credentials> {
        self.stream.shutdown(Shutdown::Both)?;
        Ok(self.credentials)
    }
}

/// The record of create, create2 and createContainer.
pub fn create_record(path: &str, data: Option<&[u8]>, acls: &[Acl], flags: i32) -> Vec<u8> {
    Writer::default().string(path).buffer(data).acls(acls).int(flags).bytes
}

/// A multi out of operations and their records.
pub fn multi_record(parts: &[(i32, Vec<u8>)]) -> Vec<u8> {
    let mut out = Writer::default();
    for (operation, record) in parts {
        out = out.int(*operation).boolean(false).int(-1).raw(record);
    }
    out.int(-1).boolean(true).int(-1).bytes
}

fn write_frame(stream: &mut TcpStream, body: &[u8]) -> Result<()> {
    let frame = Writer::default().buffer(Some(body));
    stream.write_all(&frame.bytes).context("cannot send")
}

fn read_frame(stream: &mut TcpStream) -> Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).context("the connection broke")?;
    let length = usize::try_from(i32::from_be_bytes(length)).context("a negative frame length")?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).context("the connection broke inside a frame")?;
    Ok(body)
}
