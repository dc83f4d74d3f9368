//! Server processes for a run: Apache ZooKeeper from Maven Central, or Rookeeper built from this source tree (from
//! `ROOKEEPER_BIN` if that is set). Both are made ready as for the interop suites.

use crate::profile::{NO_REAPING, Profile};
use anyhow::{Context, Result, bail};
use interop::{apache, rookeeper};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    Apache,
    Rookeeper,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Apache => "apache",
            Kind::Rookeeper => "rookeeper",
        }
    }
}

/// A running server; it ends with this value.
#[derive(Debug)]
pub struct Server {
    pub kind: Kind,
    pub address: SocketAddr,
    child: Child,
    dir: PathBuf,
}

/// Where this run keeps what it fetches and writes.
fn work_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/differential")
}

fn command(kind: Kind) -> Result<Command> {
    Ok(match kind {
        Kind::Apache => {
            let mut java = Command::new("java");
            // It reads a digest's user and password in the machine's encoding.
            java.args(["-Xmx1g", "-XX:+UseSerialGC", "-Dfile.encoding=UTF-8", NO_REAPING, "-cp"]);
            java.arg(apache::class_path(apache::REFERENCE)?);
            java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain");
            java
        }
        Kind::Rookeeper => {
            let mut command = Command::new(rookeeper::binary()?);
            command.arg("server").env("SERVER_JVMFLAGS", NO_REAPING);
            command
        }
    })
}

impl Server {
    /// Starts a server on an empty folder and waits until it serves.
    pub fn start(kind: Kind, profile: Profile, port: u16) -> Result<Server> {
        TcpListener::bind(("127.0.0.1", port))
            .with_context(|| format!("port {port} is in use; choose others with --port"))?;
        let dir = work_dir().join(format!("{}-{port}", kind.name()));
        if dir.exists() {
            fs::remove_dir_all(&dir).with_context(|| format!("cannot empty {}", dir.display()))?;
        }
        let data = dir.join("data");
        fs::create_dir_all(&data)?;
        let cfg = dir.join("zoo.cfg");
        fs::write(&cfg, profile.zoo_cfg(&data, port))?;
        let log = File::create(dir.join("log"))?;
        let child = command(kind)?
            .arg(&cfg)
            .current_dir(&dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("{} does not start", kind.name()))?;
        let mut server = Server { kind, address: SocketAddr::from(([127, 0, 0, 1], port)), child, dir };
        server.wait_until_serving()?;
        Ok(server)
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(60);
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                bail!(
                    "{} ended at once ({status}); see {}",
                    self.kind.name(),
                    self.dir.join("log").display()
                );
            }
            if four_letters(self.address, b"isro").is_some_and(|answer| answer == b"rw") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bail!("{} does not serve after a minute; see {}", self.kind.name(), self.dir.join("log").display())
    }

    /// Whether the process still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The answer to a four-letter word.
fn four_letters(address: SocketAddr, word: &[u8; 4]) -> Option<Vec<u8>> {
    let mut connection = crate::connection::Connection::open(address).ok()?;
    connection.send(word, 0);
    match connection.receive_rest(Duration::from_secs(2)) {
        crate::connection::Incoming::Closed(answer) => Some(answer),
        crate::connection::Incoming::Frame(_) | crate::connection::Incoming::Silent => None,
    }
}
