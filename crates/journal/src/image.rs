//! What a snapshot file and a SNAP dump have in common: sessions, access lists, znodes and the `/` behind them
//! (quorum-and-disk §2.7, §4.2). A file adds a header, checksums and a tail; a dump adds a signature.
//!
//! The decoder takes whole elements out of whatever bytes it is given and hands them to the tree's loader, so that
//! how the bytes were cut into pieces never shows in the tree, and nothing is held back but the loader itself.

use thiserror::Error;
use tree::{FrozenHeader, FrozenNode, LoadError, Loader, Rules};
use wire::data::{AclList, StatPersisted};
use wire::jute::{Limits, Put};
use wire::{DecodeError, Reader};

/// The path `/`, which no znode has here: root is the empty string.
const END: [u8; 5] = [0, 0, 0, 1, b'/'];
/// Room for the fixed parts of an element.
const ELEMENT_SLACK_BYTES: usize = 1 << 20;

/// Appends the sessions and access lists, which come first.
pub fn encode_tables(header: &FrozenHeader, out: &mut Vec<u8>) {
    out.put_count(header.sessions.len());
    for (id, timeout_ms) in &header.sessions {
        out.put_i64(*id);
        out.put_i32(*timeout_ms);
    }
    out.put_count(header.acls.len());
    for (key, list) in &header.acls {
        out.put_i64(*key);
        out.extend_from_slice(list);
    }
}

/// Appends one znode; root first, parents before children.
pub fn encode_node(node: &FrozenNode<'_>, out: &mut Vec<u8>) {
    out.put_ustring(node.path);
    out.put_buffer(node.data);
    out.put_i64(node.acl_key);
    node.stat.encode(out);
}

/// Appends what closes the znodes.
pub fn encode_end(out: &mut Vec<u8>) {
    out.extend_from_slice(&END);
}

#[derive(Debug, Error)]
pub(crate) enum ImageError {
    #[error("{0}")]
    Undecodable(#[from] DecodeError),
    #[error("an element is longer than any that can be read")]
    TooLong,
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// What comes next. The numbers are elements still to come.
#[derive(Clone, Copy)]
enum Stage {
    SessionCount,
    Sessions(i32),
    AclCount,
    Acls(i32),
    Nodes,
    Done,
}

/// Fills a loader from bytes that come in pieces.
pub(crate) struct ImageDecoder {
    stage: Stage,
    loader: Loader,
    limits: Limits,
}

impl ImageDecoder {
    pub fn new(rules: Rules, limits: Limits) -> Self {
        ImageDecoder { stage: Stage::SessionCount, loader: Loader::new(rules), limits }
    }

    /// Takes the whole elements that `bytes` begin with and adds their length to `used`: also on an error, so that
    /// it can be said where it stands. What is not used must come again, with more behind it.
    pub fn feed(&mut self, bytes: &[u8], used: &mut usize) -> Result<(), ImageError> {
        let mut r = Reader::with_limits(bytes, self.limits);
        while !self.is_done() {
            let before = r;
            match self.element(&mut r) {
                Ok(()) => {}
                // A count is judged by the bytes that are there, so it may only be early.
                Err(ImageError::Undecodable(
                    DecodeError::Truncated { .. } | DecodeError::UnreasonableCount { .. },
                )) => {
                    *used += bytes.len() - before.rest().len();
                    let longest = ELEMENT_SLACK_BYTES + self.limits.field_bytes.saturating_mul(3);
                    return if before.rest().len() > longest { Err(ImageError::TooLong) } else { Ok(()) };
                }
                Err(error) => {
                    *used += bytes.len() - before.rest().len();
                    return Err(error);
                }
            }
        }
        *used += bytes.len() - r.rest().len();
        Ok(())
    }

    /// Whether the `/` was taken.
    pub fn is_done(&self) -> bool {
        matches!(self.stage, Stage::Done)
    }

    pub fn into_loader(self) -> Loader {
        self.loader
    }

    fn element(&mut self, r: &mut Reader<'_>) -> Result<(), ImageError> {
        self.stage = match self.stage {
            // Java counts up to a number: of a negative one there are none.
            Stage::SessionCount => Stage::Sessions(r.i32()?.max(0)),
            Stage::Sessions(0) => Stage::AclCount,
            Stage::Sessions(n) => {
                let (id, timeout_ms) = (r.i64()?, r.i32()?);
                self.loader.session(id, timeout_ms);
                Stage::Sessions(n - 1)
            }
            Stage::AclCount => Stage::Acls(r.i32()?.max(0)),
            Stage::Acls(0) => Stage::Nodes,
            Stage::Acls(n) => {
                let key = r.i64()?;
                self.loader.acl(key, AclList::decode(r)?)?;
                Stage::Acls(n - 1)
            }
            Stage::Nodes if r.rest().starts_with(&END) => {
                r.bytes(END.len())?;
                Stage::Done
            }
            Stage::Nodes => {
                // Decoded whole before the loader sees any of it: one that is cut off comes again.
                let path = r.required_ustring()?;
                let (data, key) = (r.buffer()?, r.i64()?);
                let stat = StatPersisted::decode(r)?;
                self.loader.node(&path, data, key, &stat)?;
                Stage::Nodes
            }
            Stage::Done => Stage::Done,
        };
        Ok(())
    }
}
