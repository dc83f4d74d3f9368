//! Session passwords: a function of the session id, the same on every server of every release, so that a session can
//! move between them (client-surface §2.2).

use wire::reply::PASSWORD_BYTES;

const SUPER_SECRET: i64 = 0xB341_5C00;
const MULTIPLIER: u64 = 0x5_DEEC_E66D;
const MASK: u64 = (1 << 48) - 1;

/// 16 bytes of `java.util.Random` seeded with the session id.
pub fn session_password(session_id: i64) -> [u8; PASSWORD_BYTES] {
    let mut state = ((session_id ^ SUPER_SECRET) as u64 ^ MULTIPLIER) & MASK;
    let mut out = [0; PASSWORD_BYTES];
    for chunk in out.chunks_exact_mut(4) {
        state = (state.wrapping_mul(MULTIPLIER).wrapping_add(0xB)) & MASK;
        chunk.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Observed on Apache ZooKeeper (quorum-and-disk §10).
    #[test]
    fn as_captured() {
        let expected = 0xfca5_1b0e_d945_cb31_3a7f_5a0e_4a90_f095_u128.to_be_bytes();
        assert_eq!(session_password(0x0100_000e_db32_0000), expected);
    }
}
