"""A client at steady work through kazoo, while servers are replaced under it.

usage: steady.py HOST:PORT,HOST:PORT,…
Creates numbered znodes, counts in one znode, reads back, and keeps an ephemeral. Prints `progress WRITES LOSSES
GAP_MS` every half second, `FAIL reason` for anything but a lost connection, and, when a line arrives on
stdin, looks whether everything acknowledged is there and prints `done WRITES LOSSES GAP_MS`.
"""
import logging
import sys
import threading
import time

from kazoo.client import KazooClient, KazooState
from kazoo.exceptions import BadVersionError, ConnectionLoss, NodeExistsError, OperationTimeoutError
from kazoo.handlers.threading import KazooTimeoutError

logging.basicConfig(level=logging.CRITICAL, stream=sys.stderr)
BASE = "/steady/kazoo"
LOST = (ConnectionLoss, OperationTimeoutError, KazooTimeoutError)


def say(*words):
    print(*words, flush=True)


class Steady:
    def __init__(self, hosts):
        self.client = KazooClient(hosts=hosts, timeout=20.0, randomize_hosts=True)
        self.client.add_listener(self.on_state)
        self.writes = self.losses = self.gap_ms = 0
        self.created = self.counter = 0
        self.answered = time.monotonic()
        self.stop = threading.Event()
        self.ended = False

    def on_state(self, state):
        if state == KazooState.LOST and not self.ended:
            say("FAIL the session was lost")

    def until_answered(self, call):
        """Repeats a call until its connection is not lost; returns whether an earlier try may have been done."""
        again = False
        while True:
            try:
                call(again)
                now = time.monotonic()
                self.gap_ms = max(self.gap_ms, int((now - self.answered) * 1000))
                self.answered = now
                return
            except LOST:
                self.losses += 1
                again = True
                time.sleep(0.02)

    def create(self, again):
        try:
            self.client.create(f"{BASE}/n{self.created}", str(self.created).encode())
        except NodeExistsError:
            if not again:
                raise

    def count(self, again):
        try:
            self.client.set(f"{BASE}/counter", str(self.counter + 1).encode(), version=self.counter)
        except BadVersionError:
            data, stat = self.client.get(f"{BASE}/counter")
            if not again or stat.version != self.counter + 1:
                raise AssertionError(f"the counter is {data!r} at {stat.version}, after {self.counter}")

    def look(self, _again):
        data, stat = self.client.get(f"{BASE}/counter")
        if int(data) != self.counter or stat.version != self.counter:
            raise AssertionError(f"read {data!r} at version {stat.version} after writing {self.counter}")

    def work(self):
        self.client.start(30)
        for path in ("/steady", BASE):
            self.client.ensure_path(path)
        self.client.create(f"{BASE}/counter", b"0")
        self.client.create(f"{BASE}/alive", b"", ephemeral=True)
        session = self.client.client_id[0]
        self.answered = time.monotonic()
        while not self.stop.is_set():
            self.until_answered(self.create)
            self.created += 1
            self.until_answered(self.count)
            self.counter += 1
            self.writes += 2
            self.until_answered(self.look)
            time.sleep(0.005)
        self.until_answered(lambda _again: self.verify(session))
        self.ended = True
        self.client.stop()

    def verify(self, session):
        self.client.sync(BASE)
        names = set(self.client.get_children(BASE))
        missing = [number for number in range(self.created) if f"n{number}" not in names]
        if missing:
            raise AssertionError(f"{len(missing)} acknowledged znodes are gone, first: n{missing[0]}")
        owner = self.client.get(f"{BASE}/alive")[1].ephemeralOwner
        if owner != session or self.client.client_id[0] != session:
            raise AssertionError("the session changed")


def main():
    steady = Steady(sys.argv[1])
    reason = []

    def run():
        try:
            steady.work()
        except BaseException as error:
            reason.append(f"{type(error).__name__} {error}")
            say("FAIL", reason[0].replace("\n", " "))
            steady.stop.set()

    worker = threading.Thread(target=run, daemon=True)
    worker.start()

    def report():
        while worker.is_alive():
            say("progress", steady.writes, steady.losses, steady.gap_ms)
            time.sleep(0.5)

    threading.Thread(target=report, daemon=True).start()
    sys.stdin.readline()
    steady.stop.set()
    worker.join(60)
    say("done", steady.writes, steady.losses, steady.gap_ms)


main()
