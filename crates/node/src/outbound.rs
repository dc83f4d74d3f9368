//! Where the node puts what connections are to send.

use crate::session::Session;
use std::sync::Arc;

/// Names one client connection for as long as the server runs.
pub type ConnId = u64;

/// The shell's side of every connection. Calls for one connection take effect in the order they are made; a
/// connection that is gone swallows them.
pub trait Outbound {
    /// A notification: a whole frame.
    fn event(&mut self, conn: ConnId, frame: &[u8]);

    /// The answer to a submitted request: a whole frame. One request fewer is in flight; `latency_ms` since it was
    /// received.
    fn reply(&mut self, conn: ConnId, frame: &[u8], latency_ms: u64);

    /// The handshake succeeded: a whole frame, and the session that the connection now belongs to.
    fn welcome(&mut self, conn: ConnId, frame: &[u8], session: Arc<Session>);

    /// Close after sending `frame`, if there is one.
    fn close(&mut self, conn: ConnId, frame: Option<&[u8]>);

    /// Close every connection: this server serves nobody any more. It takes effect behind all that was said before, and
    /// before a connection looks at the tree again.
    fn close_all(&mut self);
}
