//! Answering reads straight from the tree into the connection's outgoing bytes (client-surface §1.4, §4.4, §4.5).
//!
//! Runs under the shared lock. Registering the watch is part of the read, so the two see one state.

use crate::acl;
use crate::auth::{self, AuthIds};
use crate::limits::REPLY_BYTES;
use crate::reply;
use crate::settings::Settings;
use crate::watch::{self, Watcher, Watches};
use planted::{Bug, has};
use std::sync::Arc;
use tree::{NodeRef, Tree};
use wire::data::perm;
use wire::jute::Put;
use wire::multi::{MultiHeader, MultiOp, MultiOps};
use wire::reply::{EventType, encode_event};
use wire::request::{ReadRequest, SetWatchesRequest, WatchRequest};
use wire::{DecodeError, ErrorCode, OpCode, Reader};

/// Who reads, and where.
pub struct ReadContext<'a> {
    pub tree: &'a Tree,
    pub watches: &'a Watches,
    pub settings: &'a Settings,
    pub watcher: &'a Arc<Watcher>,
    pub ids: &'a AuthIds,
    pub session_id: i64,
}

type Answer = Result<(), ErrorCode>;

fn malformed(_: DecodeError) -> ErrorCode {
    ErrorCode::MarshallingError
}

/// Appends the answer to a read, events of setWatches in front of it.
///
/// `op` must be of class [`wire::ops::OpClass::Read`]. Returns the refusal it sent, for statistics.
pub fn answer(cx: &ReadContext<'_>, op: OpCode, xid: i32, body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let zxid = cx.tree.last_zxid();
    let write = |out: &mut Vec<u8>, f: &dyn Fn(&mut Vec<u8>) -> Answer| reply::write(out, xid, zxid, f);
    match op {
        OpCode::GetData => reply::write(out, xid, zxid, |out| get_data(cx, body, out)),
        OpCode::Exists => reply::write(out, xid, zxid, |out| exists(cx, body, out)),
        OpCode::Ping => reply::write(out, wire::ops::xid::PING, zxid, |_| Ok(())),
        OpCode::GetChildren => write(out, &|out| get_children(cx, body, false, out)),
        OpCode::GetChildren2 => write(out, &|out| get_children(cx, body, true, out)),
        OpCode::GetAcl => write(out, &|out| get_acl(cx, body, out)),
        OpCode::CheckWatches => write(out, &|_| check_watches(cx, body)),
        OpCode::RemoveWatches => write(out, &|_| remove_watches(cx, body)),
        OpCode::MultiRead => multi_read(cx, xid, body, out),
        OpCode::SetWatches => set_watches(cx, xid, body, false, out),
        OpCode::SetWatches2 => set_watches(cx, xid, body, true, out),
        OpCode::GetEphemerals => write(out, &|out| get_ephemerals(cx, body, out)),
        OpCode::GetAllChildrenNumber => write(out, &|out| get_all_children_number(cx, body, out)),
        OpCode::AddWatch => write(out, &|out| add_watch(cx, body, out)),
        OpCode::WhoAmI => write(out, &|out| who_am_i(cx, out)),
        OpCode::Notification
        | OpCode::Create
        | OpCode::Delete
        | OpCode::SetData
        | OpCode::SetAcl
        | OpCode::Sync
        | OpCode::Check
        | OpCode::Multi
        | OpCode::Create2
        | OpCode::Reconfig
        | OpCode::CreateContainer
        | OpCode::DeleteContainer
        | OpCode::CreateTtl
        | OpCode::Auth
        | OpCode::Sasl
        | OpCode::CreateSession
        | OpCode::CloseSession
        | OpCode::Error => write(out, &|_| Err(ErrorCode::Unimplemented)),
    }
}

fn permitted(cx: &ReadContext<'_>, node: &NodeRef<'_>, bits: i32) -> Answer {
    // The open list has the id 0: most reads stop here.
    if node.acl_id() == 0 || acl::permits(&cx.settings.auth, node.acl(), cx.ids, bits) {
        Ok(())
    } else {
        Err(ErrorCode::NoAuth)
    }
}

fn get_data(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let request = ReadRequest::decode(&mut body).map_err(malformed)?;
    let path = request.path.ok_or(ErrorCode::MarshallingError)?;
    let node = cx.tree.get(&path).ok_or(ErrorCode::NoNode)?;
    permitted(cx, &node, perm::READ)?;
    if request.watch {
        cx.watches.add(cx.watcher, &path, watch::DATA);
    }
    out.put_buffer(node.data());
    node.stat().encode(out);
    Ok(())
}

fn exists(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let request = ReadRequest::decode(&mut body).map_err(malformed)?;
    let path = request.path.ok_or(ErrorCode::MarshallingError)?;
    if path.contains('\0') {
        return Err(ErrorCode::BadArguments);
    }
    let node = cx.tree.get(&path);
    if let Some(node) = &node {
        permitted(cx, node, perm::READ)?;
    }
    if request.watch {
        cx.watches.add(cx.watcher, &path, watch::DATA);
    }
    node.ok_or(ErrorCode::NoNode)?.stat().encode(out);
    Ok(())
}

fn get_children(cx: &ReadContext<'_>, mut body: Reader<'_>, with_stat: bool, out: &mut Vec<u8>) -> Answer {
    let request = ReadRequest::decode(&mut body).map_err(malformed)?;
    let path = request.path.ok_or(ErrorCode::MarshallingError)?;
    let node = cx.tree.get(&path).ok_or(ErrorCode::NoNode)?;
    permitted(cx, &node, perm::READ)?;
    if request.watch {
        cx.watches.add(cx.watcher, &path, watch::CHILD);
    }
    put_children(&node, out)?;
    if with_stat {
        node.stat().encode(out);
    }
    Ok(())
}

fn put_children(node: &NodeRef<'_>, out: &mut Vec<u8>) -> Answer {
    let start = out.len();
    out.put_count(node.child_count());
    for name in node.children() {
        out.put_ustring(name);
        if out.len() - start > REPLY_BYTES {
            return Err(ErrorCode::MarshallingError);
        }
    }
    Ok(())
}

fn get_acl(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let path = body.ustring().map_err(malformed)?.ok_or(ErrorCode::MarshallingError)?;
    let node = cx.tree.get(&path).ok_or(ErrorCode::NoNode)?;
    permitted(cx, &node, perm::READ | perm::ADMIN)?;
    match node.acl() {
        Some(list) if permitted(cx, &node, perm::ADMIN).is_ok() => out.extend_from_slice(list.encoded()),
        Some(list) => acl::masked(list, out),
        None => out.put_count(0),
    }
    node.stat().encode(out);
    Ok(())
}

fn get_ephemerals(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let prefix = body.ustring().map_err(malformed)?.unwrap_or_default();
    let all = prefix.trim().is_empty() || prefix == "/";
    let mut own: Vec<String> = cx.tree.ephemerals_of(cx.session_id).collect();
    own.retain(|path| all || path.starts_with(prefix.as_ref()));
    if own.iter().map(|path| path.len() + 4).sum::<usize>() > REPLY_BYTES {
        return Err(ErrorCode::MarshallingError);
    }
    out.put_count(own.len());
    own.iter().for_each(|path| out.put_ustring(path));
    Ok(())
}

fn get_all_children_number(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let path = body.ustring().map_err(malformed)?.ok_or(ErrorCode::MarshallingError)?;
    let node = cx.tree.get(&path).ok_or(ErrorCode::NoNode)?;
    permitted(cx, &node, perm::READ)?;
    // Apache's map holds root under two names; asked for "", it counts one of them among the descendants.
    let alias = usize::from(path.is_empty());
    out.put_count(node.descendant_count() + alias);
    Ok(())
}

fn add_watch(cx: &ReadContext<'_>, mut body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let request = WatchRequest::decode(&mut body).map_err(malformed)?;
    let flags = match request.kind {
        0 => watch::PERSISTENT,
        1 => watch::RECURSIVE,
        _ => return Err(ErrorCode::MarshallingError),
    };
    cx.watches.add(cx.watcher, watched(&request), flags);
    out.put_i32(0);
    Ok(())
}

/// The path of a watch request. Apache takes a watch on no path at all, which nothing ever fires: it is kept under a name
/// that no znode can have.
fn watched<'a>(request: &'a WatchRequest<'_>) -> &'a str {
    request.path.as_deref().unwrap_or("\0")
}

/// The flags that a type of checkWatches and removeWatches means.
fn watch_flags(kind: i32) -> Result<u8, ErrorCode> {
    Ok(match kind {
        1 => watch::CHILD,
        2 => watch::DATA,
        3 => watch::CHILD | watch::DATA | watch::PERSISTENT | watch::RECURSIVE,
        4 => watch::PERSISTENT,
        5 => watch::RECURSIVE,
        _ => return Err(ErrorCode::MarshallingError),
    })
}

fn check_watches(cx: &ReadContext<'_>, mut body: Reader<'_>) -> Answer {
    let request = WatchRequest::decode(&mut body).map_err(malformed)?;
    let flags = watch_flags(request.kind)?;
    if cx.watches.flags(cx.watcher, watched(&request)) & flags == 0 {
        Err(ErrorCode::NoWatcher)
    } else {
        Ok(())
    }
}

fn remove_watches(cx: &ReadContext<'_>, mut body: Reader<'_>) -> Answer {
    let request = WatchRequest::decode(&mut body).map_err(malformed)?;
    let flags = watch_flags(request.kind)?;
    if cx.watches.remove(cx.watcher, watched(&request), flags) == 0 {
        Err(ErrorCode::NoWatcher)
    } else {
        Ok(())
    }
}

fn who_am_i(cx: &ReadContext<'_>, out: &mut Vec<u8>) -> Answer {
    out.put_count(cx.ids.len());
    for id in cx.ids.iter() {
        out.put_ustring(&id.scheme);
        out.put_ustring(auth::user_name(id));
    }
    Ok(())
}

/// Registers what a client watched before a reconnect, and tells at once what it missed.
fn set_watches(
    cx: &ReadContext<'_>,
    xid: i32,
    mut body: Reader<'_>,
    five: bool,
    out: &mut Vec<u8>,
) -> Answer {
    let zxid = cx.tree.last_zxid();
    let request = match SetWatchesRequest::decode(&mut body, five) {
        Ok(request) => request,
        Err(e) => return reply::write(out, xid, zxid, |_| Err(malformed(e))),
    };
    restore_watches(cx, &request, out);
    let outcome = if request.null_after.is_some() { Err(ErrorCode::MarshallingError) } else { Ok(()) };
    reply::write(out, xid, zxid, |_| outcome)
}

/// The lists one behind the other, up to the first null one.
fn restore_watches(cx: &ReadContext<'_>, request: &SetWatchesRequest<'_>, out: &mut Vec<u8>) {
    let since = if has(Bug::MissedEventsNotTold) { i64::MAX } else { request.relative_zxid };
    let given = request.null_after.unwrap_or(5);
    let list = |at: usize, paths| if at < given { paths } else { &[][..] };
    let mut event = |kind, path: &str| encode_event(out, -1, kind, path);
    for path in list(0, &request.data) {
        match cx.tree.get(path) {
            None => event(EventType::Deleted, path),
            Some(node) if node.stat().mzxid > since => event(EventType::DataChanged, path),
            Some(_) => cx.watches.add(cx.watcher, path, watch::DATA),
        }
    }
    for path in list(1, &request.exist) {
        match cx.tree.get(path) {
            Some(_) => event(EventType::Created, path),
            None => cx.watches.add(cx.watcher, path, watch::DATA),
        }
    }
    for path in list(2, &request.child) {
        match cx.tree.get(path) {
            None => event(EventType::Deleted, path),
            Some(node) if node.stat().pzxid > since => event(EventType::ChildrenChanged, path),
            Some(_) => cx.watches.add(cx.watcher, path, watch::CHILD),
        }
    }
    for path in list(3, &request.persistent) {
        cx.watches.add(cx.watcher, path, watch::PERSISTENT);
    }
    for path in list(4, &request.recursive) {
        cx.watches.add(cx.watcher, path, watch::RECURSIVE);
    }
}

/// Each part by itself; a part that fails does not end the rest. A write or a null path among them refuses the whole,
/// but what was read before it is sent along, as Apache does.
fn multi_read(cx: &ReadContext<'_>, xid: i32, body: Reader<'_>, out: &mut Vec<u8>) -> Answer {
    let zxid = cx.tree.last_zxid();
    let ops: Result<Vec<MultiOp<'_>>, DecodeError> = MultiOps::new(body).collect();
    let ops = match ops {
        Ok(ops) => ops,
        Err(e) => return reply::write(out, xid, zxid, |_| Err(malformed(e))),
    };
    let kinds = ops.iter().map(MultiOp::is_read);
    if kinds.clone().any(|read| read) && kinds.clone().any(|read| !read) {
        return reply::write(out, xid, zxid, |_| Err(ErrorCode::MarshallingError));
    }
    let readable = |op: &&MultiOp<'_>| op.is_read() && op.path().is_some();
    let refused = ops.iter().any(|op| !readable(&op));
    let err = if refused { ErrorCode::MarshallingError.code() } else { 0 };
    let start = wire::frame::begin(out);
    wire::reply::ReplyHeader { xid, zxid, err }.encode(out);
    for op in ops.iter().take_while(readable) {
        if out.len() - start > REPLY_BYTES || !multi_read_part(cx, op, out) {
            out.truncate(start);
            return reply::write(out, xid, zxid, |_| Err(ErrorCode::MarshallingError));
        }
    }
    MultiHeader::END.encode(out);
    wire::frame::finish(out, start);
    if refused { Err(ErrorCode::MarshallingError) } else { Ok(()) }
}

/// `false`: the part alone is too large for any reply.
fn multi_read_part(cx: &ReadContext<'_>, op: &MultiOp<'_>, out: &mut Vec<u8>) -> bool {
    let node =
        op.path().ok_or(ErrorCode::MarshallingError).and_then(|p| cx.tree.get(p).ok_or(ErrorCode::NoNode));
    match node.and_then(|node| permitted(cx, &node, perm::READ).map(|()| node)) {
        Err(e) => {
            MultiHeader { op: -1, done: false, err: e.code() }.encode(out);
            out.put_i32(e.code());
            true
        }
        Ok(node) => {
            MultiHeader { op: op.op().code(), done: false, err: 0 }.encode(out);
            if op.op() == OpCode::GetData {
                out.put_buffer(node.data());
                node.stat().encode(out);
                true
            } else {
                put_children(&node, out).is_ok()
            }
        }
    }
}
