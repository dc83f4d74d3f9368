//! Steady load: reads, writes, and both mixed, over a fixed set of znodes.

use crate::cli::{LoadArgs, Target};
use crate::engine::{self, Length, Setup, Undisturbed};
use crate::placement::Placed;
use crate::report::Report;
use crate::source::{Rotation, Template};
use anyhow::{Context, Result};
use client::wire::ErrorCode;
use client::{ClientError, Session};
use indicatif::{ProgressBar, ProgressStyle};
use std::sync::Arc;
use std::time::Duration;

/// Warm-up of the rounds after the first: the server is warm, only the connections are new.
const SHORT_WARM_UP: Duration = Duration::from_millis(500);

/// Runs a load of which `percent_reads` are getData and the rest setData.
pub fn run(args: &LoadArgs, name: &str, percent_reads: u32) -> Result<Report> {
    let paths = prepare(&args.target, args.nodes, args.size)?;
    let templates: Arc<[Template]> = mix(&paths, args.size, percent_reads).into();
    let mut report = Report::new(format!(
        "{name}: {} connections x {} in flight, {} bytes, {} znodes",
        args.connections, args.depth, args.size, args.nodes
    ));
    let placed = Placed::put(args.placement, &args.target.processes())?;
    for round in 0..args.rounds.max(1) {
        let warm_up = if round == 0 { args.warm_up } else { args.warm_up.min(SHORT_WARM_UP) };
        let bar = spinner(&format!("{name}, round {}", round + 1));
        let stride = (templates.len() / args.connections.max(1)).max(1);
        let sources = (0..args.connections).map(|n| Rotation::new(templates.clone(), n * stride)).collect();
        let length = Length::Time(warm_up, args.seconds);
        let setup = Setup { spin: args.spin, ..setup(&args.target, args.depth) };
        report.add(&engine::run(&setup, sources, length, &bar, &mut Undisturbed)?);
        bar.finish_and_clear();
    }
    drop(placed);
    Ok(report)
}

pub fn setup(target: &Target, depth: usize) -> Setup {
    Setup {
        servers: target.servers.clone(),
        processes: target.processes(),
        depth: depth.max(1),
        threads: target.threads,
        spin: false,
    }
}

/// Shows that a run goes on and how fast; nothing when standard error is no terminal.
pub fn spinner(what: &str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}: {human_pos} done, {per_sec}, {elapsed}");
    let bar = ProgressBar::new_spinner().with_message(what.to_owned());
    bar.with_style(style.expect("a valid template"))
}

/// Makes sure that the znodes exist with values of the right size; returns their paths.
pub fn prepare(target: &Target, nodes: usize, size: usize) -> Result<Vec<String>> {
    let mut session = Session::open(target.first()).context("cannot open a session")?;
    let value = value(size);
    ensure(&mut session, "/bench", b"")?;
    let paths: Vec<String> = (0..nodes.max(1)).map(|n| format!("/bench/node-{n:06}")).collect();
    for path in &paths {
        ensure(&mut session, path, &value)?;
    }
    session.close()?;
    sync(target)?;
    Ok(paths)
}

/// Waits until every server has what was written at the first: a follower may be behind.
pub fn sync(target: &Target) -> Result<()> {
    for server in &target.servers {
        let told = || format!("cannot bring {server} up to date");
        let mut session = Session::open(server).with_context(told)?;
        session.sync("/").with_context(told)?;
        session.close()?;
    }
    Ok(())
}

/// Creates a znode, or sets its value if it is there.
pub fn ensure(session: &mut Session, path: &str, value: &[u8]) -> Result<()> {
    match session.create(path, value) {
        Err(ClientError::Refused(code)) if code == ErrorCode::NodeExists.code() => {
            session.set_data(path, value, -1).with_context(|| format!("cannot set {path}"))?;
        }
        other => {
            other.with_context(|| format!("cannot create {path}"))?;
        }
    }
    Ok(())
}

/// A value that does not compress to nothing.
pub fn value(size: usize) -> Vec<u8> {
    (0..size).map(|n| b'a' + (n * 7 % 26) as u8).collect()
}

/// One round trip over the znodes for each percent, reads and writes spread evenly.
fn mix(paths: &[String], size: usize, percent_reads: u32) -> Vec<Template> {
    let value = value(size);
    let rounds = if percent_reads == 0 || percent_reads == 100 { 1 } else { 100 };
    let mut templates = Vec::with_capacity(paths.len() * rounds);
    let mut due = 0;
    for path in (0..rounds).flat_map(|_| paths) {
        due += percent_reads;
        if due >= 100 {
            due -= 100;
            templates.push(Template::get_data(path, size));
        } else {
            templates.push(Template::set_data(path, &value));
        }
    }
    templates
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Source;

    #[test]
    fn a_mix_has_the_share_of_reads_that_was_asked_for() {
        let paths = ["/a".to_owned(), "/b".to_owned(), "/c".to_owned()];
        for percent in [0, 1, 50, 90, 100] {
            let templates = mix(&paths, 10, percent);
            let count = templates.len();
            let mut source = Rotation::new(templates.into(), 0);
            let reads =
                (0..count).filter(|_| source.next(1, &mut Vec::new()) == Some(16 + 4 + 10 + 68)).count();
            assert_eq!(reads * 100, count * percent as usize, "{percent} %");
        }
    }
}
