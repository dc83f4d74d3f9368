//! Rules about the crates: the core keeps its fence and lists no runtime, and dependencies stay few.
use super::{Violation, output};
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Crates that do no I/O, know no clock and draw no randomness.
const CORE: [&str; 8] = ["wire", "tree", "zab", "journal", "node", "config", "admin", "tools"];
/// The lowest three tiers, whose third-party dependencies are counted.
const COUNTED: [&str; 5] = ["wire", "tree", "zab", "journal", "node"];
const MAX_THIRD_PARTY: usize = 10;
/// Crates of one project with one set of maintainers count as one; `docs/decisions/0006-dependencies.md` says why.
const FAMILIES: [(&str, &[&str]); 1] = [("RustCrypto hashes", &["md-5", "sha1", "sha2", "sha3"])];
const MAX_PACKAGES: usize = 200;
const FENCE: &str = "../../lints/core.toml";
/// What brings threads, sockets, clocks or randomness along.
const RUNTIMES: [&str; 18] = [
    "tokio",
    "async-std",
    "smol",
    "futures",
    "mio",
    "rayon",
    "crossbeam",
    "crossbeam-channel",
    "threadpool",
    "socket2",
    "hyper",
    "axum",
    "rustls",
    "tracing-subscriber",
    "rand",
    "getrandom",
    "fastrand",
    "chrono",
];

/// Third-party crates that each of our crates depends on, tests and build scripts apart.
type Dependencies = BTreeMap<String, BTreeSet<String>>;

pub fn check(root: &Path) -> Result<Vec<Violation>> {
    let metadata = output(
        Command::new("cargo").args(["metadata", "--format-version=1", "--no-deps"]).current_dir(root),
    )?;
    let dependencies = third_party(&serde_json::from_str(&metadata).context("cargo metadata")?);
    let mut found = fences(root, &dependencies);
    found.extend(runtimes(&dependencies));
    found.extend(counts(&dependencies));
    if dependencies.contains_key("rookeeper") {
        let mut tree = Command::new("cargo");
        tree.args(["tree", "--package=rookeeper", "--edges=normal", "--prefix=none", "--format={p}"]);
        found.extend(packages(&output(tree.current_dir(root))?));
    }
    Ok(found)
}

fn manifest(name: &str) -> String {
    format!("crates/{name}/Cargo.toml")
}

fn third_party(metadata: &Value) -> Dependencies {
    let empty = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&empty);
    let normal = |one: &&Value| one["kind"].is_null() && one["path"].is_null();
    let of = |package: &Value| {
        let listed = package["dependencies"].as_array().unwrap_or(&empty).iter().filter(normal);
        listed.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect()
    };
    packages.iter().filter_map(|package| Some((package["name"].as_str()?.to_owned(), of(package)))).collect()
}

/// Every core crate has a `clippy.toml` that is a link to the common fence.
fn fences(root: &Path, dependencies: &Dependencies) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in CORE.iter().filter(|name| dependencies.contains_key(**name)) {
        let link = root.join(format!("crates/{name}/clippy.toml"));
        if std::fs::read_link(&link).ok().as_deref() != Some(Path::new(FENCE)) {
            let message = format!("a core crate's clippy.toml is a link to {FENCE}");
            found.push(Violation::new(&format!("crates/{name}/clippy.toml"), 0, message));
        }
    }
    found
}

fn runtimes(dependencies: &Dependencies) -> Vec<Violation> {
    let mut found = Vec::new();
    for name in CORE {
        for dependency in dependencies.get(name).into_iter().flatten() {
            if RUNTIMES.contains(&dependency.as_str()) {
                found.push(Violation::new(
                    &manifest(name),
                    0,
                    format!("a core crate does not use {dependency}"),
                ));
            }
        }
    }
    found
}

fn counts(dependencies: &Dependencies) -> Vec<Violation> {
    let all = COUNTED.iter().filter_map(|name| dependencies.get(*name)).flatten();
    let names: BTreeSet<&str> = all.map(|name| family(name)).collect();
    if names.len() <= MAX_THIRD_PARTY {
        return Vec::new();
    }
    let names: Vec<&str> = names.into_iter().collect();
    let message = format!(
        "{} use {} third-party crates, at most {MAX_THIRD_PARTY} are allowed: {}",
        COUNTED.join(", "),
        names.len(),
        names.join(", ")
    );
    vec![Violation::new("Cargo.toml", 0, message)]
}

fn family(name: &str) -> &str {
    FAMILIES.iter().find(|(_, members)| members.contains(&name)).map_or(name, |(family, _)| family)
}

/// `tree` has a package a line; `(*)` marks one that was shown before.
fn packages(tree: &str) -> Vec<Violation> {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    let all: BTreeSet<&str> = lines.filter(|line| !line.is_empty()).collect();
    if all.len() <= MAX_PACKAGES {
        return Vec::new();
    }
    let message = format!("the binary is made of {} packages, at most {MAX_PACKAGES} are allowed", all.len());
    vec![Violation::new(&manifest("rookeeper"), 0, message)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn depends(name: &str, on: &[&str]) -> Dependencies {
        Dependencies::from([(name.to_owned(), on.iter().map(|one| (*one).to_owned()).collect())])
    }

    #[test]
    fn metadata_gives_normal_third_party_dependencies() {
        let metadata = serde_json::json!({"packages": [{"name": "tree", "dependencies": [
            {"name": "wire", "kind": null, "path": "/x"},
            {"name": "sha1", "kind": null},
            {"name": "proptest", "kind": "dev"},
        ]}]});
        assert_eq!(third_party(&metadata), depends("tree", &["sha1"]));
    }

    #[test]
    fn a_runtime_in_the_core_is_found() {
        assert_eq!(runtimes(&depends("node", &["tokio", "sha1"])).len(), 1);
        assert_eq!(runtimes(&depends("server", &["tokio"])), []);
    }

    #[test]
    fn too_many_dependencies_are_found() {
        let names: Vec<String> = (0..11).map(|number| format!("crate{number}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        assert_eq!(counts(&depends("tree", &names[..10])), []);
        assert_eq!(counts(&depends("tree", &names)).len(), 1);
        assert_eq!(counts(&depends("server", &names)), []);
        let with_family = [&names[..9], &["sha1", "sha2", "md-5"]].concat();
        assert_eq!(counts(&depends("tree", &with_family)), []);
    }

    #[test]
    fn too_many_packages_are_found() {
        let lines = |count: usize| (0..count).map(|number| format!("p{number} v1.0.0\n")).collect::<String>();
        assert_eq!(packages(&lines(200)), []);
        assert_eq!(packages(&lines(201)).len(), 1);
        assert_eq!(packages(&format!("{}p0 v1.0.0 (*)\n", lines(200))), []);
    }

    #[test]
    fn a_missing_fence_is_found() {
        let root = std::env::temp_dir().join(format!("tidy-fences-{}", std::process::id()));
        let place = root.join("crates/tree");
        std::fs::create_dir_all(&place).unwrap();
        let known = depends("tree", &[]);
        assert_eq!(fences(&root, &known).len(), 1);
        std::fs::write(place.join("clippy.toml"), "# a copy is not a link").unwrap();
        assert_eq!(fences(&root, &known).len(), 1);
        std::fs::remove_file(place.join("clippy.toml")).unwrap();
        std::os::unix::fs::symlink(FENCE, place.join("clippy.toml")).unwrap();
        assert_eq!(fences(&root, &known), []);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
