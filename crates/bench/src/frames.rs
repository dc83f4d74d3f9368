//! Frames on a non-blocking socket, with one read and one write call per wake-up.
//!
//! The system reports edges: after an event, everything that is there must be read. A read that returns less than
//! it had room for has read everything, so the second call that would only say "nothing more" is left out. The end
//! of the stream may hide behind the last bytes then; the event tells of it.

use anyhow::{Result, bail};
use mio::event::Event;
use mio::net::TcpStream;
use std::io::{ErrorKind, Read, Write};

/// A longer frame than this means that the stream is corrupt.
const MAX_FRAME_BYTES: usize = 64 << 20;

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Happened {
    pub readable: bool,
    /// The other side has sent its last byte, or the connection is broken.
    pub ended: bool,
}

impl Happened {
    pub fn on(event: &Event) -> Self {
        let ended = event.is_read_closed() || event.is_error();
        Happened { readable: event.is_readable() || ended, ended }
    }
}

#[derive(Debug)]
pub struct FrameStream {
    pub stream: TcpStream,
    input: Vec<u8>,
    filled: usize,
    /// Whole frames to be sent; callers append, [`FrameStream::flush`] empties it.
    pub output: Vec<u8>,
    written: usize,
}

impl FrameStream {
    /// `input_bytes` is room for what one read call takes; it grows when one frame needs more.
    pub fn new(stream: TcpStream, input_bytes: usize) -> Self {
        FrameStream { stream, input: vec![0; input_bytes], filled: 0, output: Vec::new(), written: 0 }
    }

    /// Reads once. True: there may be more to read. An end of the stream is an error.
    pub fn fill(&mut self) -> Result<bool> {
        match self.stream.read(&mut self.input[self.filled..]) {
            Ok(0) => bail!("the other side closed the connection"),
            Ok(n) => {
                self.filled += n;
                Ok(self.filled == self.input.len())
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Hands each whole frame's payload to `take`, with the output to append answers to.
    pub fn drain(&mut self, mut take: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>) -> Result<()> {
        let mut at = 0;
        let mut needed = 0;
        while let Some(head) = self.input[at..self.filled].first_chunk::<4>() {
            let length = u32::from_be_bytes(*head) as usize;
            if length > MAX_FRAME_BYTES {
                bail!("a frame claims {length} bytes: the stream is corrupt");
            }
            if self.filled - at - 4 < length {
                needed = length + 4;
                break;
            }
            take(&self.input[at + 4..at + 4 + length], &mut self.output)?;
            at += 4 + length;
        }
        if at > 0 {
            self.input.copy_within(at..self.filled, 0);
            self.filled -= at;
        }
        if needed > self.input.len() {
            self.input.resize(needed, 0);
        }
        Ok(())
    }

    /// Writes once; what the socket does not take stays for the next call.
    pub fn flush(&mut self) -> Result<()> {
        if self.written == self.output.len() {
            return Ok(());
        }
        match self.stream.write(&self.output[self.written..]) {
            Ok(n) => self.written += n,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(error.into()),
        }
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream as StdStream};

    fn pair(input_bytes: usize) -> (FrameStream, StdStream) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let other = StdStream::connect(listener.local_addr().unwrap()).unwrap();
        // Blocking on purpose: the tests know what there is to read.
        let (stream, _) = listener.accept().unwrap();
        (FrameStream::new(TcpStream::from_std(stream), input_bytes), other)
    }

    fn payloads(frames: &mut FrameStream) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        let take = |payload: &[u8], _: &mut Vec<u8>| {
            all.push(payload.to_vec());
            Ok(())
        };
        frames.drain(take).unwrap();
        all
    }

    #[test]
    fn parts_of_frames_are_kept_and_the_buffer_grows_for_a_long_one() {
        let (mut frames, mut other) = pair(8);
        other.write_all(b"\0\0\0\x01a\0\0\0").unwrap();
        while frames.filled < 8 {
            frames.fill().unwrap();
        }
        assert_eq!(payloads(&mut frames), [b"a"]);
        other.write_all(b"\x09bcdefghij").unwrap();
        let mut got = Vec::new();
        while got.is_empty() {
            frames.fill().unwrap();
            got = payloads(&mut frames);
        }
        assert_eq!(got, [b"bcdefghij"]);
    }

    #[test]
    fn a_closed_connection_and_an_absurd_length_are_errors() {
        let (mut frames, mut other) = pair(8);
        other.write_all(&[0x7f; 4]).unwrap();
        frames.fill().unwrap();
        assert!(frames.drain(|_, _| Ok(())).is_err());
        drop(other);
        let (mut frames, other) = pair(8);
        drop(other);
        assert!(frames.fill().is_err());
    }
}
