//! What stands in the data of a packet, by kind (quorum-and-disk §2.1).
//!
//! Bytes behind what a record needs are ignored, as Apache does: later releases may append.

use super::PROTOCOL_VERSION;
use crate::jute::{DecodeError, Put, Reader};

/// Who a learner is: the data of FOLLOWERINFO and OBSERVERINFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnerInfo {
    pub sid: i64,
    /// [`PROTOCOL_VERSION`] since 3.4; a learner that gives less gets neither LEADERINFO nor config text.
    pub protocol_version: i32,
    /// Version of the learner's committed config; `None` from 3.4.
    pub config_version: Option<i64>,
}

impl LearnerInfo {
    /// The protocol version of a learner that states none.
    pub const UNSTATED_VERSION: i32 = 1;

    pub fn new(sid: i64, config_version: i64) -> Self {
        LearnerInfo { sid, protocol_version: PROTOCOL_VERSION, config_version: Some(config_version) }
    }

    /// The length says which fields there are. Null data is `None`: the master allots a negative sid.
    pub fn decode(data: Option<&[u8]>) -> Result<Option<Self>, DecodeError> {
        let Some(data) = data else { return Ok(None) };
        let mut r = Reader::new(data);
        Ok(Some(LearnerInfo {
            sid: r.i64()?,
            protocol_version: r.i32().unwrap_or(Self::UNSTATED_VERSION),
            config_version: if data.len() >= 20 { Some(r.i64()?) } else { None },
        }))
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.sid);
        out.put_i32(self.protocol_version);
        if let Some(version) = self.config_version {
            out.put_i64(version);
        }
    }
}

/// The protocol version in the data of LEADERINFO.
pub fn leader_info_version(data: &[u8]) -> Result<i32, DecodeError> {
    Reader::new(data).i32()
}

/// The learner's current epoch in the data of ACKEPOCH; -1 if it had accepted the new epoch before.
pub fn ack_epoch(data: &[u8]) -> Result<i32, DecodeError> {
    Reader::new(data).i32()
}

/// The data of REQUEST: what a learner forwards for one of its sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    pub session_id: i64,
    pub cxid: i32,
    /// The raw operation: it may name none.
    pub op: i32,
    /// The client's request behind its header; may be empty.
    pub body: &'a [u8],
}

impl<'a> Request<'a> {
    pub fn decode(data: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(Request { session_id: r.i64()?, cxid: r.i32()?, op: r.i32()?, body: r.rest() })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.session_id);
        out.put_i32(self.cxid);
        out.put_i32(self.op);
        out.extend_from_slice(self.body);
    }
}

/// The sessions (id, timeout in ms) in the data of a learner's PING: those touched since its last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Touches<'a> {
    bytes: &'a [u8],
}

impl<'a> Touches<'a> {
    const ENTRY_BYTES: usize = 12;

    pub fn decode(data: &'a [u8]) -> Result<Self, DecodeError> {
        match data.len() % Self::ENTRY_BYTES {
            0 => Ok(Touches { bytes: data }),
            over => Err(DecodeError::Truncated { missing: Self::ENTRY_BYTES - over }),
        }
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / Self::ENTRY_BYTES
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl Iterator for Touches<'_> {
    type Item = (i64, i32);

    fn next(&mut self) -> Option<(i64, i32)> {
        let (session, rest) = self.bytes.split_first_chunk()?;
        let (timeout, rest) = rest.split_first_chunk()?;
        self.bytes = rest;
        Some((i64::from_be_bytes(*session), i32::from_be_bytes(*timeout)))
    }
}

/// A learner's REVALIDATE: may this session go on here?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revalidate {
    pub session_id: i64,
    pub timeout_ms: i32,
}

impl Revalidate {
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(Revalidate { session_id: r.i64()?, timeout_ms: r.i32()? })
    }
}

/// The master's answer to [`Revalidate`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revalidated {
    pub session_id: i64,
    pub valid: bool,
}

impl Revalidated {
    pub fn decode(data: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(data);
        Ok(Revalidated { session_id: r.i64()?, valid: r.bool()? })
    }
}

/// The designated leader (a sid) in the data of COMMITANDACTIVATE.
pub fn commit_and_activate(data: &[u8]) -> Result<i64, DecodeError> {
    Reader::new(data).i64()
}

/// The designated leader (a sid) and the transaction in the data of INFORMANDACTIVATE.
pub fn inform_and_activate(data: &[u8]) -> Result<(i64, &[u8]), DecodeError> {
    let mut r = Reader::new(data);
    Ok((r.i64()?, r.rest()))
}
