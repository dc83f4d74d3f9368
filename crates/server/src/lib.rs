//! The running server: all sockets, files, threads and clocks are here, and only here.
//!
//! Threads, and what flows between them:
//!
//! ```text
//!  I/O threads ──submissions──► node thread ──batches──► log thread
//!      ▲  reads: shared lock        │  ▲                    │
//!      └────────outboxes────────────┘  └──── durable ───────┘
//!                                   └─ freeze ─► snapshot thread
//! ```
//!
//! The tree stands behind one lock. I/O threads hold it shared while they answer a batch of reads; the node thread
//! holds it exclusively while it applies a batch of commits. Events and replies are put into the outboxes before the
//! exclusive lock is released, and an I/O thread empties its outbox after it has taken the shared lock and before it
//! answers a read: so an event always precedes newer data. That rule is a file of its own, `event_first.rs`.

mod clock;
mod disk;
pub mod election_net;
mod event_first;
mod io;
mod listen;
mod log;
mod log_thread;
mod node_thread;
mod outbox;
mod quorum;
mod recovery;
mod reserve;
mod settings;
mod shared;
mod signals;
mod snapshot_thread;
mod start;
mod status;
mod sync;

pub use disk::{DataDirs, Disk, DiskError};
pub use signals::stop_on_signals;
pub use start::{Server, StartError, StopReason, start};
