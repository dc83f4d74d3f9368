//! Records between being built and being applied: to the log, durable, committed, applied.
//!
//! What always holds: records go to the log in the order in which they were built; one is applied only when it is
//! durable here and committed by the quorum, and after all before it.

use super::batch::Batch;
use crate::limits::{BATCHES_IN_FLIGHT, BUILDING_BYTES, WINDOW_BYTES};
use planted::{Bug, has};
use std::collections::VecDeque;
use std::sync::Arc;
use wire::file;
use zab::{Neighbours, Zxid};

#[derive(Debug)]
pub(super) struct Pipeline {
    pub building: Batch,
    in_flight: VecDeque<Arc<Batch>>,
    /// Records of the front batch that are applied already.
    applied_records: usize,
    durable: Zxid,
    committed: Zxid,
    /// The last record that came from elsewhere.
    last_appended: Zxid,
    /// The last batches that were applied, for learners that lack them.
    window: VecDeque<Arc<Batch>>,
    window_bytes: usize,
    keeps_window: bool,
}

impl Pipeline {
    /// Everything up to `position` is in the tree and in the log.
    pub fn new(position: Zxid, keeps_window: bool) -> Pipeline {
        Pipeline {
            building: Batch::default(),
            in_flight: VecDeque::new(),
            applied_records: 0,
            durable: position,
            committed: position,
            last_appended: position,
            window: VecDeque::new(),
            window_bytes: 0,
            keeps_window,
        }
    }

    /// As [`Pipeline::new`], keeping the window if it ends where the new position begins.
    pub fn restart(&mut self, position: Zxid) {
        let window_ends = self.window.back().map(|b| b.last_zxid());
        let mut fresh = Pipeline::new(position, self.keeps_window);
        if window_ends == Some(position) {
            fresh.window = std::mem::take(&mut self.window);
            fresh.window_bytes = self.window_bytes;
        }
        *self = fresh;
    }

    /// Adds a whole record, copied from elsewhere.
    ///
    /// # Panics
    /// If it does not come after everything before: a log out of order cannot be read again.
    pub fn append(&mut self, zxid: Zxid, payload: &[u8]) {
        assert!(zxid > self.last_appended, "{zxid:#x} was to be logged behind {:#x}", self.last_appended);
        self.last_appended = zxid;
        let out = &mut self.building.bytes;
        let start = file::begin_record(out);
        out.extend_from_slice(payload);
        file::finish_record(out, start);
        self.building.add(start, zxid);
    }

    /// Whether there are records to make durable.
    pub fn has_batch(&self) -> bool {
        !self.building.is_empty() && self.in_flight.len() < BATCHES_IN_FLIGHT
    }

    pub fn take_batch(&mut self) -> Option<Arc<Batch>> {
        if !self.has_batch() {
            return None;
        }
        let capacity = self.building.bytes.len();
        let batch = Arc::new(std::mem::replace(&mut self.building, Batch::with_capacity(capacity)));
        self.in_flight.push_back(batch.clone());
        Some(batch)
    }

    /// What was built and not yet handed to the log is dropped: nobody has seen it.
    pub fn drop_building(&mut self) {
        self.building = Batch::default();
    }

    pub fn set_durable(&mut self, zxid: Zxid) {
        self.durable = self.durable.max(zxid);
    }

    pub fn durable(&self) -> Zxid {
        self.durable
    }

    pub fn set_committed(&mut self, zxid: Zxid) {
        self.committed = self.committed.max(zxid);
    }

    pub fn committed(&self) -> Zxid {
        self.committed
    }

    /// Whether there is something to apply.
    pub fn has_commits(&self) -> bool {
        let through =
            if has(Bug::AppliedBeforeDurable) { self.committed } else { self.durable.min(self.committed) };
        self.in_flight.front().is_some_and(|b| {
            b.last_zxid() <= through || (b.first_zxid() <= through && b.zxid(self.applied_records) <= through)
        })
    }

    /// The next records to apply: a batch, and which of its records. At most `limit`.
    pub fn next_commits(&self, limit: usize) -> Option<(Arc<Batch>, std::ops::Range<usize>)> {
        if !self.has_commits() {
            return None;
        }
        let batch = self.in_flight.front()?.clone();
        let through =
            if has(Bug::AppliedBeforeDurable) { self.committed } else { self.durable.min(self.committed) };
        let end = batch.up_to(through);
        let range = self.applied_records..end.min(self.applied_records + limit);
        Some((batch, range))
    }

    /// Records of the front batch up to `end` are applied.
    pub fn applied(&mut self, end: usize) {
        self.applied_records = end;
        let Some(front) = self.in_flight.front() else { return };
        if end < front.len() {
            return;
        }
        self.applied_records = 0;
        let Some(batch) = self.in_flight.pop_front() else { return };
        if !self.keeps_window {
            return;
        }
        self.window_bytes += batch.bytes.len();
        self.window.push_back(batch);
        while self.window_bytes > WINDOW_BYTES && self.window.len() > 1 {
            if let Some(old) = self.window.pop_front() {
                self.window_bytes -= old.bytes.len();
            }
        }
    }

    /// What is with the log is not applied.
    pub fn forget_in_flight(&mut self) {
        self.in_flight.clear();
        self.applied_records = 0;
    }

    /// What was applied last is not kept for learners.
    pub fn forget_window(&mut self) {
        if let Some(last) = self.window.pop_back() {
            self.window_bytes -= last.bytes.len();
        }
    }

    /// Whether more has been built than the disk should be behind.
    pub fn is_full(&self) -> bool {
        self.building.bytes.len() > BUILDING_BYTES
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight.is_empty() && self.building.is_empty()
    }

    /// The last transaction that was handed to the log, or stands in the tree.
    pub fn handed(&self) -> Zxid {
        self.held().next_back().map_or(self.durable, |batch| batch.last_zxid())
    }

    /// First and last transaction in memory, up to `committed`.
    pub fn window_to(&self, committed: Zxid) -> Option<(Zxid, Zxid)> {
        let first = self.held().next()?.first_zxid();
        let last = self.held().rev().find(|b| b.first_zxid() <= committed)?;
        let last = last.zxid(last.up_to(committed) - 1);
        (first <= last).then_some((first, last))
    }

    /// First and last transaction in memory that are applied.
    pub fn window(&self) -> Option<(Zxid, Zxid)> {
        Some((self.window.front()?.first_zxid(), self.window.back()?.last_zxid()))
    }

    /// Every batch in memory that was handed to the log, oldest first.
    fn held(&self) -> impl DoubleEndedIterator<Item = &Arc<Batch>> {
        self.window.iter().chain(&self.in_flight)
    }

    /// Whether every transaction behind `after` is in memory.
    pub fn covers(&self, after: Zxid, last_applied: Zxid) -> bool {
        after >= last_applied
            || self.window().is_some_and(|(first, _)| {
                first <= after + 1 || {
                    // The first transaction of an epoch follows the last of the one before.
                    self.window.iter().any(|b| b.first_zxid() <= after)
                }
            })
    }

    /// The transactions around `zxid` in memory.
    pub fn neighbours(&self, zxid: Zxid) -> Neighbours {
        let mut at_or_before = None;
        for batch in self.held() {
            let n = batch.up_to(zxid);
            if n > 0 {
                at_or_before = Some(batch.zxid(n - 1));
            }
            if n < batch.len() {
                return Neighbours { at_or_before, after: Some(batch.zxid(n)) };
            }
        }
        Neighbours { at_or_before, after: None }
    }

    /// Gives every record in memory behind `after` up to `through` to `each`, in order.
    pub fn for_each(&self, after: Zxid, through: Zxid, mut each: impl FnMut(Zxid, &[u8])) {
        for batch in self.held().filter(|b| b.last_zxid() > after && b.first_zxid() <= through) {
            for i in batch.up_to(after)..batch.up_to(through) {
                each(batch.zxid(i), batch.payload(i));
            }
        }
    }
}
