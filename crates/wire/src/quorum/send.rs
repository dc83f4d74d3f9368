//! One encoder per packet that is sent; each appends to `out`. What is the same in all packets of a kind (a zxid of
//! -1, null or empty data) is decided here and nowhere else.

use super::{AuthInfo, LearnerInfo, PROTOCOL_VERSION, Packet, PacketKind, Request, Revalidate};
use crate::jute::Put;

/// Appends a packet with null authinfo whose data `write` appends.
fn packet(out: &mut Vec<u8>, kind: PacketKind, zxid: i64, write: impl FnOnce(&mut Vec<u8>)) {
    packet_with_auth(out, kind, zxid, AuthInfo::NULL, write);
}

fn packet_with_auth(
    out: &mut Vec<u8>,
    kind: PacketKind,
    zxid: i64,
    auth: AuthInfo<'_>,
    write: impl FnOnce(&mut Vec<u8>),
) {
    out.put_i32(kind.code());
    out.put_i64(zxid);
    out.put_i32(0);
    let start = out.len();
    write(out);
    let length =
        i32::try_from(out.len() - start).expect("the data of a packet is bounded by the frame limits");
    out.patch_i32(start - 4, length);
    out.extend_from_slice(auth.encoded());
}

fn bare(out: &mut Vec<u8>, kind: PacketKind, zxid: i64) {
    Packet::new(kind, zxid, None).encode(out);
}

/// The first zxid of an epoch, which no transaction has.
fn epoch_zxid(epoch: i32) -> i64 {
    i64::from(epoch) << 32
}

/// Follower to master.
pub fn follower_info(out: &mut Vec<u8>, accepted_epoch: i32, info: &LearnerInfo) {
    packet(out, PacketKind::FollowerInfo, epoch_zxid(accepted_epoch), |out| info.encode(out));
}

/// Observer to master.
pub fn observer_info(out: &mut Vec<u8>, accepted_epoch: i32, info: &LearnerInfo) {
    packet(out, PacketKind::ObserverInfo, epoch_zxid(accepted_epoch), |out| info.encode(out));
}

pub fn leader_info(out: &mut Vec<u8>, new_epoch: i32) {
    packet(out, PacketKind::LeaderInfo, epoch_zxid(new_epoch), |out| out.put_i32(PROTOCOL_VERSION));
}

/// `current_epoch`: `None` if the new epoch had been accepted before, so that this answer counts in no quorum twice.
pub fn ack_epoch(out: &mut Vec<u8>, current_epoch: Option<i32>, last_zxid: i64) {
    packet(out, PacketKind::AckEpoch, last_zxid, |out| out.put_i32(current_epoch.unwrap_or(-1)));
}

pub fn diff(out: &mut Vec<u8>, zxid: i64) {
    bare(out, PacketKind::Diff, zxid);
}

/// `zxid` is the last one to keep.
pub fn trunc(out: &mut Vec<u8>, zxid: i64) {
    bare(out, PacketKind::Trunc, zxid);
}

/// The dump and [`SNAP_SIGNATURE`](super::SNAP_SIGNATURE) must follow.
pub fn snap(out: &mut Vec<u8>, zxid: i64) {
    bare(out, PacketKind::Snap, zxid);
}

/// `config`: text of the leader's last-seen config; `None` for learners before protocol version 0x10000.
pub fn new_leader(out: &mut Vec<u8>, epoch: i32, config: Option<&str>) {
    Packet::new(PacketKind::NewLeader, epoch_zxid(epoch), config.map(str::as_bytes)).encode(out);
}

pub fn up_to_date(out: &mut Vec<u8>) {
    bare(out, PacketKind::UpToDate, -1);
}

/// Of a transaction, or of NEWLEADER and UPTODATE by the first zxid of the epoch.
#[inline]
pub fn ack(out: &mut Vec<u8>, zxid: i64) {
    bare(out, PacketKind::Ack, zxid);
}

#[inline]
pub fn commit(out: &mut Vec<u8>, zxid: i64) {
    bare(out, PacketKind::Commit, zxid);
}

/// `txn`: header, record and digest, as in the log.
#[inline]
pub fn proposal(out: &mut Vec<u8>, zxid: i64, txn: &[u8]) {
    Packet::new(PacketKind::Proposal, zxid, Some(txn)).encode(out);
}

/// As [`proposal`], to an observer once committed.
#[inline]
pub fn inform(out: &mut Vec<u8>, zxid: i64, txn: &[u8]) {
    Packet::new(PacketKind::Inform, zxid, Some(txn)).encode(out);
}

/// `leader`: sid of the leader designated by the reconfiguration.
pub fn commit_and_activate(out: &mut Vec<u8>, zxid: i64, leader: i64) {
    packet(out, PacketKind::CommitAndActivate, zxid, |out| out.put_i64(leader));
}

/// As [`commit_and_activate`], to an observer, with the transaction.
pub fn inform_and_activate(out: &mut Vec<u8>, zxid: i64, leader: i64, txn: &[u8]) {
    packet(out, PacketKind::InformAndActivate, zxid, |out| {
        out.put_i64(leader);
        out.extend_from_slice(txn);
    });
}

/// The master's PING.
pub fn ping(out: &mut Vec<u8>, last_proposed: i64) {
    bare(out, PacketKind::Ping, last_proposed);
}

/// A learner's answer: the master's zxid and the sessions (id, timeout in ms) touched since the last answer. The data
/// is empty, never null, when there are none: Apache's leader fails on null.
pub fn ping_reply(out: &mut Vec<u8>, zxid: i64, touches: impl IntoIterator<Item = (i64, i32)>) {
    packet(out, PacketKind::Ping, zxid, |out| {
        for (session_id, timeout_ms) in touches {
            out.put_i64(session_id);
            out.put_i32(timeout_ms);
        }
    });
}

pub fn revalidate(out: &mut Vec<u8>, asked: &Revalidate) {
    packet(out, PacketKind::Revalidate, -1, |out| {
        out.put_i64(asked.session_id);
        out.put_i32(asked.timeout_ms);
    });
}

/// `zxid` is the question's.
pub fn revalidated(out: &mut Vec<u8>, zxid: i64, session_id: i64, valid: bool) {
    packet(out, PacketKind::Revalidate, zxid, |out| {
        out.put_i64(session_id);
        out.put_bool(valid);
    });
}

/// The master's word that the learner's oldest sync is done.
pub fn sync(out: &mut Vec<u8>) {
    bare(out, PacketKind::Sync, 0);
}

/// `auth`: not null, though it may be empty, for a client's request; null for createSession and closeSession.
#[inline]
pub fn request(out: &mut Vec<u8>, request: &Request<'_>, auth: AuthInfo<'_>) {
    packet_with_auth(out, PacketKind::Request, -1, auth, |out| request.encode(out));
}
