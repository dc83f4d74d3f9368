//! Every rule finds what it is there for: a small true history, and one lie at a time.
use super::{Evidence, check};
use crate::ensemble::chain::Chain;
use crate::ensemble::history::{Arrival, End, Operation, Outcome, Request, SessionHistory, Told};
use crate::ensemble::txn::{Change, Owner, Record};
use crate::jute::Stat;
use crate::raw::Credentials;
use std::time::{Duration, Instant};

const ONE: i64 = 0x100;
const TWO: i64 = 0x200;

struct Story {
    records: Vec<Record>,
    sessions: Vec<SessionHistory>,
    start: Instant,
}

fn record(session: i64, cxid: i32, zxid: i64, change: Change) -> Record {
    Record { session, cxid, zxid, time: 7, change, digest: None }
}

fn set(zxid: i64, version: i32, text: &str) -> Record {
    let change = Change::Set { path: "/k".into(), data: Some(text.into()), version };
    record(TWO, version + 1, zxid, change)
}

/// Session one makes `/k`, watches and reads it; session two changes it twice.
fn story() -> Story {
    let create = Change::Create {
        path: "/k".into(),
        data: Some("a".into()),
        owner: Owner::Nobody,
        parent_cversion: 1,
    };
    let records = vec![
        record(ONE, 0, 1, Change::CreateSession),
        record(TWO, 0, 2, Change::CreateSession),
        record(ONE, 1, 3, create),
        set(4, 1, "b"),
        set(5, 2, "c"),
    ];
    let start = Instant::now();
    let at = |ms: u64| start + Duration::from_millis(ms);
    let stat = |mzxid, version| Stat {
        czxid: 3,
        mzxid,
        ctime: 7,
        mtime: 7,
        version,
        data_length: 1,
        pzxid: 3,
        ..Stat::default()
    };
    let operation = |xid: i32, request, zxid, told, sent: u64| Operation {
        xid,
        request,
        sent: at(sent),
        batch: xid as u32,
        outcome: Some(Outcome { zxid, error: 0, told, at: at(sent + 5) }),
    };
    let get = || Request::Get { path: "/k".into(), watch: true };
    let mut one = session(ONE);
    let create = Request::Create { path: "/k".into(), data: "a".into(), flags: 0 };
    one.operations = vec![
        operation(1, create, 3, Told::Path("/k".into()), 0),
        operation(2, get(), 3, Told::Data(Some("a".into()), stat(3, 0)), 10),
        operation(3, get(), 5, Told::Data(Some("c".into()), stat(5, 2)), 50),
    ];
    let event = Arrival::Event { path: "/k".into(), kind: 3 };
    one.arrivals = vec![connected(), Arrival::Reply(0), Arrival::Reply(1), event, Arrival::Reply(2)];
    let mut two = session(TWO);
    let change = |version, text: &str| Request::Set { path: "/k".into(), data: text.into(), version };
    two.operations = vec![
        operation(2, change(0, "b"), 4, Told::Stat(stat(4, 1)), 20),
        operation(3, change(-1, "c"), 5, Told::Stat(stat(5, 2)), 30),
    ];
    two.arrivals = vec![connected(), Arrival::Reply(0), Arrival::Reply(1)];
    Story { records, sessions: vec![one, two], start }
}

fn session(id: i64) -> SessionHistory {
    SessionHistory::new(0, Credentials { id, password: Vec::new() })
}

fn connected() -> Arrival {
    Arrival::Connected { member: 0, watches: Vec::new() }
}

impl Story {
    fn findings(self) -> Vec<String> {
        let chain = Chain { records: self.records, dead: 0 };
        let mut findings = Vec::new();
        let evidence = Evidence::new(&chain, &self.sessions, &mut findings);
        check(&evidence, &mut findings).unwrap();
        findings
    }

    fn outcome(&mut self, session: usize, operation: usize) -> &mut Outcome {
        self.sessions[session].operations[operation].outcome.as_mut().unwrap()
    }
}

/// Tells one lie, and expects a finding with these words.
fn lie(expected: &str, tell: impl FnOnce(&mut Story)) {
    let mut story = story();
    tell(&mut story);
    let findings = story.findings();
    assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:?}");
}

#[test]
fn the_truth_has_no_findings() {
    assert_eq!(story().findings(), Vec::<String>::new());
}

#[test]
fn a_lost_or_foreign_write_is_found() {
    lie("no member has a transaction of this zxid", |story| drop(story.records.pop()));
    lie("but this zxid is that of", |story| story.records[3].cxid = 9);
    lie("was done twice", |story| {
        let again = set(6, 2, "c");
        story.records.push(again);
    });
}

#[test]
fn a_wrong_answer_is_found() {
    lie("the history has", |story| story.outcome(1, 0).told = Told::Nothing);
    lie("the state at this zxid is", |story| story.outcome(0, 1).told = Told::Nothing);
    lie("the state at this zxid is", |story| story.outcome(0, 2).zxid = 4);
    lie("told error -103", |story| story.outcome(1, 0).error = -103);
    lie("error -101, but", |story| {
        story.outcome(1, 1).error = -101;
        story.records[4].change = Change::Error(-101);
        story.sessions[0].operations.truncate(2);
        story.sessions[0].arrivals.truncate(3);
    });
}

#[test]
fn disorder_is_found() {
    lie("was told zxid 0x3 after 0x5", |story| story.sessions[0].arrivals.push(Arrival::Zxid(3)));
    lie("was answered before", |story| {
        let start = story.start;
        let operation = &mut story.sessions[0].operations[0];
        operation.sent = start + Duration::from_millis(400);
        operation.outcome.as_mut().unwrap().at = start + Duration::from_millis(500);
    });
    lie("the later request 3 has", |story| {
        story.records[3].cxid = 3;
        story.records[4].cxid = 2;
    });
    lie("request 3 was done, 2 sent before it was not", |story| {
        story.records[3].session = 0x300;
        story.sessions[1].operations[0].outcome = None;
        story.sessions[1].operations[0].batch = 3;
        story.sessions[1].arrivals.remove(1);
    });
}

#[test]
fn wrong_events_are_found() {
    let event = || Arrival::Event { path: "/k".into(), kind: 3 };
    lie("came before the event", |story| drop(story.sessions[0].arrivals.remove(3)));
    lie("without a watch, or twice", |story| story.sessions[0].arrivals.insert(4, event()));
    lie("before its cause", |story| story.sessions[0].arrivals.insert(4, Arrival::Zxid(3)));
    lie("has not changed since", |story| story.sessions[0].arrivals.push(event()));
}

#[test]
fn wrong_ends_of_sessions_are_found() {
    lie("expired", |story| story.sessions[1].end = End::Expired);
    lie("was closed, but the history keeps it", |story| story.sessions[1].end = End::Closed);
    lie("is open, but the history closes it", |story| {
        story.records.push(record(ONE, 0, 6, Change::CloseSession(None)));
    });
    lie("has outlived its session", |story| {
        let owner = Owner::Session;
        let change = Change::Create { path: "/e".into(), data: None, owner, parent_cversion: 2 };
        story.records.push(record(0x300, 1, 6, change));
    });
}
