//! What callers leave for the network's thread: messages, one per server, and wishes.

use super::PeerAddress;
use super::resolve::Answer;
use mio::Waker;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use wire::election::MAX_FRAME_BYTES;

/// Messages to myself that may wait; then the oldest goes, as in Apache's receive queue.
const TO_SELF: usize = 100;

pub(super) struct Shared {
    pub mailbox: Mutex<Mailbox>,
    waker: Waker,
}

impl Shared {
    pub fn new(me: i64, waker: Waker) -> Shared {
        let mailbox = Mutex::new(Mailbox { me, ..Mailbox::default() });
        Shared { mailbox, waker }
    }

    /// Changes the mailbox and has the thread look at it.
    pub fn update(&self, change: impl FnOnce(&mut Mailbox)) {
        change(&mut self.mailbox.lock());
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "cannot wake the election thread");
        }
    }
}

#[derive(Default)]
pub(super) struct Mailbox {
    me: i64,
    /// For every server that was written to or is linked: what waits to be sent.
    queues: BTreeMap<i64, Option<Vec<u8>>>,
    known: BTreeSet<i64>,
    wishes: Wishes,
    pub stop: bool,
}

/// What the thread takes out in one piece.
#[derive(Default)]
pub(super) struct Wishes {
    pub peers: Option<Vec<PeerAddress>>,
    pub to_self: VecDeque<Vec<u8>>,
    /// Servers for which something was queued.
    pub sent: BTreeSet<i64>,
    pub connect_all: bool,
    pub answers: Vec<Answer>,
}

impl Mailbox {
    pub fn send(&mut self, to: i64, payload: Vec<u8>) {
        if payload.is_empty() || payload.len() > MAX_FRAME_BYTES {
            let bytes = payload.len();
            tracing::error!(
                server = to,
                bytes,
                limit = MAX_FRAME_BYTES,
                "election message not sent: bad length"
            );
            return;
        }
        if to == self.me {
            if self.wishes.to_self.len() == TO_SELF {
                self.wishes.to_self.pop_front();
            }
            self.wishes.to_self.push_back(payload);
        } else if self.known.contains(&to) || self.queues.contains_key(&to) {
            self.queues.insert(to, Some(payload));
            self.wishes.sent.insert(to);
        } else {
            tracing::debug!(server = to, "no election message sent: neither configured nor connected");
        }
    }

    pub fn connect_all(&mut self) {
        self.wishes.connect_all = true;
    }

    pub fn set_peers(&mut self, mut peers: Vec<PeerAddress>) {
        peers.retain(|peer| peer.sid != self.me);
        self.known = peers.iter().map(|peer| peer.sid).collect();
        self.wishes.peers = Some(peers);
    }

    pub fn answer(&mut self, answer: Answer) {
        self.wishes.answers.push(answer);
    }

    pub fn delivered_all(&self) -> bool {
        self.queues.values().any(Option::is_none)
    }

    pub fn take_wishes(&mut self) -> Wishes {
        std::mem::take(&mut self.wishes)
    }

    /// A link exists: what is sent now has somewhere to wait.
    pub fn open_queue(&mut self, sid: i64) {
        self.queues.entry(sid).or_default();
    }

    pub fn next_message(&mut self, sid: i64) -> Option<Vec<u8>> {
        self.queues.get_mut(&sid)?.take()
    }

    /// The server is neither configured nor linked any more.
    pub fn close_queue(&mut self, sid: i64) {
        if !self.known.contains(&sid) {
            self.queues.remove(&sid);
        }
    }

    /// The servers that were written to.
    pub fn written_to(&self) -> Vec<i64> {
        self.queues.keys().copied().collect()
    }
}
