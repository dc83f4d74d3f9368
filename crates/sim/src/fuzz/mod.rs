//! The bodies of the fuzz targets: each takes any bytes and must neither panic nor ask for much memory.
//!
//! `fuzz/` runs them under a coverage-guided fuzzer; the tests of this crate run them over mutated samples, so that
//! every build tries some.

mod connection;
mod ensemble;

pub use connection::connection;
pub use ensemble::{learner_info, notification, packets};

use crate::disk::Image;
use crate::run::recover_options;
use crate::{Rng, SimDisk};
use journal::{Dir, recover};
use wire::jute::Put;
use wire::multi::MultiOps;
use wire::request::{
    AuthPacket, ConnectRequest, CreateRequest, ReadRequest, ReconfigRequest, RequestHeader, SetAclRequest,
    SetDataRequest, SetWatchesRequest, VersionedPath, WatchRequest,
};
use wire::{DecodeError, OpCode, Reader, file, frame};

/// A target's name and body.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 9] = [
    ("frames", frames),
    ("requests", requests),
    ("connection", connection),
    ("log", log),
    ("snapshot", snapshot),
    ("config", config),
    ("notification", notification),
    ("packets", packets),
    ("learner_info", learner_info),
];

/// A stream of frames: what is split off is never longer than allowed, and all bytes are used in order.
pub fn frames(bytes: &[u8]) {
    let mut rest = bytes;
    while let Ok(Some((payload, used))) = frame::split(rest, 1 << 16) {
        assert!(payload.len() <= 1 << 16 && used == payload.len() + 4);
        rest = &rest[used..];
    }
}

/// A handshake, and a request with any header.
pub fn requests(bytes: &[u8]) {
    if let Ok(connect) = ConnectRequest::decode(bytes) {
        let mut again = Vec::new();
        connect.encode(&mut again);
        assert_eq!(ConnectRequest::decode(&again).as_ref(), Ok(&connect));
    }
    let mut r = Reader::new(bytes);
    let Ok(header) = RequestHeader::decode(&mut r) else { return };
    // Nothing but the absence of panics is asked of a refusal.
    let _refused = OpCode::from_code(header.op).map(|op| request(op, r));
}

fn request(op: OpCode, mut r: Reader<'_>) -> Result<(), DecodeError> {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer => {
            CreateRequest::decode(&mut r, false)?.acl.to_vec();
        }
        OpCode::CreateTtl => {
            CreateRequest::decode(&mut r, true)?.acl.to_vec();
        }
        OpCode::Delete | OpCode::DeleteContainer | OpCode::Check => {
            VersionedPath::decode(&mut r)?;
        }
        OpCode::SetData => {
            SetDataRequest::decode(&mut r)?;
        }
        OpCode::SetAcl => {
            SetAclRequest::decode(&mut r)?.acl.to_vec();
        }
        OpCode::Exists | OpCode::GetData | OpCode::GetChildren | OpCode::GetChildren2 => {
            ReadRequest::decode(&mut r)?;
        }
        OpCode::CheckWatches | OpCode::RemoveWatches | OpCode::AddWatch => {
            WatchRequest::decode(&mut r)?;
        }
        OpCode::Multi | OpCode::MultiRead => {
            for part in MultiOps::new(r) {
                part?;
            }
        }
        OpCode::SetWatches => {
            SetWatchesRequest::decode(&mut r, false)?;
        }
        OpCode::SetWatches2 => {
            SetWatchesRequest::decode(&mut r, true)?;
        }
        OpCode::Auth => {
            AuthPacket::decode(&mut r)?;
        }
        OpCode::Reconfig => {
            ReconfigRequest::decode(&mut r)?;
        }
        OpCode::GetAcl | OpCode::Sync | OpCode::GetEphemerals | OpCode::GetAllChildrenNumber => {
            r.ustring()?;
        }
        OpCode::Sasl => {
            r.buffer()?;
        }
        OpCode::Notification
        | OpCode::Ping
        | OpCode::WhoAmI
        | OpCode::CreateSession
        | OpCode::CloseSession
        | OpCode::Error => {}
    }
    Ok(())
}

/// What recovery finds must be found again, with nothing left to repair.
fn recover_twice(image: Image) {
    let disk = SimDisk::from_image(image);
    let Ok(first) = recover(&disk, &recover_options()) else { return };
    assert_eq!(first.tree.digest(), first.tree.recompute_digest());
    let cut = disk.image().power_cut(&mut Rng::new(1), false);
    let second = recover(&SimDisk::from_image(cut), &recover_options())
        .expect("what was recovered once can be recovered again");
    assert_eq!(first.tree.last_zxid(), second.tree.last_zxid());
    assert_eq!(first.tree.digest(), second.tree.digest());
    assert!(second.report.repaired.is_empty());
}

/// A folder with the snapshot of a new database and nothing else.
fn new_database() -> Image {
    let mut image = SimDisk::new(true).image();
    image.put(Dir::Snapshot, "snapshot.0", &sealed(&fresh_nodes()));
    image
}

/// A log file. An odd first byte: the rest is payloads with a length of two bytes each, which get right checksums and
/// zxids, so that what is behind those is reached too.
pub fn log(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let mut image = new_database();
    if kind % 2 == 0 {
        image.put(Dir::Log, "log.1", rest);
        return recover_twice(image);
    }
    let mut out = Vec::new();
    file::FileHeader::LOG.encode(&mut out);
    let mut rest = rest;
    let mut zxid = 1i64;
    while let Some((length, more)) = rest.split_first_chunk::<2>() {
        let n = (usize::from(u16::from_be_bytes(*length)) % 400).min(more.len());
        let start = file::begin_record(&mut out);
        out.extend_from_slice(&more[..n]);
        if n >= 32 {
            out[start + 24..start + 32].copy_from_slice(&zxid.to_be_bytes());
            zxid += 1;
        }
        file::finish_record(&mut out, start);
        rest = &more[n..];
    }
    image.put(Dir::Log, "log.1", &out);
    recover_twice(image);
}

/// A snapshot. The first byte chooses the packing, and whether the rest is the file or what the file is packed from
/// (an even number of halves: with a right seal behind it).
pub fn snapshot(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let name = ["snapshot.7", "snapshot.7.gz", "snapshot.7.snappy"][usize::from(kind % 3)];
    let plain = if kind & 0x40 == 0 { rest.to_vec() } else { sealed(rest) };
    let file = if kind & 0x80 == 0 { plain } else { pack(usize::from(kind % 3), &plain) };
    let mut image = SimDisk::new(true).image();
    image.put(Dir::Snapshot, name, &file);
    recover_twice(image);
}

fn pack(packing: usize, plain: &[u8]) -> Vec<u8> {
    use std::io::Write;
    match packing {
        1 => {
            let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gz.write_all(plain).and_then(|()| gz.finish()).expect("memory can be written")
        }
        2 => {
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for block in plain.chunks(32 << 10) {
                let packed = snap::raw::Encoder::new().compress_vec(block).expect("a block is small");
                out.put_buffer(Some(&packed));
            }
            out
        }
        _ => plain.to_vec(),
    }
}

/// `tables` (sessions, access lists, znodes) between a header and a right seal.
pub fn sealed(tables: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    file::FileHeader::SNAPSHOT.encode(&mut out);
    out.extend_from_slice(tables);
    out.put_ustring("/");
    let checksum = simd_adler32::adler32(&out.as_slice());
    out.put_i64(i64::from(checksum));
    out.put_ustring("/");
    out
}

/// No sessions, no lists, and the root.
pub fn fresh_nodes() -> Vec<u8> {
    let mut out = vec![0; 8];
    out.put_ustring("");
    out.put_buffer(Some(b""));
    out.put_i64(-1);
    out.extend_from_slice(&[0; 60]);
    out
}

/// A configuration file, with whatever files it names missing.
pub fn config(bytes: &[u8]) {
    if let Err(refused) = config::parse_untrusted(bytes) {
        assert!(refused.errors().next().is_some(), "a refusal says why");
    }
}
