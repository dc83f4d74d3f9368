//! Servers among themselves.

use crate::support::{
    Raw, Server, accepted_on, free_port, hello, local, message, options, peers, wait_until,
};
use server::election_net::ElectionEvent::{Failed, LinkLost, LinkUp};
use server::election_net::{ElectionNet, ElectionNetOptions, PeerAddress};
use std::io::Read;
use std::net::TcpListener;
use std::sync::mpsc;
use std::time::Duration;

/// Two that know each other.
fn pair() -> (Server, Server) {
    let (one, two) = (free_port(), free_port());
    (Server::start(1, one, &[(2, two)]), Server::start(2, two, &[(1, one)]))
}

#[test]
fn the_larger_id_opens_the_connection_whoever_speaks_first() {
    for first in [1, 2] {
        let (one, two) = pair();
        if first == 1 {
            one.send(2, "to two")
        } else {
            two.send(1, "to one")
        }
        one.expect(&LinkUp(2));
        two.expect(&LinkUp(1));
        if first == 1 {
            two.expect(&message(1, "to two"))
        } else {
            one.expect(&message(2, "to one"))
        }
        assert_eq!(accepted_on(one.port), 1);
        wait_until("the knocking connection is closed", || accepted_on(two.port) == 0);
        one.stop();
        two.expect(&LinkLost(1));
        two.stop();
    }
}

#[test]
fn speaking_at_the_same_time_settles_on_one_connection() {
    let (port_of_one, port_of_two) = (free_port(), free_port());
    for _ in 0..20 {
        let one = Server::start(1, port_of_one, &[(2, port_of_two)]);
        let two = Server::start(2, port_of_two, &[(1, port_of_one)]);
        one.send(2, "to two");
        two.send(1, "to one");
        one.expect(&LinkUp(2));
        two.expect(&LinkUp(1));
        one.expect(&message(2, "to one"));
        two.expect(&message(1, "to two"));
        wait_until("one connection", || accepted_on(one.port) == 1 && accepted_on(two.port) == 0);
        one.send(2, "again");
        two.send(1, "again");
        for (server, first, last) in [
            (&one, message(2, "to one"), message(2, "again")),
            (&two, message(1, "to two"), message(1, "again")),
        ] {
            let mut event = server.next();
            while event != last {
                // A second connection repeats the message, and is not a lost link.
                assert_eq!(event, first);
                event = server.next();
            }
        }
        one.stop();
        two.stop();
    }
}

#[test]
fn a_link_that_followed_a_knock_can_be_lost() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let one = Server::start(1, free_port(), &[(2, port)]);
    one.net.connect_all();
    Raw::over(listener.accept().unwrap().0).expect_closed();
    let mut two = Raw::connect(one.port);
    two.say(&hello(2, &format!("127.0.0.1:{port}")));
    one.expect(&LinkUp(2));
    drop(two);
    one.expect(&LinkLost(2));
}

#[test]
fn three_servers_talk_to_each_other_and_to_themselves() {
    let ports = [free_port(), free_port(), free_port()];
    let all: Vec<(i64, u16)> = (1..).zip(ports).collect();
    // Each is given the whole list, as the configuration has it.
    let servers: Vec<Server> = all.iter().map(|&(sid, port)| Server::start(sid, port, &all)).collect();
    for server in &servers {
        for to in 1..=3 {
            server.send(to, &format!("{} to {to}", server.sid));
        }
    }
    for server in &servers {
        let mut missing: Vec<_> =
            (1..=3).map(|from| message(from, &format!("{from} to {}", server.sid))).collect();
        while !missing.is_empty() {
            let event = server.next();
            assert!(!matches!(event, LinkLost(_)), "{event:?}");
            missing.retain(|wanted| wanted != &event);
        }
        assert!(server.net.delivered_all());
    }
    servers.into_iter().for_each(Server::stop);
}

#[test]
fn after_a_loss_either_side_connects_again_and_says_its_last_word_again() {
    let (one, two) = pair();
    one.send(2, "first");
    two.wait_for(&message(1, "first"));
    two.send(1, "answer");
    one.wait_for(&message(2, "answer"));
    let port = two.port;
    two.stop();
    one.expect(&LinkLost(2));
    let two = Server::start(2, port, &[(1, one.port)]);
    // By the smaller id, without anything new to say.
    one.net.connect_all();
    two.expect(&LinkUp(1));
    two.expect(&message(1, "first"));
    one.expect(&LinkUp(2));
    let port = one.port;
    one.stop();
    two.expect(&LinkLost(1));
    let one = Server::start(1, port, &[(2, two.port)]);
    // By the larger one.
    two.net.connect_all();
    one.expect(&LinkUp(2));
    two.expect(&LinkUp(1));
    two.send(1, "second");
    one.expect(&message(2, "second"));
    one.stop();
    two.stop();
}

#[test]
fn only_the_newest_message_waits() {
    let (port_of_two, port) = (free_port(), free_port());
    let one = Server::start(1, port, &[(2, port_of_two)]);
    assert!(!one.net.delivered_all(), "nobody was written to");
    one.send(2, "old");
    one.send(2, "new");
    assert!(!one.net.delivered_all());
    let two = Server::start(2, port_of_two, &[(1, port)]);
    one.net.connect_all();
    one.expect(&LinkUp(2));
    two.expect(&LinkUp(1));
    two.expect(&message(1, "new"));
    assert!(one.net.delivered_all());
    two.expect_nothing(Duration::from_millis(100));
}

#[test]
fn the_first_address_that_works_is_taken() {
    let (dead, one, two) = (free_port(), free_port(), free_port());
    let one = Server::start(1, one, &[]);
    let hosts = vec![("no-such-host.invalid".to_owned(), two), local(dead), local(one.port)];
    let two = Server::start(2, two, &[]);
    two.net.set_peers(vec![PeerAddress { sid: 1, hosts }]);
    two.send(1, "found");
    one.expect(&LinkUp(2));
    one.expect(&message(2, "found"));
}

#[test]
fn a_name_that_does_not_resolve_delays_nobody() {
    let (one, two) = (free_port(), free_port());
    let one = Server::start(1, one, &[]);
    let two = Server::start(2, two, &[]);
    let nowhere = PeerAddress { sid: 3, hosts: vec![("no-such-host.invalid".to_owned(), 1)] };
    let mut known = peers(&[(1, one.port)]);
    known.push(nowhere);
    two.net.set_peers(known);
    two.send(3, "lost");
    two.send(1, "there");
    one.expect(&LinkUp(2));
    one.expect(&message(2, "there"));
    two.stop();
}

#[test]
fn the_initial_message_is_one_piece_and_names_the_own_address() {
    for (multi_address, version) in [(false, -65536_i64), (true, -65535)] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let with = ElectionNetOptions { multi_address, ..options() };
        let two = Server::start_with(2, free_port(), &[(1, port)], with);
        two.net.connect_all();
        let mut raw = Raw::over(listener.accept().unwrap().0);
        let mut expected = hello(2, &format!("127.0.0.1:{}", two.port));
        expected[..8].copy_from_slice(&version.to_be_bytes());
        let mut buffer = [0; 100];
        let n = raw.0.read(&mut buffer).unwrap();
        assert_eq!(buffer[..n], expected);
        two.expect(&LinkUp(1));
        raw.frame("a vote");
        two.expect(&message(1, "a vote"));
        two.send(1, "another");
        assert_eq!(raw.read_frame(), "another");
    }
}

#[test]
fn a_new_connection_of_the_same_server_takes_the_place_of_the_old_one() {
    let one = Server::start(1, free_port(), &[(2, 1)]);
    let mut old = Raw::connect(one.port);
    old.say(&hello(2, "127.0.0.1:1"));
    one.expect(&LinkUp(2));
    let mut new = Raw::connect(one.port);
    new.say(&hello(2, "127.0.0.1:1"));
    old.expect_closed();
    new.frame("still me");
    one.expect(&message(2, "still me"));
}

#[test]
fn a_port_that_is_taken_is_a_failure_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for listen_on_all_ips in [false, true] {
        let (sender, events) = mpsc::channel();
        let report = move |event| sender.send(event).unwrap();
        let with = ElectionNetOptions { listen_on_all_ips, ..options() };
        let net = ElectionNet::start(7, vec![local(port)], Vec::new(), with, report).unwrap();
        let Ok(Failed(text)) = events.recv_timeout(Duration::from_secs(60)) else { panic!("no failure") };
        assert!(text.contains(&port.to_string()) && text.contains("ss -ltnp"), "{text}");
        net.stop();
    }
}

#[test]
fn the_port_is_tried_for_again() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let with = ElectionNetOptions { bind_retries: 0, ..options() };
    let (sender, events) = mpsc::channel();
    let report = move |event| sender.send(event).unwrap();
    let _net = ElectionNet::start(1, vec![local(port)], Vec::new(), with, report).unwrap();
    drop(taken);
    wait_until("the port is listened on", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    assert!(events.try_recv().is_err(), "that was no failure");
}

#[test]
fn all_addresses_of_the_machine_can_be_listened_on() {
    let with = ElectionNetOptions { listen_on_all_ips: true, ..options() };
    let one = Server::start_with(1, free_port(), &[(2, 1)], with);
    let stream = std::net::TcpStream::connect(("127.0.0.5", one.port)).unwrap();
    Raw::over(stream).say(&hello(2, "127.0.0.1:1"));
    one.expect(&LinkUp(2));
}

#[test]
fn a_server_taken_from_the_configuration_keeps_its_link_until_it_goes() {
    let (one, two) = pair();
    two.send(1, "hello");
    one.wait_for(&message(2, "hello"));
    two.expect(&LinkUp(1));
    two.net.set_peers(Vec::new());
    two.send(1, "still there");
    one.expect(&message(2, "still there"));
    one.stop();
    two.expect(&LinkLost(1));
    two.send(1, "nobody");
    two.net.connect_all();
    assert!(!two.net.delivered_all(), "its queue went with it");
    two.expect_nothing(Duration::from_millis(100));
}
