//! Whether an older (or any other) release of ZooKeeper could start on a data folder, and what it would trip over.
//!
//! A release starts from the newest snapshot that it can read, then reads the log file that reaches up to that snapshot
//! and all later ones. So a log can stop it even if a snapshot already covers it, and a snapshot that it passes over is
//! harmless as long as the logs behind an older one are complete. Both are followed here as that release would
//! (quorum-and-disk §3.4, §3.7, §4.3–§4.5, §8). Default settings are assumed on its side; where another setting helps,
//! that is said.

mod logs;
mod problem;
mod snapshots;

use crate::{Release, ToolError};
use journal::{Dir, Storage};
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write};

pub use problem::{Effect, Problem};
use snapshots::Choice;

/// What a release would make of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compatibility {
    pub target: Release,
    /// The snapshot that it would start from.
    pub snapshot: Option<String>,
    /// The log files that it would open.
    pub logs: Vec<String>,
    /// In the order in which it would meet them.
    pub findings: Vec<Finding>,
}

/// Something that the release cannot read, or not as it is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub dir: Dir,
    /// Empty if it concerns the folder as a whole.
    pub file: String,
    pub problem: Problem,
    /// Of the first transaction or znode that has it, or of the snapshot.
    pub zxid: i64,
    /// How often it occurs in this file.
    pub count: u64,
    /// The largest size of what is too large; 0 for other problems.
    pub largest_bytes: usize,
}

/// The worst of all findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    Readable,
    /// With the settings that the findings name.
    ReadableWithSettings,
    /// It would not start.
    Refused,
    /// It would start, and data would be missing or wrong.
    Unsafe,
}

/// Looks through the folder as `target` would. Changes nothing.
pub fn check<S: Storage>(storage: &S, target: Release) -> Result<Compatibility, ToolError> {
    let mut findings = Findings::default();
    let choice = snapshots::choose(storage, target, &mut findings)?;
    let (snapshot, start) = match &choice {
        Choice::From { name, zxid } => (Some(name.clone()), *zxid),
        Choice::None | Choice::AllRejected => (None, 0),
    };
    let logs = logs::check(storage, target, start, &mut findings)?;
    match choice {
        Choice::AllRejected => findings.add(Dir::Snapshot, "", Problem::NoGoodSnapshot, start),
        Choice::None if !logs.opened.is_empty() && target.misses_snapshot() => {
            findings.add(Dir::Snapshot, "", Problem::NoSnapshot, start);
        }
        Choice::None | Choice::From { .. } => {}
    }
    let newest = snapshots::newest(storage)?;
    if logs.reached < newest {
        findings.add(Dir::Snapshot, "", Problem::EndsEarly { reached: logs.reached }, newest);
    }
    Ok(Compatibility { target, snapshot, logs: logs.opened, findings: findings.in_order })
}

/// Findings of the same kind in the same file are one.
#[derive(Default)]
struct Findings {
    in_order: Vec<Finding>,
    places: BTreeMap<(Dir, String, Problem), usize>,
}

impl Findings {
    fn add(&mut self, dir: Dir, file: &str, problem: Problem, zxid: i64) {
        self.add_large(dir, file, problem, zxid, 0);
    }

    fn add_large(&mut self, dir: Dir, file: &str, problem: Problem, zxid: i64, bytes: usize) {
        let place = self.places.entry((dir, file.to_owned(), problem.clone()));
        let at = *place.or_insert(self.in_order.len());
        match self.in_order.get_mut(at) {
            Some(known) => {
                known.count += 1;
                known.largest_bytes = known.largest_bytes.max(bytes);
            }
            None => {
                let file = file.to_owned();
                self.in_order.push(Finding { dir, file, problem, zxid, count: 1, largest_bytes: bytes });
            }
        }
    }
}

impl Compatibility {
    pub fn verdict(&self) -> Verdict {
        let of = |finding: &Finding| match finding.effect(self.target) {
            Effect::PassedOver => Verdict::Readable,
            Effect::NeedsSetting => Verdict::ReadableWithSettings,
            Effect::Refused => Verdict::Refused,
            Effect::Lost => Verdict::Unsafe,
        };
        self.findings.iter().map(of).max().unwrap_or(Verdict::Readable)
    }

    /// Says it in lines, ending with the verdict.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let target = self.target;
        let snapshot = self.snapshot.as_deref().unwrap_or("none");
        writeln!(out, "ZooKeeper {target} would start from the snapshot: {snapshot}")?;
        writeln!(
            out,
            "and read the logs: {}",
            if self.logs.is_empty() { "none".into() } else { self.logs.join(" ") }
        )?;
        for finding in &self.findings {
            let Finding { file, zxid, count, .. } = finding;
            let place = if file.is_empty() { "the folder" } else { file };
            let often =
                if *count > 1 { format!(" ({count} times, this is the first)") } else { String::new() };
            writeln!(out, "{place}, zxid {zxid:#x}: {}{often}", finding.reason(target))?;
            if let Some(remedy) = finding.remedy(target) {
                writeln!(out, "    {remedy}")?;
            }
        }
        writeln!(out, "{}", self.verdict().sentence(target))
    }
}

impl Verdict {
    fn sentence(self, target: Release) -> impl fmt::Display {
        match self {
            Verdict::Readable => format!("ZooKeeper {target} can start on this folder."),
            Verdict::ReadableWithSettings => {
                format!("ZooKeeper {target} can start on this folder with the settings named above.")
            }
            Verdict::Refused => format!("ZooKeeper {target} would refuse to start on this folder."),
            Verdict::Unsafe => format!(
                "ZooKeeper {target} must not be started on this folder: it would start, and data would be lost."
            ),
        }
    }
}
