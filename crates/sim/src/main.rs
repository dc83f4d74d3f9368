//! Runs the simulator: `--seed N` for one history with a trace, `--seeds N` for many.

mod planted;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sim::world::{Options, Outcome, simulate};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// An ensemble and its clients in virtual time, under crashes, power cuts, partitions and failing disks.
#[derive(Parser)]
struct Arguments {
    /// Run this seed only, twice, and compare; prints what happens.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Virtual seconds under faults in each run; some quiet ones follow.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    #[arg(long, default_value_t = 5)]
    clients: usize,
    /// Voters: 1 is a server alone. Each seed chooses if it is not given.
    #[arg(long)]
    servers: Option<usize>,
    #[arg(long)]
    observers: Option<usize>,
    /// Without the trace.
    #[arg(long)]
    quiet: bool,
    /// Stop at the first broken rule.
    #[arg(long)]
    first: bool,
    /// Plants a mistake, or one after the other with `all`, and looks for it; needs the feature `planted`.
    #[arg(long)]
    planted: Option<String>,
    /// The longest search for one mistake, in seconds.
    #[arg(long, default_value_t = 600)]
    patience: u64,
    /// Threads; as many as there are processors if not given.
    #[arg(long)]
    jobs: Option<usize>,
}

impl Arguments {
    fn options(&self, trace: bool) -> Options {
        Options {
            seconds: self.seconds,
            clients: self.clients,
            servers: self.servers,
            observers: self.observers,
            trace,
        }
    }
}

thread_local! {
    static RUNNING: Cell<u64> = const { Cell::new(0) };
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A broken invariant inside the server is a panic: say which seed leads there.
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        show(info);
        eprintln!("while running seed {}", RUNNING.get());
    }));
    if let Some(name) = &arguments.planted {
        return planted::run(name, &arguments);
    }
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn run(seed: u64, options: Options) -> Outcome {
    RUNNING.set(seed);
    simulate(seed, options)
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let outcome = run(seed, arguments.options(!arguments.quiet));
    let took = started.elapsed().as_secs_f64();
    let again = run(seed, arguments.options(false));
    table(std::slice::from_ref(&outcome), took);
    println!("event hash {:016x}, {:016x} the second time", outcome.hash, again.hash);
    if outcome != again {
        println!("seed {seed} is not deterministic");
        return ExitCode::FAILURE;
    }
    verdict(&outcome, seed)
}

fn verdict(outcome: &Outcome, seed: u64) -> ExitCode {
    match &outcome.broken {
        None => ExitCode::SUCCESS,
        Some(broken) => {
            println!("seed {seed} broke a rule after {} ms: {broken}", outcome.virtual_ms);
            ExitCode::FAILURE
        }
    }
}

fn many(arguments: &Arguments) -> ExitCode {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} seeds, {elapsed} so far, {eta} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(arguments.seeds).with_style(style);
    let started = Instant::now();
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let next = AtomicU64::new(arguments.from);
    let end = arguments.from + arguments.seeds;
    let outcomes = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..arguments.jobs.unwrap_or(cores).max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end {
                        return;
                    }
                    let outcome = run(seed, arguments.options(false));
                    if outcome.broken.is_some() {
                        bar.suspend(|| verdict(&outcome, seed));
                        if arguments.first {
                            next.store(end, Ordering::Relaxed);
                        }
                    }
                    bar.inc(1);
                    match outcomes.lock() {
                        Ok(mut all) => all.push(outcome),
                        Err(_) => return,
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let outcomes = outcomes.into_inner().unwrap_or_default();
    table(&outcomes, started.elapsed().as_secs_f64());
    if outcomes.iter().any(|o| o.broken.is_some()) { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn table(outcomes: &[Outcome], took_s: f64) {
    let virtual_s: f64 = outcomes.iter().map(|o| o.virtual_ms as f64 / 1000.0).sum();
    let events: u64 = outcomes.iter().map(|o| o.events).sum();
    let broken = outcomes.iter().filter(|o| o.broken.is_some()).count();
    let mut marks: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, n) in outcomes.iter().flat_map(|o| &o.marks) {
        *marks.entry(name).or_default() += n;
    }
    println!("{:34} {}", "seeds", outcomes.len());
    println!("{:34} {broken}", "rules broken");
    println!("{:34} {:.2} h", "simulated time", virtual_s / 3600.0);
    println!("{:34} {:.0} times real time", "speed", virtual_s / took_s.max(1e-9));
    println!("{:34} {events}", "events");
    println!("{:34} {}", "requests", outcomes.iter().map(|o| o.requests).sum::<u64>());
    println!("{:34} {}", "faults", outcomes.iter().map(|o| o.faults).sum::<u64>());
    for (name, n) in marks {
        println!("{name:34} {n}");
    }
}
