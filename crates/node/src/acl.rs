//! Access lists: may this connection do that, and what list does it mean to store (client-surface §5.1, §5.3).

use crate::auth;
use crate::settings::AuthSettings;
use std::collections::BTreeSet;
use wire::ErrorCode;
use wire::data::{Acl, AclEntry, AclList, Id, encode_acls};

/// Whether ids hold any of the wanted permission bits. A list that no file defines admits only `super`.
#[inline]
pub fn permits(settings: &AuthSettings, list: Option<AclList<'_>>, ids: &[Id], wanted: i32) -> bool {
    match list {
        Some(list) if list.is_open() => true,
        _ => settings.skip_acl || permits_slowly(list, ids, wanted),
    }
}

fn permits_slowly(list: Option<AclList<'_>>, ids: &[Id], wanted: i32) -> bool {
    if ids.iter().any(|id| id.scheme == "super") {
        return true;
    }
    let Some(list) = list else { return false };
    let mut entries = list.stored_entries().peekable();
    entries.peek().is_none() || entries.any(|entry| entry.perms & wanted != 0 && matches(&entry, ids))
}

fn matches(entry: &AclEntry<'_>, ids: &[Id]) -> bool {
    let (Some(scheme), Some(id)) = (&entry.scheme, &entry.id) else { return false };
    if scheme == "world" && id == "anyone" {
        return true;
    }
    ids.iter().filter(|own| own.scheme == *scheme).any(|own| match scheme.as_ref() {
        "ip" => auth::ip_matches(&own.id, id),
        _ => own.id == *id,
    })
}

/// The list that a write stores: duplicates dropped, `auth` replaced by the connection's own ids; encoded.
pub fn resolve(
    settings: &AuthSettings,
    list: AclList<'_>,
    ids: &[Id],
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    if list.is_open() {
        out.extend_from_slice(list.encoded());
        return Ok(());
    }
    let unique = without_duplicates(list)?;
    if unique.is_empty() {
        return Err(ErrorCode::InvalidAcl);
    }
    let mut resolved = Vec::new();
    let mut bytes = 0;
    for entry in unique {
        let from = resolved.len();
        resolve_entry(settings, entry, ids, &mut resolved)?;
        bytes += resolved[from..].iter().map(|acl| acl.id.scheme.len() + acl.id.id.len() + 12).sum::<usize>();
        if bytes > LIST_BYTES {
            // `auth` in many entries multiplies the connection's own ids.
            return Err(ErrorCode::MarshallingError);
        }
    }
    encode_acls(&resolved, out);
    Ok(())
}

/// What becomes of a resolved list in a multi: Apache applies the parts of one as it reads them back from their bytes, and
/// reads a character above U+FFFF, which it writes as two surrogates, as two U+FFFD.
pub fn reread(list: &mut Vec<u8>) {
    const FIRST_OF_SURROGATE: u8 = 0xed;
    if list.contains(&FIRST_OF_SURROGATE) {
        let acls = AclList::from_encoded(list).to_vec();
        list.clear();
        encode_acls(&acls, list);
    }
}

/// Bytes of a list as it is stored.
const LIST_BYTES: usize = 1 << 20;

/// The entries without exact duplicates, in order. Apache trips over a null that it has to compare with an earlier entry
/// of the same permissions.
fn without_duplicates(list: AclList<'_>) -> Result<Vec<AclEntry<'_>>, ErrorCode> {
    let mut perms = BTreeSet::new();
    let mut schemes = BTreeSet::new();
    let mut whole = BTreeSet::new();
    let mut unique = Vec::new();
    for entry in list.entries() {
        let known = (perms.contains(&entry.perms), schemes.contains(&(entry.perms, entry.scheme.clone())));
        match (&entry.scheme, &entry.id) {
            (None, _) if known.0 => return Err(ErrorCode::MarshallingError),
            (Some(_), None) if known.1 => return Err(ErrorCode::MarshallingError),
            _ => {}
        }
        if whole.insert((entry.perms, entry.scheme.clone(), entry.id.clone())) {
            perms.insert(entry.perms);
            schemes.insert((entry.perms, entry.scheme.clone()));
            unique.push(entry);
        }
    }
    Ok(unique)
}

fn resolve_entry(
    settings: &AuthSettings,
    entry: AclEntry<'_>,
    ids: &[Id],
    out: &mut Vec<Acl>,
) -> Result<(), ErrorCode> {
    let scheme = entry.scheme.ok_or(ErrorCode::InvalidAcl)?;
    if scheme == "auth" {
        let own: Vec<&Id> = ids.iter().filter(|id| auth::is_authenticated(&id.scheme)).collect();
        if own.is_empty() {
            return Err(ErrorCode::InvalidAcl);
        }
        out.extend(own.into_iter().map(|id| Acl { perms: entry.perms, id: id.clone() }));
        return Ok(());
    }
    // Apache trips over a null id of a scheme that it knows.
    let known = matches!(scheme.as_ref(), "world" | "ip") || (scheme == "digest" && settings.digest_enabled);
    let null = if known { ErrorCode::MarshallingError } else { ErrorCode::InvalidAcl };
    let id = entry.id.ok_or(null)?;
    let world = scheme == "world" && id == "anyone";
    if !world && !auth::is_valid_id(settings, &scheme, &id)? {
        return Err(ErrorCode::InvalidAcl);
    }
    out.push(Acl { perms: entry.perms, id: Id::new(scheme, id) });
    Ok(())
}

/// The list as getACL shows it to somebody without ADMIN: what follows the user of a `digest` id is hidden.
pub fn masked(list: AclList<'_>, out: &mut Vec<u8>) {
    let mut acls: Vec<Acl> = list.stored_entries().map(Acl::from).collect();
    for acl in &mut acls {
        if acl.id.scheme == "digest" {
            let user = acl.id.id.split(':').next().unwrap_or("");
            acl.id.id = format!("{user}:x");
        }
    }
    encode_acls(&acls, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::data::{OPEN_ACL, READ_ACL, perm};
    use wire::jute::Reader;

    fn list(acls: &[Acl]) -> Vec<u8> {
        let mut b = Vec::new();
        encode_acls(acls, &mut b);
        b
    }

    fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
        Acl { perms, id: Id::new(scheme, id) }
    }

    #[test]
    fn any_shared_bit_and_matching_id_admits() {
        let s = AuthSettings::default();
        let read = AclList::from_encoded(READ_ACL);
        assert!(permits(&s, Some(read), &[], perm::READ));
        assert!(!permits(&s, Some(read), &[], perm::WRITE));
        assert!(permits(&s, Some(read), &[Id::new("super", "")], perm::WRITE));
        assert!(permits(&s, Some(AclList::from_encoded(OPEN_ACL)), &[], perm::ADMIN));
        assert!(!permits(&s, None, &[], perm::READ));
        let own = list(&[acl(perm::WRITE, "digest", "u:h")]);
        let own = AclList::from_encoded(&own);
        assert!(permits(&s, Some(own), &[Id::new("digest", "u:h")], perm::WRITE));
        assert!(!permits(&s, Some(own), &[Id::new("digest", "u:x")], perm::WRITE));
        let skip = AuthSettings { skip_acl: true, ..AuthSettings::default() };
        assert!(permits(&skip, Some(own), &[], perm::WRITE));
    }

    #[test]
    fn auth_becomes_the_connections_ids() {
        let s = AuthSettings { digest_enabled: true, ..AuthSettings::default() };
        let asked = list(&[acl(31, "auth", ""), acl(31, "auth", "")]);
        let mut out = Vec::new();
        let none = resolve(&s, AclList::from_encoded(&asked), &[Id::new("ip", "1.2.3.4")], &mut out);
        assert_eq!(none, Err(ErrorCode::InvalidAcl));
        resolve(&s, AclList::from_encoded(&asked), &[Id::new("digest", "u:h")], &mut out).unwrap();
        assert_eq!(AclList::decode(&mut Reader::new(&out)).unwrap().to_vec(), [acl(31, "digest", "u:h")]);
    }

    #[test]
    fn ids_above_the_bmp_admit_until_they_are_read_again() {
        let s = AuthSettings::default();
        let me = [Id::new("digest", "\u{1f600}:h")];
        let mut stored = list(&[acl(31, "digest", "\u{1f600}:h"), acl(31, "digest", "\u{d55c}:h")]);
        assert!(permits(&s, Some(AclList::from_encoded(&stored)), &me, perm::READ));
        let mut shown = Vec::new();
        masked(AclList::from_encoded(&stored), &mut shown);
        assert_eq!(shown, list(&[acl(31, "digest", "\u{1f600}:x"), acl(31, "digest", "\u{d55c}:x")]));
        reread(&mut stored);
        let lost = [acl(31, "digest", "\u{fffd}\u{fffd}:h"), acl(31, "digest", "\u{d55c}:h")];
        assert_eq!(stored, list(&lost));
        assert!(!permits(&s, Some(AclList::from_encoded(&stored)), &me, perm::READ));
    }

    #[test]
    fn bad_lists_are_refused() {
        let s = AuthSettings { digest_enabled: true, ..AuthSettings::default() };
        for bad in
            [vec![], vec![acl(31, "world", "foo")], vec![acl(31, "x", "y")], vec![acl(1, "ip", "300.1.1.1")]]
        {
            let bytes = list(&bad);
            let result = resolve(&s, AclList::from_encoded(&bytes), &[], &mut Vec::new());
            assert_eq!(result, Err(ErrorCode::InvalidAcl), "{bad:?}");
        }
    }
}
