//! Reading a snapshot into a tree (quorum-and-disk §4).
//!
//! What follows the znodes depends on the release that wrote the file and on its settings. Java goes by its own
//! settings and trips over files of other ones; here the number of bytes that remain decides.

use crate::codec::{Compression, decoder};
use crate::image::{ImageDecoder, ImageError};
use crate::storage::{Dir, Storage, StorageFile, read_full};
use std::io::{self, Read};
use thiserror::Error;
use tree::{LoadError, Loader, Rules, Tree};
use wire::file::{FileHeader, SNAPSHOT_MAGIC};
use wire::jute::Limits;
use wire::txn::TxnDigest;
use wire::{DecodeError, Reader};

const CHUNK: usize = 1 << 20;
const SEAL_BYTES: usize = 13;
const PLAIN_END: [u8; 5] = [0, 0, 0, 1, b'/'];
const DIGEST_SECTION: usize = 8 + TxnDigest::ENCODED_BYTES + SEAL_BYTES;
const LAST_ZXID_SECTION: usize = 8 + SEAL_BYTES;

#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("it is not finished: {0}")]
    Unfinished(&'static str),
    #[error("it does not begin with ZKSN but with {0:08x}")]
    BadMagic(i32),
    #[error("its checksum does not fit")]
    BadChecksum,
    #[error("the record at byte {offset} is longer than any that can be read")]
    TooLong { offset: u64 },
    #[error("it cannot be understood near byte {offset}: {source}")]
    Undecodable { offset: u64, source: DecodeError },
    #[error("{0}")]
    Load(#[from] LoadError),
}

/// The optional sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SnapshotTail {
    /// The digest, and the zxid at which the tree had it: later than the name's if writes went on meanwhile.
    pub digest: Option<(i64, TxnDigest)>,
    /// The last zxid applied when writing ended.
    pub last_zxid: Option<i64>,
}

/// The quick look by which releases choose candidates: a plain file must end in a seal, a packed one begin rightly.
pub fn is_plausible<S: Storage>(storage: &S, name: &str) -> io::Result<bool> {
    let mut file = storage.open(Dir::Snapshot, name)?;
    let compression = Compression::of_name(name);
    if compression != Compression::None {
        let magic = compression.magic();
        let mut head = vec![0; magic.len()];
        return Ok(read_full(&mut file, &mut head)? == magic.len() && head == magic);
    }
    let listed = storage.list(Dir::Snapshot)?;
    let bytes = listed.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.bytes);
    let mut end = [0; PLAIN_END.len()];
    if bytes < 2 * PLAIN_END.len() as u64 {
        return Ok(false);
    }
    file.seek(bytes - PLAIN_END.len() as u64)?;
    Ok(read_full(&mut file, &mut end)? == PLAIN_END.len() && end == PLAIN_END)
}

struct FileReader<F>(F);

impl<F: StorageFile> Read for FileReader<F> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

/// Uncompressed bytes with a running checksum over those consumed.
struct Stream<'r> {
    inner: Box<dyn Read + 'r>,
    buffer: Vec<u8>,
    at: usize,
    /// How much of `buffer` the checksum has seen.
    summed: usize,
    base: u64,
    ended: bool,
    adler: simd_adler32::Adler32,
    limits: Limits,
}

impl Stream<'_> {
    /// Reads on behind what is buffered. A znode holds two limited fields, and an access list comes from a request
    /// that was limited: more than a few of these in one record is damage, however much a packed file unpacks to.
    fn more(&mut self) -> Result<(), SnapshotError> {
        if self.buffer.len() - self.at > CHUNK + self.limits.field_bytes.saturating_mul(3) {
            return Err(SnapshotError::TooLong { offset: self.base + self.at as u64 });
        }
        self.sum();
        self.buffer.drain(..self.at);
        self.base += self.at as u64;
        (self.at, self.summed) = (0, 0);
        let old = self.buffer.len();
        // A record larger than a chunk must not be read in ever the same small steps.
        let step = CHUNK.max(old);
        self.buffer.resize(old + step, 0);
        let mut got = old;
        while got < self.buffer.len() {
            match self.inner.read(&mut self.buffer[got..])? {
                0 => {
                    self.ended = true;
                    break;
                }
                n => got += n,
            }
        }
        self.buffer.truncate(got);
        Ok(())
    }

    fn sum(&mut self) {
        self.adler.write(&self.buffer[self.summed..self.at]);
        self.summed = self.at;
    }

    /// Decodes one thing with `f`, reading on while it is cut off by the end of the buffer.
    fn take<T>(&mut self, f: impl Fn(&mut Reader<'_>) -> Result<T, DecodeError>) -> Result<T, SnapshotError> {
        loop {
            let mut r = Reader::with_limits(&self.buffer[self.at..], self.limits);
            let start = r.rest().len();
            match f(&mut r) {
                Ok(value) => {
                    self.at += start - r.rest().len();
                    return Ok(value);
                }
                Err(DecodeError::Truncated { .. } | DecodeError::UnreasonableCount { .. }) if !self.ended => {
                    self.more()?;
                }
                Err(DecodeError::Truncated { .. }) => {
                    return Err(SnapshotError::Unfinished("it ends in the middle of a record"));
                }
                Err(source) => {
                    return Err(SnapshotError::Undecodable { offset: self.base + self.at as u64, source });
                }
            }
        }
    }

    /// Everything from the sessions to the end of the znodes.
    fn image(&mut self, mut image: ImageDecoder) -> Result<Loader, SnapshotError> {
        loop {
            let mut used = 0;
            let fed = image.feed(&self.buffer[self.at..], &mut used);
            self.at += used;
            let offset = self.base + self.at as u64;
            fed.map_err(|error| match error {
                ImageError::Undecodable(source) => SnapshotError::Undecodable { offset, source },
                ImageError::TooLong => SnapshotError::TooLong { offset },
                ImageError::Load(error) => SnapshotError::Load(error),
            })?;
            if image.is_done() {
                return Ok(image.into_loader());
            }
            if self.ended {
                return Err(SnapshotError::Unfinished("it ends before or among the znodes"));
            }
            self.more()?;
        }
    }

    /// The bytes that are left, counted no farther than it matters.
    fn remaining(&mut self) -> Result<usize, SnapshotError> {
        while !self.ended && self.buffer.len() - self.at <= DIGEST_SECTION + LAST_ZXID_SECTION {
            self.more()?;
        }
        Ok(self.buffer.len() - self.at)
    }

    /// A checksum over everything before it, and the mark behind it.
    fn seal(&mut self) -> Result<(), SnapshotError> {
        self.sum();
        let expected = i64::from(self.adler.finish());
        let (checksum, mark) = self.take(|r| Ok((r.i64()?, r.required_ustring()? == "/")))?;
        if checksum != expected || !mark {
            return Err(SnapshotError::BadChecksum);
        }
        Ok(())
    }
}

/// Reads the file called `name` into a tree at the name's zxid.
pub fn read_snapshot<S: Storage>(
    storage: &S,
    name: &str,
    zxid: i64,
    rules: Rules,
    limits: Limits,
) -> Result<(Tree, SnapshotTail), SnapshotError> {
    let file = storage.open(Dir::Snapshot, name)?;
    let inner = decoder(Compression::of_name(name), FileReader(file));
    let mut s = Stream {
        inner,
        buffer: Vec::new(),
        at: 0,
        summed: 0,
        base: 0,
        ended: false,
        adler: simd_adler32::Adler32::new(),
        limits,
    };
    let header = s.take(FileHeader::decode)?;
    if header.magic != SNAPSHOT_MAGIC {
        return Err(SnapshotError::BadMagic(header.magic));
    }
    let loader = s.image(ImageDecoder::new(rules, limits))?;
    s.seal()?;
    let tail = read_tail(&mut s)?;
    Ok((loader.finish(zxid)?, tail))
}

fn read_tail(s: &mut Stream<'_>) -> Result<SnapshotTail, SnapshotError> {
    let mut tail = SnapshotTail::default();
    let remaining = s.remaining()?;
    if remaining == DIGEST_SECTION || remaining == DIGEST_SECTION + LAST_ZXID_SECTION {
        tail.digest = Some(s.take(|r| Ok((r.i64()?, TxnDigest::decode(r)?)))?);
        s.seal()?;
    }
    match s.remaining()? {
        0 => Ok(tail),
        LAST_ZXID_SECTION => {
            tail.last_zxid = Some(s.take(|r| r.i64())?);
            s.seal()?;
            Ok(tail)
        }
        _ => Err(SnapshotError::Unfinished("what follows its znodes has an unknown length")),
    }
}
