//! What one server has in its log and on its disk, followed from outside: it outlives the server's processes.

use super::Broken;
use std::collections::BTreeSet;

#[derive(Debug, Clone, Default)]
pub struct Replica {
    /// Everything up to here came with a whole tree.
    base: i64,
    /// Transactions handed to the log, and those known to be in `base`.
    log: BTreeSet<i64>,
    /// What is certain to survive a power cut.
    pub durable: i64,
    pub accepted_epoch: i64,
    pub current_epoch: i64,
    /// A whole tree was about to replace everything.
    installing: Option<(i64, BTreeSet<i64>)>,
}

impl Replica {
    pub fn new(base: i64) -> Replica {
        let epoch = base >> 32;
        Replica { base, durable: base, accepted_epoch: epoch, current_epoch: epoch, ..Replica::default() }
    }

    pub fn appended(&mut self, zxid: i64) {
        self.log.insert(zxid);
    }

    pub fn synced(&mut self, zxid: i64) {
        self.durable = self.durable.max(zxid);
    }

    /// Whether the transaction is in the log, or in the tree from which the log goes on.
    pub fn has(&self, zxid: i64) -> bool {
        self.log.contains(&zxid) || zxid <= self.base
    }

    pub fn has_durably(&self, zxid: i64) -> bool {
        self.has(zxid) && zxid <= self.durable
    }

    /// Transactions behind `after` up to `through`.
    pub fn between(&self, after: i64, through: i64) -> impl Iterator<Item = i64> {
        let through = through.max(after);
        self.log
            .range((std::ops::Bound::Excluded(after), std::ops::Bound::Included(through.max(after + 1))))
            .copied()
            .filter(move |z| *z <= through)
    }

    pub fn base(&self) -> i64 {
        self.base
    }

    /// The log is being cut behind `keep`: what is behind may be there or not until that is done.
    pub fn cutting(&mut self, keep: i64) {
        self.durable = self.durable.min(keep);
    }

    pub fn cut(&mut self, keep: i64) {
        self.log.retain(|zxid| *zxid <= keep);
        self.durable = self.durable.min(keep);
    }

    /// A whole tree at `zxid`, which holds `log`, is being put in the place of everything.
    pub fn installing(&mut self, zxid: i64, log: BTreeSet<i64>) {
        self.installing = Some((zxid, log));
    }

    pub fn installed(&mut self) {
        if let Some((zxid, log)) = self.installing.take() {
            (self.base, self.durable, self.log) = (zxid, zxid, log);
        }
    }

    /// A process has started from what the disk had.
    pub fn recovered(&mut self, last: i64, accepted: i64, current: i64) -> Result<(), Broken> {
        if self.installing.as_ref().is_some_and(|(zxid, _)| *zxid == last) {
            self.installed();
        }
        self.installing = None;
        if last < self.durable {
            return Err(format!(
                "durable: {:#x} was on the disk, a start found only {last:#x}",
                self.durable
            ));
        }
        if accepted < self.accepted_epoch || current < self.current_epoch {
            return Err(format!(
                "durable: the epochs {}/{} were on the disk, a start found {accepted}/{current}",
                self.accepted_epoch, self.current_epoch
            ));
        }
        self.log.retain(|zxid| *zxid <= last);
        self.durable = last;
        (self.accepted_epoch, self.current_epoch) = (accepted, current);
        Ok(())
    }
}
