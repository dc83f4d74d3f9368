//! From checked numbers to the types of the configuration. Options that say "0 or less turns it off" become `None`.

/// A count; what is below zero counts as zero.
pub(crate) fn count(value: i64) -> u32 {
    u32::try_from(value.max(0)).unwrap_or(u32::MAX)
}

/// Milliseconds; what is below zero counts as zero.
pub(crate) fn millis(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

/// `None` for zero and below.
pub(crate) fn positive(value: i64) -> Option<u32> {
    Some(count(value)).filter(|&value| value > 0)
}

/// Kibibytes as bytes, `None` for zero and below.
pub(crate) fn kibibytes(value: i64) -> Option<u64> {
    u64::try_from(value).ok().filter(|&value| value > 0).map(|value| value.saturating_mul(1024))
}

/// `ms` from hours or from a number with a suffix, as the trunk of Apache ZooKeeper reads purge intervals.
pub(crate) fn interval_ms(text: &str) -> Option<i64> {
    const HOUR: i64 = 3_600_000;
    let digits_end = text.find(|c: char| !(c.is_ascii_digit() || c == '-' || c == '+')).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits_end);
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" | "h" => HOUR,
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "d" => 24 * HOUR,
        _ => return None,
    };
    i32::try_from(crate::java::parse_decimal(number)?).ok().map(|number| i64::from(number) * factor)
}

/// The parts of a comma list, trimmed, without empty ones.
pub(crate) fn comma_list(text: &str) -> Vec<String> {
    text.split(',').map(crate::java::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        for (text, ms) in [("0", 0), ("1", 3_600_000), ("12", 43_200_000), ("90s", 90_000), ("2M", 120_000)] {
            assert_eq!(interval_ms(text), Some(ms), "{text}");
        }
        assert_eq!(interval_ms("250ms"), Some(250));
        assert_eq!(interval_ms("1d"), Some(86_400_000));
        for text in ["", "h", "1w", "1 h", "99999999999"] {
            assert_eq!(interval_ms(text), None, "{text}");
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(
            (count(-1), count(7), positive(0), positive(-1), positive(3)),
            (0, 7, None, None, Some(3))
        );
        assert_eq!((kibibytes(4), kibibytes(-1), kibibytes(i64::MAX)), (Some(4096), None, Some(u64::MAX)));
        assert_eq!(millis(-5), 0);
    }
}
