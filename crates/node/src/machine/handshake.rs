//! ConnectRequest: new sessions and re-attached ones (client-surface §2.2).

use super::{Awaited, Node, Now, Submitted, Waiting};
use crate::outbound::Outbound;
use crate::password::session_password;
use tree::Tree;
use wire::reply::{ConnectResponse, PASSWORD_BYTES};
use wire::request::ConnectRequest;
use wire::txn::{Txn, TxnHeader};
use wire::{OpCode, file, frame};

/// Appends the answer as a whole frame.
pub(super) fn write_response(out: &mut Vec<u8>, session_id: i64, timeout_ms: i32, read_only: Option<bool>) {
    let password = if session_id == 0 { [0; PASSWORD_BYTES] } else { session_password(session_id) };
    let start = frame::begin(out);
    let response = ConnectResponse { timeout_ms, session_id, password, read_only: read_only.map(|_| false) };
    response.encode(out);
    frame::finish(out, start);
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
        if !self.connects.admit(now.mono_ms, request.session_id != 0) {
            return out.close(rq.conn, None);
        }
        if request.last_zxid_seen > tree.last_zxid() {
            // The client has seen more than this server: it must find another one.
            return out.close(rq.conn, None);
        }
        let (min, max) = (self.settings.min_session_timeout_ms, self.settings.max_session_timeout_ms);
        let timeout_ms = request.timeout_ms.max(min).min(max);
        if request.session_id == 0 {
            self.create_session(now, rq, timeout_ms, request.read_only);
        } else {
            self.reattach(now, rq, &request, timeout_ms, out);
        }
    }

    fn create_session(&mut self, now: Now, rq: &Submitted, timeout_ms: i32, read_only: Option<bool>) {
        let session_id = self.sessions.allocate_id();
        self.sessions.track(session_id, timeout_ms, now.mono_ms);
        self.sessions.set_owner(session_id, Some(rq.conn));
        let zxid = self.zab.propose();
        let op = OpCode::CreateSession.code();
        let out = &mut self.building.bytes;
        let start = file::begin_record(out);
        TxnHeader { session_id, cxid: 0, zxid, time_ms: now.wall_ms, op }.encode(out);
        Txn::CreateSession { timeout_ms }.encode(out);
        self.finish_record(start, zxid, true);
        self.waiting.push_back(Waiting {
            zxid,
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
        let id = request.session_id;
        if let Some(former) = self.sessions.owner(id).filter(|c| *c != rq.conn) {
            self.sessions.set_owner(id, None);
            out.close(former, None);
        }
        let password_fits = request.password == Some(&session_password(id)[..]);
        let session = if password_fits { self.sessions.renew(id, timeout_ms, now.mono_ms) } else { None };
        self.frame.clear();
        match session {
            Some(session) => {
                self.sessions.set_owner(id, Some(rq.conn));
                write_response(&mut self.frame, id, timeout_ms, request.read_only);
                out.welcome(rq.conn, &self.frame, session);
            }
            None => {
                write_response(&mut self.frame, 0, 0, request.read_only);
                out.close(rq.conn, Some(&self.frame));
            }
        }
    }
}
