//! The disk fills up under writes. The server must end and say why; once there is room, it must start again with
//! everything that was acknowledged.
//!
//! The data folder is a small file system of its own in memory, which only root can mount.
use crate::fetch;
use crate::jute::Acl;
use crate::raw::{Session, flag};
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerKind, ServerProcess, ServerSpec, free_port};
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const TIMEOUT_MS: i32 = 30_000;
const SMALL: &str = "size=4m";
const LARGE: &str = "size=256m";
const DATA_BYTES: usize = 10_000;
/// More than the small file system can hold.
const MOST: u64 = 2000;

/// A file system in memory, unmounted when dropped.
struct Mount(PathBuf);

impl Mount {
    fn new(dir: PathBuf) -> Result<Mount> {
        std::fs::create_dir_all(&dir)?;
        fetch::run(mount(SMALL).arg("rookeeper-test").arg(&dir))?;
        Ok(Mount(dir))
    }

    fn enlarge(&self) -> Result<()> {
        fetch::run(mount(&format!("remount,{LARGE}")).arg("rookeeper-test").arg(&self.0)).map(drop)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if let Err(error) = fetch::run(Command::new("umount").arg(&self.0)) {
            eprintln!("cannot unmount {}: {error:#}", self.0.display());
        }
    }
}

fn mount(options: &str) -> Command {
    let mut command = Command::new("mount");
    command.args(["-t", "tmpfs", "-o", options]);
    command
}

/// Fills the disk with log records alone, and with snapshots in between.
pub fn check(options: &Options) -> Result<Suite> {
    let mut suite = Suite::start("disk-full", &options.server.to_string());
    for (name, snap_count) in [("log", 100_000), ("snapshots", 40)] {
        let dir = scratch(&format!("disk-full-{name}-{}", options.server))?;
        let spec = ServerSpec::new(options.server.clone(), dir, free_port()?);
        let data = match Mount::new(spec.data_dir()) {
            Ok(mount) => mount,
            Err(error) => {
                suite.skip(&format!("a small file system cannot be mounted: {error:#}"));
                break;
            }
        };
        let result = fill(spec.property("zookeeper.snapCount", snap_count), &data);
        suite.add_result(&format!("a full disk, filled by the {name}"), result);
    }
    Ok(suite.finish())
}

fn fill(spec: ServerSpec, data: &Mount) -> Result<()> {
    let ours = spec.kind == ServerKind::Rookeeper;
    let mut server = spec.start()?;
    let acknowledged = write_until_broken(&server)?;
    let status = server.wait_until_ended().context("after its disk was full")?;
    if ours {
        // Apache's exits with 0.
        ensure!(matches!(status.code(), Some(1 | 10)), "it ended with {status}");
        says(&server, &["rookeeper stops: ", "cannot be written", "No space left", "free some room"])?;
        match server.start_again() {
            Ok(()) => bail!("it starts on a full disk"),
            Err(_) => says(&server, &["rookeeper cannot start: ", "The disk is full: free some room"])?,
        }
    }
    data.enlarge()?;
    server.start_again().context("with room again")?;
    verify(&server, acknowledged)?;
    println!("  disk-full: {acknowledged} acknowledged writes survived");
    server.stop()?;
    clean(&data.0)
}

/// Creates znodes until the connection breaks; how many were acknowledged.
fn write_until_broken(server: &ServerProcess) -> Result<u64> {
    let mut session = Session::open(server.port(), TIMEOUT_MS)?;
    session.create("/full", None, &[Acl::open()], flag::PERSISTENT)?;
    for number in 0..MOST {
        let record =
            crate::raw::create_record(&path(number), Some(&data(number)), &[Acl::open()], flag::PERSISTENT);
        match session.call(crate::raw::op::CREATE, &record) {
            Ok(reply) => reply.success().with_context(|| format!("creating {}", path(number)))?,
            Err(_) => return Ok(number),
        };
    }
    bail!("{MOST} writes of {DATA_BYTES} bytes found room in a file system with {SMALL}")
}

fn path(number: u64) -> String {
    format!("/full/{number}")
}

/// Bytes that no other znode has.
fn data(number: u64) -> Vec<u8> {
    let seed = number.to_be_bytes();
    seed.iter().copied().cycle().take(DATA_BYTES).collect()
}

fn says(server: &ServerProcess, parts: &[&str]) -> Result<()> {
    let log = server.log();
    ensure!(!log.contains("panicked"), "it panicked: {}", fetch::last_lines(&log, 30));
    for part in parts {
        ensure!(log.contains(part), "{part:?} is not in what it printed: {}", fetch::last_lines(&log, 30));
    }
    Ok(())
}

/// Everything acknowledged is there as it was sent; of what was not, at most the one write under way. Then more fits.
fn verify(server: &ServerProcess, acknowledged: u64) -> Result<()> {
    ensure!(acknowledged > 0, "nothing was acknowledged before the disk was full");
    let mut session = Session::open(server.port(), TIMEOUT_MS)?;
    let present = session.children("/full")?.len() as u64;
    let extra = present.checked_sub(acknowledged);
    ensure!(matches!(extra, Some(0 | 1)), "{present} znodes, but {acknowledged} were acknowledged");
    for number in 0..present {
        let (found, _) = session.get(&path(number))?.with_context(|| format!("{} is lost", path(number)))?;
        ensure!(found == Some(data(number)), "{} holds other bytes", path(number));
    }
    for number in present..present + 100 {
        session.create(&path(number), Some(&data(number)), &[Acl::open()], flag::PERSISTENT)?;
    }
    session.close()
}

/// What could not be finished is not left lying about.
fn clean(data: &Path) -> Result<()> {
    for entry in std::fs::read_dir(data.join("version-2"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(!name.starts_with('.'), "{name} was left behind");
    }
    Ok(())
}
