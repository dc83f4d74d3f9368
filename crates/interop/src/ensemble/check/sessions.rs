//! Sessions end only when their client ends them, since no fault lasts as long as their timeout; what is closed is
//! gone with its ephemerals, and what is open is still there.
use super::{Evidence, Replayed};
use crate::ensemble::history::End;
use crate::ensemble::txn::Change;
use std::collections::HashMap;

pub fn check(evidence: &Evidence<'_>, replayed: &Replayed, findings: &mut Vec<String>) {
    let mut closed: HashMap<i64, i64> = HashMap::new();
    for record in &evidence.chain.records {
        if matches!(record.change, Change::CloseSession(_)) {
            closed.insert(record.session, record.zxid);
        }
    }
    for session in evidence.sessions {
        let id = session.credentials.id;
        let (open, gone) = (replayed.state.sessions.contains(&id), closed.get(&id));
        let silence = session.longest_silence_ms;
        let wrong = match session.end {
            End::Open if !open => Some(format!("is open, but the history closes it (zxid {gone:x?})")),
            End::Closed if open => Some("was closed, but the history keeps it".to_owned()),
            End::Expired => Some(format!("expired (zxid {gone:x?}); its longest silence was {silence} ms")),
            _ => None,
        };
        findings.extend(wrong.map(|what| format!("{} {what}", session.name())));
    }
    let orphan = |path: &&String| {
        let owner = replayed.state.get(path).map_or(0, |node| node.owner);
        // Containers and times to live have numbers of their own in this field.
        let session = owner != 0 && owner != i64::MIN && (owner as u64) >> 40 != 0xff_0000;
        session && !replayed.state.sessions.contains(&owner)
    };
    for path in replayed.state.paths().filter(orphan) {
        findings.push(format!("the ephemeral {path} has outlived its session"));
    }
}
