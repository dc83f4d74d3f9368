//! The digest of one znode: CRC-32 over path, data and stat (quorum-and-disk §5).
//!
//! The tree's digest is the sum over all znodes, so a change costs two of these. Everything below `/zookeeper/`
//! counts nothing, because servers may differ there.

use wire::data::StatPersisted;

/// The part of a znode's digest that only its path and data decide. Kept with the znode, so that a change of its stat
/// (every create below it is one) does not read the data again.
///
/// `path` spells root as the empty string or as `/`.
pub fn prefix(path: &str, data: Option<&[u8]>) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(if path == "/" { b"" } else { path.as_bytes() });
    crc.update(data.unwrap_or(&[]));
    crc.finalize()
}

/// Whether the znode at `path` counts.
pub fn counts(path: &str) -> bool {
    !path.starts_with("/zookeeper/")
}

/// The digest of a znode that counts: its prefix, continued over the stat.
pub fn with_stat(prefix: u32, stat: &StatPersisted) -> u32 {
    let mut b = [0u8; StatPersisted::ENCODED_BYTES];
    b[0..8].copy_from_slice(&stat.czxid.to_be_bytes());
    b[8..16].copy_from_slice(&stat.mzxid.to_be_bytes());
    b[16..24].copy_from_slice(&stat.pzxid.to_be_bytes());
    b[24..32].copy_from_slice(&stat.ctime.to_be_bytes());
    b[32..40].copy_from_slice(&stat.mtime.to_be_bytes());
    b[40..44].copy_from_slice(&stat.version.to_be_bytes());
    b[44..48].copy_from_slice(&stat.cversion.to_be_bytes());
    b[48..52].copy_from_slice(&stat.aversion.to_be_bytes());
    b[52..60].copy_from_slice(&stat.ephemeral_owner.to_be_bytes());
    let mut crc = crc32fast::Hasher::new_with_initial(prefix);
    crc.update(&b);
    crc.finalize()
}

/// The whole digest of one znode, 0 for one that does not count.
pub fn node(path: &str, data: Option<&[u8]>, stat: &StatPersisted) -> u32 {
    if counts(path) { with_stat(prefix(path, data), stat) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed on Apache ZooKeeper (quorum-and-disk §5, §10).
    #[test]
    fn known_values() {
        let zero = StatPersisted::default();
        assert_eq!(node("/", Some(b""), &zero), 0x0412_8908);
        assert_eq!(node("", Some(b""), &zero), 0x0412_8908);
        assert_eq!(node("/zookeeper", Some(b""), &zero), 0x4db4_4d58);
        assert_eq!(node("/zookeeper/quota", Some(b""), &zero), 0);
        let root = StatPersisted { cversion: 1, pzxid: 2, ..zero };
        assert_eq!(node("/", Some(b""), &root), 0x0315_78f2);
        let time = 0x0000_01a1_f796_aebd;
        let a = StatPersisted { czxid: 2, mzxid: 2, pzxid: 2, ctime: time, mtime: time, ..zero };
        assert_eq!(node("/a", Some(b"hi"), &a), 0xee73_566a);
    }
}
