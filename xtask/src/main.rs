//! The project's chores, as commands: what CI calls is what people call.
mod cluster;
mod compare;
mod differential;
mod tidy;

use anyhow::Result;
use clap::{Args, Parser, Subcommand, ValueEnum};
use interop::apache;
use interop::run::Options;
use interop::server::ServerKind;
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Parser)]
#[command(name = "cargo xtask", about = "The project's chores")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Run the checks against real ZooKeeper clients, servers and data folders
    Interop(InteropArgs),
    /// Replace a live ensemble of three Apache servers by Rookeeper, member by member, and back, under load
    Takeover(TakeoverArgs),
    /// Start an ensemble of Rookeeper servers on this machine, and show who leads, until Ctrl-C
    Cluster(cluster::Options),
    /// Send the same requests to Apache ZooKeeper 3.9.5 and to Rookeeper, and compare every answer
    Differential(differential::Options),
    /// Compare speed and memory with Apache ZooKeeper 3.9.5
    Compare(compare::Options),
    /// Check the budgets and borders that no compiler checks
    Tidy,
}

#[derive(Args)]
struct InteropArgs {
    /// The short form, for CI (the default)
    #[arg(long, conflicts_with = "long")]
    short: bool,
    /// The long form: all variants, more rounds
    #[arg(long)]
    long: bool,
    /// The server that the checks run against
    #[arg(long, value_enum, default_value = "rookeeper")]
    server: Server,
    /// Only the suites whose name starts with this
    #[arg(long)]
    only: Option<String>,
    /// Start of every random choice [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
    /// Rounds of the kill test [default: 5 short, 200 long]; cases of the mixed matrix, chosen by the seed [default: all]
    #[arg(long)]
    rounds: Option<usize>,
}

#[derive(Args)]
struct TakeoverArgs {
    /// The server that takes over; `apache` stands for an older release
    #[arg(long, value_enum, default_value = "rookeeper")]
    server: Server,
    /// Start of every random choice [default: from the clock]
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Server {
    Apache,
    Rookeeper,
}

impl Server {
    fn kind(self) -> ServerKind {
        match self {
            Server::Apache => ServerKind::Apache(apache::REFERENCE.to_owned()),
            Server::Rookeeper => ServerKind::Rookeeper,
        }
    }
}

impl TakeoverArgs {
    fn options(self) -> Options {
        let seed = self.seed.unwrap_or_else(clock_seed);
        Options { server: self.server.kind(), only: None, long: false, seed, rounds: None }
    }
}

impl InteropArgs {
    fn options(self) -> Options {
        let server = self.server.kind();
        let seed = self.seed.unwrap_or_else(clock_seed);
        Options { server, only: self.only, long: self.long, seed, rounds: self.rounds }
    }
}

/// A seed for a run that was given none.
fn clock_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |since| since.as_secs())
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<bool> {
    match cli.chore {
        Chore::Interop(args) => interop::run::run(&args.options()),
        Chore::Takeover(args) => interop::ensemble::takeover::show(&args.options()).map(|()| true),
        Chore::Cluster(options) => cluster::run(&options).map(|()| true),
        Chore::Differential(options) => differential::run(&options),
        Chore::Compare(options) => compare::run(&options).map(|()| true),
        Chore::Tidy => tidy::run(&interop::fetch::workspace_root()),
    }
}
