"""Checks of a ZooKeeper server through kazoo, the Python client.

usage: checks.py HOST:PORT
Prints `ok NAME` or `FAIL NAME reason` per check; `@restart` asks for a restart of the server, which has
happened when a line arrives on stdin.
"""
import logging
import queue
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import (
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.protocol.states import EventType, WatchedEvent
from kazoo.recipe.barrier import Barrier, DoubleBarrier
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.security import OPEN_ACL_UNSAFE, READ_ACL_UNSAFE, make_acl, make_digest_acl

logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
ADDRESS = sys.argv[1]
PATIENCE = 20
CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def client(**arguments):
    connected = KazooClient(hosts=ADDRESS, timeout=10.0, **arguments)
    connected.start(PATIENCE)
    return connected


def end(*clients):
    for one in clients:
        one.stop()
        one.close()


def equal(got, expected):
    if got != expected:
        raise AssertionError(f"got {got!r}, expected {expected!r}")


def refused(error, call, *arguments, **named):
    try:
        result = call(*arguments, **named)
    except error:
        return
    raise AssertionError(f"{call.__name__}{arguments} gave {result!r}, expected {error.__name__}")


def eventually(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE} s: {what}")
        time.sleep(0.02)


def restart_server():
    print("@restart", flush=True)
    equal(sys.stdin.readline(), "done\n")


@check
def create_get_set_delete(zk, base):
    equal(zk.create(f"{base}/a", b"one"), f"{base}/a")
    data, stat = zk.get(f"{base}/a")
    equal((data, stat.version, stat.data_length, stat.children_count, stat.owner_session_id),
          (b"one", 0, 3, 0, None))
    equal(zk.set(f"{base}/a", b"other").version, 1)
    equal(zk.get(f"{base}/a")[0], b"other")
    zk.delete(f"{base}/a", version=1)
    equal(zk.exists(f"{base}/a"), None)


@check
def create_with_stat(zk, base):
    path, stat = zk.create(f"{base}/a", b"x", include_data=True)
    equal(path, f"{base}/a")
    equal(zk.get(path)[1], stat)


@check
def create_makes_parents(zk, base):
    zk.create(f"{base}/x/y/z", b"deep", makepath=True)
    equal(zk.get(f"{base}/x/y/z")[0], b"deep")
    zk.ensure_path(f"{base}/p/q")
    equal(zk.exists(f"{base}/p/q").version, 0)


@check
def data_of_all_sizes(zk, base):
    for size in (0, 1, 1000, 100_000, 1_000_000):
        value = bytes(n % 251 for n in range(size))
        zk.create(f"{base}/{size}", value)
        equal(zk.get(f"{base}/{size}")[0], value)


@check
def names_in_unicode(zk, base):
    name = "\u00fcn\u00efc\u00f6d\u00e9-\u6f22\u5b57"
    zk.create(f"{base}/{name}", "\u20ac".encode())
    equal(zk.get_children(base), [name])


@check
def sequences(zk, base):
    made = [zk.create(f"{base}/n-", sequence=True) for _ in range(3)]
    equal(made, [f"{base}/n-{number:010d}" for number in range(3)])
    equal(zk.create(f"{base}/e-", ephemeral=True, sequence=True), f"{base}/e-0000000003")


@check
def children_with_and_without_stat(zk, base):
    for name in ("c", "a", "b"):
        zk.create(f"{base}/{name}")
    equal(sorted(zk.get_children(base)), ["a", "b", "c"])
    names, stat = zk.get_children(base, include_data=True)
    equal((sorted(names), stat.children_count, stat.cversion), (["a", "b", "c"], 3, 3))


@check
def refusals(zk, base):
    zk.create(f"{base}/a")
    refused(NodeExistsError, zk.create, f"{base}/a")
    refused(NoNodeError, zk.get, f"{base}/none")
    refused(NoNodeError, zk.set, f"{base}/none", b"")
    refused(NoNodeError, zk.delete, f"{base}/none")
    refused(NoNodeError, zk.get_children, f"{base}/none")
    refused(NoNodeError, zk.create, f"{base}/none/below")
    refused(BadVersionError, zk.set, f"{base}/a", b"", version=7)
    refused(BadVersionError, zk.delete, f"{base}/a", version=7)
    refused(NotEmptyError, zk.delete, base)
    zk.create(f"{base}/e", ephemeral=True)
    refused(NoChildrenForEphemeralsError, zk.create, f"{base}/e/child")


@check
def delete_recursively(zk, base):
    zk.ensure_path(f"{base}/tree/a/b")
    zk.ensure_path(f"{base}/tree/c")
    zk.delete(f"{base}/tree", recursive=True)
    equal(zk.exists(f"{base}/tree"), None)


@check
def sync(zk, base):
    equal(zk.sync(base), base)


@check
def transaction_succeeds(zk, base):
    zk.create(f"{base}/old", b"1")
    transaction = zk.transaction()
    transaction.check(f"{base}/old", 0)
    transaction.create(f"{base}/new", b"n")
    transaction.create(f"{base}/s-", sequence=True)
    transaction.set_data(f"{base}/old", b"2")
    transaction.delete(f"{base}/new")
    checked, created, sequential, stat, deleted = transaction.commit()
    equal((checked, created, deleted), (True, f"{base}/new", True))
    equal((sequential, stat.version), (f"{base}/s-0000000002", 1))
    equal(zk.exists(f"{base}/new"), None)


@check
def transaction_fails_whole(zk, base):
    transaction = zk.transaction()
    transaction.create(f"{base}/first")
    transaction.delete(f"{base}/none")
    transaction.create(f"{base}/last")
    kinds = [type(result) for result in transaction.commit()]
    equal(kinds, [RolledBackError, NoNodeError, RuntimeInconsistency])
    equal(zk.get_children(base), [])


@check
def acl_read_and_write(zk, base):
    zk.create(f"{base}/a", acl=READ_ACL_UNSAFE)
    acls, stat = zk.get_acls(f"{base}/a")
    equal((acls, stat.aversion), (READ_ACL_UNSAFE, 0))
    refused(NoAuthError, zk.set, f"{base}/a", b"")
    zk.create(f"{base}/b")
    everything = [make_acl("world", "anyone", all=True), make_acl("ip", "127.0.0.1", read=True)]
    equal(zk.set_acls(f"{base}/b", everything, version=0).aversion, 1)
    equal(zk.get_acls(f"{base}/b")[0], everything)
    refused(BadVersionError, zk.set_acls, f"{base}/b", OPEN_ACL_UNSAFE, version=0)
    refused(InvalidACLError, zk.create, f"{base}/c", acl=[make_acl("nonsense", "x", all=True)])


@check
def digest_keeps_others_out(zk, base):
    owner = client(auth_data=[("digest", "ann:secret")])
    other = client()
    owner.create(f"{base}/private", b"p", acl=[make_digest_acl("ann", "secret", all=True)])
    refused(NoAuthError, other.get, f"{base}/private")
    refused(NoAuthError, other.set, f"{base}/private", b"")
    refused(NoAuthError, other.get_children, f"{base}/private")
    equal(owner.get(f"{base}/private")[0], b"p")
    other.add_auth("digest", "ann:wrong")
    refused(NoAuthError, other.get, f"{base}/private")
    other.add_auth("digest", "ann:secret")
    equal(other.get(f"{base}/private")[0], b"p")
    owner.create(f"{base}/mine", acl=[make_acl("auth", "", all=True)])
    equal(owner.get_acls(f"{base}/mine")[0], [make_digest_acl("ann", "secret", all=True)])
    end(owner, other)


@check
def super_user_passes(zk, base):
    zk.create(f"{base}/locked", b"l", acl=[make_digest_acl("nobody", "nothing", all=True)])
    refused(NoAuthError, zk.get, f"{base}/locked")
    boss = client(auth_data=[("digest", "super:secret")])
    equal(boss.get(f"{base}/locked")[0], b"l")
    end(boss)


@check
def ephemerals_go_with_their_session(zk, base):
    owner = client()
    owner.create(f"{base}/e", ephemeral=True)
    equal(zk.exists(f"{base}/e").owner_session_id, owner.client_id[0])
    gone = threading.Event()
    zk.exists(f"{base}/e", watch=lambda event: gone.set())
    end(owner)
    assert gone.wait(PATIENCE), "no event when the owner closed"
    equal(zk.exists(f"{base}/e"), None)


def watched(register, change):
    events = queue.Queue()
    register(events.put)
    change()
    return events.get(timeout=PATIENCE)


@check
def one_shot_watches(zk, base):
    node = f"{base}/a"
    other = client()

    def event(kind, path):
        return WatchedEvent(kind, "CONNECTED", path)

    seen = watched(lambda w: zk.exists(node, watch=w), lambda: other.create(node))
    equal(seen, event(EventType.CREATED, node))
    seen = watched(lambda w: zk.get(node, watch=w), lambda: other.set(node, b"2"))
    equal(seen, event(EventType.CHANGED, node))
    seen = watched(lambda w: zk.get_children(node, watch=w), lambda: other.create(f"{node}/c"))
    equal(seen, event(EventType.CHILD, node))
    seen = watched(lambda w: zk.get(f"{node}/c", watch=w), lambda: other.delete(f"{node}/c"))
    equal(seen, event(EventType.DELETED, f"{node}/c"))
    events = queue.Queue()
    zk.get(node, watch=events.put)
    other.set(node, b"3")
    other.set(node, b"4")
    events.get(timeout=PATIENCE)
    zk.sync(node)
    assert events.empty(), "a one-shot watch fired twice"
    end(other)


@check
def data_and_children_watch_recipes(zk, base):
    values, lists = queue.Queue(), queue.Queue()
    zk.DataWatch(f"{base}/d", lambda data, stat: values.put(data))
    zk.ChildrenWatch(base, lambda children: lists.put(sorted(children)))
    equal((values.get(timeout=PATIENCE), lists.get(timeout=PATIENCE)), (None, []))
    zk.create(f"{base}/d", b"1")
    equal((values.get(timeout=PATIENCE), lists.get(timeout=PATIENCE)), (b"1", ["d"]))
    zk.set(f"{base}/d", b"2")
    equal(values.get(timeout=PATIENCE), b"2")


@check
def lock(zk, base):
    other = client()
    first, second = zk.Lock(f"{base}/lock", "one"), other.Lock(f"{base}/lock", "two")
    assert first.acquire(timeout=PATIENCE)
    equal(second.acquire(blocking=False), False)
    equal(first.contenders(), ["one"])
    taken = threading.Event()
    waiter = threading.Thread(target=lambda: second.acquire(timeout=PATIENCE) and taken.set())
    waiter.start()
    eventually(lambda: len(first.contenders()) == 2, "the second contender waits")
    assert not taken.is_set(), "two hold the lock"
    first.release()
    assert taken.wait(PATIENCE), "the second contender never got the lock"
    waiter.join()
    second.release()
    end(other)


@check
def read_and_write_locks(zk, base):
    other = client()
    reader, fellow = zk.ReadLock(f"{base}/rw", "r1"), other.ReadLock(f"{base}/rw", "r2")
    writer = other.WriteLock(f"{base}/rw", "w")
    assert reader.acquire(timeout=PATIENCE) and fellow.acquire(timeout=PATIENCE)
    equal(writer.acquire(blocking=False), False)
    reader.release()
    fellow.release()
    assert writer.acquire(timeout=PATIENCE)
    writer.release()
    end(other)


@check
def semaphore(zk, base):
    other = client()
    pair = [zk.Semaphore(f"{base}/s", max_leases=2), other.Semaphore(f"{base}/s", max_leases=2)]
    third = zk.Semaphore(f"{base}/s", max_leases=2)
    assert all(one.acquire(timeout=PATIENCE) for one in pair)
    equal(third.acquire(blocking=False), False)
    pair[0].release()
    assert third.acquire(timeout=PATIENCE)
    pair[1].release()
    third.release()
    end(other)


@check
def election(zk, base):
    other = client()
    led, order = [threading.Event(), threading.Event()], []
    finish = threading.Event()

    def lead(number):
        order.append(number)
        led[number].set()
        if number == 0:
            finish.wait(PATIENCE)

    elections = [zk.Election(f"{base}/el", "zero"), other.Election(f"{base}/el", "one")]
    threads = [threading.Thread(target=elections[n].run, args=(lead, n)) for n in (0, 1)]
    threads[0].start()
    assert led[0].wait(PATIENCE)
    threads[1].start()
    eventually(lambda: len(elections[0].contenders()) == 2, "two contenders")
    equal(order, [0])
    finish.set()
    assert led[1].wait(PATIENCE)
    for thread in threads:
        thread.join()
    equal(order, [0, 1])
    end(other)


@check
def counter(zk, base):
    other = client()
    counters = [zk.Counter(f"{base}/n"), other.Counter(f"{base}/n")]

    def add(one):
        for _ in range(20):
            one += 1

    threads = [threading.Thread(target=add, args=(one,)) for one in counters]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    equal(zk.Counter(f"{base}/n").value, 40)
    end(other)


@check
def queues(zk, base):
    plain = zk.Queue(f"{base}/plain")
    for value in (b"a", b"b"):
        plain.put(value)
    equal([plain.get(), plain.get(), plain.get()], [b"a", b"b", None])
    locking = zk.LockingQueue(f"{base}/locking")
    locking.put_all([b"x", b"y"])
    equal(locking.get(timeout=PATIENCE), b"x")
    assert locking.holds_lock() and locking.consume()
    equal(locking.get(timeout=PATIENCE), b"y")
    assert locking.consume()
    equal(len(locking), 0)


@check
def party(zk, base):
    other = client()
    members = [zk.Party(f"{base}/p", "one"), other.Party(f"{base}/p", "two")]
    for member in members:
        member.join()
    equal(sorted(members[0]), ["one", "two"])
    end(other)
    eventually(lambda: list(members[0]) == ["one"], "a closed session leaves the party")
    members[0].leave()


@check
def barriers(zk, base):
    other = client()
    gate, waiting = Barrier(zk, f"{base}/gate"), Barrier(other, f"{base}/gate")
    gate.create()
    equal(waiting.wait(timeout=0), False)
    gate.remove()
    equal(waiting.wait(timeout=PATIENCE), True)
    pair = [DoubleBarrier(zk, f"{base}/two", 2), DoubleBarrier(other, f"{base}/two", 2)]
    inside = queue.Queue()

    def pass_through(one):
        one.enter()
        inside.put(one.participating)
        one.leave()

    threads = [threading.Thread(target=pass_through, args=(one,)) for one in pair]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    equal((inside.get(timeout=1), inside.get(timeout=1)), (True, True))
    end(other)


@check
def set_partitioner(zk, base):
    partitioner = zk.SetPartitioner(f"{base}/part", set=("a", "b", "c"), time_boundary=0.2)
    eventually(lambda: partitioner.acquired or partitioner.wait_for_acquire(1), "a partition is acquired")
    equal(sorted(partitioner), ["a", "b", "c"])
    partitioner.finish()


@check
def lease(zk, base):
    from datetime import timedelta

    first = zk.NonBlockingLease(f"{base}/lease", timedelta(seconds=60), identifier="one")
    second = zk.NonBlockingLease(f"{base}/lease", timedelta(seconds=60), identifier="two")
    equal((bool(first), bool(second)), (True, False))


@check
def tree_cache(zk, base):
    zk.create(f"{base}/t/a", b"1", makepath=True)
    cache, events = TreeCache(zk, f"{base}/t"), queue.Queue()
    cache.listen(lambda event: events.put(event.event_type))
    cache.start()
    while events.get(timeout=PATIENCE) != TreeEvent.INITIALIZED:
        pass
    equal(cache.get_data(f"{base}/t/a").data, b"1")
    zk.set(f"{base}/t/a", b"2")
    eventually(lambda: cache.get_data(f"{base}/t/a").data == b"2", "the cache follows a change")
    cache.close()


@check
def four_letter_words(zk, base):
    equal(zk.command(b"ruok"), "imok")
    equal(zk.command(b"isro"), "rw")
    assert zk.server_version() >= (3, 9), zk.server_version()
    assert "zk_znode_count" in zk.command(b"mntr")


@check
def chroot(zk, base):
    inner = KazooClient(hosts=f"{ADDRESS}{base}", timeout=10.0)
    inner.start(PATIENCE)
    inner.create("/a", b"in")
    equal(zk.get(f"{base}/a")[0], b"in")
    equal(inner.get_children("/"), ["a"])
    end(inner)


@check
def many_requests_in_flight(zk, base):
    made = [zk.create_async(f"{base}/{n}", str(n).encode()) for n in range(300)]
    for one in made:
        one.get(timeout=PATIENCE)
    read = [zk.get_async(f"{base}/{n}") for n in range(300)]
    equal([one.get(timeout=PATIENCE)[0] for one in read], [str(n).encode() for n in range(300)])


@check
def session_survives_a_restart(zk, base):
    """kazoo does not send setWatches: it tells one-shot watches of the break; its recipes watch anew."""
    states, broken, values, lists = queue.Queue(), queue.Queue(), queue.Queue(), queue.Queue()
    owner, watcher = client(), client()
    owner.create(f"{base}/e", b"1", ephemeral=True)
    owner.create(f"{base}/p", b"1")
    session = owner.client_id
    owner.add_listener(lambda state: states.put(state))
    watcher.get(f"{base}/p", watch=broken.put)
    watcher.DataWatch(f"{base}/p", lambda data, stat: values.put(data))
    watcher.ChildrenWatch(base, lambda children: lists.put(sorted(children)))
    equal((values.get(timeout=PATIENCE), lists.get(timeout=PATIENCE)), (b"1", ["e", "p"]))
    restart_server()
    equal(states.get(timeout=PATIENCE), KazooState.SUSPENDED)
    equal(states.get(timeout=PATIENCE), KazooState.CONNECTED)
    equal(owner.client_id, session)
    equal(broken.get(timeout=PATIENCE).type, EventType.NONE)
    eventually(lambda: watcher.connected, "the watcher comes back")
    equal(watcher.retry(watcher.exists, f"{base}/e").owner_session_id, session[0])
    owner.retry(owner.set, f"{base}/p", b"2")
    owner.retry(owner.create, f"{base}/later")
    equal((values.get(timeout=PATIENCE), lists.get(timeout=PATIENCE)), (b"2", ["e", "later", "p"]))
    end(owner)
    eventually(lambda: watcher.exists(f"{base}/e") is None, "the ephemeral goes after the restart")
    end(watcher)


@check
def lock_survives_a_restart(zk, base):
    held = zk.Lock(f"{base}/lock", "holder")
    other = client()
    assert held.acquire(timeout=PATIENCE)
    restart_server()
    eventually(lambda: zk.connected and other.connected, "both clients come back")
    equal(other.retry(lambda: other.Lock(f"{base}/lock", "late").acquire(blocking=False)), False)
    held.release()
    late = other.Lock(f"{base}/lock", "later")
    assert late.acquire(timeout=PATIENCE)
    late.release()
    end(other)


def main():
    failed = 0
    for function in CHECKS:
        base = f"/kazoo/{function.__name__}"
        zk = None
        try:
            zk = client()
            zk.ensure_path(base)
            function(zk, base)
            print(f"ok {function.__name__}", flush=True)
        except Exception as error:
            failed += 1
            reason = f"{type(error).__name__}: {error}".replace("\n", " ")
            print(f"FAIL {function.__name__} {reason}", flush=True)
        finally:
            if zk is not None:
                end(zk)
    return 1 if failed else 0


sys.exit(main())
