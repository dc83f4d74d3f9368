//! From the configuration to what the node needs of it.

use config::Config;
use node::{AuthSettings, ConnectThrottleSettings, Settings, ThrottleSettings};
use wire::data::OwnerRules;

pub(crate) fn settings(config: &Config) -> Settings {
    let (sessions, limits, features) = (&config.sessions, &config.limits, &config.features);
    let max_buffer = limits.jute_max_buffer_bytes as usize;
    Settings {
        server_id: config.ensemble.my_id.unwrap_or(1),
        tick_ms: i64::from(sessions.tick_time_ms),
        min_session_timeout_ms: int(sessions.min_session_timeout_ms),
        max_session_timeout_ms: int(sessions.max_session_timeout_ms),
        max_buffer,
        max_record: (max_buffer + limits.jute_extra_bytes as usize).min(i32::MAX as usize),
        owners: OwnerRules {
            extended_types: features.extended_types_enabled,
            emulate_353_ttl: features.emulate_353_ttl_nodes,
        },
        digest: config.storage.digest_enabled,
        close_session_paths: config.storage.close_session_txn_enabled,
        enforce_quota: features.enforce_quota,
        reconfig_enabled: config.ensemble.reconfig_enabled,
        container_check_interval_ms: features.container_check_interval_ms as i64,
        container_max_per_minute: i64::from(features.container_max_per_minute),
        container_max_never_used_ms: features.container_max_never_used_ms.map_or(0, |ms| ms as i64),
        auth: auth(config),
        throttle: throttle(config),
    }
}

fn int(ms: u32) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}

fn auth(config: &Config) -> AuthSettings {
    let auth = &config.auth;
    AuthSettings {
        skip_acl: auth.skip_acl,
        digest_enabled: auth.digest_enabled,
        digest_algorithm: auth.digest_algorithm,
        super_digest: auth.super_digest.as_ref().map(|s| s.reveal().to_owned()),
        ensemble: auth
            .providers
            .contains(&config::AuthProvider::Ensemble)
            .then(|| auth.ensemble_names.clone()),
        enforced_schemes: auth.enforced_schemes.clone(),
    }
}

fn throttle(config: &Config) -> ThrottleSettings {
    let limits = &config.limits;
    let connect = &limits.connection_throttle;
    ThrottleSettings {
        global_outstanding: i64::from(limits.global_outstanding_limit),
        max_requests: limits.request_throttle.max_requests.map_or(0, i64::from),
        drop_stale: limits.request_throttle.drop_stale && limits.request_throttle.stale_latency_check,
        throttled_op_wait_ms: limits.throttled_op_wait_ms.map_or(0, i64::from),
        large_request_threshold: limits.large_request_threshold_bytes.map_or(-1, i64::from),
        large_request_max_bytes: i64::from(limits.large_request_max_bytes),
        connect: ConnectThrottleSettings {
            tokens: i64::from(connect.tokens),
            fill_time_ms: connect.fill_time_ms as i64,
            fill_count: i64::from(connect.fill_count),
            freeze_time_ms: connect.freeze_time_ms.map_or(-1, i64::from),
            drop_increase: connect.drop_increase,
            drop_decrease: connect.drop_decrease,
            decrease_ratio: connect.decrease_ratio,
            weight_new: connect.weights.as_ref().map_or(1, |w| i64::from(w.global_session)),
            weight_renew: connect.weights.as_ref().map_or(1, |w| i64::from(w.renewed_session)),
        },
    }
}
