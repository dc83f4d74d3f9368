//! Side by side: Apache ZooKeeper 3.9.5 and Rookeeper, one after the other on this machine, with the same
//! configuration and the same work; and the floor under both. The result is a Markdown table.
//!
//! Both servers run with fsync on and their default settings; Apache gets a heap of 8 GB and no logging. The load
//! shares the processors with the server, so the figures that count are those per second of the server's own
//! processor time. Each is the median of several rounds on a warm server.

mod rows;
mod servers;
mod table;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rows::{Plan, Results, Row};
use servers::{Kind, Places};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub struct Options {
    /// Only these rows (repeatable)
    #[arg(long, value_enum)]
    only: Vec<Row>,
    /// Short runs and small amounts, to see whether everything works
    #[arg(long)]
    quick: bool,
    /// Write the table to this file as well
    #[arg(long)]
    out: Option<PathBuf>,
    /// The server that is compared with Apache
    #[arg(long, value_enum, default_value = "rookeeper")]
    server_b: Kind,
    /// Run only server B and the floor
    #[arg(long)]
    skip_a: bool,
    /// Port on 127.0.0.1 for each server in turn
    #[arg(long, default_value_t = 22050)]
    port: u16,
}

/// The command.
pub fn run(options: &Options) -> Result<()> {
    let places = Places::find()?;
    let rows = if options.only.is_empty() { Row::value_variants().to_vec() } else { options.only.clone() };
    let plan = Plan { rows, quick: options.quick, port: options.port };
    places.build("bench")?;
    let kinds = [Some(Kind::Apache).filter(|_| !options.skip_a), Some(options.server_b), Some(Kind::Floor)];
    let mut results = [Results::new(), Results::new(), Results::new()];
    for ((kind, side), results) in kinds.into_iter().zip(["A", "B", "floor"]).zip(&mut results) {
        let Some(kind) = kind else { continue };
        if kind == Kind::Rookeeper {
            places.build("rookeeper")?;
        }
        *results = rows::run(&places, kind, &format!("{side} ({})", kind.name()), &plan)?;
    }
    let [a, b, floor] = &results;
    let raw = places.work().join("results.json");
    std::fs::write(&raw, serde_json::to_string_pretty(&raw_results(&results))?)?;
    let mut text = table::render((Kind::Apache.name(), options.server_b.name()), a, b, floor);
    text += &format!("\n{}\n", conditions(options.quick)?);
    print!("{text}");
    if let Some(out) = &options.out {
        std::fs::write(out, &text).with_context(|| format!("cannot write {}", out.display()))?;
    }
    eprintln!("every round: {}", raw.display());
    let failed =
        results.iter().flat_map(Results::values).filter(|report| report.get("failed").is_some()).count();
    if failed > 0 {
        bail!("{failed} rows failed");
    }
    Ok(())
}

fn raw_results(results: &[Results; 3]) -> serde_json::Value {
    let side = |results: &Results| -> serde_json::Value {
        results.iter().map(|(row, report)| (format!("{row:?}"), report.clone())).collect()
    };
    serde_json::json!({ "a": side(&results[0]), "b": side(&results[1]), "floor": side(&results[2]) })
}

/// What the figures depend on besides the servers.
fn conditions(quick: bool) -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let form = if quick { "Short form: the figures show only that everything works. " } else { "" };
    Ok(format!("{form}100-byte values, fsync on; {cpus} × {model}; load average at the end {load}."))
}
