//! Observers that follow a follower: every pairing of the two kinds of servers.
//!
//! The leader must not have the observer among its learners, a follower must; and the observer's clients must find all
//! that clients of any other member find: their writes, reads, watches, syncs, and sessions that move. In the end the
//! members' trees are equal.
use super::place::Layout;
use super::status::{Role, counter};
use super::{Ensemble, PATIENCE, POLL, Plan};
use crate::apache;
use crate::jute::{Acl, Writer};
use crate::raw::{Credentials, Session, Target, flag, op, xid};
use crate::report::Suite;
use crate::run::Options;
use crate::server::{ServerKind, free_port};
use crate::tree;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};

const OBSERVER: u8 = 4;
const TIMEOUT_MS: i32 = 20_000;

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("observer-master", &options.server.to_string());
    let apache = ServerKind::Apache(apache::REFERENCE.to_owned());
    let ours = &options.server;
    let mut pairs = vec![(&apache, ours), (ours, &apache), (ours, ours)];
    pairs.dedup();
    for (voters, observer) in pairs {
        suite.add_result(&format!("{observer} behind {voters}"), pair(voters, observer));
    }
    Ok(suite.finish())
}

fn pair(voters: &ServerKind, observer: &ServerKind) -> Result<()> {
    let name = format!("observer-master-{observer}-behind-{voters}");
    let kinds = [voters.clone(), voters.clone(), voters.clone()];
    let plan = Plan::voters(&name, &kinds).observer(observer).layout(Layout::Addresses);
    let mut ensemble = plan.config("observerMasterPort", free_port()?).build()?;
    ensemble.start_all()?;
    let leader = ensemble.wait_for_all()?;
    follows_a_follower(&ensemble, leader)?;
    conversation(&mut ensemble, leader).context("the conversation")?;
    masters_come_and_go(&mut ensemble, leader).context("a master is lost")?;
    loses_its_folder(&mut ensemble).context("the observer's folder is lost")?;
    let leader = leader_is_lost(&mut ensemble, leader).context("the leader is lost")?;
    follows_a_follower(&ensemble, leader)?;
    trees_are_equal(&mut ensemble)?;
    ensemble.stop_all()
}

fn open(ensemble: &mut Ensemble, id: u8) -> Result<Session> {
    attach(ensemble, id, &Credentials::fresh(), 0)?.context("no session")
}

fn attach(
    ensemble: &mut Ensemble,
    id: u8,
    credentials: &Credentials,
    last_xid: i32,
) -> Result<Option<Session>> {
    let address = ensemble.member(id).place.client_address();
    Target { address, timeout_ms: TIMEOUT_MS, last_xid, ..Target::default() }.connect(credentials)
}

/// Exactly one follower has the observer.
fn follows_a_follower(ensemble: &Ensemble, leader: u8) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut at_leader = None;
        let mut at_followers = 0.0;
        for member in ensemble.members.iter().filter(|member| !member.observer) {
            let counted = counter(member.place.client_address(), "zk_synced_observers").unwrap_or(None);
            if member.id == leader {
                at_leader = counted;
            } else {
                at_followers += counted.unwrap_or(0.0);
            }
        }
        if at_leader == Some(0.0) && at_followers == 1.0 {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "the leader counts {at_leader:?} observers, the followers {at_followers}\n{}",
            ensemble.describe()
        );
        std::thread::sleep(POLL);
    }
}

fn conversation(ensemble: &mut Ensemble, leader: u8) -> Result<()> {
    let mut here = open(ensemble, OBSERVER)?;
    let mut there = open(ensemble, leader)?;
    here.create("/om", Some(b"0"), &[Acl::open()], flag::PERSISTENT)?;
    here.create("/om/own", None, &[Acl::open()], flag::EPHEMERAL)?;
    there.sync()?;
    ensure!(there.get("/om/own")?.is_some(), "the leader has what was written at the observer");
    for number in 1..=50 {
        let data = number.to_string().into_bytes();
        there.set("/om", &data)?;
        here.sync()?;
        let seen = here.get("/om")?.and_then(|(data, _)| data);
        ensure!(seen.as_ref() == Some(&data), "after a sync the observer shows {seen:?} and not {number}");
        here.set("/om", &data)?;
    }
    watch(&mut here, &mut there)?;
    errors_come_back(&mut here)?;
    stays_alive(ensemble)?;
    moves(ensemble, here, leader)?;
    there.sync()?;
    ensure!(there.get("/om/own")?.is_none(), "the ephemeral is left behind");
    there.close()
}

/// A watch set here fires for a change made there, before the change is seen.
fn watch(here: &mut Session, there: &mut Session) -> Result<()> {
    let read = Writer::default().string("/om").boolean(true).bytes;
    here.call(op::GET_DATA, &read)?.success()?;
    there.set("/om", b"watched")?;
    let (got, _) = here.receive()?;
    ensure!(got == xid::EVENT, "no event but {got}");
    ensure!(here.get("/om")?.is_some_and(|(data, _)| data.as_deref() == Some(b"watched")), "the change");
    Ok(())
}

fn errors_come_back(here: &mut Session) -> Result<()> {
    let record = Writer::default().string("/om/missing").int(-1).bytes;
    let reply = here.call(op::DELETE, &record)?;
    ensure!(reply.error == crate::raw::NO_NODE, "a refusal is {}", reply.error);
    here.sync()
}

/// Pings at the observer keep a session alive at the leader.
fn stays_alive(ensemble: &mut Ensemble) -> Result<()> {
    let address = ensemble.member(OBSERVER).place.client_address();
    let mut short = Target { address, timeout_ms: 1500, ..Target::default() }.open()?;
    let until = Instant::now() + Duration::from_secs(5);
    while Instant::now() < until {
        short.call(op::PING, &[])?.success()?;
        std::thread::sleep(Duration::from_millis(300));
    }
    short.create("/om/alive", None, &[Acl::open()], flag::EPHEMERAL)?;
    short.close()
}

/// From the observer to every voter and back, one session.
fn moves(ensemble: &mut Ensemble, session: Session, leader: u8) -> Result<()> {
    let mut credentials = session.abandon()?;
    let mut last_xid = 1000;
    let followers: Vec<u8> = ensemble.voters().into_iter().filter(|id| *id != leader).collect();
    for id in [&[leader, OBSERVER], &followers[..], &[OBSERVER]].concat() {
        let session = attach(ensemble, id, &credentials, last_xid)?;
        let mut session =
            session.with_context(|| format!("at member {id} the session is said to have ended"))?;
        session.set("/om", format!("at {id}").as_bytes()).with_context(|| format!("at member {id}"))?;
        last_xid += 1000;
        credentials = session.abandon()?;
    }
    let mut wrong = credentials.clone();
    wrong.password[3] ^= 1;
    ensure!(attach(ensemble, OBSERVER, &wrong, 0)?.is_none(), "a wrong password opens the session");
    let mut unknown = Credentials { id: credentials.id ^ 0x10_0000, ..credentials.clone() };
    unknown.password.fill(7);
    ensure!(attach(ensemble, OBSERVER, &unknown, 0)?.is_none(), "nobody's session is opened");
    attach(ensemble, OBSERVER, &credentials, last_xid)?.context("it has ended")?.close()
}

/// Each follower is killed in turn: the observer finds another one, and its client goes on with its session.
fn masters_come_and_go(ensemble: &mut Ensemble, leader: u8) -> Result<()> {
    let mut credentials = open(ensemble, OBSERVER)?.abandon()?;
    let mut last_xid = 1;
    for id in ensemble.voters().into_iter().filter(|id| *id != leader) {
        ensemble.member(id).kill9()?;
        let deadline = Instant::now() + PATIENCE;
        let mut session = loop {
            if let Ok(Some(mut session)) = attach(ensemble, OBSERVER, &credentials, last_xid)
                && session.set("/om", format!("without {id}").as_bytes()).is_ok()
            {
                break session;
            }
            ensure!(Instant::now() < deadline, "without member {id}: {}", ensemble.describe());
            last_xid += 10;
            std::thread::sleep(POLL);
        };
        session.sync()?;
        last_xid += 1000;
        credentials = session.abandon()?;
        ensemble.member(id).start()?;
        ensemble.wait_for_all()?;
    }
    attach(ensemble, OBSERVER, &credentials, last_xid)?.context("its session has ended")?.close()
}

/// It gets everything from its master.
fn loses_its_folder(ensemble: &mut Ensemble) -> Result<()> {
    ensemble.member(OBSERVER).kill9()?;
    ensemble.member(OBSERVER).empty_folder()?;
    ensemble.member(OBSERVER).start()?;
    ensemble.wait_for_all()?;
    let mut session = open(ensemble, OBSERVER)?;
    session.sync()?;
    ensure!(session.get("/om")?.is_some(), "it lacks data");
    session.close()
}

/// The next leader's followers take the observer in.
fn leader_is_lost(ensemble: &mut Ensemble, leader: u8) -> Result<u8> {
    ensemble.member(leader).kill9()?;
    ensemble.wait_for_leader()?;
    let deadline = Instant::now() + PATIENCE;
    while ensemble.member(OBSERVER).status().map(|status| status.role).ok() != Some(Role::Observer) {
        ensure!(Instant::now() < deadline, "{}", ensemble.describe());
        std::thread::sleep(POLL);
    }
    let mut session = open(ensemble, OBSERVER)?;
    session.set("/om", b"another leader")?;
    session.close()?;
    ensemble.start_all()?;
    ensemble.wait_for_all()
}

fn trees_are_equal(ensemble: &mut Ensemble) -> Result<()> {
    let mut first: Option<tree::Tree> = None;
    for id in ensemble.ids() {
        let mut session = open(ensemble, id)?;
        session.sync()?;
        let found = tree::without_own_nodes(tree::read(&mut session)?);
        session.close()?;
        let expected = first.get_or_insert_with(|| found.clone());
        let differences = tree::differences(expected, &found);
        ensure!(differences.is_empty(), "member {id}: {differences:?}");
        let address = ensemble.member(id).place.client_address();
        let mismatches = counter(address, "zk_digest_mismatches_count")?;
        ensure!(mismatches == Some(0.0), "member {id} counts {mismatches:?} wrong digests");
    }
    Ok(())
}
