//! A run: many sequences to two servers, each sequence to both at the same time.

use crate::compare::{Difference, first_difference, report};
use crate::conversation::{self, Plan, Transcript};
use crate::coverage::Coverage;
use crate::explained::{EXPLAINED, Explained, explain};
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
        first.with_context(|| format!("the server at {a} is gone"))?,
        second.with_context(|| format!("the server at {b} is gone"))?,
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
    /// Does one plan to both servers and adds it up; the text of an unexplained difference is returned.
    pub fn sequence(
        &mut self,
        addresses: [SocketAddr; 2],
        plan: &Plan,
        names: [&str; 2],
    ) -> Result<Option<String>> {
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
                Ok(Some(report(plan, &difference, names)))
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
