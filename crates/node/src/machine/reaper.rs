//! Removing empty containers and TTL znodes whose time is up (client-surface §4.9).

use super::{Node, Now};
use crate::settings::Settings;
use std::collections::VecDeque;
use tree::Tree;
use wire::data::{Owner, StatPersisted};
use wire::txn::TxnHeader;
use wire::{OpCode, file};

/// Looks at all candidates once per interval, and deletes what it found at a bounded rate.
#[derive(Debug)]
pub(super) struct Reaper {
    next_scan_ms: i64,
    next_delete_ms: i64,
    found: VecDeque<String>,
}

impl Reaper {
    /// The first look is one interval after the start.
    pub fn new(now_ms: i64, settings: &Settings) -> Reaper {
        let next_scan_ms = now_ms + settings.container_check_interval_ms.max(1);
        Reaper { next_scan_ms, next_delete_ms: now_ms, found: VecDeque::new() }
    }

    pub fn next_ms(&self) -> i64 {
        if self.found.is_empty() { self.next_scan_ms } else { self.next_delete_ms.min(self.next_scan_ms) }
    }
}

/// Whether a znode without children is to go.
fn is_due(stat: &StatPersisted, settings: &Settings, wall_ms: i64) -> bool {
    let never_used_ms = settings.container_max_never_used_ms;
    let age_ms = wall_ms - stat.mtime;
    match Owner::decode(stat.ephemeral_owner, settings.owners) {
        Owner::Container if stat.cversion > 0 => true,
        Owner::Container => never_used_ms > 0 && age_ms > never_used_ms,
        Owner::Ttl(ttl_ms) => age_ms > ttl_ms,
        Owner::Persistent | Owner::Session(_) => false,
    }
}

impl Node {
    pub(super) fn reap(&mut self, tree: &Tree, now: Now) {
        if now.mono_ms >= self.reaper.next_scan_ms {
            self.reaper.next_scan_ms = now.mono_ms + self.settings.container_check_interval_ms.max(1);
            if self.reaper.found.is_empty() {
                self.reaper.found = self.scan(tree, now.wall_ms);
            }
        }
        let spacing_ms = (60_000 / self.settings.container_max_per_minute.max(1)).max(1);
        while now.mono_ms >= self.reaper.next_delete_ms {
            let Some(path) = self.reaper.found.pop_front() else {
                self.reaper.next_delete_ms = now.mono_ms;
                return;
            };
            self.reaper.next_delete_ms = self.reaper.next_delete_ms.max(now.mono_ms - 1000) + spacing_ms;
            self.propose_reap(tree, now, &path);
        }
    }

    fn scan(&self, tree: &Tree, wall_ms: i64) -> VecDeque<String> {
        let due = tree.reapable().filter(|node| is_due(&node.stored_stat(), &self.settings, wall_ms));
        due.map(|node| node.path()).collect()
    }

    /// Proposes the deletion, unless the znode is in use again.
    fn propose_reap(&mut self, tree: &Tree, now: Now, path: &str) {
        let zxid = self.zab.last_proposed() + 1;
        let op = OpCode::DeleteContainer.code();
        let out = &mut self.building.bytes;
        let start = file::begin_record(out);
        TxnHeader { session_id: 0, cxid: 0, zxid, time_ms: now.wall_ms, op }.encode(out);
        // It may have been used, renewed or made anew since it was found.
        let settings = self.settings.clone();
        let due = |stat: &StatPersisted| is_due(stat, &settings, now.wall_ms);
        if self.prep.reap(tree, zxid, path, due, out) {
            let proposed = self.zab.propose();
            debug_assert_eq!(proposed, zxid);
            self.finish_record(start, zxid, true);
        } else {
            self.building.bytes.truncate(start);
        }
    }
}
