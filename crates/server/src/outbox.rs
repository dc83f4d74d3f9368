//! From the node to the I/O threads: events, replies and closings, one mailbox per thread.
//!
//! The node fills a private copy and publishes it in one go, so that a batch of commits costs each I/O thread one lock
//! and one wake-up.

use crate::event_first::{Publish, Tray};
use mio::Waker;
use mio::net::TcpStream;
use node::{ConnId, Outbound, Session};
use std::net::SocketAddr;
use std::sync::Arc;

/// The I/O thread that owns a connection.
pub(crate) fn thread_of(conn: ConnId) -> usize {
    (conn >> 56) as usize
}

/// What a connection is to do. Frames are ranges of the mail's bytes.
#[derive(Debug)]
pub(crate) enum Delivery {
    Event {
        start: usize,
        end: usize,
    },
    Reply {
        start: usize,
        end: usize,
        latency_ms: u64,
    },
    Welcome {
        start: usize,
        end: usize,
        session: Arc<Session>,
    },
    Close {
        start: usize,
        end: usize,
    },
    /// Of every connection of the thread.
    CloseAll,
}

#[derive(Debug, Default)]
pub(crate) struct Mail {
    pub bytes: Vec<u8>,
    pub items: Vec<(ConnId, Delivery)>,
    /// Accepted by another thread.
    pub connections: Vec<(TcpStream, SocketAddr)>,
    pub stop: bool,
}

impl Mail {
    /// Forgets everything and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
        self.connections.clear();
        self.stop = false;
    }

    pub fn is_empty(&self) -> bool {
        self.items.is_empty() && self.connections.is_empty() && !self.stop
    }

    fn append(&mut self, other: &mut Mail) {
        let shift = self.bytes.len();
        self.bytes.append(&mut other.bytes);
        for (_, item) in &mut other.items {
            let (start, end) = match item {
                Delivery::Event { start, end }
                | Delivery::Reply { start, end, .. }
                | Delivery::Welcome { start, end, .. }
                | Delivery::Close { start, end } => (start, end),
                Delivery::CloseAll => continue,
            };
            *start += shift;
            *end += shift;
        }
        self.items.append(&mut other.items);
    }
}

/// One thread's mailbox.
pub(crate) struct Mailbox {
    tray: Tray<Mail>,
    waker: Waker,
}

impl Mailbox {
    pub fn new(waker: Waker) -> Mailbox {
        Mailbox { tray: Tray::default(), waker }
    }

    /// Where its mail is.
    pub fn tray(&self) -> &Tray<Mail> {
        &self.tray
    }

    pub fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "an I/O thread cannot be woken");
        }
    }

    pub fn send(&self, change: impl FnOnce(&mut Mail)) {
        if self.tray.put(change) {
            self.wake();
        }
    }
}

/// The node's side: collects privately, publishes at once.
pub(crate) struct Outboxes {
    boxes: Arc<Vec<Mailbox>>,
    pending: Vec<Mail>,
    to_wake: Vec<bool>,
}

impl Outboxes {
    pub fn new(boxes: Arc<Vec<Mailbox>>) -> Outboxes {
        let pending = boxes.iter().map(|_| Mail::default()).collect();
        let to_wake = vec![false; boxes.len()];
        Outboxes { boxes, pending, to_wake }
    }

    /// Wakes whoever got mail. Call after the lock is released.
    pub fn wake(&mut self) {
        for (mailbox, wake) in self.boxes.iter().zip(&mut self.to_wake) {
            if std::mem::take(wake) {
                mailbox.wake();
            }
        }
    }

    fn add(&mut self, conn: ConnId, frame: &[u8], item: impl FnOnce(usize, usize) -> Delivery) {
        let Some(mail) = self.pending.get_mut(thread_of(conn)) else { return };
        let start = mail.bytes.len();
        mail.bytes.extend_from_slice(frame);
        mail.items.push((conn, item(start, mail.bytes.len())));
    }
}

impl Publish for Outboxes {
    fn publish(&mut self) {
        for ((mailbox, pending), wake) in self.boxes.iter().zip(&mut self.pending).zip(&mut self.to_wake) {
            if !pending.is_empty() {
                *wake |= mailbox.tray.put(|mail| mail.append(pending));
            }
        }
    }
}

impl Outbound for Outboxes {
    fn event(&mut self, conn: ConnId, frame: &[u8]) {
        self.add(conn, frame, |start, end| Delivery::Event { start, end });
    }

    fn reply(&mut self, conn: ConnId, frame: &[u8], latency_ms: u64) {
        self.add(conn, frame, |start, end| Delivery::Reply { start, end, latency_ms });
    }

    fn welcome(&mut self, conn: ConnId, frame: &[u8], session: Arc<Session>) {
        self.add(conn, frame, |start, end| Delivery::Welcome { start, end, session });
    }

    fn close(&mut self, conn: ConnId, frame: Option<&[u8]>) {
        self.add(conn, frame.unwrap_or(&[]), |start, end| Delivery::Close { start, end });
    }

    fn close_all(&mut self) {
        for mail in &mut self.pending {
            mail.items.push((0, Delivery::CloseAll));
        }
    }
}
