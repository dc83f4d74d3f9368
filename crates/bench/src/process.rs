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

impl Memory {
    fn plus(self, other: Memory) -> Memory {
        Memory { resident_kb: self.resident_kb + other.resident_kb, peak_kb: self.peak_kb + other.peak_kb }
    }
}

/// The servers under observation: one, the members of an ensemble, or none that anybody named.
#[derive(Debug, Clone, Default)]
pub struct Processes(pub Vec<Process>);

impl Processes {
    /// Processor time of all together; `None` if there are none.
    pub fn cpu_seconds(&self) -> Result<Option<f64>> {
        self.sum(Process::cpu_seconds, |sum, one| sum + one)
    }

    /// Memory of all together; the peaks need not have come at the same time.
    pub fn memory(&self) -> Result<Option<Memory>> {
        self.sum(Process::memory, Memory::plus)
    }

    fn sum<T>(&self, look: impl Fn(Process) -> Result<T>, add: impl Fn(T, T) -> T) -> Result<Option<T>> {
        let mut all = None;
        for process in &self.0 {
            let one = look(*process)?;
            all = Some(match all {
                Some(sum) => add(sum, one),
                None => one,
            });
        }
        Ok(all)
    }

    /// The ids of all threads of all.
    pub fn threads(&self) -> Result<Vec<i32>> {
        let lists: Result<Vec<_>> = self.0.iter().map(|process| process.threads()).collect();
        Ok(lists?.concat())
    }

    /// Whether any of them has such a file open, see [`Process::has_open`].
    pub fn has_open(&self, part: &str) -> Result<bool> {
        for process in &self.0 {
            if process.has_open(part)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
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

    #[test]
    fn several_processes_are_summed_up() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let (one, other) = (Process::this(), Process(child.id()));
        let both = Processes(vec![one, other]);
        // What others do at the same time in this process must not matter: the sleeper's share is added or not.
        let least = one.memory().unwrap().peak_kb + other.memory().unwrap().peak_kb;
        assert!(both.memory().unwrap().unwrap().peak_kb >= least);
        let cpu = one.cpu_seconds().unwrap() + other.cpu_seconds().unwrap();
        assert!(both.cpu_seconds().unwrap().unwrap() >= cpu);
        assert!(both.threads().unwrap().contains(&other.threads().unwrap()[0]));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(both.memory().is_err(), "a server that has ended is no server without memory");
        assert_eq!(Processes::default().memory().unwrap(), None);
        assert_eq!(Processes::default().cpu_seconds().unwrap(), None);
    }

    #[test]
    fn sums_add_field_by_field() {
        let sizes = Processes(vec![Process(3), Process(4)]);
        let memory = |process: Process| {
            Ok(Memory { resident_kb: u64::from(process.0), peak_kb: 10 * u64::from(process.0) })
        };
        assert_eq!(sizes.sum(memory, Memory::plus).unwrap(), Some(Memory { resident_kb: 7, peak_kb: 70 }));
    }
}
