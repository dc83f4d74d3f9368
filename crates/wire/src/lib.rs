//! Every record that crosses a socket or lands in a file.
//!
//! Decoding borrows from the bytes it is given and never allocates more than those bytes justify; encoding appends
//! to a `Vec<u8>`. Nothing here knows what a record means: limits on lengths are the only judgement made.
//!
//! * [`jute`]: the primitives (integers, strings, buffers) that all other modules are written in.
//! * [`ops`]: the one table of operations.
//! * [`words`]: the one table of four-letter words.
//! * [`error`]: the error codes a client can see.
//! * [`data`]: records shared by several protocols (`Id`, `ACL`, `Stat`).
//! * [`request`], [`reply`]: the client protocol. [`multi`]: the framing inside multi and multiRead.
//! * [`txn`]: transactions as the log and the quorum protocol carry them.
//! * [`file`]: headers and seals of log and snapshot files.
//! * [`election`], [`quorum`]: what servers of an ensemble say to each other, on the election and on the quorum port.
//! * [`frame`]: the length prefix in front of every message.

pub mod data;
pub mod election;
pub mod error;
pub mod file;
pub mod frame;
pub mod jute;
pub mod multi;
pub mod ops;
pub mod quorum;
pub mod reply;
pub mod request;
pub mod txn;
pub mod words;

pub use data::{Acl, AclList, Id, Stat};
pub use error::ErrorCode;
pub use jute::{DecodeError, Reader};
pub use ops::OpCode;
pub use words::Word;
