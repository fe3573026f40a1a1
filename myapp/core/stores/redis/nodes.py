"""A Redis Cluster of three servers on this machine, for the tests."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.retry import Retry

from myapp.core.stores.redis.program import find_server

HOST = "127.0.0.1"
# A node is reached by the other nodes at its port and this number.
BUS = 10_000
PORTS = range(20_000, 30_000)
SHARE = REDIS_CLUSTER_HASH_SLOTS // 3 + 1
# Seconds to wait for a server or for the nodes, and between two looks.
PATIENCE, LOOK_EVERY = 20.0, 0.02


class Nodes:
    """Three servers that share the slots.

    :param folder: for their files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = [free_port() for _ in range(3)]
        #: The ports that clients are told; a proxy may listen there.
        self.announced = list(self.ports)
        self._running: dict[int, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """The URL that names every node."""
        return self.url_of(*range(3))

    def url_of(self, *numbers: int) -> str:
        """A URL that names some of the nodes."""
        nodes = (f"{HOST}:{self.ports[number]}" for number in numbers)
        return f"redis+cluster://{','.join(nodes)}"

    def client(self, number: int) -> redis.Redis:
        """A client of one node, which follows no redirect."""
        return redis.Redis(HOST, self.ports[number], retry=Retry(NoBackoff(), 0))

    def start(self) -> None:
        """Start the servers, and give each a third of the slots."""
        for number in range(3):
            self.run(number)
        for number in range(3):
            slots = range(REDIS_CLUSTER_HASH_SLOTS)[number * SHARE :][:SHARE]
            self.ask(number, "CLUSTER ADDSLOTS", *slots)
            self.ask(number, "CLUSTER MEET", HOST, self.ports[0])
        wait_until(self.is_ready)

    def is_ready(self) -> bool:
        """Whether each node knows the others."""
        states = [self.ask(number, "CLUSTER INFO") for number in range(3)]
        return all(
            state["cluster_state"] == "ok" and state["cluster_known_nodes"] == "3"
            for state in states
        )

    def run(self, number: int) -> None:
        """Start a server that does not run, with the data that it had."""
        folder = self.folder / str(number)
        folder.mkdir(parents=True, exist_ok=True)
        settings = {
            "port": self.ports[number],
            "bind": HOST,
            "dir": folder,
            "appendonly": "yes",
            "save": "",
            "cluster-enabled": "yes",
            "cluster-node-timeout": 1000,
            "cluster-require-full-coverage": "no",
            "cluster-announce-port": self.announced[number],
            "cluster-announce-bus-port": self.ports[number] + BUS,
        }
        options = [text for name in settings for text in (f"--{name}", settings[name])]
        self._running[number] = subprocess.Popen(
            [find_server(), *map(str, options)], stdout=subprocess.DEVNULL
        )
        wait_until(lambda: self.ask(number, "PING"))

    def kill(self, number: int) -> None:
        """End a server at once."""
        self._running[number].kill()
        self._running.pop(number).wait()

    def stop(self) -> None:
        """End every server."""
        for number in list(self._running):
            self.kill(number)

    def ask(self, number: int, *command: Any) -> Any:
        """What a node answers; ``None`` when it does not."""
        with suppress(redis.ConnectionError), self.client(number) as client:
            return client.execute_command(*command)
        return None

    def node_of(self, key: str) -> int:
        """The number of the node that has a key at first."""
        return int(key_slot(key.encode())) // SHARE

    def move(self, key: str, source: int, target: int) -> Iterator[str]:
        """Move the slot of a key to another node, and yield each of its keys before it
        is moved."""
        slot = key_slot(key.encode())
        ids = [self.ask(one, "CLUSTER MYID") for one in range(3)]
        self.ask(target, "CLUSTER SETSLOT", slot, "IMPORTING", ids[source])
        self.ask(source, "CLUSTER SETSLOT", slot, "MIGRATING", ids[target])
        while found := self.ask(source, "CLUSTER GETKEYSINSLOT", slot, 1):
            yield found[0]
            self.ask(source, "MIGRATE", HOST, self.ports[target], found[0], 0, 5000)
        for number in (target, source, 3 - target - source):
            self.ask(number, "CLUSTER SETSLOT", slot, "NODE", ids[target])


def free_port() -> int:
    """A port that is free, also for the bus of a cluster."""
    for port in random.sample(PORTS, 100):
        with suppress(OSError), socket.create_server((HOST, port)):
            with socket.create_server((HOST, port + BUS)):
                return port
    raise RuntimeError("no port is free")


def wait_until(is_true: Any) -> None:
    """Wait until a function returns true.

    :raises TimeoutError: when it takes too long.
    """
    deadline = time.monotonic() + PATIENCE
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError("the nodes of the cluster do not answer")
        time.sleep(LOOK_EVERY)
