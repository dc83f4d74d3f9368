//! Every queue of the server and how long it may grow. A full inbound queue stops reading from its socket; a full
//! outbound queue closes its connection. Limits that an operator sets are in the configuration.

/// Bytes received and not yet handled on one connection, beyond which its socket is not read. At least one frame of
/// the largest size always fits.
pub const INBOUND_BYTES: usize = 1 << 20;

/// Unsent bytes on one connection beyond which no further request of it is handled.
pub const OUTBOUND_PAUSE_BYTES: usize = 256 << 10;

/// Unsent bytes on one connection beyond which the client counts as not reading and is closed. Checked before
/// something is added, so one reply of any size can always be sent.
pub const OUTBOUND_CLOSE_BYTES: usize = 64 << 20;

/// Bytes of one reply. A list of children, or the parts of a multiRead, beyond this is refused.
pub const REPLY_BYTES: usize = 256 << 20;

/// Ids that a connection may show, and their bytes in all.
pub const AUTH_IDS: usize = 64;
pub const AUTH_BYTES: usize = 64 << 10;

/// Requests that one connection may have handled in one turn before others get theirs.
pub const REQUESTS_PER_TURN: usize = 256;

/// Requests submitted by one connection and not yet answered, beyond which no further one is handled.
pub const WRITES_IN_FLIGHT_PER_CONNECTION: usize = 4096;

/// Bytes of all writes submitted and not yet answered, beyond which no further write is handled: what waits for the
/// log, is on its way to it, or is to be applied.
pub const SUBMITTED_BYTES: i64 = 64 << 20;

/// Batches handed to the log and not yet durable.
pub const BATCHES_IN_FLIGHT: usize = 1;

/// Bytes held back for a snapshot being written, beyond which commits wait for the snapshot.
pub const FROZEN_BYTES: usize = 256 << 20;

/// Slots of the tree that one step of a snapshot looks at under the shared lock.
pub const SNAPSHOT_STEP_SLOTS: u32 = 512;

/// Bytes of a closeSession's list of ephemerals. Further ones are deleted without being listed, so that the record
/// stays readable (ZOOKEEPER-4306).
pub const CLOSE_SESSION_LIST_BYTES: usize = 512 << 10;

/// Bytes of applied transactions that a member of an ensemble keeps in memory for learners that lack them.
pub const WINDOW_BYTES: usize = 32 << 20;

/// Unsent bytes to one learner beyond which its connection is closed; it comes back and is sent what it lacks.
pub const LEARNER_OUT_BYTES: usize = 256 << 20;

/// Learners connected to one leader at a time.
pub const LEARNERS: usize = 256;

/// Bytes of records built and not yet handed to the log, beyond which a learner reads nothing more from its leader.
pub const BUILDING_BYTES: usize = 16 << 20;

/// Sessions that were alive and have left a learner since its last report to the leader.
pub const DEPARTED_SESSIONS: usize = 1 << 16;
