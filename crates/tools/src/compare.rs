//! Two databases side by side: trees and sessions.

use crate::{show, walk};
use std::convert::Infallible;
use std::fmt;
use tree::{NodeRef, Tree};
use wire::data::StatPersisted;

/// One thing in which two databases differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    LastZxid {
        first: i64,
        second: i64,
    },
    /// Timeouts in ms; `None`: the session is not there.
    Session {
        id: i64,
        first: Option<i32>,
        second: Option<i32>,
    },
    OnlyInFirst {
        path: String,
    },
    OnlyInSecond {
        path: String,
    },
    /// A field of one znode, as text.
    Field {
        path: String,
        name: &'static str,
        first: String,
        second: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let timeout = |ms: &Option<i32>| ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms}ms"));
        match self {
            Difference::LastZxid { first, second } => write!(f, "last zxid: {first:#x} | {second:#x}"),
            Difference::Session { id, first, second } => {
                write!(f, "session {id:#x}: {} | {}", timeout(first), timeout(second))
            }
            Difference::OnlyInFirst { path } => write!(f, "{path:?}: only in the first"),
            Difference::OnlyInSecond { path } => write!(f, "{path:?}: only in the second"),
            Difference::Field { path, name, first, second } => {
                write!(f, "{path:?}: {name}: {first} | {second}")
            }
        }
    }
}

/// What was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// Znodes that are in both.
    pub znodes: u64,
    pub differences: u64,
}

/// Hands every difference to `tell`: position, then sessions, then znodes by path. A znode that is in one tree only is
/// told with all below it.
pub fn compare(first: &Tree, second: &Tree, tell: &mut dyn FnMut(Difference)) -> Compared {
    let mut compared = Compared::default();
    let mut tell = |compared: &mut Compared, difference| {
        compared.differences += 1;
        tell(difference);
    };
    if first.last_zxid() != second.last_zxid() {
        let (first, second) = (first.last_zxid(), second.last_zxid());
        tell(&mut compared, Difference::LastZxid { first, second });
    }
    for (id, first, second) in sessions(first, second) {
        tell(&mut compared, Difference::Session { id, first, second });
    }
    let Ok(()) = walk(first, |path, node| -> Result<(), Infallible> {
        match second.get(path) {
            None => tell(&mut compared, Difference::OnlyInFirst { path: path.to_owned() }),
            Some(other) => {
                compared.znodes += 1;
                for (name, first, second) in fields(node, other) {
                    tell(&mut compared, Difference::Field { path: path.to_owned(), name, first, second });
                }
            }
        }
        Ok(())
    });
    let Ok(()) = walk(second, |path, _| -> Result<(), Infallible> {
        if first.get(path).is_none() {
            tell(&mut compared, Difference::OnlyInSecond { path: path.to_owned() });
        }
        Ok(())
    });
    compared
}

type SessionPair = (i64, Option<i32>, Option<i32>);

fn sessions(first: &Tree, second: &Tree) -> Vec<SessionPair> {
    let (a, b) = (first.sessions(), second.sessions());
    let mut ids: Vec<i64> = a.keys().chain(b.keys()).copied().collect();
    ids.sort_unstable();
    ids.dedup();
    let pairs = ids.into_iter().map(|id| (id, a.get(&id).copied(), b.get(&id).copied()));
    pairs.filter(|(_, first, second)| first != second).collect()
}

fn fields(a: NodeRef<'_>, b: NodeRef<'_>) -> Vec<(&'static str, String, String)> {
    let mut out = Vec::new();
    if a.data() != b.data() {
        let text = |data: Option<&[u8]>| match data {
            None => "null".to_owned(),
            Some(bytes) => {
                format!("{} bytes \"{}\"", bytes.len(), bytes[..bytes.len().min(64)].escape_ascii())
            }
        };
        out.push(("data", text(a.data()), text(b.data())));
    }
    let acl = |node: NodeRef<'_>| node.acl().map_or_else(|| "undefined".to_owned(), show::acl);
    let (acl_a, acl_b) = (acl(a), acl(b));
    if acl_a != acl_b {
        out.push(("acl", acl_a, acl_b));
    }
    let (a, b) = (stat_fields(&a.stored_stat()), stat_fields(&b.stored_stat()));
    out.extend(a.into_iter().zip(b).filter(|(a, b)| a != b).map(|((name, a), (_, b))| (name, a, b)));
    out
}

fn stat_fields(stat: &StatPersisted) -> [(&'static str, String); 9] {
    let StatPersisted { czxid, mzxid, ctime, mtime, version, cversion, aversion, ephemeral_owner, pzxid } =
        stat;
    [
        ("czxid", format!("{czxid:#x}")),
        ("mzxid", format!("{mzxid:#x}")),
        ("pzxid", format!("{pzxid:#x}")),
        ("ctime", show::time(*ctime)),
        ("mtime", show::time(*mtime)),
        ("version", version.to_string()),
        ("cversion", cversion.to_string()),
        ("aversion", aversion.to_string()),
        ("owner", format!("{ephemeral_owner:#x}")),
    ]
}
