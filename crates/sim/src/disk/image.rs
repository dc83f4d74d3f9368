//! The whole disk at one moment: two folders, their files, and the folder changes that were not synced.

use super::inode::Inode;
use crate::Rng;
use journal::Dir;
use std::collections::BTreeMap;
use std::sync::Arc;

type FileId = u64;

/// A change of a folder.
#[derive(Debug, Clone)]
enum DirOp {
    Create(String, FileId),
    Rename(String, String, FileId),
    Remove(String),
}

/// One folder: its entries as the process sees them, as the disk has them, and the changes between.
#[derive(Debug, Clone, Default)]
struct Folder {
    live: BTreeMap<String, FileId>,
    durable: BTreeMap<String, FileId>,
    pending: Vec<DirOp>,
}

fn apply(entries: &mut BTreeMap<String, FileId>, op: &DirOp) {
    match op {
        DirOp::Create(name, id) => {
            entries.insert(name.clone(), *id);
        }
        DirOp::Rename(from, to, id) => {
            if entries.get(from) == Some(id) {
                entries.remove(from);
            }
            entries.insert(to.clone(), *id);
        }
        DirOp::Remove(name) => {
            entries.remove(name);
        }
    }
}

impl Folder {
    fn change(&mut self, op: DirOp) {
        apply(&mut self.live, &op);
        self.pending.push(op);
    }

    fn sync(&mut self) {
        self.pending.clear();
        self.durable.clone_from(&self.live);
    }

    /// The entries after a power cut: of the changes that were not synced, none, all, a prefix (as file systems with
    /// one ordered journal keep) or any subset (as others may).
    fn after_power_cut(&self, rng: &mut Rng, tearing: bool) -> BTreeMap<String, FileId> {
        let mut entries = self.durable.clone();
        if !tearing {
            return entries;
        }
        let prefix = match rng.below(4) {
            0 => 0,
            1 => rng.index(self.pending.len() + 1),
            _ => self.pending.len(),
        };
        let percent = *rng.pick(&[100, 50]);
        self.pending[..prefix].iter().filter(|_| rng.chance(percent)).for_each(|op| apply(&mut entries, op));
        entries
    }
}

/// Everything on the disk. Cheap to clone: files are copied when they change.
#[derive(Debug, Clone, Default)]
pub struct Image {
    same_dir: bool,
    folders: [Folder; 2],
    inodes: BTreeMap<FileId, Arc<Inode>>,
    next_id: FileId,
}

impl Image {
    pub(super) fn new(same_dir: bool) -> Image {
        Image { same_dir, ..Image::default() }
    }

    pub(super) fn same_dir(&self) -> bool {
        self.same_dir
    }

    fn folder_index(&self, dir: Dir) -> usize {
        usize::from(dir == Dir::Snapshot && !self.same_dir)
    }

    fn folder(&self, dir: Dir) -> &Folder {
        &self.folders[self.folder_index(dir)]
    }

    fn folder_mut(&mut self, dir: Dir) -> &mut Folder {
        let i = self.folder_index(dir);
        &mut self.folders[i]
    }

    /// Names and lengths, as the process sees them.
    pub fn list(&self, dir: Dir) -> Vec<(String, usize)> {
        let entries = self.folder(dir).live.iter();
        entries.map(|(name, id)| (name.clone(), self.inodes[id].cached.len())).collect()
    }

    /// A file's contents, as the process sees them.
    pub fn read(&self, dir: Dir, name: &str) -> Option<&[u8]> {
        let id = self.folder(dir).live.get(name)?;
        Some(&self.inodes[id].cached)
    }

    /// Puts a file in place, durable at once: for tests that damage one.
    pub fn put(&mut self, dir: Dir, name: &str, bytes: &[u8]) {
        let id = self.create(dir, name);
        let inode = self.inode_mut(id);
        inode.set_len(0);
        inode.write(0, bytes);
        inode.sync();
        self.folder_mut(dir).sync();
    }

    pub(super) fn find(&self, dir: Dir, name: &str) -> Option<FileId> {
        self.folder(dir).live.get(name).copied()
    }

    pub(super) fn inode(&self, id: FileId) -> &Inode {
        &self.inodes[&id]
    }

    pub(super) fn inode_mut(&mut self, id: FileId) -> &mut Inode {
        Arc::make_mut(self.inodes.get_mut(&id).expect("files live as long as the disk"))
    }

    pub(super) fn create(&mut self, dir: Dir, name: &str) -> FileId {
        if let Some(id) = self.find(dir, name) {
            self.inode_mut(id).set_len(0);
            return id;
        }
        self.next_id += 1;
        let id = self.next_id;
        self.inodes.insert(id, Arc::default());
        self.folder_mut(dir).change(DirOp::Create(name.to_owned(), id));
        id
    }

    pub(super) fn rename(&mut self, dir: Dir, from: &str, to: &str) -> bool {
        let Some(id) = self.find(dir, from) else { return false };
        self.folder_mut(dir).change(DirOp::Rename(from.to_owned(), to.to_owned(), id));
        true
    }

    pub(super) fn remove(&mut self, dir: Dir, name: &str) -> bool {
        let found = self.find(dir, name).is_some();
        if found {
            self.folder_mut(dir).change(DirOp::Remove(name.to_owned()));
        }
        found
    }

    pub(super) fn sync_dir(&mut self, dir: Dir) {
        self.folder_mut(dir).sync();
    }

    /// Whether anything would be lost now.
    pub fn is_dirty(&self) -> bool {
        self.folders
            .iter()
            .any(|f| !f.pending.is_empty() || f.live.values().any(|id| self.inodes[id].is_dirty()))
    }

    /// The disk after a power cut. Without tearing, exactly what was synced is left; with it, any part of the rest
    /// may be there too, chosen by `rng`.
    pub fn power_cut(&self, rng: &mut Rng, tearing: bool) -> Image {
        let mut after = Image { same_dir: self.same_dir, next_id: self.next_id, ..Image::default() };
        for (folder, old) in after.folders.iter_mut().zip(&self.folders) {
            folder.live = old.after_power_cut(rng, tearing);
            folder.durable.clone_from(&folder.live);
            for id in folder.live.values() {
                let bytes = self.inodes[id].after_power_cut(rng, tearing);
                after.inodes.insert(*id, Arc::new(Inode::settled(bytes)));
            }
        }
        after
    }
}
