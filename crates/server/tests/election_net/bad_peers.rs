//! Whoever can reach the port can send to it.

use crate::support::{Raw, Server, free_port, hello, message, options, wait_until};
use server::election_net::ElectionEvent::{LinkLost, LinkUp};
use server::election_net::ElectionNetOptions;
use std::io::Write;
use std::net::TcpListener;
use std::time::Duration;

/// Server 5, which knows server 9; nothing listens at 9's address.
fn server() -> Server {
    Server::start(5, free_port(), &[(9, 1)])
}

/// The same, with little patience.
fn impatient_server() -> Server {
    let with = ElectionNetOptions { handshake_timeout_ms: 1000, ..options() };
    Server::start_with(5, free_port(), &[(9, 1)], with)
}

/// It is not impressed: server 9 can still link and speak.
fn expect_well(server: &Server) {
    let mut nine = Raw::connect(server.port);
    nine.say(&hello(9, "127.0.0.1:1"));
    nine.frame("well?");
    server.expect(&LinkUp(9));
    server.expect(&message(9, "well?"));
    server.send(9, "well");
    assert_eq!(nine.read_frame(), "well");
    drop(nine);
    server.expect(&LinkLost(9));
}

fn with_length(length: i32) -> Vec<u8> {
    let mut bytes = hello(9, "");
    bytes[16..20].copy_from_slice(&length.to_be_bytes());
    bytes.extend([b'x'; 2048]);
    bytes
}

#[test]
fn what_is_no_initial_message_is_closed() {
    let server = server();
    let garbage: Vec<Vec<u8>> = vec![
        b"GET /commands/ruok HTTP/1.1\r\nHost: zookeeper\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"stat\nstat\n".to_vec(),
        vec![0xff; 64],
        (-3_i64).to_be_bytes().to_vec(),
        with_length(-1),
        with_length(0),
        with_length(2049),
        with_length(i32::MAX),
        hello(9, "no port"),
        hello(9, "127.0.0.1:99999"),
        hello(-7, "127.0.0.1:1"),
        hello(i64::MIN, "127.0.0.1:1"),
    ];
    for bytes in garbage {
        let mut raw = Raw::connect(server.port);
        raw.say(&bytes);
        raw.expect_closed();
        server.expect_nothing(Duration::ZERO);
    }
    expect_well(&server);
    server.stop();
}

#[test]
fn my_own_id_is_refused() {
    let server = server();
    let mut twin = Raw::connect(server.port);
    twin.say(&hello(5, "127.0.0.1:1"));
    twin.expect_closed();
    expect_well(&server);
}

#[test]
fn a_peer_that_says_nothing_or_half_of_it_is_cut() {
    let server = impatient_server();
    let mut silent = Raw::connect(server.port);
    let mut slow = Raw::connect(server.port);
    let mut dripping = slow.0.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        // Never long without a byte, never a whole message.
        for byte in hello(9, &"x".repeat(1500)) {
            if dripping.write_all(&[byte]).is_err() {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("was never cut");
    });
    silent.expect_closed();
    slow.expect_closed();
    drip.join().unwrap();
    expect_well(&server);
}

#[test]
fn a_frame_that_is_too_long_or_empty_breaks_the_link() {
    let server = server();
    for length in [0, -1, 512 * 1024 + 1, i32::MAX, i32::MIN] {
        let mut raw = Raw::connect(server.port);
        raw.say(&hello(9, "127.0.0.1:1"));
        raw.frame("fine");
        raw.say(&length.to_be_bytes());
        server.expect(&LinkUp(9));
        server.expect(&message(9, "fine"));
        raw.expect_closed();
        server.expect(&LinkLost(9));
    }
    expect_well(&server);
}

#[test]
fn the_longest_frame_passes_both_ways() {
    let server = server();
    let mut raw = Raw::connect(server.port);
    raw.say(&hello(9, "127.0.0.1:1"));
    let long = "x".repeat(512 * 1024);
    raw.frame(&long);
    server.expect(&LinkUp(9));
    server.expect(&message(9, &long));
    server.send(9, &long);
    assert_eq!(raw.read_frame(), long);
    // One more byte, and it is not even sent.
    server.send(9, &format!("{long}x"));
    server.send(9, "short");
    assert_eq!(raw.read_frame(), "short");
}

#[test]
fn a_link_may_be_silent_but_not_stop_within_a_frame() {
    let server = impatient_server();
    let mut raw = Raw::connect(server.port);
    raw.say(&hello(9, "127.0.0.1:1"));
    server.expect(&LinkUp(9));
    server.expect_nothing(Duration::from_millis(1500));
    raw.frame("here I am");
    server.expect(&message(9, "here I am"));
    raw.say(&[0, 0, 0, 9, b'h']);
    raw.expect_closed();
    server.expect(&LinkLost(9));
}

#[test]
fn a_peer_that_does_not_read_is_cut() {
    let server = impatient_server();
    let mut raw = Raw::connect(server.port);
    raw.say(&hello(9, "127.0.0.1:1"));
    server.expect(&LinkUp(9));
    let long = "x".repeat(512 * 1024);
    // Messages go out until the buffers of both sides are full; then nothing moves.
    wait_until("it is cut", || {
        server.send(9, &long);
        server.try_next() == Some(LinkLost(9))
    });
    drop(raw);
    // A new link begins with the message that waited.
    let mut nine = Raw::connect(server.port);
    nine.say(&hello(9, "127.0.0.1:1"));
    server.expect(&LinkUp(9));
    assert_eq!(nine.read_frame(), long);
}

#[test]
fn many_silent_connections_do_not_keep_servers_out() {
    let server = server();
    let mut silent: Vec<Raw> = (0..200).map(|_| Raw::connect(server.port)).collect();
    expect_well(&server);
    silent[0].expect_closed();
}

#[test]
fn strangers_are_answered_and_their_number_is_limited() {
    let server = server();
    let mut strangers = Vec::new();
    for sid in 100..150 {
        let mut raw = Raw::connect(server.port);
        raw.say(&hello(sid, "127.0.0.1:1"));
        raw.frame("may I join?");
        server.wait_for(&message(sid, "may I join?"));
        server.send(sid, "the leader is 9");
        assert_eq!(raw.read_frame(), "the leader is 9");
        strangers.push(raw);
    }
    strangers[0].expect_closed();
    server.send(149, "you are still here");
    assert_eq!(strangers[49].read_frame(), "you are still here");
    server.send(100, "you are not");
    server.expect_nothing(Duration::from_millis(50));
    expect_well(&server);
}

#[test]
fn observers_without_an_id_get_negative_ones() {
    let server = server();
    for given in [-1, -2] {
        let mut raw = Raw::connect(server.port);
        raw.say(&hello(i64::MAX, "127.0.0.1:1"));
        raw.frame("who leads?");
        server.wait_for(&LinkUp(given));
        server.expect(&message(given, "who leads?"));
        server.send(given, "9 does");
        assert_eq!(raw.read_frame(), "9 does");
    }
}

#[test]
fn a_bare_id_is_understood_and_connected_back_to_at_its_configured_address() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start(5, free_port(), &[(2, port)]);
    let mut knock = Raw::connect(server.port);
    knock.say(&2_i64.to_be_bytes());
    knock.expect_closed();
    let mut link = Raw::over(listener.accept().unwrap().0);
    link.frame("from 3.4");
    server.expect(&LinkUp(2));
    server.expect(&message(2, "from 3.4"));
    // A larger one keeps what it opened.
    let mut nine = Raw::connect(server.port);
    nine.say(&9_i64.to_be_bytes());
    server.expect(&LinkUp(9));
}

#[test]
fn a_stranger_with_a_smaller_id_is_connected_back_to_where_it_says() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server();
    let mut nowhere = Raw::connect(server.port);
    nowhere.say(&hello(3, "0.0.0.0:3888"));
    nowhere.expect_closed();
    let mut knock = Raw::connect(server.port);
    knock.say(&hello(3, &address));
    knock.expect_closed();
    let mut link = Raw::over(listener.accept().unwrap().0);
    link.frame("may I join?");
    server.expect(&LinkUp(3));
    server.expect(&message(3, "may I join?"));
    server.send(3, "yes");
    drop(link);
    server.expect(&LinkLost(3));
}

#[test]
fn a_knock_is_believed_over_a_dead_link_without_saying_that_it_is_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = Server::start(5, free_port(), &[(2, port)]);
    server.send(2, "a vote");
    let mut dead = Raw::over(listener.accept().unwrap().0);
    server.expect(&LinkUp(2));
    let mut knock = Raw::connect(server.port);
    knock.say(&hello(2, &format!("127.0.0.1:{port}")));
    knock.expect_closed();
    dead.expect_closed();
    let mut link = Raw::over(listener.accept().unwrap().0);
    let mut greeting = vec![0; hello(5, &format!("127.0.0.1:{}", server.port)).len()];
    std::io::Read::read_exact(&mut link.0, &mut greeting).unwrap();
    assert_eq!(link.read_frame(), "a vote");
    link.frame("thanks");
    server.expect(&message(2, "thanks"));
    // Now it knocks and is not there.
    drop(listener);
    let mut knock = Raw::connect(server.port);
    knock.say(&hello(2, &format!("127.0.0.1:{port}")));
    server.expect(&LinkLost(2));
}
