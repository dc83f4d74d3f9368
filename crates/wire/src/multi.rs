//! The framing inside multi and multiRead: `MultiHeader`, a record, …, and a terminating header.

use crate::jute::{DecodeError, Put, Reader};
use crate::ops::OpCode;
use crate::request::{CreateRequest, ReadRequest, SetDataRequest, VersionedPath};

/// Nine bytes in front of each element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MultiHeader {
    pub op: i32,
    pub done: bool,
    pub err: i32,
}

impl MultiHeader {
    pub const END: MultiHeader = MultiHeader { op: -1, done: true, err: -1 };

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(MultiHeader { op: r.i32()?, done: r.bool()?, err: r.i32()? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.op);
        out.put_bool(self.done);
        out.put_i32(self.err);
    }
}

/// One operation inside a multi or multiRead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiOp<'a> {
    /// With the operation that asked for it: Create, Create2, CreateContainer or CreateTtl.
    Create(OpCode, CreateRequest<'a>),
    Delete(VersionedPath<'a>),
    SetData(SetDataRequest<'a>),
    Check(VersionedPath<'a>),
    GetData(ReadRequest<'a>),
    GetChildren(ReadRequest<'a>),
}

impl MultiOp<'_> {
    pub fn is_read(&self) -> bool {
        match self {
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => true,
            MultiOp::Create(..) | MultiOp::Delete(_) | MultiOp::SetData(_) | MultiOp::Check(_) => false,
        }
    }

    pub fn path(&self) -> Option<&str> {
        match self {
            MultiOp::Create(_, r) => r.path.as_deref(),
            MultiOp::Delete(r) | MultiOp::Check(r) => r.path.as_deref(),
            MultiOp::SetData(r) => r.path.as_deref(),
            MultiOp::GetData(r) | MultiOp::GetChildren(r) => r.path.as_deref(),
        }
    }

    pub fn op(&self) -> OpCode {
        match self {
            MultiOp::Create(op, _) => *op,
            MultiOp::Delete(_) => OpCode::Delete,
            MultiOp::SetData(_) => OpCode::SetData,
            MultiOp::Check(_) => OpCode::Check,
            MultiOp::GetData(_) => OpCode::GetData,
            MultiOp::GetChildren(_) => OpCode::GetChildren,
        }
    }

    /// Header and record; for the project's own clients.
    pub fn encode(&self, out: &mut Vec<u8>) {
        MultiHeader { op: self.op().code(), done: false, err: -1 }.encode(out);
        match self {
            MultiOp::Create(op, r) => r.encode(out, *op == OpCode::CreateTtl),
            MultiOp::Delete(r) | MultiOp::Check(r) => r.encode(out),
            MultiOp::SetData(r) => r.encode(out),
            MultiOp::GetData(r) | MultiOp::GetChildren(r) => r.encode(out),
        }
    }
}

/// Reads the operations one after the other up to the terminator.
pub struct MultiOps<'a> {
    reader: Reader<'a>,
    done: bool,
}

impl<'a> MultiOps<'a> {
    pub fn new(reader: Reader<'a>) -> Self {
        MultiOps { reader, done: false }
    }

    fn read_one(&mut self) -> Result<Option<MultiOp<'a>>, DecodeError> {
        let r = &mut self.reader;
        let header = MultiHeader::decode(r)?;
        if header.done {
            return Ok(None);
        }
        let op = OpCode::from_code(header.op).ok_or(DecodeError::UnknownType(header.op))?;
        Ok(Some(match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
                MultiOp::Create(op, CreateRequest::decode(r, false)?)
            }
            OpCode::CreateTtl => MultiOp::Create(op, CreateRequest::decode(r, true)?),
            OpCode::Delete => MultiOp::Delete(VersionedPath::decode(r)?),
            OpCode::SetData => MultiOp::SetData(SetDataRequest::decode(r)?),
            OpCode::Check => MultiOp::Check(VersionedPath::decode(r)?),
            OpCode::GetData => MultiOp::GetData(ReadRequest::decode(r)?),
            OpCode::GetChildren => MultiOp::GetChildren(ReadRequest::decode(r)?),
            OpCode::Notification
            | OpCode::Exists
            | OpCode::GetAcl
            | OpCode::SetAcl
            | OpCode::Sync
            | OpCode::Ping
            | OpCode::GetChildren2
            | OpCode::Multi
            | OpCode::Reconfig
            | OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::DeleteContainer
            | OpCode::MultiRead
            | OpCode::Auth
            | OpCode::SetWatches
            | OpCode::Sasl
            | OpCode::GetEphemerals
            | OpCode::GetAllChildrenNumber
            | OpCode::SetWatches2
            | OpCode::AddWatch
            | OpCode::WhoAmI
            | OpCode::CreateSession
            | OpCode::CloseSession
            | OpCode::Error => return Err(DecodeError::UnknownType(header.op)),
        }))
    }
}

impl<'a> Iterator for MultiOps<'a> {
    type Item = Result<MultiOp<'a>, DecodeError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read_one().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_survive_and_the_terminator_ends() {
        let ops = [
            MultiOp::Check(VersionedPath { path: Some("/a".into()), version: 3 }),
            MultiOp::Delete(VersionedPath { path: None, version: -1 }),
        ];
        let mut b = Vec::new();
        ops.iter().for_each(|op| op.encode(&mut b));
        MultiHeader::END.encode(&mut b);
        let back: Result<Vec<_>, _> = MultiOps::new(Reader::new(&b)).collect();
        assert_eq!(back.unwrap(), ops);
    }

    #[test]
    fn other_operations_and_missing_terminators_are_refused() {
        let mut b = Vec::new();
        MultiHeader { op: OpCode::SetAcl.code(), done: false, err: -1 }.encode(&mut b);
        assert_eq!(MultiOps::new(Reader::new(&b)).next(), Some(Err(DecodeError::UnknownType(7))));
        let mut empty = MultiOps::new(Reader::new(&[]));
        assert!(matches!(empty.next(), Some(Err(DecodeError::Truncated { .. }))));
        assert_eq!(empty.next(), None);
    }
}
