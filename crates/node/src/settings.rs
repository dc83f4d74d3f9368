//! What an operator decided, as the node needs it.

use wire::data::{DigestAlgorithm, OwnerRules};

/// Fixed while the server runs. Times in ms.
#[derive(Debug, Clone)]
pub struct Settings {
    /// `myid`; 1 for a standalone server.
    pub server_id: zab::ServerId,
    pub tick_ms: i64,
    pub min_session_timeout_ms: i32,
    pub max_session_timeout_ms: i32,
    /// `jute.maxbuffer`: the longest request.
    pub max_buffer: usize,
    /// `jute.maxbuffer` plus `zookeeper.jute.maxbuffer.extrasize`: the longest string, buffer or log record.
    pub max_record: usize,
    pub owners: OwnerRules,
    /// `zookeeper.digest.enabled`
    pub digest: bool,
    /// `zookeeper.closeSessionTxn.enabled`
    pub close_session_paths: bool,
    /// `zookeeper.enforceQuota`
    pub enforce_quota: bool,
    pub reconfig_enabled: bool,
    pub container_check_interval_ms: i64,
    pub container_max_per_minute: i64,
    /// 0: containers that never had a child are kept.
    pub container_max_never_used_ms: i64,
    pub auth: AuthSettings,
    pub throttle: ThrottleSettings,
}

#[derive(Debug, Clone, Default)]
pub struct AuthSettings {
    /// `zookeeper.skipACL=yes`
    pub skip_acl: bool,
    pub digest_enabled: bool,
    pub digest_algorithm: DigestAlgorithm,
    /// `name:base64`; a connection whose digest equals it is `super`.
    pub super_digest: Option<String>,
    /// The `ensemble` scheme is registered; names that it accepts (none: every name).
    pub ensemble: Option<Vec<String>>,
    /// Schemes of which a connection must have an id, when enforced.
    pub enforced_schemes: Option<Vec<String>>,
}

#[derive(Debug, Clone)]
pub struct ThrottleSettings {
    /// `zookeeper.globalOutstandingLimit`
    pub global_outstanding: i64,
    /// `zookeeper.request_throttle_max_requests`; 0: off.
    pub max_requests: i64,
    /// `zookeeper.request_throttle_drop_stale` together with `zookeeper.request_stale_latency_check`: a request that
    /// waited for `max_requests` longer than its session's timeout closes its connection.
    pub drop_stale: bool,
    /// `zookeeper.throttled_op_wait_time` in ms; 0: off.
    pub throttled_op_wait_ms: i64,
    /// `zookeeper.largeRequestThreshold` in bytes; not above 0: off.
    pub large_request_threshold: i64,
    /// `zookeeper.largeRequestMaxBytes`
    pub large_request_max_bytes: i64,
    pub connect: crate::throttle::ConnectThrottleSettings,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        ThrottleSettings {
            global_outstanding: 1000,
            max_requests: 0,
            drop_stale: false,
            throttled_op_wait_ms: 0,
            large_request_threshold: -1,
            large_request_max_bytes: 100 << 20,
            connect: Default::default(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            server_id: 1,
            tick_ms: 2000,
            min_session_timeout_ms: 4000,
            max_session_timeout_ms: 40000,
            max_buffer: 0xf_ffff,
            max_record: 2 * 0xf_ffff,
            owners: OwnerRules::default(),
            digest: true,
            close_session_paths: true,
            enforce_quota: false,
            reconfig_enabled: false,
            container_check_interval_ms: 60_000,
            container_max_per_minute: 10_000,
            container_max_never_used_ms: 0,
            auth: AuthSettings { digest_enabled: true, ..AuthSettings::default() },
            throttle: ThrottleSettings::default(),
        }
    }
}
