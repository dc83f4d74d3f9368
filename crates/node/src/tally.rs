//! Counting what connections do: privately while a batch of requests is handled, then added up where others look.

use std::sync::atomic::{AtomicI32, AtomicI64, AtomicU64, Ordering};
use wire::OpCode;

/// Times from receipt to answer, in ms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latency {
    pub count: u64,
    pub total_ms: u64,
    pub min_ms: u64,
    pub max_ms: u64,
}

impl Latency {
    pub fn record(&mut self, ms: u64) {
        self.add(&Latency { count: 1, total_ms: ms, min_ms: ms, max_ms: ms });
    }

    pub fn add(&mut self, other: &Latency) {
        if other.count == 0 {
            return;
        }
        self.min_ms = if self.count == 0 { other.min_ms } else { self.min_ms.min(other.min_ms) };
        self.max_ms = self.max_ms.max(other.max_ms);
        self.count += other.count;
        self.total_ms += other.total_ms;
    }
}

/// What happened on one connection, or on several, since some moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub received: u64,
    pub sent: u64,
    pub latency: Latency,
    last: Option<LastAnswer>,
    /// The client's own number of the last answered request that had one.
    last_cxid: Option<i32>,
}

/// What a connection was answered last.
#[derive(Debug, Clone, Copy)]
struct LastAnswer {
    /// `None`: a refusal of a write, as Apache has it.
    op: Option<OpCode>,
    /// Applied when it was answered.
    zxid: i64,
}

impl Tally {
    /// Counts an answer. `op` is `None` for a write that was refused.
    pub(crate) fn answered(&mut self, op: Option<OpCode>, xid: i32, zxid: i64, latency_ms: u64) {
        self.sent += 1;
        self.latency.record(latency_ms);
        self.note(op, xid, zxid);
    }

    /// Notes an answer that is counted elsewhere.
    pub(crate) fn note(&mut self, op: Option<OpCode>, xid: i32, zxid: i64) {
        self.last = Some(LastAnswer { op, zxid });
        // Negative ones are the protocol's, such as that of pings.
        if xid >= 0 {
            self.last_cxid = Some(xid);
        }
    }

    /// Adds the counts of another, not what it did last.
    pub fn add(&mut self, other: &Tally) {
        self.received += other.received;
        self.sent += other.sent;
        self.latency.add(&other.latency);
    }
}

/// One connection as `cons` and `stat` show it. Written by its own thread, read by any.
#[derive(Debug)]
pub struct ConnStats {
    received: AtomicU64,
    sent: AtomicU64,
    queued: AtomicU64,
    session_id: AtomicI64,
    timeout_ms: AtomicI32,
    last_op: AtomicI32,
    last_cxid: AtomicI32,
    last_zxid: AtomicI64,
    last_response_ms: AtomicI64,
    last_latency_ms: AtomicU64,
    latency_count: AtomicU64,
    latency_total_ms: AtomicU64,
    latency_min_ms: AtomicU64,
    latency_max_ms: AtomicU64,
}

/// A copy of [`ConnStats`].
#[derive(Debug, Clone, Copy)]
pub struct ConnStatsView {
    pub received: u64,
    pub sent: u64,
    pub queued: u64,
    /// 0 before the handshake.
    pub session_id: i64,
    pub timeout_ms: i32,
    pub last_op: Option<OpCode>,
    pub last_cxid: Option<i32>,
    /// -1: nothing was answered yet.
    pub last_zxid: i64,
    /// Of the server's monotonic clock; 0: nothing was answered yet.
    pub last_response_ms: i64,
    pub last_latency_ms: u64,
    pub latency: Latency,
}

const NONE: i32 = -1;
const RELAXED: Ordering = Ordering::Relaxed;

impl Default for ConnStats {
    fn default() -> ConnStats {
        ConnStats {
            received: AtomicU64::default(),
            sent: AtomicU64::default(),
            queued: AtomicU64::default(),
            session_id: AtomicI64::default(),
            timeout_ms: AtomicI32::default(),
            last_op: AtomicI32::default(),
            last_cxid: AtomicI32::new(NONE),
            last_zxid: AtomicI64::new(i64::from(NONE)),
            last_response_ms: AtomicI64::default(),
            last_latency_ms: AtomicU64::default(),
            latency_count: AtomicU64::default(),
            latency_total_ms: AtomicU64::default(),
            latency_min_ms: AtomicU64::default(),
            latency_max_ms: AtomicU64::default(),
        }
    }
}

impl ConnStats {
    /// Adds what happened until now.
    pub(crate) fn add(&self, tally: &Tally, queued: usize, now_ms: i64) {
        self.received.fetch_add(tally.received, RELAXED);
        self.sent.fetch_add(tally.sent, RELAXED);
        self.queued.store(queued as u64, RELAXED);
        if let Some(last) = tally.last {
            self.last_op.store(last.op.map_or(0, OpCode::code), RELAXED);
            self.last_zxid.store(last.zxid, RELAXED);
            self.last_response_ms.store(now_ms, RELAXED);
        }
        if let Some(cxid) = tally.last_cxid {
            self.last_cxid.store(cxid, RELAXED);
        }
        if tally.latency.count > 0 {
            let mut latency = self.latency();
            latency.add(&tally.latency);
            self.set_latency(&latency);
            self.last_latency_ms.store(tally.latency.max_ms, RELAXED);
        }
    }

    fn latency(&self) -> Latency {
        Latency {
            count: self.latency_count.load(RELAXED),
            total_ms: self.latency_total_ms.load(RELAXED),
            min_ms: self.latency_min_ms.load(RELAXED),
            max_ms: self.latency_max_ms.load(RELAXED),
        }
    }

    fn set_latency(&self, latency: &Latency) {
        self.latency_count.store(latency.count, RELAXED);
        self.latency_total_ms.store(latency.total_ms, RELAXED);
        self.latency_min_ms.store(latency.min_ms, RELAXED);
        self.latency_max_ms.store(latency.max_ms, RELAXED);
    }

    pub(crate) fn set_session(&self, id: i64, timeout_ms: i32) {
        self.session_id.store(id, RELAXED);
        self.timeout_ms.store(timeout_ms, RELAXED);
    }

    /// Zeroes counts and latencies (`crst`).
    pub fn reset(&self) {
        self.received.store(0, RELAXED);
        self.sent.store(0, RELAXED);
        self.last_op.store(0, RELAXED);
        self.last_cxid.store(NONE, RELAXED);
        self.last_zxid.store(i64::from(NONE), RELAXED);
        self.last_response_ms.store(0, RELAXED);
        self.last_latency_ms.store(0, RELAXED);
        self.set_latency(&Latency::default());
    }

    pub fn view(&self) -> ConnStatsView {
        let cxid = self.last_cxid.load(RELAXED);
        ConnStatsView {
            received: self.received.load(RELAXED),
            sent: self.sent.load(RELAXED),
            queued: self.queued.load(RELAXED),
            session_id: self.session_id.load(RELAXED),
            timeout_ms: self.timeout_ms.load(RELAXED),
            last_op: Some(self.last_op.load(RELAXED)).filter(|op| *op != 0).and_then(OpCode::from_code),
            last_cxid: (cxid != NONE).then_some(cxid),
            last_zxid: self.last_zxid.load(RELAXED),
            last_response_ms: self.last_response_ms.load(RELAXED),
            last_latency_ms: self.last_latency_ms.load(RELAXED),
            latency: self.latency(),
        }
    }
}
