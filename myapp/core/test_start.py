"""The start of the application: ``flask dev``, uWSGI, and the choice of redis-server.

Each test runs a copy of the tree, so that it can change files and leaves nothing in
the instance folder of this tree.
"""

import json
import os
import signal
import string
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from myapp.core.testing.server import (
    DEADLINE,
    Server,
    eventually,
    free_port,
    is_running,
)
from myapp.core.testing.signing import make_user, sign_in

BIN = Path(sys.executable).parent
PAGE = 20
# The number of demo records in each list, if its feature is mounted.
DEMO = {"/catalog/movies/": 51}


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
    assert f"port {server.port} is in use; take another one" in told.stderr
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
    make_user(tree, environment)
    headers = {"Content-Type": "application/json", "Idempotency-Key": "one"}
    headers |= sign_in(server.base)
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
