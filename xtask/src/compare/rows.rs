//! The work that is compared: what the load generator is asked to do, in which order, on which server.

use super::servers::{Kind, Places, Server, remove};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// One piece of work. The order is the order of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Row {
    /// getData, 16 connections with 32 in flight
    Reads,
    /// getData, one after the other, everything on one processor
    ReadsOne,
    /// getData, one after the other, placed as the scheduler likes
    ReadsOneFree,
    /// setData, 16 connections with 32 in flight
    Writes,
    /// setData, one after the other
    WritesOne,
    /// 90 % getData, 10 % setData, 16 connections with 32 in flight
    Mixed,
    /// Create 1 M znodes
    Creates,
    /// Restart on the data of the creates
    Restart,
    /// One change, 3,000 watchers
    Watch,
    /// 10,000 sessions at once
    Storm,
    /// Writes around snapshots of 1 M znodes
    Snapshot,
    /// kill -9 of the leader of an ensemble, under writes
    Kill,
    /// A member with an empty folder joins 1 M znodes
    Join,
}

/// Rows that one server shows.
pub const STANDALONE: [Row; 11] = [
    Row::Reads,
    Row::ReadsOne,
    Row::ReadsOneFree,
    Row::Writes,
    Row::WritesOne,
    Row::Mixed,
    Row::Creates,
    Row::Restart,
    Row::Watch,
    Row::Storm,
    Row::Snapshot,
];
/// Rows that an ensemble shows.
pub const ENSEMBLE: [Row; 6] = [Row::Reads, Row::Writes, Row::Mixed, Row::WritesOne, Row::Kill, Row::Join];

impl Row {
    pub fn runs_on(self, kind: Kind) -> bool {
        match kind {
            Kind::Apache | Kind::Rookeeper => true,
            Kind::Floor => matches!(self, Row::Reads | Row::ReadsOne | Row::ReadsOneFree | Row::Watch),
        }
    }

    /// The load generator's arguments.
    pub fn arguments(self, quick: bool, warm_up: Duration) -> Vec<String> {
        let warm_up = warm_up.as_secs();
        let (seconds, rounds) = if quick { (2, 1) } else { (5, 5) };
        let pick = |full: u32, short: u32| if quick { short } else { full };
        let times = format!("--warm-up {warm_up} --seconds {seconds} --rounds {rounds}");
        let text = match self {
            Row::Reads => format!("reads --connections 16 --depth 32 {times}"),
            Row::ReadsOne => format!("reads --connections 1 --depth 1 --placement one-core {times}"),
            Row::ReadsOneFree => format!("reads --connections 1 --depth 1 {times}"),
            Row::Writes => format!("writes --connections 16 --depth 32 {times}"),
            Row::WritesOne => format!("writes --connections 1 --depth 1 {times}"),
            Row::Mixed => format!("mixed --percent-reads 90 --connections 16 --depth 32 {times}"),
            Row::Creates | Row::Restart | Row::Join => {
                format!("creates --count {}", pick(1_000_000, 100_000))
            }
            Row::Watch => format!(
                "watch --watchers {} --rounds {} --warm-up-rounds {}",
                pick(3_000, 1_000),
                pick(30, 10),
                pick(50, 20)
            ),
            Row::Storm => format!("storm --sessions {}", pick(10_000, 2_000)),
            Row::Snapshot => format!("snapshot --snapshots {} --limit {}", pick(5, 2), pick(240, 60)),
            Row::Kill => format!("gap --connections 6 --seconds {}", pick(8, 6)),
        };
        text.split_ascii_whitespace().map(str::to_owned).collect()
    }
}

/// What each row showed, as the load generator reports it.
pub type Results = BTreeMap<Row, Value>;

/// How to run.
#[derive(Debug, Clone)]
pub struct Plan {
    pub rows: Vec<Row>,
    pub quick: bool,
    pub port: u16,
}

/// Runs all rows of the plan on one server.
pub fn run(places: &Places, kind: Kind, side: &str, plan: &Plan) -> Result<Results> {
    let wanted = |row: Row| plan.rows.contains(&row) && row.runs_on(kind);
    let mut bench =
        Bench { places, kind, side, plan, dir: places.work().join("run"), results: Results::new() };
    let steady = [Row::Reads, Row::ReadsOne, Row::ReadsOneFree, Row::Writes, Row::WritesOne, Row::Mixed];
    let steady: Vec<Row> = steady.into_iter().filter(|row| wanted(*row)).collect();
    bench.group(&steady);
    for row in [Row::Watch, Row::Storm] {
        if wanted(row) {
            bench.group(&[row]);
        }
    }
    if wanted(Row::Creates) || wanted(Row::Restart) || wanted(Row::Snapshot) {
        bench.group(&[Row::Creates]);
    }
    if wanted(Row::Restart) {
        let done = bench.restart();
        bench.note(Row::Restart, done);
    }
    if wanted(Row::Snapshot) {
        let done = bench.snapshot();
        bench.note(Row::Snapshot, done);
    }
    remove(&bench.dir)?;
    Ok(bench.results)
}

struct Bench<'a> {
    places: &'a Places,
    kind: Kind,
    side: &'a str,
    plan: &'a Plan,
    dir: PathBuf,
    results: Results,
}

impl Bench<'_> {
    /// Runs rows one after the other on a fresh server with an empty folder; after a failure, on another one.
    fn group(&mut self, rows: &[Row]) {
        let mut server = None;
        for row in rows {
            let done = self.one_of_group(&mut server, *row);
            if done.is_err() {
                server = None;
            }
            self.note(*row, done);
        }
        if let (Some(server), Some(row)) = (server, rows.last()) {
            let stopped = server.stop();
            self.note(*row, stopped);
        }
    }

    fn one_of_group(&mut self, server: &mut Option<Server>, row: Row) -> Result<()> {
        if let Some(warm) = server {
            return self.load(warm, row, false);
        }
        remove(&self.dir)?;
        let cold = server.insert(self.start(&[])?);
        self.load(cold, row, true)
    }

    /// A row that fails is reported as such and does not take the others with it.
    fn note(&mut self, row: Row, done: Result<()>) {
        if let Err(error) = done {
            eprintln!("{}: {row:?} FAILED: {error:#}", self.side);
            self.results.insert(row, json!({ "failed": format!("{error:#}") }));
        }
    }

    fn start(&self, more: &[&str]) -> Result<Server> {
        Server::start(self.places, self.kind, &self.dir, self.plan.port, more)
    }

    fn load(&mut self, server: &Server, row: Row, first: bool) -> Result<()> {
        eprintln!("{}: {row:?}", self.side);
        // The first row finds a cold server.
        let warm_up = Duration::from_secs(if self.plan.quick || !first { 4 } else { 15 });
        let mut command = Command::new(self.places.binary("bench"));
        command.args(row.arguments(self.plan.quick, warm_up)).arg("--json");
        command.args(["--server", &server.address.to_string(), "--pid", &server.pid().to_string()]);
        let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
        if !output.status.success() {
            bail!("{}: {command:?} failed", self.side);
        }
        let report =
            serde_json::from_slice(&output.stdout).context("the load generator's report is no JSON")?;
        self.results.insert(row, report);
        Ok(())
    }

    /// Starts on what the creates left, several times; the median counts.
    fn restart(&mut self) -> Result<()> {
        let mut took = Vec::new();
        for _ in 0..if self.plan.quick { 1 } else { 3 } {
            eprintln!("{}: {:?}", self.side, Row::Restart);
            let server = self.start(&[])?;
            took.push(server.start_took.as_secs_f64());
            server.stop()?;
        }
        took.sort_by(f64::total_cmp);
        let report = json!({ "figures": { "restart_s": took[took.len() / 2] }, "all_s": took });
        self.results.insert(Row::Restart, report);
        Ok(())
    }

    /// Snapshots come often enough to see some: the server takes one each 10,000 to 20,000 writes.
    fn snapshot(&mut self) -> Result<()> {
        let server = self.start(&["snapCount=20000"])?;
        self.load(&server, Row::Snapshot, true)?;
        server.stop()
    }
}
