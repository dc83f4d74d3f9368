//! Read-only mode: three servers of which two are down, the same conversation with Apache's and with ours.
//!
//! What is said is written down in words that do not depend on the run (no ids, no times, zxids as `last` or `other`)
//! and compared line by line. Apache's servers get `localSessionsEnabled`: without it they refuse every new session in
//! this mode (since 3.7), which nobody can want; ours need it not.
use super::told::Told;
use super::{Ensemble, PATIENCE, POLL, Plan};
use crate::apache;
use crate::clients::prepare;
use crate::four_letter;
use crate::jute::{Acl, Reader, Writer};
use crate::raw::{self, Credentials, Target, op};
use crate::report::Suite;
use crate::run::Options;
use crate::server::ServerKind;
use anyhow::{Context, Result, bail, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(10);

pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("read-only", &options.server.to_string());
    let reference = ServerKind::Apache(apache::REFERENCE.to_owned());
    let both = |run: fn(&ServerKind) -> Result<Vec<String>>| -> Result<()> {
        let expected = run(&reference).context("on the reference")?;
        let said = run(&options.server)?;
        ensure!(said == expected, "{}", difference(&expected, &said));
        Ok(())
    };
    suite.add_result("every request, byte by byte", both(requests));
    suite.add_result("kazoo with read_only", both(|kind| client("kazoo", kind)));
    suite.add_result("the Java client with canBeReadOnly", both(|kind| client("java", kind)));
    Ok(suite.finish())
}

/// The lines that differ.
fn difference(expected: &[String], said: &[String]) -> String {
    let longest = expected.len().max(said.len());
    let line = |lines: &[String], i: usize| lines.get(i).cloned().unwrap_or_default();
    let differing = (0..longest).filter(|i| expected.get(*i) != said.get(*i));
    let shown =
        differing.map(|i| format!("\n  expected {:?}\n  got      {:?}", line(expected, i), line(said, i)));
    shown.collect()
}

/// Three servers with some data; the one that will be left, by the place of the other two.
fn ensemble(name: &str, kind: &ServerKind) -> Result<Ensemble> {
    let plan = Plan::voters(&format!("read-only-{name}-{kind}"), &[kind.clone(), kind.clone(), kind.clone()])
        .property("readonlymode.enabled", true);
    let plan = match kind {
        ServerKind::Rookeeper => plan,
        // A session becomes one of the ensemble, as all of ours are, with its first ephemeral.
        ServerKind::Apache(_) => {
            plan.config("localSessionsEnabled", true).config("localSessionsUpgradingEnabled", true)
        }
    };
    let mut ensemble = plan.build()?;
    ensemble.start_all()?;
    ensemble.wait_for_all()?;
    Ok(ensemble)
}

/// Two go, and the first is left to itself.
fn leave_alone(ensemble: &mut Ensemble) -> Result<()> {
    for id in [2, 3] {
        ensemble.member(id).kill9()?;
    }
    let address = ensemble.member(1).place.client_address();
    let deadline = Instant::now() + PATIENCE;
    while four_letter::ask_at(address, "isro", LIMIT).ok().as_deref() != Some("ro") {
        ensure!(Instant::now() < deadline, "it never says ro\n{}", ensemble.describe());
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// What came of a handshake.
enum Shaken {
    Closed,
    Refused { read_only: Option<bool> },
    Welcome(Connection),
}

/// A handshake to be.
#[derive(Clone)]
struct Handshake {
    credentials: Credentials,
    last_zxid: i64,
    read_only: Option<bool>,
}

struct Connection {
    stream: TcpStream,
    credentials: Credentials,
    timeout_ms: i32,
    read_only: Option<bool>,
    xid: i32,
}

impl Handshake {
    fn fresh(read_only: Option<bool>) -> Handshake {
        Handshake { credentials: Credentials::fresh(), last_zxid: 0, read_only }
    }

    fn shake(&self, address: SocketAddr) -> Result<Shaken> {
        let mut stream = TcpStream::connect_timeout(&address, LIMIT)?;
        stream.set_read_timeout(Some(LIMIT))?;
        let request = Writer::default().int(0).long(self.last_zxid).int(10_000).long(self.credentials.id);
        let mut request = request.buffer(Some(&self.credentials.password));
        if let Some(read_only) = self.read_only {
            request = request.boolean(read_only);
        }
        stream.write_all(&Writer::default().buffer(Some(&request.bytes)).bytes)?;
        let Some(answer) = frame(&mut stream)? else { return Ok(Shaken::Closed) };
        let mut reader = Reader::new(&answer);
        let (_, timeout_ms, id) = (reader.int()?, reader.int()?, reader.long()?);
        let password = reader.buffer()?.context("a null password")?;
        let read_only = if reader.rest.is_empty() { None } else { Some(reader.boolean()?) };
        if id == 0 {
            ensure!(frame(&mut stream)?.is_none(), "it goes on behind a refusal");
            return Ok(Shaken::Refused { read_only });
        }
        let credentials = Credentials { id, password };
        Ok(Shaken::Welcome(Connection { stream, credentials, timeout_ms, read_only, xid: 0 }))
    }

    /// The outcome in words.
    fn describe(&self, address: SocketAddr) -> Result<String> {
        Ok(match self.shake(address)? {
            Shaken::Closed => "closed".to_owned(),
            Shaken::Refused { read_only } => format!("refused, readOnly {read_only:?}"),
            Shaken::Welcome(connection) => {
                let same = connection.credentials == self.credentials;
                let kept = if same { "the same session" } else { "a session" };
                format!("{kept}, {} ms, readOnly {:?}", connection.timeout_ms, connection.read_only)
            }
        })
    }
}

/// The next frame; `None` when the connection has ended.
fn frame(stream: &mut TcpStream) -> Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(e)
            if matches!(
                e.kind(),
                std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::ConnectionReset
            ) =>
        {
            return Ok(None);
        }
        Err(e) => return Err(e).context("neither an answer nor an end"),
    }
    let mut body = vec![0; usize::try_from(i32::from_be_bytes(length))?];
    stream.read_exact(&mut body)?;
    Ok(Some(body))
}

impl Connection {
    /// Open, and accepting that nothing can be written.
    fn open(address: SocketAddr) -> Result<Connection> {
        match Handshake::fresh(Some(true)).shake(address)? {
            Shaken::Welcome(connection) => Ok(connection),
            Shaken::Closed | Shaken::Refused { .. } => bail!("no session"),
        }
    }

    /// What comes back, in words: `last` is the zxid that the server stands at.
    fn call(&mut self, operation: i32, body: &[u8], last: i64) -> Result<String> {
        self.xid += 1;
        let xid = match operation {
            op::PING => raw::xid::PING,
            op::AUTH => raw::xid::AUTH,
            op::SET_WATCHES => raw::xid::SET_WATCHES,
            _ => self.xid,
        };
        let request = Writer::default().int(xid).int(operation).raw(body);
        self.stream.write_all(&Writer::default().buffer(Some(&request.bytes)).bytes)?;
        let mut said = Vec::new();
        loop {
            let Some(answer) = frame(&mut self.stream)? else {
                said.push("closed".to_owned());
                return Ok(said.join(", "));
            };
            let mut reader = Reader::new(&answer);
            let (got, zxid, error) = (reader.int()?, reader.long()?, reader.int()?);
            if got == raw::xid::EVENT {
                said.push(format!("event {:?}", reader.rest));
                continue;
            }
            ensure!(got == xid, "the reply to {got} instead of {xid}");
            let zxid = if zxid == last { "last".to_owned() } else { format!("{zxid:#x}") };
            said.push(format!("error {error}, zxid {zxid}, {} bytes", reader.rest.len()));
            return Ok(said.join(", "));
        }
    }

    fn is_closed(&mut self) -> Result<bool> {
        Ok(frame(&mut self.stream)?.is_none())
    }
}

/// Everything that can be asked of a read-only server, and how one is left again.
fn requests(kind: &ServerKind) -> Result<Vec<String>> {
    let mut ensemble = ensemble("requests", kind)?;
    let address = ensemble.member(1).place.client_address();
    let target = Target { address, timeout_ms: 60_000, ..Target::default() };
    let mut session = target.open()?;
    for path in ["/a", "/b"] {
        session.create(path, Some(b"data"), &[Acl::open()], raw::flag::PERSISTENT)?;
    }
    session.create("/e", None, &[Acl::open()], raw::flag::EPHEMERAL)?;
    let global = session.abandon()?;
    let mut lines = Vec::new();
    leave_alone(&mut ensemble)?;
    words(address, &mut lines)?;
    let last = ensemble.member(1).status()?.zxid;
    handshakes(address, last, &global, &mut lines)?;
    reads_and_writes(address, last, &mut lines)?;
    let mut open = Connection::open(address)?;
    let local = open.credentials.clone();
    ensemble.member(2).start()?;
    lines.push(format!("a leader is found: closed {}", open.is_closed()?));
    ensemble.wait_for_leader()?;
    let with = |credentials: &Credentials, read_only| Handshake {
        credentials: credentials.clone(),
        last_zxid: 0,
        read_only,
    };
    lines.push(format!("then, the same session: {}", with(&local, Some(true)).describe(address)?));
    lines.push(format!("that of the ensemble: {}", with(&global, Some(true)).describe(address)?));
    lines.push(format!("a new one: {}", Handshake::fresh(Some(true)).describe(address)?));
    lines.push(format!("isro: {}", four_letter::ask_at(address, "isro", LIMIT)?));
    Ok(lines)
}

fn words(address: SocketAddr, lines: &mut Vec<String>) -> Result<()> {
    lines.push(format!("isro: {}", four_letter::ask_at(address, "isro", LIMIT)?));
    let srvr = four_letter::ask_at(address, "srvr", LIMIT)?;
    let shown =
        srvr.lines().filter(|l| l.starts_with("Mode") || l.starts_with("READ") || l.starts_with("Node"));
    lines.extend(shown.map(|line| format!("srvr: {line}")));
    let mntr = four_letter::ask_at(address, "mntr", LIMIT)?;
    let named = |l: &&str| {
        let name = l.split('\t').next().unwrap_or_default();
        ["zk_server_state", "zk_peer_state", "zk_znode_count", "zk_local_sessions", "zk_quorum_size"]
            .contains(&name)
    };
    lines.extend(mntr.lines().filter(named).map(|line| format!("mntr: {line}")));
    let conf = four_letter::ask_at(address, "conf", LIMIT)?;
    let names: Vec<&str> = conf.lines().filter_map(|line| Some(line.split_once('=')?.0)).collect();
    lines.push(format!("conf: {}", names.join(" ")));
    Ok(())
}

fn handshakes(address: SocketAddr, last: i64, global: &Credentials, lines: &mut Vec<String>) -> Result<()> {
    for read_only in [None, Some(false), Some(true)] {
        let outcome = Handshake::fresh(read_only).describe(address)?;
        lines.push(format!("a new session, readOnly {read_only:?}: {outcome}"));
    }
    let ahead = Handshake { last_zxid: last + 1, ..Handshake::fresh(Some(true)) };
    lines.push(format!("one that has seen more: {}", ahead.describe(address)?));
    let level = Handshake { last_zxid: last, ..Handshake::fresh(Some(true)) };
    lines.push(format!("one that has seen as much: {}", level.describe(address)?));
    let first = Connection::open(address)?;
    let credentials = first.credentials.clone();
    let again = Handshake { credentials, ..level };
    lines.push(format!("come back: {}", again.describe(address)?));
    let mut wrong = again.clone();
    wrong.credentials.password[0] ^= 1;
    lines.push(format!("with a wrong password: {}", wrong.describe(address)?));
    let mut unknown = again.clone();
    unknown.credentials.id += 1 << 20;
    lines.push(format!("one that nobody knows, wrong password: {}", unknown.describe(address)?));
    let known = Handshake { credentials: global.clone(), ..again };
    lines.push(format!("one of the ensemble: {}", known.describe(address)?));
    Ok(())
}

fn reads_and_writes(address: SocketAddr, last: i64, lines: &mut Vec<String>) -> Result<()> {
    let mut connection = Connection::open(address)?;
    let path = |path: &str| Writer::default().string(path);
    let read = |p: &str, watch| path(p).boolean(watch).bytes;
    let none: [&str; 0] = [];
    let watches = Writer::default().long(0).strings(["/a", "/gone"].into_iter()).strings(none.into_iter());
    let watches = watches.strings(none.into_iter()).bytes;
    let create = raw::create_record("/c", Some(b""), &[Acl::open()], 0);
    let multi = raw::multi_record(&[(op::CREATE, create.clone())]);
    let reconfig = Writer::default().int(-1).string("").string("").long(-1).bytes;
    let asked = [
        ("ping", op::PING, vec![]),
        ("getData with a watch", op::GET_DATA, read("/a", true)),
        ("exists", op::EXISTS, read("/nothing", true)),
        ("getChildren2", op::GET_CHILDREN2, read("/", false)),
        ("getACL", op::GET_ACL, path("/a").bytes),
        ("setWatches", op::SET_WATCHES, watches),
        ("auth", op::AUTH, Writer::default().int(0).string("digest").string("u:p").bytes),
        ("create", op::CREATE, create.clone()),
        ("create2", op::CREATE2, create.clone()),
        ("createContainer", op::CREATE_CONTAINER, raw::create_record("/c", Some(b""), &[Acl::open()], 4)),
        ("createTTL", op::CREATE_TTL, Writer::default().raw(&create).long(1000).bytes),
        ("delete", op::DELETE, path("/b").int(-1).bytes),
        ("setData", op::SET_DATA, path("/b").buffer(Some(b"x")).int(-1).bytes),
        ("setData, undecodable", op::SET_DATA, vec![1, 2]),
        ("setACL", op::SET_ACL, path("/b").acls(&[Acl::open()]).int(-1).bytes),
        ("multi", op::MULTI, multi),
        ("reconfig", 16, reconfig),
        ("sync", op::SYNC, path("/").bytes),
        ("multiRead", 22, raw::multi_record(&[(op::GET_DATA, read("/a", false))])),
        ("addWatch", 106, path("/b").int(1).bytes),
        ("whoAmI", 107, vec![]),
        ("getEphemerals", 103, path("/").bytes),
        ("getAllChildrenNumber", 104, path("/b").bytes),
        ("closeSession", op::CLOSE_SESSION, vec![]),
    ];
    for (name, operation, body) in asked {
        let answer = connection.call(operation, &body, last).with_context(|| name.to_owned())?;
        lines.push(format!("{name}: {answer}"));
    }
    lines.push(format!("and then closed: {}", connection.is_closed()?));
    let mut other = Connection::open(address)?;
    lines.push(format!("check: {}", other.call(op::CHECK, &path("/a").int(-1).bytes, last)?));
    Ok(())
}

/// A real client through the loss of the quorum and its return.
fn client(name: &str, kind: &ServerKind) -> Result<Vec<String>> {
    let command = || match name {
        "kazoo" => prepare::kazoo_program("read-only-kazoo", "read_only.py"),
        _ => prepare::read_only_java(),
    };
    let mut ensemble = ensemble(name, kind)?;
    let (servers, dir) =
        (ensemble.connect_string(), crate::run::scratch(&format!("read-only-{name}-client-{kind}"))?);
    let mut lines = Vec::new();
    let mut early = Told::start("early", command()?, &servers, &dir)?;
    let mut tell = |client: &mut Told, who: &str, words: &[&str]| -> Result<()> {
        for word in words {
            lines.push(format!("{who} {word}: {}", client.tell(word)?));
        }
        Ok(())
    };
    tell(
        &mut early,
        "early",
        &["connect", "state rw", "ephemeral /e", "session", "create /x", "set /x one"],
    )?;
    leave_alone(&mut ensemble)?;
    tell(&mut early, "early", &["stay off 2000"])?;
    let mut late = Told::start("late", command()?, &servers, &dir)?;
    tell(&mut late, "late", &["connect", "state ro", "get /x", "set /x two", "create /y", "stay ro 2000"])?;
    ensemble.member(2).start()?;
    ensemble.wait_for_leader()?;
    tell(&mut late, "late", &["state rw", "get /x", "set /x three", "event"])?;
    tell(&mut early, "early", &["state rw", "session", "get /x"])?;
    Ok(lines)
}
