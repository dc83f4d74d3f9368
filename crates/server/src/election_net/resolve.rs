//! Names to addresses, anew for every attempt, without making anybody wait.
//!
//! The system's resolver cannot be interrupted and may take half a minute. So each name gets a thread for the one
//! question, and the number of those is limited. Numeric addresses need none.

use super::mailbox::Shared;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Questions at one time. An ensemble has few names; only strangers or a hanging resolver get here.
const MAX_QUESTIONS: usize = 64;
/// More addresses of one name are not tried.
const MAX_ADDRESSES: usize = 8;
/// The resolver needs little more than the buffers on its stack.
const STACK_BYTES: usize = 256 << 10;

/// Who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    Listener(usize),
    Attempt { sid: i64, attempt: u64 },
}

pub(super) type Addresses = Result<Vec<SocketAddr>, String>;

pub(super) struct Answer {
    pub asker: Asker,
    pub addresses: Addresses,
}

pub(super) struct Resolver {
    shared: Arc<Shared>,
    running: Arc<AtomicUsize>,
}

impl Resolver {
    pub fn new(shared: Arc<Shared>) -> Resolver {
        Resolver { shared, running: Arc::default() }
    }

    /// The answer if it is known at once; otherwise it comes by way of the mailbox.
    pub fn resolve(&self, asker: Asker, host: &str, port: u16) -> Option<Addresses> {
        let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Some(Ok(vec![SocketAddr::new(ip, port)]));
        }
        if self.running.fetch_add(1, Ordering::Relaxed) >= MAX_QUESTIONS {
            self.running.fetch_sub(1, Ordering::Relaxed);
            return Some(Err(format!("{host}: the resolver does not answer earlier questions")));
        }
        let (shared, running, name) = (self.shared.clone(), self.running.clone(), bare.to_owned());
        let question = move || {
            let addresses = look_up(&name, port);
            running.fetch_sub(1, Ordering::Relaxed);
            shared.update(|mail| mail.answer(Answer { asker, addresses }));
        };
        let builder = std::thread::Builder::new().name("election-resolve".into()).stack_size(STACK_BYTES);
        match builder.spawn(question) {
            Ok(_detached) => None,
            Err(error) => {
                self.running.fetch_sub(1, Ordering::Relaxed);
                Some(Err(format!("{host}: cannot start a thread to resolve the name: {error}")))
            }
        }
    }
}

/// IPv4 first, as in Java.
fn look_up(name: &str, port: u16) -> Addresses {
    match (name, port).to_socket_addrs() {
        Ok(found) => {
            let mut addresses: Vec<SocketAddr> = found.collect();
            addresses.sort_by_key(SocketAddr::is_ipv6);
            addresses.dedup();
            addresses.truncate(MAX_ADDRESSES);
            if addresses.is_empty() { Err(format!("{name}: the name has no address")) } else { Ok(addresses) }
        }
        Err(error) => Err(format!("{name}: the name does not resolve ({error})")),
    }
}
