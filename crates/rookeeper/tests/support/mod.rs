//! The built server in a process of its own, on a folder of its own, for the tests that talk to it from outside.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// How often a start is tried again because somebody else took the port meanwhile.
const PORT_TRIES: usize = 10;

/// An empty folder. It goes with this value, unless the test fails: then it is left for a look at what happened.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }
}

/// A loopback port that nobody listened on a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A running server; killed when dropped.
pub struct Server {
    pub address: SocketAddr,
    pub child: Child,
    stdout: BufReader<ChildStdout>,
}

/// `rookeeper server zoo.cfg` in `folder`, with stdout for the caller to read and stderr in the file of that name.
pub fn command(folder: &Path, zoo_cfg: &str) -> Command {
    let path = folder.join("zoo.cfg");
    fs::write(&path, zoo_cfg).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookeeper"));
    command.arg("server").arg(path).current_dir(folder).env_remove("JVMFLAGS").env_remove("SERVER_JVMFLAGS");
    command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(File::create(folder.join("stderr")).unwrap());
    command
}

impl Server {
    /// Starts it with the zoo.cfg for a port and returns when it says that it serves.
    pub fn start(folder: &Path, jvm_flags: &str, zoo_cfg: impl Fn(u16) -> String) -> Server {
        for _ in 0..PORT_TRIES {
            let port = free_port();
            let mut command = command(folder, &zoo_cfg(port));
            let mut child = command.env("SERVER_JVMFLAGS", jvm_flags).spawn().unwrap();
            let mut stdout = BufReader::new(child.stdout.take().unwrap());
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
            let server = Server { address, child, stdout };
            if line.contains(&format!("serves on port {port},")) {
                return server;
            }
            let stderr = fs::read_to_string(folder.join("stderr")).unwrap();
            assert!(stderr.contains("cannot listen"), "the server does not start: {line}{stderr}");
        }
        panic!("somebody took {PORT_TRIES} free ports in a row");
    }

    /// Asks it to stop (SIGTERM), waits for that, and expects a clean end.
    pub fn stop(mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).unwrap();
        let status = self.child.wait().unwrap();
        assert!(status.success() && rest.ends_with("Stopped.\n"), "{status}: {rest}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
