//! What a server has in every role: its sessions, its pipeline to disk and tree, and who waits for an answer.

use super::Now;
use super::pipeline::Pipeline;
use super::waiting::{Awaited, Until, Waiting};
use crate::outbound::Outbound;
use crate::reply;
use crate::session::Sessions;
use crate::settings::Settings;
use crate::throttle::ConnectThrottle;
use std::collections::VecDeque;
use std::sync::Arc;
use tree::Tree;
use wire::jute::Put;

pub(super) struct Core {
    pub settings: Arc<Settings>,
    pub sessions: Sessions,
    pub pipeline: Pipeline,
    pub waiting: VecDeque<Waiting>,
    pub connects: ConnectThrottle,
    /// Kept for its capacity.
    pub frame: Vec<u8>,
    pub expired_sessions: u64,
    pub seed: u64,
}

impl Core {
    pub fn new(settings: Arc<Settings>, tree: &Tree, now: Now, seed: u64, in_ensemble: bool) -> Core {
        let id = (settings.server_id & 0xff) as u64;
        let mut sessions = Sessions::new(id, settings.tick_ms, now.wall_ms, now.mono_ms, std::iter::empty());
        sessions.set_seed(seed);
        Core {
            sessions,
            pipeline: Pipeline::new(tree.last_zxid(), in_ensemble),
            waiting: VecDeque::new(),
            connects: ConnectThrottle::new(settings.throttle.connect, now.mono_ms, seed),
            frame: Vec::new(),
            expired_sessions: 0,
            seed,
            settings,
        }
    }

    /// All sessions of the tree, each with a full new timeout: what a new leader begins with.
    pub fn restore_sessions(&mut self, tree: &Tree, now: Now) {
        let restored = tree.sessions().iter().map(|(id, timeout)| (*id, *timeout));
        self.sessions.restart(now.mono_ms, restored);
    }

    /// Answers those who wait for nothing that is still to come.
    pub fn answer_ready(&mut self, tree: &Tree, now: Now, out: &mut impl Outbound) {
        let applied = tree.last_zxid();
        while self.waiting.front().is_some_and(|w| w.is_ready(applied)) {
            let Some(w) = self.waiting.pop_front() else { return };
            self.frame.clear();
            let answered = reply::write(&mut self.frame, w.xid, applied, |body| match &w.what {
                Awaited::Sync { path } => {
                    match path {
                        Some(path) => body.put_ustring(path),
                        None => body.put_buffer(None),
                    }
                    Ok(())
                }
                Awaited::Refusal(error) => Err(*error),
                Awaited::Txn | Awaited::Welcome { .. } => Ok(()),
            });
            debug_assert!(answered.is_ok() || matches!(w.what, Awaited::Refusal(_)));
            out.reply(w.conn, &self.frame, w.age_ms(now));
        }
    }

    /// The one who waits for this transaction. A request that was forwarded and lost on its way, or a sync whose zxid is
    /// not applied yet, must not hold up those of other sessions, so it is looked for behind the first as well.
    pub fn awaiting(&mut self, zxid: i64, session_id: i64, cxid: i32) -> Option<Waiting> {
        let mut candidates = self.waiting.iter().take_while(|w| !w.is_for_later(zxid));
        let at = candidates.position(|w| w.is_for(zxid, session_id, cxid))?;
        self.waiting.remove(at)
    }

    /// The oldest sync that is with the leader is done once everything up to `zxid` is applied.
    pub fn sync_answered(&mut self, zxid: i64) {
        let oldest = self
            .waiting
            .iter_mut()
            .find(|w| matches!(w.what, Awaited::Sync { .. }) && w.until == Until::Forwarded);
        if let Some(waiting) = oldest {
            waiting.until = Until::Zxid(zxid);
        }
    }
}
