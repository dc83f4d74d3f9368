//! What writers notice of a snapshot: latencies of writes while one is being written, and without.
//!
//! The server decides when it writes one (`snapCount`); that it does is seen from its open files, so this works
//! for any server that has "snapshot" in the name of the file it writes.

use crate::cli::SnapshotArgs;
use crate::engine::{self, Length, Watcher};
use crate::load;
use crate::process::Processes;
use crate::report::{Latency, Report};
use crate::source::{Rotation, Template};
use anyhow::{Result, bail};
use std::sync::Arc;

const IN_FILE_NAME: &str = "snapshot";
const NODES: usize = 100;

pub fn run(args: &SnapshotArgs) -> Result<Report> {
    let processes = args.target.processes();
    if processes.0.is_empty() {
        bail!("whether a snapshot is written is seen from the process: give --pid");
    }
    let paths = load::prepare(&args.target, NODES, args.size)?;
    let value = load::value(args.size);
    let templates: Arc<[Template]> = paths.iter().map(|path| Template::set_data(path, &value)).collect();
    let sources = (0..args.connections).map(|n| Rotation::new(templates.clone(), n * 7)).collect();
    let mut snapshots = Snapshots { processes, active: false, ended: 0, wanted: args.snapshots };
    let bar = load::spinner("snapshot: writes");
    let setup = load::setup(&args.target, args.depth);
    let outcome = engine::run(&setup, sources, Length::Time(args.warm_up, args.limit), &bar, &mut snapshots)?;
    bar.finish_and_clear();
    let tally = &outcome.tally;
    let (Some(calm), Some(disturbed)) = (Latency::of(tally.calm()), Latency::of(tally.disturbed())) else {
        bail!("no snapshot was written, or one all the time: set snapCount of the server to fit");
    };
    let mut report = Report::new(format!(
        "snapshot: writes of {} connections x {} in flight around {} snapshots",
        args.connections, args.depth, snapshots.ended
    ));
    report.add(&outcome);
    report.figure("snapshots", f64::from(snapshots.ended));
    report.figure("writes_without", tally.calm().len() as f64);
    report.figure("writes_with", tally.disturbed().len() as f64);
    report.figure("p50_us_without", calm.p50_us);
    report.figure("p50_us_with", disturbed.p50_us);
    report.figure("p999_us_without", calm.p999_us);
    report.figure("p999_us_with", disturbed.p999_us);
    report.figure("max_us_without", calm.max_us);
    report.figure("max_us_with", disturbed.max_us);
    report.figure("p999_ratio", disturbed.p999_us / calm.p999_us);
    Ok(report)
}

/// Sees snapshots come and go.
struct Snapshots {
    processes: Processes,
    active: bool,
    ended: u32,
    wanted: u32,
}

impl Watcher for Snapshots {
    fn disturbed(&mut self) -> Result<bool> {
        let active = self.processes.has_open(IN_FILE_NAME)?;
        self.ended += u32::from(self.active && !active);
        self.active = active;
        Ok(active)
    }

    fn satisfied(&self) -> bool {
        self.ended >= self.wanted
    }
}
