//! A run: many sequences to two servers, each sequence to both at the same time.

use crate::compare::{Difference, first_difference};
use crate::conversation::{self, Plan, Transcript};
use crate::coverage::Coverage;
use crate::explained::{EXPLAINED, Explained, explain};
use crate::shrink::shrink;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// What one sequence led to.
#[derive(Debug)]
pub enum Outcome {
    Same,
    Explained(&'static Explained),
    Different(Box<Difference>),
}

/// Both records of a plan.
pub fn both(addresses: [SocketAddr; 2], plan: &Plan) -> Result<[Transcript; 2]> {
    let [a, b] = addresses;
    let (first, second) = std::thread::scope(|scope| {
        let other = scope.spawn(|| conversation::run(b, plan));
        (conversation::run(a, plan), other.join().expect("a conversation does not panic"))
    });
    Ok([
        first.with_context(|| format!("sequence {} failed at {a}", plan.seed))?,
        second.with_context(|| format!("sequence {} failed at {b}", plan.seed))?,
    ])
}

pub fn judge(plan: &Plan, records: &[Transcript; 2]) -> Outcome {
    match first_difference(&records[0], &records[1]) {
        None => Outcome::Same,
        Some(difference) => match explain(plan, &difference) {
            Some(explained) => Outcome::Explained(explained),
            None => Outcome::Different(Box::new(difference)),
        },
    }
}

/// How often shrinking may try a plan again.
const SHRINK_TRIES: u32 = 250;

/// A shorter plan with a difference at the same kind of place, and that difference.
pub fn shrink_difference(addresses: [SocketAddr; 2], plan: &Plan) -> Result<Option<(Plan, Box<Difference>)>> {
    let different = |plan: &Plan| -> Result<Option<Box<Difference>>> {
        match judge(plan, &both(addresses, plan)?) {
            Outcome::Different(difference) => Ok(Some(difference)),
            Outcome::Same | Outcome::Explained(_) => Ok(None),
        }
    };
    let shortest = shrink(plan, SHRINK_TRIES, |plan| Ok(different(plan)?.is_some()))?;
    Ok(different(&shortest)?.map(|difference| (shortest, difference)))
}

/// The sums of a run.
#[derive(Debug, Default)]
pub struct Totals {
    pub sequences: u64,
    pub records: u64,
    pub different: u64,
    pub coverage: Coverage,
    explained: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Does one plan to both servers and adds it up; an unexplained difference is returned.
    pub fn sequence(&mut self, addresses: [SocketAddr; 2], plan: &Plan) -> Result<Option<Box<Difference>>> {
        let records = both(addresses, plan)?;
        self.sequences += 1;
        self.records += records[0].records.len() as u64;
        self.coverage.add(&records[0].coverage);
        match judge(plan, &records) {
            Outcome::Same => Ok(None),
            Outcome::Explained(e) => {
                *self.explained.entry(e.name).or_default() += 1;
                Ok(None)
            }
            Outcome::Different(difference) => {
                self.different += 1;
                Ok(Some(difference))
            }
        }
    }

    /// The explained differences with their reasons and how often each was met.
    pub fn explained(&self) -> String {
        EXPLAINED
            .iter()
            .map(|e| {
                let n = self.explained.get(e.name).copied().unwrap_or_default();
                format!("  {n:5} x {}: {}\n", e.name, e.reason)
            })
            .collect()
    }
}
