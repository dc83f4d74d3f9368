//! The order "event before newer data" between the node thread and the I/O threads, over many interleavings.
//!
//! The server's own file is compiled here over locks whose scheduling the test controls. The tree is a number, its
//! change an increment, and the event of a change the number it leads to. A client that reads n has n's event.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../src/event_first.rs"]
mod event_first;

/// The server's `sync.rs`, over locks that yield to the scheduler.
mod sync {
    use shuttle::sync;
    pub use shuttle::sync::RwLockReadGuard;
    pub use shuttle::sync::atomic::{AtomicBool, Ordering};

    #[derive(Default)]
    pub struct Mutex<T>(sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn lock(&self) -> sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    #[derive(Default)]
    pub struct RwLock<T>(sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub fn write(&self) -> sync::RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}

use event_first::{Publish, Tray};
use shuttle::sync::Arc;
use shuttle::sync::mpsc::{self, Receiver, Sender};
use shuttle::thread;
use sync::{RwLock, RwLockReadGuard};

const SCHEDULES: usize = 3000;
const CHANGES: u64 = 4;
const IO_THREADS: usize = 2;
/// Accepted connections, which go into the trays without any lock on the tree.
const ACCEPTED: [u64; 2] = [1001, 1002];

type Events = Vec<u64>;

struct Server {
    tree: RwLock<u64>,
    trays: Vec<Tray<Events>>,
}

/// Collects privately and publishes at once, as the node's outboxes do.
struct Outboxes {
    server: Arc<Server>,
    pending: Events,
    wakers: Vec<Sender<()>>,
}

/// Who has everything already does not listen any more.
fn wake(waker: &Sender<()>) {
    let _gone = waker.send(());
}

impl Publish for Outboxes {
    fn publish(&mut self) {
        for (tray, waker) in self.server.trays.iter().zip(&self.wakers) {
            if tray.put(|events| events.extend(&self.pending)) {
                wake(waker);
            }
        }
        self.pending.clear();
    }
}

type Look = for<'a> fn(&'a RwLock<u64>, &Tray<Events>, &mut Events) -> (RwLockReadGuard<'a, u64>, bool);
type Change = fn(&RwLock<u64>, &mut Outboxes);

fn step(tree: &mut u64, out: &mut Outboxes) {
    *tree += 1;
    out.pending.push(*tree);
}

fn change(tree: &RwLock<u64>, out: &mut Outboxes) {
    event_first::change(tree, out, step);
}

/// What the server must not do: it publishes when others may see the change already.
fn publish_too_late(tree: &RwLock<u64>, out: &mut Outboxes) {
    step(&mut tree.write(), out);
    out.publish();
}

/// What the server must not do: between the two somebody may change the tree.
fn take_too_early<'a>(
    tree: &'a RwLock<u64>,
    tray: &Tray<Events>,
    with: &mut Events,
) -> (RwLockReadGuard<'a, u64>, bool) {
    let taken = tray.take(with);
    (tree.read(), taken)
}

/// Answers reads until everything has come. It looks once more without being woken each time, as a thread does whose
/// clients send requests.
fn answer(server: &Server, index: usize, woken: &Receiver<()>, look: Look) {
    let (mut mail, mut seen) = (Events::new(), Vec::new());
    let all = CHANGES as usize + ACCEPTED.len();
    while seen.len() < all {
        // A wake-up that were lost would be a deadlock, which the scheduler reports.
        woken.recv().unwrap();
        for _ in 0..2 {
            let (tree, taken) = look(&server.tree, &server.trays[index], &mut mail);
            assert_eq!(taken, !mail.is_empty());
            seen.append(&mut mail);
            let newest = seen.iter().filter(|event| !ACCEPTED.contains(event)).max().copied().unwrap_or(0);
            assert!(newest >= *tree, "data of {} was seen before its event", *tree);
        }
    }
    let (accepted, events): (Vec<u64>, Vec<u64>) = seen.iter().partition(|event| ACCEPTED.contains(event));
    assert_eq!((accepted, events), (ACCEPTED.to_vec(), (1..=CHANGES).collect()), "each once, in order");
}

fn accept(server: &Server, wakers: &[Sender<()>]) {
    for connection in ACCEPTED {
        for (tray, waker) in server.trays.iter().zip(wakers) {
            if tray.put(|mail| mail.push(connection)) {
                wake(waker);
            }
        }
    }
}

fn race(change: Change, look: Look) {
    let trays = (0..IO_THREADS).map(|_| Tray::default()).collect();
    let server = Arc::new(Server { tree: RwLock::default(), trays });
    let (wakers, woken): (Vec<_>, Vec<_>) = (0..IO_THREADS).map(|_| mpsc::channel()).unzip();
    let mut threads: Vec<_> = woken
        .into_iter()
        .enumerate()
        .map(|(index, woken)| {
            let server = server.clone();
            thread::spawn(move || answer(&server, index, &woken, look))
        })
        .collect();
    let acceptor = (server.clone(), wakers.clone());
    threads.push(thread::spawn(move || accept(&acceptor.0, &acceptor.1)));
    let mut out = Outboxes { server: server.clone(), pending: Events::new(), wakers };
    for _ in 0..CHANGES {
        change(&server.tree, &mut out);
    }
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn events_come_before_newer_data() {
    shuttle::check_random(|| race(change, event_first::look), SCHEDULES);
    shuttle::check_pct(|| race(change, event_first::look), SCHEDULES, 3);
}

#[test]
#[should_panic(expected = "was seen before its event")]
fn mail_taken_before_the_lock_is_too_early() {
    shuttle::check_random(|| race(change, take_too_early), SCHEDULES);
}

#[test]
#[should_panic(expected = "was seen before its event")]
fn mail_published_after_the_lock_is_too_late() {
    shuttle::check_random(|| race(publish_too_late, event_first::look), SCHEDULES);
}
