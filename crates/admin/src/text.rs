//! Numbers, addresses and dates as Java prints them.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

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
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = ms_since_1970.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let weekday = DAYS[days.rem_euclid(7) as usize];
    let mut out = format!("{weekday} {} {day:02} ", MONTHS[month]);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    // Writing to a String cannot fail.
    let _ = write!(out, "{hour:02}:{minute:02}:{:02} UTC {year}", second % 60);
    out
}

/// Year, month from 0 and day from 1 of a day counted from 1970-01-01.
///
/// Counted from a first of March, so that the leap day is a year's last; 146,097 days are 400 years.
fn civil(days: i64) -> (i64, usize, i64) {
    let from_march = days + 719_468;
    let (era, day_of_era) = (from_march.div_euclid(146_097), from_march.rem_euclid(146_097));
    let leap_days = day_of_era / 1460 - day_of_era / 36_524 + day_of_era / 146_096;
    let year_of_era = (day_of_era - leap_days) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12;
    let year = era * 400 + year_of_era + i64::from(month < 2);
    (year, month as usize, day)
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
