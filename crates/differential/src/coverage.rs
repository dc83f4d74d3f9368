//! What the replies of a run covered: a table of operations and error codes.

use crate::profile::Profile;
use crate::required::{Required, required};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// Column of requests that were answered by closing the connection.
pub const CLOSED: i32 = i32::MIN;
/// Column of requests that were not answered.
pub const SILENT: i32 = i32::MAX;
/// Column of operations inside a multi that were undone because a later one failed.
pub const ROLLED_BACK: i32 = i32::MAX - 1;

#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Coverage {
    cells: BTreeMap<(String, i32), u64>,
}

impl Coverage {
    pub fn count(&mut self, row: &str, code: i32) {
        *self.cells.entry((row.to_owned(), code)).or_default() += 1;
    }

    pub fn add(&mut self, other: &Coverage) {
        for (cell, n) in &other.cells {
            *self.cells.entry(cell.clone()).or_default() += n;
        }
    }

    pub fn get(&self, row: &str, code: i32) -> u64 {
        self.cells.get(&(row.to_owned(), code)).copied().unwrap_or_default()
    }

    /// The cells that the profile can reach and that are empty.
    pub fn missing(&self, profile: Profile) -> Vec<(&'static str, &'static Required)> {
        required(profile).filter(|(row, r)| self.get(row, r.code) == 0).collect()
    }

    /// Cells that are filled although the list of required ones does not know them.
    pub fn unlisted(&self, profile: Profile) -> Vec<(&str, i32)> {
        let known: BTreeSet<(&str, i32)> = required(profile).map(|(row, r)| (row, r.code)).collect();
        let cells = self.cells.keys().map(|(row, code)| (row.as_str(), *code));
        cells.filter(|cell| !known.contains(cell)).collect()
    }

    /// The table as text. An empty cell that is required shows `!`.
    pub fn table(&self, profile: Profile) -> String {
        let required: BTreeSet<(&str, i32)> = required(profile).map(|(row, r)| (row, r.code)).collect();
        let cells =
            || self.cells.keys().map(|(row, code)| (row.as_str(), *code)).chain(required.iter().copied());
        let rows: BTreeSet<&str> = cells().map(|(row, _)| row).collect();
        let mut columns: Vec<i32> =
            cells().map(|(_, code)| code).collect::<BTreeSet<_>>().into_iter().collect();
        let special = [CLOSED, SILENT, ROLLED_BACK];
        columns.sort_by_key(|code| (*code != 0, special.contains(code), -i64::from(*code)));
        let width = rows.iter().map(|r| r.len()).max().unwrap_or(0);
        let mut out = format!("{:width$}", "");
        for code in &columns {
            let _ = write!(out, " {:>7}", column_name(*code));
        }
        for row in rows {
            let _ = write!(out, "\n{row:width$}");
            for code in &columns {
                let text = match (self.get(row, *code), required.contains(&(row, *code))) {
                    (0, true) => "!".to_owned(),
                    (0, false) => "·".to_owned(),
                    (n, _) => n.to_string(),
                };
                let _ = write!(out, " {text:>7}");
            }
        }
        out.push('\n');
        out
    }
}

pub fn column_name(code: i32) -> String {
    match code {
        CLOSED => "closed".to_owned(),
        SILENT => "silent".to_owned(),
        ROLLED_BACK => "undone".to_owned(),
        code => code.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_required_cells_are_marked_and_named() {
        let mut coverage = Coverage::default();
        let is_missing =
            |c: &Coverage| c.missing(Profile::Full).iter().any(|(row, r)| (*row, r.code) == ("delete", -111));
        assert!(is_missing(&coverage));
        assert!(coverage.table(Profile::Full).contains('!'));
        coverage.count("delete", -111);
        assert!(!is_missing(&coverage));
        coverage.count("no such row", 5);
        assert_eq!(coverage.unlisted(Profile::Full), [("no such row", 5)]);
    }

    #[test]
    fn profiles_require_what_they_can_reach() {
        let rows = |profile, code| required(profile).filter(|(_, r)| r.code == code).count();
        assert_eq!(rows(Profile::SkipAcl, -102), 0);
        assert_eq!(rows(Profile::Plain, -125), 0);
        assert!(rows(Profile::EnforceAuth, -124) > 20);
    }
}
