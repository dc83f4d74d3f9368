//! Descriptors kept back for the disk, because clients may use up all others.
//!
//! A server whose clients have every descriptor could not begin its next log file, and would have to stop: any client
//! could bring that about. So some spare descriptors are held; a file that finds none gets one of theirs, and as long
//! as they are not complete again, no connection is accepted. Whoever wants to connect then waits in the backlog.

use parking_lot::Mutex;
use rustix::io::Errno;
use std::fs::File;
use std::io;

/// A log and a snapshot can be begun at the same time; each needs its file, and for a moment its folder.
const SPARES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct Reserve {
    /// What the spares are copies of; without it nothing is kept back.
    original: Option<File>,
    spares: Mutex<Vec<File>>,
}

impl Reserve {
    pub fn of(original: &File) -> io::Result<Reserve> {
        let reserve = Reserve { original: Some(original.try_clone()?), spares: Mutex::default() };
        reserve.fill(&mut reserve.spares.lock())?;
        Ok(reserve)
    }

    fn fill(&self, spares: &mut Vec<File>) -> io::Result<()> {
        let Some(original) = &self.original else { return Ok(()) };
        while spares.len() < SPARES {
            spares.push(original.try_clone()?);
        }
        Ok(())
    }

    /// Opens a file or a folder, with the help of the spares if there is no other descriptor.
    pub fn open<T>(&self, open: impl Fn() -> io::Result<T>) -> io::Result<T> {
        match open() {
            Err(e) if e.raw_os_error() == Some(Errno::MFILE.raw_os_error()) => {
                let mut spares = self.spares.lock();
                spares.clear();
                let opened = open();
                // One fewer for now: connections wait until it is replaced.
                let _incomplete = self.fill(&mut spares);
                opened
            }
            other => other,
        }
    }

    /// Accepts a connection, unless that would take a descriptor from the disk: then the error is that of having none.
    pub fn accept<T>(&self, accept: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut spares = self.spares.lock();
        self.fill(&mut spares)?;
        accept()
    }
}
