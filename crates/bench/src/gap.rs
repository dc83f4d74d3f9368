//! How long nobody's write is acknowledged while something fails.
//!
//! A few connections write without end, one request in flight on each, spread over all servers. Who loses its
//! connection goes to the next server at once and takes its session along, as clients do. Meanwhile somebody else
//! kills the leader; the sign that everything is ready for it is a line on standard error, [`READY`]. What counts is the
//! longest time between two acknowledged writes, whichever connections they came from: clients of a server that is
//! still there do not count as served while their writes wait.

use crate::cli::{GapArgs, nth};
use crate::load;
use crate::report::Report;
use anyhow::{Context, Result, anyhow, bail};
use client::wire::ErrorCode;
use client::{ClientError, ConnectOptions, Session};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How the line starts that says that every connection writes.
pub const READY: &str = "gap: every connection writes";
/// A server that does not answer for so long is left for the next one.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);
/// Between two attempts to connect: a server that refuses must not be kept from its election by refusing.
const PAUSE: Duration = Duration::from_millis(5);
const SESSION_TIMEOUT_MS: i32 = 30_000;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(10);

pub fn run(args: &GapArgs) -> Result<Report> {
    let connections = args.connections.max(1);
    let paths = load::prepare(&args.target, connections, args.size)?;
    let shared = Arc::new(Shared::default());
    let epoch = Instant::now();
    let mut threads = Vec::new();
    for (number, path) in paths.into_iter().enumerate() {
        let writer = Writer::new(args, number, path);
        let shared = shared.clone();
        threads.push(std::thread::spawn(move || writer.run(&shared, epoch)));
    }
    let ready = wait_until_ready(&shared, &threads);
    let from = epoch.elapsed();
    if ready.is_ok() {
        eprintln!("{READY} ({connections} on {} servers)", args.target.servers.len());
        std::thread::sleep(args.seconds);
    }
    let to = epoch.elapsed();
    shared.stop.store(true, Ordering::Relaxed);
    let mut all = Account::default();
    for thread in threads {
        all.add(thread.join().map_err(|_| anyhow!("a writer panicked"))??);
    }
    ready.map(|()| report(args, all, from, to))
}

fn report(args: &GapArgs, mut all: Account, from: Duration, to: Duration) -> Report {
    let mut report = Report::new(format!(
        "gap: {} connections x 1 in flight over {} servers, {} bytes, {:.1} s",
        args.connections.max(1),
        args.target.servers.len(),
        args.size,
        (to - from).as_secs_f64()
    ));
    all.acknowledged.retain(|at| (from..=to).contains(at));
    let gaps = gaps(&mut all.acknowledged, from, to);
    let ms = |gap: Option<&Gap>| gap.map_or(0.0, |gap| gap.length.as_secs_f64() * 1e3);
    report.figure("longest_gap_ms", ms(gaps.first()));
    report.figure("second_gap_ms", ms(gaps.get(1)));
    report.figure("longest_gap_after_s", gaps.first().map_or(0.0, |gap| (gap.start - from).as_secs_f64()));
    report.figure("writes", all.acknowledged.len() as f64);
    report.figure("writes_per_s", all.acknowledged.len() as f64 / (to - from).as_secs_f64());
    report.figure("connections_lost", all.lost as f64);
    report.figure("attempts_in_vain", all.in_vain as f64);
    report.figure("sessions_expired", all.expired as f64);
    report.errors = all.refusals;
    report
}

/// A time without an acknowledged write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Gap {
    start: Duration,
    length: Duration,
}

/// The times between acknowledgements, longest first; from the start to the first and from the last to the end count.
fn gaps(acknowledged: &mut [Duration], from: Duration, to: Duration) -> Vec<Gap> {
    acknowledged.sort_unstable();
    let starts = std::iter::once(&from).chain(acknowledged.iter());
    let ends = acknowledged.iter().chain(std::iter::once(&to));
    let mut gaps: Vec<Gap> =
        starts.zip(ends).map(|(start, end)| Gap { start: *start, length: *end - *start }).collect();
    gaps.sort_by_key(|gap| (std::cmp::Reverse(gap.length), gap.start));
    gaps
}

#[derive(Debug, Default)]
struct Shared {
    /// Writers whose first write was acknowledged.
    ready: AtomicUsize,
    stop: AtomicBool,
}

fn wait_until_ready(shared: &Shared, threads: &[JoinHandle<Result<Account>>]) -> Result<()> {
    let start = Instant::now();
    while shared.ready.load(Ordering::Relaxed) < threads.len() {
        if threads.iter().any(JoinHandle::is_finished) {
            bail!("a writer has given up");
        }
        if start.elapsed() > PATIENCE {
            bail!("not every connection can write after {} s", PATIENCE.as_secs());
        }
        std::thread::sleep(LOOK);
    }
    Ok(())
}

/// What writers saw.
#[derive(Debug, Default)]
struct Account {
    /// When writes were acknowledged.
    acknowledged: Vec<Duration>,
    /// Connections that broke under a write; whether that write happened is unknown.
    lost: u64,
    /// Attempts to connect that came to nothing.
    in_vain: u64,
    expired: u64,
    refusals: BTreeMap<i32, u64>,
}

impl Account {
    fn add(&mut self, other: Account) {
        self.acknowledged.extend(other.acknowledged);
        self.lost += other.lost;
        self.in_vain += other.in_vain;
        self.expired += other.expired;
        for (code, count) in other.refusals {
            *self.refusals.entry(code).or_default() += count;
        }
    }
}

/// One connection's work.
struct Writer {
    servers: Vec<SocketAddr>,
    /// Which server is its own at the moment.
    at: usize,
    session: Option<Session>,
    options: ConnectOptions,
    path: String,
    value: Vec<u8>,
    pause: Duration,
    account: Account,
}

fn new_session() -> ConnectOptions {
    ConnectOptions { timeout_ms: SESSION_TIMEOUT_MS, io_timeout: ANSWER_LIMIT, ..ConnectOptions::default() }
}

impl Writer {
    fn new(args: &GapArgs, number: usize, path: String) -> Self {
        Writer {
            servers: args.target.servers.clone(),
            at: number,
            session: None,
            options: new_session(),
            path,
            value: load::value(args.size),
            pause: args.pause,
            account: Account::default(),
        }
    }

    fn run(mut self, shared: &Shared, epoch: Instant) -> Result<Account> {
        while !shared.stop.load(Ordering::Relaxed) {
            if self.session.is_none() {
                self.connect()?;
            } else if self.write()? {
                if self.account.acknowledged.is_empty() {
                    shared.ready.fetch_add(1, Ordering::Relaxed);
                }
                self.account.acknowledged.push(epoch.elapsed());
                std::thread::sleep(self.pause);
            }
        }
        if let Some(session) = self.session {
            // A session that cannot be closed now expires later.
            let _ = session.close();
        }
        Ok(self.account)
    }

    /// One attempt at the server whose turn it is.
    fn connect(&mut self) -> Result<()> {
        match self.options.connect(nth(&self.servers, self.at)) {
            Ok(session) => self.session = Some(session),
            Err(ClientError::SessionExpired) => self.expire(),
            Err(ClientError::Closed | ClientError::TimedOut | ClientError::Io(_)) => {
                self.account.in_vain += 1;
                self.at += 1;
                std::thread::sleep(PAUSE);
            }
            Err(error) => return Err(error).context("a handshake went wrong"),
        }
        Ok(())
    }

    /// True: acknowledged.
    fn write(&mut self) -> Result<bool> {
        let Some(session) = &mut self.session else { return Ok(false) };
        match session.set_data(&self.path, &self.value, -1) {
            Ok(_) => return Ok(true),
            Err(ClientError::Refused(code)) if code == ErrorCode::SessionExpired.code() => self.expire(),
            Err(ClientError::Refused(code)) => *self.account.refusals.entry(code).or_default() += 1,
            Err(ClientError::Closed | ClientError::TimedOut | ClientError::Io(_)) => {
                self.options = ConnectOptions { io_timeout: ANSWER_LIMIT, ..ConnectOptions::resume(session) };
                self.session = None;
                self.account.lost += 1;
                self.at += 1;
            }
            Err(error) => return Err(error).with_context(|| format!("a write to {} went wrong", self.path)),
        }
        Ok(false)
    }

    fn expire(&mut self) {
        self.account.expired += 1;
        self.session = None;
        self.options = new_session();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Target;
    use crate::floor::Floor;
    use mio::Events;

    fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn gaps_run_over_all_connections_and_to_both_ends() {
        let gap = |start, length| Gap { start: at(start), length: at(length) };
        // Two connections, in the order in which their threads are collected.
        let mut times = [at(120), at(140), at(900), at(130), at(400)];
        let found = gaps(&mut times, at(100), at(1000));
        assert_eq!(found[..4], [gap(400, 500), gap(140, 260), gap(900, 100), gap(100, 20)]);
        assert_eq!(found.iter().map(|gap| gap.length).sum::<Duration>(), at(900));
        // Nobody is ever served again.
        assert_eq!(gaps(&mut [at(110)], at(100), at(5000))[0], gap(110, 4890));
        assert_eq!(gaps(&mut [], at(100), at(300)), [gap(100, 200)]);
    }

    fn args(servers: Vec<SocketAddr>) -> GapArgs {
        let target = Target { servers, pids: Vec::new(), json: false, allow_errors: false, threads: 1 };
        GapArgs { target, connections: 2, size: 100, pause: Duration::ZERO, seconds: at(100) }
    }

    #[test]
    fn a_writer_whose_server_is_gone_goes_to_the_next_one() {
        let mut floor = Floor::bind(0).unwrap();
        let there = floor.address().unwrap();
        // Nobody listens where a listener has been dropped.
        let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::thread::spawn(move || {
            let mut events = Events::with_capacity(8);
            while floor.turn(&mut events).is_ok() {}
        });
        let shared = Shared::default();
        let mut writer = Writer::new(&args(vec![gone, there]), 0, "/a".to_owned());
        writer.connect().unwrap();
        assert!(writer.session.is_none() && !writer.write().unwrap());
        writer.connect().unwrap();
        let same = writer.session.as_ref().map(|session| session.handshake().session_id);
        // The floor answers a write as if it were a read, which is an acknowledgement all the same.
        assert!(writer.write().unwrap());
        writer.session.as_mut().unwrap().transport().stream().shutdown(std::net::Shutdown::Both).unwrap();
        assert!(!writer.write().unwrap());
        assert_eq!(Some(writer.options.session_id), same);
        assert_eq!((writer.account.in_vain, writer.account.lost, writer.at), (1, 1, 2));
        shared.stop.store(true, Ordering::Relaxed);
        assert_eq!(writer.run(&shared, Instant::now()).unwrap().acknowledged, []);
    }
}
