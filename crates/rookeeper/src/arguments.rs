//! The command line.

use crate::help::{self, USAGE};
use crate::logging::say;
use crate::{folders, serve};
use std::process::ExitCode;

/// What the command line asks for.
pub(crate) enum Command {
    Serve(Settings),
    PrintConfig(Settings),
    ConfigReference,
    Folders(folders::Command),
    Version,
    Help(&'static str),
}

/// Words of `server` and `print-config`.
#[derive(Default)]
pub(crate) struct Settings {
    pub definitions: Vec<String>,
    pub words: Vec<String>,
}

pub(crate) fn parse(words: &[String]) -> Result<Command, String> {
    let Some((first, rest)) = words.split_first() else { return Ok(Command::Serve(Settings::default())) };
    if let Some(text) = help::about(first).filter(|_| help::is_asked_for(rest)) {
        return Ok(Command::Help(text));
    }
    match first.as_str() {
        "server" => Ok(Command::Serve(settings(first, rest)?)),
        "print-config" => Ok(Command::PrintConfig(settings(first, rest)?)),
        "config-reference" => Ok(Command::ConfigReference),
        "verify" | "dump" | "compare" | "compat" | "snapshot" => {
            folders::parse(first, rest).map(Command::Folders).map_err(|e| wrong(first, &e))
        }
        "version" | "--version" | "-V" => Ok(Command::Version),
        "help" | "--help" | "-h" => match rest.first() {
            None => Ok(Command::Help(USAGE)),
            Some(command) => help::about(command).map(Command::Help).ok_or_else(|| unknown(command)),
        },
        word if word.starts_with("-D") => Ok(Command::Serve(settings("server", words)?)),
        other => Err(unknown(other)),
    }
}

fn unknown(command: &str) -> String {
    format!("rookeeper: there is no command {command:?}\n\n{USAGE}")
}

/// What is wrong with the words of a command, and how they should be.
fn wrong(command: &str, what: &str) -> String {
    format!("rookeeper {command}: {what}\n\n{}", help::about(command).unwrap_or(USAGE))
}

fn settings(command: &str, words: &[String]) -> Result<Settings, String> {
    let (definitions, words): (Vec<String>, Vec<String>) =
        words.iter().cloned().partition(|w| w.starts_with("-D"));
    if let Some(unknown) = words.iter().find(|w| w.starts_with('-')) {
        return Err(wrong(command, &format!("there is no flag {unknown}")));
    }
    if words.len() > 4 {
        return Err(wrong(command, &format!("too many words after {:?}", words[3])));
    }
    Ok(Settings { definitions, words })
}

impl Command {
    pub(crate) fn run(self) -> ExitCode {
        match self {
            Command::Serve(settings) => serve::serve(&settings),
            Command::PrintConfig(settings) => serve::print_config(&settings),
            Command::ConfigReference => {
                say!("{}", config::reference_page().trim_end());
                ExitCode::SUCCESS
            }
            Command::Folders(command) => command.run(),
            Command::Version => {
                say!("rookeeper {}, compatible with Apache ZooKeeper 3.9.5", env!("CARGO_PKG_VERSION"));
                ExitCode::SUCCESS
            }
            Command::Help(text) => {
                say!("{text}");
                ExitCode::SUCCESS
            }
        }
    }
}
