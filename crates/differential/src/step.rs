//! What is done to a server, as data: a sequence of steps that says nothing about session ids or zxids, so that the
//! same steps can be done to any server at any time.
//!
//! A sequence has several clients, each with at most one connection and one session. Every step has a line of text
//! (`Display` and [`Step::parse`]), in which reports and the golden files are written.

use crate::text::{hex, unhex};
use std::fmt;
use wire::OpCode;

/// Which of the sequence's clients.
pub type Client = usize;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Opens a connection and shakes hands.
    Open { client: Client, handshake: Handshake },
    /// Sends requests in one write, or in pieces of `piece` bytes, and waits for all answers.
    Send { client: Client, piece: usize, requests: Vec<Request> },
    /// Bytes on a connection of its own, instead of a handshake; ends when the server closes it.
    Fresh { bytes: Vec<u8> },
    /// Bytes on the client's connection that are no request and make the server close it.
    Garbage { client: Client, bytes: Vec<u8> },
    /// Closes the client's connection without closing its session.
    Drop { client: Client },
    /// Says nothing until the server closes the connection because the session expired.
    Expire { client: Client },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    pub protocol: i32,
    pub timeout_ms: i32,
    pub session: SessionChoice,
    pub password: PasswordChoice,
    pub last_zxid: ZxidChoice,
    /// `None`: an old client that does not send the byte.
    pub read_only: Option<u8>,
    /// Whether the client's earlier connection is still open during the handshake.
    pub keep_old: bool,
    /// Whether the profile's authentication follows.
    pub authenticate: bool,
}

impl Handshake {
    pub const NEW: Handshake = Handshake {
        protocol: 0,
        timeout_ms: 30_000,
        session: SessionChoice::New,
        password: PasswordChoice::Zeros,
        last_zxid: ZxidChoice::Absolute(0),
        read_only: Some(0),
        keep_old: false,
        authenticate: true,
    };

    pub const REATTACH: Handshake =
        Handshake { session: SessionChoice::Own, password: PasswordChoice::Right, ..Handshake::NEW };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionChoice {
    /// Id 0.
    New,
    /// The client's last session, closed or not.
    Own,
    /// An id that no server of this run gave out.
    Literal(i64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordChoice {
    Right,
    Zeros,
    /// The right one with its last bit flipped.
    Wrong,
    Short,
    Empty,
    Null,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ZxidChoice {
    Absolute(i64),
    /// Counted from the zxid at which the sequence began.
    Relative(i64),
}

impl ZxidChoice {
    pub fn resolve(self, base: i64) -> i64 {
        match self {
            ZxidChoice::Absolute(zxid) => zxid,
            ZxidChoice::Relative(distance) => base + distance,
        }
    }
}

/// One request: header and body as they go over the wire, except that the first eight bytes of the body may be a
/// zxid to be filled in (`setWatches`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub xid: i32,
    pub op: i32,
    pub body: Vec<u8>,
    pub zxid: Option<ZxidChoice>,
}

impl Request {
    pub fn new(xid: i32, op: OpCode, body: Vec<u8>) -> Request {
        Request { xid, op: op.code(), body, zxid: None }
    }

    /// The whole frame.
    pub fn encode(&self, base_zxid: i64, out: &mut Vec<u8>) {
        let start = wire::frame::begin(out);
        wire::request::RequestHeader { xid: self.xid, op: self.op }.encode(out);
        let body = out.len();
        out.extend_from_slice(&self.body);
        if let (Some(zxid), Some(place)) = (self.zxid, out.get_mut(body..body + 8)) {
            place.copy_from_slice(&zxid.resolve(base_zxid).to_be_bytes());
        }
        wire::frame::finish(out, start);
    }

    /// Whether the server may close the connection over this request, or answer it out of turn. Such requests
    /// are sent alone.
    pub fn ends_connection(&self) -> bool {
        match OpCode::from_code(self.op) {
            None => true,
            Some(OpCode::Auth | OpCode::Sasl | OpCode::CloseSession) => true,
            Some(OpCode::Notification | OpCode::Check | OpCode::Error | OpCode::CreateSession) => true,
            Some(_) => false,
        }
    }

    /// Whether it cannot cause a notification on another connection.
    pub fn is_quiet(&self) -> bool {
        OpCode::from_code(self.op).is_some_and(|op| {
            matches!(
                op.class(),
                wire::ops::OpClass::Read | wire::ops::OpClass::Sync | wire::ops::OpClass::Connection
            )
        })
    }
}

impl fmt::Display for ZxidChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ZxidChoice::Absolute(zxid) => write!(f, "{zxid}"),
            ZxidChoice::Relative(distance) => write!(f, "base{distance:+}"),
        }
    }
}

fn parse_zxid(text: &str) -> Option<ZxidChoice> {
    match text.strip_prefix("base") {
        Some(distance) => distance.parse().ok().map(ZxidChoice::Relative),
        None => text.parse().ok().map(ZxidChoice::Absolute),
    }
}

const PASSWORDS: [(PasswordChoice, &str); 6] = [
    (PasswordChoice::Right, "right"),
    (PasswordChoice::Zeros, "zeros"),
    (PasswordChoice::Wrong, "wrong"),
    (PasswordChoice::Short, "short"),
    (PasswordChoice::Empty, "empty"),
    (PasswordChoice::Null, "null"),
];

impl fmt::Display for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let session = match self.session {
            SessionChoice::New => "new".to_owned(),
            SessionChoice::Own => "own".to_owned(),
            SessionChoice::Literal(id) => id.to_string(),
        };
        let password = PASSWORDS.iter().find(|(p, _)| *p == self.password).map_or("", |(_, name)| name);
        write!(
            f,
            "protocol={} timeout={} session={session} password={password} zxid={} readonly={} keep={} auth={}",
            self.protocol,
            self.timeout_ms,
            self.last_zxid,
            self.read_only.map_or("absent".to_owned(), |b| b.to_string()),
            u8::from(self.keep_old),
            u8::from(self.authenticate),
        )
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "xid={} op={} body={}", self.xid, self.op, hex(&self.body))?;
        if let Some(zxid) = self.zxid {
            write!(f, " zxid={zxid}")?;
        }
        write!(f, " # {}", crate::describe::request(self))
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Open { client, handshake } => write!(f, "open client={client} {handshake}"),
            Step::Send { client, piece, requests } => {
                write!(f, "send client={client} piece={piece}")?;
                requests.iter().try_for_each(|r| write!(f, "\n  request {r}"))
            }
            Step::Fresh { bytes } => write!(f, "fresh bytes={}", hex(bytes)),
            Step::Garbage { client, bytes } => write!(f, "garbage client={client} bytes={}", hex(bytes)),
            Step::Drop { client } => write!(f, "drop client={client}"),
            Step::Expire { client } => write!(f, "expire client={client}"),
        }
    }
}

/// The `name=value` words of a line, up to a comment.
struct Words<'a>(Vec<(&'a str, &'a str)>);

impl<'a> Words<'a> {
    fn of(line: &'a str) -> Self {
        let line = line.split(" # ").next().unwrap_or_default();
        Words(line.split_whitespace().filter_map(|word| word.split_once('=')).collect())
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

fn parse_handshake(words: &Words<'_>) -> Option<Handshake> {
    Some(Handshake {
        protocol: words.number("protocol")?,
        timeout_ms: words.number("timeout")?,
        session: match words.get("session")? {
            "new" => SessionChoice::New,
            "own" => SessionChoice::Own,
            id => SessionChoice::Literal(id.parse().ok()?),
        },
        password: PASSWORDS.iter().find(|(_, name)| words.get("password") == Some(name))?.0,
        last_zxid: parse_zxid(words.get("zxid")?)?,
        read_only: match words.get("readonly")? {
            "absent" => None,
            byte => Some(byte.parse().ok()?),
        },
        keep_old: words.get("keep")? == "1",
        authenticate: words.get("auth")? == "1",
    })
}

impl Request {
    /// Reads the words after `request`.
    pub fn parse(line: &str) -> Option<Request> {
        let words = Words::of(line);
        let zxid = match words.get("zxid") {
            Some(text) => Some(parse_zxid(text)?),
            None => None,
        };
        Some(Request {
            xid: words.number("xid")?,
            op: words.number("op")?,
            body: unhex(words.get("body")?)?,
            zxid,
        })
    }
}

impl Step {
    /// Reads the first line of a step; the `request` lines of a `send` follow and are added by the caller.
    pub fn parse(line: &str) -> Option<Step> {
        let words = Words::of(line);
        let client = || words.number("client");
        let bytes = || unhex(words.get("bytes")?);
        Some(match line.split_whitespace().next()? {
            "open" => Step::Open { client: client()?, handshake: parse_handshake(&words)? },
            "send" => Step::Send { client: client()?, piece: words.number("piece")?, requests: Vec::new() },
            "fresh" => Step::Fresh { bytes: bytes()? },
            "garbage" => Step::Garbage { client: client()?, bytes: bytes()? },
            "drop" => Step::Drop { client: client()? },
            "expire" => Step::Expire { client: client()? },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads back what `Display` wrote.
    fn parse_whole(text: &str) -> Option<Step> {
        let mut lines = text.lines();
        let mut step = Step::parse(lines.next()?)?;
        for line in lines {
            if let Step::Send { requests, .. } = &mut step {
                requests.push(Request::parse(line)?);
            }
        }
        Some(step)
    }

    #[test]
    fn steps_survive_their_text() {
        let odd = Handshake {
            protocol: 7,
            timeout_ms: -1,
            session: SessionChoice::Literal(-5),
            password: PasswordChoice::Null,
            last_zxid: ZxidChoice::Relative(-3),
            read_only: None,
            keep_old: true,
            authenticate: false,
        };
        let watches = Request {
            zxid: Some(ZxidChoice::Relative(4)),
            ..Request::new(-8, OpCode::SetWatches, vec![0; 20])
        };
        for step in [
            Step::Open { client: 3, handshake: odd },
            Step::Open { client: 0, handshake: Handshake::REATTACH },
            Step::Send {
                client: 1,
                piece: 3,
                requests: vec![watches, Request::new(2, OpCode::Ping, vec![])],
            },
            Step::Fresh { bytes: vec![1, 2] },
            Step::Garbage { client: 1, bytes: vec![] },
            Step::Drop { client: 0 },
            Step::Expire { client: 2 },
        ] {
            assert_eq!(parse_whole(&step.to_string()).as_ref(), Some(&step), "{step}");
        }
    }

    #[test]
    fn the_zxid_is_filled_in() {
        let mut frame = Vec::new();
        let mut request = Request::new(-8, OpCode::SetWatches, vec![0; 20]);
        request.zxid = Some(ZxidChoice::Relative(4));
        request.encode(0x100, &mut frame);
        assert_eq!(frame[12..20], 0x104i64.to_be_bytes());
        assert_eq!(frame.len(), 4 + 8 + 20);
    }
}
