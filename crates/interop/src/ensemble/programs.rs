//! Real client programs at steady work (`clients/steady-…`), in processes of their own.
//!
//! Each prints how far it is; any error but a lost connection is a line `FAIL reason`.
use super::told::Told;
use crate::clients::prepare;
use anyhow::{Result, bail, ensure};
use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(50);

/// A program's own account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub writes: u64,
    /// Connections that were lost under a request.
    pub losses: u64,
    /// The longest time between two answers.
    pub gap_ms: u64,
}

pub struct Program {
    pub name: &'static str,
    told: Told,
    pub progress: Progress,
}

/// Programs that are ready to run, by name.
pub type Prepared = Vec<(&'static str, Command)>;

/// Makes all programs ready, for servers of which the oldest is of this line.
pub fn prepare_all(oldest: (u32, u32)) -> Result<Prepared> {
    let curator =
        if oldest < (3, 5) { prepare::steady_curator_over_3_4()? } else { prepare::steady_curator()? };
    let kazoo = prepare::kazoo_program("steady-kazoo", "steady.py")?;
    Ok(vec![("kazoo", kazoo), ("java", prepare::steady_java()?), ("curator", curator)])
}

/// Starts programs against an ensemble; what they print as errors goes to files in `dir`.
pub fn start_all(prepared: Prepared, servers: &str, dir: &Path) -> Result<Vec<Program>> {
    prepared.into_iter().map(|(name, command)| Program::start(name, command, servers, dir)).collect()
}

impl Program {
    fn start(name: &'static str, command: Command, servers: &str, dir: &Path) -> Result<Program> {
        let told = Told::start(name, command, servers, dir)?;
        Ok(Program { name, told, progress: Progress::default() })
    }

    /// Takes in what was printed; true if that was its last word.
    fn read(&mut self) -> Result<bool> {
        let mut done = false;
        while let Ok(line) = self.told.lines.try_recv() {
            let words: Vec<&str> = line.split(' ').collect();
            let numbers = || words[1..].iter().map(|word| word.parse::<u64>()).collect::<Result<Vec<_>, _>>();
            match (words[0], numbers()) {
                ("progress" | "done", Ok(numbers)) if numbers.len() == 3 => {
                    self.progress = Progress { writes: numbers[0], losses: numbers[1], gap_ms: numbers[2] };
                    done |= words[0] == "done";
                }
                _ => bail!("{}: {line}; {}", self.name, self.told.last_errors()),
            }
        }
        Ok(done)
    }

    /// Waits until it has done so many more writes.
    pub fn advance(&mut self, writes: u64) -> Result<()> {
        self.read()?;
        let (start, deadline) = (self.progress.writes, Instant::now() + PATIENCE);
        while self.progress.writes < start + writes {
            self.read()?;
            let ended = self.told.child.try_wait()?;
            ensure!(ended.is_none(), "{} ended: {}", self.name, self.told.last_errors());
            ensure!(
                Instant::now() < deadline,
                "{} does not advance: {self}; {}",
                self.name,
                self.told.last_errors()
            );
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Lets it look whether all its writes are there, and end.
    pub fn finish(mut self) -> Result<String> {
        writeln!(self.told.stdin)?;
        let deadline = Instant::now() + PATIENCE;
        while !self.read()? {
            ensure!(Instant::now() < deadline, "{} does not end; {}", self.name, self.told.last_errors());
            std::thread::sleep(POLL);
        }
        self.told.child.wait()?;
        self.read()?;
        Ok(self.to_string())
    }
}

impl fmt::Display for Program {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { writes, losses, gap_ms } = self.progress;
        write!(out, "{} {writes} writes, {losses} connection losses, longest gap {gap_ms} ms", self.name)
    }
}
