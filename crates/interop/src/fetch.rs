//! Where fetched things live, and how the registries' own clients are run.
//!
//! A fetched thing is a folder under `target/interop`. It is built under a temporary name and renamed when it
//! is complete, so a folder that exists is whole and an interrupted run starts over. Each tool's cache is
//! moved in there as well: deleting `target/interop` undoes everything.
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The root of the source tree: where the workspace manifest lies.
pub fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("the crate lies two folders below the root").to_path_buf()
}

/// `target/interop`, created if missing.
pub fn interop_dir() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let dir = workspace_root().join(target).join("interop");
    std::fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    Ok(dir)
}

/// Held for the length of a run, so that two runs do not use the same folders and ports.
pub fn lock() -> Result<std::fs::File> {
    let path = interop_dir()?.join("lock");
    let file = std::fs::File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .with_context(|| format!("another run holds {}: wait for its end, or stop it", path.display()))?;
    Ok(file)
}

/// A file of this crate's `fixtures` folder.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// The folder that holds the sources of one client suite.
pub fn client_source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients").join(name)
}

/// A program that checks need, and what to install when it is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tool {
    pub program: &'static str,
    pub install: &'static str,
}

pub const JAVA: Tool = Tool { program: "java", install: "OpenJDK 17 (Debian: openjdk-17-jdk-headless)" };
pub const JAVAC: Tool = Tool { program: "javac", install: "OpenJDK 17 (Debian: openjdk-17-jdk-headless)" };
pub const MAVEN: Tool = Tool { program: "mvn", install: "Apache Maven 3 (Debian: maven)" };
pub const PYTHON: Tool = Tool { program: "python3", install: "Python 3 with venv (Debian: python3-venv)" };
pub const NODE: Tool = Tool { program: "node", install: "Node.js 18 or newer (Debian: nodejs)" };
pub const NPM: Tool = Tool { program: "npm", install: "npm (Debian: npm)" };
pub const GO: Tool = Tool { program: "go", install: "Go 1.21 or newer (Debian: golang)" };
pub const CC: Tool = Tool { program: "cc", install: "a C compiler (Debian: gcc)" };
pub const CARGO: Tool = Tool { program: "cargo", install: "a Rust toolchain (rustup.rs)" };
pub const APT_GET: Tool = Tool { program: "apt-get", install: "apt-get (a Debian or Ubuntu system)" };
pub const DPKG: Tool = Tool { program: "dpkg", install: "dpkg (a Debian or Ubuntu system)" };

/// Those of `tools` that are not on the PATH, as one sentence each.
pub fn missing(tools: &[Tool]) -> Vec<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = |program: &str| std::env::split_paths(&path).any(|dir| dir.join(program).is_file());
    let absent = tools.iter().filter(|tool| !found(tool.program));
    absent.map(|tool| format!("`{}` is not on the PATH: install {}", tool.program, tool.install)).collect()
}

/// Refuses, naming every missing tool at once.
pub fn require(tools: &[Tool]) -> Result<()> {
    let absent = missing(tools);
    if absent.is_empty() {
        return Ok(());
    }
    bail!("{}", absent.join("\n"))
}

/// Runs a command to its end; on failure the error holds the command and the end of what it printed.
pub fn run(command: &mut Command) -> Result<String> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    let all = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
    bail!("{shown}\nended with {}:\n{}", output.status, last_lines(&all, 30))
}

/// The last `count` lines of a text.
pub fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Makes the folder `target/interop/NAME` once: `fill` gets the temporary folder to put things into.
///
/// `recipe` is everything the result depends on (versions, manifests). It is kept beside the folder, and the
/// folder is made anew when it no longer matches.
pub fn once(name: &str, recipe: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let dir = interop_dir()?.join(name);
    let mark = dir.join(".recipe");
    if std::fs::read_to_string(&mark).is_ok_and(|made| made == recipe) {
        return Ok(dir);
    }
    let parent = dir.parent().expect("a folder below target/interop");
    let file_name = dir.file_name().expect("a named folder").to_string_lossy().into_owned();
    let temporary = parent.join(format!(".{file_name}.{}.new", std::process::id()));
    for old in [&temporary, &dir] {
        remove_dir(old)?;
    }
    std::fs::create_dir_all(&temporary)?;
    fill(&temporary).with_context(|| format!("cannot prepare {}", dir.display()))?;
    std::fs::write(temporary.join(".recipe"), recipe)?;
    std::fs::rename(&temporary, &dir)?;
    Ok(dir)
}

/// Removes a folder and all below it; a missing one is fine.
pub fn remove_dir(dir: &Path) -> Result<()> {
    match std::fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

/// Unpacks Debian packages into `target/interop/NAME`.
pub fn debian(name: &str, packages: &[&str]) -> Result<PathBuf> {
    require(&[APT_GET, DPKG])?;
    once(name, &packages.join(" "), |dir| {
        let download = || run(Command::new("apt-get").arg("download").args(packages).current_dir(dir));
        if download().is_err() {
            // The list of packages may be missing or too old to name files that still exist.
            run(Command::new("apt-get").args(["--quiet", "update"]))?;
            download()?;
        }
        for entry in std::fs::read_dir(dir)? {
            let package = entry?.path();
            if package.extension().is_some_and(|extension| extension == "deb") {
                run(Command::new("dpkg").arg("-x").arg(&package).arg(dir))?;
            }
        }
        Ok(())
    })
}

/// Copies the jar files that a pom asks for into `jars`, with the given properties set.
pub fn maven_jars(pom: &Path, properties: &[(&str, &str)], jars: &Path) -> Result<()> {
    require(&[JAVA, MAVEN])?;
    let mut maven = Command::new(MAVEN.program);
    maven.args(["--quiet", "--batch-mode"]).arg("--file").arg(pom);
    maven.arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies");
    maven.arg(format!("-Dmaven.repo.local={}", interop_dir()?.join("maven-repository").display()));
    maven.arg(format!("-DoutputDirectory={}", jars.display()));
    for (name, value) in properties {
        maven.arg(format!("-D{name}={value}"));
    }
    run(&mut maven).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_tool_is_named_with_its_remedy() {
        let absent = Tool { program: "no-such-program-here", install: "nothing" };
        assert_eq!(missing(&[CARGO]), Vec::<String>::new());
        let said = require(&[CARGO, absent]).unwrap_err().to_string();
        assert_eq!(said, "`no-such-program-here` is not on the PATH: install nothing");
    }

    #[test]
    fn a_folder_is_made_once_per_recipe() {
        let name = format!("test-once-{}", std::process::id());
        let make = |recipe: &str, text: &str| {
            once(&name, recipe, |dir| Ok(std::fs::write(dir.join("it"), text)?)).unwrap()
        };
        let dir = make("a", "first");
        make("a", "second");
        assert_eq!(std::fs::read_to_string(dir.join("it")).unwrap(), "first");
        make("b", "third");
        assert_eq!(std::fs::read_to_string(dir.join("it")).unwrap(), "third");
        remove_dir(&dir).unwrap();
    }

    #[test]
    fn a_failing_command_shows_its_end() {
        let said = run(Command::new("sh").args(["-c", "echo broken >&2; exit 3"])).unwrap_err().to_string();
        assert!(said.contains("broken") && said.contains('3'), "{said}");
    }
}
