//! What a server is told: `zoo.cfg`, the dynamic file, `myid`, system properties, and the positional form, read as
//! Apache ZooKeeper reads them, into one immutable [`Config`].
//!
//! The way through: texts become settings (`gather`, over `properties` and `flags`), each setting becomes a checked
//! value (`read`, by the table in [`options`]), and all values together become the configuration (`assemble`, with
//! [`members`] for the ensemble). Whatever is wrong on the way is collected, not thrown: a refused configuration comes
//! with all of its errors, each with file and line, and an accepted one with its warnings.
//!
//! What always holds: this crate reads no file, no environment and no clock; the caller hands texts in, and a function
//! for the few files whose names only the configuration knows. No input makes it panic.

mod assemble;
mod convert;
mod effective;
mod finding;
mod flags;
mod gather;
mod java;
pub mod members;
mod model;
pub mod options;
mod properties;
mod read;
mod reference;

use std::fmt;
use std::path::Path;

pub use effective::{Entry, effective, listing};
pub use finding::{Finding, Severity, Source};
pub use members::{Address, Member, Membership, ServerAddress, parse_membership};
pub use model::*;
pub use reference::reference_page;

use finding::Findings;
use gather::Settings;

/// What a server runs with when it is started without any configuration: one server, on port 2181, with its data in
/// the folder where it was started, and open to every four-letter word.
pub const DEFAULT_CONFIG: &str = include_str!("default.cfg");

/// The name under which findings speak of [`DEFAULT_CONFIG`].
pub const DEFAULT_CONFIG_NAME: &str = "built-in configuration";

/// A configuration file.
#[derive(Debug, Clone, Copy)]
pub struct ConfigFile<'a> {
    /// Its path, as findings show it; `<name>.dynamic.next` is looked for beside it.
    pub name: &'a str,
    pub contents: &'a [u8],
}

/// Reads a file whose name only the configuration knows: `myid`, the dynamic file, `<zoo.cfg>.dynamic.next`.
/// `Ok(None)`: there is none. `Err`: why it cannot be read.
pub type ReadFile<'a> = dyn Fn(&Path) -> Result<Option<Vec<u8>>, String> + 'a;

/// Everything that a configuration is made of.
pub struct Inputs<'a> {
    /// The configuration file, if one was named. With neither file nor positional words, use
    /// [`DEFAULT_CONFIG`] as the file.
    pub file: Option<ConfigFile<'a>>,
    /// `port datadir [tickTime] [maxClientCnxns]`, instead of a file.
    pub positional: &'a [String],
    /// `-Dname=value` words of the command line.
    pub definitions: &'a [String],
    /// The text of the variable `SERVER_JVMFLAGS`.
    pub server_jvm_flags: &'a str,
    /// The text of the variable `JVMFLAGS`.
    pub jvm_flags: &'a str,
    pub read_file: &'a ReadFile<'a>,
}

/// A configuration that the server can start with.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub config: Config,
    /// Warnings and notes, in the order of their places.
    pub findings: Vec<Finding>,
}

/// A configuration that the server cannot start with. Apache's server exits with code 2 for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refused {
    /// Errors, warnings and notes, in the order of their places; at least one error.
    pub findings: Vec<Finding>,
}

impl Refused {
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error)
    }
}

impl fmt::Display for Refused {
    /// All errors, a line each.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.errors().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(out, "{separator}{error}")?;
        }
        Ok(())
    }
}

/// Reads a configuration.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, Refused> {
    let mut findings = Findings::default();
    let mut settings = Settings::default();
    let mut definitions = flags::from_variable("SERVER_JVMFLAGS", inputs.server_jvm_flags, &mut findings);
    definitions.extend(flags::from_variable("JVMFLAGS", inputs.jvm_flags, &mut findings));
    definitions.extend(flags::from_words(inputs.definitions, &Source::CommandLine, &mut findings));
    gather::definitions(&mut settings, &definitions, &mut findings);
    match &inputs.file {
        Some(file) => gather::file(&mut settings, &file.name.into(), file.contents, &mut findings),
        None => gather::positional(&mut settings, inputs.positional, &mut findings),
    }
    let config = assemble::assemble(inputs, &settings, &mut findings);
    if findings.has_errors() {
        return Err(Refused { findings: findings.finish() });
    }
    Ok(Loaded { config, findings: findings.finish() })
}

/// Treats any bytes as a configuration file, as flags, as the dynamic file and as `myid`, all at once: the entry for
/// fuzzing, where the only wrong answer is a panic.
pub fn parse_untrusted(bytes: &[u8]) -> Result<Loaded, Refused> {
    let text = String::from_utf8_lossy(bytes);
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let read_file = |_: &Path| Ok(Some(bytes.to_vec()));
    let file = ConfigFile { name: "zoo.cfg", contents: bytes };
    let inputs = Inputs {
        file: Some(file),
        positional: &[],
        definitions: &words,
        server_jvm_flags: &text,
        jvm_flags: &text,
        read_file: &read_file,
    };
    // Once more as bare words: positional configurations go another way.
    let _ = load(&Inputs { file: None, positional: &words, ..inputs });
    let from_file = load(&Inputs { file: Some(file), positional: &[], ..inputs });
    if let Ok(membership) = parse_membership(bytes, "membership", true) {
        let again = parse_membership(membership.to_string().as_bytes(), "membership", true);
        assert_eq!(again.as_ref(), Ok(&membership), "a membership reads back as it was written");
    }
    from_file
}
