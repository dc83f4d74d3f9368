//! `rookeeper server`: read the configuration, start, wait, end. Exit codes are Apache's (client-surface §12.2).

use crate::arguments::Settings;
use crate::logging::{self, complain, say};
use config::{ConfigFile, Loaded, Severity};
use server::{StartError, StopReason};
use std::io::ErrorKind;
use std::path::Path;
use std::process::ExitCode;

const BAD_CONFIG: u8 = 2;
const NO_DATA_DIR: u8 = 3;
const UNEXPECTED: u8 = 1;
const SNAPSHOT_FAILED: u8 = 10;
const ELECTION_PORT_FAILED: u8 = 14;

/// The contents of a file next to the configuration; `None` if it does not exist.
fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        // A data folder that is a file is told of when it is claimed, with the exit code for data folders.
        Err(e) if matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(e) => Err(e.to_string()),
    }
}

fn load(settings: &Settings) -> Result<Loaded, String> {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (server_flags, flags) = (variable("SERVER_JVMFLAGS"), variable("JVMFLAGS"));
    let contents;
    let file = match settings.words.as_slice() {
        [] => Some(ConfigFile {
            name: config::DEFAULT_CONFIG_NAME,
            contents: config::DEFAULT_CONFIG.as_bytes(),
        }),
        [path] => {
            contents = std::fs::read(path).map_err(|e| {
                format!("cannot read the configuration {path}: {e}\nUsage: rookeeper server ZOO_CFG")
            })?;
            Some(ConfigFile { name: path, contents: &contents })
        }
        _ => None,
    };
    let inputs = config::Inputs {
        file,
        positional: &settings.words,
        definitions: &settings.definitions,
        server_jvm_flags: &server_flags,
        jvm_flags: &flags,
        read_file: &read_optional,
    };
    config::load(&inputs).map_err(|refused| {
        let told: String = refused.findings.iter().map(|finding| format!("{finding}\n")).collect();
        format!("{told}Invalid config, exiting abnormally")
    })
}

pub(crate) fn print_config(settings: &Settings) -> ExitCode {
    match load(settings) {
        Ok(loaded) => {
            for finding in &loaded.findings {
                complain!("{finding}");
            }
            say!("{}", config::listing(&loaded.config).trim_end());
            ExitCode::SUCCESS
        }
        Err(message) => {
            complain!("{message}");
            ExitCode::from(BAD_CONFIG)
        }
    }
}

pub(crate) fn serve(settings: &Settings) -> ExitCode {
    let loaded = match load(settings) {
        Ok(loaded) => loaded,
        Err(message) => {
            complain!("{message}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    logging::start();
    for finding in &loaded.findings {
        match finding.severity {
            Severity::Error | Severity::Warning => tracing::warn!("{finding}"),
            Severity::Note => tracing::info!("{finding}"),
        }
    }
    let data_dir = loaded.config.storage.data_dir.display().to_string();
    let ensemble = &loaded.config.ensemble;
    let is_member = ensemble.is_distributed();
    let role = if is_member {
        let (id, members) = (ensemble.my_id.unwrap_or(0), ensemble.membership.members.len());
        format!("as server {id} of an ensemble of {members}")
    } else {
        "standalone".to_owned()
    };
    let running = match server::start(loaded.config) {
        Ok(running) => running,
        Err(error) => {
            complain!("rookeeper cannot start: {error}");
            return ExitCode::from(match error {
                StartError::Disk(_) => NO_DATA_DIR,
                StartError::Ensemble { .. } | StartError::NoClientPort { .. } => BAD_CONFIG,
                StartError::Recover { .. }
                | StartError::Listen { .. }
                | StartError::System { .. }
                | StartError::Epochs(_) => UNEXPECTED,
            });
        }
    };
    let port = running.address().port();
    say!(
        "Rookeeper {} serves on port {port}, {role}, with its data in {data_dir}.",
        env!("CARGO_PKG_VERSION")
    );
    if is_member {
        say!("Clients are served as soon as there is a leader.");
    }
    say!("Connect with any ZooKeeper client:  zkCli.sh -server localhost:{port}");
    say!("Ask how it is:                      echo srvr | nc localhost {port}");
    say!("Stop it with Ctrl-C; everything acknowledged is on disk.");
    if let Err(error) = server::stop_on_signals(running.stopper()) {
        tracing::warn!(%error, "signals cannot be caught: Ctrl-C ends the server at once, which is safe");
    }
    end(running.wait())
}

fn end(reason: StopReason) -> ExitCode {
    match reason {
        StopReason::Asked => {
            say!("Stopped.");
            ExitCode::SUCCESS
        }
        StopReason::LogFailed(error) => {
            complain!(
                "rookeeper stops: the transaction log cannot be written ({error}). Everything acknowledged so far is \
                 safe. Mend the disk or free some room, then start again"
            );
            ExitCode::from(UNEXPECTED)
        }
        StopReason::SnapshotFailed(error) => {
            complain!(
                "rookeeper stops: a snapshot cannot be written ({error}). Everything acknowledged is safe in the log. \
                 Mend the disk or free some room, then start again"
            );
            ExitCode::from(SNAPSHOT_FAILED)
        }
        StopReason::ElectionPortFailed(error) => {
            complain!("rookeeper stops: it cannot take part in elections ({error})");
            ExitCode::from(ELECTION_PORT_FAILED)
        }
        StopReason::IoFailed(error) => {
            complain!("rookeeper stops: the network cannot be polled ({error}). Start it again");
            ExitCode::from(UNEXPECTED)
        }
    }
}
