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

/// Starts a log record in `out`; the payload (a `TxnRecord`) follows, then [`finish_record`].
pub fn begin_record(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 12]);
    out.len() - 12
}

/// Fills in checksum and length of the record that [`begin_record`] started at `start`, and closes it.
pub fn finish_record(out: &mut Vec<u8>, start: usize) {
    let payload = &out[start + 12..];
    let checksum = simd_adler32::adler32(&payload);
    let length = i32::try_from(payload.len()).expect("a transaction fits in 31 bits: it is bounded before");
    out[start..start + 8].copy_from_slice(&i64::from(checksum).to_be_bytes());
    out[start + 8..start + 12].copy_from_slice(&length.to_be_bytes());
    out.push(RECORD_TRAILER);
}

/// What stands at a position of a log file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordAt<'a> {
    /// A record, and how many bytes it takes.
    Whole { payload: &'a [u8], used: usize },
    /// A length of zero: the end of what was written.
    End,
    /// More bytes are needed to tell: at least this many in all.
    Needs(usize),
    /// The trailer is missing, as after a write that was cut short; `used` is the length it claims.
    NoTrailer { used: usize },
    /// The checksum does not fit; `used` is the length it claims.
    BadChecksum { used: usize },
    /// A length that no record has.
    BadLength(i32),
}

/// Looks at the record that starts at the beginning of `bytes`. `limit` bounds the payload.
pub fn read_record(bytes: &[u8], limit: usize) -> RecordAt<'_> {
    let Some((head, rest)) = bytes.split_first_chunk::<12>() else { return RecordAt::Needs(12) };
    let mut r = Reader::new(head);
    let (Ok(checksum), Ok(length)) = (r.i64(), r.i32()) else { return RecordAt::Needs(12) };
    if length == 0 {
        return RecordAt::End;
    }
    let n = match usize::try_from(length) {
        Ok(n) if n <= limit => n,
        _ => return RecordAt::BadLength(length),
    };
    let used = RECORD_OVERHEAD_BYTES + n;
    match (rest.get(..n), rest.get(n)) {
        (Some(_), Some(&trailer)) if trailer != RECORD_TRAILER => RecordAt::NoTrailer { used },
        (Some(payload), Some(_)) if i64::from(simd_adler32::adler32(&payload)) == checksum => {
            RecordAt::Whole { payload, used }
        }
        (Some(_), Some(_)) => RecordAt::BadChecksum { used },
        _ => RecordAt::Needs(used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Captured from Apache ZooKeeper (quorum-and-disk §10): the first record of a log.
    #[test]
    fn a_captured_record() {
        let mut file = Vec::new();
        let start = begin_record(&mut file);
        file.put_i64(0x0100_000e_db32_0000);
        file.put_i32(0);
        file.put_i64(1);
        file.put_i64(0x0000_01a1_f796_ae93);
        file.put_i32(-10);
        file.put_i32(10000);
        file.put_i32(2);
        file.put_i64(0x51c6_d660);
        finish_record(&mut file, start);
        assert_eq!(&file[..12], [0, 0, 0, 0, 0xd2, 0x38, 0x0b, 0x07, 0, 0, 0, 0x30]);
        assert_eq!(file.last(), Some(&RECORD_TRAILER));
        assert_eq!(read_record(&file, 1 << 20), RecordAt::Whole { payload: &file[12..60], used: 61 });
        assert_eq!(read_record(&file[..60], 1 << 20), RecordAt::Needs(61));
        assert_eq!(read_record(&[0; 64], 1 << 20), RecordAt::End);
        file[20] ^= 1;
        assert_eq!(read_record(&file, 1 << 20), RecordAt::BadChecksum { used: 61 });
        file[60] = 0;
        assert_eq!(read_record(&file, 1 << 20), RecordAt::NoTrailer { used: 61 });
        file[8] = 0x80;
        assert!(matches!(read_record(&file, 1 << 20), RecordAt::BadLength(_)));
    }
}
