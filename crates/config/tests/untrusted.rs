//! No input makes the parser panic, and every refusal says why.

use config::{Severity, parse_untrusted};
use proptest::prelude::*;

fn check(bytes: &[u8]) {
    if let Err(refused) = parse_untrusted(bytes) {
        assert!(refused.errors().count() > 0, "a refusal has errors");
        assert!(refused.errors().all(|error| error.severity == Severity::Error && !error.problem.is_empty()));
    }
}

/// Keys of the table and values that mean something somewhere, so that random files get past the first line.
fn line() -> impl Strategy<Value = String> {
    let names: Vec<&'static str> = config::options::all().map(|spec| spec.name).collect();
    let family = prop_oneof![
        "server\\.[0-9]{1,3}",
        "group\\.[0-9]",
        "weight\\.[0-9]",
        "authProvider\\.[0-9]",
        "metricsProvider\\.[a-z]{1,5}",
        "-D(zookeeper\\.)?[a-z.]{1,9}",
    ];
    let key = prop_oneof![4 => proptest::sample::select(names).prop_map(str::to_owned), 2 => family, 1 => "\\PC{0,12}"];
    let value = prop_oneof![
        "-?[0-9]{1,20}",
        "0x[0-9a-f]{1,17}",
        "true|false|yes|no|gz|observer|\\*|srvr,ruok",
        "[a-z]{1,3}:[0-9]{1,5}:[0-9]{1,5}(:observer|:participant)?(;[0-9]{1,5})?",
        "\\[[0-9a-f:]{0,6}\\]?:[0-9]{1,2}:[0-9]{1,2}(\\|b:3:4)?(;;?c?:?[0-9]{0,5})?",
        "[0-9]:[0-9](:[0-9])?",
        "\\PC{0,20}",
    ];
    (key, "[=: ]| = ", value).prop_map(|(key, separator, value)| key + &separator + &value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn any_lines(lines in proptest::collection::vec(line(), 0..12)) {
        check(lines.join("\n").as_bytes());
    }
}

#[test]
fn handmade_nastiness() {
    for text in [
        "server.1=",
        "server.=a:1:2",
        "server.99999999999999999999=a:1:2",
        "server.1=[",
        "server.1=;;;;",
        "server.1=|||",
        "group.=\ngroup.1=:\nweight.-1=-1",
        "tickTime=2147483647\nminSessionTimeout=2147483647\nmaxSessionTimeout=2147483647\ndataDir=/d",
        "snapSizeLimitInKb=9223372036854775807\nflushDelay=-9223372036854775808\ndataDir=/d",
        "connection_throttle_weight_enabled=true\nconnection_throttle_tokens=2147483647\nconnection_throttle_global_session_weight=2147483647\ndataDir=/d",
        "snapshotSizeFactor=NaN\nconnection_throttle_drop_increase=inf\ndataDir=/d",
        "-D\n-D=\n-D==\n-Dzookeeper.\n-Dzookeeper.=x\n-Dzookeeper.authProvider.=y",
        "autopurge.purgeInterval=2147483647d\ndataDir=/d",
    ] {
        check(text.as_bytes());
    }
    check(&b"\\".repeat(100_000));
    check(&b"a=\n".repeat(2_000));
}
