//! Makes each client program ready: fetches its libraries with its language's own tool, builds it.
//!
//! What a program depends on is written in its folder in its language's own form (requirements, pom, go.mod,
//! package.json, Cargo.toml). Fetched and built things go to `target/interop`.
use super::Client;
use crate::apache;
use crate::fetch::{self, Tool};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

pub const CLIENTS: &[Client] = &[
    Client { name: "kazoo", tools: &[fetch::PYTHON], prepare: kazoo },
    Client { name: "java", tools: JAVA_TOOLS, prepare: java },
    Client { name: "curator-5.9.0", tools: JAVA_TOOLS, prepare: curator_5_9 },
    Client { name: "curator-4.2.0", tools: JAVA_TOOLS, prepare: curator_4_2 },
    Client { name: "curator-4.2.0-zk3.4", tools: JAVA_TOOLS, prepare: curator_4_2_over_3_4 },
    Client { name: "go", tools: &[fetch::GO], prepare: go },
    Client { name: "node", tools: &[fetch::NODE, fetch::NPM], prepare: node },
    Client { name: "rust", tools: &[fetch::CARGO], prepare: rust },
    Client { name: "c", tools: &[fetch::CC], prepare: c },
];

const JAVA_TOOLS: &[Tool] = &[fetch::JAVA, fetch::JAVAC, fetch::MAVEN];

fn kazoo() -> Result<Command> {
    kazoo_program("kazoo", "checks.py")
}

/// A Python program with kazoo.
pub fn kazoo_program(source: &str, file: &str) -> Result<Command> {
    fetch::require(&[fetch::PYTHON])?;
    let requirements = fetch::client_source("kazoo").join("requirements.txt");
    let recipe = std::fs::read_to_string(&requirements)?;
    let interop = fetch::interop_dir()?;
    let venv = fetch::once("kazoo", &recipe, |dir| {
        fetch::run(Command::new(fetch::PYTHON.program).args(["-m", "venv"]).arg(dir))?;
        let mut pip = Command::new(dir.join("bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--cache-dir"]).arg(interop.join("pip-cache"));
        fetch::run(pip.arg("--requirement").arg(&requirements)).map(drop)
    })?;
    let mut command = Command::new(venv.join("bin/python"));
    command.arg(fetch::client_source(source).join(file)).env("PYTHONUNBUFFERED", "1");
    Ok(command)
}

fn java() -> Result<Command> {
    let jars = java_client_jars()?;
    java_program(&["java"], "Java", &jars, &[])
}

fn curator_5_9() -> Result<Command> {
    let jars = curator_jars("5.9.0", "3.9.5", "2.0.13")?;
    java_program(&["curator", "curator-35", "curator-5"], "Curator5", &jars, &[])
}

fn curator_4_2() -> Result<Command> {
    let jars = curator_jars("4.2.0", "3.5.10", "1.7.36")?;
    java_program(&["curator", "curator-35"], "Curator35", &jars, &[])
}

fn curator_4_2_over_3_4() -> Result<Command> {
    let jars = curator_jars("4.2.0", "3.4.14", "1.7.36")?;
    let hosts = hosts_for_3_4();
    java_program(&["curator"], "Curator", &jars, &["-Dzookeeper.sasl.client=false", &hosts])
}

/// Steady work through the Java client.
pub fn steady_java() -> Result<Command> {
    fetch::require(JAVA_TOOLS)?;
    java_program(&["steady-java", "steady-work"], "SteadyJava", &java_client_jars()?, &[])
}

/// The Java client in read-only mode.
pub fn read_only_java() -> Result<Command> {
    fetch::require(JAVA_TOOLS)?;
    java_program(&["read-only-java"], "ReadOnly", &java_client_jars()?, &[])
}

/// Steady work through Curator; the newest one uses operations that servers before 3.5 do not know.
pub fn steady_curator() -> Result<Command> {
    fetch::require(JAVA_TOOLS)?;
    let jars = curator_jars("5.9.0", "3.9.5", "2.0.13")?;
    java_program(&["steady-curator", "steady-work"], "SteadyCurator", &jars, &[])
}

/// Steady work through the Curator that goes with servers of 3.4.
pub fn steady_curator_over_3_4() -> Result<Command> {
    fetch::require(JAVA_TOOLS)?;
    let jars = curator_jars("4.2.0", "3.4.14", "1.7.36")?;
    let hosts = hosts_for_3_4();
    java_program(
        &["steady-curator", "steady-work"],
        "SteadyCurator",
        &jars,
        &["-Dzookeeper.sasl.client=false", &hosts],
    )
}

fn hosts_for_3_4() -> String {
    format!("-Djdk.net.hosts.file={}", fetch::fixture("hosts-for-3.4-clients").display())
}

fn curator_jars(curator: &str, zookeeper: &str, slf4j: &str) -> Result<PathBuf> {
    let versions = [("curator.version", curator), ("zookeeper.version", zookeeper), ("slf4j.version", slf4j)];
    java_jars("curator", &versions)
}

/// The jar files of the Java client and shell.
pub fn java_client_jars() -> Result<PathBuf> {
    java_jars("java", &[])
}

/// The jar files that `clients/SOURCE/pom.xml` asks for.
fn java_jars(source: &str, properties: &[(&str, &str)]) -> Result<PathBuf> {
    let pom = fetch::client_source(source).join("pom.xml");
    let values: Vec<&str> = properties.iter().map(|(_, value)| *value).collect();
    let recipe = format!("{}{values:?}", std::fs::read_to_string(&pom)?);
    let name = std::iter::once(source).chain(values).collect::<Vec<_>>().join("-");
    fetch::once(&format!("jars-{name}"), &recipe, |dir| fetch::maven_jars(&pom, properties, dir))
}

/// Compiles the harness and the Java files of `clients/SOURCE…` against the jar files, to be run as class `main`.
fn java_program(sources: &[&str], main: &str, jars: &Path, flags: &[&str]) -> Result<Command> {
    let mut files = java_files(&fetch::client_source("java-harness"))?;
    for source in sources {
        files.extend(java_files(&fetch::client_source(source))?);
    }
    let class_path = format!("{}/*", jars.display());
    let mut recipe = class_path.clone();
    for file in &files {
        recipe += &std::fs::read_to_string(file)?;
    }
    let jars_name = jars.file_name().context("a named folder")?.to_string_lossy();
    let classes = fetch::once(&format!("classes-{main}-{jars_name}"), &recipe, |dir| {
        let mut javac = Command::new(fetch::JAVAC.program);
        javac.args(["-nowarn", "-proc:none", "-cp", &class_path, "-d"]).arg(dir).args(&files);
        fetch::run(&mut javac).map(drop)
    })?;
    let mut java = Command::new(fetch::JAVA.program);
    let all = format!("{}:{class_path}:{}", fetch::fixture("").display(), classes.display());
    java.args(apache::JVM_FLAGS).args(flags).args(["-cp", &all, main]);
    Ok(java)
}

fn java_files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "java") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn go() -> Result<Command> {
    let place = fetch::interop_dir()?.join("go");
    let program = place.join("checks");
    let mut go = Command::new(fetch::GO.program);
    go.args(["build", "-modcacherw", "-o"]).arg(&program).arg(".").current_dir(fetch::client_source("go"));
    go.env("GOMODCACHE", place.join("modules"))
        .env("GOCACHE", place.join("cache"))
        .env("GOTOOLCHAIN", "local");
    fetch::run(&mut go)?;
    Ok(Command::new(program))
}

fn node() -> Result<Command> {
    let source = fetch::client_source("node");
    let manifest = source.join("package.json");
    let recipe = std::fs::read_to_string(&manifest)?;
    let cache = fetch::interop_dir()?.join("npm-cache");
    let place = fetch::once("node", &recipe, |dir| {
        std::fs::copy(&manifest, dir.join("package.json"))?;
        let mut npm = Command::new(fetch::NPM.program);
        npm.args(["install", "--silent", "--no-audit", "--no-fund", "--cache"]).arg(&cache).current_dir(dir);
        fetch::run(&mut npm).map(drop)
    })?;
    let mut command = Command::new(fetch::NODE.program);
    command.arg(source.join("checks.js")).env("NODE_PATH", place.join("node_modules"));
    Ok(command)
}

fn rust() -> Result<Command> {
    let target = fetch::interop_dir()?.join("rust");
    let mut cargo = Command::new(fetch::CARGO.program);
    cargo.args(["build", "--quiet", "--locked", "--manifest-path"]);
    cargo.arg(fetch::client_source("rust").join("Cargo.toml")).env("CARGO_TARGET_DIR", &target);
    fetch::run(&mut cargo)?;
    Ok(Command::new(target.join("debug").join("rookeeper-interop-rust")))
}

/// The C client comes from the system if its header is installed, else out of Debian's packages.
fn c() -> Result<Command> {
    let installed = Path::new("/usr/include/zookeeper/zookeeper.h").is_file();
    let root = if installed { PathBuf::from("/") } else { debian_c_client()? };
    let program = fetch::interop_dir()?.join("c-checks");
    let mut cc = Command::new(fetch::CC.program);
    cc.args(["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DTHREADED", "-pthread", "-o"]).arg(&program);
    cc.arg(fetch::client_source("c").join("checks.c")).arg("-I").arg(root.join("usr/include"));
    for library in library_dirs(&root.join("usr/lib"))? {
        cc.arg("-L").arg(&library).arg(format!("-Wl,-rpath,{}", library.display()));
    }
    fetch::run(cc.arg("-lzookeeper_mt"))?;
    Ok(Command::new(program))
}

/// `usr/lib/ARCHITECTURE` for whatever architecture the packages are for.
fn library_dirs(lib: &Path) -> Result<Vec<PathBuf>> {
    let mut dirs = Vec::new();
    for entry in std::fs::read_dir(lib).with_context(|| format!("cannot list {}", lib.display()))? {
        let dir = entry?.path();
        if dir.join("libzookeeper_mt.so").exists() {
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

fn debian_c_client() -> Result<PathBuf> {
    fetch::debian("debian", &["libzookeeper-mt2", "libzookeeper-mt-dev", "libssl3"])
}
