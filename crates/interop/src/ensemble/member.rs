//! One member: its identity and folder stay, its process and even its kind come and go.
//!
//! Before a folder is emptied or replaced, its log is put aside: the checker needs every transaction that
//! any member ever had on disk.
use super::logs;
use super::place::Place;
use super::status::{self, Status};
use crate::fetch::{self, remove_dir};
use crate::folders::copy_dir;
use crate::server::{ServerKind, ServerProcess, ServerSpec};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;

pub struct Member {
    pub id: u8,
    pub kind: ServerKind,
    pub observer: bool,
    pub place: Place,
    /// Everything of this member: `zoo.cfg`, `server.log`, `data`, and folders put aside.
    pub dir: PathBuf,
    pub(super) spec: ServerSpec,
    process: Option<ServerProcess>,
    paused: bool,
    /// Logs put aside so far.
    past: usize,
    /// Who wrote the log files that lie in the folder.
    writers: BTreeMap<PathBuf, ServerKind>,
}

impl Member {
    pub(super) fn new(id: u8, observer: bool, place: Place, spec: ServerSpec) -> Result<Member> {
        let (kind, dir) = (spec.kind.clone(), spec.dir.clone());
        std::fs::create_dir_all(spec.data_dir())?;
        std::fs::write(spec.data_dir().join("myid"), format!("{id}\n"))?;
        Ok(Member {
            id,
            kind,
            observer,
            place,
            dir,
            spec,
            process: None,
            paused: false,
            past: 0,
            writers: BTreeMap::new(),
        })
    }

    pub fn running(&self) -> bool {
        self.process.is_some()
    }

    /// Running and not paused.
    pub fn awake(&self) -> bool {
        self.running() && !self.paused
    }

    /// Starts the process; it serves as soon as there is a quorum.
    pub fn start(&mut self) -> Result<()> {
        if self.running() {
            bail!("member {} runs already", self.id);
        }
        self.spec.kind = self.kind.clone();
        let mut log = std::fs::OpenOptions::new().create(true).append(true).open(self.spec.log_path())?;
        writeln!(log, "--- member {} starts as {}", self.id, self.kind)?;
        self.process = Some(self.spec.clone().launch()?);
        Ok(())
    }

    /// Asks it to end and waits for that.
    pub fn stop(&mut self) -> Result<()> {
        if self.paused {
            self.resume()?;
        }
        let mut process = self.take()?;
        process.stop().with_context(|| format!("stopping member {}", self.id))
    }

    /// Ends it without warning; a paused process does not wake up for it.
    pub fn kill9(&mut self) -> Result<()> {
        let mut process = self.take()?;
        process.kill9().with_context(|| format!("killing member {}", self.id))
    }

    fn take(&mut self) -> Result<ServerProcess> {
        self.paused = false;
        for file in logs::log_files(&self.version_2())? {
            self.writers.entry(file).or_insert_with(|| self.kind.clone());
        }
        self.process.take().with_context(|| format!("member {} is not running", self.id))
    }

    /// Freezes the process (SIGSTOP): its connections stay open and nothing answers.
    pub fn pause(&mut self) -> Result<()> {
        self.signal(Signal::STOP)?;
        self.paused = true;
        Ok(())
    }

    /// Lets the frozen process go on.
    pub fn resume(&mut self) -> Result<()> {
        self.signal(Signal::CONT)?;
        self.paused = false;
        Ok(())
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        let process = self.process.as_ref().with_context(|| format!("member {} is not running", self.id))?;
        process.signal(signal)
    }

    /// Becomes another kind of server on the same folder; it must be stopped.
    pub fn become_kind(&mut self, kind: &ServerKind) -> Result<()> {
        self.must_be_down()?;
        self.kind = kind.clone();
        Ok(())
    }

    /// Loses all its data but its id.
    pub fn empty_folder(&mut self) -> Result<()> {
        self.put_log_aside()?;
        remove_dir(&self.version_2())
    }

    /// Keeps a copy of the data as it is now.
    pub fn save_folder(&self, name: &str) -> Result<()> {
        self.must_be_down()?;
        let copy = self.dir.join(format!("saved-{name}"));
        remove_dir(&copy)?;
        copy_dir(&self.version_2(), &copy)
    }

    /// Goes back to a kept copy.
    pub fn restore_folder(&mut self, name: &str) -> Result<()> {
        self.put_log_aside()?;
        remove_dir(&self.version_2())?;
        copy_dir(&self.dir.join(format!("saved-{name}")), &self.version_2())
    }

    fn put_log_aside(&mut self) -> Result<()> {
        self.must_be_down()?;
        self.past += 1;
        self.writers.clear();
        copy_dir(&self.version_2(), &self.dir.join(format!("past-{}", self.past)))
    }

    fn must_be_down(&self) -> Result<()> {
        if self.running() {
            bail!("member {} still runs", self.id);
        }
        Ok(())
    }

    /// Who wrote a log file; each process begins files of its own.
    pub fn writer_of(&self, file: &Path) -> &ServerKind {
        self.writers.get(file).unwrap_or(&self.kind)
    }

    /// The folder with logs, snapshots and epochs.
    pub fn version_2(&self) -> PathBuf {
        self.spec.data_dir().join("version-2")
    }

    /// Every folder in which this member's log is or was.
    pub fn log_folders(&self) -> Vec<PathBuf> {
        let past = (1..=self.past).map(|number| self.dir.join(format!("past-{number}")));
        std::iter::once(self.version_2()).chain(past).collect()
    }

    pub fn status(&self) -> Result<Status> {
        if !self.awake() {
            bail!("{}", if self.running() { "paused" } else { "not running" });
        }
        status::ask(self.place.client_address())
    }

    /// What the processes of this member have printed.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.spec.log_path()).unwrap_or_default()).into_owned()
    }

    /// One line for messages: who, what state, and the last thing it printed.
    pub fn describe(&self) -> String {
        let state = match self.status() {
            Ok(status) => format!("{} at 0x{:x}", status.role, status.zxid),
            Err(error) => format!("{error:#}"),
        };
        let said = fetch::last_lines(&self.log(), 3);
        format!("member {} ({}): {state}; it printed last:\n{said}", self.id, self.kind)
    }

    /// The id of its process, if it was started and not stopped.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().and_then(ServerProcess::pid)
    }

    /// How its process ended, if nobody here ended it.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.process.as_mut().map_or(Ok(None), ServerProcess::ended)
    }

    /// Where its process prints.
    pub fn log_path(&self) -> PathBuf {
        self.spec.log_path()
    }

    /// Files and sockets that its process holds.
    pub fn descriptors(&self) -> Result<usize> {
        let process = self.pid().with_context(|| format!("member {} is not running", self.id))?;
        Ok(std::fs::read_dir(format!("/proc/{process}/fd"))?.count())
    }

    /// A process that ended by itself is a finding.
    pub fn must_live(&mut self) -> Result<()> {
        let Some(process) = &mut self.process else { return Ok(()) };
        match process.ended()? {
            None => Ok(()),
            Some(status) => {
                bail!("member {} ended by itself with {status}; {}", self.id, process.end_of_log())
            }
        }
    }
}
