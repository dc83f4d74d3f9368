//! An I/O thread: sockets in, sockets out. Each owns its connections alone.
//!
//! One turn: read what has arrived into one arena, take the tree's shared lock once, empty the mailbox, let each
//! connection handle its bytes, release the lock, hand the writes to the node, and send.

mod accept;
mod slot;

use crate::event_first;
use crate::outbox::{Delivery, Mail};
use crate::shared::{NodeInput, Shared};
use crate::status;
use accept::Acceptor;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use node::{Conn, ConnContext, ConnId, Progress, Submission, Tally};
use slab::Slab;
use slot::{Received, Slot};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) const WAKE: Token = Token(usize::MAX);
const LISTEN: Token = Token(usize::MAX - 1);

const ARENA_BYTES: usize = 512 << 10;
/// The most that one call reads from one socket.
const READ_BYTES: usize = 64 << 10;
/// Connections handled under one hold of the shared lock.
const SLICE: usize = 8;
/// How often in one turn mail alone is looked at.
const MAIL_ROUNDS: usize = 8;
/// A mail buffer that grew beyond this is given back.
const MAIL_KEPT_BYTES: usize = 4 << 20;
const MAINTENANCE_MS: i64 = 1000;
const STALL_RETRY_MS: i64 = 5;

pub(crate) struct IoThread {
    index: usize,
    shared: Arc<Shared>,
    poll: Poll,
    acceptor: Option<Acceptor>,
    slots: Slab<Slot>,
    generation: u32,
    /// Slots with something to do.
    ready: Vec<usize>,
    arena: Vec<u8>,
    received: Vec<Received>,
    mail: Mail,
    submission: Submission,
    /// Slots with something to send or to close.
    dirty: Vec<usize>,
    words: Vec<(usize, [u8; 4])>,
    /// Counted since it was last added to what status pages show.
    tally: Tally,
    next_maintenance_ms: i64,
    stalled: bool,
    stop: bool,
}

/// The connection's name: thread, generation of its slot, slot.
fn conn_id(thread: usize, generation: u32, slot: usize) -> ConnId {
    (thread as u64) << 56 | u64::from(generation & 0xff_ffff) << 32 | slot as u64 & 0xffff_ffff
}

fn slot_of(conn: ConnId) -> usize {
    (conn & 0xffff_ffff) as usize
}

impl IoThread {
    pub fn new(
        index: usize,
        shared: Arc<Shared>,
        poll: Poll,
        listener: Option<TcpListener>,
    ) -> io::Result<Self> {
        let acceptor = match listener {
            Some(mut listener) => {
                poll.registry().register(&mut listener, LISTEN, Interest::READABLE)?;
                Some(Acceptor::new(listener, shared.mailboxes.len()))
            }
            None => None,
        };
        Ok(IoThread {
            index,
            shared,
            poll,
            acceptor,
            slots: Slab::new(),
            generation: 0,
            ready: Vec::new(),
            arena: vec![0; ARENA_BYTES],
            received: Vec::new(),
            mail: Mail::default(),
            submission: Submission::default(),
            dirty: Vec::new(),
            words: Vec::new(),
            tally: Tally::default(),
            next_maintenance_ms: 0,
            stalled: false,
            stop: false,
        })
    }

    /// Runs until told to stop.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        while !self.stop {
            match self.poll.poll(&mut events, self.timeout()) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            let now_ms = self.shared.clock.mono_ms();
            self.retry_stalled();
            for event in &events {
                match event.token() {
                    WAKE => {}
                    LISTEN => self.accept(now_ms),
                    Token(slot) => {
                        if let Some(s) = self.slots.get_mut(slot) {
                            s.on_ready(event);
                            s.queue(slot, &mut self.ready);
                        }
                    }
                }
            }
            self.turn(now_ms);
            if now_ms >= self.next_maintenance_ms {
                self.maintain(now_ms);
            }
        }
        self.close_all();
        Ok(())
    }

    fn timeout(&self) -> Option<Duration> {
        let ms = if !self.ready.is_empty() {
            0
        } else if self.stalled {
            STALL_RETRY_MS
        } else {
            (self.next_maintenance_ms - self.shared.clock.mono_ms()).clamp(0, MAINTENANCE_MS)
        };
        Some(Duration::from_millis(ms as u64))
    }

    fn accept(&mut self, now_ms: i64) {
        let Some(mut acceptor) = self.acceptor.take() else { return };
        while let Some((stream, peer, thread)) = acceptor.next(&self.shared) {
            if thread == self.index {
                self.adopt(stream, peer, now_ms);
            } else {
                self.shared.mailboxes[thread].send(|mail| mail.connections.push((stream, peer)));
            }
        }
        self.acceptor = Some(acceptor);
    }

    fn adopt(&mut self, mut stream: TcpStream, peer: SocketAddr, now_ms: i64) {
        let entry = self.slots.vacant_entry();
        let slot = entry.key();
        self.generation = self.generation.wrapping_add(1);
        let id = conn_id(self.index, self.generation, slot);
        let interest = Interest::READABLE | Interest::WRITABLE;
        if let Err(error) = self.poll.registry().register(&mut stream, Token(slot), interest) {
            tracing::warn!(%error, %peer, "a connection cannot be watched and is dropped");
            return accept::forget(&self.shared, peer);
        }
        let conn = Conn::new(id, peer.ip());
        accept::list(&self.shared, id, peer, conn.stats().clone());
        entry.insert(Slot::new(conn, stream, peer, now_ms));
    }

    fn turn(&mut self, now_ms: i64) {
        self.receive(now_ms);
        self.handle(now_ms);
        self.answer_words();
        if !self.submission.requests.is_empty() {
            let capacity = (self.submission.bytes.len(), self.submission.requests.len());
            let next = Submission {
                bytes: Vec::with_capacity(capacity.0),
                requests: Vec::with_capacity(capacity.1),
            };
            let submission = std::mem::replace(&mut self.submission, next);
            self.shared.inbox.send(NodeInput::Submission(submission));
        }
        self.send();
    }

    /// Reads from every ready socket that may be read, as far as the arena reaches.
    fn receive(&mut self, now_ms: i64) {
        self.received.clear();
        let max_buffer = self.shared.settings.max_buffer;
        let mut at = 0;
        let ready = std::mem::take(&mut self.ready);
        for slot in ready {
            let Some(s) = self.slots.get_mut(slot) else { continue };
            s.queued = false;
            if ARENA_BYTES - at < READ_BYTES {
                s.queue(slot, &mut self.ready);
                continue;
            }
            let got = s.receive(&mut self.arena[at..at + READ_BYTES], max_buffer, now_ms);
            if s.readable && s.conn.wants_bytes(max_buffer) {
                s.queue(slot, &mut self.ready);
            }
            self.received.push(Received { slot, start: at, end: at + got });
            at += got;
            if s.conn.has_outgoing() || s.gone {
                self.dirty.push(slot);
            }
        }
    }

    /// Lets connections handle what was received, and what they had kept, a slice at a time.
    fn handle(&mut self, now_ms: i64) {
        let shared = self.shared.clone();
        let tray = shared.mailboxes[self.index].tray();
        let mut from = 0;
        let mut idle_rounds = 0;
        loop {
            if from == self.received.len() {
                // Mail that comes after the last round wakes this thread again: replies must not wait for silence.
                idle_rounds += 1;
                if !tray.is_filled() || idle_rounds > MAIL_ROUNDS {
                    return;
                }
            }
            let (tree, mail) = event_first::look(&shared.tree, tray, &mut self.mail);
            if mail {
                self.deliver(now_ms, tree.last_zxid());
            }
            let mut cx = ConnContext {
                tree: &tree,
                watches: &shared.watches,
                settings: &shared.settings,
                inflight: &shared.inflight,
                now_ms,
                submission: &mut self.submission,
            };
            let end = self.received.len().min(from + SLICE);
            for received in &self.received[from..end] {
                let Some(s) = self.slots.get_mut(received.slot) else { continue };
                let bytes = &self.arena[received.start..received.end];
                if bytes.is_empty() && !s.conn.has_backlog() {
                    continue;
                }
                match s.conn.handle(bytes, &mut cx) {
                    Progress::Waiting => {}
                    Progress::More => s.queue(received.slot, &mut self.ready),
                    Progress::Word(word) => self.words.push((received.slot, word)),
                    Progress::Closing => s.closing = true,
                }
                self.stalled |= s.conn.is_stalled();
                if s.conn.has_outgoing() || s.closing || s.conn.writes_in_flight() > 0 {
                    self.dirty.push(received.slot);
                }
            }
            from = end;
        }
    }

    /// Gives the mail to its connections. Those that waited for a reply are handled again at once.
    fn deliver(&mut self, now_ms: i64, applied: i64) {
        let mut mail = std::mem::take(&mut self.mail);
        self.stop |= mail.stop;
        for (id, item) in mail.items.drain(..) {
            if matches!(item, Delivery::CloseAll) {
                self.close_clients();
                continue;
            }
            let slot = slot_of(id);
            let Some(s) = self.slots.get_mut(slot).filter(|s| s.conn.id() == id) else {
                continue;
            };
            match item {
                Delivery::Event { start, end } => s.conn.on_event(&mail.bytes[start..end]),
                Delivery::Reply { start, end, latency_ms } => {
                    s.conn.on_reply(&mail.bytes[start..end], latency_ms, &self.shared.inflight)
                }
                Delivery::Welcome { start, end, session } => {
                    s.conn.on_welcome(&mail.bytes[start..end], session, applied)
                }
                Delivery::Close { start, end } => s.conn.on_close(Some(&mail.bytes[start..end])),
                Delivery::CloseAll => {}
            }
            s.closing |= s.conn.is_closing();
            if !s.mailed {
                s.mailed = true;
                self.dirty.push(slot);
                if s.conn.has_backlog() && s.conn.writes_in_flight() == 0 {
                    self.received.push(Received { slot, start: 0, end: 0 });
                }
            } else if s.conn.has_backlog() && s.conn.writes_in_flight() == 0 {
                self.received.push(Received { slot, start: 0, end: 0 });
            }
        }
        for (stream, peer) in mail.connections.drain(..) {
            self.adopt(stream, peer, now_ms);
        }
        mail.clear();
        self.mail = if mail.bytes.capacity() > MAIL_KEPT_BYTES { Mail::default() } else { mail };
    }

    /// This server serves nobody any more. Connections that have said nothing yet may ask for its status.
    fn close_clients(&mut self) {
        for (slot, s) in &mut self.slots {
            if !s.conn.is_fresh() {
                s.conn.close();
                s.closing = true;
                if !s.mailed {
                    s.mailed = true;
                    self.dirty.push(slot);
                }
            }
        }
    }

    fn answer_words(&mut self) {
        for (slot, word) in std::mem::take(&mut self.words) {
            let text = status::answer(&self.shared, word);
            if let Some(s) = self.slots.get_mut(slot) {
                s.conn.outgoing().extend_from_slice(text.as_bytes());
                s.conn.close();
                s.closing = true;
                self.dirty.push(slot);
            }
        }
    }

    fn send(&mut self) {
        let now_ms = self.shared.clock.mono_ms();
        let max_buffer = self.shared.settings.max_buffer;
        for slot in std::mem::take(&mut self.dirty) {
            let Some(s) = self.slots.get_mut(slot) else { continue };
            s.mailed = false;
            self.tally.add(&s.conn.take_tally(now_ms));
            s.send(now_ms);
            if s.gone || (s.closing && !s.conn.has_outgoing()) {
                self.remove(slot);
            } else if (s.conn.has_kept_requests() || s.readable) && s.conn.wants_bytes(max_buffer) {
                s.queue(slot, &mut self.ready);
            }
        }
        if self.tally.received + self.tally.sent > 0 {
            self.shared.tallies[self.index].lock().add(&std::mem::take(&mut self.tally));
        }
        if !self.submission.requests.is_empty() {
            let submission = std::mem::take(&mut self.submission);
            self.shared.inbox.send(NodeInput::Submission(submission));
        }
    }

    fn remove(&mut self, slot: usize) {
        let Some(mut s) = self.slots.try_remove(slot) else { return };
        let now_ms = self.shared.clock.mono_ms();
        s.conn.on_gone(&self.shared.watches, &self.shared.inflight, now_ms, &mut self.submission);
        // Closing the socket takes it out of the poll as well.
        let _already_out = self.poll.registry().deregister(&mut s.stream);
        accept::unlist(&self.shared, s.conn.id(), s.peer);
    }

    /// Once a second: connections without handshake, silent ones, closing ones whose peer does not read.
    fn maintain(&mut self, now_ms: i64) {
        self.next_maintenance_ms = now_ms + MAINTENANCE_MS;
        // The poll does not tell again of connections that could not be accepted for want of open files.
        self.accept(now_ms);
        let fresh_ms = self.shared.config.limits.sessionless_cnxn_timeout_ms as i64;
        let overdue = self.slots.iter().filter(|(_, s)| s.is_overdue(now_ms, fresh_ms)).map(|(slot, _)| slot);
        let overdue: Vec<usize> = overdue.collect();
        for slot in overdue {
            self.remove(slot);
        }
        self.send();
    }

    fn retry_stalled(&mut self) {
        if !std::mem::take(&mut self.stalled) {
            return;
        }
        for (slot, s) in &mut self.slots {
            if s.conn.is_stalled() {
                s.queue(slot, &mut self.ready);
            }
        }
    }

    fn close_all(&mut self) {
        let now_ms = self.shared.clock.mono_ms();
        let all: Vec<usize> = self.slots.iter().map(|(slot, _)| slot).collect();
        for slot in all {
            if let Some(s) = self.slots.get_mut(slot) {
                s.send(now_ms);
            }
            self.remove(slot);
        }
        self.shared.counters.connections.store(0, Ordering::Relaxed);
    }
}
