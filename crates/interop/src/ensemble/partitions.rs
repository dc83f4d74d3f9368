//! Five members, and every shape of partition between them, under load from clients that reach all of them.
use super::netns::{self, Network};
use super::place::Layout;
use super::scenarios::Run;
use super::verify::Account;
use super::{Plan, mixed};
use crate::fetch;
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Context, Result, ensure};
use std::fmt;
use std::time::{Duration, Instant};

const MEMBERS: u8 = 5;
const WRITES: u64 = 60;
/// Longer than the leader may do without its followers, so that every shape has its effect.
const LONG_ENOUGH: Duration = Duration::from_millis(4500);

/// Who cannot reach whom. Leader and others are those at the time of the cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    /// The leader and one other against the rest.
    LeaderInMinority,
    /// Two followers are cut off.
    LeaderInMajority,
    /// Nobody reaches anybody.
    Full,
    /// The leader hears all, and nobody hears the leader.
    LeaderMute,
    /// The leader hears nobody, and all hear the leader.
    LeaderDeaf,
    /// One follower is heard by nobody.
    FollowerMute,
    /// Each reaches its two neighbours only.
    Ring,
    /// Two halves that reach each other only by way of one member.
    Bridge,
}

use Shape::*;

const ALL: [Shape; 8] =
    [LeaderInMinority, LeaderInMajority, Full, LeaderMute, LeaderDeaf, FollowerMute, Ring, Bridge];
const SHORT: [Shape; 5] = [LeaderInMinority, Full, LeaderMute, FollowerMute, Ring];

impl Shape {
    /// The directed paths that are cut.
    fn cuts(self, leader: u8) -> Vec<(u8, u8)> {
        let others: Vec<u8> = (1..=MEMBERS).filter(|id| *id != leader).collect();
        let both = |one: &[u8], two: &[u8]| {
            one.iter().flat_map(|a| two.iter().flat_map(|b| [(*a, *b), (*b, *a)])).collect::<Vec<_>>()
        };
        let pairs = || (1..=MEMBERS).flat_map(|a| (1..=MEMBERS).map(move |b| (a, b))).filter(|(a, b)| a != b);
        match self {
            LeaderInMinority => both(&[leader, others[0]], &others[1..]),
            LeaderInMajority => both(&others[..2], &[&others[2..], &[leader]].concat()),
            Full => pairs().collect(),
            LeaderMute => others.iter().map(|id| (leader, *id)).collect(),
            LeaderDeaf => others.iter().map(|id| (*id, leader)).collect(),
            FollowerMute => (1..=MEMBERS).filter(|id| *id != others[0]).map(|id| (others[0], id)).collect(),
            Ring => pairs().filter(|(a, b)| !matches!((a + MEMBERS - b) % MEMBERS, 1 | 4)).collect(),
            Bridge => both(&others[..2], &others[2..]),
        }
    }

    /// Whether a majority that all reach each other is left, so that writes must go on.
    fn must_go_on(self) -> bool {
        matches!(self, LeaderInMinority | LeaderInMajority | LeaderMute | FollowerMute)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self:?}")
    }
}

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("partitions", &options.server.to_string());
    if !rustix::process::geteuid().is_root() || !fetch::missing(&[netns::IP]).is_empty() {
        suite.skip("network namespaces need root and iproute2");
        return Ok(suite.finish());
    }
    let (base, guest) = mixed::kinds(options);
    let one = |from: &ServerKind, to: &ServerKind| [from, to, from, to, from].map(Clone::clone);
    let mut runs = vec![(one(&guest, &base), SHORT.to_vec())];
    if options.long {
        let [guests, bases] = [&guest, &base].map(|kind| one(kind, kind));
        runs = [one(&guest, &base), one(&base, &guest), guests, bases]
            .map(|kinds| (kinds, ALL.to_vec()))
            .to_vec();
    }
    for (number, (kinds, shapes)) in runs.into_iter().enumerate() {
        let seed = options.seed.wrapping_add(number as u64);
        let names: Vec<String> = kinds.iter().map(|kind| kind.to_string().replace("apache-", "")).collect();
        let name = names.join("+");
        let result = partition(&name, &kinds, &shapes, seed).with_context(|| format!("seed {seed}"));
        if let Ok(account) = &result {
            println!("  partitions {name}: {account}");
        }
        suite.add_result(&name, result.map(drop));
    }
    Ok(suite.finish())
}

fn partition(name: &str, kinds: &[ServerKind], shapes: &[Shape], seed: u64) -> Result<Account> {
    let network = Network::new(MEMBERS)?;
    network.inside(|| {
        let plan = Plan::voters(&format!("partitions/{name}"), kinds).layout(Layout::Namespaces);
        let mut run = Run::start(plan, seed)?;
        for shape in shapes {
            let before = run.notes.join("; ");
            one_shape(&network, &mut run, *shape).with_context(|| format!("{shape} (before: {before})"))?;
        }
        println!("  partitions {name}: {}", run.notes.join("; "));
        run.verify()
    })
}

fn one_shape(network: &Network, run: &mut Run, shape: Shape) -> Result<()> {
    let leader = run.ensemble.wait_for_leader()?;
    for (from, to) in shape.cuts(leader) {
        network.cut(from, to)?;
    }
    let cut = Instant::now();
    if shape.must_go_on() {
        let gap = run.load.progress(WRITES)?;
        run.note(format!("{shape} of leader {leader}: {gap:.1?} to the first write"));
    } else {
        run.note(format!("{shape} of leader {leader}"));
    }
    std::thread::sleep(LONG_ENOUGH.saturating_sub(cut.elapsed()));
    if shape == Full {
        let before = run.load.acknowledged();
        std::thread::sleep(Duration::from_millis(500));
        let after = run.load.acknowledged();
        ensure!(after == before, "{} writes were acknowledged without any quorum", after - before);
    }
    network.heal()?;
    let healed = Instant::now();
    run.load.progress(WRITES)?;
    run.ensemble.wait_for_all()?;
    run.note(format!("whole {:.1?} after", healed.elapsed()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn shapes_cut_what_they_say() {
        let cuts = |shape: Shape| shape.cuts(3).into_iter().collect::<BTreeSet<_>>();
        let minority = cuts(LeaderInMinority);
        assert_eq!(minority.len(), 12);
        assert!(!minority.contains(&(3, 1)) && minority.contains(&(3, 5)) && minority.contains(&(4, 1)));
        assert_eq!(cuts(Full).len(), 20);
        assert_eq!(cuts(LeaderMute), BTreeSet::from([(3, 1), (3, 2), (3, 4), (3, 5)]));
        let ring = cuts(Ring);
        assert_eq!(ring.len(), 10);
        assert!(!ring.contains(&(1, 5)) && ring.contains(&(1, 3)));
        assert!(!cuts(Bridge).iter().any(|(from, to)| *from == 3 || *to == 3));
    }
}
