//! The things that a release may trip over: what happens then, why, and what to do.

use super::Finding;
use crate::Release;
use crate::release::TtlSupport;
use wire::OpCode;

/// What is wrong; sizes are in the finding.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Problem {
    /// A compressed snapshot, which releases before 3.6 do not take for one.
    PackedSnapshot,
    /// A snapshot whose end this release takes for something else.
    SnapshotTail,
    /// A snapshot that no release can read, with the reason.
    UnreadableSnapshot(String),
    /// A znode in a snapshot with a path or data above the limit.
    LargeField,
    Container,
    /// A TTL znode in a snapshot, or the transaction that makes one.
    Ttl,
    /// The logs stand alone.
    NoSnapshot,
    /// There are snapshots, and none can be loaded.
    NoGoodSnapshot,
    /// The release would stop before what other files hold.
    EndsEarly {
        reached: i64,
    },
    /// Transactions are missing behind this one.
    Gap {
        after: i64,
    },
    /// A transaction of a type that the release does not know.
    UnknownType(i32),
    /// A check outside a multi, which no release can read back.
    LoneCheck,
    /// A part of a multi that the release does not apply.
    MultiPart(i32),
    /// A transaction above the limit.
    LargeRecord,
    /// A closeSession without a list of ephemerals, whose digest is taken for such a list.
    CloseSessionDigest,
    /// A record whose write was cut short, at this place.
    TornRecord(u64),
    /// A log that is damaged, with the description.
    DamagedLog(String),
    /// A last log file that was created but never begun.
    EmptyLog,
}

/// What becomes of a start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// By itself nothing: an older file is taken instead.
    PassedOver,
    NeedsSetting,
    Refused,
    /// It starts, and something is missing or wrong.
    Lost,
}

const FRESH: &str = "write a fresh snapshot with `rookeeper snapshot`, then move the log files out of the folder: they \
                     are not needed any more";

impl Finding {
    /// What becomes of a start of `target`.
    pub fn effect(&self, target: Release) -> Effect {
        match &self.problem {
            Problem::PackedSnapshot | Problem::SnapshotTail | Problem::UnreadableSnapshot(_) => {
                Effect::PassedOver
            }
            Problem::LargeField | Problem::LargeRecord | Problem::CloseSessionDigest => Effect::NeedsSetting,
            Problem::Ttl if target.ttl() == TtlSupport::WithSetting => Effect::NeedsSetting,
            Problem::Container | Problem::Ttl | Problem::MultiPart(_) => Effect::Lost,
            Problem::EndsEarly { .. } | Problem::Gap { .. } => Effect::Lost,
            Problem::NoSnapshot
            | Problem::NoGoodSnapshot
            | Problem::UnknownType(_)
            | Problem::LoneCheck
            | Problem::TornRecord(_)
            | Problem::DamagedLog(_)
            | Problem::EmptyLog => Effect::Refused,
        }
    }

    /// Why the release cannot read it.
    pub fn reason(&self, target: Release) -> String {
        let (limit, bytes) = (target.read_limit(), self.largest_bytes);
        match &self.problem {
            Problem::PackedSnapshot => "a compressed snapshot; releases before 3.6.0 do not see it".into(),
            Problem::SnapshotTail => {
                "a snapshot with its last zxid but without a digest, which is rejected where \
                                      digests are on"
                    .into()
            }
            Problem::UnreadableSnapshot(why) => format!("a snapshot that cannot be read: {why}"),
            Problem::LargeField => {
                format!("a znode with a path or data of up to {bytes} bytes; the limit is {limit}")
            }
            Problem::Container => {
                "a container znode; releases before 3.5.1 take it for an ephemeral of a session that \
                                   has ended, and delete it"
                    .into()
            }
            Problem::Ttl => match target.ttl() {
                TtlSupport::WithSetting => {
                    "a TTL znode; without zookeeper.extendedTypesEnabled it is taken for an \
                                            ephemeral of a session that has ended, and deleted"
                        .into()
                }
                TtlSupport::OtherEncoding => {
                    "a TTL znode; 3.5.3 encodes the time otherwise and misreads it".into()
                }
                TtlSupport::None => {
                    "a TTL znode; releases before 3.5.3 take it for an ephemeral of a session that has \
                                     ended, and delete it"
                        .into()
                }
            },
            Problem::NoSnapshot => "there are logs, but no snapshot that this release can read".into(),
            Problem::NoGoodSnapshot => "no snapshot that this release sees can be loaded".into(),
            Problem::EndsEarly { reached } => {
                format!(
                    "the folder goes on to this zxid, but what this release can read ends at {reached:#x}"
                )
            }
            Problem::Gap { after } => format!("transactions are missing behind {after:#x}"),
            Problem::UnknownType(code) => {
                format!("a transaction of a type it does not know: {}", name(*code))
            }
            Problem::LoneCheck => {
                "a check outside a multi, which no release can read back (ZOOKEEPER-2623)".into()
            }
            Problem::MultiPart(code) => {
                format!("a multi with a {}, which makes it skip the whole multi silently", name(*code))
            }
            Problem::LargeRecord => format!("a transaction of up to {bytes} bytes; the limit is {limit}"),
            Problem::CloseSessionDigest => {
                "a closeSession that was written without the list of its ephemerals; its \
                                            digest is taken for that list, with a length that no list has"
                    .into()
            }
            Problem::TornRecord(offset) => format!("the write of the record at byte {offset} was cut short"),
            Problem::DamagedLog(what) => what.clone(),
            Problem::EmptyLog => {
                "a log file that was created but never begun; releases before 3.9.3 fail on it".into()
            }
        }
    }

    /// What to do about it; `None`: nothing by itself.
    pub fn remedy(&self, target: Release) -> Option<String> {
        let setting = |flag: String| Some(format!("start it with -D{flag}, or {FRESH}"));
        match &self.problem {
            Problem::PackedSnapshot | Problem::SnapshotTail | Problem::UnreadableSnapshot(_) => None,
            Problem::LargeField | Problem::LargeRecord => {
                Some(format!("start it with -Djute.maxbuffer={} or more, and its clients and the other servers too", self.largest_bytes))
            }
            Problem::CloseSessionDigest => setting("zookeeper.closeSessionTxn.enabled=false".into()),
            Problem::Ttl if target.ttl() == TtlSupport::WithSetting => {
                Some("start it, and every other server, with -Dzookeeper.extendedTypesEnabled=true".into())
            }
            Problem::Container | Problem::Ttl => {
                Some("delete these znodes while Rookeeper runs, or create them anew as plain ones, before you go back".into())
            }
            Problem::NoSnapshot | Problem::UnknownType(_) | Problem::LoneCheck | Problem::MultiPart(_) => {
                Some(FRESH.into())
            }
            Problem::NoGoodSnapshot | Problem::EndsEarly { .. } => Some("write a fresh snapshot with `rookeeper snapshot`".into()),
            Problem::Gap { .. } => Some(
                "bring the missing log file back, or, if a newer snapshot covers the gap, write a fresh one with \
                 `rookeeper snapshot`"
                    .into(),
            ),
            Problem::TornRecord(_) => Some(
                "start Rookeeper once on the folder, or run `rookeeper snapshot`: both cut the record off, of which \
                 nobody was told"
                    .into(),
            ),
            Problem::DamagedLog(_) => {
                Some("bring the file back from a backup, or copy the folder of a healthy server".into())
            }
            Problem::EmptyLog => Some("remove the file: nothing is in it".into()),
        }
    }
}

fn name(code: i32) -> String {
    OpCode::from_code(code).map_or_else(|| format!("number {code}"), |op| op.name().to_owned())
}
