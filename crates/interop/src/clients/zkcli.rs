//! The Java shell (`zkCli`), each command a process of its own, as scripts use it.
//!
//! What it prints for people (events, deprecation notes) may change place; what scripts rely on is checked:
//! the exit status, and the words of the answer.
use super::driver::server_for_clients;
use super::prepare::java_client_jars;
use crate::report::Suite;
use crate::run::Options;
use crate::{apache, fetch};
use anyhow::{Context, Result, bail};
use std::process::Command;

/// One command line, the exit status it ends with, and words that its output (stdout or stderr) holds.
struct Line {
    command: &'static str,
    status: i32,
    prints: &'static [&'static str],
}

const fn good(command: &'static str, prints: &'static [&'static str]) -> Line {
    Line { command, status: 0, prints }
}

const fn bad(command: &'static str, prints: &'static [&'static str]) -> Line {
    Line { command, status: 1, prints }
}

/// A session's worth of shell commands, in order.
const LINES: &[Line] = &[
    good("create /cli data", &["Created /cli"]),
    bad("create /cli data", &["Node already exists: /cli"]),
    good("get -s /cli", &["data", "cZxid = 0x", "dataVersion = 0", "dataLength = 4"]),
    good("set -v 0 /cli other", &[]),
    bad("set -v 0 /cli other", &["version No is not valid : /cli"]),
    good("get /cli", &["other"]),
    good("create -s /cli/s- x", &["Created /cli/s-0000000000"]),
    good("create -e /cli-ephemeral x", &["Created /cli-ephemeral"]),
    good("create -c /cli/container x", &["Created /cli/container"]),
    good("create -t 3600000 /cli/ttl x", &["Created /cli/ttl"]),
    good("ls /cli", &["[container, s-0000000000, ttl]"]),
    good("ls -R /cli", &["/cli/container", "/cli/ttl"]),
    good("stat /cli", &["numChildren = 3"]),
    good("getAllChildrenNumber /cli", &["3"]),
    good("getEphemerals", &["[]"]),
    good("setAcl /cli/ttl world:anyone:ra", &[]),
    good("getAcl /cli/ttl", &["'world,'anyone", ": ra"]),
    bad("set /cli/ttl y", &["Insufficient permission : /cli/ttl"]),
    good("setquota -n 10 /cli", &[]),
    good("listquota /cli", &["count=10", "count=4"]),
    good("delquota /cli", &[]),
    good("whoami", &["ip: 127.0.0.1"]),
    good("sync /cli", &["Sync is OK"]),
    good("config", &[]),
    good("version", &["ZooKeeper CLI version: 3.9.5"]),
    bad("reconfig -remove 2", &["Reconfig is disabled"]),
    bad("get /cli/none", &["Node does not exist: /cli/none"]),
    bad("delete /cli", &["Node not empty: /cli"]),
    good("deleteall /cli", &[]),
    bad("stat /cli", &["Node does not exist: /cli"]),
];

/// Lines of the short form: one per kind of thing, since each costs the start of a Java machine.
const SHORT: usize = 12;

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("client-zkcli", &options.server.to_string());
    fetch::require(&[fetch::JAVA, fetch::MAVEN])?;
    let jars = java_client_jars()?;
    let class_path = format!("{}:{}/*", fetch::fixture("").display(), jars.display());
    let mut server = server_for_clients(&options.server, "client-zkcli")?;
    let count = if options.long { LINES.len() } else { SHORT };
    for line in &LINES[..count] {
        let name = line.command.replace(' ', "_");
        suite.add_result(&name, run_line(line, &class_path, &server.address()));
    }
    server.stop()?;
    Ok(suite.finish())
}

fn run_line(line: &Line, class_path: &str, address: &str) -> Result<()> {
    let mut java = Command::new(fetch::JAVA.program);
    java.args(apache::JVM_FLAGS).args(["-cp", class_path, "org.apache.zookeeper.ZooKeeperMain"]);
    java.args(["-server", address, "-waitforconnection"]).args(line.command.split(' '));
    let output = java.output().context("cannot run the shell")?;
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.code() != Some(line.status) {
        bail!("it ended with {}, expected {}, and printed: {}", output.status, line.status, one_line(&text));
    }
    if let Some(word) = line.prints.iter().find(|word| !text.contains(**word)) {
        bail!("it did not print {word:?} but: {}", one_line(&text));
    }
    Ok(())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
