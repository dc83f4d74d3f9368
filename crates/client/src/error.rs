//! What can go wrong between a request and its reply.

use thiserror::Error;
use wire::frame::FrameError;
use wire::{DecodeError, ErrorCode};

#[derive(Debug, Error)]
pub enum ClientError {
    /// The server answered with an error code; the session goes on.
    #[error("the server refused: {}", refusal(*.0))]
    Refused(i32),
    /// The handshake was answered with a timeout of 0: the session is unknown or expired, or the password wrong.
    #[error("the session has expired, or its password is wrong: open a new one")]
    SessionExpired,
    /// The server closed the connection; the session may live on.
    #[error("the server closed the connection")]
    Closed,
    /// Nothing complete arrived in time; what arrived in part is kept.
    #[error("no answer within the time limit")]
    TimedOut,
    #[error("the reply to request {got} came where that to request {expected} belongs")]
    WrongXid { expected: i32, got: i32 },
    #[error("a reply cannot be understood: {0}")]
    Decode(#[from] DecodeError),
    #[error("a reply cannot be read: {0}")]
    Frame(#[from] FrameError),
    #[error(transparent)]
    Io(std::io::Error),
}

impl ClientError {
    /// The error code, if that is what the server answered with.
    pub fn code(&self) -> Option<i32> {
        match self {
            ClientError::Refused(code) => Some(*code),
            _ => None,
        }
    }
}

impl From<std::io::Error> for ClientError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind::*;
        match error.kind() {
            WouldBlock | TimedOut => ClientError::TimedOut,
            UnexpectedEof | ConnectionReset | BrokenPipe | ConnectionAborted => ClientError::Closed,
            _ => ClientError::Io(error),
        }
    }
}

fn refusal(code: i32) -> String {
    ErrorCode::from_code(code).map_or_else(|| format!("error {code}"), |known| known.to_string())
}
