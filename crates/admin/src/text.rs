//! Numbers, addresses and dates as Java prints them.

use std::net::{IpAddr, SocketAddr};
use time::OffsetDateTime;

/// As `Double.toString`: always with a point, and with an exponent from ten million on and below a thousandth.
pub(crate) fn double(value: f64) -> String {
    if value == 0.0 || (1e-3..1e7).contains(&value.abs()) {
        return format!("{value:?}");
    }
    let text = format!("{value:E}");
    match text.split_once('E') {
        Some((mantissa, exponent)) if !mantissa.contains('.') => format!("{mantissa}.0E{exponent}"),
        _ => text,
    }
}

/// The mean, rounded half up to four decimals; 0.0 of nothing.
pub(crate) fn mean(total: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { (total as f64 / count as f64 * 10_000.0).round() / 10_000.0 }
}

/// As `InetSocketAddress` without a host name: `/10.0.0.1:2181`, `/[0:0:0:0:0:0:0:1]:2181`.
pub(crate) fn address(address: SocketAddr) -> String {
    match address.ip() {
        IpAddr::V4(ip) => format!("/{ip}:{}", address.port()),
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => format!("/{ip}:{}", address.port()),
            None => {
                let words = ip.segments().map(|word| format!("{word:x}")).join(":");
                format!("/[{words}]:{}", address.port())
            }
        },
    }
}

/// As `Date.toString` of a machine that keeps UTC: `Fri Nov 20 08:30:33 UTC 2026`.
pub(crate) fn date(ms_since_1970: i64) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(ms_since_1970.div_euclid(1000)) else {
        return format!("{ms_since_1970} ms after 1970");
    };
    let (weekday, month) = (at.weekday().to_string(), at.month().to_string());
    let (hour, minute, second) = at.time().as_hms();
    let (day, year) = (at.day(), at.year());
    format!("{} {} {day:02} {hour:02}:{minute:02}:{second:02} UTC {year}", &weekday[..3], &month[..3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_as_java_prints_them() {
        let cases = [
            (0.0, "0.0"),
            (3.0, "3.0"),
            (1.0625, "1.0625"),
            (225.5, "225.5"),
            (9_999_999.5, "9999999.5"),
            (1e7, "1.0E7"),
            (12_345_678.25, "1.234567825E7"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
        ];
        for (value, text) in cases {
            assert_eq!(double(value), text);
        }
    }

    #[test]
    fn means_are_rounded_to_four_decimals() {
        assert_eq!(mean(0, 0), 0.0);
        assert_eq!(mean(17, 16), 1.0625);
        assert_eq!(mean(2, 7), 0.2857);
        assert_eq!(mean(15, 9), 1.6667);
    }

    #[test]
    fn addresses_as_java_prints_them() {
        assert_eq!(address("127.0.0.1:80".parse().unwrap()), "/127.0.0.1:80");
        assert_eq!(address("[::1]:80".parse().unwrap()), "/[0:0:0:0:0:0:0:1]:80");
        assert_eq!(address("[::ffff:10.0.0.1]:80".parse().unwrap()), "/10.0.0.1:80");
    }

    #[test]
    fn dates_as_java_prints_them() {
        assert_eq!(date(1_795_163_433_218), "Fri Nov 20 08:30:33 UTC 2026");
        assert_eq!(date(0), "Thu Jan 01 00:00:00 UTC 1970");
        assert_eq!(date(951_782_400_000), "Tue Feb 29 00:00:00 UTC 2000");
        assert_eq!(date(-1), "Wed Dec 31 23:59:59 UTC 1969");
    }
}
