//! A network for each member: namespaces, joined by a bridge in a namespace of its own, where the clients are.
//!
//! A path is cut by giving the sender a wrong hardware address for the receiver: its packets vanish without a
//! word, as behind a broken switch, and only in that direction. Nothing outside the namespaces made here is touched, and
//! they go when the [`Network`] is dropped.
use crate::fetch::{self, Tool};
use anyhow::{Context, Result};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::os::fd::AsFd;
use std::process::Command;

pub const IP: Tool = Tool { program: "ip", install: "iproute2 (Debian: iproute2)" };
/// Namespaces are called by this, the process that made them, and a member.
const PREFIX: &str = "rookeeper-";
/// Nobody has it.
const NOWHERE: &str = "02:00:00:00:ff:ff";
/// The clients' end, as a number like a member's.
const HUB: u8 = 254;

/// The namespace of a member.
pub fn name(id: u8) -> String {
    format!("{PREFIX}{}-{id}", std::process::id())
}

fn hardware(id: u8) -> String {
    format!("02:00:00:00:00:{id:02x}")
}

fn ip(words: &str) -> Result<()> {
    fetch::run(Command::new(IP.program).args(words.split(' '))).map(drop)
}

/// Removes the namespaces of earlier runs that were killed.
fn remove_leftovers() -> Result<()> {
    let names = fetch::run(Command::new(IP.program).args(["netns", "list"]))?;
    for name in names.lines().filter_map(|line| line.split(' ').next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|process| !std::path::Path::new(&format!("/proc/{process}")).exists()) {
            ip(&format!("netns delete {name}"))?;
        }
    }
    Ok(())
}

/// The namespaces of an ensemble.
pub struct Network {
    members: u8,
}

impl Network {
    /// Makes them; needs root.
    pub fn new(members: u8) -> Result<Network> {
        fetch::require(&[IP])?;
        remove_leftovers()?;
        // From here on a failure takes along what was made so far.
        let network = Network { members };
        let hub = name(HUB);
        ip(&format!("netns add {hub}"))?;
        ip(&format!("-n {hub} link add bridge type bridge"))?;
        ip(&format!("-n {hub} link set bridge address {} up", hardware(HUB)))?;
        ip(&format!("-n {hub} address add 10.77.0.{HUB}/24 dev bridge"))?;
        for id in 1..=members {
            let own = name(id);
            ip(&format!("netns add {own}"))?;
            ip(&format!("-n {own} link set lo up"))?;
            ip(&format!("-n {hub} link add port{id} type veth peer name eth0 netns {own}"))?;
            ip(&format!("-n {hub} link set port{id} master bridge up"))?;
            ip(&format!("-n {own} link set eth0 address {} up", hardware(id)))?;
            ip(&format!("-n {own} address add 10.77.0.{id}/24 dev eth0"))?;
        }
        network.heal()?;
        Ok(network)
    }

    fn point(from: u8, to: u8, hardware: &str) -> Result<()> {
        let (own, device) = (name(from), if from == HUB { "bridge" } else { "eth0" });
        ip(&format!("-n {own} neighbour replace 10.77.0.{to} lladdr {hardware} dev {device} nud permanent"))
    }

    /// Nothing that `from` sends reaches `to` any more; the other direction stays as it is.
    pub fn cut(&self, from: u8, to: u8) -> Result<()> {
        Network::point(from, to, NOWHERE)
    }

    /// Every path works again.
    pub fn heal(&self) -> Result<()> {
        let ends: Vec<u8> = (1..=self.members).chain([HUB]).collect();
        for from in &ends {
            for to in ends.iter().filter(|to| *to != from) {
                Network::point(*from, *to, &hardware(*to))?;
            }
        }
        Ok(())
    }

    /// Runs `body` on a thread in the clients' namespace; the threads it starts are there as well.
    pub fn inside<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let path = format!("/run/netns/{}", name(HUB));
        let namespace = File::open(&path).with_context(|| format!("cannot open {path}"))?;
        let enter = || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .with_context(|| format!("cannot enter {path}"))?;
            body()
        };
        std::thread::scope(|scope| scope.spawn(enter).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for id in (1..=self.members).chain([HUB]) {
            // One that was never made cannot be removed; that is fine.
            if std::path::Path::new(&format!("/run/netns/{}", name(id))).exists()
                && let Err(error) = ip(&format!("netns delete {}", name(id)))
            {
                eprintln!("cannot remove the namespace {}: {error:#}", name(id));
            }
        }
    }
}
