//! Jute, ZooKeeper's binary encoding: big-endian integers, and lengths in front of everything variable.
//!
//! A length of -1 means null, which is not the same as empty; both occur. Strings are decoded as Java decodes
//! them: bytes that are not UTF-8 become U+FFFD instead of an error.

use std::borrow::Cow;
use thiserror::Error;

/// Default of `jute.maxbuffer`, in bytes.
pub const DEFAULT_MAX_BUFFER: usize = 0xf_ffff;

/// Limits for decoding. `field_bytes` bounds one string or buffer: `jute.maxbuffer` plus
/// `zookeeper.jute.maxbuffer.extrasize`, as Java's BinaryInputArchive does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub field_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { field_bytes: 2 * DEFAULT_MAX_BUFFER }
    }
}

/// Why a record could not be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    #[error("the record ends {missing} bytes too early")]
    Truncated { missing: usize },
    #[error("a length of {length} is outside 0..={limit} and is not -1")]
    UnreasonableLength { length: i32, limit: usize },
    #[error("a count of {count} needs more bytes than the {available} that remain")]
    UnreasonableCount { count: i32, available: usize },
    #[error("a value that must be present is null")]
    UnexpectedNull,
    #[error("unknown type {0}")]
    UnknownType(i32),
}

/// A position in bytes to decode. Cheap to copy, so that a decoder can look ahead.
#[derive(Debug, Clone, Copy)]
pub struct Reader<'a> {
    rest: &'a [u8],
    limits: Limits,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Reader { rest: bytes, limits: Limits::default() }
    }

    pub fn with_limits(bytes: &'a [u8], limits: Limits) -> Self {
        Reader { rest: bytes, limits }
    }

    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub fn limits(&self) -> Limits {
        self.limits
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], DecodeError> {
        if n > self.rest.len() {
            return Err(DecodeError::Truncated { missing: n - self.rest.len() });
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.rest.split_first_chunk::<N>() {
            Some((head, tail)) => {
                self.rest = tail;
                Ok(*head)
            }
            None => Err(DecodeError::Truncated { missing: N - self.rest.len() }),
        }
    }

    pub fn u8(&mut self) -> Result<u8, DecodeError> {
        Ok(self.array::<1>()?[0])
    }

    pub fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.u8()? != 0)
    }

    pub fn i32(&mut self) -> Result<i32, DecodeError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A buffer; `None` when null.
    pub fn buffer(&mut self) -> Result<Option<&'a [u8]>, DecodeError> {
        let length = self.i32()?;
        if length == -1 {
            return Ok(None);
        }
        let limit = self.limits.field_bytes;
        match usize::try_from(length) {
            Ok(n) if n <= limit => self.bytes(n).map(Some),
            _ => Err(DecodeError::UnreasonableLength { length, limit }),
        }
    }

    /// A string; `None` when null.
    pub fn ustring(&mut self) -> Result<Option<Cow<'a, str>>, DecodeError> {
        Ok(self.buffer()?.map(text))
    }

    pub fn required_ustring(&mut self) -> Result<Cow<'a, str>, DecodeError> {
        self.ustring()?.ok_or(DecodeError::UnexpectedNull)
    }

    /// The element count of a vector whose elements take at least `min_element_bytes` each; `None` when null.
    /// Java does not bound counts; a count that the remaining bytes cannot hold would end in its EOF error, so
    /// the outcome is the same and nothing is allocated for it.
    pub fn count(&mut self, min_element_bytes: usize) -> Result<Option<usize>, DecodeError> {
        let count = self.i32()?;
        // Java reads on while elements are left: of a negative number there are none.
        if count < 0 {
            return Ok(if count == -1 { None } else { Some(0) });
        }
        match usize::try_from(count) {
            Ok(n) if n.saturating_mul(min_element_bytes) <= self.rest.len() => Ok(Some(n)),
            _ => Err(DecodeError::UnreasonableCount { count, available: self.rest.len() }),
        }
    }

    /// A vector of strings; a null element reads as the empty string. A null vector is an error: Apache's server trips
    /// over one wherever it gets one.
    pub fn ustrings(&mut self) -> Result<Vec<Cow<'a, str>>, DecodeError> {
        let n = self.count(4)?.ok_or(DecodeError::UnexpectedNull)?;
        (0..n).map(|_| Ok(self.ustring()?.unwrap_or(Cow::Borrowed("")))).collect()
    }
}

/// Text as Java reads it: borrowed when it is UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(s) => Cow::Borrowed(s),
        Err(_) => Cow::Owned(decode_as_java(bytes)),
    }
}

/// UTF-8 with U+FFFD in the place of what is malformed. Like Rust's own lossy decoding, but a surrogate in three bytes
/// becomes one U+FFFD, as in Java, and not three.
fn decode_as_java(mut bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    while let Err(error) = std::str::from_utf8(bytes) {
        let (valid, rest) = bytes.split_at(error.valid_up_to());
        out.push_str(std::str::from_utf8(valid).unwrap_or_default());
        out.push(char::REPLACEMENT_CHARACTER);
        let surrogate = matches!(rest, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]);
        let skipped = if surrogate { 3 } else { error.error_len().unwrap_or(rest.len()) };
        bytes = &rest[skipped..];
    }
    out.push_str(std::str::from_utf8(bytes).unwrap_or_default());
    out
}

/// Text that [`Put::put_ustring`] wrote: a pair of surrogates is the character that it stands for. All else is as in
/// [`text`].
pub(crate) fn written_text(bytes: &[u8]) -> Cow<'_, str> {
    let Err(first) = std::str::from_utf8(bytes) else { return text(bytes) };
    let mut joined = Vec::with_capacity(bytes.len());
    let (valid, mut rest) = bytes.split_at(first.valid_up_to());
    joined.extend_from_slice(valid);
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(c) = surrogate_pair(rest) {
            joined.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            rest = &rest[6..];
        } else {
            joined.push(byte);
            rest = tail;
        }
    }
    Cow::Owned(text(&joined).into_owned())
}

/// The character above U+FFFF that begins here as a pair of surrogates in three bytes each.
fn surrogate_pair(bytes: &[u8]) -> Option<char> {
    let [0xed, a @ 0xa0..=0xaf, b @ 0x80..=0xbf, 0xed, c @ 0xb0..=0xbf, d @ 0x80..=0xbf, ..] = bytes else {
        return None;
    };
    let bits = |byte: &u8, mask: u8| u32::from(byte & mask);
    let high = bits(a, 0x0f) << 6 | bits(b, 0x3f);
    let low = bits(c, 0x0f) << 6 | bits(d, 0x3f);
    char::from_u32(0x1_0000 + (high << 10 | low))
}

/// Appending jute values to a byte vector.
pub trait Put {
    fn put_bool(&mut self, v: bool);
    fn put_i32(&mut self, v: i32);
    fn put_i64(&mut self, v: i64);
    /// `None` is written as null.
    fn put_buffer(&mut self, v: Option<&[u8]>);
    fn put_ustring(&mut self, v: &str);
    fn put_count(&mut self, n: usize);
    /// Overwrites four bytes at `at`, for lengths known only after what they count.
    fn patch_i32(&mut self, at: usize, v: i32);
}

impl Put for Vec<u8> {
    #[inline]
    fn put_bool(&mut self, v: bool) {
        self.push(u8::from(v));
    }

    #[inline]
    fn put_i32(&mut self, v: i32) {
        self.extend_from_slice(&v.to_be_bytes());
    }

    #[inline]
    fn put_i64(&mut self, v: i64) {
        self.extend_from_slice(&v.to_be_bytes());
    }

    #[inline]
    fn put_buffer(&mut self, v: Option<&[u8]>) {
        match v {
            None => self.put_i32(-1),
            Some(b) => {
                self.put_count(b.len());
                self.extend_from_slice(b);
            }
        }
    }

    fn put_ustring(&mut self, v: &str) {
        // Java writes each UTF-16 unit by itself, so a character above U+FFFF becomes two three-byte
        // surrogates. Four-byte UTF-8 sequences start with 0xF0..=0xF4.
        if v.bytes().all(|b| b < 0xf0) {
            self.put_buffer(Some(v.as_bytes()));
        } else {
            let start = self.len();
            self.put_i32(0);
            put_cesu8(self, v);
            let length = self.len() - start - 4;
            self.patch_i32(start, length as i32);
        }
    }

    #[inline]
    fn put_count(&mut self, n: usize) {
        self.put_i32(i32::try_from(n).expect("a jute length fits in 31 bits: frames are bounded"));
    }

    #[inline]
    fn patch_i32(&mut self, at: usize, v: i32) {
        self[at..at + 4].copy_from_slice(&v.to_be_bytes());
    }
}

fn put_cesu8(out: &mut Vec<u8>, v: &str) {
    let mut units = [0u16; 2];
    for c in v.chars() {
        if c.len_utf8() < 4 {
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            continue;
        }
        for unit in c.encode_utf16(&mut units) {
            let u = *unit;
            out.push(0xe0 | (u >> 12) as u8);
            out.push(0x80 | ((u >> 6) & 0x3f) as u8);
            out.push(0x80 | (u & 0x3f) as u8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn null_and_empty_differ() {
        let mut b = Vec::new();
        b.put_buffer(None);
        b.put_buffer(Some(&[]));
        let mut r = Reader::new(&b);
        assert_eq!(r.buffer(), Ok(None));
        assert_eq!(r.buffer(), Ok(Some(&[][..])));
    }

    #[test]
    fn lengths_outside_the_limit_are_refused() {
        for length in [-2, i32::MIN, i32::MAX, 2 * 0xf_ffff + 1] {
            let b = length.to_be_bytes();
            assert!(
                matches!(Reader::new(&b).buffer(), Err(DecodeError::UnreasonableLength { .. })),
                "{length}"
            );
        }
        let exactly = (2 * 0xf_ffffi32).to_be_bytes();
        assert!(matches!(Reader::new(&exactly).buffer(), Err(DecodeError::Truncated { .. })));
    }

    #[test]
    fn counts_are_bounded_by_the_bytes_that_follow() {
        let mut b = Vec::new();
        b.put_i32(i32::MAX);
        assert!(matches!(Reader::new(&b).ustrings(), Err(DecodeError::UnreasonableCount { .. })));
    }

    #[test]
    fn malformed_utf8_becomes_replacement_characters() {
        let mut b = Vec::new();
        b.put_buffer(Some(&[b'a', 0xff, b'b']));
        assert_eq!(Reader::new(&b).required_ustring().unwrap(), "a\u{fffd}b");
        for (bytes, text) in [
            (&b"\xed\xa0\x80x"[..], "\u{fffd}x"),
            (b"\xe2\x82", "\u{fffd}"),
            (b"\xc0\xafz", "\u{fffd}\u{fffd}z"),
            (b"a\xf5b", "a\u{fffd}b"),
        ] {
            assert_eq!(decode_as_java(bytes), text, "{bytes:x?}");
        }
    }

    #[test]
    fn characters_above_the_bmp_are_written_as_surrogates() {
        let mut b = Vec::new();
        b.put_ustring("a\u{1f600}");
        assert_eq!(b, [0, 0, 0, 7, b'a', 0xed, 0xa0, 0xbd, 0xed, 0xb8, 0x80]);
    }

    #[test]
    fn only_whole_pairs_of_surrogates_are_joined() {
        for (bytes, text) in [
            (&b"a\xed\xa0\xbd\xed\xb8\x80b"[..], "a\u{1f600}b"),
            (b"\xed\xa0\xbd", "\u{fffd}"),
            (b"\xed\xb8\x80\xed\xa0\xbd", "\u{fffd}\u{fffd}"),
            (b"\xed\xa0\xbd\xed\xa0\xbd\xed\xb8\x80", "\u{fffd}\u{1f600}"),
            (b"\xff\xed\xaf\xbf\xed\xbf\xbf\xed", "\u{fffd}\u{10ffff}\u{fffd}"),
        ] {
            assert_eq!(written_text(bytes), text, "{bytes:x?}");
        }
    }

    proptest! {
        #[test]
        fn written_text_is_what_was_written(s in any::<String>()) {
            let mut b = Vec::new();
            b.put_ustring(&s);
            prop_assert_eq!(written_text(&b[4..]), s);
        }

        #[test]
        fn bmp_strings_survive(s in "[\u{0}-\u{d7ff}\u{e000}-\u{ffff}]{0,40}") {
            let mut b = Vec::new();
            b.put_ustring(&s);
            prop_assert_eq!(Reader::new(&b).required_ustring().unwrap(), s);
        }

        #[test]
        fn no_input_panics(b in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut r = Reader::new(&b);
            let _ = r.ustrings();
            let _ = r.buffer();
            let _ = r.i64();
        }
    }
}
