//! From texts to settings: which option was set, to which text, and where. Meaning comes later, in `read`.
//!
//! Precedence, weakest first: an old property name, `SERVER_JVMFLAGS`, `JVMFLAGS`, the command line, the file. The file
//! wins over `-D` because Apache's server turns its unknown keys into system properties while it reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::finding::{Findings, Source};
use crate::flags::{self, Definition};
use crate::java;
use crate::members::{self, MemberLine};
use crate::options::{self, Kind, Place, Spec};
use crate::properties::{self, Pair};

/// One option set somewhere.
#[derive(Clone)]
pub(crate) struct Setting {
    pub spec: &'static Spec,
    pub text: String,
    pub source: Source,
    /// Bad text is an error, not the default.
    pub strict: bool,
}

/// Everything that was set.
#[derive(Default)]
pub(crate) struct Settings {
    /// By the option's name in the table; for a family, by the full key.
    pub by_name: BTreeMap<String, Setting>,
    /// `server.`, `group` and `weight` lines in the order of the file.
    pub members: Vec<MemberLine>,
}

impl Settings {
    pub fn get(&self, name: &str) -> Option<&Setting> {
        self.by_name.get(name)
    }

    /// Where an option was set.
    pub fn source(&self, name: &str) -> Source {
        self.get(name).map_or(Source::Default, |setting| setting.source.clone())
    }

    /// The members of a family of keys.
    pub fn family<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a String, &'a Setting)> {
        self.by_name.iter().filter(move |(_, setting)| setting.spec.name == name)
    }

    fn put(&mut self, name: &str, setting: Setting) -> Option<Setting> {
        self.by_name.insert(name.to_owned(), setting)
    }
}

/// Takes definitions, the strongest last.
pub(crate) fn definitions(settings: &mut Settings, all: &[Definition], findings: &mut Findings) {
    for old_names in [true, false] {
        for definition in all {
            match options::for_property(&definition.name) {
                Some((spec, old)) if old == old_names => define(settings, spec, definition, findings),
                None if old_names => unknown_property(definition, findings),
                _ => {}
            }
        }
    }
}

fn define(settings: &mut Settings, spec: &'static Spec, definition: &Definition, findings: &mut Findings) {
    let Definition { name, value, source } = definition;
    if spec.place == Place::File {
        let short = name.strip_prefix("zookeeper.").unwrap_or(name);
        let problem = format!("-D{name} has no effect: {short} is read from the configuration file only");
        findings.warn(source, problem, format!("write {short}={} there", shown(spec, value)));
        return;
    }
    let strict = spec.place == Place::Own;
    let setting = Setting { spec, text: value.clone(), source: source.clone(), strict };
    let key = match spec.kind {
        Kind::Family => name.strip_prefix("zookeeper.").unwrap_or(name),
        _ => spec.name,
    };
    settings.put(key, setting);
}

fn unknown_property(definition: &Definition, findings: &mut Findings) {
    let Definition { name, source, .. } = definition;
    if let Some(owner) = flags::foreign(name) {
        findings.note(source, format!("-D{name} is ignored: it belongs to {owner}"), "");
        return;
    }
    let properties: Vec<String> =
        options::all().filter(|spec| spec.kind != Kind::Family).filter_map(Spec::property).collect();
    let prefixed = format!("zookeeper.{name}");
    let meant = if properties.contains(&prefixed) {
        Some(prefixed.as_str())
    } else {
        options::nearest(name, properties.iter().map(String::as_str))
    };
    match meant {
        Some(meant) => findings.warn(
            source,
            format!("-D{name} is not a known property"),
            format!("did you mean -D{meant}?"),
        ),
        None if name.starts_with("zookeeper.") => {
            findings.warn(source, format!("-D{name} is not a known property"), "it has no effect")
        }
        None => findings.note(source, format!("-D{name} is ignored: it is not a property of ZooKeeper"), ""),
    }
}

/// Takes the pairs of `zoo.cfg`.
pub(crate) fn file(settings: &mut Settings, name: &Arc<str>, contents: &[u8], findings: &mut Findings) {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let source = |line| Source::Line { file: name.clone(), line };
    let text = contents.strip_prefix(BYTE_ORDER_MARK).unwrap_or(contents);
    if text.len() < contents.len() {
        let problem =
            "the file begins with a byte order mark, which for Apache ZooKeeper is part of the first key";
        findings.warn(&source(1), problem, "save it without one");
    }
    let mut lines: BTreeMap<String, Source> = BTreeMap::new();
    for pair in properties::parse(text) {
        match pair {
            Err(bad) => findings.error(&source(bad.line), members::BAD_ESCAPE, members::BAD_ESCAPE_ADVICE),
            Ok(pair) => {
                let source = source(pair.line);
                let key = java::trim(&pair.key);
                warn_about_letters(&pair, &source, findings);
                if let Some(earlier) = lines.insert(key.to_owned(), source.clone()) {
                    let problem = format!("{key} stands here again; its value at {earlier} does not count");
                    findings.warn(&source, problem, "keep one of the two lines");
                    settings.members.retain(|line| line.key != key);
                }
                file_pair(settings, key, &pair, source, findings);
            }
        }
    }
}

fn warn_about_letters(pair: &Pair, source: &Source, findings: &mut Findings) {
    let key = java::trim(&pair.key);
    if pair.non_ascii {
        let problem = format!("{key} has letters beyond ASCII, which are read byte by byte as ISO 8859-1");
        findings.warn(source, problem, r"write such letters as \uXXXX");
    }
    if pair.lost_backslash {
        let problem = format!("a backslash in {key} is an escape, and vanishes");
        findings.warn(source, problem, r"write \\ for a backslash, or / in a path");
    }
}

/// A key that a well-known image misspells: it meant to purge and never did.
const MISSPELT: (&str, &str) = ("autopurge.purgeInteval", "autopurge.purgeInterval");

fn file_pair(settings: &mut Settings, key: &str, pair: &Pair, source: Source, findings: &mut Findings) {
    let text = java::trim(&pair.value).to_owned();
    if members::concerns_members(key) {
        settings.members.push(MemberLine { key: key.to_owned(), value: pair.value.clone(), source });
        return;
    }
    let misspelt = key == MISSPELT.0;
    if misspelt {
        let advice = "Apache ZooKeeper would ignore it, and never purge: correct the name";
        findings.warn(&source, format!("{key} is taken as {}", MISSPELT.1), advice);
    }
    let key = if misspelt { MISSPELT.1 } else { key };
    let Some(spec) = options::for_key(key) else {
        unknown_key(key, &source, findings);
        return;
    };
    if !spec.in_file() {
        let problem = format!("{key} has no effect in the configuration file");
        let advice = format!("write -D{key}={} on the command line or in JVMFLAGS", shown(spec, &text));
        findings.warn(&source, problem, advice);
        return;
    }
    let strict = spec.place != Place::Property;
    let name = if spec.kind == Kind::Family { key } else { spec.name };
    let setting = Setting { spec, text, source, strict };
    let (problem_source, new_text) = (setting.source.clone(), setting.text.clone());
    if let Some(earlier) = settings.put(name, setting)
        && !matches!(earlier.source, Source::Line { .. })
        && earlier.text != new_text
    {
        let problem = format!("{key} overrides the value from {}", earlier.source);
        findings.warn(&problem_source, problem, "set it in one place only");
    }
}

fn unknown_key(key: &str, source: &Source, findings: &mut Findings) {
    if key.is_empty() {
        findings.warn(source, "a value without a key has no effect", "write key=value");
        return;
    }
    if let Some((spec, _)) = options::for_property(key) {
        let advice = if spec.in_file() {
            format!("in this file write {}", key.strip_prefix("zookeeper.").unwrap_or(key))
        } else {
            format!("write -D{key}=… on the command line or in JVMFLAGS")
        };
        findings.warn(source, format!("{key} has no effect in the configuration file"), advice);
        return;
    }
    let known = options::all().filter(|spec| spec.kind != Kind::Family).map(|spec| spec.name);
    let advice = match options::nearest(key, known) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "it has no effect; see the list of options".to_owned(),
    };
    findings.warn(source, format!("{key} is not a known option"), advice);
}

/// Takes `port datadir [tickTime] [maxClientCnxns]`. In this form connections per address are not limited by default.
pub(crate) fn positional(settings: &mut Settings, words: &[String], findings: &mut Findings) {
    const USAGE: &str = "write a configuration file, or: port datadir [tickTime] [maxClientCnxns]";
    if !(2..=4).contains(&words.len()) {
        let source = Source::Argument(words.len().min(5) as u32);
        findings.error(&source, format!("{} arguments are too few or too many", words.len()), USAGE);
    }
    let unlimited = Source::Default;
    if let Some(spec) = options::named("maxClientCnxns") {
        settings.put(spec.name, Setting { spec, text: "0".to_owned(), source: unlimited, strict: true });
    }
    for (index, (name, text)) in
        ["clientPort", "dataDir", "tickTime", "maxClientCnxns"].iter().zip(words).enumerate()
    {
        if let Some(spec) = options::named(name) {
            let source = Source::Argument(index as u32 + 1);
            settings.put(spec.name, Setting { spec, text: text.clone(), source, strict: true });
        }
    }
}

fn shown(spec: &Spec, text: &str) -> String {
    if spec.secret || text.is_empty() { "…".to_owned() } else { text.to_owned() }
}
