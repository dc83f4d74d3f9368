//! Quotas: limits and usage of subtrees, kept in ordinary znodes under `/zookeeper/quota` (client-surface §6).
//!
//! A `zookeeper_limits` znode makes a path a quota; the `zookeeper_stats` znode beside it holds the usage, which the
//! server rewrites as a side effect: without transaction, version or event. Nested quotas: only the deepest counts.

use crate::{NodeId, QUOTA, Tree};
use std::borrow::Cow;
use std::collections::BTreeSet;

const LIMITS: &str = "zookeeper_limits";
const STATS: &str = "zookeeper_stats";

/// What governs a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota<'t> {
    /// Of the deepest quota at or above.
    pub path: &'t str,
    /// `None`: the text cannot be read.
    pub limits: Option<Limits>,
    /// `None`: there is no such znode; `Some(None)`: its text cannot be read.
    pub usage: Option<Option<Usage>>,
}

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

/// The value of `key` in a text such as `count=5,bytes=-1=;byteHardLimit=7`; -1 when absent. `None` for a text that Java
/// cannot read: a pair without value, or a value that is no number.
fn value(text: &str, key: &str) -> Option<i64> {
    let mut found = -1;
    if text.is_empty() {
        return Some(found);
    }
    // Java's split gives one empty part for leading separators and none for trailing ones.
    for pair in text.trim_end_matches([',', ';']).split([',', ';']) {
        let pair = pair.trim_end_matches('=');
        let (name, rest) = pair.split_once('=')?;
        let text = rest.split('=').next().unwrap_or("");
        let number = if text.is_empty() { -1 } else { text.parse().ok()? };
        if name == key {
            found = number;
        }
    }
    Some(found)
}

/// Null data is no text at all: Java trips over it.
fn text(data: Option<&[u8]>) -> Option<Cow<'_, str>> {
    data.map(String::from_utf8_lossy)
}

impl Limits {
    fn parse(data: Option<&[u8]>) -> Option<Limits> {
        let t = text(data)?;
        Some(Limits {
            count: value(&t, "count")?,
            bytes: value(&t, "bytes")?,
            count_hard: value(&t, "countHardLimit")?,
            bytes_hard: value(&t, "byteHardLimit")?,
        })
    }
}

impl Usage {
    fn parse(data: Option<&[u8]>) -> Option<Usage> {
        let t = text(data)?;
        Some(Usage { count: value(&t, "count")?, bytes: value(&t, "bytes")? })
    }

    fn render(self) -> String {
        format!("count={},bytes={}", self.count, self.bytes)
    }
}

/// Apache's table of quotas leaves blank names out of a path, so that a quota on `/a/ ` is kept as one on `/a`.
fn kept_as(path: &str) -> Cow<'_, str> {
    let is_blank = |name: &&str| name.chars().all(|c| c <= ' ');
    let mut names = path.split('/').skip(1);
    if !names.any(|name| is_blank(&name)) {
        return Cow::Borrowed(path);
    }
    let names = path.split('/').filter(|name| !is_blank(name));
    Cow::Owned(names.flat_map(|name| ["/", name]).collect())
}

impl Quotas {
    pub fn add(&mut self, path: &str) {
        self.paths.insert(kept_as(path).into_owned());
    }

    fn deepest(&self, path: &str) -> Option<&str> {
        if self.paths.is_empty() {
            return None;
        }
        let path = kept_as(path);
        let mut at: &str = &path;
        while !at.is_empty() {
            if let Some(own) = self.paths.get(at) {
                return Some(own);
            }
            at = &at[..at.rfind('/')?];
        }
        None
    }

    pub fn governing(&self, tree: &Tree, path: &str) -> Option<Quota<'_>> {
        let at = self.deepest(path)?;
        let node = |name: &str| tree.get(&format!("{QUOTA}{at}/{name}"));
        let limits = Limits::parse(node(LIMITS)?.data());
        let usage = node(STATS).map(|stats| Usage::parse(stats.data()));
        Some(Quota { path: at, limits, usage })
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
            self.quotas.paths.remove(kept_as(at).as_ref());
        }
        self.charge(path, -(bytes as i64), -1);
    }

    pub(crate) fn quota_changed(&mut self, path: &str, bytes: i64) {
        self.charge(path, bytes, 0);
    }

    fn charge(&mut self, path: &str, bytes: i64, count: i64) {
        let Some(at) = self.quotas.deepest(path) else { return };
        let Some(id) = self.find(&format!("{QUOTA}{at}/{STATS}")) else { return };
        // Usage that nobody can read is left as it is.
        let Some(old) = Usage::parse(self.nodes.get(id).data()) else { return };
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
        assert_eq!(l, Some(Limits { count: 5, bytes: -1, count_hard: 10, bytes_hard: -1 }));
        assert_eq!(value("count=4,bytes=3", "bytes"), Some(3));
        assert_eq!(value("count==4,bytes=3", "count"), Some(-1));
        assert_eq!(value("", "bytes"), Some(-1));
        for unreadable in ["nonsense", "count=,bytes=3", "count=x", ",count=3", "count=1,bytes"] {
            assert_eq!(value(unreadable, "count"), None, "{unreadable}");
        }
    }

    #[test]
    fn blank_names_are_left_out() {
        assert_eq!(kept_as("/a/b"), "/a/b");
        assert_eq!(kept_as("/a/ "), "/a");
        assert_eq!(kept_as("/a/ /b"), "/a/b");
        let mut quotas = Quotas::default();
        quotas.add("/a/ ");
        assert_eq!(quotas.deepest("/a/b/c"), Some("/a"));
        assert_eq!(quotas.deepest("/b"), None);
    }

    #[test]
    fn only_real_quota_paths_count() {
        assert_eq!(governed("/zookeeper/quota/a/b/zookeeper_limits", LIMITS), Some("/a/b"));
        assert_eq!(governed("/zookeeper/quota/zookeeper_limits", LIMITS), None);
        assert_eq!(governed("/a/zookeeper_limits", LIMITS), None);
    }
}
