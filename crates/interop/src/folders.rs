//! Data folders change hands: one server writes a folder, another starts on a copy of it, and must have the
//! same tree, the same sessions and, where both know digests, the same digest.
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerKind, ServerProcess, ServerSpec, free_port};
use crate::workload::{SESSION_TIMEOUT_MS, Workload};
use crate::{apache, four_letter};
use crate::{raw, tree};
use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

/// What the folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// The log, and the snapshot of the empty tree that servers make at their first start (not 3.4).
    Log,
    /// The log alone, as releases before 3.5 could leave it.
    BareLog,
    /// A snapshot from the middle of the work, the log before and after it.
    Snapshot,
    /// The same, compressed (3.6 and newer).
    Compressed(&'static str),
}

const CONTENTS: [Content; 5] = [
    Content::Log,
    Content::BareLog,
    Content::Snapshot,
    Content::Compressed("gz"),
    Content::Compressed("snappy"),
];

/// How the writer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
}

/// One cell of the matrix.
#[derive(Clone, Debug)]
struct Cell {
    writer: ServerKind,
    reader: ServerKind,
    content: Content,
    end: End,
    seed: u64,
}

impl fmt::Display for Cell {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = match self.content {
            Content::Log => "log",
            Content::BareLog => "bare-log",
            Content::Snapshot => "snapshot",
            Content::Compressed(method) => method,
        };
        let end = if self.end == End::Stop { "stop" } else { "kill" };
        write!(out, "{}>{}:{content}:{end}", self.writer, self.reader)
    }
}

/// Every Apache release against the chosen server, in both directions.
pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("folders", &options.server.to_string());
    for cell in cells(options) {
        suite.add_result(&cell.to_string(), cell.run());
    }
    Ok(suite.finish())
}

fn cells(options: &Options) -> Vec<Cell> {
    let us = options.server.clone();
    let mut pairs = vec![(us.clone(), us.clone())];
    for version in apache::VERSIONS {
        let them = ServerKind::Apache(version.to_owned());
        if them != us {
            pairs.push((them.clone(), us.clone()));
            pairs.push((us.clone(), them));
        }
    }
    let mut cells = Vec::new();
    for (number, (writer, reader)) in pairs.into_iter().enumerate() {
        for (place, content) in CONTENTS.into_iter().enumerate() {
            let ends: &[End] = match (options.long, (number + place) % 2) {
                (true, _) => &[End::Stop, End::Kill],
                (false, 0) => &[End::Stop],
                (false, _) => &[End::Kill],
            };
            for end in ends {
                let seed = options.seed.wrapping_add(cells.len() as u64);
                let cell = Cell { writer: writer.clone(), reader: reader.clone(), content, end: *end, seed };
                cells.extend(cell.possible().then_some(cell));
            }
        }
    }
    cells
}

impl Cell {
    /// The older of the two lines: what both understand.
    fn common_line(&self) -> (u32, u32) {
        apache::line(self.writer.behaves_as()).min(apache::line(self.reader.behaves_as()))
    }

    fn possible(&self) -> bool {
        !matches!(self.content, Content::Compressed(_)) || self.common_line() >= (3, 6)
    }

    fn run(&self) -> Result<()> {
        let dir = scratch(&format!("folders/{self}"))?;
        let (before, sessions) = self.write(&dir.join("writer")).context("while writing the folder")?;
        copy_dir(&dir.join("writer/data"), &dir.join("reader/data"))?;
        if self.content == Content::BareLog {
            remove_snapshots(&dir.join("reader/data/version-2"))?;
        }
        let mut spec = self.spec(&self.reader, &dir.join("reader"))?;
        if snapshots(&dir.join("reader/data/version-2"))?.is_empty() {
            // Since 3.5.3 a log without any snapshot is taken for a loss, unless told otherwise.
            spec = spec.property("zookeeper.snapshot.trust.empty", true);
        }
        let mut server = spec.start().context("on the copied folder")?;
        let after = read_tree(&server)?;
        let found = tree::differences(&before, &after);
        if !found.is_empty() {
            bail!(
                "seed {}: {} differences, first: {}",
                self.seed,
                found.len(),
                found[..found.len().min(3)].join("; ")
            );
        }
        for (credentials, path) in &sessions {
            take_over(&server, credentials, path).with_context(|| format!("session of {path}"))?;
        }
        digests_agree(&server)?;
        server.stop()
    }

    fn spec(&self, kind: &ServerKind, dir: &Path) -> Result<ServerSpec> {
        let spec = ServerSpec::new(kind.clone(), dir, free_port()?)
            .property("zookeeper.extendedTypesEnabled", true)
            .property("znode.container.checkIntervalMs", NO_REAPING_MS)
            .property("zookeeper.DigestAuthenticationProvider.superDigest", SUPER_DIGEST);
        Ok(match self.content {
            Content::Log | Content::BareLog => spec,
            Content::Snapshot => spec.property("zookeeper.snapCount", SNAP_COUNT),
            Content::Compressed(method) => spec
                .property("zookeeper.snapCount", SNAP_COUNT)
                .property("zookeeper.snapshot.compression.method", method),
        })
    }

    /// Fills a folder and returns what the writer showed last, and the sessions it left open.
    fn write(&self, dir: &Path) -> Result<(tree::Tree, Vec<(raw::Credentials, String)>)> {
        let mut server = self.spec(&self.writer, dir)?.start()?;
        let mut workload = Workload::start(server.port(), self.seed, self.common_line())?;
        workload.run(SNAP_COUNT * 2)?;
        workload.come_and_go()?;
        workload.run(SNAP_COUNT / 2)?;
        let sessions = workload.abandon()?;
        self.wait_for_snapshot(&dir.join("data/version-2"))?;
        let tree = read_tree(&server)?;
        match self.end {
            End::Stop => server.stop()?,
            End::Kill => server.kill9()?,
        }
        Ok((tree, sessions))
    }

    /// Snapshots are written beside the work: the folder must have one of the right kind before the end.
    fn wait_for_snapshot(&self, version_2: &Path) -> Result<()> {
        let suffix = match self.content {
            Content::Log | Content::BareLog => return Ok(()),
            Content::Snapshot => "",
            Content::Compressed(method) => method,
        };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !has_snapshot(version_2, suffix)? {
            if Instant::now() > deadline {
                bail!("no {suffix} snapshot in {} after {SNAP_COUNT} transactions", version_2.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// `super:secret`.
const SUPER_DIGEST: &str = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=";
/// Empty containers would otherwise go while trees are being compared.
const NO_REAPING_MS: u32 = 600_000;
/// A snapshot is due after half to all of so many transactions.
const SNAP_COUNT: usize = 120;

fn read_tree(server: &ServerProcess) -> Result<tree::Tree> {
    let mut session = raw::Session::open(server.port(), SESSION_TIMEOUT_MS)?;
    session.authenticate("digest", "super:secret")?;
    let tree = tree::read(&mut session)?;
    session.close()?;
    Ok(tree::without_own_nodes(tree))
}

/// The session is there: its password opens it and no other does, it owns its ephemeral, and takes it along.
fn take_over(server: &ServerProcess, credentials: &raw::Credentials, path: &str) -> Result<()> {
    let forged = raw::Credentials { id: credentials.id, password: vec![7; 16] };
    if raw::Session::attach(server.port(), SESSION_TIMEOUT_MS, &forged)?.is_some() {
        bail!("a wrong password was accepted");
    }
    let attached = raw::Session::attach(server.port(), SESSION_TIMEOUT_MS, credentials)?;
    let mut session = attached.context("the server does not know the session")?;
    let (_, stat) = session.get(path)?.context("the ephemeral is gone")?;
    if stat.ephemeral_owner != credentials.id {
        bail!("the ephemeral belongs to {:#x}", stat.ephemeral_owner);
    }
    session.close()?;
    let mut other = raw::Session::open(server.port(), SESSION_TIMEOUT_MS)?;
    if other.get(path)?.is_some() {
        bail!("the ephemeral outlived its session");
    }
    other.close()
}

/// From 3.6 on a server compares the digests in log and snapshot with its own tree, and counts mismatches.
fn digests_agree(server: &ServerProcess) -> Result<()> {
    if apache::line(server.spec().kind.behaves_as()) < (3, 6) {
        return Ok(());
    }
    let counted = four_letter::monitored(server.port(), "zk_digest_mismatches_count")?;
    if counted.is_some_and(|count| count != 0.0) {
        bail!("{} digest mismatches", counted.unwrap_or_default());
    }
    let log = server.log();
    let complaint =
        log.lines().find(|line| line.to_lowercase().contains("digest") && line.contains("mismatch"));
    match complaint {
        Some(line) => bail!("the server says: {line}"),
        None => Ok(()),
    }
}

fn snapshots(version_2: &Path) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(version_2).with_context(|| format!("cannot list {}", version_2.display()))?;
    let names: Vec<String> = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    Ok(names.into_iter().filter(|name| name.starts_with("snapshot.")).collect())
}

/// Whether there is a snapshot of more than nothing, `snapshot.ZXID` or `snapshot.ZXID.SUFFIX`.
fn has_snapshot(version_2: &Path, suffix: &str) -> Result<bool> {
    Ok(snapshots(version_2)?.iter().any(|name| {
        let mut parts = name.split('.').skip(1);
        let zxid = parts.next().unwrap_or_default();
        zxid != "0" && parts.next().unwrap_or_default() == suffix
    }))
}

fn remove_snapshots(version_2: &Path) -> Result<()> {
    for name in snapshots(version_2)? {
        std::fs::remove_file(version_2.join(name))?;
    }
    Ok(())
}

/// Copies a folder and all below it.
pub fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from).with_context(|| format!("cannot list {}", from.display()))? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_dir(&entry.path(), &target)?;
        } else {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(long: bool) -> Options {
        Options { server: ServerKind::Rookeeper, only: None, long, seed: 1, rounds: None }
    }

    #[test]
    fn the_matrix_has_every_release_both_ways() {
        for long in [false, true] {
            let cells = cells(&options(long));
            for version in apache::VERSIONS {
                let them = ServerKind::Apache(version.to_owned());
                assert!(cells.iter().any(|cell| cell.writer == them && cell.reader == ServerKind::Rookeeper));
                assert!(cells.iter().any(|cell| cell.reader == them && cell.writer == ServerKind::Rookeeper));
            }
            let old = |cell: &&Cell| cell.common_line() < (3, 6);
            assert!(cells.iter().filter(old).all(|cell| !matches!(cell.content, Content::Compressed(_))));
        }
        assert!(cells(&options(true)).len() > 100);
    }
}
