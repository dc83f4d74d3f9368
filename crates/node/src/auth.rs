//! Who a connection is: the ids it has shown, and the schemes that judge them (client-surface §5).

use crate::limits::{AUTH_BYTES, AUTH_IDS};
use crate::settings::AuthSettings;
use base64::Engine;
use sha1::Digest as _;
use std::net::IpAddr;
use std::sync::Arc;
use wire::ErrorCode;
use wire::data::{DigestAlgorithm, Id};

/// The ids of one connection, in the order in which Apache lists them; replaced as a whole when one is added.
pub type AuthIds = Arc<Vec<Id>>;

fn base64(algorithm: DigestAlgorithm, bytes: &[u8]) -> String {
    let engine = base64::engine::general_purpose::STANDARD;
    match algorithm {
        DigestAlgorithm::Md5 => engine.encode(md5::Md5::digest(bytes)),
        DigestAlgorithm::Sha1 => engine.encode(sha1::Sha1::digest(bytes)),
        DigestAlgorithm::Sha224 => engine.encode(sha2::Sha224::digest(bytes)),
        DigestAlgorithm::Sha256 => engine.encode(sha2::Sha256::digest(bytes)),
        DigestAlgorithm::Sha384 => engine.encode(sha2::Sha384::digest(bytes)),
        DigestAlgorithm::Sha512 => engine.encode(sha2::Sha512::digest(bytes)),
        DigestAlgorithm::Sha3_224 => engine.encode(sha3::Sha3_224::digest(bytes)),
        DigestAlgorithm::Sha3_256 => engine.encode(sha3::Sha3_256::digest(bytes)),
        DigestAlgorithm::Sha3_384 => engine.encode(sha3::Sha3_384::digest(bytes)),
        DigestAlgorithm::Sha3_512 => engine.encode(sha3::Sha3_512::digest(bytes)),
    }
}

/// What a connection from `address` is before it shows anything.
pub fn initial_ids(address: IpAddr) -> AuthIds {
    Arc::new(vec![Id::new("ip", java_address(address))])
}

/// An address as Java prints it: IPv6 in eight uncompressed groups.
pub fn java_address(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => v4.to_string(),
            None => v6.segments().map(|s| format!("{s:x}")).join(":"),
        },
    }
}

/// What an auth packet leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// Accepted; the connection's ids from now on.
    Ids(AuthIds),
    /// Refused: an answer with -115, then the connection is closed.
    Refused,
    /// The connection is closed without an answer (the `ensemble` scheme).
    Closed,
}

/// Judges an auth packet.
pub fn show(settings: &AuthSettings, ids: &AuthIds, scheme: &str, data: Option<&[u8]>) -> Shown {
    let text = String::from_utf8_lossy(data.unwrap_or(&[]));
    match scheme {
        "digest" if settings.digest_enabled && data.is_some() => digest(settings, ids, &text),
        "ip" => match ids.iter().find(|id| id.scheme == "ip") {
            Some(own) => with(ids, [own.clone()]),
            None => Shown::Refused,
        },
        "ensemble" => match &settings.ensemble {
            None => Shown::Refused,
            Some(_) if text.is_empty() => Shown::Ids(ids.clone()),
            Some(names) if names.is_empty() || names.iter().any(|n| *n == text) => Shown::Ids(ids.clone()),
            Some(_) => Shown::Closed,
        },
        _ => Shown::Refused,
    }
}

fn digest(settings: &AuthSettings, ids: &AuthIds, text: &str) -> Shown {
    let user = text.split(':').next().unwrap_or("");
    let shown = format!("{user}:{}", base64(settings.digest_algorithm, text.as_bytes()));
    let is_super = settings.super_digest.as_deref() == Some(shown.as_str());
    let superuser = is_super.then(|| Id::new("super", ""));
    with(ids, superuser.into_iter().chain([Id::new("digest", shown)]))
}

fn with(ids: &AuthIds, added: impl IntoIterator<Item = Id>) -> Shown {
    let mut all = Vec::clone(ids);
    for id in added {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    // Apache keeps them in a hash set; the order shows in the lists that `auth` stands for.
    let bytes: usize = all.iter().map(|id| id.scheme.len() + id.id.len()).sum();
    if all.len() > AUTH_IDS || bytes > AUTH_BYTES {
        return Shown::Refused;
    }
    let bins = java_bins(all.len());
    all.sort_by_key(|id| java_bin(id, bins));
    Shown::Ids(Arc::new(all))
}

/// Bins of Java's `ConcurrentHashMap` when it holds `len` entries.
fn java_bins(len: usize) -> u32 {
    let mut bins = 16;
    while len >= bins * 3 / 4 {
        bins *= 2;
    }
    bins as u32
}

/// The bin of Java's `ConcurrentHashMap` in which an id lies.
fn java_bin(id: &Id, bins: u32) -> u32 {
    let text =
        |s: &str| s.encode_utf16().fold(0u32, |h, unit| h.wrapping_mul(31).wrapping_add(u32::from(unit)));
    let hash =
        [text(&id.scheme), text(&id.id)].iter().fold(17u32, |h, part| h.wrapping_mul(37).wrapping_add(*part));
    (hash ^ (hash >> 16)) & (bins - 1)
}

/// Whether ids of the scheme may replace an `auth` entry of an access list.
pub fn is_authenticated(scheme: &str) -> bool {
    matches!(scheme, "digest" | "sasl" | "x509" | "key")
}

/// The user behind an id, as whoAmI shows it.
pub fn user_name(id: &Id) -> &str {
    match id.scheme.as_str() {
        "digest" => id.id.split(':').next().unwrap_or(""),
        "super" => "",
        _ => &id.id,
    }
}

/// Whether an access list may name this id.
pub fn is_valid_id(settings: &AuthSettings, scheme: &str, id: &str) -> Result<bool, ErrorCode> {
    match scheme {
        "digest" => Ok(settings.digest_enabled && java_split_count(id) == 2),
        "ip" => Ok(parse_range(id).is_some()),
        _ => Ok(false),
    }
}

/// How many parts Java's `split(":")` gives: trailing empty ones do not count.
fn java_split_count(text: &str) -> usize {
    if text.is_empty() {
        return 1;
    }
    let parts: Vec<&str> = text.split(':').collect();
    parts.iter().rposition(|p| !p.is_empty()).map_or(0, |at| at + 1)
}

/// An `ip` id of an access list: an address and how many of its first bits count.
fn parse_range(text: &str) -> Option<(IpAddr, u32)> {
    let mut parts = text.splitn(2, '/');
    let address_text = parts.next()?;
    let address = if address_text.contains(':') {
        if address_text.contains('.') || address_text.contains('%') {
            return None;
        }
        IpAddr::V6(address_text.parse().ok()?)
    } else {
        IpAddr::V4(parse_dotted_quad(address_text)?)
    };
    let max = if address.is_ipv4() { 32 } else { 128 };
    let bits = match parts.next() {
        None => max,
        Some(text) => text.parse::<u32>().ok().filter(|b| *b <= max)?,
    };
    Some((address, bits))
}

/// Four decimal parts; leading zeros are allowed, as Java's parser allows them.
fn parse_dotted_quad(text: &str) -> Option<std::net::Ipv4Addr> {
    let mut octets = [0u8; 4];
    let mut parts = text.split('.');
    for octet in &mut octets {
        let part = parts.next()?;
        let value: u32 = part.strip_prefix('+').unwrap_or(part).parse().ok()?;
        *octet = u8::try_from(value).ok()?;
    }
    parts.next().is_none().then_some(octets.into())
}

/// Whether the entry `range` of an access list covers the connection's `address`.
pub fn ip_matches(address: &str, range: &str) -> bool {
    let Some((base, bits)) = parse_range(range) else { return false };
    match (address.parse::<IpAddr>(), base) {
        (Ok(IpAddr::V4(a)), IpAddr::V4(b)) => {
            bits == 0 || (u32::from(a) ^ u32::from(b)) >> (32 - bits.min(32)) == 0
        }
        (Ok(IpAddr::V6(a)), IpAddr::V6(b)) => {
            bits == 0 || (u128::from(a) ^ u128::from(b)) >> (128 - bits.min(128)) == 0
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> AuthSettings {
        AuthSettings { digest_enabled: true, ..AuthSettings::default() }
    }

    #[test]
    fn digests_are_as_apache_makes_them() {
        let ids = initial_ids("127.0.0.1".parse().unwrap());
        let Shown::Ids(ids) = show(&settings(), &ids, "digest", Some(b"user:pass")) else {
            panic!("refused")
        };
        assert_eq!(ids[1], Id::new("digest", "user:smGaoVKd/cQkjm7b88GyorAUz20="));
        let with_super =
            AuthSettings { super_digest: Some("user:smGaoVKd/cQkjm7b88GyorAUz20=".into()), ..settings() };
        let Shown::Ids(ids) = show(&with_super, &ids, "digest", Some(b"user:pass")) else {
            panic!("refused")
        };
        assert!(ids.contains(&Id::new("super", "")));
        assert_eq!(show(&settings(), &ids, "nonsense", None), Shown::Refused);
    }

    #[test]
    fn ranges_match_by_their_first_bits() {
        assert!(ip_matches("10.1.2.3", "10.1.0.0/16"));
        assert!(!ip_matches("10.2.2.3", "10.1.0.0/16"));
        assert!(ip_matches("10.2.2.3", "0.0.0.0/0"));
        assert!(ip_matches("fe80:0:0:0:0:0:0:1", "fe80::/10"));
        assert!(!ip_matches("10.2.2.3", "fe80::/10"));
        for bad in ["1.2.3", "1.2.3.256", "1.2.3.4/33", "x", "1.2.3.4/", "::1.2.3.4", "fe80::1%eth0", ""] {
            assert_eq!(is_valid_id(&settings(), "ip", bad), Ok(false), "{bad}");
        }
    }

    #[test]
    fn digest_ids_have_two_parts() {
        for (id, valid) in
            [("a:b", true), (":b", true), ("a:", false), ("a:b:", true), ("a:b:c", false), ("a", false)]
        {
            assert_eq!(is_valid_id(&settings(), "digest", id), Ok(valid), "{id}");
        }
    }

    #[test]
    fn addresses_are_spelled_as_java_spells_them() {
        assert_eq!(java_address("::1".parse().unwrap()), "0:0:0:0:0:0:0:1");
        assert_eq!(java_address("::ffff:127.0.0.1".parse().unwrap()), "127.0.0.1");
    }
}
