//! What servers say to each other is true: nobody acknowledges what he has not got on his disk, nobody promises what
//! he may forget.

use super::{Broken, Truth};
use wire::quorum::{Packet, PacketKind};

/// A learner is about to send this to its leader.
pub fn from_learner(truth: &Truth, server: usize, packet: &Packet<'_>) -> Result<(), Broken> {
    let replica = &truth.replicas[server];
    let (zxid, epoch) = (packet.zxid, packet.zxid >> 32);
    match packet.kind() {
        Some(PacketKind::Ack) if zxid & 0xffff_ffff == 0 && replica.current_epoch < epoch => {
            return Err(format!(
                "packets: server {} acknowledges epoch {epoch}, but has {} on its disk",
                server + 1,
                replica.current_epoch
            ));
        }
        Some(PacketKind::Ack) if zxid & 0xffff_ffff == 0 => {}
        Some(PacketKind::Ack) => {
            if !replica.has_durably(zxid) {
                return Err(format!(
                    "packets: server {} acknowledges {zxid:#x} without having it on its disk",
                    server + 1
                ));
            }
            if !truth.history.is_proposed(zxid) {
                return Err(format!(
                    "packets: server {} acknowledges {zxid:#x}, which nobody proposed",
                    server + 1
                ));
            }
        }
        Some(PacketKind::AckEpoch) if zxid > replica.durable => {
            return Err(format!(
                "packets: server {} says that its log ends at {zxid:#x}, but {:#x} is on its disk",
                server + 1,
                replica.durable
            ));
        }
        _ => {}
    }
    Ok(())
}

/// A leader is about to send this to a learner.
pub fn from_leader(truth: &Truth, server: usize, packet: &Packet<'_>) -> Result<(), Broken> {
    let replica = &truth.replicas[server];
    let epoch = packet.zxid >> 32;
    match packet.kind() {
        Some(PacketKind::LeaderInfo) if replica.accepted_epoch < epoch => Err(format!(
            "packets: server {} offers epoch {epoch} without having accepted it on its disk",
            server + 1
        )),
        Some(PacketKind::UpToDate) if replica.current_epoch < epoch => {
            Err(format!("packets: server {} says UPTODATE without the epoch on its disk", server + 1))
        }
        Some(PacketKind::Commit) if !truth.history.is_proposed(packet.zxid) && !replica.has(packet.zxid) => {
            Err(format!("packets: server {} commits {:#x}, which nobody proposed", server + 1, packet.zxid))
        }
        _ => Ok(()),
    }
}
