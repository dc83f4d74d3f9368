//! Quotas (client-surface §6): a limits znode makes a path a quota, a stats znode beside it shows the usage.

use crate::Model;
use std::collections::BTreeMap;

const ROOT: &str = "/zookeeper/quota";
const LIMITS: &str = "/zookeeper_limits";
const STATS: &str = "/zookeeper_stats";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    pub count: i64,
    pub bytes: i64,
}

/// The quota in force at a path; -1 means no limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub path: String,
    pub count: i64,
    pub bytes: i64,
    pub count_hard: i64,
    pub bytes_hard: i64,
    pub usage: Usage,
}

/// `count=5,bytes=-1=;byteHardLimit=7` as a map; the last of equal keys wins.
fn pairs(data: Option<&Vec<u8>>) -> BTreeMap<String, i64> {
    let text = String::from_utf8_lossy(data.map_or(&[][..], Vec::as_slice)).into_owned();
    let mut map = BTreeMap::new();
    for pair in text.split([',', ';']) {
        let parts: Vec<&str> = pair.split('=').collect();
        let value = parts.get(1).and_then(|v| v.parse().ok()).unwrap_or(-1);
        map.insert(parts[0].to_owned(), value);
    }
    map
}

impl Usage {
    fn parse(data: Option<&Vec<u8>>) -> Usage {
        let map = pairs(data);
        let of = |key| map.get(key).copied().unwrap_or(-1);
        Usage { count: of("count"), bytes: of("bytes") }
    }
}

impl Model {
    /// The quota path whose limits or stats znode `path` is.
    fn governed_by<'a>(path: &'a str, name: &str) -> Option<&'a str> {
        let at = path.strip_prefix(ROOT)?.strip_suffix(name)?;
        (!at.is_empty()).then_some(at)
    }

    fn deepest_quota(&self, path: &str) -> Option<String> {
        let covers = |q: &&String| path == q.as_str() || path.starts_with(&format!("{q}/"));
        self.quotas.iter().filter(covers).max_by_key(|q| q.len()).cloned()
    }

    /// The quota that governs `path`, if its limits can still be read.
    pub fn quota_for(&self, path: &str) -> Option<Quota> {
        let at = self.deepest_quota(path)?;
        let limits = pairs(self.get(&format!("{ROOT}{at}{LIMITS}"))?.data.as_ref());
        let of = |key| limits.get(key).copied().unwrap_or(-1);
        let stats = self.get(&format!("{ROOT}{at}{STATS}"));
        Some(Quota {
            count: of("count"),
            bytes: of("bytes"),
            count_hard: of("countHardLimit"),
            bytes_hard: of("byteHardLimit"),
            usage: Usage::parse(stats.and_then(|n| n.data.as_ref())),
            path: at,
        })
    }

    /// Writes the usage into the stats znode: no version, no time, no event.
    fn show_usage(&mut self, at: &str, usage: Usage) {
        if let Some(node) = self.get_mut(&format!("{ROOT}{at}{STATS}")) {
            node.data = Some(format!("count={},bytes={}", usage.count, usage.bytes).into_bytes());
        }
    }

    fn recount(&mut self, at: &str) {
        let mut usage = Usage { count: 0, bytes: 0 };
        if self.get(at).is_some() {
            let below = self.descendants(at);
            for path in below.into_iter().chain([at]) {
                usage.count += 1;
                usage.bytes += self.get(path).and_then(|n| n.data.as_ref()).map_or(0, Vec::len) as i64;
            }
        }
        self.show_usage(at, usage);
    }

    fn charge(&mut self, path: &str, count: i64, bytes: i64) {
        let Some(at) = self.deepest_quota(path) else { return };
        let Some(stats) = self.get(&format!("{ROOT}{at}{STATS}")) else { return };
        let old = Usage::parse(stats.data.as_ref());
        let usage = Usage { count: old.count.wrapping_add(count), bytes: old.bytes.wrapping_add(bytes) };
        self.show_usage(&at, usage);
    }

    pub(crate) fn quota_created(&mut self, path: &str, bytes: usize) {
        if let Some(at) = Self::governed_by(path, LIMITS) {
            self.quotas.insert(at.to_owned());
        }
        if let Some(at) = Self::governed_by(path, STATS) {
            self.recount(at);
        }
        self.charge(path, 1, bytes as i64);
    }

    pub(crate) fn quota_deleted(&mut self, path: &str, bytes: usize) {
        if let Some(at) = Self::governed_by(path, LIMITS) {
            self.quotas.remove(at);
        }
        self.charge(path, -1, -(bytes as i64));
    }

    pub(crate) fn quota_changed(&mut self, path: &str, more: i64) {
        self.charge(path, 0, more);
    }

    /// What loading a snapshot does: every active quota is counted anew.
    pub fn recount_quotas(&mut self) {
        self.quotas =
            self.nodes.keys().filter_map(|p| Self::governed_by(p, LIMITS)).map(str::to_owned).collect();
        for at in self.quotas.clone() {
            self.recount(&at);
        }
    }
}
