//! Requests in words, for reports: what a person needs in order to see what a sequence did.

use crate::step::Request;
use std::fmt::Write as _;
use wire::data::AclList;
use wire::multi::{MultiOp, MultiOps};
use wire::request::{
    AuthPacket, CreateRequest, ReadRequest, SetAclRequest, SetDataRequest, SetWatchesRequest, VersionedPath,
    WatchRequest,
};
use wire::{DecodeError, OpCode, Reader};

/// The operation's name, or its number.
pub fn op_name(op: i32) -> String {
    OpCode::from_code(op).map_or_else(|| format!("unknown({op})"), |op| op.name().to_owned())
}

/// The name that the coverage table uses: all numbers without an operation share a row.
pub fn op_row(op: i32) -> String {
    OpCode::from_code(op).map_or_else(|| "unknown".to_owned(), |op| op.name().to_owned())
}

/// One line about a request.
pub fn request(request: &Request) -> String {
    let name = op_name(request.op);
    let Some(op) = OpCode::from_code(request.op) else { return name };
    match body(op, &mut Reader::new(&request.body)) {
        Ok(text) if text.is_empty() => name,
        Ok(text) => format!("{name} {text}"),
        Err(e) => format!("{name}, malformed: {e}"),
    }
}

fn body(op: OpCode, r: &mut Reader<'_>) -> Result<String, DecodeError> {
    use OpCode::*;
    Ok(match op {
        Create | Create2 | CreateContainer => create(&CreateRequest::decode(r, false)?),
        CreateTtl => create(&CreateRequest::decode(r, true)?),
        Delete | Check => versioned(&VersionedPath::decode(r)?),
        SetData => set_data(&SetDataRequest::decode(r)?),
        SetAcl => {
            let s = SetAclRequest::decode(r)?;
            format!("{} acl={} version={}", path(&s.path), acl(s.acl), s.version)
        }
        Exists | GetData | GetChildren | GetChildren2 => read(&ReadRequest::decode(r)?),
        GetAcl | Sync | GetEphemerals | GetAllChildrenNumber | DeleteContainer => path(&r.ustring()?),
        CheckWatches | RemoveWatches | AddWatch => {
            let w = WatchRequest::decode(r)?;
            format!("{} kind={}", path(&w.path), w.kind)
        }
        Multi | MultiRead => multi(*r)?,
        Auth => {
            let a = AuthPacket::decode(r)?;
            let given = a.auth.map(|b| b.escape_ascii().to_string());
            format!("{:?} {given:?}", a.scheme)
        }
        SetWatches => watches(&SetWatchesRequest::decode(r, false)?),
        SetWatches2 => watches(&SetWatchesRequest::decode(r, true)?),
        Notification | Error | CreateSession | CloseSession | Ping | WhoAmI | Reconfig | Sasl => {
            String::new()
        }
    })
}

fn path(path: &Option<std::borrow::Cow<'_, str>>) -> String {
    path.as_ref().map_or_else(|| "null".to_owned(), |p| format!("{p:?}"))
}

fn data(data: Option<&[u8]>) -> String {
    match data {
        None => "null".to_owned(),
        Some(d) if d.len() > 60 => format!("[{} bytes]", d.len()),
        Some(d) => format!("\"{}\"", d.escape_ascii()),
    }
}

fn acl(list: AclList<'_>) -> String {
    if list.is_open() {
        return "open".to_owned();
    }
    let entries = list.entries().map(|e| format!("{}:{:?}:{:?}", e.perms, e.scheme, e.id));
    format!("[{}]", entries.collect::<Vec<_>>().join(", "))
}

fn create(c: &CreateRequest<'_>) -> String {
    let mut text = format!("{} {} acl={} flags={}", path(&c.path), data(c.data), acl(c.acl), c.flags);
    if c.ttl_ms != -1 {
        let _ = write!(text, " ttl={}", c.ttl_ms);
    }
    text
}

fn versioned(v: &VersionedPath<'_>) -> String {
    format!("{} version={}", path(&v.path), v.version)
}

fn set_data(s: &SetDataRequest<'_>) -> String {
    format!("{} {} version={}", path(&s.path), data(s.data), s.version)
}

fn read(r: &ReadRequest<'_>) -> String {
    format!("{}{}", path(&r.path), if r.watch { " watch" } else { "" })
}

fn watches(w: &SetWatchesRequest<'_>) -> String {
    format!(
        "data={:?} exist={:?} child={:?} persistent={:?} recursive={:?}",
        w.data, w.exist, w.child, w.persistent, w.recursive
    )
}

fn multi(r: Reader<'_>) -> Result<String, DecodeError> {
    let mut parts = Vec::new();
    for op in MultiOps::new(r) {
        let op = op?;
        let text = match &op {
            MultiOp::Create(_, c) => create(c),
            MultiOp::Delete(v) | MultiOp::Check(v) => versioned(v),
            MultiOp::SetData(s) => set_data(s),
            MultiOp::GetData(r) | MultiOp::GetChildren(r) => read(r),
        };
        parts.push(format!("{} {text}", op.op().name()));
    }
    Ok(format!("[{}]", parts.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::jute::Put;

    #[test]
    fn requests_read_as_words() {
        let mut b = Vec::new();
        b.put_ustring("/a");
        b.put_bool(true);
        assert_eq!(request(&Request::new(1, OpCode::GetData, b.clone())), "getData \"/a\" watch");
        b.pop();
        assert!(request(&Request::new(1, OpCode::GetData, b)).contains("malformed"));
        let unknown = Request { op: 55, ..Request::new(1, OpCode::Ping, vec![]) };
        assert_eq!(request(&unknown), "unknown(55)");
    }
}
