//! Snapshot compression, chosen by the suffix of the file name: none, gzip, or snappy in xerial's stream framing.

use std::io::{self, Read, Write};

/// `zookeeper.snapshot.compression.method`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
}

/// First bytes of a xerial snappy stream: magic, version 1, lowest compatible version 1.
const XERIAL_HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const XERIAL_BLOCK: usize = 32 * 1024;
/// No writer makes blocks near this size; a larger length is damage.
const XERIAL_MAX_COMPRESSED: usize = 16 * 1024 * 1024;

impl Compression {
    pub fn suffix(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Snappy => ".snappy",
        }
    }

    /// Java takes every unknown suffix for an uncompressed file.
    pub fn of_name(name: &str) -> Compression {
        match name.rsplit('.').next() {
            Some("gz") => Compression::Gzip,
            Some("snappy") => Compression::Snappy,
            _ => Compression::None,
        }
    }

    /// The bytes that a readable file of this kind begins with.
    pub(crate) fn magic(self) -> &'static [u8] {
        match self {
            Compression::None => &[],
            Compression::Gzip => &[0x1f, 0x8b],
            Compression::Snappy => &XERIAL_HEADER[..8],
        }
    }
}

/// Compresses what is written to it.
pub(crate) enum Encoder<W: Write> {
    Plain(W),
    Gzip(Box<flate2::write::GzEncoder<W>>),
    Snappy(SnappyEncoder<W>),
}

impl<W: Write> Encoder<W> {
    pub fn new(compression: Compression, inner: W) -> io::Result<Self> {
        Ok(match compression {
            Compression::None => Encoder::Plain(inner),
            Compression::Gzip => {
                Encoder::Gzip(Box::new(flate2::write::GzEncoder::new(inner, flate2::Compression::new(6))))
            }
            Compression::Snappy => Encoder::Snappy(SnappyEncoder::new(inner)?),
        })
    }

    pub fn get_mut(&mut self) -> &mut W {
        match self {
            Encoder::Plain(w) => w,
            Encoder::Gzip(e) => e.get_mut(),
            Encoder::Snappy(e) => &mut e.inner,
        }
    }

    pub fn finish(self) -> io::Result<W> {
        match self {
            Encoder::Plain(w) => Ok(w),
            Encoder::Gzip(e) => e.finish(),
            Encoder::Snappy(e) => e.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Encoder::Plain(w) => w.write(bytes),
            Encoder::Gzip(e) => e.write(bytes),
            Encoder::Snappy(e) => e.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Encoder::Plain(w) => w.flush(),
            Encoder::Gzip(e) => e.flush(),
            Encoder::Snappy(_) => Ok(()),
        }
    }
}

pub(crate) struct SnappyEncoder<W: Write> {
    inner: W,
    block: Vec<u8>,
    compressed: Vec<u8>,
}

impl<W: Write> SnappyEncoder<W> {
    fn new(mut inner: W) -> io::Result<Self> {
        inner.write_all(&XERIAL_HEADER)?;
        let compressed = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK)];
        Ok(SnappyEncoder { inner, block: Vec::with_capacity(XERIAL_BLOCK), compressed })
    }

    fn flush_block(&mut self) -> io::Result<()> {
        if self.block.is_empty() {
            return Ok(());
        }
        let n = snap::raw::Encoder::new()
            .compress(&self.block, &mut self.compressed)
            .map_err(io::Error::other)?;
        self.inner.write_all(&(n as u32).to_be_bytes())?;
        self.inner.write_all(&self.compressed[..n])?;
        self.block.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<W> {
        self.flush_block()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for SnappyEncoder<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = bytes.len().min(XERIAL_BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..n]);
        if self.block.len() == XERIAL_BLOCK {
            self.flush_block()?;
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The uncompressed bytes of `inner`.
pub(crate) fn decoder<'r, R: Read + 'r>(compression: Compression, inner: R) -> Box<dyn Read + 'r> {
    match compression {
        Compression::None => Box::new(inner),
        Compression::Gzip => Box::new(flate2::read::GzDecoder::new(inner)),
        Compression::Snappy => Box::new(SnappyDecoder { inner, started: false, block: Vec::new(), at: 0 }),
    }
}

struct SnappyDecoder<R: Read> {
    inner: R,
    started: bool,
    block: Vec<u8>,
    at: usize,
}

impl<R: Read> SnappyDecoder<R> {
    /// Fills `block`; leaves it empty at the end of the stream.
    fn next_block(&mut self) -> io::Result<()> {
        if !self.started {
            let mut header = [0; XERIAL_HEADER.len()];
            self.inner.read_exact(&mut header)?;
            if header[..8] != XERIAL_HEADER[..8] {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "not a xerial snappy stream"));
            }
            self.started = true;
        }
        self.block.clear();
        self.at = 0;
        let mut length = [0; 4];
        if self.inner.read(&mut length[..1])? == 0 {
            return Ok(());
        }
        self.inner.read_exact(&mut length[1..])?;
        let n = u32::from_be_bytes(length) as usize;
        if n > XERIAL_MAX_COMPRESSED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block of unreasonable length"));
        }
        let mut compressed = Vec::new();
        self.inner.by_ref().take(n as u64).read_to_end(&mut compressed)?;
        if compressed.len() < n {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let plain = snap::raw::decompress_len(&compressed).map_err(io::Error::other)?;
        if plain > XERIAL_MAX_COMPRESSED {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a snappy block of unreasonable size"));
        }
        self.block = snap::raw::Decoder::new().decompress_vec(&compressed).map_err(io::Error::other)?;
        Ok(())
    }
}

impl<R: Read> Read for SnappyDecoder<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            self.next_block()?;
        }
        let n = into.len().min(self.block.len() - self.at);
        into[..n].copy_from_slice(&self.block[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_codec_gives_back_what_it_got() {
        let plain: Vec<u8> = (0..100_000u32).flat_map(|i| (i / 7).to_be_bytes()).collect();
        for compression in [Compression::None, Compression::Gzip, Compression::Snappy] {
            let mut e = Encoder::new(compression, Vec::new()).unwrap();
            e.write_all(&plain).unwrap();
            let packed = e.finish().unwrap();
            assert!(packed.starts_with(compression.magic()));
            let mut back = Vec::new();
            decoder(compression, &packed[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{compression:?}");
        }
    }

    #[test]
    fn a_snappy_stream_with_a_lying_length_is_refused() {
        let mut bytes = XERIAL_HEADER.to_vec();
        bytes.extend_from_slice(&[0x7f, 0xff, 0xff, 0xff, 1]);
        assert!(decoder(Compression::Snappy, &bytes[..]).read_to_end(&mut Vec::new()).is_err());
        bytes.splice(16.., [0, 0, 0, 9, 1]);
        assert!(decoder(Compression::Snappy, &bytes[..]).read_to_end(&mut Vec::new()).is_err());
    }
}
