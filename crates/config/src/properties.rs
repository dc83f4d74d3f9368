//! The Java properties syntax, in which `zoo.cfg` and the dynamic file are written.
//!
//! One logical line is one pair: leading blanks go away, `#` or `!` as the first character makes a comment, an odd
//! number of backslashes at the end joins the next line, and the key ends at the first `=`, `:` or blank that has no
//! backslash before it. There are no comments behind a value.
//!
//! The bytes are ISO 8859-1, one byte one character, as `java.util.Properties` reads a stream. That matters for paths:
//! a folder name in UTF-8 reaches Apache's server with each byte turned into a character of its own, and a server that
//! decoded it differently would look for its data elsewhere. A published crate (java-properties 2.0) decodes
//! Windows-1252 instead, stops at the first error, and brings a regular expression engine, hence this one.
//!
//! What always holds: every input gives a result, nothing panics, and pairs come in the order of the file with the
//! number of the line on which they start.

/// One `key=value`, unescaped but not yet trimmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    pub key: String,
    pub value: String,
    /// The line on which the pair starts, counted from 1.
    pub line: u32,
    /// The pair holds a byte above 127, which Java takes as one ISO 8859-1 character.
    pub non_ascii: bool,
    /// A backslash before an ordinary character, which the syntax drops: the usual sign of a Windows path.
    pub lost_backslash: bool,
}

/// A line that the syntax does not allow. There is one such case: `\u` without four hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadEscape {
    pub line: u32,
}

/// Reads a whole file.
pub fn parse(bytes: &[u8]) -> Vec<Result<Pair, BadEscape>> {
    logical_lines(bytes).into_iter().map(|line| split_pair(&line)).collect()
}

struct LogicalLine {
    number: u32,
    bytes: Vec<u8>,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | 0x0c)
}

/// Joins continued lines and leaves out comments and empty lines. While nothing but a continued empty line was seen, a
/// new line may still be a comment.
fn logical_lines(bytes: &[u8]) -> Vec<LogicalLine> {
    let mut lines = Vec::new();
    let mut open: Option<LogicalLine> = None;
    for (index, natural) in natural_lines(bytes).into_iter().enumerate() {
        let blanks = natural.iter().take_while(|&&byte| is_blank(byte)).count();
        let text = &natural[blanks..];
        let mut line = match open.take() {
            Some(line) => line,
            None if text.is_empty() || matches!(text[0], b'#' | b'!') => continue,
            None => LogicalLine { number: index as u32 + 1, bytes: Vec::new() },
        };
        let backslashes = text.iter().rev().take_while(|&&byte| byte == b'\\').count();
        if backslashes % 2 == 1 {
            line.bytes.extend_from_slice(&text[..text.len() - 1]);
            open = Some(line).filter(|line| !line.bytes.is_empty());
        } else {
            line.bytes.extend_from_slice(text);
            lines.push(line);
        }
    }
    lines.extend(open);
    lines
}

/// Splits at `\n`, `\r` and `\r\n`.
fn natural_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|&byte| matches!(byte, b'\n' | b'\r')) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with(b"\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines.push(rest);
    lines
}

fn split_pair(line: &LogicalLine) -> Result<Pair, BadEscape> {
    let bytes = &line.bytes;
    let mut escaped = false;
    let key_end = bytes
        .iter()
        .position(|&byte| {
            let ends = !escaped && (is_blank(byte) || matches!(byte, b'=' | b':'));
            escaped = byte == b'\\' && !escaped;
            ends
        })
        .unwrap_or(bytes.len());
    let mut value_start = key_end;
    let mut separator_seen = false;
    while let Some(&byte) = bytes.get(value_start) {
        match byte {
            b'=' | b':' if !separator_seen => separator_seen = true,
            _ if is_blank(byte) => {}
            _ => break,
        }
        value_start += 1;
    }
    let bad = || BadEscape { line: line.number };
    let (key, lost_in_key) = unescape(&bytes[..key_end]).ok_or_else(bad)?;
    let (value, lost_in_value) = unescape(&bytes[value_start..]).ok_or_else(bad)?;
    Ok(Pair {
        key,
        value,
        line: line.number,
        non_ascii: !bytes.is_ascii(),
        lost_backslash: lost_in_key || lost_in_value,
    })
}

/// Undoes backslash escapes; the flag tells of a backslash that simply vanished. `None`: a malformed `\u`.
fn unescape(bytes: &[u8]) -> Option<(String, bool)> {
    let mut units: Vec<u16> = Vec::with_capacity(bytes.len());
    let mut lost = false;
    let mut rest = bytes.iter().copied();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            units.push(u16::from(byte));
            continue;
        }
        match rest.next() {
            Some(b't') => units.push(u16::from(b'\t')),
            Some(b'n') => units.push(u16::from(b'\n')),
            Some(b'r') => units.push(u16::from(b'\r')),
            Some(b'f') => units.push(0x0c),
            Some(b'u') => {
                let mut unit = 0u16;
                for _ in 0..4 {
                    unit = unit << 4 | char::from(rest.next()?).to_digit(16)? as u16;
                }
                units.push(unit);
            }
            Some(other) => {
                lost |= other.is_ascii_alphanumeric();
                units.push(u16::from(other));
            }
            None => {}
        }
    }
    Some((String::from_utf16_lossy(&units), lost))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pairs(text: &str) -> Vec<(String, String, u32)> {
        parse(text.as_bytes())
            .into_iter()
            .map(|pair| pair.map(|pair| (pair.key, pair.value, pair.line)).expect("well formed"))
            .collect()
    }

    fn one(text: &str) -> (String, String) {
        let mut all = pairs(text);
        assert_eq!(all.len(), 1, "{text:?} is one pair: {all:?}");
        let (key, value, _) = all.remove(0);
        (key, value)
    }

    fn is(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn equals_colon_and_blank_separate() {
        for text in ["a=b", "a:b", "a b", "a\tb", "  a = b", "a :b", "a\x0c= b"] {
            assert_eq!(one(text), is("a", "b"), "{text:?}");
        }
        assert_eq!(one("a==b"), is("a", "=b"));
        assert_eq!(one("a = : b"), is("a", ": b"));
        assert_eq!(one("a"), is("a", ""));
        assert_eq!(one("=b"), is("", "b"));
    }

    #[test]
    fn blanks_behind_the_value_stay() {
        assert_eq!(one("a=b  "), is("a", "b  "));
    }

    #[test]
    fn comments_only_at_the_start_of_a_line() {
        assert_eq!(
            pairs("# x=y\n  ! z=1\n#\\\na=1 # no comment\n"),
            [("a".to_owned(), "1 # no comment".to_owned(), 4)]
        );
    }

    #[test]
    fn lines_continue_and_keep_the_number_of_their_start() {
        let expected = [("a".to_owned(), "b#c".to_owned(), 2), ("d".to_owned(), "e\\".to_owned(), 4)];
        assert_eq!(pairs("\na=b\\\n   #c\nd=e\\\\\n"), expected);
        assert_eq!(one("a=b\\\r\n  c"), is("a", "bc"));
        assert_eq!(pairs("a=b\\\n\nc=d").len(), 2, "an empty line ends a continued one");
        assert_eq!(one("a=b\\"), is("a", "b"));
        assert!(pairs("\\\n").is_empty());
        assert_eq!(pairs("\\\n#c\n"), [], "a comment after a continued empty line");
    }

    #[test]
    fn all_line_ends_count() {
        let lines: Vec<u32> = pairs("a=1\rb=2\r\nc=3\nd=4").into_iter().map(|pair| pair.2).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn escapes() {
        assert_eq!(one(r"a\ b\:c=\u00e9\t\u0041\n"), is("a b:c", "é\tA\n"));
        assert_eq!(one(r"a=\ud83d\ude00"), is("a", "😀"));
        for text in ["a=\\u12", "a=\\u12g4", "a\\uzzzz=1", "a=\\u"] {
            assert_eq!(parse(text.as_bytes()), [Err(BadEscape { line: 1 })], "{text:?}");
        }
    }

    #[test]
    fn bytes_are_latin_1() {
        let parsed = parse("dir=/é".as_bytes());
        let pair = parsed[0].as_ref().expect("well formed");
        assert_eq!((pair.value.as_str(), pair.non_ascii), ("/Ã©", true));
    }

    #[test]
    fn a_windows_path_loses_its_backslashes() {
        let parsed = parse(br"dataDir=C:\data");
        let pair = parsed[0].as_ref().expect("well formed");
        assert_eq!((pair.value.as_str(), pair.lost_backslash), ("C:data", true));
    }

    /// Writes as `Properties.store` does, with a choice of separator.
    fn escape(text: &str, key: bool, out: &mut String) {
        for (index, unit) in text.encode_utf16().enumerate() {
            match char::from_u32(u32::from(unit)) {
                Some(' ') if key || index == 0 => out.push_str("\\ "),
                Some('\t') => out.push_str("\\t"),
                Some('\n') => out.push_str("\\n"),
                Some('\r') => out.push_str("\\r"),
                Some('\x0c') => out.push_str("\\f"),
                Some(c @ ('=' | ':' | '#' | '!' | '\\')) => out.extend(['\\', c]),
                Some(c @ ' '..='~') => out.push(c),
                _ => out.push_str(&format!("\\u{unit:04X}")),
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_stored_is_read_back(
            wanted in proptest::collection::vec(("\\PC{1,12}|[ =:#!\\\\\t\n\r\u{c}a]{1,8}", "\\PC{0,20}|[ =:#!\\\\\t\n\r\u{c}a]{0,8}"), 0..8),
            separator in prop_oneof![Just("="), Just(":"), Just(" = "), Just("\t")],
        ) {
            let mut text = String::from("# a comment\n");
            for (key, value) in &wanted {
                escape(key, true, &mut text);
                text.push_str(separator);
                escape(value, false, &mut text);
                text.push('\n');
            }
            let found: Vec<(String, String)> =
                pairs(&text).into_iter().map(|(key, value, _)| (key, value)).collect();
            prop_assert_eq!(found, wanted);
        }

        #[test]
        fn any_bytes_give_pairs_in_order(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut last = 0;
            for pair in parse(&bytes) {
                let line = match pair { Ok(pair) => pair.line, Err(bad) => bad.line };
                prop_assert!(line > last);
                last = line;
            }
        }
    }
}
