//! Results, for people and as JSON.

use crate::engine::Outcome;
use crate::process::Memory;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Latency {
    pub p50_us: f64,
    pub p99_us: f64,
    pub p999_us: f64,
    pub max_us: f64,
}

impl Latency {
    pub fn of(histogram: &Histogram<u64>) -> Option<Self> {
        let at = |quantile: f64| histogram.value_at_quantile(quantile) as f64 / 1e3;
        let max_us = histogram.max() as f64 / 1e3;
        (!histogram.is_empty()).then(|| Latency {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us,
        })
    }
}

/// What the server used in the measured part.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServerUse {
    pub cpu_s: f64,
    /// Operations per second of the server's processor time.
    pub ops_per_cpu_s: f64,
    #[serde(flatten)]
    pub memory: Memory,
}

/// One measured part.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Round {
    pub seconds: f64,
    pub operations: u64,
    pub ops_per_s: f64,
    pub latency: Option<Latency>,
    pub server: Option<ServerUse>,
    /// Operations per second of the load generator's own processor time.
    pub ops_per_own_cpu_s: f64,
}

impl Round {
    pub fn of(outcome: &Outcome) -> Self {
        let operations = outcome.tally.operations();
        let seconds = outcome.elapsed.as_secs_f64();
        let mut all = outcome.tally.calm().clone();
        all.add(outcome.tally.disturbed()).expect("histograms of one construction can be added");
        let server = outcome.server_cpu_s.zip(outcome.server_memory).map(|(cpu_s, memory)| ServerUse {
            cpu_s,
            ops_per_cpu_s: operations as f64 / cpu_s.max(0.01),
            memory,
        });
        Round {
            seconds,
            operations,
            ops_per_s: operations as f64 / seconds,
            latency: Latency::of(&all),
            server,
            ops_per_own_cpu_s: operations as f64 / outcome.own_cpu_s.max(0.01),
        }
    }

    /// What rounds are compared by: the rate per processor second where it is known.
    fn rank(&self) -> f64 {
        self.server.map_or(self.ops_per_s, |server| server.ops_per_cpu_s)
    }
}

/// Everything that one call of the load generator showed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub workload: String,
    pub rounds: Vec<Round>,
    /// The median round.
    pub median: Option<Round>,
    /// Figures that only this workload has.
    pub figures: BTreeMap<&'static str, f64>,
    /// Refusals by error code, warm-up included.
    pub errors: BTreeMap<i32, u64>,
}

impl Report {
    pub fn new(workload: impl Into<String>) -> Self {
        Report {
            workload: workload.into(),
            rounds: Vec::new(),
            median: None,
            figures: BTreeMap::new(),
            errors: BTreeMap::new(),
        }
    }

    pub fn add(&mut self, outcome: &Outcome) {
        self.rounds.push(Round::of(outcome));
        for (code, count) in outcome.tally.errors() {
            *self.errors.entry(*code).or_default() += count;
        }
        let mut sorted: Vec<&Round> = self.rounds.iter().collect();
        sorted.sort_by(|a, b| a.rank().total_cmp(&b.rank()));
        self.median = sorted.get((sorted.len() - 1) / 2).map(|round| (*round).clone());
    }

    pub fn figure(&mut self, name: &'static str, value: f64) {
        self.figures.insert(name, value);
    }

    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{}", self.workload)?;
        for (number, round) in self.rounds.iter().enumerate() {
            writeln!(out, "  round {}: {round}", number + 1)?;
        }
        if let (Some(median), true) = (&self.median, self.rounds.len() > 1) {
            writeln!(out, "  median:  {median}")?;
        }
        if let Some(server) = self.median.as_ref().and_then(|round| round.server) {
            let mib = |kb: u64| kb as f64 / 1024.0;
            let (now, peak) = (mib(server.memory.resident_kb), mib(server.memory.peak_kb));
            writeln!(out, "  server memory: {now:.1} MiB resident, {peak:.1} MiB at most")?;
        }
        for (name, value) in &self.figures {
            writeln!(out, "  {name}: {value:.3}")?;
        }
        for (code, count) in &self.errors {
            writeln!(out, "  ERROR {code}: {count} times")?;
        }
        Ok(())
    }
}

impl fmt::Display for Round {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:>9.0} ops/s", self.ops_per_s)?;
        if let Some(l) = self.latency {
            let (p50, p99, p999, max) = (l.p50_us, l.p99_us, l.p999_us, l.max_us);
            write!(out, "  p50 {p50:.0} p99 {p99:.0} p99.9 {p999:.0} max {max:.0} us")?;
        }
        if let Some(s) = self.server {
            write!(out, "  {:.0} ops/server-cpu-s ({:.2} cores)", s.ops_per_cpu_s, s.cpu_s / self.seconds)?;
        }
        write!(out, "  load: {:.0} ops/cpu-s", self.ops_per_own_cpu_s)
    }
}
