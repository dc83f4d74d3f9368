//! `cargo run --release -p differential -- --start apache,rookeeper --sequences 5000`
use anyhow::{Result, bail};
use clap::Parser;
use differential::compare::{Difference, report};
use differential::conversation::{self, Plan};
use differential::coverage::column_name;
use differential::generate::plan;
use differential::golden;
use differential::profile::Profile;
use differential::run::{Totals, shrink_difference};
use differential::servers::{Kind, Server};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
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
    /// Start both servers, for example apache,rookeeper (a ready-made binary is taken from ROOKEEPER_BIN).
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
    /// Fail when a cell of the table stays empty that can be reached (takes some thousand sequences).
    #[arg(long)]
    full_coverage: bool,
    /// Do not shorten the sequences that differ.
    #[arg(long)]
    no_shrink: bool,
    /// Write the golden conversations into this folder, as the first server of --start answers.
    #[arg(long, value_name = "FOLDER")]
    record: Option<PathBuf>,
    /// Do the golden conversations of this file or folder to --server, or to the first server of --start.
    #[arg(long, value_name = "FILE", conflicts_with = "record")]
    replay: Option<PathBuf>,
    /// A server without history.
    #[arg(long)]
    server: Option<SocketAddr>,
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

    /// Fresh servers, if they were started here.
    fn renewed(self, args: &Args) -> Result<Pair> {
        match self {
            Pair::Given(_) => Ok(self),
            Pair::Started(servers) => {
                drop(servers);
                Pair::new(args)
            }
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
    match (&args.record, &args.replay) {
        (Some(folder), _) => record(args, folder),
        (None, Some(path)) => replay(args, path),
        (None, None) => compare(args),
    }
}

/// The server for one golden conversation: a new one, or the one that was named.
fn single(args: &Args, profile: Profile) -> Result<(Option<Server>, SocketAddr)> {
    if let Some(address) = args.server {
        return Ok((None, address));
    }
    let Some(kind) = args.start.first() else { bail!("name a server: --server or --start apache") };
    let server = Server::start(*kind, profile, args.port)?;
    let address = server.address;
    Ok((Some(server), address))
}

fn record(args: &Args, folder: &Path) -> Result<bool> {
    let random = Profile::ALL.iter().flat_map(|p| (0..args.sequences).map(move |n| (*p, args.seed + n)));
    let scripts = golden::scripts::all().into_iter().zip(golden::scripts::NAMES);
    let plans = scripts
        .map(|(plan, name)| (plan, name.to_owned()))
        .chain(random.map(|(p, seed)| (plan(p, seed), format!("random-{}-{seed}", p.name()))));
    for (plan, name) in plans {
        let (_server, address) = single(args, plan.profile)?;
        let transcript = conversation::run(address, &plan)?;
        let file = folder.join(format!("{name}.txt"));
        std::fs::write(&file, golden::write(&plan, &transcript))?;
        println!("{}: {} answers and events", file.display(), transcript.records.len());
    }
    Ok(true)
}

fn replay(args: &Args, path: &Path) -> Result<bool> {
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        files.sort();
    }
    let mut same = true;
    for file in files {
        let text = std::fs::read_to_string(&file)?;
        let (plan, _) = golden::read(&text)?;
        let (_server, address) = single(args, plan.profile)?;
        match golden::replay(&text, address)? {
            None => println!("{}: same", file.display()),
            Some(report) => {
                println!("{}: {report}", file.display());
                same = false;
            }
        }
    }
    Ok(same)
}

fn compare(args: &Args) -> Result<bool> {
    let mut pair = Pair::new(args)?;
    let mut totals = Totals::default();
    let began = Instant::now();
    println!("profile {}, seeds {}..{}", args.profile.name(), args.seed, args.seed + args.sequences);
    for seed in args.seed..args.seed + args.sequences {
        let plan = plan(args.profile, seed);
        if let Some(difference) = totals.sequence(pair.addresses(), &plan)? {
            pair = show(args, pair, &plan, &difference)?;
            if totals.different >= args.max_differences {
                println!("stopping after {} differences", totals.different);
                break;
            }
        }
        if totals.sequences.is_multiple_of(100) {
            println!("{} sequences, seed {seed}, {:.0} s", totals.sequences, began.elapsed().as_secs_f64());
        }
    }
    let complete = finish(args, &totals, began);
    Ok(totals.different == 0 && (complete || !args.full_coverage))
}

/// Reports a difference, shortened if possible, and returns servers that do not suffer from it.
fn show(args: &Args, pair: Pair, plan: &Plan, difference: &Difference) -> Result<Pair> {
    let names = pair.names();
    println!("{}", report(plan, difference, names));
    let mut pair = pair.renewed(args)?;
    if !args.no_shrink {
        match shrink_difference(pair.addresses(), plan)? {
            Some((short, difference)) => println!("shortened: {}", report(&short, &difference, names)),
            None => println!("it did not show again when the sequence was repeated"),
        }
        pair = pair.renewed(args)?;
    }
    Ok(pair)
}

/// Prints the sums; whether every cell of the table that can be reached was reached.
fn finish(args: &Args, totals: &Totals, began: Instant) -> bool {
    println!("\noperation x error code\n{}", totals.coverage.table(args.profile));
    let missing = totals.coverage.missing(args.profile);
    for (row, cell) in &missing {
        println!("not reached (!): {row} {} ({})", column_name(cell.code), cell.why);
    }
    for (row, code) in totals.coverage.unlisted(args.profile) {
        println!("reached, but not listed as possible: {row} {}", column_name(code));
    }
    println!("explained differences:\n{}", totals.explained());
    println!(
        "{} sequences, {} answers and events compared, {} unexplained differences, {:.0} s",
        totals.sequences,
        totals.records,
        totals.different,
        began.elapsed().as_secs_f64()
    );
    missing.is_empty()
}
