//! Results: a line per check as a suite goes, and a table of suites at the end.
use anyhow::Error;
use std::time::{Duration, Instant};

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: String,
    /// What went wrong, if anything.
    pub failure: Option<String>,
}

/// The checks of one suite on one server.
#[derive(Clone, Debug)]
pub struct Suite {
    pub name: String,
    pub server: String,
    pub checks: Vec<Check>,
    pub took: Duration,
    /// Why this machine cannot run it. It is shown as skipped, never as passed.
    pub skipped: Option<String>,
    started: Instant,
}

impl Suite {
    pub fn start(name: &str, server: &str) -> Suite {
        let (name, server) = (name.to_owned(), server.to_owned());
        let (checks, took, started) = (Vec::new(), Duration::ZERO, Instant::now());
        Suite { name, server, checks, took, skipped: None, started }
    }

    /// Adds one result; a failure is shown at once.
    pub fn add(&mut self, name: &str, failure: Option<String>) {
        if let Some(reason) = &failure {
            println!("  FAIL {} on {}: {name}: {reason}", self.name, self.server);
        }
        self.checks.push(Check { name: name.to_owned(), failure });
    }

    /// Adds one result given as Rust gives it.
    pub fn add_result(&mut self, name: &str, result: Result<(), Error>) {
        self.add(name, result.err().map(|error| format!("{error:#}")));
    }

    /// Says that this machine cannot run the suite.
    pub fn skip(&mut self, reason: &str) {
        println!("  SKIP {} on {}: {reason}", self.name, self.server);
        self.skipped = Some(reason.to_owned());
    }

    /// Ends the suite with a progress line.
    pub fn finish(mut self) -> Suite {
        self.took = self.started.elapsed();
        println!("{}", self.summary());
        self
    }

    pub fn failures(&self) -> usize {
        self.checks.iter().filter(|check| check.failure.is_some()).count()
    }

    /// A suite without a single check proves nothing and counts as failed, unless it says why it was skipped.
    pub fn passed(&self) -> bool {
        self.failures() == 0 && (self.skipped.is_some() || !self.checks.is_empty())
    }

    fn summary(&self) -> String {
        let (passed, all) = (self.checks.len() - self.failures(), self.checks.len());
        let word = match (self.passed(), &self.skipped) {
            (false, _) => "FAIL",
            (true, Some(_)) => "SKIP",
            (true, None) => "ok  ",
        };
        let seconds = self.took.as_secs_f64();
        format!("{word} {:<24} {:<14} {passed:>3}/{all:<3} {seconds:>6.1} s", self.name, self.server)
    }
}

/// All suites of a run as a table, with the failed checks named below it.
pub fn table(suites: &[Suite]) -> String {
    let mut text = String::from("     suite                    server          checks       time\n");
    for suite in suites {
        text += &format!("{}\n", suite.summary());
    }
    let all: usize = suites.iter().map(|suite| suite.checks.len()).sum();
    let failed: usize = suites.iter().map(Suite::failures).sum();
    text +=
        &format!("total: {} suites, {all} checks, {} passed, {failed} failed\n", suites.len(), all - failed);
    for suite in suites {
        if let Some(reason) = &suite.skipped {
            text += &format!("  SKIP {} on {}: {reason}\n", suite.name, suite.server);
        }
        let bad = suite.checks.iter().filter_map(|check| Some((&check.name, check.failure.as_ref()?)));
        for (name, reason) in bad {
            text += &format!("  FAIL {} on {}: {name}: {reason}\n", suite.name, suite.server);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_counts_and_names_failures() {
        let mut good = Suite::start("good", "s");
        good.add("one", None);
        let mut bad = Suite::start("bad", "s");
        bad.add("two", None);
        bad.add("three", Some("broke".into()));
        assert!(good.passed() && !bad.passed() && !Suite::start("empty", "s").passed());
        let mut skipped = Suite::start("skipped", "s");
        skipped.skip("not here");
        assert!(skipped.passed() && table(&[skipped.clone()]).contains("SKIP skipped on s: not here"));
        skipped.add("but", Some("broke".into()));
        assert!(!skipped.passed());
        let text = table(&[good, bad]);
        assert!(text.contains("total: 2 suites, 3 checks, 2 passed, 1 failed"), "{text}");
        assert!(text.contains("FAIL bad on s: three: broke"), "{text}");
    }
}
