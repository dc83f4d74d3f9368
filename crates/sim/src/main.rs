//! Runs the simulator: `--seed N` for one history, `--seeds N` for many.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sim::world::{Options, Outcome, simulate};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// One server and its clients in virtual time, under crashes, power cuts and a failing disk.
#[derive(Parser)]
struct Arguments {
    /// Run this seed only, twice, and compare.
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
}

static RUNNING: AtomicU64 = AtomicU64::new(0);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // A broken invariant inside the server is a panic: say which seed leads there.
    let show = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        show(info);
        eprintln!("while running seed {}", RUNNING.load(Ordering::Relaxed));
    }));
    match arguments.seed {
        Some(seed) => one(seed, &arguments),
        None => many(&arguments),
    }
}

fn run(seed: u64, arguments: &Arguments) -> Outcome {
    RUNNING.store(seed, Ordering::Relaxed);
    simulate(seed, Options { seconds: arguments.seconds, clients: arguments.clients })
}

fn one(seed: u64, arguments: &Arguments) -> ExitCode {
    let started = Instant::now();
    let outcome = run(seed, arguments);
    let took = started.elapsed().as_secs_f64();
    let again = run(seed, arguments);
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
    let mut outcomes = Vec::new();
    let mut result = ExitCode::SUCCESS;
    for seed in arguments.from..arguments.from + arguments.seeds {
        let outcome = run(seed, arguments);
        if outcome.broken.is_some() {
            result = bar.suspend(|| verdict(&outcome, seed));
        }
        outcomes.push(outcome);
        bar.inc(1);
    }
    bar.finish_and_clear();
    table(&outcomes, started.elapsed().as_secs_f64());
    result
}

fn table(outcomes: &[Outcome], took_s: f64) {
    let virtual_s: f64 = outcomes.iter().map(|o| o.virtual_ms as f64 / 1000.0).sum();
    let events: u64 = outcomes.iter().map(|o| o.events).sum();
    let broken = outcomes.iter().filter(|o| o.broken.is_some()).count();
    let mut marks: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, n) in outcomes.iter().flat_map(|o| &o.marks) {
        *marks.entry(name).or_default() += n;
    }
    println!("{:32} {}", "seeds", outcomes.len());
    println!("{:32} {broken}", "rules broken");
    println!("{:32} {:.2} h", "simulated time", virtual_s / 3600.0);
    println!("{:32} {:.0} times real time", "speed", virtual_s / took_s.max(1e-9));
    println!("{:32} {events}", "events");
    for (name, n) in marks {
        println!("{name:32} {n}");
    }
}
