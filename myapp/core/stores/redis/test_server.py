"""The embedded redis-server: shared, supervised, and ended with its last user."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from myapp.core.stores.redis import server as embedded
from myapp.core.testing.server import eventually

DEADLINE = 20.0
PATH = os.environ["PATH"]
PROC = Path("/proc")
# Imports once, then forks a process for each line that it reads. The process uses the
# server, prints its URL or the error, and waits for a signal; SIGTERM ends it normally.
LAUNCHER = """
import contextlib, json, os, signal, sys
from pathlib import Path
from myapp.core.stores.redis import server as embedded

def use(settings):
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    os.setsid()
    os.environ["PATH"] = settings["path"]
    embedded.START_TIMEOUT = settings["timeout"]
    answer = {"pid": os.getpid()}
    try:
        answer["url"] = embedded.ensure_redis(Path(settings["folder"]))
    except embedded.ConfigError as error:
        answer["error"] = str(error)
    print(json.dumps(answer), flush=True)
    if "url" in answer:
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    sys.exit()

signal.signal(signal.SIGCHLD, signal.SIG_IGN)
for line in sys.stdin:
    if os.fork() == 0:
        use(json.loads(line))
"""
# A program that ends on SIGTERM, as redis-server does, but does not listen.
DEAF_SERVER = """#!{python} -S
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_DFL)
open("{pid}", "w").write(str(os.getpid()))
signal.pause()
"""


class Users:
    """Starts and ends processes that use the server of a folder."""

    def __init__(self, launcher: subprocess.Popen[str]) -> None:
        self.launcher = launcher
        self.started: list[int] = []

    def call(self, folder: Path, path: str = PATH, timeout: float = DEADLINE) -> None:
        """Request one more process."""
        settings = {"folder": str(folder), "path": path, "timeout": timeout}
        assert self.launcher.stdin
        self.launcher.stdin.write(json.dumps(settings) + "\n")
        self.launcher.stdin.flush()

    def answer(self) -> Any:
        """Wait for the next process: its ``pid``, and its ``url`` or its ``error``."""
        assert self.launcher.stdout
        found = SimpleNamespace(**json.loads(self.launcher.stdout.readline()))
        self.started.append(found.pid)
        return found

    def start(self, folder: Path, **settings: Any) -> Any:
        """Start a process and wait for it."""
        self.call(folder, **settings)
        return self.answer()

    def end(self, pid: int, number: int) -> None:
        """Send a signal to the process group of a process, as a terminal does."""
        self.started.remove(pid)
        os.killpg(pid, number)


@pytest.fixture(scope="module")
def launcher() -> Iterator[subprocess.Popen[str]]:
    """The process that starts the users."""
    command = [sys.executable, "-c", LAUNCHER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        yield process


@pytest.fixture
def users(launcher: subprocess.Popen[str]) -> Iterator[Users]:
    """Users of a server; the ones that still run after a test are ended."""
    users = Users(launcher)
    yield users
    for pid in list(users.started):
        if is_running(pid):
            users.end(pid, signal.SIGKILL)


def state_and_parent(pid: int) -> tuple[str, int]:
    """The state letter of a process, and its parent; ``Z`` without a process."""
    if PROC.exists():
        try:
            text = PROC.joinpath(str(pid), "stat").read_text().rpartition(")")[2]
        except OSError:
            text = ""
    else:
        command = ["ps", "-o", "stat=,ppid=", "-p", str(pid)]
        text = subprocess.run(command, stdout=subprocess.PIPE, text=True).stdout
    state, parent = (text.split() or ["Z", "0"])[:2]
    return state[0], int(parent)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie."""
    return state_and_parent(pid)[0] != "Z"


def ask(url: str, *command: str) -> Any:
    """Send one command on a new connection."""
    options: Any = {"decode_responses": True, "retry": Retry(NoBackoff(), 0)}
    with redis.Redis.from_url(url, **options) as client:
        return client.execute_command(*command)


def server_of(url: str) -> int:
    """The process id of the server at a URL."""
    return int(ask(url, "INFO", "server")["process_id"])


def server_after(url: str, killed: int) -> int | None:
    """The process id of the server that replaced a killed one, if it has started."""
    try:
        pid = server_of(url)
    except redis.ConnectionError:
        return None
    return pid if pid != killed else None


def wait_for_end(*pids: int) -> None:
    """Wait until none of these processes is running."""
    eventually(lambda: not any(is_running(pid) for pid in pids))


def test_the_server_is_closed_to_others_and_has_no_port(
    users: Users, tmp_path: Path
) -> None:
    url = users.start(tmp_path).url
    assert url.startswith("unix://")
    assert ask(url, "CONFIG", "GET", "port") == {"port": "0"}
    assert ask(url, "CONFIG", "GET", "appendonly") == {"appendonly": "yes"}
    socket = Path(url.removeprefix("unix://"))
    assert socket.parent.stat().st_mode & 0o077 == 0
    assert socket.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda n: n.name
)
def test_the_server_is_shared_ends_with_its_last_user_and_keeps_its_data(
    users: Users, tmp_path: Path, number: int
) -> None:
    first, second = users.start(tmp_path), users.start(tmp_path)
    assert first.url == second.url
    server = server_of(first.url)
    keeper = state_and_parent(server)[1]
    ask(first.url, "SET", "film", "Playtime")

    users.end(first.pid, number)
    wait_for_end(first.pid)
    assert server_of(second.url) == server
    users.end(second.pid, number)
    wait_for_end(second.pid, server, keeper)
    assert not Path(first.url.removeprefix("unix://")).exists()

    third = users.start(tmp_path)
    assert server_of(third.url) != server
    assert ask(third.url, "GET", "film") == "Playtime"


def test_users_that_start_at_the_same_time_share_one_server(
    users: Users, tmp_path: Path
) -> None:
    for _ in range(4):
        users.call(tmp_path)
    assert len({users.answer().url for _ in range(4)}) == 1
    log = tmp_path.joinpath("redis", "redis.log").read_text()
    assert log.count("Redis is starting") == 1


def test_a_server_that_is_killed_is_started_again_with_its_data(
    users: Users, tmp_path: Path
) -> None:
    url = users.start(tmp_path).url
    ask(url, "SET", "film", "Playtime")
    server = server_of(url)
    os.kill(server, signal.SIGKILL)
    eventually(lambda: server_after(url, server))
    assert ask(url, "GET", "film") == "Playtime"


def test_a_server_that_lost_its_keeper_gets_another(
    users: Users, tmp_path: Path
) -> None:
    first = users.start(tmp_path)
    ask(first.url, "SET", "film", "Playtime")
    orphan = server_of(first.url)
    keeper = state_and_parent(orphan)[1]
    os.kill(keeper, signal.SIGKILL)
    wait_for_end(keeper)
    second = users.start(tmp_path)
    server = server_of(second.url)
    assert server != orphan
    assert ask(second.url, "GET", "film") == "Playtime"
    for user in (first, second):
        users.end(user.pid, signal.SIGKILL)
    wait_for_end(orphan, server)


def test_a_start_works_after_everything_was_killed(
    users: Users, tmp_path: Path
) -> None:
    user = users.start(tmp_path)
    ask(user.url, "SET", "film", "Playtime")
    server = server_of(user.url)
    keeper = state_and_parent(server)[1]
    # The keeper is killed first, because it would start the server again.
    os.kill(keeper, signal.SIGKILL)
    os.kill(server, signal.SIGKILL)
    users.end(user.pid, signal.SIGKILL)
    wait_for_end(keeper, server, user.pid)
    assert Path(user.url.removeprefix("unix://")).is_socket()

    again = users.start(tmp_path)
    assert server_of(again.url) != server
    assert ask(again.url, "GET", "film") == "Playtime"


def test_a_server_that_never_answers_is_an_error_and_is_ended(
    users: Users, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    program = tmp_path / "redis-server"
    program.write_text(DEAF_SERVER.format(python=sys.executable, pid=pid))
    program.chmod(0o700)
    user = users.start(tmp_path, path=str(tmp_path), timeout=0.5)
    assert user.error == f"redis-server did not start; see {tmp_path}/redis/redis.log"
    server = int(eventually(lambda: pid.exists() and pid.read_text()))
    try:
        wait_for_end(user.pid, server)
    finally:
        if is_running(server):
            os.kill(server, signal.SIGKILL)


def test_a_very_long_path_works(users: Users, tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / ("longer" * 20)
    user = users.start(folder)
    assert len(user.url.removeprefix("unix://")) <= embedded.MAX_SOCKET_PATH
    assert ask(user.url, "CONFIG", "GET", "dir") == {"dir": str(folder / "redis")}
    assert users.start(folder).url == user.url
    assert users.start(tmp_path / "other" / ("long" * 40)).url != user.url


@pytest.mark.external
def test_the_fetched_server_serves_where_path_has_none(
    users: Users, tmp_path: Path
) -> None:
    url = users.start(tmp_path, path=str(tmp_path)).url
    assert "myapp/redis-server-" in ask(url, "INFO", "server")["executable"]
