//! The Java shell (`zkCli`), each command a process of its own, as scripts use it.
use crate::report::Suite;
use crate::run::Options;
use anyhow::Result;

pub fn check(options: &Options) -> Result<Suite> {
    Ok(Suite::start("client-zkcli", &options.server.to_string()).finish())
}
