//! Every answer is that of the common history: a write's own transaction has the zxid of its reply and the result
//! that was told; a read shows exactly the state at the zxid of its reply.
use super::{Evidence, Replayed};
use crate::ensemble::history::{Operation, Outcome, Request, SessionHistory, Told};
use crate::ensemble::state::State;
use crate::ensemble::txn::{Change, Record};
use crate::jute::Stat;
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const NO_NODE: i32 = -101;
const BAD_VERSION: i32 = -103;
const NODE_EXISTS: i32 = -110;
const NOT_EMPTY: i32 = -111;

struct Answer<'a> {
    session: &'a SessionHistory,
    operation: &'a Operation,
    outcome: &'a Outcome,
}

impl Answer<'_> {
    fn describe(&self, what: &str) -> String {
        let Answer { session, operation, outcome } = self;
        let shown = (&operation.request, outcome.error, &outcome.told);
        format!("{}, xid {}, zxid 0x{:x}: {what}: {shown:?}", session.name(), operation.xid, outcome.zxid)
    }
}

pub fn check(evidence: &Evidence<'_>, findings: &mut Vec<String>) -> Result<Replayed> {
    let mut state = State::default();
    let (mut digests, mut changes) = (HashMap::new(), HashMap::<String, Vec<i64>>::new());
    let mut answers = by_zxid(evidence);
    for record in &evidence.chain.records {
        // Replies without a transaction of their zxid: from before the first one of an epoch.
        while let Some(entry) = answers.first_entry().filter(|entry| *entry.key() < record.zxid) {
            without_transaction(&entry.remove(), &state, findings);
        }
        let here = answers.remove(&record.zxid).unwrap_or_default();
        for answer in here.iter().filter(|answer| answer.operation.request.is_write()) {
            findings.extend(refusal(answer, record, &state).map(|what| answer.describe(&what)));
        }
        for path in state.apply(record)? {
            changes.entry(path).or_default().push(record.zxid);
        }
        digests.insert(record.zxid, state.digest);
        for answer in &here {
            let found = match answer.operation.request.is_write() {
                true => success(answer, record, &state),
                false => read(answer, &state),
            };
            findings.extend(found.map(|what| answer.describe(&what)));
        }
    }
    answers.values().for_each(|late| without_transaction(late, &state, findings));
    Ok(Replayed { state, digests, changes })
}

fn by_zxid<'a>(evidence: &Evidence<'a>) -> BTreeMap<i64, Vec<Answer<'a>>> {
    let mut answers: BTreeMap<i64, Vec<Answer<'a>>> = BTreeMap::new();
    for session in evidence.sessions {
        for operation in &session.operations {
            if let Some(outcome) = &operation.outcome {
                answers.entry(outcome.zxid).or_default().push(Answer { session, operation, outcome });
            }
        }
    }
    answers
}

fn without_transaction(answers: &[Answer<'_>], state: &State, findings: &mut Vec<String>) {
    for answer in answers {
        let started = answer.outcome.zxid & 0xffff_ffff == 0;
        let found = match answer.operation.request.is_write() {
            false if started => read(answer, state),
            _ => Some("no member has a transaction of this zxid".to_owned()),
        };
        findings.extend(found.map(|what| answer.describe(&what)));
    }
}

/// The transaction must be the request's own; a refusal must be right in the state before it.
fn refusal(answer: &Answer<'_>, record: &Record, before: &State) -> Option<String> {
    if (record.session, record.cxid) != (answer.session.credentials.id, answer.operation.xid) {
        return Some(format!("acknowledged, but this zxid is that of {record:?}"));
    }
    let error = answer.outcome.error;
    if error == 0 {
        return None;
    }
    if record.change != Change::Error(error) {
        return Some(format!("told error {error}, but the history has {:?}", record.change));
    }
    let (right, why) = match &answer.operation.request {
        Request::Create { path, .. } => {
            (error == NODE_EXISTS && before.get(path).is_some(), "it does not exist")
        }
        Request::Delete { path, version } | Request::Set { path, version, .. } => {
            let node = before.get(path);
            let right = match error {
                NO_NODE => node.is_none(),
                NOT_EMPTY => node.is_some_and(|node| !node.children.is_empty()),
                BAD_VERSION => node.is_some_and(|node| *version != -1 && node.version != *version),
                _ => false,
            };
            (right, "the state before it does not ask for that")
        }
        _ => (false, "this cannot fail"),
    };
    (!right).then(|| format!("error {error}, but {why}"))
}

fn success(answer: &Answer<'_>, record: &Record, after: &State) -> Option<String> {
    if answer.outcome.error != 0 {
        return None;
    }
    let same = match (&answer.operation.request, &answer.outcome.told, &record.change) {
        (Request::Create { data, .. }, Told::Path(told), Change::Create { path, data: stored, .. }) => {
            told == path && stored.as_ref() == Some(data)
        }
        (
            Request::Set { path, data, .. },
            Told::Stat(told),
            Change::Set { path: changed, data: stored, .. },
        ) => path == changed && stored.as_ref() == Some(data) && stat_of(after, path).as_ref() == Some(told),
        (Request::Delete { path, .. }, _, Change::Delete { path: deleted }) => path == deleted,
        (Request::Multi(parts), Told::Multi(true), Change::Multi(done)) => parts.len() == done.len(),
        (Request::Multi(parts), Told::Multi(false), Change::FailedMulti(count)) => parts.len() == *count,
        (Request::Close, _, Change::CloseSession(_)) => true,
        _ => false,
    };
    (!same).then(|| format!("the history has {:?}", record.change))
}

fn stat_of(state: &State, path: &str) -> Option<Stat> {
    state.get(path).map(|node| node.stat())
}

fn read(answer: &Answer<'_>, state: &State) -> Option<String> {
    let (Request::Get { path, .. } | Request::Exists { path, .. } | Request::Children { path }) =
        &answer.operation.request
    else {
        return None;
    };
    let node = state.get(path);
    let stat = node.map(|node| node.stat());
    let same = match (&answer.outcome.told, answer.outcome.error, node) {
        (Told::Nothing, NO_NODE, None) => true,
        (Told::Stat(told), 0, Some(_)) => Some(told) == stat.as_ref(),
        (Told::Data(data, told), 0, Some(node)) => Some(told) == stat.as_ref() && *data == node.data,
        (Told::Children(names, told), 0, Some(node)) => {
            let names: BTreeSet<&String> = names.iter().collect();
            Some(told) == stat.as_ref() && names == node.children.iter().collect()
        }
        _ => false,
    };
    (!same).then(|| format!("the state at this zxid is {node:?}"))
}
