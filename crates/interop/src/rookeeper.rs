//! Our own server as a process: `rookeeper server zoo.cfg`.
use crate::fetch;
use crate::server::ServerSpec;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// The environment variable that names a ready-made binary instead of building one.
pub const BINARY_VARIABLE: &str = "ROOKEEPER_BIN";

/// The path of the binary, built on first use.
pub fn binary() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    let path = locate()?;
    Ok(BUILT.get_or_init(|| path).clone())
}

fn locate() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os(BINARY_VARIABLE).map(PathBuf::from) {
        if path.is_file() {
            return Ok(path);
        }
        bail!("{BINARY_VARIABLE} names {}, which is not a file", path.display());
    }
    let mut cargo = Command::new(fetch::CARGO.program);
    cargo
        .args(["build", "--quiet", "--release", "--package", "rookeeper"])
        .current_dir(fetch::workspace_root());
    fetch::run(&mut cargo).context("cannot build the rookeeper binary")?;
    let interop = fetch::interop_dir()?;
    let target = interop.parent().context("target/interop has no parent")?;
    Ok(target.join("release").join("rookeeper"))
}

/// The command that runs our server in the foreground.
pub(crate) fn command(spec: &ServerSpec) -> Result<Command> {
    let mut command = Command::new(binary()?);
    command.arg("server");
    command.args(spec.properties.iter().map(|(name, value)| format!("-D{name}={value}")));
    command.arg(spec.config_path());
    Ok(command)
}
