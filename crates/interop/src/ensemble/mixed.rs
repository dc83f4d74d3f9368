//! The mixed matrix: every split of an ensemble between two kinds of servers, each kind leading, under every fault.
//!
//! One kind is Apache's reference release. The other is the server that the run is about; for a run about Apache
//! it is an older release, so that a split is one there as well.
use super::place::Layout;
use super::scenarios::{self, Run, Scenario};
use super::verify::Account;
use super::{Ensemble, Plan};
use crate::apache;
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::time::Instant;

/// The release that stands in for ours when the run is about Apache.
const OTHER_APACHE: &str = "3.8.6";

/// The release that makes three kinds of a split.
const THIRD: &str = "3.7.2";
/// How often a scenario is run on one ensemble of the long form.
const ROUNDS: usize = 3;

/// The two kinds of a run: who is there, and who joins.
pub fn kinds(options: &Options) -> (ServerKind, ServerKind) {
    let reference = ServerKind::Apache(apache::REFERENCE.to_owned());
    match &options.server {
        ServerKind::Rookeeper => (reference, ServerKind::Rookeeper),
        ServerKind::Apache(_) => (reference, ServerKind::Apache(OTHER_APACHE.to_owned())),
    }
}

/// How a certain member is made the leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lead {
    /// The largest id is in the first quorum.
    Id,
    /// The first quorum is without the largest id, which joins later.
    Order,
    /// The smallest id has transactions that its partner in the election lacks.
    Zxid,
}

struct Case {
    voters: Vec<ServerKind>,
    observer: Option<ServerKind>,
    lead: Lead,
    layout: Layout,
    scenarios: Vec<Scenario>,
    seed: u64,
}

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("mixed", &options.server.to_string());
    for case in cases(options) {
        let since = Instant::now();
        let result = case.run().with_context(|| format!("seed {}", case.seed));
        if let Ok(account) = &result {
            println!("  mixed {}: {:.1?}: {account}", case.name(), since.elapsed());
        }
        suite.add_result(&case.name(), result.map(drop));
    }
    Ok(suite.finish())
}

fn cases(options: &Options) -> Vec<Case> {
    let mut cases = if options.long { long_form(options) } else { short_form(options) };
    if let Some(rounds) = options.rounds {
        Rng::with_seed(options.seed).shuffle(&mut cases);
        cases.truncate(rounds);
    }
    for (number, case) in cases.iter_mut().enumerate() {
        case.seed = options.seed.wrapping_add(number as u64);
    }
    cases
}

/// Three members, each kind once in the minority, all scenarios spread over the cases.
fn short_form(options: &Options) -> Vec<Case> {
    let (base, guest) = kinds(options);
    let case = |voters: [&ServerKind; 3], lead, layout, names: &[&str]| Case {
        voters: voters.map(Clone::clone).to_vec(),
        observer: None,
        lead,
        layout,
        scenarios: names.iter().map(|name| scenarios::named(name)).collect(),
        seed: 0,
    };
    let mut cases = vec![
        case(
            [&base, &base, &guest],
            Lead::Id,
            Layout::Ports,
            &["extra-truncated", "leader-kill", "empty-folder"],
        ),
        case([&base, &guest, &guest], Lead::Zxid, Layout::Addresses, &["short-behind", "leader-pause"]),
        case([&guest, &base, &base], Lead::Order, Layout::Ports, &["stale-folder", "all-at-once"]),
        case([&guest, &guest, &base], Lead::Id, Layout::Ports, &["follower-kill", "extra-other-epoch"]),
    ];
    cases[0].observer = Some(base);
    cases[3].observer = Some(guest);
    cases
}

/// Three and five members, every split, each kind leading, and three kinds at once; every scenario on its own.
fn long_form(options: &Options) -> Vec<Case> {
    let (base, guest) = kinds(options);
    let mut casts: Vec<Vec<ServerKind>> = Vec::new();
    for size in [3, 5] {
        for guests in 0..=size {
            for guest_leads in [false, true] {
                if (guests == 0 && guest_leads) || (guests == size && !guest_leads) {
                    continue;
                }
                casts.push(split(size, guests, guest_leads, &base, &guest));
            }
        }
    }
    let mut three = [base.clone(), ServerKind::Apache(THIRD.to_owned()), guest.clone()];
    for _ in 0..3 {
        casts.push(three.to_vec());
        three.rotate_left(1);
    }
    let mut cases = Vec::new();
    for voters in casts {
        for (number, scenario) in scenarios::ALL.into_iter().enumerate() {
            // An observer of each kind, in turn with none.
            let observer = [None, Some(base.clone()), Some(guest.clone())][number % 3].clone();
            let layout = [Layout::Ports, Layout::Addresses][number % 2];
            let (voters, scenarios) = (voters.clone(), vec![scenario; ROUNDS]);
            cases.push(Case { voters, observer, lead: Lead::Id, layout, scenarios, seed: 0 });
        }
    }
    cases
}

/// So many guests among the voters; the largest id, which wins the first election, is of the kind that shall lead.
fn split(
    size: usize,
    guests: usize,
    guest_leads: bool,
    base: &ServerKind,
    guest: &ServerKind,
) -> Vec<ServerKind> {
    let bases = vec![base.clone(); size - guests];
    let guests = vec![guest.clone(); guests];
    if guest_leads { [bases, guests].concat() } else { [guests, bases].concat() }
}

impl Case {
    fn name(&self) -> String {
        let voters: Vec<String> =
            self.voters.iter().map(|kind| kind.to_string().replace("apache-", "")).collect();
        let observer =
            self.observer.as_ref().map(|kind| format!("+o{}", kind.to_string().replace("apache-", "")));
        let mut names: Vec<&str> = self.scenarios.iter().map(|scenario| scenario.name).collect();
        names.dedup();
        format!(
            "{}{} led by {:?}: {}",
            voters.join("+"),
            observer.unwrap_or_default(),
            self.lead,
            names.join(", ")
        )
    }

    fn run(&self) -> Result<Account> {
        let folder: String =
            self.name().chars().map(|letter| if letter.is_alphanumeric() { letter } else { '-' }).collect();
        let mut plan = Plan::voters(&format!("mixed/{folder}"), &self.voters).layout(self.layout);
        if let Some(kind) = &self.observer {
            plan = plan.observer(kind);
        }
        let mut ensemble = plan.build()?;
        let wanted = self.start(&mut ensemble)?;
        let mut run = Run::on(ensemble, self.seed)?;
        if self.lead == Lead::Zxid {
            lead_by_zxid(&mut run)?;
        }
        let leader = run.ensemble.wait_for_leader()?;
        ensure!(leader == wanted, "member {leader} leads, but it should be {wanted}");
        for scenario in &self.scenarios {
            run.go(*scenario)?;
        }
        run.verify()
    }

    /// Starts all members and returns who shall lead.
    ///
    /// A bare quorum starts first, so that none of it can be done without: its largest id wins, however long the
    /// one or the other takes to start.
    fn start(&self, ensemble: &mut Ensemble) -> Result<u8> {
        let voters = self.voters.len() as u8;
        let first = if self.lead == Lead::Order { voters - 1 } else { voters };
        for id in (1..=voters / 2).chain([first]) {
            ensemble.member(id).start()?;
        }
        let leader = ensemble.wait_for_leader()?;
        ensure!(leader == first, "member {leader} leads, but {first} has the largest id of the first quorum");
        ensemble.start_all()?;
        Ok(if self.lead == Lead::Zxid { 1 } else { first })
    }
}

/// Makes member 1 of three the leader: it alone has all transactions when the leader goes and a server that had
/// been away comes back.
fn lead_by_zxid(run: &mut Run) -> Result<()> {
    run.ensemble.member(2).stop()?;
    run.load.progress(20)?;
    run.load.rest()?;
    run.ensemble.member(3).stop()?;
    run.ensemble.member(2).start()?;
    run.ensemble.wait_for_leader()?;
    run.load.go_on();
    run.ensemble.member(3).start()?;
    run.ensemble.wait_for_all().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(long: bool) -> Options {
        Options { server: ServerKind::Rookeeper, only: None, long, seed: 1, rounds: None }
    }

    #[test]
    fn the_long_form_has_every_split_with_each_kind_leading() {
        let third = ServerKind::Apache(THIRD.to_owned());
        let (three, cases): (Vec<Case>, Vec<Case>) =
            cases(&options(true)).into_iter().partition(|case| case.voters.contains(&third));
        assert_eq!(
            three.iter().filter(|case| case.voters[2] == ServerKind::Rookeeper).count(),
            scenarios::ALL.len()
        );
        for size in [3, 5] {
            for guests in 0..=size {
                let here = cases.iter().filter(|case| {
                    case.voters.len() == size
                        && case.voters.iter().filter(|kind| **kind == ServerKind::Rookeeper).count() == guests
                });
                let leaders: std::collections::BTreeSet<_> =
                    here.map(|case| case.voters.last().cloned()).collect();
                assert_eq!(leaders.len(), if guests == 0 || guests == size { 1 } else { 2 });
            }
        }
        assert!(cases.iter().any(|case| case.observer == Some(ServerKind::Rookeeper)));
    }

    #[test]
    fn every_kind_leads_in_the_short_form() {
        let cases = cases(&options(false));
        assert!(cases.iter().any(|case| case.voters[2] == ServerKind::Rookeeper && case.lead == Lead::Id));
        assert!(cases.iter().any(|case| case.voters[2] != ServerKind::Rookeeper && case.lead == Lead::Id));
    }
}
