//! Many sessions at once: after a failure, every client comes back in the same moment.
//!
//! A connection that the server refuses, drops or leaves without an answer is tried again, as clients do, until all
//! sessions are open.

use crate::cli::{StormArgs, nth};
use crate::frames::{FrameStream, Happened};
use crate::load;
use crate::report::Report;
use crate::sessions::{Sessions, allow_connections};
use anyhow::{Context, Result, bail};
use client::ConnectOptions;
use client::wire::frame;
use client::wire::reply::ConnectResponse;
use indicatif::ProgressBar;
use mio::net::TcpStream;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between a refusal and the next try.
const PAUSE: Duration = Duration::from_millis(100);
/// A connection whose first packet the server dropped is delayed by the system's retry of one second.
const DELAYED: Duration = Duration::from_millis(900);
/// Asked for, so that no session expires while others are still opened; the server may grant less.
const TIMEOUT_MS: i32 = 120_000;
const PATIENCE: Duration = Duration::from_secs(120);
/// Between the last session's opening and the look at the memory.
const SETTLE: Duration = Duration::from_secs(2);

pub fn run(args: &StormArgs) -> Result<Report> {
    allow_connections(args.sessions)?;
    let processes = args.target.processes();
    let before = processes.memory()?;
    let bar = load::spinner("storm: sessions open");
    let mut storm = Storm::new(args.target.servers.clone(), args.sessions, args.attempt)?;
    let took = storm.run(&bar)?;
    bar.finish_and_clear();
    // Nothing announces that a server has become idle.
    std::thread::sleep(SETTLE);
    let after = processes.memory()?;
    let mut report = Report::new(format!("storm: {} sessions at once", args.sessions));
    report.figure("all_open_s", took.as_secs_f64());
    report.figure("refused", storm.refused as f64);
    report.figure("unanswered", storm.unanswered as f64);
    report.figure("delayed", storm.delayed as f64);
    if let (Some(before), Some(after)) = (before, after) {
        let grown = after.resident_kb as f64 - before.resident_kb as f64;
        report.figure("resident_kb_per_session", grown / args.sessions as f64);
    }
    storm.sessions.ping().context("not every session stayed alive")?;
    storm.sessions.close()?;
    Ok(report)
}

/// What has become of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Since when.
    Connecting(Instant),
    /// Since when the attempt goes on.
    Greeting(Instant),
    Open,
    /// Until when.
    Pausing(Instant),
}

struct Storm {
    servers: Vec<SocketAddr>,
    attempt: Duration,
    greeting: Vec<u8>,
    sessions: Sessions,
    states: Vec<State>,
    open: usize,
    refused: u64,
    delayed: u64,
    unanswered: u64,
}

impl Storm {
    fn new(servers: Vec<SocketAddr>, count: usize, attempt: Duration) -> Result<Self> {
        let mut greeting = Vec::new();
        let start = frame::begin(&mut greeting);
        ConnectOptions { timeout_ms: TIMEOUT_MS, ..Default::default() }.encode(&mut greeting);
        frame::finish(&mut greeting, start);
        let sessions = Sessions::new(count)?;
        let states = vec![State::Pausing(Instant::now()); count];
        Ok(Storm {
            servers,
            attempt,
            greeting,
            sessions,
            states,
            open: 0,
            refused: 0,
            delayed: 0,
            unanswered: 0,
        })
    }

    fn run(&mut self, bar: &ProgressBar) -> Result<Duration> {
        let start = Instant::now();
        for number in 0..self.states.len() {
            self.states[number] = State::Connecting(Instant::now());
            self.sessions.add(TcpStream::connect(nth(&self.servers, number))?)?;
        }
        while self.open < self.states.len() {
            self.turn()?;
            bar.set_position(self.open as u64);
            if start.elapsed() > PATIENCE {
                bail!("after {} s only {} sessions are open", PATIENCE.as_secs(), self.open);
            }
        }
        Ok(start.elapsed())
    }

    fn turn(&mut self) -> Result<()> {
        let Storm { greeting, sessions, states, open, refused, delayed, .. } = self;
        sessions.wait(Duration::from_millis(20), |number, frames, happened| {
            let state = &mut states[number];
            let step = advance(state, frames, happened, greeting, delayed);
            if let Ok(opened) = step {
                *open += usize::from(opened);
            } else {
                if *state == State::Open {
                    bail!("the server dropped a session that was open");
                }
                *refused += 1;
                *state = State::Pausing(Instant::now() + PAUSE);
            }
            Ok(())
        })?;
        let now = Instant::now();
        for (number, state) in self.states.iter_mut().enumerate() {
            let retry = match *state {
                State::Pausing(until) => until <= now,
                State::Connecting(since) | State::Greeting(since) => {
                    let over = now.duration_since(since) > self.attempt;
                    self.unanswered += u64::from(over);
                    over
                }
                State::Open => false,
            };
            if retry {
                *state = State::Connecting(now);
                self.sessions.replace(number, TcpStream::connect(nth(&self.servers, number))?)?;
            }
        }
        Ok(())
    }
}

/// Takes one connection as far as it goes; true when its session has just been opened.
fn advance(
    state: &mut State,
    frames: &mut FrameStream,
    happened: Happened,
    greeting: &[u8],
    delayed: &mut u64,
) -> Result<bool> {
    if matches!(state, State::Pausing(_)) {
        return Ok(false);
    }
    if let State::Connecting(since) = *state {
        if let Some(error) = frames.stream.take_error()? {
            return Err(error.into());
        }
        if frames.stream.peer_addr().is_err() {
            return Ok(false);
        }
        frames.stream.set_nodelay(true)?;
        *delayed += u64::from(since.elapsed() > DELAYED);
        *state = State::Greeting(since);
        frames.output.extend_from_slice(greeting);
    }
    frames.flush()?;
    if !happened.readable {
        return Ok(false);
    }
    let mut granted = false;
    let mut more = true;
    while more {
        more = frames.fill()?;
        frames.drain(|payload, _| {
            if ConnectResponse::decode(payload)?.timeout_ms <= 0 {
                bail!("the server refused the session");
            }
            granted = true;
            Ok(())
        })?;
    }
    if happened.ended {
        bail!("the server closed the connection");
    }
    if granted {
        *state = State::Open;
    }
    Ok(granted)
}
