//! From a durable record to the tree, the watchers and the one who asked.

use super::core::Core;
use super::handshake::write_response;
use super::waiting::{Awaited, Until, Waiting};
use super::{Node, Now, Role};
use crate::acl;
use crate::outbound::Outbound;
use crate::reply;
use crate::session::Speaker;
use crate::watch::{Watcher, Watches};
use planted::{Bug, has};
use tree::{AclId, ApplyResult, Change, ChangeKind, Tree};
use wire::jute::{Limits, Put};
use wire::multi::MultiHeader;
use wire::reply::{EventType, encode_event};
use wire::txn::{CreateKind, Txn, TxnRecord};
use wire::{DecodeError, ErrorCode, OpCode};

impl Node {
    /// Whether there is something to commit.
    pub fn has_commits(&self) -> bool {
        self.core.pipeline.has_commits() || self.is_config_due()
    }

    /// Applies up to `limit` committed records, so that the caller's lock is held for a bounded time. Events and
    /// replies are handed out as each is applied. Returns whether more remain.
    ///
    /// # Panics
    /// If a record that was checked before it was logged cannot be read back: memory and log would differ from here on.
    pub fn commit(
        &mut self,
        tree: &mut Tree,
        watches: &Watches,
        now: Now,
        limit: usize,
        out: &mut impl Outbound,
    ) -> bool {
        self.write_config(tree, now);
        let mut budget = limit;
        while budget > 0 {
            let Some((batch, range)) = self.core.pipeline.next_commits(budget) else { break };
            for i in range.clone() {
                self.core.apply(tree, watches, now, batch.payload(i), out);
            }
            budget -= range.len();
            self.core.pipeline.applied(range.end);
        }
        if let Role::Leading(leading) = &mut self.role
            && let Some(serving) = &mut leading.serving
        {
            serving.prep.retire(tree.last_zxid());
        }
        tree.sweep();
        self.core.answer_ready(tree, now, out);
        self.has_commits()
    }
}

impl Core {
    fn apply(
        &mut self,
        tree: &mut Tree,
        watches: &Watches,
        now: Now,
        payload: &[u8],
        out: &mut impl Outbound,
    ) {
        let limits = Limits { field_bytes: self.settings.max_record.max(payload.len()) };
        let record = TxnRecord::decode(payload, limits).unwrap_or_else(|e: DecodeError| {
            panic!("a record that this server logged cannot be read back: {e}");
        });
        self.answer_ready(tree, now, out);
        let mut changes = Vec::new();
        let result = if has(Bug::EphemeralsStayOnLearners) && !self.sessions.ends_sessions() {
            tree.apply(&without_ephemerals(&record), &mut changes)
        } else {
            tree.apply(&record, &mut changes)
        };
        tree.check_digest(record.digest);
        if has(Bug::WatchFiredLate) {
            let header = &record.header;
            if let Some(waiting) = self.awaiting(header.zxid, header.session_id, header.cxid) {
                self.answer(&waiting, &record, &result, tree, now, out);
            }
        }
        if !watches.is_empty() {
            for change in &changes {
                self.fire(tree, watches, record.header.zxid, change, out);
            }
        }
        let header = &record.header;
        if let Some(waiting) = self.awaiting(header.zxid, header.session_id, header.cxid) {
            self.answer(&waiting, &record, &result, tree, now, out);
        }
        if matches!(record.txn, Txn::CloseSession { .. })
            && let Some(Speaker::Client(conn)) = self.sessions.remove(record.header.session_id)
        {
            out.close(conn, None);
        }
    }

    fn answer(
        &mut self,
        waiting: &Waiting,
        record: &TxnRecord<'_>,
        result: &ApplyResult,
        tree: &Tree,
        now: Now,
        out: &mut impl Outbound,
    ) {
        self.frame.clear();
        if let Awaited::Welcome { timeout_ms, read_only } = waiting.what {
            if waiting.until == Until::Forwarded {
                // Made by the leader for a connection of this server.
                self.sessions.track(waiting.session_id, timeout_ms, now.mono_ms);
                self.sessions.set_owner(waiting.session_id, Some(Speaker::Client(waiting.conn)));
            }
            match self.sessions.get(waiting.session_id) {
                Some(session) if !session.is_closing() => {
                    write_response(&mut self.frame, waiting.session_id, timeout_ms, read_only);
                    out.welcome(waiting.conn, &self.frame, session.clone());
                }
                _ => out.close(waiting.conn, None),
            }
            return;
        }
        if matches!(result, ApplyResult::Error(code) if *code == ErrorCode::SessionMoved.code()) {
            // An error of the connection, not of the request.
            return out.close(waiting.conn, None);
        }
        // The refusal, if any, is part of the frame already.
        let _refused = reply::write(&mut self.frame, waiting.xid, tree.last_zxid(), |body| {
            write_body(&record.txn, result, body)
        });
        out.reply(waiting.conn, &self.frame, waiting.age_ms(now));
    }

    fn fire(
        &mut self,
        tree: &Tree,
        watches: &Watches,
        zxid: i64,
        change: &Change<'_>,
        out: &mut impl Outbound,
    ) {
        let path: &str = &change.path;
        match change.kind {
            ChangeKind::DataChanged => {
                let mut event = Event::new(self, tree, zxid, EventType::DataChanged, path, change.acl);
                watches.fire_data(path, &mut |w| event.tell(w, out));
            }
            ChangeKind::Created => {
                let mut event = Event::new(self, tree, zxid, EventType::Created, path, change.acl);
                watches.fire_data(path, &mut |w| event.tell(w, out));
            }
            ChangeKind::Deleted => {
                let mut event = Event::new(self, tree, zxid, EventType::Deleted, path, change.acl);
                let told = watches.fire_data(path, &mut |w| event.tell(w, out));
                watches.fire_child(path, told, &mut |w| event.tell(w, out));
            }
        }
        if change.kind != ChangeKind::DataChanged {
            let Some((parent, _)) = tree::parent_and_name(path) else { return };
            let kind = EventType::ChildrenChanged;
            let mut event = Event::new(self, tree, zxid, kind, parent, change.parent_acl);
            watches.fire_child(parent, Vec::new(), &mut |w| event.tell(w, out));
        }
    }
}

/// The end of a session as a server would see it that keeps no account of its ephemerals.
fn without_ephemerals<'a>(record: &TxnRecord<'a>) -> TxnRecord<'a> {
    match &record.txn {
        Txn::CloseSession { .. } => TxnRecord { txn: Txn::Error { err: 0 }, ..record.clone() },
        _ => record.clone(),
    }
}

/// One event on its way to several connections: encoded once, sent to those who may read the znode.
struct Event<'a> {
    core: &'a mut Core,
    tree: &'a Tree,
    acl: AclId,
    zxid: i64,
    kind: EventType,
    path: &'a str,
    encoded: bool,
}

impl<'a> Event<'a> {
    fn new(
        core: &'a mut Core,
        tree: &'a Tree,
        zxid: i64,
        kind: EventType,
        path: &'a str,
        acl: AclId,
    ) -> Self {
        Event { core, tree, acl, zxid, kind, path, encoded: false }
    }

    fn tell(&mut self, watcher: &Watcher, out: &mut impl Outbound) {
        let readable = self.acl == 0
            || acl::permits(
                &self.core.settings.auth,
                self.tree.acl(self.acl),
                &watcher.ids(),
                wire::data::perm::READ,
            );
        if !readable {
            return;
        }
        if !self.encoded {
            self.encoded = true;
            self.core.frame.clear();
            encode_event(&mut self.core.frame, self.zxid, self.kind, self.path);
        }
        out.event(watcher.conn, &self.core.frame);
    }
}

/// The body of the answer to a write.
fn write_body(txn: &Txn<'_>, result: &ApplyResult, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
    if let (Txn::Multi(_), ApplyResult::Multi(results)) = (txn, result) {
        write_multi(txn, results, out);
        return Ok(());
    }
    match (txn, result) {
        (_, ApplyResult::Error(code)) => {
            Err(ErrorCode::from_code(*code).unwrap_or(ErrorCode::MarshallingError))
        }
        (Txn::Create(create), ApplyResult::Stat(stat)) => {
            out.put_ustring(&create.path);
            if !matches!(create.kind, CreateKind::Plain { with_stat: false, .. }) {
                stat.encode(out);
            }
            Ok(())
        }
        (_, ApplyResult::Stat(stat)) => {
            stat.encode(out);
            Ok(())
        }
        (_, ApplyResult::Done | ApplyResult::Multi(_)) => Ok(()),
    }
}

fn write_multi(txn: &Txn<'_>, results: &[ApplyResult], out: &mut Vec<u8>) {
    let Txn::Multi(multi) = txn else { return };
    for (part, result) in multi.txns().zip(results) {
        match (part, result) {
            (_, ApplyResult::Error(code)) => {
                MultiHeader { op: -1, done: false, err: *code }.encode(out);
                out.put_i32(*code);
            }
            (Ok(part), _) => {
                let special = matches!(part.op(), OpCode::CreateContainer | OpCode::CreateTtl);
                let op = if special { OpCode::Create2 } else { part.op() };
                MultiHeader { op: op.code(), done: false, err: 0 }.encode(out);
                // A part that succeeded has a body or none; it cannot be refused here.
                let _written = write_body(&part, result, out);
            }
            (Err(_), _) => {}
        }
    }
    MultiHeader::END.encode(out);
}
