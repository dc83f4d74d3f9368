//! Elections under random faults: 3 to 7 servers on links that delay, lose, break and repeat stale messages; servers that
//! stop and come back; random histories; majorities, weights and groups; observers; peers of the old format. The world
//! checks every decision (`decisions.rs`), and when the faults end everybody must agree soon.
//!
//! A failure names its seed; `SEED=n cargo test -p zab --test random` plays that one alone.

#![allow(clippy::disallowed_methods, reason = "the seed comes from the environment")]

mod decisions;
mod hostile;
mod rng;
mod world;

use rng::Rng;
use world::World;
use zab::ServerId;
use zab::election::Standing;

const SEEDS: u64 = 400;
const FAULTY_MS: i64 = 20_000;
/// The last repetitions before the faults end may be far apart, and a wrong guess has to be noticed.
const SETTLE_MS: i64 = 5_000;

fn seeds() -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..SEEDS).collect(),
    }
}

/// What always holds is checked while the world turns; here, that it ends well.
#[test]
fn faults_never_mislead_an_election_and_it_ends_when_they_do() {
    let mut elections = 0;
    for seed in seeds() {
        let mut world = World::random(Rng::new(seed));
        world.run_until(FAULTY_MS);
        world.heal();
        let deadline = world.now_ms() + SETTLE_MS;
        while world.agreed_leader().is_none() {
            assert!(world.now_ms() < deadline, "seed {seed}: no agreement\n{}", world.show());
            world.run_until(world.now_ms() + 50);
        }
        elections += world.decisions.count();
    }
    assert!(elections > 10 * seeds().len(), "only {elections} decisions: nothing was tested");
}

/// Without faults everybody hears everybody: the best of all wins, when they start together and when the leader dies; and
/// then nobody waits.
#[test]
fn without_faults_the_best_wins_and_the_next_election_is_quick() {
    for seed in seeds() {
        let mut world = World::calm(Rng::new(seed));
        world.run_until(2_000);
        let first = best(&world, None);
        assert_eq!(world.agreed_leader(), Some(first), "seed {seed}\n{}", world.show());

        world.kill(first);
        let died_at = world.now_ms();
        let alive: Vec<ServerId> = world.alive();
        if !world.view.quorum.decides(&alive.iter().copied().collect()) {
            continue;
        }
        let second = best(&world, Some(first));
        while world.standing(second) != Standing::Leading {
            assert!(world.now_ms() < died_at + 150, "seed {seed}: too slow\n{}", world.show());
            world.run_until(world.now_ms() + 1);
        }
        world.run_until(died_at + 2_000);
        assert_eq!(world.agreed_leader(), Some(second), "seed {seed}\n{}", world.show());
    }
}

/// The voter with weight and the best history, other than `without`.
fn best(world: &World, without: Option<ServerId>) -> ServerId {
    let quorum = &world.view.quorum;
    let candidates = quorum.voters().iter().filter(|id| quorum.weight(**id) > 0 && Some(**id) != without);
    *candidates.max_by_key(|id| (world.own(**id).epoch, world.own(**id).zxid, **id)).expect("somebody")
}
