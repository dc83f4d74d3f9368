//! The four-byte length in front of every message.

use thiserror::Error;

/// A length that no correct peer sends; the connection is closed without a reply (client-surface §2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a frame of {length} bytes is outside 0..={limit}")]
pub struct FrameError {
    pub length: i32,
    pub limit: usize,
}

/// Splits the first whole frame off `bytes`: `Ok(Some((payload, used)))`, or `Ok(None)` when more bytes must come.
/// `limit` is `jute.maxbuffer`: the longest payload that is accepted.
pub fn split(bytes: &[u8], limit: usize) -> Result<Option<(&[u8], usize)>, FrameError> {
    let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
    let length = i32::from_be_bytes(*head);
    match usize::try_from(length) {
        Ok(n) if n <= limit => Ok(rest.get(..n).map(|payload| (payload, 4 + n))),
        _ => Err(FrameError { length, limit }),
    }
}

/// Starts a frame in `out`; the result goes to [`finish`] once the payload is written.
pub fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; 4]);
    out.len() - 4
}

/// Fills in the length of the frame that [`begin`] started at `start`.
pub fn finish(out: &mut [u8], start: usize) {
    let length = out.len() - start - 4;
    let length = i32::try_from(length).expect("a reply fits in 31 bits: the tree's lists are bounded");
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_only_whole_frames() {
        let mut b = Vec::new();
        let at = begin(&mut b);
        b.extend_from_slice(b"abc");
        finish(&mut b, at);
        assert_eq!(split(&b, 3), Ok(Some((&b"abc"[..], 7))));
        assert_eq!(split(&b[..6], 3), Ok(None));
        assert_eq!(split(&b[..3], 3), Ok(None));
        assert_eq!(split(&b, 2), Err(FrameError { length: 3, limit: 2 }));
        assert!(split(&[0xff; 4], 3).is_err());
    }
}
