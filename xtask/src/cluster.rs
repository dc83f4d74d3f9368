//! A whole ensemble on this machine with one command, to try things on.
//!
//! The servers run as they would anywhere: each from its own zoo.cfg, on its own folder, which stays for the next time.
//! They are in process groups of their own, so that Ctrl-C reaches this command alone, which then stops them one by
//! one. A member that somebody kills is shown as ended and is not started again: that is what one wants to see.

use anyhow::{Context, Result, bail, ensure};
use clap::{Args, value_parser};
use interop::ensemble::member::Member;
use interop::ensemble::place::Layout;
use interop::ensemble::{Ensemble, Plan};
use interop::fetch::workspace_root;
use interop::server::{Running, ServerKind};
use interop::{fetch, rookeeper};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// How often members are asked who they are.
const LOOK: Duration = Duration::from_millis(300);

#[derive(Debug, Args)]
pub struct Options {
    /// Servers that vote
    #[arg(long, default_value_t = 3, value_parser = value_parser!(u8).range(2..=9))]
    servers: u8,
    /// Servers that follow without a vote
    #[arg(long, default_value_t = 0, value_parser = value_parser!(u8).range(0..=9))]
    observers: u8,
    /// Where each member's zoo.cfg, data and log lie [default: target/cluster]
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Port for clients of the first member; the others follow
    #[arg(long, default_value_t = 2181)]
    port: u16,
    /// Port of the first member for the quorum
    #[arg(long, default_value_t = 2888)]
    quorum_port: u16,
    /// Port of the first member for elections
    #[arg(long, default_value_t = 3888)]
    election_port: u16,
}

/// The command.
pub fn run(options: &Options) -> Result<()> {
    let stop = stop_requests()?;
    let dir = match &options.dir {
        Some(dir) => std::path::absolute(dir)?,
        None => fetch::interop_dir()?.with_file_name("cluster"),
    };
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let mut ensemble = plan(options, &dir).build()?;
    eprintln!("Building the server, if it is not built already …");
    rookeeper::binary()?;
    ensemble
        .require_free_ports()
        .context("stop what uses these ports, or give others (--port, --quorum-port, --election-port)")?;
    ensemble.start_all()?;
    println!("An ensemble of {} Rookeeper servers runs on this machine.", ensemble.members.len());
    println!("Connect with any ZooKeeper client:  zkCli.sh -server {}", ensemble.connect_string());
    println!("Stop it with Ctrl-C or Enter; its data stay in {}.\n", shown(&dir));
    let watched = watch(&mut ensemble, &stop);
    println!("Stopping …");
    let stopped = stop_all(&mut ensemble);
    watched.and(stopped)?;
    println!("All members have stopped; everything acknowledged is on disk.");
    Ok(())
}

fn plan(options: &Options, dir: &Path) -> Plan {
    let layout = Layout::PortsFrom {
        client: options.port,
        quorum: options.quorum_port,
        election: options.election_port,
    };
    let kinds = vec![ServerKind::Rookeeper; usize::from(options.servers)];
    let plan = Plan::plain("cluster", &kinds)
        .dir(dir.to_owned())
        .layout(layout)
        .running(Running { own_group: true, ..Running::default() })
        .config("tickTime", 2000)
        .config("initLimit", 10)
        .config("minSessionTimeout", -1);
    (0..options.observers).fold(plan, |plan, _| plan.observer(&ServerKind::Rookeeper))
}

/// A message when the user has enough: Enter, Ctrl-C, a terminal that closes, or SIGTERM.
fn stop_requests() -> Result<Receiver<()>> {
    let (sender, receiver) = channel();
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).context("cannot catch Ctrl-C")?;
    let other = sender.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            // A second one while members stop has nobody to tell.
            let _ = sender.send(());
        }
    });
    std::thread::spawn(move || {
        // Input that is at its end, as under a service manager, asks for nothing.
        if std::io::stdin().lock().read_line(&mut String::new()).is_ok_and(|read| read > 0) {
            let _ = other.send(());
        }
    });
    Ok(receiver)
}

/// Shows the members whenever something has changed, until it is to stop.
fn watch(ensemble: &mut Ensemble, stop: &Receiver<()>) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let mut last: Vec<Line> = Vec::new();
    loop {
        let lines: Vec<Line> = ensemble.members.iter_mut().map(Line::of).collect::<Result<_>>()?;
        if lines != last {
            let mut out = std::io::stdout().lock();
            if terminal && !last.is_empty() {
                // Back over the former table, which goes.
                write!(out, "\x1b[{}A\x1b[J", last.len() + 1)?;
            }
            write!(out, "{}", table(&lines))?;
            if !terminal {
                writeln!(out)?;
            }
            out.flush()?;
            last = lines;
        }
        if last.iter().all(|line| line.process.is_none()) {
            let said: Vec<String> = ensemble.members.iter().map(Member::describe).collect();
            bail!("no member runs any more\n{}", said.join("\n"));
        }
        match stop.recv_timeout(LOOK) {
            Err(RecvTimeoutError::Timeout) => {}
            Ok(()) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}

/// Stops all that run, and says at the end what did not go well.
fn stop_all(ensemble: &mut Ensemble) -> Result<()> {
    let mut troubles = Vec::new();
    for member in &mut ensemble.members {
        if member.ended()?.is_none()
            && let Err(error) = member.stop()
        {
            troubles.push(format!("{error:#}"));
        }
    }
    ensure!(troubles.is_empty(), "{}", troubles.join("\n"));
    Ok(())
}

/// What the table says of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    id: u8,
    role: String,
    address: String,
    process: Option<u32>,
    folder: String,
    log: String,
}

impl Line {
    fn of(member: &mut Member) -> Result<Line> {
        let ended = member.ended()?;
        let role = match (ended, member.status()) {
            (Some(status), _) => status.code().map_or("killed".to_owned(), |code| format!("exit {code}")),
            (None, Ok(status)) => status.role.to_string(),
            (None, Err(_)) => "looking".to_owned(),
        };
        Ok(Line {
            id: member.id,
            role,
            address: member.place.client_address().to_string(),
            process: member.pid().filter(|_| ended.is_none()),
            folder: shown(&member.version_2()),
            log: shown(&member.log_path()),
        })
    }
}

/// A path as short as it can be from here.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_else(|_| workspace_root());
    path.strip_prefix(here).unwrap_or(path).display().to_string()
}

/// A heading, and a line for each member.
fn table(lines: &[Line]) -> String {
    let mut rows = vec![["server", "role", "clients", "process", "data", "log"].map(str::to_owned)];
    for line in lines {
        let process = line.process.map_or_else(|| "–".to_owned(), |process| process.to_string());
        let Line { id, role, address, folder, log, .. } = line.clone();
        rows.push([id.to_string(), role, address, process, folder, log]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let cells = |row: &[String; 6]| -> String {
        row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}  ")).collect()
    };
    rows.iter().map(|row| format!("{}\n", cells(row).trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8, role: &str, process: Option<u32>) -> Line {
        let (address, folder) = (format!("127.0.0.1:218{id}"), format!("c/member-{id}/data/version-2"));
        Line { id, role: role.to_owned(), address, process, folder, log: format!("c/member-{id}/server.log") }
    }

    #[test]
    fn the_table_has_columns() {
        let text = table(&[line(1, "follower", Some(71)), line(2, "killed", None)]);
        let expected = "\
server  role      clients         process  data                       log
1       follower  127.0.0.1:2181  71       c/member-1/data/version-2  c/member-1/server.log
2       killed    127.0.0.1:2182  –        c/member-2/data/version-2  c/member-2/server.log
";
        assert_eq!(text, expected);
    }

    #[test]
    fn busy_ports_are_all_named() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let dir = std::env::temp_dir().join(format!("cluster-ports-{}", std::process::id()));
        let options =
            Options { servers: 2, observers: 1, dir: None, port, quorum_port: port, election_port: port };
        let ensemble = plan(&options, &dir).build().unwrap();
        assert_eq!(ensemble.voters(), [1, 2]);
        assert!(ensemble.members[2].observer);
        let said = ensemble.require_free_ports().unwrap_err().to_string();
        for what in ["for clients", "for the quorum", "for elections"] {
            assert!(said.contains(&format!("127.0.0.1:{port}, member 1's port {what}: ")), "{said}");
        }
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
