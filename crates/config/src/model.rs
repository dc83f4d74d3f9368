//! The configuration of one server as plain typed values: what the table's options mean together, after defaults,
//! derived values and cross checks. Built once, then only read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use crate::effective::Entry;
use crate::members::{Address, Membership};
use wire::data::DigestAlgorithm;

/// Everything a server is told.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    pub listen: Listen,
    pub sessions: Sessions,
    pub limits: Limits,
    pub storage: Storage,
    pub features: Features,
    pub auth: Auth,
    pub four_letter_words: Whitelist,
    pub ensemble: Ensemble,
    pub rookeeper: OwnOptions,
    /// Each option as text, for [`crate::effective`].
    pub(crate) entries: Vec<Entry>,
}

/// Where clients connect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Listen {
    /// The plain client port, after the server's own `server.N` line was heard. Port 0 asks for any free one.
    pub client: Option<Address>,
    /// The TLS client port.
    pub secure_client: Option<Address>,
    /// Connections that may wait to be accepted.
    pub backlog: u32,
    pub tcp_keep_alive: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sessions {
    pub tick_time_ms: u32,
    pub min_session_timeout_ms: u32,
    pub max_session_timeout_ms: u32,
    pub local_sessions_enabled: bool,
    pub local_sessions_upgrading_enabled: bool,
    pub read_only_mode_enabled: bool,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Largest frame that a client may send, and largest field in it.
    pub jute_max_buffer_bytes: u32,
    /// What a record written by a server may have beyond that.
    pub jute_extra_bytes: u32,
    /// Connections from one address; 0 means no limit.
    pub max_client_cnxns_per_ip: u32,
    /// Connections per port; 0 means no limit.
    pub max_cnxns: u32,
    /// Before division among the voters, see §8.4 of the reference on throttles.
    pub global_outstanding_limit: u32,
    /// `None`: large requests are not limited.
    pub large_request_threshold_bytes: Option<u32>,
    pub large_request_max_bytes: u32,
    /// `None`: no request is refused for having waited.
    pub throttled_op_wait_ms: Option<u32>,
    pub sessionless_cnxn_timeout_ms: u64,
    pub request_throttle: RequestThrottle,
    pub connection_throttle: ConnectionThrottle,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct RequestThrottle {
    /// `None`: off.
    pub max_requests: Option<u32>,
    pub drop_stale: bool,
    pub stale_latency_check: bool,
}

/// A bucket of tokens with random early drops (BLUE) in front of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ConnectionThrottle {
    /// Size of the bucket, already multiplied by the global weight; 0 means no limit.
    pub tokens: u32,
    pub fill_time_ms: u64,
    /// Tokens per fill time, already multiplied by the global weight.
    pub fill_count: u32,
    /// `None`: no random drops.
    pub freeze_time_ms: Option<u32>,
    pub drop_increase: f64,
    pub drop_decrease: f64,
    pub decrease_ratio: f64,
    /// `None`: every connect costs one token.
    pub weights: Option<ConnectionWeights>,
}

/// Tokens that a connect costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnectionWeights {
    pub global_session: u32,
    pub renewed_session: u32,
    pub local_session: u32,
}

#[derive(Debug, Clone, PartialEq, Default)]
pub struct Storage {
    /// Parent of `version-2` with snapshots and epoch files.
    pub data_dir: PathBuf,
    /// Parent of `version-2` with logs.
    pub data_log_dir: PathBuf,
    pub snap_count: u32,
    /// `None`: log size is no reason for a snapshot.
    pub snap_size_limit_bytes: Option<u64>,
    /// `None`: a log file may grow without limit.
    pub txn_log_size_limit_bytes: Option<u64>,
    /// 0: log files are not enlarged ahead.
    pub pre_alloc_bytes: u64,
    /// `false`: writes are acknowledged before they are durable.
    pub force_sync: bool,
    pub fsync_warning_threshold_ms: u64,
    pub snapshot_compression: Compression,
    pub trust_empty_snapshot: bool,
    pub autocreate_dirs: bool,
    pub autocreate_db: bool,
    pub digest_enabled: bool,
    pub serialize_last_processed_zxid: bool,
    pub close_session_txn_enabled: bool,
    /// `None`: old files are never removed.
    pub purge_interval_ms: Option<u64>,
    pub snap_retain_count: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
}

impl Compression {
    pub(crate) fn from_word(word: &str) -> Compression {
        match word {
            "gz" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            _ => Compression::None,
        }
    }
}

/// What znodes can be.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Features {
    /// Znodes with a time to live.
    pub extended_types_enabled: bool,
    pub emulate_353_ttl_nodes: bool,
    pub container_check_interval_ms: u64,
    pub container_max_per_minute: u32,
    /// `None`: containers that never had a child stay.
    pub container_max_never_used_ms: Option<u64>,
    pub enforce_quota: bool,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Auth {
    pub skip_acl: bool,
    pub eager_acl_check: bool,
    pub digest_enabled: bool,
    pub digest_algorithm: DigestAlgorithm,
    /// `name:hash` of the superuser.
    pub super_digest: Option<Secret>,
    /// Empty: the scheme `ensemble` takes any name.
    pub ensemble_names: Vec<String>,
    /// The schemes on offer, `ip` among them and `digest` unless it is off.
    pub providers: BTreeSet<AuthProvider>,
    /// Schemes of which one must have succeeded before anything else is answered. `None`: not enforced.
    pub enforced_schemes: Option<Vec<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum AuthProvider {
    Digest,
    Ensemble,
    Ip,
    Key,
    Sasl,
    X509,
}

impl AuthProvider {
    pub const ALL: [AuthProvider; 6] = [
        AuthProvider::Digest,
        AuthProvider::Ensemble,
        AuthProvider::Ip,
        AuthProvider::Key,
        AuthProvider::Sasl,
        AuthProvider::X509,
    ];

    /// The scheme's name in ACLs and auth packets.
    pub fn scheme(self) -> &'static str {
        match self {
            AuthProvider::Digest => "digest",
            AuthProvider::Ensemble => "ensemble",
            AuthProvider::Ip => "ip",
            AuthProvider::Key => "key",
            AuthProvider::Sasl => "sasl",
            AuthProvider::X509 => "x509",
        }
    }

    /// The Java class that stands for it.
    pub fn class(self) -> &'static str {
        match self {
            AuthProvider::Digest => "org.apache.zookeeper.server.auth.DigestAuthenticationProvider",
            AuthProvider::Ensemble => "org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider",
            AuthProvider::Ip => "org.apache.zookeeper.server.auth.IPAuthenticationProvider",
            AuthProvider::Key => "org.apache.zookeeper.server.auth.KeyAuthenticationProvider",
            AuthProvider::Sasl => "org.apache.zookeeper.server.auth.SASLAuthenticationProvider",
            AuthProvider::X509 => "org.apache.zookeeper.server.auth.X509AuthenticationProvider",
        }
    }
}

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(crate::effective::MASK)
    }
}

/// Which four-letter words are answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whitelist {
    All,
    /// These; `srvr` is always among them, and `isro` in read-only mode.
    Only(BTreeSet<String>),
}

impl Default for Whitelist {
    fn default() -> Self {
        Whitelist::Only(BTreeSet::from(["srvr".to_owned()]))
    }
}

impl Whitelist {
    pub fn allows(&self, word: &str) -> bool {
        match self {
            Whitelist::All => true,
            Whitelist::Only(words) => words.contains(word),
        }
    }
}

/// The ensemble this server belongs to, and how it behaves there.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Ensemble {
    /// From the file `myid`.
    pub my_id: Option<i64>,
    pub membership: Membership,
    /// A proposed, not yet active membership, from `<zoo.cfg>.dynamic.next`.
    pub last_seen: Option<Membership>,
    pub dynamic_file: Option<PathBuf>,
    pub role: Role,
    pub standalone_enabled: bool,
    pub reconfig_enabled: bool,
    pub init_limit_ticks: u32,
    pub sync_limit_ticks: u32,
    pub connect_to_learner_master_limit_ticks: u32,
    pub quorum_listen_on_all_ips: bool,
    pub multi_address_enabled: bool,
    pub observer_master_port: Option<u16>,
    pub oracle_path: Option<PathBuf>,
    pub leader_serves: bool,
    pub cnx_timeout_ms: u64,
    /// `None`: `sync_limit_ticks` ticks.
    pub quorum_cnxn_timeout_ms: Option<u32>,
    /// `None`: without end.
    pub election_port_bind_retries: Option<u32>,
    pub min_notification_interval_ms: u64,
    pub max_notification_interval_ms: u64,
    pub tcp_keep_alive: bool,
    pub leader_connect_delay_ms: u64,
    pub force_snapshot_sync: bool,
    pub snapshot_size_factor: f64,
}

impl Ensemble {
    /// Whether this configuration runs a quorum. One participant with `standaloneEnabled`, or none, is one server
    /// alone.
    pub fn is_distributed(&self) -> bool {
        !self.standalone_enabled || self.membership.participants().count() > 1
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    #[default]
    Participant,
    Observer,
}

impl Role {
    /// `participant` or `observer`, in any case, blanks allowed.
    pub fn from_word(word: &str) -> Option<Role> {
        match word.trim().to_ascii_lowercase().as_str() {
            "participant" => Some(Role::Participant),
            "observer" => Some(Role::Observer),
            _ => None,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::Participant => "participant",
            Role::Observer => "observer",
        })
    }
}

/// Options that Apache ZooKeeper does not have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OwnOptions {
    /// Threads that serve connections; 0 chooses by the number of processors.
    pub io_threads: u32,
}

/// Things by server or group number.
pub type ById<T> = BTreeMap<i64, T>;
