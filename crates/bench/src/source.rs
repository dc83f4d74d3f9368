//! Where requests come from: bytes made before the run, of which only the xid (and a number in a name) changes.

use client::wire::data::{AclList, OPEN_ACL};
use client::wire::request::{CreateRequest, ReadRequest, RequestHeader, SetDataRequest};
use client::wire::{OpCode, data::Stat, frame};
use std::sync::Arc;

const HEADER_BYTES: usize = 16;
/// Where the xid lies in a frame.
const XID_AT: usize = 4;

/// Gives the requests of one connection, one after the other.
pub trait Source: Send {
    /// Appends the next request as a frame and returns how many bytes its reply's payload must have; `None` when
    /// there is nothing more to ask.
    fn next(&mut self, xid: i32, out: &mut Vec<u8>) -> Option<usize>;
}

/// One ready-made request.
#[derive(Debug, Clone)]
pub struct Template {
    frame: Vec<u8>,
    reply_bytes: usize,
}

impl Template {
    fn new(op: OpCode, reply_bytes: usize, body: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = Vec::new();
        let start = frame::begin(&mut bytes);
        RequestHeader { xid: 0, op: op.code() }.encode(&mut bytes);
        body(&mut bytes);
        frame::finish(&mut bytes, start);
        Template { frame: bytes, reply_bytes: HEADER_BYTES + reply_bytes }
    }

    pub fn get_data(path: &str, size: usize) -> Self {
        let request = ReadRequest { path: Some(path.into()), watch: false };
        Self::new(OpCode::GetData, 4 + size + Stat::ENCODED_BYTES, |out| request.encode(out))
    }

    pub fn set_data(path: &str, data: &[u8]) -> Self {
        let request = SetDataRequest { path: Some(path.into()), data: Some(data), version: -1 };
        Self::new(OpCode::SetData, Stat::ENCODED_BYTES, |out| request.encode(out))
    }

    pub fn create(path: &str, data: &[u8]) -> Self {
        let acl = AclList::from_encoded(OPEN_ACL);
        let request = CreateRequest { path: Some(path.into()), data: Some(data), acl, flags: 0, ttl_ms: -1 };
        Self::new(OpCode::Create, 4 + path.len(), |out| request.encode(out, false))
    }

    #[inline]
    fn append(&self, xid: i32, out: &mut Vec<u8>) -> usize {
        let at = out.len();
        out.extend_from_slice(&self.frame);
        out[at + XID_AT..at + XID_AT + 4].copy_from_slice(&xid.to_be_bytes());
        self.reply_bytes
    }
}

/// The same requests over and over.
#[derive(Debug, Clone)]
pub struct Rotation {
    templates: Arc<[Template]>,
    at: usize,
}

impl Rotation {
    /// `start` sets the connections apart, so that they do not ask for the same znode at the same time.
    pub fn new(templates: Arc<[Template]>, start: usize) -> Self {
        let at = start % templates.len();
        Rotation { templates, at }
    }
}

impl Source for Rotation {
    #[inline]
    fn next(&mut self, xid: i32, out: &mut Vec<u8>) -> Option<usize> {
        let template = &self.templates[self.at];
        self.at += 1;
        if self.at == self.templates.len() {
            self.at = 0;
        }
        Some(template.append(xid, out))
    }
}

/// Digits at the end of a created znode's name, as in a sequential one.
const NAME_DIGITS: usize = 10;

/// Creates of consecutively numbered znodes: `PARENT/item-0000000042`.
#[derive(Debug, Clone)]
pub struct Creates {
    template: Template,
    digits_at: usize,
    next: u64,
    end: u64,
}

impl Creates {
    pub fn new(parent: &str, data: &[u8], numbers: std::ops::Range<u64>) -> Self {
        let path = format!("{parent}/item-{:0NAME_DIGITS$}", 0);
        // Frame length, header, length of the path.
        let digits_at = 4 + 8 + 4 + path.len() - NAME_DIGITS;
        Creates { template: Template::create(&path, data), digits_at, next: numbers.start, end: numbers.end }
    }
}

impl Source for Creates {
    fn next(&mut self, xid: i32, out: &mut Vec<u8>) -> Option<usize> {
        if self.next == self.end {
            return None;
        }
        let mut number = self.next;
        self.next += 1;
        let digits = &mut self.template.frame[self.digits_at..self.digits_at + NAME_DIGITS];
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
        }
        Some(self.template.append(xid, out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::wire::Reader;

    fn payload(bytes: &[u8]) -> (RequestHeader, Reader<'_>) {
        let mut r = Reader::new(frame::split(bytes, 1 << 20).unwrap().unwrap().0);
        (RequestHeader::decode(&mut r).unwrap(), r)
    }

    #[test]
    fn a_rotation_stamps_each_request_and_goes_round() {
        let templates: Arc<[Template]> =
            [Template::get_data("/a", 3), Template::set_data("/a", b"xyz")].into();
        let mut source = Rotation::new(templates, 1);
        let mut seen = Vec::new();
        for xid in 1..=3 {
            let mut out = Vec::new();
            let reply_bytes = source.next(xid, &mut out).unwrap();
            let (header, _) = payload(&out);
            assert_eq!(header.xid, xid);
            seen.push((header.op, reply_bytes));
        }
        assert_eq!(seen, [(5, 84), (4, 91), (5, 84)]);
    }

    #[test]
    fn creates_count_in_their_names_and_end() {
        let mut source = Creates::new("/p", b"v", 98..101);
        let mut paths = Vec::new();
        let mut out = Vec::new();
        while let Some(reply_bytes) = source.next(7, &mut out) {
            let (_, mut r) = payload(&out);
            let request = CreateRequest::decode(&mut r, false).unwrap();
            paths.push(request.path.unwrap().into_owned());
            assert_eq!(reply_bytes, 16 + 4 + paths[0].len());
            out.clear();
        }
        assert_eq!(paths, ["/p/item-0000000098", "/p/item-0000000099", "/p/item-0000000100"]);
    }
}
