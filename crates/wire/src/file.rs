//! The fixed parts of log and snapshot files: headers, record framing, seals (quorum-and-disk §3, §4).

use crate::jute::{DecodeError, Put, Reader};

/// `ZKLG`, first four bytes of a log file.
pub const LOG_MAGIC: i32 = 0x5a4b_4c47;
/// `ZKSN`, first four bytes of an uncompressed snapshot.
pub const SNAPSHOT_MAGIC: i32 = 0x5a4b_534e;
/// Both formats have had this version since the beginning.
pub const FORMAT_VERSION: i32 = 2;
/// The byte behind every log record: a partial record lacks it.
pub const RECORD_TRAILER: u8 = 0x42;
/// Bytes of a log record that are not payload: checksum, length, trailer.
pub const RECORD_OVERHEAD_BYTES: usize = 8 + 4 + 1;

/// 16 bytes at the start of both kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileHeader {
    pub magic: i32,
    pub version: i32,
    pub dbid: i64,
}

impl FileHeader {
    pub const ENCODED_BYTES: usize = 16;
    pub const LOG: FileHeader = FileHeader { magic: LOG_MAGIC, version: FORMAT_VERSION, dbid: 0 };
    pub const SNAPSHOT: FileHeader = FileHeader { magic: SNAPSHOT_MAGIC, version: FORMAT_VERSION, dbid: -1 };

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.magic);
        out.put_i32(self.version);
        out.put_i64(self.dbid);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(FileHeader { magic: r.i32()?, version: r.i32()?, dbid: r.i64()? })
    }
}
