//! Read-only mode: a member that has had no leader for a while shows what it has (client-surface §8.2).
//!
//! It serves clients that said in their handshake that they accept this, and nobody else. Their sessions are local
//! ones: known to this server alone, never in the log, gone with the mode. A session of the ensemble is turned away
//! instead, because it may be alive elsewhere; so is nobody told that such a session has ended. What always holds:
//! nothing here reaches the pipeline.

use super::core::Core;
use super::handshake::{Welcome, refuse};
use super::{Node, Now, Role, Submitted};
use crate::outbound::Outbound;
use crate::password::session_password;
use crate::reply;
use crate::session::Speaker;
use tree::Tree;
use wire::request::ConnectRequest;
use wire::{ErrorCode, OpCode};

impl Node {
    /// There has been no leader for as long as the operator allows.
    pub(super) fn begin_read_only(&mut self, tree: &Tree) {
        self.core.sessions.restart_as_read_only(tree.sessions());
        self.role = Role::ReadOnly;
    }
}

impl Core {
    /// A handshake.
    pub(super) fn connect_read_only(
        &mut self,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        request: &ConnectRequest<'_>,
        timeout_ms: i32,
        out: &mut impl Outbound,
    ) {
        let id = request.session_id;
        let accepts = request.read_only == Some(true);
        let knows_nothing = tree.last_zxid() == zab::election::UNVERIFIED;
        if !accepts || knows_nothing || tree.sessions().contains_key(&id) {
            return out.close(rq.conn, None);
        }
        let session = if id == 0 {
            let id = self.sessions.allocate_id();
            Some(self.sessions.track(id, timeout_ms, now.mono_ms))
        } else {
            if let Some(former) = self.sessions.client(id).filter(|conn| *conn != rq.conn) {
                self.sessions.set_owner(id, None);
                out.close(former, None);
            }
            let password_fits = request.password == Some(&session_password(id)[..]);
            if password_fits { self.sessions.renew(id, timeout_ms, now.mono_ms) } else { None }
        };
        let Some(session) = session else {
            return refuse(self, rq.conn, request.read_only.map(|_| true), out);
        };
        self.sessions.set_owner(session.id, Some(Speaker::Client(rq.conn)));
        self.frame.clear();
        let welcome = Welcome { session_id: session.id, timeout_ms, read_only: Some(true) };
        welcome.write(&mut self.frame);
        out.welcome(rq.conn, &self.frame, session);
    }

    /// Whatever is not a read: only the end of the session can be had.
    pub(super) fn request_read_only(
        &mut self,
        tree: &Tree,
        now: Now,
        rq: &Submitted,
        op: OpCode,
        xid: i32,
        out: &mut impl Outbound,
    ) {
        let ends = op == OpCode::CloseSession && self.sessions.remove(rq.session_id).is_some();
        let err = if ends { 0 } else { ErrorCode::NotReadOnly.code() };
        self.frame.clear();
        reply::write_plain(&mut self.frame, xid, tree.last_zxid(), err);
        out.reply(rq.conn, &self.frame, (now.mono_ms - rq.received_ms).max(0) as u64);
        if op == OpCode::CloseSession {
            out.close(rq.conn, None);
        }
    }

    /// Sessions that were not heard of for their timeout end, with their connections.
    pub(super) fn expire_read_only(&mut self, now: Now, out: &mut impl Outbound) {
        for id in self.sessions.expired(now.mono_ms) {
            self.expired_sessions += 1;
            if let Some(Speaker::Client(conn)) = self.sessions.remove(id) {
                out.close(conn, None);
            }
        }
    }
}
