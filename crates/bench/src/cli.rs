//! The command line.

use crate::placement::Placement;
use crate::process::{Process, Processes};
use clap::{Args, Parser, Subcommand};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

/// Generates load on any server that speaks ZooKeeper's client protocol, and measures what it costs there.
#[derive(Debug, Parser)]
#[command(name = "bench", version)]
pub struct Cli {
    #[command(subcommand)]
    pub workload: Workload,
}

#[derive(Debug, Subcommand)]
pub enum Workload {
    /// getData over a set of znodes
    Reads(LoadArgs),
    /// setData over a set of znodes
    Writes(LoadArgs),
    /// getData and setData mixed
    Mixed {
        #[command(flatten)]
        load: LoadArgs,
        /// Share of reads in percent
        #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(0..=100))]
        percent_reads: u32,
    },
    /// Create many znodes, as fast as they are taken
    Creates(CreatesArgs),
    /// Change one znode that many watch
    Watch(WatchArgs),
    /// Open many sessions at once
    Storm(StormArgs),
    /// Writes around snapshots that the server writes
    Snapshot(SnapshotArgs),
    /// Steady writes over several servers, while something else kills their leader
    Gap(GapArgs),
    /// A server that frames requests and answers each with the same getData reply: the floor under any server
    Floor {
        /// Port on 127.0.0.1
        #[arg(long, default_value_t = 2190)]
        port: u16,
    },
}

/// Which server, and how to report.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// host:port of the server, or of several, with commas between: connections go to each in turn
    #[arg(
        long = "server",
        value_name = "SERVER",
        default_value = "127.0.0.1:2181",
        value_delimiter = ',',
        value_parser = address
    )]
    pub servers: Vec<SocketAddr>,
    /// Process id of the server, or of several, for their processor time and memory, summed up
    #[arg(long = "pid", value_name = "PID", value_delimiter = ',', value_parser = process)]
    pub pids: Vec<Process>,
    /// Report as JSON on standard output
    #[arg(long)]
    pub json: bool,
    /// Do not fail when the server refuses requests
    #[arg(long)]
    pub allow_errors: bool,
    /// Threads of the load generator
    #[arg(long, default_value_t = 1)]
    pub threads: usize,
}

impl Target {
    pub fn processes(&self) -> Processes {
        Processes(self.pids.clone())
    }

    /// Where the first connection goes.
    pub fn first(&self) -> SocketAddr {
        nth(&self.servers, 0)
    }
}

/// The server of a connection: each of them in turn.
pub fn nth(servers: &[SocketAddr], number: usize) -> SocketAddr {
    servers[number % servers.len()]
}

/// A steady load for a time.
#[derive(Debug, Clone, Args)]
pub struct LoadArgs {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 32)]
    pub depth: usize,
    /// Bytes of each value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Number of znodes the load goes round over
    #[arg(long, default_value_t = 100)]
    pub nodes: usize,
    /// Seconds before the first round that do not count
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub warm_up: Duration,
    /// Seconds of each round
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub seconds: Duration,
    /// Rounds; the median one counts
    #[arg(long, default_value_t = 3)]
    pub rounds: usize,
    /// Which processors server and load run on
    #[arg(long, value_enum, default_value_t = Placement::Free)]
    pub placement: Placement,
    /// Look for replies without sleeping: takes the load's own wake-up out of the latency, and a processor
    #[arg(long)]
    pub spin: bool,
}

#[derive(Debug, Clone, Args)]
pub struct CreatesArgs {
    #[command(flatten)]
    pub target: Target,
    /// How many znodes
    #[arg(long, default_value_t = 1_000_000)]
    pub count: u64,
    /// Bytes of each value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 32)]
    pub depth: usize,
    /// The znode below which they are created
    #[arg(long, default_value = "/bench/creates")]
    pub parent: String,
}

#[derive(Debug, Clone, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 3000)]
    pub watchers: usize,
    /// Changes that count
    #[arg(long, default_value_t = 30)]
    pub rounds: usize,
    /// Changes before them that do not
    #[arg(long, default_value_t = 30)]
    pub warm_up_rounds: usize,
    /// Bytes of the value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
}

#[derive(Debug, Clone, Args)]
pub struct StormArgs {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 10_000)]
    pub sessions: usize,
    /// Seconds after which an attempt without an answer is given up and repeated
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub attempt: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct SnapshotArgs {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 16)]
    pub connections: usize,
    /// Requests in flight on each connection
    #[arg(long, default_value_t = 1)]
    pub depth: usize,
    /// Bytes of each value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Seconds before the measurement
    #[arg(long, default_value = "5", value_parser = seconds)]
    pub warm_up: Duration,
    /// How many snapshots to see
    #[arg(long, default_value_t = 3)]
    pub snapshots: u32,
    /// Seconds after which the run ends with fewer
    #[arg(long, default_value = "180", value_parser = seconds)]
    pub limit: Duration,
}

#[derive(Debug, Clone, Args)]
pub struct GapArgs {
    #[command(flatten)]
    pub target: Target,
    #[arg(long, default_value_t = 6)]
    pub connections: usize,
    /// Bytes of each value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// Seconds between an acknowledgement and the connection's next write: leaves the processors to the servers
    #[arg(long, default_value = "0.001", value_parser = seconds)]
    pub pause: Duration,
    /// Seconds to watch, from when every connection writes
    #[arg(long, default_value = "10", value_parser = seconds)]
    pub seconds: Duration,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let mut addresses = text.to_socket_addrs().map_err(|error| format!("{error} (give host:port)"))?;
    addresses.next().ok_or_else(|| "the name has no address".to_owned())
}

fn process(text: &str) -> Result<Process, String> {
    text.parse().map(Process).map_err(|_| "a process id is a number".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| "give a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        assert!(seconds("-1").is_err() && address("nowhere").is_err());
    }

    #[test]
    fn servers_and_processes_are_lists() {
        let target = |words: &str| {
            let words = ["bench", "creates"].into_iter().chain(words.split_ascii_whitespace());
            match Cli::try_parse_from(words).map(|cli| cli.workload) {
                Ok(Workload::Creates(args)) => Ok(args.target),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(error.to_string()),
            }
        };
        let several = target("--server 127.0.0.1:1,127.0.0.2:2 --server 127.0.0.3:3 --pid 7,8").unwrap();
        let ports = |target: &Target, count| -> Vec<u16> {
            (0..count).map(|number| nth(&target.servers, number).port()).collect()
        };
        assert_eq!(ports(&several, 5), [1, 2, 3, 1, 2]);
        assert_eq!(several.processes().0.iter().map(|process| process.0).collect::<Vec<_>>(), [7, 8]);
        let one = target("").unwrap();
        assert_eq!((ports(&one, 2), one.pids.len()), (vec![2181, 2181], 0));
        assert!(target("--server 127.0.0.1:1,,127.0.0.1:2").is_err());
        assert!(target("--pid 7,x").unwrap_err().contains("a process id is a number"));
    }
}
