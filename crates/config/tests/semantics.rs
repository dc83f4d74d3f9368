//! How single rules of Apache ZooKeeper's configuration come out.

mod common;

use std::collections::BTreeSet;

use common::{Start, lines, owned};
use std::path::Path;

use config::{Address, AuthProvider, Compression, Config, Role, Whitelist};
use wire::data::DigestAlgorithm;

/// A file with what every file needs, and more.
fn with(text: &str) -> Start {
    Start::file(format!("dataDir=/data\nclientPort=2181\n{text}"))
}

fn config(text: &str) -> Config {
    with(text).accepted().config
}

fn any(port: u16) -> Option<Address> {
    Some(Address { host: None, port })
}

fn value<'a>(config: &'a Config, name: &str) -> (Option<&'a str>, String) {
    let entry = config::effective(config).iter().find(|entry| entry.name == name).expect("it is listed");
    (entry.value.as_deref(), entry.source.to_string())
}

#[test]
fn defaults_of_a_small_file() {
    let config = config("");
    assert_eq!(config.listen.client, any(2181));
    assert_eq!((config.listen.secure_client, config.listen.backlog), (None, 16384));
    let sessions = config.sessions;
    assert_eq!(
        (sessions.tick_time_ms, sessions.min_session_timeout_ms, sessions.max_session_timeout_ms),
        (3000, 6000, 60000)
    );
    assert_eq!((config.limits.jute_max_buffer_bytes, config.limits.jute_extra_bytes), (1_048_575, 1_048_575));
    assert_eq!(config.limits.max_client_cnxns_per_ip, 60);
    let storage = config.storage;
    assert_eq!(storage.data_log_dir, storage.data_dir);
    assert_eq!((storage.pre_alloc_bytes, storage.snap_size_limit_bytes), (64 << 20, Some(4 << 30)));
    assert_eq!((storage.purge_interval_ms, storage.snap_retain_count, storage.force_sync), (None, 3, true));
    assert_eq!(config.auth.providers, BTreeSet::from([AuthProvider::Digest, AuthProvider::Ip]));
    assert_eq!(config.four_letter_words, Whitelist::default());
    assert!(!config.ensemble.is_distributed());
}

#[test]
fn the_built_in_configuration_has_no_findings() {
    let loaded = Start::file(config::DEFAULT_CONFIG).accepted();
    assert_eq!(lines(&loaded.findings), Vec::<String>::new());
    assert_eq!(loaded.config.listen.client, any(2181));
    assert_eq!(loaded.config.storage.data_dir.to_str(), Some("./rookeeper-data"));
    assert_eq!(loaded.config.sessions.tick_time_ms, 2000);
    assert!(loaded.config.four_letter_words.allows("ruok"));
}

#[test]
fn the_positional_form() {
    let config = Start::positional(&["2182", "/data"]).accepted().config;
    assert_eq!((config.listen.client.clone(), config.sessions.tick_time_ms), (any(2182), 3000));
    assert_eq!(config.limits.max_client_cnxns_per_ip, 0, "no limit");
    assert_eq!(value(&config, "dataDir"), (Some("/data"), "argument 2".to_owned()));
    let all = Start::positional(&["2182", "/data", "1000", "7"])
        .define(&["-Dzookeeper.snapCount=10"])
        .accepted()
        .config;
    assert_eq!((all.sessions.max_session_timeout_ms, all.limits.max_client_cnxns_per_ip), (20_000, 7));
    assert_eq!(all.storage.snap_count, 10);
}

#[test]
fn bad_positional_forms() {
    assert_eq!(
        Start::positional(&["abc", "/data", "-1"]).refused(),
        [
            "argument 1: error: clientPort=abc is not a port; write a number from 0 to 65535",
            "argument 3: error: tickTime=-1 is outside the limits; it must be at least 1",
            "command line: warning: no client port is set, so no client can connect; set clientPort=2181",
        ]
    );
    let found = Start::positional(&["1", "/a", "2", "3", "4"]).refused();
    assert!(found[0].contains("5 arguments are too few or too many"), "{found:?}");
    assert!(Start::positional(&["2181"]).load().is_err());
    assert!(Start::positional(&[]).load().is_err());
}

#[test]
fn the_file_wins_over_flags_and_later_flags_over_earlier() {
    let mut start = with("snapCount=1000\n").define(&["-Dzookeeper.maxCnxns=3"]).jvm_flags(
        "-Dzookeeper.snapCount=2000 -Dzookeeper.maxCnxns=2 -Dzookeeper.throttled_op_wait_time=22 -Dfsync.warningthresholdms=7",
    );
    start.server_jvm_flags =
        "-Dzookeeper.maxCnxns=1 -Dzookeeper.throttled_op_wait_time=11 -Dzookeeper.preAllocSize=9".to_owned();
    let loaded = start.accepted();
    let config = &loaded.config;
    assert_eq!(value(config, "snapCount"), (Some("1000"), "zoo.cfg:3".to_owned()));
    assert_eq!(value(config, "maxCnxns"), (Some("3"), "command line".to_owned()));
    assert_eq!(value(config, "throttled_op_wait_time"), (Some("22"), "JVMFLAGS".to_owned()));
    assert_eq!(value(config, "preAllocSize"), (Some("9"), "SERVER_JVMFLAGS".to_owned()));
    assert_eq!(config.storage.fsync_warning_threshold_ms, 7);
    assert_eq!(
        lines(&loaded.findings),
        ["zoo.cfg:3: warning: snapCount overrides the value from JVMFLAGS; set it in one place only"]
    );
    let new_name = with("").jvm_flags("-Dzookeeper.fsync.warningthresholdms=5 -Dfsync.warningthresholdms=7");
    assert_eq!(new_name.accepted().config.storage.fsync_warning_threshold_ms, 5);
}

#[test]
fn numbers_of_named_keys_are_decimal_and_of_properties_decoded() {
    let config = config(
        "maxClientCnxns=010\nmaxCnxns=010\nglobalOutstandingLimit=0x10\nconnection_throttle_tokens=#20\n",
    );
    assert_eq!((config.limits.max_client_cnxns_per_ip, config.limits.max_cnxns), (10, 8));
    assert_eq!((config.limits.global_outstanding_limit, config.limits.connection_throttle.tokens), (16, 32));
    assert!(with("maxClientCnxns=0x10").load().is_err());
    let wide = with("maxCnxns=2147483648").accepted();
    assert_eq!(wide.config.limits.max_cnxns, 0);
    assert_eq!(
        lines(&wide.findings),
        [
            "zoo.cfg:3: warning: maxCnxns=2147483648 does not fit into 32 bits, so the default (0) is used; write digits only, such as 0"
        ]
    );
}

#[test]
fn truth_values() {
    assert!(config("extendedTypesEnabled=TRUE").features.extended_types_enabled);
    let config = config("digest.enabled=yes\nskipACL=YES\nforceSync=no\nquorumListenOnAllIPs=True");
    assert!(!config.storage.digest_enabled && !config.auth.skip_acl && !config.storage.force_sync);
    assert!(config.ensemble.quorum_listen_on_all_ips);
    let bare =
        with("").define(&["-Dzookeeper.digest.enabled", "-Dreadonlymode.enabled=true"]).accepted().config;
    assert!(!bare.storage.digest_enabled, "an empty value is not true");
    assert!(bare.four_letter_words.allows("isro"));
}

#[test]
fn flags_that_the_file_cannot_set() {
    let config = with("")
        .define(&["-Djute.maxbuffer=0x400000", "-Dznode.container.checkIntervalMs=5"])
        .accepted()
        .config;
    assert_eq!((config.limits.jute_max_buffer_bytes, config.limits.jute_extra_bytes), (4 << 20, 4 << 20));
    assert_eq!(config.features.container_check_interval_ms, 5);
    let small = with("").define(&["-Djute.maxbuffer=100", "-Drookeeper.ioThreads=3"]).accepted().config;
    assert_eq!((small.limits.jute_extra_bytes, small.rookeeper.io_threads), (1024, 3));
}

#[test]
fn unknown_and_foreign_properties() {
    let start = with("").define(&owned_words());
    assert_eq!(
        lines(&start.accepted().findings),
        [
            "command line: warning: -DsnapCount is not a known property; did you mean -Dzookeeper.snapCount?",
            "command line: warning: -Dzookeeper.nonsenseOfMine is not a known property; it has no effect",
            "command line: warning: -Dzookeeper.snapCuont is not a known property; did you mean -Dzookeeper.snapCount?",
            "command line: note: -Dcom.sun.management.jmxremote.port is ignored: it belongs to the Java machine",
            "command line: note: -Dmy.company.name is ignored: it is not a property of ZooKeeper",
            "command line: note: -Dzookeeper.client.secure is ignored: it belongs to a ZooKeeper client",
            "command line: note: -Dzookeeper.root.logger is ignored: it belongs to Java's logging",
        ]
    );
}

fn owned_words() -> [&'static str; 7] {
    [
        "-DsnapCount=1",
        "-Dzookeeper.snapCuont=1",
        "-Dzookeeper.nonsenseOfMine=1",
        "-Dcom.sun.management.jmxremote.port=9010",
        "-Dmy.company.name=x",
        "-Dzookeeper.client.secure=true",
        "-Dzookeeper.root.logger=INFO,CONSOLE",
    ]
}

#[test]
fn whitelists() {
    let words = |text: &str| config(text).four_letter_words;
    assert_eq!(words("4lw.commands.whitelist=ruok, *"), Whitelist::All);
    let some = words("4lw.commands.whitelist= ruok ,,mntr ");
    assert!(some.allows("ruok") && some.allows("mntr") && some.allows("srvr") && !some.allows("conf"));
}

#[test]
fn providers_and_enforcement() {
    let config = config(
        "authProvider.1=org.apache.zookeeper.server.auth.EnsembleAuthenticationProvider\n\
         ensembleAuthName=a, b\nenforce.auth.enabled=true\nenforce.auth.schemes=digest, ensemble\n\
         DigestAuthenticationProvider.digestAlg=sha-512\nDigestAuthenticationProvider.superDigest=super:hash",
    );
    assert_eq!(config.auth.enforced_schemes, Some(owned(&["digest", "ensemble"])));
    assert_eq!(config.auth.ensemble_names, owned(&["a", "b"]));
    assert_eq!(config.auth.digest_algorithm, DigestAlgorithm::Sha512);
    assert_eq!(config.auth.super_digest.as_ref().map(|secret| secret.reveal()), Some("super:hash"));
    assert!(!format!("{config:?}").contains("super:hash"), "secrets do not show");
    assert!(!config::listing(&config).contains("super:hash"));
    assert_eq!(
        with("enforce.auth.enabled=true").refused(),
        [
            "zoo.cfg:3: error: enforce.auth.enabled is true, but enforce.auth.schemes is not set; name the schemes: enforce.auth.schemes=digest"
        ]
    );
    let both = with(
        "enforce.auth.enabled=true\nenforce.auth.schemes=digest\nDigestAuthenticationProvider.enabled=false",
    );
    assert_eq!(
        both.refused(),
        [
            "zoo.cfg:3: error: enforce.auth.enabled is true, but there is no provider for the scheme digest; add a provider with authProvider.1=…, or use one of: ip"
        ]
    );
}

#[test]
fn connection_weights_multiply_the_bucket() {
    let throttle = |text: &str| config(text).limits.connection_throttle;
    assert_eq!(throttle("connection_throttle_tokens=10").tokens, 10);
    let weighted = throttle(
        "connection_throttle_tokens=10\nconnection_throttle_fill_count=2\nconnection_throttle_weight_enabled=true\n\
         connection_throttle_local_session_weight=4",
    );
    let weights = weighted.weights.expect("they are enabled");
    assert_eq!((weights.global_session, weights.renewed_session, weights.local_session), (4, 4, 4));
    assert_eq!((weighted.tokens, weighted.fill_count), (40, 8));
}

#[test]
fn compression_and_purge() {
    let config =
        config("snapshot.compression.method=GZ\nautopurge.purgeInterval=90m\nautopurge.snapRetainCount=2");
    assert_eq!(config.storage.snapshot_compression, Compression::Gzip);
    assert_eq!((config.storage.purge_interval_ms, config.storage.snap_retain_count), (Some(5_400_000), 3));
}

#[test]
fn own_line_gives_client_port_and_role() {
    let members =
        "initLimit=1\nsyncLimit=1\nserver.1=a:1:2;10.0.0.1:2183\nserver.2=b:1:2\nserver.3=c:1:2:observer\n";
    let own = |id: &str, file: &str| Start::file(format!("dataDir=/d\n{file}{members}")).with("/d/myid", id);
    let first = own("1", "").accepted().config;
    assert_eq!(first.listen.client, Some(Address { host: Some("10.0.0.1".to_owned()), port: 2183 }));
    assert!(first.ensemble.is_distributed());
    let third = own("3", "clientPort=2181\npeerType=participant\n").accepted();
    assert_eq!((third.config.listen.client.clone(), third.config.ensemble.role), (any(2181), Role::Observer));
    assert!(lines(&third.findings).contains(
        &"zoo.cfg:3: warning: peerType is participant, but server.3 is observer, which counts; make them agree".to_owned()
    ));
    assert_eq!(own("1", "clientPort=2183\n").accepted().config.listen.client, first.listen.client);
    let clash = own("1", "clientPort=2181\n").refused();
    assert_eq!(
        clash[0],
        "zoo.cfg:5: error: clientPort makes the client address 0.0.0.0:2181, but this line says 10.0.0.1:2183; make them agree, or remove clientPort"
    );
    let stranger = own("9", "").refused();
    assert_eq!(
        stranger[0],
        "/d/myid:1: error: myid is 9, but there is no server.9 line; the configuration lists: 1, 2, 3"
    );
    let text = own("two", "").refused();
    assert_eq!(
        text[0],
        "/d/myid:1: error: myid holds \"two\", which is not a number; its first line must be N of this server's server.N line"
    );
    let missing = Start::file(format!("dataDir=/d\n{members}")).refused();
    assert_eq!(
        missing[0],
        "zoo.cfg: error: /d/myid is missing, which an ensemble needs; write this server's number into it, one of: 1, 2, 3"
    );
}

#[test]
fn one_member_runs_alone_unless_told_otherwise() {
    let alone = Start::file("dataDir=/d\nserver.1=localhost:2888:3888;2181\n").accepted().config;
    assert!(!alone.ensemble.is_distributed());
    assert_eq!(alone.listen.client.map(|client| client.port), Some(2181), "also without a myid");
    let ensemble =
        Start::file("dataDir=/d\ninitLimit=1\nsyncLimit=1\nstandaloneEnabled=false\nserver.1=h:1:2;2181\n");
    assert!(ensemble.clone().with("/d/myid", "1").accepted().config.ensemble.is_distributed());
    assert_eq!(
        with("standaloneEnabled=false").refused()[0],
        "zoo.cfg:3: error: standaloneEnabled is false, but there is no participant; add a server.N line, or remove standaloneEnabled=false"
    );
    assert!(with("server.1=a:1:2\nserver.2=b:1:2:observer").load().is_err(), "an observer needs a quorum");
}

#[test]
fn dynamic_files() {
    let text = "dataDir=/d\nclientPort=2181\ninitLimit=1\nsyncLimit=1\ndynamicConfigFile=/d/z.dynamic.1f\n";
    let members = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\n";
    let start = Start::file(text).with("/d/myid", "1");
    let proposed = "server.1=a:1:2:participant\nversion=100000005";
    let loaded =
        start.clone().with("/d/z.dynamic.1f", members).with("zoo.cfg.dynamic.next", proposed).accepted();
    let ensemble = loaded.config.ensemble;
    assert_eq!((ensemble.membership.version, ensemble.membership.members.len()), (0x1f, 3));
    assert_eq!(ensemble.last_seen.map(|membership| membership.version), Some(0x1_0000_0005));
    assert_eq!(
        start.refused(),
        [
            "zoo.cfg:5: error: the dynamic file /d/z.dynamic.1f does not exist; correct dynamicConfigFile, or create the file with its server.N lines"
        ]
    );
    let wrong = start.clone().with("/d/z.dynamic.1f", &format!("{members}version=3\ntickTime=1\n")).refused();
    assert_eq!(
        wrong[0],
        "/d/z.dynamic.1f:4: error: version must not stand in a dynamic file; remove the line: the version is the hexadecimal suffix of the file's name"
    );
    assert!(wrong[1].starts_with("/d/z.dynamic.1f:5: error: unrecognised parameter tickTime"), "{wrong:?}");
    let twice =
        Start::file(format!("{text}server.1=a:1:2\n")).with("/d/z.dynamic.1f", members).with("/d/myid", "1");
    assert_eq!(
        twice.refused()[0],
        "zoo.cfg:6: error: server.1 must not stand here, for dynamicConfigFile is set; move it to /d/z.dynamic.1f"
    );
}

#[test]
fn traps_in_files() {
    let loaded = Start::file(
        b"\xef\xbb\xbfdataDir=data # main\r\nclientPort=2181\r\nclientPort=2182\r\nclientPortAddress=\r\n",
    )
    .accepted();
    assert_eq!(loaded.config.listen.client, Some(Address { host: Some("127.0.0.1".to_owned()), port: 2182 }));
    assert_eq!(
        lines(&loaded.findings),
        [
            "zoo.cfg:1: warning: dataDir=data # main depends on the folder in which the server is started; write the whole path, or ./data # main if that is meant",
            "zoo.cfg:1: warning: the file begins with a byte order mark, which for Apache ZooKeeper is part of the first key; save it without one",
            "zoo.cfg:1: warning: what looks like a comment is part of the value: dataDir=data # main; comments need lines of their own",
            "zoo.cfg:3: warning: clientPort stands here again; its value at zoo.cfg:2 does not count; keep one of the two lines",
            "zoo.cfg:4: warning: clientPortAddress is empty, which means this machine only; write 127.0.0.1 if that is meant, else remove the line",
        ]
    );
}

/// As in Apache, neither is anything but letters of the value.
#[test]
fn a_tilde_and_quotes_are_taken_as_they_are() {
    let loaded = Start::file(
        "dataDir=~/zk\ndataLogDir=\"/var/zk\"\nclientPort=2181\nDigestAuthenticationProvider.superDigest='a:b'\n",
    )
    .accepted();
    assert_eq!(loaded.config.storage.data_dir, Path::new("~/zk"));
    assert_eq!(loaded.config.storage.data_log_dir, Path::new("\"/var/zk\""));
    assert_eq!(
        lines(&loaded.findings),
        [
            "zoo.cfg:1: warning: dataDir=~/zk names a folder called ~, not a home folder: only a shell knows what ~ means; write the whole path",
            "zoo.cfg:2: warning: the double quotes around the value of dataLogDir are part of it: dataLogDir=\"/var/zk\"; remove them: values need no quotes",
            "zoo.cfg:4: warning: the single quotes around the value of DigestAuthenticationProvider.superDigest are part of it; remove them: values need no quotes",
        ]
    );
    assert_eq!(
        with("tickTime=\"2000\"").refused(),
        [
            "zoo.cfg:3: error: tickTime=\"2000\" is not a whole number; the quotes are part of the value: write ms as digits only, such as 3000"
        ]
    );
}

/// Nobody is to believe that an option does something which does nothing here.
#[test]
fn what_is_ignored_says_so_when_it_is_set() {
    let told = |line: &str| lines(&with(line).accepted().findings);
    for name in ["flushDelay", "maxWriteQueuePollTime", "maxBatchSize"] {
        assert_eq!(
            told(&format!("{name}=7")),
            [format!(
                "zoo.cfg:3: note: {name} is accepted and ignored: the log is synced as soon as the sync before it has ended, with all that came meanwhile"
            )]
        );
    }
    for name in ["request_throttle_stall_time", "request_throttler.shutdownTimeout"] {
        assert!(told(&format!("{name}=7"))[0].contains(&format!("note: {name} is accepted and ignored: ")));
    }
    assert!(told("request_stale_connection_check=false")[0].contains("accepted and ignored"));
    assert!(told("flushDelay=0\nrequest_stale_connection_check=true").is_empty(), "these are the defaults");
}

#[test]
fn session_timeouts() {
    let config = config("tickTime=1000\nminSessionTimeout=-1\nmaxSessionTimeout=5000");
    assert_eq!(
        (config.sessions.min_session_timeout_ms, config.sessions.max_session_timeout_ms),
        (2000, 5000)
    );
    assert_eq!(value(&config, "minSessionTimeout").0, Some("2000"));
    assert_eq!(
        with("tickTime=30000\nmaxSessionTimeout=40000").refused(),
        [
            "zoo.cfg:4: error: minSessionTimeout (60000 ms) is larger than maxSessionTimeout (40000 ms); lower the one or raise the other; their defaults are 2 and 20 ticks of 30000 ms"
        ]
    );
}

#[test]
fn the_listing_names_sources() {
    let config = config("snapCount=5");
    let listing = config::listing(&config);
    let line =
        |start: &str| listing.lines().find(|line| line.starts_with(start)).expect("it is listed").to_owned();
    assert!(line("snapCount=5 ").ends_with("# zoo.cfg:3"));
    assert!(line("tickTime=3000 ").ends_with("# default"));
    assert!(line("dataLogDir=/data ").ends_with("# default"));
}
