//! No reply before the disk has it, shown by the system calls themselves.
//!
//! The server runs under `strace`. For each write of one client: a write to the log that holds it must have ended, then
//! a sync of the log begun and ended well, then the reply's send begun. A stopped thread cannot run on before its call
//! is in the trace, so the order of the lines is the order of what happened. That the check can fail is shown by
//! switching `forceSync` off.
use crate::fetch;
use crate::jute::Acl;
use crate::raw::{Session, flag};
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerSpec, free_port};
use anyhow::{Context, Result, bail, ensure};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const TIMEOUT_MS: i32 = 30_000;
const WRITES: usize = 200;
/// Everything of a call's bytes, as far as a line goes.
const SHOWN_BYTES: &str = "4096";
const CALLS: &str = "trace=fdatasync,fsync,write,pwrite64,sendto,sendmsg,writev";

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("trace", &options.server.to_string());
    let strace = strace()?;
    let traced = |name: &str, force_sync: &str| -> Result<Vec<Call>> {
        let dir = scratch(&format!("trace-{name}-{}", options.server))?;
        let spec = ServerSpec::new(options.server.clone(), dir, free_port()?);
        run(&strace, spec.property("zookeeper.forceSync", force_sync))
    };
    let synced = traced("synced", "yes").and_then(|calls| {
        let closest = prove(&calls)?;
        println!("  trace: {WRITES} replies, each sent after its sync (the closest {closest} lines of the trace later)");
        Ok(())
    });
    suite.add_result("each reply was sent after the sync of its record", synced);
    let unsynced = traced("unsynced", "no").and_then(|calls| {
        let syncs = calls.iter().filter(|call| call.is_log_sync()).count();
        ensure!(syncs == 0, "{syncs} syncs of the log without forceSync");
        let Err(error) = prove(&calls) else { bail!("the check finds syncs where there are none") };
        ensure!(error.to_string().contains("no sync"), "the check fails for another reason: {error:#}");
        Ok(())
    });
    suite.add_result("without forceSync the same check fails: no sync is found", unsynced);
    Ok(suite.finish())
}

/// The program, from the PATH or out of Debian's package.
fn strace() -> Result<PathBuf> {
    const STRACE: fetch::Tool = fetch::Tool { program: "strace", install: "strace (Debian: strace)" };
    if fetch::missing(&[STRACE]).is_empty() {
        return Ok(STRACE.program.into());
    }
    const PACKAGES: [&str; 2] = ["strace", "libunwind8"];
    let dir = fetch::debian("debian-strace", &PACKAGES)?;
    Ok(dir.join("usr/bin/strace"))
}

/// Writes one znode after the other to a traced server; the calls it made.
fn run(strace: &Path, spec: ServerSpec) -> Result<Vec<Call>> {
    let file = spec.dir.join("strace.txt");
    let (program, out) = (strace.display().to_string(), file.display().to_string());
    // -D: the server keeps the process that was started, so that signals and exit codes are its own.
    let words =
        [&program, "-D", "-f", "-y", "-ttt", "-s", SHOWN_BYTES, "-e", CALLS, "-e", "signal=none", "-o", &out];
    let mut server = spec.under(&words).start()?;
    let pid = server.pid().context("it has just started")?;
    let mut session = Session::open(server.port(), TIMEOUT_MS)?;
    session.create("/trace", None, &[Acl::open()], flag::PERSISTENT)?;
    for number in 0..WRITES {
        session.create(&path(number), Some(b"data"), &[Acl::open()], flag::PERSISTENT)?;
    }
    session.close()?;
    server.stop()?;
    parse(&whole(&file, pid)?)
}

fn path(number: usize) -> String {
    format!("/trace/n{number:06}")
}

/// The trace, once its last line is there: strace ends a little later than the server.
fn whole(file: &Path, pid: u32) -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let text = String::from_utf8_lossy(&std::fs::read(file)?).into_owned();
        let ended = |line: &str| line.starts_with(&pid.to_string()) && line.contains("+++ exited with");
        if text.lines().next_back().is_some_and(ended) {
            return Ok(text);
        }
        ensure!(Instant::now() < deadline, "{} has no end", file.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One system call, by the numbers of the lines on which it began and ended.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Call {
    name: String,
    /// What strace prints between the parentheses.
    arguments: String,
    /// What it returned; empty if it did not.
    result: String,
    began: usize,
    ended: usize,
}

impl Call {
    /// Whether the file or socket it works on is called so.
    fn on(&self, part: &str) -> bool {
        self.arguments.split_once('>').is_some_and(|(descriptor, _)| descriptor.contains(part))
    }

    fn is_log_write(&self) -> bool {
        matches!(self.name.as_str(), "write" | "pwrite64" | "writev")
            && self.on("/version-2/log.")
            && self.result.parse::<u64>().is_ok()
    }

    fn is_log_sync(&self) -> bool {
        matches!(self.name.as_str(), "fdatasync" | "fsync")
            && self.on("/version-2/log.")
            && self.result == "0"
    }

    fn is_send(&self) -> bool {
        matches!(self.name.as_str(), "sendto" | "sendmsg" | "write" | "writev")
            && (self.on("<socket:") || self.on("<TCP"))
    }
}

/// Reads lines such as `7 1.5 write(3<file>, "…", 5) = 5`, and those of calls that others came in between of:
/// `7 1.5 write(3<file>, "…", 5 <unfinished ...>` and later `7 1.6 <... write resumed>) = 5`.
fn parse(text: &str) -> Result<Vec<Call>> {
    let mut calls: Vec<Call> = Vec::new();
    let mut open: HashMap<&str, usize> = HashMap::new();
    for (number, line) in text.lines().enumerate() {
        let mut words = line.splitn(2, char::is_whitespace);
        let (thread, rest) =
            (words.next().unwrap_or_default(), words.next().unwrap_or_default().trim_start());
        let (_time, what) = rest.split_once(' ').with_context(|| format!("line {}: {line}", number + 1))?;
        if what.starts_with("+++") || what.starts_with("---") {
            continue;
        }
        if let Some(resumed) = what.strip_prefix("<... ") {
            let call =
                &mut calls[open.remove(thread).with_context(|| format!("nothing to resume: {line}"))?];
            let (_, tail) = resumed.split_once("resumed>").with_context(|| format!("no call: {line}"))?;
            (call.result, call.ended) = (result_of(tail), number);
            continue;
        }
        let (name, rest) = what.split_once('(').with_context(|| format!("no call: {line}"))?;
        let unfinished = rest.strip_suffix("<unfinished ...>");
        if unfinished.is_some() {
            open.insert(thread, calls.len());
        }
        let arguments = unfinished.unwrap_or(rest).to_owned();
        let (result, ended) = match unfinished {
            Some(_) => (String::new(), usize::MAX),
            None => (result_of(rest), number),
        };
        calls.push(Call { name: name.to_owned(), arguments, result, began: number, ended });
    }
    Ok(calls)
}

fn result_of(tail: &str) -> String {
    tail.rsplit_once(" = ").map_or("", |(_, result)| result).trim().to_owned()
}

/// Looks at every write; how many lines at least lie between the end of a sync and its reply.
fn prove(calls: &[Call]) -> Result<usize> {
    let mut closest = usize::MAX;
    for number in 0..WRITES {
        let path = path(number);
        let record = calls.iter().find(|call| call.is_log_write() && call.arguments.contains(&path));
        let record = record.with_context(|| format!("{path} was not written to the log"))?;
        let reply = calls.iter().find(|call| call.is_send() && call.arguments.contains(&path));
        let reply = reply.with_context(|| format!("no reply names {path}"))?;
        let between = |call: &&Call| call.began > record.ended && call.ended < reply.began;
        let sync = calls.iter().find(|call| call.is_log_sync() && between(call));
        let sync = sync.with_context(|| format!("no sync between the record of {path} and its reply"))?;
        closest = closest.min(reply.began - sync.ended);
    }
    Ok(closest)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All writes in order; the calls of each as given.
    fn trace(one: &str) -> Vec<Call> {
        let text: String = (0..WRITES).map(|number| one.replace("PATH", &path(number))).collect();
        parse(&text).unwrap()
    }

    const WRITE: &str = "8 1.1 write(5</d/version-2/log.1>, \"\\0\\fPATH\", 9) = 9\n";
    const SYNC: &str = "8 1.2 fdatasync(5</d/version-2/log.1>) = 0\n";
    const SEND: &str = "9 1.3 sendto(7<socket:[12]>, \"\\0PATH\", 9, MSG_NOSIGNAL, NULL, 0) = 9\n";

    #[test]
    fn only_the_right_order_is_proof() {
        assert_eq!(prove(&trace(&[WRITE, SYNC, SEND].concat())).unwrap(), 1);
        let failed_sync = SYNC.replace("= 0", "= -1 EIO (Input/output error)");
        let other_file = SYNC.replace("log.1", "snapshot.1");
        for wrong in [
            [WRITE, SEND, SYNC].concat(),
            [SYNC, WRITE, SEND].concat(),
            [WRITE, &failed_sync, SEND].concat(),
            [WRITE, &other_file, SEND].concat(),
        ] {
            let error = prove(&trace(&wrong)).unwrap_err().to_string();
            assert!(error.contains("no sync"), "{error}");
        }
        assert!(prove(&trace(&[SYNC, SEND].concat())).unwrap_err().to_string().contains("not written"));
        assert!(prove(&trace(&[WRITE, SYNC].concat())).unwrap_err().to_string().contains("no reply"));
    }

    #[test]
    fn a_sync_counts_from_where_it_ends() {
        let begins = "8 1.2 fdatasync(5</d/version-2/log.1> <unfinished ...>\n";
        let ends = "8 1.4 <... fdatasync resumed>) = 0\n";
        assert!(prove(&trace(&[WRITE, begins, ends, SEND].concat())).is_ok());
        assert!(prove(&trace(&[WRITE, begins, SEND, ends].concat())).is_err());
    }
}
