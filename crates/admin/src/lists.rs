//! The words whose answer grows with the number of connections, sessions or watches.

use crate::status::{
    Bucket, Connection, ConnectionInBucket, ConnectionSession, Interest, Sessions, TrackedSessions,
};
use crate::text;
use std::collections::BTreeMap;
use std::fmt::{Display, Write};

// `write!` to a String cannot fail: its results are dropped in this file.

/// The part of `stat` that `srvr` does not have.
pub(crate) fn clients(connections: &[Connection]) -> String {
    let mut out = String::from("Clients:\n");
    for connection in connections {
        connection_line(&mut out, connection, false);
    }
    out.push('\n');
    out
}

pub(crate) fn connections(connections: &[Connection]) -> String {
    let mut out = String::new();
    for connection in connections {
        connection_line(&mut out, connection, true);
    }
    out.push('\n');
    out
}

fn connection_line(out: &mut String, connection: &Connection, full: bool) {
    let Connection { address, interest, queued, received, sent, session } = connection;
    let ops = match interest {
        Interest::None => 0,
        Interest::Read => 1,
        Interest::Write => 4,
        Interest::Both => 5,
    };
    let address = text::address(*address);
    let _ = write!(out, " {address}[{ops}](queued={queued},recved={received},sent={sent}");
    if let Some(session) = session
        && full
    {
        session_fields(out, session);
    }
    out.push_str(")\n");
}

fn session_fields(out: &mut String, session: &ConnectionSession) {
    let op = session.last_op.map_or("NA", wire::OpCode::tag);
    let _ = write!(
        out,
        ",sid={:#x},lop={op},est={},to={}",
        session.id, session.established_ms, session.timeout_ms
    );
    if let Some(cxid) = session.last_cxid.filter(|cxid| *cxid >= 0) {
        let _ = write!(out, ",lcxid={cxid:#x}");
    }
    let latency = session.latency;
    let mean = latency.total.checked_div(latency.count).unwrap_or(0);
    let _ = write!(
        out,
        ",lzxid={:#x},lresp={},llat={},minlat={},avglat={mean},maxlat={}",
        session.last_zxid, session.last_response_ms, session.last_latency_ms, latency.min, latency.max
    );
}

pub(crate) fn dump(sessions: &Sessions, connections: Option<&[Bucket<ConnectionInBucket>]>) -> String {
    let mut out = String::from("SessionTracker dump:\n");
    match &sessions.tracked {
        TrackedSessions::Buckets(all) => buckets(&mut out, "Session", all, |id| format!("{id:#x}")),
        TrackedSessions::Timeouts(all) => {
            let _ = writeln!(out, "Global Sessions({}):", all.len());
            for (id, timeout_ms) in all {
                let _ = writeln!(out, "{id:#x}\t{timeout_ms}ms");
            }
        }
    }
    out.push_str("ephemeral nodes dump:\n");
    let _ = writeln!(out, "Sessions with Ephemerals ({}):", sessions.ephemerals.len());
    for (id, paths) in &sessions.ephemerals {
        group(&mut out, format_args!("{id:#x}:"), paths);
    }
    out.push_str("Connections dump:\n");
    if let Some(all) = connections {
        buckets(&mut out, "Connections", all, |member| {
            format!("ip: {} sessionId: {:#x}", text::address(member.address), member.session_id)
        });
    }
    out
}

fn buckets<T>(out: &mut String, what: &str, all: &[Bucket<T>], show: impl Fn(&T) -> String) {
    let members: usize = all.iter().map(|bucket| bucket.members.len()).sum();
    let _ = writeln!(out, "{what} Sets ({})/({members}):", all.len());
    for bucket in all {
        let head = format!("{} expire at {}:", bucket.members.len(), text::date(bucket.expires_ms));
        group(out, head, bucket.members.iter().map(&show));
    }
}

fn group<T: Display>(out: &mut String, head: impl Display, members: impl IntoIterator<Item = T>) {
    let _ = writeln!(out, "{head}");
    for member in members {
        let _ = writeln!(out, "\t{member}");
    }
}

pub(crate) fn watches_by_session(watches: &[(i64, Vec<String>)]) -> String {
    let mut out = String::new();
    for (id, paths) in watches {
        group(&mut out, format_args!("{id:#x}"), paths);
    }
    out.push('\n');
    out
}

pub(crate) fn watches_by_path(watches: &[(i64, Vec<String>)]) -> String {
    let mut by_path: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
    for (id, paths) in watches {
        for path in paths {
            by_path.entry(path).or_default().push(*id);
        }
    }
    let mut out = String::new();
    for (path, ids) in by_path {
        group(&mut out, path, ids.iter().map(|id| format!("{id:#x}")));
    }
    out.push('\n');
    out
}
