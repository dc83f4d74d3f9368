//! Sessions: who is alive, until when, and on which connection.
//!
//! Connections renew a session by one atomic store; the tracker looks at it only when the session's bucket is due, and
//! moves the session to a later bucket if it was renewed meanwhile. Deadlines are rounded up to whole ticks, so a
//! session lives between its timeout and its timeout plus one tick (quorum-and-disk §7.5).

use crate::outbound::ConnId;
use planted::{Bug, has};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use wire::ErrorCode;
use zab::LearnerKey;

/// Who speaks for a session: only its requests are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// A connection of this server.
    Client(ConnId),
    /// A server that follows this one; it knows which of its connections.
    Learner(LearnerKey),
}

/// The part of a session that connections touch.
#[derive(Debug)]
pub struct Session {
    pub id: i64,
    timeout_ms: AtomicI32,
    renewed_ms: AtomicI64,
    closing: AtomicBool,
}

impl Session {
    fn new(id: i64, timeout_ms: i32, now_ms: i64) -> Self {
        Session {
            id,
            timeout_ms: AtomicI32::new(timeout_ms),
            renewed_ms: AtomicI64::new(now_ms),
            closing: AtomicBool::new(false),
        }
    }

    /// Renews the session. `false` if it is ending: the request must be dropped.
    #[inline]
    pub fn touch(&self, now_ms: i64) -> bool {
        if self.closing.load(Ordering::Relaxed) {
            return false;
        }
        self.renewed_ms.store(now_ms, Ordering::Relaxed);
        true
    }

    pub fn timeout_ms(&self) -> i32 {
        self.timeout_ms.load(Ordering::Relaxed)
    }

    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Relaxed)
    }

    fn deadline_ms(&self) -> i64 {
        self.renewed_ms.load(Ordering::Relaxed) + i64::from(self.timeout_ms())
    }
}

struct Tracked {
    session: Arc<Session>,
    owner: Option<Speaker>,
    bucket_ms: i64,
}

/// The sessions that this server answers for: all of the ensemble on a leader, those of its own connections on a
/// learner.
pub(crate) struct Sessions {
    tick_ms: i64,
    server_id: u64,
    /// A leader ends sessions whose time is up; a learner only reports who is alive.
    ends_sessions: bool,
    next_id: i64,
    jump: i64,
    tracked: BTreeMap<i64, Tracked>,
    /// Ids by the time at which to look at them.
    buckets: BTreeMap<i64, Vec<i64>>,
}

/// The first id of a server that starts at `wall_ms`: server number, 40 bits of time, then a counter.
fn first_id(server_id: u64, wall_ms: i64) -> i64 {
    let id = ((wall_ms as u64) << 24 >> 8 | server_id << 56) as i64;
    if id == i64::MIN { id + 1 } else { id }
}

impl Sessions {
    /// `restored` are the sessions of the database, each of which gets a full new timeout.
    pub fn new(
        server_id: u64,
        tick_ms: i64,
        wall_ms: i64,
        now_ms: i64,
        restored: impl Iterator<Item = (i64, i32)>,
    ) -> Self {
        let mut sessions = Sessions {
            tick_ms,
            server_id,
            ends_sessions: false,
            next_id: first_id(server_id, wall_ms),
            jump: 0,
            tracked: BTreeMap::new(),
            buckets: BTreeMap::new(),
        };
        sessions.restart(now_ms, restored);
        sessions
    }

    /// Becomes a leader's: with all sessions of the database, each with a full new timeout.
    pub fn restart(&mut self, now_ms: i64, restored: impl Iterator<Item = (i64, i32)>) {
        self.clear();
        self.ends_sessions = true;
        for (id, timeout_ms) in restored {
            self.track(id, timeout_ms, now_ms);
        }
        let last = self.tracked.range(self.mine()).next_back().map(|(id, _)| *id);
        self.not_below(last);
    }

    /// Becomes a learner's, with no connections yet. `known` are the sessions of the database, for their numbers.
    pub fn restart_as_learner(&mut self, known: &BTreeMap<i64, i32>) {
        self.clear();
        self.not_below(known.range(self.mine()).next_back().map(|(id, _)| *id));
    }

    /// Becomes that of a server without a leader, with no sessions yet; those that come end here. `known` are the
    /// sessions of the database, for their numbers.
    pub fn restart_as_read_only(&mut self, known: &BTreeMap<i64, i32>) {
        self.restart_as_learner(known);
        self.ends_sessions = true;
    }

    fn clear(&mut self) {
        self.tracked.clear();
        self.buckets.clear();
        self.ends_sessions = false;
    }

    /// The ids that this server gives.
    fn mine(&self) -> std::ops::RangeInclusive<i64> {
        let first = self.server_id << 56;
        first as i64..=(first | ((1 << 56) - 1)) as i64
    }

    /// How far to jump after a clock set back: see [`Sessions::not_below`].
    pub fn set_seed(&mut self, seed: u64) {
        self.jump = (seed >> 32) as i64;
    }

    /// After a clock set back the counter could run into ids given before: it goes on behind the last of ours. Further
    /// ones may have been given and ended since, and their clients may not know that yet: they must not come back to
    /// somebody else's session, so it goes on at a distance that nobody can have had before.
    fn not_below(&mut self, last: Option<i64>) {
        if let Some(last) = last.filter(|last| *last >= self.next_id) {
            self.next_id = last + 1 + self.jump;
        }
    }

    pub fn allocate_id(&mut self) -> i64 {
        while self.tracked.contains_key(&self.next_id) || self.next_id == 0 {
            self.next_id = self.next_id.wrapping_add(1);
        }
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        id
    }

    pub fn track(&mut self, id: i64, timeout_ms: i32, now_ms: i64) -> Arc<Session> {
        let session = Arc::new(Session::new(id, timeout_ms, now_ms));
        let bucket_ms = self.bucket(session.deadline_ms());
        self.tracked.insert(id, Tracked { session: session.clone(), owner: None, bucket_ms });
        if self.ends_sessions {
            self.buckets.entry(bucket_ms).or_default().push(id);
        }
        session
    }

    fn bucket(&self, deadline_ms: i64) -> i64 {
        (deadline_ms / self.tick_ms + 1) * self.tick_ms
    }

    pub fn get(&self, id: i64) -> Option<&Arc<Session>> {
        self.tracked.get(&id).map(|t| &t.session)
    }

    /// Whether the session may write: it lives, and `speaker` speaks for it. A learner may take over a session that
    /// nobody has spoken for yet.
    pub fn check(&mut self, id: i64, speaker: Speaker) -> Result<(), ErrorCode> {
        let Some(tracked) = self.tracked.get_mut(&id) else { return Err(ErrorCode::SessionExpired) };
        if tracked.session.is_closing() {
            return Err(ErrorCode::SessionExpired);
        }
        if tracked.owner.is_none() && matches!(speaker, Speaker::Learner(_)) {
            tracked.owner = Some(speaker);
        }
        if tracked.owner == Some(speaker) || has(Bug::OwnerNotChecked) {
            Ok(())
        } else {
            Err(ErrorCode::SessionMoved)
        }
    }

    pub fn owner(&self, id: i64) -> Option<Speaker> {
        self.tracked.get(&id)?.owner
    }

    /// The connection of this server that speaks for the session.
    pub fn client(&self, id: i64) -> Option<ConnId> {
        match self.owner(id)? {
            Speaker::Client(conn) => Some(conn),
            Speaker::Learner(_) => None,
        }
    }

    /// `speaker` speaks for the session from now on.
    pub fn set_owner(&mut self, id: i64, speaker: Option<Speaker>) {
        if let Some(tracked) = self.tracked.get_mut(&id) {
            tracked.owner = speaker;
        }
    }

    /// The session and its timeout, if it was renewed since `since_ms`.
    pub fn renewed(&self, id: i64, since_ms: i64) -> Option<(i64, i32)> {
        let session = &self.tracked.get(&id)?.session;
        (session.renewed_ms.load(Ordering::Relaxed) >= since_ms).then(|| (id, session.timeout_ms()))
    }

    /// Sessions that were renewed since `since_ms`, with their timeouts.
    pub fn renewed_since(&self, since_ms: i64) -> impl Iterator<Item = (i64, i32)> {
        let renewed = move |s: &&Arc<Session>| s.renewed_ms.load(Ordering::Relaxed) >= since_ms;
        self.tracked.values().map(|t| &t.session).filter(renewed).map(|s| (s.id, s.timeout_ms()))
    }

    /// A re-attached session renews with the timeout of its new connection.
    pub fn renew(&mut self, id: i64, timeout_ms: i32, now_ms: i64) -> Option<Arc<Session>> {
        let session = self.tracked.get(&id)?.session.clone();
        session.timeout_ms.store(timeout_ms, Ordering::Relaxed);
        if !session.touch(now_ms) {
            return None;
        }
        let bucket_ms = self.bucket(session.deadline_ms());
        let tracked = self.tracked.get_mut(&id)?;
        // An earlier bucket must be entered now; a later one is found when the present one is due.
        if bucket_ms < tracked.bucket_ms && self.ends_sessions {
            tracked.bucket_ms = bucket_ms;
            self.buckets.entry(bucket_ms).or_default().push(id);
        }
        Some(session)
    }

    pub fn set_closing(&self, id: i64) {
        if let Some(tracked) = self.tracked.get(&id) {
            tracked.session.closing.store(true, Ordering::Relaxed);
        }
    }

    /// Forgets a session; gives the one who spoke for it.
    pub fn remove(&mut self, id: i64) -> Option<Speaker> {
        self.tracked.remove(&id)?.owner
    }

    /// Whether these are a leader's.
    pub fn ends_sessions(&self) -> bool {
        self.ends_sessions
    }

    /// Ids of sessions whose time is up.
    pub fn expired(&mut self, now_ms: i64) -> Vec<i64> {
        let later = self.buckets.split_off(&(now_ms + 1));
        let due = std::mem::replace(&mut self.buckets, later);
        let mut expired = Vec::new();
        for (bucket_ms, ids) in due {
            for id in ids {
                let Some(tracked) = self.tracked.get(&id) else { continue };
                if tracked.bucket_ms != bucket_ms || tracked.session.is_closing() {
                    continue;
                }
                let wanted = self.bucket(tracked.session.deadline_ms());
                if wanted <= now_ms {
                    expired.push(id);
                } else {
                    self.buckets.entry(wanted).or_default().push(id);
                    self.tracked.entry(id).and_modify(|t| t.bucket_ms = wanted);
                }
            }
        }
        expired
    }

    /// When [`Sessions::expired`] can next find something.
    pub fn next_deadline_ms(&self) -> Option<i64> {
        self.buckets.keys().next().copied()
    }

    pub fn len(&self) -> usize {
        self.tracked.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(1, 2000, 0x01a1_f796_ae93, 0, std::iter::empty())
    }

    #[test]
    fn ids_hold_server_and_time() {
        let id = first_id(3, 0x12_3456_789a_bcde);
        assert_eq!(id, 0x0356_789a_bcde_0000);
        assert_eq!(first_id(0x80, 0), i64::MIN + 1);
    }

    #[test]
    fn a_clock_set_back_gives_no_id_twice() {
        let live = first_id(1, 5000) + 3;
        let mut s = Sessions::new(1, 2000, 1000, 0, [(live, 4000)].into_iter());
        assert_eq!(s.allocate_id(), live + 1);
        let mut s = Sessions::new(1, 2000, 1000, 0, std::iter::empty());
        s.set_seed(0x77 << 32);
        s.restart(0, [(live, 4000)].into_iter());
        assert_eq!(s.allocate_id(), live + 1 + 0x77, "those that have ended in between are not given again");
    }

    #[test]
    fn sessions_expire_at_the_tick_after_their_timeout() {
        let mut s = sessions();
        s.track(7, 4000, 100);
        assert!(s.expired(5999).is_empty());
        assert_eq!(s.next_deadline_ms(), Some(6000));
        assert_eq!(s.expired(6000), [7]);
    }

    #[test]
    fn a_touched_session_lives_on() {
        let mut s = sessions();
        let session = s.track(7, 4000, 100);
        assert!(session.touch(3000));
        assert!(s.expired(6000).is_empty());
        assert_eq!(s.next_deadline_ms(), Some(8000));
        assert_eq!(s.expired(8000), [7]);
        s.set_closing(7);
        assert!(!session.touch(8001));
    }

    #[test]
    fn a_shorter_timeout_on_reattach_counts_at_once() {
        let mut s = sessions();
        s.track(7, 40_000, 0);
        s.renew(7, 4000, 1000);
        assert_eq!(s.expired(6000), [7]);
    }
}
