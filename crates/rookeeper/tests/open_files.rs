//! Clients that take every descriptor do not keep the server from beginning logs and snapshots.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use interop::jute::Acl;
use interop::raw::{Session, flag};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use std::fs;
use std::net::TcpStream;
use std::time::{Duration, Instant};
use support::{Folder, Server};

const FILES: u64 = 60;
const PATIENCE: Duration = Duration::from_secs(10);
/// A new log after 10 to 20 of them.
const WRITES: usize = 300;

#[test]
fn logs_and_snapshots_are_begun_although_clients_have_all_descriptors() {
    let folder = Folder::new("no-descriptors");
    let data = folder.path().join("data");
    let flags = "-Dzookeeper.snapCount=20 -Dzookeeper.nio.sessionlessCnxnTimeout=600000";
    let server = Server::start(folder.path(), flags, |port| {
        format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\nmaxClientCnxns=0\n",
            data.display()
        )
    });
    let mut session = Session::open(server.address.port(), 40_000).unwrap();
    let limit = Rlimit { current: Some(FILES), maximum: Some(FILES) };
    prlimit(Some(Pid::from_child(&server.child)), Resource::Nofile, limit).unwrap();
    let _clients: Vec<TcpStream> =
        (0..2 * FILES).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    let (deadline, fds) = (Instant::now() + PATIENCE, format!("/proc/{}/fd", server.child.id()));
    while (fs::read_dir(&fds).unwrap().count() as u64) < FILES {
        assert!(Instant::now() < deadline, "descriptors are left");
        std::thread::yield_now();
    }
    for n in 0..WRITES {
        session.create(&format!("/n{n}"), Some(b""), &[Acl::open()], flag::PERSISTENT).unwrap();
    }
    let begun = |kind: &str| {
        let names = fs::read_dir(data.join("version-2")).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with(kind)).count()
    };
    assert!(begun("log.") > 5 && begun("snapshot.") > 3, "{} {}", begun("log."), begun("snapshot."));
    server.stop();
}
