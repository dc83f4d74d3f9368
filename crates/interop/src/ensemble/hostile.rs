//! Strangers on the election and quorum ports of a live ensemble: whatever they send, or do not send, it goes on.
//!
//! Each attack is one connection, or a few. After each, every member lives, writes are acknowledged, and the leader
//! is still the leader. Bytes are made by hand, by the reference of the two protocols.
use super::load::Load;
use super::scenarios::{self, Run};
use super::verify::Account;
use super::{Ensemble, PATIENCE, Plan, mixed};
use crate::jute::Writer;
use crate::report::Suite;
use crate::run::Options;
use crate::server::{ServerKind, ServerSpec, free_port};
use anyhow::{Context, Result, ensure};
use fastrand::Rng;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// First words of an election connection, since 3.5 and since 3.6 with several addresses.
const V1: i64 = -65536;
const V2: i64 = -65535;
const STRANGER: i64 = 99;
const WRITES: u64 = 15;
/// Descriptors by which a member may differ for reasons of its own: clients come and go, logs are changed.
const SPARE: usize = 12;

/// Packet types of the quorum port.
mod packet {
    pub const REQUEST: i32 = 1;
    pub const PROPOSAL: i32 = 2;
    pub const ACK: i32 = 3;
    pub const PING: i32 = 5;
    pub const REVALIDATE: i32 = 6;
    pub const FOLLOWER_INFO: i32 = 11;
    pub const OBSERVER_INFO: i32 = 16;
    pub const ACK_EPOCH: i32 = 18;
}

/// What a stranger says to an election port, and after it goes silent or away.
fn election_words(rng: &mut Rng, known: i64) -> Vec<(&'static str, Vec<u8>)> {
    let hello =
        |version: i64, sid: i64| Writer::default().long(version).long(sid).string("127.0.0.1:1").bytes;
    let with = |sid: i64, frame: Vec<u8>| [hello(V1, sid), frame].concat();
    let framed = |payload: Vec<u8>| Writer::default().buffer(Some(&payload)).bytes;
    let vote = notification(0, STRANGER, i64::MAX, i64::MAX, i64::from(i32::MAX));
    let looking = notification(0, known, 0, 1, 0);
    let garbage: Vec<u8> = (0..rng.usize(1..4096)).map(|_| rng.u8(..)).collect();
    vec![
        ("garbage", garbage),
        ("a web browser", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec()),
        ("zeros", vec![0; 4096]),
        ("half of a hello", hello(V1, STRANGER)[..13].to_vec()),
        ("a hello without its address", hello(V1, STRANGER)[..20].to_vec()),
        ("an unknown version", hello(-65000, STRANGER)),
        ("a negative address length", Writer::default().long(V1).long(STRANGER).int(-5).bytes),
        ("a huge address length", Writer::default().long(V2).long(STRANGER).int(i32::MAX).bytes),
        ("an address that is none", Writer::default().long(V1).long(STRANGER).string("no address").bytes),
        ("an unknown server", hello(V1, STRANGER)),
        ("an unknown server of 3.4", Writer::default().long(STRANGER).bytes),
        ("an observer without id", hello(V2, i64::MAX)),
        ("a negative id", hello(V1, -7)),
        ("a negative frame", with(STRANGER, Writer::default().int(-1).bytes)),
        ("an empty frame", with(STRANGER, Writer::default().int(0).bytes)),
        ("a huge frame", with(STRANGER, Writer::default().int(i32::MAX).bytes)),
        ("a short vote", with(STRANGER, framed(vec![0; 20]))),
        ("a vote of an unknown state", with(STRANGER, framed(notification(77, 1, 1, 1, 1)))),
        ("a stranger's vote for itself", with(STRANGER, framed(vote.clone()))),
        ("a vote with a huge configuration", with(STRANGER, framed([&vote[..40], &[127; 4][..]].concat()))),
        (
            "a vote with a negative configuration",
            with(STRANGER, framed([&vote[..40], &[255; 4][..]].concat())),
        ),
        ("half a vote", with(STRANGER, framed(vote.clone())[..30].to_vec())),
        ("the same vote again and again", with(STRANGER, framed(vote).repeat(300))),
        ("a known id", hello(V1, known)),
        ("an old vote of a known id", with(known, framed(looking))),
        ("garbage of a known id", with(known, framed(vec![0x5a; 100]))),
    ]
}

fn notification(state: i32, leader: i64, zxid: i64, round: i64, epoch: i64) -> Vec<u8> {
    Writer::default().int(state).long(leader).long(zxid).long(round).long(epoch).int(2).int(0).bytes
}

fn quorum_packet(kind: i32, zxid: i64, data: Option<&[u8]>) -> Vec<u8> {
    Writer::default().int(kind).long(zxid).buffer(data).int(-1).bytes
}

fn learner_info(kind: i32, sid: i64, version: i32, config: i64, epoch: i64) -> Vec<u8> {
    quorum_packet(kind, epoch << 32, Some(&Writer::default().long(sid).int(version).long(config).bytes))
}

/// What a stranger says to the leader's quorum port.
fn quorum_words(rng: &mut Rng, known: i64) -> Vec<(&'static str, Vec<u8>)> {
    let info = |sid| learner_info(packet::FOLLOWER_INFO, sid, 0x10000, 0, 0);
    let joined = |then: Vec<u8>| {
        let epoch = Writer::default().int(0).bytes;
        [info(STRANGER), quorum_packet(packet::ACK_EPOCH, 0, Some(&epoch)), then].concat()
    };
    let ack = quorum_packet(packet::ACK, 0, None);
    let after_sync = |then: Vec<u8>| joined([ack.clone(), then].concat());
    let garbage: Vec<u8> = (0..rng.usize(1..4096)).map(|_| rng.u8(..)).collect();
    let ahead = Writer::default().int(i32::MAX).bytes;
    vec![
        ("garbage", garbage),
        ("zeros", vec![0; 4096]),
        ("half of a packet", info(STRANGER)[..9].to_vec()),
        ("a huge packet", Writer::default().int(packet::FOLLOWER_INFO).long(0).int(i32::MAX).bytes),
        ("a negative length", Writer::default().int(packet::FOLLOWER_INFO).long(0).int(-2).bytes),
        ("a proposal first", quorum_packet(packet::PROPOSAL, i64::MAX, Some(&[0; 40]))),
        ("an unknown type first", quorum_packet(77, 0, None)),
        ("a learner without data", quorum_packet(packet::FOLLOWER_INFO, 0, None)),
        ("a learner with too little data", quorum_packet(packet::FOLLOWER_INFO, 0, Some(&[1, 2, 3]))),
        ("an unknown learner", info(STRANGER)),
        ("an unknown learner that goes on wrongly", [info(STRANGER), quorum_packet(77, 0, None)].concat()),
        ("a known id", info(known)),
        ("the same learner twice in one stream", [info(known), info(known)].concat()),
        ("a newer configuration", learner_info(packet::FOLLOWER_INFO, STRANGER, 0x10000, i64::MAX, 0)),
        (
            "a learner from the future",
            [info(STRANGER), quorum_packet(packet::ACK_EPOCH, i64::MAX, Some(&ahead))].concat(),
        ),
        ("an epoch without its number", [info(STRANGER), quorum_packet(packet::ACK_EPOCH, 0, None)].concat()),
        ("a learner that joins and is silent", joined(Vec::new())),
        ("acknowledgements of nothing", after_sync(quorum_packet(packet::ACK, i64::MAX, None).repeat(50))),
        ("a request cut short", after_sync(quorum_packet(packet::REQUEST, -1, Some(&[0; 7])))),
        ("a request without data", after_sync(quorum_packet(packet::REQUEST, -1, None))),
        ("a short revalidation", after_sync(quorum_packet(packet::REVALIDATE, -1, Some(&[1])))),
        ("a ping with half a session", after_sync(quorum_packet(packet::PING, 0, Some(&[1; 5])))),
        ("an unknown type later", after_sync(quorum_packet(1000, 0, None))),
        ("an observer of unknown id", learner_info(packet::OBSERVER_INFO, STRANGER, 0x10000, 0, 0)),
    ]
}

/// Says something and waits for some answer, silence or a close, whichever it is: what matters is how the other
/// side is afterwards. `None` if it closed.
fn say(address: SocketAddr, words: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(150))).ok()?;
    stream.write_all(words).ok()?;
    let mut answer = [0; 4096];
    match stream.read(&mut answer) {
        Ok(0) => None,
        _ => Some(stream),
    }
}

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("hostile-peers", &options.server.to_string());
    let (base, guest) = mixed::kinds(options);
    // Each kind leads once: the largest id wins the first election.
    for (number, kinds) in [[&base, &guest, &base], [&guest, &base, &guest]].into_iter().enumerate() {
        let kinds = kinds.map(Clone::clone);
        let seed = options.seed.wrapping_add(number as u64);
        let name = format!("{} leads", kinds[2]);
        let result = under_attack(&kinds, seed).with_context(|| format!("seed {seed}"));
        if let Ok(account) = &result {
            println!("  hostile-peers {name}: {account}");
        }
        suite.add_result(&name, result.map(drop));
    }
    Ok(suite.finish())
}

fn under_attack(kinds: &[ServerKind], seed: u64) -> Result<Account> {
    let mut run = Run::start(Plan::voters(&format!("hostile/{}-leads", kinds[2]), kinds), seed)?;
    let leader = run.ensemble.wait_for_leader()?;
    let before = descriptors(&run)?;
    // Peers that connect and say nothing stay through all of it.
    let silent = silent_peers(&run.ensemble, leader);
    ensure!(silent.len() >= 20, "only {} silent connections were accepted", silent.len());
    let mut done = 0;
    let known = 1;
    for target in run.ensemble.ids() {
        let address = run.ensemble.member(target).place.election_address();
        for (name, words) in election_words(&mut run.rng, known) {
            done += attack(&mut run, leader, address, &words)
                .with_context(|| format!("election port of member {target}: {name}"))?;
        }
    }
    let address = run.ensemble.member(leader).place.quorum_address();
    for (name, words) in quorum_words(&mut run.rng, known) {
        done += attack(&mut run, leader, address, &words)
            .with_context(|| format!("quorum port of leader {leader}: {name}"))?;
    }
    run.note(format!("{done} attacks"));
    drop(silent);
    forgotten(&mut run, &before)?;
    twin(&mut run)?;
    storm(&mut run)?;
    println!("  hostile-peers: {}", run.notes.join("; "));
    run.verify()
}

fn descriptors(run: &Run) -> Result<Vec<usize>> {
    run.ensemble.members.iter().map(|member| member.descriptors()).collect()
}

/// When the strangers have gone, so have their connections.
fn forgotten(run: &mut Run, before: &[usize]) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let now = descriptors(run)?;
        if now.iter().zip(before).all(|(now, before)| *now <= before + SPARE) {
            return Ok(());
        }
        ensure!(
            Instant::now() < deadline,
            "descriptors were {before:?}, are {now:?} when all strangers have gone"
        );
        still_well(&run.load)?;
    }
}

fn silent_peers(ensemble: &Ensemble, leader: u8) -> Vec<TcpStream> {
    let mut addresses: Vec<SocketAddr> =
        ensemble.members.iter().map(|one| one.place.election_address()).collect();
    addresses.push(ensemble.members[usize::from(leader) - 1].place.quorum_address());
    let connect = |address| TcpStream::connect_timeout(address, Duration::from_secs(2)).ok();
    addresses.iter().flat_map(|address| (0..6).filter_map(move |_| connect(address))).collect()
}

fn attack(run: &mut Run, leader: u8, address: SocketAddr, words: &[u8]) -> Result<usize> {
    let stream = say(address, words);
    still_well(&run.load)?;
    drop(stream);
    run.ensemble.members.iter_mut().try_for_each(|member| member.must_live())?;
    let now = run.ensemble.wait_for_all()?;
    ensure!(now == leader, "member {now} leads instead of {leader}");
    Ok(1)
}

fn still_well(load: &Load) -> Result<()> {
    load.progress(WRITES).map(drop)
}

/// A second server with the id of a follower, which somebody has set up by mistake on another machine.
fn twin(run: &mut Run) -> Result<()> {
    let leader = run.ensemble.wait_for_leader()?;
    let id = if leader == 1 { 2 } else { 1 };
    let original = run.ensemble.member(id);
    let mut spec = original.spec.clone();
    spec.dir = original.dir.join("twin");
    crate::fetch::remove_dir(&spec.dir)?;
    let (client, quorum, election) = (free_port()?, free_port()?, free_port()?);
    let line = format!("127.0.0.1:{quorum}:{election}");
    spec.port = client;
    let data = spec.data_dir().display().to_string();
    let spec: ServerSpec =
        spec.config("clientPort", client).config("dataDir", data).config(&format!("server.{id}"), line);
    std::fs::create_dir_all(spec.data_dir())?;
    std::fs::write(spec.data_dir().join("myid"), format!("{id}\n"))?;
    let mut twin = spec.launch()?;
    let since = Instant::now();
    // It may join, be refused, or end: the others have to go on in any case.
    while since.elapsed() < Duration::from_secs(4) {
        still_well(&run.load).context("a second server with the same id")?;
    }
    if twin.ended()?.is_none() {
        twin.kill9()?;
    }
    run.ensemble.wait_for_all()?;
    run.note(format!("a twin of member {id}"));
    Ok(())
}

/// The same words all the time and everywhere, while the leader is killed and another one elected.
fn storm(run: &mut Run) -> Result<()> {
    let places: Vec<_> = run.ensemble.members.iter().map(|member| member.place).collect();
    let stop = AtomicBool::new(false);
    let mut rng = Rng::with_seed(run.rng.u64(..));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let place = rng.choice(&places).expect("an ensemble has members");
                let (words, address) = match rng.bool() {
                    true => (election_words(&mut rng, STRANGER), place.election_address()),
                    false => (quorum_words(&mut rng, STRANGER), place.quorum_address()),
                };
                let chosen = rng.usize(..words.len());
                drop(say(address, &words[chosen].1));
            }
        });
        let result = run.go(scenarios::named("leader-kill")).context("under a storm of strangers");
        stop.store(true, Ordering::Relaxed);
        result
    })?;
    run.ensemble.wait_for_all().map(drop)
}
