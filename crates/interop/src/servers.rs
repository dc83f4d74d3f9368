//! The ground the other checks stand on: every server starts, serves, stops, survives a kill, and comes back.
use crate::report::Suite;
use crate::run::{Options, scratch};
use crate::server::{ServerKind, ServerSpec, free_port};
use crate::{apache, four_letter};
use anyhow::{Context, Result, bail};

/// Runs the life of each server: every Apache release, or ours.
pub fn check(options: &Options) -> Result<Suite> {
    let kinds = match &options.server {
        ServerKind::Rookeeper => vec![ServerKind::Rookeeper],
        ServerKind::Apache(_) => {
            apache::VERSIONS.map(|version| ServerKind::Apache(version.to_owned())).to_vec()
        }
    };
    let mut suite = Suite::start("servers", &options.server.to_string());
    for kind in kinds {
        let name = format!("{kind} starts, stops, is killed, restarts");
        suite.add_result(&name, life(&kind));
    }
    Ok(suite.finish())
}

fn life(kind: &ServerKind) -> Result<()> {
    let spec = ServerSpec::new(kind.clone(), scratch(&format!("servers-{kind}"))?, free_port()?);
    let mut server = spec.start()?;
    let version = version_of(server.port())?;
    if version != kind.behaves_as() {
        bail!("it reports version {version}");
    }
    server.stop().context("stop")?;
    server.start_again().context("start after a stop")?;
    server.kill9().context("kill -9")?;
    server.start_again().context("start after kill -9")?;
    server.restart().context("restart")?;
    server.stop()
}

/// `3.9.5` out of `Zookeeper version: 3.9.5-<commit>, built on …`.
fn version_of(port: u16) -> Result<String> {
    let answer = four_letter::ask(port, "srvr")?;
    let version = answer.lines().find_map(|line| line.strip_prefix("Zookeeper version: "));
    let version = version.with_context(|| format!("no version in {answer:?}"))?;
    Ok(version.split(['-', ',', ' ']).next().unwrap_or_default().to_owned())
}
