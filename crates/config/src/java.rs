//! Numbers and truth values as Java reads them.
//!
//! A key that the server knows by name goes through `Integer.parseInt`: decimal digits, or the file is wrong. A system
//! property goes through `Integer.getInteger`: also `0x` and leading-zero octal, and whatever cannot be read silently
//! means the default (we keep the default, and say so). Both are here because `010` is ten in one place and eight in
//! the other.

/// `Long.parseLong`: an optional sign and decimal digits.
pub fn parse_decimal(text: &str) -> Option<i64> {
    digits(text, 10)
}

/// `Long.decode`: an optional sign, then `0x`, `0X` or `#` for hexadecimal, a leading `0` for octal, else decimal.
pub fn decode(text: &str) -> Option<i64> {
    let (sign, magnitude) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (radix, number) = if let Some(hex) = magnitude.strip_prefix("0x").or(magnitude.strip_prefix("0X")) {
        (16, hex)
    } else if let Some(hex) = magnitude.strip_prefix('#') {
        (16, hex)
    } else if magnitude.len() > 1 && magnitude.starts_with('0') {
        (8, &magnitude[1..])
    } else {
        (10, magnitude)
    };
    if number.starts_with(['+', '-']) {
        return None;
    }
    digits(&format!("{sign}{number}"), radix)
}

fn digits(text: &str, radix: u32) -> Option<i64> {
    i64::from_str_radix(text, radix).ok()
}

/// `String.trim`: every character up to the blank goes, at both ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c <= ' ')
}

/// A truth value written strictly: `true` or `false` in any case.
pub fn strict_bool(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_only() {
        for (text, value) in [("10", 10), ("010", 10), ("+5", 5), ("-1", -1), ("0", 0)] {
            assert_eq!(parse_decimal(text), Some(value), "{text}");
        }
        for text in ["", " 1", "1 ", "0x10", "1_000", "1e3", "--1", "9223372036854775808"] {
            assert_eq!(parse_decimal(text), None, "{text}");
        }
    }

    #[test]
    fn decoded() {
        for (text, value) in
            [("10", 10), ("010", 8), ("0x10", 16), ("-0X1f", -31), ("#ff", 255), ("+07", 7), ("0", 0)]
        {
            assert_eq!(decode(text), Some(value), "{text}");
        }
        assert_eq!(decode("-0x8000000000000000"), Some(i64::MIN));
        for text in ["", "08", "0x", "0x-1", "-+1", " 1", "#", "-", "é"] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn truth() {
        assert_eq!(strict_bool("TRUE"), Some(true));
        assert_eq!(strict_bool("False"), Some(false));
        assert_eq!(strict_bool("yes"), None);
        assert_eq!(trim("\u{1} a b \t"), "a b");
    }
}
