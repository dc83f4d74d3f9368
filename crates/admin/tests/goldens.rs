//! What is rendered here, compared byte for byte with what Apache ZooKeeper 3.9.5 answered in the same state.

use admin::*;
use std::collections::BTreeSet;
use wire::OpCode;

const A: i64 = 0x0100_002b_827a_0000;
const B: i64 = 0x0100_002b_827a_0001;

fn golden(name: &str) -> String {
    let path = format!("{}/tests/goldens/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Compares with the file of the same name.
fn check(state: &str, word: Word, status: &Status) {
    assert_eq!(render(word, status), golden(&format!("{state}.{}", word.name())), "{state}: {word:?}");
}

/// Compares an answer whose lines have no defined order.
fn check_unordered(state: &str, word: Word, status: &Status) {
    let sorted = |text: String| {
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(sorted(render(word, status)), sorted(golden(&format!("{state}.{}", word.name()))), "{word:?}");
}

fn version() -> Version {
    Version {
        revision: "293c895a8d966a3ecb92872be4a1daf87d725da2".into(),
        built: "2026-02-11 20:18 UTC".into(),
        own: String::new(),
    }
}

fn connection(port: u16, interest: Interest, received: u64, sent: u64) -> Connection {
    let address = ([127, 0, 0, 1], port).into();
    Connection { address, interest, queued: 0, received, sent, session: None }
}

fn session(id: i64, established_ms: i64, timeout_ms: i32) -> ConnectionSession {
    ConnectionSession {
        id,
        last_op: None,
        established_ms,
        timeout_ms,
        last_cxid: None,
        last_zxid: -1,
        last_response_ms: 0,
        last_latency_ms: 0,
        latency: Latency::default(),
    }
}

fn empty() -> Status {
    Status {
        version: version(),
        serving: true,
        trace_mask: 306,
        counts: Counts { znodes: 4, data_bytes: 43, connections: 1, ..Counts::default() },
        ..Status::default()
    }
}

/// The server of the `standalone` captures.
fn standalone() -> Status {
    let mut a = session(A, 1_795_163_423_218, 10_000);
    a.last_cxid = Some(8);
    a.last_zxid = 8;
    a.last_response_ms = 2_857_535;
    a.latency = Latency { count: 10, total: 16, min: 0, max: 6 };
    let mut b = session(B, 1_795_163_423_226, 30_000);
    b.last_op = Some(OpCode::Create);
    b.last_cxid = Some(5);
    b.last_zxid = 9;
    b.last_response_ms = 2_857_536;
    b.latency = Latency { count: 6, total: 1, min: 0, max: 2 };
    let mut connections = vec![
        connection(34964, Interest::Read, 10, 11),
        connection(34988, Interest::Read, 0, 0),
        connection(35044, Interest::None, 1, 0),
        connection(34980, Interest::Read, 6, 6),
    ];
    connections[0].session = Some(a);
    connections[3].session = Some(b);
    Status {
        counts: Counts {
            latency: Latency { count: 16, total: 17, min: 0, max: 6 },
            packets_received: 33,
            packets_sent: 34,
            connections: 4,
            outstanding: 0,
            last_zxid: 9,
            znodes: 9,
            data_bytes: 68,
            ephemerals: 3,
            watches: 6,
            sessions: 2,
            local_sessions: 0,
            uptime_ms: 6127,
            open_file_descriptors: Some(44),
            max_file_descriptors: Some(20_000),
        },
        connections,
        sizes: DirSizes { data_dir: 67_109_358, data_log_dir: 67_109_358 },
        watch_summary: WatchSummary { connections: 2, paths: 3, watches: 4 },
        watches: vec![(A, vec!["/a".into()]), (B, vec!["/a".into(), "/r".into(), "/w".into()])],
        ..empty()
    }
}

#[test]
fn a_server_that_nobody_used() {
    let mut status = empty();
    status.counts.packets_received = 2;
    status.counts.packets_sent = 1;
    check("empty", Word::Srvr, &status);
    check("empty", Word::Wchc, &status);
    status.connections = vec![connection(34888, Interest::None, 1, 0)];
    check("empty", Word::Cons, &status);
    status.connections = vec![connection(34858, Interest::None, 1, 0)];
    status.counts.packets_received = 3;
    status.counts.packets_sent = 2;
    check("empty", Word::Stat, &status);
    let address = ([127, 0, 0, 1], 34948).into();
    status.connection_buckets = Some(vec![Bucket {
        expires_ms: 1_795_163_435_000,
        members: vec![ConnectionInBucket { address, session_id: 0 }],
    }]);
    check("empty", Word::Dump, &status);
}

#[test]
fn connections_and_counts() {
    let mut status = standalone();
    check("standalone", Word::Srvr, &status);
    check_unordered("standalone", Word::Cons, &status);
    status.connections[2] = connection(35018, Interest::None, 1, 0);
    status.counts.packets_received = 34;
    status.counts.packets_sent = 35;
    check_unordered("standalone", Word::Stat, &status);
    check("standalone", Word::Crst, &status);
    check("standalone", Word::Srst, &status);
}

#[test]
fn connections_after_their_reset() {
    let mut status = standalone();
    status.connections = vec![
        connection(35176, Interest::None, 1, 0),
        connection(34964, Interest::Read, 0, 0),
        connection(34988, Interest::Read, 0, 0),
        connection(34980, Interest::Read, 0, 0),
    ];
    status.connections[1].session = Some(session(A, 1_795_163_423_218, 10_000));
    status.connections[3].session = Some(session(B, 1_795_163_423_226, 30_000));
    assert_eq!(render(Word::Cons, &status), golden("reset.cons"));
}

#[test]
fn watches() {
    let status = standalone();
    check("standalone", Word::Wchs, &status);
    check("standalone", Word::Wchc, &status);
    check_unordered("standalone", Word::Wchp, &status);
}

#[test]
fn folders_and_configuration() {
    let mut status = standalone();
    check("standalone", Word::Dirs, &status);
    status.configuration = Configuration {
        client_port: Some(24001),
        secure_client_port: None,
        data_dir: "/var/lib/zookeeper/version-2".into(),
        data_log_dir: "/var/lib/zookeeper/version-2".into(),
        tick_ms: 2000,
        max_client_cnxns: 60,
        min_session_timeout_ms: 4000,
        max_session_timeout_ms: 40_000,
        backlog: None,
        server_id: 0,
        ensemble: None,
    };
    check("standalone", Word::Conf, &status);
    let server = |id, role| format!("server.{id}=127.0.0.1:2402{id}:2403{id}:{role}\n");
    let servers = server(1, "participant") + &server(2, "participant") + &server(3, "observer");
    status.configuration.client_port = Some(24012);
    status.configuration.server_id = 2;
    status.configuration.ensemble = Some(EnsembleConfiguration {
        init_limit: 10,
        sync_limit: 5,
        election_ports: vec![24032],
        quorum_ports: vec![24022],
        observer: false,
        membership: Some(servers + "version=0"),
    });
    status.sizes = DirSizes { data_dir: 67_109_495, data_log_dir: 67_109_495 };
    check("leader", Word::Conf, &status);
}

fn bucket<T>(expires_ms: i64, members: Vec<T>) -> Bucket<T> {
    Bucket { expires_ms, members }
}

#[test]
fn sessions() {
    let mut status = standalone();
    let at = |port, session_id| ConnectionInBucket { address: ([127, 0, 0, 1], port).into(), session_id };
    status.sessions = Sessions {
        tracked: TrackedSessions::Buckets(vec![
            bucket(1_795_163_433_000, vec![A]),
            bucket(1_795_163_453_000, vec![B]),
        ]),
        ephemerals: vec![(B, vec!["/b/e".into()]), (A, vec!["/a/e2".into(), "/a/e".into()])],
    };
    status.connection_buckets = Some(vec![
        bucket(1_795_163_435_000, vec![at(35112, 0), at(34964, A), at(34988, 0)]),
        bucket(1_795_163_455_000, vec![at(34980, B)]),
    ]);
    check("standalone", Word::Dump, &status);
    let (x, y) = (0x0100_002d_bcd7_0000, 0x0200_002d_bcea_0000);
    status.sessions = Sessions {
        tracked: TrackedSessions::Timeouts(vec![(x, 10_000), (y, 10_000)]),
        ephemerals: vec![(x, vec!["/x".into()])],
    };
    status.connection_buckets = Some(vec![bucket(1_795_163_585_000, vec![at(43452, 0), at(43402, x)])]);
    check("follower", Word::Dump, &status);
}

#[test]
fn roles_of_an_ensemble() {
    let mut status = empty();
    status.mode = Mode::Leader;
    status.proposals = Some(ProposalSizes { last: 87, min: 48, max: 87 });
    status.counts = Counts {
        latency: Latency { count: 1, total: 3, min: 3, max: 3 },
        packets_received: 2,
        packets_sent: 1,
        connections: 2,
        last_zxid: 0x1_0000_0003,
        znodes: 5,
        ..Counts::default()
    };
    check("leader", Word::Srvr, &status);
    status.mode = Mode::Follower;
    status.counts.latency = Latency { count: 2, total: 451, min: 7, max: 444 };
    status.counts.packets_received = 3;
    status.counts.packets_sent = 2;
    check("follower", Word::Srvr, &status);
    status.mode = Mode::ReadOnly;
    let text = render(Word::Srvr, &status);
    assert_eq!(text.lines().nth(1), Some("READ-ONLY mode; serving only read-only clients"));
    assert!(text.contains("\nMode: read-only\n"), "{text}");
    assert_eq!(render(Word::Isro, &status), "ro");
}

#[test]
fn environment() {
    let mut status = standalone();
    let known = |text: &str| Some(text.to_owned());
    status.environment = Environment {
        host_name: known("localhost"),
        tmp_dir: known("/tmp"),
        os_name: known("Linux"),
        os_arch: known("amd64"),
        os_version: known("6.1.0"),
        user_name: known("root"),
        user_home: known("/root"),
        user_dir: known("/"),
        memory_free_mb: Some(216),
        memory_max_mb: Some(247),
        memory_total_mb: Some(247),
        own: Vec::new(),
    };
    check("standalone", Word::Envi, &status);
    status.environment.own.push(("rookeeper.version".into(), "0.1.0".into()));
    status.environment.memory_free_mb = None;
    let text = render(Word::Envi, &status);
    assert!(text.ends_with("os.memory.total=247MB\nrookeeper.version=0.1.0\n"), "{text}");
    assert!(text.contains("\nos.memory.free=<NA>\n"), "{text}");
}

fn lines(text: &str) -> BTreeSet<&str> {
    text.lines().collect()
}

#[test]
fn metrics() {
    let summary = |count, sum, min, max| Summary { count, sum, min, max };
    let mut status = standalone();
    status.counts.packets_received = 35;
    status.counts.packets_sent = 36;
    status.measured = vec![
        Measured::new("connection_drop_probability", Value::Real(0.0)),
        Measured::new("auth_failed_count", Value::Gauge(0)),
        Measured::new("bytes_received_count", Value::Counter(672)),
        Measured::new("sync_process_time", Value::Summary(summary(9, 1, 0, 1))),
        Measured::new(
            "updatelatency",
            Value::Advanced(summary(9, 15, 0, 6), Percentiles { p50: 1, p95: 6, p99: 6, p999: 6 }),
        ),
    ];
    let text = render(Word::Mntr, &status);
    assert!(text.starts_with("zk_version\t3.9.5-"), "{text}");
    assert_eq!(text.lines().nth(1), Some("zk_server_state\tstandalone"));
    let captured = golden("standalone.mntr");
    let invented: Vec<_> = lines(&text).difference(&lines(&captured)).copied().collect::<Vec<_>>();
    assert!(invented.is_empty(), "{invented:?}");
    assert_eq!(text.lines().count(), 2 + 16 + 3 + 5 + 9);
}

#[test]
fn metrics_of_a_leader() {
    let mut status = empty();
    status.mode = Mode::Leader;
    status.peer_state = Some("leading - broadcast".into());
    status.proposals = Some(ProposalSizes { last: 87, min: 48, max: 87 });
    let text = render(Word::Mntr, &status);
    let captured = golden("leader.mntr");
    assert_eq!(
        text.lines().take(3).collect::<Vec<_>>(),
        captured.lines().take(3).collect::<Vec<_>>(),
        "what is no metric comes first"
    );
    for line in text.lines().filter(|line| line.contains("proposal_size")) {
        assert!(captured.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn an_empty_tree_counts_as_apache_counts_it() {
    let text = render(Word::Mntr, &empty());
    let captured = golden("empty.mntr");
    for key in ["zk_znode_count", "zk_approximate_data_size", "zk_watch_count", "zk_ephemerals_count"] {
        let line = text.lines().find(|line| line.starts_with(key)).unwrap();
        assert!(captured.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn what_does_not_serve_says_so() {
    let status = Status { serving: false, ..standalone() };
    let not_serving = "This ZooKeeper instance is not currently serving requests";
    for word in Word::ALL {
        let expected = match word {
            Word::Ruok => "imok".to_owned(),
            Word::Isro => "null".to_owned(),
            Word::Hash => not_serving.to_owned(),
            Word::Gtmk | Word::Stmk => "306".to_owned(),
            Word::Envi => render(Word::Envi, &standalone()),
            Word::TelnetClose => String::new(),
            _ => format!("{not_serving}\n"),
        };
        assert_eq!(render(*word, &status), expected, "{word:?}");
    }
}

#[test]
fn small_words() {
    let status = Status { digests: vec![(0x80, 12_345), (0x100, 7)], ..standalone() };
    assert_eq!(render(Word::Ruok, &status), "imok");
    assert_eq!(render(Word::Isro, &status), "rw");
    assert_eq!(render(Word::Gtmk, &status), "306");
    assert_eq!(render(Word::Hash, &status), "80: 12345\n100: 7\n");
}

/// What clients and monitoring agents look for in the version, with our own name behind it.
#[test]
fn the_version_stays_parsable() {
    let mut status = standalone();
    status.version.own = "Rookeeper 0.1.0".into();
    let text = render(Word::Srvr, &status);
    let version = text.lines().next().and_then(|line| line.strip_prefix("Zookeeper version: ")).unwrap();
    let (full, built) = version.split_once(", built on ").unwrap();
    let (numbers, revision) = full.split_once('-').unwrap();
    assert_eq!(numbers, "3.9.5");
    assert!(revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(built, "2026-02-11 20:18 UTC, Rookeeper 0.1.0");
}
