//! Transactions, as the log file, the quorum protocol and the committed window carry them.
//!
//! A transaction is an effect, not a request: versions are the resulting ones, access lists are final. It is decoded
//! without copying, so that the bytes written to the log are also what is applied.
//! (quorum-and-disk §3.4.)

use crate::data::AclList;
use crate::jute::{DecodeError, Limits, Put, Reader};
use crate::ops::OpCode;
use std::borrow::Cow;

/// 32 bytes in front of every transaction. `time_ms` is the leader's wall clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnHeader {
    pub session_id: i64,
    pub cxid: i32,
    pub zxid: i64,
    pub time_ms: i64,
    pub op: i32,
}

impl TxnHeader {
    pub const ENCODED_BYTES: usize = 32;

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.session_id);
        out.put_i32(self.cxid);
        out.put_i64(self.zxid);
        out.put_i64(self.time_ms);
        out.put_i32(self.op);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(TxnHeader {
            session_id: r.i64()?,
            cxid: r.i32()?,
            zxid: r.i64()?,
            time_ms: r.i64()?,
            op: r.i32()?,
        })
    }
}

/// The tree's digest after a transaction. Only equal versions may be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TxnDigest {
    pub version: i32,
    pub tree_digest: u64,
}

impl TxnDigest {
    pub const ENCODED_BYTES: usize = 12;
    /// The version of every public release.
    pub const VERSION: i32 = 2;

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.version);
        out.put_i64(self.tree_digest as i64);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(TxnDigest { version: r.i32()?, tree_digest: r.i64()? as u64 })
    }
}

/// What kind of znode a create makes; it decides the operation code and the stored owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateKind {
    /// Persistent, or ephemeral of the header's session. `with_stat` only tells create from create2.
    Plain {
        ephemeral: bool,
        with_stat: bool,
    },
    Container,
    Ttl {
        ttl_ms: i64,
    },
}

impl CreateKind {
    pub fn op(self) -> OpCode {
        match self {
            CreateKind::Plain { with_stat: false, .. } => OpCode::Create,
            CreateKind::Plain { with_stat: true, .. } => OpCode::Create2,
            CreateKind::Container => OpCode::CreateContainer,
            CreateKind::Ttl { .. } => OpCode::CreateTtl,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateTxn<'a> {
    pub path: Cow<'a, str>,
    pub data: Option<&'a [u8]>,
    pub acl: AclList<'a>,
    pub kind: CreateKind,
    /// The parent's resulting count of creates; -1 (written before 3.4) means "one more than it has".
    pub parent_cversion: i32,
}

/// One effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Txn<'a> {
    CreateSession {
        timeout_ms: i32,
    },
    /// `paths` are the ephemerals to delete; `None` as written before 3.6.
    CloseSession {
        paths: Option<Vec<Cow<'a, str>>>,
    },
    Error {
        err: i32,
    },
    Create(CreateTxn<'a>),
    Delete {
        path: Cow<'a, str>,
        container: bool,
    },
    SetData {
        path: Cow<'a, str>,
        data: Option<&'a [u8]>,
        version: i32,
        reconfig: bool,
    },
    SetAcl {
        path: Cow<'a, str>,
        acl: AclList<'a>,
        version: i32,
    },
    Check {
        path: Cow<'a, str>,
        version: i32,
    },
    Multi(MultiTxn<'a>),
}

/// The parts of a multi, still encoded: they are read one after the other when applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultiTxn<'a> {
    bytes: &'a [u8],
    count: usize,
    limits_field_bytes: usize,
}

impl<'a> MultiTxn<'a> {
    fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let count = r.count(8)?.unwrap_or(0);
        let start = r.rest();
        for _ in 0..count {
            r.i32()?;
            r.buffer()?;
        }
        let bytes = &start[..start.len() - r.rest().len()];
        Ok(MultiTxn { bytes, count, limits_field_bytes: r.limits().field_bytes })
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Each part's type and bare record.
    pub fn parts(&self) -> impl Iterator<Item = (i32, &'a [u8])> + use<'a> {
        let limits = Limits { field_bytes: self.limits_field_bytes };
        let mut r = Reader::with_limits(self.bytes, limits);
        (0..self.count).map_while(move |_| {
            let op = r.i32().ok()?;
            Some((op, r.buffer().ok()?.unwrap_or(&[])))
        })
    }

    /// The parts as transactions. A part of a kind that cannot stand in a multi is an error.
    pub fn txns(&self) -> impl Iterator<Item = Result<Txn<'a>, DecodeError>> + use<'a> {
        let limits = Limits { field_bytes: self.limits_field_bytes };
        self.parts().map(move |(op, bytes)| {
            if OpCode::from_code(op).is_some_and(|op| PARTS_OF_MULTI.contains(&op)) {
                Txn::decode(op, &mut Reader::with_limits(bytes, limits))
            } else {
                Err(DecodeError::UnknownType(op))
            }
        })
    }
}

/// The kinds that every release can apply within a multi, or knows how to refuse (quorum-and-disk §3.4).
const PARTS_OF_MULTI: [OpCode; 9] = [
    OpCode::Create,
    OpCode::Create2,
    OpCode::CreateContainer,
    OpCode::CreateTtl,
    OpCode::Delete,
    OpCode::DeleteContainer,
    OpCode::SetData,
    OpCode::Check,
    OpCode::Error,
];

impl<'a> Txn<'a> {
    /// Decodes the record of type `op`; what follows it (a digest) is left in `r`.
    pub fn decode(op: i32, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let code = OpCode::from_code(op).ok_or(DecodeError::UnknownType(op))?;
        Ok(match code {
            OpCode::CreateSession => Txn::CreateSession { timeout_ms: r.i32()? },
            OpCode::CloseSession => Txn::CloseSession { paths: decode_close_paths(r) },
            OpCode::Error => Txn::Error { err: r.i32()? },
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                Txn::Create(CreateTxn::decode(code, r)?)
            }
            OpCode::Delete => Txn::Delete { path: r.required_ustring()?, container: false },
            OpCode::DeleteContainer => Txn::Delete { path: r.required_ustring()?, container: true },
            OpCode::SetData | OpCode::Reconfig => Txn::SetData {
                path: r.required_ustring()?,
                data: r.buffer()?,
                version: r.i32()?,
                reconfig: code == OpCode::Reconfig,
            },
            OpCode::SetAcl => {
                Txn::SetAcl { path: r.required_ustring()?, acl: AclList::decode(r)?, version: r.i32()? }
            }
            OpCode::Check => Txn::Check { path: r.required_ustring()?, version: r.i32()? },
            OpCode::Multi => Txn::Multi(MultiTxn::decode(r)?),
            OpCode::Notification
            | OpCode::Exists
            | OpCode::GetData
            | OpCode::GetAcl
            | OpCode::GetChildren
            | OpCode::Sync
            | OpCode::Ping
            | OpCode::GetChildren2
            | OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::MultiRead
            | OpCode::Auth
            | OpCode::SetWatches
            | OpCode::Sasl
            | OpCode::GetEphemerals
            | OpCode::GetAllChildrenNumber
            | OpCode::SetWatches2
            | OpCode::AddWatch
            | OpCode::WhoAmI => return Err(DecodeError::UnknownType(op)),
        })
    }
}

/// A closeSession written before 3.6 has no list; one that reads as nonsense is a digest without a list
/// (quorum-and-disk §3.4), which Java forgives too.
fn decode_close_paths<'a>(r: &mut Reader<'a>) -> Option<Vec<Cow<'a, str>>> {
    let mut ahead = *r;
    let paths = ahead.ustrings().ok()?;
    if paths.iter().any(|p| !p.starts_with('/')) {
        return None;
    }
    *r = ahead;
    Some(paths)
}

impl<'a> CreateTxn<'a> {
    fn decode(op: OpCode, r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let path = r.required_ustring()?;
        let data = r.buffer()?;
        let acl = AclList::decode(r)?;
        let plain = matches!(op, OpCode::Create | OpCode::Create2);
        let ephemeral = if plain { r.bool()? } else { false };
        // Java takes an end of file here for a record of 3.3, which had no parent cversion.
        let parent_cversion = if r.is_empty() { -1 } else { r.i32()? };
        let kind = if plain {
            CreateKind::Plain { ephemeral, with_stat: op == OpCode::Create2 }
        } else if op == OpCode::CreateTtl {
            CreateKind::Ttl { ttl_ms: r.i64()? }
        } else {
            CreateKind::Container
        };
        Ok(CreateTxn { path, data, acl, kind, parent_cversion })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_ustring(&self.path);
        out.put_buffer(self.data);
        out.extend_from_slice(self.acl.encoded());
        if let CreateKind::Plain { ephemeral, .. } = self.kind {
            out.put_bool(ephemeral);
        }
        out.put_i32(self.parent_cversion);
        if let CreateKind::Ttl { ttl_ms } = self.kind {
            out.put_i64(ttl_ms);
        }
    }
}

impl Txn<'_> {
    /// The operation code that stands in the header.
    pub fn op(&self) -> OpCode {
        match self {
            Txn::CreateSession { .. } => OpCode::CreateSession,
            Txn::CloseSession { .. } => OpCode::CloseSession,
            Txn::Error { .. } => OpCode::Error,
            Txn::Create(c) => c.kind.op(),
            Txn::Delete { container: false, .. } => OpCode::Delete,
            Txn::Delete { container: true, .. } => OpCode::DeleteContainer,
            Txn::SetData { reconfig: false, .. } => OpCode::SetData,
            Txn::SetData { reconfig: true, .. } => OpCode::Reconfig,
            Txn::SetAcl { .. } => OpCode::SetAcl,
            Txn::Check { .. } => OpCode::Check,
            Txn::Multi(_) => OpCode::Multi,
        }
    }

    /// Appends the bare record, without header and digest.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Txn::CreateSession { timeout_ms } => out.put_i32(*timeout_ms),
            Txn::CloseSession { paths } => {
                if let Some(paths) = paths {
                    out.put_count(paths.len());
                    paths.iter().for_each(|p| out.put_ustring(p));
                }
            }
            Txn::Error { err } => out.put_i32(*err),
            Txn::Create(c) => c.encode(out),
            Txn::Delete { path, .. } => out.put_ustring(path),
            Txn::SetData { path, data, version, .. } => {
                out.put_ustring(path);
                out.put_buffer(*data);
                out.put_i32(*version);
            }
            Txn::SetAcl { path, acl, version } => {
                out.put_ustring(path);
                out.extend_from_slice(acl.encoded());
                out.put_i32(*version);
            }
            Txn::Check { path, version } => {
                out.put_ustring(path);
                out.put_i32(*version);
            }
            Txn::Multi(m) => {
                out.put_count(m.count);
                out.extend_from_slice(m.bytes);
            }
        }
    }
}

/// One whole transaction: header, record, and the digest if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnRecord<'a> {
    pub header: TxnHeader,
    pub txn: Txn<'a>,
    pub digest: Option<TxnDigest>,
}

impl<'a> TxnRecord<'a> {
    /// Decodes what one log record or one PROPOSAL carries. Trailing bytes that are no digest are ignored, as
    /// every release does.
    pub fn decode(bytes: &'a [u8], limits: Limits) -> Result<Self, DecodeError> {
        let mut r = Reader::with_limits(bytes, limits);
        let header = TxnHeader::decode(&mut r)?;
        let txn = Txn::decode(header.op, &mut r)?;
        let digest = TxnDigest::decode(&mut r).ok();
        Ok(TxnRecord { header, txn, digest })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        self.header.encode(out);
        self.txn.encode(out);
        if let Some(digest) = &self.digest {
            digest.encode(out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::OPEN_ACL;

    fn hex(s: &str) -> Vec<u8> {
        let s: String = s.split_whitespace().collect();
        (0..s.len()).step_by(2).map(|i| u8::from_str_radix(&s[i..i + 2], 16).unwrap()).collect()
    }

    /// Captured from Apache ZooKeeper (quorum-and-disk §10): create /a = "hi" as zxid 2.
    #[test]
    fn a_captured_create_is_read_and_written_alike() {
        let bytes = hex("0100000edb320000 00000001 0000000000000002 000001a1f796aebd 00000001
             00000002 2f61  00000002 6869
             00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65
             00 00000001 00000002 000000013f3d1cb4");
        assert_eq!(bytes.len(), 0x58);
        let record = TxnRecord::decode(&bytes, Limits::default()).unwrap();
        assert_eq!(record.header.zxid, 2);
        assert_eq!(
            record.txn,
            Txn::Create(CreateTxn {
                path: "/a".into(),
                data: Some(b"hi"),
                acl: AclList::from_encoded(OPEN_ACL),
                kind: CreateKind::Plain { ephemeral: false, with_stat: false },
                parent_cversion: 1,
            })
        );
        assert_eq!(record.digest, Some(TxnDigest { version: 2, tree_digest: 0x1_3f3d_1cb4 }));
        let mut again = Vec::new();
        record.encode(&mut again);
        assert_eq!(again, bytes);
    }

    #[test]
    fn a_close_without_list_but_with_digest_keeps_the_digest() {
        let header = TxnHeader { session_id: 1, cxid: 2, zxid: 3, time_ms: 4, op: -11 };
        let mut bytes = Vec::new();
        header.encode(&mut bytes);
        TxnDigest { version: 2, tree_digest: 0x51c6_d660 }.encode(&mut bytes);
        let record = TxnRecord::decode(&bytes, Limits::default()).unwrap();
        assert_eq!(record.txn, Txn::CloseSession { paths: None });
        assert_eq!(record.digest, Some(TxnDigest { version: 2, tree_digest: 0x51c6_d660 }));
    }

    #[test]
    fn a_failed_multi_as_captured() {
        let body = hex("00000002 ffffffff 00000004 ffffff99 ffffffff 00000004 fffffffe");
        let txn = Txn::decode(14, &mut Reader::new(&body)).unwrap();
        let Txn::Multi(m) = txn else { panic!("not a multi") };
        let errs: Vec<_> = m.txns().map(Result::unwrap).collect();
        assert_eq!(errs, [Txn::Error { err: -103 }, Txn::Error { err: -2 }]);
    }

    #[test]
    fn a_check_at_the_top_of_a_log_record_decodes_but_reads_are_unknown() {
        assert_eq!(Txn::decode(4, &mut Reader::new(&[])), Err(DecodeError::UnknownType(4)));
    }
}
