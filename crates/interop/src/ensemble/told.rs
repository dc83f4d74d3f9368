//! Client programs that do what they are told, one line of answer for each command
//! (`clients/read-only-…` say which there are).
use crate::fetch;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// Longer than any program waits by itself.
const PATIENCE: Duration = Duration::from_secs(90);

pub struct Told {
    name: String,
    pub child: Child,
    pub stdin: ChildStdin,
    /// What it prints, line by line.
    pub lines: Receiver<String>,
    errors: PathBuf,
}

impl Told {
    /// Starts it against these servers; what it prints as errors goes to a file in `dir`.
    pub fn start(name: &str, mut command: Command, servers: &str, dir: &Path) -> Result<Told> {
        let errors = dir.join(format!("{name}.log"));
        command.arg(servers).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&errors)?);
        let mut child = command.spawn().with_context(|| format!("cannot start {command:?}"))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let stdout = child.stdout.take().context("stdout is piped")?;
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Told { name: name.to_owned(), child, stdin, lines, errors })
    }

    /// Its answer to a command.
    pub fn tell(&mut self, command: &str) -> Result<String> {
        writeln!(self.stdin, "{command}").with_context(|| self.last_errors())?;
        self.lines
            .recv_timeout(PATIENCE)
            .with_context(|| format!("no answer to {command:?}; {}", self.last_errors()))
    }

    pub fn last_errors(&self) -> String {
        let text = std::fs::read_to_string(&self.errors).unwrap_or_default();
        format!("the end of {}:\n{}", self.errors.display(), fetch::last_lines(&text, 10))
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None))
            && let Err(error) = self.child.kill().and_then(|()| self.child.wait())
        {
            eprintln!("cannot end {} (process {}): {error}", self.name, self.child.id());
        }
    }
}
