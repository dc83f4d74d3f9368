//! Event before newer data, across threads: no client sees a change in an answer before it has the event of the change.
//!
//! The node thread changes the tree and leaves events for the I/O threads; they answer reads from the tree by
//! themselves. Two rules keep the order, and both are here and nowhere else:
//!
//! * [`change`]: what a change brings about is in the trays before the exclusive lock is released;
//! * [`look`]: a tray is emptied after the shared lock was taken, and before anything is answered under it.
//!
//! So whoever sees a change has taken its event. Emptying the tray before the lock, or filling it after, loses that:
//! `tests/event_first.rs` runs this file under a scheduler that tries the interleavings, and shows both.

use crate::sync::{AtomicBool, Mutex, Ordering, RwLock, RwLockReadGuard};

/// What waits for one I/O thread.
#[derive(Default)]
pub(crate) struct Tray<M> {
    contents: Mutex<M>,
    /// Set when there is something: looked at without the lock.
    filled: AtomicBool,
}

impl<M> Tray<M> {
    /// Adds to it; `true` if the owner must be woken.
    pub fn put(&self, add: impl FnOnce(&mut M)) -> bool {
        let mut contents = self.contents.lock();
        add(&mut contents);
        !self.filled.swap(true, Ordering::AcqRel)
    }

    /// Whether there is something to take.
    #[inline]
    pub fn is_filled(&self) -> bool {
        self.filled.load(Ordering::Acquire)
    }

    /// Exchanges what is there for `with`, which is empty. `false` if there is nothing.
    #[inline]
    pub fn take(&self, with: &mut M) -> bool {
        if !self.is_filled() {
            return false;
        }
        let mut contents = self.contents.lock();
        std::mem::swap(&mut *contents, with);
        self.filled.store(false, Ordering::Release);
        true
    }
}

/// Hands over to the trays what it has collected.
pub(crate) trait Publish {
    fn publish(&mut self);
}

/// Changes the tree under the exclusive lock. What `change` leaves in `out` is published before the lock is released.
pub(crate) fn change<T, O: Publish, R>(
    tree: &RwLock<T>,
    out: &mut O,
    change: impl FnOnce(&mut T, &mut O) -> R,
) -> R {
    let mut tree = tree.write();
    let result = change(&mut tree, out);
    out.publish();
    result
}

/// Takes the shared lock, and then what is in the tray: it is to be delivered before the tree is read. The flag tells
/// whether there was anything.
#[inline]
pub(crate) fn look<'a, T, M>(
    tree: &'a RwLock<T>,
    tray: &Tray<M>,
    with: &mut M,
) -> (RwLockReadGuard<'a, T>, bool) {
    let tree = tree.read();
    let taken = tray.take(with);
    (tree, taken)
}
