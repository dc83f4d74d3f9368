//! A small blocking client: sessions and typed calls over [`wire`], and the raw frames underneath.
//!
//! It serves the shell, the load generator and the tests against real peers, which all want to see exactly what
//! is sent and received. So there is no background thread: nothing is sent that the caller did not ask for. Who
//! keeps a session idle calls [`Session::ping`] before its timeout; who waits for watches calls
//! [`Session::wait_event`]. Replies come in the order of requests, events between them are queued.
//!
//! * [`Transport`]: whole frames both ways on one socket, also malformed ones on purpose.
//! * [`ConnectOptions`]: the handshake, for a new session or an existing one.
//! * [`Session`]: request → typed reply, pipelining, events, authentication.
//! * [`four_letter_word`]: the text commands that need no session.

mod connect;
mod error;
mod multi;
mod operations;
mod session;
mod transport;

pub use connect::{ConnectOptions, NO_PASSWORD};
pub use error::ClientError;
pub use multi::{MultiResult, decode_multi};
pub use operations::{CreateMode, Created};
pub use session::{Event, Reply, Session};
pub use transport::{Transport, four_letter_word};
pub use wire;
