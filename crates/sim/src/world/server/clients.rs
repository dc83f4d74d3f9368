//! The I/O threads' work: connections of clients, their mail, and what they send.

use super::running::Running;
use crate::check::sessions;
use crate::world::net::{Parcel, WireId};
use crate::world::outbox::Delivery;
use crate::world::stage::Stage;
use node::{Conn, ConnContext, ConnId, Progress};
use std::net::{IpAddr, Ipv4Addr};

impl Running {
    pub fn client_parcel(&mut self, wire: WireId, parcel: Parcel, stage: &mut Stage) {
        match parcel {
            Parcel::Knock => {
                let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, (wire % 250) as u8));
                self.conns.insert(wire, Conn::new(wire, address));
                stage.accept(wire);
            }
            Parcel::Bytes(bytes) => {
                // Whatever was applied before goes into its connection first.
                self.mail(stage);
                self.let_handle(wire, &bytes, stage);
            }
            Parcel::End => self.client_gone(wire, stage),
            Parcel::Accepted => {}
        }
    }

    fn let_handle(&mut self, conn: ConnId, bytes: &[u8], stage: &mut Stage) {
        let Some(c) = self.conns.get_mut(&conn) else { return };
        if let (Some(session), false) = (c.session(), bytes.is_empty()) {
            session.touch(stage.now_ms());
        }
        let mut cx = ConnContext {
            tree: &self.tree,
            watches: &self.watches,
            settings: &self.settings,
            inflight: &self.inflight,
            now_ms: stage.now_ms(),
            submission: &mut self.submission,
        };
        let mut progress = c.handle(bytes, &mut cx);
        while progress == Progress::More {
            progress = c.handle(&[], &mut cx);
        }
        if let Some(session) = c.session()
            && !session.is_closing()
        {
            sessions::heard(&mut stage.truth, self.index, session.id, stage.now_us as i64 / 1000);
        }
    }

    /// Gives connections what the node has for them.
    pub fn mail(&mut self, stage: &mut Stage) {
        while !self.outbox.0.is_empty() {
            let mut kept = Vec::new();
            for (id, delivery) in std::mem::take(&mut self.outbox.0) {
                if matches!(delivery, Delivery::CloseAll) {
                    self.conns.values_mut().filter(|c| !c.is_fresh()).for_each(|conn| conn.on_close(None));
                    continue;
                }
                let Some(conn) = self.conns.get_mut(&id) else { continue };
                match delivery {
                    Delivery::Event(frame) => conn.on_event(&frame),
                    Delivery::Reply(frame, latency_ms) => conn.on_reply(&frame, latency_ms, &self.inflight),
                    Delivery::Welcome(frame, session) => {
                        conn.on_welcome(&frame, session, self.tree.last_zxid());
                    }
                    Delivery::Close(frame) => conn.on_close(Some(&frame)),
                    Delivery::CloseAll => {}
                }
                if conn.has_backlog() && conn.writes_in_flight() == 0 {
                    kept.push(id);
                }
            }
            for id in kept {
                self.let_handle(id, &[], stage);
            }
        }
    }

    fn client_gone(&mut self, id: ConnId, stage: &Stage) {
        if let Some(mut conn) = self.conns.remove(&id) {
            conn.on_gone(&self.watches, &self.inflight, stage.now_ms(), &mut self.submission);
        }
    }

    /// Puts outgoing bytes on the connections, and lets go of those that are done.
    pub fn send_clients(&mut self, stage: &mut Stage) {
        let mut closed = Vec::new();
        for (id, conn) in &mut self.conns {
            if conn.has_outgoing() {
                // A socket that takes something counts as a sign of life.
                if let Some(session) = conn.session()
                    && session.touch(stage.now_ms())
                {
                    let now_ms = stage.now_ms();
                    sessions::heard(&mut stage.truth, self.index, session.id, now_ms);
                }
                stage.send(*id, 1, std::mem::take(conn.outgoing()));
            }
            if conn.is_closing() {
                closed.push(*id);
            }
        }
        for id in closed {
            self.client_gone(id, stage);
            stage.close(id, 1);
        }
    }
}
