//! The budgets and borders that no compiler checks, checked over every tracked file.
//!
//! Each rule is a function from text to violations, so that a test can show it failing on a bad sample. Rules
//! that live only in documents get broken.
mod generated;
mod manifests;
mod private;
mod source;

use anyhow::{Context, Result, bail};
use std::fmt;
use std::path::Path;
use std::process::Command;

/// One broken rule, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub path: String,
    /// Counted from 1; 0 if the whole file is meant.
    pub line: usize,
    pub message: String,
}

impl Violation {
    fn new(path: &str, line: usize, message: impl Into<String>) -> Violation {
        Violation { path: path.to_owned(), line, message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// Checks the tree at `root`, prints what is wrong, and returns whether all is well.
pub fn run(root: &Path) -> Result<bool> {
    let files = tracked(root)?;
    let mut found = Vec::new();
    for path in &files {
        // A link's target is tracked under its own name; what is not UTF-8 is not text.
        let place = root.join(path);
        if place.symlink_metadata().is_ok_and(|meta| meta.is_file())
            && let Ok(text) = std::fs::read_to_string(&place)
        {
            found.extend(source::check(path, &text));
            found.extend(private::check(path, &text, &private::machine_names()));
        }
    }
    found.extend(manifests::check(root)?);
    found.extend(generated::check(root)?);
    for violation in &found {
        println!("{violation}");
    }
    match found.len() {
        0 => println!("tidy: {} files, all rules hold", files.len()),
        count => println!("tidy: {count} violations"),
    }
    Ok(found.is_empty())
}

fn tracked(root: &Path) -> Result<Vec<String>> {
    let listed = output(Command::new("git").args(["ls-files", "-z"]).current_dir(root))?;
    Ok(listed.split('\0').filter(|path| !path.is_empty()).map(str::to_owned).collect())
}

/// What a command prints, if it succeeds.
fn output(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let done = command.output().with_context(|| format!("cannot run {shown}"))?;
    if !done.status.success() {
        bail!("{shown} ended with {}:\n{}", done.status, String::from_utf8_lossy(&done.stderr));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}
