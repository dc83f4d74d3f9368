//! Reaching the leader: names are resolved anew, all addresses are tried, a few times (quorum-and-disk §2.2).

use super::QuorumInput;
use crate::shared::{NodeInput, Shared};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// As often as Apache tries, with its pause between.
const TRIES: u32 = 5;
/// Before that, a few times in quick succession: a follower may know who leads before the leader does.
const QUICK_TRIES: u32 = 10;
const QUICK_PAUSE: Duration = Duration::from_millis(5);

/// On a thread of its own; the answer goes to the node thread's inbox.
pub(super) fn start(shared: &Arc<Shared>, attempt: u64, addresses: Vec<(String, u16)>) {
    let shared = shared.clone();
    let answer_to = shared.clone();
    let run = move || {
        let result = connect(&shared, &addresses);
        shared.inbox.send(NodeInput::Quorum(QuorumInput::Connected(attempt, result)));
    };
    if let Err(error) = std::thread::Builder::new().name("connect".into()).spawn(run) {
        let failed = QuorumInput::Connected(attempt, Err(format!("cannot start a thread: {error}")));
        answer_to.inbox.send(NodeInput::Quorum(failed));
    }
}

fn connect(shared: &Shared, addresses: &[(String, u16)]) -> Result<TcpStream, String> {
    let ensemble = &shared.config.ensemble;
    let ticks = match ensemble.connect_to_learner_master_limit_ticks {
        0 => ensemble.init_limit_ticks,
        ticks => ticks,
    };
    let budget = Duration::from_millis(u64::from(shared.config.sessions.tick_time_ms) * u64::from(ticks));
    let pause = Duration::from_millis(ensemble.leader_connect_delay_ms);
    let until = Instant::now() + budget;
    let mut last = "it has no server.N line here".to_owned();
    for attempt in 0..QUICK_TRIES + TRIES {
        if attempt > 0 {
            std::thread::sleep(if attempt < QUICK_TRIES { QUICK_PAUSE.min(pause) } else { pause });
        }
        for (host, port) in addresses {
            let resolved = match (host.as_str(), *port).to_socket_addrs() {
                Ok(resolved) => resolved,
                Err(error) => {
                    last = format!("the name {host} cannot be resolved: {error}");
                    continue;
                }
            };
            for address in resolved {
                let left = until.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(last);
                }
                match TcpStream::connect_timeout(&address, left) {
                    Ok(stream) => match stream.set_nonblocking(true) {
                        Ok(()) => return Ok(stream),
                        Err(error) => last = error.to_string(),
                    },
                    Err(error) => last = format!("{host}:{port} ({address}): {error}"),
                }
            }
        }
    }
    Err(last)
}
