//! One word, one text.

use crate::status::{COMPATIBLE, Configuration, EnsembleConfiguration, Environment, Mode, Status, Version};
use crate::{Word, lists, metrics, text};

const NOT_SERVING: &str = "This ZooKeeper instance is not currently serving requests";

/// The answer to a word, after which the connection is closed.
pub fn render(word: Word, status: &Status) -> String {
    match word {
        Word::Ruok => "imok".into(),
        Word::Envi => environment(&status.version, &status.environment),
        Word::Gtmk | Word::Stmk => status.trace_mask.to_string(),
        Word::TelnetClose => String::new(),
        Word::Isro if !status.serving => "null".into(),
        Word::Hash if !status.serving => NOT_SERVING.into(),
        _ if !status.serving => format!("{NOT_SERVING}\n"),
        Word::Isro if status.mode == Mode::ReadOnly => "ro".into(),
        Word::Isro => "rw".into(),
        Word::Srvr => server(status, String::new()),
        Word::Stat => server(status, lists::clients(&status.connections)),
        Word::Mntr => metrics::render(status),
        Word::Conf => configuration(status),
        Word::Cons => lists::connections(&status.connections),
        Word::Crst => "Connection stats reset.\n".into(),
        Word::Srst => "Server stats reset.\n".into(),
        Word::Dirs => {
            let sizes = status.sizes;
            format!("datadir_size: {}\nlogdir_size: {}\n", sizes.data_dir, sizes.data_log_dir)
        }
        Word::Dump => lists::dump(&status.sessions, status.connection_buckets.as_deref()),
        Word::Hash => status.digests.iter().map(|(zxid, digest)| format!("{zxid:x}: {digest}\n")).collect(),
        Word::Wchs => {
            let summary = status.watch_summary;
            format!(
                "{} connections watching {} paths\nTotal watches:{}\n",
                summary.connections, summary.paths, summary.watches
            )
        }
        Word::Wchc => lists::watches_by_session(&status.watches),
        Word::Wchp => lists::watches_by_path(&status.watches),
    }
}

impl Version {
    /// The version as `srvr`, `stat`, `mntr` and `envi` show it.
    pub fn line(&self) -> String {
        let own = if self.own.is_empty() { String::new() } else { format!(", {}", self.own) };
        format!("{COMPATIBLE}-{}, built on {}{own}", self.revision, self.built)
    }
}

/// `clients` stands between what the server is and how it fares.
fn server(status: &Status, clients: String) -> String {
    let counts = &status.counts;
    let latency = counts.latency;
    let mut out = format!("Zookeeper version: {}\n", status.version.line());
    if status.mode == Mode::ReadOnly {
        out.push_str("READ-ONLY mode; serving only read-only clients\n");
    }
    out.push_str(&clients);
    let mean = text::double(text::mean(latency.total, latency.count));
    out.push_str(&format!("Latency min/avg/max: {}/{mean}/{}\n", latency.min, latency.max));
    out.push_str(&format!("Received: {}\n", counts.packets_received));
    out.push_str(&format!("Sent: {}\n", counts.packets_sent));
    out.push_str(&format!("Connections: {}\n", counts.connections));
    out.push_str(&format!("Outstanding: {}\n", counts.outstanding));
    out.push_str(&format!("Zxid: {:#x}\n", counts.last_zxid));
    out.push_str(&format!("Mode: {}\n", status.mode.name()));
    out.push_str(&format!("Node count: {}\n", counts.apache_znodes()));
    if let Some(sizes) = status.proposals
        && status.mode == Mode::Leader
    {
        out.push_str(&format!("Proposal sizes last/min/max: {}/{}/{}\n", sizes.last, sizes.min, sizes.max));
    }
    out
}

fn configuration(status: &Status) -> String {
    let Configuration {
        client_port,
        secure_client_port,
        data_dir,
        data_log_dir,
        tick_ms,
        max_client_cnxns,
        min_session_timeout_ms,
        max_session_timeout_ms,
        backlog,
        server_id,
        ensemble,
    } = &status.configuration;
    let lines = [
        ("clientPort", or_minus_one(client_port.map(i64::from))),
        ("secureClientPort", or_minus_one(secure_client_port.map(i64::from))),
        ("dataDir", data_dir.clone()),
        ("dataDirSize", status.sizes.data_dir.to_string()),
        ("dataLogDir", data_log_dir.clone()),
        ("dataLogSize", status.sizes.data_log_dir.to_string()),
        ("tickTime", tick_ms.to_string()),
        ("maxClientCnxns", max_client_cnxns.to_string()),
        ("minSessionTimeout", min_session_timeout_ms.to_string()),
        ("maxSessionTimeout", max_session_timeout_ms.to_string()),
        ("clientPortListenBacklog", or_minus_one(backlog.map(i64::from))),
        ("serverId", server_id.to_string()),
    ];
    pairs(lines) + &ensemble.as_ref().map(ensemble_configuration).unwrap_or_default()
}

fn or_minus_one(value: Option<i64>) -> String {
    value.unwrap_or(-1).to_string()
}

fn ensemble_configuration(ensemble: &EnsembleConfiguration) -> String {
    let ports = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join("|");
    let out = pairs([
        ("initLimit", ensemble.init_limit.to_string()),
        ("syncLimit", ensemble.sync_limit.to_string()),
        // The only algorithm left since 3.4.
        ("electionAlg", "3".into()),
        ("electionPort", ports(&ensemble.election_ports)),
        ("quorumPort", ports(&ensemble.quorum_ports)),
        ("peerType", if ensemble.observer { "1" } else { "0" }.into()),
    ]);
    match &ensemble.membership {
        Some(membership) => format!("{out}membership: \n{membership}"),
        None => out,
    }
}

fn environment(version: &Version, environment: &Environment) -> String {
    let known = |value: &Option<String>| value.clone().unwrap_or_else(|| "<NA>".into());
    let megabytes = |value: Option<u64>| value.map_or_else(|| "<NA>".into(), |mb| format!("{mb}MB"));
    let lines = [
        ("zookeeper.version", version.line()),
        ("host.name", known(&environment.host_name)),
        ("java.version", known(&None)),
        ("java.vendor", known(&None)),
        ("java.home", known(&None)),
        ("java.class.path", known(&None)),
        ("java.library.path", known(&None)),
        ("java.io.tmpdir", known(&environment.tmp_dir)),
        ("java.compiler", known(&None)),
        ("os.name", known(&environment.os_name)),
        ("os.arch", known(&environment.os_arch)),
        ("os.version", known(&environment.os_version)),
        ("user.name", known(&environment.user_name)),
        ("user.home", known(&environment.user_home)),
        ("user.dir", known(&environment.user_dir)),
        ("os.memory.free", megabytes(environment.memory_free_mb)),
        ("os.memory.max", megabytes(environment.memory_max_mb)),
        ("os.memory.total", megabytes(environment.memory_total_mb)),
    ];
    let own = environment.own.iter().map(|(key, value)| (key.as_str(), value.clone()));
    format!("Environment:\n{}", pairs(lines.into_iter().chain(own)))
}

fn pairs<'a>(lines: impl IntoIterator<Item = (&'a str, String)>) -> String {
    lines.into_iter().map(|(key, value)| format!("{key}={value}\n")).collect()
}
