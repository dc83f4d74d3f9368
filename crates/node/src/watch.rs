//! What clients wait for (client-surface §4).
//!
//! ZooKeeper keeps two tables per server: the data table (exists and getData watches) and the child table. Here both
//! are one map from path to watchers with a set of flags: a persistent watch stands in both tables, a recursive one
//! in the data table only. Each table fires at most one event per connection and change.
//!
//! The map is cut into shards, so that connections on several threads can register watches at once. Events are
//! produced only while the tree is locked against readers, so a read and its watch belong to one state.

use crate::auth::AuthIds;
use crate::outbound::ConnId;
use hashbrown::{HashMap, HashSet};
use parking_lot::{Mutex, RwLock};
use std::collections::BTreeMap;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

type Hasher = foldhash::fast::FixedState;

const SHARDS: usize = 64;

pub const DATA: u8 = 1;
pub const CHILD: u8 = 2;
pub const PERSISTENT: u8 = 4;
pub const RECURSIVE: u8 = 8;

const IN_DATA_TABLE: u8 = DATA | PERSISTENT | RECURSIVE;
const IN_CHILD_TABLE: u8 = CHILD | PERSISTENT;

/// A connection as the tables know it.
#[derive(Debug)]
pub struct Watcher {
    pub conn: ConnId,
    ids: RwLock<AuthIds>,
    paths: Mutex<HashSet<Arc<str>, Hasher>>,
}

impl Watcher {
    pub fn new(conn: ConnId, ids: AuthIds) -> Arc<Watcher> {
        let paths = Mutex::new(HashSet::with_hasher(Hasher::with_seed(conn)));
        Arc::new(Watcher { conn, ids: RwLock::new(ids), paths })
    }

    /// The ids by which events are filtered.
    pub fn set_ids(&self, ids: AuthIds) {
        *self.ids.write() = ids;
    }

    pub fn ids(&self) -> AuthIds {
        self.ids.read().clone()
    }
}

struct Entry {
    watcher: Arc<Watcher>,
    flags: u8,
}

/// Watchers of one path, sorted by connection.
type PathWatchers = Vec<Entry>;

type Shard = HashMap<Arc<str>, PathWatchers, Hasher>;

/// All watches of a server.
pub struct Watches {
    hasher: Hasher,
    shards: Vec<Mutex<Shard>>,
    recursive: AtomicUsize,
    total: AtomicUsize,
}

/// What `wchs` shows: the data table only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchSummary {
    pub connections: usize,
    pub paths: usize,
    pub watches: usize,
}

/// Called for each connection that is to hear of an event.
pub type Tell<'t> = dyn FnMut(&Watcher) + 't;

impl Watches {
    pub fn new(seed: u64) -> Watches {
        let hasher = Hasher::with_seed(seed);
        Watches {
            shards: (0..SHARDS).map(|_| Mutex::new(HashMap::with_hasher(hasher.clone()))).collect(),
            recursive: AtomicUsize::new(0),
            total: AtomicUsize::new(0),
            hasher,
        }
    }

    /// Whether nobody watches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.total.load(Ordering::Relaxed) == 0
    }

    fn shard(&self, path: &str) -> &Mutex<Shard> {
        &self.shards[self.hasher.hash_one(path) as usize % SHARDS]
    }

    /// Adds flags to a connection's watch on `path`. Twice is once.
    pub fn add(&self, watcher: &Arc<Watcher>, path: &str, flags: u8) {
        let mut shard = self.shard(path).lock();
        if !shard.contains_key(path) {
            shard.insert(path.into(), Vec::new());
        }
        let (key, list) = shard.get_key_value_mut(path).expect("it was put there above");
        let old = match list.binary_search_by_key(&watcher.conn, |e| e.watcher.conn) {
            Ok(at) => {
                let old = list[at].flags;
                list[at].flags |= flags;
                old
            }
            Err(at) => {
                list.insert(at, Entry { watcher: watcher.clone(), flags });
                watcher.paths.lock().insert(key.clone());
                self.total.fetch_add(1, Ordering::Relaxed);
                0
            }
        };
        if flags & !old & RECURSIVE != 0 {
            self.recursive.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The flags of a connection's watch on `path`.
    pub fn flags(&self, watcher: &Watcher, path: &str) -> u8 {
        let shard = self.shard(path).lock();
        let Some(list) = shard.get(path) else { return 0 };
        let found = list.binary_search_by_key(&watcher.conn, |e| e.watcher.conn);
        found.map_or(0, |at| list[at].flags)
    }

    /// Takes flags away; gives those that were there.
    pub fn remove(&self, watcher: &Watcher, path: &str, flags: u8) -> u8 {
        let mut shard = self.shard(path).lock();
        let Some(list) = shard.get_mut(path) else { return 0 };
        let Ok(at) = list.binary_search_by_key(&watcher.conn, |e| e.watcher.conn) else { return 0 };
        let removed = list[at].flags & flags;
        list[at].flags &= !flags;
        if removed & RECURSIVE != 0 {
            self.recursive.fetch_sub(1, Ordering::Relaxed);
        }
        if list[at].flags == 0 {
            list.remove(at);
            self.total.fetch_sub(1, Ordering::Relaxed);
            watcher.paths.lock().remove(path);
        }
        if list.is_empty() {
            shard.remove(path);
        }
        removed
    }

    /// Forgets a connection.
    pub fn remove_connection(&self, watcher: &Watcher) {
        let paths = std::mem::take(&mut *watcher.paths.lock());
        for path in paths {
            let mut shard = self.shard(&path).lock();
            let Some(list) = shard.get_mut(&path) else { continue };
            if let Ok(at) = list.binary_search_by_key(&watcher.conn, |e| e.watcher.conn) {
                if list[at].flags & RECURSIVE != 0 {
                    self.recursive.fetch_sub(1, Ordering::Relaxed);
                }
                list.remove(at);
                self.total.fetch_sub(1, Ordering::Relaxed);
            }
            if list.is_empty() {
                shard.remove(&path);
            }
        }
    }

    /// A znode appeared, vanished or changed its data: the data table. Gives the connections told, sorted.
    pub fn fire_data(&self, path: &str, tell: &mut Tell<'_>) -> Vec<ConnId> {
        let mut told = Vec::new();
        self.fire(path, DATA, IN_DATA_TABLE, &mut told, tell);
        if self.recursive.load(Ordering::Relaxed) > 0 {
            let mut at = path;
            while let Some(slash) = at.rfind('/').filter(|_| at != "/") {
                at = if slash == 0 { "/" } else { &at[..slash] };
                self.fire(at, 0, RECURSIVE, &mut told, tell);
            }
        }
        told
    }

    /// A znode's children changed, or the znode itself vanished: the child table. `told` are passed over.
    pub fn fire_child(&self, path: &str, mut told: Vec<ConnId>, tell: &mut Tell<'_>) {
        self.fire(path, CHILD, IN_CHILD_TABLE, &mut told, tell);
    }

    /// Tells everybody on `path` with a flag of `mask`, once; `once` flags are used up.
    fn fire(&self, path: &str, once: u8, mask: u8, told: &mut Vec<ConnId>, tell: &mut Tell<'_>) {
        let mut shard = self.shard(path).lock();
        let Some(list) = shard.get_mut(path) else { return };
        let before = list.len();
        list.retain_mut(|entry| {
            if entry.flags & mask != 0 {
                entry.flags &= !once;
                if let Err(at) = told.binary_search(&entry.watcher.conn) {
                    told.insert(at, entry.watcher.conn);
                    tell(&entry.watcher);
                }
            }
            if entry.flags == 0 {
                entry.watcher.paths.lock().remove(path);
            }
            entry.flags != 0
        });
        self.total.fetch_sub(before - list.len(), Ordering::Relaxed);
        if list.is_empty() {
            shard.remove(path);
        }
    }

    pub fn summary(&self) -> WatchSummary {
        let mut summary = WatchSummary::default();
        let mut connections: HashSet<ConnId, Hasher> = HashSet::with_hasher(self.hasher.clone());
        for shard in &self.shards {
            for list in shard.lock().values() {
                let in_table = list.iter().filter(|e| e.flags & IN_DATA_TABLE != 0);
                let mut here = 0;
                for entry in in_table {
                    here += 1;
                    connections.insert(entry.watcher.conn);
                }
                summary.watches += here;
                summary.paths += usize::from(here > 0);
            }
        }
        summary.connections = connections.len();
        summary
    }

    /// The paths that each connection watches in the data table, for `wchc` and `wchp`.
    pub fn data_table_by_connection(&self) -> BTreeMap<ConnId, Vec<String>> {
        let mut all: BTreeMap<ConnId, Vec<String>> = BTreeMap::new();
        for shard in &self.shards {
            for (path, list) in shard.lock().iter() {
                for entry in list.iter().filter(|e| e.flags & IN_DATA_TABLE != 0) {
                    all.entry(entry.watcher.conn).or_default().push(path.to_string());
                }
            }
        }
        all
    }

    /// Watches of both tables, as the metric `watch_count` counts them.
    pub fn count_both_tables(&self) -> usize {
        let count = |e: &Entry| {
            usize::from(e.flags & IN_DATA_TABLE != 0) + usize::from(e.flags & IN_CHILD_TABLE != 0)
        };
        self.shards.iter().map(|s| s.lock().values().flatten().map(count).sum::<usize>()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watcher(conn: ConnId) -> Arc<Watcher> {
        Watcher::new(conn, Arc::new(Vec::new()))
    }

    fn data(w: &Watches, path: &str) -> Vec<ConnId> {
        let mut told = Vec::new();
        w.fire_data(path, &mut |x| told.push(x.conn));
        told.sort_unstable();
        told
    }

    #[test]
    fn one_shot_watches_fire_once_and_persistent_ones_stay() {
        let w = Watches::new(1);
        let (a, b, c) = (watcher(1), watcher(2), watcher(3));
        w.add(&a, "/x", DATA);
        w.add(&a, "/x", DATA);
        w.add(&b, "/x", PERSISTENT);
        w.add(&c, "/", RECURSIVE);
        assert_eq!(data(&w, "/x"), [1, 2, 3]);
        assert_eq!(data(&w, "/x"), [2, 3]);
        assert_eq!(data(&w, "/x/y/z"), [3]);
        w.remove_connection(&c);
        assert!(data(&w, "/x/y/z").is_empty());
        w.remove_connection(&b);
        assert!(w.is_empty());
    }

    #[test]
    fn one_event_per_table_and_connection() {
        let w = Watches::new(1);
        let a = watcher(1);
        w.add(&a, "/x", DATA | CHILD | PERSISTENT);
        w.add(&a, "/", RECURSIVE);
        let mut count = 0;
        let told = w.fire_data("/x", &mut |_| count += 1);
        w.fire_child("/x", told, &mut |_| count += 1);
        assert_eq!(count, 1);
        assert_eq!(w.flags(&a, "/x"), PERSISTENT, "both standard watches are used up");
    }

    #[test]
    fn removal_says_what_was_there() {
        let w = Watches::new(1);
        let a = watcher(1);
        w.add(&a, "/x", DATA | CHILD);
        assert_eq!(w.remove(&a, "/x", CHILD), CHILD);
        assert_eq!(w.remove(&a, "/x", CHILD), 0);
        assert_eq!(w.summary(), WatchSummary { connections: 1, paths: 1, watches: 1 });
        assert_eq!(w.remove(&a, "/x", DATA), DATA);
        assert!(w.is_empty());
    }
}
