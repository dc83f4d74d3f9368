//! The state of a server as plain values, filled by the server and rendered here.
//!
//! All fields are always to be filled but those that a [`crate::Part`] names, which may stay empty when the word asked
//! does not need them.

use crate::metrics::Measured;
use std::net::SocketAddr;
use wire::OpCode;

/// See the module's introduction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status {
    pub version: Version,
    /// False while the server has no leader or is not yet up: most words then say so and nothing else, and only
    /// `version`, `trace_mask` and `environment` are looked at.
    pub serving: bool,
    pub mode: Mode,
    /// `zk_peer_state`: the role and phase within an ensemble, such as `leading - broadcast`; `None` when standalone.
    pub peer_state: Option<String>,
    /// What `gtmk` shows.
    pub trace_mask: i64,
    pub counts: Counts,
    /// Only on a leader.
    pub proposals: Option<ProposalSizes>,
    pub configuration: Configuration,
    /// Those of the port that was asked, the asking one included.
    pub connections: Vec<Connection>,
    pub sizes: DirSizes,
    /// One digest of the tree for every 128th zxid, oldest first; empty if no such history is kept.
    pub digests: Vec<(i64, u64)>,
    pub environment: Environment,
    /// Counters and summaries for `mntr`, beyond those in `counts`.
    pub measured: Vec<Measured>,
    pub sessions: Sessions,
    /// When connections are closed for silence; `None` if the server keeps no such list, as Apache's with Netty.
    pub connection_buckets: Option<Vec<Bucket<ConnectionInBucket>>>,
    pub watch_summary: WatchSummary,
    /// Sessions with the paths of their watches in the data table: exists, getData, persistent, recursive.
    pub watches: Vec<(i64, Vec<String>)>,
}

/// The release that is behaved as; what stands where clients and scripts parse a version.
pub const COMPATIBLE: &str = "3.9.5";

/// Rendered as `3.9.5-<revision>, built on <built>, <own>`. Parsers go by the numbers, the hyphen behind them, the comma
/// and `built on`; none was found that looks at what follows the date.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    /// Forty hexadecimal digits: the commit.
    pub revision: String,
    /// `2026-02-11 20:18 UTC`
    pub built: String,
    /// The name and version of this server, such as `Rookeeper 0.1.0`; empty to leave it out.
    pub own: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Mode {
    #[default]
    Standalone,
    Leader,
    Follower,
    Observer,
    ReadOnly,
}

impl Mode {
    pub fn name(self) -> &'static str {
        match self {
            Mode::Standalone => "standalone",
            Mode::Leader => "leader",
            Mode::Follower => "follower",
            Mode::Observer => "observer",
            Mode::ReadOnly => "read-only",
        }
    }
}

/// Numbers that are at hand at any time.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Counts {
    /// From receipt to answer, reads and writes together, since the start or `srst`.
    pub latency: Latency,
    pub packets_received: u64,
    pub packets_sent: u64,
    /// Connections on all client ports.
    pub connections: u64,
    /// Requests received and not answered.
    pub outstanding: u64,
    pub last_zxid: i64,
    /// Znodes of the tree. Apache counts the root twice, once under each of its names; that is done here.
    pub znodes: u64,
    /// Bytes of paths and data, the root's path counted as empty; its second name is added here as well.
    pub data_bytes: u64,
    pub ephemerals: u64,
    /// Watches in both tables.
    pub watches: u64,
    pub sessions: u64,
    pub local_sessions: u64,
    pub uptime_ms: u64,
    /// `None`: the system does not tell.
    pub open_file_descriptors: Option<u64>,
    pub max_file_descriptors: Option<u64>,
}

/// Times in ms; `min` and `max` mean something only if `count` is above 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    pub count: u64,
    pub total: u64,
    pub min: u64,
    pub max: u64,
}

/// Bytes of a leader's proposals; -1 before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProposalSizes {
    pub last: i64,
    pub min: i64,
    pub max: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    pub client_port: Option<u16>,
    pub secure_client_port: Option<u16>,
    /// Absolute, with `version-2`.
    pub data_dir: String,
    pub data_log_dir: String,
    pub tick_ms: u32,
    /// Per address; 0 means no limit.
    pub max_client_cnxns: u32,
    pub min_session_timeout_ms: u32,
    pub max_session_timeout_ms: u32,
    /// `None`: what the server chooses itself, shown as -1.
    pub backlog: Option<u32>,
    /// `myid`; 0 when standalone, though session ids carry a 1 there.
    pub server_id: i64,
    pub ensemble: Option<EnsembleConfiguration>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EnsembleConfiguration {
    /// In ticks.
    pub init_limit: u32,
    pub sync_limit: u32,
    /// One for each of the server's addresses.
    pub election_ports: Vec<u16>,
    pub quorum_ports: Vec<u16>,
    pub observer: bool,
    /// The text of the membership, as in `/zookeeper/config`; `None` in read-only mode.
    pub membership: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    pub address: SocketAddr,
    pub interest: Interest,
    /// Requests received and not answered.
    pub queued: u64,
    pub received: u64,
    pub sent: u64,
    /// After the handshake.
    pub session: Option<ConnectionSession>,
}

/// What a connection is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interest {
    /// Nothing: throttled, or the connection that asks.
    None,
    #[default]
    Read,
    Write,
    Both,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionSession {
    pub id: i64,
    /// `None`: no answer since the start or `crst`, or the last answer was the refusal of a write.
    pub last_op: Option<OpCode>,
    /// When the connection was made: ms since 1970.
    pub established_ms: i64,
    pub timeout_ms: i32,
    /// `None`: no request with a number of its own yet (pings have none).
    pub last_cxid: Option<i32>,
    /// -1: none yet.
    pub last_zxid: i64,
    /// Of the server's monotonic clock, in ms; 0: none yet.
    pub last_response_ms: i64,
    pub last_latency_ms: u64,
    pub latency: Latency,
}

/// Bytes of all files, folders below included.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DirSizes {
    pub data_dir: u64,
    pub data_log_dir: u64,
}

/// `None` is shown as `<NA>`, as Java shows an unknown property.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub host_name: Option<String>,
    pub tmp_dir: Option<String>,
    pub os_name: Option<String>,
    pub os_arch: Option<String>,
    pub os_version: Option<String>,
    pub user_name: Option<String>,
    pub user_home: Option<String>,
    pub user_dir: Option<String>,
    /// Megabytes that the server could still use, may use at most, and has taken.
    pub memory_free_mb: Option<u64>,
    pub memory_max_mb: Option<u64>,
    pub memory_total_mb: Option<u64>,
    /// Lines behind those of Apache, such as `rookeeper.version`.
    pub own: Vec<(String, String)>,
}

/// What `dump` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sessions {
    pub tracked: TrackedSessions,
    /// Sessions with the paths of their ephemerals.
    pub ephemerals: Vec<(i64, Vec<String>)>,
}

/// What a server knows of its sessions depends on its role.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TrackedSessions {
    /// Standalone and leader: ids by the time of their expiry.
    Buckets(Vec<Bucket<i64>>),
    /// Followers and observers: ids with their timeouts in ms, sorted by id.
    Timeouts(Vec<(i64, i32)>),
}

impl Default for TrackedSessions {
    fn default() -> Self {
        TrackedSessions::Buckets(Vec::new())
    }
}

/// What ends at the same time, in ms since 1970, unless it is renewed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bucket<T> {
    pub expires_ms: i64,
    pub members: Vec<T>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionInBucket {
    pub address: SocketAddr,
    /// 0 before the handshake.
    pub session_id: i64,
}

/// Of the data table only, as in Apache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WatchSummary {
    pub connections: u64,
    pub paths: u64,
    pub watches: u64,
}
