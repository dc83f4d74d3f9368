//! A client that sends anything: through the handshake, then bytes or requests with any bodies.
//!
//! Whatever it sends, the server goes on, its tree keeps its digest, and its log can be read back to the same tree.

use crate::run::recover_options;
use crate::world::Outbox;
use crate::{SimDisk, world::Delivery};
use journal::{Dir, LogOptions, LogWriter, recover};
use node::{Conn, ConnContext, Inflight, Node, Now, Progress, Settings, Submission, Watches};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use tree::Tree;
use wire::request::{ConnectRequest, RequestHeader};
use wire::{OpCode, frame};

const CONN: u64 = 1;

struct Server {
    settings: Arc<Settings>,
    node: Node,
    tree: Tree,
    watches: Watches,
    inflight: Inflight,
    conn: Conn,
    log: LogWriter<SimDisk>,
    now: Now,
}

/// The first byte chooses: even, raw bytes after the handshake; odd, requests (an operation, two bytes of length, a
/// body each) that get their frames and headers.
pub fn connection(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let mut server = Server::new();
    server.feed(&handshake());
    if kind % 2 == 0 {
        server.feed(rest);
    } else {
        server.feed(&requests(rest));
    }
    server.check();
}

fn handshake() -> Vec<u8> {
    let mut out = Vec::new();
    let start = frame::begin(&mut out);
    let request = ConnectRequest {
        protocol_version: 0,
        last_zxid_seen: 0,
        timeout_ms: 10_000,
        session_id: 0,
        password: None,
        read_only: None,
    };
    request.encode(&mut out);
    frame::finish(&mut out, start);
    out
}

fn requests(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = bytes;
    let mut xid = 1;
    while let Some(([op, high, low], more)) = rest.split_first_chunk::<3>() {
        let n = usize::from(u16::from_be_bytes([*high, *low])).min(more.len());
        let op = OpCode::ALL[usize::from(*op) % OpCode::ALL.len()];
        let start = frame::begin(&mut out);
        RequestHeader { xid, op: op.code() }.encode(&mut out);
        out.extend_from_slice(&more[..n]);
        frame::finish(&mut out, start);
        rest = &more[n..];
        xid += 1;
    }
    out
}

impl Server {
    fn new() -> Server {
        let mut image = SimDisk::new(true).image();
        image.put(Dir::Snapshot, "snapshot.0", &super::sealed(&super::fresh_nodes()));
        let disk = SimDisk::from_image(image);
        let options = recover_options();
        let tree = recover(&disk, &options).expect("an empty database can be read").tree;
        let settings = Arc::new(Settings { owners: options.rules.owners, ..Settings::default() });
        let now = Now { mono_ms: 1000, wall_ms: 1_800_000_000_000 };
        Server {
            node: Node::alone(settings.clone(), &tree, now, 1),
            settings,
            tree,
            watches: Watches::new(1),
            inflight: Inflight::default(),
            conn: Conn::new(CONN, IpAddr::V4(Ipv4Addr::LOCALHOST)),
            log: LogWriter::new(disk, LogOptions { prealloc_bytes: 4096, ..LogOptions::default() }),
            now,
        }
    }

    /// Bytes in, and everything that follows from them.
    fn feed(&mut self, bytes: &[u8]) {
        let mut fresh = bytes;
        loop {
            let mut submission = Submission::default();
            let mut cx = ConnContext {
                tree: &self.tree,
                watches: &self.watches,
                settings: &self.settings,
                inflight: &self.inflight,
                now_ms: self.now.mono_ms,
                submission: &mut submission,
            };
            let progress = self.conn.handle(fresh, &mut cx);
            fresh = &[];
            self.conn.outgoing().clear();
            let idle = submission.requests.is_empty();
            self.serve(&submission);
            if idle && progress != Progress::More {
                return;
            }
        }
    }

    fn serve(&mut self, submission: &Submission) {
        let mut out = Outbox::default();
        self.node.submit(&self.tree, self.now, submission, &mut out);
        while let Some(batch) = self.node.take_batch() {
            self.log.append(batch.first_zxid(), &batch.bytes).expect("the disk is healthy");
            self.log.sync().expect("the disk is healthy");
            self.node.durable(batch.last_zxid());
            while self.node.commit(&mut self.tree, &self.watches, self.now, 1000, &mut out) {}
        }
        for (_, delivery) in out.0 {
            match delivery {
                Delivery::Event(frame) => self.conn.on_event(&frame),
                Delivery::Reply(frame, latency_ms) => self.conn.on_reply(&frame, latency_ms, &self.inflight),
                Delivery::Welcome(frame, session) => {
                    self.conn.on_welcome(&frame, session, self.tree.last_zxid())
                }
                Delivery::Close(frame) => self.conn.on_close(Some(&frame)),
                Delivery::CloseAll => self.conn.on_close(None),
            }
        }
    }

    fn check(self) {
        assert_eq!(self.tree.digest(), self.tree.recompute_digest());
        assert_eq!(self.tree.digest_mismatches(), 0);
        assert!(self.node.is_idle(), "everything was answered");
        let back = recover(self.log.storage(), &recover_options())
            .expect("the log of whatever a client sends can be read back");
        assert_eq!(back.tree.last_zxid(), self.tree.last_zxid());
        assert_eq!(back.tree.digest(), self.tree.digest());
        assert_eq!(back.tree.sessions(), self.tree.sessions());
        assert_eq!(back.tree.len(), self.tree.len());
    }
}
