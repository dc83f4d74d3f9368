//! What a seed decides before anything happens: the ensemble's shape, its settings, and how much goes wrong.

use super::Options;
use crate::Rng;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Plan {
    pub voters: usize,
    pub observers: usize,
    pub clients: usize,
    pub tick_ms: i64,
    /// The longest pause of a client between requests.
    pub think_us: u64,
    /// Where the history begins.
    pub base: i64,
    /// The last number of each epoch.
    pub last_counter: u32,
    /// Snapshots are taken after half to all of so many transactions.
    pub snapshot_txns: u64,
    pub snapshot_size_factor: f64,
    pub force_snapshot_sync: bool,
    /// How often something goes wrong.
    pub strikes: u64,
    /// Observers follow followers, never the leader.
    pub observer_masters: bool,
}

impl Plan {
    pub fn draw(seed: u64, options: Options) -> Plan {
        let mut rng = Rng::new(seed ^ 0x706c_616e);
        let voters = match rng.below(10) {
            0 => 7,
            1..=2 => 5,
            _ => 3,
        };
        let voters = options.servers.unwrap_or(voters);
        let observers = match rng.below(10) {
            0 => 2,
            1..=4 => 1,
            _ => 0,
        };
        let alone = voters == 1;
        let near_the_end = !alone && rng.chance(5);
        let short_epochs = rng.chance(20);
        Plan {
            voters,
            observers: if alone { 0 } else { options.observers.unwrap_or(observers) },
            clients: options.clients,
            tick_ms: if alone { 2000 } else { 500 },
            base: if near_the_end { 0x2_0000_0000 - 60 - rng.below(800) as i64 } else { 0 },
            last_counter: if short_epochs { 60 + rng.below(400) as u32 } else { zab::LAST_COUNTER },
            snapshot_txns: *rng.pick(&[20, 60, 150, 400]),
            think_us: *rng.pick(&[400_000, 400_000, 1_200_000]),
            snapshot_size_factor: *rng.pick(&[0.33, 0.33, 3.0, 100.0, -1.0]),
            force_snapshot_sync: rng.chance(4),
            strikes: 10 + rng.below(15),
            observer_masters: rng.chance(50),
        }
    }

    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }

    pub fn hosts(&self) -> usize {
        self.servers() + self.clients
    }
}
