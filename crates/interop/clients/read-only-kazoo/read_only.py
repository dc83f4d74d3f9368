"""A client that accepts read-only servers, told what to do line by line.

usage: read_only.py HOST:PORT,HOST:PORT,…
Commands on stdin, one line of answer each:
  connect          connects; `connected`
  state STATE      waits until the client is `rw`, `ro` or `off`; the state
  stay STATE MS    whether the state is and stays that for so long: `stayed`, or what it became
  get PATH         reads and watches: `data TEXT`, or the error's name
  set PATH TEXT    writes: `ok`, or the error's name
  create PATH      creates: `ok`, or the error's name
  ephemeral PATH   creates one of the session: `ok`, or the error's name
  event            waits for the watch: its type and path
  session          `same` or `new`, compared with the last time
"""
import logging
import queue
import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import KazooException
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.protocol.states import KeeperState

logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
PATIENCE = 60.0
NAMES = {KeeperState.CONNECTED: "rw", KeeperState.CONNECTED_RO: "ro"}


class Client:
    def __init__(self, hosts):
        retry = {"max_tries": -1, "delay": 0.1, "max_delay": 0.5}
        self.client = KazooClient(hosts=hosts, timeout=20.0, read_only=True, connection_retry=retry)
        self.events = queue.Queue()
        self.last_session = None

    def state_now(self):
        return NAMES.get(self.client.client_state, "off")

    def connect(self):
        self.client.start(timeout=PATIENCE)
        return "connected"

    def state(self, wanted):
        deadline = time.monotonic() + PATIENCE
        while self.state_now() != wanted and time.monotonic() < deadline:
            time.sleep(0.02)
        return self.state_now()

    def stay(self, wanted, ms):
        deadline = time.monotonic() + int(ms) / 1000
        while time.monotonic() < deadline:
            if self.state_now() != wanted:
                return self.state_now()
            time.sleep(0.02)
        return "stayed"

    def get(self, path):
        data, _ = self.client.get(path, watch=self.events.put)
        return "data " + data.decode()

    def set(self, path, text):
        self.client.set(path, text.encode())
        return "ok"

    def create(self, path):
        self.client.create(path, b"", makepath=False)
        return "ok"

    def ephemeral(self, path):
        self.client.create(path, b"", ephemeral=True)
        return "ok"

    def event(self):
        event = self.events.get(timeout=PATIENCE)
        return f"{event.type} {event.path}"

    def session(self):
        session = self.client.client_id[0] if self.client.client_id else 0
        was, self.last_session = self.last_session, session
        return "same" if was == session else "new"


def name_of(error):
    name = type(error).__name__
    return name if name.endswith("Error") else name + "Error"


def main():
    client = Client(sys.argv[1])
    for line in sys.stdin:
        word, *arguments = line.split()
        try:
            answer = getattr(client, word)(*arguments)
        except (KazooException, KazooTimeoutError, queue.Empty) as error:
            answer = name_of(error)
        print(answer, flush=True)


main()
