//! One file: what a process reads, what the disk holds, and which sectors differ.

use crate::Rng;
use std::collections::BTreeSet;

/// The smallest unit that a disk writes whole.
pub const SECTOR: usize = 512;

#[derive(Debug, Clone, Default)]
pub(super) struct Inode {
    /// As read by the process.
    pub cached: Vec<u8>,
    /// As on the disk.
    pub durable: Vec<u8>,
    /// Sectors written since the last sync.
    dirty: BTreeSet<usize>,
    /// Completed syncs, the switched-off ones included.
    pub syncs: u32,
}

/// How many of the sectors that were not synced a power cut lets through.
#[derive(Debug, Clone, Copy)]
enum Kept {
    Percent(u64),
    First(usize),
    Last(usize),
}

impl Inode {
    /// A file of which everything is on the disk.
    pub fn settled(bytes: Vec<u8>) -> Inode {
        Inode { cached: bytes.clone(), durable: bytes, ..Inode::default() }
    }

    pub fn write(&mut self, at: usize, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let end = at + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[at..end].copy_from_slice(bytes);
        self.dirty.extend(at / SECTOR..=(end - 1) / SECTOR);
    }

    pub fn set_len(&mut self, len: usize) {
        if len < self.cached.len() {
            // Until synced, each of the sectors cut off may still come back.
            self.dirty.extend(len / SECTOR..=(self.cached.len() - 1) / SECTOR);
        }
        self.cached.resize(len, 0);
    }

    pub fn sync(&mut self) {
        self.durable.resize(self.cached.len(), 0);
        for sector in std::mem::take(&mut self.dirty) {
            copy_sector(&self.cached, &mut self.durable, sector);
        }
    }

    /// A sync that fails the way Linux's may: the pages are taken for clean and never written.
    pub fn drop_dirty_pages(&mut self) {
        self.dirty.clear();
    }

    pub fn is_dirty(&self) -> bool {
        !self.dirty.is_empty() || self.cached.len() != self.durable.len()
    }

    /// The contents after a power cut.
    pub fn after_power_cut(&self, rng: &mut Rng, tearing: bool) -> Vec<u8> {
        if !tearing {
            return self.durable.clone();
        }
        let len = if rng.chance(50) { self.cached.len() } else { self.durable.len() };
        let mut bytes = self.durable.clone();
        bytes.resize(len, 0);
        let kept = match rng.below(6) {
            0 => Kept::Percent(0),
            1 => Kept::Percent(100),
            2 => Kept::First(rng.index(self.dirty.len() + 1)),
            3 => Kept::Last(rng.index(self.dirty.len() + 1)),
            _ => Kept::Percent(*rng.pick(&[10, 50, 90])),
        };
        for (i, sector) in self.dirty.iter().enumerate() {
            let keep = match kept {
                Kept::Percent(p) => rng.chance(p),
                Kept::First(n) => i < n,
                Kept::Last(n) => i >= self.dirty.len() - n,
            };
            if keep {
                copy_sector(&self.cached, &mut bytes, *sector);
            }
        }
        bytes
    }
}

/// Copies as much of the sector as both have; what lies beyond the source's end becomes zeros.
fn copy_sector(from: &[u8], to: &mut [u8], sector: usize) {
    let start = (sector * SECTOR).min(to.len());
    let end = (start + SECTOR).min(to.len());
    for (i, byte) in to[start..end].iter_mut().enumerate() {
        *byte = from.get(start + i).copied().unwrap_or(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_synced_bytes_survive_without_tearing() {
        let mut f = Inode::default();
        f.write(0, b"synced");
        f.sync();
        f.write(6, b" not");
        assert!(f.is_dirty());
        assert_eq!(f.after_power_cut(&mut Rng::new(1), false), b"synced");
        f.sync();
        assert!(!f.is_dirty());
        assert_eq!(f.after_power_cut(&mut Rng::new(1), true), b"synced not");
    }

    #[test]
    fn each_sector_is_torn_for_itself_and_never_within() {
        let mut f = Inode::default();
        f.set_len(8 * SECTOR);
        f.sync();
        f.write(100, &[7; 4 * SECTOR]);
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let after = f.after_power_cut(&mut Rng::new(seed), true);
            assert_eq!(after.len(), 8 * SECTOR);
            let pattern: Vec<bool> =
                (0..5).map(|s| after[s * SECTOR + 99 + usize::from(s == 0)] == 7).collect();
            for (s, kept) in pattern.iter().enumerate() {
                let range = (s * SECTOR).max(100)..((s + 1) * SECTOR).min(100 + 4 * SECTOR);
                assert!(after[range].iter().all(|b| (*b == 7) == *kept));
            }
            seen.insert(pattern);
        }
        assert!(seen.len() > 15, "only {} patterns", seen.len());
    }

    #[test]
    fn dropped_pages_are_read_until_the_power_goes() {
        let mut f = Inode::default();
        f.set_len(SECTOR);
        f.sync();
        f.write(0, b"lost");
        f.drop_dirty_pages();
        f.sync();
        assert_eq!(&f.cached[..4], b"lost");
        assert_eq!(&f.after_power_cut(&mut Rng::new(3), true)[..4], [0; 4]);
    }
}
