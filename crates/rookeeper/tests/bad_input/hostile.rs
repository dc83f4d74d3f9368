//! Clients that mean no good, while one that does keeps getting its answers. Afterwards the server takes new sessions,
//! has forgotten the others, and stops cleanly.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use crate::support::{Folder, Server, command, free_port};
use crate::{printed, zoo_cfg};
use interop::four_letter::{ask, monitored};
use interop::jute::{Acl, Writer};
use interop::raw::{NO_NODE, Session, create_record, flag, op};
use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);
const TIMEOUT_MS: i32 = 40_000;

/// What attacks look at.
struct Target<'a> {
    server: &'a Server,
    port: u16,
    /// Answers that the well-behaved client has got.
    answered: &'a AtomicU64,
}

impl Target<'_> {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.server.address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// A connection with a session.
    fn join(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(&handshake()).unwrap();
        assert!(read_frame(&mut stream).is_some(), "no answer to a handshake");
        stream
    }

    /// Returns when the well-behaved client has got so many more answers.
    fn wait_for_answers(&self, count: u64) {
        let (wanted, deadline) = (self.answered.load(Ordering::SeqCst) + count, Instant::now() + PATIENCE);
        while self.answered.load(Ordering::SeqCst) < wanted {
            assert!(Instant::now() < deadline, "the well-behaved client gets no answers");
            std::thread::yield_now();
        }
    }

    /// Resident memory of the server.
    fn resident_kb(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.server.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    fn open_files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.server.child.id())).unwrap().count()
    }
}

/// Writes and reads back until told to stop.
fn behave(port: u16, answered: &AtomicU64, stop: &AtomicBool) {
    let mut session = Session::open(port, TIMEOUT_MS).unwrap();
    session.create("/good", None, &[Acl::open()], flag::EPHEMERAL).unwrap();
    while !stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        let value = answered.load(Ordering::SeqCst).to_string();
        session.set("/good", value.as_bytes()).unwrap();
        let (data, _) = session.get("/good").unwrap().unwrap();
        assert_eq!(data.as_deref(), Some(value.as_bytes()));
        assert!(began.elapsed() < PATIENCE, "an answer took {:?}", began.elapsed());
        answered.fetch_add(1, Ordering::SeqCst);
    }
    session.close().unwrap();
}

/// Says `stop` also when the attack fails, so that the test ends.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

fn under_attack(name: &str, attack: impl FnOnce(&Target)) {
    let folder = Folder::new(name);
    let data = folder.path().join("data");
    let flags = "-Dzookeeper.nio.sessionlessCnxnTimeout=2000";
    let server = Server::start(folder.path(), flags, |port| zoo_cfg(&data, port));
    let port = server.address.port();
    let (answered, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let good = scope.spawn(|| behave(port, &answered, &stop));
        let stop_at_end = StopAtEnd(&stop);
        let target = Target { server: &server, port, answered: &answered };
        target.wait_for_answers(5);
        attack(&target);
        target.wait_for_answers(5);
        drop(stop_at_end);
        good.join().unwrap();
    });
    Session::open(port, TIMEOUT_MS).unwrap().close().unwrap();
    assert_eq!(ask(port, "ruok").unwrap(), "imok");
    server.stop();
    printed(folder.path());
}

fn frame(payload: &[u8]) -> Vec<u8> {
    Writer::default().buffer(Some(payload)).bytes
}

fn handshake() -> Vec<u8> {
    let out = Writer::default().int(0).long(0).int(TIMEOUT_MS).long(0).buffer(Some(&[0; 16]));
    frame(&out.boolean(false).bytes)
}

fn request(xid: i32, operation: i32, body: &[u8]) -> Vec<u8> {
    frame(&Writer::default().int(xid).int(operation).raw(body).bytes)
}

/// The payload of the next frame; `None` if the server closed.
fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    if !read_all(stream, &mut length) {
        return None;
    }
    let mut payload = vec![0; usize::try_from(i32::from_be_bytes(length)).unwrap()];
    read_all(stream, &mut payload).then_some(payload)
}

/// Whether all came before the server closed.
fn read_all(stream: &mut TcpStream, into: &mut [u8]) -> bool {
    match stream.read_exact(into) {
        Ok(()) => true,
        Err(e) if matches!(e.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset) => false,
        Err(e) => panic!("the server neither answers nor closes: {e}"),
    }
}

/// Sends what the server may refuse to read to the end, and waits until it has closed the connection.
fn closes(stream: &mut TcpStream, bytes: &[u8], what: &str) {
    // The server may have closed before the last byte.
    let _refused = stream.write_all(bytes);
    let mut rest = [0; 4096];
    loop {
        match stream.read(&mut rest) {
            Ok(0) => return,
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::ConnectionReset => return,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => panic!("{what}: the connection stays open: {e}"),
        }
    }
}

#[test]
fn lengths_that_no_frame_has() {
    under_attack("lengths", |target| {
        for length in [-1, i32::MIN, -4, i32::MAX, 1 << 30, 5 << 20] {
            let head = length.to_be_bytes();
            closes(&mut target.connect(), &head, &format!("length {length} first"));
            closes(&mut target.join(), &head, &format!("length {length} in a session"));
            let bytes = [&head[..], &[0xa5; 100_000]].concat();
            closes(&mut target.connect(), &bytes, &format!("length {length} first, with bytes"));
            closes(&mut target.join(), &bytes, &format!("length {length} in a session, with bytes"));
        }
        closes(&mut target.connect(), &frame(b""), "an empty handshake");
        let huge: Vec<TcpStream> = (0..200)
            .map(|_| {
                let mut stream = target.join();
                stream.write_all(&1_000_000i32.to_be_bytes()).unwrap();
                stream
            })
            .collect();
        let before = target.resident_kb();
        target.wait_for_answers(20);
        let grown = target.resident_kb().saturating_sub(before);
        assert!(grown < 50_000, "{} announced frames take {grown} kB", huge.len());
    });
}

#[test]
fn garbage_instead_of_handshakes() {
    under_attack("garbage", |target| {
        let mut rng = fastrand::Rng::with_seed(7);
        for n in 0..1500 {
            let mut bytes: Vec<u8> = (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect();
            if n % 2 == 0 {
                bytes = frame(&bytes);
            } else if n % 3 == 0 {
                bytes = handshake();
                let at = rng.usize(4..bytes.len());
                bytes[at] ^= 1 << rng.u8(..8);
            }
            let mut stream = target.connect();
            // Without more to come, whatever waits for more must be given up.
            let _refused = stream.write_all(&bytes);
            let _refused = stream.shutdown(Shutdown::Write);
            closes(&mut stream, b"", &format!("garbage {n}: {bytes:02x?}"));
        }
    });
}

#[test]
fn the_end_right_behind_a_request_is_seen() {
    under_attack("end-behind-request", |target| {
        for n in 0..200 {
            let mut stream = target.connect();
            stream.write_all(&handshake()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            closes(&mut stream, b"", &format!("connection {n}"));
        }
    });
}

#[test]
fn frames_cut_short() {
    under_attack("cut-short", |target| {
        let whole = handshake();
        for cut in 0..whole.len() {
            target.connect().write_all(&whole[..cut]).unwrap();
        }
        let record = create_record("/cut", Some(b"data"), &[Acl::open()], flag::PERSISTENT);
        let create = request(1, op::CREATE, &record);
        for cut in 0..create.len() {
            target.join().write_all(&create[..cut]).unwrap();
        }
        // A frame that is whole as a frame, but whose record is not: answered with an error or closed, never done.
        for cut in 0..record.len() {
            closes_or_refuses(&mut target.join(), &request(1, op::CREATE, &record[..cut]), cut);
        }
        let mut session = Session::open(target.port, TIMEOUT_MS).unwrap();
        let exists = Writer::default().string("/cut").boolean(false);
        assert_eq!(session.call(op::EXISTS, &exists.bytes).unwrap().error, NO_NODE);
        session.close().unwrap();
    });
}

fn closes_or_refuses(stream: &mut TcpStream, bytes: &[u8], cut: usize) {
    stream.write_all(bytes).unwrap();
    if let Some(reply) = read_frame(stream) {
        assert_ne!(reply[12..16], [0; 4], "a record of {cut} bytes was accepted");
    }
}

#[test]
fn operations_before_and_after_the_handshake_that_do_not_exist() {
    under_attack("operations", |target| {
        for operation in
            [9999, -1, i32::MIN, i32::MAX, op::CREATE, op::GET_DATA, op::AUTH, op::CLOSE_SESSION, 0]
        {
            let body = Writer::default().string("/good").boolean(false).bytes;
            let mut stream = target.connect();
            stream.write_all(&request(1, operation, &body)).unwrap();
            let _refused = stream.shutdown(Shutdown::Write);
            closes(&mut stream, b"", &format!("operation {operation} before the handshake"));
        }
        for operation in [9999, -1, i32::MIN, i32::MAX, 99, 10] {
            let mut stream = target.join();
            stream.write_all(&request(1, operation, b"")).unwrap();
            if let Some(reply) = read_frame(&mut stream) {
                assert_ne!(reply[12..16], [0; 4], "operation {operation} was accepted");
            }
        }
    });
}

#[test]
fn one_byte_at_a_time() {
    under_attack("slow", |target| {
        let mut slow: Vec<TcpStream> = (0..200).map(|_| target.connect()).collect();
        let mut bytes = handshake();
        bytes.extend(request(1, op::GET_DATA, &Writer::default().string("/").boolean(false).bytes));
        for byte in &bytes {
            for stream in &mut slow {
                stream.write_all(&[*byte]).unwrap();
            }
        }
        // Slow is not wrong: each gets its session and its answer.
        for stream in &mut slow {
            let welcome = read_frame(stream).unwrap();
            assert_eq!(welcome[4..8], TIMEOUT_MS.to_be_bytes());
            let reply = read_frame(stream).unwrap();
            assert_eq!(reply[12..16], [0; 4]);
        }
        // Who stops in the middle of a handshake is cut off.
        let mut silent: Vec<TcpStream> = (0..50).map(|_| target.connect()).collect();
        for (cut, stream) in silent.iter_mut().enumerate().skip(1) {
            stream.write_all(&bytes[..cut.min(40)]).unwrap();
        }
        for (n, stream) in silent.iter_mut().enumerate() {
            closes(stream, b"", &format!("silent connection {n}"));
        }
    });
}

#[test]
fn clients_that_never_read() {
    const CLIENTS: usize = 10;
    const READS: i32 = 3000;
    const NODE_BYTES: usize = 100_000;
    under_attack("never-read", |target| {
        let mut session = Session::open(target.port, TIMEOUT_MS).unwrap();
        session.create("/big", Some(&vec![3; NODE_BYTES]), &[Acl::open()], flag::PERSISTENT).unwrap();
        let before = target.resident_kb();
        let body = Writer::default().string("/big").boolean(false).bytes;
        let reads: Vec<u8> = (1..=READS).flat_map(|xid| request(xid, op::GET_DATA, &body)).collect();
        let mut greedy: Vec<TcpStream> = (0..CLIENTS)
            .map(|_| {
                let mut stream = target.join();
                stream.write_all(&reads).unwrap();
                stream
            })
            .collect();
        // Replies without bound would be 3 GB.
        let mut most = 0;
        for _ in 0..20 {
            target.wait_for_answers(10);
            most = most.max(target.resident_kb());
        }
        let grown = most.saturating_sub(before);
        assert!(grown < 100_000, "{CLIENTS} clients that do not read make the server grow by {grown} kB");
        // One that reads at last gets all its answers in order.
        let late = &mut greedy[0];
        for xid in 1..=READS {
            let reply = read_frame(late).unwrap_or_else(|| panic!("closed before answer {xid}"));
            assert_eq!(reply[..4], xid.to_be_bytes());
            assert_eq!(reply.len(), 16 + 4 + NODE_BYTES + 68);
        }
        session.close().unwrap();
    });
}

#[test]
fn words_on_fresh_connections() {
    under_attack("words", |target| {
        for round in 0..100 {
            assert_eq!(ask(target.port, "ruok").unwrap(), "imok");
            assert!(ask(target.port, "srvr").unwrap().contains("Mode: standalone"), "round {round}");
            assert!(monitored(target.port, "zk_znode_count").unwrap().is_some());
        }
        let mut pieces = target.connect();
        for byte in b"ruok" {
            pieces.write_all(&[*byte]).unwrap();
        }
        let mut answer = String::new();
        pieces.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "imok");
        // No words: their bytes are lengths of frames.
        for word in [b"zzzz", b"RUOK", b"ruo\n"] {
            closes(&mut target.connect(), word, &format!("{word:?}"));
        }
    });
}

#[test]
fn thousands_of_connections_that_come_and_go() {
    under_attack("come-and-go", |target| {
        let files = target.open_files();
        for n in 0..3000 {
            let mut stream = target.connect();
            match n % 4 {
                0 => {}
                1 => stream.write_all(&handshake()).unwrap(),
                2 => stream.write_all(b"\0\0").unwrap(),
                // What was sent to it and not read makes the close a reset.
                _ => stream.write_all(b"ruok").unwrap(),
            }
        }
        let deadline = Instant::now() + PATIENCE;
        while target.open_files() > files {
            assert!(
                Instant::now() < deadline,
                "{} files are open, before it were {files}",
                target.open_files()
            );
            target.wait_for_answers(1);
        }
        assert_eq!(monitored(target.port, "zk_num_alive_connections").unwrap(), Some(2.0), "with this one");
    });
}

#[test]
fn more_connections_than_open_files() {
    const FILES: u64 = 60;
    under_attack("open-files", |target| {
        let limit = Rlimit { current: Some(FILES), maximum: Some(FILES) };
        prlimit(Some(Pid::from_child(&target.server.child)), Resource::Nofile, limit).unwrap();
        let mut many: Vec<TcpStream> = (0..3 * FILES).map(|_| target.connect()).collect();
        for stream in &mut many {
            stream.write_all(&handshake()).unwrap();
        }
        target.wait_for_answers(20);
        // Whoever waited has his turn when others have gone, although nobody new comes.
        let mut last = many.pop().unwrap();
        drop(many);
        assert!(read_frame(&mut last).is_some(), "closed instead of accepted");
    });
}

/// What it prints goes to a full disk, or to nobody.
#[test]
fn output_that_cannot_be_written() {
    let folder = Folder::new("no-output");
    let data = folder.path().join("data");
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let port = free_port();
    let mut blind = command(folder.path(), &zoo_cfg(&data, port));
    let mut child = blind.stdout(full.try_clone().unwrap()).stderr(full).spawn().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while !ask(port, "ruok").is_ok_and(|answer| answer == "imok") {
        assert_eq!(child.try_wait().unwrap(), None, "it ends because it cannot print");
        assert!(Instant::now() < deadline, "it does not serve");
        std::thread::sleep(Duration::from_millis(10));
    }
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    assert!(child.wait().unwrap().success());
}
