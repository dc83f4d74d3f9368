//! Load on any server that speaks ZooKeeper's client protocol, and what it costs there.
//!
//! What counts is operations per second of the *server's* processor time, so the load may share the machine with
//! the server; it must only be cheap enough not to starve it. Hence: few threads, requests encoded before the run,
//! one read and one write call per connection and wake-up, and of a reply only what proves it right (length, xid,
//! zxid, error code). [`floor`] is a server that does nothing else either; it shows what the system allows.

mod cli;
mod creates;
mod engine;
mod floor;
mod frames;
mod gap;
mod load;
mod pipeline;
mod placement;
mod process;
mod report;
mod sessions;
mod snapshot;
mod source;
mod storm;
mod tally;
mod watch;

use anyhow::{Result, bail};
use clap::Parser;
use cli::{Cli, Target, Workload};
use report::Report;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run(Cli::parse().workload) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(workload: Workload) -> Result<()> {
    match &workload {
        Workload::Reads(args) => show(&args.target, load::run(args, "reads", 100)?),
        Workload::Writes(args) => show(&args.target, load::run(args, "writes", 0)?),
        Workload::Mixed { load, percent_reads } => {
            let name = format!("mixed, {percent_reads} % reads");
            show(&load.target, load::run(load, &name, *percent_reads)?)
        }
        Workload::Creates(args) => show(&args.target, creates::run(args)?),
        Workload::Watch(args) => show(&args.target, watch::run(args)?),
        Workload::Storm(args) => show(&args.target, storm::run(args)?),
        Workload::Snapshot(args) => show(&args.target, snapshot::run(args)?),
        Workload::Gap(args) => show(&args.target, gap::run(args)?),
        Workload::Floor { port } => floor::run(*port),
    }
}

fn show(target: &Target, report: Report) -> Result<()> {
    if target.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    match report.error_count() {
        0 => Ok(()),
        _ if target.allow_errors => Ok(()),
        count => {
            bail!("the server refused {count} requests: the figures mean nothing (--allow-errors accepts it)")
        }
    }
}
