//! Many creates: how fast a server takes them, and how much memory it holds them in.

use crate::cli::CreatesArgs;
use crate::engine::{self, Length, Undisturbed};
use crate::load;
use crate::report::Report;
use crate::source::Creates;
use anyhow::{Context, Result};
use client::Session;
use indicatif::{ProgressBar, ProgressStyle};

pub fn run(args: &CreatesArgs) -> Result<Report> {
    let mut session = Session::open(args.target.first()).context("cannot open a session")?;
    for (at, _) in args.parent.match_indices('/').skip(1) {
        load::ensure(&mut session, &args.parent[..at], b"")?;
    }
    load::ensure(&mut session, &args.parent, b"")?;
    session.close()?;
    load::sync(&args.target)?;
    let value = load::value(args.size);
    let connections = args.connections.max(1) as u64;
    let bound = |n: u64| args.count * n / connections;
    let sources =
        (0..connections).map(|n| Creates::new(&args.parent, &value, bound(n)..bound(n + 1))).collect();
    let bar = bar(args.count);
    let setup = load::setup(&args.target, args.depth);
    let outcome = engine::run(&setup, sources, Length::Requests, &bar, &mut Undisturbed)?;
    bar.finish_and_clear();
    let mut report = Report::new(format!(
        "creates: {} znodes of {} bytes below {}, {} connections x {} in flight",
        args.count, args.size, args.parent, args.connections, args.depth
    ));
    report.add(&outcome);
    Ok(report)
}

fn bar(count: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("creates {wide_bar} {human_pos}/{human_len} {per_sec} {eta}");
    ProgressBar::new(count).with_style(style.expect("a valid template"))
}
