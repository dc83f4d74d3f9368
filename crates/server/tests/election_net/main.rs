//! The election port between real sockets on loopback.

mod bad_peers;
mod links;
mod support;
