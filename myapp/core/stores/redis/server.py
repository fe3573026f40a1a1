"""Starts a redis-server for this application, when no URL is configured.

The first process that needs the server starts a keeper (``keeper.py``). The keeper runs
the server on a unix socket in the folder of the data. Every process that uses the
server holds a shared lock on ``redis/users``. The kernel releases the lock whenever a
process ends. The keeper waits until all locks are released, then stops the server.
"""

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from myapp.core.errors.startup import ConfigError
from myapp.core.stores.redis.program import find_server

START_TIMEOUT = 10.0
# A path to a unix socket has at most this many bytes (sun_path on macOS).
MAX_SOCKET_PATH = 103

# The locks of this process, held until it ends.
_held: dict[Path, IO[bytes]] = {}


def ensure_redis(instance: Path) -> str:
    """Make sure that the server of a folder runs while this process does.

    :returns: its URL.
    :raises ConfigError: when redis-server is not installed, or does not start.
    """
    folder = instance / "redis"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = socket_path(folder)
    if folder not in _held:
        users = open(folder / "users", "ab")
        # Waits while a keeper without users is stopping its server.
        fcntl.flock(users, fcntl.LOCK_SH)
        _held[folder] = users
    with open(folder / "starting", "ab") as starting:
        fcntl.flock(starting, fcntl.LOCK_EX)
        if not has_keeper(folder):
            stop_orphan(path)
        if not answers(path):
            start_keeper(folder, path)
    return f"unix://{path}"


def socket_path(folder: Path) -> Path:
    """The path of the socket: in the folder, or in a temporary folder when that path is
    too long."""
    path = folder.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    short = Path(tempfile.gettempdir(), f"myapp-redis-{os.getuid()}-{digest}")
    short.mkdir(mode=0o700, exist_ok=True)
    if short.is_symlink() or short.stat().st_uid != os.getuid():
        raise ConfigError(f"{short} belongs to another user; set MYAPP_REDIS_URL")
    return short / "redis.sock"


def has_keeper(folder: Path) -> bool:
    """Whether a keeper runs: it holds the lock on ``keeper`` in its folder."""
    with open(folder / "keeper", "ab") as keeper:
        try:
            fcntl.flock(keeper, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def stop_orphan(path: Path) -> None:
    """Stop a server whose keeper has ended, because no other process stops it."""
    client = redis.Redis(unix_socket_path=str(path), retry=Retry(NoBackoff(), 0))
    with suppress(redis.RedisError):
        client.shutdown()
    client.close()


def answers(path: Path) -> bool:
    """Whether a server at this socket is ready."""
    # Without retries of the client: usually the server does not run yet.
    client = redis.Redis(
        unix_socket_path=str(path), socket_timeout=1.0, retry=Retry(NoBackoff(), 0)
    )
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
    finally:
        client.close()


def start_keeper(folder: Path, path: Path) -> None:
    """Start the keeper in a session of its own, so that Ctrl-C does not end it together
    with the application, and wait until its server answers.
    """
    program = [sys.executable, "-I", str(Path(__file__).with_name("keeper.py"))]
    with open(folder / "redis.log", "ab") as log:
        keeper = subprocess.Popen(
            [*program, find_server(), str(folder.resolve()), str(path)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    # It ends when a copy of it keeps the server, with the lock.
    keeper.wait()
    deadline = time.monotonic() + START_TIMEOUT
    while not answers(path):
        if not has_keeper(folder) or time.monotonic() > deadline:
            # The keeper and its server belong to the group of what has started them.
            with suppress(ProcessLookupError):
                os.killpg(keeper.pid, signal.SIGKILL)
            raise ConfigError(f"redis-server did not start; see {folder}/redis.log")
        time.sleep(0.01)
