//! The durable side: transaction log, snapshots, recovery and purge, in Apache ZooKeeper's own formats.
//!
//! Everything happens through [`Storage`], a small blocking interface to two folders, so that the same code runs on
//! a real disk and on the simulator's, which loses, tears and refuses.
//!
//! What always holds:
//! * [`LogWriter::sync`] returns only when every record appended before it, and the folder entry of its file, would
//!   survive a power cut.
//! * A snapshot appears under its name only when it is whole and synced.
//! * [`recover`] returns a state that contains every synced record, or a refusal that says what is missing.

mod codec;
mod dump;
mod epochs;
mod image;
mod install;
mod locate;
mod log_reader;
mod log_writer;
mod mark;
pub mod names;
mod order;
mod purge;
mod range;
mod recover;
mod snapshot_reader;
mod snapshot_writer;
mod storage;
mod torn;
mod truncate;

pub use codec::Compression;
pub use dump::{DumpDecoder, DumpError, Fed, encode_dump_end, encode_node, encode_tables};
pub use epochs::{EpochError, Epochs, announce_epoch, load_epochs, save_accepted_epoch, save_current_epoch};
pub use install::install;
pub use locate::{Surroundings, locate};
pub use log_reader::{LogError, LogFile, LogItem};
pub use log_writer::{LogOptions, LogWriter};
pub use purge::{PurgeReport, purge, purge_behind};
pub use range::{LogCursor, LogRange, LogRanges, Pin, RangeError};
pub use recover::{RecoverError, RecoverOptions, Recovered, Report, load_snapshot, recover};
pub use snapshot_reader::{SnapshotError, SnapshotTail, is_plausible, read_snapshot};
pub use snapshot_writer::{SnapshotOptions, SnapshotWriter};
pub use storage::{Dir, Entry, Storage, StorageFile};
pub use truncate::{TruncateError, truncate};
