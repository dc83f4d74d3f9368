//! What other servers send: the election port and the quorum port.

use wire::election::{InitialMessage, NOTIFICATION_VERSION, Notification, split_frame};
use wire::jute::Limits;
use wire::quorum::{LearnerInfo, Packet, PacketKind, Request, Revalidate, Touches, max_packet_bytes, parts};
use wire::{DecodeError, Reader};

/// A notification; and a stream of them behind an initial message.
pub fn notification(bytes: &[u8]) {
    one_notification(bytes);
    let Ok(Some((initial, used))) = InitialMessage::decode(bytes) else { return };
    assert!(initial.reachable().count() <= initial.addresses.len());
    let mut again = Vec::new();
    initial.encode(&mut again);
    // V1 writes one address, whatever came.
    if initial.addresses.len() <= 1 {
        assert_eq!(InitialMessage::decode(&again), Ok(Some((initial, again.len()))));
    }
    let mut rest = &bytes[used..];
    while let Ok(Some((payload, used))) = split_frame(rest) {
        one_notification(payload);
        rest = &rest[used..];
    }
}

fn one_notification(payload: &[u8]) {
    let Ok(n) = Notification::decode(payload) else { return };
    assert_eq!(n.config.is_some(), n.version >= NOTIFICATION_VERSION);
    let mut again = Vec::new();
    n.encode(&mut again);
    // The form without config does not keep its version.
    let version = if n.config.is_some() { n.version } else { 0 };
    assert_eq!(Notification::decode(&again), Ok(Notification { version, ..n }));
}

/// A stream of packets: each is the bytes it came from, needs the last of them, and has its data looked at.
pub fn packets(bytes: &[u8]) {
    let limits = Limits { field_bytes: 1 << 16 };
    let mut rest = bytes;
    while let Ok(Some((packet, used))) = Packet::split(rest, limits) {
        assert!(used <= max_packet_bytes(limits));
        assert_eq!(Packet::split(&rest[..used - 1], limits), Ok(None));
        let mut again = Vec::new();
        packet.encode(&mut again);
        assert_eq!(again, rest[..used]);
        let ids = Reader::new(packet.auth.encoded()).i32().expect("a vector has a count").max(0);
        assert_eq!(packet.auth.iter().count(), ids as usize);
        // Nothing but the absence of panics is asked of a refusal.
        let _refused = data(&packet);
        rest = &rest[used..];
    }
}

fn data(packet: &Packet<'_>) -> Result<(), DecodeError> {
    let Some(kind) = packet.kind() else { return Ok(()) };
    let data = packet.required_data()?;
    match kind {
        PacketKind::Request => assert_eq!(Request::decode(data)?.body.len(), data.len() - 16),
        PacketKind::Ping => {
            let touches = Touches::decode(data)?;
            assert_eq!(touches.len(), touches.count());
        }
        PacketKind::Revalidate => {
            Revalidate::decode(data).map(|_| ())?;
            parts::Revalidated::decode(data).map(|_| ())?;
        }
        PacketKind::CommitAndActivate => parts::commit_and_activate(data).map(|_| ())?,
        PacketKind::InformAndActivate => parts::inform_and_activate(data).map(|_| ())?,
        PacketKind::FollowerInfo | PacketKind::ObserverInfo => learner_info(data),
        PacketKind::LeaderInfo => parts::leader_info_version(data).map(|_| ())?,
        PacketKind::AckEpoch => parts::ack_epoch(data).map(|_| ())?,
        PacketKind::Proposal
        | PacketKind::Inform
        | PacketKind::NewLeader
        | PacketKind::Ack
        | PacketKind::Commit
        | PacketKind::Sync
        | PacketKind::UpToDate
        | PacketKind::Diff
        | PacketKind::Trunc
        | PacketKind::Snap => {}
    }
    Ok(())
}

/// Who a learner says it is: what was understood is written and understood again.
pub fn learner_info(bytes: &[u8]) {
    let Ok(info) = LearnerInfo::decode(Some(bytes)) else {
        return assert!(bytes.len() < 8, "any eight bytes are a sid");
    };
    let info = info.expect("the data is not null");
    let mut again = Vec::new();
    info.encode(&mut again);
    assert_eq!(LearnerInfo::decode(Some(&again)), Ok(Some(info)));
}
