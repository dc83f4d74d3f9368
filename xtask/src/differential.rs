//! The differential test as people and CI run it: the recorded conversations with Rookeeper alone, then random
//! sequences with Rookeeper and Apache ZooKeeper side by side, under every profile.

use anyhow::{Context, Result};
use clap::Args;
use differential::profile::Profile;
use std::process::Command;

const GOLDEN: &str = "crates/differential/golden";
const SHORT: u64 = 100;
const LONG: u64 = 5000;

#[derive(Args)]
pub struct Options {
    /// The short form, for CI (the default)
    #[arg(long, conflicts_with = "long")]
    short: bool,
    /// The long form: thousands of sequences, until the table of operations and error codes is full
    #[arg(long)]
    long: bool,
    /// Sequences under each profile [default: 100 short, 5000 long]
    #[arg(long)]
    sequences: Option<u64>,
    /// Seed of the first sequence [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// First of the two ports on 127.0.0.1
    #[arg(long, default_value_t = 23000)]
    port: u16,
}

/// Whether the servers agree.
pub fn run(options: &Options) -> Result<bool> {
    let seed = options.seed.unwrap_or_else(crate::clock_seed);
    let sequences = options.sequences.unwrap_or(if options.long { LONG } else { SHORT });
    let mut same = differential(options, &["--start", "rookeeper", "--replay", GOLDEN])?;
    for profile in Profile::ALL {
        let (seed, sequences) = (seed.to_string(), sequences.to_string());
        let mut words = vec!["--start", "apache,rookeeper", "--profile", profile.name()];
        words.extend(["--seed", &seed, "--sequences", &sequences]);
        if options.long {
            words.push("--full-coverage");
        }
        same &= differential(options, &words)?;
    }
    Ok(same)
}

fn differential(options: &Options, words: &[&str]) -> Result<bool> {
    let mut cargo = Command::new("cargo");
    cargo.args(["run", "--quiet", "--release", "--package", "differential", "--"]);
    cargo.args(words).args(["--port", &options.port.to_string()]);
    cargo.current_dir(interop::fetch::workspace_root());
    println!("differential {}", words.join(" "));
    Ok(cargo.status().context("cannot run cargo")?.success())
}
