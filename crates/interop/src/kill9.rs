//! Kill -9 under load, again and again on the same folder: whatever was acknowledged must be there afterwards.
//!
//! Each writer has a folder of its own below `/kill` and two kinds of writes with unique values: creates, and
//! changes of one counter znode. It remembers what was acknowledged. A write that was under way at the moment
//! of the kill may or may not have happened, and nothing else may differ.
use crate::fetch;
use crate::jute::{Acl, Writer};
use crate::raw::{Session, create_record, flag, op};
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerProcess, ServerSpec, free_port};
use anyhow::{Context, Result, bail, ensure};
use fastrand::Rng;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const WRITERS: usize = 4;
const TIMEOUT_MS: i32 = 30_000;
const SHORT_ROUNDS: usize = 5;
const LONG_ROUNDS: usize = 200;

/// What one writer was told is done, over all rounds.
#[derive(Clone, Debug, Default)]
struct Acknowledged {
    /// Creates `0..created` have been acknowledged.
    created: u64,
    /// The counter holds this value, or the one after it.
    counter: u64,
    /// Creates `0..verified` were found after an earlier round.
    verified: u64,
}

/// Runs the rounds, each of them a check.
pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("kill9", &options.server.to_string());
    let rounds = options.rounds.unwrap_or(if options.long { LONG_ROUNDS } else { SHORT_ROUNDS });
    let mut rng = Rng::with_seed(options.seed);
    let dir = scratch(&format!("kill9-{}", options.server))?;
    // Few transactions between snapshots, so that the kill meets snapshots and log changes as well.
    let spec =
        ServerSpec::new(options.server.clone(), dir, free_port()?).property("zookeeper.snapCount", 500);
    let mut server = spec.start()?;
    let mut state = prepare(&server)?;
    for round in 1..=rounds {
        let result = one_round(&mut server, &mut state, &mut rng, round % 20 == 0 || round == rounds);
        let failed = result.is_err();
        suite.add_result(&format!("round {round} (seed {})", options.seed), result);
        if round % 20 == 0 {
            println!("  kill9: {round} of {rounds} rounds");
        }
        if failed {
            break;
        }
    }
    let written: u64 = state.iter().map(|one| one.created + one.counter).sum();
    println!("  kill9: {written} acknowledged writes survived");
    Ok(suite.finish())
}

fn prepare(server: &ServerProcess) -> Result<Vec<Acknowledged>> {
    let mut session = Session::open(server.port(), TIMEOUT_MS)?;
    let open = [Acl::open()];
    session.create("/kill", None, &open, flag::PERSISTENT)?;
    for writer in 0..WRITERS {
        session.create(&format!("/kill/{writer}"), None, &open, flag::PERSISTENT)?;
        session.create(&format!("/kill/{writer}/counter"), Some(b"0"), &open, flag::PERSISTENT)?;
    }
    session.close()?;
    Ok(vec![Acknowledged::default(); WRITERS])
}

fn one_round(server: &mut ServerProcess, state: &mut [Acknowledged], rng: &mut Rng, all: bool) -> Result<()> {
    let port = server.port();
    let total = Arc::new(AtomicU64::new(0));
    let mut threads = Vec::new();
    for (writer, known) in state.iter().cloned().enumerate() {
        let (session, total) = (Session::open(port, TIMEOUT_MS)?, Arc::clone(&total));
        threads.push(std::thread::spawn(move || write_until_broken(session, writer, known, &total)));
    }
    // The kill comes at a random moment after the writers have got somewhere.
    let enough = rng.u64(20..600);
    while total.load(Ordering::Relaxed) < enough && threads.iter().any(|thread| !thread.is_finished()) {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(Duration::from_micros(rng.u64(..5_000)));
    server.kill9()?;
    for (known, thread) in state.iter_mut().zip(threads) {
        *known = thread.join().map_err(|_| anyhow::anyhow!("a writer panicked"))??;
    }
    ensure!(
        total.load(Ordering::Relaxed) >= enough,
        "the writers lost their connections before the kill; {}",
        fetch::last_lines(&server.log(), 2)
    );
    server.start_again().context("the server does not come back")?;
    verify(server, state, all)
}

/// Writes as fast as it is answered, and returns what was acknowledged when the connection broke.
fn write_until_broken(
    mut session: Session,
    writer: usize,
    mut known: Acknowledged,
    total: &AtomicU64,
) -> Result<Acknowledged> {
    let base = format!("/kill/{writer}");
    let open = [Acl::open()];
    loop {
        let path = format!("{base}/{}", known.created);
        let value = format!("value {writer} {}", known.created);
        let record = create_record(&path, Some(value.as_bytes()), &open, flag::PERSISTENT);
        let Ok(reply) = session.call(op::CREATE, &record) else { return Ok(known) };
        reply.success().with_context(|| format!("creating {path}"))?;
        known.created += 1;
        let next = known.counter + 1;
        let record =
            Writer::default().string(&format!("{base}/counter")).buffer(Some(next.to_string().as_bytes()));
        let Ok(reply) = session.call(op::SET_DATA, &record.int(-1).bytes) else { return Ok(known) };
        reply.success().with_context(|| format!("counter {writer} to {next}"))?;
        known.counter = next;
        total.fetch_add(2, Ordering::Relaxed);
    }
}

/// Compares the server with what is known, and takes over the writes that were under way.
///
/// The data of znodes of earlier rounds is compared as well if `all`; their number always is.
fn verify(server: &ServerProcess, state: &mut [Acknowledged], all: bool) -> Result<()> {
    let mut session = Session::open(server.port(), TIMEOUT_MS)?;
    for (writer, known) in state.iter_mut().enumerate() {
        let base = format!("/kill/{writer}");
        let (data, stat) = session.get(&format!("{base}/counter"))?.context("the counter is gone")?;
        let counter: u64 = String::from_utf8(data.unwrap_or_default())?.parse()?;
        let extra = counter.checked_sub(known.counter);
        ensure!(
            matches!(extra, Some(0 | 1)),
            "counter {writer} is {counter}, but {} was acknowledged",
            known.counter
        );
        ensure!(stat.version as u64 == counter, "counter {writer} is {counter} at version {}", stat.version);
        let children = session.children(&base)?.len() as u64 - 1;
        let extra = children.checked_sub(known.created);
        ensure!(
            matches!(extra, Some(0 | 1)),
            "writer {writer} has {children} znodes, but {} were acknowledged",
            known.created
        );
        let first = if all { 0 } else { known.verified };
        for number in first..children {
            let (data, _) =
                session.get(&format!("{base}/{number}"))?.context("an acknowledged znode is gone")?;
            if data.as_deref() != Some(format!("value {writer} {number}").as_bytes()) {
                bail!("{base}/{number} holds {data:?}");
            }
        }
        *known = Acknowledged { created: children, counter, verified: children };
    }
    session.close()
}
