//! Tests of Rookeeper against the world it has to fit into: real ZooKeeper servers, real clients of many
//! languages, and each other's data folders.
//!
//! Everything here talks to processes over loopback sockets and files; nothing links the server, so the same
//! checks run against Apache ZooKeeper and against Rookeeper. A check that fails on Apache is a wrong check.
//! What the checks need is fetched from the package registries into `target/interop`; nothing is installed.
pub mod apache;
pub mod clients;
pub mod disk_full;
pub mod ensemble;
pub mod fetch;
pub mod folders;
pub mod four_letter;
pub mod jute;
pub mod kill9;
pub mod raw;
pub mod report;
pub mod rookeeper;
pub mod run;
pub mod server;
pub mod servers;
pub mod trace;
pub mod tree;
pub mod workload;
