//! Conversations with a scripted server: what must go over the wire, byte by byte, and what comes of the answers.
#![allow(clippy::unwrap_used, reason = "the helpers of tests are tests too")]

use client::{ClientError, ConnectOptions, CreateMode, MultiResult, Session, Transport, four_letter_word};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::data::{Acl, Id, OPEN_ACL, Stat};
use wire::jute::Put;
use wire::multi::{MultiHeader, MultiOp};
use wire::reply::{ConnectResponse, EventType, ReplyHeader, encode_event};
use wire::request::{SetWatchesRequest, VersionedPath};

const PASSWORD: [u8; 16] = [7; 16];

/// The server's side of one connection.
struct Peer(TcpStream);

impl Peer {
    fn frame(&mut self) -> Vec<u8> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).unwrap();
        let mut payload = vec![0; u32::from_be_bytes(length) as usize];
        self.0.read_exact(&mut payload).unwrap();
        payload
    }

    fn send(&mut self, payload: &[u8]) {
        self.0.write_all(&u32::to_be_bytes(payload.len() as u32)).unwrap();
        self.0.write_all(payload).unwrap();
    }

    fn grant(&mut self, timeout_ms: i32) -> Vec<u8> {
        let request = self.frame();
        let mut answer = Vec::new();
        ConnectResponse { timeout_ms, session_id: 0x1234, password: PASSWORD, read_only: Some(false) }
            .encode(&mut answer);
        self.send(&answer);
        request
    }

    fn reply(&mut self, xid: i32, zxid: i64, err: i32, body: impl FnOnce(&mut Vec<u8>)) {
        let mut payload = Vec::new();
        ReplyHeader { xid, zxid, err }.encode(&mut payload);
        body(&mut payload);
        self.send(&payload);
    }
}

/// Runs `script` for the one connection that comes.
fn server<T: Send + 'static>(script: impl FnOnce(Peer) -> T + Send + 'static) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (address, std::thread::spawn(move || script(Peer(listener.accept().unwrap().0))))
}

fn open(address: SocketAddr) -> Session {
    ConnectOptions { io_timeout: Duration::from_secs(10), ..Default::default() }.connect(address).unwrap()
}

#[test]
fn the_handshake_is_the_one_clients_send() {
    let (address, peer) = server(|mut peer| peer.grant(4000));
    let options = ConnectOptions { timeout_ms: 4000, last_zxid_seen: 9, ..Default::default() };
    let session = options.connect(address).unwrap();
    assert_eq!(session.handshake().session_id, 0x1234);
    assert_eq!(session.handshake().timeout_ms, 4000);
    let mut golden = vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0x0f, 0xa0, 0, 0, 0, 0, 0, 0, 0, 0];
    golden.extend([0, 0, 0, 16]);
    golden.extend([0; 17]);
    assert_eq!(peer.join().unwrap(), golden);
}

#[test]
fn a_session_is_resumed_with_its_id_password_and_zxid() {
    let (first, _) = server(|mut peer| {
        peer.grant(5000);
        peer.frame();
        peer.reply(1, 0x55, 0, |out| out.put_ustring("/a"));
    });
    let mut session = open(first);
    session.create("/a", b"").unwrap();
    let options = ConnectOptions::resume(&session);
    let (second, peer) = server(|mut peer| peer.grant(5000));
    options.connect(second).unwrap();
    let sent = peer.join().unwrap();
    assert_eq!(sent[4..12], 0x55_i64.to_be_bytes());
    assert_eq!(sent[16..24], 0x1234_i64.to_be_bytes());
    assert_eq!(sent[28..44], PASSWORD);
}

#[test]
fn old_clients_leave_the_last_byte_out() {
    let (address, peer) = server(|mut peer| peer.grant(4000));
    ConnectOptions { read_only: None, ..Default::default() }.connect(address).unwrap();
    assert_eq!(peer.join().unwrap().len(), 44);
}

#[test]
fn a_timeout_of_zero_means_expired() {
    let (address, _peer) = server(|mut peer| peer.grant(0));
    let result = ConnectOptions { session_id: 5, ..Default::default() }.connect(address);
    assert!(matches!(result, Err(ClientError::SessionExpired)));
}

#[test]
fn requests_are_numbered_and_encoded() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        let create = peer.frame();
        peer.reply(1, 1, 0, |out| out.put_ustring("/a"));
        let set = peer.frame();
        peer.reply(2, 2, 0, |out| Stat { version: 1, ..Default::default() }.encode(out));
        let get = peer.frame();
        peer.reply(3, 2, 0, |out| {
            out.put_buffer(Some(b"xy"));
            Stat { data_length: 2, ..Default::default() }.encode(out);
        });
        [create, set, get]
    });
    let mut session = open(address);
    assert_eq!(session.create("/a", b"x").unwrap(), "/a");
    assert_eq!(session.set_data("/a", b"xy", -1).unwrap().version, 1);
    let read = session.get_data("/a", true).unwrap();
    assert_eq!((read.data.as_deref(), read.stat.data_length), (Some(&b"xy"[..]), 2));
    assert_eq!(session.last_zxid(), 2);
    let [create, set, get] = peer.join().unwrap();
    let mut golden = b"\0\0\0\x01\0\0\0\x01\0\0\0\x02/a\0\0\0\x01x".to_vec();
    golden.extend_from_slice(OPEN_ACL);
    golden.extend([0; 4]);
    assert_eq!(create, golden);
    assert_eq!(set, b"\0\0\0\x02\0\0\0\x05\0\0\0\x02/a\0\0\0\x02xy\xff\xff\xff\xff");
    assert_eq!(get, b"\0\0\0\x03\0\0\0\x04\0\0\0\x02/a\x01");
}

#[test]
fn kinds_of_create_choose_operation_flags_and_ttl() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        [1, 2, 3].map(|xid| {
            let sent = peer.frame();
            peer.reply(xid, 1, 0, |out| {
                out.put_ustring("/a0000000001");
                Stat::default().encode(out);
            });
            sent
        })
    });
    let mut session = open(address);
    let acls = [Acl { perms: 31, id: Id::new("world", "anyone") }];
    for mode in [CreateMode::EphemeralSequential, CreateMode::Container, CreateMode::Ttl(500)] {
        assert_eq!(session.create2("/a", b"", &acls, mode).unwrap().path, "/a0000000001");
    }
    let [sequential, container, ttl] = peer.join().unwrap();
    assert_eq!((sequential[7], &sequential[sequential.len() - 4..]), (15, &[0, 0, 0, 3][..]));
    assert_eq!((container[7], &container[container.len() - 4..]), (19, &[0, 0, 0, 4][..]));
    assert_eq!((ttl[7], &ttl[ttl.len() - 12..]), (21, &[0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 1, 0xf4][..]));
}

#[test]
fn events_are_queued_in_front_of_replies() {
    let (address, _peer) = server(|mut peer| {
        peer.grant(4000);
        peer.frame();
        let mut bytes = Vec::new();
        encode_event(&mut bytes, -1, EventType::DataChanged, "/a");
        peer.0.write_all(&bytes).unwrap();
        peer.reply(1, 8, -101, |_| {});
        bytes.clear();
        encode_event(&mut bytes, 9, EventType::Deleted, "/b");
        // Two writes, so that the client sees half an event first.
        let (head, tail) = bytes.split_at(7);
        peer.0.write_all(head).unwrap();
        peer.0.write_all(tail).unwrap();
        peer
    });
    let mut session = open(address);
    assert_eq!(session.exists("/a", true).unwrap_err().code(), Some(-101));
    let first = session.next_event().unwrap();
    assert_eq!((first.zxid, first.event.event, first.event.path.as_str()), (-1, 3, "/a"));
    let second = session.wait_event(Duration::from_secs(10)).unwrap().unwrap();
    assert_eq!((second.zxid, second.event.path.as_str()), (9, "/b"));
    assert_eq!(session.wait_event(Duration::from_millis(5)).unwrap(), None);
}

#[test]
fn requests_may_be_pipelined() {
    let (address, _peer) = server(|mut peer| {
        peer.grant(4000);
        let xids = [peer.frame(), peer.frame()].map(|f| i32::from_be_bytes(f[..4].try_into().unwrap()));
        for xid in xids {
            peer.reply(xid, 1, 0, |out| out.put_ustring("/"));
        }
        peer
    });
    let mut session = open(address);
    let sent = [1, 2].map(|_| session.send(wire::OpCode::Sync, |out| out.put_ustring("/")).unwrap());
    let received = [1, 2].map(|_| session.receive().unwrap().granted().unwrap().header.xid);
    assert_eq!(sent, received);
}

#[test]
fn auth_ping_and_set_watches_have_fixed_xids() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        [-4, -2, -8].map(|xid| {
            let sent = peer.frame();
            peer.reply(xid, 0, 0, |_| {});
            sent
        })
    });
    let mut session = open(address);
    session.auth("digest", b"u:p").unwrap();
    session.ping().unwrap();
    let request = SetWatchesRequest { relative_zxid: 3, data: vec!["/a".into()], ..Default::default() };
    session.set_watches(&request).unwrap();
    let [auth, ping, watches] = peer.join().unwrap();
    assert_eq!(auth, b"\xff\xff\xff\xfc\0\0\0\x64\0\0\0\0\0\0\0\x06digest\0\0\0\x03u:p");
    assert_eq!(ping, b"\xff\xff\xff\xfe\0\0\0\x0b");
    assert_eq!(watches[..8], *b"\xff\xff\xff\xf8\0\0\0\x65");
}

#[test]
fn a_refused_multi_tells_each_result() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        let sent = peer.frame();
        peer.reply(1, 4, 0, |out| {
            for code in [0, -101] {
                MultiHeader { op: -1, done: false, err: code }.encode(out);
                out.put_i32(code);
            }
            MultiHeader::END.encode(out);
        });
        sent
    });
    let delete = |path: &'static str| MultiOp::Delete(VersionedPath { path: Some(path.into()), version: -1 });
    let results = open(address).multi(&[delete("/a"), delete("/b")]).unwrap();
    assert_eq!(results, [MultiResult::Failed(0), MultiResult::Failed(-101)]);
    assert!(peer.join().unwrap().ends_with(&[0xff, 0xff, 0xff, 0xff, 1, 0xff, 0xff, 0xff, 0xff]));
}

#[test]
fn a_reply_to_something_else_is_an_error() {
    let (address, _peer) = server(|mut peer| {
        peer.grant(4000);
        peer.frame();
        peer.reply(99, 1, 0, |_| {});
    });
    let result = open(address).delete("/a", -1);
    assert!(matches!(result, Err(ClientError::WrongXid { expected: 1, got: 99 })));
}

#[test]
fn silence_and_hangups_are_told_apart() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        peer.frame();
        peer
    });
    let mut session = open(address);
    session.transport().set_timeout(Duration::from_millis(5));
    assert!(matches!(session.ping(), Err(ClientError::TimedOut)));
    drop(peer.join().unwrap());
    session.transport().set_timeout(Duration::from_secs(10));
    assert!(matches!(session.receive(), Err(ClientError::Closed)));
}

#[test]
fn closing_waits_for_the_server_to_hang_up() {
    let (address, peer) = server(|mut peer| {
        peer.grant(4000);
        let sent = peer.frame();
        peer.reply(1, 5, 0, |_| {});
        sent
    });
    open(address).close().unwrap();
    assert_eq!(peer.join().unwrap(), [0, 0, 0, 1, 0xff, 0xff, 0xff, 0xf5]);
}

#[test]
fn raw_bytes_and_frames_pass_untouched() {
    let (address, peer) = server(|mut peer| {
        let frame = peer.frame();
        peer.send(b"answer");
        let mut rest = Vec::new();
        peer.0.read_to_end(&mut rest).unwrap();
        (frame, rest)
    });
    let mut transport = Transport::connect(address, Duration::from_secs(10)).unwrap();
    transport.send_frame(b"abc").unwrap();
    assert_eq!(transport.receive_frame().unwrap(), b"answer");
    transport.send_bytes(&[0xff; 3]).unwrap();
    transport.shutdown_write().unwrap();
    assert_eq!(peer.join().unwrap(), (b"abc".to_vec(), vec![0xff; 3]));
}

#[test]
fn four_letter_words_are_answered_until_the_server_closes() {
    let (address, _peer) = server(|mut peer| {
        let mut word = [0; 4];
        peer.0.read_exact(&mut word).unwrap();
        assert_eq!(&word, b"ruok");
        peer.0.write_all(b"imok").unwrap();
    });
    assert_eq!(four_letter_word(address, "ruok", Duration::from_secs(10)).unwrap(), "imok");
}
