//! Bringing a learner up to date with what memory does not hold: a dump of the tree, or a part of the log. Each runs on
//! a thread of its own, which sends on the learner's connection until it is done.

use super::QuorumInput;
use crate::shared::{NodeInput, Shared};
use journal::LogCursor;
use node::Located;
use node::limits::{FROZEN_BYTES, SNAPSHOT_STEP_SLOTS};
use rustix::event::{PollFd, PollFlags, Timespec};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use wire::quorum::send;
use zab::{LearnerKey, Zxid};

/// Bytes gathered before they are sent.
const PIECE_BYTES: usize = 256 << 10;
/// How often to look whether another view of the tree has ended.
const FROZEN_RETRY: Duration = Duration::from_millis(5);

pub(super) enum Job {
    Tree,
    Log { after: Zxid, through: Zxid },
}

/// Sends `first`, then what the job says.
pub(super) fn start(shared: &Arc<Shared>, key: LearnerKey, socket: OwnedFd, first: Vec<u8>, job: Job) {
    let answer_to = shared.clone();
    let shared = shared.clone();
    let run = move || {
        let limit = Duration::from_millis(
            u64::from(shared.config.sessions.tick_time_ms)
                * u64::from(shared.config.ensemble.init_limit_ticks),
        );
        let mut pipe = Pipe { socket, limit };
        let result = pipe.send(&first).map_err(|e| e.to_string()).and_then(|()| match job {
            Job::Tree => send_tree(&shared, &mut pipe),
            Job::Log { after, through } => send_log(&shared, &mut pipe, after, through),
        });
        shared.inbox.send(NodeInput::Quorum(QuorumInput::Streamed(key, result)));
    };
    if let Err(error) = std::thread::Builder::new().name("sync".into()).spawn(run) {
        let failed = QuorumInput::Streamed(key, Err(format!("cannot start a thread: {error}")));
        answer_to.inbox.send(NodeInput::Quorum(failed));
    }
}

/// A socket that does not block, for somebody who may wait.
struct Pipe {
    socket: OwnedFd,
    /// The longest that the other side may take nothing.
    limit: Duration,
}

impl Pipe {
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match rustix::io::write(&self.socket, bytes).map_err(io::Error::from) {
                Ok(n) => bytes = &bytes[n..],
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait()?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn wait(&self) -> io::Result<()> {
        let limit = Timespec { tv_sec: self.limit.as_secs().max(1) as i64, tv_nsec: 0 };
        let mut fds = [PollFd::new(&self.socket, PollFlags::OUT)];
        match rustix::event::poll(&mut fds, Some(&limit)).map_err(io::Error::from)? {
            0 => Err(io::Error::new(ErrorKind::TimedOut, "it has taken nothing within initLimit")),
            _ => Ok(()),
        }
    }
}

/// SNAP and the tree as it is when no other view is being read. Gives its zxid.
fn send_tree(shared: &Shared, pipe: &mut Pipe) -> Result<Zxid, String> {
    let (header, generation) = loop {
        if shared.stopping.load(Ordering::Relaxed) {
            return Err("this server is stopping".into());
        }
        let mut tree = shared.tree.write();
        if !tree.is_frozen() {
            break (tree.freeze(), shared.generation.load(Ordering::Relaxed));
        }
        drop(tree);
        std::thread::sleep(FROZEN_RETRY);
    };
    let sent = send_frozen(shared, pipe, &header, generation);
    let mut tree = shared.tree.write();
    if shared.generation.load(Ordering::Relaxed) == generation {
        tree.thaw();
    }
    sent.map(|()| header.zxid)
}

fn send_frozen(
    shared: &Shared,
    pipe: &mut Pipe,
    header: &tree::FrozenHeader,
    generation: u64,
) -> Result<(), String> {
    let mut bytes = Vec::with_capacity(2 * PIECE_BYTES);
    send::snap(&mut bytes, header.zxid);
    journal::encode_tables(header, &mut bytes);
    let mut more = true;
    while more {
        {
            let tree = shared.tree.read();
            if shared.generation.load(Ordering::Relaxed) != generation {
                return Err("this server's tree was replaced meanwhile".into());
            }
            if tree.frozen_bytes() > FROZEN_BYTES / 2 {
                return Err("it takes the dump too slowly for the changes that are made meanwhile".into());
            }
            more = tree.read_frozen(SNAPSHOT_STEP_SLOTS, |node| {
                journal::encode_node(&node, &mut bytes);
                bytes.len() < PIECE_BYTES
            });
        }
        if bytes.len() >= PIECE_BYTES || !more {
            pipe.send(&bytes).map_err(|e| e.to_string())?;
            bytes.clear();
        }
    }
    journal::encode_dump_end(&mut bytes);
    pipe.send(&bytes).map_err(|e| e.to_string())
}

/// PROPOSAL and COMMIT of every record in the range.
fn send_log(shared: &Shared, pipe: &mut Pipe, after: Zxid, through: Zxid) -> Result<Zxid, String> {
    let (ranges, pin) = {
        let mut ranges = shared.ranges.lock();
        let pin = ranges.pin(after);
        (ranges.clone(), pin)
    };
    let sent = (|| {
        let limit = shared.settings.max_record;
        let mut cursor = LogCursor::open(shared.disk.clone(), &ranges, after, through, limit)
            .map_err(|e| e.to_string())?;
        let mut bytes = Vec::with_capacity(2 * PIECE_BYTES);
        while let Some((zxid, payload)) = cursor.next().map_err(|e| e.to_string())? {
            send::proposal(&mut bytes, zxid, payload);
            send::commit(&mut bytes, zxid);
            if bytes.len() >= PIECE_BYTES {
                pipe.send(&bytes).map_err(|e| e.to_string())?;
                bytes.clear();
            }
        }
        pipe.send(&bytes).map_err(|e| e.to_string())?;
        Ok(through)
    })();
    shared.ranges.lock().unpin(pin);
    sent
}

/// Looks for a learner's last transaction in the log, where sending what follows costs less than a dump.
pub(super) fn locate(shared: &Arc<Shared>, key: LearnerKey, last: Zxid) {
    let answer_to = shared.clone();
    let shared = shared.clone();
    let run = move || {
        let located = find(&shared, last);
        shared.inbox.send(NodeInput::Quorum(QuorumInput::Located(key, located)));
    };
    if std::thread::Builder::new().name("sync".into()).spawn(run).is_err() {
        answer_to.inbox.send(NodeInput::Quorum(QuorumInput::Located(key, None)));
    }
}

fn find(shared: &Shared, last: Zxid) -> Option<Located> {
    let factor = shared.config.ensemble.snapshot_size_factor;
    let end = shared.tree.read().last_zxid();
    let ranges = shared.ranges.lock().clone();
    let limit = shared.settings.max_record;
    let found = journal::locate(shared.disk.clone(), &ranges, last, end, factor, limit)?;
    Some(Located { first: found.first, at_or_before: found.at_or_before, after: found.after })
}
