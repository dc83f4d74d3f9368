//! Transactions, access lists and times as one line of text each.

use crate::DumpOptions;
use std::fmt::Write;
use time::OffsetDateTime;
use wire::OpCode;
use wire::data::{AclList, perm};
use wire::txn::{CreateKind, CreateTxn, MultiTxn, Txn, TxnDigest, TxnHeader, TxnRecord};

// `write!` to a String cannot fail: its results are dropped in this file.

/// `2026-11-20T08:30:33.218Z`; the number itself if it is no date.
pub(crate) fn time(ms_since_1970: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(ms_since_1970.div_euclid(1000)) else {
        return format!("{ms_since_1970}ms");
    };
    let (date, ms) = (at.date(), ms_since_1970.rem_euclid(1000));
    let (hour, minute, second) = at.time().as_hms();
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}

/// The name of an operation's number.
pub(crate) fn op(code: i32) -> String {
    OpCode::from_code(code).map_or_else(|| format!("unknown type {code}"), |op| op.name().to_owned())
}

/// zxid, time, session, cxid, operation and fields.
pub(crate) fn record(record: &TxnRecord<'_>, options: DumpOptions) -> String {
    let mut out = header(&record.header);
    fields(&mut out, &record.txn, options);
    // Other versions are no digests of ours to show: a durable mark has the shape of one.
    if let Some(digest) = record.digest.filter(|d| d.version == TxnDigest::VERSION) {
        let _ = write!(out, " digest={:#x}", digest.tree_digest);
    }
    out
}

pub(crate) fn header(h: &TxnHeader) -> String {
    let (zxid, time, session) = (h.zxid, time(h.time_ms), h.session_id);
    format!("{zxid:#x} {time} session={session:#x} cxid={:#x} {}", h.cxid, op(h.op))
}

fn fields(out: &mut String, txn: &Txn<'_>, options: DumpOptions) {
    match txn {
        Txn::CreateSession { timeout_ms } => {
            let _ = write!(out, " timeout={timeout_ms}ms");
        }
        Txn::CloseSession { paths: None } => {}
        Txn::CloseSession { paths: Some(paths) } => {
            let _ = write!(out, " ephemerals={paths:?}");
        }
        Txn::Error { err } => {
            let name = wire::ErrorCode::from_code(*err).map_or_else(String::new, |e| format!(" ({e:?})"));
            let _ = write!(out, " {err}{name}");
        }
        Txn::Create(create) => create_fields(out, create, options),
        Txn::Delete { path, .. } => {
            let _ = write!(out, " {path:?}");
        }
        Txn::SetData { path, data, version, .. } => {
            let _ = write!(out, " {path:?} {} version={version}", self::data(*data, options));
        }
        Txn::SetAcl { path, acl, version } => {
            let _ = write!(out, " {path:?} acl={} aversion={version}", self::acl(*acl));
        }
        Txn::Check { path, version } => {
            let _ = write!(out, " {path:?} version={version}");
        }
        Txn::Multi(multi) => multi_fields(out, multi, options),
    }
}

fn create_fields(out: &mut String, create: &CreateTxn<'_>, options: DumpOptions) {
    let CreateTxn { path, data, acl, kind, parent_cversion } = create;
    let _ = write!(out, " {path:?} {} acl={}", self::data(*data, options), self::acl(*acl));
    match kind {
        CreateKind::Plain { ephemeral: true, .. } => out.push_str(" ephemeral"),
        CreateKind::Plain { ephemeral: false, .. } | CreateKind::Container => {}
        CreateKind::Ttl { ttl_ms } => {
            let _ = write!(out, " ttl={ttl_ms}ms");
        }
    }
    let _ = write!(out, " parentCVersion={parent_cversion}");
}

fn multi_fields(out: &mut String, multi: &MultiTxn<'_>, options: DumpOptions) {
    for ((code, _), txn) in multi.parts().zip(multi.txns()) {
        let _ = write!(out, " [{}", op(code));
        match txn {
            Ok(txn) => fields(out, &txn, options),
            Err(e) => {
                let _ = write!(out, " ({e})");
            }
        }
        out.push(']');
    }
}

/// Its length, and if asked for what it is.
pub(crate) fn data(data: Option<&[u8]>, options: DumpOptions) -> String {
    match data {
        None => "data=null".into(),
        Some(bytes) if options.data => format!("data=\"{}\"", bytes.escape_ascii()),
        Some(bytes) => format!("data={} bytes", bytes.len()),
    }
}

/// `scheme:id:cdrwa`, several joined by commas.
pub(crate) fn acl(list: AclList<'_>) -> String {
    const LETTERS: [(i32, char); 5] =
        [(perm::CREATE, 'c'), (perm::DELETE, 'd'), (perm::READ, 'r'), (perm::WRITE, 'w'), (perm::ADMIN, 'a')];
    let entry = |perms: i32| -> String {
        LETTERS.iter().filter(|(bit, _)| perms & bit != 0).map(|(_, letter)| *letter).collect()
    };
    let entries = list.to_vec().into_iter().map(|acl| {
        let (scheme, id) = (acl.id.scheme.escape_debug(), acl.id.id.escape_debug());
        format!("{scheme}:{id}:{}", entry(acl.perms))
    });
    entries.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_utc() {
        assert_eq!(time(1_795_163_433_218), "2026-11-20T08:30:33.218Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(time(i64::MAX), "9223372036854775807ms");
    }

    #[test]
    fn permissions_in_the_order_of_the_shell() {
        assert_eq!(acl(AclList::from_encoded(wire::data::OPEN_ACL)), "world:anyone:cdrwa");
        assert_eq!(acl(AclList::from_encoded(wire::data::READ_ACL)), "world:anyone:r");
    }
}
