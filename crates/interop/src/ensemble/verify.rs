//! The end of every run: the load rests, all members are compared, stopped, and their logs read.
use super::chain::{self, Chain, MemberLogs};
use super::check::{self, Evidence, Replayed};
use super::history::{Arrival, SessionHistory};
use super::load::Load;
use super::member::Member;
use super::state::State;
use super::txn::Record;
use super::{Ensemble, logs, status};
use crate::apache;
use crate::raw::Target;
use crate::server::ServerKind;
use crate::tree::{self, Tree};
use anyhow::{Context, Result, anyhow, bail};
use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::thread::ScopedJoinHandle;

/// So many findings are shown.
const SHOWN: usize = 8;

/// What a run came to, for people.
#[derive(Clone, Debug, Default)]
pub struct Account {
    pub sessions: usize,
    pub operations: usize,
    pub writes: usize,
    pub events: usize,
    /// Connections lost.
    pub lost: usize,
    /// Writes whose outcome the client never learned.
    pub unknown: usize,
    pub transactions: usize,
    /// Transactions in some log that were never committed.
    pub dead: usize,
    pub epochs: usize,
    pub znodes: usize,
    pub snapshots: usize,
    /// Digest mismatches that Apache's members counted for reasons of their own.
    pub mismatches: u64,
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{} operations ({} writes, {} with unknown outcome), {} events, {} sessions, {} connections lost; \
             {} transactions in {} epochs, {} never committed; {} znodes, {} snapshot digests",
            self.operations,
            self.writes,
            self.unknown,
            self.events,
            self.sessions,
            self.lost,
            self.transactions,
            self.epochs,
            self.dead,
            self.znodes,
            self.snapshots
        )?;
        match self.mismatches {
            0 => Ok(()),
            count => write!(out, ", {count} digest mismatches counted by Apache for reasons of its own"),
        }
    }
}

/// Ends the load, compares all members and checks the whole history; the ensemble is stopped afterwards.
pub fn verify(ensemble: &mut Ensemble, load: Load) -> Result<Account> {
    load.rest()?;
    ensemble.wait_for_all()?;
    let trees = read_trees(ensemble)?;
    let mut findings = Vec::new();
    let mismatches = digest_counters(ensemble)?;
    let sessions = load.finish()?;
    ensemble.stop_all()?;
    let chain = read_chain(ensemble, &sessions)?;
    logs_in_order(ensemble, &mut findings)?;
    let evidence = Evidence::new(&chain, &sessions, &mut findings);
    let replayed = check::check(&evidence, &mut findings)?;
    for (id, tree) in &trees {
        compare_tree(*id, tree, &replayed.state, &mut findings);
    }
    let panicked = |member: &&Member| member.log().contains("panicked at");
    let who = ensemble.members.iter().filter(panicked);
    findings.extend(who.map(|member| {
        format!("member {} panicked; see its server.log in {}", member.id, member.dir.display())
    }));
    let mut account = count(&chain, &sessions);
    account.znodes = trees.first().map_or(0, |(_, tree)| tree.len());
    account.mismatches = judge_mismatches(ensemble, &mismatches, &chain, &mut findings)?;
    account.snapshots = snapshot_digests(ensemble, &replayed, &mut findings)?;
    if findings.is_empty() {
        return Ok(account);
    }
    let count = findings.len();
    findings.truncate(SHOWN);
    bail!("{count} findings; {account}\n    {}", findings.join("\n    "))
}

/// The trees of all members, read at the same time.
fn read_trees(ensemble: &Ensemble) -> Result<Vec<(u8, Tree)>> {
    let read = |address| {
        let mut session = Target { address, ..Target::default() }.open()?;
        session.sync()?;
        let tree = tree::read(&mut session)?;
        session.close()?;
        Ok::<_, anyhow::Error>(tree)
    };
    std::thread::scope(|scope| {
        let awake = ensemble.members.iter().filter(|member| member.awake());
        let start = |member: &Member| {
            let address = member.place.client_address();
            (member.id, scope.spawn(move || read(address)))
        };
        let threads: Vec<_> = awake.map(start).collect();
        let join = |(id, thread): (u8, ScopedJoinHandle<'_, Result<Tree>>)| {
            let tree = thread.join().map_err(|_| anyhow!("the reader of member {id} panicked"))?;
            Ok((id, tree.with_context(|| format!("reading the tree of member {id}"))?))
        };
        threads.into_iter().map(join).collect()
    })
}

/// From 3.6 on each member compares the digest in every transaction with its own, and counts mismatches.
fn digest_counters(ensemble: &Ensemble) -> Result<Vec<(u8, u64)>> {
    let mut counters = Vec::new();
    for member in ensemble.members.iter().filter(|member| member.awake()) {
        if apache::line(member.kind.behaves_as()) < (3, 6) {
            continue;
        }
        let counted = status::counter(member.place.client_address(), "zk_digest_mismatches_count")?;
        counters.push((member.id, counted.unwrap_or_default() as u64));
    }
    Ok(counters)
}

/// No mismatch may be counted, but by Apache's servers, for two reasons of their own: their leader sends snapshots that
/// already hold some of the transactions that follow, and their learner compares digests while it applies those;
/// and a log that holds transactions twice is applied twice.
fn judge_mismatches(
    ensemble: &Ensemble,
    counters: &[(u8, u64)],
    chain: &Chain,
    findings: &mut Vec<String>,
) -> Result<u64> {
    let mut excused = 0;
    for (id, count) in counters.iter().filter(|(_, count)| *count > 0) {
        let member = &ensemble.members[usize::from(*id) - 1];
        let records = logs::records(&member.version_2())?;
        let held: HashSet<i64> = records.iter().map(|record| record.zxid).collect();
        let got_snapshot = chain.records.iter().any(|record| !held.contains(&record.zxid));
        if member.kind != ServerKind::Rookeeper && (got_snapshot || goes_down(&records).is_some()) {
            excused += count;
        } else {
            findings.push(format!("member {id} ({}) counted {count} digest mismatches", member.kind));
        }
    }
    Ok(excused)
}

/// Reads the logs of all members, put aside ones included, and puts the common history together.
pub fn read_chain(ensemble: &Ensemble, sessions: &[SessionHistory]) -> Result<Chain> {
    let mut members = Vec::new();
    for member in &ensemble.members {
        let folders = member.log_folders();
        let logs = folders.iter().map(|folder| logs::records(folder)).collect::<Result<_>>();
        members
            .push(MemberLogs { id: member.id, logs: logs.with_context(|| format!("member {}", member.id))? });
    }
    let operations = sessions.iter().flat_map(|session| &session.operations);
    let seen: BTreeSet<i64> = operations.filter_map(|one| Some(one.outcome.as_ref()?.zxid)).collect();
    chain::resolve(&members, &seen)
}

/// Every znode with data and Stat; those below `/zookeeper` are each server's own.
fn compare_tree(id: u8, tree: &Tree, state: &State, findings: &mut Vec<String>) {
    let foreign = |path: &str| !path.starts_with("/zookeeper");
    for (path, node) in tree.iter().filter(|(path, _)| foreign(path)) {
        match state.get(path) {
            Some(own) if own.data == node.data && own.stat() == node.stat => {}
            own => findings.push(format!("member {id} has {path} as {node:?}, the history gives {own:?}")),
        }
    }
    let missing = state.paths().filter(|path| foreign(path) && !tree.contains_key(*path));
    findings.extend(missing.map(|path| format!("member {id} lacks {path}")));
}

/// A log whose zxids go down cannot be read back as a history, even if nothing is missing in it. Apache's servers
/// write such logs: after an election some releases append again what they have; ours must not.
fn logs_in_order(ensemble: &Ensemble, findings: &mut Vec<String>) -> Result<()> {
    for member in &ensemble.members {
        for (file, records) in logs::by_file(&member.version_2())? {
            let Some((before, after)) = goes_down(&records) else { continue };
            if *member.writer_of(&file) == ServerKind::Rookeeper {
                findings.push(format!("{} goes from zxid 0x{before:x} to 0x{after:x}", file.display()));
            }
        }
    }
    Ok(())
}

/// The first place where zxids do not rise.
fn goes_down(records: &[Record]) -> Option<(i64, i64)> {
    let down = records.windows(2).find(|pair| pair[1].zxid <= pair[0].zxid)?;
    Some((down[0].zxid, down[1].zxid))
}

fn snapshot_digests(ensemble: &Ensemble, replayed: &Replayed, findings: &mut Vec<String>) -> Result<usize> {
    let mut compared = 0;
    for member in &ensemble.members {
        for found in logs::snapshot_digests(&member.version_2())? {
            let Some(expected) = replayed.digests.get(&found.zxid) else { continue };
            compared += 1;
            if *expected != found.digest {
                let (file, zxid, digest) = (found.file.display(), found.zxid, found.digest);
                findings.push(format!("{file} has digest {digest:x} at zxid 0x{zxid:x}, not {expected:x}"));
            }
        }
    }
    Ok(compared)
}

fn count(chain: &Chain, sessions: &[SessionHistory]) -> Account {
    let mut account = Account { sessions: sessions.len(), dead: chain.dead, ..Account::default() };
    account.transactions = chain.records.len();
    let epochs: BTreeSet<i64> = chain.records.iter().map(|record| chain::epoch(record.zxid)).collect();
    account.epochs = epochs.len();
    for session in sessions {
        account.operations += session.operations.len();
        let writes = session.operations.iter().filter(|one| one.request.is_write());
        account.writes += writes.clone().count();
        account.unknown += writes.filter(|one| one.outcome.is_none()).count();
        for arrival in &session.arrivals {
            account.events += usize::from(matches!(arrival, Arrival::Event { .. }));
            account.lost += usize::from(matches!(arrival, Arrival::Lost(_)));
        }
    }
    account
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::txn::Change;

    #[test]
    fn a_log_that_goes_down_is_seen() {
        let log = |zxids: &[i64]| -> Vec<Record> {
            let one = |zxid: &i64| Record {
                session: 1,
                cxid: 1,
                zxid: *zxid,
                time: 0,
                change: Change::Check,
                digest: None,
            };
            zxids.iter().map(one).collect()
        };
        assert_eq!(goes_down(&log(&[1, 2, 9])), None);
        assert_eq!(goes_down(&log(&[1, 4, 2, 3])), Some((4, 2)));
        assert_eq!(goes_down(&log(&[1, 1])), Some((1, 1)));
    }
}
