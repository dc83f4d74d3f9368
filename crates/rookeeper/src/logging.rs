//! Structured logs on stderr: one line an event, values as fields. `RUST_LOG` chooses levels.
//!
//! A server must not end because nobody can read what it says: a log on a full disk, a pipe whose reader has gone.
//! `println!` and `eprintln!` would panic then; [`say`] and [`complain`] do not.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

pub(crate) fn start() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let format = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .log_internal_errors(false);
    format.init();
}

/// A line on stdout, if that can be written to.
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _unread = writeln!(std::io::stdout(), $($text)*);
    }};
}

/// A line on stderr, if that can be written to.
macro_rules! complain {
    ($($text:tt)*) => {{
        use std::io::Write;
        let _unread = writeln!(std::io::stderr(), $($text)*);
    }};
}

pub(crate) use {complain, say};
