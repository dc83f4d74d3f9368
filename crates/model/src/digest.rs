//! The digest of one znode, bit by bit (quorum-and-disk §5).

use crate::Node;

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    !crc
}

/// Znodes below `/zookeeper` count nothing, because servers may differ there.
pub(crate) fn of(path: &str, node: &Node) -> u64 {
    if path.starts_with("/zookeeper/") {
        return 0;
    }
    let s = &node.stat;
    let mut bytes = if path == "/" { Vec::new() } else { path.as_bytes().to_vec() };
    bytes.extend(node.data.iter().flatten());
    for long in [s.czxid, s.mzxid, s.pzxid, s.ctime, s.mtime] {
        bytes.extend(long.to_be_bytes());
    }
    for int in [s.version, s.cversion, s.aversion] {
        bytes.extend(int.to_be_bytes());
    }
    bytes.extend(s.ephemeral_owner.to_be_bytes());
    u64::from(crc32(&bytes))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_check_value_of_crc_32() {
        assert_eq!(super::crc32(b"123456789"), 0xcbf4_3926);
    }
}
