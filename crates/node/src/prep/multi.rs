//! multi: all or nothing. Each part sees the changes of those before it.

use super::create::{effective_in_multi, flags_are_plain};
use super::{Outcome, Prep, Refusal, Request};
use tree::Tree;
use wire::jute::Put;
use wire::multi::{MultiOp, MultiOps};
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
        let undecodable = |op: &MultiOp<'_>| match op {
            MultiOp::Create(op, create) => *op != OpCode::CreateTtl && !flags_are_plain(create.flags),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => true,
            MultiOp::Delete(_) | MultiOp::SetData(_) | MultiOp::Check(_) => false,
        };
        if ops.iter().any(undecodable) || ops.iter().any(|op| op.path().is_none()) {
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
                self.create(tree, rq, code, &request, out)
            }
            MultiOp::Delete(request) => self.delete(tree, rq, request, out),
            MultiOp::SetData(request) => self.set_data(tree, rq, request, out),
            MultiOp::Check(request) => self.check(tree, rq, request, out),
            MultiOp::GetData(_) | MultiOp::GetChildren(_) => Err(ErrorCode::MarshallingError),
        }
    }
}

/// The parts of a multi. One that cannot be decoded takes a zxid all the same; but over a create without an access list
/// Apache trips before it takes one (createTTL is looked at later).
pub(super) fn decode(body: Reader<'_>) -> Result<Vec<MultiOp<'_>>, Refusal> {
    let mut ops = Vec::new();
    for op in MultiOps::new(body) {
        let op = op.map_err(|_| Refusal::Code(ErrorCode::MarshallingError))?;
        if matches!(&op, MultiOp::Create(code, create) if *code != OpCode::CreateTtl && create.acl.is_null())
        {
            return Err(Refusal::Undecodable);
        }
        ops.push(op);
    }
    Ok(ops)
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
