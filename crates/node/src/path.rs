//! Which paths a client may write (client-surface §1.3).

use wire::ErrorCode;

/// The full rule: create after the suffix is added, setData, setACL, check.
pub fn validate(path: &str) -> Result<(), ErrorCode> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(ErrorCode::BadArguments);
    }
    if bytes.len() == 1 {
        return Ok(());
    }
    let names_fit = path[1..].split('/').all(|name| !matches!(name, "" | "." | ".."));
    let plain = bytes.iter().all(|b| (0x20..0x7f).contains(b));
    if names_fit && (plain || path.chars().all(allowed)) { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

fn allowed(c: char) -> bool {
    !matches!(c as u32, 0..=0x1f | 0x7f..=0x9f | 0xd800..=0xf8ff | 0xfff0..=0xffff | 0x1_0000..)
}

/// The weak rule of create (before the suffix) and delete: a slash, and no NUL. Gives the parent's path, root as the
/// empty string.
pub fn weak_parent(path: &str) -> Result<&str, ErrorCode> {
    match path.rfind('/') {
        Some(at) if !path.contains('\0') => Ok(&path[..at]),
        _ => Err(ErrorCode::BadArguments),
    }
}

/// The four paths that cannot be deleted.
pub fn is_special(path: &str) -> bool {
    matches!(path, "/" | tree::ZOOKEEPER | tree::QUOTA | tree::CONFIG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules() {
        for good in ["/", "/a", "/a/b", "/...", "/..a", "/é", "/a b", "/\u{f900}", "/\u{ffef}"] {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/a/..",
            "/a/./b",
            "/\0",
            "/\u{1}",
            "/\u{1f}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{ffff}",
            "/\u{1f600}",
        ] {
            assert_eq!(validate(bad), Err(ErrorCode::BadArguments), "{bad:?}");
        }
    }
}
