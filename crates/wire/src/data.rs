//! Records shared by several protocols: `Id`, `ACL` and `Stat`.

use crate::jute::{DecodeError, Limits, Put, Reader, text, written_text};
use std::borrow::Cow;

/// Permission bits of an ACL entry (client-surface §5.1).
pub mod perm {
    pub const READ: i32 = 1;
    pub const WRITE: i32 = 2;
    pub const CREATE: i32 = 4;
    pub const DELETE: i32 = 8;
    pub const ADMIN: i32 = 16;
    pub const ALL: i32 = 31;
}

/// Who somebody is, within a scheme.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    pub scheme: String,
    pub id: String,
}

impl Id {
    pub fn new(scheme: impl Into<String>, id: impl Into<String>) -> Self {
        Id { scheme: scheme.into(), id: id.into() }
    }
}

/// The hash in the ids of the scheme `digest` (`zookeeper.DigestAuthenticationProvider.digestAlg`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DigestAlgorithm {
    Md5,
    #[default]
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl DigestAlgorithm {
    /// Any of the names that Java knows, in any case.
    pub fn from_name(name: &str) -> Option<DigestAlgorithm> {
        Some(match name.to_ascii_uppercase().as_str() {
            "MD5" => DigestAlgorithm::Md5,
            "SHA" | "SHA1" | "SHA-1" => DigestAlgorithm::Sha1,
            "SHA-224" => DigestAlgorithm::Sha224,
            "SHA-256" => DigestAlgorithm::Sha256,
            "SHA-384" => DigestAlgorithm::Sha384,
            "SHA-512" => DigestAlgorithm::Sha512,
            "SHA3-224" => DigestAlgorithm::Sha3_224,
            "SHA3-256" => DigestAlgorithm::Sha3_256,
            "SHA3-384" => DigestAlgorithm::Sha3_384,
            "SHA3-512" => DigestAlgorithm::Sha3_512,
            _ => return None,
        })
    }
}

/// One entry of an access control list. `perms` is stored unchecked, as Apache does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Acl {
    pub perms: i32,
    pub id: Id,
}

impl Acl {
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i32(self.perms);
        out.put_ustring(&self.id.scheme);
        out.put_ustring(&self.id.id);
    }
}

/// One entry as it stands in the bytes; a null scheme or id is possible there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AclEntry<'a> {
    pub perms: i32,
    pub scheme: Option<Cow<'a, str>>,
    pub id: Option<Cow<'a, str>>,
}

impl<'a> AclEntry<'a> {
    fn decode(r: &mut Reader<'a>, text: fn(&'a [u8]) -> Cow<'a, str>) -> Result<Self, DecodeError> {
        Ok(AclEntry { perms: r.i32()?, scheme: r.buffer()?.map(text), id: r.buffer()?.map(text) })
    }
}

/// What is null becomes empty.
impl From<AclEntry<'_>> for Acl {
    fn from(entry: AclEntry<'_>) -> Acl {
        let id = Id::new(entry.scheme.unwrap_or_default(), entry.id.unwrap_or_default());
        Acl { perms: entry.perms, id }
    }
}

/// A `vector<ACL>` in its encoded form, checked to be well formed.
///
/// Most lists are written once and compared often (interning), so the bytes are the value; `world:anyone:ALL` is
/// recognised without decoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AclList<'a> {
    bytes: &'a [u8],
}

/// The encoded list `[world:anyone:ALL]`.
pub const OPEN_ACL: &[u8] = b"\0\0\0\x01\0\0\0\x1f\0\0\0\x05world\0\0\0\x06anyone";

/// The encoded list `[world:anyone:READ]`.
pub const READ_ACL: &[u8] = b"\0\0\0\x01\0\0\0\x01\0\0\0\x05world\0\0\0\x06anyone";

impl<'a> AclList<'a> {
    /// Reads one list; a null list keeps its count of -1.
    pub fn decode(r: &mut Reader<'a>) -> Result<Self, DecodeError> {
        let all = r.rest();
        if all.starts_with(OPEN_ACL) {
            return Ok(AclList { bytes: r.bytes(OPEN_ACL.len())? });
        }
        let n = r.count(12)?.unwrap_or(0);
        for _ in 0..n {
            AclEntry::decode(r, text)?;
        }
        Ok(AclList { bytes: &all[..all.len() - r.rest().len()] })
    }

    /// Takes bytes that [`AclList::decode`] or [`encode_acls`] produced.
    pub fn from_encoded(bytes: &'a [u8]) -> Self {
        AclList { bytes }
    }

    pub fn encoded(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether the list is null, which is not the same as empty.
    pub fn is_null(&self) -> bool {
        self.bytes.starts_with(&[0xff; 4])
    }

    pub fn is_open(&self) -> bool {
        self.bytes == OPEN_ACL
    }

    /// The entries of a list that somebody sent; none for a null list.
    pub fn entries(&self) -> impl Iterator<Item = AclEntry<'a>> + use<'a> {
        self.read(text)
    }

    /// The entries of a list that a server wrote: no character is lost that was in the list before it was written, though
    /// Java reads those above U+FFFF as two U+FFFD.
    pub fn stored_entries(&self) -> impl Iterator<Item = AclEntry<'a>> + use<'a> {
        self.read(written_text)
    }

    fn read(&self, text: fn(&'a [u8]) -> Cow<'a, str>) -> impl Iterator<Item = AclEntry<'a>> + use<'a> {
        // Its lengths were checked when it was decoded.
        let mut r = Reader::with_limits(self.bytes, Limits { field_bytes: usize::MAX });
        let n = r.i32().unwrap_or(0).max(0);
        (0..n).map_while(move |_| AclEntry::decode(&mut r, text).ok())
    }

    /// [`AclList::entries`], owned.
    pub fn to_vec(&self) -> Vec<Acl> {
        self.entries().map(Acl::from).collect()
    }
}

/// Writes a `vector<ACL>`.
pub fn encode_acls(acls: &[Acl], out: &mut Vec<u8>) {
    out.put_count(acls.len());
    for acl in acls {
        acl.encode(out);
    }
}

/// What a client sees of a znode besides its data: 68 bytes on the wire. Times in ms since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stat {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub data_length: i32,
    pub num_children: i32,
    pub pzxid: i64,
}

impl Stat {
    pub const ENCODED_BYTES: usize = 68;

    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut b = [0u8; Self::ENCODED_BYTES];
        b[0..8].copy_from_slice(&self.czxid.to_be_bytes());
        b[8..16].copy_from_slice(&self.mzxid.to_be_bytes());
        b[16..24].copy_from_slice(&self.ctime.to_be_bytes());
        b[24..32].copy_from_slice(&self.mtime.to_be_bytes());
        b[32..36].copy_from_slice(&self.version.to_be_bytes());
        b[36..40].copy_from_slice(&self.cversion.to_be_bytes());
        b[40..44].copy_from_slice(&self.aversion.to_be_bytes());
        b[44..52].copy_from_slice(&self.ephemeral_owner.to_be_bytes());
        b[52..56].copy_from_slice(&self.data_length.to_be_bytes());
        b[56..60].copy_from_slice(&self.num_children.to_be_bytes());
        b[60..68].copy_from_slice(&self.pzxid.to_be_bytes());
        out.extend_from_slice(&b);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Stat {
            czxid: r.i64()?,
            mzxid: r.i64()?,
            ctime: r.i64()?,
            mtime: r.i64()?,
            version: r.i32()?,
            cversion: r.i32()?,
            aversion: r.i32()?,
            ephemeral_owner: r.i64()?,
            data_length: r.i32()?,
            num_children: r.i32()?,
            pzxid: r.i64()?,
        })
    }
}

/// A znode's stat as files hold it: 60 bytes. `cversion` counts creates here (client-surface §4.8), and
/// `ephemeral_owner` is the stored one, markers of containers and TTL included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StatPersisted {
    pub czxid: i64,
    pub mzxid: i64,
    pub ctime: i64,
    pub mtime: i64,
    pub version: i32,
    pub cversion: i32,
    pub aversion: i32,
    pub ephemeral_owner: i64,
    pub pzxid: i64,
}

impl StatPersisted {
    pub const ENCODED_BYTES: usize = 60;

    pub fn encode(&self, out: &mut Vec<u8>) {
        out.put_i64(self.czxid);
        out.put_i64(self.mzxid);
        out.put_i64(self.ctime);
        out.put_i64(self.mtime);
        out.put_i32(self.version);
        out.put_i32(self.cversion);
        out.put_i32(self.aversion);
        out.put_i64(self.ephemeral_owner);
        out.put_i64(self.pzxid);
    }

    pub fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(StatPersisted {
            czxid: r.i64()?,
            mzxid: r.i64()?,
            ctime: r.i64()?,
            mtime: r.i64()?,
            version: r.i32()?,
            cversion: r.i32()?,
            aversion: r.i32()?,
            ephemeral_owner: r.i64()?,
            pzxid: r.i64()?,
        })
    }
}

/// Who owns a znode, as encoded in the stored `ephemeralOwner` (quorum-and-disk §0.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    Persistent,
    Container,
    /// Time to live in ms.
    Ttl(i64),
    Session(i64),
}

/// The stored owner of a container.
pub const CONTAINER_OWNER: i64 = i64::MIN;
/// Largest time to live, in ms.
pub const MAX_TTL_MS: i64 = 0xff_ffff_ffff;

/// How stored owners are read: `zookeeper.extendedTypesEnabled`, `zookeeper.emulate353TTLNodes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OwnerRules {
    pub extended_types: bool,
    pub emulate_353_ttl: bool,
}

impl Owner {
    pub fn decode(stored: i64, rules: OwnerRules) -> Owner {
        const EXTENDED: u64 = 0xff << 56;
        let bits = stored as u64;
        if stored == 0 {
            Owner::Persistent
        } else if stored == CONTAINER_OWNER {
            Owner::Container
        } else if rules.extended_types && (bits & EXTENDED == EXTENDED || rules.emulate_353_ttl && stored < 0)
        {
            Owner::Ttl(stored & MAX_TTL_MS)
        } else {
            Owner::Session(stored)
        }
    }

    pub fn encode(self) -> i64 {
        match self {
            Owner::Persistent => 0,
            Owner::Container => CONTAINER_OWNER,
            Owner::Ttl(ms) => (0xff_u64 << 56) as i64 | ms,
            Owner::Session(id) => id,
        }
    }

    /// What a client sees as `ephemeralOwner`: only real ephemerals show one.
    pub fn visible(self) -> i64 {
        match self {
            Owner::Session(id) => id,
            Owner::Persistent | Owner::Container | Owner::Ttl(_) => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_open_list_is_the_encoded_one() {
        let acl = Acl { perms: perm::ALL, id: Id::new("world", "anyone") };
        let mut b = Vec::new();
        encode_acls(&[acl], &mut b);
        assert_eq!(b, OPEN_ACL);
        assert!(AclList::decode(&mut Reader::new(&b)).unwrap().is_open());
    }

    #[test]
    fn lists_survive_and_leave_the_rest() {
        let acls = vec![
            Acl { perms: 1, id: Id::new("digest", "a:b") },
            Acl { perms: 31, id: Id::new("ip", "10.0.0.0/8") },
        ];
        let mut b = Vec::new();
        encode_acls(&acls, &mut b);
        b.push(7);
        let mut r = Reader::new(&b);
        let list = AclList::decode(&mut r).unwrap();
        assert_eq!(list.to_vec(), acls);
        assert_eq!(r.rest(), [7]);
    }

    #[test]
    fn owners_follow_the_rules() {
        let on = OwnerRules { extended_types: true, emulate_353_ttl: false };
        let ttl = Owner::Ttl(5000).encode();
        assert_eq!(Owner::decode(ttl, on), Owner::Ttl(5000));
        assert_eq!(Owner::decode(ttl, OwnerRules::default()), Owner::Session(ttl));
        assert_eq!(Owner::decode(CONTAINER_OWNER, on), Owner::Container);
        let old = i64::MIN | 5000;
        assert_eq!(Owner::decode(old, on), Owner::Session(old));
        let emulate = OwnerRules { extended_types: true, emulate_353_ttl: true };
        assert_eq!(Owner::decode(old, emulate), Owner::Ttl(5000));
    }

    #[test]
    fn stat_survives() {
        let s = Stat { czxid: 1, mzxid: 2, cversion: -2, pzxid: 9, data_length: 3, ..Stat::default() };
        let mut b = Vec::new();
        s.encode(&mut b);
        assert_eq!(b.len(), Stat::ENCODED_BYTES);
        assert_eq!(Stat::decode(&mut Reader::new(&b)), Ok(s));
    }
}
