//! Watches: an event has a cause, comes once, comes before any reply that shows the change, and is not lost when
//! the session goes to another member and sets its watches again.
use super::{Evidence, Replayed};
use crate::ensemble::history::{Arrival, Request, SessionHistory};
use crate::raw::NO_NODE;
use std::collections::BTreeMap;

pub fn check(evidence: &Evidence<'_>, replayed: &Replayed, findings: &mut Vec<String>) {
    for session in evidence.sessions {
        let mut watcher = Watcher { session, replayed, armed: BTreeMap::new(), owed: None };
        for arrival in &session.arrivals {
            findings.extend(watcher.next(arrival));
        }
    }
}

struct Watcher<'a> {
    session: &'a SessionHistory,
    replayed: &'a Replayed,
    /// Watched paths, and the zxid from which on the next change must be told.
    armed: BTreeMap<String, i64>,
    /// An event has shown a change with this zxid: a later reply cannot be older.
    owed: Option<(i64, String)>,
}

impl Watcher<'_> {
    fn next(&mut self, arrival: &Arrival) -> Option<String> {
        match arrival {
            Arrival::Connected { watches, .. } => {
                self.armed.retain(|path, _| watches.contains(path));
                self.owed = None;
                None
            }
            Arrival::Reply(index) => {
                let operation = &self.session.operations[*index];
                let outcome = operation.outcome.as_ref()?;
                let found = self.reply(outcome.zxid);
                let watched = match &operation.request {
                    Request::Get { path, watch: true } if outcome.error == 0 => Some(path),
                    Request::Exists { path, watch: true } if matches!(outcome.error, 0 | NO_NODE) => {
                        Some(path)
                    }
                    _ => None,
                };
                if let Some(path) = watched {
                    self.armed.entry(path.clone()).or_insert(outcome.zxid);
                }
                found
            }
            Arrival::Zxid(zxid) => self.reply(*zxid),
            Arrival::Event { path, kind } => self.event(path, *kind),
            Arrival::Lost(_) => None,
        }
    }

    /// The first change of a path after a zxid.
    fn change_after(&self, path: &str, zxid: i64) -> Option<i64> {
        let changes = self.replayed.changes.get(path)?;
        changes.get(changes.partition_point(|change| *change <= zxid)).copied()
    }

    fn reply(&mut self, zxid: i64) -> Option<String> {
        let name = self.session.name();
        if let Some((caused, path)) = self.owed.take_if(|(caused, _)| *caused > zxid) {
            return Some(format!(
                "{name} got an event of {path} before its cause: the first change was 0x{caused:x}, and \
                 the next reply shows 0x{zxid:x}"
            ));
        }
        let late = self.armed.iter().find_map(|(path, set)| {
            let change = self.change_after(path, *set).filter(|change| *change <= zxid)?;
            Some((path.clone(), *set, change))
        });
        let (path, set, change) = late?;
        self.armed.remove(&path);
        Some(format!(
            "{name} watched {path} at 0x{set:x}; it changed at 0x{change:x}, and a reply of 0x{zxid:x} came before \
             the event"
        ))
    }

    fn event(&mut self, path: &str, kind: i32) -> Option<String> {
        let name = self.session.name();
        let Some(set) = self.armed.remove(path) else {
            return Some(format!("{name} got an event of {path} (type {kind}) without a watch, or twice"));
        };
        let Some(change) = self.change_after(path, set) else {
            return Some(format!("{name} got an event of {path}, which has not changed since 0x{set:x}"));
        };
        if self.owed.as_ref().is_none_or(|(owed, _)| *owed < change) {
            self.owed = Some((change, path.to_owned()));
        }
        None
    }
}
