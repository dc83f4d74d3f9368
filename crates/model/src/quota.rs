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

/// The quota in force at a path; -1 means no limit. Texts that nobody can read are `None`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota {
    pub path: String,
    /// count, bytes, countHardLimit, byteHardLimit
    pub limits: Option<[i64; 4]>,
    pub usage: Option<Option<Usage>>,
}

/// What Java's `split` gives: no empty parts at the end, one empty part for an empty text.
fn split(text: &str, separators: &[char]) -> Vec<String> {
    let mut parts: Vec<String> = text.split(separators).map(str::to_owned).collect();
    while parts.len() > 1 && parts.last().is_some_and(String::is_empty) {
        parts.pop();
    }
    parts
}

/// `count=5,bytes=-1=;byteHardLimit=7` as a map; the last of equal keys wins.
fn pairs(data: Option<&Vec<u8>>) -> Option<BTreeMap<String, i64>> {
    let text = String::from_utf8_lossy(data?).into_owned();
    let mut map = BTreeMap::new();
    if text.is_empty() {
        return Some(map);
    }
    for pair in split(&text, &[',', ';']) {
        let parts = split(&pair, &['=']);
        let value = parts.get(1)?;
        let number = if value.is_empty() { -1 } else { value.parse().ok()? };
        map.insert(parts[0].clone(), number);
    }
    Some(map)
}

impl Usage {
    fn parse(data: Option<&Vec<u8>>) -> Option<Usage> {
        let map = pairs(data)?;
        let of = |key| map.get(key).copied().unwrap_or(-1);
        Some(Usage { count: of("count"), bytes: of("bytes") })
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
        let limits = pairs(self.get(&format!("{ROOT}{at}{LIMITS}"))?.data.as_ref()).map(|limits| {
            ["count", "bytes", "countHardLimit", "byteHardLimit"]
                .map(|key| limits.get(key).copied().unwrap_or(-1))
        });
        let usage = self.get(&format!("{ROOT}{at}{STATS}")).map(|stats| Usage::parse(stats.data.as_ref()));
        Some(Quota { path: at, limits, usage })
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
        let Some(old) = Usage::parse(stats.data.as_ref()) else { return };
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
