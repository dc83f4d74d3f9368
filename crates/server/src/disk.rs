//! The real disk behind [`journal::Storage`], and the claim on a data folder.

use crate::reserve::Reserve;
use journal::{Dir, Entry, Storage, StorageFile};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// `version-2` below `dataDir` and below `dataLogDir`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataDirs {
    pub snapshots: PathBuf,
    pub logs: PathBuf,
}

#[derive(Debug, Error)]
pub enum DiskError {
    #[error("cannot use the data folder {path}: {source}{advice}")]
    Unusable { path: String, source: io::Error, advice: &'static str },
    #[error(
        "the data folder {path} is in use by another process. Stop that one first, or give this server a dataDir of \
         its own"
    )]
    InUse { path: String },
    #[error(
        "the data folder {path} does not exist, and datadir.autocreate is false. Create it, or correct dataDir"
    )]
    Missing { path: String },
}

fn unusable(path: &Path, source: io::Error) -> DiskError {
    let advice = match source.kind() {
        io::ErrorKind::PermissionDenied => ". Give the server's user the right to write there",
        io::ErrorKind::ReadOnlyFilesystem => ". The file system is mounted read-only",
        io::ErrorKind::StorageFull => ". The disk is full: free some room",
        io::ErrorKind::NotADirectory => ". Something on this path is a file",
        _ => "",
    };
    DiskError::Unusable { path: path.display().to_string(), source, advice }
}

/// The folders of one server, claimed while this value lives.
#[derive(Debug, Clone)]
pub struct Disk {
    dirs: Arc<DataDirs>,
    /// Locked folders: the kernel lets go when the process ends, however it ends.
    _claims: Arc<Vec<File>>,
    reserve: Arc<Reserve>,
}

impl Disk {
    /// Creates what is missing (if `create`), and claims both folders for this process.
    pub fn claim(data_dir: &Path, log_dir: &Path, create: bool) -> Result<Disk, DiskError> {
        let dirs = DataDirs { snapshots: data_dir.join("version-2"), logs: log_dir.join("version-2") };
        let mut claims = Vec::new();
        let mut all = vec![&dirs.snapshots];
        if dirs.logs != dirs.snapshots {
            all.push(&dirs.logs);
        }
        for dir in all {
            if !dir.exists() {
                if !create {
                    return Err(DiskError::Missing { path: dir.display().to_string() });
                }
                create_durably(dir)?;
            }
            let handle = File::open(dir).map_err(|e| unusable(dir, e))?;
            match handle.try_lock() {
                Ok(()) => claims.push(handle),
                Err(fs::TryLockError::WouldBlock) => {
                    return Err(DiskError::InUse { path: dir.display().to_string() });
                }
                Err(fs::TryLockError::Error(e)) => return Err(unusable(dir, e)),
            }
            probe(dir)?;
        }
        let reserve = Reserve::of(&claims[0]).map_err(|e| unusable(&dirs.snapshots, e))?;
        Ok(Disk { dirs: Arc::new(dirs), _claims: Arc::new(claims), reserve: Arc::new(reserve) })
    }

    /// Whether the operator has promised, by a file of this name beside `version-2`, that an empty folder is an empty
    /// database and not a lost one.
    pub fn has_initialize(&self) -> bool {
        self.initialize().is_some_and(|file| file.exists())
    }

    /// The promise is for one start. Durable when this returns.
    pub fn remove_initialize(&self) -> io::Result<()> {
        let Some(file) = self.initialize() else { return Ok(()) };
        fs::remove_file(&file)?;
        file.parent().map_or(Ok(()), |dir| File::open(dir)?.sync_all())
    }

    fn initialize(&self) -> Option<PathBuf> {
        Some(self.dirs.logs.parent()?.join("initialize"))
    }

    /// Without a claim, for tools that only read.
    pub fn read_only(data_dir: &Path, log_dir: &Path) -> Disk {
        let dirs = DataDirs { snapshots: data_dir.join("version-2"), logs: log_dir.join("version-2") };
        Disk { dirs: Arc::new(dirs), _claims: Arc::default(), reserve: Arc::default() }
    }

    /// Likewise for one folder that holds the files themselves, whatever it is called.
    pub fn of_folder(dir: &Path) -> Disk {
        let dirs = DataDirs { snapshots: dir.to_path_buf(), logs: dir.to_path_buf() };
        Disk { dirs: Arc::new(dirs), _claims: Arc::default(), reserve: Arc::default() }
    }

    pub fn dirs(&self) -> &DataDirs {
        &self.dirs
    }

    /// What is kept back from clients for the files here.
    pub(crate) fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn path(&self, dir: Dir) -> &Path {
        match dir {
            Dir::Log => &self.dirs.logs,
            Dir::Snapshot => &self.dirs.snapshots,
        }
    }
}

/// Creates a folder and makes its entry in every new ancestor durable.
fn create_durably(dir: &Path) -> Result<(), DiskError> {
    let missing: Vec<&Path> =
        dir.ancestors().take_while(|p| !p.as_os_str().is_empty() && !p.exists()).collect();
    fs::create_dir_all(dir).map_err(|e| unusable(dir, e))?;
    for created in missing {
        let parent = created.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|f| f.sync_all()).map_err(|e| unusable(parent, e))?;
    }
    Ok(())
}

/// Whether files can be written there at all: better found now than at the first write.
fn probe(dir: &Path) -> Result<(), DiskError> {
    let path = dir.join(".rookeeper-probe");
    let mut file = File::create(&path).map_err(|e| unusable(dir, e))?;
    let written = file.write_all(b"x").and_then(|()| file.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed).map_err(|e| unusable(dir, e))
}

/// An open file.
pub struct DiskFile(File);

impl Storage for Disk {
    type File = DiskFile;

    fn same_dir(&self) -> bool {
        let canonical = |p: &Path| p.canonicalize().unwrap_or_else(|_| p.to_path_buf());
        canonical(&self.dirs.snapshots) == canonical(&self.dirs.logs)
    }

    fn describe(&self, dir: Dir) -> String {
        self.path(dir).display().to_string()
    }

    fn list(&self, dir: Dir) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in self.reserve.open(|| fs::read_dir(self.path(dir)))? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Renamed or removed by another thread since the folder was read.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if let (true, Ok(name)) = (meta.is_file(), entry.file_name().into_string()) {
                entries.push(Entry { name, bytes: meta.len() });
            }
        }
        Ok(entries)
    }

    fn open(&self, dir: Dir, name: &str) -> io::Result<DiskFile> {
        let path = self.path(dir).join(name);
        let writable = self.reserve.open(|| OpenOptions::new().read(true).write(true).open(&path));
        match writable {
            Ok(file) => Ok(DiskFile(file)),
            Err(e)
                if matches!(
                    e.kind(),
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
                ) =>
            {
                self.reserve.open(|| File::open(&path)).map(DiskFile)
            }
            Err(e) => Err(e),
        }
    }

    fn create(&self, dir: Dir, name: &str) -> io::Result<DiskFile> {
        let path = self.path(dir).join(name);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        self.reserve.open(|| options.open(&path)).map(DiskFile)
    }

    fn rename(&self, dir: Dir, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(dir).join(from), self.path(dir).join(to))
    }

    fn remove(&self, dir: Dir, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(dir).join(name))
    }

    fn sync_dir(&self, dir: Dir) -> io::Result<()> {
        self.reserve.open(|| File::open(self.path(dir)))?.sync_all()
    }
}

impl StorageFile for DiskFile {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(into) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => return other,
            }
        }
    }

    fn seek(&mut self, to: u64) -> io::Result<()> {
        self.0.seek(SeekFrom::Start(to)).map(|_position| ())
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn set_len(&mut self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&mut self) -> io::Result<()> {
        self.0.sync_data()
    }
}
