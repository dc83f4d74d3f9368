//! Access control lists, each kept once.
//!
//! An id is also the key under which snapshots store the list; it is never given twice, so that an id seen by a
//! frozen view keeps its meaning. Id 0 is `world:anyone:ALL`, which snapshots spell as key -1.

use hashbrown::HashMap;
use std::collections::BTreeMap;
use std::sync::Arc;
use wire::data::{AclList, OPEN_ACL};

/// Names one list.
pub type AclId = u32;

pub(crate) const OPEN: AclId = 0;

/// Snapshots name lists below this; above it is room for new ones.
const LAST_LOADED: AclId = 1 << 31;

struct Entry {
    /// `None` when a fuzzy snapshot mentioned the key without defining it (ZOOKEEPER-3306, ZOOKEEPER-4689).
    list: Option<Arc<[u8]>>,
    references: u64,
}

pub(crate) struct AclTable {
    entries: BTreeMap<AclId, Entry>,
    ids: HashMap<Arc<[u8]>, AclId, foldhash::fast::FixedState>,
    next: AclId,
    /// Lists that lost their last node; they live until the events of that change have been delivered.
    unused: Vec<AclId>,
}

impl AclTable {
    pub fn new(seed: u64) -> AclTable {
        let ids = HashMap::with_hasher(foldhash::fast::FixedState::with_seed(seed));
        AclTable { entries: BTreeMap::new(), ids, next: 1, unused: Vec::new() }
    }

    #[inline]
    pub fn get(&self, id: AclId) -> Option<AclList<'_>> {
        if id == OPEN {
            return Some(AclList::from_encoded(OPEN_ACL));
        }
        self.entries.get(&id)?.list.as_deref().map(AclList::from_encoded)
    }

    /// The id of `list`, with one more reference.
    pub fn acquire(&mut self, list: AclList<'_>) -> AclId {
        if list.is_open() {
            return OPEN;
        }
        let id = match self.ids.get(list.encoded()) {
            Some(id) => *id,
            None => self.define(self.free_id(), list.encoded()),
        };
        self.entries.get_mut(&id).expect("ids name entries").references += 1;
        id
    }

    /// The next id; when those that a snapshot may name are used up, the lowest that is free.
    fn free_id(&self) -> AclId {
        if self.next < LAST_LOADED {
            return self.next;
        }
        (1..LAST_LOADED).find(|id| !self.entries.contains_key(id)).unwrap_or(self.next)
    }

    fn define(&mut self, id: AclId, encoded: &[u8]) -> AclId {
        let list: Arc<[u8]> = encoded.into();
        self.entries.insert(id, Entry { list: Some(list.clone()), references: 0 });
        self.ids.insert(list, id);
        self.next = self.next.max(id.saturating_add(1));
        id
    }

    pub fn release(&mut self, id: AclId) {
        if id == OPEN {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.references = entry.references.saturating_sub(1);
            if entry.references == 0 {
                self.unused.push(id);
            }
        }
    }

    /// Forgets lists that no znode uses any more.
    pub fn sweep(&mut self) {
        for id in std::mem::take(&mut self.unused) {
            if self.entries.get(&id).is_some_and(|e| e.references == 0)
                && let Some(Entry { list: Some(list), .. }) = self.entries.remove(&id)
            {
                self.ids.remove(&list);
            }
        }
    }

    /// One definition of a snapshot's ACL section. `false` if the key cannot be used.
    pub fn load_definition(&mut self, key: i64, list: AclList<'_>) -> bool {
        match AclId::try_from(key) {
            Ok(id) if id != OPEN && id < LAST_LOADED && !self.entries.contains_key(&id) => {
                self.define(id, list.encoded());
                true
            }
            _ => false,
        }
    }

    /// A znode of a snapshot refers to `key`; a key without definition is reserved, so that no later list gets it.
    pub fn load_reference(&mut self, key: i64) -> Option<AclId> {
        if key == -1 {
            return Some(OPEN);
        }
        let id = AclId::try_from(key).ok().filter(|id| *id != OPEN && *id < LAST_LOADED)?;
        self.entries.entry(id).or_insert(Entry { list: None, references: 0 }).references += 1;
        self.next = self.next.max(id + 1);
        Some(id)
    }

    pub fn undefined(&self) -> impl Iterator<Item = AclId> + '_ {
        self.entries.iter().filter(|(_, e)| e.list.is_none()).map(|(id, _)| *id)
    }

    /// Drops definitions that a loaded snapshot has but no znode uses.
    pub fn drop_unreferenced(&mut self) {
        self.unused = self.entries.iter().filter(|(_, e)| e.references == 0).map(|(id, _)| *id).collect();
        self.sweep();
    }

    /// Every list with the key that snapshots use.
    pub fn definitions(&self) -> Vec<(i64, Arc<[u8]>)> {
        let defined = self.entries.iter().filter_map(|(id, e)| Some((i64::from(*id), e.list.clone()?)));
        defined.collect()
    }
}

/// How snapshots spell an id.
pub(crate) fn key(id: AclId) -> i64 {
    if id == OPEN { -1 } else { i64::from(id) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::data::READ_ACL;

    #[test]
    fn lists_are_kept_once_and_forgotten_after_the_last_release() {
        let mut t = AclTable::new(1);
        let read = AclList::from_encoded(READ_ACL);
        let a = t.acquire(read);
        assert_eq!(t.acquire(read), a);
        assert_eq!(t.acquire(AclList::from_encoded(OPEN_ACL)), OPEN);
        t.release(a);
        t.release(a);
        assert!(t.get(a).is_some(), "alive until swept");
        t.sweep();
        assert!(t.get(a).is_none());
        assert_ne!(t.acquire(read), a, "ids are not given twice");
    }

    #[test]
    fn a_dangling_key_is_reserved() {
        let mut t = AclTable::new(1);
        assert_eq!(t.load_reference(7), Some(7));
        assert!(t.get(7).is_none());
        assert_eq!(t.acquire(AclList::from_encoded(READ_ACL)), 8);
        assert_eq!(t.load_reference(-5), None);
    }

    #[test]
    fn keys_that_leave_no_room_or_come_twice_are_refused() {
        let mut t = AclTable::new(1);
        let read = AclList::from_encoded(READ_ACL);
        assert!(!t.load_definition(i64::from(AclId::MAX) - 1, read));
        assert_eq!(t.load_reference(i64::from(AclId::MAX) - 1), None);
        assert!(t.load_definition(3, read));
        assert!(!t.load_definition(3, AclList::from_encoded(OPEN_ACL)));
    }
}
