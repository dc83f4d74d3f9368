//! The link to a server: frames in, frames out.

use super::ElectionEvent;
use super::hub::{Conn, Hub};
use mio::net::TcpStream;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use wire::election::split_frame;

/// Read calls of one turn; then the other links have theirs.
const READS_PER_TURN: usize = 16;
/// When we have knocked while the other side was connecting anyway, it closes that first link and connects once
/// more. For so long the loss of a new link is taken for that.
const SETTLING: Duration = Duration::from_millis(100);

pub(super) struct Link {
    pub stream: TcpStream,
    /// See [`Hub::next_number`].
    pub began: u64,
    sid: i64,
    peer: SocketAddr,
    patience: Duration,
    /// The beginning of a frame.
    received: Vec<u8>,
    /// One frame, and how much of it is written.
    sending: Vec<u8>,
    sent: usize,
    /// Since when a frame has been incomplete, each way, without progress.
    reading_since: Option<Instant>,
    writing_since: Option<Instant>,
}

impl Link {
    /// None while nothing is half done: a link may be silent for ever.
    pub fn deadline(&self) -> Option<Instant> {
        let since = self.reading_since.into_iter().chain(self.writing_since).min()?;
        Some(since + self.patience)
    }

    fn stage(&mut self, payload: &[u8]) {
        self.sending.clear();
        self.sent = 0;
        // Messages are limited when they are queued.
        self.sending.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        self.sending.extend_from_slice(payload);
    }

    /// Writes what is staged; false when the socket takes no more for now.
    fn write(&mut self) -> std::io::Result<bool> {
        while self.sent < self.sending.len() {
            match self.stream.write(&self.sending[self.sent..]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(n) => {
                    self.sent += n;
                    self.writing_since = None;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.writing_since.get_or_insert_with(Instant::now);
                    return Ok(false);
                }
                Err(error) => return Err(error),
            }
        }
        self.writing_since = None;
        Ok(true)
    }

    /// The whole frames received so far, taken out, and why what follows them is no frame.
    fn take_frames(&mut self) -> (Vec<Vec<u8>>, Option<String>) {
        let (mut frames, mut at) = (Vec::new(), 0);
        let trouble = loop {
            match split_frame(&self.received[at..]) {
                Ok(Some((payload, used))) => {
                    frames.push(payload.to_vec());
                    at += used;
                }
                Ok(None) => break None,
                Err(error) => break Some(error.to_string()),
            }
        };
        self.received.drain(..at);
        if self.received.is_empty() {
            self.received.shrink_to(4096);
            self.reading_since = None;
        } else if at > 0 {
            self.reading_since = Some(Instant::now());
        } else {
            self.reading_since.get_or_insert_with(Instant::now);
        }
        (frames, trouble)
    }
}

/// What one turn of reading ended with.
enum Turn {
    Drained,
    More,
    Ended(String),
    /// What came is no frame.
    Garbage(String),
}

impl Hub {
    /// Makes this connection the link to the server, in the place of an older one.
    pub fn install(&mut self, sid: i64, stream: TcpStream, address: SocketAddr, began: u64, rest: &[u8]) {
        self.abandon_attempt(sid);
        let link = Link {
            stream,
            began,
            sid,
            peer: address,
            patience: self.handshake_timeout(),
            received: rest.to_vec(),
            sending: Vec::new(),
            sent: 0,
            reading_since: None,
            writing_since: None,
        };
        let slot = match self.add(Conn::Link(link)) {
            Ok(slot) => slot,
            Err(error) => {
                tracing::error!(%error, peer = %address, "cannot watch an election connection");
                return self.settle(sid);
            }
        };
        let peer = self.peers.entry(sid).or_default();
        peer.expected_until = peer.expected_until.map(|at| at.min(Instant::now() + SETTLING));
        if let Some(former) = peer.link.replace(slot) {
            self.remove(former);
        }
        self.shared.mailbox.lock().open_queue(sid);
        tracing::debug!(server = sid, peer = %address, "election link");
        self.say_up(sid);
        self.stage_first(slot);
        self.link_ready(slot);
    }

    /// What waits goes first; if nothing does, the last message again, because it may never have arrived.
    fn stage_first(&mut self, slot: usize) {
        let Some(Conn::Link(link)) = self.conns.get_mut(slot) else { return };
        let Some(peer) = self.peers.get_mut(&link.sid) else { return };
        if let Some(payload) = self.shared.mailbox.lock().next_message(link.sid) {
            peer.last_sent = Some(payload);
        }
        if let Some(payload) = &peer.last_sent {
            link.stage(payload);
        }
    }

    /// Writes what waits for this link.
    pub fn pump(&mut self, slot: usize) {
        loop {
            let Some(Conn::Link(link)) = self.conns.get_mut(slot) else { return };
            match link.write() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => return self.link_broken(slot, &error.to_string()),
            }
            let Some(payload) = self.shared.mailbox.lock().next_message(link.sid) else { return };
            link.stage(&payload);
            if let Some(peer) = self.peers.get_mut(&link.sid) {
                peer.last_sent = Some(payload);
            }
        }
    }

    pub fn link_ready(&mut self, slot: usize) {
        self.pump(slot);
        for _ in 0..READS_PER_TURN {
            match self.read_once(slot) {
                Turn::Drained => return,
                Turn::More => {}
                Turn::Ended(why) => return self.link_broken(slot, &why),
                Turn::Garbage(why) => return self.link_cut(slot, &why),
            }
        }
        self.again.push(slot);
    }

    /// Hands on the whole frames there are, then reads once.
    fn read_once(&mut self, slot: usize) -> Turn {
        let Some(Conn::Link(link)) = self.conns.get_mut(slot) else { return Turn::Drained };
        let from = link.sid;
        let mut chunk = [0; 16 << 10];
        let turn = match link.stream.read(&mut chunk) {
            Ok(0) => Turn::Ended("closed by the other side".to_owned()),
            Ok(n) => {
                link.received.extend_from_slice(&chunk[..n]);
                Turn::More
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Turn::More,
            Err(error) if error.kind() == ErrorKind::WouldBlock => Turn::Drained,
            Err(error) => Turn::Ended(error.to_string()),
        };
        let (frames, trouble) = link.take_frames();
        for payload in frames {
            self.emit(ElectionEvent::Message { from, payload });
        }
        trouble.map_or(turn, Turn::Garbage)
    }

    /// The other side closed it, or the network did.
    pub fn link_broken(&mut self, slot: usize, why: &str) {
        let Some(Conn::Link(link)) = self.remove(slot) else { return };
        tracing::info!(server = link.sid, peer = %link.peer, "election connection closed: {why}");
        self.link_gone(link.sid);
    }

    /// We close it, because of what the other side does.
    pub fn link_cut(&mut self, slot: usize, why: &str) {
        let Some(Conn::Link(link)) = self.remove(slot) else { return };
        tracing::warn!(server = link.sid, peer = %link.peer, "cut an election connection: {why}");
        self.link_gone(link.sid);
    }

    fn link_gone(&mut self, sid: i64) {
        if let Some(peer) = self.peers.get_mut(&sid) {
            peer.link = None;
        }
        self.settle(sid);
    }

    fn say_up(&mut self, sid: i64) {
        let Some(peer) = self.peers.get_mut(&sid) else { return };
        peer.told = None;
        if !std::mem::replace(&mut peer.up, true) {
            self.emit(ElectionEvent::LinkUp(sid));
        }
    }
}
