//! One order of all writes: it respects real time and the order within each session, and no session ever sees
//! an older zxid than before, whichever member it is connected to.
//!
//! A write whose outcome the client never learned is found in the history by session and xid, or was not done.
use super::Evidence;
use crate::ensemble::history::{Arrival, Operation, SessionHistory};
use std::time::Instant;

pub fn check(evidence: &Evidence<'_>, findings: &mut Vec<String>) {
    for session in evidence.sessions {
        zxids_never_go_down(session, findings);
        requests_keep_their_order(evidence, session, findings);
    }
    real_time(evidence, findings);
}

fn zxids_never_go_down(session: &SessionHistory, findings: &mut Vec<String>) {
    let mut last = 0;
    for arrival in &session.arrivals {
        let zxid = match arrival {
            Arrival::Reply(index) => session.operations[*index].outcome.as_ref().map(|outcome| outcome.zxid),
            Arrival::Zxid(zxid) => Some(*zxid),
            _ => None,
        };
        let Some(zxid) = zxid else { continue };
        if zxid < last {
            findings.push(format!("{} was told zxid 0x{zxid:x} after 0x{last:x}", session.name()));
        }
        last = last.max(zxid);
    }
}

/// Transactions of a session come in the order of its requests, and of requests sent together none is left out
/// before one that was done.
fn requests_keep_their_order(evidence: &Evidence<'_>, session: &SessionHistory, findings: &mut Vec<String>) {
    let mut last: Option<(i64, i32)> = None;
    let mut left_out: Option<&Operation> = None;
    for operation in session.operations.iter().filter(|one| one.request.is_write()) {
        left_out = left_out.filter(|one| one.batch == operation.batch);
        let Some(record) = evidence.record_of(session, operation) else {
            left_out = left_out.or(Some(operation));
            continue;
        };
        if let Some((zxid, xid)) = last.filter(|(zxid, _)| *zxid > record.zxid) {
            findings.push(format!(
                "{}: request {xid} has zxid 0x{zxid:x}, the later request {} has 0x{:x}",
                session.name(),
                operation.xid,
                record.zxid
            ));
        }
        if let Some(missing) = left_out {
            let (name, xid) = (session.name(), operation.xid);
            findings.push(format!("{name}: request {xid} was done, {} sent before it was not", missing.xid));
        }
        last = Some((record.zxid, operation.xid));
    }
}

/// Two writes that did not overlap in time have their zxids in that order: walking up the zxids, no write was
/// answered before one of the earlier zxids was even sent.
fn real_time(evidence: &Evidence<'_>, findings: &mut Vec<String>) {
    let mut writes: Vec<(i64, Instant, Option<Instant>, String)> = Vec::new();
    for session in evidence.sessions {
        for operation in session.operations.iter().filter(|one| one.request.is_write()) {
            if let Some(record) = evidence.record_of(session, operation) {
                let answered = operation.outcome.as_ref().map(|outcome| outcome.at);
                let name = format!("{}, xid {}", session.name(), operation.xid);
                writes.push((record.zxid, operation.sent, answered, name));
            }
        }
    }
    writes.sort_by_key(|(zxid, ..)| *zxid);
    let mut latest: Option<(Instant, i64, String)> = None;
    for (zxid, sent, answered, name) in writes {
        if let (Some((start, earlier, other)), Some(answered)) = (&latest, answered)
            && answered < *start
        {
            findings.push(format!(
                "{name} was answered before {other} was sent, but has zxid 0x{zxid:x}, after its 0x{earlier:x}"
            ));
        }
        if latest.as_ref().is_none_or(|(start, ..)| sent > *start) {
            latest = Some((sent, zxid, name));
        }
    }
}
