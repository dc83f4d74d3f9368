//! Replies and notifications of the client protocol.

use crate::data::Stat;
use crate::jute::{DecodeError, Put, Reader};

/// The first 16 bytes of every reply after the handshake. `zxid` is the last one this server has applied when it
/// answers, not the operation's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyHeader {
    pub xid: i32,
    pub zxid: i64,
    pub err: i32,
}

impl ReplyHeader {
    #[inline]
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut b = [0u8; 16];
        b[0..4].copy_from_slice(&self.xid.to_be_bytes());
        b[4..12].copy_from_slice(&self.zxid.to_be_bytes());
        b[12..16].copy_from_slice(&self.err.to_be_bytes());
        out.extend_from_slice(&b);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(ReplyHeader { xid: r.i32()?, zxid: r.i64()?, err: r.i32()? })
    }
}

/// Bytes of a session password.
pub const PASSWORD_BYTES: usize = 16;

/// The answer to the handshake. A timeout of 0 tells the client that its session is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectResponse {
    pub timeout_ms: i32,
    pub session_id: i64,
    pub password: [u8; PASSWORD_BYTES],
    /// Sent only to clients that sent theirs.
    pub read_only: Option<bool>,
}

impl ConnectResponse {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(0);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session_id);
        out.put_buffer(Some(&self.password));
        if let Some(ro) = self.read_only {
            out.put_bool(ro);
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        r.i32()?;
        let timeout_ms = r.i32()?;
        let session_id = r.i64()?;
        let given = r.buffer()?.ok_or(DecodeError::UnexpectedNull)?;
        let password = given.try_into().map_err(|_| DecodeError::UnreasonableLength {
            length: given.len() as i32,
            limit: PASSWORD_BYTES,
        })?;
        let read_only = if r.is_empty() { None } else { Some(r.bool()?) };
        Ok(ConnectResponse { timeout_ms, session_id, password, read_only })
    }
}

/// What happened to a znode, by its number in a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum EventType {
    Created = 1,
    Deleted = 2,
    DataChanged = 3,
    ChildrenChanged = 4,
}

/// The keeper state in every notification: SyncConnected, from read-only servers too.
const SYNC_CONNECTED: i32 = 3;

/// Writes one notification as a whole frame. `zxid` is the causing transaction's, or -1.
pub fn encode_event(out: &mut Vec<u8>, zxid: i64, event: EventType, path: &str) {
    let start = crate::frame::begin(out);
    ReplyHeader { xid: crate::ops::xid::NOTIFICATION, zxid, err: 0 }.encode(out);
    out.put_i32(event as i32);
    out.put_i32(SYNC_CONNECTED);
    out.put_ustring(path);
    crate::frame::finish(out, start);
}

/// A notification as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WatcherEvent {
    pub event: i32,
    pub state: i32,
    pub path: String,
}

impl WatcherEvent {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(WatcherEvent { event: r.i32()?, state: r.i32()?, path: r.required_ustring()?.into_owned() })
    }
}

/// The body of `getData`'s answer, for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetDataResponse {
    pub data: Option<Vec<u8>>,
    pub stat: Stat,
}

impl GetDataResponse {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(GetDataResponse { data: r.buffer()?.map(<[u8]>::to_vec), stat: Stat::decode(r)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_handshake_answer_is_36_or_37_bytes() {
        let mut r = ConnectResponse { timeout_ms: 4000, session_id: 7, password: [9; 16], read_only: None };
        let mut b = Vec::new();
        r.encode(&mut b);
        assert_eq!(b.len(), 36);
        assert_eq!(ConnectResponse::decode(&b), Ok(r));
        r.read_only = Some(false);
        b.clear();
        r.encode(&mut b);
        assert_eq!(b.len(), 37);
        assert_eq!(ConnectResponse::decode(&b), Ok(r));
    }
}
