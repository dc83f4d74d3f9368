//! The dump of a whole tree that a leader sends behind a SNAP packet (quorum-and-disk §2.7), both ways.
//!
//! It is a snapshot file without header, checksums and tail, and with a signature at its end. A sender puts together
//! [`encode_tables`], [`encode_node`] for each znode of a frozen view, and [`encode_dump_end`]. A receiver feeds a
//! [`DumpDecoder`] from its socket; quorum packets follow directly behind the signature and are left alone.
//!
//! A dump from Java is fuzzy: it may hold parts of transactions that follow it on the connection. See
//! [`tree::Tree::reapply`] for how those are applied.

use crate::image::{ImageDecoder, ImageError, encode_end};
use thiserror::Error;
use tree::{LoadError, Rules, Tree};
use wire::DecodeError;
use wire::jute::{Limits, Put};

pub use crate::image::{encode_node, encode_tables};

/// The word that ends a dump, with its length.
const SIGNATURE: &[u8] = b"\0\0\0\x0aBenWasHere";

/// Appends what closes the znodes and the dump.
pub fn encode_dump_end(out: &mut Vec<u8>) {
    encode_end(out);
    out.put_buffer(Some(&SIGNATURE[4..]));
}

#[derive(Debug, Error)]
pub enum DumpError {
    #[error("the leader's dump cannot be understood at its byte {offset}: {source}")]
    Undecodable { offset: u64, source: DecodeError },
    #[error(
        "an element at byte {offset} of the leader's dump is longer than jute.maxbuffer allows here: set it to the \
         leader's value"
    )]
    TooLong { offset: u64 },
    #[error("the leader's dump is no tree (byte {offset}): {source}")]
    Load { offset: u64, source: LoadError },
    #[error("the leader's dump does not end in BenWasHere (byte {offset}): the connection is out of step")]
    BadSignature { offset: u64 },
    #[error("the leader's dump ends after {offset} bytes, before its signature")]
    Unfinished { offset: u64 },
}

/// What became of the bytes given to [`DumpDecoder::feed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// How many were taken. The rest must be given again, with more behind it, unless `done`.
    pub used: usize,
    /// The signature was taken: what follows is no part of the dump.
    pub done: bool,
}

/// Builds a tree from a dump that comes in pieces. After an error it must be dropped.
pub struct DumpDecoder {
    image: ImageDecoder,
    offset: u64,
    done: bool,
}

impl DumpDecoder {
    /// `limits` bound one path, value or ACL part: the same as for log and snapshots. An element that is not whole
    /// after three times as much (and 1 MiB) is refused, so the caller's buffer needs no more room than that.
    pub fn new(rules: Rules, limits: Limits) -> Self {
        DumpDecoder { image: ImageDecoder::new(rules, limits), offset: 0, done: false }
    }

    /// Takes whole elements from the beginning of `bytes`.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<Fed, DumpError> {
        let mut used = 0;
        if !self.image.is_done() {
            let fed = self.image.feed(bytes, &mut used);
            self.offset += used as u64;
            fed.map_err(|error| self.error(error))?;
        }
        if self.image.is_done() && !self.done {
            let rest = &bytes[used..];
            let seen = rest.len().min(SIGNATURE.len());
            if rest[..seen] != SIGNATURE[..seen] {
                return Err(DumpError::BadSignature { offset: self.offset });
            }
            if seen == SIGNATURE.len() {
                self.done = true;
                used += seen;
                self.offset += seen as u64;
            }
        }
        Ok(Fed { used, done: self.done })
    }

    fn error(&self, error: ImageError) -> DumpError {
        let offset = self.offset;
        match error {
            ImageError::Undecodable(source) => DumpError::Undecodable { offset, source },
            ImageError::TooLong => DumpError::TooLong { offset },
            ImageError::Load(source) => DumpError::Load { offset, source },
        }
    }

    /// Bytes taken so far, for progress.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The tree, at the zxid of the SNAP packet.
    pub fn finish(self, zxid: i64) -> Result<Tree, DumpError> {
        let offset = self.offset;
        if !self.done {
            return Err(DumpError::Unfinished { offset });
        }
        self.image.into_loader().finish(zxid).map_err(|source| DumpError::Load { offset, source })
    }
}
