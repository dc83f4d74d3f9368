//! Who belongs to the ensemble, and how its servers treat each other.

use super::{JVM, Outside, Part, Spec, TESTS, file, flag, property};
use crate::convert::{count, millis, positive};
use crate::model::Role;

pub(super) static MEMBERS: &[Spec] = &[
    file("server.N", "3.3.0")
        .family()
        .doc("Member N: `host:quorumPort:electionPort[:participant|:observer][;[clientHost:]clientPort[;[host:]securePort]]`; several addresses are joined by `|`. May stand in the dynamic file instead. The third part is known to Apache from 3.10."),
    file("group.G", "3.3.0")
        .family()
        .doc("Members of group G, as `1:2:3`: quorums are then counted in groups. May stand in the dynamic file."),
    file("weight.N", "3.3.0")
        .family()
        .doc("Weight of member N within its group, 1 if not set. May stand in the dynamic file."),
    file("dynamicConfigFile", "3.5.0")
        .path()
        .word(|d, v| d.dynamic_file = Some(v.into()))
        .doc("File with the `server.`, `group.` and `weight.` lines, which then must not stand in `zoo.cfg`. A hexadecimal suffix of its name is its version."),
    file("standaloneEnabled", "3.5.0")
        .bool("true")
        .truth(|d, v| d.config.ensemble.standalone_enabled = v)
        .doc("A configuration with one participant runs one server alone; `false` makes it an ensemble of one, which can grow."),
    file("reconfigEnabled", "3.5.3")
        .bool("false")
        .later(Part::Reconfiguration)
        .truth(|d, v| d.config.ensemble.reconfig_enabled = v)
        .doc("Members can be changed while the ensemble runs."),
    file("peerType", "3.3.0")
        .choice(&["participant", "observer"], "participant")
        .word(|d, v| d.peer_type = Role::from_word(v))
        .doc("Role of this server. The `server.N` line decides; a contradiction is warned about."),
    file("initLimit", "3.3.0")
        .int("")
        .default_is("none: must be set in an ensemble")
        .unit("ticks")
        .at_least(0, Outside::Refused)
        .number(|d, v| d.config.ensemble.init_limit_ticks = count(v))
        .doc("How long a server may take to connect to the leader and get its data."),
    file("syncLimit", "3.3.0")
        .int("")
        .default_is("none: must be set in an ensemble")
        .unit("ticks")
        .at_least(0, Outside::Refused)
        .number(|d, v| d.config.ensemble.sync_limit_ticks = count(v))
        .doc("How long a server may be silent before it is given up."),
    file("connectToLearnerMasterLimit", "3.6.0")
        .int("")
        .default_is("initLimit")
        .unit("ticks")
        .at_least(0, Outside::Refused)
        .number(|d, v| d.connect_to_learner_master_limit = Some(count(v)))
        .doc("How long connecting to the leader alone may take."),
    file("electionAlg", "3.3.0")
        .int("3")
        .limits(3, 3, Outside::Refused)
        .ignored("there is one election algorithm")
        .doc("The election algorithm; only 3 is left."),
    file("quorumListenOnAllIPs", "3.4.6")
        .bool("false")
        .truth(|d, v| d.config.ensemble.quorum_listen_on_all_ips = v)
        .doc("Binds quorum and election ports to all addresses instead of the one in the `server.N` line."),
    file("observerMasterPort", "3.6.0")
        .int("0")
        .limits(i64::MIN, 65535, Outside::Refused)
        .number(|d, v| d.config.ensemble.observer_master_port = u16::try_from(v).ok().filter(|&port| port > 0))
        .doc("Port on which followers serve observers; 0 or less: they do not."),
    file("syncEnabled", "3.4.6")
        .bool("true")
        .ignored("observers always keep logs and snapshots")
        .doc("Observers keep logs and snapshots."),
    property("observer.syncEnabled", "3.4.6")
        .bool("")
        .default_is("syncEnabled")
        .ignored("observers always keep logs and snapshots")
        .doc("Overrides `syncEnabled`."),
    file("multiAddress.enabled", "3.6.0")
        .bool("false")
        .both_places()
        .truth(|d, v| d.config.ensemble.multi_address_enabled = v)
        .doc("Members may have several addresses. Apache takes it for the `server.` lines only as a property."),
    file("multiAddress.reachabilityCheckEnabled", "3.6.0")
        .bool("true")
        .both_places()
        .ignored("all addresses of a member are tried, and the first that answers is used")
        .doc("Tries which of a member's addresses answers."),
    file("multiAddress.reachabilityCheckTimeoutMs", "3.6.0")
        .int("1000")
        .both_places()
        .unit("ms")
        .ignored("all addresses of a member are tried, and the first that answers is used")
        .doc("How long it tries."),
    file("oraclePath", "3.8.0")
        .path()
        .later(Part::Oracle)
        .word(|d, v| d.config.ensemble.oracle_path = Some(v.into()))
        .doc("File whose first character decides for a member of two that is left alone."),
    property("leaderServes", "3.3.0")
        .yes_no("yes", "yes")
        .truth(|d, v| d.config.ensemble.leader_serves = v)
        .doc("`no`: the leader takes no clients."),
    property("kerberos.canonicalizeHostNames", "3.7.0")
        .bool("false")
        .later(Part::Sasl)
        .doc("Looks up the full name of each member for Kerberos."),
];

pub(super) static BETWEEN_SERVERS: &[Spec] = &[
    property("cnxTimeout", "3.3.2")
        .int("5000")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.ensemble.cnx_timeout_ms = millis(v))
        .doc("How long connecting to an election port may take."),
    property("quorumCnxnTimeoutMs", "3.6.0")
        .int("-1")
        .default_is("syncLimit × tickTime")
        .unit("ms")
        .number(|d, v| d.config.ensemble.quorum_cnxn_timeout_ms = positive(v))
        .doc("How long a read on an election connection may wait during its handshake."),
    property("electionPortBindRetry", "3.5.6")
        .int("3")
        .at_least(0, Outside::Default)
        .number(|d, v| d.config.ensemble.election_port_bind_retries = positive(v))
        .doc("Tries to bind the election port, a second apart; 0: for ever."),
    property("fastleader.minNotificationInterval", "3.6.0")
        .int("200")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.ensemble.min_notification_interval_ms = millis(v))
        .doc("First wait for votes."),
    property("fastleader.maxNotificationInterval", "3.6.0")
        .int("60000")
        .unit("ms")
        .at_least(1, Outside::Default)
        .number(|d, v| d.config.ensemble.max_notification_interval_ms = millis(v))
        .doc("Longest wait for votes."),
    property("tcpKeepAlive", "3.4.11")
        .bool("false")
        .truth(|d, v| d.config.ensemble.tcp_keep_alive = v)
        .doc("Turns TCP keep-alive on for election connections."),
    property("leader.maxConcurrentSnapSyncs", "3.6.0")
        .int("10")
        .at_least(1, Outside::Default)
        .ignored("dumps are sent one at a time, and missing transactions to everybody at once")
        .doc("Servers that may get a whole snapshot at once."),
    property("leader.maxConcurrentDiffSyncs", "3.6.0")
        .int("100")
        .at_least(1, Outside::Default)
        .ignored("dumps are sent one at a time, and missing transactions to everybody at once")
        .doc("Servers that may get missing transactions at once."),
    property("leader.maxTimeToWaitForEpoch", "3.6.0")
        .int("-1")
        .unit("ms")
        .ignored("a new leader waits for its followers as long as initLimit says")
        .doc("How long a new leader waits for followers before it gives up; -1: initLimit."),
    property("leaderConnectDelayDuringRetryMs", "3.6.0")
        .int("100")
        .unit("ms")
        .number(|d, v| d.config.ensemble.leader_connect_delay_ms = millis(v))
        .doc("Wait between tries to reach the leader."),
    property("forceSnapshotSync", "3.5.0")
        .bool("false")
        .truth(|d, v| d.config.ensemble.force_snapshot_sync = v)
        .doc("Always sends a whole snapshot to servers that come back."),
    property("commitLogCount", "3.6.0")
        .int("500")
        .at_least(500, Outside::Clamped)
        .ignored("what is kept in memory for servers that come back is bounded in bytes, not in number")
        .doc("Committed transactions kept in memory for servers that come back."),
    property("snapshotSizeFactor", "3.5.0")
        .float("0.33")
        .limits(i64::MIN, 1, Outside::Default)
        .fraction(|d, v| d.config.ensemble.snapshot_size_factor = v)
        .doc("Share of the snapshot's size up to which the log is sent instead of the snapshot."),
    property("observer.reconnectDelayMs", "3.6.0")
        .long("0")
        .unit("ms")
        .ignored("observers come back at once")
        .doc("Wait of an observer before it looks for a leader again."),
    property("observer.election.DelayMs", "3.6.0")
        .long("200")
        .unit("ms")
        .ignored("observers come back at once")
        .doc("Wait of an observer before it takes part in an election."),
    property("observerMaster.sizeLimit", "3.6.0")
        .int("33554432")
        .unit("bytes")
        .at_least(1, Outside::Default)
        .ignored("what an observer lacks is read from memory or the log")
        .doc("Transactions that a follower keeps for observers."),
    flag("leader.nodelay", "3.3.0")
        .bool("true")
        .ignored(ALWAYS)
        .doc("Sends small packets of the leader at once."),
    flag("follower.nodelay", "3.3.0")
        .bool("true")
        .ignored(ALWAYS)
        .doc("Sends small packets of a follower at once."),
    property("leader.ackLoggingFrequency", "3.6.0")
        .int("1000")
        .ignored(JVM)
        .doc("Every how many acknowledgements one is logged."),
    property("learner.asyncSending", "3.6.3")
        .bool("false")
        .old_property("learner.asyncSending")
        .ignored(ASYNC)
        .doc("Sends from a thread of its own."),
    property("learner.closeSocketAsync", "3.7.0")
        .bool("false")
        .old_property("learner.closeSocketAsync")
        .ignored(ASYNC)
        .doc("Closes connections in the background."),
    property("leader.closeSocketAsync", "3.7.0")
        .bool("false")
        .old_property("leader.closeSocketAsync")
        .ignored(ASYNC)
        .doc("Closes connections in the background."),
    property("follower.skipLearnerRequestToNextProcessor", "3.7.0")
        .bool("false")
        .ignored(JVM)
        .doc("A short cut in Apache's chain of stages."),
    property("forward_learner_requests_to_commit_processor_disabled", "3.7.0")
        .bool("false")
        .ignored(JVM)
        .doc("A short cut in Apache's chain of stages."),
    property("commitProcessor.numWorkerThreads", "3.5.0")
        .int("")
        .default_is("cores")
        .ignored(JVM)
        .doc("Threads of the commit stage."),
    property("commitProcessor.shutdownTimeout", "3.5.0")
        .long("5000")
        .unit("ms")
        .ignored(JVM)
        .doc("How long stopping waits for them."),
    property("commitProcessor.maxReadBatchSize", "3.6.0")
        .int("-1")
        .ignored(JVM)
        .doc("Reads between two looks for commits."),
    property("commitProcessor.maxCommitBatchSize", "3.6.0")
        .int("1")
        .ignored(JVM)
        .doc("Commits between two looks for reads."),
    property("messageTracker.Enabled", "3.6.0")
        .bool("false")
        .ignored(TRACKER)
        .doc("Remembers the last packets of each server for the log."),
    property("messageTracker.BufferSize", "3.6.0").int("10").ignored(TRACKER).doc("How many."),
    property("testingonly.initialZxid", "3.3.5")
        .long("")
        .ignored(TESTS)
        .doc("First zxid of an empty database."),
    property("test.allowDiscontinuousProposals", "3.9.4")
        .bool("false")
        .ignored(TESTS)
        .doc("Lets a follower take proposals with gaps."),
];

const ALWAYS: &str = "it is always on";
const ASYNC: &str = "sending and closing never block here";
const TRACKER: &str = "packets are seen in the debug log instead";
