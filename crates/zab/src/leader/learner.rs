//! What a leader knows of one learner.

use super::{LearnerKind, Timing};
use crate::epoch::Zxid;
use crate::quorum::ServerId;

/// How far a learner has come. It never goes back: after a failure it connects anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Connected,
    /// It has said who it is.
    Greeted,
    /// It was told the epoch.
    Informed,
    /// It has accepted the epoch and said where its log ends.
    Accepted {
        last: Zxid,
    },
    /// It is sent what it lacks.
    Synchronizing,
    /// It has acknowledged NEWLEADER.
    Synchronized,
    UpToDate,
}

#[derive(Debug)]
pub(crate) struct Learner {
    pub stage: Stage,
    pub kind: LearnerKind,
    pub server: Option<ServerId>,
    /// Of a release before 3.5.
    pub is_old: bool,
    pub heard_ms: i64,
    acked: Zxid,
    /// A proposal that must be acknowledged by then.
    expected: Option<(Zxid, i64)>,
}

impl Learner {
    pub fn new(now_ms: i64) -> Learner {
        Learner {
            stage: Stage::Connected,
            kind: LearnerKind::Observer,
            server: None,
            is_old: false,
            heard_ms: now_ms,
            acked: 0,
            expected: None,
        }
    }

    pub fn acknowledged(&mut self, zxid: Zxid, now_ms: i64, last_proposed: Zxid, limit_ms: i64) {
        self.acked = self.acked.max(zxid);
        if self.expected.is_some_and(|(wanted, _)| wanted <= self.acked) {
            self.expected = None;
            self.expect(last_proposed, now_ms, limit_ms);
        }
    }

    /// What was proposed by now must be acknowledged within the limit.
    pub fn expect(&mut self, last_proposed: Zxid, now_ms: i64, limit_ms: i64) {
        let counted = matches!(self.stage, Stage::Synchronized | Stage::UpToDate);
        if counted && self.expected.is_none() && last_proposed > self.acked {
            self.expected = Some((last_proposed, now_ms + limit_ms));
        }
    }

    pub fn is_lagging(&self, now_ms: i64) -> bool {
        self.expected.is_some_and(|(_, until_ms)| now_ms > until_ms)
    }

    pub fn is_silent(&self, now_ms: i64, timing: Timing) -> bool {
        let limit_ms = match self.stage {
            Stage::UpToDate => timing.sync_ms,
            // Between NEWLEADER and UPTODATE a learner has nothing to say.
            Stage::Connected
            | Stage::Greeted
            | Stage::Informed
            | Stage::Accepted { .. }
            | Stage::Synchronizing
            | Stage::Synchronized => timing.init_ms,
        };
        now_ms - self.heard_ms > limit_ms
    }
}
