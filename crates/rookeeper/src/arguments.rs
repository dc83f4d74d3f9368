//! The command line.

use crate::logging::say;
use crate::{folders, serve};
use std::process::ExitCode;

const USAGE: &str = "\
Rookeeper: ZooKeeper, rebuilt in Rust.

  rookeeper                                   serve on port 2181 with data in ./rookeeper-data
  rookeeper server [-Dname=value ...] ZOO_CFG serve as an Apache zoo.cfg says
  rookeeper server [-Dname=value ...] PORT DATA_DIR [TICK_MS [MAX_CLIENT_CNXNS]]
  rookeeper print-config [-Dname=value ...] [ZOO_CFG]
                                              every option in force, and where it comes from
  rookeeper config-reference                  the page about every option
  rookeeper version
  rookeeper help

Folders that no server is using; DIR is a dataDir, to be followed by --log-dir DIR if dataLogDir is another:
  rookeeper verify DIR                        what a start would find, and whether it is sound
  rookeeper dump [--data] FILE                a log or a snapshot as lines of text
  rookeeper compare DIR DIR                   in what two databases differ
  rookeeper compat --target 3.5.10 DIR        what that release of ZooKeeper could not read
  rookeeper snapshot DIR                      write a fresh snapshot that every release can read

SERVER_JVMFLAGS and JVMFLAGS are read for -Dname=value words. RUST_LOG chooses the level of the logs.";

/// What the command line asks for.
pub(crate) enum Command {
    Serve(Settings),
    PrintConfig(Settings),
    ConfigReference,
    Folders(folders::Command),
    Version,
    Help,
}

/// Words of `server` and `print-config`.
#[derive(Default)]
pub(crate) struct Settings {
    pub definitions: Vec<String>,
    pub words: Vec<String>,
}

pub(crate) fn parse(words: &[String]) -> Result<Command, String> {
    let Some((first, rest)) = words.split_first() else { return Ok(Command::Serve(Settings::default())) };
    match first.as_str() {
        "server" => Ok(Command::Serve(settings(rest)?)),
        "print-config" => Ok(Command::PrintConfig(settings(rest)?)),
        "config-reference" => Ok(Command::ConfigReference),
        "verify" | "dump" | "compare" | "compat" | "snapshot" => {
            let command =
                folders::parse(first, rest).map_err(|e| format!("rookeeper {first}: {e}\n\n{USAGE}"))?;
            Ok(Command::Folders(command))
        }
        "version" | "--version" | "-V" => Ok(Command::Version),
        "help" | "--help" | "-h" => Ok(Command::Help),
        word if word.starts_with("-D") => Ok(Command::Serve(settings(words)?)),
        other => Err(format!("rookeeper: there is no command {other:?}\n\n{USAGE}")),
    }
}

fn settings(words: &[String]) -> Result<Settings, String> {
    let (definitions, words): (Vec<String>, Vec<String>) =
        words.iter().cloned().partition(|w| w.starts_with("-D"));
    if let Some(unknown) = words.iter().find(|w| w.starts_with('-')) {
        return Err(format!("rookeeper: there is no flag {unknown:?}\n\n{USAGE}"));
    }
    if words.len() > 4 {
        return Err(format!("rookeeper: too many words after {:?}\n\n{USAGE}", words[3]));
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
            Command::Help => {
                say!("{USAGE}");
                ExitCode::SUCCESS
            }
        }
    }
}
