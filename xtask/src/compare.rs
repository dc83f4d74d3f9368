//! Side by side: Apache ZooKeeper 3.9.5 and Rookeeper, one after the other on this machine, with the same
//! configuration and the same work; and the floor under both. Or ensembles of three of each, without a floor. The
//! result is a Markdown table.
//!
//! Both servers run with fsync on and their default settings; Apache gets a heap of 8 GB and no logging. The load
//! shares the processors with the server, so the figures that count are those per second of the server's own
//! processor time. Each is the median of several rounds on a warm server.

mod ensemble;
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
    /// Ensembles of three servers instead of single ones
    #[arg(long)]
    ensemble: bool,
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
    /// Port on 127.0.0.1 for each server in turn; an ensemble takes 30 from this one on
    #[arg(long, default_value_t = 22050)]
    port: u16,
}

/// The command.
pub fn run(options: &Options) -> Result<()> {
    let places = Places::find()?;
    let rows = chosen(&options.only, options.ensemble)?;
    let plan = Plan { rows, quick: options.quick, port: options.port };
    places.build("bench")?;
    let floor = Some(Kind::Floor).filter(|_| !options.ensemble);
    let kinds = [Some(Kind::Apache).filter(|_| !options.skip_a), Some(options.server_b), floor];
    let mut results = [Results::new(), Results::new(), Results::new()];
    for ((kind, side), results) in kinds.into_iter().zip(["A", "B", "floor"]).zip(&mut results) {
        let Some(kind) = kind else { continue };
        if kind == Kind::Rookeeper {
            places.build("rookeeper")?;
        }
        let side = format!("{side} ({})", kind.name());
        *results = if options.ensemble {
            ensemble::run(&places, kind, &side, &plan)?
        } else {
            rows::run(&places, kind, &side, &plan)?
        };
    }
    let [a, b, floor] = &results;
    let raw = places.work().join(if options.ensemble { "results-ensemble.json" } else { "results.json" });
    std::fs::write(&raw, serde_json::to_string_pretty(&raw_results(&results))?)?;
    let names = (Kind::Apache.name(), options.server_b.name());
    let mut text = if options.ensemble {
        table::render(table::ENSEMBLE, names, a, b, None)
    } else {
        table::render(table::METRICS, names, a, b, Some(floor))
    };
    text += &format!("\n{}\n", conditions(options)?);
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

/// The rows that were asked for, or all there are.
fn chosen(only: &[Row], ensemble: bool) -> Result<Vec<Row>> {
    let all = if ensemble { &rows::ENSEMBLE[..] } else { &rows::STANDALONE[..] };
    if only.is_empty() {
        return Ok(all.to_vec());
    }
    let name =
        |row: &Row| row.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned());
    if let Some(row) = only.iter().find(|row| !all.contains(row)) {
        let all: Vec<String> = all.iter().map(name).collect();
        let of = if ensemble { "an ensemble" } else { "one server" };
        bail!("`{}` is no row of {of}; there are: {}", name(row), all.join(", "));
    }
    Ok(only.to_vec())
}

fn raw_results(results: &[Results; 3]) -> serde_json::Value {
    let side = |results: &Results| -> serde_json::Value {
        results.iter().map(|(row, report)| (format!("{row:?}"), report.clone())).collect()
    };
    serde_json::json!({ "a": side(&results[0]), "b": side(&results[1]), "floor": side(&results[2]) })
}

/// What the figures depend on besides the servers.
fn conditions(options: &Options) -> Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let load = std::fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let servers = if options.ensemble { "three servers on one host; " } else { "" };
    let form = if options.quick { "Short form: the figures show only that everything works. " } else { "" };
    Ok(format!("{form}{servers}100-byte values, fsync on; {cpus} × {model}; load average at the end {load}."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_belong_to_one_server_or_to_an_ensemble() {
        assert_eq!(chosen(&[], true).unwrap(), rows::ENSEMBLE);
        assert_eq!(chosen(&[Row::WritesOne], true).unwrap(), [Row::WritesOne]);
        let refused = chosen(&[Row::Storm], true).unwrap_err().to_string();
        assert!(
            refused.starts_with("`storm` is no row of an ensemble; there are: reads, writes"),
            "{refused}"
        );
        assert!(chosen(&[Row::Kill], false).is_err());
        let known = |row: &Row| rows::STANDALONE.contains(row) || rows::ENSEMBLE.contains(row);
        assert!(Row::value_variants().iter().all(known));
    }
}
