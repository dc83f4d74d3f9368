//! The node: writes in, log records and replies out.
//!
//! A submitted write is validated by the leader and becomes a record of the batch being built. The shell takes the
//! batch, makes it durable and says so; once a quorum has it, it is committed: applied to the tree, watches fired,
//! replies sent. A standalone server is an ensemble of one and runs through the same steps as the leader of many.
//!
//! * [`core`](Core): what every role has. [`pipeline`]: records on their way. [`commit`]: from record to tree.
//! * [`leading`], [`learning`]: the two roles that serve; [`read_only`]: the rest that is left without a leader.
//! * [`learners`]: who is kept up to date by this server.
//! * [`ensemble`]: how a server comes into one and leaves it.

mod batch;
mod commit;
mod core;
mod ensemble;
mod handshake;
mod leading;
mod learners;
mod learning;
mod pipeline;
mod read_only;
mod reaper;
mod waiting;

use crate::auth::AuthIds;
use crate::outbound::{ConnId, Outbound};
use crate::settings::Settings;
pub use batch::Batch;
use core::Core;
use ensemble::Ensemble;
pub use ensemble::{
    DiskDone, DiskTask, Effect, EnsembleSettings, Epochs, Located, Peer, Report, Standing, Timing,
};
use leading::Leading;
use learning::Learning;
use planted::{Bug, has};
use std::sync::Arc;
use tree::Tree;
use wire::OpCode;
use zab::{Leader, Zxid};

/// What connections hand to the node in one go: requests over one shared run of bytes.
#[derive(Debug, Default)]
pub struct Submission {
    pub bytes: Vec<u8>,
    pub requests: Vec<Submitted>,
}

#[derive(Debug)]
pub struct Submitted {
    pub conn: ConnId,
    /// 0 before the handshake.
    pub session_id: i64,
    pub kind: SubmissionKind,
    /// The request's body within the submission's bytes.
    pub start: usize,
    pub end: usize,
    pub ids: AuthIds,
    pub received_ms: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubmissionKind {
    /// A handshake: the body is the whole ConnectRequest.
    Connect,
    /// A request of class write or sync: the body is what follows its header.
    Request { op: OpCode, xid: i32 },
    /// The connection is gone.
    Gone,
}

/// The present time: monotonic for sessions, wall clock for transactions. Both in ms.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    pub mono_ms: i64,
    pub wall_ms: i64,
}

/// Numbers for status pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NodeStats {
    pub sessions: usize,
    pub outstanding: usize,
    pub last_zxid: i64,
    pub digest_mismatches: u64,
    pub expired_sessions: u64,
    /// `None` for a standalone server.
    pub standing: Option<Standing>,
    /// Whether clients are served.
    pub is_serving: bool,
    /// Only those who accept that nothing can be written.
    pub is_read_only: bool,
    pub epochs: Option<Epochs>,
    /// The sid of the leader that this server follows; its own while leading.
    pub leader: Option<i64>,
    /// Connected, whether up to date or not.
    pub learners: usize,
    pub synced_followers: usize,
    pub synced_observers: usize,
    /// Proposals not yet committed.
    pub proposals: usize,
}

/// What this server is to its clients.
enum Role {
    /// Nobody is served: there is no leader, or this server is not up to date with it.
    Idle,
    /// There is no leader, and clients that accept it are served what is here.
    ReadOnly,
    Leading(Box<Leading>),
    Learning(Box<Learning>),
}

/// One server. See the module's introduction.
pub struct Node {
    core: Core,
    role: Role,
    /// `None` for a standalone server.
    ensemble: Option<Box<Ensemble>>,
}

impl Node {
    /// A standalone server over a recovered tree. `seed` feeds the tables and the connection throttle.
    pub fn alone(settings: Arc<Settings>, tree: &Tree, now: Now, seed: u64) -> Node {
        let mut core = Core::new(settings.clone(), tree, now, seed, false);
        let control = Leader::alone(settings.server_id, tree.last_zxid());
        let mut leading = Leading::new(control);
        leading.begin(&mut core, tree, now);
        Node { core, role: Role::Leading(Box::new(leading)), ensemble: None }
    }

    /// Takes what connections have handed in.
    pub fn submit(&mut self, tree: &Tree, now: Now, submission: &Submission, out: &mut impl Outbound) {
        for rq in &submission.requests {
            let body = &submission.bytes[rq.start..rq.end];
            match rq.kind {
                SubmissionKind::Connect => self.connect(tree, now, rq, body, out),
                SubmissionKind::Request { op, xid } => match &mut self.role {
                    Role::Leading(leading) if leading.is_serving() => {
                        leading.request(&mut self.core, tree, now, rq, op, xid, body, out);
                    }
                    Role::Learning(learning) if learning.is_serving() => {
                        learning.request(&mut self.core, rq, op, xid, body);
                    }
                    Role::ReadOnly => self.core.request_read_only(tree, now, rq, op, xid, out),
                    Role::Idle | Role::Leading(_) | Role::Learning(_) => out.close(rq.conn, None),
                },
                SubmissionKind::Gone => self.gone(rq),
            }
        }
        self.core.answer_ready(tree, now, out);
    }

    /// A leader's session keeps its speaker: what another server still has on its way from the session's former
    /// connections must not come into effect behind what came later. Who comes back says so first.
    fn gone(&mut self, rq: &Submitted) {
        if let Role::Learning(learning) = &mut self.role {
            learning.forget(&mut self.core, rq.session_id, rq.conn);
        } else if has(Bug::SpeakerReleased) {
            self.core.sessions.set_owner(rq.session_id, None);
        }
    }

    /// Time passes: sessions whose time is up, containers and TTL znodes to reap, and the ensemble's timers.
    pub fn tick(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        match &mut self.role {
            Role::Leading(leading) => leading.tick(&mut self.core, tree, now),
            Role::ReadOnly => self.core.expire_read_only(now, out),
            Role::Idle | Role::Learning(_) => {}
        }
        if self.ensemble.is_some() {
            self.tick_ensemble(tree, now, out);
        }
    }

    /// When [`Node::tick`] next has something to do.
    pub fn next_tick_ms(&self) -> i64 {
        let role_ms = match &self.role {
            Role::Leading(leading) => leading.next_tick_ms(&self.core),
            Role::ReadOnly => self.core.sessions.next_deadline_ms().unwrap_or(i64::MAX),
            Role::Idle | Role::Learning(_) => i64::MAX,
        };
        let ensemble_ms = self.ensemble.as_ref().map_or(i64::MAX, |e| e.next_tick_ms());
        role_ms.min(ensemble_ms).min(self.role_tick_ms())
    }

    /// Whether there are records to make durable.
    pub fn has_batch(&self) -> bool {
        self.core.pipeline.has_batch()
    }

    /// The records built since the last call, to be made durable in the order of the calls. A leader proposes them to
    /// its followers at the same time.
    pub fn take_batch(&mut self) -> Option<Arc<Batch>> {
        let batch = self.core.pipeline.take_batch()?;
        match &mut self.role {
            Role::Leading(leading) => leading.propose_to_followers(&batch),
            Role::Learning(learning) => learning.inform_observers(&self.core),
            Role::Idle | Role::ReadOnly => {}
        }
        if let Role::Learning(learning) = &mut self.role
            && has(Bug::AckBeforeSync)
        {
            learning.durable(batch.last_zxid());
        }
        Some(batch)
    }

    /// This server's log has everything up to `zxid` durably.
    pub fn durable(&mut self, zxid: Zxid) {
        self.core.pipeline.set_durable(zxid);
        match &mut self.role {
            Role::Leading(leading) => leading.durable(&mut self.core, zxid),
            Role::Learning(learning) => learning.durable(zxid),
            Role::Idle | Role::ReadOnly => {}
        }
    }

    pub fn stats(&self, tree: &Tree) -> NodeStats {
        let mut stats = NodeStats {
            sessions: self.core.sessions.len(),
            outstanding: self.core.waiting.len(),
            last_zxid: tree.last_zxid(),
            digest_mismatches: tree.digest_mismatches(),
            expired_sessions: self.core.expired_sessions,
            is_serving: true,
            ..NodeStats::default()
        };
        self.add_standing(&mut stats);
        stats
    }

    /// Whether nothing is on its way: every proposal is applied and every request answered.
    pub fn is_idle(&self) -> bool {
        let prepared = match &self.role {
            Role::Leading(leading) => leading.is_idle(),
            Role::Idle | Role::ReadOnly | Role::Learning(_) => true,
        };
        self.core.waiting.is_empty() && self.core.pipeline.is_idle() && prepared
    }
}
