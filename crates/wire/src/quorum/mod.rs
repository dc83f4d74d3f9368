//! The quorum port: packets between a leader and its learners (quorum-and-disk §2).
//!
//! Packets follow each other without an outer frame, so their own lengths say where one ends: [`Packet::split`] takes
//! one off the front of whatever has arrived. Only the dump after a SNAP is not a packet: sessions, access lists and
//! znodes as in a snapshot file, and [`SNAP_SIGNATURE`] behind them.
//!
//! * [`PacketKind`], [`Packet`], [`AuthInfo`]: the frame every packet has.
//! * [`parts`]: what stands in the data of the kinds that have some.
//! * [`send`]: one encoder per packet that is sent, so that nullness and fixed fields are written down once.

pub mod parts;
pub mod send;

pub use parts::{LearnerInfo, Request, Revalidate, Touches};

use crate::jute::{DecodeError, Limits, Put, Reader};
use std::borrow::Cow;

/// The ustring that ends a SNAP dump.
pub const SNAP_SIGNATURE: &[u8] = b"\0\0\0\x0aBenWasHere";

/// The protocol version in LearnerInfo and LEADERINFO, spoken since 3.4.
pub const PROTOCOL_VERSION: i32 = 0x1_0000;

/// The most bytes that `authinfo` may take. Apache bounds each string only; the ids of one connection are bounded by
/// what its client sent to become them, so this refuses no real client while a count cannot promise gigabytes.
pub const MAX_AUTH_BYTES: usize = 16 << 20;

/// Type, zxid, and the lengths of null data and of null authinfo.
pub const MIN_PACKET_BYTES: usize = 20;

/// The most bytes one packet can take; a receive buffer never has to be larger.
pub const fn max_packet_bytes(limits: Limits) -> usize {
    MIN_PACKET_BYTES + limits.field_bytes + MAX_AUTH_BYTES
}

macro_rules! packet_kinds {
    ($($(#[$doc:meta])* $name:ident = $code:literal,)*) => {
        /// The packet types. "Master": the leader, or a follower that hosts observers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i32)]
        pub enum PacketKind {
            $($(#[$doc])* $name = $code,)*
        }

        impl PacketKind {
            /// All, ordered by code.
            pub const ALL: &[PacketKind] = &[$(PacketKind::$name,)*];

            #[inline]
            pub fn from_code(code: i32) -> Option<PacketKind> {
                match code {
                    $($code => Some(PacketKind::$name),)*
                    _ => None,
                }
            }

            #[inline]
            pub fn code(self) -> i32 {
                self as i32
            }
        }
    };
}

packet_kinds! {
    /// Learner to master: a request to be put in order.
    Request = 1,
    /// Master to learner: a transaction to log.
    Proposal = 2,
    /// Learner to master: logged.
    Ack = 3,
    /// Master to learner: a proposed transaction is to be applied.
    Commit = 4,
    /// Both ways; the learner's carries the sessions that were touched.
    Ping = 5,
    /// Both ways: may this session go on at that learner?
    Revalidate = 6,
    /// Master to learner: the oldest outstanding sync is done.
    Sync = 7,
    /// Master to observer: a transaction that is committed already.
    Inform = 8,
    /// Master to follower: COMMIT of a reconfiguration.
    CommitAndActivate = 9,
    /// Master to learner: what came before is the new epoch's history.
    NewLeader = 10,
    /// Follower to master: who it is and the epoch it accepted.
    FollowerInfo = 11,
    /// Master to learner: serve.
    UpToDate = 12,
    /// Master to learner: what is missing follows.
    Diff = 13,
    /// Master to learner: cut the log behind this zxid.
    Trunc = 14,
    /// Master to learner: a dump of the whole database follows.
    Snap = 15,
    /// Observer to master: as FOLLOWERINFO.
    ObserverInfo = 16,
    /// Master to learner: the new epoch.
    LeaderInfo = 17,
    /// Learner to master: the epoch is accepted; what the learner has.
    AckEpoch = 18,
    /// Master to observer: INFORM of a reconfiguration.
    InformAndActivate = 19,
}

/// One packet, borrowed from the bytes it came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// The raw type: servers log and skip types they do not know, see [`Packet::kind`].
    pub code: i32,
    pub zxid: i64,
    /// Null and empty differ.
    pub data: Option<&'a [u8]>,
    pub auth: AuthInfo<'a>,
}

impl<'a> Packet<'a> {
    pub fn new(kind: PacketKind, zxid: i64, data: Option<&'a [u8]>) -> Self {
        Packet { code: kind.code(), zxid, data, auth: AuthInfo::NULL }
    }

    /// `None`: a type of a later release.
    #[inline]
    pub fn kind(&self) -> Option<PacketKind> {
        PacketKind::from_code(self.code)
    }

    /// Takes the first packet off `bytes`: `Ok(Some((packet, used)))`, or `Ok(None)` when more bytes must come. An
    /// impossible length is an error as soon as it can be seen, before what it announces is waited for.
    #[inline]
    pub fn split(bytes: &'a [u8], limits: Limits) -> Result<Option<(Packet<'a>, usize)>, DecodeError> {
        let mut r = Reader::with_limits(bytes, limits);
        match Self::decode(&mut r) {
            Ok(packet) => Ok(Some((packet, bytes.len() - r.rest().len()))),
            Err(DecodeError::Truncated { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Reads one packet; what follows it is left in `r`.
    #[inline]
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        Ok(Packet { code: r.i32()?, zxid: r.i64()?, data: r.buffer()?, auth: AuthInfo::decode(r)? })
    }

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.code);
        out.put_i64(self.zxid);
        out.put_buffer(self.data);
        out.extend_from_slice(self.auth.encoded());
    }

    /// The data, of a kind that always has some.
    #[inline]
    pub fn required_data(&self) -> Result<&'a [u8], DecodeError> {
        self.data.ok_or(DecodeError::UnexpectedNull)
    }
}

/// A `vector<Id>` in its encoded form, checked to be well formed: the identities a client has proved. Null in every
/// packet but the REQUEST of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuthInfo<'a> {
    bytes: &'a [u8],
}

impl<'a> AuthInfo<'a> {
    pub const NULL: AuthInfo<'static> = AuthInfo { bytes: &[0xff; 4] };

    /// Reads one vector. A count or length that [`MAX_AUTH_BYTES`] cannot hold is an error at once; fewer bytes than
    /// announced are [`DecodeError::Truncated`].
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let all = r.rest();
        if all.starts_with(Self::NULL.bytes) {
            return Ok(AuthInfo { bytes: r.bytes(4)? });
        }
        let count = r.i32()?;
        let n = match usize::try_from(count) {
            Ok(n) if n <= MAX_AUTH_BYTES / 8 => n,
            _ => return Err(DecodeError::UnreasonableCount { count, available: MAX_AUTH_BYTES }),
        };
        // The strings are found in at most this much, and a longer one shows by its length.
        for _ in 0..2 * n {
            let used = all.len() - r.rest().len();
            skip_string(r, MAX_AUTH_BYTES.saturating_sub(used))?;
        }
        Ok(AuthInfo { bytes: &all[..all.len() - r.rest().len()] })
    }

    pub fn is_null(&self) -> bool {
        self.bytes == Self::NULL.bytes
    }

    /// The whole vector as it is written; null has a count of -1.
    pub fn encoded(&self) -> &'a [u8] {
        self.bytes
    }

    /// Scheme and id of each identity; none if the vector is null.
    pub fn iter(&self) -> AuthIds<'a> {
        // The strings were checked against the limits they came with, which are not kept.
        let limits = Limits { field_bytes: self.bytes.len() };
        let mut reader = Reader::with_limits(self.bytes, limits);
        let left = reader.i32().map_or(0, |count| usize::try_from(count).unwrap_or(0));
        AuthIds { reader, left }
    }
}

fn skip_string(r: &mut Reader<'_>, available: usize) -> Result<(), DecodeError> {
    let length = r.i32()?;
    let limit = r.limits().field_bytes.min(available.saturating_sub(4));
    match usize::try_from(length) {
        Ok(n) if n <= limit => r.bytes(n).map(|_| ()),
        Err(_) if length == -1 => Ok(()),
        _ => Err(DecodeError::UnreasonableLength { length, limit }),
    }
}

impl<'a> IntoIterator for AuthInfo<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);
    type IntoIter = AuthIds<'a>;

    fn into_iter(self) -> AuthIds<'a> {
        self.iter()
    }
}

/// See [`AuthInfo::iter`]. A null string reads as the empty one.
#[derive(Debug, Clone)]
pub struct AuthIds<'a> {
    reader: Reader<'a>,
    left: usize,
}

impl<'a> Iterator for AuthIds<'a> {
    type Item = (Cow<'a, str>, Cow<'a, str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let scheme = self.reader.ustring().ok()?.unwrap_or_default();
        Some((scheme, self.reader.ustring().ok()?.unwrap_or_default()))
    }
}

/// Appends identities as a vector that [`AuthInfo::decode`] reads: a connection does this once, not per request.
pub fn encode_auth<'i>(ids: impl ExactSizeIterator<Item = (&'i str, &'i str)>, out: &mut Vec<u8>) {
    out.put_count(ids.len());
    for (scheme, id) in ids {
        out.put_ustring(scheme);
        out.put_ustring(id);
    }
}
