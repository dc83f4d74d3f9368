//! What a session asked for and what it was told, in the order in which it happened.
use crate::jute::Stat;
use crate::raw::Credentials;
use std::time::Instant;

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    Create {
        path: String,
        data: Vec<u8>,
        flags: i32,
    },
    Delete {
        path: String,
        version: i32,
    },
    Set {
        path: String,
        data: Vec<u8>,
        version: i32,
    },
    /// Changes that are made together or not at all.
    Multi(Vec<Request>),
    /// A condition, only inside of a multi.
    Check {
        path: String,
        version: i32,
    },
    Get {
        path: String,
        watch: bool,
    },
    Exists {
        path: String,
        watch: bool,
    },
    Children {
        path: String,
    },
    Close,
}

impl Request {
    pub fn is_write(&self) -> bool {
        !matches!(self, Request::Get { .. } | Request::Exists { .. } | Request::Children { .. })
    }
}

/// What the body of a successful reply held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    Nothing,
    Path(String),
    Stat(Stat),
    Data(Option<Vec<u8>>, Stat),
    Children(Vec<String>, Stat),
    /// Whether all parts of a multi were done.
    Multi(bool),
}

/// A reply.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub zxid: i64,
    /// 0, or the error code.
    pub error: i32,
    pub told: Told,
    pub at: Instant,
}

/// A request, and its reply unless the connection was lost before it came.
#[derive(Clone, Debug)]
pub struct Operation {
    pub xid: i32,
    pub request: Request,
    pub sent: Instant,
    /// Requests sent together in one go have the same number.
    pub batch: u32,
    pub outcome: Option<Outcome>,
}

/// One thing that came to the session, in the order of its connections' streams.
#[derive(Clone, Debug)]
pub enum Arrival {
    /// Connected to a member, for the first time or again; the watches given were set again.
    Connected {
        member: usize,
        watches: Vec<String>,
    },
    /// The reply to the operation with this index.
    Reply(usize),
    /// A reply without an operation: a ping, or watches set again.
    Zxid(i64),
    Event {
        path: String,
        kind: i32,
    },
    Lost(String),
}

/// How a session ended, as far as its client knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It is still there.
    Open,
    Closed,
    /// Asked to be closed, without an answer.
    Closing,
    /// A server said that it had expired.
    Expired,
}

/// All about one session.
#[derive(Clone, Debug)]
pub struct SessionHistory {
    /// Which client of the load it belonged to.
    pub client: usize,
    pub credentials: Credentials,
    pub operations: Vec<Operation>,
    pub arrivals: Vec<Arrival>,
    pub end: End,
    /// The longest time without any word from a server.
    pub longest_silence_ms: u64,
}

impl SessionHistory {
    pub fn new(client: usize, credentials: Credentials) -> SessionHistory {
        let (operations, arrivals) = (Vec::new(), Vec::new());
        SessionHistory { client, credentials, operations, arrivals, end: End::Open, longest_silence_ms: 0 }
    }

    /// How the session is named in findings.
    pub fn name(&self) -> String {
        format!("session 0x{:x} of client {}", self.credentials.id, self.client)
    }
}
