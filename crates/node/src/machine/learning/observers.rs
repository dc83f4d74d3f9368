//! Observers that follow this follower instead of the leader (quorum-and-disk §2.10).
//!
//! They are sent what the leader has said is committed. What their clients ask goes to the leader over this follower's
//! own connection, so that the leader knows this follower alone; answers that name nobody come back in the order in
//! which was asked, and go to whoever was next.

use super::super::core::Core;
use super::super::learners::{Learners, Source};
use super::Learning;
use std::collections::BTreeMap;
use tree::Tree;
use wire::OpCode;
use wire::quorum::parts::{Request, Revalidate, Revalidated, Touches};
use wire::quorum::{AuthInfo, send};
use zab::{LearnerKey, ObserverMaster, Zxid};

pub(in super::super) struct Observers {
    pub control: ObserverMaster,
    pub learners: Learners,
    /// Sessions heard of since the last PING of the leader, with their timeouts.
    touched: BTreeMap<i64, i32>,
}

impl Observers {
    /// Everything up to `position` is committed. `config` goes out with NEWLEADER.
    pub fn new(control: ObserverMaster, position: Zxid, config: String) -> Observers {
        let mut learners = Learners::default();
        learners.config = config;
        learners.begin_announcing(position);
        Observers { control, learners, touched: BTreeMap::new() }
    }

    pub fn source<'a>(&self, core: &'a Core, tree: &'a Tree, force_snapshot: bool) -> Source<'a> {
        Source { core, tree, epoch: self.control.epoch(), is_established: true, force_snapshot }
    }

    /// The observer's clients were heard.
    pub fn touched(&mut self, touches: Touches<'_>) {
        self.touched.extend(touches);
    }

    pub fn take_touched(&mut self) -> BTreeMap<i64, i32> {
        std::mem::take(&mut self.touched)
    }

    /// The leader's word on a session that an observer has asked about.
    pub fn revalidated(&mut self, key: LearnerKey, timeout_ms: i32, answer: Revalidated) {
        if let Some(out) = self.learners.out(key) {
            send::revalidated(out, -1, answer.session_id, answer.valid);
        }
        if answer.valid {
            self.touched.insert(answer.session_id, timeout_ms);
        }
    }
}

impl Learning {
    /// Observers hear of everything that the leader has said is committed, once the log has been given it.
    pub fn inform_observers(&mut self, core: &Core) {
        if let Some(observers) = &mut self.observers {
            let through = core.pipeline.committed().min(core.pipeline.handed());
            observers.learners.announce(core, observers.control.epoch(), through);
        }
    }

    /// REQUEST of an observer's client.
    pub fn forward_for(&mut self, key: LearnerKey, request: &Request<'_>, auth: AuthInfo<'_>) {
        if request.op == OpCode::Sync.code() {
            self.syncs.push_back(Some(key));
        }
        send::request(&mut self.out, request, auth);
    }

    /// A client has come back to an observer.
    pub fn revalidate_for(&mut self, key: LearnerKey, asked: &Revalidate) {
        send::revalidate(&mut self.out, asked);
        let (session_id, timeout_ms) = (asked.session_id, asked.timeout_ms);
        self.revalidating.push_back(super::Revalidating {
            session_id,
            timeout_ms,
            asker: super::Asker::Observer(key),
        });
    }
}
