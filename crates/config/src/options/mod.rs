//! The one table of options. The parser, the suggestions for unknown keys, `print-config` and the reference page all
//! come from it; an option that is not here does not exist.
//!
//! Where an option may be set follows from how Apache's server reads it:
//!
//! * a [`Place::File`] key is known to the parser of `zoo.cfg` by name and is read strictly;
//! * every other key of the file becomes the system property `zookeeper.<key>`, so a [`Place::Property`] option can be
//!   written `name=` in the file or `-Dzookeeper.name=` in the flags, and is read leniently;
//! * a [`Place::Flag`] property lacks that prefix, so the file cannot reach it: only `-Dname=` works;
//! * [`Place::Own`] options are Rookeeper's: the same name in both places.

mod access;
mod clients;
mod ensemble;
mod storage;
mod throttles;
mod tls;

use crate::assemble::Draft;

/// Where an option may be set, see the module's lesson.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    File,
    /// A file key that has a system property beside it.
    FileAndProperty,
    Property,
    Flag,
    Own,
}

/// What an option's text means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// A whole number of 32 bits.
    Int,
    /// A whole number of 64 bits.
    Long,
    Float,
    Bool,
    /// `yes` or `no`; only the word named here, written exactly so, counts, and all else is its opposite.
    YesNo {
        deciding: &'static str,
    },
    Text,
    Path,
    /// A TCP port, 0 to 65535.
    Port,
    /// One of these words, in any case.
    Choice {
        words: &'static [&'static str],
        /// What another word does.
        otherwise: Outside,
    },
    /// A Java class: its name, and what the name selects here.
    Class(&'static [(&'static str, &'static str)]),
    /// Hours, or a number with the suffix `ms`, `s`, `m`, `h` or `d`.
    Interval,
    /// A family of keys: the name in the table ends in the placeholder.
    Family,
}

/// What happens to a value outside the limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outside {
    /// The configuration is refused.
    Refused,
    /// The nearest limit is taken, with a warning.
    Clamped,
    /// The default is taken, with a warning.
    Default,
}

/// The allowed range, both ends included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    pub min: i64,
    pub max: i64,
    pub outside: Outside,
}

/// A part that is not built yet; options of it are read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    AdminServer,
    Audit,
    LocalSessions,
    Metrics,
    Oracle,
    Reconfiguration,
    Sasl,
    Tls,
}

impl Part {
    pub fn name(self) -> &'static str {
        match self {
            Part::AdminServer => "the admin server",
            Part::Audit => "audit logging",
            Part::LocalSessions => "local sessions",
            Part::Metrics => "metrics providers",
            Part::Oracle => "the oracle of two servers",
            Part::Reconfiguration => "changing members while the ensemble runs",
            Part::Sasl => "SASL",
            Part::Tls => "TLS",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Works,
    /// Accepted so that old files work, and ignored for this reason.
    Ignored(&'static str),
    /// Read and checked, without effect until this part exists.
    Later(Part),
}

/// How a value reaches the configuration. Numbers arrive checked against kind and limits.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    Nothing,
    Number(fn(&mut Draft, i64)),
    Float(fn(&mut Draft, f64)),
    Bool(fn(&mut Draft, bool)),
    Text(fn(&mut Draft, &str)),
}

/// One option.
#[derive(Clone, Copy)]
pub struct Spec {
    /// As written in `zoo.cfg`; for [`Place::Flag`], the whole property name.
    pub name: &'static str,
    pub place: Place,
    pub kind: Kind,
    /// In the syntax of the file. Empty: none, or as `default_rule` says.
    pub default: &'static str,
    /// How the default follows from other options.
    pub default_rule: &'static str,
    pub unit: &'static str,
    pub limits: Option<Limits>,
    /// The first release of Apache ZooKeeper that has it (3.3.0: that or earlier); empty for our own.
    pub since: &'static str,
    pub status: Status,
    /// Never printed.
    pub secret: bool,
    /// Another property that is read when the proper one is not set.
    pub old_property: &'static str,
    pub doc: &'static str,
    pub(crate) set: Set,
}

impl Spec {
    /// The system property, or nothing for what only the file can say.
    pub fn property(&self) -> Option<String> {
        match self.place {
            Place::File => None,
            Place::FileAndProperty | Place::Property => Some(format!("zookeeper.{}", self.name)),
            Place::Flag | Place::Own => Some(self.name.to_owned()),
        }
    }

    /// Whether `zoo.cfg` can say it.
    pub fn in_file(&self) -> bool {
        self.place != Place::Flag
    }

    /// What a member of a family starts with: `server.` for `server.N`.
    pub fn family_prefix(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Family => self.name.rfind('.').map(|dot| &self.name[..=dot]),
            _ => None,
        }
    }

    fn matches(&self, name: &str) -> bool {
        match self.family_prefix() {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.name,
        }
    }
}

/// Options that belong together, for the reference page.
pub struct Group {
    pub title: &'static str,
    pub options: &'static [Spec],
}

/// The table.
pub static GROUPS: &[Group] = &[
    Group { title: "Addresses and sessions", options: clients::ADDRESSES_AND_SESSIONS },
    Group { title: "Storage", options: storage::STORAGE },
    Group { title: "Znodes, watches and answers", options: storage::ZNODES },
    Group { title: "Limits", options: clients::LIMITS },
    Group { title: "Throttles", options: throttles::THROTTLES },
    Group { title: "Access control", options: access::ACCESS },
    Group { title: "Members of an ensemble", options: ensemble::MEMBERS },
    Group { title: "Between servers", options: ensemble::BETWEEN_SERVERS },
    Group { title: "SASL and Kerberos", options: access::SASL },
    Group { title: "TLS", options: tls::TLS },
    Group { title: "Administration, metrics, audit", options: access::ADMINISTRATION },
    Group { title: "Rookeeper's own", options: clients::OWN },
];

/// Every option, in the order of the reference page.
pub fn all() -> impl Iterator<Item = &'static Spec> {
    GROUPS.iter().flat_map(|group| group.options)
}

/// The option with exactly this name in the table.
pub fn named(name: &str) -> Option<&'static Spec> {
    all().find(|spec| spec.name == name)
}

/// What a key of `zoo.cfg` stands for. Exact names win over families.
pub fn for_key(key: &str) -> Option<&'static Spec> {
    named(key).or_else(|| all().find(|spec| spec.matches(key)))
}

/// What a system property stands for; the flag tells that it is the old name. A name that only the file may use gives
/// its option too: the caller says so.
pub fn for_property(property: &str) -> Option<(&'static Spec, bool)> {
    let plain = property.strip_prefix("zookeeper.");
    let direct = match plain {
        Some(name) => for_key(name).filter(|spec| !matches!(spec.place, Place::Flag | Place::Own)),
        None => for_key(property).filter(|spec| matches!(spec.place, Place::Flag | Place::Own)),
    };
    match direct {
        Some(spec) => Some((spec, false)),
        None => {
            all().find(|spec| !property.is_empty() && spec.old_property == property).map(|spec| (spec, true))
        }
    }
}

/// The known name nearest to `name`, if one is near enough to be meant: a third of its letters may differ.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const LONGEST: usize = 120;
    if name.len() > LONGEST {
        return None;
    }
    let wanted = name.to_lowercase();
    known
        .map(|candidate| (strsim::osa_distance(&wanted, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| distance * 3 <= candidate.chars().count().max(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

const fn spec(name: &'static str, place: Place, since: &'static str) -> Spec {
    Spec {
        name,
        place,
        kind: Kind::Text,
        default: "",
        default_rule: "",
        unit: "",
        limits: None,
        since,
        status: Status::Works,
        secret: false,
        old_property: "",
        doc: "",
        set: Set::Nothing,
    }
}

const fn file(name: &'static str, since: &'static str) -> Spec {
    spec(name, Place::File, since)
}

const fn property(name: &'static str, since: &'static str) -> Spec {
    spec(name, Place::Property, since)
}

const fn flag(name: &'static str, since: &'static str) -> Spec {
    spec(name, Place::Flag, since)
}

const fn own(name: &'static str) -> Spec {
    spec(name, Place::Own, "")
}

/// The words in which the table is written.
impl Spec {
    const fn of(mut self, kind: Kind, default: &'static str) -> Spec {
        self.kind = kind;
        self.default = default;
        self
    }

    const fn int(self, default: &'static str) -> Spec {
        self.of(Kind::Int, default)
    }

    const fn long(self, default: &'static str) -> Spec {
        self.of(Kind::Long, default)
    }

    const fn float(self, default: &'static str) -> Spec {
        self.of(Kind::Float, default)
    }

    const fn bool(self, default: &'static str) -> Spec {
        self.of(Kind::Bool, default)
    }

    const fn yes_no(self, default: &'static str, deciding: &'static str) -> Spec {
        self.of(Kind::YesNo { deciding }, default)
    }

    const fn path(self) -> Spec {
        self.of(Kind::Path, "")
    }

    const fn port(self, default: &'static str) -> Spec {
        self.of(Kind::Port, default)
    }

    const fn text(self, default: &'static str) -> Spec {
        self.of(Kind::Text, default)
    }

    const fn family(self) -> Spec {
        self.of(Kind::Family, "")
    }

    const fn choice(self, words: &'static [&'static str], default: &'static str) -> Spec {
        self.of(Kind::Choice { words, otherwise: Outside::Refused }, default)
    }

    const fn lenient_choice(self, words: &'static [&'static str], default: &'static str) -> Spec {
        self.of(Kind::Choice { words, otherwise: Outside::Default }, default)
    }

    const fn class(self, known: &'static [(&'static str, &'static str)], default: &'static str) -> Spec {
        self.of(Kind::Class(known), default)
    }

    const fn default_is(mut self, rule: &'static str) -> Spec {
        self.default_rule = rule;
        self
    }

    const fn unit(mut self, unit: &'static str) -> Spec {
        self.unit = unit;
        self
    }

    const fn limits(mut self, min: i64, max: i64, outside: Outside) -> Spec {
        self.limits = Some(Limits { min, max, outside });
        self
    }

    const fn at_least(self, min: i64, outside: Outside) -> Spec {
        self.limits(min, i64::MAX, outside)
    }

    const fn secret(mut self) -> Spec {
        self.secret = true;
        self
    }

    const fn both_places(mut self) -> Spec {
        self.place = Place::FileAndProperty;
        self
    }

    const fn old_property(mut self, name: &'static str) -> Spec {
        self.old_property = name;
        self
    }

    const fn ignored(mut self, reason: &'static str) -> Spec {
        self.status = Status::Ignored(reason);
        self
    }

    const fn later(mut self, part: Part) -> Spec {
        self.status = Status::Later(part);
        self
    }

    const fn number(mut self, set: fn(&mut Draft, i64)) -> Spec {
        self.set = Set::Number(set);
        self
    }

    const fn fraction(mut self, set: fn(&mut Draft, f64)) -> Spec {
        self.set = Set::Float(set);
        self
    }

    const fn truth(mut self, set: fn(&mut Draft, bool)) -> Spec {
        self.set = Set::Bool(set);
        self
    }

    const fn word(mut self, set: fn(&mut Draft, &str)) -> Spec {
        self.set = Set::Text(set);
        self
    }

    const fn doc(mut self, doc: &'static str) -> Spec {
        self.doc = doc;
        self
    }
}

/// Reasons that many ignored options share.
const JVM: &str = "it tunes the Java machine or Apache's threads, which are not here";
const TESTS: &str = "it belongs to Apache's own tests";

#[cfg(test)]
mod tests;
