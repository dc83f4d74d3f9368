//! What [`crate::event_first`] is built on. Its test puts other types of the same shape in their place.

pub(crate) use parking_lot::{Mutex, RwLock, RwLockReadGuard};
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};
