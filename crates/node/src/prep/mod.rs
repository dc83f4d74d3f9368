//! Validation: from a request to a transaction (client-surface §1.4, §1.5; the order of checks is Apache's).
//!
//! A request is judged against the tree as it will be when everything proposed before it is applied. What comes out is
//! the bare record of a transaction, and the pending changes it stands for; or a refusal, and nothing has changed.

mod create;
mod multi;
mod overlay;

use crate::acl;
use crate::auth::AuthIds;
use crate::limits::CLOSE_SESSION_LIST_BYTES;
use crate::path;
use crate::settings::Settings;
use overlay::{Overlay, Pending, PendingAcl};
use std::borrow::Cow;
use std::sync::Arc;
use tree::{Tree, digest};
use wire::data::{Owner, StatPersisted, perm};
use wire::request::{SetAclRequest, SetDataRequest, VersionedPath};
use wire::txn::Txn;
use wire::{DecodeError, ErrorCode, OpCode, Reader};

/// One request on its way to becoming a transaction.
pub(crate) struct Request<'a> {
    pub session_id: i64,
    pub ids: &'a AuthIds,
    /// Whether the session may write at all; looked at where Apache looks.
    pub session: Result<(), ErrorCode>,
    pub zxid: i64,
    pub time_ms: i64,
}

/// Why a request has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its record cannot be decoded.
    Undecodable,
    Code(ErrorCode),
}

impl Refusal {
    pub fn code(self) -> ErrorCode {
        match self {
            Refusal::Undecodable => ErrorCode::MarshallingError,
            Refusal::Code(code) => code,
        }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Code(code)
    }
}

impl From<DecodeError> for Refusal {
    fn from(_: DecodeError) -> Refusal {
        Refusal::Undecodable
    }
}

type Outcome = Result<(), ErrorCode>;

/// Whether a writing request can be decoded at all. What cannot be decoded of a multi gets a transaction that says so.
pub(crate) fn is_decodable(op: OpCode, mut body: Reader<'_>) -> bool {
    let body = &mut body;
    if matches!(op, OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl) {
        return wire::request::CreateRequest::decode(body, op == OpCode::CreateTtl).is_ok();
    }
    let undecodable = (op == OpCode::Delete && VersionedPath::decode(body).is_err())
        || (op == OpCode::DeleteContainer && body.ustring().is_err())
        || (op == OpCode::SetData && SetDataRequest::decode(body).is_err())
        || (op == OpCode::SetAcl && SetAclRequest::decode(body).is_err())
        || (op == OpCode::Reconfig && wire::request::ReconfigRequest::decode(body).is_err());
    !undecodable
}

/// Whether servers of 3.4 can read the transaction that a request becomes: they end at a kind they do not know.
pub(crate) fn is_readable_by_3_4(op: OpCode, body: Reader<'_>) -> bool {
    use wire::multi::{MultiOp, MultiOps};
    let newer = [
        OpCode::Create2,
        OpCode::CreateContainer,
        OpCode::CreateTtl,
        OpCode::DeleteContainer,
        OpCode::Reconfig,
    ];
    let mut parts = MultiOps::new(body).flatten();
    let is_newer = newer.contains(&op)
        || (op == OpCode::Multi
            && parts.any(|part| matches!(part, MultiOp::Create(kind, _) if kind != OpCode::Create)));
    !is_newer
}

/// The overlay with the rules that write to it.
pub(crate) struct Prep {
    settings: Arc<Settings>,
    overlay: Overlay,
    /// A resolved access list, kept to save allocations.
    acl_buffer: Vec<u8>,
}

impl Prep {
    pub fn new(settings: Arc<Settings>, tree: &Tree, seed: u64) -> Prep {
        Prep { settings, overlay: Overlay::new(tree, seed), acl_buffer: Vec::new() }
    }

    /// The digest of the tree after everything prepared so far.
    pub fn digest(&self) -> u64 {
        self.overlay.digest()
    }

    pub fn is_idle(&self) -> bool {
        self.overlay.is_empty()
    }

    pub fn retire(&mut self, zxid: i64) {
        self.overlay.retire(zxid);
    }

    /// Prepares any writing request but the session ones: the bare record goes to `out`. After a refusal `out` may
    /// hold rubbish.
    pub fn request(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        op: OpCode,
        body: Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        self.overlay.begin();
        let start = out.len();
        let mut outcome = self.dispatch(tree, rq, op, body, out);
        if outcome.is_ok() && out.len() - start > self.settings.max_record - RECORD_MARGIN {
            // Nobody could read it back (ZOOKEEPER-4306).
            outcome = Err(Refusal::Code(ErrorCode::MarshallingError));
        }
        match outcome {
            Ok(()) => self.overlay.keep(),
            Err(_) => self.overlay.roll_back(),
        }
        outcome
    }

    fn dispatch(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        op: OpCode,
        mut body: Reader<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), Refusal> {
        let body = &mut body;
        let outcome = match op {
            OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
                let request = wire::request::CreateRequest::decode(body, op == OpCode::CreateTtl)?;
                self.create(tree, rq, create::Standing::Alone, op, &request, out)
            }
            OpCode::Delete => {
                let request = VersionedPath::decode(body)?;
                self.delete(tree, rq, &request, out)
            }
            OpCode::DeleteContainer => {
                let path = body.ustring()?;
                self.delete_container(tree, rq, path, out)
            }
            OpCode::SetData => {
                let request = SetDataRequest::decode(body)?;
                self.set_data(tree, rq, &request, out)
            }
            OpCode::SetAcl => {
                let request = SetAclRequest::decode(body)?;
                self.set_acl(tree, rq, &request, out)
            }
            OpCode::Multi => {
                let ops = multi::decode(*body)?;
                self.multi(tree, rq, &ops, out)
            }
            OpCode::Reconfig => {
                wire::request::ReconfigRequest::decode(body)?;
                self.reconfig(rq)
            }
            OpCode::Notification
            | OpCode::Exists
            | OpCode::GetData
            | OpCode::GetAcl
            | OpCode::GetChildren
            | OpCode::Sync
            | OpCode::Ping
            | OpCode::GetChildren2
            | OpCode::Check
            | OpCode::CheckWatches
            | OpCode::RemoveWatches
            | OpCode::MultiRead
            | OpCode::Auth
            | OpCode::SetWatches
            | OpCode::Sasl
            | OpCode::GetEphemerals
            | OpCode::GetAllChildrenNumber
            | OpCode::SetWatches2
            | OpCode::AddWatch
            | OpCode::WhoAmI
            | OpCode::CreateSession
            | OpCode::CloseSession
            | OpCode::Error => Err(ErrorCode::Unimplemented),
        };
        outcome.map_err(Refusal::Code)
    }

    /// A standalone server has no membership to change (client-surface §1.7).
    fn reconfig(&self, rq: &Request<'_>) -> Outcome {
        if !self.settings.reconfig_enabled {
            return Err(ErrorCode::ReconfigDisabled);
        }
        rq.session?;
        Err(ErrorCode::Unimplemented)
    }

    /// The znode, if it is there and its list permits what is asked.
    fn permitted(&self, tree: &Tree, rq: &Request<'_>, path: &str, bits: i32) -> Result<Pending, ErrorCode> {
        let node = self.overlay.get(tree, path).ok_or(ErrorCode::NoNode)?;
        let open = node.acl == PendingAcl::InTree(0);
        if open || acl::permits(&self.settings.auth, node.acl(tree), rq.ids, bits) {
            Ok(node)
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    fn delete(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        request: &VersionedPath<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        rq.session?;
        let path = request.path.as_deref().ok_or(ErrorCode::MarshallingError)?;
        let parent_path = deletable(path)?;
        let parent = self.permitted(tree, rq, parent_path, perm::DELETE)?;
        let node = self.overlay.get(tree, path).ok_or(ErrorCode::NoNode)?;
        next_version(node.stat.version, request.version)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.stage_delete(rq.zxid, path, &node, parent_path, &parent);
        Txn::Delete { path: Cow::Borrowed(path), container: false }.encode(out);
        Ok(())
    }

    /// Meant for the server itself. Apache checks nothing when a client sends it; here a client needs DELETE, as for
    /// the ordinary delete (docs/compatibility.md).
    fn delete_container(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        path: Option<Cow<'_, str>>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let path = path.ok_or(ErrorCode::MarshallingError)?;
        let parent_path = deletable(&path)?;
        let node = self.overlay.get(tree, &path).ok_or(ErrorCode::NoNode)?;
        if node.children > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if matches!(Owner::decode(node.stat.ephemeral_owner, self.settings.owners), Owner::Session(_)) {
            return Err(ErrorCode::BadVersion);
        }
        let parent = self.permitted(tree, rq, parent_path, perm::DELETE)?;
        self.stage_delete(rq.zxid, &path, &node, parent_path, &parent);
        Txn::Delete { path: Cow::Borrowed(&path), container: true }.encode(out);
        Ok(())
    }

    /// The reaper's own deleteContainer. `false` if the znode is not to be deleted any more.
    pub fn reap(
        &mut self,
        tree: &Tree,
        zxid: i64,
        path: &str,
        due: impl Fn(&StatPersisted) -> bool,
        out: &mut Vec<u8>,
    ) -> bool {
        let Ok(parent_path) = deletable(path) else { return false };
        let (Some(node), Some(parent)) = (self.overlay.get(tree, path), self.overlay.get(tree, parent_path))
        else {
            return false;
        };
        let reapable = node.children == 0 && due(&node.stat);
        if reapable {
            self.stage_delete(zxid, path, &node, parent_path, &parent);
            Txn::Delete { path: Cow::Borrowed(path), container: true }.encode(out);
        }
        reapable
    }

    fn stage_delete(&mut self, zxid: i64, path: &str, node: &Pending, parent_path: &str, parent: &Pending) {
        let mut new_parent = parent.clone();
        new_parent.zxid = zxid;
        new_parent.children -= 1;
        new_parent.stat.pzxid = new_parent.stat.pzxid.max(zxid);
        self.overlay.put(parent_path, Some(parent), new_parent);
        let gone = Pending { zxid, exists: false, ..node.clone() };
        self.overlay.put(path, Some(node), gone);
    }

    fn set_data(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        request: &SetDataRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let path = target(rq, &request.path)?;
        let node = self.permitted(tree, rq, path, perm::WRITE)?;
        let data_bytes = request.data.map_or(0, <[u8]>::len) as i64;
        self.check_quota(tree, path, data_bytes - node.data_bytes, 0)?;
        let version = next_version(node.stat.version, request.version)?;
        let mut new = node.clone();
        new.zxid = rq.zxid;
        new.stat.version = version;
        new.stat.mzxid = rq.zxid;
        new.stat.mtime = rq.time_ms;
        new.data_bytes = data_bytes;
        if new.counted {
            new.prefix = digest::prefix(path, request.data);
        }
        self.overlay.put(path, Some(&node), new);
        Txn::SetData { path: Cow::Borrowed(path), data: request.data, version, reconfig: false }.encode(out);
        Ok(())
    }

    fn set_acl(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        request: &SetAclRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let path = target(rq, &request.path)?;
        self.acl_buffer.clear();
        acl::resolve(&self.settings.auth, request.acl, rq.ids, &mut self.acl_buffer)?;
        let node = self.permitted(tree, rq, path, perm::ADMIN)?;
        let version = next_version(node.stat.aversion, request.version)?;
        let mut new = node.clone();
        new.zxid = rq.zxid;
        new.stat.aversion = version;
        new.acl = self.pending_acl();
        self.overlay.put(path, Some(&node), new);
        let acl = wire::AclList::from_encoded(&self.acl_buffer);
        Txn::SetAcl { path: Cow::Borrowed(path), acl, version }.encode(out);
        Ok(())
    }

    /// The list in `acl_buffer`.
    fn pending_acl(&self) -> PendingAcl {
        if wire::AclList::from_encoded(&self.acl_buffer).is_open() {
            PendingAcl::InTree(0)
        } else {
            PendingAcl::Encoded(self.acl_buffer.as_slice().into())
        }
    }

    fn check(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        request: &VersionedPath<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let path = target(rq, &request.path)?;
        let node = self.permitted(tree, rq, path, perm::READ)?;
        let version = next_version(node.stat.version, request.version)?;
        Txn::Check { path: Cow::Borrowed(path), version }.encode(out);
        Ok(())
    }

    /// Hard limits, against committed usage (client-surface §6).
    fn check_quota(&self, tree: &Tree, path: &str, bytes: i64, count: i64) -> Outcome {
        if !self.settings.enforce_quota {
            return Ok(());
        }
        let Some(quota) = tree.quota_for(path) else { return Ok(()) };
        let limits = quota.limits.ok_or(ErrorCode::MarshallingError)?;
        let counted = count != 0 && (limits.count > -1 || limits.count_hard > -1);
        let weighed = bytes != 0 && (limits.bytes > -1 || limits.bytes_hard > -1);
        let Some(usage) = quota.usage.filter(|_| counted || weighed) else { return Ok(()) };
        let usage = usage.ok_or(ErrorCode::MarshallingError)?;
        let over = |limit: i64, used: i64, more: i64| limit > -1 && used.wrapping_add(more) > limit;
        if counted && over(limits.count_hard, usage.count, count)
            || weighed && over(limits.bytes_hard, usage.bytes, bytes)
        {
            return Err(ErrorCode::QuotaExceeded);
        }
        Ok(())
    }

    /// Ends a session: the record lists its ephemerals, as many as fit.
    pub fn close_session(&mut self, tree: &Tree, session_id: i64, zxid: i64, out: &mut Vec<u8>) {
        let paths = self.overlay.ephemerals_of(tree, session_id);
        for path in &paths {
            let Ok(parent_path) = path::weak_parent(path) else { continue };
            let (Some(node), Some(parent)) =
                (self.overlay.get(tree, path), self.overlay.get(tree, parent_path))
            else {
                continue;
            };
            self.stage_delete(zxid, path, &node, parent_path, &parent);
        }
        let mut bytes = 0;
        let listed = paths.iter().take_while(|path| {
            bytes += path.len() + 4;
            bytes <= CLOSE_SESSION_LIST_BYTES.min(self.settings.max_record.saturating_sub(2 * RECORD_MARGIN))
        });
        let listed = listed.map(|path| Cow::Borrowed(path.as_str())).collect();
        Txn::CloseSession { paths: self.settings.close_session_paths.then_some(listed) }.encode(out);
    }
}

/// Bytes of header, digest and framing around a record.
const RECORD_MARGIN: usize = 64;

/// What setData, setACL and check are about; the session is looked at first.
fn target<'a>(rq: &Request<'_>, path: &'a Option<Cow<'_, str>>) -> Result<&'a str, ErrorCode> {
    rq.session?;
    let path = path.as_deref().ok_or(ErrorCode::BadArguments)?;
    path::validate(path)?;
    Ok(path)
}

/// The parent of a path that may be deleted.
fn deletable(path: &str) -> Result<&str, ErrorCode> {
    let parent = path::weak_parent(path)?;
    if path::is_special(path) { Err(ErrorCode::BadArguments) } else { Ok(parent) }
}

/// The version after a change, if `expected` (-1: any) is the present one.
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(current.wrapping_add(1))
}
