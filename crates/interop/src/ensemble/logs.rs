//! The transaction logs and snapshots of a member's folder.
use super::txn::{self, Record};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

const LOG_HEADER: usize = 16;
const END_OF_RECORD: u8 = 0x42;
/// The end of a checksum section: the int 1 and the byte `/`.
const SEAL: [u8; 5] = [0, 0, 0, 1, b'/'];

/// All records of a folder's logs, in the order of files and places; where a file ends early, the next goes on.
pub fn records(version_2: &Path) -> Result<Vec<Record>> {
    Ok(by_file(version_2)?.into_iter().flat_map(|(_, records)| records).collect())
}

/// The same, file by file.
pub fn by_file(version_2: &Path) -> Result<Vec<(PathBuf, Vec<Record>)>> {
    let read = |path: PathBuf| {
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut records = Vec::new();
        records_of(&bytes, &mut records).with_context(|| format!("in {}", path.display()))?;
        Ok((path, records))
    };
    log_files(version_2)?.into_iter().map(read).collect()
}

/// The log files of a folder in the order of their zxids.
pub fn log_files(version_2: &Path) -> Result<Vec<PathBuf>> {
    files(version_2, "log.")
}

fn records_of(bytes: &[u8], all: &mut Vec<Record>) -> Result<()> {
    let mut place = LOG_HEADER;
    while let Some(header) = bytes.get(place..place + 12) {
        let length = i32::from_be_bytes(header[8..].try_into()?);
        let length = usize::try_from(length).context("a negative record length")?;
        let Some(payload) = bytes.get(place + 12..place + 12 + length) else { break };
        // Zeros are space for later; a record without its end mark was under way when the server was killed.
        if length == 0 || bytes.get(place + 12 + length) != Some(&END_OF_RECORD) {
            break;
        }
        let sum = i64::from_be_bytes(header[..8].try_into()?);
        ensure!(sum == i64::from(simd_adler32::adler32(&payload)), "the checksum at byte {place} is wrong");
        all.push(txn::parse(payload)?);
        place += 12 + length + 1;
    }
    Ok(())
}

/// The digest that a snapshot holds.
#[derive(Clone, Debug)]
pub struct SnapshotDigest {
    pub file: PathBuf,
    pub zxid: i64,
    pub digest: u64,
}

/// The digests of all whole snapshots of a folder.
pub fn snapshot_digests(version_2: &Path) -> Result<Vec<SnapshotDigest>> {
    let mut all = Vec::new();
    for file in files(version_2, "snapshot.")? {
        let bytes = std::fs::read(&file)?;
        let found = digest_section(&bytes);
        all.extend(found.map(|(zxid, digest)| SnapshotDigest { file, zxid, digest }));
    }
    Ok(all)
}

/// Zxid and digest, found from the end: behind the znodes come a digest (20 bytes), the last zxid (8), each with
/// a seal of 13 bytes, or only the former.
fn digest_section(bytes: &[u8]) -> Option<(i64, u64)> {
    let sealed_at = |behind: usize| {
        let end = bytes.len().checked_sub(behind)?;
        (bytes.get(end.checked_sub(5)?..end)? == SEAL).then_some(end)
    };
    sealed_at(0)?;
    let start = match (sealed_at(54), sealed_at(21), sealed_at(33)) {
        (Some(start), Some(_), _) | (_, _, Some(start)) => start,
        _ => return None,
    };
    let long = |at: usize| Some(i64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    Some((long(start)?, long(start + 12)? as u64))
}

/// The files `PREFIX<hex zxid>…` of a folder in the order of their zxids.
fn files(version_2: &Path, prefix: &str) -> Result<Vec<PathBuf>> {
    if !version_2.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in
        std::fs::read_dir(version_2).with_context(|| format!("cannot list {}", version_2.display()))?
    {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let number = name.strip_prefix(prefix).map(|rest| i64::from_str_radix(rest, 16));
        if let Some(Ok(zxid)) = number {
            found.push((zxid, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Writer;

    fn record(zxid: i64) -> Vec<u8> {
        let payload = Writer::default().long(1).int(1).long(zxid).long(0).int(-1).int(-101).bytes;
        let sum = i64::from(simd_adler32::adler32(&payload.as_slice()));
        let mut out = Writer::default().long(sum).buffer(Some(&payload)).bytes;
        out.push(END_OF_RECORD);
        out
    }

    #[test]
    fn a_log_ends_at_zeros_or_at_a_torn_record() {
        let header = vec![0; LOG_HEADER];
        let whole = [header.clone(), record(1), record(2), vec![0; 50]].concat();
        let torn = [header.clone(), record(1), record(2)[..20].to_vec()].concat();
        for (bytes, expected) in [(whole, 2), (torn, 1), (header, 0)] {
            let mut all = Vec::new();
            records_of(&bytes, &mut all).unwrap();
            assert_eq!(all.len(), expected);
        }
    }

    #[test]
    fn a_digest_is_found_with_and_without_the_last_zxid() {
        let seal = |out: Writer| out.long(5).string("/");
        let digest = seal(seal(Writer::default().raw(b"znodes")).long(77).int(2).long(99));
        assert_eq!(digest_section(&digest.bytes), Some((77, 99)));
        assert_eq!(digest_section(&seal(digest.long(78)).bytes), Some((77, 99)));
        assert_eq!(digest_section(&seal(Writer::default().raw(b"znodes")).bytes), None);
    }
}
