//! Random changes by several sessions, of only those kinds that a given release knows.
//!
//! The same seed gives the same requests. Some of them fail, on purpose: a failed write is logged as well.
use crate::jute::{Acl, Writer};
use crate::raw::{Credentials, Session, create_record, flag, multi_record, op};
use anyhow::Result;
use fastrand::Rng;

/// Long enough that no session expires while servers are stopped and started.
pub const SESSION_TIMEOUT_MS: i32 = 60_000;
const SESSIONS: usize = 3;

/// Sessions at work on a server.
pub struct Workload {
    rng: Rng,
    /// `(major, minor)` of the oldest server that has to understand what is logged.
    line: (u32, u32),
    port: u16,
    sessions: Vec<Session>,
    /// Paths that probably exist.
    paths: Vec<String>,
    made: usize,
}

impl Workload {
    /// Opens the sessions, and makes the nodes that everything else goes below.
    pub fn start(port: u16, seed: u64, line: (u32, u32)) -> Result<Workload> {
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let mut session = Session::open(port, SESSION_TIMEOUT_MS)?;
            session.authenticate("digest", &format!("user{number}:secret"))?;
            sessions.push(session);
        }
        sessions[0].create("/w", None, &[Acl::open()], flag::PERSISTENT)?;
        let mut workload =
            Workload { rng: Rng::with_seed(seed), line, port, sessions, paths: Vec::new(), made: 0 };
        workload.make_quota()?;
        Ok(workload)
    }

    /// A soft quota on `/w`, as the shell sets it.
    fn make_quota(&mut self) -> Result<()> {
        let session = &mut self.sessions[0];
        let base = "/zookeeper/quota/w";
        session.create(base, None, &[Acl::open()], flag::PERSISTENT)?;
        for leaf in ["zookeeper_limits", "zookeeper_stats"] {
            let data: &[u8] =
                if leaf == "zookeeper_limits" { b"count=100000,bytes=-1" } else { b"count=0,bytes=0" };
            session.create(&format!("{base}/{leaf}"), Some(data), &[Acl::open()], flag::PERSISTENT)?;
        }
        Ok(())
    }

    /// Does `count` random changes; refusals are part of it.
    pub fn run(&mut self, count: usize) -> Result<()> {
        for _ in 0..count {
            let (operation, record) = self.change();
            let session = self.rng.usize(..self.sessions.len());
            self.sessions[session].call(operation, &record)?;
        }
        Ok(())
    }

    /// One session opens, leaves an ephemeral behind, and closes: a close that has something to delete.
    pub fn come_and_go(&mut self) -> Result<()> {
        let mut session = Session::open(self.port, SESSION_TIMEOUT_MS)?;
        let path = format!("/w/gone{}", self.made);
        self.made += 1;
        session.create(&path, Some(b"soon gone"), &[Acl::open()], flag::EPHEMERAL)?;
        session.close()
    }

    /// Gives each session an ephemeral and drops the connections; returns who can be attached to, and where
    /// its ephemeral is.
    pub fn abandon(self) -> Result<Vec<(Credentials, String)>> {
        let mut left = Vec::new();
        for (number, mut session) in self.sessions.into_iter().enumerate() {
            let path = format!("/w/kept{number}");
            session.create(&path, Some(b"kept"), &[Acl::open()], flag::EPHEMERAL)?;
            left.push((session.abandon()?, path));
        }
        Ok(left)
    }

    fn change(&mut self) -> (i32, Vec<u8>) {
        match self.rng.u32(..100) {
            0..40 => self.create(),
            40..60 => self.set_data(),
            60..70 => (op::DELETE, Writer::default().string(&self.any_path()).int(self.any_version()).bytes),
            70..80 => self.set_acl(),
            80..90 => self.multi(),
            90..95 if self.line >= (3, 5) => self.container(),
            _ if self.line >= (3, 5) => self.ttl(),
            _ => self.create(),
        }
    }

    /// A path that has been used, but not `/w`, which must stay and stay open.
    fn any_path(&mut self) -> String {
        self.rng.choice(&self.paths).cloned().unwrap_or_else(|| "/w/none".to_owned())
    }

    fn any_version(&mut self) -> i32 {
        if self.rng.u32(..4) == 0 { self.rng.i32(0..3) } else { -1 }
    }

    fn any_data(&mut self) -> Option<Vec<u8>> {
        let length = match self.rng.u32(..10) {
            0 => return None,
            1 => 0,
            2 => 10_000,
            _ => self.rng.usize(1..200),
        };
        Some((0..length).map(|_| self.rng.u8(..)).collect())
    }

    fn any_acls(&mut self) -> Vec<Acl> {
        match self.rng.u32(..8) {
            0 => vec![Acl::new(1, "world", "anyone"), Acl::new(31, "auth", "")],
            1 => vec![Acl::new(31, "auth", "")],
            2 => vec![Acl::new(31, "ip", "127.0.0.1"), Acl::new(5, "digest", "ann:bm90IGEgcmVhbCBkaWdlc3Q=")],
            _ => vec![Acl::open()],
        }
    }

    fn new_path(&mut self) -> String {
        self.made += 1;
        let parent = if self.rng.u32(..3) == 0 { "/w".to_owned() } else { self.any_path() };
        let path = format!("{parent}/n{}", self.made);
        self.paths.push(path.clone());
        path
    }

    fn create(&mut self) -> (i32, Vec<u8>) {
        let mut flags = flag::PERSISTENT;
        if self.rng.u32(..4) == 0 {
            flags |= flag::EPHEMERAL;
        }
        if self.rng.u32(..4) == 0 {
            flags |= flag::SEQUENTIAL;
        }
        let again = self.rng.u32(..10) == 0;
        let path = if again { self.any_path() } else { self.new_path() };
        let (data, acls) = (self.any_data(), self.any_acls());
        let known = self.line >= (3, 5) && self.rng.bool();
        let operation = if known { op::CREATE2 } else { op::CREATE };
        (operation, create_record(&path, data.as_deref(), &acls, flags))
    }

    fn container(&mut self) -> (i32, Vec<u8>) {
        let (path, data) = (self.new_path(), self.any_data());
        (op::CREATE_CONTAINER, create_record(&path, data.as_deref(), &[Acl::open()], flag::CONTAINER))
    }

    fn ttl(&mut self) -> (i32, Vec<u8>) {
        let (path, data) = (self.new_path(), self.any_data());
        let record = create_record(&path, data.as_deref(), &[Acl::open()], flag::TTL);
        (op::CREATE_TTL, Writer::default().raw(&record).long(self.rng.i64(3_600_000..7_200_000)).bytes)
    }

    fn set_data(&mut self) -> (i32, Vec<u8>) {
        let (path, data, version) = (self.any_path(), self.any_data(), self.any_version());
        (op::SET_DATA, Writer::default().string(&path).buffer(data.as_deref()).int(version).bytes)
    }

    fn set_acl(&mut self) -> (i32, Vec<u8>) {
        let (path, acls) = (self.any_path(), self.any_acls());
        (op::SET_ACL, Writer::default().string(&path).acls(&acls).int(-1).bytes)
    }

    fn multi(&mut self) -> (i32, Vec<u8>) {
        let mut parts = Vec::new();
        for _ in 0..self.rng.usize(1..5) {
            let part = match self.rng.u32(..4) {
                0 => (op::CHECK, Writer::default().string(&self.any_path()).int(-1).bytes),
                1 => self.set_data(),
                2 => (op::DELETE, Writer::default().string(&self.any_path()).int(-1).bytes),
                _ => {
                    let (path, data) = (self.new_path(), self.any_data());
                    let ephemeral = self.rng.u32(..4) == 0;
                    let flags = if ephemeral { flag::EPHEMERAL } else { flag::PERSISTENT };
                    (op::CREATE, create_record(&path, data.as_deref(), &[Acl::open()], flags))
                }
            };
            parts.push(part);
        }
        (op::MULTI, multi_record(&parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(seed: u64, line: (u32, u32)) -> Vec<(i32, Vec<u8>)> {
        let rng = Rng::with_seed(seed);
        let mut workload = Workload { rng, line, port: 0, sessions: Vec::new(), paths: Vec::new(), made: 0 };
        (0..1000).map(|_| workload.change()).collect()
    }

    #[test]
    fn a_seed_gives_the_same_changes() {
        assert_eq!(changes(7, (3, 9)), changes(7, (3, 9)));
        assert_ne!(changes(7, (3, 9)), changes(8, (3, 9)));
    }

    #[test]
    fn an_old_release_meets_only_what_it_knows() {
        let newer = [op::CREATE2, op::CREATE_CONTAINER, op::CREATE_TTL];
        let used = |line| changes(1, line).into_iter().filter(|(one, _)| newer.contains(one)).count();
        assert_eq!(used((3, 4)), 0);
        assert!(used((3, 5)) > 100);
    }
}
