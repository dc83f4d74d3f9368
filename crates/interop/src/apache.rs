//! Apache ZooKeeper servers: fetched from Maven Central, run as `java … QuorumPeerMain zoo.cfg`.
use crate::fetch;
use crate::server::ServerSpec;
use anyhow::Result;
use std::path::PathBuf;
use std::process::Command;

/// The release that Rookeeper behaves as, and that every check is proved on.
pub const REFERENCE: &str = "3.9.5";

/// The newest release of each line that people upgrade from, oldest first. (3.8.7 is listed on Maven Central, but
/// its parent pom is not there.)
pub const VERSIONS: [&str; 6] = ["3.4.14", "3.5.10", "3.6.4", "3.7.2", "3.8.6", REFERENCE];

/// `(major, minor)` of a release; what a server can do depends on its line.
pub fn line(version: &str) -> (u32, u32) {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

/// Fetches one server with its dependencies and returns the folder of its jar files.
pub fn jars(version: &str) -> Result<PathBuf> {
    let pom = fetch::fixture("server-pom.xml");
    let recipe = format!("{version}\n{}", std::fs::read_to_string(&pom)?);
    fetch::once(&format!("apache-{version}"), &recipe, |dir| {
        let slf4j = if line(version) >= (3, 8) { "2.0.13" } else { "1.7.36" };
        fetch::maven_jars(&pom, &[("zookeeper.version", version), ("slf4j.version", slf4j)], dir)
    })
}

/// The class path of one server: its jar files, and quiet logging to stderr.
pub fn class_path(version: &str) -> Result<String> {
    let jars = jars(version)?;
    Ok(format!("{}:{}/*", fetch::fixture("").display(), jars.display()))
}

/// The flags of the Java machine for servers and clients alike: small, quick to start.
pub const JVM_FLAGS: [&str; 4] = ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

/// The command that runs this server in the foreground.
pub(crate) fn command(version: &str, spec: &ServerSpec) -> Result<Command> {
    fetch::require(&[fetch::JAVA])?;
    let mut java = Command::new(fetch::JAVA.program);
    if !spec.running.full_java {
        java.args(JVM_FLAGS);
    }
    // Of two flags for the heap the last counts.
    java.arg(format!("-Xmx{}m", spec.running.heap_mb));
    java.arg("-Dzookeeper.jmx.log4j.disable=true").arg("-cp").arg(class_path(version)?);
    java.args(spec.properties.iter().map(|(name, value)| format!("-D{name}={value}")));
    java.arg("org.apache.zookeeper.server.quorum.QuorumPeerMain").arg(spec.config_path());
    Ok(java)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_compare_as_numbers() {
        assert_eq!(line("3.4.14"), (3, 4));
        assert!(line("3.10.0") > line("3.9.5"));
    }
}
