//! Two questions about a record that is not whole: could a power cut have left it so, and is it one bit from whole?
//!
//! A log file is written once, from front to end, over zeros. A power cut loses whole sectors, which then read as
//! zeros; it never leaves other bytes, and it never touches what was durable. So a record in which no sector is lost
//! was whole once.

use simd_adler32::adler32;
use wire::file::{RECORD_OVERHEAD_BYTES, RECORD_TRAILER};

/// The smallest unit that a disk writes.
pub(crate) const SECTOR: usize = 512;

/// How far from the beginning of a sector `offset` is from its end.
pub(crate) fn to_sector_end(offset: u64) -> usize {
    SECTOR - (offset % SECTOR as u64) as usize
}

/// Whether one of the sectors that hold the `extent` bytes at `offset` was lost. `bytes` stand at `offset` and reach
/// to the end of the last of these sectors, or of the file.
///
/// The part of the first sector that stands before `offset` belongs to earlier records and says nothing.
pub(crate) fn lost_sector(bytes: &[u8], offset: u64, extent: usize) -> bool {
    if bytes.len() < extent {
        // The file ends here: it did not get its length.
        return true;
    }
    let mut start = 0;
    let mut end = to_sector_end(offset);
    while start < extent {
        if bytes[start..end.min(bytes.len())].iter().all(|b| *b == 0) {
            return true;
        }
        (start, end) = (end, end + SECTOR);
    }
    false
}

/// Whether the record that `bytes` begin with would be whole with one bit changed: then it is rotten and not torn,
/// even where its own data are sectors of zeros.
pub(crate) fn one_bit_from_whole(bytes: &[u8], limit: usize) -> bool {
    let Some((head, body)) = bytes.split_first_chunk::<12>() else { return false };
    let length = u32::from_be_bytes([head[8], head[9], head[10], head[11]]);
    let stored = u64::from_be_bytes([head[0], head[1], head[2], head[3], head[4], head[5], head[6], head[7]]);
    let fits = |length: u32| {
        let n = length as usize;
        let usable = n > 0 && n <= limit && body.len() + 12 >= n + RECORD_OVERHEAD_BYTES;
        usable.then(|| (&body[..n], body[n]))
    };
    let sum = |payload: &[u8]| u64::from(adler32(&payload));
    let other_length = (0..32).filter_map(|bit| fits(length ^ 1 << bit));
    if other_length.into_iter().any(|(p, trailer)| trailer == RECORD_TRAILER && sum(p) == stored) {
        return true;
    }
    let Some((payload, trailer)) = fits(length) else { return false };
    let wrong_bits = (sum(payload) ^ stored).count_ones() + (trailer ^ RECORD_TRAILER).count_ones();
    wrong_bits == 1 || trailer == RECORD_TRAILER && one_bit_of_payload(payload, stored)
}

/// Whether changing one bit of `payload` gives it the Adler-32 `wanted`. A bit changes the first half of the sum by
/// its value, and the second half by its value times its distance from the end.
fn one_bit_of_payload(payload: &[u8], wanted: u64) -> bool {
    const MODULUS: i64 = 65521;
    let Ok(wanted) = u32::try_from(wanted) else { return false };
    let have = adler32(&payload);
    let difference = |shift: u32| i64::from(wanted >> shift & 0xffff) - i64::from(have >> shift & 0xffff);
    let (first, second) = (difference(0).rem_euclid(MODULUS), difference(16).rem_euclid(MODULUS));
    payload.iter().enumerate().any(|(i, byte)| {
        let distance = ((payload.len() - i) as i64) % MODULUS;
        (0..8).any(|bit| {
            let change = if byte >> bit & 1 == 1 { -(1 << bit) } else { 1 << bit };
            (change - first) % MODULUS == 0 && (change * distance - second) % MODULUS == 0
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::file;

    fn record(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let start = file::begin_record(&mut out);
        out.extend_from_slice(payload);
        file::finish_record(&mut out, start);
        out
    }

    #[test]
    fn every_bit_of_a_record_with_zero_sectors_is_found() {
        let mut bytes = record(&[&[5; 40][..], &[0; 1600], &[6; 30]].concat());
        bytes.resize(8192, 0);
        assert!(!one_bit_from_whole(&[0; 100], 1 << 20));
        for bit in 0..8 * 1683 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(one_bit_from_whole(&bytes, 1 << 20), "bit {bit}");
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_lost_sector_is_seen_however_little_of_it_belongs_to_the_record() {
        let whole = vec![1u8; 2000];
        for offset in [0u64, 1, 11, 500, 505, 511] {
            let end = to_sector_end(offset);
            assert!(!lost_sector(&whole, offset, 1200));
            for (from, to) in [(0, end), (end, end + SECTOR), (end + SECTOR, end + 2 * SECTOR)] {
                let mut torn = whole.clone();
                torn[from..to].fill(0);
                assert!(lost_sector(&torn, offset, 1200), "{offset}, {from}..{to}");
                torn[to - 1] = 1;
                assert!(!lost_sector(&torn, offset, 1200), "a sector is lost whole");
            }
        }
        assert!(lost_sector(&whole[..600], 0, 1200), "the file may have lost its length");
    }

    #[test]
    fn a_torn_record_is_not_taken_for_a_rotten_one() {
        let payload: Vec<u8> = (0..3000u32).map(|i| (i * 7 % 251) as u8 | 1).collect();
        let bytes = record(&payload);
        for sector in 0..5 {
            let mut torn = bytes.clone();
            torn[sector * SECTOR..(sector + 1) * SECTOR].fill(0);
            assert!(!one_bit_from_whole(&torn, 1 << 20), "sector {sector}");
        }
    }
}
