//! The simulator over a few seeds of ensembles: no rule is broken, a seed gives one history, and what is to be reached
//! is reached. The long run is `cargo run --release -p sim -- --seeds N`.

use sim::world::{Options, simulate};
use std::collections::BTreeMap;

#[test]
fn no_rule_is_broken_in_ensembles_and_everything_common_is_reached() {
    let mut marks: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut requests, mut faults) = (0, 0);
    const SEEDS: u64 = 30;
    for seed in 0..SEEDS {
        let outcome = simulate(seed, Options::default());
        assert_eq!(outcome.broken, None, "seed {seed}");
        assert!(outcome.requests >= 500 && outcome.faults >= 10, "seed {seed}: {outcome:?}");
        assert!(outcome.virtual_ms >= 60_000);
        (requests, faults) = (requests + outcome.requests, faults + outcome.faults);
        for (name, n) in outcome.marks {
            *marks.entry(name).or_default() += n;
        }
    }
    for wanted in [
        "crash: power cut",
        "crash: power cut of all",
        "crash: process",
        "disk: server stopped",
        "election: done",
        "epoch: begun",
        "epoch: zxid rollover",
        "log: rolled",
        "observer: joined",
        "partition: in two",
        "partition: one server",
        "partition: one way in",
        "partition: one way out",
        "pause",
        "session: expired",
        "session: moved",
        "snapshot: written",
        "sync: DIFF",
        "sync: SNAP",
        "sync: TRUNC",
        "sync: from the log on disk",
        "watches: fired",
        "watches: set again",
        "write: done",
    ] {
        assert!(marks.contains_key(wanted), "never reached: {wanted} ({marks:?})");
    }
    assert!(requests > SEEDS * 800 && faults > SEEDS * 12, "{requests} requests, {faults} faults");
}

#[test]
fn a_seed_is_a_whole_history_of_an_ensemble() {
    let options = Options { seconds: 20, ..Options::default() };
    for seed in [5, 11] {
        assert_eq!(simulate(seed, options), simulate(seed, options));
    }
    assert_ne!(simulate(1, options).hash, simulate(2, options).hash);
}

#[test]
fn every_size_works_without_faults_in_between() {
    for servers in [1, 3, 5, 7] {
        for observers in [0, 2] {
            let options = Options {
                seconds: 3,
                servers: Some(servers),
                observers: Some(observers),
                ..Options::default()
            };
            assert_eq!(simulate(40 + servers as u64, options).broken, None, "{servers} and {observers}");
        }
    }
}
