//! multi: all or nothing. Each part sees the changes of those before it.

use super::create::{Standing, effective_in_multi, needs_ttl};
use super::{Outcome, Prep, Refusal, Request};
use tree::Tree;
use wire::jute::Put;
use wire::multi::{MultiOp, MultiOps};
use wire::request::CreateRequest;
use wire::{ErrorCode, OpCode, Reader};

impl Prep {
    /// The record of a multi, which may be that of a failed one: parts before the failing one as they were, the failing
    /// one with its error, and the rest with -2. Only a multi that cannot be decoded is a refusal.
    pub(super) fn multi(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        ops: &[MultiOp<'_>],
        out: &mut Vec<u8>,
    ) -> Outcome {
        // Apache's server has nothing to do with a read here, and looks for the parents of all paths first.
        if ops.iter().any(|op| op.is_read() || op.path().is_none()) {
            return Err(ErrorCode::MarshallingError);
        }
        out.put_count(ops.len());
        let mut failed = false;
        for op in ops {
            let start = begin_part(out, effective_op(op));
            let outcome =
                if failed { Err(ErrorCode::RuntimeInconsistency) } else { self.part(tree, rq, op, out) };
            match outcome {
                // A moved session closes the connection, and a part that Apache trips over refuses the whole.
                Err(error @ (ErrorCode::SessionMoved | ErrorCode::MarshallingError)) => return Err(error),
                Err(error) => {
                    if !failed {
                        failed = true;
                        self.overlay.roll_back();
                    }
                    out.truncate(start);
                    let start = begin_part(out, OpCode::Error);
                    out.put_i32(error.code());
                    finish_part(out, start);
                }
                Ok(()) => finish_part(out, start),
            }
        }
        Ok(())
    }

    fn part(&mut self, tree: &Tree, rq: &Request<'_>, op: &MultiOp<'_>, out: &mut Vec<u8>) -> Outcome {
        match op {
            MultiOp::Create(code, request) => {
                let (code, request) = effective_in_multi(*code, request);
                self.create(tree, rq, Standing::PartOfMulti, code, &request, out)
            }
            MultiOp::Delete(request) => self.delete(tree, rq, request, out),
            MultiOp::SetData(request) => self.set_data(tree, rq, request, out),
            MultiOp::Check(request) => self.check(tree, rq, request, out),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(ErrorCode::MarshallingError),
        }
    }
}

/// The parts of a multi, read as Apache reads them: one after the other, and each judged before the next is read. What
/// it refuses while reading takes a zxid all the same; but it trips over a create without an access list before it takes
/// one. So the first fault decides.
pub(super) fn decode(body: Reader<'_>) -> Result<Vec<MultiOp<'_>>, Refusal> {
    let mut ops: Vec<MultiOp<'_>> = Vec::new();
    for op in MultiOps::new(body) {
        let op = op.map_err(|_| REFUSED)?;
        if let MultiOp::Create(code, create) = &op
            && *code != OpCode::CreateTtl
        {
            judge_create(create)?;
        }
        if ops.first().is_some_and(|first| first.is_read() != op.is_read()) {
            return Err(REFUSED);
        }
        ops.push(op);
    }
    Ok(ops)
}

/// The refusal of a multi that cannot be read and yet takes a zxid.
const REFUSED: Refusal = Refusal::Code(ErrorCode::MarshallingError);

/// What Apache asks of a create while it reads it: known flags, then an access list, then no need of a time to live
/// (a createTTL is looked at later).
fn judge_create(create: &CreateRequest<'_>) -> Result<(), Refusal> {
    match needs_ttl(create.flags) {
        Err(_) => Err(REFUSED),
        Ok(_) if create.acl.is_null() => Err(Refusal::Undecodable),
        Ok(true) => Err(REFUSED),
        Ok(false) => Ok(()),
    }
}

fn effective_op(op: &MultiOp<'_>) -> OpCode {
    match op {
        MultiOp::Create(code, request) => effective_in_multi(*code, request).0,
        other => other.op(),
    }
}

fn begin_part(out: &mut Vec<u8>, op: OpCode) -> usize {
    let start = out.len();
    out.put_i32(op.code());
    out.put_i32(0);
    start
}

fn finish_part(out: &mut Vec<u8>, start: usize) {
    let length = out.len() - start - 8;
    out.patch_i32(start + 4, length as i32);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::data::{AclList, OPEN_ACL};
    use wire::multi::MultiHeader;
    use wire::request::{ReadRequest, VersionedPath};

    const NULL_ACL: &[u8] = &[0xff; 4];

    fn create(acl: &'static [u8], flags: i32) -> MultiOp<'static> {
        create_by(OpCode::Create, acl, flags)
    }

    fn create_by(op: OpCode, acl: &'static [u8], flags: i32) -> MultiOp<'static> {
        let acl = AclList::from_encoded(acl);
        MultiOp::Create(op, CreateRequest { path: Some("/a".into()), data: None, acl, flags, ttl_ms: -1 })
    }

    fn read() -> MultiOp<'static> {
        MultiOp::GetData(ReadRequest { path: Some("/a".into()), watch: false })
    }

    fn outcome(ops: &[MultiOp<'_>], end: &[u8]) -> Result<usize, Refusal> {
        let mut body = Vec::new();
        ops.iter().for_each(|op| op.encode(&mut body));
        body.extend_from_slice(end);
        decode(Reader::new(&body)).map(|ops| ops.len())
    }

    fn terminated(ops: &[MultiOp<'_>]) -> Result<usize, Refusal> {
        let mut end = Vec::new();
        MultiHeader::END.encode(&mut end);
        outcome(ops, &end)
    }

    #[test]
    fn of_one_create_flags_come_before_the_access_list_and_that_before_the_time_to_live() {
        for op in [OpCode::Create, OpCode::Create2, OpCode::CreateContainer] {
            for flags in [-1, 7, 8, i32::MAX] {
                assert_eq!(terminated(&[create_by(op, NULL_ACL, flags)]), Err(REFUSED), "{op:?} {flags}");
                assert_eq!(terminated(&[create_by(op, OPEN_ACL, flags)]), Err(REFUSED), "{op:?} {flags}");
            }
            for flags in 0..=6 {
                let without_acl = terminated(&[create_by(op, NULL_ACL, flags)]);
                assert_eq!(without_acl, Err(Refusal::Undecodable), "{op:?} {flags}");
                let whole = if flags < 5 { Ok(1) } else { Err(REFUSED) };
                assert_eq!(terminated(&[create_by(op, OPEN_ACL, flags)]), whole, "{op:?} {flags}");
            }
        }
    }

    #[test]
    fn a_create_ttl_is_taken_as_it_comes() {
        for flags in [-1, 0, 5, 7] {
            for acl in [NULL_ACL, OPEN_ACL] {
                assert_eq!(terminated(&[create_by(OpCode::CreateTtl, acl, flags)]), Ok(1), "{flags}");
            }
        }
    }

    #[test]
    fn the_first_fault_decides() {
        let tripping = create(NULL_ACL, 0);
        let delete = MultiOp::Delete(VersionedPath { path: Some("/a".into()), version: -1 });
        for first in [create(OPEN_ACL, 9), create(OPEN_ACL, 6)] {
            assert_eq!(terminated(&[first.clone(), tripping.clone()]), Err(REFUSED));
            assert_eq!(terminated(&[tripping.clone(), first]), Err(Refusal::Undecodable));
        }
        assert_eq!(terminated(&[delete.clone(), read(), tripping.clone()]), Err(REFUSED));
        assert_eq!(terminated(&[read(), delete.clone(), tripping.clone()]), Err(REFUSED));
        assert_eq!(terminated(&[read(), tripping.clone()]), Err(Refusal::Undecodable));
        assert_eq!(outcome(std::slice::from_ref(&tripping), b"cut"), Err(Refusal::Undecodable));
        assert_eq!(outcome(&[delete], b"cut"), Err(REFUSED));
    }
}
