"""The application in a process of its own, as a terminal starts it."""

import json
import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import redis

from myapp.core.stores.redis.server import socket_path

DEADLINE = 60.0


class Server:
    """A server in its own process group, as a terminal starts it."""

    def __init__(
        self, tree: Path, *command: str, port: int = 0, **settings: str
    ) -> None:
        self.tree = tree
        self.command = command
        self.port = port or free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.instance = tree / "instance"
        self.log = tree / "output.log"
        self.env = {**os.environ, **settings, "PORT": str(self.port)}
        self.env["MYAPP_INSTANCE_PATH"] = str(self.instance)
        # Compiled once, not at every start.
        self.env["PYTHONDONTWRITEBYTECODE"] = ""
        self.start()

    def start(self) -> None:
        """Start it; its output goes into a new log."""
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.tree,
                env=self.env,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def get(self, path: str) -> Any:
        """The JSON of a response; ``None`` if its status is not 200."""
        try:
            with urllib.request.urlopen(self.base + path, timeout=DEADLINE) as answer:
                return json.load(answer)
        except OSError as error:
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            return None

    def problem(self, path: str) -> Any:
        """The JSON of a response that says that the server failed; else ``None``."""
        try:
            urllib.request.urlopen(self.base + path, timeout=DEADLINE).close()
        except urllib.error.HTTPError as error:
            with error:
                return json.load(error)
        except OSError:
            pass
        return None

    def wait_for(self, path: str) -> Any:
        """Wait for a response with status 200, and return its JSON."""

        def answer() -> Any:
            assert self.process.poll() is None, self.log.read_text()
            return self.get(path)

        return eventually(answer)

    def redis_pid(self) -> int:
        """The process id of the Redis that it has started."""
        is_in_production = self.env.get("MYAPP_ENV") == "production"
        data = self.instance if is_in_production else self.instance / "development"
        path = str(socket_path(data / "redis"))
        with redis.Redis(unix_socket_path=path) as client:
            return int(client.info("server")["process_id"])

    def signal_all(self, number: int) -> None:
        """Send a signal to its process group, and wait until it has ended."""
        os.killpg(self.process.pid, number)
        self.process.wait(DEADLINE)


def free_port() -> int:
    """A port that is free now."""
    with closing(socket.create_server(("127.0.0.1", 0))) as probe:
        return int(probe.getsockname()[1])


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until a condition returns a true value, and return the value."""
    deadline = time.monotonic() + DEADLINE
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            assert found
            return found
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
