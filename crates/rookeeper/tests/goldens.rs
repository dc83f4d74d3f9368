//! The server as it is shipped answers the recorded conversations as Apache ZooKeeper did, byte for byte where bytes
//! may be compared.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use differential::golden;
use differential::profile::NO_REAPING;
use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;
use support::{Folder, Server};

/// Conversations wait most of their time, so several go on at once.
const AT_ONCE: usize = 4;

fn files() -> Vec<PathBuf> {
    let entries = fs::read_dir(golden::folder()).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|e| e == "txt")).collect();
    files.sort();
    files
}

/// Does one conversation to a server without history; the first difference, if there is one.
fn replay(path: &PathBuf) -> Option<String> {
    let text = fs::read_to_string(path).unwrap();
    let (plan, _) = golden::read(&text).unwrap();
    let name = path.file_stem().unwrap().to_string_lossy().into_owned();
    let folder = Folder::new(&format!("golden-{name}"));
    let data = folder.path().join("data");
    let server = Server::start(folder.path(), NO_REAPING, |port| plan.profile.zoo_cfg(&data, port));
    let result = golden::replay(&text, server.address).unwrap_or_else(|e| Some(format!("{e:#}")));
    server.stop();
    result.map(|report| format!("{name}: {report}"))
}

#[test]
fn every_recorded_conversation_goes_the_same_way() {
    let all = files();
    assert!(all.len() > 20, "only {} conversations in {}", all.len(), golden::folder().display());
    let (rest, differences) = (Mutex::new(all.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some(path) = rest.lock().unwrap().next() else { return };
                    let difference = replay(path);
                    differences.lock().unwrap().extend(difference);
                }
            });
        }
    });
    let differences = differences.into_inner().unwrap();
    assert!(
        differences.is_empty(),
        "{} of {} differ:\n{}",
        differences.len(),
        all.len(),
        differences.join("\n")
    );
}
