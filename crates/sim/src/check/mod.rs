//! What must hold of a server's or an ensemble's history, one rule per file. A rule that is broken gives a sentence
//! that says how.
//!
//! All of them lean on [`Truth`]: the transactions that were committed, in their one order, the model's state along
//! them, and what each server certainly has on its disk. Writes are totally ordered by zxid, so checking takes time in
//! proportion to what happened.

pub mod acknowledged;
pub mod agreement;
pub mod durable;
pub mod epochs;
mod history;
pub mod order;
pub mod packets;
pub mod reads;
mod replica;
pub mod sessions;
pub mod state;
pub mod watches;
pub mod writes;

pub use history::{History, View};
pub use replica::Replica;

use std::collections::BTreeMap;

/// Which rule, and how it was broken.
pub type Broken = String;

/// Everything that the rules look at.
pub struct Truth {
    pub history: History,
    /// By server: voters first, then observers.
    pub replicas: Vec<Replica>,
    pub voters: usize,
    /// Who began each epoch.
    leaders: BTreeMap<i64, usize>,
    /// The last zxid that any client got for a write.
    told: i64,
    /// When each server, as the leader, certainly heard from a session, in its ms.
    heard_ms: Vec<BTreeMap<i64, Vec<i64>>>,
}

impl Truth {
    /// Of servers that all begin with an empty tree at `base`.
    pub fn new(voters: usize, observers: usize, base: i64) -> Truth {
        let servers = voters + observers;
        Truth {
            history: History::new(base, voters > 1),
            replicas: (0..servers).map(|_| Replica::new(base)).collect(),
            voters,
            leaders: BTreeMap::new(),
            told: 0,
            heard_ms: vec![BTreeMap::new(); servers],
        }
    }

    /// Whether a majority of the voters satisfies `condition`.
    fn majority(&self, condition: impl Fn(&Replica) -> bool) -> bool {
        self.replicas[..self.voters].iter().filter(|r| condition(r)).count() > self.voters / 2
    }
}
