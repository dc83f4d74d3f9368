//! What must hold of a server's history, one rule per file. A rule that is broken gives a sentence that says how.
//!
//! All of them lean on [`History`]: the transactions that the server made durable, in order, and the model's state
//! along them. Writes are totally ordered by zxid, so checking takes time in proportion to what happened.

pub mod acknowledged;
mod history;
pub mod order;
pub mod reads;
pub mod sessions;
pub mod state;
pub mod watches;

pub use history::{History, View};

/// Which rule, and how it was broken.
pub type Broken = String;
