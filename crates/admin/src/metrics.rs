//! `mntr`: the metrics, under Apache's names (client-surface §11).
//!
//! What a server always knows comes from [`crate::Counts`]. Everything else is a list of what was measured, so that a
//! metric exists from the day on which something measures it, and never as a zero before.

use crate::status::{Counts, Status};
use crate::text;

/// A metric that this server measures, under Apache's name without `zk_` and without `avg_` and the like.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    pub name: &'static str,
    pub value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    Gauge(i64),
    /// A gauge that is no whole number.
    Real(f64),
    Counter(u64),
    Summary(Summary),
    Advanced(Summary, Percentiles),
}

/// Values since the start or `srst`; `min` and `max` mean something only if `count` is above 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    pub count: u64,
    pub sum: u64,
    pub min: u64,
    pub max: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Percentiles {
    pub p50: u64,
    pub p95: u64,
    pub p99: u64,
    pub p999: u64,
}

impl Measured {
    pub fn new(name: &'static str, value: Value) -> Measured {
        Measured { name, value }
    }

    /// Whether Apache 3.9.5 has a metric of this name and kind.
    pub fn is_known(&self) -> bool {
        let names: &[&str] = match self.value {
            Value::Gauge(_) => &GAUGES,
            Value::Real(_) => &REAL_GAUGES,
            Value::Counter(_) => &COUNTERS,
            Value::Summary(_) => &SUMMARIES,
            Value::Advanced(..) => &ADVANCED,
        };
        names.contains(&self.name)
    }
}

impl Counts {
    /// Apache's tables hold the root under the empty path and under `/`.
    pub(crate) fn apache_znodes(&self) -> u64 {
        self.znodes + 1
    }

    fn apache_data_bytes(&self) -> u64 {
        self.data_bytes + 1
    }
}

pub(crate) fn render(status: &Status) -> String {
    let mut out = Lines(String::new());
    out.line("version", status.version.line());
    out.line("server_state", status.mode.name());
    if let Some(peer_state) = &status.peer_state {
        out.line("peer_state", peer_state);
    }
    gauges(&mut out, &status.counts);
    if let Some(sizes) = status.proposals {
        out.line("last_proposal_size", sizes.last);
        out.line("min_proposal_size", sizes.min);
        out.line("max_proposal_size", sizes.max);
    }
    for measured in &status.measured {
        debug_assert!(measured.is_known(), "{measured:?} is no metric of Apache");
        out.measured(measured);
    }
    out.0
}

fn gauges(out: &mut Lines, counts: &Counts) {
    let latency = counts.latency;
    out.line("avg_latency", text::double(text::mean(latency.total, latency.count)));
    out.line("min_latency", latency.min);
    out.line("max_latency", latency.max);
    out.line("packets_received", counts.packets_received);
    out.line("packets_sent", counts.packets_sent);
    out.line("num_alive_connections", counts.connections);
    out.line("outstanding_requests", counts.outstanding);
    out.line("znode_count", counts.apache_znodes());
    out.line("watch_count", counts.watches);
    out.line("ephemerals_count", counts.ephemerals);
    out.line("approximate_data_size", counts.apache_data_bytes());
    out.line("global_sessions", counts.sessions);
    out.line("local_sessions", counts.local_sessions);
    out.line("uptime", counts.uptime_ms);
    if let Some(open) = counts.open_file_descriptors {
        out.line("open_file_descriptor_count", open);
    }
    if let Some(max) = counts.max_file_descriptors {
        out.line("max_file_descriptor_count", max);
    }
}

struct Lines(String);

impl Lines {
    fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        self.0.push_str(&format!("zk_{key}\t{value}\n"));
    }

    fn measured(&mut self, measured: &Measured) {
        let name = measured.name;
        match measured.value {
            Value::Gauge(value) => self.line(name, value),
            Value::Real(value) => self.line(name, text::double(value)),
            Value::Counter(value) => self.line(name, value),
            Value::Summary(summary) => self.summary(name, summary),
            Value::Advanced(summary, percentiles) => {
                self.summary(name, summary);
                self.line(&format!("p50_{name}"), percentiles.p50);
                self.line(&format!("p95_{name}"), percentiles.p95);
                self.line(&format!("p99_{name}"), percentiles.p99);
                self.line(&format!("p999_{name}"), percentiles.p999);
            }
        }
    }

    fn summary(&mut self, name: &str, summary: Summary) {
        self.line(&format!("avg_{name}"), text::double(text::mean(summary.sum, summary.count)));
        self.line(&format!("min_{name}"), summary.min);
        self.line(&format!("max_{name}"), summary.max);
        self.line(&format!("cnt_{name}"), summary.count);
        self.line(&format!("sum_{name}"), summary.sum);
    }
}

/// Gauges that are not among [`Counts`].
const GAUGES: [&str; 14] = [
    "auth_failed_count",
    "last_client_response_size",
    "leader_uptime",
    "learners",
    "max_client_response_size",
    "min_client_response_size",
    "non_mtls_local_conn_count",
    "non_mtls_remote_conn_count",
    "outstanding_tls_handshake",
    "pending_syncs",
    "quorum_size",
    "synced_followers",
    "synced_non_voting_followers",
    "synced_observers",
];

const REAL_GAUGES: [&str; 1] = ["connection_drop_probability"];

/// Counters of Apache 3.9.5.
const COUNTERS: [&str; 51] = [
    "add_dead_watcher_stall_time",
    "bytes_received_count",
    "cnxn_closed_without_zk_server_running",
    "commit_count",
    "connection_drop_count",
    "connection_rejected",
    "connection_request_count",
    "connection_revalidate_count",
    "dead_watchers_cleared",
    "dead_watchers_queued",
    "diff_count",
    "digest_mismatches_count",
    "ensemble_auth_fail",
    "ensemble_auth_skip",
    "ensemble_auth_success",
    "insecure_admin_count",
    "large_requests_rejected",
    "learner_commit_received_count",
    "learner_proposal_received_count",
    "looking_count",
    "outstanding_changes_queued",
    "outstanding_changes_removed",
    "prep_processor_request_queued",
    "proposal_count",
    "quit_leading_due_to_disloyal_voter",
    "request_commit_queued",
    "request_throttle_wait_count",
    "requests_not_forwarded_to_commit_processor",
    "response_bytes",
    "response_packet_cache_hits",
    "response_packet_cache_misses",
    "response_packet_get_children_cache_hits",
    "response_packet_get_children_cache_misses",
    "restore_error_count",
    "restore_rate_limited_count",
    "revalidate_count",
    "sessionless_connections_expired",
    "skip_learner_request_to_next_processor_count",
    "snap_count",
    "snapshot_error_count",
    "snapshot_rate_limited_count",
    "stale_replies",
    "stale_requests",
    "stale_requests_dropped",
    "stale_sessions_expired",
    "sync_processor_request_queued",
    "throttled_ops",
    "tls_handshake_exceeded",
    "unrecoverable_error_count",
    "unsuccessful_handshake",
    "watch_bytes",
];

/// Summaries without percentiles.
const SUMMARIES: [&str; 42] = [
    "commit_commit_proc_req_queued",
    "commit_process_time",
    "concurrent_request_processing_in_commit_processor",
    "connection_token_deficit",
    "dbinittime",
    "election_time",
    "follower_sync_time",
    "fsynctime",
    "inflight_diff_count",
    "inflight_snap_count",
    "leader_unavailable_time",
    "learner_request_processor_queue_size",
    "netty_queued_buffer_capacity",
    "node_changed_watch_count",
    "node_children_watch_count",
    "node_created_watch_count",
    "node_deleted_watch_count",
    "observer_sync_time",
    "pending_session_queue_size",
    "prep_process_time",
    "prep_processor_queue_size",
    "proposal_process_time",
    "read_commit_proc_issued",
    "read_commit_proc_req_queued",
    "reads_after_write_in_session_queue",
    "reads_issued_from_session_queue",
    "requests_in_session_queue",
    "restore_time",
    "session_queues_drained",
    "snapshottime",
    "socket_closing_time",
    "startup_snap_load_time",
    "startup_txns_load_time",
    "startup_txns_loaded",
    "sync_process_time",
    "sync_processor_batch_size",
    "sync_processor_queue_size",
    "time_waiting_empty_pool_in_commit_processor_read_ms",
    "unavailable_time",
    "write_batch_time_in_commit_processor",
    "write_commit_proc_issued",
    "write_commit_proc_req_queued",
];

/// Summaries with percentiles.
const ADVANCED: [&str; 23] = [
    "close_session_prep_time",
    "commit_propagation_latency",
    "dead_watchers_cleaner_latency",
    "jvm_pause_time_ms",
    "local_write_committed_time_ms",
    "om_commit_process_time_ms",
    "om_proposal_process_time_ms",
    "prep_processor_queue_time_ms",
    "propagation_latency",
    "proposal_ack_creation_latency",
    "proposal_latency",
    "quorum_ack_latency",
    "read_commitproc_time_ms",
    "read_final_proc_time_ms",
    "readlatency",
    "request_throttle_queue_time_ms",
    "server_write_committed_time_ms",
    "sync_processor_queue_and_flush_time_ms",
    "sync_processor_queue_flush_time_ms",
    "sync_processor_queue_time_ms",
    "updatelatency",
    "write_commitproc_time_ms",
    "write_final_proc_time_ms",
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// The tables hold the names that Apache 3.9.5 printed as a leader and as a standalone server, and no other.
    #[test]
    fn the_names_are_those_of_apache() {
        let captures =
            [include_str!("../tests/goldens/leader.mntr"), include_str!("../tests/goldens/empty.mntr")];
        let all = captures.iter().flat_map(|text| text.lines());
        let mut printed: BTreeSet<String> =
            all.filter_map(|line| Some(line.split_once('\t')?.0.strip_prefix("zk_")?.to_owned())).collect();
        let mut take = |key: String| assert!(printed.remove(&key), "Apache has no {key}");
        for name in GAUGES.iter().chain(&REAL_GAUGES).chain(&COUNTERS) {
            take((*name).to_owned());
        }
        for name in SUMMARIES.iter().chain(&ADVANCED) {
            ["avg", "min", "max", "cnt", "sum"].iter().for_each(|part| take(format!("{part}_{name}")));
        }
        for name in &ADVANCED {
            ["p50", "p95", "p99", "p999"].iter().for_each(|part| take(format!("{part}_{name}")));
        }
        let status = Status {
            peer_state: Some(String::new()),
            proposals: Some(crate::ProposalSizes { last: 0, min: 0, max: 0 }),
            counts: Counts {
                open_file_descriptors: Some(0),
                max_file_descriptors: Some(0),
                ..Counts::default()
            },
            ..Status::default()
        };
        for line in render(&status).lines() {
            take(line.split('\t').next().unwrap().strip_prefix("zk_").unwrap().to_owned());
        }
        // Sets, whose names depend on the first folder of a path, on peers and on queues.
        printed.retain(|key| {
            !["_per_namespace", "ack_latency", "learner_handler_qp_"].iter().any(|s| key.contains(s))
        });
        assert!(printed.is_empty(), "{printed:?}");
    }
}
