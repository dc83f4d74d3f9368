//! What the command line says to somebody who asks for help or names something that is not there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rookeeper"));
    command.args(words).env_remove("JVMFLAGS").env_remove("SERVER_JVMFLAGS").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn every_command_explains_itself() {
    let commands = [
        "server",
        "print-config",
        "config-reference",
        "verify",
        "dump",
        "compare",
        "compat",
        "snapshot",
        "version",
    ];
    for command in commands {
        let out = run(&[command, "--help"]);
        let told = text(&out.stdout);
        assert!(
            out.status.success() && told.starts_with(&format!("rookeeper {command}")),
            "{command}: {told}"
        );
        assert!(told.lines().all(|line| line.chars().count() <= 120), "{command}: {told}");
        assert_eq!(text(&run(&["help", command]).stdout), told);
        let usage = run(&["help"]).stdout;
        assert!(text(&usage).contains(&format!("rookeeper {command} ")) || command == "version", "{command}");
    }
    let wrong = run(&["help", "nope"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).starts_with("rookeeper: there is no command \"nope\""));
}

#[test]
fn wrong_words_get_the_help_of_their_command() {
    for (words, what) in [
        (
            vec!["verify", "a", "b"],
            "rookeeper verify: it takes 1 DIR\n\nrookeeper verify DIR [--log-dir DIR]\n",
        ),
        (vec!["server", "--port", "1"], "rookeeper server: there is no flag --port\n\nrookeeper server "),
    ] {
        let out = run(&words);
        assert_eq!(out.status.code(), Some(2));
        assert!(text(&out.stderr).starts_with(what), "{}", text(&out.stderr));
    }
}

fn failed(words: &[&str], part: &str) {
    let out = run(words);
    assert_eq!(out.status.code(), Some(2), "{words:?}");
    assert!(text(&out.stderr).contains(part), "{words:?}: {}", text(&out.stderr));
}

#[test]
fn what_is_missing_is_named() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("missing-{}", std::process::id()));
    let file = dir.join("file");
    fs::create_dir_all(dir.join("db/version-2")).unwrap();
    fs::write(&file, "").unwrap();
    let name = |path: &Path| path.display().to_string();
    let (nope, empty, file, inner) =
        (name(&dir.join("nope")), name(&dir), name(&file), name(&dir.join("db/version-2")));
    for command in [&["verify"][..], &["snapshot"], &["compat", "--target", "3.8.0"], &["compare", &nope]] {
        let with = |folder| [command, &[folder]].concat();
        failed(&with(&nope), &format!("there is no folder {nope}. Name a dataDir"));
        if command[0] != "compare" {
            failed(&with(&empty), &format!("{empty} holds no version-2, so no database"));
            failed(&with(&file), &format!("{file} is a file, not a folder"));
            failed(
                &with(&inner),
                "Name a dataDir: the folder that holds version-2, which is the one above it",
            );
        }
    }
    failed(&["dump", &nope], &format!("there is no file {nope}. Name a log (log.HEX) or a snapshot"));
    failed(&["dump", &empty], &format!("{empty} is a folder, not a file"));
    assert!(!dir.join("nope").exists());
    fs::remove_dir_all(&dir).unwrap();
}
