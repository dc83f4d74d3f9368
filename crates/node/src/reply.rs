//! Writing replies as whole frames.

use wire::frame;
use wire::reply::ReplyHeader;
use wire::{ErrorCode, Reader};

/// Appends a reply whose body `body` writes. On a refusal only the header is sent.
pub(crate) fn write(
    out: &mut Vec<u8>,
    xid: i32,
    zxid: i64,
    body: impl FnOnce(&mut Vec<u8>) -> Result<(), ErrorCode>,
) -> Result<(), ErrorCode> {
    let start = frame::begin(out);
    ReplyHeader { xid, zxid, err: 0 }.encode(out);
    let result = body(out);
    if let Err(error) = result {
        out.truncate(start + 4);
        ReplyHeader { xid, zxid, err: error.code() }.encode(out);
    }
    frame::finish(out, start);
    result
}

/// Appends a reply without body.
pub(crate) fn write_plain(out: &mut Vec<u8>, xid: i32, zxid: i64, err: i32) {
    let start = frame::begin(out);
    ReplyHeader { xid, zxid, err }.encode(out);
    frame::finish(out, start);
}

/// The header of a reply that is a whole frame.
pub(crate) fn header(frame: &[u8]) -> Option<ReplyHeader> {
    ReplyHeader::decode(&mut Reader::new(frame.get(4..)?)).ok()
}
