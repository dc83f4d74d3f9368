//! The election port: one [`InitialMessage`] from whoever connects, then framed [`Notification`]s both ways
//! (quorum-and-disk §1.2 to §1.4). This is older than jute, and shares only its big-endian integers.
//!
//! Whoever can reach the port can send here: every length is checked before anything is taken or allocated for it.

use crate::frame;
use crate::jute::{self, Put, Reader};
use std::borrow::Cow;
use std::net::IpAddr;
use thiserror::Error;

/// The most bytes of a frame behind its length.
pub const MAX_FRAME_BYTES: usize = 512 << 10;
/// The most bytes of the address text in an initial message.
pub const MAX_ADDRESS_BYTES: usize = 2048;
/// The sid that an observer without one gives; the acceptor allots it a negative one.
pub const OBSERVER_SID: i64 = i64::MAX;
/// The version of notifications that carry the config.
pub const NOTIFICATION_VERSION: i32 = 2;

/// Why a peer's bytes are refused. The first four end the connection, the others only lose the message.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ElectionError {
    #[error("a frame of {0} bytes is outside 1..=524288")]
    FrameLength(i32),
    #[error("an initial message starts with the unknown protocol version {0}")]
    ProtocolVersion(i64),
    #[error("the addresses of an initial message take {0} bytes, which is outside 1..=2048")]
    AddressLength(i32),
    #[error("the initial message names the address {0:?}, which is not host:port")]
    Address(String),
    #[error("no notification is {0} bytes long")]
    NotificationLength(usize),
    #[error("a notification has the server state {0}, which is outside 0..=3")]
    State(i32),
    #[error("a notification says that its config takes {length} bytes; {available} follow")]
    ConfigLength { length: i32, available: usize },
}

/// Splits the first whole frame off `bytes`: `Ok(Some((payload, used)))`, or `Ok(None)` when more bytes must come.
pub fn split_frame(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, ElectionError> {
    match frame::split(bytes, MAX_FRAME_BYTES) {
        Ok(Some(([], _))) => Err(ElectionError::FrameLength(0)),
        Ok(split) => Ok(split),
        Err(error) => Err(ElectionError::FrameLength(error.length)),
    }
}

/// Which form an initial message has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialVersion {
    /// 3.4: the sid and nothing else.
    Bare,
    /// 3.5 and later: one address.
    V1,
    /// 3.6 and later with `multiAddress.enabled`: all addresses.
    V2,
}

impl InitialVersion {
    const V1_CODE: i64 = -0x1_0000;
    const V2_CODE: i64 = -0xffff;
}

/// What a server says of itself when it has connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitialMessage {
    pub version: InitialVersion,
    pub sid: i64,
    /// `host:port` or `[v6]:port` of the sender's election port, checked to have that form; none if bare.
    pub addresses: Vec<String>,
}

impl InitialMessage {
    /// Reads one from the start of a connection: `Ok(Some((message, used)))`, or `Ok(None)` when more bytes must come.
    /// Apache reads the addresses with one call and fails if they come later; this does not.
    pub fn decode(bytes: &[u8]) -> Result<Option<(Self, usize)>, ElectionError> {
        let Some((first, rest)) = split_i64(bytes) else { return Ok(None) };
        let version = match first {
            0.. => {
                let message =
                    InitialMessage { version: InitialVersion::Bare, sid: first, addresses: Vec::new() };
                return Ok(Some((message, 8)));
            }
            InitialVersion::V1_CODE => InitialVersion::V1,
            InitialVersion::V2_CODE => InitialVersion::V2,
            unknown => return Err(ElectionError::ProtocolVersion(unknown)),
        };
        let Some((sid, rest)) = split_i64(rest) else { return Ok(None) };
        let Some((length, rest)) = rest.split_first_chunk() else { return Ok(None) };
        let length = i32::from_be_bytes(*length);
        let text = match usize::try_from(length) {
            Ok(n @ 1..=MAX_ADDRESS_BYTES) => rest.get(..n),
            _ => return Err(ElectionError::AddressLength(length)),
        };
        let Some(text) = text else { return Ok(None) };
        let addresses = addresses(text)?;
        Ok(Some((InitialMessage { version, sid, addresses }, 20 + text.len())))
    }

    /// Appends the message, which must reach the socket in one write: Apache reads the addresses with one call.
    /// V1 has room for the first address only.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let text = match self.version {
            InitialVersion::Bare => return out.put_i64(self.sid),
            InitialVersion::V1 => {
                out.put_i64(InitialVersion::V1_CODE);
                self.addresses.first().cloned().unwrap_or_default()
            }
            InitialVersion::V2 => {
                out.put_i64(InitialVersion::V2_CODE);
                self.addresses.join("|")
            }
        };
        out.put_i64(self.sid);
        out.put_buffer(Some(text.as_bytes()));
    }

    /// The addresses that somebody else can connect to: `0.0.0.0` and `::` say nothing.
    pub fn reachable(&self) -> impl Iterator<Item = &str> {
        self.addresses.iter().map(String::as_str).filter(|address| {
            let host = host_port(address).map_or("", |(host, _)| host);
            !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified())
        })
    }
}

fn split_i64(bytes: &[u8]) -> Option<(i64, &[u8])> {
    bytes.split_first_chunk().map(|(head, rest)| (i64::from_be_bytes(*head), rest))
}

/// Apache splits at `|` in either version, and drops empty parts at the end only.
fn addresses(text: &[u8]) -> Result<Vec<String>, ElectionError> {
    let text = str::from_utf8(text).map_err(|_| ElectionError::Address(jute::text(text).into_owned()))?;
    let parts = text.trim_end_matches('|').split('|');
    parts
        .map(|part| match host_port(part) {
            Some(_) => Ok(part.to_owned()),
            None => Err(ElectionError::Address(part.to_owned())),
        })
        .collect()
}

/// Host and port of `host:port` or `[v6]:port`.
fn host_port(address: &str) -> Option<(&str, u16)> {
    let (host, port) = match address.strip_prefix('[') {
        Some(v6) => v6.split_once("]:")?,
        None => address.split_once(':')?,
    };
    let digits = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let port = port.parse().ok().filter(|_| digits)?;
    (!host.is_empty()).then_some((host, port))
}

/// What a server is doing, as it tells its peers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum ServerState {
    Looking = 0,
    Following = 1,
    Leading = 2,
    Observing = 3,
}

impl ServerState {
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(ServerState::Looking),
            1 => Some(ServerState::Following),
            2 => Some(ServerState::Leading),
            3 => Some(ServerState::Observing),
            _ => None,
        }
    }

    pub fn code(self) -> i32 {
        self as i32
    }
}

/// A server's vote.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification<'a> {
    /// Of the sender.
    pub state: ServerState,
    /// Sid of the proposed leader.
    pub leader: i64,
    /// Last zxid of the proposed leader.
    pub zxid: i64,
    /// The election round, also called the logical clock.
    pub round: i64,
    /// Epoch of the proposed leader.
    pub peer_epoch: i64,
    /// 0 for the forms of 3.4 and before.
    pub version: i32,
    /// Text of the sender's committed config; from version 2.
    pub config: Option<Cow<'a, str>>,
}

impl<'a> Notification<'a> {
    /// The length of a notification before 3.4, which has no epoch.
    const SHORTEST: usize = 28;
    /// The length of those of 3.4.6 and later 3.4, whose version is not looked at.
    const FROM_3_4: usize = 40;

    /// Reads the payload of a frame. The length tells the forms apart; bytes behind what is known are ignored.
    pub fn decode(payload: &'a [u8]) -> Result<Self, ElectionError> {
        let short = |_| ElectionError::NotificationLength(payload.len());
        let mut r = Reader::new(payload);
        let state = r.i32().map_err(short)?;
        let (leader, zxid) = (r.i64().map_err(short)?, r.i64().map_err(short)?);
        let round = r.i64().map_err(short)?;
        let (peer_epoch, version) = match payload.len() {
            Self::SHORTEST => (zxid >> 32, 0),
            Self::FROM_3_4 => (r.i64().map_err(short)?, 0),
            _ => (r.i64().map_err(short)?, r.i32().map_err(short)?),
        };
        let config = match version {
            NOTIFICATION_VERSION.. => {
                let length = r.i32().map_err(short)?;
                let text = usize::try_from(length).ok().and_then(|n| r.rest().get(..n));
                let available = r.rest().len();
                Some(jute::text(text.ok_or(ElectionError::ConfigLength { length, available })?))
            }
            _ => None,
        };
        let state = ServerState::from_code(state).ok_or(ElectionError::State(state))?;
        Ok(Notification { state, leader, zxid, round, peer_epoch, version, config })
    }

    /// Appends a frame with this notification: with its config from version 2 on, else in the 40 bytes of 3.4.6.
    pub fn encode_frame(&self, out: &mut Vec<u8>) {
        let start = frame::begin(out);
        self.encode(out);
        frame::finish(out, start);
    }

    /// As [`Self::encode_frame`], without the length in front.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.state.code());
        out.put_i64(self.leader);
        out.put_i64(self.zxid);
        out.put_i64(self.round);
        out.put_i64(self.peer_epoch);
        if self.version < NOTIFICATION_VERSION {
            out.put_i32(1);
        } else {
            out.put_i32(self.version);
            out.put_buffer(Some(self.config.as_deref().unwrap_or_default().as_bytes()));
        }
    }
}
