//! What was found while the configuration was read: errors, warnings and notes, each with its place.
//!
//! Nothing stops at the first error. Whoever edits a configuration wants all of them at once, with line numbers, and
//! each says what is wrong and what to do.

use std::fmt;
use std::sync::Arc;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A word of the positional form `port datadir [tickTime] [maxClientCnxns]`, counted from 1.
    Argument(u32),
    /// A line of `zoo.cfg`, of the dynamic file or of `myid`.
    Line { file: Arc<str>, line: u32 },
    /// A file as a whole.
    File(Arc<str>),
    /// `-Dname=value` on the command line.
    CommandLine,
    /// The environment variable of this name: `JVMFLAGS` or `SERVER_JVMFLAGS`.
    Environment(&'static str),
    /// Nobody set it.
    Default,
}

impl fmt::Display for Source {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Argument(index) => write!(out, "argument {index}"),
            Source::Line { file, line } => write!(out, "{file}:{line}"),
            Source::File(file) => out.write_str(file),
            Source::CommandLine => out.write_str("command line"),
            Source::Environment(name) => out.write_str(name),
            Source::Default => out.write_str("default"),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The server cannot start with this.
    Error,
    /// The server starts, but somebody probably wanted something else.
    Warning,
    /// Worth a line in the log.
    Note,
}

impl fmt::Display for Severity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        })
    }
}

/// One thing to tell: printed as `zoo.cfg:7: error: <problem>; <advice>`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub source: Source,
    pub severity: Severity,
    /// What is wrong. Never holds the value of a secret.
    pub problem: String,
    /// What to do about it.
    pub advice: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}: {}", self.source, self.severity, self.problem)?;
        if self.advice.is_empty() { Ok(()) } else { write!(out, "; {}", self.advice) }
    }
}

/// Collects findings while reading goes on.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    all: Vec<Finding>,
}

impl Findings {
    fn push(&mut self, severity: Severity, source: &Source, problem: String, advice: String) {
        self.all.push(Finding { source: source.clone(), severity, problem, advice });
    }

    pub fn error(&mut self, source: &Source, problem: impl Into<String>, advice: impl Into<String>) {
        self.push(Severity::Error, source, problem.into(), advice.into());
    }

    pub fn warn(&mut self, source: &Source, problem: impl Into<String>, advice: impl Into<String>) {
        self.push(Severity::Warning, source, problem.into(), advice.into());
    }

    pub fn note(&mut self, source: &Source, problem: impl Into<String>, advice: impl Into<String>) {
        self.push(Severity::Note, source, problem.into(), advice.into());
    }

    pub fn has_errors(&self) -> bool {
        self.all.iter().any(|finding| finding.severity == Severity::Error)
    }

    /// Whether an error was found at exactly this place, if it is a line.
    pub fn has_error_at(&self, place: &Source) -> bool {
        let line = matches!(place, Source::Line { .. } | Source::Argument(_));
        line && self.all.iter().any(|finding| finding.severity == Severity::Error && finding.source == *place)
    }

    /// Whether an error was found in this file.
    pub fn concern(&self, name: &str) -> bool {
        self.all.iter().any(|finding| match &finding.source {
            Source::Line { file, .. } | Source::File(file) => {
                **file == *name && finding.severity == Severity::Error
            }
            Source::Argument(_) | Source::CommandLine | Source::Environment(_) | Source::Default => false,
        })
    }

    /// Everything found, by place, once each.
    pub fn finish(mut self) -> Vec<Finding> {
        self.all.sort();
        self.all.dedup();
        self.all
    }
}
