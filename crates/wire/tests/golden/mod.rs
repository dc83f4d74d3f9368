//! Bytes captured from real servers: `quorum/NAME.hex`, where lines that start with `#` say what they are and from
//! where.

use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/quorum")
}

pub fn golden(name: &str) -> Vec<u8> {
    let path = folder().join(format!("{name}.hex"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    hex(&text.lines().filter(|line| !line.starts_with('#')).collect::<String>())
}

/// The bytes of hexadecimal digits between which there may be blanks.
pub fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().filter(|c| !c.is_whitespace()).map(|c| c.to_digit(16).expect("a digit") as u8).collect();
    assert!(digits.len().is_multiple_of(2));
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

/// The captures whose name starts with one of `prefixes`, or with none of them.
pub fn names(prefixes: &[&str], with: bool) -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of captures is there");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a plain name"))
        .filter_map(|name| name.strip_suffix(".hex").map(str::to_owned))
        .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)) == with)
        .collect();
    names.sort();
    names
}
