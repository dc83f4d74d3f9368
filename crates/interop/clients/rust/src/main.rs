//! Checks of a ZooKeeper server through the crate `zookeeper-client`.
//!
//! usage: checks HOST:PORT
//! Prints `ok NAME` or `FAIL NAME reason` per check; `@restart` asks for a restart of the server, which has
//! happened when a line arrives on stdin.
use futures::FutureExt;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use zookeeper_client::{
    Acl, Acls, AddWatchMode, AuthId, AuthUser, Client, CreateMode, CreateOptions, Error, EventType,
    LockPrefix, MultiReadResult, MultiWriteError, MultiWriteResult, Permission, SessionState, WatchedEvent,
};

type Trouble = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T = ()> = Result<T, Trouble>;

const PATIENCE: Duration = Duration::from_secs(20);
const PERSISTENT: CreateOptions<'static> = CreateMode::Persistent.with_acls(Acls::anyone_all());
const EPHEMERAL: CreateOptions<'static> = CreateMode::Ephemeral.with_acls(Acls::anyone_all());

fn equal<T: PartialEq + Debug>(got: T, expected: T) -> Outcome {
    if got == expected { Ok(()) } else { Err(format!("got {got:?}, expected {expected:?}").into()) }
}

fn refused<T: Debug>(result: Result<T, Error>, expected: Error) -> Outcome {
    match result {
        Err(error) => equal(error, expected),
        Ok(value) => Err(format!("got {value:?}, expected {expected:?}").into()),
    }
}

async fn within<T>(what: &str, future: impl Future<Output = T>) -> Outcome<T> {
    timeout(PATIENCE, future).await.map_err(|_| format!("not within {PATIENCE:?}: {what}").into())
}

async fn connect(address: &str) -> Outcome<Client> {
    let connector = Client::connector().with_session_timeout(Duration::from_secs(10));
    Ok(within("connect", connector.connect(address)).await??)
}

fn event(seen: &WatchedEvent) -> (EventType, &str) {
    (seen.event_type, seen.path.as_str())
}

/// Waits until the node is gone.
async fn vanishes(zk: &Client, path: &str) -> Outcome {
    let gone = async {
        while zk.check_stat(path).await?.is_some() {
            sleep(Duration::from_millis(20)).await;
        }
        Ok::<(), Error>(())
    };
    Ok(within(&format!("{path} vanishes"), gone).await??)
}

fn restart_server() -> Outcome {
    println!("@restart");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line)?;
    equal(line.as_str(), "done\n")
}

struct Case {
    address: String,
    zk: Client,
    base: String,
}

impl Case {
    fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.base)
    }
}

async fn create_get_set_delete(case: Case) -> Outcome {
    let (zk, path) = (&case.zk, case.path("a"));
    let (made, _) = zk.create(&path, b"one", &PERSISTENT).await?;
    equal(zk.get_data(&path).await?, (b"one".to_vec(), made))?;
    let changed = zk.set_data(&path, b"other", Some(0)).await?;
    equal((changed.version, changed.data_length), (1, 5))?;
    equal(zk.check_stat(&path).await?, Some(changed))?;
    refused(zk.delete(&path, Some(7)).await, Error::BadVersion)?;
    zk.delete(&path, Some(1)).await?;
    equal(zk.check_stat(&path).await?, None)
}

async fn create_in_every_mode(case: Case) -> Outcome {
    let zk = &case.zk;
    let sequential = CreateMode::PersistentSequential.with_acls(Acls::anyone_all());
    let (_, first) = zk.create(&case.path("s-"), b"", &sequential).await?;
    let ephemeral = CreateMode::EphemeralSequential.with_acls(Acls::anyone_all());
    let (stat, second) = zk.create(&case.path("e-"), b"", &ephemeral).await?;
    equal((first.to_string(), second.to_string()), ("0000000000".into(), "0000000001".into()))?;
    equal(stat.ephemeral_owner, zk.session_id().0)?;
    let container = CreateMode::Container.with_acls(Acls::anyone_all());
    zk.create(&case.path("c"), b"", &container).await?;
    zk.create(&case.path("c/child"), b"", &PERSISTENT).await?;
    zk.delete(&case.path("c/child"), None).await?;
    vanishes(zk, &case.path("c")).await?;
    let brief = PERSISTENT.with_ttl(Duration::from_millis(200));
    zk.create(&case.path("t"), b"", &brief).await?;
    vanishes(zk, &case.path("t")).await?;
    zk.mkdir(&case.path("x/y/z"), &PERSISTENT).await?;
    equal(zk.check_stat(&case.path("x/y/z")).await?.is_some(), true)
}

async fn children(case: Case) -> Outcome {
    let zk = &case.zk;
    for name in ["c", "a", "b", "a/deep"] {
        zk.create(&case.path(name), b"", &PERSISTENT).await?;
    }
    let (mut names, stat) = zk.get_children(&case.base).await?;
    names.sort();
    equal((names.join(" "), stat.num_children), ("a b c".into(), 3))?;
    equal(zk.list_children(&case.base).await?.len(), 3)?;
    equal(zk.count_descendants_number(&case.base).await?, 4)
}

async fn ephemerals_of_a_session(case: Case) -> Outcome {
    let owner = connect(&case.address).await?;
    owner.create(&case.path("x1"), b"", &EPHEMERAL).await?;
    owner.create(&case.path("y1"), b"", &EPHEMERAL).await?;
    equal(owner.list_ephemerals(&case.path("x")).await?, vec![case.path("x1")])?;
    let (_, watcher) = case.zk.check_and_watch_stat(&case.path("x1")).await?;
    drop(owner);
    let seen = within("the deletion", watcher.changed()).await?;
    equal(event(&seen), (EventType::NodeDeleted, case.path("x1").as_str()))
}

async fn refusals(case: Case) -> Outcome {
    let zk = &case.zk;
    zk.create(&case.path("a"), b"", &PERSISTENT).await?;
    refused(zk.create(&case.path("a"), b"", &PERSISTENT).await, Error::NodeExists)?;
    refused(zk.create(&case.path("none/below"), b"", &PERSISTENT).await, Error::NoNode)?;
    refused(zk.get_data(&case.path("none")).await, Error::NoNode)?;
    refused(zk.set_data(&case.path("a"), b"", Some(5)).await, Error::BadVersion)?;
    refused(zk.delete(&case.base, None).await, Error::NotEmpty)?;
    zk.create(&case.path("e"), b"", &EPHEMERAL).await?;
    refused(zk.create(&case.path("e/child"), b"", &PERSISTENT).await, Error::NoChildrenForEphemerals)
}

async fn sync_and_configuration(case: Case) -> Outcome {
    case.zk.sync(&case.base).await?;
    let (data, _) = case.zk.get_config().await?;
    equal(data.as_slice(), b"")?;
    let update = case.zk.update_ensemble(
        zookeeper_client::EnsembleUpdate::New { ensemble: ["server.1=localhost:1:2;3"].into_iter() },
        None,
    );
    refused(update.await, Error::ReconfigDisabled)
}

async fn multi_writes(case: Case) -> Outcome {
    let mut writer = case.zk.new_multi_writer();
    writer.add_create(&case.path("a"), b"1", &PERSISTENT)?;
    writer.add_check_version(&case.path("a"), 0)?;
    writer.add_set_data(&case.path("a"), b"2", Some(0))?;
    writer.add_delete(&case.path("a"), Some(1))?;
    let results = writer.commit().await?;
    equal(matches!(&results[0], MultiWriteResult::Create { path, .. } if *path == case.path("a")), true)?;
    equal(matches!(&results[2], MultiWriteResult::SetData { stat } if stat.version == 1), true)?;
    equal((&results[1], &results[3]), (&MultiWriteResult::Check, &MultiWriteResult::Delete))?;
    let mut failing = case.zk.new_multi_writer();
    failing.add_create(&case.path("b"), b"", &PERSISTENT)?;
    failing.add_delete(&case.path("none"), None)?;
    let expected = MultiWriteError::OperationFailed { index: 1, source: Error::NoNode };
    equal(failing.commit().await.err(), Some(expected))?;
    equal(case.zk.check_stat(&case.path("b")).await?, None)
}

async fn multi_reads(case: Case) -> Outcome {
    case.zk.create(&case.path("a"), b"1", &PERSISTENT).await?;
    let mut reader = case.zk.new_multi_reader();
    reader.add_get_data(&case.path("a"))?;
    reader.add_get_children(&case.base)?;
    reader.add_get_data(&case.path("none"))?;
    let results = reader.commit().await?;
    equal(matches!(&results[0], MultiReadResult::Data { data, .. } if data == b"1"), true)?;
    equal(matches!(&results[1], MultiReadResult::Children { children } if children == &["a"]), true)?;
    equal(matches!(&results[2], MultiReadResult::Error { err: Error::NoNode }), true)
}

async fn acls_are_read_and_set(case: Case) -> Outcome {
    let path = case.path("a");
    case.zk.create(&path, b"", &CreateMode::Persistent.with_acls(Acls::anyone_read())).await?;
    refused(case.zk.set_data(&path, b"", None).await, Error::NoAuth)?;
    let open = case.path("b");
    case.zk.create(&open, b"", &PERSISTENT).await?;
    let acls = [Acl::new(Permission::ALL, AuthId::new("ip", "127.0.0.1"))];
    equal(case.zk.set_acl(&open, &acls, Some(0)).await?.aversion, 1)?;
    let (stored, _) = case.zk.get_acl(&open).await?;
    equal(stored, acls.to_vec())?;
    refused(case.zk.set_acl(&open, &acls, Some(0)).await, Error::BadVersion)
}

async fn digest_keeps_others_out(case: Case) -> Outcome {
    let owner = connect(&case.address).await?;
    owner.auth("digest", b"ann:secret").await?;
    let path = case.path("private");
    owner.create(&path, b"p", &CreateMode::Persistent.with_acls(Acls::creator_all())).await?;
    refused(case.zk.get_data(&path).await, Error::NoAuth)?;
    let other = connect(&case.address).await?;
    other.auth("digest", b"ann:secret").await?;
    equal(other.get_data(&path).await?.0.as_slice(), b"p")?;
    let users = other.list_auth_users().await?;
    equal(users.contains(&AuthUser::new("digest", "ann")), true)?;
    equal(users.contains(&AuthUser::new("ip", "127.0.0.1")), true)
}

async fn one_shot_watches(case: Case) -> Outcome {
    let (zk, node) = (&case.zk, case.path("a"));
    let (_, created) = zk.check_and_watch_stat(&node).await?;
    let (_, listed) = zk.list_and_watch_children(&case.base).await?;
    zk.create(&node, b"1", &PERSISTENT).await?;
    let seen = within("an event", created.changed()).await?;
    equal(event(&seen), (EventType::NodeCreated, node.as_str()))?;
    let seen = within("an event", listed.changed()).await?;
    equal(event(&seen), (EventType::NodeChildrenChanged, case.base.as_str()))?;
    let (_, _, changed) = zk.get_and_watch_data(&node).await?;
    let stat = zk.set_data(&node, b"2", None).await?;
    let seen = within("an event", changed.changed()).await?;
    equal((event(&seen), seen.zxid), ((EventType::NodeDataChanged, node.as_str()), stat.mzxid))?;
    let (_, _, removed) = zk.get_and_watch_data(&node).await?;
    drop(removed);
    Ok(zk.sync(&node).await?)
}

async fn persistent_watches(case: Case) -> Outcome {
    let (zk, child) = (&case.zk, case.path("a"));
    let mut plain = zk.watch(&case.base, AddWatchMode::Persistent).await?;
    let mut recursive = zk.watch(&case.base, AddWatchMode::PersistentRecursive).await?;
    zk.create(&child, b"", &PERSISTENT).await?;
    zk.set_data(&child, b"1", None).await?;
    zk.set_data(&case.base, b"1", None).await?;
    for expected in [(EventType::NodeChildrenChanged, &case.base), (EventType::NodeDataChanged, &case.base)] {
        let seen = within("an event", plain.changed()).await?;
        equal(event(&seen), (expected.0, expected.1.as_str()))?;
    }
    let all = [
        (EventType::NodeCreated, &child),
        (EventType::NodeDataChanged, &child),
        (EventType::NodeDataChanged, &case.base),
    ];
    for expected in all {
        let seen = within("an event", recursive.changed()).await?;
        equal(event(&seen), (expected.0, expected.1.as_str()))?;
    }
    drop((plain, recursive));
    Ok(zk.sync(&case.base).await?)
}

async fn lock(case: Case) -> Outcome {
    let other = connect(&case.address).await?;
    let first = case.zk.lock(LockPrefix::new_curator(&case.base, "lock-")?, b"", Acls::anyone_all()).await?;
    let prefix = LockPrefix::new_curator(&case.base, "lock-")?;
    let second = other.lock(prefix, b"", Acls::anyone_all());
    let mut second = std::pin::pin!(second);
    equal(timeout(Duration::from_millis(300), &mut second).await.is_err(), true)?;
    drop(first);
    let held = within("the second gets the lock", second).await??;
    equal(held.lock_path().starts_with(&case.base), true)
}

async fn session_survives_a_restart(case: Case) -> Outcome {
    let owner = connect(&case.address).await?;
    owner.create(&case.path("e"), b"", &EPHEMERAL).await?;
    let session = owner.session_id();
    let mut states = owner.state_watcher();
    let (_, created) = owner.check_and_watch_stat(&case.path("later")).await?;
    let (_, _, changed) = owner.get_and_watch_data(&case.path("e")).await?;
    let mut recursive = owner.watch(&case.base, AddWatchMode::PersistentRecursive).await?;
    restart_server()?;
    let back = async {
        while states.state() != SessionState::SyncConnected {
            states.changed().await;
        }
    };
    within("the client comes back", back).await?;
    let stat = loop {
        match owner.check_stat(&case.path("e")).await {
            Err(Error::ConnectionLoss) => sleep(Duration::from_millis(20)).await,
            other => break other?.ok_or("the ephemeral is gone")?,
        }
    };
    equal((stat.ephemeral_owner, owner.session_id()), (session.0, session))?;
    owner.set_data(&case.path("e"), b"2", None).await?;
    owner.create(&case.path("later"), b"", &PERSISTENT).await?;
    let seen = within("the data watch", changed.changed()).await?;
    equal(event(&seen), (EventType::NodeDataChanged, case.path("e").as_str()))?;
    let seen = within("the exists watch", created.changed()).await?;
    equal(event(&seen), (EventType::NodeCreated, case.path("later").as_str()))?;
    while within("the recursive watch", recursive.changed()).await?.event_type != EventType::NodeCreated {}
    drop((recursive, owner));
    vanishes(&connect(&case.address).await?, &case.path("e")).await
}

type Check = fn(Case) -> BoxFuture<'static, Outcome>;

macro_rules! checks {
    ($($name:ident),* $(,)?) => { [$((stringify!($name), (|case| $name(case).boxed()) as Check)),*] };
}

async fn run_one(address: &str, name: &str, check: Check) -> Outcome {
    let zk = connect(address).await?;
    let base = format!("/rust/{name}");
    zk.create(&base, b"", &PERSISTENT).await?;
    within(name, check(Case { address: address.to_owned(), zk, base })).await?
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(address) = std::env::args().nth(1) else { return ExitCode::from(2) };
    let all = checks![
        create_get_set_delete,
        create_in_every_mode,
        children,
        ephemerals_of_a_session,
        refusals,
        sync_and_configuration,
        multi_writes,
        multi_reads,
        acls_are_read_and_set,
        digest_keeps_others_out,
        one_shot_watches,
        persistent_watches,
        lock,
        session_survives_a_restart,
    ];
    if let Ok(zk) = connect(&address).await {
        drop(zk.mkdir("/rust", &PERSISTENT).await);
    }
    let mut code = ExitCode::SUCCESS;
    for (name, check) in all {
        match run_one(&address, name, check).await {
            Ok(()) => println!("ok {name}"),
            Err(error) => {
                println!("FAIL {name} {}", error.to_string().replace('\n', " "));
                code = ExitCode::FAILURE;
            }
        }
    }
    code
}
