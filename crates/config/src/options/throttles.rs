//! Brakes for servers under more load than they can bear: on requests, and on new connections.

use super::{Outside, Part, Spec, property};
use crate::convert::{count, millis, positive};

pub(super) static THROTTLES: &[Spec] = &[
    property("request_throttle_max_requests", "3.6.0")
        .int("0")
        .number(|d, v| d.config.limits.request_throttle.max_requests = positive(v))
        .doc("Requests in work before others wait at the entrance; 0: no such limit."),
    property("request_throttle_stall_time", "3.6.0")
        .int("100")
        .unit("ms")
        .at_least(1, Outside::Default)
        .ignored("what waits is looked at again when there is room, at the latest after 5 ms")
        .doc("How long one waits at most before it looks again."),
    property("request_throttle_drop_stale", "3.6.0")
        .bool("true")
        .truth(|d, v| d.config.limits.request_throttle.drop_stale = v)
        .doc("Closes the connection of a request that has become pointless while it waited for `request_throttle_max_requests`, instead of executing it."),
    property("request_stale_connection_check", "3.6.0")
        .bool("true")
        .ignored("what waits stays in its connection, and goes with it")
        .doc("Requests of a closed connection are pointless."),
    property("request_stale_latency_check", "3.6.0")
        .bool("false")
        .truth(|d, v| d.config.limits.request_throttle.stale_latency_check = v)
        .doc("Requests that waited longer than their session's timeout are pointless, but for closing the session."),
    property("request_throttler.shutdownTimeout", "3.6.0")
        .int("10000")
        .unit("ms")
        .ignored("stopping waits for all of them")
        .doc("How long stopping waits for requests in work."),
    property("throttled_op_wait_time", "3.7.0")
        .int("0")
        .unit("ms")
        .number(|d, v| d.config.limits.throttled_op_wait_ms = positive(v))
        .doc("Requests that waited longer are refused with the error ThrottledOp; 0: never."),
    property("connection_throttle_tokens", "3.6.0")
        .int("0")
        .number(|d, v| d.config.limits.connection_throttle.tokens = count(v))
        .doc("Size of the bucket of tokens from which each new session takes; 0: no limit."),
    property("connection_throttle_fill_time", "3.6.0")
        .int("1")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.limits.connection_throttle.fill_time_ms = millis(v))
        .doc("Time in which the bucket gets its next tokens."),
    property("connection_throttle_fill_count", "3.6.0")
        .int("1")
        .number(|d, v| d.config.limits.connection_throttle.fill_count = count(v))
        .doc("Tokens it gets then."),
    property("connection_throttle_freeze_time", "3.6.0")
        .int("-1")
        .unit("ms")
        .number(|d, v| d.config.limits.connection_throttle.freeze_time_ms = positive(v))
        .doc("Time between changes of the chance with which a connect is dropped at random; -1: none is."),
    property("connection_throttle_drop_increase", "3.6.0")
        .float("0.02")
        .fraction(|d, v| d.config.limits.connection_throttle.drop_increase = v)
        .doc("What the chance gains while the bucket is empty."),
    property("connection_throttle_drop_decrease", "3.6.0")
        .float("0.002")
        .fraction(|d, v| d.config.limits.connection_throttle.drop_decrease = v)
        .doc("What it loses while the bucket is full enough."),
    property("connection_throttle_decrease_ratio", "3.6.0")
        .float("0")
        .fraction(|d, v| d.config.limits.connection_throttle.decrease_ratio = v)
        .doc("Share of the bucket that may be missing for it to be full enough."),
    property("connection_throttle_weight_enabled", "3.6.0")
        .bool("false")
        .truth(|d, v| d.connection_weights.enabled = v)
        .doc("Kinds of sessions cost different numbers of tokens; size and refill then count in global sessions."),
    property("connection_throttle_global_session_weight", "3.6.0")
        .int("3")
        .at_least(1, Outside::Default)
        .number(|d, v| d.connection_weights.global = count(v))
        .doc("Tokens for a new global session."),
    property("connection_throttle_renew_session_weight", "3.6.0")
        .int("2")
        .at_least(1, Outside::Default)
        .number(|d, v| d.connection_weights.renew = count(v))
        .doc("Tokens for coming back to a session."),
    property("connection_throttle_local_session_weight", "3.6.0")
        .int("1")
        .at_least(1, Outside::Default)
        .number(|d, v| d.connection_weights.local = count(v))
        .doc("Tokens for a new local session."),
    property("netty.server.outstandingHandshake.limit", "3.6.0")
        .int("-1")
        .later(Part::Tls)
        .doc("TLS handshakes under way before new connections are closed; -1: no limit."),
    property("netty.server.earlyDropSecureConnectionHandshakes", "3.7.1")
        .bool("false")
        .later(Part::Tls)
        .doc("Closes TLS connections before the handshake while the server cannot serve."),
];
