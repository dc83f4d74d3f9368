//! Chooses and runs suites, one after the other, so that memory and processor use stay modest.
use crate::clients;
use crate::disk_full;
use crate::ensemble::{
    config_node, hostile, mixed, observer_master, partitions, read_only, takeover, unverified,
};
use crate::fetch;
use crate::folders;
use crate::kill9;
use crate::report::{self, Suite};
use crate::server::ServerKind;
use crate::servers;
use crate::trace;
use anyhow::{Result, bail};
use std::path::PathBuf;

/// What to run, on which server.
#[derive(Clone, Debug)]
pub struct Options {
    pub server: ServerKind,
    /// Only the suites whose name is this or starts with it.
    pub only: Option<String>,
    /// The long form: more rounds, all variants.
    pub long: bool,
    /// Start of every random choice; printed, so that a run can be repeated.
    pub seed: u64,
    /// Rounds of the kill test, or cases of the mixed matrix, if not the form's own number.
    pub rounds: Option<usize>,
}

type Runner = Box<dyn Fn(&Options) -> Result<Suite>>;

/// Every suite by its name, in the order in which they run.
fn suites() -> Vec<(String, Runner)> {
    let mut all: Vec<(String, Runner)> = vec![("servers".into(), Box::new(servers::check))];
    for client in clients::CLIENTS {
        all.push((format!("client-{}", client.name), Box::new(|options| clients::check(client, options))));
    }
    all.push(("client-zkcli".into(), Box::new(clients::check_shell)));
    all.push(("folders".into(), Box::new(folders::check)));
    all.push(("kill9".into(), Box::new(kill9::check)));
    all.push(("disk-full".into(), Box::new(disk_full::check)));
    all.push(("trace".into(), Box::new(trace::check)));
    all.push(("mixed".into(), Box::new(mixed::check)));
    all.push(("takeover".into(), Box::new(takeover::check)));
    all.push(("partitions".into(), Box::new(partitions::check)));
    all.push(("hostile-peers".into(), Box::new(hostile::check)));
    all.push(("read-only".into(), Box::new(read_only::check)));
    all.push(("observer-master".into(), Box::new(observer_master::check)));
    all.push(("config-node".into(), Box::new(config_node::check)));
    all.push(("initialize".into(), Box::new(unverified::check)));
    all
}

/// Runs the chosen suites and prints a line for each and a table; true if all passed.
pub fn run(options: &Options) -> Result<bool> {
    let only = options.only.as_deref().unwrap_or("");
    let exact = suites().iter().any(|(name, _)| name == only);
    let wanted = |name: &str| if exact { name == only } else { name.starts_with(only) };
    let chosen: Vec<_> = suites().into_iter().filter(|(name, _)| wanted(name)).collect();
    if chosen.is_empty() {
        let names: Vec<String> = suites().into_iter().map(|(name, _)| name).collect();
        bail!("no suite is called {only}; there are: {}", names.join(", "));
    }
    let _lock = fetch::lock()?;
    println!("seed {}, server {}", options.seed, options.server);
    let mut done = Vec::new();
    for (name, runner) in chosen {
        done.push(runner(options).unwrap_or_else(|error| {
            let mut suite = Suite::start(&name, &options.server.to_string());
            suite.add("set-up", Some(format!("{error:#}")));
            suite.finish()
        }));
    }
    print!("\n{}", report::table(&done));
    Ok(done.iter().all(Suite::passed))
}

/// An empty folder for one check. It is kept afterwards, for a look at what a server printed.
pub fn scratch(name: &str) -> Result<PathBuf> {
    let dir = fetch::interop_dir()?.join("scratch").join(name);
    fetch::remove_dir(&dir)?;
    std::fs::create_dir_all(&dir)?;
    Ok(dir)
}
