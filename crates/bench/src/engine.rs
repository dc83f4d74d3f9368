//! Runs pipelines on a few threads through warm-up and measurement, and takes the server's use of the machine
//! exactly around the measured part.
//!
//! A thread owns its connections and shares only the phase. The controlling thread sleeps between looks, so that
//! the processors belong to the server and the load.

use crate::cli::nth;
use crate::frames::Happened;
use crate::pipeline::Pipeline;
use crate::process::{Memory, Process, Processes};
use crate::source::Source;
use crate::tally::Tally;
use anyhow::{Context, Result, anyhow, bail};
use client::Session;
use indicatif::ProgressBar;
use mio::{Events, Interest, Poll, Token};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const WARM_UP: u8 = 0;
const MEASURE: u8 = 1;
const STOP: u8 = 2;

/// How often the controlling thread looks.
const LOOK: Duration = Duration::from_millis(10);
/// No reply for so long means that the server hangs.
const PATIENCE: Duration = Duration::from_secs(60);
const EVENTS: usize = 1024;

/// What the threads share.
#[derive(Debug)]
struct Shared {
    phase: AtomicU8,
    completed: AtomicU64,
    disturbed_until_ns: AtomicU64,
    epoch: Instant,
}

impl Shared {
    fn now_ns(&self) -> u64 {
        self.epoch.elapsed().as_nanos() as u64
    }
}

/// How connections are made and driven.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Connections go to each in turn.
    pub servers: Vec<SocketAddr>,
    pub processes: Processes,
    pub depth: usize,
    pub threads: usize,
    /// Never sleep while waiting for replies.
    pub spin: bool,
}

/// When a run ends.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// Warm-up, then measurement.
    Time(Duration, Duration),
    /// Until the sources have nothing more to ask; everything is measured.
    Requests,
}

/// What a run showed.
#[derive(Debug)]
pub struct Outcome {
    pub tally: Tally,
    pub elapsed: Duration,
    /// Processor time in seconds that all servers together used in the measured part.
    pub server_cpu_s: Option<f64>,
    pub server_memory: Option<Memory>,
    /// The same of this process: it must stay small beside the server's.
    pub own_cpu_s: f64,
}

/// Tells during a run whether something disturbs the server at the moment.
pub trait Watcher {
    /// Called every few ms while measuring; true while the disturbance lasts.
    fn disturbed(&mut self) -> Result<bool>;
    /// True when enough has been seen, whatever the time says.
    fn satisfied(&self) -> bool;
}

/// Nothing disturbs.
pub struct Undisturbed;

impl Watcher for Undisturbed {
    fn disturbed(&mut self) -> Result<bool> {
        Ok(false)
    }

    fn satisfied(&self) -> bool {
        false
    }
}

/// One run: a connection for each source.
pub fn run<S: Source + 'static>(
    setup: &Setup,
    sources: Vec<S>,
    length: Length,
    bar: &ProgressBar,
    watcher: &mut dyn Watcher,
) -> Result<Outcome> {
    let shared = Arc::new(Shared {
        phase: AtomicU8::new(if matches!(length, Length::Time(..)) { WARM_UP } else { MEASURE }),
        completed: AtomicU64::new(0),
        disturbed_until_ns: AtomicU64::new(0),
        epoch: Instant::now(),
    });
    let workers = connect(setup, sources, &shared)?;
    let mut threads = Vec::new();
    let first = Usage::now(&setup.processes)?;
    for worker in workers {
        threads.push(std::thread::spawn(move || worker.run()));
    }
    let control = Control { shared: &shared, threads: &threads, bar };
    let from = match length {
        Length::Time(warm_up, _) => {
            control.wait(warm_up, &mut Undisturbed)?;
            let from = Usage::now(&setup.processes)?;
            shared.phase.store(MEASURE, Ordering::Relaxed);
            from
        }
        Length::Requests => first,
    };
    let waited = control.wait(if let Length::Time(_, t) = length { t } else { Duration::MAX }, watcher);
    let to = Usage::now(&setup.processes)?;
    shared.phase.store(STOP, Ordering::Relaxed);
    waited.and(collect(threads, from, to))
}

fn collect(threads: Vec<JoinHandle<Result<Tally>>>, from: Usage, to: Usage) -> Result<Outcome> {
    let mut tally = Tally::new();
    for thread in threads {
        tally.add(&thread.join().map_err(|_| anyhow!("a load thread panicked"))??);
    }
    Ok(Outcome {
        tally,
        elapsed: to.at - from.at,
        server_cpu_s: to.server_cpu_s.zip(from.server_cpu_s).map(|(to, from)| to - from),
        server_memory: to.server_memory,
        own_cpu_s: to.own_cpu_s - from.own_cpu_s,
    })
}

/// A look at the clocks.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    pub at: Instant,
    pub server_cpu_s: Option<f64>,
    pub server_memory: Option<Memory>,
    pub own_cpu_s: f64,
}

impl Usage {
    pub fn now(processes: &Processes) -> Result<Self> {
        Ok(Usage {
            server_memory: processes.memory()?,
            server_cpu_s: processes.cpu_seconds()?,
            own_cpu_s: Process::this().cpu_seconds()?,
            at: Instant::now(),
        })
    }
}

struct Control<'a> {
    shared: &'a Shared,
    threads: &'a [JoinHandle<Result<Tally>>],
    bar: &'a ProgressBar,
}

impl Control<'_> {
    /// Waits for a time, or until the threads have ended or the watcher is satisfied.
    fn wait(&self, time: Duration, watcher: &mut dyn Watcher) -> Result<()> {
        let start = Instant::now();
        let mut last = (self.shared.completed.load(Ordering::Relaxed), start);
        while start.elapsed() < time && !watcher.satisfied() {
            if self.threads.iter().all(JoinHandle::is_finished) {
                return Ok(());
            }
            std::thread::sleep(LOOK.min(time.saturating_sub(start.elapsed())));
            if watcher.disturbed()? {
                self.shared.disturbed_until_ns.store(u64::MAX, Ordering::Relaxed);
            } else if self.shared.disturbed_until_ns.load(Ordering::Relaxed) == u64::MAX {
                self.shared.disturbed_until_ns.store(self.shared.now_ns(), Ordering::Relaxed);
            }
            let completed = self.shared.completed.load(Ordering::Relaxed);
            if completed != last.0 {
                last = (completed, Instant::now());
            } else if last.1.elapsed() > PATIENCE {
                bail!("no reply for {} s: the server hangs", PATIENCE.as_secs());
            }
            self.bar.set_position(completed);
        }
        Ok(())
    }
}

/// One thread's connections.
struct Worker<S> {
    poll: Poll,
    pipelines: Vec<Pipeline<S>>,
    shared: Arc<Shared>,
    tally: Tally,
    /// Longest sleep while waiting for replies.
    nap: Duration,
}

fn connect<S: Source>(setup: &Setup, sources: Vec<S>, shared: &Arc<Shared>) -> Result<Vec<Worker<S>>> {
    let threads = setup.threads.clamp(1, sources.len().max(1));
    let mut workers = Vec::new();
    for _ in 0..threads {
        let (poll, tally) = (Poll::new()?, Tally::new());
        let nap = if setup.spin { Duration::ZERO } else { LOOK };
        workers.push(Worker { poll, pipelines: Vec::new(), shared: shared.clone(), tally, nap });
    }
    for (number, source) in sources.into_iter().enumerate() {
        let session = open(nth(&setup.servers, number))?;
        let stream = session.into_stream();
        stream.set_nonblocking(true)?;
        let worker = &mut workers[number % threads];
        let token = Token(worker.pipelines.len());
        let mut pipeline = Pipeline::new(mio::net::TcpStream::from_std(stream), source, setup.depth);
        let interest = Interest::READABLE | Interest::WRITABLE;
        worker.poll.registry().register(pipeline.stream(), token, interest)?;
        worker.pipelines.push(pipeline);
    }
    Ok(workers)
}

fn open(server: SocketAddr) -> Result<Session> {
    Session::open(server).with_context(|| format!("cannot open a session at {server}"))
}

impl<S: Source> Worker<S> {
    fn run(mut self) -> Result<Tally> {
        let mut events = Events::with_capacity(EVENTS);
        for pipeline in &mut self.pipelines {
            pipeline.top_up(self.shared.now_ns())?;
        }
        let mut last_event = Instant::now();
        loop {
            self.poll.poll(&mut events, Some(self.nap)).or_else(|error| match error.kind() {
                std::io::ErrorKind::Interrupted => Ok(()),
                _ => Err(error),
            })?;
            let phase = self.shared.phase.load(Ordering::Relaxed);
            self.tally.observe(phase == MEASURE, self.shared.disturbed_until_ns.load(Ordering::Relaxed));
            let replies = self.serve(&events, phase)?;
            if replies > 0 {
                self.shared.completed.fetch_add(replies, Ordering::Relaxed);
            }
            if self.pipelines.iter().all(Pipeline::is_idle) {
                self.pipelines.iter_mut().for_each(Pipeline::close);
                return Ok(self.tally);
            }
            if !events.is_empty() {
                last_event = Instant::now();
            } else if last_event.elapsed() > PATIENCE {
                bail!("requests stay without a reply: the server hangs");
            }
        }
    }

    fn serve(&mut self, events: &Events, phase: u8) -> Result<u64> {
        let mut replies = 0;
        let shared = &*self.shared;
        for event in events {
            let pipeline = &mut self.pipelines[event.token().0];
            let happened = Happened::on(event);
            if !happened.readable {
                pipeline.flush()?;
                continue;
            }
            let clock = || shared.now_ns();
            replies += pipeline.receive(clock, &mut self.tally)?;
            if happened.ended {
                bail!("the server closed a connection");
            }
            if phase == STOP {
                pipeline.flush()?;
            } else {
                pipeline.top_up(clock())?;
            }
        }
        Ok(replies)
    }
}
