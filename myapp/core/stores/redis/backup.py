"""The part of Redis in a backup: the snapshot (RDB) that a server sends to a replica.

A snapshot holds one moment, which reading key by key does not, and needs no access to
the files of the server.
"""

import ctypes
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from flask import current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

from myapp.core.backup.part import BackupError, Facts, StoreBackup
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.cluster import LazyCluster
from myapp.core.stores.redis.program import find_server

#: The file of one server: its number, and the number of the database.
SNAPSHOT = re.compile(r"server-(\d+)-database-(\d+)\.rdb")
KEYS_READ = re.compile(r"\[info\] (\d+) keys read")
# Seconds in which a server sends the next byte; it sends line feeds while it prepares.
SILENCE = 60.0
START_TIMEOUT = 60.0
# The option of prctl(2).
PR_SET_PDEATHSIG = 1
CHUNK, KEYS_AT_ONCE = 1024 * 1024, 500
PROBE = "myapp:backup:probe"
# What PTTL says of a key that does not expire.
FOREVER = -1


class RedisBackup(StoreBackup):
    """A snapshot of the server, or of each primary of a cluster."""

    def target(self) -> str:
        """The servers, and the number of the database."""
        all_options = [pool.connection_kwargs for pool in pools()]
        places = [
            options.get("path") or f"{options.get('host')}:{options.get('port')}"
            for options in all_options
        ]
        return f"redis {', '.join(places)}, database {all_options[0].get('db') or 0}"

    def create(self, folder: Path) -> Facts:
        """Write the snapshots."""
        for number, pool in enumerate(pools()):
            database = pool.connection_kwargs.get("db") or 0
            path = folder / f"server-{number}-database-{database}.rdb"
            try:
                receive_snapshot(pool, path)
            except (redis.RedisError, OSError) as error:
                raise BackupError(f"redis sends no snapshot: {error}") from error
        return {}

    def check(self, folder: Path) -> str:
        """Read the snapshots to their end, and count the keys of all databases. The
        machine may have no memory for a server that holds them."""
        return f"{sum(check_snapshot(path) for path in folder.iterdir())} keys"

    def refuse(self, facts: Facts, folder: Path) -> None:
        """Write one key of each snapshot, and remove it: a server may be down, and does
        not take the keys of a newer version."""
        be_patient()
        redis_store.on_each_server("ping")
        for path in folder.iterdir():
            with loaded(path) as client:
                key = client.randomkey()
                value = client.dump(key) if key is not None else None
            if value is not None:
                try:
                    redis_store.restore(PROBE, 1000, value, replace=True)
                    redis_store.delete(PROBE)
                except redis.ResponseError as error:
                    raise BackupError(
                        f"redis does not take the keys: {error}"
                    ) from error

    def restore(self, folder: Path) -> None:
        """Remove every key of the database, and write those of the snapshots."""
        be_patient()
        try:
            redis_store.on_each_server("flushdb")
            for path in folder.iterdir():
                with loaded(path) as client:
                    copy_keys(client)
        except redis.RedisError as error:
            raise BackupError(
                f"redis: {error}; it does not hold all keys: restore it again"
            ) from error


def pools() -> list[Any]:
    """The connection pool of each server."""
    client = current_app.extensions["redis"]
    if isinstance(client, LazyCluster):
        return [client.get_redis_connection(n).connection_pool for n in primaries()]
    return [client.connection_pool]


def be_patient() -> None:
    """Wait long for replies: one key may be large."""
    for pool in pools():
        pool.connection_kwargs["socket_timeout"] = SILENCE
        pool.disconnect()
        pool.reset()


def primaries() -> list[Any]:
    """The primaries of the cluster."""
    found: list[Any] = redis_store.get_primaries()
    return found


def receive_snapshot(pool: Any, path: Path) -> None:
    """Ask a server for a snapshot, as a replica does (SYNC), and write it to a file.

    :raises RedisError: when the server refuses, or sends less than it has announced.
    """
    connection = pool.connection_class(**pool.connection_kwargs)
    try:
        connection.connect()
        connection.send_command("SYNC")
        # The reply is no reply of the protocol, so it is read from the socket itself.
        stream = connection._sock
        stream.settimeout(SILENCE)
        with stream.makefile("rb") as replies, path.open("wb") as file:
            # Empty lines say that the snapshot is being made.
            head = next((line for line in map(bytes.strip, replies) if line), b"")
            if not head.startswith(b"$") or not head[1:].isdigit():
                said = head.decode(errors="replace")
                raise redis.RedisError(said or "the connection was closed")
            left = int(head[1:])
            while left:
                chunk = replies.read(min(left, CHUNK))
                if not chunk:
                    raise redis.ConnectionError("the snapshot ends too early")
                file.write(chunk)
                left -= len(chunk)
    finally:
        connection.disconnect()


def check_snapshot(path: Path) -> int:
    """The number of keys in a snapshot.

    :raises BackupError: when it is damaged, or of a newer version of Redis.
    """
    # redis-server is this program, too, when it is called by this name.
    command = ["redis-check-rdb", str(path)]
    ran = subprocess.run(
        command, executable=find_server(), capture_output=True, text=True
    )
    found = KEYS_READ.search(ran.stdout)
    if ran.returncode or found is None:
        told = (ran.stdout.strip().splitlines() or ["no output"])[-1]
        raise BackupError(f"{path.name} is damaged: {told}")
    return int(found[1])


@contextmanager
def loaded(path: Path) -> Iterator[redis.Redis]:
    """A client of a server of our own that holds a snapshot.

    :raises BackupError: when the snapshot is damaged, or of a newer version of Redis.
    """
    found = SNAPSHOT.fullmatch(path.name)
    if found is None:
        raise BackupError(f"{path.name} is not a snapshot")
    with tempfile.TemporaryDirectory(prefix="myapp-") as temporary:
        socket, log = f"{temporary}/redis.sock", Path(temporary, "log")
        options = {
            "port": 0,
            "unixsocket": socket,
            "dir": path.parent.resolve(),
            "dbfilename": path.name,
            "save": "",
            "appendonly": "no",
            "daemonize": "no",
        }
        words = [text for name in options for text in (f"--{name}", str(options[name]))]
        with log.open("wb") as output:
            server = subprocess.Popen(
                [find_server(), *words], stdout=output, preexec_fn=die_with_parent
            )
        client = redis.Redis(
            unix_socket_path=socket, db=int(found[2]), retry=Retry(NoBackoff(), 0)
        )
        try:
            wait_for(server, client, path, log)
            yield client
        finally:
            client.close()
            server.kill()
            server.wait()


def die_with_parent() -> None:
    """Let the kernel of Linux end this process when its parent is killed."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def wait_for(
    server: "subprocess.Popen[bytes]", client: redis.Redis, path: Path, log: Path
) -> None:
    """Wait until a server has read its snapshot, which may take long.

    :raises BackupError: when it ends before, with the last line of its log.
    """
    deadline = time.monotonic() + START_TIMEOUT
    while server.poll() is None and time.monotonic() < deadline:
        try:
            client.ping()
            return
        except redis.BusyLoadingError:
            deadline = time.monotonic() + START_TIMEOUT
        except redis.RedisError:
            pass
        time.sleep(0.01)
    told = (log.read_text(errors="replace").strip().splitlines() or ["no log"])[-1]
    raise BackupError(f"{path.name} cannot be loaded: {told}")


def copy_keys(source: redis.Redis) -> None:
    """Write every key of a server into the database of the application."""
    keys: list[bytes] = []
    for key in source.scan_iter(count=KEYS_AT_ONCE):
        keys.append(key)
        if len(keys) == KEYS_AT_ONCE:
            copy(source, keys)
            keys = []
    copy(source, keys)


def copy(source: redis.Redis, keys: list[bytes]) -> None:
    """Write some keys, with the time that they have left to live."""
    reading = source.pipeline(transaction=False)
    for key in keys:
        reading.dump(key)
        reading.pttl(key)
    found = reading.execute()
    writing = redis_store.pipeline(transaction=False)
    for key, value, left in zip(keys, found[::2], found[1::2]):
        # One that expires now is left out; RESTORE would keep it for ever.
        if value is not None and (left == FOREVER or left > 0):
            writing.restore(key, max(left, 0), value, replace=True)
    writing.execute()
