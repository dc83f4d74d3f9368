//! Filling [`admin::Status`] from the running server, as far as the word that was asked needs it.

use crate::shared::{Listed, Shared};
use admin::{Asked, Command, Measured, Part, Status, Summary, Value, Word};
use node::{Standing, Tally};
use std::path::Path;
use std::sync::atomic::Ordering;

/// The answer to the first four bytes of a connection.
pub(crate) fn answer(shared: &Shared, first: [u8; 4]) -> String {
    match admin::word(first, |name| shared.config.four_letter_words.allows(name)) {
        None => String::new(),
        Some(Asked::Refused(text)) => text,
        Some(Asked::Answer(word @ (Word::Dump | Word::Hash))) => {
            format!("{} is not known to this release of Rookeeper yet.\n", word.name())
        }
        Some(Asked::Answer(word)) => {
            carry_out(shared, word);
            admin::render(word, &status(shared, admin::parts(word)))
        }
    }
}

fn carry_out(shared: &Shared, word: Word) {
    match admin::command(word) {
        Some(Command::ResetConnections) => {
            shared.listed.lock().connections.values().for_each(|listed| listed.stats.reset());
        }
        Some(Command::ResetServer) => {
            shared.tallies.iter().for_each(|tally| *tally.lock() = Tally::default());
            shared.counters.reset();
        }
        // Nothing is traced by masks here: the mask of before is shown.
        Some(Command::SetTraceMask) | None => {}
    }
}

fn status(shared: &Shared, parts: &[Part]) -> Status {
    let (serving, mode) = standing(shared);
    let mut status = Status {
        version: version(),
        serving,
        mode,
        trace_mask: shared.trace_mask.load(Ordering::Relaxed),
        counts: counts(shared),
        ..Status::default()
    };
    for part in parts {
        match part {
            Part::Configuration => status.configuration = configuration(shared),
            Part::Connections => {
                status.connections = shared.listed.lock().connections.values().map(connection).collect();
            }
            Part::DirSizes => status.sizes = sizes(shared),
            Part::Environment => status.environment = environment(),
            Part::Metrics => status.measured = metrics(shared),
            Part::WatchSummary => {
                let summary = shared.watches.summary();
                status.watch_summary = admin::WatchSummary {
                    connections: summary.connections as u64,
                    paths: summary.paths as u64,
                    watches: summary.watches as u64,
                };
            }
            Part::Watches => status.watches = watches(shared),
            Part::Digests | Part::Sessions => {}
        }
    }
    status
}

/// Whether clients are served, and as what: both of one moment, or a member that has just begun to serve read-only
/// would seem to take writes.
fn standing(shared: &Shared) -> (bool, admin::Mode) {
    let stats = *shared.node_stats.lock();
    let mode = match stats.standing {
        _ if stats.is_read_only => admin::Mode::ReadOnly,
        None | Some(Standing::Looking) => admin::Mode::Standalone,
        Some(Standing::Leading) => admin::Mode::Leader,
        Some(Standing::Following) => admin::Mode::Follower,
        Some(Standing::Observing) => admin::Mode::Observer,
    };
    let serving = match stats.standing {
        Some(_) => stats.is_serving,
        None => shared.serving.load(Ordering::Relaxed),
    };
    (serving, mode)
}

fn version() -> admin::Version {
    admin::Version {
        revision: env!("ROOKEEPER_REVISION").into(),
        built: env!("ROOKEEPER_BUILT").into(),
        own: format!("Rookeeper {}", env!("CARGO_PKG_VERSION")),
    }
}

fn tally(shared: &Shared) -> Tally {
    let mut sum = Tally::default();
    shared.tallies.iter().for_each(|t| sum.add(&t.lock()));
    sum
}

fn latency(from: &node::Latency) -> admin::Latency {
    admin::Latency { count: from.count, total: from.total_ms, min: from.min_ms, max: from.max_ms }
}

fn counts(shared: &Shared) -> admin::Counts {
    let tally = tally(shared);
    let stats = *shared.node_stats.lock();
    let mut counts = admin::Counts {
        latency: latency(&tally.latency),
        packets_received: tally.received,
        packets_sent: tally.sent,
        connections: shared.counters.connections.load(Ordering::Relaxed) as u64,
        outstanding: shared.inflight.requests().max(0) as u64,
        watches: shared.watches.count_both_tables() as u64,
        local_sessions: if stats.is_read_only { stats.sessions as u64 } else { 0 },
        uptime_ms: shared.clock.mono_ms() as u64,
        open_file_descriptors: std::fs::read_dir("/proc/self/fd").ok().map(|dir| dir.count() as u64),
        max_file_descriptors: rustix::process::getrlimit(rustix::process::Resource::Nofile).current,
        ..admin::Counts::default()
    };
    // The lock is held for what only the tree knows.
    let tree = shared.tree.read();
    counts.last_zxid = tree.last_zxid();
    counts.znodes = tree.len() as u64;
    counts.data_bytes = tree.data_bytes();
    counts.ephemerals = tree.ephemeral_count() as u64;
    counts.sessions = tree.sessions().len() as u64;
    counts
}

fn configuration(shared: &Shared) -> admin::Configuration {
    let config = &shared.config;
    let dirs = shared.disk.dirs();
    let absolute = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf()).display().to_string();
    admin::Configuration {
        client_port: Some(shared.address.port()),
        secure_client_port: None,
        data_dir: absolute(&dirs.snapshots),
        data_log_dir: absolute(&dirs.logs),
        tick_ms: config.sessions.tick_time_ms,
        max_client_cnxns: config.limits.max_client_cnxns_per_ip,
        min_session_timeout_ms: config.sessions.min_session_timeout_ms,
        max_session_timeout_ms: config.sessions.max_session_timeout_ms,
        backlog: Some(config.listen.backlog),
        server_id: if config.ensemble.is_distributed() { shared.settings.server_id } else { 0 },
        ensemble: config.ensemble.is_distributed().then(|| ensemble(shared)),
    }
}

fn ensemble(shared: &Shared) -> admin::EnsembleConfiguration {
    let ensemble = &shared.config.ensemble;
    let is_read_only = shared.node_stats.lock().is_read_only;
    let members = &ensemble.membership.members;
    let own = ensemble.my_id.and_then(|id| members.get(&id));
    let addresses = own.map(|m| m.addresses.as_slice()).unwrap_or_default();
    admin::EnsembleConfiguration {
        init_limit: ensemble.init_limit_ticks,
        sync_limit: ensemble.sync_limit_ticks,
        election_ports: addresses.iter().map(|a| a.election_port).collect(),
        quorum_ports: addresses.iter().map(|a| a.quorum_port).collect(),
        observer: own.is_some_and(|m| m.role == config::Role::Observer),
        membership: (!is_read_only).then(|| ensemble.membership.to_string()),
    }
}

fn connection(listed: &Listed) -> admin::Connection {
    let stats = listed.stats.view();
    let session = (stats.session_id != 0).then(|| admin::ConnectionSession {
        id: stats.session_id,
        last_op: stats.last_op,
        established_ms: listed.established_wall_ms,
        timeout_ms: stats.timeout_ms,
        last_cxid: stats.last_cxid,
        last_zxid: stats.last_zxid,
        last_response_ms: stats.last_response_ms,
        last_latency_ms: stats.last_latency_ms,
        latency: latency(&stats.latency),
    });
    let asking = stats.session_id == 0 && stats.received == 0;
    admin::Connection {
        address: listed.peer,
        interest: if asking { admin::Interest::None } else { admin::Interest::Read },
        queued: stats.queued,
        // The word itself was received, as Apache counts.
        received: stats.received + u64::from(asking),
        sent: stats.sent,
        session,
    }
}

fn sizes(shared: &Shared) -> admin::DirSizes {
    let dirs = shared.disk.dirs();
    admin::DirSizes { data_dir: folder_bytes(&dirs.snapshots), data_log_dir: folder_bytes(&dirs.logs) }
}

fn folder_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let bytes = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => folder_bytes(&entry.path()),
        Ok(meta) => meta.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}

fn environment() -> admin::Environment {
    let uname = rustix::system::uname();
    let text = |c: &std::ffi::CStr| Some(c.to_string_lossy().into_owned());
    let variable = |name: &str| std::env::var(name).ok();
    admin::Environment {
        host_name: text(uname.nodename()),
        tmp_dir: Some(std::env::temp_dir().display().to_string()),
        os_name: text(uname.sysname()),
        os_arch: text(uname.machine()),
        os_version: text(uname.release()),
        user_name: variable("USER").or_else(|| variable("LOGNAME")),
        user_home: variable("HOME"),
        user_dir: std::env::current_dir().ok().map(|p| p.display().to_string()),
        memory_free_mb: None,
        memory_max_mb: None,
        memory_total_mb: resident_mb(),
        own: vec![("rookeeper.version".into(), env!("CARGO_PKG_VERSION").into())],
    }
}

/// Megabytes of memory that the process has.
fn resident_mb() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64 / (1 << 20))
}

fn metrics(shared: &Shared) -> Vec<Measured> {
    let counters = &shared.counters;
    let fsyncs = counters.fsyncs.load(Ordering::Relaxed);
    let stats = *shared.node_stats.lock();
    let mut measured = vec![
        Measured::new("connection_rejected", Value::Counter(counters.rejected.load(Ordering::Relaxed))),
        Measured::new("digest_mismatches_count", Value::Counter(shared.tree.read().digest_mismatches())),
        Measured::new("stale_requests_dropped", Value::Counter(shared.inflight.stale_dropped())),
        Measured::new("stale_sessions_expired", Value::Counter(stats.expired_sessions)),
    ];
    if stats.standing == Some(Standing::Leading) {
        let gauges = [
            ("quorum_size", shared.config.ensemble.membership.participants().count()),
            ("learners", stats.learners),
            ("synced_followers", stats.synced_followers),
            ("synced_observers", stats.synced_observers),
            ("synced_non_voting_followers", 0),
        ];
        measured.extend(gauges.map(|(name, n)| Measured::new(name, Value::Gauge(n as i64))));
    }
    if stats.standing == Some(Standing::Following) {
        let observers = Value::Gauge(stats.synced_observers as i64);
        measured.push(Measured::new("synced_observers", observers));
    }
    if fsyncs > 0 {
        let summary = Summary {
            count: fsyncs,
            sum: counters.fsync_us_total.load(Ordering::Relaxed) / 1000,
            min: 0,
            max: counters.fsync_us_max.load(Ordering::Relaxed) / 1000,
        };
        measured.push(Measured::new("fsynctime", Value::Summary(summary)));
    }
    measured
}

/// Watches of the data table by session, for `wchc` and `wchp`.
fn watches(shared: &Shared) -> Vec<(i64, Vec<String>)> {
    let by_connection = shared.watches.data_table_by_connection();
    let listed = shared.listed.lock();
    let session = |conn| listed.connections.get(&conn).map(|l| l.stats.view().session_id);
    by_connection.into_iter().filter_map(|(conn, paths)| Some((session(conn)?, paths))).collect()
}
