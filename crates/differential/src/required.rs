//! The cells of the coverage table that Apache ZooKeeper 3.9.5 can produce, kept by hand. A run in which one of
//! them stays empty has not tested enough.

use crate::profile::Profile;

/// A cell of the table that must not be empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Required {
    pub row: &'static str,
    pub code: i32,
    /// How it comes about.
    pub why: &'static str,
    profiles: &'static [Profile],
}

impl Required {
    /// Whether the profile can reach it.
    pub fn applies(&self, profile: Profile) -> bool {
        self.profiles.contains(&profile)
    }
}

const ALL: &[Profile] = &Profile::ALL;

const fn cell(row: &'static str, code: i32, why: &'static str, profiles: &'static [Profile]) -> Required {
    Required { row, code, why, profiles }
}

pub static REQUIRED: &[Required] = &[cell("create", 0, "a node is created", ALL)];
