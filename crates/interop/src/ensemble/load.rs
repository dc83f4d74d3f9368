//! Many clients at once, each on a thread of its own, until they are told to rest.
//!
//! All of them fight over a few znodes, so that versions, deletes and watches mean something, and each has
//! ephemerals and sequential znodes of its own. Only operations that 3.4 knows, so that any release can take part.
use super::history::{Request, SessionHistory, Told};
use super::session::{Client, SEQUENTIAL};
use super::{PATIENCE, POLL};
use crate::raw::flag;
use anyhow::{Context, Result, anyhow, bail};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The znodes that all clients fight over.
const KEYS: usize = 12;
/// Ephemerals of one client.
const EPHEMERALS: usize = 4;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub struct Intensity {
    pub clients: usize,
    /// The longest pause of a client between two goes.
    pub pause_ms: u64,
}

impl Default for Intensity {
    fn default() -> Intensity {
        Intensity { clients: 6, pause_ms: 16 }
    }
}

#[derive(Default)]
struct Control {
    /// Clients stop asking, but keep their sessions.
    rest: AtomicBool,
    /// Clients end.
    end: AtomicBool,
    resting: AtomicUsize,
    acknowledged: AtomicU64,
    /// A session has expired.
    expired: AtomicBool,
}

/// A running load.
pub struct Load {
    control: Arc<Control>,
    threads: Vec<JoinHandle<Result<Vec<SessionHistory>>>>,
}

impl Load {
    /// Makes the znodes that everything goes below, and starts the clients.
    pub fn start(members: &[SocketAddr], seed: u64, intensity: Intensity) -> Result<Load> {
        let mut first = Client::new(usize::MAX, members.to_vec(), seed);
        let base = ["/load", "/load/k", "/load/e", "/load/q"].map(|path| create(path, b"", flag::PERSISTENT));
        for outcome in first.perform(base.to_vec())? {
            outcome.context("the connection broke while the load was prepared")?;
        }
        first.close()?;
        let control = Arc::new(Control::default());
        let mut threads = vec![std::thread::spawn(|| Ok(first.into_histories()))];
        for number in 0..intensity.clients {
            let client = Client::new(number, members.to_vec(), seed);
            let (control, rng) = (Arc::clone(&control), Rng::with_seed(seed ^ (number as u64) << 32));
            let work = Work { number, rng, versions: BTreeMap::new(), sequential: Vec::new(), made: 0 };
            threads.push(std::thread::spawn(move || run(client, work, &control, intensity.pause_ms)));
        }
        Ok(Load { control, threads })
    }

    /// Writes acknowledged so far.
    pub fn acknowledged(&self) -> u64 {
        self.control.acknowledged.load(Ordering::Relaxed)
    }

    /// Waits until so many more writes have been acknowledged; returns how long the first of them took.
    pub fn progress(&self, writes: u64) -> Result<Duration> {
        let (since, start) = (Instant::now(), self.acknowledged());
        let mut first = None;
        while self.acknowledged() < start + writes {
            if self.acknowledged() > start {
                first.get_or_insert(since.elapsed());
            }
            if since.elapsed() > PATIENCE {
                bail!("only {} writes were acknowledged in {PATIENCE:?}", self.acknowledged() - start);
            }
            if self.threads.iter().skip(1).any(JoinHandle::is_finished) {
                bail!("a client of the load gave up");
            }
            if self.control.expired.load(Ordering::Relaxed) {
                bail!("a session of the load has expired");
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(first.unwrap_or_else(|| since.elapsed()))
    }

    /// Lets the clients finish what is under way and rest; their sessions live on.
    pub fn rest(&self) -> Result<()> {
        self.control.rest.store(true, Ordering::Relaxed);
        let deadline = Instant::now() + PATIENCE * 2;
        while self.control.resting.load(Ordering::Relaxed) < self.threads.len() - 1 {
            if Instant::now() > deadline {
                bail!("the clients of the load do not come to rest");
            }
            // Why a client gave up is known when all have ended.
            if self.threads.iter().skip(1).any(JoinHandle::is_finished) {
                return Ok(());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Lets the resting clients go on.
    pub fn go_on(&self) {
        self.control.rest.store(false, Ordering::Relaxed);
    }

    /// Ends the clients, whose sessions stay open, and returns what they were told.
    pub fn finish(mut self) -> Result<Vec<SessionHistory>> {
        self.control.end.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for thread in std::mem::take(&mut self.threads) {
            all.extend(thread.join().map_err(|_| anyhow!("a client of the load panicked"))??);
        }
        Ok(all)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.control.end.store(true, Ordering::Relaxed);
    }
}

fn run(mut client: Client, mut work: Work, control: &Control, pause_ms: u64) -> Result<Vec<SessionHistory>> {
    while !control.end.load(Ordering::Relaxed) {
        if control.rest.load(Ordering::Relaxed) {
            rest(&mut client, control)?;
        } else if work.rng.u32(..400) == 0 {
            client.close()?;
        } else {
            let requests: Vec<Request> = (0..work.rng.usize(1..=4)).map(|_| work.any_request()).collect();
            let outcomes = client.perform(requests.clone())?;
            control.expired.fetch_or(client.expired() > 0, Ordering::Relaxed);
            for (request, outcome) in requests.iter().zip(outcomes) {
                let Some(outcome) = outcome else { continue };
                if request.is_write() {
                    control.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                work.learn(request, &outcome.told);
            }
            std::thread::sleep(Duration::from_millis(work.rng.u64(1..=pause_ms)));
        }
    }
    Ok(client.into_histories())
}

/// Keeps the session alive until there is more to do.
fn rest(client: &mut Client, control: &Control) -> Result<()> {
    client.ping()?;
    control.resting.fetch_add(1, Ordering::Relaxed);
    let mut last = Instant::now();
    while control.rest.load(Ordering::Relaxed) && !control.end.load(Ordering::Relaxed) {
        if last.elapsed() > Duration::from_millis(500) {
            client.ping()?;
            last = Instant::now();
        }
        std::thread::sleep(POLL);
    }
    control.resting.fetch_sub(1, Ordering::Relaxed);
    Ok(())
}

/// Chooses what a client asks for.
struct Work {
    number: usize,
    rng: Rng,
    /// Versions as last seen.
    versions: BTreeMap<String, i32>,
    /// Its own sequential znodes.
    sequential: Vec<String>,
    made: u64,
}

impl Work {
    fn any_request(&mut self) -> Request {
        match self.rng.u32(..100) {
            0..24 => self.set(),
            24..32 => create(&self.key(), &self.value(), flag::PERSISTENT),
            32..37 => Request::Delete { path: self.key(), version: -1 },
            37..43 => create("/load/q/n-", &self.value(), SEQUENTIAL),
            43..48 if !self.sequential.is_empty() => {
                let which = self.rng.usize(..self.sequential.len());
                Request::Delete { path: self.sequential.swap_remove(which), version: -1 }
            }
            43..56 => create(&self.ephemeral(), &self.value(), flag::EPHEMERAL),
            56..61 => Request::Delete { path: self.ephemeral(), version: -1 },
            61..69 => self.multi(),
            69..84 => Request::Get { path: self.key(), watch: self.rng.bool() },
            84..94 => Request::Exists { path: self.key(), watch: self.rng.bool() },
            _ => Request::Children { path: "/load/e".to_owned() },
        }
    }

    fn set(&mut self) -> Request {
        let path = self.key();
        let known = self.versions.get(&path).copied();
        let version = if self.rng.u32(..3) == 0 { known.unwrap_or(0) } else { -1 };
        Request::Set { path, data: self.value(), version }
    }

    fn multi(&mut self) -> Request {
        let mut parts = vec![Request::Check { path: "/load".to_owned(), version: -1 }];
        for _ in 0..self.rng.usize(1..4) {
            parts.push(match self.rng.u32(..4) {
                0 => create(&self.key(), &self.value(), flag::PERSISTENT),
                1 => create(&self.ephemeral(), &self.value(), flag::EPHEMERAL),
                2 => Request::Delete { path: self.key(), version: -1 },
                _ => self.set(),
            });
        }
        Request::Multi(parts)
    }

    fn key(&mut self) -> String {
        format!("/load/k/{}", self.rng.usize(..KEYS))
    }

    fn ephemeral(&mut self) -> String {
        format!("/load/e/{}-{}", self.number, self.rng.usize(..EPHEMERALS))
    }

    /// Data that no other write has.
    fn value(&mut self) -> Vec<u8> {
        self.made += 1;
        format!("client {} value {} {}", self.number, self.made, "x".repeat(self.rng.usize(..80)))
            .into_bytes()
    }

    fn learn(&mut self, request: &Request, told: &Told) {
        match (request, told) {
            (Request::Set { path, .. } | Request::Exists { path, .. }, Told::Stat(stat))
            | (Request::Get { path, .. }, Told::Data(_, stat)) => {
                self.versions.insert(path.clone(), stat.version);
            }
            (Request::Create { flags, .. }, Told::Path(path)) if *flags == SEQUENTIAL => {
                self.sequential.push(path.clone());
            }
            _ => {}
        }
    }
}

fn create(path: &str, data: &[u8], flags: i32) -> Request {
    Request::Create { path: path.to_owned(), data: data.to_vec(), flags }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_load_has_every_kind_of_request() {
        let rng = Rng::with_seed(1);
        let mut work = Work { number: 0, rng, versions: BTreeMap::new(), sequential: Vec::new(), made: 0 };
        work.sequential = vec!["/load/q/n-0000000000".into(); 1000];
        let requests: Vec<Request> = (0..1000).map(|_| work.any_request()).collect();
        let count = |wanted: fn(&Request) -> bool| requests.iter().filter(|one| wanted(one)).count();
        assert!(count(Request::is_write) > 500);
        assert!(count(|one| matches!(one, Request::Multi(_))) > 30);
        assert!(count(|one| matches!(one, Request::Get { watch: true, .. })) > 30);
        assert!(count(|one| matches!(one, Request::Create { flags: flag::EPHEMERAL, .. })) > 30);
    }
}
