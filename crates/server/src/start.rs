//! Starting and stopping: claim the folder, recover, start the threads, and listen last.

use crate::clock::Clock;
use crate::disk::{Disk, DiskError};
use crate::io::{IoThread, WAKE};
use crate::listen::{cannot_listen, take_port};
use crate::log::Log;
use crate::log_thread::LogHandle;
use crate::node_thread::NodeThread;
use crate::outbox::Mailbox;
use crate::quorum::{self, QuorumNet};
use crate::recovery::recover;
use crate::shared::{Counters, NodeInput, Shared};
use crate::{log_thread, settings, snapshot_thread};
use config::Config;
use journal::RecoverError;
use mio::{Poll, Waker};
use node::{Epochs, Inflight, Node, Watches};
use parking_lot::{Mutex, RwLock};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use thiserror::Error;

#[derive(Debug, Error)]
pub enum StartError {
    #[error("{0}")]
    Disk(#[from] DiskError),
    #[error("the data in {dir} cannot be used: {source}")]
    Recover { dir: String, source: RecoverError },
    #[error("cannot listen on {address}: {source}{advice}")]
    Listen { address: String, source: io::Error, advice: &'static str },
    #[error("{what}: {source}")]
    System { what: &'static str, source: io::Error },
    #[error("{0}")]
    Ensemble(String),
    #[error("{0}")]
    Epochs(#[from] journal::EpochError),
    #[error(
        "this configuration has no clientPort, so no client could connect. Write clientPort=2181 into it{tls}"
    )]
    NoClientPort { tls: &'static str },
}

/// Why a running server ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopReason {
    /// Somebody asked for it.
    Asked,
    /// The log could not be written or synced: nothing that was not durable has been acknowledged.
    LogFailed(String),
    SnapshotFailed(String),
    IoFailed(String),
    /// The election port could not be taken, or was lost.
    ElectionPortFailed(String),
}

/// A running server.
pub struct Server {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    stopped: Receiver<StopReason>,
    stop: Sender<StopReason>,
    address: SocketAddr,
}

fn system(what: &'static str) -> impl Fn(io::Error) -> StartError {
    move |source| StartError::System { what, source }
}

/// Brings a server up. When this returns, clients can connect.
pub fn start(config: Config) -> Result<Server, StartError> {
    if config.listen.client.is_none() {
        let tls = if config.listen.secure_client.is_some() {
            " (this version has no TLS: secureClientPort is not served, and never in plain text)"
        } else {
            ""
        };
        return Err(StartError::NoClientPort { tls });
    }
    raise_file_limit();
    // Taken before anything is created, so that a start in vain leaves nothing behind.
    let listener = take_port(&config)?;
    let clock = Clock::start();
    let storage = &config.storage;
    let disk = Disk::claim(&storage.data_dir, &storage.data_log_dir, storage.autocreate_dirs)?;
    let settings = Arc::new(settings::settings(&config));
    let seed = random_seed().map_err(system("cannot read random numbers"))?;
    let recovered = recover(&config, &settings, &disk, seed)?;
    let replayed = recovered.report.txns;
    let epochs = match config.ensemble.is_distributed() {
        true => Some(journal::load_epochs(&disk, recovered.tree.last_zxid(), true)?),
        false => None,
    };
    // Only now can clients connect; they are accepted when all threads run.
    let address = listener.local_addr().map_err(system("the listening socket has no address"))?;
    rustix::net::listen(&listener, i32::try_from(config.listen.backlog).unwrap_or(i32::MAX))
        .map_err(|e| cannot_listen(address.to_string(), e.into()))?;
    let threads = io_threads(&config);
    let (mailboxes, polls) = mailboxes(threads).map_err(system("cannot create the I/O threads' polls"))?;
    let shared = Arc::new(Shared {
        node_stats: Mutex::default(),
        listed: Mutex::default(),
        counters: Counters::default(),
        tallies: (0..threads).map(|_| Mutex::default()).collect(),
        trace_mask: AtomicI64::new(DEFAULT_TRACE_MASK),
        stopping: AtomicBool::new(false),
        inflight: Inflight::default(),
        inbox: Default::default(),
        watches: Watches::new(seed),
        tree: RwLock::new(recovered.tree),
        serving: AtomicBool::new(epochs.is_none()),
        generation: AtomicU64::new(0),
        files: Mutex::new(0),
        ranges: Mutex::new(recovered.ranges),
        seed,
        mailboxes,
        settings,
        clock,
        disk,
        address,
        config: Arc::new(config),
    });
    let (stop, stopped) = mpsc::channel();
    let epochs = epochs.map(|e| Epochs { accepted: e.accepted, current: e.current });
    let threads = spawn_all(&shared, polls, listener, &stop, replayed, epochs)?;
    Ok(Server { shared, threads, stopped, stop, address })
}

/// Apache's default; nothing but `gtmk` and `stmk` looks at it here.
const DEFAULT_TRACE_MASK: i64 = 306;

fn io_threads(config: &Config) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    match config.rookeeper.io_threads {
        0 => (cores / 2).clamp(1, 16),
        n => (n as usize).min(64),
    }
}

/// As many open files as the system lets this process have: each connection is one. Java does the same.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit on open files cannot be raised; see ulimit -n");
        }
    }
}

fn random_seed() -> io::Result<u64> {
    let mut bytes = [0; 8];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

fn mailboxes(threads: usize) -> io::Result<(Arc<Vec<Mailbox>>, Vec<Poll>)> {
    let mut boxes = Vec::new();
    let mut polls = Vec::new();
    for _ in 0..threads {
        let poll = Poll::new()?;
        boxes.push(Mailbox::new(Waker::new(poll.registry(), WAKE)?));
        polls.push(poll);
    }
    Ok((Arc::new(boxes), polls))
}

fn spawn_all(
    shared: &Arc<Shared>,
    polls: Vec<Poll>,
    listener: TcpListener,
    stop: &Sender<StopReason>,
    replayed: u64,
    epochs: Option<Epochs>,
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (log_in, log_out) = mpsc::channel();
    let (snapshot_in, snapshot_out) = mpsc::channel();
    let mut threads = Vec::new();
    let log = Arc::new(Mutex::new(Log::new(shared.clone(), epochs.map(|e| e.current))));
    let queued = Arc::new(AtomicUsize::new(0));
    let handle = LogHandle::new(log.clone(), log_in, queued.clone());
    let (s, failed) = (shared.clone(), stop.clone());
    threads.push(spawn("log", move || log_thread::run(&log, &log_out, &queued, &s, &failed))?);
    let (s, failed) = (shared.clone(), stop.clone());
    threads.push(spawn("snapshot", move || snapshot_thread::run(s, snapshot_out, failed))?);
    let thread = node_thread(shared, epochs, (handle, snapshot_in), stop, replayed)?;
    threads.push(spawn("node", move || thread.run())?);
    let mut listener = Some(mio::net::TcpListener::from_std(listener));
    for (index, poll) in polls.into_iter().enumerate() {
        let io = IoThread::new(index, shared.clone(), poll, listener.take())
            .map_err(system("cannot watch the listening socket"))?;
        let failed = stop.clone();
        threads.push(spawn("io", move || {
            if let Err(error) = io.run() {
                // Nobody listens only when the server is ending anyway.
                let _ended = failed.send(StopReason::IoFailed(error.to_string()));
            }
        })?);
    }
    Ok(threads)
}

/// A server alone, or a member of an ensemble if there are epochs.
fn node_thread(
    shared: &Arc<Shared>,
    epochs: Option<Epochs>,
    (log, snapshots): (LogHandle, Sender<snapshot_thread::SnapshotInput>),
    stop: &Sender<StopReason>,
    replayed: u64,
) -> Result<NodeThread, StartError> {
    let (settings, now, seed) = (shared.settings.clone(), shared.clock.now(), shared.seed);
    let tree = shared.tree.read();
    let Some(epochs) = epochs else {
        let node = Node::alone(settings, &tree, now, seed);
        return Ok(NodeThread::new(shared.clone(), node, log, snapshots, stop.clone(), replayed));
    };
    let ensemble = quorum::settings(&shared.config).map_err(StartError::Ensemble)?;
    let node = Node::member(settings, ensemble, epochs, &tree, now, seed);
    let poll = Poll::new().map_err(system("cannot create the poll of the quorum port"))?;
    let waker = Waker::new(poll.registry(), quorum::WAKE);
    shared.inbox.wake_through(waker.map_err(system("cannot create the poll of the quorum port"))?);
    let net = QuorumNet::start(shared.clone(), poll).map_err(system("cannot begin with elections"))?;
    let thread = NodeThread::new(shared.clone(), node, log, snapshots, stop.clone(), replayed);
    Ok(thread.with_quorum(net))
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    let builder = std::thread::Builder::new().name(name.into());
    builder.spawn(run).map_err(system("cannot start a thread"))
}

impl Server {
    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A handle that asks the server to stop, from another thread.
    pub fn stopper(&self) -> impl Fn() + Send + use<> {
        let stop = self.stop.clone();
        move || {
            // A server that has ended needs no asking.
            let _ended = stop.send(StopReason::Asked);
        }
    }

    /// Waits until somebody asks for the end or something fails. After a request, what is on its way is finished
    /// first; after a failure, nothing more is done: the next start recovers.
    pub fn wait(self) -> StopReason {
        let reason = self.stopped.recv().unwrap_or(StopReason::Asked);
        self.shared.stopping.store(true, Ordering::Relaxed);
        if reason == StopReason::Asked {
            for mailbox in self.shared.mailboxes.iter() {
                mailbox.send(|mail| mail.stop = true);
            }
            self.shared.inbox.send(NodeInput::Stop);
            for thread in self.threads {
                if thread.join().is_err() {
                    tracing::error!("a thread ended by a panic");
                }
            }
            // What failed while ending is more than what was asked for.
            return self.stopped.try_iter().find(|r| *r != StopReason::Asked).unwrap_or(reason);
        }
        reason
    }
}
