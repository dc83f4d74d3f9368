//! Quotas: limits and usage of subtrees, kept in ordinary znodes under `/zookeeper/quota` (client-surface §6).
//!
//! A `zookeeper_limits` znode makes a path a quota; the `zookeeper_stats` znode beside it holds the usage, which the
//! server rewrites as a side effect: without transaction, version or event. Nested quotas: only the deepest counts.

use crate::{NodeId, QUOTA, Tree};
use std::collections::BTreeSet;

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// The paths that have a quota.
#[derive(Default)]
pub(crate) struct Quotas {
    paths: BTreeSet<String>,
}

/// -1 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub count: i64,
    pub bytes: i64,
    pub count_hard: i64,
    pub bytes_hard: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub count: i64,
    pub bytes: i64,
}

/// The value of `key` in a text such as `count=5,bytes=-1=;byteHardLimit=7`; -1 when absent or unreadable.
fn value(text: &str, key: &str) -> i64 {
    let pairs = text.split([',', ';']).filter(|p| !p.is_empty());
    let mut found = -1;
    for pair in pairs {
        let mut parts = pair.split('=');
        if parts.next() == Some(key) {
            found = parts.next().and_then(|v| v.parse().ok()).unwrap_or(-1);
        }
    }
    found
}

fn text(data: Option<&[u8]>) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data.unwrap_or(&[]))
}

impl Limits {
    fn parse(data: Option<&[u8]>) -> Limits {
        let t = text(data);
        Limits {
            count: value(&t, "count"),
            bytes: value(&t, "bytes"),
            count_hard: value(&t, "countHardLimit"),
            bytes_hard: value(&t, "byteHardLimit"),
        }
    }
}

impl Usage {
    fn parse(data: Option<&[u8]>) -> Usage {
        let t = text(data);
        Usage { count: value(&t, "count"), bytes: value(&t, "bytes") }
    }

    fn render(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

impl Quotas {
    pub fn add(&mut self, path: &str) {
        self.paths.insert(path.to_owned());
    }

    fn deepest<'a>(&self, path: &'a str) -> Option<&'a str> {
        if self.paths.is_empty() {
            return None;
        }
        let mut at = path;
        while !at.is_empty() {
            if self.paths.contains(at) {
                return Some(at);
            }
            at = &at[..at.rfind('/')?];
        }
        None
    }

    pub fn governing(&self, tree: &Tree, path: &str) -> Option<(&str, Limits, Usage)> {
        let at = self.deepest(path)?;
        let own = self.paths.get(at)?;
        let node = |name: &str| tree.get(&format!("{QUOTA}{at}/{name}"));
        let limits = Limits::parse(node(LIMITS)?.data());
        let usage = Usage::parse(node(STATS).and_then(|n| n.data()));
        Some((own, limits, usage))
    }
}

/// The governed path, if `path` is the quota znode called `name` of one.
fn governed<'a>(path: &'a str, name: &str) -> Option<&'a str> {
    let inside = path.strip_prefix(QUOTA)?.strip_suffix(name)?.strip_suffix('/')?;
    (!inside.is_empty()).then_some(inside)
}

impl Tree {
    pub(crate) fn quota_created(&mut self, path: &str, bytes: usize) {
        if let Some(at) = governed(path, LIMITS) {
            self.quotas.add(at);
        } else if let Some(at) = governed(path, STATS) {
            self.recount(at);
        }
        self.charge(path, bytes as i64, 1);
    }

    pub(crate) fn quota_deleted(&mut self, path: &str, bytes: usize) {
        if let Some(at) = governed(path, LIMITS) {
            self.quotas.paths.remove(at);
        }
        self.charge(path, -(bytes as i64), -1);
    }

    pub(crate) fn quota_changed(&mut self, path: &str, bytes: i64) {
        self.charge(path, bytes, 0);
    }

    fn charge(&mut self, path: &str, bytes: i64, count: i64) {
        let Some(at) = self.quotas.deepest(path) else { return };
        let Some(id) = self.find(&format!("{QUOTA}{at}/{STATS}")) else { return };
        let old = Usage::parse(self.nodes.get(id).data());
        // A client may have written any number there.
        let usage = Usage { count: old.count.wrapping_add(count), bytes: old.bytes.wrapping_add(bytes) };
        self.write_usage(id, usage);
    }

    fn write_usage(&mut self, id: NodeId, usage: Usage) {
        self.preserve(id);
        let node = self.nodes.get_mut(id);
        let old = node.data().map_or(0, <[u8]>::len) as u64;
        let text = usage.render();
        node.set_data(Some(text.as_bytes()));
        self.data_bytes = self.data_bytes - old + text.len() as u64;
    }

    /// Computes the usage of a quota from its subtree, itself included.
    fn recount(&mut self, at: &str) {
        let Some(stats) = self.find(&format!("{QUOTA}{at}/{STATS}")) else { return };
        let mut usage = Usage { count: 0, bytes: 0 };
        let mut todo: Vec<NodeId> = self.find(at).into_iter().collect();
        while let Some(id) = todo.pop() {
            let node = self.nodes.get(id);
            usage.count += 1;
            usage.bytes += node.data().map_or(0, <[u8]>::len) as i64;
            todo.extend_from_slice(node.children());
        }
        self.write_usage(stats, usage);
    }

    /// Finds all quotas of a loaded snapshot and recomputes their usage.
    pub(crate) fn restore_quotas(&mut self) {
        let mut todo: Vec<NodeId> = self.find(QUOTA).into_iter().collect();
        let mut found = Vec::new();
        while let Some(id) = todo.pop() {
            let node = self.nodes.get(id);
            todo.extend_from_slice(node.children());
            if node.name() == LIMITS {
                found.extend(governed(&self.path_of(id), LIMITS).map(str::to_owned));
            }
        }
        for at in found {
            self.quotas.add(&at);
            self.recount(&at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_all_ages_are_read() {
        let l = Limits::parse(Some(b"count=5,bytes=-1=;byteHardLimit=-1;countHardLimit=10"));
        assert_eq!(l, Limits { count: 5, bytes: -1, count_hard: 10, bytes_hard: -1 });
        assert_eq!(value("count=,bytes=3", "count"), -1);
        assert_eq!(value("count=,bytes=3", "bytes"), 3);
        assert_eq!(value("", "bytes"), -1);
        assert_eq!(value("nonsense", "bytes"), -1);
    }

    #[test]
    fn only_real_quota_paths_count() {
        assert_eq!(governed("/zookeeper/quota/a/b/zookeeper_limits", LIMITS), Some("/a/b"));
        assert_eq!(governed("/zookeeper/quota/zookeeper_limits", LIMITS), None);
        assert_eq!(governed("/a/zookeeper_limits", LIMITS), None);
    }
}
