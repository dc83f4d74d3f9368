//! An event comes before the data that it tells of, once for a one-shot watch, and never without a cause; nothing is
//! lost across a reconnection with setWatches.

use super::{Broken, History, View};
use std::collections::BTreeMap;

/// Which table of the client a watch stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// On the data of a znode that was there.
    Data,
    /// On a znode that was not.
    Exist,
    Child,
}

/// The one-shot watches of a session as its client knows them, with the zxid at which each was left.
#[derive(Debug, Default)]
pub struct Book {
    watches: BTreeMap<(Kind, String), i64>,
}

/// Whether a watch of this kind must hear of the step from one version of a znode to the next.
fn concerns(kind: Kind, before: Option<&View>, after: Option<&View>) -> bool {
    match (before, after) {
        (Some(before), Some(after)) => match kind {
            Kind::Data | Kind::Exist => before.stat.mzxid != after.stat.mzxid,
            Kind::Child => before.stat.pzxid != after.stat.pzxid,
        },
        (None, None) => false,
        (Some(_), None) | (None, Some(_)) => true,
    }
}

/// The first change that the watch must hear of, of those up to `until`.
fn cause(history: &History, kind: Kind, path: &str, left_at: i64, until: i64) -> Option<i64> {
    let mut before = history.at(path, left_at);
    for (zxid, after) in history.changes(path, left_at, until) {
        if concerns(kind, before, after) {
            return Some(zxid);
        }
        before = after;
    }
    None
}

impl Book {
    pub fn left(&mut self, kind: Kind, path: &str, zxid: i64) {
        self.watches.insert((kind, path.to_owned()), zxid);
    }

    pub fn is_empty(&self) -> bool {
        self.watches.is_empty()
    }

    /// Paths of one kind, for setWatches.
    pub fn paths(&self, kind: Kind) -> Vec<&str> {
        self.watches.keys().filter(|(k, _)| *k == kind).map(|(_, path)| path.as_str()).collect()
    }

    /// setWatches was answered from `zxid`. A znode that was made and deleted again while its client was away leaves no
    /// trace for a watch that waits for it, as in Apache.
    pub fn set_again(&mut self, history: &History, zxid: i64) {
        for ((kind, path), left_at) in &mut self.watches {
            if *kind == Kind::Exist && history.at(path, zxid).is_none() {
                *left_at = zxid;
            }
        }
    }

    /// The session is over, and its watches with it.
    pub fn clear(&mut self) {
        self.watches.clear();
    }

    /// An event (1 created, 2 deleted, 3 data, 4 children) came; whatever it used up is gone from the book.
    ///
    /// `replaying`: before the answer to setWatches. That request names data and child watches in two lists, and a
    /// deleted znode that stands in both is told of twice, as in Apache.
    pub fn event(
        &mut self,
        history: &History,
        event: i32,
        path: &str,
        replaying: bool,
    ) -> Result<(), Broken> {
        let kinds: &[Kind] = match event {
            2 => &[Kind::Data, Kind::Exist, Kind::Child],
            4 => &[Kind::Child],
            _ => &[Kind::Data, Kind::Exist],
        };
        let now = history.last_committed();
        let mut matched = false;
        for kind in kinds {
            if let Some(left_at) = self.watches.remove(&(*kind, path.to_owned())) {
                matched = true;
                if cause(history, *kind, path, left_at, now).is_none() {
                    return Err(format!("watches: event {event} for {path} has no cause behind {left_at}"));
                }
            }
        }
        let told_twice = replaying && event == 2;
        if matched || told_twice {
            Ok(())
        } else {
            Err(format!("watches: nobody watched for event {event} of {path}"))
        }
    }

    /// An answer that shows the state at `zxid` came: no watch may have missed a change up to there.
    pub fn answered(&mut self, history: &History, zxid: i64) -> Result<(), Broken> {
        for ((kind, path), left_at) in &mut self.watches {
            if let Some(cause) = cause(history, *kind, path, *left_at, zxid) {
                return Err(format!(
                    "watches: the {kind:?} watch on {path}, left at {left_at}, has not heard of {cause}, but {zxid} \
                     was shown"
                ));
            }
            // Nothing happened up to here: no need to look at it again.
            *left_at = (*left_at).max(zxid);
        }
        Ok(())
    }
}
