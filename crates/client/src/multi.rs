//! The results inside the reply of a multi or multiRead.

use crate::ClientError;
use wire::data::Stat;
use wire::multi::MultiHeader;
use wire::reply::GetDataResponse;
use wire::{DecodeError, OpCode, Reader};

/// What became of one operation inside a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MultiResult {
    /// `stat` is there for all creates but the oldest operation's.
    Created {
        path: String,
        stat: Option<Stat>,
    },
    Deleted,
    SetData(Stat),
    Checked,
    Data(GetDataResponse),
    Children(Vec<String>),
    /// 0: rolled back because a later one failed; -2: not tried because an earlier one failed.
    Failed(i32),
}

/// Decodes the body of a granted multi or multiRead.
pub fn decode_multi(body: &[u8]) -> Result<Vec<MultiResult>, ClientError> {
    let mut r = Reader::new(body);
    let mut results = Vec::new();
    loop {
        let header = MultiHeader::decode(&mut r)?;
        if header.done {
            return Ok(results);
        }
        results.push(decode_one(header, &mut r)?);
    }
}

fn decode_one(header: MultiHeader, r: &mut Reader<'_>) -> Result<MultiResult, ClientError> {
    let path = |r: &mut Reader<'_>| r.required_ustring().map(|path| path.into_owned());
    Ok(match OpCode::from_code(header.op) {
        Some(OpCode::Create) => MultiResult::Created { path: path(r)?, stat: None },
        Some(OpCode::Create2) => MultiResult::Created { path: path(r)?, stat: Some(Stat::decode(r)?) },
        Some(OpCode::Delete) => MultiResult::Deleted,
        Some(OpCode::SetData) => MultiResult::SetData(Stat::decode(r)?),
        Some(OpCode::Check) => MultiResult::Checked,
        Some(OpCode::GetData) => MultiResult::Data(GetDataResponse::decode(r)?),
        Some(OpCode::GetChildren) => {
            MultiResult::Children(r.ustrings()?.into_iter().map(|s| s.into_owned()).collect())
        }
        Some(OpCode::Error) => MultiResult::Failed(r.i32()?),
        Some(_) | None => return Err(DecodeError::UnknownType(header.op).into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::jute::Put;

    #[test]
    fn results_of_every_kind_are_told_apart() {
        let mut b = Vec::new();
        let element = |op: i32, err: i32, b: &mut Vec<u8>| MultiHeader { op, done: false, err }.encode(b);
        element(1, 0, &mut b);
        b.put_ustring("/a");
        element(15, 0, &mut b);
        b.put_ustring("/b");
        Stat::default().encode(&mut b);
        element(2, 0, &mut b);
        element(13, 0, &mut b);
        element(-1, -110, &mut b);
        b.put_i32(-110);
        MultiHeader::END.encode(&mut b);
        let expected = [
            MultiResult::Created { path: "/a".into(), stat: None },
            MultiResult::Created { path: "/b".into(), stat: Some(Stat::default()) },
            MultiResult::Deleted,
            MultiResult::Checked,
            MultiResult::Failed(-110),
        ];
        assert_eq!(decode_multi(&b).unwrap(), expected);
    }

    #[test]
    fn a_missing_terminator_is_an_error() {
        assert!(matches!(decode_multi(&[0, 0, 0, 2, 0, 0, 0, 0, 0]), Err(ClientError::Decode(_))));
    }
}
