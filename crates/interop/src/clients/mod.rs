//! Real ZooKeeper clients, each a small program in its own language (folder `clients/NAME`).
//!
//! A program gets the server's address as its argument and prints one line per check, `ok NAME` or
//! `FAIL NAME reason`. It asks for a restart of the server with the line `@restart` and reads `done` from its
//! stdin when the server serves again. It ends with status 0 if every check passed.
mod driver;
pub mod prepare;
mod zkcli;

use crate::fetch::Tool;
use crate::report::Suite;
use crate::run::Options;
use anyhow::Result;
use std::process::Command;

/// A client program: what it needs, and how it is made ready to run.
pub struct Client {
    /// As given to `--only`, after `client-`.
    pub name: &'static str,
    pub tools: &'static [Tool],
    /// Fetches and builds; the command lacks only the server's address.
    pub prepare: fn() -> Result<Command>,
}

/// Every client that is a program of ours, in the order of the table.
pub const CLIENTS: &[Client] = prepare::CLIENTS;

/// Runs one client program against the chosen server.
pub fn check(client: &Client, options: &Options) -> Result<Suite> {
    driver::check(client, options)
}

/// Runs the Java shell in one-shot mode against the chosen server.
pub fn check_shell(options: &Options) -> Result<Suite> {
    zkcli::check(options)
}
