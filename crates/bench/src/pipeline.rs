//! One connection that keeps a number of requests in flight and checks every reply.

use crate::frames::FrameStream;
use crate::source::Source;
use crate::tally::Tally;
use anyhow::{Result, bail};
use client::wire::{OpCode, ops::xid};
use mio::net::TcpStream;

const INPUT_BYTES: usize = 64 << 10;
const MAX_XID: i32 = i32::MAX - 1;

/// What is remembered of a request until its reply comes.
#[derive(Debug, Clone, Copy, Default)]
struct Sent {
    at_ns: u64,
    reply_bytes: usize,
}

#[derive(Debug)]
pub struct Pipeline<S> {
    frames: FrameStream,
    source: S,
    /// Ring of requests in flight, oldest at `oldest`.
    sent: Box<[Sent]>,
    oldest: usize,
    in_flight: usize,
    next_xid: i32,
    awaited_xid: i32,
    last_zxid: i64,
}

impl<S: Source> Pipeline<S> {
    pub fn new(stream: TcpStream, source: S, depth: usize) -> Self {
        Pipeline {
            frames: FrameStream::new(stream, INPUT_BYTES),
            source,
            sent: vec![Sent::default(); depth].into(),
            oldest: 0,
            in_flight: 0,
            next_xid: 1,
            awaited_xid: 1,
            last_zxid: 0,
        }
    }

    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.frames.stream
    }

    pub fn is_idle(&self) -> bool {
        self.in_flight == 0
    }

    /// Asks as much as the depth allows. `now_ns` is the time at which latency starts to count.
    pub fn top_up(&mut self, now_ns: u64) -> Result<()> {
        while self.in_flight < self.sent.len() {
            let Some(reply_bytes) = self.source.next(self.next_xid, &mut self.frames.output) else { break };
            let mut slot = self.oldest + self.in_flight;
            if slot >= self.sent.len() {
                slot -= self.sent.len();
            }
            self.sent[slot] = Sent { at_ns: now_ns, reply_bytes };
            self.in_flight += 1;
            self.next_xid = following(self.next_xid);
        }
        self.frames.flush()
    }

    /// Sends what an earlier call could not.
    pub fn flush(&mut self) -> Result<()> {
        self.frames.flush()
    }

    /// Takes all replies that are there; returns how many.
    pub fn receive(&mut self, clock: impl Fn() -> u64, tally: &mut Tally) -> Result<u64> {
        let mut replies = 0;
        loop {
            let more = self.frames.fill()?;
            let now_ns = clock();
            let Pipeline { frames, sent, oldest, in_flight, awaited_xid, last_zxid, .. } = self;
            frames.drain(|payload, _| {
                if *in_flight == 0 {
                    bail!("a reply came although none is outstanding");
                }
                let request = sent[*oldest];
                check(payload, *awaited_xid, request.reply_bytes, last_zxid, tally)?;
                tally.record(request.at_ns, now_ns);
                *oldest = if *oldest + 1 == sent.len() { 0 } else { *oldest + 1 };
                *in_flight -= 1;
                *awaited_xid = following(*awaited_xid);
                replies += 1;
                Ok(())
            })?;
            if !more {
                return Ok(replies);
            }
        }
    }

    /// Ends the session, as far as one write can; nothing may be in flight.
    pub fn close(&mut self) {
        let mut bytes = vec![0, 0, 0, 8];
        bytes.extend_from_slice(&self.next_xid.to_be_bytes());
        bytes.extend_from_slice(&OpCode::CloseSession.code().to_be_bytes());
        self.frames.output.extend_from_slice(&bytes);
        // A session that cannot be closed now expires later.
        let _ = self.frames.flush();
    }
}

fn following(xid: i32) -> i32 {
    if xid == MAX_XID { 1 } else { xid + 1 }
}

/// A refusal is counted; anything that breaks the protocol ends the run.
#[inline]
fn check(
    payload: &[u8],
    awaited_xid: i32,
    reply_bytes: usize,
    last_zxid: &mut i64,
    tally: &mut Tally,
) -> Result<()> {
    let Some(header) = payload.first_chunk::<16>() else {
        bail!("a reply of {} bytes has no whole header", payload.len());
    };
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let got_xid = number(0);
    if got_xid != awaited_xid {
        let what = if got_xid == xid::NOTIFICATION { "a notification" } else { "another reply" };
        bail!("{what} (xid {got_xid}) came where the reply to {awaited_xid} belongs");
    }
    let zxid = (i64::from(number(4)) << 32) | i64::from(number(8) as u32);
    if zxid < *last_zxid {
        bail!("the zxid went back from {last_zxid:#x} to {zxid:#x} within a session");
    }
    *last_zxid = zxid;
    let err = number(12);
    if err != 0 {
        tally.refused(err);
    } else if payload.len() != reply_bytes {
        bail!("a reply has {} bytes where {reply_bytes} belong", payload.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::wire::reply::ReplyHeader;

    fn checked(xid: i32, zxid: i64, err: i32, tally: &mut Tally) -> Result<()> {
        let mut payload = Vec::new();
        ReplyHeader { xid, zxid, err }.encode(&mut payload);
        check(&payload, 5, 16, &mut 10, tally)
    }

    #[test]
    fn refusals_are_counted_and_breaches_end_the_run() {
        let mut tally = Tally::new();
        checked(5, 0x1_0000_0000, 0, &mut tally).unwrap();
        checked(5, 10, -101, &mut tally).unwrap();
        assert_eq!(tally.errors().get(&-101), Some(&1));
        for (xid, zxid) in [(6, 10), (-1, 10), (5, 9)] {
            assert!(checked(xid, zxid, 0, &mut tally).is_err(), "{xid} {zxid}");
        }
        assert!(check(&[0; 15], 0, 15, &mut 0, &mut tally).is_err());
        assert!(check(&[0; 17], 0, 16, &mut 0, &mut tally).is_err());
    }
}
