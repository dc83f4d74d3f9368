//! Durable marks: how a torn tail is told from damage (docs/decisions/0004-durable-marks.md).
//!
//! The first record behind each sync carries, behind its digest where every release ignores it, the position
//! up to which the file was durable by then. A record that is not whole and stands before such a position was whole
//! once. The mark has the shape of a `TxnDigest` of an unknown version, so that even a record without a digest is
//! read by Java as one whose digest cannot be compared.

use wire::OpCode;
use wire::file::{self, RECORD_OVERHEAD_BYTES};
use wire::jute::Limits;
use wire::txn::{TxnHeader, TxnRecord};

const VERSION: i32 = 0x524b_4d31;
const BYTES: usize = 12;

/// Puts `records` into `out`, the first one marked with `durable` that stays readable: its payload must not grow
/// beyond `limit`.
pub(crate) fn stamp(records: &[u8], durable: u64, limit: usize, out: &mut Vec<u8>) {
    out.clear();
    let mut rest = records;
    while let Some(payload) = payload_len(rest) {
        if payload + BYTES <= limit && !closes_session(rest) {
            out.extend_from_slice(&records[..records.len() - rest.len()]);
            let start = file::begin_record(out);
            out.extend_from_slice(&rest[12..12 + payload]);
            out.extend_from_slice(&VERSION.to_be_bytes());
            out.extend_from_slice(&durable.to_be_bytes());
            file::finish_record(out, start);
            out.extend_from_slice(&rest[payload + RECORD_OVERHEAD_BYTES..]);
            return;
        }
        rest = &rest[payload + RECORD_OVERHEAD_BYTES..];
    }
    out.extend_from_slice(records);
}

/// A closeSession as releases before 3.6 write it has no list, and what follows it may be read as one: the less
/// follows, the better.
fn closes_session(record: &[u8]) -> bool {
    let op = 12 + TxnHeader::ENCODED_BYTES - 4;
    record.get(op..op + 4) == Some(&OpCode::CloseSession.code().to_be_bytes())
}

/// The payload length of the record that `bytes` begin with, if all of it is there.
fn payload_len(bytes: &[u8]) -> Option<usize> {
    let length: [u8; 4] = bytes.get(8..12)?.try_into().ok()?;
    let n = usize::try_from(i32::from_be_bytes(length)).ok()?;
    (bytes.len() >= n + RECORD_OVERHEAD_BYTES).then_some(n)
}

/// The mark of a payload.
pub(crate) fn read(payload: &[u8]) -> Option<u64> {
    let (before, durable) = payload.split_last_chunk::<8>()?;
    let (_, version) = before.split_last_chunk::<4>()?;
    (i32::from_be_bytes(*version) == VERSION).then(|| u64::from_be_bytes(*durable))
}

/// The payload as it was handed to the log: a mark speaks of one file, and must not get into another server's, where
/// it would call durable what is not. What merely looks like a mark and is part of the transaction stays.
pub(crate) fn unmarked(payload: &[u8]) -> &[u8] {
    let mut bare = payload;
    while read(bare).is_some() {
        let shorter = &bare[..bare.len() - BYTES];
        let limits = Limits { field_bytes: payload.len() };
        match (TxnRecord::decode(bare, limits), TxnRecord::decode(shorter, limits)) {
            (Ok(with), Ok(without)) if with.header == without.header && with.txn == without.txn => {
                bare = shorter
            }
            _ => break,
        }
    }
    bare
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::file::RecordAt;

    fn record(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = file::begin_record(&mut out);
        out.extend_from_slice(payload);
        file::finish_record(&mut out, start);
        out
    }

    #[test]
    fn the_first_record_with_room_is_marked_and_the_rest_is_left_alone() {
        let (large, small, other) = (record(&[7; 2000]), record(&[1; 40]), record(&[2; 50]));
        let mut out = Vec::new();
        stamp(&[&large[..], &small, &other].concat(), 77, 1000, &mut out);
        assert!(out.starts_with(&large) && out.ends_with(&other));
        let middle = &out[large.len()..out.len() - other.len()];
        let RecordAt::Whole { payload, used } = file::read_record(middle, 1000) else { panic!("not whole") };
        assert_eq!((used, &payload[..40], read(payload)), (middle.len(), &[1; 40][..], Some(77)));
        stamp(&large, 77, 1000, &mut out);
        assert_eq!(out, large);
        let mut close = [0; 40];
        close[28..32].copy_from_slice(&OpCode::CloseSession.code().to_be_bytes());
        stamp(&record(&close), 77, 1000, &mut out);
        assert_eq!(out, record(&close));
        assert_eq!(read(&[9; 40]), None);
    }

    #[test]
    fn a_mark_is_taken_off_and_what_looks_like_one_stays() {
        let mut payload = Vec::new();
        let header =
            TxnHeader { session_id: 1, cxid: 2, zxid: 3, time_ms: 4, op: OpCode::CreateSession.code() };
        header.encode(&mut payload);
        payload.extend_from_slice(&4000i32.to_be_bytes());
        let mut out = Vec::new();
        stamp(&record(&payload), 77, 1000, &mut out);
        stamp(&out.clone(), 99, 1000, &mut out);
        let RecordAt::Whole { payload: marked, .. } = file::read_record(&out, 1000) else {
            panic!("not whole")
        };
        assert_eq!((marked.len(), read(marked)), (payload.len() + 2 * BYTES, Some(99)));
        assert_eq!(unmarked(marked), payload);
        assert_eq!(unmarked(&payload), payload);
        // A value that ends like a mark, in a record without a digest.
        let mut value = TxnHeader { op: OpCode::SetData.code(), ..header };
        value.cxid = 5;
        let mut payload = Vec::new();
        value.encode(&mut payload);
        wire::jute::Put::put_ustring(&mut payload, "/a");
        wire::jute::Put::put_buffer(&mut payload, Some(&[VERSION.to_be_bytes(), [0; 4]].concat()));
        payload.extend_from_slice(&1i32.to_be_bytes());
        assert!(read(&payload).is_some());
        assert_eq!(unmarked(&payload), payload);
    }
}
