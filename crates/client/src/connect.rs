//! The handshake: opening a session, or moving an existing one to a new connection.

use crate::{ClientError, Session, Transport};
use std::net::ToSocketAddrs;
use std::time::Duration;
use wire::reply::{ConnectResponse, PASSWORD_BYTES};
use wire::request::ConnectRequest;

/// What is sent as password for a new session.
pub const NO_PASSWORD: [u8; PASSWORD_BYTES] = [0; PASSWORD_BYTES];

/// What to ask for. The default is a new session of 30 s, as a current client asks for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectOptions {
    /// Session timeout to ask for, in ms; the server clamps it.
    pub timeout_ms: i32,
    /// 0 opens a new session.
    pub session_id: i64,
    /// `None` is sent as null.
    pub password: Option<Vec<u8>>,
    /// `None` leaves the last byte out, as clients before 3.4 do.
    pub read_only: Option<bool>,
    /// The server closes the connection when this is ahead of it.
    pub last_zxid_seen: i64,
    /// Bounds the connect and every wait for a reply.
    pub io_timeout: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions {
            timeout_ms: 30_000,
            session_id: 0,
            password: Some(NO_PASSWORD.to_vec()),
            read_only: Some(false),
            last_zxid_seen: 0,
            io_timeout: Duration::from_secs(30),
        }
    }
}

impl ConnectOptions {
    /// Asks for the session that `session` has, as after a lost connection.
    pub fn resume(session: &Session) -> Self {
        ConnectOptions {
            timeout_ms: session.handshake().timeout_ms,
            session_id: session.handshake().session_id,
            password: Some(session.handshake().password.to_vec()),
            last_zxid_seen: session.last_zxid(),
            ..Self::default()
        }
    }

    /// The payload of the request.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: self.last_zxid_seen,
            timeout_ms: self.timeout_ms,
            session_id: self.session_id,
            password: self.password.as_deref(),
            read_only: self.read_only,
        };
        request.encode(out);
    }

    /// Connects and shakes hands.
    pub fn connect(&self, address: impl ToSocketAddrs) -> Result<Session, ClientError> {
        self.handshake(Transport::connect(address, self.io_timeout)?)
    }

    /// Shakes hands on a connection that exists.
    pub fn handshake(&self, mut transport: Transport) -> Result<Session, ClientError> {
        let mut payload = Vec::new();
        self.encode(&mut payload);
        transport.send_frame(&payload)?;
        let answer = ConnectResponse::decode(&transport.receive_frame()?)?;
        if answer.timeout_ms <= 0 {
            return Err(ClientError::SessionExpired);
        }
        Ok(Session::new(transport, answer, self.last_zxid_seen))
    }
}
