//! What is done to an ensemble under load. Each scenario leaves all members running, so that they can follow
//! each other in one run; each says which kind of synchronisation it expects, and looks whether that was used.
use super::load::{Intensity, Load};
use super::txn::Record;
use super::verify::{Account, verify};
use super::{Ensemble, PATIENCE, POLL, Plan, SYNC_LIMIT, TICK_MS, chain, logs};
use crate::jute::Acl;
use crate::raw::{Target, create_record, flag, op};
use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use std::fmt;
use std::time::{Duration, Instant};

/// Writes between two faults.
const SOME: u64 = 60;
/// More than a leader keeps in memory for learners that come back.
const MANY: u64 = 700;

/// One thing that happens.
#[derive(Clone, Copy)]
pub struct Scenario {
    pub name: &'static str,
    pub run: fn(&mut Run) -> Result<()>,
}

/// A leader, and everything that can befall an ensemble, in the order of growing harm.
pub const ALL: [Scenario; 11] = [
    Scenario { name: "follower-kill", run: follower_kill },
    Scenario { name: "leader-kill", run: leader_kill },
    Scenario { name: "leader-pause", run: leader_pause },
    Scenario { name: "follower-pause", run: follower_pause },
    Scenario { name: "short-behind", run: short_behind },
    Scenario { name: "long-behind", run: long_behind },
    Scenario { name: "stale-folder", run: stale_folder },
    Scenario { name: "empty-folder", run: empty_folder },
    Scenario { name: "extra-truncated", run: extra_truncated },
    Scenario { name: "extra-other-epoch", run: extra_other_epoch },
    Scenario { name: "all-at-once", run: all_at_once },
];

/// The scenario with this name.
pub fn named(name: &str) -> Scenario {
    *ALL.iter().find(|scenario| scenario.name == name).expect("a scenario of the table")
}

/// How a learner was brought up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sync {
    Diff,
    Trunc,
    Snap,
}

/// An ensemble under load.
pub struct Run {
    pub ensemble: Ensemble,
    pub load: Load,
    pub rng: Rng,
    /// What happened, for people.
    pub notes: Vec<String>,
}

impl Run {
    /// A cold start: all members at once, then load on all of them.
    pub fn start(plan: Plan, seed: u64) -> Result<Run> {
        let mut ensemble = plan.build()?;
        ensemble.start_all()?;
        Run::on(ensemble, seed)
    }

    /// Load on an ensemble that has been started.
    pub fn on(mut ensemble: Ensemble, seed: u64) -> Result<Run> {
        let since = Instant::now();
        let leader = ensemble.wait_for_all()?;
        let took = since.elapsed();
        let load = Load::start(&ensemble.addresses(), seed, Intensity::default())?;
        let mut run = Run { ensemble, load, rng: Rng::with_seed(seed), notes: Vec::new() };
        run.note(format!("member {leader} leads after {took:.1?}"));
        run.load.progress(SOME)?;
        Ok(run)
    }

    pub fn note(&mut self, what: impl fmt::Display) {
        self.notes.push(what.to_string());
    }

    /// Runs one scenario; an error names it and what happened before.
    pub fn go(&mut self, scenario: Scenario) -> Result<()> {
        let since = Instant::now();
        (scenario.run)(self)
            .and_then(|()| self.load.progress(SOME).map(drop))
            .with_context(|| format!("{} (before: {})", scenario.name, self.notes.join("; ")))?;
        self.note(format!("{} {:.1?}", scenario.name, since.elapsed()));
        Ok(())
    }

    /// Compares all members and checks the history.
    pub fn verify(mut self) -> Result<Account> {
        verify(&mut self.ensemble, self.load).with_context(|| format!("after {}", self.notes.join("; ")))
    }

    fn leader(&mut self) -> Result<u8> {
        self.ensemble.wait_for_leader()
    }

    /// Any member but the leader, observers too.
    fn learner(&mut self) -> Result<u8> {
        let leader = self.leader()?;
        let others: Vec<u8> = self.ensemble.ids().into_iter().filter(|id| *id != leader).collect();
        self.rng.choice(others).context("an ensemble of one has no learner")
    }

    fn log_of(&mut self, id: u8) -> Result<Vec<Record>> {
        logs::records(&self.ensemble.member(id).version_2())
    }

    /// Starts a member whose log was `before` and says how it was brought up to date.
    fn rejoin(&mut self, id: u8, before: &[Record], expected: Sync) -> Result<()> {
        self.ensemble.member(id).start()?;
        self.ensemble.wait_for_all()?;
        self.load.go_on();
        let deadline = Instant::now() + PATIENCE;
        let used = loop {
            self.load.progress(5)?;
            if let Some(used) = sync_used(before, &self.log_of(id)?) {
                break used;
            }
            ensure!(Instant::now() < deadline, "member {id} has rejoined but logs nothing");
        };
        self.note(format!("member {id} rejoined by {used:?}"));
        ensure!(used == expected, "member {id} was brought up to date by {used:?} instead of {expected:?}");
        Ok(())
    }
}

/// What two states of a log say about the way from one to the other; `None` while nothing new is in it.
fn sync_used(before: &[Record], after: &[Record]) -> Option<Sync> {
    let last = before.last().map_or(0, |record| record.zxid);
    if !after.iter().any(|record| record.zxid == last) && last != 0 && !after.is_empty() {
        return Some(Sync::Trunc);
    }
    let next = after.iter().map(|record| record.zxid).find(|zxid| *zxid > last)?;
    let first_of_epoch = next & 0xffff_ffff == 1;
    let follows =
        next == last + 1 || (first_of_epoch && last != 0 && chain::epoch(next) > chain::epoch(last));
    Some(if follows { Sync::Diff } else { Sync::Snap })
}

fn follower_kill(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).kill9()?;
    run.load.progress(SOME)?;
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all().map(drop)
}

fn leader_kill(run: &mut Run) -> Result<()> {
    let victim = run.leader()?;
    run.ensemble.member(victim).kill9()?;
    let gap = run.load.progress(SOME)?;
    let leader = run.leader()?;
    run.note(format!("leader {victim} killed, {gap:.1?} to the first write, {leader} leads"));
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all().map(drop)
}

/// The frozen leader wakes up and must notice that it leads no more before it says anything wrong.
fn leader_pause(run: &mut Run) -> Result<()> {
    let victim = run.leader()?;
    run.ensemble.member(victim).pause()?;
    let gap = run.load.progress(SOME)?;
    let leader = run.leader()?;
    ensure!(leader != victim, "a frozen member leads");
    run.note(format!("leader {victim} frozen, {gap:.1?} to the first write, {leader} leads"));
    run.ensemble.member(victim).resume()?;
    run.ensemble.wait_for_all().map(drop)
}

fn follower_pause(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).pause()?;
    // Beyond the time in which the leader must give it up: only time passes here, there is no event.
    std::thread::sleep(Duration::from_millis(u64::from((SYNC_LIMIT + 2) * TICK_MS)));
    run.load.progress(SOME)?;
    run.ensemble.member(victim).resume()?;
    run.ensemble.wait_for_all().map(drop)
}

fn short_behind(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).stop()?;
    let before = run.log_of(victim)?;
    run.load.progress(SOME)?;
    run.load.rest()?;
    run.rejoin(victim, &before, Sync::Diff)
}

fn long_behind(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).stop()?;
    run.load.progress(MANY)?;
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all().map(drop)
}

/// A backup from before an election is put back.
fn stale_folder(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).stop()?;
    run.ensemble.member(victim).save_folder("stale")?;
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all()?;
    leader_kill(run)?;
    // By now it may lead; a backup is put back on a server that does not.
    if run.leader()? == victim {
        leader_kill(run)?;
    }
    run.ensemble.member(victim).kill9()?;
    run.ensemble.member(victim).restore_folder("stale")?;
    run.load.progress(SOME)?;
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all().map(drop)
}

fn empty_folder(run: &mut Run) -> Result<()> {
    let victim = run.learner()?;
    run.ensemble.member(victim).stop()?;
    run.ensemble.member(victim).empty_folder()?;
    run.load.progress(SOME)?;
    run.rejoin(victim, &[], Sync::Snap)
}

/// The leader has transactions that no other ever got, and comes back before the new epoch has any.
fn extra_truncated(run: &mut Run) -> Result<()> {
    run.load.rest()?;
    let (victim, before) = leader_alone(run)?;
    run.rejoin(victim, &before, Sync::Trunc)
}

/// The same, but the new epoch has gone on: there is no common point in the new leader's memory.
fn extra_other_epoch(run: &mut Run) -> Result<()> {
    run.load.rest()?;
    let (victim, _) = leader_alone(run)?;
    run.load.go_on();
    run.load.progress(SOME)?;
    run.ensemble.member(victim).start()?;
    run.ensemble.wait_for_all().map(drop)
}

/// Lets the leader log what nobody else gets, kills it, and lets the others go on without it; returns the
/// leader and its log.
///
/// The others are frozen first, and killed before they wake up: what the leader sent them lies in their sockets.
fn leader_alone(run: &mut Run) -> Result<(u8, Vec<Record>)> {
    let victim = run.leader()?;
    let address = run.ensemble.member(victim).place.client_address();
    // Its end would be a transaction of the new epoch, which must have none when the old leader comes back.
    let mut session = Target { address, timeout_ms: 120_000, ..Target::default() }.open()?;
    session.sync()?;
    let others: Vec<u8> = run.ensemble.ids().into_iter().filter(|id| *id != victim).collect();
    others.iter().try_for_each(|id| run.ensemble.member(*id).pause())?;
    let committed = run.log_of(victim)?.len();
    let extra = run.rng.usize(1..20);
    for number in 0..extra {
        let path = format!("/load/lost-{number}");
        session.send(op::CREATE, &create_record(&path, None, &[Acl::open()], flag::PERSISTENT))?;
    }
    // It may hold some back while the first ones are not committed; one is enough for what follows.
    let since = Instant::now();
    let mut logged = 0;
    while logged < extra && (logged == 0 || since.elapsed() < Duration::from_secs(1)) {
        if since.elapsed() > PATIENCE {
            bail!("leader {victim} does not log what it is sent while the others are frozen");
        }
        std::thread::sleep(POLL);
        logged = run.log_of(victim)?.len() - committed;
    }
    run.ensemble.member(victim).kill9()?;
    others.iter().try_for_each(|id| run.ensemble.member(*id).kill9())?;
    let before = run.log_of(victim)?;
    others.iter().try_for_each(|id| run.ensemble.member(*id).start())?;
    run.ensemble.wait_for_all()?;
    run.note(format!("leader {victim} logged {logged} of {extra} transactions alone"));
    Ok((victim, before))
}

/// A power cut without the loss of the page cache.
fn all_at_once(run: &mut Run) -> Result<()> {
    for id in run.ensemble.ids() {
        run.ensemble.member(id).kill9()?;
    }
    run.ensemble.start_all()?;
    run.ensemble.wait_for_all().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::txn::Change;

    fn log(zxids: &[i64]) -> Vec<Record> {
        let record =
            |zxid| Record { session: 1, cxid: 1, zxid, time: 0, change: Change::Check, digest: None };
        zxids.iter().map(|zxid| record(*zxid)).collect()
    }

    #[test]
    fn logs_show_the_kind_of_synchronisation() {
        let epoch = 1 << 32;
        let before = log(&[1, 2, 3]);
        assert_eq!(sync_used(&before, &before), None);
        assert_eq!(sync_used(&before, &log(&[1, 2, 3, 4])), Some(Sync::Diff));
        assert_eq!(sync_used(&before, &log(&[1, 2, 3, epoch + 1])), Some(Sync::Diff));
        assert_eq!(sync_used(&before, &log(&[1, 2, 3, 9])), Some(Sync::Snap));
        assert_eq!(sync_used(&before, &log(&[1, 2])), Some(Sync::Trunc));
        assert_eq!(sync_used(&[], &log(&[7])), Some(Sync::Snap));
    }
}
