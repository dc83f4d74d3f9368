//! The conversations that are kept, written by hand: each operation, and each way in which it is refused.

mod access;
mod requests;
mod sessions;
mod tree;
mod watches;

use crate::conversation::Plan;
use crate::profile::Profile;
use crate::step::{Client, Handshake, Request, Step, ZxidChoice};
use wire::OpCode;
use wire::data::{Acl, Id, OPEN_ACL, encode_acls};
use wire::jute::Put;
use wire::multi::MultiHeader;

/// Seeds of the scripts lie above those of random sequences.
const FIRST_SEED: u64 = 900_001;

/// All scripts; [`name`] gives their names.
pub fn all() -> Vec<Plan> {
    let makers: [Maker; 15] = [
        sessions::handshakes,
        sessions::lifetimes,
        tree::creates,
        tree::sequential_names,
        tree::deletes_and_sets,
        tree::reads,
        tree::paths,
        tree::multis,
        tree::quotas,
        access::schemes,
        access::permissions,
        watches::one_shot,
        watches::lasting,
        watches::set_watches,
        requests::malformed,
    ];
    let full = makers.iter().map(|make| (Profile::Full, *make));
    let others: [(Profile, Maker); 5] = [
        (Profile::Plain, requests::plain),
        (Profile::SkipAcl, access::permissions),
        (Profile::EnforceAuth, access::enforced),
        (Profile::Full, requests::pipelines),
        (Profile::Full, access::surrogates),
    ];
    full.chain(others)
        .zip(FIRST_SEED..)
        .map(|((profile, make), seed)| Script::make(profile, seed, make))
        .collect()
}

/// File names, in the order of [`all`].
pub const NAMES: [&str; 20] = [
    "handshakes",
    "lifetimes",
    "creates",
    "sequential-names",
    "deletes-and-sets",
    "reads",
    "paths",
    "multis",
    "quotas",
    "schemes",
    "permissions",
    "watches-one-shot",
    "watches-lasting",
    "set-watches",
    "malformed",
    "plain",
    "skip-acl",
    "enforced-auth",
    "pipelines",
    "surrogates",
];

type Maker = fn(&mut Script);

/// Builds a plan. Paths that begin with `~` are below the script's root.
pub struct Script {
    root: String,
    xid: i32,
    steps: Vec<Step>,
    last: Vec<Step>,
}

/// An ACL of entries `(perms, scheme, id)`, encoded.
fn acl(entries: &[(i32, &str, &str)]) -> Vec<u8> {
    let list: Vec<Acl> = entries.iter().map(|(p, s, i)| Acl { perms: *p, id: Id::new(*s, *i) }).collect();
    let mut out = Vec::new();
    encode_acls(&list, &mut out);
    out
}

impl Script {
    fn make(profile: Profile, seed: u64, make: Maker) -> Plan {
        let mut plan = Plan { profile, seed, clients: 3, steps: Vec::new(), last: Vec::new() };
        let mut script = Script { root: plan.root(), xid: 0, steps: Vec::new(), last: Vec::new() };
        make(&mut script);
        plan.steps = script.steps;
        plan.last = script.last;
        plan
    }

    fn path(&self, path: &str) -> String {
        match path.strip_prefix('~') {
            Some(below) => format!("{}{below}", self.root),
            None => path.to_owned(),
        }
    }

    fn request(&mut self, op: OpCode, body: Vec<u8>) -> Request {
        self.xid += 1;
        Request::new(self.xid, op, body)
    }

    fn open(&mut self, client: Client, handshake: Handshake) {
        self.steps.push(Step::Open { client, handshake });
    }

    fn pipeline(&mut self, client: Client, requests: Vec<Request>) {
        self.steps.push(Step::Send { client, piece: 0, requests });
    }

    fn send(&mut self, client: Client, op: OpCode, body: Vec<u8>) {
        let request = self.request(op, body);
        self.pipeline(client, vec![request]);
    }

    /// A body that begins with a path; `rest` follows as it is.
    fn body(&self, path: &str, rest: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        body.put_ustring(&self.path(path));
        body.extend_from_slice(rest);
        body
    }

    fn create_body(&self, path: &str, data: Option<&[u8]>, acl: &[u8], flags: i32) -> Vec<u8> {
        let mut body = self.body(path, &[]);
        body.put_buffer(data);
        body.extend_from_slice(acl);
        body.put_i32(flags);
        body
    }

    fn set_body(&self, path: &str, data: Option<&[u8]>, version: i32) -> Vec<u8> {
        let mut body = self.body(path, &[]);
        body.put_buffer(data);
        body.put_i32(version);
        body
    }

    /// Creates an open, persistent node.
    fn node(&mut self, client: Client, path: &str) {
        self.create(client, path, 0);
    }

    fn create(&mut self, client: Client, path: &str, flags: i32) {
        let body = self.create_body(path, Some(b"data"), OPEN_ACL, flags);
        self.send(client, OpCode::Create, body);
    }

    fn create_with(&mut self, client: Client, path: &str, acl: &[u8]) {
        let body = self.create_body(path, Some(b"data"), acl, 0);
        self.send(client, OpCode::Create, body);
    }

    fn delete(&mut self, client: Client, path: &str, version: i32) {
        let body = self.body(path, &version.to_be_bytes());
        self.send(client, OpCode::Delete, body);
    }

    fn set(&mut self, client: Client, path: &str, data: &[u8], version: i32) {
        let body = self.set_body(path, Some(data), version);
        self.send(client, OpCode::SetData, body);
    }

    fn set_acl(&mut self, client: Client, path: &str, acl: &[u8], version: i32) {
        let body = self.body(path, &[acl, &version.to_be_bytes()].concat());
        self.send(client, OpCode::SetAcl, body);
    }

    /// exists, getData, getChildren or getChildren2.
    fn read(&mut self, client: Client, op: OpCode, path: &str, watch: bool) {
        let body = self.body(path, &[u8::from(watch)]);
        self.send(client, op, body);
    }

    /// An operation whose body is a path.
    fn ask(&mut self, client: Client, op: OpCode, path: &str) {
        let body = self.body(path, &[]);
        self.send(client, op, body);
    }

    /// An operation whose body is a path and a number.
    fn numbered(&mut self, client: Client, op: OpCode, path: &str, number: i32) {
        let body = self.body(path, &number.to_be_bytes());
        self.send(client, op, body);
    }

    fn auth(&mut self, client: Client, scheme: &str, given: &[u8]) {
        let request = crate::profile::auth(scheme, Some(given));
        self.pipeline(client, vec![request]);
    }

    fn set_watches(&mut self, client: Client, op: OpCode, zxid: ZxidChoice, lists: &[&[&str]]) {
        let mut body = vec![0; 8];
        for list in lists {
            body.put_count(list.len());
            list.iter().for_each(|path| body.put_ustring(&self.path(path)));
        }
        let request = Request { zxid: Some(zxid), ..Request::new(wire::ops::xid::SET_WATCHES, op, body) };
        self.pipeline(client, vec![request]);
    }

    /// A multi of `(operation, body)` with its terminator.
    fn multi(&mut self, client: Client, ops: &[(OpCode, Vec<u8>)]) {
        let body = multi_body(ops);
        self.send(client, OpCode::Multi, body);
    }
}

fn multi_body(ops: &[(OpCode, Vec<u8>)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (op, sub) in ops {
        MultiHeader { op: op.code(), done: false, err: -1 }.encode(&mut body);
        body.extend_from_slice(sub);
    }
    MultiHeader::END.encode(&mut body);
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_script_has_a_name_and_steps() {
        let all = all();
        assert_eq!(all.len(), NAMES.len());
        assert!(all.iter().all(|plan| plan.steps.len() > 10));
    }
}
