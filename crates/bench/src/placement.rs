//! Which processors the server and the load run on.
//!
//! With one request in flight, most of the time and much of the processor time goes into waking a thread on
//! another processor, above all on virtual machines. Where the scheduler puts the two sides then decides the
//! figures; so it can be told, and the figures can be repeated.

use crate::process::Processes;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Placement {
    /// As the scheduler likes
    Free,
    /// Server and load share one processor: no wake-up crosses processors
    OneCore,
    /// The load has the last processor for itself, the server the others
    Apart,
}

/// Puts both sides where `placement` says until it is dropped.
#[derive(Debug)]
pub struct Placed {
    processes: Processes,
    all: CpuSet,
}

impl Placed {
    /// Must be called before the load's threads start: they inherit it.
    pub fn put(placement: Placement, processes: &Processes) -> Result<Option<Self>> {
        if placement == Placement::Free {
            return Ok(None);
        }
        if processes.0.is_empty() {
            bail!("a placement needs the server's process: give --pid");
        }
        let all = sched_getaffinity(None)?;
        let last =
            (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)).context("no processor is allowed")?;
        let (mut own, mut server) = (CpuSet::new(), all);
        own.set(last);
        match placement {
            Placement::OneCore => server = own,
            Placement::Apart | Placement::Free => server.unset(last),
        }
        if server.count() == 0 {
            bail!("there is only one processor: server and load cannot be apart");
        }
        sched_setaffinity(None, &own)?;
        let placed = Placed { processes: processes.clone(), all };
        placed.server(&server)?;
        Ok(Some(placed))
    }

    fn server(&self, set: &CpuSet) -> Result<()> {
        for thread in self.processes.threads()? {
            match sched_setaffinity(Pid::from_raw(thread), set) {
                // A thread may end between the listing and the call.
                Err(rustix::io::Errno::SRCH) => {}
                other => other.context("cannot place the server's threads")?,
            }
        }
        Ok(())
    }
}

impl Drop for Placed {
    fn drop(&mut self) {
        // The figures are taken; a server that has ended meanwhile is no trouble.
        let _ = sched_setaffinity(None, &self.all);
        let _ = self.server(&self.all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Process;

    #[test]
    fn one_core_holds_both_until_dropped() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = Pid::from_child(&child);
        let before = sched_getaffinity(None).unwrap();
        let placed = Placed::put(Placement::OneCore, &Processes(vec![Process(child.id())])).unwrap();
        assert_eq!(sched_getaffinity(None).unwrap().count(), 1);
        assert_eq!(sched_getaffinity(Some(pid)).unwrap(), sched_getaffinity(None).unwrap());
        drop(placed);
        assert_eq!(sched_getaffinity(None).unwrap(), before);
        assert_eq!(sched_getaffinity(Some(pid)).unwrap(), before);
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn a_placement_needs_a_process() {
        assert!(Placed::put(Placement::Free, &Processes::default()).unwrap().is_none());
        assert!(Placed::put(Placement::OneCore, &Processes::default()).is_err());
    }
}
