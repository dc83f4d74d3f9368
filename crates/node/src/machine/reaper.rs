//! Removing empty containers and TTL znodes whose time is up (client-surface §4.9).

use super::Now;
use super::core::Core;
use super::leading::Leading;
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

impl Leading {
    pub(super) fn reap(&mut self, core: &mut Core, tree: &Tree, now: Now) {
        let Some(serving) = &mut self.serving else { return };
        let reaper = &mut serving.reaper;
        if now.mono_ms >= reaper.next_scan_ms {
            reaper.next_scan_ms = now.mono_ms + core.settings.container_check_interval_ms.max(1);
            if reaper.found.is_empty() {
                reaper.found = scan(&core.settings, tree, now.wall_ms);
            }
        }
        let spacing_ms = (60_000 / core.settings.container_max_per_minute.max(1)).max(1);
        while let Some(serving) = &mut self.serving
            && now.mono_ms >= serving.reaper.next_delete_ms
            && self.control.can_propose()
        {
            let reaper = &mut serving.reaper;
            let Some(path) = reaper.found.pop_front() else {
                reaper.next_delete_ms = now.mono_ms;
                return;
            };
            reaper.next_delete_ms = reaper.next_delete_ms.max(now.mono_ms - 1000) + spacing_ms;
            self.propose_reap(core, tree, now, &path);
        }
    }

    /// Proposes the deletion, unless the znode is in use again.
    fn propose_reap(&mut self, core: &mut Core, tree: &Tree, now: Now, path: &str) {
        let Some(serving) = &mut self.serving else { return };
        let zxid = self.control.broadcast().last_proposed() + 1;
        let op = OpCode::DeleteContainer.code();
        let out = &mut core.pipeline.building.bytes;
        let start = file::begin_record(out);
        TxnHeader { session_id: 0, cxid: 0, zxid, time_ms: now.wall_ms, op }.encode(out);
        // It may have been used, renewed or made anew since it was found.
        let settings = core.settings.clone();
        let due = |stat: &StatPersisted| is_due(stat, &settings, now.wall_ms);
        if serving.prep.reap(tree, zxid, path, due, out) {
            self.control.broadcast_mut().propose();
            self.finish_record(core, start, zxid, true);
        } else {
            core.pipeline.building.bytes.truncate(start);
        }
    }
}

fn scan(settings: &Settings, tree: &Tree, wall_ms: i64) -> VecDeque<String> {
    let due = tree.reapable().filter(|node| is_due(&node.stored_stat(), settings, wall_ms));
    due.map(|node| node.path()).collect()
}
