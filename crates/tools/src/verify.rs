//! Recovery without repair: what a start would find, and whether it is sound.

use crate::{ToolError, reading};
use journal::{RecoverOptions, Report, Storage, recover};
use std::io::{self, Write};

/// What a start of the server would find in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub report: Report,
    /// The last transaction.
    pub zxid: i64,
    pub znodes: usize,
    pub sessions: usize,
    pub ephemerals: usize,
    /// Of the tree as it was kept from transaction to transaction.
    pub digest: u64,
    /// Of the same tree, from nothing.
    pub recomputed_digest: u64,
    /// Transactions behind which the tree was not the one that they name.
    pub digest_mismatches: u64,
}

/// Recovers without changing anything. An error is what a start would refuse with.
pub fn verify<S: Storage>(storage: &S, trust_empty: bool) -> Result<Verification, ToolError> {
    let recovered = recover(storage, &RecoverOptions { trust_empty, ..reading() })?;
    let tree = recovered.tree;
    Ok(Verification {
        report: recovered.report,
        zxid: tree.last_zxid(),
        znodes: tree.len(),
        sessions: tree.sessions().len(),
        ephemerals: tree.ephemeral_count(),
        digest: tree.digest(),
        recomputed_digest: tree.recompute_digest(),
        digest_mismatches: tree.digest_mismatches(),
    })
}

impl Verification {
    /// Whether nothing is wrong: what is merely odd, or mended by the next start, is not.
    pub fn is_sound(&self) -> bool {
        self.digest == self.recomputed_digest
            && self.digest_mismatches == 0
            && self.report.warnings.is_empty()
    }

    /// Says it in lines.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let report = &self.report;
        match &report.snapshot {
            Some(name) => writeln!(out, "snapshot: {name}")?,
            None if report.fresh => writeln!(out, "snapshot: none; the folder holds no database yet")?,
            None => writeln!(out, "snapshot: none")?,
        }
        for (name, reason) in &report.rejected {
            writeln!(out, "passed over: {name}: {reason}")?;
        }
        for name in &report.logs {
            writeln!(out, "log: {name}")?;
        }
        writeln!(out, "transactions behind the snapshot: {}", report.txns)?;
        let (zxid, znodes, sessions, ephemerals) = (self.zxid, self.znodes, self.sessions, self.ephemerals);
        writeln!(out, "zxid: {zxid:#x}")?;
        writeln!(out, "znodes: {znodes}, of them ephemeral: {ephemerals}; sessions: {sessions}")?;
        writeln!(out, "digest: {:#x}", self.digest)?;
        if self.digest != self.recomputed_digest {
            writeln!(out, "the digest computed from nothing is another: {:#x}", self.recomputed_digest)?;
        }
        if self.digest_mismatches > 0 {
            writeln!(out, "transactions with another digest than the tree: {}", self.digest_mismatches)?;
        }
        for text in &report.repaired {
            writeln!(out, "the next start would mend: {text}")?;
        }
        for text in &report.warnings {
            writeln!(out, "warning: {text}")?;
        }
        writeln!(out, "{}", if self.is_sound() { "sound" } else { "not sound" })
    }
}
