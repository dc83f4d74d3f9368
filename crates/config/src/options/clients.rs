//! Where clients connect, how long sessions live, and what one client may ask for.

use super::{JVM, Outside, Part, Spec, TESTS, file, flag, own, property};
use crate::convert::{count, millis, positive};

/// Java's default of 50 turns clients away, for seconds each, when many come at once after a restart.
const DEFAULT_BACKLOG: u32 = 16384;

/// Both of Apache's connection layers are our one.
const CONNECTION_LAYERS: &[(&str, &str)] = &[
    ("org.apache.zookeeper.server.NIOServerCnxnFactory", "the built-in connection layer"),
    ("org.apache.zookeeper.server.NettyServerCnxnFactory", "the built-in connection layer"),
];

pub(super) static ADDRESSES_AND_SESSIONS: &[Spec] = &[
    file("clientPort", "3.3.0")
        .port("")
        .number(|d, v| d.client_port = u16::try_from(v).ok())
        .doc("Port on which clients connect. Without it there is no unencrypted port, unless the server's own `server.N` line names one."),
    file("clientPortAddress", "3.3.0")
        .text("")
        .default_is("all addresses")
        .word(|d, v| d.client_port_address = Some(v.to_owned()))
        .doc("Host name or address to which `clientPort` is bound."),
    file("secureClientPort", "3.5.1")
        .port("")
        .later(Part::Tls)
        .number(|d, v| d.secure_client_port = u16::try_from(v).ok())
        .doc("Port on which clients connect with TLS."),
    file("secureClientPortAddress", "3.5.1")
        .text("")
        .default_is("all addresses")
        .later(Part::Tls)
        .word(|d, v| d.secure_client_port_address = Some(v.to_owned()))
        .doc("Host name or address to which `secureClientPort` is bound."),
    file("clientPortListenBacklog", "3.6.0")
        .int("-1")
        .number(|d, v| d.config.listen.backlog = positive(v).unwrap_or(DEFAULT_BACKLOG))
        .doc("Connections that may wait to be accepted; -1 means 16384 (Java: 50), cut by the system's own limit."),
    property("clientTcpKeepAlive", "3.7.0")
        .bool("false")
        .truth(|d, v| d.config.listen.tcp_keep_alive = v)
        .doc("Turns TCP keep-alive on for client connections."),
    file("tickTime", "3.3.0")
        .int("3000")
        .unit("ms")
        .at_least(1, Outside::Refused)
        .number(|d, v| d.config.sessions.tick_time_ms = count(v))
        .doc("The basic unit of time: session timeouts and the limits between servers are counted in ticks."),
    file("minSessionTimeout", "3.3.0")
        .int("-1")
        .default_is("2 × tickTime")
        .unit("ms")
        .at_least(-1, Outside::Refused)
        .number(|d, v| d.min_session_timeout = u32::try_from(v).ok())
        .doc("Shortest session timeout that a client can get; -1 means 2 ticks."),
    file("maxSessionTimeout", "3.3.0")
        .int("-1")
        .default_is("20 × tickTime")
        .unit("ms")
        .at_least(-1, Outside::Refused)
        .number(|d, v| d.max_session_timeout = u32::try_from(v).ok())
        .doc("Longest session timeout that a client can get; -1 means 20 ticks."),
    file("localSessionsEnabled", "3.5.0")
        .bool("false")
        .later(Part::LocalSessions)
        .truth(|d, v| d.config.sessions.local_sessions_enabled = v)
        .doc("New sessions start as local ones, known only to the server that holds them."),
    file("localSessionsUpgradingEnabled", "3.5.0")
        .bool("false")
        .later(Part::LocalSessions)
        .truth(|d, v| d.config.sessions.local_sessions_upgrading_enabled = v)
        .doc("A local session becomes a global one when it creates an ephemeral znode."),
    flag("readonlymode.enabled", "3.4.0")
        .bool("false")
        .truth(|d, v| d.config.sessions.read_only_mode_enabled = v)
        .doc("Without a quorum, serves reads to clients that accept it."),
    property("nio.sessionlessCnxnTimeout", "3.5.0")
        .int("10000")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.limits.sessionless_cnxn_timeout_ms = millis(v))
        .doc("How long a connection may stay without a session."),
    property("4lw.commands.whitelist", "3.4.10")
        .text("")
        .default_is("`srvr`")
        .word(|d, v| d.four_letter_words = Some(v.to_owned()))
        .doc("Four-letter words that are answered, separated by commas, or `*` for all. `srvr` always is."),
    property("serverCnxnFactory", "3.4.0")
        .class(CONNECTION_LAYERS, "org.apache.zookeeper.server.NIOServerCnxnFactory")
        .ignored("there is one connection layer, which does what both of Apache's do")
        .doc("Apache's choice between two connection layers."),
    property("nio.numSelectorThreads", "3.5.0").int("").default_is("√(cores ÷ 2)").ignored(JVM).doc("Threads that wait for sockets; see `rookeeper.ioThreads`."),
    property("nio.numWorkerThreads", "3.5.0").int("").default_is("2 × cores").ignored(JVM).doc("Threads that read and write sockets; see `rookeeper.ioThreads`."),
    property("nio.directBufferBytes", "3.5.0").int("65536").unit("bytes").ignored(JVM).doc("Size of a thread's write buffer."),
    property("nio.shutdownTimeout", "3.5.0").long("5000").unit("ms").ignored(JVM).doc("How long stopping waits for these threads."),
    property("netty.advancedFlowControl.enabled", "3.6.0").bool("false").ignored("a full queue always stops reading from its connection").doc("Stops reading while requests of a connection are queued."),
    property("controllerPort", "3.7.0").int("").ignored(TESTS).doc("Port of Apache's test controller."),
];

pub(super) static LIMITS: &[Spec] = &[
    flag("jute.maxbuffer", "3.3.0")
        .int("1048575")
        .unit("bytes")
        .at_least(1, Outside::Refused)
        .number(|d, v| d.config.limits.jute_max_buffer_bytes = count(v))
        .doc("Largest request, and largest field in one. Set the same value on every server and client."),
    property("jute.maxbuffer.extrasize", "3.5.7")
        .int("")
        .default_is("jute.maxbuffer")
        .unit("bytes")
        .at_least(1024, Outside::Clamped)
        .number(|d, v| d.jute_extra_bytes = Some(count(v)))
        .doc("What records written by the server may have beyond `jute.maxbuffer`."),
    file("maxClientCnxns", "3.3.0")
        .int("60")
        .default_is("60; no limit in the positional form")
        .number(|d, v| d.config.limits.max_client_cnxns_per_ip = count(v))
        .doc("Connections from one client address; 0 means no limit."),
    property("maxCnxns", "3.6.0")
        .int("0")
        .number(|d, v| d.config.limits.max_cnxns = count(v))
        .doc("Connections in all, per port; 0 means no limit."),
    property("globalOutstandingLimit", "3.3.0")
        .int("1000")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.limits.global_outstanding_limit = count(v))
        .doc("Requests in work before the server reads no more from connections that have one unanswered."),
    property("largeRequestThreshold", "3.6.0")
        .int("-1")
        .unit("bytes")
        .number(|d, v| d.config.limits.large_request_threshold_bytes = positive(v))
        .doc("Requests above this size count as large; -1 turns the limit on them off."),
    property("largeRequestMaxBytes", "3.6.0")
        .int("104857600")
        .unit("bytes")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.limits.large_request_max_bytes = count(v))
        .doc("Bytes of large requests in work; a connection whose request would exceed it is closed."),
    property("intBufferStartingSizeBytes", "3.6.0")
        .int("1024")
        .unit("bytes")
        .at_least(32, Outside::Refused)
        .ignored(JVM)
        .doc("First size of the buffer into which a record is written."),
];

pub(super) static OWN: &[Spec] = &[own("rookeeper.ioThreads")
    .int("0")
    .limits(0, 1024, Outside::Refused)
    .number(|d, v| d.config.rookeeper.io_threads = count(v))
    .doc("Threads that serve connections; 0 chooses by the number of processors.")];
