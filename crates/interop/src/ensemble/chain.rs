//! The one history that all members must agree on, put together from all their logs.
//!
//! A member's log may have a hole (it got a snapshot), and may have kept transactions that were never committed
//! (it was alone when it got them). Inside an epoch there is one leader, so the counters run on without a gap; the question
//! is only after which transaction of which older epoch an epoch begins. Every log that has both says so; a
//! log that says something else is believed only if it has everything that was acknowledged, and if the
//! digests, which releases from 3.6 on write into every transaction, come out right.
use super::state::State;
use super::txn::Record;
use anyhow::{Result, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};

/// More guesses than this would mean that the logs say nothing.
const GUESSES: usize = 64;

/// The logs of one member, now and before.
pub struct MemberLogs {
    pub id: u8,
    pub logs: Vec<Vec<Record>>,
}

/// The common history.
pub struct Chain {
    pub records: Vec<Record>,
    /// Transactions in some log that were never committed.
    pub dead: usize,
}

pub fn epoch(zxid: i64) -> i64 {
    zxid >> 32
}

fn counter(zxid: i64) -> i64 {
    zxid & 0xffff_ffff
}

/// All records by zxid; two members must never have different ones of the same zxid, digests included.
fn union(members: &[MemberLogs]) -> Result<BTreeMap<i64, &Record>> {
    let mut all: BTreeMap<i64, (&Record, u8)> = BTreeMap::new();
    for member in members {
        for record in member.logs.iter().flatten() {
            let (known, id) = *all.entry(record.zxid).or_insert((record, member.id));
            if !agree(known, record) {
                bail!(
                    "at zxid 0x{:x} member {id} has {known:?}, member {} has {record:?}",
                    record.zxid,
                    member.id
                );
            }
            if known.digest.is_none() {
                all.insert(record.zxid, (record, member.id));
            }
        }
    }
    Ok(all.into_iter().map(|(zxid, (record, _))| (zxid, record)).collect())
}

/// A member whose release knows no digests leaves them out, and before 3.6 the paths of a closed session.
fn agree(one: &Record, other: &Record) -> bool {
    use super::txn::Change::CloseSession;
    let digests = one.digest.is_none() || other.digest.is_none() || one.digest == other.digest;
    let changes = match (&one.change, &other.change) {
        (CloseSession(one), CloseSession(other)) => one.is_none() || other.is_none() || one == other,
        (one, other) => one == other,
    };
    digests && changes && (one.session, one.cxid, one.time) == (other.session, other.cxid, other.time)
}

/// Puts the history together. `seen` are the zxids of all replies to clients: what they tell was committed.
pub fn resolve(members: &[MemberLogs], seen: &BTreeSet<i64>) -> Result<Chain> {
    let all = union(members)?;
    // A reply right after an election has the zero of its epoch, which no transaction has.
    let seen: BTreeSet<i64> = seen.iter().copied().filter(|zxid| counter(*zxid) != 0).collect();
    let Some((&last, _)) = all.last_key_value() else { bail!("no member has a log") };
    if let Some(&newest) = seen.last() {
        ensure!(newest <= last, "a client was told zxid 0x{newest:x}, but the logs end with 0x{last:x}");
    }
    let votes = votes(members);
    let mut guesses = vec![vec![last]];
    let mut whole: Vec<Vec<i64>> = Vec::new();
    while let Some(guess) = guesses.pop() {
        let start = first_of_epoch(&all, guess[guess.len() - 1])?;
        let mut before: Vec<(i64, usize)> = candidates(&votes, start, &seen);
        if before.is_empty() {
            bail!("what was acknowledged before zxid 0x{start:x} is in no log that goes on with it");
        }
        // The most voted one is tried first: the last that is pushed.
        before.sort_by_key(|(_, count)| *count);
        for (zxid, _) in before {
            let longer = || guess.iter().copied().chain([zxid]).collect();
            if zxid == 0 { whole.insert(0, guess.clone()) } else { guesses.push(longer()) }
        }
        ensure!(guesses.len() + whole.len() < GUESSES, "the logs contradict each other in too many places");
    }
    let mut reason = None;
    for ends in whole.iter().rev() {
        let records = collect(&all, ends);
        match replay(&records) {
            Ok(()) => return Ok(Chain { dead: all.len() - records.len(), records }),
            Err(error) => reason = reason.or(Some(error)),
        }
    }
    Err(reason.expect("there was at least one guess").context("no way to read the logs as one history"))
}

/// For every first transaction of an epoch: what the logs have right before it, and how many say so.
fn votes(members: &[MemberLogs]) -> BTreeMap<i64, BTreeMap<i64, usize>> {
    let mut votes: BTreeMap<i64, BTreeMap<i64, usize>> = BTreeMap::new();
    for log in members.iter().flat_map(|member| &member.logs) {
        let mut before = 0;
        for record in log {
            if epoch(before) != epoch(record.zxid) && counter(record.zxid) == 1 {
                *votes.entry(record.zxid).or_default().entry(before).or_default() += 1;
            }
            before = record.zxid;
        }
    }
    votes
}

fn first_of_epoch(all: &BTreeMap<i64, &Record>, last: i64) -> Result<i64> {
    let start = (epoch(last) << 32) + 1;
    let held = all.range(start..=last).count() as i64;
    ensure!(
        held == counter(last),
        "of the {} transactions of epoch {} up to 0x{last:x} only {held} are in any log",
        counter(last),
        epoch(last)
    );
    Ok(start)
}

/// What may come before the first transaction of an epoch: as voted, if nothing that was told gets lost by it.
fn candidates(
    votes: &BTreeMap<i64, BTreeMap<i64, usize>>,
    start: i64,
    seen: &BTreeSet<i64>,
) -> Vec<(i64, usize)> {
    let told = seen.range(..start).next_back().copied().unwrap_or(0);
    let voted = votes.get(&start).into_iter().flatten();
    voted.filter(|(zxid, _)| **zxid >= told).map(|(zxid, count)| (*zxid, *count)).collect()
}

fn collect(all: &BTreeMap<i64, &Record>, ends: &[i64]) -> Vec<Record> {
    let ranges = ends.iter().rev().map(|end| (epoch(*end) << 32)..=*end);
    ranges.flat_map(|range| all.range(range).map(|(_, record)| (*record).clone())).collect()
}

/// Applies all records and compares every digest.
fn replay(records: &[Record]) -> Result<()> {
    let mut state = State::default();
    for record in records {
        state.apply(record)?;
        if let Some(expected) = record.digest {
            ensure!(
                state.digest == expected,
                "after zxid 0x{:x} the digest should be {expected:x}, is {:x}: {record:?}",
                record.zxid,
                state.digest
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ensemble::txn::Change;

    fn record(epoch: i64, counter: i64) -> Record {
        let zxid = epoch << 32 | counter;
        Record {
            session: 1,
            cxid: counter as i32,
            zxid,
            time: epoch,
            change: Change::Error(-101),
            digest: None,
        }
    }

    fn member(id: u8, zxids: &[(i64, i64)]) -> MemberLogs {
        MemberLogs { id, logs: vec![zxids.iter().map(|(epoch, counter)| record(*epoch, *counter)).collect()] }
    }

    #[test]
    fn an_uncommitted_end_is_left_out() {
        let members = [
            member(1, &[(1, 1), (1, 2), (2, 1), (2, 2)]),
            member(2, &[(1, 1), (1, 2), (2, 1), (2, 2)]),
            member(3, &[(1, 1), (1, 2), (1, 3)]),
        ];
        let chain = resolve(&members, &BTreeSet::from([1 << 32 | 2])).unwrap();
        assert_eq!((chain.records.len(), chain.dead), (4, 1));
        // Had a client been told of the third, it would have been lost.
        let lost = resolve(&members, &BTreeSet::from([1 << 32 | 3])).err().unwrap();
        assert!(lost.to_string().contains("is in no log that goes on"), "{lost}");
    }

    #[test]
    fn a_log_with_a_hole_is_filled_from_another() {
        let members = [member(1, &[(1, 1), (2, 3)]), member(2, &[(1, 1), (1, 2), (2, 1), (2, 2)])];
        assert_eq!(resolve(&members, &BTreeSet::new()).unwrap().records.len(), 5);
        let gap = resolve(&[member(1, &[(1, 1), (1, 3)])], &BTreeSet::new()).err().unwrap();
        assert!(gap.to_string().contains("only 2 are in any log"), "{gap}");
    }

    #[test]
    fn two_different_transactions_of_one_zxid_are_found() {
        let mut other = member(2, &[(1, 1)]);
        other.logs[0][0].session = 9;
        assert!(resolve(&[member(1, &[(1, 1)]), other], &BTreeSet::new()).is_err());
    }
}
