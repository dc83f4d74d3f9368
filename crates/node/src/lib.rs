//! One ZooKeeper server as a machine: inputs in, effects out. It never blocks, asks no clock and does no I/O.
//!
//! * [`Node`] orders and validates writes, tracks sessions, and applies what is committed.
//! * [`Conn`] is one client connection: it frames, answers reads in place, and passes writes on.
//! * [`read`] answers reads from the shared tree; [`Watches`] holds what clients wait for.
//!
//! A shell (the server crate, or the simulator) owns the [`tree::Tree`] and gives it to these as `&Tree` or `&mut Tree`;
//! its lock decides who may look when.

pub mod acl;
pub mod auth;
mod conn;
pub mod limits;
mod machine;
mod outbound;
mod password;
mod path;
mod prep;
pub mod read;
mod reply;
mod session;
mod settings;
mod tally;
mod throttle;
mod watch;

pub use auth::AuthIds;
pub use conn::{Conn, ConnContext, Progress};
pub use machine::{
    Batch, DiskDone, DiskTask, Effect, EnsembleSettings, Epochs, Located, Node, NodeStats, Now, Peer, Report,
    Standing, Submission, SubmissionKind, Submitted, Timing,
};
pub use outbound::{ConnId, Outbound};
pub use password::session_password;
pub use session::{Session, Speaker};
pub use settings::{AuthSettings, Settings, ThrottleSettings};
pub use tally::{ConnStats, ConnStatsView, Latency, Tally};
pub use throttle::{ConnectThrottleSettings, Inflight};
pub use watch::{WatchSummary, Watcher, Watches};
