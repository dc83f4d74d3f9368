//! Transactions as they lie in the logs, read by hand.
use crate::jute::Reader;
use anyhow::{Context, Result, bail};

/// One record of a transaction log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    pub session: i64,
    pub cxid: i32,
    pub zxid: i64,
    /// The leader's wall clock, in milliseconds.
    pub time: i64,
    pub change: Change,
    /// The digest of the tree after it (3.6 and newer).
    pub digest: Option<u64>,
}

/// What a transaction does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    CreateSession,
    /// With the ephemerals to delete, unless it was written by a release before 3.6.
    CloseSession(Option<Vec<String>>),
    /// The request failed with this code.
    Error(i32),
    Create {
        path: String,
        data: Option<Vec<u8>>,
        owner: Owner,
        parent_cversion: i32,
    },
    Delete {
        path: String,
    },
    Set {
        path: String,
        data: Option<Vec<u8>>,
        version: i32,
    },
    SetAcl {
        path: String,
        version: i32,
    },
    Check,
    Multi(Vec<Change>),
    /// A multi of so many parts that failed. Which part it was does not show in every log: Apache's servers mark the
    /// parts before it as failed when they apply it, and that may be before they have written it.
    FailedMulti(usize),
}

/// Whose a created znode is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    Nobody,
    Session,
    /// The number in the znode's Stat that stands for a container or a time to live.
    Special(i64),
}

const CONTAINER: i64 = i64::MIN;
const TTL_MARK: i64 = 0xff00_0000_0000_0000_u64 as i64;
const DIGEST_VERSION: i32 = 2;

/// Reads the payload of one log record.
pub fn parse(payload: &[u8]) -> Result<Record> {
    let mut reader = Reader::new(payload);
    let (session, cxid, zxid, time) = (reader.long()?, reader.int()?, reader.long()?, reader.long()?);
    let kind = reader.int()?;
    let change = parse_change(kind, &mut reader).with_context(|| format!("zxid 0x{zxid:x}, type {kind}"))?;
    // Rookeeper may put a mark of its own behind the digest, or where it would be, in the form of another version.
    let digest = match reader.rest.len() {
        12.. if reader.int()? == DIGEST_VERSION => Some(reader.long()? as u64),
        _ => None,
    };
    Ok(Record { session, cxid, zxid, time, change, digest })
}

fn parse_change(kind: i32, reader: &mut Reader<'_>) -> Result<Change> {
    Ok(match kind {
        -10 => {
            reader.int()?;
            Change::CreateSession
        }
        // What follows is nothing, a digest alone, or paths and perhaps a digest.
        -11 if matches!(reader.rest.len(), 0 | 12) && !reads_as_paths(reader.rest) => {
            Change::CloseSession(None)
        }
        -11 => Change::CloseSession(Some(reader.strings()?)),
        -1 => Change::Error(reader.int()?),
        1 | 15 | 19 | 21 => create(kind, reader)?,
        2 | 20 => Change::Delete { path: reader.string()? },
        5 | 16 => Change::Set { path: reader.string()?, data: reader.buffer()?, version: reader.int()? },
        7 => {
            let path = reader.string()?;
            reader.acls()?;
            Change::SetAcl { path, version: reader.int()? }
        }
        13 => {
            reader.string()?;
            reader.int()?;
            Change::Check
        }
        14 => {
            let count = reader.int()?;
            let part = |_| {
                let (kind, data) = (reader.int()?, reader.buffer()?.context("a null part")?);
                parse_change(kind, &mut Reader::new(&data))
            };
            let parts = (0..count).map(part).collect::<Result<Vec<Change>>>()?;
            if parts.iter().any(|part| matches!(part, Change::Error(_))) {
                Change::FailedMulti(parts.len())
            } else {
                Change::Multi(parts)
            }
        }
        other => bail!("an unknown transaction of type {other}"),
    })
}

/// Twelve bytes behind a closeSession are a digest, or one short path.
fn reads_as_paths(rest: &[u8]) -> bool {
    let mut reader = Reader::new(rest);
    reader.strings().is_ok_and(|paths| paths.iter().all(|path| path.starts_with('/')))
        && reader.rest.is_empty()
}

fn create(kind: i32, reader: &mut Reader<'_>) -> Result<Change> {
    let (path, data) = (reader.string()?, reader.buffer()?);
    reader.acls()?;
    let ephemeral = matches!(kind, 1 | 15) && reader.boolean()?;
    let parent_cversion = reader.int()?;
    let owner = match kind {
        19 => Owner::Special(CONTAINER),
        21 => Owner::Special(TTL_MARK | reader.long()?),
        _ if ephemeral => Owner::Session,
        _ => Owner::Nobody,
    };
    Ok(Change::Create { path, data, owner, parent_cversion })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jute::Writer;

    fn header(kind: i32) -> Writer {
        Writer::default().long(7).int(3).long(0x1_0000_0002).long(1000).int(kind)
    }

    #[test]
    fn a_close_has_paths_a_digest_both_or_neither() {
        let change = |bytes: Vec<u8>| {
            let record = parse(&bytes).unwrap();
            (record.change, record.digest)
        };
        assert_eq!(change(header(-11).bytes), (Change::CloseSession(None), None));
        let digest = |out: Writer| out.int(2).long(99).bytes;
        assert_eq!(change(digest(header(-11))), (Change::CloseSession(None), Some(99)));
        let none = change(digest(header(-11).int(0)));
        assert_eq!(none, (Change::CloseSession(Some(Vec::new())), Some(99)));
        let one = change(header(-11).int(1).string("/abc").bytes);
        assert_eq!(one, (Change::CloseSession(Some(vec!["/abc".into()])), None));
    }

    #[test]
    fn a_mark_is_no_digest() {
        let mark = |out: Writer| out.int(0x524b_4d31).long(4096);
        let error = || header(-1).int(-101);
        assert_eq!(parse(&mark(error()).bytes).unwrap().digest, None);
        assert_eq!(parse(&mark(error().int(2).long(99)).bytes).unwrap().digest, Some(99));
    }

    #[test]
    fn a_multi_with_a_failed_part_has_failed() {
        let parts = header(14).int(2).int(2).buffer(Some(&Writer::default().string("/a").bytes));
        let record = parse(&parts.int(-1).buffer(Some(&Writer::default().int(-101).bytes)).bytes).unwrap();
        assert_eq!(record.change, Change::FailedMulti(2));
        assert!(parse(&header(77).bytes).is_err());
    }
}
