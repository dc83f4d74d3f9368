//! The beginning and the end of a sequence: its root is made, its tree read and removed, its sessions closed.

use crate::conversation::{CONTROL, Conversation, Session, Slot};
use crate::profile::Profile;
use crate::step::{Handshake, Request};
use std::io;
use wire::data::OPEN_ACL;
use wire::jute::Put;
use wire::reply::ReplyHeader;
use wire::{OpCode, Reader};

/// Nodes read or removed per write.
const BATCH: usize = 40;

fn path_request(op: OpCode, path: &[u8], rest: &[u8]) -> Request {
    let mut body = Vec::new();
    body.put_buffer(Some(path));
    body.extend_from_slice(rest);
    Request::new(1, op, body)
}

/// The names in a reply to getChildren, sorted; none when it failed.
fn children(payload: &[u8]) -> Vec<Vec<u8>> {
    let mut r = Reader::new(payload);
    let mut names = Vec::new();
    if ReplyHeader::decode(&mut r).is_ok_and(|h| h.err == 0)
        && let Ok(Some(n)) = r.count(4)
    {
        names.extend((0..n).map_while(|_| r.buffer().ok().flatten().map(<[u8]>::to_vec)));
    }
    names.sort();
    names
}

impl Conversation {
    /// Where the tree and the quotas of this sequence live.
    fn tops(root: &str) -> [Vec<u8>; 2] {
        [root.as_bytes().to_vec(), format!("/zookeeper/quota{root}").into_bytes()]
    }

    /// Connects, finds out where the zxid stands, and makes the root node.
    pub(crate) fn begin(&mut self, root: &str) -> io::Result<()> {
        let silently = |c: &mut Self| c.transcript.records.clear();
        self.open(CONTROL, &Handshake::NEW)?;
        self.exchange(CONTROL, 0, &[Profile::super_user()], false);
        self.remove(root);
        self.ping(CONTROL);
        let answer = self.transcript.records.last().map(|r| r.raw.clone()).unwrap_or_default();
        let header = ReplyHeader::decode(&mut Reader::new(&answer));
        self.symbols.base_zxid = header.map(|h| h.zxid).map_err(io::Error::other)?;
        silently(self);
        let mut body = Vec::new();
        body.put_ustring(root);
        body.put_buffer(Some(b""));
        body.extend_from_slice(OPEN_ACL);
        body.put_i32(0);
        let answers = self.ask(&[Request::new(1, OpCode::Create, body)]);
        let header = answers.first().and_then(|a| ReplyHeader::decode(&mut Reader::new(a)).ok());
        match header {
            Some(header) if header.err == 0 => Ok(()),
            _ => Err(io::Error::other(format!("the server does not create {root}: {header:?}"))),
        }
    }

    /// Sends requests on the control connection and returns the answers.
    fn ask(&mut self, requests: &[Request]) -> Vec<Vec<u8>> {
        let from = self.transcript.records.len();
        self.exchange(CONTROL, 0, requests, false);
        self.transcript.records[from..].iter().map(|r| r.raw.clone()).collect()
    }

    /// Every node below the tops, parents first. `also` is asked about each of them.
    fn walk(&mut self, root: &str, also: &[(OpCode, &[u8])]) -> Vec<Vec<u8>> {
        let mut found: Vec<Vec<u8>> = Self::tops(root).to_vec();
        let mut next = 0;
        while next < found.len() {
            let batch: Vec<Vec<u8>> = found[next..].iter().take(BATCH).cloned().collect();
            next += batch.len();
            let mut requests = Vec::new();
            for path in &batch {
                requests.push(path_request(OpCode::GetChildren2, path, &[0]));
                requests.extend(also.iter().map(|(op, rest)| path_request(*op, path, rest)));
            }
            let answers = self.ask(&requests);
            for (path, answer) in batch.iter().zip(answers.iter().step_by(1 + also.len())) {
                for name in children(answer) {
                    found.push([&path[..], b"/", &name].concat());
                }
            }
        }
        found
    }

    /// Writes down the whole tree of the sequence.
    pub(crate) fn dump(&mut self, root: &str) {
        self.ping(CONTROL);
        self.walk(root, &[(OpCode::GetData, &[0]), (OpCode::GetAcl, &[])]);
    }

    /// Removes the tree, children first.
    fn remove(&mut self, root: &str) {
        let mut nodes = self.walk(root, &[]);
        nodes.reverse();
        nodes.sort_by_key(|path| std::cmp::Reverse(path.iter().filter(|b| **b == b'/').count()));
        for batch in nodes.chunks(BATCH) {
            let requests: Vec<Request> =
                batch.iter().map(|p| path_request(OpCode::Delete, p, &(-1i32).to_be_bytes())).collect();
            self.ask(&requests);
        }
    }

    /// Closes every session, removes the tree, and leaves.
    pub(crate) fn end(&mut self, root: &str) -> io::Result<()> {
        let control = self.slots[CONTROL].session;
        for session in self.live.clone().into_iter().filter(|s| Some(*s) != control) {
            self.close(session)?;
        }
        self.ask(&[path_request(OpCode::GetAllChildrenNumber, root.as_bytes(), &[])]);
        self.remove(root);
        self.exchange(CONTROL, 0, &[Request::new(9, OpCode::CloseSession, Vec::new())], true);
        Ok(())
    }

    /// A session left open would expire in the middle of a later sequence.
    fn close(&mut self, session: Session) -> io::Result<()> {
        let attached = |s: &Slot| s.session == Some(session) && s.connection.is_some();
        if let Some(slot) = (1..self.slots.len()).find(|s| attached(&self.slots[*s])) {
            self.close_on(slot);
        }
        if self.live.contains(&session) {
            self.slots.push(Slot { session: Some(session), ..Slot::default() });
            let slot = self.slots.len() - 1;
            self.open(slot, &Handshake::REATTACH)?;
            self.close_on(slot);
        }
        Ok(())
    }

    fn close_on(&mut self, slot: usize) {
        self.exchange(slot, 0, &[Request::new(9, OpCode::CloseSession, Vec::new())], true);
    }
}
