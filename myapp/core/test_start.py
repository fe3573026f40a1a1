"""The start of the application: ``flask dev``, uWSGI, and the choice of redis-server.

Each test runs a copy of the tree, so that it can change files and leaves nothing in
the instance folder of this tree.
"""

import json
import os
import shutil
import signal
import socket
import string
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import redis

from myapp.core.stores.redis import server as embedded

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
DEADLINE = 60.0
PAGE = 20
# The number of demo records in each list, if its feature is mounted.
DEMO = {"/catalog/movies/": 51, "/carts/": 3}
NOT_COPIED = shutil.ignore_patterns("instance", "bench", ".git", ".venv", ".*_cache")


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
        path = str(embedded.socket_path(self.instance / "redis"))
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


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A function that starts a server in a copy of the tree, and ends it at the end."""
    tree = tmp_path / "tree"
    shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
    tree.joinpath("instance").mkdir()
    started: list[Server] = []

    def serve(*command: str, **settings: Any) -> Server:
        started.append(Server(tree, *command, **settings))
        return started[-1]

    yield serve
    for server in started:
        if server.process.poll() is None:
            server.signal_all(signal.SIGKILL)


def count_all(server: Server, path: str) -> int:
    """The number of records on all pages of a list."""
    page = server.get(path)
    count = len(page["items"])
    while page["next"]:
        assert len(page["items"]) == PAGE
        page = server.get(f"{path}?cursor={page['next']}")
        count += len(page["items"])
    return count


def test_the_server_for_development_shows_data_reloads_and_ends_with_ctrl_c(
    serve: Callable[..., Server],
) -> None:
    server = serve(sys.executable, "-m", "flask", "dev")
    features = server.wait_for("/")["features"]
    output = server.log.read_text()
    assert features
    for feature in features:
        assert f"{server.base}{feature['docs']}\n" in output
    assert f"{server.base}/health/ready\n" in output
    mounted = tuple(feature["url"] for feature in features)
    for path in filter(lambda path: path.startswith(mounted), DEMO):
        assert count_all(server, path) == DEMO[path]

    redis_pid = server.redis_pid()
    # A change that a client can see: one more page.
    with server.tree.joinpath("myapp", "core", "errors", "kinds.py").open("a") as file:
        file.write('\nKINDS["after-reload"] = KINDS["gone"]\n')
    server.wait_for("/problems/after-reload")
    assert server.get("/health/ready")["status"] == "ok"
    assert server.redis_pid() == redis_pid
    assert "Traceback" not in server.log.read_text()

    # A mistake is told to the client and in the terminal; the server goes on after it.
    code = server.tree.joinpath("myapp", "core", "errors", "startup.py")
    right = code.read_text()
    code.write_text(f"{right}\nthis goes wrong\n")
    problem = eventually(lambda: server.problem("/catalog/movies/"))
    assert problem["title"] == "The code has an error"
    assert problem["detail"] == "SyntaxError: invalid syntax"
    assert any("this goes wrong" in line for line in problem["traceback"])
    assert "SyntaxError" in server.log.read_text()
    code.write_text(right)
    assert server.wait_for("/health/ready")["status"] == "ok"

    again = [sys.executable, "-m", "flask", "dev"]
    told = subprocess.run(
        again, cwd=server.tree, env=server.env, capture_output=True, text=True
    )
    assert told.returncode == 1
    assert f"Port {server.port} is in use" in told.stderr
    assert "/docs" not in told.stdout

    server.signal_all(signal.SIGINT)
    eventually(lambda: not is_running(redis_pid))
    assert server.get("/health/live") is None


def test_uwsgi_serves_in_production_starts_after_a_kill_and_ends_with_sigterm(
    serve: Callable[..., Server],
) -> None:
    command = [str(BIN / "uwsgi"), "--ini", "myapp.ini"]
    secret = string.ascii_letters
    server = serve(*command, MYAPP_ENV="production", MYAPP_SECRET_KEY=secret)
    assert server.wait_for("/health/ready")["status"] == "ok"
    redis_pid = server.redis_pid()
    server.signal_all(signal.SIGKILL)
    eventually(lambda: not is_running(redis_pid))

    server.start()
    checks = server.wait_for("/health/ready")["checks"]
    assert checks["database"]["ok"] and checks["redis"]["ok"]
    output = server.log.read_text()
    lines = [json.loads(line) for line in output.splitlines() if line[:1] == "{"]
    assert [line["path"] for line in lines] == ["/health/ready"]
    assert secret not in output and "Traceback" not in output

    redis_pid = server.redis_pid()
    server.process.terminate()
    assert server.process.wait(DEADLINE) == 0
    eventually(lambda: not is_running(redis_pid))
    assert server.get("/health/live") is None
    left = [path.name for path in server.instance.rglob("*.sock")]
    assert left == []


SLOW = """
import time

inner = app.wsgi_app


def slow(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        open("began", "w").close()
        time.sleep(2)
    return inner(environ, start_response)


app.wsgi_app = slow
"""


def test_sigterm_lets_a_running_request_end(
    serve: Callable[..., Server], tmp_path: Path
) -> None:
    with tmp_path.joinpath("tree", "wsgi.py").open("a") as file:
        file.write(SLOW)
    command = [str(BIN / "uwsgi"), "--ini", "myapp.ini"]
    settings = {"MYAPP_SECRET_KEY": string.ascii_letters, "WEB_CONCURRENCY": "2"}
    server = serve(*command, MYAPP_ENV="production", **settings)
    server.wait_for("/health/live")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(server.problem, "/slow")
        eventually((tmp_path / "tree" / "began").exists)
        server.process.terminate()
        problem = slow.result()
    assert problem["status"] == 404
    assert server.process.wait(DEADLINE) == 0


# Commands of other servers; {} is the port.
SERVERS = {
    "gunicorn": "gunicorn --worker-class gthread --threads 4 --workers 2 "
    "--bind 127.0.0.1:{} wsgi:app",
    "granian": "granian --interface wsgi --workers 2 --port {} wsgi:app",
}


@pytest.mark.external
@pytest.mark.parametrize("name", SERVERS)
def test_another_server_serves_the_same_application(
    serve: Callable[..., Server], tmp_path: Path, name: str
) -> None:
    # Neither upgrades the database, nor does uWSGI.
    tree = tmp_path / "tree"
    settings = {"MYAPP_ENV": "production", "MYAPP_SECRET_KEY": string.ascii_letters}
    upgrade = [sys.executable, "-m", "flask", "db", "upgrade"]
    environment = {**os.environ, **settings, "MYAPP_INSTANCE_PATH": f"{tree}/instance"}
    subprocess.run(upgrade, cwd=tree, env=environment, check=True, capture_output=True)
    port = free_port()
    program, *arguments = SERVERS[name].format(port).split()
    server = serve(str(BIN / program), *arguments, port=port, **settings)
    checks = server.wait_for("/health/ready")["checks"]
    assert checks["database"]["ok"] and checks["redis"]["ok"]
    body = json.dumps({"items": []}).encode()
    headers = {"Content-Type": "application/json", "Idempotency-Key": "one"}
    sent = urllib.request.Request(f"{server.base}/carts/", body, headers)
    answers = []
    for _ in range(2):
        with urllib.request.urlopen(sent, timeout=DEADLINE) as answer:
            assert answer.status == 201
            answers.append(answer.read())
    assert answers[0] == answers[1]
    assert server.get("/catalog/movies/")["items"] == []
    assert "Traceback" not in server.log.read_text()


def test_the_workers_of_uwsgi_count_together_and_a_new_one_goes_on(
    serve: Callable[..., Server],
) -> None:
    command = [str(BIN / "uwsgi"), "--ini", "myapp.ini"]
    settings = {"MYAPP_SECRET_KEY": string.ascii_letters, "WEB_CONCURRENCY": "2"}
    token = {"MYAPP_METRICS_TOKEN": "a-token-of-prometheus"}
    server = serve(*command, MYAPP_ENV="production", **settings, **token)
    server.wait_for("/health/live")

    def shown() -> str:
        headers = {"Authorization": f"Bearer {token['MYAPP_METRICS_TOKEN']}"}
        asked = urllib.request.Request(f"{server.base}/metrics", headers=headers)
        with urllib.request.urlopen(asked, timeout=DEADLINE) as answer:
            return str(answer.read().decode())

    def counted() -> float:
        name = 'myapp_http_requests_total{method="GET",route="/",status="200"} '
        return float(shown().partition(name)[2].split()[0])

    def ask(times: int) -> None:
        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(server.get, ["/"] * times))

    ask(40)
    eventually(lambda: ask(4) or "myapp_workers 2.0" in shown())
    before = counted()
    pid = server.process.pid
    workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    commands = {one: Path(f"/proc/{one}/comm").read_text() for one in workers}
    killed = next(int(one) for one in workers if "uwsgi" in commands[one])
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: "Respawned" in server.log.read_text())
    ask(40)
    assert counted() == before + 40
    eventually(lambda: ask(4) or "myapp_workers 2.0" in shown())
    files = list(server.instance.joinpath("metrics").glob("counter_*.db"))
    # Those of the master, and of two workers; not one for each process that has lived.
    assert len(files) <= 3
