//! Bytes of the protocol as text that loses nothing, so that two servers can be compared line by line.
//!
//! Every byte of a reply ends up in the text, except what two correct servers may choose differently, which is
//! replaced by a symbol that keeps what must agree:
//! * zxids become distances from the zxid at which the sequence began (`+3`); older ones become `old`;
//! * times become `T+3`: the time of transaction `+3`. A server that shows two times for one transaction, or a time
//!   that is not now, gives itself away by another symbol;
//! * session ids become `S2`: the session that was created third in this sequence;
//! * lists without a defined order are sorted.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};
use wire::data::Stat;
use wire::multi::MultiHeader;
use wire::reply::{ConnectResponse, ReplyHeader};
use wire::{DecodeError, OpCode, Reader};

/// Farther than this from the clock of this machine (ms), a time is not "now".
const NOW_TOLERANCE_MS: i64 = 3_600_000;

/// What one server calls the things that are symbols in the text.
#[derive(Debug, Default)]
pub struct Symbols {
    /// The zxid at which the sequence began.
    pub base_zxid: i64,
    /// Sessions of this sequence, in the order of their creation.
    sessions: Vec<i64>,
    time_of: BTreeMap<i64, i64>,
}

impl Symbols {
    pub fn zxid(&self, zxid: i64) -> String {
        match zxid {
            ..=0 => zxid.to_string(),
            z if z > self.base_zxid => format!("+{}", z - self.base_zxid),
            _ => "old".to_owned(),
        }
    }

    fn time(&mut self, time: i64, zxid: i64) -> String {
        if time == 0 {
            return "0".to_owned();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64);
        if (now - time).abs() > NOW_TOLERANCE_MS {
            return format!("{time}(not now)");
        }
        let known = *self.time_of.entry(zxid).or_insert(time);
        let symbol = self.zxid(zxid);
        if known == time { format!("T{symbol}") } else { format!("T{symbol}{:+}ms", time - known) }
    }

    pub fn session(&self, id: i64) -> String {
        match self.sessions.iter().position(|known| *known == id) {
            Some(n) => format!("S{n}"),
            None if id == 0 => "0".to_owned(),
            None => format!("unknown session {id:#x}"),
        }
    }

    /// Names a session; a known one keeps its name.
    pub fn add_session(&mut self, id: i64) {
        if !self.sessions.contains(&id) {
            self.sessions.push(id);
        }
    }

    /// The answer to a handshake. New sessions get the next name; ids must count up by one from the first.
    pub fn connect_response(&mut self, payload: &[u8]) -> String {
        let response = match ConnectResponse::decode(payload) {
            Ok(response) => response,
            Err(e) => return format!("not a handshake answer ({e}): {}", hex(payload)),
        };
        let id = response.session_id;
        if id != 0 {
            self.add_session(id);
        }
        let counted = self.sessions.first().map_or(0, |first| id.wrapping_sub(*first));
        let id_text = match id {
            0 => "0".to_owned(),
            _ => format!("{} id={:#x}..{counted:+}", self.session(id), (id as u64) >> 56),
        };
        let password = if response.password == [0; 16] {
            "zeros".to_owned()
        } else if response.password == derived_password(id) {
            "derived".to_owned()
        } else {
            format!("underived {}", hex(&response.password))
        };
        let protocol = Reader::new(payload).i32().unwrap_or_default();
        format!(
            "connected protocol={protocol} timeout={} session={id_text} password={password} readonly={} bytes={}",
            response.timeout_ms,
            response.read_only.map_or("absent", |ro| if ro { "1" } else { "0" }),
            payload.len(),
        )
    }

    /// One frame after the handshake: a notification, or the answer to a request of type `op`.
    pub fn frame(&mut self, op: i32, payload: &[u8]) -> String {
        if op == OpCode::CreateSession.code() && payload.len() > 16 {
            return self.connect_response(payload);
        }
        let mut text = Text { rest: Reader::new(payload), out: String::new(), symbols: self };
        let done = text.whole_frame(op);
        let mut out = std::mem::take(&mut text.out);
        let tail = text.rest.rest();
        if let Err(e) = done {
            let _ = write!(out, " undecodable({e})");
        }
        if !tail.is_empty() {
            let _ = write!(out, " then={}", hex(tail));
        }
        out
    }
}

/// The password that a session id must have (client-surface §2.2): four outputs of Java's generator, seeded with the
/// id.
pub fn derived_password(id: i64) -> [u8; 16] {
    const MULTIPLIER: u64 = 0x5_DEEC_E66D;
    const MASK: u64 = (1 << 48) - 1;
    let mut state = ((id as u64) ^ 0xB341_5C00 ^ MULTIPLIER) & MASK;
    let mut password = [0; 16];
    for chunk in password.chunks_exact_mut(4) {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(0xB) & MASK;
        chunk.copy_from_slice(&((state >> 16) as u32).to_le_bytes());
    }
    password
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, b| {
        let _ = write!(out, "{b:02x}");
        out
    })
}

/// `None` unless every character is a hexadecimal digit.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// A string or buffer in quotes, every unusual byte escaped; null without quotes. Long ones that repeat one byte are
/// shortened.
fn quoted(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some([first, rest @ ..]) if rest.len() > 200 && rest.iter().all(|b| b == first) => {
            format!("\"{}\"*{}", first.escape_ascii(), rest.len() + 1)
        }
        Some(bytes) => format!("\"{}\"", bytes.escape_ascii()),
    }
}

/// Apache stores the users that an `auth` entry stands for in the order of a Java hash table. They are digests with
/// the same permissions, one after the other; such runs are sorted, all else keeps its order.
fn sort_digests(mut acl: Vec<String>) -> Vec<String> {
    let kind = |entry: &str| entry.split_once(":\"digest\":").map(|(perms, _)| perms.to_owned());
    for run in acl.chunk_by_mut(|a, b| kind(a).is_some() && kind(a) == kind(b)) {
        run.sort();
    }
    acl
}

type Done = Result<(), DecodeError>;

/// Turns one frame into text, front to back; what it did not understand stays in `rest`.
struct Text<'a, 's> {
    rest: Reader<'a>,
    out: String,
    symbols: &'s mut Symbols,
}

impl Text<'_, '_> {
    fn put(&mut self, what: std::fmt::Arguments<'_>) {
        if !self.out.is_empty() {
            self.out.push(' ');
        }
        let _ = self.out.write_fmt(what);
    }

    fn whole_frame(&mut self, op: i32) -> Done {
        let header = ReplyHeader::decode(&mut self.rest)?;
        let zxid = self.symbols.zxid(header.zxid);
        if header.xid == wire::ops::xid::NOTIFICATION {
            self.put(format_args!("event zxid={zxid} err={}", header.err));
            self.int("type")?;
            self.int("state")?;
            return self.string("path");
        }
        self.put(format_args!("reply xid={} zxid={zxid} err={}", header.xid, header.err));
        let Some(op) = OpCode::from_code(op) else { return Ok(()) };
        match (op, header.err) {
            (OpCode::MultiRead, _) if !self.rest.is_empty() => self.multi(),
            (_, 0) => self.body(op),
            _ => Ok(()),
        }
    }

    fn body(&mut self, op: OpCode) -> Done {
        use OpCode::*;
        match op {
            Create | Sync => self.string("path"),
            Create2 | CreateContainer | CreateTtl => {
                self.string("path")?;
                self.stat()
            }
            Exists | SetData | SetAcl => self.stat(),
            GetData | Reconfig => {
                self.string("data")?;
                self.stat()
            }
            GetAcl => {
                self.acl()?;
                self.stat()
            }
            GetChildren | GetEphemerals => self.string_set(),
            GetChildren2 => {
                self.string_set()?;
                self.stat()
            }
            Multi | MultiRead => self.multi(),
            GetAllChildrenNumber | AddWatch => self.int("number"),
            WhoAmI => self.identities(),
            Sasl => self.string("token"),
            Delete | DeleteContainer | Ping | Check | CheckWatches | RemoveWatches | Auth | SetWatches
            | SetWatches2 | CloseSession | CreateSession | Notification | Error => Ok(()),
        }
    }

    fn int(&mut self, name: &str) -> Done {
        let value = self.rest.i32()?;
        self.put(format_args!("{name}={value}"));
        Ok(())
    }

    fn string(&mut self, name: &str) -> Done {
        let value = quoted(self.rest.buffer()?);
        self.put(format_args!("{name}={value}"));
        Ok(())
    }

    fn stat(&mut self) -> Done {
        let s = Stat::decode(&mut self.rest)?;
        let names = &mut *self.symbols;
        let [czxid, mzxid, pzxid] = [s.czxid, s.mzxid, s.pzxid].map(|z| names.zxid(z));
        let [ctime, mtime] = [(s.ctime, s.czxid), (s.mtime, s.mzxid)].map(|(t, z)| names.time(t, z));
        let owner = names.session(s.ephemeral_owner);
        self.put(format_args!(
            "stat(czxid={czxid} mzxid={mzxid} ctime={ctime} mtime={mtime} version={} cversion={} aversion={} \
             owner={owner} length={} children={} pzxid={pzxid})",
            s.version, s.cversion, s.aversion, s.data_length, s.num_children
        ));
        Ok(())
    }

    /// The elements of a vector, or nothing when it is null.
    fn vector<T>(
        &mut self,
        mut element: impl FnMut(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<Vec<T>>, DecodeError> {
        let Some(n) = self.rest.count(4)? else { return Ok(None) };
        (0..n).map(|_| element(self)).collect::<Result<Vec<T>, _>>().map(Some)
    }

    fn put_vector(&mut self, name: &str, elements: Option<Vec<String>>) {
        match elements {
            None => self.put(format_args!("{name}=null")),
            Some(list) => self.put(format_args!("{name}=[{}]", list.join(", "))),
        }
    }

    fn string_set(&mut self) -> Done {
        let mut list = self.vector(|t| Ok(quoted(t.rest.buffer()?)))?;
        if let Some(list) = &mut list {
            list.sort();
        }
        self.put_vector("set", list);
        Ok(())
    }

    fn identities(&mut self) -> Done {
        let mut list =
            self.vector(|t| Ok(format!("{}:{}", quoted(t.rest.buffer()?), quoted(t.rest.buffer()?))))?;
        if let Some(list) = &mut list {
            list.sort();
        }
        self.put_vector("identities", list);
        Ok(())
    }

    fn acl(&mut self) -> Done {
        let list = self.vector(|t| {
            let perms = t.rest.i32()?;
            Ok(format!("{perms}:{}:{}", quoted(t.rest.buffer()?), quoted(t.rest.buffer()?)))
        })?;
        self.put_vector("acl", list.map(sort_digests));
        Ok(())
    }

    fn multi(&mut self) -> Done {
        loop {
            let header = MultiHeader::decode(&mut self.rest)?;
            self.put(format_args!("({},{},{})", header.op, u8::from(header.done), header.err));
            if header.done {
                return Ok(());
            }
            match OpCode::from_code(header.op) {
                Some(OpCode::Error) => self.int("error")?,
                Some(op) => self.body(op)?,
                None => return Ok(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::jute::Put;

    fn stat_reply(stat: Stat) -> Vec<u8> {
        let mut b = Vec::new();
        ReplyHeader { xid: 5, zxid: 103, err: 0 }.encode(&mut b);
        stat.encode(&mut b);
        b
    }

    fn now() -> i64 {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
    }

    #[test]
    fn servers_that_differ_only_in_ids_and_times_read_the_same() {
        let mut one = Symbols { base_zxid: 100, ..Symbols::default() };
        let mut two = Symbols { base_zxid: 7000, ..Symbols::default() };
        one.add_session(11);
        two.add_session(99);
        let t = now();
        let a = Stat { czxid: 101, mzxid: 103, ctime: t, mtime: t, ephemeral_owner: 11, ..Stat::default() };
        let b = Stat {
            czxid: 7001,
            mzxid: 7003,
            ctime: t - 50,
            mtime: t - 9,
            ephemeral_owner: 99,
            ..Stat::default()
        };
        let mut reply_b = stat_reply(b);
        reply_b[4..12].copy_from_slice(&7003i64.to_be_bytes());
        assert_eq!(one.frame(3, &stat_reply(a)), two.frame(3, &reply_b));
    }

    #[test]
    fn every_changed_byte_of_a_reply_shows() {
        let t = now();
        let stat = Stat { czxid: 101, mzxid: 102, ctime: t, mtime: t + 1, pzxid: 103, ..Stat::default() };
        let whole = stat_reply(stat);
        let read = |bytes: &[u8]| {
            let mut symbols = Symbols { base_zxid: 100, ..Symbols::default() };
            let _ = symbols.frame(3, &stat_reply(Stat { version: 9, ..stat }));
            symbols.frame(3, bytes)
        };
        let expected = read(&whole);
        for at in 0..whole.len() {
            let mut mutated = whole.clone();
            mutated[at] ^= 1;
            assert_ne!(read(&mutated), expected, "byte {at}");
        }
        assert_ne!(read(&[&whole[..], &[0]].concat()), expected);
        assert_ne!(read(&whole[..whole.len() - 1]), expected);
    }

    #[test]
    fn unordered_lists_are_sets_and_null_is_not_empty() {
        let reply = |names: &[&str]| {
            let mut b = Vec::new();
            ReplyHeader { xid: 1, zxid: 1, err: 0 }.encode(&mut b);
            b.put_count(names.len());
            names.iter().for_each(|n| b.put_ustring(n));
            Symbols::default().frame(OpCode::GetChildren.code(), &b)
        };
        assert_eq!(reply(&["a", "b"]), reply(&["b", "a"]));
        assert_ne!(reply(&["a", "b"]), reply(&["a", "c"]));
        assert_ne!(quoted(None), quoted(Some(b"")));
        assert_ne!(quoted(None), quoted(Some(b"null")));
    }

    #[test]
    fn only_digests_in_a_row_have_no_order() {
        let sorted = |list: &[&str]| sort_digests(list.iter().map(|e| (*e).to_owned()).collect());
        let [a, b, other] = ["31:\"digest\":\"a\"", "31:\"digest\":\"b\"", "1:\"digest\":\"a\""];
        let world = "31:\"world\":\"anyone\"";
        assert_eq!(sorted(&[b, a, world]), sorted(&[a, b, world]));
        assert_ne!(sorted(&[b, world, a]), sorted(&[a, world, b]));
        assert_ne!(sorted(&[a, other]), sorted(&[other, a]));
    }

    #[test]
    fn a_second_time_for_one_transaction_shows() {
        let mut symbols = Symbols { base_zxid: 1, ..Symbols::default() };
        let t = now();
        assert_eq!(symbols.time(t, 3), "T+2");
        assert_eq!(symbols.time(t + 4, 3), "T+2+4ms");
        assert_eq!(symbols.time(12, 4), "12(not now)");
        assert_eq!(symbols.time(0, 4), "0");
    }

    #[test]
    fn hex_survives() {
        assert_eq!(unhex(&hex(&[0, 255, 16])), Some(vec![0, 255, 16]));
        assert_eq!(unhex("0g"), None);
    }
}
