//! Every option with its value and where that comes from: for `print-config` and for the log at start.

use crate::finding::Source;
use crate::model::Config;
use crate::options::{Spec, Status};

/// Stands for the value of a secret.
pub(crate) const MASK: &str = "********";

/// One option as it took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// As the reference page names it, or the full key for a member of a family (`server.1`).
    pub name: String,
    /// In the syntax of the file; secrets are masked. `None`: not set, and no default.
    pub value: Option<String>,
    pub source: Source,
    /// Whether the value does something in this server.
    pub status: Status,
}

impl Entry {
    pub(crate) fn new(spec: &Spec, name: &str, value: Option<&str>, source: Source) -> Entry {
        let value = value.map(|value| if spec.secret { MASK.to_owned() } else { value.to_owned() });
        Entry { name: name.to_owned(), value, source, status: spec.status }
    }
}

/// All options, in the order of the reference page.
pub fn effective(config: &Config) -> &[Entry] {
    &config.entries
}

/// The listing that `print-config` shows: `name=value  # source`, options without a value left out.
pub fn listing(config: &Config) -> String {
    let shown: Vec<(String, &Source)> = effective(config)
        .iter()
        .filter_map(|entry| Some((format!("{}={}", entry.name, entry.value.as_ref()?), &entry.source)))
        .collect();
    let width = shown.iter().map(|(pair, _)| pair.chars().count()).max().unwrap_or(0).min(60);
    shown.into_iter().map(|(pair, source)| format!("{pair:width$}  # {source}\n")).collect()
}
