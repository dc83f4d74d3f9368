//! create, create2, createContainer and createTTL.

use super::overlay::{Pending, PendingAcl};
use super::{Outcome, Prep, Request};
use crate::{acl, path};
use std::borrow::Cow;
use tree::{Tree, digest};
use wire::data::{AclList, CONTAINER_OWNER, MAX_TTL_MS, Owner, StatPersisted, perm};
use wire::request::CreateRequest;
use wire::txn::{CreateKind, CreateTxn};
use wire::{ErrorCode, OpCode};

/// What the flags of a request ask for.
#[derive(Debug, Clone, Copy)]
struct Mode {
    ephemeral: bool,
    sequential: bool,
    ttl: bool,
}

impl Mode {
    fn from_flags(flags: i32) -> Result<Mode, ErrorCode> {
        let (ephemeral, sequential, ttl) = match flags {
            0 | 4 => (false, false, false),
            1 => (true, false, false),
            2 => (false, true, false),
            3 => (true, true, false),
            5 => (false, false, true),
            6 => (false, true, true),
            _ => return Err(ErrorCode::BadArguments),
        };
        Ok(Mode { ephemeral, sequential, ttl })
    }
}

/// Whether these flags need a time to live, which inside a multi makes any create but createTTL undecodable.
pub(super) fn needs_ttl(flags: i32) -> Result<bool, ErrorCode> {
    Mode::from_flags(flags).map(|mode| mode.ttl)
}

/// Inside a multi, the flags decide what a create is: a container's make one of any, and createTTL without a TTL flag is
/// an ordinary create whose time to live is ignored.
pub(super) fn effective_in_multi<'a>(op: OpCode, request: &CreateRequest<'a>) -> (OpCode, CreateRequest<'a>) {
    let mut request = request.clone();
    let with_ttl = op == OpCode::CreateTtl && Mode::from_flags(request.flags).is_ok_and(|mode| mode.ttl);
    if !with_ttl {
        request.ttl_ms = -1;
    }
    let op = match (request.flags, op) {
        (4, _) => OpCode::CreateContainer,
        (_, OpCode::CreateTtl) if !with_ttl => OpCode::Create,
        (_, op) => op,
    };
    (op, request)
}

/// Whether a create is a request of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    Alone,
    PartOfMulti,
}

impl Prep {
    pub(super) fn create(
        &mut self,
        tree: &Tree,
        rq: &Request<'_>,
        standing: Standing,
        op: OpCode,
        request: &CreateRequest<'_>,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let mode = self.check_mode(op, request)?;
        rq.session?;
        let given = request.path.as_deref().ok_or(ErrorCode::MarshallingError)?;
        let parent_path = path::weak_parent(given)?;
        self.acl_buffer.clear();
        acl::resolve(&self.settings.auth, request.acl, rq.ids, &mut self.acl_buffer)?;
        let parent = self.permitted(tree, rq, parent_path, perm::CREATE)?;
        let path = if mode.sequential {
            Cow::Owned(format!("{given}{:010}", parent.stat.cversion))
        } else {
            Cow::Borrowed(given)
        };
        path::validate(&path)?;
        if self.overlay.get(tree, &path).is_some() {
            return Err(ErrorCode::NodeExists);
        }
        if matches!(Owner::decode(parent.stat.ephemeral_owner, self.settings.owners), Owner::Session(_)) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        self.check_quota(tree, &path, request.data.map_or(0, <[u8]>::len) as i64, 1)?;
        let kind = if op == OpCode::CreateContainer {
            CreateKind::Container
        } else if op == OpCode::CreateTtl {
            CreateKind::Ttl { ttl_ms: request.ttl_ms }
        } else {
            CreateKind::Plain { ephemeral: mode.ephemeral, with_stat: op == OpCode::Create2 }
        };
        let parent_cversion = self.stage_create(rq, &path, kind, request.data, parent_path, &parent);
        if standing == Standing::PartOfMulti {
            // What is pending keeps the list as it is: later parts of the same multi are judged by it.
            acl::reread(&mut self.acl_buffer);
        }
        let acl = AclList::from_encoded(&self.acl_buffer);
        CreateTxn { path, data: request.data, acl, kind, parent_cversion }.encode(out);
        Ok(())
    }

    /// Flags and time to live. A TTL request without a TTL flag would fail while Apache applies it: refused.
    fn check_mode(&self, op: OpCode, request: &CreateRequest<'_>) -> Result<Mode, ErrorCode> {
        let mode = Mode::from_flags(request.flags)?;
        if mode.ttl && !self.settings.owners.extended_types {
            return Err(ErrorCode::Unimplemented);
        }
        let ttl_fits = if mode.ttl { (1..=MAX_TTL_MS).contains(&request.ttl_ms) } else { request.ttl_ms < 0 };
        if !ttl_fits || (op == OpCode::CreateTtl && !mode.ttl) {
            return Err(ErrorCode::BadArguments);
        }
        Ok(mode)
    }

    /// The pending changes; gives the parent's new count of creates.
    fn stage_create(
        &mut self,
        rq: &Request<'_>,
        path: &str,
        kind: CreateKind,
        data: Option<&[u8]>,
        parent_path: &str,
        parent: &Pending,
    ) -> i32 {
        let cversion = parent.stat.cversion.wrapping_add(1);
        let mut new_parent = parent.clone();
        new_parent.zxid = rq.zxid;
        new_parent.children += 1;
        // Applying never moves the counter down; at its largest value it stays.
        if cversion > parent.stat.cversion {
            new_parent.stat.cversion = cversion;
            new_parent.stat.pzxid = rq.zxid;
        }
        self.overlay.put(parent_path, Some(parent), new_parent);
        let owner = match kind {
            CreateKind::Plain { ephemeral: true, .. } => rq.session_id,
            CreateKind::Plain { ephemeral: false, .. } => 0,
            CreateKind::Container => CONTAINER_OWNER,
            CreateKind::Ttl { ttl_ms } => Owner::Ttl(ttl_ms).encode(),
        };
        let counted = digest::counts(path);
        let acl: PendingAcl = self.pending_acl();
        let child = Pending {
            zxid: rq.zxid,
            exists: true,
            stat: StatPersisted {
                czxid: rq.zxid,
                mzxid: rq.zxid,
                pzxid: rq.zxid,
                ctime: rq.time_ms,
                mtime: rq.time_ms,
                ephemeral_owner: owner,
                ..StatPersisted::default()
            },
            children: 0,
            data_bytes: data.map_or(0, <[u8]>::len) as i64,
            prefix: if counted { digest::prefix(path, data) } else { 0 },
            counted,
            acl,
        };
        self.overlay.put(path, None, child);
        cversion
    }
}
