//! The reference page of all options, rendered from the table.

use std::fmt::Write;

use crate::options::{self, Kind, Limits, Outside, Place, Spec, Status};

const INTRODUCTION: &str = "\
# Configuration

<!-- Rendered from the table of options by `config::reference_page`. Change the table, then run
     `UPDATE=1 cargo test -p config`. -->

A server is configured like Apache ZooKeeper, by the same `zoo.cfg` and the same system properties:

- `rookeeper server zoo.cfg` reads a file; `rookeeper server port datadir [tickTime] [maxClientCnxns]` does without
  one; `rookeeper server` alone uses port 2181 and the folder `./rookeeper-data`.
- The file has the syntax of Java properties: `key=value`, comments on lines of their own behind `#` or `!`, `\\` in
  front of special characters and at the end of a line that goes on. Bytes are ISO 8859-1; other letters are written
  `\\uXXXX`. When a key stands twice, the last one counts.
- System properties are written `-Dname=value` on the command line, or in the environment variables `JVMFLAGS` and
  `SERVER_JVMFLAGS`. Other flags there are for the Java machine and are ignored. The file is stronger than `-D`, the
  command line is stronger than `JVMFLAGS`, and that is stronger than `SERVER_JVMFLAGS`.
- All errors of a configuration are reported at once, with their lines. Keys that are not known are warned about, with
  the nearest known name.

How to read the tables:

- *Where*: **file** is a key of `zoo.cfg` only. **both** may stand in `zoo.cfg` under its name, or be given as
  `-Dzookeeper.` and its name. **-D** cannot stand in the file; it is given as `-D` and its name. Rookeeper's own
  options have the same name in both places.
- Bad values of **file** keys are errors. Bad values of properties are warned about, and the default is used, as
  in Apache ZooKeeper; numbers there may be written in hexadecimal (`0x…`) and octal (`0…`).
- *State*: options without a word work. **ignored** ones are accepted so that existing files work. **later** ones are
  read and checked, and a warning at start says that they have no effect yet.
- *Since* is the release of Apache ZooKeeper that brought an option (3.3.0: that one or an earlier).
";

/// The whole page, in Markdown.
pub fn reference_page() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in options::GROUPS {
        write!(page, "\n## {}\n\n", group.title).expect("writing to a string works");
        page.push_str("| option | where | value | default | since | meaning |\n|---|---|---|---|---|---|\n");
        for spec in group.options {
            let cells = [
                format!("`{}`", spec.name),
                place(spec).to_owned(),
                value(spec),
                default(spec),
                since(spec),
                meaning(spec),
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            writeln!(page, "| {} |", cells.join(" | ")).expect("writing to a string works");
        }
    }
    page
}

fn place(spec: &Spec) -> &'static str {
    match spec.place {
        Place::File => "file",
        Place::FileAndProperty | Place::Property | Place::Own => "both",
        Place::Flag => "-D",
    }
}

fn value(spec: &Spec) -> String {
    let mut text = match spec.kind {
        Kind::Int | Kind::Long => "whole number".to_owned(),
        Kind::Float => "number".to_owned(),
        Kind::Bool => "`true`, `false`".to_owned(),
        Kind::YesNo { .. } => "`yes`, `no`".to_owned(),
        Kind::Text => "text".to_owned(),
        Kind::Path => "path".to_owned(),
        Kind::Port => "port".to_owned(),
        Kind::Choice { words, .. } => {
            let words: Vec<String> =
                words.iter().filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect();
            words.join(", ")
        }
        Kind::Class([]) => "class".to_owned(),
        Kind::Class(known) => {
            let names: Vec<String> =
                known.iter().map(|(class, meaning)| format!("`{class}`: {meaning}")).collect();
            names.join("; ")
        }
        Kind::Interval => "interval".to_owned(),
        Kind::Family => "one key each".to_owned(),
    };
    if !spec.unit.is_empty() {
        write!(text, ", {}", spec.unit).expect("writing to a string works");
    }
    if let Some(limits) = spec.limits {
        text.push_str(&range(limits));
    }
    text
}

fn range(limits: Limits) -> String {
    let Limits { min, max, outside } = limits;
    let range = match (min, max) {
        (min, i64::MAX) => format!("≥ {min}"),
        (i64::MIN, max) => format!("≤ {max}"),
        (min, max) if min == max => format!("only {min}"),
        (min, max) => format!("{min}–{max}"),
    };
    let otherwise = match outside {
        Outside::Refused => "",
        Outside::Clamped => " (else the limit is used)",
        Outside::Default => " (else the default is used)",
    };
    format!(", {range}{otherwise}")
}

fn default(spec: &Spec) -> String {
    match (spec.default_rule, spec.default) {
        ("", "") => "–".to_owned(),
        ("", default) => {
            format!("`{}`", default.rsplit_once("zookeeper.").map_or(default, |(_, class)| class))
        }
        (rule, _) => rule.to_owned(),
    }
}

fn since(spec: &Spec) -> String {
    if spec.since.is_empty() { "–".to_owned() } else { spec.since.to_owned() }
}

fn meaning(spec: &Spec) -> String {
    match spec.status {
        Status::Works => spec.doc.to_owned(),
        Status::Ignored(reason) => format!("{} **ignored**: {reason}.", spec.doc),
        Status::Later(part) => format!("{} **later**, with {}.", spec.doc, part.name()),
    }
}
