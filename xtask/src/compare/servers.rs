//! The servers that are compared, as processes: fetched or built, started on a folder, stopped.

use anyhow::{Context, Result, bail};
use client::{ConnectOptions, Session};
use interop::apache;
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Heap of each Java server: 1 M creates take 4 to 5 GB.
pub const HEAP_MB: u32 = 8192;
const START_LIMIT: Duration = Duration::from_secs(120);
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// Nothing announces that a server serves now: it is asked this often.
const ASK: Duration = Duration::from_millis(5);

/// One of the things that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    Apache,
    Rookeeper,
    Floor,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Apache => "Apache 3.9.5",
            Kind::Rookeeper => "Rookeeper",
            Kind::Floor => "floor",
        }
    }
}

/// Where everything lies.
#[derive(Debug, Clone)]
pub struct Places {
    root: PathBuf,
    target: PathBuf,
}

impl Places {
    pub fn find() -> Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask lies below the root")?;
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let target = root.join(target);
        std::fs::create_dir_all(target.join("compare"))?;
        Ok(Places { root: root.to_owned(), target })
    }

    /// The folder for everything that this command makes.
    pub fn work(&self) -> PathBuf {
        self.target.join("compare")
    }

    pub fn binary(&self, name: &str) -> PathBuf {
        self.target.join("release").join(name)
    }

    /// Builds a program of this workspace.
    pub fn build(&self, package: &str) -> Result<()> {
        let mut cargo = Command::new("cargo");
        cargo.args(["build", "--release", "--package", package]).current_dir(&self.root);
        check(&mut cargo)
    }

    fn command(&self, kind: Kind, port: u16, config: &Path) -> Result<Command> {
        Ok(match kind {
            Kind::Apache => {
                let mut java = Command::new("java");
                java.arg(format!("-Xmx{HEAP_MB}m")).arg("-cp").arg(apache::class_path(apache::REFERENCE)?);
                java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(config);
                java
            }
            Kind::Rookeeper => {
                let mut command = Command::new(self.binary("rookeeper"));
                command.arg("server").arg(config);
                command
            }
            Kind::Floor => {
                let mut command = Command::new(self.binary("bench"));
                command.args(["floor", "--port", &port.to_string()]);
                command
            }
        })
    }
}

/// Runs a command to its end; what it prints goes to standard error.
fn check(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

/// Removes a folder and all below it; a missing one is fine.
pub fn remove(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// A server that serves; killed when dropped.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// From the start of the process to the first answered read.
    pub start_took: Duration,
}

impl Server {
    /// Starts a server on `dir` (made if missing) with more lines of zoo.cfg; returns once it answers a read.
    pub fn start(places: &Places, kind: Kind, dir: &Path, port: u16, more: &[&str]) -> Result<Self> {
        std::fs::create_dir_all(dir.join("data"))?;
        let config = dir.join("zoo.cfg");
        let data = dir.join("data");
        let mut text = format!(
            "tickTime=2000\ndataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n\
             maxSessionTimeout=120000\nadmin.enableServer=false\n",
            data.display()
        );
        more.iter().for_each(|line| text += &format!("{line}\n"));
        std::fs::write(&config, text)?;
        let log = std::fs::File::create(dir.join("server.log"))?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        if std::net::TcpStream::connect(address).is_ok() {
            bail!("something listens on {address} already: stop it, or give another --port");
        }
        let mut command = places.command(kind, port, &config)?;
        command.current_dir(dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let start = Instant::now();
        let child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let mut server = Server { child, address, start_took: Duration::ZERO };
        let told = || format!("{} does not serve: see {}", kind.name(), dir.join("server.log").display());
        server.wait_until_serving(start).with_context(told)?;
        server.start_took = start.elapsed();
        Ok(server)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn wait_until_serving(&mut self, start: Instant) -> Result<()> {
        while !self.serves() {
            if let Some(status) = self.child.try_wait()? {
                bail!("it ended with {status}");
            }
            if start.elapsed() > START_LIMIT {
                bail!("it answers no read after {} s", START_LIMIT.as_secs());
            }
            std::thread::sleep(ASK);
        }
        Ok(())
    }

    fn serves(&self) -> bool {
        let options = ConnectOptions { io_timeout: Duration::from_secs(10), ..Default::default() };
        let read = |mut session: Session| {
            session.get_data("/", false)?;
            session.close()
        };
        options.connect(self.address).and_then(read).is_ok()
    }

    /// Ends it as an operator does, and waits for that.
    pub fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let start = Instant::now();
        while self.child.try_wait()?.is_none() {
            if start.elapsed() > STOP_LIMIT {
                bail!("the server runs on {} s after SIGTERM", STOP_LIMIT.as_secs());
            }
            std::thread::sleep(ASK);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended already after `stop`; both calls then have nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
