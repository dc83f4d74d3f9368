//! The same work on three servers that form an ensemble, all on this machine.
//!
//! The load generator's connections are spread over the three; what counts is the processor time of all three
//! together. Each side gets the same zoo.cfg; Apache gets its own choice of collector and compilers, the same heap for each
//! server as alone, and no logging.

use super::rows::{Plan, Results, Row};
use super::servers::{HEAP_MB, Kind, Places};
use anyhow::{Context, Result, bail, ensure};
use interop::apache;
use interop::ensemble::place::Layout;
use interop::ensemble::status::{self, Role};
use interop::ensemble::{self, Ensemble};
use interop::fetch::remove_dir;
use interop::server::{Running, ServerKind};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

const SERVERS: usize = 3;
/// Between the first of the client ports, quorum ports and election ports.
const PORT_STEP: u16 = 10;
/// How the load generator's line starts that says that every connection writes.
const READY: &str = "gap: every connection writes";
/// Writes go on for so long before the leader is killed, so that nothing of the start is seen.
const CALM: Duration = Duration::from_secs(2);
/// Java needs its time for a million znodes.
const JOIN_LIMIT: Duration = Duration::from_secs(300);
/// Nothing announces that a member serves now: it is asked this often.
const ASK: Duration = Duration::from_millis(5);

/// Runs all rows of the plan on one kind of server.
pub fn run(places: &Places, kind: Kind, side: &str, plan: &Plan) -> Result<Results> {
    let kind = match kind {
        Kind::Apache => ServerKind::Apache(apache::REFERENCE.to_owned()),
        Kind::Rookeeper => ServerKind::Rookeeper,
        Kind::Floor => bail!("the floor forms no ensemble"),
    };
    let mut bench = Bench { places, kind, side, plan, results: Results::new() };
    // The one with kills comes last: it leaves servers that were just started.
    let steady = [Row::Reads, Row::Writes, Row::Mixed, Row::WritesOne, Row::Kill];
    for group in [&steady[..], &[Row::Join]] {
        let rows: Vec<Row> = group.iter().copied().filter(|row| plan.rows.contains(row)).collect();
        bench.group(&rows);
    }
    remove_dir(&places.work().join("ensemble"))?;
    Ok(bench.results)
}

struct Bench<'a> {
    places: &'a Places,
    kind: ServerKind,
    side: &'a str,
    plan: &'a Plan,
    results: Results,
}

impl Bench<'_> {
    /// Runs rows one after the other on a fresh ensemble; after a failure, on another one.
    fn group(&mut self, rows: &[Row]) {
        let mut running: Option<Ensemble> = None;
        for row in rows {
            let first = running.is_none();
            eprintln!("{}: {row:?}", self.side);
            let mut done = if first { self.start().map(|fresh| running = Some(fresh)) } else { Ok(()) };
            if let (Ok(()), Some(ensemble)) = (&done, &mut running) {
                done = self.row(ensemble, *row, first).map(|report| drop(self.results.insert(*row, report)));
            }
            if let Err(error) = done {
                eprintln!("{}: {row:?} FAILED: {error:#}", self.side);
                self.results.insert(*row, json!({ "failed": format!("{error:#}") }));
                running = None;
            }
        }
        if let Some(Err(error)) = running.as_mut().map(Ensemble::stop_all) {
            eprintln!("{}: the ensemble does not stop: {error:#}", self.side);
        }
    }

    /// A fresh ensemble, all members serving.
    fn start(&self) -> Result<Ensemble> {
        let dir = self.places.work().join("ensemble");
        remove_dir(&dir)?;
        let client = self.plan.port;
        let layout =
            Layout::PortsFrom { client, quorum: client + PORT_STEP, election: client + 2 * PORT_STEP };
        let kinds = vec![self.kind.clone(); SERVERS];
        let plan = ensemble::Plan::plain("compare", &kinds)
            .dir(dir)
            .layout(layout)
            .running(Running { heap_mb: HEAP_MB, full_java: true, own_group: false })
            .config("tickTime", 2000)
            // Enough for Java to send and take a million znodes on a busy machine.
            .config("initLimit", 60)
            .config("minSessionTimeout", -1);
        let mut ensemble = plan.build()?;
        ensemble.require_free_ports().context("give another --port, or stop what uses these")?;
        // A bare quorum first: if the third one's vote comes while the first two agree already, Apache's second server may
        // lead alone for all of initLimit.
        ensemble.member(1).start()?;
        ensemble.member(2).start()?;
        ensemble.wait_for_leader()?;
        ensemble.start_all()?;
        ensemble.wait_for_all()?;
        Ok(ensemble)
    }

    fn row(&self, ensemble: &mut Ensemble, row: Row, first: bool) -> Result<Value> {
        match row {
            Row::WritesOne => self.one_write_at_a_time(ensemble, first),
            Row::Kill => self.kill(ensemble),
            Row::Join => self.join(ensemble),
            _ => self.load(ensemble, row, first, &ensemble.connect_string()),
        }
    }

    fn command(&self, ensemble: &Ensemble, row: Row, first: bool, servers: &str) -> Command {
        let pids: Vec<String> =
            ensemble.members.iter().filter_map(|member| Some(member.pid()?.to_string())).collect();
        // Three Java machines compile at the same time what they run, on the processors that the load takes, too.
        let warm_up = match (self.plan.quick, first) {
            (true, _) => 4,
            (false, true) => 40,
            (false, false) => 15,
        };
        let mut command = Command::new(self.places.binary("bench"));
        command
            .args(row.arguments(self.plan.quick, Duration::from_secs(warm_up)))
            .args(["--json", "--server", servers]);
        command.args(["--pid", &pids.join(",")]).stdin(Stdio::null());
        command
    }

    fn load(&self, ensemble: &Ensemble, row: Row, first: bool, servers: &str) -> Result<Value> {
        let mut command = self.command(ensemble, row, first, servers);
        let output = command.stderr(Stdio::inherit()).output()?;
        ensure!(output.status.success(), "{command:?} failed");
        serde_json::from_slice(&output.stdout).context("the load generator's report is no JSON")
    }

    fn one_write_at_a_time(&self, ensemble: &mut Ensemble, first: bool) -> Result<Value> {
        let leader = ensemble.wait_for_leader()?;
        let follower = other_than(ensemble, leader)?;
        let mut to = |id, first| {
            let server = ensemble.member(id).place.client_address().to_string();
            self.load(ensemble, Row::WritesOne, first, &server)
        };
        Ok(json!({ "leader": to(leader, first)?, "follower": to(follower, false)? }))
    }

    /// Several times: the leader gets kill -9 under writes, and is started again when the load is over.
    fn kill(&self, ensemble: &mut Ensemble) -> Result<Value> {
        let (mut reports, mut expired) = (Vec::new(), 0.0);
        for _ in 0..if self.plan.quick { 2 } else { 9 } {
            let leader = ensemble.wait_for_all()?;
            let mut command = self.command(ensemble, Row::Kill, false, &ensemble.connect_string());
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
            let mut writes = Writes::new(child)?;
            writes.wait_until_ready()?;
            std::thread::sleep(CALM);
            ensemble.member(leader).kill9()?;
            let report = writes.finish()?;
            expired += figure(&report, "sessions_expired")?;
            reports.push(report);
            ensemble.member(leader).start()?;
        }
        ensemble.wait_for_all()?;
        let gaps: Result<Vec<f64>> = reports.iter().map(|report| figure(report, "longest_gap_ms")).collect();
        let (median, worst) = median_and_worst(gaps?).context("no kill")?;
        let figures = json!({
            "median_ms": median, "worst_ms": worst, "kills": reports.len(), "sessions_expired": expired,
        });
        Ok(json!({ "figures": figures, "all": reports }))
    }

    /// Several times: a follower is stopped, loses its data, and is started; until it is a follower with everything.
    fn join(&self, ensemble: &mut Ensemble) -> Result<Value> {
        let creates = self.load(ensemble, Row::Join, true, &ensemble.connect_string())?;
        let leader = ensemble.wait_for_all()?;
        let joiner = other_than(ensemble, leader)?;
        let mut took = Vec::new();
        for _ in 0..if self.plan.quick { 1 } else { 3 } {
            let goal = ensemble.member(leader).status()?.zxid;
            let member = ensemble.member(joiner);
            member.stop()?;
            remove_dir(&member.version_2())?;
            let start = Instant::now();
            member.start()?;
            while !member.status().is_ok_and(|status| status.role == Role::Follower && status.zxid == goal) {
                member.must_live()?;
                ensure!(start.elapsed() < JOIN_LIMIT, "it does not join: {}", member.describe());
                std::thread::sleep(ASK);
            }
            took.push(start.elapsed().as_secs_f64());
            same_count(ensemble, leader, joiner)?;
        }
        let (median, _) = median_and_worst(took.clone()).context("nobody joined")?;
        Ok(json!({ "figures": { "join_s": median }, "all_s": took, "creates": creates }))
    }
}

/// A voter that does not lead.
fn other_than(ensemble: &Ensemble, leader: u8) -> Result<u8> {
    ensemble.voters().into_iter().find(|id| *id != leader).context("an ensemble of one")
}

/// Who serves after a join has as many znodes as the leader.
fn same_count(ensemble: &mut Ensemble, leader: u8, joiner: u8) -> Result<()> {
    let mut count = |id| {
        let address = ensemble.member(id).place.client_address();
        status::counter(address, "zk_znode_count")?.context("`mntr` has no zk_znode_count")
    };
    let (theirs, own): (f64, f64) = (count(leader)?, count(joiner)?);
    ensure!(theirs == own, "the member that joined has {own} znodes, the leader {theirs}");
    Ok(())
}

fn figure(report: &Value, name: &str) -> Result<f64> {
    report["figures"][name].as_f64().with_context(|| format!("the load generator reports no {name}"))
}

/// The middle one (of an even number the worse of two), and the largest.
fn median_and_worst(mut values: Vec<f64>) -> Option<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    Some((*values.get(values.len() / 2)?, *values.last()?))
}

/// The load generator at steady writes; ended when dropped.
struct Writes {
    child: Child,
    /// One message when every connection writes.
    ready: Receiver<()>,
}

impl Writes {
    fn new(mut child: Child) -> Result<Self> {
        let stderr = child.stderr.take().context("standard error is piped")?;
        let (sender, ready) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if line.starts_with(READY) {
                    // Nobody waits any more if the run has failed meanwhile.
                    let _ = sender.send(());
                } else {
                    eprintln!("{line}");
                }
            }
        });
        Ok(Writes { child, ready })
    }

    /// Fails when the load generator ends without having been ready.
    fn wait_until_ready(&mut self) -> Result<()> {
        self.ready.recv().context("the load generator has ended before every connection could write")
    }

    fn finish(mut self) -> Result<Value> {
        let stdout = self.child.stdout.take().context("standard output is piped")?;
        let report = serde_json::from_reader(stdout);
        let status = self.child.wait()?;
        ensure!(status.success(), "the load generator ended with {status}");
        report.context("the load generator's report is no JSON")
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        // It has ended already after `finish`; both calls then have nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_never_the_better_half() {
        assert_eq!(median_and_worst(vec![3.0, 1.0, 2.0]), Some((2.0, 3.0)));
        assert_eq!(median_and_worst(vec![4.0, 1.0]), Some((4.0, 4.0)));
        assert_eq!(median_and_worst(Vec::new()), None);
    }

    #[test]
    fn figures_are_taken_from_the_report() {
        let report = json!({ "figures": { "longest_gap_ms": 12.5 } });
        assert_eq!(figure(&report, "longest_gap_ms").unwrap(), 12.5);
        assert!(figure(&report, "other").is_err());
    }
}
