//! How the tests load configurations and compare with goldens. With `UPDATE=1` in the environment goldens are written
//! anew.
#![allow(clippy::disallowed_methods, reason = "goldens are files")]
#![allow(dead_code, reason = "each test program uses a part")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{ConfigFile, Finding, Inputs, Loaded, Refused};

/// The texts of one start.
#[derive(Default, Clone)]
pub struct Start {
    pub file: Option<Vec<u8>>,
    pub positional: Vec<String>,
    pub definitions: Vec<String>,
    pub server_jvm_flags: String,
    pub jvm_flags: String,
    pub files: BTreeMap<PathBuf, Vec<u8>>,
}

impl Start {
    pub fn file(text: impl AsRef<[u8]>) -> Start {
        Start { file: Some(text.as_ref().to_vec()), ..Start::default() }
    }

    pub fn positional(words: &[&str]) -> Start {
        Start { positional: owned(words), ..Start::default() }
    }

    pub fn define(mut self, words: &[&str]) -> Start {
        self.definitions = owned(words);
        self
    }

    pub fn jvm_flags(mut self, text: &str) -> Start {
        self.jvm_flags = text.to_owned();
        self
    }

    pub fn with(mut self, path: &str, text: &str) -> Start {
        self.files.insert(path.into(), text.into());
        self
    }

    pub fn load(&self) -> Result<Loaded, Refused> {
        let read_file = |path: &Path| Ok(self.files.get(path).cloned());
        config::load(&Inputs {
            file: self.file.as_ref().map(|contents| ConfigFile { name: "zoo.cfg", contents }),
            positional: &self.positional,
            definitions: &self.definitions,
            server_jvm_flags: &self.server_jvm_flags,
            jvm_flags: &self.jvm_flags,
            read_file: &read_file,
        })
    }

    /// The configuration of a start that must be accepted.
    pub fn accepted(&self) -> Loaded {
        self.load().unwrap_or_else(|refused| panic!("refused:\n{refused}"))
    }

    /// The findings of a start that must be refused, a line each.
    pub fn refused(&self) -> Vec<String> {
        lines(&self.load().expect_err("it must be refused").findings)
    }
}

pub fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

pub fn lines(findings: &[Finding]) -> Vec<String> {
    findings.iter().map(ToString::to_string).collect()
}

/// Everything about a start as a text.
pub fn story(start: &Start) -> String {
    match start.load() {
        Ok(loaded) => {
            let set: Vec<String> = config::effective(&loaded.config)
                .iter()
                .filter(|entry| entry.source != config::Source::Default)
                .map(|entry| {
                    format!("{}={}  # {}", entry.name, entry.value.as_deref().unwrap_or("-"), entry.source)
                })
                .collect();
            format!("accepted\n{}\n\n{}\n", set.join("\n"), lines(&loaded.findings).join("\n"))
        }
        Err(refused) => format!("refused\n{}\n", lines(&refused.findings).join("\n")),
    }
}

/// Compares with a committed file, or writes it.
pub fn golden(path: &Path, actual: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, actual)
            .unwrap_or_else(|error| panic!("{} cannot be written: {error}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        expected == actual,
        "{} is not what the code gives now. If that is right, run `UPDATE=1 cargo test -p config`.\n\n{actual}",
        path.display()
    );
}

pub fn crate_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}
