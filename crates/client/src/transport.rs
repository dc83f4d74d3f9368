//! Whole frames both ways on one socket, and the four-letter words that come instead of frames.

use crate::ClientError;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};
use wire::frame;

/// Replies are not bounded by `jute.maxbuffer`, so only a corrupt length is refused.
const MAX_REPLY_BYTES: usize = i32::MAX as usize;
const READ_BYTES: usize = 16 << 10;

/// One socket that carries length-prefixed frames.
#[derive(Debug)]
pub struct Transport {
    stream: TcpStream,
    /// Bytes received; those before `taken` have been handed out.
    input: Vec<u8>,
    taken: usize,
    timeout: Duration,
}

impl Transport {
    /// Connects to the first address that answers; `timeout` bounds this and every later wait.
    pub fn connect(address: impl ToSocketAddrs, timeout: Duration) -> Result<Self, ClientError> {
        let stream = connect_any(address, timeout)?;
        stream.set_nodelay(true)?;
        Ok(Transport { stream, input: Vec::new(), taken: 0, timeout })
    }

    pub fn set_timeout(&mut self, timeout: Duration) {
        self.timeout = timeout;
    }

    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Bytes as they are, framed or not.
    pub fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.stream.set_write_timeout(Some(self.timeout))?;
        Ok(self.stream.write_all(bytes)?)
    }

    /// A payload with its length in front.
    pub fn send_frame(&mut self, payload: &[u8]) -> Result<(), ClientError> {
        let mut framed = Vec::with_capacity(payload.len() + 4);
        let start = frame::begin(&mut framed);
        framed.extend_from_slice(payload);
        frame::finish(&mut framed, start);
        self.send_bytes(&framed)
    }

    /// The next whole payload, waiting for it as long as the timeout allows.
    pub fn receive_frame(&mut self) -> Result<Vec<u8>, ClientError> {
        self.receive_frame_within(self.timeout)
    }

    /// The next whole payload; [`ClientError::TimedOut`] leaves a part of one in place for the next call.
    pub fn receive_frame_within(&mut self, timeout: Duration) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some((payload, used)) = frame::split(&self.input[self.taken..], MAX_REPLY_BYTES)? {
                let payload = payload.to_vec();
                self.taken += used;
                return Ok(payload);
            }
            self.read_more(deadline)?;
        }
    }

    /// Whether a whole payload has arrived already.
    pub fn has_frame(&self) -> bool {
        matches!(frame::split(&self.input[self.taken..], MAX_REPLY_BYTES), Ok(Some(_)))
    }

    /// Waits until the server closes the connection and returns what it sent before that.
    pub fn read_to_close(&mut self) -> Result<Vec<u8>, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match self.read_more(deadline) {
                Ok(()) => {}
                Err(ClientError::Closed) => return Ok(self.input.split_off(self.taken)),
                Err(error) => return Err(error),
            }
        }
    }

    /// Tells the server that nothing more will be sent.
    pub fn shutdown_write(&self) -> Result<(), ClientError> {
        Ok(self.stream.shutdown(Shutdown::Write)?)
    }

    /// The socket itself, for callers with a loop of their own; nothing received may be pending.
    pub fn into_stream(self) -> TcpStream {
        debug_assert_eq!(self.taken, self.input.len(), "received bytes would be lost");
        self.stream
    }

    fn read_more(&mut self, deadline: Instant) -> Result<(), ClientError> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let left = deadline.saturating_duration_since(Instant::now());
        // A read timeout of zero means "for ever" to the system.
        self.stream.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
        let filled = self.input.len();
        self.input.resize(filled + READ_BYTES, 0);
        let read = self.stream.read(&mut self.input[filled..]);
        self.input.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Err(ClientError::Closed),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn connect_any(address: impl ToSocketAddrs, timeout: Duration) -> Result<TcpStream, ClientError> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last.into())
}

/// Sends a four-letter word and returns the whole answer.
pub fn four_letter_word(address: SocketAddr, word: &str, timeout: Duration) -> Result<String, ClientError> {
    let mut transport = Transport::connect(address, timeout)?;
    transport.send_bytes(word.as_bytes())?;
    Ok(String::from_utf8_lossy(&transport.read_to_close()?).into_owned())
}
