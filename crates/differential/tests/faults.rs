//! The comparison sees a single wrong bit. A small server answers as ZooKeeper might; its twin damages one answer.
use differential::conversation::{Place, Plan};
use differential::profile::Profile;
use differential::run::{Outcome, both, judge};
use differential::step::{Handshake, Request, Step};
use differential::text::derived_password;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use wire::OpCode;
use wire::data::{OPEN_ACL, Stat};
use wire::jute::Put;
use wire::reply::{ConnectResponse, EventType, ReplyHeader, encode_event};
use wire::request::RequestHeader;

/// Flip the lowest bit of this byte of the payload of the n-th answer after the handshake; bytes count from the end
/// when negative.
#[derive(Debug, Clone, Copy)]
struct Fault {
    answer: usize,
    byte: isize,
}

#[derive(Debug)]
struct Server {
    first_session: i64,
    zxid: AtomicI64,
    sessions: AtomicI64,
    answers: AtomicUsize,
    fault: Option<Fault>,
}

fn read_frame(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let mut payload = vec![0; u32::from_be_bytes(length) as usize];
    stream.read_exact(&mut payload).ok()?;
    Some(payload)
}

fn frame(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    out.put_buffer(Some(payload));
    out
}

impl Server {
    /// Starts it and returns its address; it ends with the test.
    fn start(first_session: i64, zxid: i64, fault: Option<Fault>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let server = Arc::new(Server {
            first_session,
            zxid: AtomicI64::new(zxid),
            sessions: AtomicI64::new(0),
            answers: AtomicUsize::new(0),
            fault,
        });
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let server = Arc::clone(&server);
                std::thread::spawn(move || server.serve(stream));
            }
        });
        address
    }

    fn serve(&self, mut stream: TcpStream) -> Option<()> {
        read_frame(&mut stream)?;
        let session_id = self.first_session + self.sessions.fetch_add(1, Ordering::SeqCst);
        let response = ConnectResponse {
            timeout_ms: 30_000,
            session_id,
            password: derived_password(session_id),
            read_only: Some(false),
        };
        let mut payload = Vec::new();
        response.encode(&mut payload);
        stream.write_all(&frame(&payload)).ok()?;
        loop {
            let request = read_frame(&mut stream)?;
            let header = RequestHeader::decode(&mut wire::Reader::new(&request)).expect("requests are whole");
            let answer = self.answer(header, &request[8..]);
            stream.write_all(&answer).ok()?;
            if header.op == OpCode::CloseSession.code() {
                return Some(());
            }
        }
    }

    fn answer(&self, header: RequestHeader, body: &[u8]) -> Vec<u8> {
        let op = OpCode::from_code(header.op).expect("the plan has known operations");
        let writes = matches!(op, OpCode::Create | OpCode::Delete | OpCode::CloseSession);
        let zxid = self.zxid.fetch_add(i64::from(writes), Ordering::SeqCst) + i64::from(writes);
        let mut out = Vec::new();
        let mut payload = Vec::new();
        let missing = op == OpCode::GetChildren2;
        ReplyHeader { xid: header.xid, zxid, err: if missing { -101 } else { 0 } }.encode(&mut payload);
        match op {
            OpCode::Create => {
                payload.put_buffer(wire::Reader::new(body).buffer().expect("requests are whole"))
            }
            OpCode::Exists => Stat { czxid: zxid, mzxid: zxid, ..Stat::default() }.encode(&mut payload),
            OpCode::GetAllChildrenNumber => payload.put_i32(3),
            OpCode::Sync => encode_event(&mut out, zxid, EventType::Created, "/x"),
            _ => {}
        }
        let nth = self.answers.fetch_add(1, Ordering::SeqCst);
        if let Some(fault) = self.fault.filter(|f| f.answer == nth) {
            let at = if fault.byte < 0 {
                payload.len().wrapping_add_signed(fault.byte)
            } else {
                fault.byte as usize
            };
            payload[at] ^= 1;
        }
        out.extend_from_slice(&frame(&payload));
        out
    }
}

fn plan() -> Plan {
    let path = |op| {
        let mut body = Vec::new();
        body.put_ustring("/s5/a");
        match op {
            OpCode::Create => {
                body.put_buffer(None);
                body.extend_from_slice(OPEN_ACL);
                body.put_i32(0);
            }
            OpCode::Exists => body.put_bool(true),
            _ => {}
        }
        Step::Send { client: 0, piece: 0, requests: vec![Request::new(4, op, body)] }
    };
    let steps = vec![
        Step::Open { client: 0, handshake: Handshake::NEW },
        path(OpCode::Create),
        path(OpCode::Exists),
        path(OpCode::Sync),
        path(OpCode::GetAllChildrenNumber),
    ];
    Plan { profile: Profile::Plain, seed: 5, clients: 2, steps, last: Vec::new() }
}

/// Answers before the first step: authentication, reading and removing two nodes that are not there, a ping, and the
/// creation of the root.
const BEFORE: usize = 7;

#[test]
fn servers_with_other_sessions_and_zxids_are_the_same() {
    let addresses = [Server::start(100, 40, None), Server::start(7000, 9, None)];
    let records = both(addresses, &plan()).unwrap();
    assert!(matches!(judge(&plan(), &records), Outcome::Same), "{records:#?}");
    assert_eq!(records[0].coverage.get("create", 0), 1);
    assert_eq!(records[0].coverage.get("event", EventType::Created as i32), 1);
}

#[test]
fn one_wrong_bit_in_an_answer_is_found_at_its_step() {
    let sound = Server::start(100, 40, None);
    // Byte 3 is in the xid, 11 in the zxid, 15 in the error code, -1 in the body.
    for step in 1..plan().steps.len() {
        for byte in [3, 11, 15, -1] {
            let fault = Fault { answer: BEFORE + step - 1, byte };
            let records = both([sound, Server::start(100, 40, Some(fault))], &plan()).unwrap();
            match judge(&plan(), &records) {
                Outcome::Different(d) => {
                    assert_eq!(d.a.map(|r| r.place), Some(Place::Step(step)), "{fault:?}");
                }
                other => panic!("{fault:?} was not seen: {other:?}"),
            }
        }
    }
}
