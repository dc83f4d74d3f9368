//! Where the node leaves what connections are to send, until they are looked at.

use node::{ConnId, Outbound, Session};
use std::sync::Arc;

#[derive(Debug)]
pub(crate) enum Delivery {
    Event(Vec<u8>),
    /// With its latency in ms.
    Reply(Vec<u8>, u64),
    Welcome(Vec<u8>, Arc<Session>),
    Close(Vec<u8>),
    /// Of every connection.
    CloseAll,
}

#[derive(Debug, Default)]
pub(crate) struct Outbox(pub Vec<(ConnId, Delivery)>);

impl Outbound for Outbox {
    fn event(&mut self, conn: ConnId, frame: &[u8]) {
        self.0.push((conn, Delivery::Event(frame.to_vec())));
    }

    fn reply(&mut self, conn: ConnId, frame: &[u8], latency_ms: u64) {
        self.0.push((conn, Delivery::Reply(frame.to_vec(), latency_ms)));
    }

    fn welcome(&mut self, conn: ConnId, frame: &[u8], session: Arc<Session>) {
        self.0.push((conn, Delivery::Welcome(frame.to_vec(), session)));
    }

    fn close(&mut self, conn: ConnId, frame: Option<&[u8]>) {
        self.0.push((conn, Delivery::Close(frame.unwrap_or_default().to_vec())));
    }

    fn close_all(&mut self) {
        self.0.push((0, Delivery::CloseAll));
    }
}
