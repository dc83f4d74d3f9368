//! The simulator over a few seeds: no rule is broken, a seed gives one history, and what is to be reached is reached.

use sim::world::{Options, simulate};
use std::collections::BTreeMap;

#[test]
fn no_rule_is_broken_and_everything_is_reached() {
    let mut marks: BTreeMap<&str, u64> = BTreeMap::new();
    for seed in 0..60 {
        let outcome = simulate(seed, Options { servers: Some(1), ..Options::default() });
        assert_eq!(outcome.broken, None, "seed {seed}");
        for (name, n) in outcome.marks {
            *marks.entry(name).or_default() += n;
        }
    }
    for wanted in [
        "client: gave up waiting",
        "client: hung up",
        "client: re-attached",
        "client: session was gone",
        "clock: step at restart",
        "crash: power cut",
        "crash: process",
        "disk: server stopped",
        "log: rolled",
        "recovery: failed by a fault",
        "recovery: torn tail",
        "session: closed",
        "session: expired",
        "snapshot: purged",
        "snapshot: written",
        "watches: fired",
        "watches: set again",
        "write: done",
        "write: refused",
    ] {
        assert!(marks.contains_key(wanted), "never reached: {wanted} ({marks:?})");
    }
}

#[test]
fn a_seed_is_a_whole_history() {
    for seed in [3, 17] {
        let options = Options { seconds: 20, servers: Some(1), ..Options::default() };
        assert_eq!(simulate(seed, options), simulate(seed, options));
    }
    let hash = |seed| simulate(seed, Options { seconds: 5, servers: Some(1), ..Options::default() }).hash;
    assert_ne!(hash(1), hash(2));
}
