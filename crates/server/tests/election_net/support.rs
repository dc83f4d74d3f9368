//! Servers with nothing but their election port, and raw peers that say what they like.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use server::election_net::{ElectionEvent, ElectionNet, ElectionNetOptions, PeerAddress};
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// Everything here happens at once or never.
const PATIENCE: Duration = Duration::from_secs(60);

const PORTS: std::ops::Range<u16> = 24_200..24_300;

/// A loopback port on which nobody listens.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _ in PORTS {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port in {PORTS:?}");
}

pub fn local(port: u16) -> (String, u16) {
    ("127.0.0.1".to_owned(), port)
}

/// With time enough for a busy machine.
pub fn options() -> ElectionNetOptions {
    ElectionNetOptions { handshake_timeout_ms: 60_000, bind_retries: 1, ..ElectionNetOptions::default() }
}

pub struct Server {
    pub sid: i64,
    pub port: u16,
    pub net: ElectionNet,
    events: Receiver<ElectionEvent>,
    /// Lives for as long as the network's thread does.
    alive: Arc<()>,
}

impl Server {
    /// A server that knows these others.
    pub fn start(sid: i64, port: u16, others: &[(i64, u16)]) -> Server {
        Server::start_with(sid, port, others, options())
    }

    pub fn start_with(sid: i64, port: u16, others: &[(i64, u16)], options: ElectionNetOptions) -> Server {
        let (sender, events) = mpsc::channel();
        let alive = Arc::new(());
        let held = alive.clone();
        let report = move |event| {
            let _held = &held;
            // The test may be over.
            let _sent = sender.send(event);
        };
        let net = ElectionNet::start(sid, vec![local(port)], peers(others), options, report).unwrap();
        let server = Server { sid, port, net, events, alive };
        server.wait_until_listening();
        server
    }

    fn wait_until_listening(&self) {
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(Instant::now() < give_up, "server {} does not listen", self.sid);
            std::thread::yield_now();
        }
    }

    pub fn send(&self, to: i64, text: &str) {
        self.net.send(to, text.as_bytes().to_vec());
    }

    pub fn next(&self) -> ElectionEvent {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(error) => panic!("server {}: no event: {error}", self.sid),
        }
    }

    pub fn try_next(&self) -> Option<ElectionEvent> {
        self.events.try_recv().ok()
    }

    pub fn expect(&self, wanted: &ElectionEvent) {
        assert_eq!(&self.next(), wanted, "at server {}", self.sid);
    }

    /// Passes over what comes before.
    pub fn wait_for(&self, wanted: &ElectionEvent) {
        while &self.next() != wanted {}
    }

    /// Nothing for this long.
    pub fn expect_nothing(&self, during: Duration) {
        match self.events.recv_timeout(during) {
            Err(RecvTimeoutError::Timeout) => {}
            other => panic!("server {}: {other:?}", self.sid),
        }
    }

    /// Stops it; its thread has ended, and the port is free again.
    pub fn stop(self) {
        self.net.stop();
        assert_eq!(Arc::strong_count(&self.alive), 1, "the thread still lives");
        TcpListener::bind(("127.0.0.1", self.port)).expect("the port is free again");
    }
}

pub fn peers(others: &[(i64, u16)]) -> Vec<PeerAddress> {
    others.iter().map(|&(sid, port)| PeerAddress { sid, hosts: vec![local(port)] }).collect()
}

pub fn message(from: i64, text: &str) -> ElectionEvent {
    ElectionEvent::Message { from, payload: text.as_bytes().to_vec() }
}

/// Established connections that were accepted on this port, as the kernel lists them.
pub fn accepted_on(port: u16) -> usize {
    const ESTABLISHED: &str = "01";
    let local = format!("0100007F:{port:04X}");
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let of_port = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    of_port.filter(|words| words.get(1) == Some(&&*local) && words.get(3) == Some(&ESTABLISHED)).count()
}

/// There is no event for what the kernel does.
pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let give_up = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < give_up, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A peer that says what it is told to.
pub struct Raw(pub TcpStream);

impl Raw {
    pub fn connect(port: u16) -> Raw {
        Raw::over(TcpStream::connect(("127.0.0.1", port)).unwrap())
    }

    pub fn over(stream: TcpStream) -> Raw {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        Raw(stream)
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).unwrap();
    }

    pub fn frame(&mut self, text: &str) {
        let length = (text.len() as u32).to_be_bytes();
        self.say(&[&length, text.as_bytes()].concat());
    }

    pub fn read_frame(&mut self) -> String {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut payload).unwrap();
        String::from_utf8(payload).unwrap()
    }

    /// Waits until the other side closes.
    pub fn expect_closed(&mut self) {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
    }
}

/// An initial message: version 1.
pub fn hello(sid: i64, address: &str) -> Vec<u8> {
    let mut bytes = (-65536_i64).to_be_bytes().to_vec();
    bytes.extend(sid.to_be_bytes());
    bytes.extend((address.len() as u32).to_be_bytes());
    bytes.extend(address.as_bytes());
    bytes
}
