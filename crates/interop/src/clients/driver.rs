//! Runs one client program: starts the server, reads the program's lines, restarts the server on request.
use super::Client;
use crate::fetch;
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerKind, ServerProcess, ServerSpec, free_port};
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A program that prints nothing for this long hangs.
const SILENCE: Duration = Duration::from_secs(60);
/// No program may take longer than this, even if it goes on printing failures.
const LIMIT: Duration = Duration::from_secs(180);

/// What a line of a program says.
#[derive(Debug, PartialEq, Eq)]
enum Line {
    Passed(String),
    Failed(String, String),
    Restart,
}

pub fn check(client: &Client, options: &Options) -> Result<Suite> {
    let name = format!("client-{}", client.name);
    let mut suite = Suite::start(&name, &options.server.to_string());
    fetch::require(client.tools)?;
    let command = (client.prepare)()?;
    let mut server = server_for_clients(&options.server, &name)?;
    if let Err(error) = run_program(command, &mut server, &mut suite) {
        suite.add("the program ends well", Some(format!("{error:#}")));
    }
    server.stop()?;
    Ok(suite.finish())
}

/// A server with what the clients' checks need: TTL nodes, quick reaping, a super user `super:secret`.
pub fn server_for_clients(kind: &ServerKind, name: &str) -> Result<ServerProcess> {
    let spec = ServerSpec::new(kind.clone(), scratch(&format!("{name}-{kind}"))?, free_port()?);
    let super_digest = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";
    spec.property("zookeeper.extendedTypesEnabled", true)
        .property("znode.container.checkIntervalMs", 500)
        .property("zookeeper.DigestAuthenticationProvider.superDigest", super_digest)
        .start()
}

fn run_program(mut command: Command, server: &mut ServerProcess, suite: &mut Suite) -> Result<()> {
    let errors = server.spec().dir.join("client.log");
    command.arg(server.address()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
    let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
    let stdout = child.stdout.take().context("stdout is piped")?;
    let result = follow(&mut child, lines_of(stdout), server, suite);
    let status = match result {
        Ok(()) => child.wait()?,
        Err(error) => {
            child.kill()?;
            child.wait()?;
            return Err(error.context(end_of(&errors)));
        }
    };
    if !status.success() && suite.failures() == 0 {
        bail!("it ended with {status}; {}", end_of(&errors));
    }
    Ok(())
}

fn end_of(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    format!("the end of {}:\n{}", log.display(), fetch::last_lines(&text, 15))
}

/// The program's lines as messages, so that waiting for one can have a limit.
fn lines_of(stdout: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

fn follow(
    child: &mut Child,
    lines: Receiver<String>,
    server: &mut ServerProcess,
    suite: &mut Suite,
) -> Result<()> {
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    let deadline = Instant::now() + LIMIT;
    loop {
        if Instant::now() > deadline {
            bail!("it is not done after {LIMIT:?}");
        }
        let line = match lines.recv_timeout(SILENCE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => bail!("it hangs: no line for {SILENCE:?}"),
        };
        match parse(&line)? {
            Line::Passed(name) => suite.add(&name, None),
            Line::Failed(name, reason) => suite.add(&name, Some(reason)),
            Line::Restart => {
                server.restart()?;
                writeln!(stdin, "done")?;
            }
        }
    }
}

fn parse(line: &str) -> Result<Line> {
    let mut words = line.splitn(3, ' ');
    match (words.next(), words.next(), words.next()) {
        (Some("@restart"), None, None) => Ok(Line::Restart),
        (Some("ok"), Some(name), None) => Ok(Line::Passed(name.to_owned())),
        (Some("FAIL"), Some(name), reason) => {
            Ok(Line::Failed(name.to_owned(), reason.unwrap_or("no reason given").to_owned()))
        }
        _ => bail!("it printed {line:?}, which is neither `ok NAME` nor `FAIL NAME reason` nor `@restart`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_results_or_requests() {
        assert_eq!(parse("ok create").unwrap(), Line::Passed("create".into()));
        assert_eq!(parse("FAIL create no node").unwrap(), Line::Failed("create".into(), "no node".into()));
        assert_eq!(parse("@restart").unwrap(), Line::Restart);
        assert!(parse("hello").is_err());
        assert!(parse("").is_err());
    }
}
