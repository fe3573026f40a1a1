"""``/metrics``: who may read it, and what it counts, in one process and in several."""

import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from myapp import create_app
from myapp.core.access import public
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.http.metric_files import ProcessNumber
from myapp.core.http.response import respond
from myapp.core.jobs.table import JOBS
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.store import close_stores, registered_stores
from myapp.core.testing import Client

TOKEN = "a-token-of-prometheus"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
ROOT = Path(__file__).parents[3]
Samples = Callable[..., float]


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of the counters."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "metrics"))
    monkeypatch.setenv("MYAPP_INSTANCE_PATH", str(tmp_path))
    return tmp_path / "metrics"


@pytest.fixture
def build(redis_url: str, tmp_path: Path) -> Iterator[Callable[..., App]]:
    """A function that builds an application from settings."""
    built: list[App] = []

    def build(**settings: Any) -> App:
        database = f"sqlite:///{tmp_path / 'test.db'}"
        stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url}
        built.append(create_app({**stores, **settings}))
        built[-1].test_client_class = Client
        return built[-1]

    yield build
    for app in built:
        close_stores(app)


@pytest.fixture
def app(build: Callable[..., App]) -> App:
    """An application that counts."""
    app = build(METRICS_TOKEN=TOKEN)
    app.add_url_rule("/fails", view_func=public(fail))
    app.add_url_rule("/writes", view_func=public(write_twice), methods=["POST"])
    return app


def fail() -> None:
    """A view function with a bug."""
    raise RuntimeError("a bug")


def write_twice() -> Any:
    """A view function that commits a transaction of two statements."""
    for _ in range(2):
        sql.session.execute(text("CREATE TABLE IF NOT EXISTS one (id INTEGER)"))
    return respond({})


def samples(app: App) -> Samples:
    """A function that reads a sample from ``/metrics`` now; 0 when it is not there."""
    shown = app.test_client().get("/metrics", headers=BEARER).text
    found = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(shown)
        for sample in family.samples
    }
    return lambda name, **labels: found.get((name, *sorted(labels.items())), 0)


def requests(shown: Samples, route: str, status: int, method: str = "GET") -> float:
    """The number of requests that were counted."""
    labels = {"method": method, "route": route, "status": str(status)}
    return shown("myapp_http_requests_total", **labels)


def test_without_a_token_there_are_no_metrics(build: Callable[..., App]) -> None:
    build().test_client().get("/metrics", expect=404)


@pytest.mark.parametrize(
    "sent",
    ["", f"Basic {TOKEN}", "Bearer", "Bearer ", f"Bearer {TOKEN}x", "Bearer \xe9"],
)
def test_metrics_need_the_token(app: App, sent: str) -> None:
    headers = {"Authorization": sent} if sent else {}
    refused = app.test_client().get("/metrics", headers=headers, expect=401)
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert TOKEN not in refused.text


def test_metrics_are_text_or_openmetrics(app: App) -> None:
    client = app.test_client()
    shown = client.get("/metrics", headers=BEARER)
    assert shown.content_type.startswith("text/plain")
    accepted = {"Accept": "application/openmetrics-text; version=1.0.0"}
    shown = client.get("/metrics", headers=BEARER | accepted)
    assert shown.content_type.startswith("application/openmetrics-text")
    assert shown.text.endswith("# EOF\n")


def test_requests_are_counted_by_route_and_status(app: App) -> None:
    client = app.test_client()
    for _ in range(3):
        client.get("/health/live")
    client.get("/fails", expect=500)
    # Any number of paths and methods makes one time series.
    client.get("/no/such/path", expect=404)
    client.get("/nor/this", expect=404)
    client.open("/health/live", method="BREW", expect=405)
    client.open("/health/live", method="STEEP", expect=405)

    shown = samples(app)
    assert requests(shown, "/health/live", 200) == 3
    assert requests(shown, "/fails", 500) == 1
    assert requests(shown, "none", 404) == 2
    assert requests(shown, "none", 405, "other") == 2
    live = {"method": "GET", "route": "/health/live"}
    assert shown("myapp_http_request_duration_seconds_count", **live) == 3
    assert shown("myapp_http_request_duration_seconds_bucket", le="+Inf", **live) == 3
    # The request that reads them.
    assert shown("myapp_requests_in_progress") == shown("myapp_workers") == 1


def test_the_release_is_told(build: Callable[..., App]) -> None:
    app = build(METRICS_TOKEN=TOKEN, RELEASE="v1.2")
    assert samples(app)("myapp_release_info", release="v1.2") == 1


def counted(app: App, store: str, work: Callable[[], object]) -> float:
    """How many commands to a store are counted while some work is done, without those
    of the looks at the metrics, which count the jobs."""

    def look() -> float:
        name = "myapp_store_command_duration_seconds_count"
        return samples(app)(name, store=store)

    look()
    before = look()
    own = look() - before
    work()
    return look() - before - 2 * own


def test_each_command_to_a_store_is_counted(app: App) -> None:
    def work() -> None:
        with app.app_context():
            sql.session.execute(text("SELECT 1"))
            with pytest.raises(DBAPIError):
                sql.session.execute(text("SELECT nothing"))
            sql.session.rollback()
            redis_store.ping()

    # BEGIN, and the two statements.
    assert counted(app, "database", work) == 3
    assert counted(app, "redis", work) == 1


def test_a_commit_is_counted(app: App) -> None:
    def work() -> None:
        app.test_client().post("/writes", expect=200)

    # BEGIN, two statements and the COMMIT.
    assert counted(app, "database", work) == 4


def test_open_connections_are_told(app: App) -> None:
    def connections() -> float:
        return samples(app)("myapp_store_connections", store="database")

    with app.app_context():
        sql.session.execute(text("SELECT 1"))
        with sql.engine.connect() as connection:
            assert connections() == 2
            connection.invalidate()
        sql.session.remove()
    # One is left of the session, and one of the first look.
    assert connections() == 2
    close_stores(app)
    assert connections() == 0
    close_stores(app)


def count_in_fork(app: App, times: int) -> int:
    """Let a fork of this process answer requests, and die; return its process id."""
    pid = os.fork()
    if not pid:
        try:
            for _ in range(times):
                app.test_client().get("/health/live")
        except BaseException:
            os._exit(1)
        os.kill(os.getpid(), signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return pid


def test_processes_count_together_and_leave_no_files_behind(
    app: App, folder: Path
) -> None:
    app.test_client().get("/health/live")
    for _ in range(5):
        count_in_fork(app, 2)
    shown = samples(app)
    assert requests(shown, "/health/live", 200) == 11
    # The processes that were killed are not counted as running, nor as busy.
    assert shown("myapp_workers") == shown("myapp_requests_in_progress") == 1
    assert len(list(folder.glob("counter_*.db"))) == 2


def test_a_process_takes_the_lowest_number_that_is_free(folder: Path) -> None:
    folder.mkdir()
    first, second = ProcessNumber(folder), ProcessNumber(folder)
    assert (first(), second(), first()) == (0, 1, 0)
    command = f"""if True:
        from pathlib import Path
        from myapp.core.http.metric_files import ProcessNumber
        print(ProcessNumber(Path({str(folder)!r}))())"""
    for _ in range(2):
        ran = subprocess.run([sys.executable, "-c", command], capture_output=True)
        assert ran.stdout == b"2\n", ran.stderr


def test_a_folder_that_is_removed_stops_nothing(app: App, folder: Path) -> None:
    app.test_client().get("/health/live")
    shutil.rmtree(folder)
    app.test_client().get("/health/live")
    count_in_fork(app, 2)
    app.test_client().get("/metrics", headers=BEARER)


NAMES = ["histogram_0.db", "counter_1.db", "histogram_2.db", "note.db", "gauge_5.db"]


@pytest.mark.parametrize("content", [b"", b"\xff" * 70_000, b"\x00\x01" * 9])
def test_files_that_are_damaged_are_left_out(
    build: Callable[..., App], folder: Path, content: bytes
) -> None:
    folder.mkdir()
    folder.joinpath("1.lock").mkdir()
    folder.joinpath("abc.lock").touch()
    for name in NAMES:
        folder.joinpath(name).write_bytes(content)
    app = build(METRICS_TOKEN=TOKEN)
    for _ in range(2):
        count_in_fork(app, 2)
    assert requests(samples(app), "/health/live", 200) == 4


def test_a_full_disk_stops_the_counting_alone(
    build: Callable[..., App], folder: Path
) -> None:
    app = build(METRICS_TOKEN=TOKEN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limits[1]))
    try:
        count_in_fork(app, 2)
        other = build(METRICS_TOKEN=TOKEN)
        other.test_client().get("/health/live")
        refused = other.test_client().get("/metrics", headers=BEARER, expect=503)
        assert "Nothing is counted" in refused.text
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert requests(samples(app), "/health/live", 200) == 0


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"METRICS_TOKEN": "short"}, "METRICS_TOKEN must have at least 16 characters"),
        ({"METRICS_TOKEN": TOKEN}, None),
    ],
)
def test_a_weak_token_is_refused_in_production(
    build: Callable[..., App], settings: dict[str, str], said: str | None
) -> None:
    secret = "abcdefghijklmnopqrstuvwxyz0123456789"
    if said is None:
        build(ENV="production", SECRET_KEY=secret, **settings)
        return
    with pytest.raises(ConfigError, match=said):
        build(ENV="production", SECRET_KEY=secret, **settings)


def test_a_folder_that_cannot_be_made_is_one_line(
    build: Callable[..., App], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    tmp_path.joinpath("file").touch()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path / "file" / "metrics"))
    with pytest.raises(ConfigError, match="the metrics cannot be made: Not a dir"):
        build(METRICS_TOKEN=TOKEN)


def test_the_dashboard_and_the_alerts_name_metrics_that_exist(app: App) -> None:
    with app.app_context():
        JOBS.create(sql.engine)
        for store in registered_stores():
            store.ping()
    app.test_client().get("/fails", expect=500)
    shown = app.test_client().get("/metrics", headers=BEARER).text
    monitoring = ROOT / "deploy" / "monitoring"
    files = "\n".join(path.read_text() for path in monitoring.iterdir())
    named = set(re.findall(r"\bmyapp_\w+", files))
    assert len(named) > 5
    assert [name for name in sorted(named) if f"\n{name}" not in shown] == []
