//! Every fuzz target over mutated samples, with a count of the memory that each run asks for.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use sim::Rng;
use sim::fuzz::{TARGETS, fresh_nodes, sealed};
use sim::script::Script;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use wire::election::{InitialMessage, InitialVersion, Notification, ServerState};
use wire::quorum::{AuthInfo, LearnerInfo, Request, Revalidate, encode_auth, send};

/// Bytes in use and the most there were, over all threads: the tests here run in one.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn count(more: usize) {
    let now = IN_USE.fetch_add(more, Ordering::Relaxed) + more;
    PEAK.fetch_max(now, Ordering::Relaxed);
}

// SAFETY: passes everything on to the system's allocator unchanged and only counts.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size);
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What a run may need whatever its input: read buffers, the tables of an empty tree, one block of a packing.
const CONSTANT_BYTES: usize = 48 << 20;
/// Bytes of memory for each byte of input.
const PER_BYTE: usize = 200;

/// Inputs from which a target gets somewhere.
fn samples(target: &str) -> Vec<Vec<u8>> {
    let script = Script::generate(5, 120);
    match target {
        "log" => {
            let mut raw = vec![0];
            raw.extend(b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
            raw.extend(script.records.concat());
            let mut framed = vec![1];
            for record in &script.records {
                let payload = &record[12..record.len() - 1];
                let payload = &payload[..payload.len().min(399)];
                framed.extend((payload.len() as u16).to_be_bytes());
                framed.extend(payload);
            }
            vec![raw, framed]
        }
        "connection" => connections(),
        "snapshot" => {
            let nodes = fresh_nodes();
            let mut samples = Vec::new();
            for kind in [0x40, 0xc1, 0xc2] {
                samples.push([&[kind][..], &nodes].concat());
                samples.push([&[kind & 0x80][..], &sealed(&nodes)].concat());
            }
            samples
        }
        "config" => vec![
            config::DEFAULT_CONFIG.into(),
            b"tickTime=2000\ndataDir=/d\nclientPort=2181\nserver.1=a:1:2\nserver.2=b:1:2:observer;3\n"
                .to_vec(),
        ],
        "notification" => elections(),
        "packets" => vec![packets()],
        "learner_info" => {
            let mut info = Vec::new();
            LearnerInfo::new(3, 0x1_0000_0009).encode(&mut info);
            [8, 12, 20].map(|n| info[..n].to_vec()).to_vec()
        }
        _ => {
            let mut samples = Vec::new();
            for op in wire::OpCode::ALL {
                let mut b = vec![0, 0, 0, 44, 0, 0, 0, 1];
                b.extend(op.code().to_be_bytes());
                b.extend(
                    b"\0\0\0\x02/a\0\0\0\x01x\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\0",
                );
                samples.push(b[4..].to_vec());
                samples.push(b);
            }
            samples
        }
    }
}

/// Conversations: every operation on one znode, and creates of every kind with what may follow them.
fn connections() -> Vec<Vec<u8>> {
    let index = |op: wire::OpCode| wire::OpCode::ALL.iter().position(|o| *o == op).unwrap() as u8;
    let request = |op, body: &[u8]| [&[index(op)][..], &(body.len() as u16).to_be_bytes(), body].concat();
    let create: &[u8] = b"\0\0\0\x02/a\0\0\0\x01x\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone\0\0\0\0";
    let path: &[u8] = b"\0\0\0\x02/a\0\0\0\0\0\0\0\0";
    let mut samples = Vec::new();
    for op in wire::OpCode::ALL {
        let made = request(wire::OpCode::Create, create);
        samples.push([&[1][..], &made, &request(*op, path), &request(*op, create)].concat());
        let mut part = op.code().to_be_bytes().to_vec();
        part.extend(b"\0\xff\xff\xff\xff");
        part.extend(create);
        part.extend(b"\xff\xff\xff\xff\x01\xff\xff\xff\xff");
        samples.push([&[1][..], &made, &request(wire::OpCode::Multi, &part)].concat());
    }
    samples
}

/// A notification by itself, and what a server sends from connecting on.
fn elections() -> Vec<Vec<u8>> {
    let notification = Notification {
        state: ServerState::Looking,
        leader: 3,
        zxid: 0x1_0000_0009,
        round: 2,
        peer_epoch: 1,
        version: 2,
        config: Some("server.1=a:1:2:participant\nversion=100000000".into()),
    };
    let (mut payload, mut stream) = (Vec::new(), Vec::new());
    notification.encode(&mut payload);
    let addresses = vec!["a:3888".to_owned(), "[::1]:3888".to_owned()];
    InitialMessage { version: InitialVersion::V2, sid: 2, addresses }.encode(&mut stream);
    notification.encode_frame(&mut stream);
    Notification { version: 0, config: None, ..notification }.encode_frame(&mut stream);
    vec![payload, stream]
}

/// Packets of every shape, one behind the other.
fn packets() -> Vec<u8> {
    let (mut out, mut ids) = (Vec::new(), Vec::new());
    send::follower_info(&mut out, 1, &LearnerInfo::new(3, 9));
    send::leader_info(&mut out, 2);
    send::ack_epoch(&mut out, None, 9);
    send::diff(&mut out, 9);
    send::new_leader(&mut out, 2, Some("version=9"));
    send::ping_reply(&mut out, 9, [(5, 30_000), (6, 4_000)]);
    send::revalidate(&mut out, &Revalidate { session_id: 5, timeout_ms: 30_000 });
    send::revalidated(&mut out, -1, 5, true);
    send::commit_and_activate(&mut out, 10, 3);
    send::inform_and_activate(&mut out, 10, 3, b"transaction");
    encode_auth([("ip", "127.0.0.1"), ("digest", "a:b")].into_iter(), &mut ids);
    let auth = AuthInfo::decode(&mut wire::Reader::new(&ids)).unwrap();
    send::request(&mut out, &Request { session_id: 5, cxid: 1, op: 9, body: b"\0\0\0\x01/" }, auth);
    out
}

fn mutate(rng: &mut Rng, sample: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..rng.below(5) {
        let at = rng.index(bytes.len().max(1));
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << rng.below(8),
            1 if at < bytes.len() => bytes[at] = *rng.pick(&[0, 1, 0x7f, 0x80, 0xff, b'/']),
            2 => bytes.truncate(at),
            3 if at + 4 <= bytes.len() => {
                let value = *rng.pick(&[0i32, -1, 1, i32::MAX, i32::MIN, 1 << 20, 65536]);
                bytes[at..at + 4].copy_from_slice(&value.to_be_bytes());
            }
            4 => {
                let piece = bytes[at.min(bytes.len())..].iter().take(40).copied().collect::<Vec<_>>();
                let to = rng.index(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
            _ => bytes.extend_from_slice(&rng.next_u64().to_be_bytes()),
        }
    }
    bytes
}

#[test]
fn no_mutated_sample_makes_a_target_panic_or_greedy() {
    for (name, body) in TARGETS {
        let mut rng = Rng::new(9);
        let samples = samples(name);
        let rounds = if matches!(name, "log" | "snapshot" | "connection") { 3_000 } else { 20_000 };
        for round in 0..rounds {
            let sample = &samples[round % samples.len()];
            let input = if round < samples.len() { sample.clone() } else { mutate(&mut rng, sample) };
            let before = IN_USE.load(Ordering::Relaxed);
            PEAK.store(before, Ordering::Relaxed);
            body(&input);
            let used = PEAK.load(Ordering::Relaxed) - before;
            let allowed = CONSTANT_BYTES + PER_BYTE * input.len();
            assert!(used <= allowed, "{name}: {used} bytes of memory for {} of input", input.len());
        }
    }
}
