//! The operations as calls with typed results.

use crate::multi::{MultiResult, decode_multi};
use crate::{ClientError, Session};
use wire::data::{Acl, AclList, OPEN_ACL, Stat, encode_acls};
use wire::jute::Put;
use wire::multi::{MultiHeader, MultiOp};
use wire::ops::xid;
use wire::reply::GetDataResponse;
use wire::request::{
    CreateRequest, ReadRequest, SetAclRequest, SetDataRequest, SetWatchesRequest, VersionedPath, WatchRequest,
};
use wire::{OpCode, Reader};

/// What kind of znode to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateMode {
    Persistent,
    PersistentSequential,
    Ephemeral,
    EphemeralSequential,
    Container,
    /// With the time to live in ms.
    Ttl(i64),
    TtlSequential(i64),
}

impl CreateMode {
    /// The flags of the request and its time to live (-1: none).
    fn encoded(self) -> (i32, i64) {
        match self {
            CreateMode::Persistent => (0, -1),
            CreateMode::Ephemeral => (1, -1),
            CreateMode::PersistentSequential => (2, -1),
            CreateMode::EphemeralSequential => (3, -1),
            CreateMode::Container => (4, -1),
            CreateMode::Ttl(ms) => (5, ms),
            CreateMode::TtlSequential(ms) => (6, ms),
        }
    }

    fn op(self) -> OpCode {
        match self {
            CreateMode::Container => OpCode::CreateContainer,
            CreateMode::Ttl(_) | CreateMode::TtlSequential(_) => OpCode::CreateTtl,
            CreateMode::Persistent
            | CreateMode::Ephemeral
            | CreateMode::PersistentSequential
            | CreateMode::EphemeralSequential => OpCode::Create2,
        }
    }
}

/// The path that a create made, with its sequence number, and the new znode's stat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    pub path: String,
    pub stat: Stat,
}

impl Session {
    /// Creates a znode that everybody may do anything with, by the operation that answers with its path alone.
    pub fn create(&mut self, path: &str, data: &[u8]) -> Result<String, ClientError> {
        let request = create_request(path, data, AclList::from_encoded(OPEN_ACL), CreateMode::Persistent);
        let reply = self.call(OpCode::Create, |out| request.encode(out, false))?.granted()?;
        Ok(Reader::new(reply.body()).required_ustring()?.into_owned())
    }

    /// Creates a znode of any kind.
    pub fn create2(
        &mut self,
        path: &str,
        data: &[u8],
        acls: &[Acl],
        mode: CreateMode,
    ) -> Result<Created, ClientError> {
        let mut encoded = Vec::new();
        encode_acls(acls, &mut encoded);
        let request = create_request(path, data, AclList::from_encoded(&encoded), mode);
        let with_ttl = mode.op() == OpCode::CreateTtl;
        let reply = self.call(mode.op(), |out| request.encode(out, with_ttl))?.granted()?;
        let mut r = Reader::new(reply.body());
        Ok(Created { path: r.required_ustring()?.into_owned(), stat: Stat::decode(&mut r)? })
    }

    /// `version` -1 matches any.
    pub fn delete(&mut self, path: &str, version: i32) -> Result<(), ClientError> {
        let request = VersionedPath { path: Some(path.into()), version };
        self.call(OpCode::Delete, |out| request.encode(out))?.granted().map(drop)
    }

    /// The stat, or [`ClientError::Refused`] with NoNode; the watch stays in both cases.
    pub fn exists(&mut self, path: &str, watch: bool) -> Result<Stat, ClientError> {
        let reply = self.read(OpCode::Exists, path, watch)?;
        Ok(Stat::decode(&mut Reader::new(reply.body()))?)
    }

    pub fn get_data(&mut self, path: &str, watch: bool) -> Result<GetDataResponse, ClientError> {
        let reply = self.read(OpCode::GetData, path, watch)?;
        Ok(GetDataResponse::decode(&mut Reader::new(reply.body()))?)
    }

    pub fn set_data(&mut self, path: &str, data: &[u8], version: i32) -> Result<Stat, ClientError> {
        let request = SetDataRequest { path: Some(path.into()), data: Some(data), version };
        let reply = self.call(OpCode::SetData, |out| request.encode(out))?.granted()?;
        Ok(Stat::decode(&mut Reader::new(reply.body()))?)
    }

    pub fn get_acl(&mut self, path: &str) -> Result<(Vec<Acl>, Stat), ClientError> {
        let reply = self.call(OpCode::GetAcl, |out| out.put_ustring(path))?.granted()?;
        let mut r = Reader::new(reply.body());
        Ok((AclList::decode(&mut r)?.to_vec(), Stat::decode(&mut r)?))
    }

    /// `version` is the ACL's own version; -1 matches any.
    pub fn set_acl(&mut self, path: &str, acls: &[Acl], version: i32) -> Result<Stat, ClientError> {
        let mut encoded = Vec::new();
        encode_acls(acls, &mut encoded);
        let request =
            SetAclRequest { path: Some(path.into()), acl: AclList::from_encoded(&encoded), version };
        let reply = self.call(OpCode::SetAcl, |out| request.encode(out))?.granted()?;
        Ok(Stat::decode(&mut Reader::new(reply.body()))?)
    }

    pub fn get_children(&mut self, path: &str, watch: bool) -> Result<Vec<String>, ClientError> {
        let reply = self.read(OpCode::GetChildren, path, watch)?;
        strings(&mut Reader::new(reply.body()))
    }

    pub fn get_children2(&mut self, path: &str, watch: bool) -> Result<(Vec<String>, Stat), ClientError> {
        let reply = self.read(OpCode::GetChildren2, path, watch)?;
        let mut r = Reader::new(reply.body());
        Ok((strings(&mut r)?, Stat::decode(&mut r)?))
    }

    /// Waits until this server has seen what the leader had committed; returns the path.
    pub fn sync(&mut self, path: &str) -> Result<String, ClientError> {
        let reply = self.call(OpCode::Sync, |out| out.put_ustring(path))?.granted()?;
        Ok(Reader::new(reply.body()).required_ustring()?.into_owned())
    }

    /// All or nothing; a failed multi is granted and tells in each result why.
    pub fn multi(&mut self, ops: &[MultiOp<'_>]) -> Result<Vec<MultiResult>, ClientError> {
        self.batch(OpCode::Multi, ops)
    }

    /// Several reads, each with its own result.
    pub fn multi_read(&mut self, ops: &[MultiOp<'_>]) -> Result<Vec<MultiResult>, ClientError> {
        self.batch(OpCode::MultiRead, ops)
    }

    pub fn add_watch(&mut self, path: &str, recursive: bool) -> Result<(), ClientError> {
        self.watch_call(OpCode::AddWatch, path, i32::from(recursive))
    }

    /// `kind`: 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
    pub fn remove_watches(&mut self, path: &str, kind: i32) -> Result<(), ClientError> {
        self.watch_call(OpCode::RemoveWatches, path, kind)
    }

    /// Whether this connection has such a watch: granted or NoWatcher.
    pub fn check_watches(&mut self, path: &str, kind: i32) -> Result<(), ClientError> {
        self.watch_call(OpCode::CheckWatches, path, kind)
    }

    /// Re-registers watches after a reconnect; the persistent lists need a server of 3.6 or newer.
    pub fn set_watches(&mut self, request: &SetWatchesRequest<'_>) -> Result<(), ClientError> {
        let five_lists = !request.persistent.is_empty() || !request.recursive.is_empty();
        let op = if five_lists { OpCode::SetWatches2 } else { OpCode::SetWatches };
        self.call_as(xid::SET_WATCHES, op, |out| request.encode(out, five_lists))?.granted().map(drop)
    }

    /// The ephemerals of this session below a path prefix.
    pub fn get_ephemerals(&mut self, prefix: &str) -> Result<Vec<String>, ClientError> {
        let reply = self.call(OpCode::GetEphemerals, |out| out.put_ustring(prefix))?.granted()?;
        strings(&mut Reader::new(reply.body()))
    }

    /// How many znodes lie below a path, at any depth.
    pub fn get_all_children_number(&mut self, path: &str) -> Result<i32, ClientError> {
        let reply = self.call(OpCode::GetAllChildrenNumber, |out| out.put_ustring(path))?.granted()?;
        Ok(Reader::new(reply.body()).i32()?)
    }

    /// The identities of this connection as (scheme, user).
    pub fn who_am_i(&mut self) -> Result<Vec<(String, String)>, ClientError> {
        let reply = self.call(OpCode::WhoAmI, |_| {})?.granted()?;
        let mut r = Reader::new(reply.body());
        let n = r.count(8)?.unwrap_or(0);
        (0..n).map(|_| Ok((string(&mut r)?, string(&mut r)?))).collect()
    }

    fn read(&mut self, op: OpCode, path: &str, watch: bool) -> Result<crate::Reply, ClientError> {
        let request = ReadRequest { path: Some(path.into()), watch };
        self.call(op, |out| request.encode(out))?.granted()
    }

    fn watch_call(&mut self, op: OpCode, path: &str, kind: i32) -> Result<(), ClientError> {
        let request = WatchRequest { path: Some(path.into()), kind };
        self.call(op, |out| request.encode(out))?.granted().map(drop)
    }

    fn batch(&mut self, op: OpCode, ops: &[MultiOp<'_>]) -> Result<Vec<MultiResult>, ClientError> {
        let reply = self.call(op, |out| {
            ops.iter().for_each(|op| op.encode(out));
            MultiHeader::END.encode(out);
        })?;
        decode_multi(reply.granted()?.body())
    }
}

fn create_request<'a>(
    path: &'a str,
    data: &'a [u8],
    acl: AclList<'a>,
    mode: CreateMode,
) -> CreateRequest<'a> {
    let (flags, ttl_ms) = mode.encoded();
    CreateRequest { path: Some(path.into()), data: Some(data), acl, flags, ttl_ms }
}

fn string(r: &mut Reader<'_>) -> Result<String, ClientError> {
    Ok(r.ustring()?.unwrap_or_default().into_owned())
}

fn strings(r: &mut Reader<'_>) -> Result<Vec<String>, ClientError> {
    Ok(r.ustrings()?.into_iter().map(|s| s.into_owned()).collect())
}
