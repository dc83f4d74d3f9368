//! Four-letter words: a connection whose first four bytes are a word is answered with text and closed.
use anyhow::{Context, Result};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Sends `word` to the server on a loopback port and returns its answer.
pub fn ask(port: u16, word: &str) -> Result<String> {
    ask_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)), word, Duration::from_secs(5))
}

/// Sends `word` to the server at an address; the server gets `limit` for each step.
pub fn ask_at(address: SocketAddr, word: &str, limit: Duration) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, limit).context("cannot connect")?;
    stream.set_read_timeout(Some(limit))?;
    stream.write_all(word.as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).with_context(|| format!("no answer to `{word}`"))?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The value of `key` in an answer of `mntr`, whose lines are `key<TAB>value`.
pub fn monitored(port: u16, key: &str) -> Result<Option<f64>> {
    monitored_in(&ask(port, "mntr")?, key)
}

/// The value of `key` in such an answer; `None` if the server does not know it.
pub fn monitored_in(answer: &str, key: &str) -> Result<Option<f64>> {
    let line = answer.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('\t'));
    line.map(|value| value.trim().parse().with_context(|| format!("{key} is {value:?}"))).transpose()
}
