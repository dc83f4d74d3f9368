//! Members of an ensemble as machines: bytes in, bytes out, time as a number.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod config_node;
mod observer_master;
mod read_only;
mod stage;
mod unverified;
