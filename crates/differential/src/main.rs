//! `cargo run --release -p differential -- --start apache,rookeeper --sequences 5000`
use anyhow::{Result, bail};
use clap::Parser;
use differential::generate::plan;
use differential::profile::Profile;
use differential::run::Totals;
use differential::servers::{Kind, Server};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Instant;

/// Sends the same random sequences of requests to two ZooKeeper servers and compares every answer.
#[derive(Debug, Parser)]
struct Args {
    /// Address of the first server, the measure.
    #[arg(long, requires = "b", conflicts_with = "start")]
    a: Option<SocketAddr>,
    /// Address of the second server.
    #[arg(long, requires = "a")]
    b: Option<SocketAddr>,
    /// Start both servers, for example apache,rookeeper (the binary is taken from ROOKEEPER_BIN).
    #[arg(long, value_delimiter = ',')]
    start: Vec<Kind>,
    /// First of the ports to use with --start.
    #[arg(long, default_value_t = 23000)]
    port: u16,
    #[arg(long, default_value = "full")]
    profile: Profile,
    #[arg(long, default_value_t = 100)]
    sequences: u64,
    /// Seed of the first sequence; the others count up from it.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Stop after this many unexplained differences.
    #[arg(long, default_value_t = 5)]
    max_differences: u64,
}

/// The two servers of a run, started here or not.
enum Pair {
    Given([SocketAddr; 2]),
    Started([Server; 2]),
}

impl Pair {
    fn new(args: &Args) -> Result<Pair> {
        match (args.start.as_slice(), args.a, args.b) {
            ([a, b], _, _) => Ok(Pair::Started([
                Server::start(*a, args.profile, args.port)?,
                Server::start(*b, args.profile, args.port + 1)?,
            ])),
            (_, Some(a), Some(b)) => Ok(Pair::Given([a, b])),
            _ => bail!("name two servers: --a and --b, or --start apache,rookeeper"),
        }
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        match self {
            Pair::Given(addresses) => *addresses,
            Pair::Started([a, b]) => [a.address, b.address],
        }
    }

    fn names(&self) -> [&'static str; 2] {
        match self {
            Pair::Given(_) => ["a", "b"],
            Pair::Started([a, b]) => [a.kind.name(), b.kind.name()],
        }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(e) => {
            eprintln!("differential: {e:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the servers agree.
fn run(args: &Args) -> Result<bool> {
    let mut pair = Pair::new(args)?;
    let mut totals = Totals::default();
    let began = Instant::now();
    println!("profile {}, seeds {}..{}", args.profile.name(), args.seed, args.seed + args.sequences);
    for seed in args.seed..args.seed + args.sequences {
        let plan = plan(args.profile, seed);
        if let Some(report) = totals.sequence(pair.addresses(), &plan, pair.names())? {
            println!("{report}");
            if totals.different >= args.max_differences {
                println!("stopping after {} differences", totals.different);
                break;
            }
            if matches!(pair, Pair::Started(_)) {
                drop(pair);
                pair = Pair::new(args)?;
            }
        }
        if totals.sequences.is_multiple_of(100) {
            println!("{} sequences, seed {seed}, {:.0} s", totals.sequences, began.elapsed().as_secs_f64());
        }
    }
    finish(args, &totals, began);
    Ok(totals.different == 0)
}

fn finish(args: &Args, totals: &Totals, began: Instant) {
    println!("\noperation x error code\n{}", totals.coverage.table(args.profile));
    let missing = totals.coverage.missing(args.profile);
    for cell in &missing {
        println!(
            "not reached: {} {} ({})",
            cell.row,
            differential::coverage::column_name(cell.code),
            cell.why
        );
    }
    println!("explained differences:\n{}", totals.explained());
    println!(
        "{} sequences, {} answers and events compared, {} unexplained differences, {:.0} s",
        totals.sequences,
        totals.records,
        totals.different,
        began.elapsed().as_secs_f64()
    );
}
