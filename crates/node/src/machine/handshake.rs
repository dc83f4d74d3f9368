//! ConnectRequest: new sessions and re-attached ones (client-surface §2.2).

use super::core::Core;
use super::waiting::{Awaited, Until, Waiting};
use super::{Node, Now, Role, Submitted};
use crate::outbound::{ConnId, Outbound};
use crate::password::session_password;
use crate::session::Speaker;
use tree::Tree;
use wire::frame;
use wire::reply::{ConnectResponse, PASSWORD_BYTES};
use wire::request::ConnectRequest;

/// The answer to a handshake.
pub(super) struct Welcome {
    /// 0: the session is gone.
    pub session_id: i64,
    pub timeout_ms: i32,
    /// Whether this server is in read-only mode; `None` for a client that did not send its own word on that.
    pub read_only: Option<bool>,
}

impl Welcome {
    /// Appends it as a whole frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        let Welcome { session_id, timeout_ms, read_only } = *self;
        let password = if session_id == 0 { [0; PASSWORD_BYTES] } else { session_password(session_id) };
        let start = frame::begin(out);
        ConnectResponse { timeout_ms, session_id, password, read_only }.encode(out);
        frame::finish(out, start);
    }
}

/// Appends the answer of a server that is not in read-only mode; `read_only` is what the client sent.
pub(super) fn write_response(out: &mut Vec<u8>, session_id: i64, timeout_ms: i32, read_only: Option<bool>) {
    Welcome { session_id, timeout_ms, read_only: read_only.map(|_| false) }.write(out);
}

/// The session is gone, or never was the client's. `read_only` as in [`Welcome`].
pub(super) fn refuse(core: &mut Core, conn: ConnId, read_only: Option<bool>, out: &mut impl Outbound) {
    core.frame.clear();
    Welcome { session_id: 0, timeout_ms: 0, read_only }.write(&mut core.frame);
    out.close(conn, Some(&core.frame));
}

impl Node {
    pub(super) fn connect(
        &mut self,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        body: &[u8],
        out: &mut impl Outbound,
    ) {
        let Ok(request) = ConnectRequest::decode(body) else { return out.close(rq.conn, None) };
        if !self.is_serving() || !self.core.connects.admit(now.mono_ms, request.session_id != 0) {
            return out.close(rq.conn, None);
        }
        if request.last_zxid_seen > tree.last_zxid() && !self.has_begun(request.last_zxid_seen) {
            // The client has seen more than this server: it must find another one.
            return out.close(rq.conn, None);
        }
        let settings = &self.core.settings;
        let (min, max) = (settings.min_session_timeout_ms, settings.max_session_timeout_ms);
        let timeout_ms = request.timeout_ms.max(min).min(max);
        match &mut self.role {
            Role::Leading(leading) if !leading.control.can_propose() => out.close(rq.conn, None),
            Role::Leading(_) if request.session_id == 0 => {
                self.create_session(now, rq, timeout_ms, request.read_only);
            }
            Role::Leading(_) => self.reattach(now, rq, &request, timeout_ms, out),
            Role::Learning(learning) => learning.connect(&mut self.core, rq, &request, timeout_ms, out),
            Role::ReadOnly => self.core.connect_read_only(tree, now, rq, &request, timeout_ms, out),
            Role::Idle => out.close(rq.conn, None),
        }
    }

    /// Whether a zxid is the beginning of an epoch that this server is in, or was: Apache's leaders name it in answers,
    /// though no transaction has it.
    fn has_begun(&self, zxid: i64) -> bool {
        let epoch = match &self.role {
            Role::Idle => return false,
            Role::ReadOnly => self.ensemble.as_ref().map(|e| e.current_epoch()),
            Role::Leading(leading) => leading.control.epoch(),
            Role::Learning(learning) => Some(learning.control.epoch()),
        };
        zab::counter_of(zxid) == 0 && epoch.is_some_and(|epoch| zab::epoch_of(zxid) <= epoch)
    }

    fn create_session(&mut self, now: Now, rq: &Submitted, timeout_ms: i32, read_only: Option<bool>) {
        let Role::Leading(leading) = &mut self.role else { return };
        let session_id = self.core.sessions.allocate_id();
        let speaker = Speaker::Client(rq.conn);
        let zxid = leading.propose_session(&mut self.core, session_id, timeout_ms, speaker, now);
        self.core.waiting.push_back(Waiting {
            until: Until::Zxid(zxid),
            conn: rq.conn,
            xid: 0,
            session_id,
            received_ms: rq.received_ms,
            what: Awaited::Welcome { timeout_ms, read_only },
        });
    }

    /// The session's former connection is closed before the password is looked at, as in Apache.
    fn reattach(
        &mut self,
        now: Now,
        rq: &Submitted,
        request: &ConnectRequest<'_>,
        timeout_ms: i32,
        out: &mut impl Outbound,
    ) {
        let core = &mut self.core;
        let id = request.session_id;
        if let Some(former) = core.sessions.client(id).filter(|c| *c != rq.conn) {
            core.sessions.set_owner(id, None);
            out.close(former, None);
        }
        let password_fits = request.password == Some(&session_password(id)[..]);
        let session = if password_fits { core.sessions.renew(id, timeout_ms, now.mono_ms) } else { None };
        match session {
            Some(session) => {
                core.sessions.set_owner(id, Some(Speaker::Client(rq.conn)));
                core.frame.clear();
                write_response(&mut core.frame, id, timeout_ms, request.read_only);
                out.welcome(rq.conn, &core.frame, session);
            }
            None => refuse(core, rq.conn, request.read_only.map(|_| false), out),
        }
    }
}
