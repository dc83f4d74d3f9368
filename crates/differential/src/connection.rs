//! One TCP connection to a server: bytes out, frames in.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a server may take over one answer before it counts as silent. Long, because a correct server always
/// answers and a loaded machine may be slow.
pub const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, PartialEq, Eq)]
pub enum Incoming {
    /// The payload of one frame.
    Frame(Vec<u8>),
    /// The server closed the connection; with bytes that are no whole frame, if any came.
    Closed(Vec<u8>),
    /// Nothing came in time.
    Silent,
}

#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub fn open(address: SocketAddr) -> io::Result<Connection> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Connection { stream, buffer: Vec::new() })
    }

    /// Sends in pieces of `piece` bytes (0: all at once). A server that closes meanwhile is noticed when reading.
    pub fn send(&mut self, bytes: &[u8], piece: usize) {
        let piece = if piece == 0 { bytes.len().max(1) } else { piece };
        for part in bytes.chunks(piece) {
            if self.stream.write_all(part).is_err() {
                return;
            }
        }
    }

    /// The next frame.
    pub fn receive(&mut self) -> Incoming {
        self.receive_within(PATIENCE)
    }

    pub fn receive_within(&mut self, patience: Duration) -> Incoming {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some((payload, used))) = wire::frame::split(&self.buffer, i32::MAX as usize) {
                let payload = payload.to_vec();
                self.buffer.drain(..used);
                return Incoming::Frame(payload);
            }
            if let Some(end) = self.fill(deadline) {
                return end;
            }
        }
    }

    /// Everything that comes until the server closes the connection, as it came.
    pub fn receive_rest(&mut self, patience: Duration) -> Incoming {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(end) = self.fill(deadline) {
                return end;
            }
        }
    }

    /// Ends the connection and waits until the server has taken note. Apache forgets which connection belongs to the
    /// session when it notices the end of an older one, so what follows must not overtake that.
    pub fn end(mut self) {
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            self.receive_rest(PATIENCE);
        }
    }

    /// Reads once; an answer when there is nothing more to wait for.
    fn fill(&mut self, deadline: Instant) -> Option<Incoming> {
        let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        if self.stream.set_read_timeout(Some(left)).is_err() {
            return Some(Incoming::Closed(std::mem::take(&mut self.buffer)));
        }
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => Some(Incoming::Closed(std::mem::take(&mut self.buffer))),
            Ok(n) => {
                self.buffer.extend_from_slice(&chunk[..n]);
                None
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => None,
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                (Instant::now() >= deadline).then_some(Incoming::Silent)
            }
            Err(_) => Some(Incoming::Closed(std::mem::take(&mut self.buffer))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn frames_come_whole_and_the_end_is_seen() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut got = [0; 3];
            peer.read_exact(&mut got).unwrap();
            peer.write_all(b"\0\0\0\x02ab\0\0").unwrap();
            got
        });
        let mut connection = Connection::open(address).unwrap();
        connection.send(b"xyz", 1);
        assert_eq!(connection.receive(), Incoming::Frame(b"ab".to_vec()));
        assert_eq!(connection.receive(), Incoming::Closed(vec![0, 0]));
        assert_eq!(server.join().unwrap(), *b"xyz");
    }
}
