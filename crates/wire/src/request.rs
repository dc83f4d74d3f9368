//! Requests of the client protocol, decoded without copying. Encoders serve the project's own clients.

use crate::data::AclList;
use crate::jute::{DecodeError, Put, Reader};
use std::borrow::Cow;

/// The first eight bytes of every request after the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestHeader {
    pub xid: i32,
    /// The raw type: it may name no operation.
    pub op: i32,
}

impl RequestHeader {
    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(RequestHeader { xid: r.i32()?, op: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.xid);
        out.put_i32(self.op);
    }
}

/// The handshake (client-surface §2.2). Clients before 3.4 and some others leave the last byte out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectRequest<'a> {
    pub protocol_version: i32,
    pub last_zxid_seen: i64,
    pub timeout_ms: i32,
    pub session_id: i64,
    pub password: Option<&'a [u8]>,
    /// `None` when the client sent no such byte; it then gets none back.
    pub read_only: Option<bool>,
}

impl<'a> ConnectRequest<'a> {
    pub fn decode(bytes: &'a [u8]) -> Result<Self, DecodeError> {
        let mut r = Reader::new(bytes);
        Ok(ConnectRequest {
            protocol_version: r.i32()?,
            last_zxid_seen: r.i64()?,
            timeout_ms: r.i32()?,
            session_id: r.i64()?,
            password: r.buffer()?,
            read_only: if r.is_empty() { None } else { Some(r.bool()?) },
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.protocol_version);
        out.put_i64(self.last_zxid_seen);
        out.put_i32(self.timeout_ms);
        out.put_i64(self.session_id);
        out.put_buffer(self.password);
        if let Some(ro) = self.read_only {
            out.put_bool(ro);
        }
    }
}

/// `create`, `create2`, `createContainer`; and `createTTL`, which alone carries `ttl_ms`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateRequest<'a> {
    pub path: Option<Cow<'a, str>>,
    pub data: Option<&'a [u8]>,
    pub acl: AclList<'a>,
    pub flags: i32,
    /// ms; -1 for the operations without one.
    pub ttl_ms: i64,
}

impl<'a> CreateRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, with_ttl: bool) -> Result<Self, DecodeError> {
        Ok(CreateRequest {
            path: r.ustring()?,
            data: r.buffer()?,
            acl: AclList::decode(r)?,
            flags: r.i32()?,
            ttl_ms: if with_ttl { r.i64()? } else { -1 },
        })
    }

    pub fn encode(&self, out: &mut Vec<u8>, with_ttl: bool) {
        put_path(out, &self.path);
        out.put_buffer(self.data);
        out.extend_from_slice(self.acl.encoded());
        out.put_i32(self.flags);
        if with_ttl {
            out.put_i64(self.ttl_ms);
        }
    }
}

fn put_path(out: &mut Vec<u8>, path: &Option<Cow<'_, str>>) {
    match path {
        Some(p) => out.put_ustring(p),
        None => out.put_buffer(None),
    }
}

/// `delete` and, inside multi, `check`: a path and the version it must have (-1: any).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionedPath<'a> {
    pub path: Option<Cow<'a, str>>,
    pub version: i32,
}

impl<'a> VersionedPath<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(VersionedPath { path: r.ustring()?, version: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.put_i32(self.version);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetDataRequest<'a> {
    pub path: Option<Cow<'a, str>>,
    pub data: Option<&'a [u8]>,
    pub version: i32,
}

impl<'a> SetDataRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(SetDataRequest { path: r.ustring()?, data: r.buffer()?, version: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.put_buffer(self.data);
        out.put_i32(self.version);
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAclRequest<'a> {
    pub path: Option<Cow<'a, str>>,
    pub acl: AclList<'a>,
    pub version: i32,
}

impl<'a> SetAclRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(SetAclRequest { path: r.ustring()?, acl: AclList::decode(r)?, version: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.extend_from_slice(self.acl.encoded());
        out.put_i32(self.version);
    }
}

/// `exists`, `getData`, `getChildren`, `getChildren2`: a path and whether to leave a watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadRequest<'a> {
    pub path: Option<Cow<'a, str>>,
    pub watch: bool,
}

impl<'a> ReadRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(ReadRequest { path: r.ustring()?, watch: r.bool()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.put_bool(self.watch);
    }
}

/// A path and a number: `addWatch` (mode), `checkWatches` and `removeWatches` (type).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchRequest<'a> {
    pub path: Option<Cow<'a, str>>,
    pub kind: i32,
}

impl<'a> WatchRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(WatchRequest { path: r.ustring()?, kind: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        put_path(out, &self.path);
        out.put_i32(self.kind);
    }
}

/// `setWatches` (three lists) and `setWatches2` (five): what a client re-registers after a reconnect.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SetWatchesRequest<'a> {
    pub relative_zxid: i64,
    pub data: Vec<Cow<'a, str>>,
    pub exist: Vec<Cow<'a, str>>,
    pub child: Vec<Cow<'a, str>>,
    pub persistent: Vec<Cow<'a, str>>,
    pub recursive: Vec<Cow<'a, str>>,
    /// How many lists came before the first null one; Apache's server handles those and then trips.
    pub null_after: Option<usize>,
}

impl<'a> SetWatchesRequest<'a> {
    pub fn decode(r: &mut Reader<'a>, five_lists: bool) -> Result<Self, DecodeError> {
        let mut request = SetWatchesRequest { relative_zxid: r.i64()?, ..Default::default() };
        for at in 0..if five_lists { 5 } else { 3 } {
            let list = if r.rest().starts_with(&[0xff; 4]) {
                r.i32()?;
                request.null_after.get_or_insert(at);
                Vec::new()
            } else {
                r.ustrings()?
            };
            *[
                &mut request.data,
                &mut request.exist,
                &mut request.child,
                &mut request.persistent,
                &mut request.recursive,
            ][at] = list;
        }
        Ok(request)
    }

    pub fn encode(&self, out: &mut Vec<u8>, five_lists: bool) {
        out.put_i64(self.relative_zxid);
        let lists = [&self.data, &self.exist, &self.child, &self.persistent, &self.recursive];
        for list in lists.iter().take(if five_lists { 5 } else { 3 }) {
            out.put_count(list.len());
            for path in list.iter() {
                out.put_ustring(path);
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPacket<'a> {
    pub scheme: Option<Cow<'a, str>>,
    pub auth: Option<&'a [u8]>,
}

impl<'a> AuthPacket<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        r.i32()?;
        Ok(AuthPacket { scheme: r.ustring()?, auth: r.buffer()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(0);
        put_path(out, &self.scheme);
        out.put_buffer(self.auth);
    }
}

/// `reconfig` (client-surface §1.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReconfigRequest<'a> {
    pub joining: Option<Cow<'a, str>>,
    pub leaving: Option<Cow<'a, str>>,
    pub new_members: Option<Cow<'a, str>>,
    pub config_version: i64,
}

impl<'a> ReconfigRequest<'a> {
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(ReconfigRequest {
            joining: r.ustring()?,
            leaving: r.ustring()?,
            new_members: r.ustring()?,
            config_version: r.i64()?,
        })
    }
}
