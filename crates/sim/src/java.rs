//! Reads a folder as Apache ZooKeeper 3.9.5 does (quorum-and-disk §3.7, §4.4), refusing what it refuses.
//!
//! It shares nothing with crate `journal`: what that crate leaves behind must be readable by other eyes.

use crate::disk::Image;
use journal::Dir;
use model::{Model, Node};
use std::io::Read;
use wire::Reader;
use wire::data::{AclList, OPEN_ACL, OwnerRules, StatPersisted};
use wire::jute::{DecodeError, Limits};
use wire::txn::{TxnDigest, TxnRecord};

fn zxid_of(name: &str, prefix: &str) -> Option<i64> {
    let mut parts = name.split('.');
    (parts.next() == Some(prefix)).then_some(())?;
    i64::from_str_radix(parts.next()?, 16).ok()
}

/// Where Java would start, or why it would not.
pub fn start(disk: &Image, owners: OwnerRules) -> Result<Model, String> {
    let mut model = newest_snapshot(disk, owners)?;
    let mut logs: Vec<(i64, String, usize)> = disk
        .list(Dir::Log)
        .into_iter()
        .filter_map(|(name, bytes)| Some((zxid_of(&name, "log")?, name, bytes)))
        .collect();
    logs.sort();
    let next = model.last_zxid + 1;
    let first = logs.iter().rposition(|(zxid, ..)| *zxid < next).unwrap_or(0);
    let last = logs.len();
    for (i, (_, name, bytes)) in logs.iter().enumerate().skip(first) {
        if *bytes == 0 && i + 1 == last {
            continue;
        }
        let file = disk.read(Dir::Log, name).ok_or("a listed file cannot be read")?;
        replay(file, &mut model).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(model)
}

fn replay(file: &[u8], model: &mut Model) -> Result<(), String> {
    if file.len() < 16 || &file[..4] != b"ZKLG" {
        return Err("bad header".into());
    }
    let mut rest = &file[16..];
    while rest.len() >= 12 {
        let mut head = Reader::new(rest);
        let (sum, length) = (head.i64().map_err(text)?, head.i32().map_err(text)?);
        if length == 0 {
            return Ok(());
        }
        if !(0..=2 * 0xf_ffff).contains(&length) {
            return Err(format!("unreasonable length {length}"));
        }
        let n = length as usize;
        let (Some(payload), Some(trailer)) = (rest.get(12..12 + n), rest.get(12 + n)) else { return Ok(()) };
        if *trailer != 0x42 {
            return Ok(());
        }
        if i64::from(simd_adler32::adler32(&payload)) != sum {
            return Err("checksum".into());
        }
        record(payload, model)?;
        rest = &rest[13 + n..];
    }
    Ok(())
}

fn record(payload: &[u8], model: &mut Model) -> Result<(), String> {
    let record = TxnRecord::decode(payload, Limits::default()).map_err(text)?;
    let zxid = record.header.zxid;
    if zxid <= model.last_zxid {
        return Ok(());
    }
    let first_of_epoch = zxid >> 32 > model.last_zxid >> 32 && zxid & 0xffff_ffff == 1;
    if zxid != model.last_zxid + 1 && !first_of_epoch {
        return Err(format!("a hole between {:#x} and {zxid:#x}", model.last_zxid));
    }
    model.apply(&record);
    Ok(())
}

fn text(e: DecodeError) -> String {
    e.to_string()
}

fn newest_snapshot(disk: &Image, owners: OwnerRules) -> Result<Model, String> {
    let mut names: Vec<(i64, String)> = disk
        .list(Dir::Snapshot)
        .into_iter()
        .filter_map(|(name, _)| Some((zxid_of(&name, "snapshot")?, name)))
        .collect();
    names.sort();
    for (zxid, name) in names.iter().rev() {
        let file = disk.read(Dir::Snapshot, name).ok_or("a listed file cannot be read")?;
        let Some(bytes) = unpack(name, file) else { continue };
        if let Ok(mut model) = snapshot(&bytes, owners) {
            model.last_zxid = *zxid;
            return Ok(model);
        }
    }
    if names.is_empty() && disk.list(Dir::Log).iter().all(|(name, _)| zxid_of(name, "log").is_none()) {
        return Ok(Model::new(owners));
    }
    Err("no snapshot can be read".into())
}

fn unpack(name: &str, file: &[u8]) -> Option<Vec<u8>> {
    if name.ends_with(".gz") {
        let mut out = Vec::new();
        flate2::read::GzDecoder::new(file).read_to_end(&mut out).ok()?;
        return Some(out);
    }
    if !name.ends_with(".snappy") {
        return file.ends_with(&[0, 0, 0, 1, b'/']).then(|| file.to_vec());
    }
    let mut rest = file.strip_prefix(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01")?;
    let mut out = Vec::new();
    while let Some((length, more)) = rest.split_first_chunk::<4>() {
        let n = u32::from_be_bytes(*length) as usize;
        out.extend(snap::raw::Decoder::new().decompress_vec(more.get(..n)?).ok()?);
        rest = &more[n..];
    }
    Some(out)
}

fn snapshot(bytes: &[u8], owners: OwnerRules) -> Result<Model, DecodeError> {
    let mut model = Model::new(owners);
    model.nodes.clear();
    let mut r = Reader::new(bytes);
    if r.bytes(16)? != b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff" {
        return Err(DecodeError::UnexpectedNull);
    }
    for _ in 0..r.i32()? {
        model.sessions.insert(r.i64()?, r.i32()?);
    }
    let mut acls = std::collections::BTreeMap::from([(-1, OPEN_ACL)]);
    for _ in 0..r.i32()? {
        acls.insert(r.i64()?, AclList::decode(&mut r)?.encoded());
    }
    loop {
        let path = r.required_ustring()?;
        if path == "/" {
            break;
        }
        let data = r.buffer()?.map(<[u8]>::to_vec);
        let acl = acls.get(&r.i64()?).ok_or(DecodeError::UnexpectedNull)?.to_vec();
        let node = Node { data, acl, stat: StatPersisted::decode(&mut r)? };
        model.nodes.insert(if path.is_empty() { "/".into() } else { path.into_owned() }, node);
    }
    seal(bytes, &mut r)?;
    if !r.is_empty() {
        r.bytes(8 + TxnDigest::ENCODED_BYTES)?;
        seal(bytes, &mut r)?;
    }
    if !r.is_empty() {
        r.i64()?;
        seal(bytes, &mut r)?;
    }
    Ok(model)
}

fn seal(all: &[u8], r: &mut Reader<'_>) -> Result<(), DecodeError> {
    let before = &all[..all.len() - r.rest().len()];
    if r.i64()? != i64::from(simd_adler32::adler32(&before)) || r.required_ustring()? != "/" {
        return Err(DecodeError::UnexpectedNull);
    }
    Ok(())
}
