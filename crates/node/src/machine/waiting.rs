//! Who is to be answered, and when.

use super::Now;
use crate::outbound::ConnId;
use wire::ErrorCode;

/// When a request is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    /// Once this zxid is applied; the transaction of that zxid is its own, if it has one.
    Zxid(i64),
    /// It is with the leader: the record that comes back names its session and cxid.
    Forwarded,
}

/// Somebody to answer.
#[derive(Debug)]
pub(super) struct Waiting {
    pub until: Until,
    pub conn: ConnId,
    pub xid: i32,
    pub session_id: i64,
    pub received_ms: i64,
    pub what: Awaited,
}

#[derive(Debug)]
pub(super) enum Awaited {
    /// The result of the transaction.
    Txn,
    /// The transaction creates the session; `read_only` as the client sent it.
    Welcome { timeout_ms: i32, read_only: Option<bool> },
    /// No transaction: everything before it.
    Sync { path: Option<String> },
    /// No transaction: a refusal that must keep its place in the order.
    Refusal(ErrorCode),
}

impl Waiting {
    pub fn age_ms(&self, now: Now) -> u64 {
        (now.mono_ms - self.received_ms).max(0) as u64
    }

    /// Whether the record of this session and cxid, with this zxid, is its transaction.
    pub fn is_for(&self, zxid: i64, session_id: i64, cxid: i32) -> bool {
        self.what.is_txn()
            && match self.until {
                Until::Zxid(awaited) => awaited == zxid,
                Until::Forwarded => self.session_id == session_id && self.xid == cxid,
            }
    }

    /// Whether its transaction is known to come behind this zxid: so do those of all who wait behind it.
    pub fn is_for_later(&self, zxid: i64) -> bool {
        self.what.is_txn() && matches!(self.until, Until::Zxid(awaited) if awaited > zxid)
    }

    /// Whether it waits for no transaction, and everything before it is applied.
    pub fn is_ready(&self, applied: i64) -> bool {
        !self.what.is_txn()
            && match self.until {
                Until::Zxid(zxid) => zxid <= applied,
                Until::Forwarded => matches!(self.what, Awaited::Refusal(_)),
            }
    }
}

impl Awaited {
    pub fn is_txn(&self) -> bool {
        match self {
            Awaited::Txn | Awaited::Welcome { .. } => true,
            Awaited::Sync { .. } | Awaited::Refusal(_) => false,
        }
    }
}
