//! Elections as conversations: files in `tests/election/` in which lines at the margin say what happens, and indented
//! lines what the machines did. `tests/election/README.md` explains the language. With `UPDATE=1` in the environment
//! the indented lines are written anew.

#![allow(clippy::disallowed_methods, reason = "goldens are files")]

mod stage;
mod text;

use stage::Stage;
use std::path::Path;

/// Plays a conversation and returns it with what the machines did.
fn play(name: &str, script: &str) -> String {
    let mut stage = Stage::default();
    let mut played = String::new();
    for (number, line) in script.lines().enumerate() {
        if line.starts_with(' ') {
            continue;
        }
        played.push_str(line);
        played.push('\n');
        if !line.is_empty() && !line.starts_with('#') {
            let said =
                stage.play(line).unwrap_or_else(|wrong| panic!("{name}:{}: {line}: {wrong}", number + 1));
            for line in said {
                played.push_str(&format!("  {line}\n"));
            }
        }
    }
    played
}

fn check(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/election").join(format!("{name}.txt"));
    let script = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let played = play(name, &script);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, played).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    } else {
        assert_eq!(
            script,
            played,
            "{} is not what the machines do now. If that is right, run `UPDATE=1 cargo test -p zab`.\n\n{played}",
            path.display()
        );
    }
}

macro_rules! conversations {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            check(stringify!($name));
        })+

        #[test]
        fn every_file_is_played() {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/election");
            let mut files: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .filter_map(|entry| Some(entry.unwrap().file_name().to_str()?.strip_suffix(".txt")?.to_owned()))
                .collect();
            files.sort();
            let mut played = vec![$(stringify!($name)),+];
            played.sort();
            assert_eq!(files, played);
        }
    };
}

conversations! {
    cold_start,
    late_joiner,
    leader_dies,
    rounds,
    stale,
    old_peers,
    observer,
    groups,
    weight_zero,
    unverified,
    disloyal,
    two_views,
}
