//! What must hold of a run, one rule per file; each adds its findings to a common list.
mod answers;
mod order;
mod sessions;
#[cfg(test)]
mod tests;
mod watches;

use super::chain::Chain;
use super::history::{Operation, SessionHistory};
use super::state::State;
use super::txn::{Change, Record};
use anyhow::Result;
use std::collections::{HashMap, HashSet};

/// The code of a request that came by a connection which its session had left.
const SESSION_MOVED: i32 = -118;
const SESSION_EXPIRED: i32 = -112;

/// All that is known at the end of a run.
pub struct Evidence<'a> {
    pub chain: &'a Chain,
    pub sessions: &'a [SessionHistory],
    /// Transactions by session and xid.
    by_request: HashMap<(i64, i32), &'a Record>,
}

/// What a run came to.
#[derive(Debug)]
pub struct Replayed {
    /// The state at the end.
    pub state: State,
    /// The digest after each transaction.
    pub digests: HashMap<i64, u64>,
    /// The zxids of the changes of each path.
    pub changes: HashMap<String, Vec<i64>>,
}

impl<'a> Evidence<'a> {
    pub fn new(chain: &'a Chain, sessions: &'a [SessionHistory], findings: &mut Vec<String>) -> Evidence<'a> {
        let mut by_request = HashMap::new();
        // Clients that are not the load's may count from one again after a reconnect, as kazoo does.
        let own: HashSet<i64> = sessions.iter().map(|session| session.credentials.id).collect();
        for record in &chain.records {
            if record.cxid == 0
                || !own.contains(&record.session)
                || matches!(record.change, Change::Error(SESSION_MOVED | SESSION_EXPIRED))
            {
                continue;
            }
            if let Some(first) = by_request.insert((record.session, record.cxid), record) {
                findings.push(format!(
                    "request {} of session 0x{:x} was done twice, at zxid 0x{:x} and 0x{:x}",
                    record.cxid, record.session, first.zxid, record.zxid
                ));
            }
        }
        Evidence { chain, sessions, by_request }
    }

    /// The transaction of an operation, if it was done.
    fn record_of(&self, session: &SessionHistory, operation: &Operation) -> Option<&'a Record> {
        self.by_request.get(&(session.credentials.id, operation.xid)).copied()
    }
}

/// Holds every rule against the evidence.
pub fn check(evidence: &Evidence<'_>, findings: &mut Vec<String>) -> Result<Replayed> {
    let replayed = answers::check(evidence, findings)?;
    order::check(evidence, findings);
    watches::check(evidence, &replayed, findings);
    sessions::check(evidence, &replayed, findings);
    Ok(replayed)
}
