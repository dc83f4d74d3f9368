//! Differences that are meant. Each names the narrowest case it can, and why Rookeeper does otherwise.

use crate::compare::Difference;
use crate::conversation::{Place, Plan};
use crate::step::Step;
use wire::OpCode;

#[derive(Debug)]
pub struct Explained {
    pub name: &'static str,
    pub reason: &'static str,
    /// Whether this is it. The rest of the sequence is not compared then.
    pub is_it: fn(&Plan, &Difference) -> bool,
}

/// Whether the difference is in the answer to a step after the tree was compared, of this kind.
fn is_last(plan: &Plan, difference: &Difference, op: OpCode) -> bool {
    let Some(Place::Last(at)) = difference.a.as_ref().or(difference.b.as_ref()).map(|r| r.place) else {
        return false;
    };
    matches!(plan.last.get(at), Some(Step::Send { requests, .. }) if requests.iter().all(|r| r.op == op.code()))
}

pub const EXPLAINED: &[Explained] = &[
    Explained {
        name: "deleteContainer from a client",
        reason: "Apache executes operation 20 for any client without a look at the ACL, and removes ordinary nodes \
                 with it; it is meant for the server's own use",
        is_it: |plan, difference| is_last(plan, difference, OpCode::DeleteContainer),
    },
    Explained {
        name: "createSession as a request",
        reason: "Apache lets a client run the server's own operation -10 and answers with a second handshake answer; \
                 no client sends it",
        is_it: |plan, difference| is_last(plan, difference, OpCode::CreateSession),
    },
];

/// The entry that covers a difference.
pub fn explain(plan: &Plan, difference: &Difference) -> Option<&'static Explained> {
    EXPLAINED.iter().find(|e| (e.is_it)(plan, difference))
}
