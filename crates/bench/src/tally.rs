//! Counts and latencies of one thread; several are added up at the end.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;

/// Longest latency told apart from longer ones.
const MAX_NS: u64 = 120_000_000_000;

#[derive(Debug, Clone)]
pub struct Tally {
    measuring: bool,
    /// Requests sent before this time count as disturbed.
    disturbed_until_ns: u64,
    calm: Histogram<u64>,
    disturbed: Histogram<u64>,
    errors: BTreeMap<i32, u64>,
}

impl Tally {
    pub fn new() -> Self {
        let histogram =
            Histogram::new_with_max(MAX_NS, 3).expect("3 digits up to two minutes is a valid range");
        Tally {
            measuring: false,
            disturbed_until_ns: 0,
            calm: histogram.clone(),
            disturbed: histogram,
            errors: BTreeMap::new(),
        }
    }

    /// Sets for the following replies whether they count, and which of them belong to a disturbance.
    pub fn observe(&mut self, measuring: bool, disturbed_until_ns: u64) {
        self.measuring = measuring;
        self.disturbed_until_ns = disturbed_until_ns;
    }

    #[inline]
    pub fn record(&mut self, sent_ns: u64, now_ns: u64) {
        if self.measuring {
            let disturbed = sent_ns < self.disturbed_until_ns;
            let histogram = if disturbed { &mut self.disturbed } else { &mut self.calm };
            histogram.saturating_record(now_ns.saturating_sub(sent_ns));
        }
    }

    /// Counts a refusal, also one during the warm-up: it is never expected.
    pub fn refused(&mut self, code: i32) {
        *self.errors.entry(code).or_default() += 1;
    }

    pub fn errors(&self) -> &BTreeMap<i32, u64> {
        &self.errors
    }

    /// Latencies in ns outside any disturbance.
    pub fn calm(&self) -> &Histogram<u64> {
        &self.calm
    }

    /// Latencies in ns of requests that were in flight during a disturbance.
    pub fn disturbed(&self) -> &Histogram<u64> {
        &self.disturbed
    }

    pub fn operations(&self) -> u64 {
        self.calm.len() + self.disturbed.len()
    }

    pub fn add(&mut self, other: &Tally) {
        let same = "histograms of one construction can be added";
        self.calm.add(&other.calm).expect(same);
        self.disturbed.add(&other.disturbed).expect(same);
        for (code, count) in &other.errors {
            *self.errors.entry(*code).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_measured_replies_count_and_disturbed_ones_apart() {
        let mut tally = Tally::new();
        tally.record(0, 10);
        tally.observe(true, 100);
        tally.record(99, 120);
        tally.record(100, 110);
        let mut sum = Tally::new();
        sum.add(&tally);
        sum.add(&tally);
        assert_eq!((sum.operations(), sum.calm().len(), sum.disturbed().max()), (4, 2, 21));
    }
}
