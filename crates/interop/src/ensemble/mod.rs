//! Ensembles of real processes, each member Apache's or ours, and proofs that nothing is lost under faults.
//!
//! A [`Plan`] says which members there are; built, it is an [`Ensemble`] whose members are started, killed,
//! paused, emptied, set back and replaced one by one. While that goes on, [`load`] drives sessions that write
//! down everything they were told ([`history`]). Afterwards [`verify`] reads all members' logs ([`logs`]), puts together the
//! one history they must agree on ([`chain`]), replays it on a small tree of its own ([`state`]) and holds every answer,
//! every event, every member's tree and every digest against it. The cost is linear in the length of the run.
pub mod chain;
pub mod check;
pub mod config_node;
pub mod history;
pub mod hostile;
pub mod load;
pub mod logs;
pub mod member;
pub mod mixed;
pub mod netns;
pub mod observer_master;
pub mod partitions;
pub mod place;
pub mod programs;
pub mod read_only;
pub mod scenarios;
pub mod session;
pub mod state;
pub mod status;
pub mod takeover;
pub mod told;
pub mod txn;
pub mod unverified;
pub mod verify;

use crate::run::scratch;
use crate::server::{Running, ServerKind, ServerSpec};
use anyhow::{Context, Result, bail, ensure};
use member::Member;
use place::Layout;
use status::Role;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long an ensemble may take for anything that it has to do: a busy machine starts Java slowly.
pub const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(25);
/// Short, so that faults are noticed quickly; long enough for two processors shared by five Java machines.
pub const TICK_MS: u32 = 500;
pub const INIT_LIMIT: u32 = 20;
pub const SYNC_LIMIT: u32 = 5;

/// An ensemble to be.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Names the scratch folder, unless there is a `dir`.
    pub name: String,
    /// A folder to use and keep; what is in it stays.
    pub dir: Option<PathBuf>,
    pub layout: Layout,
    /// Kind, and whether it is an observer, of the members 1, 2, ….
    pub members: Vec<(ServerKind, bool)>,
    pub config: BTreeMap<String, String>,
    pub properties: BTreeMap<String, String>,
    pub running: Running,
}

impl Plan {
    /// Voters of these kinds, numbered from 1, for short runs.
    pub fn voters(name: &str, kinds: &[ServerKind]) -> Plan {
        // Few transactions between snapshots and small log files: folders are copied.
        Plan::plain(name, kinds).property("zookeeper.snapCount", 1000).property("zookeeper.preAllocSize", 256)
    }

    /// The same with Apache's own settings for logs and snapshots.
    pub fn plain(name: &str, kinds: &[ServerKind]) -> Plan {
        let members = kinds.iter().map(|kind| (kind.clone(), false)).collect();
        let (config, properties) = (BTreeMap::new(), BTreeMap::new());
        let running = Running { heap_mb: 256, ..Running::default() };
        let (name, dir, layout) = (name.to_owned(), None, Layout::Ports);
        Plan { name, dir, layout, members, config, properties, running }
    }

    pub fn observer(mut self, kind: &ServerKind) -> Plan {
        self.members.push((kind.clone(), true));
        self
    }

    pub fn layout(mut self, layout: Layout) -> Plan {
        self.layout = layout;
        self
    }

    /// Uses this folder, with what is in it.
    pub fn dir(mut self, dir: PathBuf) -> Plan {
        self.dir = Some(dir);
        self
    }

    pub fn running(mut self, running: Running) -> Plan {
        self.running = running;
        self
    }

    pub fn config(mut self, key: &str, value: impl ToString) -> Plan {
        self.config.insert(key.to_owned(), value.to_string());
        self
    }

    pub fn property(mut self, name: &str, value: impl ToString) -> Plan {
        self.properties.insert(name.to_owned(), value.to_string());
        self
    }

    /// Makes the folders; nothing runs yet.
    pub fn build(self) -> Result<Ensemble> {
        let dir = self.dir.map_or_else(|| scratch(&self.name), Ok)?;
        let count = u8::try_from(self.members.len()).context("an ensemble has at most 255 members")?;
        let places = self.layout.places(count)?;
        let mut lines = BTreeMap::new();
        for (id, ((_, observer), place)) in (1..=count).zip(self.members.iter().zip(&places)) {
            let role = if *observer { ":observer" } else { "" };
            let line = format!("{}:{}:{}{role}", place.address, place.quorum, place.election);
            lines.insert(format!("server.{id}"), line);
        }
        let mut members = Vec::new();
        for (id, ((kind, observer), place)) in (1..=count).zip(self.members.iter().zip(places)) {
            let mut spec = ServerSpec::new(kind.clone(), dir.join(format!("member-{id}")), place.client)
                .listen_on(place.address)
                .config("tickTime", TICK_MS)
                .config("initLimit", INIT_LIMIT)
                .config("syncLimit", SYNC_LIMIT);
            spec.running = self.running;
            spec.config.extend(lines.clone());
            spec.config.extend(self.config.clone());
            spec.properties.extend(self.properties.clone());
            if *observer {
                spec = spec.config("peerType", "observer");
            }
            if self.layout == Layout::Namespaces {
                spec = spec.under(&["ip", "netns", "exec", &netns::name(id)]);
            }
            members.push(Member::new(id, *observer, place, spec)?);
        }
        Ok(Ensemble { members })
    }
}

/// Members by their place in the list: the member with id N is at N-1.
pub struct Ensemble {
    pub members: Vec<Member>,
}

impl Ensemble {
    pub fn ids(&self) -> Vec<u8> {
        self.members.iter().map(|member| member.id).collect()
    }

    pub fn voters(&self) -> Vec<u8> {
        self.members.iter().filter(|member| !member.observer).map(|member| member.id).collect()
    }

    /// The member with an id that [`Ensemble::ids`] knows.
    pub fn member(&mut self, id: u8) -> &mut Member {
        &mut self.members[usize::from(id) - 1]
    }

    /// Where clients find the members, by id.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().map(|member| member.place.client_address()).collect()
    }

    /// `host:port,host:port`, as clients take it.
    pub fn connect_string(&self) -> String {
        self.addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// The kinds as one word for names: `3.9.5+3.9.5+rookeeper`.
    pub fn kinds(&self) -> String {
        let kinds = self.members.iter().map(|member| member.kind.to_string().replace("apache-", ""));
        kinds.collect::<Vec<_>>().join("+")
    }

    /// Refuses, naming each port of a member that something uses already.
    pub fn require_free_ports(&self) -> Result<()> {
        let mut busy = Vec::new();
        for member in &self.members {
            let place = &member.place;
            let ports = [
                (place.client_address(), "for clients"),
                (place.quorum_address(), "for the quorum"),
                (place.election_address(), "for elections"),
            ];
            for (address, what) in ports {
                if let Err(error) = TcpListener::bind(address) {
                    busy.push(format!("\n  {address}, member {}'s port {what}: {error}", member.id));
                }
            }
        }
        ensure!(busy.is_empty(), "cannot listen on{}", busy.concat());
        Ok(())
    }

    /// Starts every member that does not run, all at once.
    pub fn start_all(&mut self) -> Result<()> {
        self.members.iter_mut().filter(|member| !member.running()).try_for_each(Member::start)
    }

    /// Stops every member that runs, in the order of their ids.
    pub fn stop_all(&mut self) -> Result<()> {
        self.members.iter_mut().filter(|member| member.running()).try_for_each(Member::stop)
    }

    /// Waits until one leader leads and returns its id.
    pub fn wait_for_leader(&mut self) -> Result<u8> {
        self.wait("one leader and a quorum", |roles, voters| {
            let leaders: Vec<u8> =
                roles.iter().filter(|(_, role)| **role == Role::Leader).map(|(id, _)| *id).collect();
            let followers = roles.values().filter(|role| **role == Role::Follower).count();
            match leaders[..] {
                [leader] if followers + 1 > voters / 2 => Some(leader),
                _ => None,
            }
        })
    }

    /// Waits until all that are awake serve, and returns the leader's id.
    pub fn wait_for_all(&mut self) -> Result<u8> {
        let awake = self.members.iter().filter(|member| member.awake()).count();
        self.wait("a leader, and every other member with it", |roles, _| {
            let leader = roles.iter().find(|(_, role)| **role == Role::Leader).map(|(id, _)| *id);
            let leaders = roles.values().filter(|role| **role == Role::Leader).count();
            if roles.len() == awake && leaders == 1 { leader } else { None }
        })
    }

    /// Waits until `done` finds what it looks for in the roles of those that serve, and the number of voters.
    fn wait<T>(&mut self, what: &str, done: impl Fn(&BTreeMap<u8, Role>, usize) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        let voters = self.voters().len();
        loop {
            let serving = self.members.iter().filter(|member| member.awake());
            let roles = serving.filter_map(|member| Some((member.id, member.status().ok()?.role)));
            if let Some(found) = done(&roles.collect(), voters) {
                return Ok(found);
            }
            self.members.iter_mut().try_for_each(Member::must_live)?;
            if Instant::now() > deadline {
                bail!("no {what} after {PATIENCE:?}\n{}", self.describe());
            }
            std::thread::sleep(POLL);
        }
    }

    /// The state of every member, for messages.
    pub fn describe(&self) -> String {
        self.members.iter().map(Member::describe).collect::<Vec<_>>().join("\n")
    }
}
