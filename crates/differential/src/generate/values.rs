//! The values that requests are made of: few enough that requests meet, odd enough that every rule is broken.

use fastrand::Rng;
use wire::jute::Put;

/// One of `list`.
pub fn pick<'a, T: ?Sized>(rng: &mut Rng, list: &[&'a T]) -> &'a T {
    list[rng.usize(..list.len())]
}

pub fn chance(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(..100) < percent
}

/// A path as bytes (it need not be UTF-8), or null.
pub type RawPath = Option<Vec<u8>>;

/// Where a sequence's paths come from.
#[derive(Debug)]
pub struct Paths {
    root: String,
    /// Nodes that were probably created, oldest first, with the number of their children so far.
    made: Vec<(String, u32)>,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

const NAMES: [&str; 9] = ["a", "b", "c", "d", "e", "long-name", "...", "..a", "\u{fc}\u{65e5}"];

/// What makes a path bad (client-surface §1.3), or just looks so. `{}` is the path of some node.
const ODD_PATHS: [&[u8]; 34] = [
    b"",
    b"noslash",
    b"no/slash",
    b"/",
    b"//",
    b"{}/",
    b"{}//a",
    b"{}/./a",
    b"{}/../a",
    b"{}/.",
    b"{}/..",
    b"{}/a/",
    b"{}/\x00",
    b"{}/a\x00b",
    b"{}/\x01",
    b"{}/\x1f",
    b"{}/\x20",
    b"{}/\x7f",
    b"{}/\xc2\x9f",
    b"{}/\xc2\xa0",
    b"{}/\xed\x9f\xbf",
    b"{}/\xed\xa0\x80",
    b"{}/\xee\x80\x80",
    b"{}/\xef\xa3\xbf",
    b"{}/\xef\xa4\x80",
    b"{}/\xef\xbf\xaf",
    b"{}/\xef\xbf\xb0",
    b"{}/\xef\xbf\xbd",
    b"{}/\xf0\x9f\x98\x80",
    b"{}/\xff\xfe",
    b"{}/\xe6\x97",
    b"{}/\xc0\x80",
    b"{}/missing/deep/below",
    b"{}\xff",
];

const SPECIAL: [&str; 6] =
    ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config", "/zookeeper/nothing", "/nothing"];

impl Paths {
    pub fn new(root: String) -> Paths {
        Paths { made: vec![(root.clone(), 0)], root }
    }

    pub fn root(&self) -> &str {
        &self.root
    }

    /// Remembers a node, if its parent exists. The number that a sequential name gets is guessed.
    pub fn made(&mut self, path: &str, sequential: bool) {
        let above = parent(path);
        let Some((_, children)) = self.made.iter_mut().find(|(p, _)| p == above) else { return };
        let name = if sequential { format!("{path}{children:010}") } else { path.to_owned() };
        if !self.made.iter().any(|(p, _)| *p == name) && name.len() < self.root.len() + 40 {
            if let Some((_, children)) = self.made.iter_mut().find(|(p, _)| p == above) {
                *children += 1;
            }
            self.made.push((name, 0));
        }
    }

    /// Takes back a node without children.
    pub fn forget(&mut self, path: &str) {
        if path != self.root && !self.made.iter().any(|(p, _)| parent(p) == path) {
            self.made.retain(|(p, _)| p != path);
        }
    }

    /// A node that probably exists.
    pub fn existing(&self, rng: &mut Rng) -> String {
        self.made[rng.usize(..self.made.len())].0.clone()
    }

    /// A node that may or may not exist, below one that probably does.
    pub fn likely(&self, rng: &mut Rng) -> String {
        let parent = self.existing(rng);
        match rng.u32(..10) {
            0..=5 => format!("{parent}/{}", pick(rng, &NAMES)),
            6 => format!("{parent}/n-{:010}", rng.u32(..6)),
            _ => parent,
        }
    }

    pub fn odd(&self, rng: &mut Rng) -> RawPath {
        if rng.u32(..30) == 0 {
            return None;
        }
        let shape: &[u8] = ODD_PATHS[rng.usize(..ODD_PATHS.len())];
        Some(match shape.strip_prefix(b"{}") {
            Some(rest) => [self.existing(rng).as_bytes(), rest].concat(),
            None => shape.to_vec(),
        })
    }

    /// Any path at all, mostly sensible ones.
    pub fn any(&self, rng: &mut Rng) -> RawPath {
        match rng.u32(..100) {
            0..=63 => Some(self.existing(rng).into_bytes()),
            64..=86 => Some(self.likely(rng).into_bytes()),
            87..=89 => Some(pick(rng, &SPECIAL).as_bytes().to_vec()),
            90 => Some(format!("/zookeeper/quota{}/zookeeper_stats", self.existing(rng)).into_bytes()),
            91 => Some(format!("/zookeeper/quota{}", self.root).into_bytes()),
            _ => self.odd(rng),
        }
    }
}

pub fn put_raw(body: &mut Vec<u8>, path: &RawPath) {
    body.put_buffer(path.as_deref());
}

pub fn data(rng: &mut Rng) -> Option<Vec<u8>> {
    match rng.u32(..20) {
        0..=1 => None,
        2..=4 => Some(Vec::new()),
        5..=14 => Some(vec![b'x'; rng.usize(1..30)]),
        15..=18 => Some((0..rng.usize(30..120)).map(|_| rng.u8(..)).collect()),
        _ => Some(vec![b'y'; rng.usize(120..5000)]),
    }
}

pub fn version(rng: &mut Rng) -> i32 {
    match rng.u32(..20) {
        0..=8 => -1,
        9..=12 => 0,
        13..=15 => 1,
        16..=17 => rng.i32(2..5),
        18 => 99,
        _ => [i32::MIN, -2, i32::MAX][rng.usize(..3)],
    }
}

/// The hash of `alice:pw` and `bob:pw`.
pub const ALICE: &str = "alice:V55/p2T0OpjQ+low3NVAH4aLvm0=";
const BOB: &str = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=";

const GOOD_IDS: [(&str, &str); 9] = [
    ("world", "anyone"),
    ("digest", ALICE),
    ("digest", BOB),
    ("digest", "nobody:hash"),
    ("auth", ""),
    ("auth", "ignored"),
    ("ip", "127.0.0.1"),
    ("ip", "127.0.0.0/8"),
    ("ip", "10.1.2.3/32"),
];

/// Ids that are refused, and some that look so and are not.
const ODD_IDS: [(&str, &[u8]); 32] = [
    ("world", b"foo"),
    ("world", b""),
    ("digest", b""),
    ("digest", b"a"),
    ("digest", b"a:b:c"),
    ("digest", b":b"),
    ("digest", b"a:"),
    ("digest", b":"),
    ("digest", b"a:b:"),
    ("digest", b"a:\xf0\x9f\x98\x80"),
    ("digest", b"a:\xff"),
    ("ip", b""),
    ("ip", b"x"),
    ("ip", b"127.0.0.1/33"),
    ("ip", b"127.0.0.1/-1"),
    ("ip", b"127.0.0.1/x"),
    ("ip", b"127.0.0.1/8/8"),
    ("ip", b"127.0.0.1/0"),
    ("ip", b"127.0.0"),
    ("ip", b"1.2.3.256"),
    ("ip", b"01.2.3.4"),
    ("ip", b"::1"),
    ("ip", b"::1/64"),
    ("ip", b"::1/129"),
    ("ip", b"fe80::1%eth0"),
    ("ip", b"::ffff:1.2.3.4"),
    ("super", b""),
    ("sasl", b"x"),
    ("x509", b"CN=a"),
    ("ensemble", b"x"),
    ("unknown", b"x"),
    ("", b""),
];

const PERMS: [i32; 12] = [31, 31, 31, 1, 3, 5, 7, 9, 15, 16, 0, 63];

fn put_entry(rng: &mut Rng, body: &mut Vec<u8>, odd: bool) {
    body.put_i32(PERMS[rng.usize(..PERMS.len())]);
    if odd && rng.u32(..20) == 0 {
        body.put_buffer(None);
        body.put_ustring("x");
    } else if odd && rng.u32(..20) == 0 {
        body.put_ustring(pick(rng, &["world", "digest", "auth", "ip", "unknown"]));
        body.put_buffer(None);
    } else if odd {
        let (scheme, id) = ODD_IDS[rng.usize(..ODD_IDS.len())];
        body.put_ustring(scheme);
        body.put_buffer(Some(id));
    } else {
        let (scheme, id) = GOOD_IDS[rng.usize(..GOOD_IDS.len())];
        body.put_ustring(scheme);
        body.put_ustring(id);
    }
}

/// An encoded ACL list. `odd`: in how many of 100 it breaks a rule.
pub fn acl(rng: &mut Rng, odd: u32) -> Vec<u8> {
    if chance(rng, odd) {
        return odd_acl(rng);
    }
    if chance(rng, 55) {
        return wire::data::OPEN_ACL.to_vec();
    }
    let mut body = Vec::new();
    let n = rng.usize(1..4);
    body.put_count(n);
    let from = body.len();
    for at in 0..n {
        if at > 0 && rng.u32(..4) == 0 {
            let again = body[from..].to_vec();
            if at == 1 {
                body.extend_from_slice(&again);
                continue;
            }
        }
        put_entry(rng, &mut body, false);
    }
    body
}

fn odd_acl(rng: &mut Rng) -> Vec<u8> {
    let mut body = Vec::new();
    match rng.u32(..10) {
        0 => body.put_i32(-1),
        1 => body.put_i32(0),
        2 => body.put_i32(-7),
        _ => {
            let n = rng.usize(1..3);
            body.put_count(n);
            let odd_at = rng.usize(..n);
            (0..n).for_each(|at| put_entry(rng, &mut body, at == odd_at));
        }
    }
    body
}

const LIMITS: [&str; 16] = [
    "count=3,bytes=-1",
    "count=5,bytes=200",
    "count=2,bytes=-1=;byteHardLimit=-1;countHardLimit=4",
    "count=-1,bytes=-1=;byteHardLimit=60;countHardLimit=-1",
    "count=9,bytes=9=;byteHardLimit=100;countHardLimit=6",
    "countHardLimit=3",
    "byteHardLimit=20",
    "count=1;bytes=1;countHardLimit=5",
    "count=,bytes=",
    "count=-1,bytes=-1",
    "countHardLimit=0",
    "byteHardLimit=0",
    "",
    "garbage",
    "count=abc",
    "other=7,countHardLimit=4",
];

/// The text of a quota's limits.
pub fn limits(rng: &mut Rng) -> Option<Vec<u8>> {
    if rng.u32(..30) == 0 { None } else { Some(LIMITS[rng.usize(..LIMITS.len())].as_bytes().to_vec()) }
}
