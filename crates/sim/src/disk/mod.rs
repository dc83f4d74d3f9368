//! A disk in memory, for `journal::Storage`, with a page cache that a power cut empties.
//!
//! Every call is counted and is a possible end of the world: an observer sees the disk as it is before each call and
//! may look at what a power cut would leave ([`Image::power_cut`]). A call can be made to fail, and kinds of syncs can
//! be switched off, to see that somebody notices.

mod image;
mod inode;

pub use image::Image;
pub use inode::SECTOR;

use journal::{Dir, Entry, Storage, StorageFile};
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CallKind {
    List,
    Open,
    Create,
    Rename,
    Remove,
    SyncDir,
    Read,
    Write,
    SetLen,
    SyncData,
}

/// One storage call that is about to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counted from 1.
    pub number: u64,
    pub kind: CallKind,
    pub dir: Dir,
    /// The file; empty for folders.
    pub name: String,
    /// How often this file was synced before.
    pub syncs_before: u32,
    /// What [`SimDisk::set_phase`] said last.
    pub phase: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails and does nothing.
    Eio,
    /// The disk is full from this call on: nothing that needs space works until [`SimDisk::heal`].
    Full,
    /// A write stops half way and fails; any other call fails and does nothing.
    ShortWrite,
    /// A sync fails and forgets what it should have written; any other call fails and does nothing.
    SyncDropsPages,
    /// The call works after this many ms of virtual time.
    Stall(u64),
    /// The machine stops here: this call and all that follow fail and do nothing.
    Halt,
}

type Observer = Box<dyn FnMut(&Call, &Image) + Send>;
type SyncFilter = Box<dyn Fn(&Call) -> bool + Send>;

struct State {
    image: Image,
    calls: u64,
    counts: BTreeMap<CallKind, u64>,
    phase: &'static str,
    faults: BTreeMap<u64, Fault>,
    full: bool,
    halted: bool,
    struck: bool,
    clock_ms: u64,
    observer: Option<Observer>,
    ignored_syncs: Option<SyncFilter>,
}

/// A handle; clones share the disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
}

/// What a call turns into.
enum Verdict {
    Go,
    Short,
    Ignore,
    Drop,
}

impl SimDisk {
    /// An empty disk; with `same_dir`, log and snapshots share one folder.
    pub fn new(same_dir: bool) -> SimDisk {
        SimDisk::from_image(Image::new(same_dir))
    }

    /// The disk of a machine that has just started.
    pub fn from_image(image: Image) -> SimDisk {
        let state = State {
            image,
            calls: 0,
            counts: BTreeMap::new(),
            phase: "",
            faults: BTreeMap::new(),
            full: false,
            halted: false,
            struck: false,
            clock_ms: 0,
            observer: None,
            ignored_syncs: None,
        };
        SimDisk { state: Arc::new(Mutex::new(state)) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test goes on after a panic inside the disk")
    }

    /// The disk as it is now, page cache included.
    pub fn image(&self) -> Image {
        self.lock().image.clone()
    }

    pub fn calls(&self) -> u64 {
        self.lock().calls
    }

    pub fn counts(&self) -> BTreeMap<CallKind, u64> {
        self.lock().counts.clone()
    }

    /// Virtual time spent in stalls.
    pub fn clock_ms(&self) -> u64 {
        self.lock().clock_ms
    }

    /// Names what the process is doing, for [`Call::phase`].
    pub fn set_phase(&self, phase: &'static str) {
        self.lock().phase = phase;
    }

    /// Makes the call with this number go wrong.
    pub fn fail_call(&self, number: u64, fault: Fault) {
        self.lock().faults.insert(number, fault);
    }

    /// Whether any call was made to go wrong.
    pub fn was_struck(&self) -> bool {
        self.lock().struck
    }

    /// No further faults, and room again.
    pub fn heal(&self) {
        let mut state = self.lock();
        state.faults.clear();
        state.full = false;
        state.halted = false;
    }

    /// Calls `observer` before every call takes effect.
    pub fn observe(&self, observer: impl FnMut(&Call, &Image) + Send + 'static) {
        self.lock().observer = Some(Box::new(observer));
    }

    /// Syncs for which `which` says so report success and do nothing.
    pub fn ignore_syncs(&self, which: impl Fn(&Call) -> bool + Send + 'static) {
        self.lock().ignored_syncs = Some(Box::new(which));
    }
}

fn error(code: i32) -> io::Error {
    io::Error::from_raw_os_error(code)
}

const EIO: i32 = 5;
const ENOSPC: i32 = 28;

impl State {
    /// Counts the call and decides what becomes of it.
    fn enter(&mut self, kind: CallKind, dir: Dir, name: &str) -> io::Result<Verdict> {
        self.calls += 1;
        *self.counts.entry(kind).or_default() += 1;
        let syncs_before = self.image.find(dir, name).map_or(0, |id| self.image.inode(id).syncs);
        let (number, phase) = (self.calls, self.phase);
        let call = Call { number, kind, dir, name: name.to_owned(), syncs_before, phase };
        if let Some(observer) = &mut self.observer {
            observer(&call, &self.image);
        }
        let is_sync = matches!(kind, CallKind::SyncData | CallKind::SyncDir);
        self.struck |= self.faults.contains_key(&number);
        match self.faults.remove(&number) {
            Some(Fault::Eio) => return Err(error(EIO)),
            Some(Fault::Full) => self.full = true,
            Some(Fault::Halt) => self.halted = true,
            Some(Fault::ShortWrite) if kind == CallKind::Write => return Ok(Verdict::Short),
            Some(Fault::SyncDropsPages) if kind == CallKind::SyncData => return Ok(Verdict::Drop),
            Some(Fault::ShortWrite | Fault::SyncDropsPages) => return Err(error(EIO)),
            Some(Fault::Stall(ms)) => self.clock_ms += ms,
            None => {}
        }
        if self.halted {
            return Err(error(EIO));
        }
        if self.full && matches!(kind, CallKind::Write | CallKind::Create) {
            return if kind == CallKind::Write { Ok(Verdict::Short) } else { Err(error(ENOSPC)) };
        }
        if is_sync && self.ignored_syncs.as_ref().is_some_and(|f| f(&call)) {
            return Ok(Verdict::Ignore);
        }
        Ok(Verdict::Go)
    }
}

impl Storage for SimDisk {
    type File = SimFile;

    fn same_dir(&self) -> bool {
        self.lock().image.same_dir()
    }

    fn describe(&self, dir: Dir) -> String {
        format!("simulated {dir:?} folder")
    }

    fn list(&self, dir: Dir) -> io::Result<Vec<Entry>> {
        let mut state = self.lock();
        state.enter(CallKind::List, dir, "")?;
        let entries = state.image.list(dir).into_iter();
        Ok(entries.map(|(name, bytes)| Entry { name, bytes: bytes as u64 }).collect())
    }

    fn open(&self, dir: Dir, name: &str) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.enter(CallKind::Open, dir, name)?;
        let id = state.image.find(dir, name).ok_or(io::ErrorKind::NotFound)?;
        Ok(SimFile { disk: self.clone(), id, at: 0, dir, name: name.to_owned() })
    }

    fn create(&self, dir: Dir, name: &str) -> io::Result<SimFile> {
        let mut state = self.lock();
        state.enter(CallKind::Create, dir, name)?;
        let id = state.image.create(dir, name);
        Ok(SimFile { disk: self.clone(), id, at: 0, dir, name: name.to_owned() })
    }

    fn rename(&self, dir: Dir, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.enter(CallKind::Rename, dir, from)?;
        if state.image.rename(dir, from, to) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn remove(&self, dir: Dir, name: &str) -> io::Result<()> {
        let mut state = self.lock();
        state.enter(CallKind::Remove, dir, name)?;
        if state.image.remove(dir, name) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_dir(&self, dir: Dir) -> io::Result<()> {
        let mut state = self.lock();
        if let Verdict::Go = state.enter(CallKind::SyncDir, dir, "")? {
            state.image.sync_dir(dir);
        }
        Ok(())
    }
}

/// An open file.
pub struct SimFile {
    disk: SimDisk,
    id: u64,
    at: usize,
    dir: Dir,
    name: String,
}

impl SimFile {
    fn enter(&self, kind: CallKind) -> io::Result<(MutexGuard<'_, State>, Verdict)> {
        let mut state = self.disk.lock();
        let verdict = state.enter(kind, self.dir, &self.name)?;
        Ok((state, verdict))
    }
}

impl StorageFile for SimFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let (state, _) = self.enter(CallKind::Read)?;
        let rest = state.image.inode(self.id).cached.get(self.at..).unwrap_or(&[]);
        let n = into.len().min(rest.len());
        into[..n].copy_from_slice(&rest[..n]);
        drop(state);
        self.at += n;
        Ok(n)
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.at = to as usize;
        Ok(())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let (mut state, verdict) = self.enter(CallKind::Write)?;
        let short = matches!(verdict, Verdict::Short);
        let written = if short { bytes.len() / 2 } else { bytes.len() };
        state.image.inode_mut(self.id).write(self.at, &bytes[..written]);
        drop(state);
        self.at += written;
        if short { Err(error(ENOSPC)) } else { Ok(()) }
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        let (mut state, _) = self.enter(CallKind::SetLen)?;
        state.image.inode_mut(self.id).set_len(bytes as usize);
        Ok(())
    }

    fn sync_data(&mut self) -> io::Result<()> {
        let (mut state, verdict) = self.enter(CallKind::SyncData)?;
        let inode = state.image.inode_mut(self.id);
        inode.syncs += 1;
        match verdict {
            Verdict::Go | Verdict::Short => inode.sync(),
            Verdict::Ignore => {}
            Verdict::Drop => {
                inode.drop_dirty_pages();
                return Err(error(EIO));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
