//! The takeover: a live ensemble is replaced member by member, by another kind of server on the same folders, while
//! clients work on it; back again; and forward once more.
//!
//! A step is what an operator does: stop one member, start the other server on its folder, wait until it has
//! rejoined, look at the whole, go on. Followers go first and the leader last, so that there is one election a round.
use super::mixed;
use super::programs::{self, Program};
use super::scenarios::Run;
use super::status::Role;
use super::verify::Account;
use super::{Ensemble, Plan};
use crate::apache;
use crate::fetch;
use crate::jute::Acl;
use crate::raw::{Target, create_record, flag, op};
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Context, Result, ensure};
use std::time::Instant;

/// Writes of the raw clients, and of each program, that every step must see.
const WRITES: u64 = 40;
const PROGRAM_WRITES: u64 = 10;

const BACK: &str = "back";
const WAYS: &[&str] = &["forward", BACK, "forward again"];

/// The releases that a takeover starts from; the last ones are what people still run.
const FROM: [&str; 3] = [apache::REFERENCE, "3.7.2", "3.4.14"];

/// The short form goes there, back and there again from the reference release, and there and back from the oldest.
pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("takeover", &options.server.to_string());
    for (number, from) in FROM.into_iter().enumerate() {
        let ways = match (options.long, number) {
            (true, _) | (false, 0) => WAYS,
            (false, 1) => continue,
            (false, _) => &WAYS[..2],
        };
        let (from, to) = pair(from, options);
        let seed = options.seed.wrapping_add(number as u64);
        let name = format!("{from} to {to}: {}", ways.join(", "));
        let result = takeover(&from, &to, ways, seed).with_context(|| format!("seed {seed}"));
        suite.add_result(&name, result.map(drop));
    }
    Ok(suite.finish())
}

/// From a release to the server that the run is about; to another Apache release if it is about Apache.
fn pair(from: &str, options: &Options) -> (ServerKind, ServerKind) {
    let (reference, guest) = mixed::kinds(options);
    let from = ServerKind::Apache(from.to_owned());
    let to = match &options.server {
        ServerKind::Rookeeper => guest,
        ServerKind::Apache(_) if from == reference => guest,
        ServerKind::Apache(_) => reference,
    };
    (from, to)
}

/// The demonstration alone, from the reference release.
pub fn show(options: &Options) -> Result<()> {
    let _lock = fetch::lock()?;
    println!("seed {}", options.seed);
    let (from, to) = pair(apache::REFERENCE, options);
    takeover(&from, &to, WAYS, options.seed).map(drop)
}

/// Runs one takeover, with a line for every step.
fn takeover(from: &ServerKind, to: &ServerKind, ways: &[&str], seed: u64) -> Result<Account> {
    let oldest = apache::line(from.behaves_as()).min(apache::line(to.behaves_as()));
    let programs = programs::prepare_all(oldest)?;
    let since = Instant::now();
    say(since, &format!("three servers of {from} start; {to} will take over"));
    let mut plan =
        Plan::voters(&format!("takeover/{from}-{to}"), &[from.clone(), from.clone(), from.clone()]);
    if oldest == apache::line("3.4.14") {
        // A follower of 3.4 may have logs and no snapshot; later releases are told that this is no loss.
        plan = plan.property("zookeeper.snapshot.trust.empty", true);
    }
    let run = Run::start(plan, seed)?;
    let dir = run.ensemble.members[0].dir.parent().context("members have a common folder")?.to_path_buf();
    let programs = programs::start_all(programs, &run.ensemble.connect_string(), &dir)?;
    let mut takeover = Takeover { run, programs, since };
    takeover.everyone_works().context("before the first step")?;
    for way in ways {
        takeover.replace_all(way, if *way == BACK { from } else { to })?;
    }
    takeover.end()
}

struct Takeover {
    run: Run,
    programs: Vec<Program>,
    since: Instant,
}

fn say(since: Instant, what: &str) {
    println!("  {:>6.1} s  {what}", since.elapsed().as_secs_f64());
}

impl Takeover {
    fn replace_all(&mut self, way: &str, kind: &ServerKind) -> Result<()> {
        let leader = self.run.ensemble.wait_for_leader()?;
        let mut ids = self.run.ensemble.ids();
        // False sorts before true: the leader is the last.
        ids.sort_by_key(|id| *id == leader);
        for id in ids {
            self.replace(way, id, kind).with_context(|| format!("{way}: replacing member {id} by {kind}"))?;
        }
        Ok(())
    }

    fn replace(&mut self, way: &str, id: u8, kind: &ServerKind) -> Result<()> {
        let since = Instant::now();
        let ensemble = &mut self.run.ensemble;
        let old = ensemble.member(id).kind.clone();
        let role = ensemble.member(id).status()?.role;
        ensemble.member(id).stop()?;
        ensemble.member(id).become_kind(kind)?;
        ensemble.member(id).start()?;
        ensemble.wait_for_all()?;
        let took = since.elapsed();
        self.everyone_works()?;
        self.old_learners_are_spared()?;
        let roles = roles(&self.run.ensemble)?;
        let line = format!("{way}: member {id} ({role}) {old} -> {kind}, back after {took:.1?}; now {roles}");
        say(self.since, &line);
        Ok(())
    }

    /// A member of 3.4 would fall over a transaction that it does not know; our leader refuses what makes one.
    /// (Apache's does not: its operators are told not to use newer operations before all members are newer.)
    fn old_learners_are_spared(&mut self) -> Result<()> {
        let members = &self.run.ensemble.members;
        if !members.iter().any(|member| apache::line(member.kind.behaves_as()) < (3, 5)) {
            return Ok(());
        }
        for member in members.iter().filter(|member| member.kind == ServerKind::Rookeeper) {
            if member.status()?.role != Role::Leader {
                continue;
            }
            let mut session =
                Target { address: member.place.client_address(), ..Target::default() }.open()?;
            for (operation, flags) in
                [(op::CREATE2, flag::PERSISTENT), (op::CREATE_CONTAINER, flag::CONTAINER)]
            {
                let reply = session.call(operation, &create_record("/newer", None, &[Acl::open()], flags))?;
                ensure!(
                    reply.error != 0,
                    "operation {operation} was done although a member of 3.4 is connected"
                );
            }
            session.close()?;
        }
        Ok(())
    }

    /// Every client gets on; a session that ended or an error that is no lost connection ends the run.
    fn everyone_works(&mut self) -> Result<()> {
        self.run.load.progress(WRITES)?;
        self.programs.iter_mut().try_for_each(|program| program.advance(PROGRAM_WRITES))
    }

    fn end(self) -> Result<Account> {
        for program in self.programs {
            let line = program.finish()?;
            say(self.since, &format!("{line}; every acknowledged write is there, its session never ended"));
        }
        let account = self.run.verify()?;
        say(self.since, &format!("nothing acknowledged was lost: {account}"));
        ensure!(account.writes > 0, "the load did nothing");
        Ok(account)
    }
}

/// `1 follower apache-3.9.5, 2 leader …`.
fn roles(ensemble: &Ensemble) -> Result<String> {
    let one = |member: &super::member::Member| {
        let role: Role = member.status()?.role;
        Ok(format!("{} {role} {}", member.id, member.kind))
    };
    Ok(ensemble.members.iter().map(one).collect::<Result<Vec<_>>>()?.join(", "))
}
