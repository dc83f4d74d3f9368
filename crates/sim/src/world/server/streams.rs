//! Bringing a learner up to date with what memory does not hold: a dump of the tree, or a part of the log, sent in
//! steps beside everything else.

use super::running::{Input, Local, Running};
use crate::SimDisk;
use crate::world::net::WireId;
use crate::world::stage::Stage;
use journal::{LogCursor, Pin};
use node::Located;
use wire::jute::Limits;
use wire::quorum::send;
use zab::LearnerKey;

pub(super) enum Job {
    Tree,
    Log { after: i64, through: i64 },
}

enum State {
    /// Waits until no other view of the tree is read.
    Waiting,
    Tree {
        generation: u64,
        zxid: i64,
    },
    Log {
        cursor: Box<LogCursor<SimDisk>>,
        pin: Pin,
        through: i64,
    },
}

pub(super) struct Stream {
    wire: WireId,
    state: State,
}

impl Running {
    pub fn begin_stream(&mut self, key: LearnerKey, wire: WireId, job: Job, stage: &mut Stage) {
        let state = match job {
            Job::Tree => State::Waiting,
            Job::Log { after, through } => {
                stage.mark("sync: from the log on disk");
                let pin = self.ranges.pin(after);
                let limit = self.settings.max_record;
                match LogCursor::open(self.disk.clone(), &self.ranges, after, through, limit) {
                    Ok(cursor) => State::Log { cursor: Box::new(cursor), pin, through },
                    Err(error) => {
                        self.ranges.unpin(pin);
                        return self.post(Input::Streamed(key, Err(error.to_string())), stage);
                    }
                }
            }
        };
        self.streams.insert(key, Stream { wire, state });
        let us = 50 + stage.rng.below(1000);
        self.later(us, Local::StreamStep(key), stage);
    }

    pub fn stream_step(&mut self, key: LearnerKey, stage: &mut Stage) {
        let Some(mut stream) = self.streams.remove(&key) else { return };
        let stepped = if stage.net.is_open(stream.wire, 1) {
            self.step(&mut stream, stage)
        } else {
            Err("the connection is closed".to_owned())
        };
        if let Ok(None) = stepped {
            self.streams.insert(key, stream);
            let us = 100 + stage.rng.below(4000);
            return self.later(us, Local::StreamStep(key), stage);
        }
        match stream.state {
            State::Tree { generation, .. } if generation == self.generation => self.tree.thaw(),
            State::Log { pin, .. } => self.ranges.unpin(pin),
            State::Waiting | State::Tree { .. } => {}
        }
        let result = stepped.map(|zxid| zxid.unwrap_or_default());
        self.post(Input::Streamed(key, result), stage);
    }

    /// `Some` when all is sent: up to which transaction.
    fn step(&mut self, stream: &mut Stream, stage: &mut Stage) -> Result<Option<i64>, String> {
        let mut bytes = Vec::new();
        let mut done = None;
        match &mut stream.state {
            State::Waiting if self.tree.is_frozen() => {}
            State::Waiting => {
                let header = self.tree.freeze();
                send::snap(&mut bytes, header.zxid);
                journal::encode_tables(&header, &mut bytes);
                stream.state = State::Tree { generation: self.generation, zxid: header.zxid };
            }
            State::Tree { generation, zxid } => {
                if *generation != self.generation {
                    return Err("this server's tree was replaced meanwhile".to_owned());
                }
                let slots = 1 + stage.rng.below(40) as u32;
                let more = self.tree.read_frozen(slots, |node| {
                    journal::encode_node(&node, &mut bytes);
                    true
                });
                if !more {
                    journal::encode_dump_end(&mut bytes);
                    done = Some(*zxid);
                }
            }
            State::Log { cursor, through, .. } => {
                for _ in 0..1 + stage.rng.below(20) {
                    match cursor.next().map_err(|e| e.to_string())? {
                        Some((zxid, payload)) => {
                            send::proposal(&mut bytes, zxid, payload);
                            send::commit(&mut bytes, zxid);
                        }
                        None => {
                            done = Some(*through);
                            break;
                        }
                    }
                }
            }
        }
        stage.send(stream.wire, 1, bytes);
        Ok(done)
    }

    pub fn streamed(&mut self, key: LearnerKey, result: Result<i64, String>, stage: &mut Stage) {
        let now = self.now(stage);
        match result {
            Ok(through) => {
                if let Some(learner) = self.peers.learners.get_mut(&key) {
                    learner.is_lent = false;
                    self.node.streamed(key, through, &self.tree, now);
                }
            }
            Err(error) => {
                if let Some(learner) = self.peers.learners.remove(&key) {
                    stage.trace(|| {
                        format!("server {}: a learner cannot be brought up to date: {error}", self.index + 1)
                    });
                    stage.close(learner.wire, 1);
                    self.node.learner_gone(key);
                }
            }
        }
    }

    /// Looks for a learner's last transaction in the log.
    pub fn locate(&mut self, key: LearnerKey, last: i64, stage: &mut Stage) {
        let located = self.find(last);
        self.post(Input::Located(key, located), stage);
    }

    fn find(&self, last: i64) -> Option<Located> {
        let (end, factor) = (self.tree.last_zxid(), self.plan.snapshot_size_factor);
        let limit = Limits::default().field_bytes;
        let found = journal::locate(self.disk.clone(), &self.ranges, last, end, factor, limit)?;
        Some(Located { first: found.first, at_or_before: found.at_or_before, after: found.after })
    }
}
