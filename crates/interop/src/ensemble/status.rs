//! What a member says about itself: `srvr` for its role and zxid, `mntr` for its counters.
use crate::four_letter;
use anyhow::{Context, Result};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// A member that does not answer within this is busy, paused or cut off.
const ANSWER_LIMIT: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Leader,
    Follower,
    Observer,
    Standalone,
    ReadOnly,
}

/// A member that serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    pub role: Role,
    /// The last transaction that it has applied.
    pub zxid: i64,
}

/// Asks a member; an error says why it does not serve.
pub fn ask(address: SocketAddr) -> Result<Status> {
    let answer = four_letter::ask_at(address, "srvr", ANSWER_LIMIT)?;
    parse(&answer).with_context(|| format!("it says {:?}", answer.trim()))
}

/// The counter `key` of `mntr`; `None` if this release does not have it.
pub fn counter(address: SocketAddr, key: &str) -> Result<Option<f64>> {
    four_letter::monitored_in(&four_letter::ask_at(address, "mntr", ANSWER_LIMIT)?, key)
}

fn parse(answer: &str) -> Result<Status> {
    let field = |name: &str| answer.lines().find_map(|line| line.strip_prefix(name));
    let role = match field("Mode: ").context("no mode")?.trim() {
        "leader" => Role::Leader,
        "follower" => Role::Follower,
        "observer" => Role::Observer,
        "standalone" => Role::Standalone,
        "read-only" => Role::ReadOnly,
        other => anyhow::bail!("an unknown mode {other}"),
    };
    let zxid = field("Zxid: 0x").context("no zxid")?;
    Ok(Status { role, zxid: i64::from_str_radix(zxid.trim(), 16)? })
}

impl fmt::Display for Role {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Role::Leader => "leader",
            Role::Follower => "follower",
            Role::Observer => "observer",
            Role::Standalone => "standalone",
            Role::ReadOnly => "read-only",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn role_and_zxid_are_read() {
        let answer = "Zookeeper version: 3.9.5\nZxid: 0x10000002a\nMode: leader\nNode count: 5\n";
        assert_eq!(parse(answer).unwrap(), Status { role: Role::Leader, zxid: 0x1_0000_002a });
        assert!(parse("This ZooKeeper instance is not currently serving requests\n").is_err());
    }
}
