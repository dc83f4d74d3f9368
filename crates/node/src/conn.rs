//! One client connection as a machine: bytes in, answers out, writes passed on.
//!
//! Requests are handled in the order in which they came. Writes go to the node one behind the other; a read waits
//! until no write of its connection is under way, and what waits simply stays unparsed in the inbound bytes. So a read
//! sees every write sent before it and none sent after it, and there is no queue to bound but those bytes.

use crate::auth::{self, AuthIds, Shown};
use crate::limits::{
    INBOUND_BYTES, OUTBOUND_CLOSE_BYTES, OUTBOUND_PAUSE_BYTES, REQUESTS_PER_TURN, SUBMITTED_BYTES,
    WRITES_IN_FLIGHT_PER_CONNECTION,
};
use crate::machine::{Submission, SubmissionKind, Submitted};
use crate::outbound::ConnId;
use crate::read::{self, ReadContext};
use crate::reply;
use crate::session::Session;
use crate::settings::Settings;
use crate::tally::{ConnStats, Tally};
use crate::throttle::Inflight;
use crate::watch::{Watcher, Watches};
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use tree::Tree;
use wire::jute::Limits;
use wire::ops::OpClass;
use wire::request::{AuthPacket, RequestHeader};
use wire::{ErrorCode, OpCode, Reader, Word, frame};

/// What a connection needs while it handles bytes; all of it is shared, and the tree is locked against changes.
pub struct ConnContext<'a> {
    pub tree: &'a Tree,
    pub watches: &'a Watches,
    pub settings: &'a Settings,
    pub inflight: &'a Inflight,
    pub now_ms: i64,
    pub submission: &'a mut Submission,
}

/// Where a connection stands after handling bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Waits for more bytes, or for answers.
    Waiting,
    /// Its turn is over though it could go on.
    More,
    /// It began with a four-letter word instead of a handshake.
    Word([u8; 4]),
    /// To be closed once its outgoing bytes are sent.
    Closing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Fresh,
    /// The handshake is with the node.
    Connecting,
    Open,
    /// closeSession is with the node: whatever follows it is ignored.
    Ending,
    Closing,
}

/// See the module's introduction.
pub struct Conn {
    id: ConnId,
    phase: Phase,
    watcher: Arc<Watcher>,
    ids: AuthIds,
    session: Option<Arc<Session>>,
    inbound: Vec<u8>,
    out: Vec<u8>,
    /// The handshake names a session that exists already.
    attaching: bool,
    /// Submitted and not yet answered, in their order.
    under_way: VecDeque<OpCode>,
    /// Of what was submitted since nothing was under way.
    submitted_bytes: i64,
    large_bytes: i64,
    blocked_since_ms: Option<i64>,
    /// The last turn ended because too much was outgoing.
    held_back: bool,
    tally: Tally,
    stats: Arc<ConnStats>,
}

/// Room for so many requests under way is kept while there are none.
const FEW_UNDER_WAY: usize = 64;

/// What to do after one frame.
enum Flow {
    Next,
    /// The frame must wait.
    Blocked,
    Close,
}

impl Conn {
    pub fn new(id: ConnId, address: IpAddr) -> Conn {
        let ids = auth::initial_ids(address);
        Conn {
            id,
            phase: Phase::Fresh,
            watcher: Watcher::new(id, ids.clone()),
            ids,
            session: None,
            inbound: Vec::new(),
            out: Vec::new(),
            attaching: false,
            under_way: VecDeque::new(),
            submitted_bytes: 0,
            large_bytes: 0,
            blocked_since_ms: None,
            held_back: false,
            tally: Tally::default(),
            stats: Arc::default(),
        }
    }

    pub fn id(&self) -> ConnId {
        self.id
    }

    pub fn stats(&self) -> &Arc<ConnStats> {
        &self.stats
    }

    pub fn session(&self) -> Option<&Arc<Session>> {
        self.session.as_ref()
    }

    /// Bytes to send.
    pub fn outgoing(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    pub fn has_outgoing(&self) -> bool {
        !self.out.is_empty()
    }

    /// Whether inbound bytes wait for nothing but room in the outgoing ones.
    pub fn has_kept_requests(&self) -> bool {
        self.has_backlog() && self.held_back
    }

    /// Whether its socket should be read: there is room for what comes.
    pub fn wants_bytes(&self, max_buffer: usize) -> bool {
        self.phase != Phase::Closing
            && self.out.len() < OUTBOUND_PAUSE_BYTES
            && self.inbound.len() < INBOUND_BYTES.max(max_buffer + 4)
    }

    /// Whether inbound bytes wait that could be handled now.
    pub fn has_backlog(&self) -> bool {
        !self.inbound.is_empty() && self.phase != Phase::Closing
    }

    pub fn is_closing(&self) -> bool {
        self.phase == Phase::Closing
    }

    /// Whether no handshake has been seen: such connections are closed after a while.
    pub fn is_fresh(&self) -> bool {
        self.phase == Phase::Fresh
    }

    /// Takes bytes from the socket and handles every request that can be handled now.
    pub fn handle(&mut self, fresh: &[u8], cx: &mut ConnContext<'_>) -> Progress {
        if self.inbound.is_empty() {
            let (progress, used) = self.handle_bytes(fresh, cx);
            self.inbound.extend_from_slice(&fresh[used..]);
            return progress;
        }
        self.inbound.extend_from_slice(fresh);
        let mut inbound = std::mem::take(&mut self.inbound);
        let (progress, used) = self.handle_bytes(&inbound, cx);
        if used == inbound.len() {
            // An idle connection holds no memory.
            self.inbound = Vec::new();
        } else {
            inbound.drain(..used);
            self.inbound = inbound;
        }
        progress
    }

    fn handle_bytes(&mut self, bytes: &[u8], cx: &mut ConnContext<'_>) -> (Progress, usize) {
        let mut used = 0;
        for _ in 0..REQUESTS_PER_TURN {
            match self.phase {
                Phase::Closing => return (Progress::Closing, bytes.len()),
                Phase::Ending => return (Progress::Waiting, bytes.len()),
                Phase::Connecting => return (Progress::Waiting, used),
                Phase::Fresh => {
                    if let Some(word) = bytes.first_chunk::<4>().filter(|first| Word::of(**first).is_some()) {
                        return (Progress::Word(*word), bytes.len());
                    }
                }
                Phase::Open => {}
            }
            self.held_back = self.out.len() >= OUTBOUND_PAUSE_BYTES;
            if self.held_back {
                return (Progress::Waiting, used);
            }
            let (payload, taken) = match frame::split(&bytes[used..], cx.settings.max_buffer) {
                Ok(Some(split)) => split,
                Ok(None) => return (Progress::Waiting, used),
                Err(_) => return (self.close(), bytes.len()),
            };
            let flow = if self.phase == Phase::Fresh {
                self.connect(payload, cx)
            } else {
                self.request(payload, cx)
            };
            match flow {
                Flow::Next => used += taken,
                Flow::Blocked => return (Progress::Waiting, used),
                Flow::Close => return (self.close(), bytes.len()),
            }
        }
        (Progress::More, used)
    }

    /// No further request is handled; what is outgoing is still sent.
    pub fn close(&mut self) -> Progress {
        self.phase = Phase::Closing;
        self.inbound = Vec::new();
        Progress::Closing
    }

    fn connect(&mut self, payload: &[u8], cx: &mut ConnContext<'_>) -> Flow {
        let Ok(request) = wire::request::ConnectRequest::decode(payload) else { return Flow::Close };
        self.attaching = request.session_id != 0;
        self.tally.received += 1;
        self.phase = Phase::Connecting;
        self.submit(cx, SubmissionKind::Connect, payload);
        Flow::Next
    }

    fn submit(&self, cx: &mut ConnContext<'_>, kind: SubmissionKind, body: &[u8]) {
        let start = cx.submission.bytes.len();
        cx.submission.bytes.extend_from_slice(body);
        cx.submission.requests.push(Submitted {
            conn: self.id,
            session_id: self.session.as_ref().map_or(0, |s| s.id),
            kind,
            start,
            end: cx.submission.bytes.len(),
            ids: self.ids.clone(),
            received_ms: self.blocked_since_ms.unwrap_or(cx.now_ms),
        });
    }

    /// The steps of client-surface §1.2.
    fn request(&mut self, payload: &[u8], cx: &mut ConnContext<'_>) -> Flow {
        let limits = Limits { field_bytes: cx.settings.max_record };
        let mut body = Reader::with_limits(payload, limits);
        let Ok(header) = RequestHeader::decode(&mut body) else { return Flow::Close };
        let op = OpCode::from_code(header.op);
        match op.map(|op| (op, op.class())) {
            Some((op, OpClass::Connection)) => self.authenticate(op, header.xid, body, cx),
            Some((op, class @ (OpClass::Read | OpClass::Write | OpClass::Sync))) => {
                if self.is_stale(op, class, cx) {
                    cx.inflight.count_stale_dropped();
                    return Flow::Close;
                }
                if self.must_wait(class, cx) {
                    self.blocked_since_ms.get_or_insert(cx.now_ms);
                    return Flow::Blocked;
                }
                let flow = self.admitted(op, class, header.xid, body, payload.len(), cx);
                self.blocked_since_ms = None;
                flow
            }
            Some((_, OpClass::Internal)) | None => {
                if !self.under_way.is_empty() {
                    return Flow::Blocked;
                }
                self.refuse_unknown(header.xid, cx)
            }
        }
    }

    fn refuse_unknown(&mut self, xid: i32, cx: &ConnContext<'_>) -> Flow {
        if !self.is_authenticated(cx) {
            return self.refuse_unauthenticated(xid);
        }
        let touched = self.session.as_ref().is_some_and(|s| !s.is_closing());
        if touched {
            reply::write_plain(&mut self.out, xid, -1, ErrorCode::Unimplemented.code());
            return Flow::Close;
        }
        Flow::Next
    }

    /// Order within the session, and the limits on what is under way.
    fn must_wait(&self, class: OpClass, cx: &ConnContext<'_>) -> bool {
        let throttle = &cx.settings.throttle;
        if class == OpClass::Read {
            return !self.under_way.is_empty();
        }
        let under_way = cx.inflight.requests();
        self.under_way.len() >= WRITES_IN_FLIGHT_PER_CONNECTION
            || cx.inflight.bytes() >= SUBMITTED_BYTES
            || (under_way >= throttle.global_outstanding && !self.under_way.is_empty())
            || (throttle.max_requests > 0 && under_way >= throttle.max_requests)
    }

    /// Whether the request has become pointless while it waited to be let in. Reads never wait for that, and the end of
    /// a session cleans up however late it is.
    fn is_stale(&self, op: OpCode, class: OpClass, cx: &ConnContext<'_>) -> bool {
        let throttle = &cx.settings.throttle;
        let timeout_ms = self.session.as_ref().map_or(0, |session| session.timeout_ms()) as u64;
        let limited = throttle.max_requests > 0 && throttle.drop_stale;
        limited && class != OpClass::Read && op != OpCode::CloseSession && self.waited_ms(cx) > timeout_ms
    }

    fn admitted(
        &mut self,
        op: OpCode,
        class: OpClass,
        xid: i32,
        body: Reader<'_>,
        bytes: usize,
        cx: &mut ConnContext<'_>,
    ) -> Flow {
        self.tally.received += 1;
        if !self.is_authenticated(cx) {
            return self.refuse_unauthenticated(xid);
        }
        let throttle = &cx.settings.throttle;
        let large = throttle.large_request_threshold > 0 && bytes as i64 > throttle.large_request_threshold;
        if large && cx.inflight.large_bytes() + bytes as i64 > throttle.large_request_max_bytes {
            return Flow::Close;
        }
        let Some(session) = &self.session else { return Flow::Close };
        if !session.touch(cx.now_ms) {
            return Flow::Next;
        }
        if self.waited_too_long(op, cx) {
            let zxid = cx.tree.last_zxid();
            reply::write_plain(&mut self.out, xid, zxid, ErrorCode::ThrottledOp.code());
            self.tally.answered(None, xid, zxid, self.waited_ms(cx));
            return Flow::Next;
        }
        if class == OpClass::Read {
            self.read(op, xid, body, cx);
            return Flow::Next;
        }
        if large {
            self.large_bytes += bytes as i64;
            cx.inflight.add_large_bytes(bytes as i64);
        }
        self.under_way.push_back(op);
        self.submitted_bytes += bytes as i64;
        cx.inflight.add_requests(1);
        cx.inflight.add_bytes(bytes as i64);
        self.submit(cx, SubmissionKind::Request { op, xid }, body.rest());
        if op == OpCode::CloseSession {
            self.phase = Phase::Ending;
        }
        Flow::Next
    }

    fn refuse_unauthenticated(&mut self, xid: i32) -> Flow {
        reply::write_plain(&mut self.out, xid, 0, ErrorCode::SessionClosedRequireSaslAuth.code());
        Flow::Close
    }

    fn waited_too_long(&self, op: OpCode, cx: &ConnContext<'_>) -> bool {
        let limit_ms = cx.settings.throttle.throttled_op_wait_ms;
        let exempt = matches!(op, OpCode::Ping | OpCode::CloseSession);
        limit_ms > 0 && self.waited_ms(cx) > limit_ms as u64 && !exempt
    }

    /// How long the request at hand was held back.
    fn waited_ms(&self, cx: &ConnContext<'_>) -> u64 {
        self.blocked_since_ms.map_or(0, |since| (cx.now_ms - since).max(0) as u64)
    }

    fn is_authenticated(&self, cx: &ConnContext<'_>) -> bool {
        match &cx.settings.auth.enforced_schemes {
            None => true,
            Some(schemes) => self.ids.iter().any(|id| schemes.contains(&id.scheme)),
        }
    }

    /// What was counted since the last call; it is shown in [`Conn::stats`] from now on.
    pub fn take_tally(&mut self, now_ms: i64) -> Tally {
        let tally = std::mem::take(&mut self.tally);
        self.stats.add(&tally, self.under_way.len(), now_ms);
        tally
    }

    fn read(&mut self, op: OpCode, xid: i32, body: Reader<'_>, cx: &ConnContext<'_>) {
        let context = ReadContext {
            tree: cx.tree,
            watches: cx.watches,
            settings: cx.settings,
            watcher: &self.watcher,
            ids: &self.ids,
            session_id: self.session.as_ref().map_or(0, |s| s.id),
        };
        // A refusal is in the answer already.
        let _refused = read::answer(&context, op, xid, body, &mut self.out);
        self.tally.answered(Some(op), xid, cx.tree.last_zxid(), self.waited_ms(cx));
    }

    /// Answered by the connection itself, with zxid 0, and not bound to the order of other answers.
    fn authenticate(&mut self, op: OpCode, xid: i32, mut body: Reader<'_>, cx: &ConnContext<'_>) -> Flow {
        self.tally.received += 1;
        self.tally.sent += 1;
        if op == OpCode::Sasl {
            // Not configured: an empty token, and the client goes on without.
            let answered = reply::write(&mut self.out, xid, 0, |out| {
                wire::jute::Put::put_buffer(out, None);
                Ok(())
            });
            return if answered.is_ok() { Flow::Next } else { Flow::Close };
        }
        let Ok(packet) = AuthPacket::decode(&mut body) else { return Flow::Close };
        let scheme = packet.scheme.unwrap_or_default();
        match auth::show(&cx.settings.auth, &self.ids, &scheme, packet.auth) {
            Shown::Ids(ids) => {
                self.watcher.set_ids(ids.clone());
                self.ids = ids;
                reply::write_plain(&mut self.out, xid, 0, 0);
                Flow::Next
            }
            Shown::Refused => {
                reply::write_plain(&mut self.out, xid, 0, ErrorCode::AuthFailed.code());
                Flow::Close
            }
            Shown::Closed => Flow::Close,
        }
    }

    /// A notification from the node.
    pub fn on_event(&mut self, frame: &[u8]) {
        if self.phase != Phase::Closing {
            self.tally.sent += 1;
            self.push(frame);
        }
    }

    /// The answer to a submitted request.
    pub fn on_reply(&mut self, frame: &[u8], latency_ms: u64, inflight: &Inflight) {
        let op = self.under_way.pop_front();
        inflight.add_requests(-1);
        if self.under_way.is_empty() {
            self.release(inflight);
        }
        if let Some(header) = reply::header(frame) {
            let carried_out = op.filter(|_| header.err == 0);
            self.tally.answered(carried_out, header.xid, header.zxid, latency_ms);
        }
        if self.phase != Phase::Closing {
            self.push(frame);
        }
    }

    /// The handshake succeeded, and the tree has everything up to `applied`.
    pub fn on_welcome(&mut self, frame: &[u8], session: Arc<Session>, applied: i64) {
        self.tally.sent += 1;
        if !self.attaching {
            self.tally.note(Some(OpCode::CreateSession), 0, applied);
        }
        self.stats.set_session(session.id, session.timeout_ms());
        self.session = Some(session);
        self.push(frame);
        if self.phase == Phase::Connecting {
            self.phase = Phase::Open;
        }
    }

    /// The node ends this connection.
    pub fn on_close(&mut self, frame: Option<&[u8]>) {
        if let Some(frame) = frame {
            self.push(frame);
        }
        self.close();
    }

    fn push(&mut self, frame: &[u8]) {
        if self.out.len() > OUTBOUND_CLOSE_BYTES {
            // What it has not taken by the time the shell cuts it off is lost with it.
            self.close();
            return;
        }
        self.out.extend_from_slice(frame);
    }

    /// The socket is gone: gives back what was counted and tells the node.
    pub fn on_gone(
        &mut self,
        watches: &Watches,
        inflight: &Inflight,
        now_ms: i64,
        submission: &mut Submission,
    ) {
        watches.remove_connection(&self.watcher);
        inflight.add_requests(-(self.under_way.len() as i64));
        self.release(inflight);
        self.phase = Phase::Closing;
        if let Some(session) = &self.session {
            let at = submission.bytes.len();
            submission.requests.push(Submitted {
                conn: self.id,
                session_id: session.id,
                kind: SubmissionKind::Gone,
                start: at,
                end: at,
                ids: self.ids.clone(),
                received_ms: now_ms,
            });
        }
    }

    /// Nothing is under way any more: an idle connection holds no memory for it.
    fn release(&mut self, inflight: &Inflight) {
        if self.under_way.capacity() > FEW_UNDER_WAY || !self.under_way.is_empty() {
            self.under_way = VecDeque::new();
        }
        inflight.add_bytes(-std::mem::take(&mut self.submitted_bytes));
        if self.large_bytes > 0 {
            inflight.add_large_bytes(-std::mem::take(&mut self.large_bytes));
        }
    }

    /// Whether a request waits for others than this connection's own: nothing will say when it can go on.
    pub fn is_stalled(&self) -> bool {
        self.blocked_since_ms.is_some() && self.under_way.is_empty() && self.phase == Phase::Open
    }

    pub fn writes_in_flight(&self) -> usize {
        self.under_way.len()
    }
}

#[cfg(test)]
mod tests;
