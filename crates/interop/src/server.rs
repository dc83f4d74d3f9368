//! One server process, Apache's or ours, behind one type, so that every check can run against either.
//!
//! A [`ServerSpec`] says which server, on which folder and port, with which settings. Starting it gives a
//! [`ServerProcess`], which is serving (it answers `srvr`) for as long as nobody stops it, and which is killed
//! when it is dropped. Folder: `zoo.cfg`, `server.log` (stdout and stderr) and `data` (the data folder).
use crate::{apache, fetch, four_letter, rookeeper};
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to serve, or to end after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing tells us that a port answers now: it is asked this often.
const POLL: Duration = Duration::from_millis(20);

/// Which server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServerKind {
    /// Apache ZooKeeper, of a release such as `3.9.5`.
    Apache(String),
    /// The binary of this workspace.
    Rookeeper,
}

impl ServerKind {
    /// The Apache release whose operations and formats this server knows.
    pub fn behaves_as(&self) -> &str {
        match self {
            ServerKind::Apache(version) => version,
            ServerKind::Rookeeper => apache::REFERENCE,
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerKind::Apache(version) => write!(out, "apache-{version}"),
            ServerKind::Rookeeper => out.write_str("rookeeper"),
        }
    }
}

/// Everything needed to start a server; cheap to copy and change.
#[derive(Clone, Debug)]
pub struct ServerSpec {
    pub kind: ServerKind,
    pub dir: PathBuf,
    pub port: u16,
    /// Lines of zoo.cfg.
    pub config: BTreeMap<String, String>,
    /// System properties: `-Dname=value`.
    pub properties: BTreeMap<String, String>,
    /// Words in front of the server's own command: a program that becomes the server, such as `strace -D`.
    pub under: Vec<String>,
    /// Where it listens for clients.
    pub address: Ipv4Addr,
    pub running: Running,
}

/// How the process is run, beside what zoo.cfg says.
#[derive(Clone, Copy, Debug)]
pub struct Running {
    /// The largest heap of a Java server.
    pub heap_mb: u32,
    /// Java's own choice of compilers and collector, as in production, instead of what starts quickly.
    pub full_java: bool,
    /// Ctrl-C in the terminal does not reach it: who started it stops it.
    pub own_group: bool,
}

impl Default for Running {
    fn default() -> Running {
        Running { heap_mb: 512, full_java: false, own_group: false }
    }
}

impl ServerSpec {
    /// A standalone server with short ticks, all four-letter words and no HTTP port.
    pub fn new(kind: ServerKind, dir: impl Into<PathBuf>, port: u16) -> ServerSpec {
        let (config, properties, under) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        let (address, running) = (Ipv4Addr::LOCALHOST, Running::default());
        let spec = ServerSpec { kind, dir: dir.into(), port, config, properties, under, address, running };
        let data = spec.data_dir().display().to_string();
        spec.config("dataDir", data)
            .config("clientPort", port)
            .config("clientPortAddress", "127.0.0.1")
            .config("tickTime", 500)
            .config("minSessionTimeout", 1000)
            .config("maxSessionTimeout", 120_000)
            .config("maxClientCnxns", 0)
            .config("admin.enableServer", false)
            .config("4lw.commands.whitelist", "*")
    }

    /// Sets one line of zoo.cfg.
    pub fn config(mut self, key: &str, value: impl ToString) -> ServerSpec {
        self.config.insert(key.to_owned(), value.to_string());
        self
    }

    /// Sets one system property.
    pub fn property(mut self, name: &str, value: impl ToString) -> ServerSpec {
        self.properties.insert(name.to_owned(), value.to_string());
        self
    }

    /// The folder given as `dataDir`; logs and snapshots lie in its `version-2`.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn config_path(&self) -> PathBuf {
        self.dir.join("zoo.cfg")
    }

    pub fn log_path(&self) -> PathBuf {
        self.dir.join("server.log")
    }

    /// Starts the server and returns when it serves.
    pub fn start(self) -> Result<ServerProcess> {
        let mut server = self.launch()?;
        server.wait_until_serving()?;
        Ok(server)
    }

    /// Starts the server and returns at once: a member of an ensemble cannot serve before the others run.
    pub fn launch(self) -> Result<ServerProcess> {
        std::fs::create_dir_all(self.data_dir())?;
        let lines: Vec<String> = self.config.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
        std::fs::write(self.config_path(), lines.concat())?;
        let child = self.spawn()?;
        Ok(ServerProcess { spec: self, child: Some(child) })
    }

    /// Sets the address on which it listens for clients.
    pub fn listen_on(mut self, address: Ipv4Addr) -> ServerSpec {
        self.address = address;
        self.config("clientPortAddress", address)
    }

    fn command(&self) -> Result<Command> {
        match &self.kind {
            ServerKind::Apache(version) => apache::command(version, self),
            ServerKind::Rookeeper => rookeeper::command(self),
        }
    }

    /// Runs the server by way of another program, see [`ServerSpec::under`].
    pub fn under(mut self, words: &[&str]) -> ServerSpec {
        self.under = words.iter().map(|word| word.to_string()).collect();
        self
    }

    fn spawn(&self) -> Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = self.command()?;
        if let Some((program, words)) = self.under.split_first() {
            let own = command;
            command = Command::new(program);
            command.args(words).arg(own.get_program()).args(own.get_args());
        }
        if self.running.own_group {
            command.process_group(0);
        }
        command.current_dir(&self.dir).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("cannot start {command:?}"))
    }
}

/// A running server; killed when dropped.
pub struct ServerProcess {
    spec: ServerSpec,
    child: Option<Child>,
}

impl ServerProcess {
    pub fn spec(&self) -> &ServerSpec {
        &self.spec
    }

    pub fn port(&self) -> u16 {
        self.spec.port
    }

    /// `ADDRESS:PORT`, as clients take it.
    pub fn address(&self) -> String {
        format!("{}:{}", self.spec.address, self.spec.port)
    }

    /// The process id, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What the server has printed so far.
    pub fn log(&self) -> String {
        read_lossy(&self.spec.log_path())
    }

    /// Asks it to end (SIGTERM) and waits for that.
    pub fn stop(&mut self) -> Result<()> {
        self.end(Signal::TERM).map(drop)
    }

    /// Ends it without warning (SIGKILL).
    pub fn kill9(&mut self) -> Result<()> {
        self.end(Signal::KILL).map(drop)
    }

    /// Starts the stopped server again on the same folder and returns when it serves.
    pub fn start_again(&mut self) -> Result<()> {
        if self.child.is_some() {
            bail!("{} is still running", self.spec.kind);
        }
        self.child = Some(self.spec.spawn()?);
        self.wait_until_serving()
    }

    /// Stop, then start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    fn end(&mut self, signal: Signal) -> Result<ExitStatus> {
        self.signal(signal)?;
        self.wait_until_ended()
    }

    /// Sends it a signal, such as STOP and CONT.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(child) = &self.child else { bail!("{} is not running", self.spec.kind) };
        let pid = Pid::from_child(child);
        kill_process(pid, signal).with_context(|| format!("cannot signal process {}", child.id()))
    }

    /// How it ended, if it has ended by itself.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        Ok(child.try_wait()?)
    }

    /// Waits until it ends, by itself or because it was told to.
    pub fn wait_until_ended(&mut self) -> Result<ExitStatus> {
        let Some(mut child) = self.child.take() else { bail!("{} is not running", self.spec.kind) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                child.kill()?;
                child.wait()?;
                bail!("{} did not end within {PATIENCE:?}", self.spec.kind);
            }
            std::thread::sleep(POLL);
        }
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let child = self.child.as_mut().expect("called on a started server");
        while !serves(SocketAddr::from((self.spec.address, self.spec.port))) {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                bail!("{} ended with {status} instead of serving; {}", self.spec.kind, self.end_of_log());
            }
            if Instant::now() > deadline {
                bail!("{} does not serve after {PATIENCE:?}; {}", self.spec.kind, self.end_of_log());
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// The end of what it has printed, for messages.
    pub fn end_of_log(&self) -> String {
        format!("the end of {}:\n{}", self.spec.log_path().display(), fetch::last_lines(&self.log(), 30))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let ended = child.kill().and_then(|()| child.wait());
            if let Err(error) = ended {
                eprintln!("cannot end {} (process {}): {error}", self.spec.kind, child.id());
            }
        }
    }
}

fn serves(address: SocketAddr) -> bool {
    four_letter::ask_at(address, "srvr", Duration::from_secs(5)).is_ok_and(|answer| answer.contains("Mode: "))
}

fn read_lossy(path: &Path) -> String {
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
}

/// A loopback port that nobody listens on, from the range this process hands out in turn.
///
/// The range starts at 21000, or at the number in `INTEROP_FIRST_PORT`.
pub fn free_port() -> Result<u16> {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let first: u16 = match std::env::var("INTEROP_FIRST_PORT") {
        Ok(text) => text.parse().with_context(|| format!("INTEROP_FIRST_PORT is {text:?}, not a port"))?,
        Err(_) => 21_000,
    };
    for _ in 0..1000 {
        let port = first + NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed) % 1000;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port in {first}..{}", first + 1000)
}
