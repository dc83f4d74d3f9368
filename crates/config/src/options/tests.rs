use std::collections::BTreeSet;

use super::*;
use crate::{ConfigFile, Inputs, load};

/// Every key of the file that Apache's parser knows by name, from the reference of the client surface, §13.2.
const NAMED_KEYS: &str = "dataDir dataLogDir clientPort clientPortAddress secureClientPort secureClientPortAddress
    observerMasterPort clientPortListenBacklog tickTime maxClientCnxns minSessionTimeout maxSessionTimeout initLimit
    syncLimit connectToLearnerMasterLimit electionAlg quorumListenOnAllIPs peerType syncEnabled dynamicConfigFile
    autopurge.snapRetainCount autopurge.purgeInterval standaloneEnabled reconfigEnabled localSessionsEnabled
    localSessionsUpgradingEnabled sslQuorum portUnification sslQuorumReloadCertFiles server.1 group.1 weight.1
    quorum.auth.enableSasl quorum.auth.learnerRequireSasl quorum.auth.serverRequireSasl
    quorum.auth.learner.saslLoginContext quorum.auth.server.saslLoginContext quorum.auth.kerberos.servicePrincipal
    quorum.cnxn.threads.size jvm.pause.monitor jvm.pause.sleep.time.ms jvm.pause.info-threshold.ms
    jvm.pause.warn-threshold.ms metricsProvider.className metricsProvider.httpPort metricsProvider.exportJvmInfo
    multiAddress.enabled multiAddress.reachabilityCheckEnabled multiAddress.reachabilityCheckTimeoutMs oraclePath";

/// Every system property, from §13.3; `clientPortAddress` of the test controller is left out.
const PROPERTIES: &str = "jute.maxbuffer zookeeper.jute.maxbuffer.extrasize zookeeper.snapCount
    zookeeper.snapSizeLimitInKb zookeeper.txnLogSizeLimitInKb zookeeper.preAllocSize zookeeper.forceSync
    zookeeper.fsync.warningthresholdms fsync.warningthresholdms zookeeper.flushDelay zookeeper.maxWriteQueuePollTime
    zookeeper.maxBatchSize zookeeper.commitLogCount zookeeper.snapshotSizeFactor zookeeper.snapshot.compression.method
    zookeeper.snapshot.trust.empty zookeeper.datadir.autocreate zookeeper.db.autocreate zookeeper.digest.enabled
    zookeeper.serializeLastProcessedZxid.enabled zookeeper.closeSessionTxn.enabled zookeeper.extendedTypesEnabled
    zookeeper.emulate353TTLNodes znode.container.checkIntervalMs znode.container.maxPerMinute
    znode.container.maxNeverUsedIntervalMs zookeeper.enforceQuota zookeeper.maxResponseCacheSize
    zookeeper.maxGetChildrenResponseCacheSize zookeeper.intBufferStartingSizeBytes zookeeper.watchManagerName
    zookeeper.watcherCleanThreadsNum zookeeper.watcherCleanThreshold zookeeper.watcherCleanIntervalInSeconds
    zookeeper.maxInProcessingDeadWatchers zookeeper.bitHashCacheSize zookeeper.pathStats.enabled
    zookeeper.pathStats.slotCapacity zookeeper.pathStats.slotDuration zookeeper.pathStats.maxDepth
    zookeeper.pathStats.sampleRate zookeeper.pathStats.initialDelay zookeeper.pathStats.delay
    zookeeper.pathStats.topPathMax
    zookeeper.serverCnxnFactory zookeeper.maxCnxns zookeeper.clientTcpKeepAlive zookeeper.nio.numSelectorThreads
    zookeeper.nio.numWorkerThreads zookeeper.nio.directBufferBytes zookeeper.nio.shutdownTimeout
    zookeeper.nio.sessionlessCnxnTimeout zookeeper.netty.advancedFlowControl.enabled
    zookeeper.netty.server.outstandingHandshake.limit zookeeper.netty.server.earlyDropSecureConnectionHandshakes
    zookeeper.client.portUnification zookeeper.client.certReload zookeeper.4lw.commands.whitelist readonlymode.enabled
    zookeeper.globalOutstandingLimit zookeeper.request_throttle_max_requests zookeeper.request_throttle_stall_time
    zookeeper.request_throttle_drop_stale zookeeper.request_stale_connection_check
    zookeeper.request_stale_latency_check zookeeper.request_throttler.shutdownTimeout
    zookeeper.throttled_op_wait_time zookeeper.largeRequestThreshold zookeeper.largeRequestMaxBytes
    zookeeper.connection_throttle_tokens zookeeper.connection_throttle_fill_time
    zookeeper.connection_throttle_fill_count zookeeper.connection_throttle_freeze_time
    zookeeper.connection_throttle_drop_increase zookeeper.connection_throttle_drop_decrease
    zookeeper.connection_throttle_decrease_ratio zookeeper.connection_throttle_weight_enabled
    zookeeper.connection_throttle_global_session_weight zookeeper.connection_throttle_renew_session_weight
    zookeeper.connection_throttle_local_session_weight
    zookeeper.leaderServes zookeeper.cnxTimeout zookeeper.quorumCnxnTimeoutMs zookeeper.electionPortBindRetry
    zookeeper.fastleader.minNotificationInterval zookeeper.fastleader.maxNotificationInterval zookeeper.tcpKeepAlive
    leader.nodelay follower.nodelay zookeeper.leader.maxConcurrentSnapSyncs zookeeper.leader.maxConcurrentDiffSyncs
    zookeeper.leader.maxTimeToWaitForEpoch zookeeper.leader.ackLoggingFrequency
    zookeeper.leaderConnectDelayDuringRetryMs zookeeper.forceSnapshotSync zookeeper.learner.asyncSending
    zookeeper.learner.closeSocketAsync zookeeper.leader.closeSocketAsync learner.asyncSending learner.closeSocketAsync
    leader.closeSocketAsync zookeeper.follower.skipLearnerRequestToNextProcessor
    zookeeper.forward_learner_requests_to_commit_processor_disabled zookeeper.commitProcessor.numWorkerThreads
    zookeeper.commitProcessor.shutdownTimeout zookeeper.commitProcessor.maxReadBatchSize
    zookeeper.commitProcessor.maxCommitBatchSize zookeeper.observer.syncEnabled zookeeper.observer.reconnectDelayMs
    zookeeper.observer.election.DelayMs zookeeper.observerMaster.sizeLimit zookeeper.messageTracker.Enabled
    zookeeper.messageTracker.BufferSize zookeeper.multiAddress.enabled zookeeper.multiAddress.reachabilityCheckEnabled
    zookeeper.multiAddress.reachabilityCheckTimeoutMs zookeeper.kerberos.canonicalizeHostNames
    zookeeper.testingonly.initialZxid zookeeper.test.allowDiscontinuousProposals
    zookeeper.skipACL zookeeper.enableEagerACLCheck zookeeper.authProvider.1
    zookeeper.DigestAuthenticationProvider.enabled zookeeper.DigestAuthenticationProvider.digestAlg
    zookeeper.DigestAuthenticationProvider.superDigest zookeeper.X509AuthenticationProvider.superUser
    zookeeper.IPAuthenticationProvider.usexforwardedfor zookeeper.ensembleAuthName zookeeper.superUser
    zookeeper.superUser.1 zookeeper.SASLAuthenticationProvider.superPassword zookeeper.letAnySaslUserDoX
    zookeeper.allowSaslFailedClients zookeeper.sessionRequireClientSASLAuth zookeeper.enforce.auth.enabled
    zookeeper.enforce.auth.schemes zookeeper.sasl.serverconfig java.security.auth.login.config
    zookeeper.security.auth_to_local zookeeper.requireKerberosConfig zookeeper.kerberos.removeHostFromPrincipal
    zookeeper.kerberos.removeRealmFromPrincipal zookeeper.kerberos.minReLoginTimeMs zookeeper.kinit
    zookeeper.fips-mode zookeeper.ssl.authProvider zookeeper.ssl.sslProvider zookeeper.audit.enable
    zookeeper.audit.impl.class
    zookeeper.admin.enableServer zookeeper.admin.serverAddress zookeeper.admin.serverPort zookeeper.admin.idleTimeout
    zookeeper.admin.commandURL zookeeper.admin.httpVersion zookeeper.admin.portUnification zookeeper.admin.forceHttps
    zookeeper.admin.needClientAuth zookeeper.admin.snapshot.enabled zookeeper.admin.restore.enabled
    zookeeper.admin.rateLimiterIntervalInMS zookeeper.jmx.log4j.disable zookeeper.jmx.log4j.mbean zookeeper.log.dir
    zookeeper.log.file zookeeper.controllerPort";

const TLS_NAMES: &str = "protocol enabledProtocols ciphersuites keyStore.location keyStore.password
    keyStore.passwordPath keyStore.type trustStore.location trustStore.password trustStore.passwordPath
    trustStore.type context.supplier.class hostnameVerification clientHostnameVerification allowReverseDnsLookup crl
    ocsp clientAuth handshakeDetectionTimeoutMillis";

#[test]
fn every_named_key_is_there() {
    for key in NAMED_KEYS.split_whitespace() {
        let spec = for_key(key).unwrap_or_else(|| panic!("{key} is not in the table"));
        assert!(matches!(spec.place, Place::File | Place::FileAndProperty), "{key} is read by name");
    }
}

#[test]
fn every_property_is_there() {
    let both = TLS_NAMES
        .split_whitespace()
        .flat_map(|name| [format!("zookeeper.ssl.{name}"), format!("zookeeper.ssl.quorum.{name}")]);
    for property in PROPERTIES.split_whitespace().map(str::to_owned).chain(both) {
        let (spec, _) = for_property(&property).unwrap_or_else(|| panic!("{property} is not in the table"));
        assert_ne!(spec.place, Place::File, "{property} is a system property");
    }
}

#[test]
fn names_are_unique_and_entries_complete() {
    let mut names = BTreeSet::new();
    for spec in all() {
        assert!(names.insert(spec.name), "{} stands twice", spec.name);
        assert!(spec.doc.ends_with('.'), "{} has a doc line", spec.name);
        assert_eq!(spec.since.is_empty(), spec.place == Place::Own, "{} says since when", spec.name);
        if let Status::Ignored(reason) = spec.status {
            assert!(!reason.is_empty() && matches!(spec.set, Set::Nothing), "{} is ignored", spec.name);
        }
        let fits = match spec.set {
            Set::Nothing => spec.status != Status::Works || spec.kind == Kind::Family,
            Set::Number(_) => matches!(spec.kind, Kind::Int | Kind::Long | Kind::Port | Kind::Interval),
            Set::Float(_) => spec.kind == Kind::Float,
            Set::Bool(_) => matches!(spec.kind, Kind::Bool | Kind::YesNo { .. }),
            Set::Text(_) => {
                matches!(spec.kind, Kind::Text | Kind::Path | Kind::Choice { .. } | Kind::Class(_))
            }
        };
        assert!(fits, "{} has a setter that fits its kind, if it does something", spec.name);
    }
}

/// A value that differs from the default and is allowed.
fn another_value(spec: &Spec) -> &'static str {
    match (spec.name, spec.kind) {
        ("dynamicConfigFile", _) => "/dynamic",
        ("DigestAuthenticationProvider.digestAlg", _) => "SHA-256",
        ("maxSessionTimeout", _) => "9999",
        ("commitLogCount" | "rookeeper.ioThreads", _) => "777",
        ("observer.syncEnabled", _) => "false",
        ("peerType", _) => "observer",
        ("snapshotSizeFactor", _) => "0.5",
        (_, Kind::Int | Kind::Long | Kind::Port | Kind::Interval) => "4567",
        (_, Kind::Float) => "0.25",
        (name, Kind::Bool) if spec.default == "true" || COMPANIONS.contains(&format!("{name}=true")) => {
            "false"
        }
        (_, Kind::Bool) => "true",
        (_, Kind::YesNo { .. }) if spec.default == "yes" => "no",
        (_, Kind::YesNo { .. }) => "yes",
        (_, Kind::Choice { words, .. }) => words.last().expect("a choice has words"),
        (_, Kind::Path) => "/elsewhere",
        (_, Kind::Text | Kind::Class(_) | Kind::Family) => "digest",
    }
}

/// Options that mean something only beside others.
const COMPANIONS: &str = "dataDir=/data\nclientPort=2181\nsecureClientPort=2281\nenforce.auth.enabled=true\n\
    enforce.auth.schemes=ip\nconnection_throttle_weight_enabled=true\ninitLimit=3\nsyncLimit=3\n\
    authProvider.1=org.apache.zookeeper.server.auth.SASLAuthenticationProvider\n\
    server.7=h:1:2:observer\nserver.1=a:1:2\nserver.2=a:3:4\nserver.3=a:5:6\nmaxSessionTimeout=600000\n";

fn without(key: &str) -> String {
    COMPANIONS
        .lines()
        .filter(|line| !line.starts_with(&format!("{key}=")))
        .fold(String::new(), |text, line| text + line + "\n")
}

/// A text of the whole configuration, without the listing of the entries.
fn loaded(text: &str, flag: &str) -> Result<String, String> {
    let read_file =
        |path: &std::path::Path| Ok((path.file_name() == Some("myid".as_ref())).then(|| b"7".to_vec()));
    let inputs = Inputs {
        file: Some(ConfigFile { name: "zoo.cfg", contents: text.as_bytes() }),
        positional: &[],
        definitions: &[],
        server_jvm_flags: "",
        jvm_flags: flag,
        read_file: &read_file,
    };
    let mut config = load(&inputs).map_err(|refused| refused.to_string())?.config;
    config.entries.clear();
    Ok(format!("{config:?}"))
}

#[test]
fn every_option_that_works_changes_the_configuration() {
    // These only check others, or are read where this small ensemble does not show it.
    const WITHOUT_A_TRACE: [&str; 4] =
        ["dynamicConfigFile", "peerType", "quorum.auth.enableSasl", "quorum.auth.learnerRequireSasl"];
    for spec in all() {
        if matches!(spec.set, Set::Nothing)
            || WITHOUT_A_TRACE.contains(&spec.name)
            || spec.name.starts_with("quorum.auth.")
            || spec.name == "sslQuorum"
        {
            continue;
        }
        let key = spec.name;
        let value = another_value(spec);
        let base = without(key);
        let before = loaded(COMPANIONS, "").expect("the companions are a configuration");
        let after = if spec.in_file() {
            loaded(&format!("{base}{key}={value}\n"), "")
        } else {
            loaded(&base, &format!("-D{key}={value}"))
        };
        let after = after.unwrap_or_else(|errors| panic!("{key}={value}: {errors}"));
        assert!(before != after, "{key}={value} changes something");
    }
}

#[test]
fn an_ensemble_that_asks_for_secure_connections_is_refused() {
    for key in ["sslQuorum", "quorum.auth.learnerRequireSasl"] {
        let refused = loaded(&format!("{COMPANIONS}{key}=true\nquorum.auth.enableSasl=true\n"), "");
        let errors = refused.expect_err("it must not run without them");
        assert!(errors.contains("this server would talk to the others without it"), "{errors}");
    }
}

#[test]
fn nearest_names() {
    let names = || all().map(|spec| spec.name);
    for (wrong, right) in [
        ("tickTme", "tickTime"),
        ("clientport", "clientPort"),
        ("autopurge.purgeInterva", "autopurge.purgeInterval"),
        ("maxClientConnections", "maxClientCnxns"),
        ("datadir", "dataDir"),
    ] {
        let found = nearest(wrong, names());
        if wrong == "maxClientConnections" {
            assert_eq!(found, None, "too far from everything");
        } else {
            assert_eq!(found, Some(right), "{wrong}");
        }
    }
    assert_eq!(nearest("entirelyDifferent", names()), None);
    assert_eq!(nearest(&"x".repeat(10_000), names()), None);
}
