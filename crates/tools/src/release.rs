//! Releases of ZooKeeper, and since when they can read what.

use std::fmt;
use std::str::FromStr;
use thiserror::Error;
use wire::OpCode;
use wire::jute::DEFAULT_MAX_BUFFER;

/// A release, such as 3.5.10.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    pub major: u32,
    pub minor: u32,
    pub patch: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no release of ZooKeeper: write it as 3.5.10, or as 3.5 for the newest of its line")]
pub struct BadRelease(pub String);

/// The newest of a line; more than any patch number.
const NEWEST: u32 = u32::MAX;

impl FromStr for Release {
    type Err = BadRelease;

    /// `3.5.10`; `3.5` and `3.5.x` mean the newest of that line. A suffix such as `-beta` is left out.
    fn from_str(text: &str) -> Result<Release, BadRelease> {
        let bad = || BadRelease(text.to_owned());
        let numbers = text.split('-').next().unwrap_or_default();
        let mut parts = numbers.split('.');
        let mut number = || parts.next().map(|part| if part == "x" { Ok(NEWEST) } else { part.parse() });
        let (major, minor, patch) = (number(), number(), number());
        let (Some(Ok(major)), Some(Ok(minor))) = (major, minor) else { return Err(bad()) };
        let patch = patch.unwrap_or(Ok(NEWEST)).map_err(|_| bad())?;
        if parts.next().is_some() || (major, minor) < (3, 4) || major != 3 || minor == NEWEST {
            return Err(bad());
        }
        Ok(Release { major, minor, patch })
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.", self.major, self.minor)?;
        if self.patch == NEWEST { f.write_str("x") } else { write!(f, "{}", self.patch) }
    }
}

impl Release {
    const fn of(minor: u32, patch: u32) -> Release {
        Release { major: 3, minor, patch }
    }

    fn since(self, minor: u32, patch: u32) -> bool {
        self >= Release::of(minor, patch)
    }

    /// Whether it knows the operation, and so its transaction.
    pub(crate) fn knows(self, op: OpCode) -> bool {
        let mut numbers = op.since().split('.').map(|part| part.parse().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        self >= Release { major, minor, patch: numbers.next().unwrap_or(0) }
    }

    /// Whether it applies this kind of part of a multi. One that it does not makes it skip the whole multi silently.
    pub(crate) fn applies_in_multi(self, op: OpCode) -> bool {
        if op != OpCode::Create2 {
            return self.knows(op);
        }
        match self.minor {
            0..7 => false,
            7 | 8 => self.patch >= 2,
            _ => true,
        }
    }

    /// Bytes of the longest record or field that it reads by default: `jute.maxbuffer` and what it adds to that.
    pub(crate) fn read_limit(self) -> usize {
        let extra = if self.since(5, 7) { DEFAULT_MAX_BUFFER } else { 1024 };
        DEFAULT_MAX_BUFFER + extra
    }

    pub(crate) fn reads_packed_snapshots(self) -> bool {
        self.since(6, 0)
    }

    /// Whether it expects a digest behind a snapshot's znodes and paths in closeSession transactions.
    pub(crate) fn has_digests(self) -> bool {
        self.since(6, 0)
    }

    /// Whether it refuses logs without a snapshot instead of taking the state before them for empty.
    pub(crate) fn misses_snapshot(self) -> bool {
        self.since(5, 3)
    }

    pub(crate) fn has_containers(self) -> bool {
        self.knows(OpCode::CreateContainer)
    }

    pub(crate) fn ttl(self) -> TtlSupport {
        match () {
            () if self.since(5, 4) => TtlSupport::WithSetting,
            () if self.since(5, 3) => TtlSupport::OtherEncoding,
            () => TtlSupport::None,
        }
    }

    /// Whether it gets over a last log file that was created but never begun.
    pub(crate) fn removes_empty_log(self) -> bool {
        self.since(9, 3)
    }
}

/// How a release reads the owner of a TTL znode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TtlSupport {
    None,
    /// 3.5.3 had one of its own.
    OtherEncoding,
    /// With `zookeeper.extendedTypesEnabled`; without it, as an ephemeral of a session that has ended.
    WithSetting,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(text: &str) -> Release {
        text.parse().unwrap()
    }

    #[test]
    fn releases_are_read_and_ordered() {
        assert_eq!(release("3.5.10").to_string(), "3.5.10");
        assert_eq!(release("3.5").to_string(), "3.5.x");
        assert_eq!(release("3.5.x"), release("3.5"));
        assert!(release("3.5.10") < release("3.5") && release("3.5") < release("3.6.0"));
        assert_eq!(release("3.5.0-alpha"), release("3.5.0"));
        for bad in ["", "3", "3.3.6", "4.0.0", "3.x", "3.5.1.2", "new"] {
            assert_eq!(bad.parse::<Release>(), Err(BadRelease(bad.into())));
        }
    }

    #[test]
    fn operations_are_known_since_their_release() {
        assert!(release("3.4.0").knows(OpCode::Multi) && !release("3.4.14").knows(OpCode::Create2));
        assert!(release("3.5.0").knows(OpCode::Create2) && !release("3.5.0").knows(OpCode::CreateContainer));
        assert!(!release("3.5.2").knows(OpCode::CreateTtl) && release("3.5.3").knows(OpCode::CreateTtl));
        let applies = |text| release(text).applies_in_multi(OpCode::Create2);
        assert_eq!(
            ["3.5.10", "3.6.4", "3.7.1", "3.7.2", "3.8.1", "3.8.2", "3.9.0", "3.10.0"].map(applies),
            [false, false, false, true, false, true, true, true]
        );
    }
}
