//! Starting and stopping: claim the folder, recover, start the threads, and listen last.

use crate::clock::Clock;
use crate::disk::{Disk, DiskError};
use crate::io::{IoThread, WAKE};
use crate::node_thread::NodeThread;
use crate::outbox::Mailbox;
use crate::shared::{Counters, NodeInput, Shared};
use crate::{log_thread, settings, snapshot_thread};
use config::Config;
use journal::{
    LogOptions, LogWriter, RecoverError, RecoverOptions, Recovered, SnapshotOptions, SnapshotWriter,
};
use mio::{Poll, Waker};
use node::{Inflight, Node, Settings, Watches};
use parking_lot::{Mutex, RwLock};
use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use thiserror::Error;
use wire::jute::Limits;

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
    #[error(
        "this configuration names {servers} voting servers, but this version serves only standalone. Three servers \
         that each run alone would lose data. Remove the server.N lines to run a single server"
    )]
    Ensemble { servers: usize },
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
    if config.ensemble.is_distributed() {
        return Err(StartError::Ensemble { servers: config.ensemble.membership.participants().count() });
    }
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
        mailboxes,
        settings,
        clock,
        disk,
        address,
        config: Arc::new(config),
    });
    let (stop, stopped) = mpsc::channel();
    let threads = spawn_all(&shared, polls, listener, &stop, (replayed, seed))?;
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

/// Restores the tree, and writes the first snapshot of a new database.
fn recover(config: &Config, settings: &Settings, disk: &Disk, seed: u64) -> Result<Recovered, StartError> {
    let storage = &config.storage;
    let options = RecoverOptions {
        rules: tree::Rules { owners: settings.owners, digest: settings.digest, hash_seed: seed },
        limits: Limits { field_bytes: settings.max_record },
        trust_empty: storage.trust_empty_snapshot,
        repair: true,
    };
    let dir = disk.dirs().snapshots.display().to_string();
    let mut recovered = journal::recover(disk, &options)
        .map_err(|source| StartError::Recover { dir: dir.clone(), source })?;
    let report = &recovered.report;
    for (file, reason) in &report.rejected {
        tracing::warn!(file, reason, "snapshot passed over");
    }
    for what in report.repaired.iter().chain(&report.warnings) {
        tracing::warn!("{what}");
    }
    // A database without a snapshot gets one at once: logs alone, trusted this time, would be refused the next.
    let needs_snapshot = report.snapshot.is_none();
    if report.fresh {
        tracing::info!(dir, "new database");
    } else {
        let zxid = format!("{:#x}", recovered.tree.last_zxid());
        let (snapshot, txns) = (report.snapshot.as_deref().unwrap_or("none"), report.txns);
        tracing::info!(dir, snapshot, txns, zxid, znodes = recovered.tree.len(), "database restored");
    }
    if needs_snapshot {
        first_snapshot(disk, &mut recovered, storage)
            .map_err(|source| StartError::System { what: "cannot write the first snapshot", source })?;
    }
    Ok(recovered)
}

fn first_snapshot(disk: &Disk, recovered: &mut Recovered, storage: &config::Storage) -> io::Result<()> {
    let options = SnapshotOptions {
        compression: journal::Compression::None,
        digest: storage.digest_enabled,
        last_zxid: storage.serialize_last_processed_zxid,
    };
    let header = recovered.tree.freeze();
    let mut writer = SnapshotWriter::begin(disk, &header, options)?;
    let mut bytes = Vec::new();
    while recovered.tree.read_frozen(u32::MAX, |node| {
        SnapshotWriter::<crate::disk::DiskFile>::encode_node(&node, &mut bytes);
        true
    }) {}
    recovered.tree.thaw();
    writer.write(&bytes)?;
    writer.finish(disk).map(|_name| ())
}

fn cannot_listen(address: String, source: io::Error) -> StartError {
    let advice = match source.kind() {
        io::ErrorKind::AddrInUse => {
            ". Another process has this port (an Apache ZooKeeper, perhaps): stop it, or choose another clientPort"
        }
        io::ErrorKind::PermissionDenied => ". Ports below 1024 need the right to take them",
        io::ErrorKind::AddrNotAvailable => {
            ". No interface of this machine has this address: see clientPortAddress"
        }
        _ => "",
    };
    StartError::Listen { address, source, advice }
}

/// The socket for clients, bound but not yet listening.
fn take_port(config: &Config) -> Result<TcpListener, StartError> {
    let any = config::Address { host: None, port: 0 };
    let wanted = config.listen.client.as_ref().unwrap_or(&any);
    let address = format!("{}:{}", wanted.host.as_deref().unwrap_or("[::]"), wanted.port);
    let fail = |source| cannot_listen(address.clone(), source);
    let candidates: Vec<SocketAddr> = match &wanted.host {
        Some(host) => (host.as_str(), wanted.port).to_socket_addrs().map_err(fail)?.collect(),
        // Like Java: both families on one socket where the system has IPv6.
        None => vec![
            SocketAddr::from((std::net::Ipv6Addr::UNSPECIFIED, wanted.port)),
            SocketAddr::from((std::net::Ipv4Addr::UNSPECIFIED, wanted.port)),
        ],
    };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host name has no address");
    for candidate in candidates {
        match bind(candidate) {
            Ok(listener) => return Ok(listener),
            Err(e) if e.kind() == io::ErrorKind::AddrInUse => return Err(fail(e)),
            Err(e) => last = e,
        }
    }
    Err(fail(last))
}

/// A bound socket; an IPv6 wildcard takes IPv4 too.
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
    let family = if address.is_ipv6() { AddressFamily::INET6 } else { AddressFamily::INET };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, false)?;
    }
    rustix::net::bind(&socket, &address)?;
    Ok(socket.into())
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
    (replayed, seed): (u64, u64),
) -> Result<Vec<JoinHandle<()>>, StartError> {
    let (log_in, log_out) = mpsc::channel();
    let (snapshot_in, snapshot_out) = mpsc::channel();
    let storage = &shared.config.storage;
    let log_options = LogOptions {
        prealloc_bytes: storage.pre_alloc_bytes,
        sync: storage.force_sync,
        max_record: shared.settings.max_record,
    };
    let log = LogWriter::new(shared.disk.clone(), log_options);
    let node = Node::new(shared.settings.clone(), &shared.tree.read(), shared.clock.now(), seed);
    let mut threads = Vec::new();
    let (s, failed) = (shared.clone(), stop.clone());
    threads.push(spawn("log", move || log_thread::run(log, log_out, s, failed))?);
    let (s, failed) = (shared.clone(), stop.clone());
    threads.push(spawn("snapshot", move || snapshot_thread::run(s, snapshot_out, failed))?);
    let thread = NodeThread::new(shared.clone(), node, log_in, snapshot_in, replayed, seed);
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
