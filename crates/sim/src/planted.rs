//! `--planted`: puts one mistake at a time back into protocol or storage, and counts how many seeds and seconds of one
//! processor it takes until a rule is broken.
//!
//! Every mistake is looked for in a process of its own: it may end in a panic, which counts as found.

use crate::Arguments;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// What the child says before each seed, so that a panic can be told of.
const AT: &str = "seed ";

pub fn run(name: &str, arguments: &Arguments) -> ExitCode {
    if !cfg!(feature = "planted") {
        eprintln!(
            "this was built without mistakes to plant: cargo run --release -p sim --features planted -- --planted {name}"
        );
        return ExitCode::FAILURE;
    }
    if name == "all" {
        return all(arguments);
    }
    match planted::ALL.iter().find(|(_, known, _)| *known == name) {
        Some((bug, ..)) => one(*bug, arguments),
        None => {
            eprintln!("there is no mistake called {name}; these can be planted:");
            planted::ALL.iter().for_each(|(_, name, what)| eprintln!("  {name:28} {what}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "planted")]
fn plant(bug: planted::Bug) {
    planted::plant(Some(bug));
}

#[cfg(not(feature = "planted"))]
fn plant(_bug: planted::Bug) {}

/// Looks for one mistake on this thread. Success is having found it.
fn one(bug: planted::Bug, arguments: &Arguments) -> ExitCode {
    plant(bug);
    let started = Instant::now();
    let seeds = match arguments.seed {
        Some(seed) => seed..seed + 1,
        None => arguments.from..u64::MAX,
    };
    for seed in seeds {
        println!("{AT}{seed}");
        let outcome = crate::run(seed, arguments.options(arguments.seed.is_some() && !arguments.quiet));
        if let Some(broken) = outcome.broken {
            println!("{broken}");
            return ExitCode::SUCCESS;
        }
        if started.elapsed() > Duration::from_secs(arguments.patience) {
            break;
        }
    }
    ExitCode::FAILURE
}

fn all(arguments: &Arguments) -> ExitCode {
    let Ok(program) = std::env::current_exe() else { return ExitCode::FAILURE };
    let mut missed = 0;
    println!("| mistake | what | seeds | seconds | found as |");
    println!("|---|---|---|---|---|");
    for (_, name, what) in planted::ALL {
        let started = Instant::now();
        let mut command = Command::new(&program);
        command.args(["--planted", name, "--patience", &arguments.patience.to_string()]);
        command.args(["--from", &arguments.from.to_string(), "--seconds", &arguments.seconds.to_string()]);
        let Ok(output) = command.stderr(Stdio::piped()).output() else { return ExitCode::FAILURE };
        let took_s = started.elapsed().as_secs_f64();
        let said = String::from_utf8_lossy(&output.stdout);
        let seeds = said.lines().filter(|line| line.starts_with(AT)).count();
        let complaint = String::from_utf8_lossy(&output.stderr);
        let found = match output.status.code() {
            Some(0) => said.lines().last().unwrap_or_default().to_owned(),
            Some(_) => {
                missed += 1;
                "NOT FOUND".to_owned()
            }
            None => format!("panic: {}", complaint.lines().nth(1).unwrap_or_default()),
        };
        let found: String = found.chars().take(110).collect();
        println!("| `{name}` | {what} | {seeds} | {took_s:.1} | {found} |");
    }
    if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
