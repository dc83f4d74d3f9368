//! One change, many watchers: how long until the last one has been told.

use crate::cli::WatchArgs;
use crate::engine::Usage;
use crate::load;
use crate::report::Report;
use crate::sessions::{Sessions, request};
use anyhow::{Context, Result, bail};
use client::Session;
use client::wire::OpCode;
use client::wire::ops::xid;
use client::wire::reply::{EventType, WatcherEvent};
use client::wire::request::{ReadRequest, SetDataRequest};
use std::time::Instant;

const NODE: &str = "/bench/watched";

pub fn run(args: &WatchArgs) -> Result<Report> {
    let value = load::value(args.size);
    let mut writer = Session::open(args.target.first()).context("cannot open a session")?;
    load::ensure(&mut writer, "/bench", b"")?;
    load::ensure(&mut writer, NODE, &value)?;
    load::sync(&args.target)?;
    let processes = args.target.processes();
    let bar = load::spinner("watch: opening sessions");
    let progress = |n| bar.set_position(n as u64);
    let mut sessions = Sessions::open(&args.target.servers, args.watchers.max(1), progress)?;
    bar.set_message("watch: changes");
    let mut last_ms = Vec::new();
    let mut from = Usage::now(&processes)?;
    for round in 0..args.warm_up_rounds + args.rounds.max(1) {
        if round == args.warm_up_rounds {
            from = Usage::now(&processes)?;
        }
        let took = change(&mut writer, &mut sessions, &value, 1 + round as i32)?;
        if round >= args.warm_up_rounds {
            last_ms.push(took);
        }
        bar.set_position(round as u64 + 1);
    }
    let to = Usage::now(&processes)?;
    bar.finish_and_clear();
    let mut report = Report::new(format!("watch: {} watchers on one znode", sessions.len()));
    last_ms.sort_by(f64::total_cmp);
    report.figure("last_ms_min", last_ms[0]);
    report.figure("last_ms_median", last_ms[last_ms.len() / 2]);
    report.figure("last_ms_max", last_ms[last_ms.len() - 1]);
    if let (Some(from), Some(to)) = (from.server_cpu_s, to.server_cpu_s) {
        // Leaving the watch again is part of it: one read and one notification.
        report.figure("server_cpu_ms_per_round", (to - from) * 1e3 / last_ms.len() as f64);
    }
    report.figure("load_cpu_ms_per_round", (to.own_cpu_s - from.own_cpu_s) * 1e3 / last_ms.len() as f64);
    sessions.close()?;
    writer.close()?;
    Ok(report)
}

/// Leaves the watches, changes the znode and returns the ms until the last notification has come.
fn change(writer: &mut Session, sessions: &mut Sessions, value: &[u8], number: i32) -> Result<f64> {
    let read = ReadRequest { path: Some(NODE.into()), watch: true };
    sessions.call_all(number, OpCode::GetData, |out| read.encode(out))?;
    let set = SetDataRequest { path: Some(NODE.into()), data: Some(value), version: -1 };
    let bytes = request(number, OpCode::SetData, |out| set.encode(out));
    let start = Instant::now();
    writer.transport().send_bytes(&bytes)?;
    sessions.receive_all(|header, mut body| {
        let event = WatcherEvent::decode(&mut body)?;
        let right = event.event == EventType::DataChanged as i32 && event.path == NODE;
        if header.xid != xid::NOTIFICATION || !right {
            bail!("a watcher received {event:?} (xid {})", header.xid);
        }
        Ok(())
    })?;
    let took = start.elapsed();
    writer.receive()?.granted().context("the change was refused")?;
    Ok(took.as_secs_f64() * 1e3)
}
