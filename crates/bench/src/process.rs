//! What a process has used so far, as the system counts it.

use anyhow::{Context, Result};
use serde::Serialize;
use std::path::PathBuf;

/// A process on this machine, under observation.
#[derive(Debug, Clone, Copy)]
pub struct Process(pub u32);

/// Memory in KiB: resident now, and the most it ever was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub resident_kb: u64,
    pub peak_kb: u64,
}

impl Process {
    pub fn this() -> Self {
        Process(std::process::id())
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    fn read(self, name: &str) -> Result<String> {
        let file = self.file(name);
        std::fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))
    }

    /// Processor time of all threads, ended ones included, in seconds (resolution: 10 ms).
    pub fn cpu_seconds(self) -> Result<f64> {
        let ticks = cpu_ticks(&self.read("stat")?).context("/proc/PID/stat has an unknown form")?;
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    pub fn memory(self) -> Result<Memory> {
        let status = self.read("status")?;
        let field =
            |name: &str| status_kb(&status, name).with_context(|| format!("no {name} in /proc/PID/status"));
        Ok(Memory { resident_kb: field("VmRSS:")?, peak_kb: field("VmHWM:")? })
    }

    /// The ids of all threads.
    pub fn threads(self) -> Result<Vec<i32>> {
        let folder = self.file("task");
        let entries =
            std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
        Ok(entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect())
    }

    /// Whether the process has a file open whose name (without its folder) contains `part`.
    pub fn has_open(self, part: &str) -> Result<bool> {
        for entry in std::fs::read_dir(self.file("fd"))? {
            // A descriptor may be closed between the listing and the look at it.
            let Ok(target) = std::fs::read_link(entry?.path()) else { continue };
            if target.file_name().is_some_and(|name| name.to_string_lossy().contains(part)) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// utime + stime; the name in front may hold blanks and brackets.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

fn status_kb(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_process_names_do_not_shift_the_fields() {
        let stat = "1 (a b) c) S 2 3 4 5 6 7 8 9 10 11 120 34 0 0 20 0";
        assert_eq!(cpu_ticks(stat), Some(154));
    }

    #[test]
    fn this_process_can_be_observed() {
        let me = Process::this();
        let memory = me.memory().unwrap();
        assert!(memory.resident_kb > 0 && memory.peak_kb >= memory.resident_kb);
        assert!(me.cpu_seconds().unwrap() >= 0.0);
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert!(me.has_open("status").unwrap() && !me.has_open("no-such-file").unwrap());
        drop(file);
    }
}
