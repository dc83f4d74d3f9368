//! What a member asks of its shell, and what it tells of itself.

use std::fmt;
use tree::Tree;
pub use zab::Standing;
use zab::{LearnerKey, Parting, Resignation, ServerId, SyncPlan, Violation, Zxid};

/// The other end of a connection on the quorum port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Peer {
    Leader,
    Learner(LearnerKey),
}

/// To be done in order.
pub enum Effect {
    /// To the election port of a peer. Only the last of several that wait needs to be sent.
    Notify {
        to: ServerId,
        payload: Vec<u8>,
    },
    /// Try again to reach every peer's election port.
    ReconnectPeers,
    /// Then [`crate::Node::leader_connected`].
    ConnectToLeader {
        leader: ServerId,
    },
    DisconnectFromLeader,
    /// Take learners on the quorum port.
    Listen,
    /// Take observers on the port for them, while following.
    ListenForObservers,
    StopListening,
    CloseLearner(LearnerKey),
    /// Every client connection must end; it was told so in the mail already.
    CloseClients,
    /// Look for a learner's last transaction in the log; then [`crate::Node::located`].
    Locate {
        to: LearnerKey,
        last: Zxid,
    },
    /// Send the records behind `after` up to `through` as PROPOSAL and COMMIT; then [`crate::Node::streamed`].
    StreamLog {
        to: LearnerKey,
        after: Zxid,
        through: Zxid,
    },
    /// Send SNAP and a dump of the tree as it is now; then [`crate::Node::streamed`].
    StreamTree {
        to: LearnerKey,
    },
    /// The bytes that follow from the leader are a dump, which stands at `zxid`; `bytes` is what has come of it. Then
    /// [`crate::Node::dump_received`].
    ReceiveDump {
        zxid: Zxid,
        bytes: Vec<u8>,
    },
    /// This is the tree from now on.
    Adopt(Box<Tree>),
    Report(Report),
}

/// Work for the thread that owns the log, behind everything handed to it before.
pub enum DiskTask {
    SaveAcceptedEpoch(i64),
    SaveCurrentEpoch(i64),
    /// Cut everything behind this zxid, and read the database again.
    Truncate {
        keep: Zxid,
    },
    /// Make this tree the database: a snapshot of it, and nothing behind it.
    Install(Box<Tree>),
}

/// A task was done, and is durable.
pub enum DiskDone {
    AcceptedEpoch(i64),
    CurrentEpoch(i64),
    Truncated(Box<Tree>),
    Installed(Box<Tree>),
    /// It cannot be done, and nothing was changed.
    Refused(String),
}

/// The surroundings of a transaction in the log, which has no hole from `first` to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Located {
    pub first: Zxid,
    pub at_or_before: Option<Zxid>,
    pub after: Option<Zxid>,
}

/// What an operator may want to know. Each is one line of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    Looking {
        zxid: Zxid,
        epoch: i64,
    },
    Elected {
        leader: ServerId,
        standing: Standing,
    },
    BadNotification {
        from: ServerId,
        error: String,
    },
    LeaderOutOfReach {
        leader: ServerId,
        error: String,
    },
    LeaderSilent {
        leader: ServerId,
        silent_ms: i64,
    },
    LeaderGone {
        leader: ServerId,
        error: String,
    },
    LeaderViolates {
        leader: ServerId,
        violation: Violation,
    },
    LeaderUnreadable {
        leader: ServerId,
        error: String,
    },
    BadRecord {
        leader: ServerId,
        zxid: Zxid,
        error: String,
    },
    Resigned {
        why: Resignation,
    },
    /// What the leader sent does not fit what this server has: it will ask for the whole tree.
    DoesNotFit {
        error: String,
    },
    /// The leader sent another membership than the one in this server's configuration.
    Reconfigured {
        leader: ServerId,
        members: String,
    },
    Stopping,
    CannotListen {
        error: String,
    },
    Synchronizing {
        learner: ServerId,
        plan: SyncPlan,
    },
    LearnerDismissed {
        server: Option<ServerId>,
        why: Parting,
    },
    LearnerUnreadable {
        server: Option<ServerId>,
        error: String,
    },
    LearnerLeft {
        server: Option<ServerId>,
    },
    OldLearner {
        server: Option<ServerId>,
    },
    Established {
        epoch: i64,
    },
    Serving {
        leader: ServerId,
        epoch: i64,
    },
    ReadOnly,
}

impl Report {
    /// Whether it is trouble rather than the ordinary course of things.
    pub fn is_warning(&self) -> bool {
        match self {
            Report::BadNotification { .. }
            | Report::LeaderOutOfReach { .. }
            | Report::LeaderSilent { .. }
            | Report::LeaderGone { .. }
            | Report::LeaderViolates { .. }
            | Report::LeaderUnreadable { .. }
            | Report::BadRecord { .. }
            | Report::Resigned { .. }
            | Report::DoesNotFit { .. }
            | Report::Reconfigured { .. }
            | Report::CannotListen { .. }
            | Report::LearnerDismissed { .. }
            | Report::OldLearner { .. }
            | Report::ReadOnly
            | Report::LearnerUnreadable { .. } => true,
            Report::Looking { .. }
            | Report::Elected { .. }
            | Report::Synchronizing { .. }
            | Report::LearnerLeft { .. }
            | Report::Stopping
            | Report::Established { .. }
            | Report::Serving { .. } => false,
        }
    }
}

struct Server(Option<ServerId>);

impl fmt::Display for Server {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(id) => write!(out, "server {id}"),
            None => write!(out, "a learner that has not said who it is"),
        }
    }
}

const OLD_LEARNER: &str = "is of a release before 3.5: while it is connected, what it cannot read is refused (create with \
                           a Stat, containers, TTL znodes)";

fn synchronizing(out: &mut fmt::Formatter<'_>, learner: ServerId, plan: &SyncPlan) -> fmt::Result {
    match plan {
        SyncPlan::Diff { from, .. } => {
            write!(out, "server {learner} is sent what it lacks behind {from:#x} (DIFF)")
        }
        SyncPlan::Truncate { keep } => write!(
            out,
            "server {learner} has transactions that were never committed and is told to cut them off behind {keep:#x} \
             (TRUNC)"
        ),
        SyncPlan::Snapshot => write!(out, "server {learner} is sent the whole tree (SNAP)"),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Report::Looking { zxid, epoch } => {
                write!(out, "looking for a leader, with transactions up to {zxid:#x} and epoch {epoch}")
            }
            Report::Elected { standing: Standing::Leading, .. } => write!(out, "elected: this server leads"),
            Report::Elected { leader, .. } => write!(out, "elected: server {leader} leads"),
            Report::BadNotification { from, error } => {
                write!(out, "server {from} sent an unreadable notification: {error}")
            }
            Report::LeaderOutOfReach { leader, error } => write!(
                out,
                "server {leader} was elected but cannot be reached on its quorum port: {error}. Has it stopped, is a \
                 firewall between, or does its server.{leader} line here name another address?"
            ),
            Report::LeaderSilent { leader, silent_ms } => {
                write!(out, "the leader, server {leader}, has said nothing for {silent_ms} ms")
            }
            Report::LeaderGone { leader, error } => {
                write!(out, "the connection to the leader, server {leader}, is lost: {error}")
            }
            Report::LeaderViolates { leader, violation } => {
                write!(out, "the leader, server {leader}, is left: {violation}")
            }
            Report::LeaderUnreadable { leader, error } => {
                write!(out, "the leader, server {leader}, sent an unreadable packet: {error}")
            }
            Report::BadRecord { leader, zxid, error } => write!(
                out,
                "the leader, server {leader}, sent the transaction {zxid:#x}, which this server cannot read: {error}. \
                 Is it of a newer release?"
            ),
            Report::DoesNotFit { error } => write!(
                out,
                "this server cannot go back to where the leader wants it ({error}); it will ask for the whole tree"
            ),
            Report::Reconfigured { leader, members } => write!(
                out,
                "the leader, server {leader}, has changed the members of the ensemble, which this release cannot follow \
                 while it runs: write these lines into this server's configuration and start it again: {members}"
            ),
            Report::Stopping => write!(out, "leaving the ensemble, as this server is stopping"),
            Report::CannotListen { error } => write!(
                out,
                "this server was elected but cannot lead, as its quorum port cannot be taken: {error}. Is its server.N \
                 line right, and does no other process use that port?"
            ),
            Report::Resigned { why } => write!(out, "this server leads no longer: {why}"),
            Report::Synchronizing { learner, plan } => synchronizing(out, *learner, plan),
            Report::LearnerDismissed { server, why } => {
                write!(out, "{} is sent away: {why}", Server(*server))
            }
            Report::LearnerUnreadable { server, error } => {
                write!(out, "{} sent an unreadable packet: {error}", Server(*server))
            }
            Report::OldLearner { server } => write!(out, "{} {OLD_LEARNER}", Server(*server)),
            Report::LearnerLeft { server } => write!(out, "{} has left", Server(*server)),
            Report::Established { epoch } => write!(out, "epoch {epoch} begins, and this server leads it"),
            Report::ReadOnly => write!(
                out,
                "there is still no leader: clients that accept it are served read-only until there is one"
            ),
            Report::Serving { leader, epoch } => {
                write!(out, "up to date with the leader, server {leader}, in epoch {epoch}")
            }
        }
    }
}
