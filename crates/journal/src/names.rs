//! File names: `log.<hex zxid>` and `snapshot.<hex zxid>[.gz|.snappy]`.

use crate::codec::Compression;

pub fn log(zxid: i64) -> String {
    format!("log.{zxid:x}")
}

pub fn snapshot(zxid: i64, compression: Compression) -> String {
    format!("snapshot.{zxid:x}{}", compression.suffix())
}

/// The name under which a snapshot is written. Java would take `snapshot.5.tmp` for a snapshot of zxid 5, so this
/// begins otherwise.
pub const SNAPSHOT_IN_PROGRESS: &str = "rookeeper-snapshot-in-progress";

/// Likewise for a leader's tree that is to replace everything. It has a name of its own because a snapshot of the former
/// tree may be in the making at the same time, and what is written to that must not get into this.
pub const INSTALL_IN_PROGRESS: &str = "rookeeper-install-in-progress";

/// Likewise for a log that is being copied.
pub const LOG_IN_PROGRESS: &str = "rookeeper-log-in-progress";

/// What a snapshot is called from when it is whole until everything that it replaces is gone: see
/// [`install`](crate::install()).
pub(crate) fn installing(zxid: i64, compression: Compression) -> String {
    format!("{INSTALLING}.{zxid:x}{}", compression.suffix())
}

const INSTALLING: &str = "rookeeper-install";

pub(crate) fn installing_zxid(name: &str) -> Option<i64> {
    zxid_of(name, INSTALLING)
}

/// Its name behind that.
pub(crate) fn installed(installing: &str) -> String {
    format!("snapshot{}", installing.strip_prefix(INSTALLING).unwrap_or_default())
}

fn zxid_of(name: &str, prefix: &str) -> Option<i64> {
    let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
    let hex = rest.split('.').next()?;
    u64::from_str_radix(hex, 16).ok().map(|z| z as i64)
}

/// The zxid of a log's first record, from its name. Only the first two parts of a name are looked at, as in Java.
pub fn log_zxid(name: &str) -> Option<i64> {
    zxid_of(name, "log")
}

pub fn snapshot_zxid(name: &str) -> Option<i64> {
    zxid_of(name, "snapshot")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_java_reads_them() {
        assert_eq!(log_zxid("log.1a"), Some(0x1a));
        assert_eq!(log_zxid("log.5.chopped7"), Some(5));
        assert_eq!(log_zxid("log.x"), None);
        assert_eq!(log_zxid("snapshot.5"), None);
        assert_eq!(snapshot_zxid("snapshot.100000003.gz"), Some(0x1_0000_0003));
        assert_eq!(snapshot_zxid(SNAPSHOT_IN_PROGRESS), None);
        assert_eq!(log_zxid(LOG_IN_PROGRESS), None);
        assert_eq!((snapshot_zxid(INSTALL_IN_PROGRESS), installing_zxid(INSTALL_IN_PROGRESS)), (None, None));
        let installing = installing(16, Compression::Gzip);
        assert_eq!((snapshot_zxid(&installing), installing_zxid(&installing)), (None, Some(16)));
        assert_eq!(installed(&installing), "snapshot.10.gz");
        assert_eq!(snapshot(16, Compression::Snappy), "snapshot.10.snappy");
    }
}
