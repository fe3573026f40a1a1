"""Jobs while workers and schedulers are killed, and servers are down: each effect once,
with real processes on real brokers.
"""

import pickle
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine import make_url

from myapp.core.http.app import App
from myapp.core.jobs import queue
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.table import JOBS, TICKS
from myapp.core.stores.sql.engine import rows
from myapp.core.stores.sql.store import SqlStore
from myapp.core.testing.planted import NOTES, TICKETS
from myapp.core.testing.planted_jobs import (
    RABBITMQ,
    JobProcesses,
    count_ended,
    is_over,
    kill_the_worker,
    note,
    plant_jobs,
    queued,
    row_of,
    texts,
    tick,
)
from myapp.core.testing.proxy import Proxy
from myapp.core.testing.server import eventually

pytestmark = pytest.mark.external
# Seconds that the broker is down.
DOWN = 10.0


@pytest.fixture
def planted(own_app: App) -> App:
    """An application with the planted models, and a route that starts a job."""
    return plant_jobs(own_app)


@pytest.fixture
def processes(planted: App, tmp_path: Path) -> Iterator[JobProcesses]:
    """Workers and schedulers of this application."""
    with JobProcesses(planted, tmp_path / "processes.log") as found:
        yield found


@pytest.fixture
def broker(servers: list[str]) -> str:
    """The broker beside a database: RabbitMQ with PostgreSQL, or else Redis."""
    return "rabbitmq" if servers[0].startswith("postgresql") else "redis"


def use_broker(app: App, broker: str) -> None:
    """Take Redis or RabbitMQ."""
    app.config["JOBS_BROKER_URL"] = RABBITMQ if broker == "rabbitmq" else ""


def check_all_once(app: App, expected: list[str]) -> None:
    """Check that each job has written to both stores, once."""
    eventually(lambda: count_ended(app, note) == len(expected))
    with app.app_context():
        assert queue.listed(len(expected), "failed", note.name) == []
    assert texts(app, NOTES) == sorted(expected)
    # The scheduler makes what a worker that was killed has left to write.
    eventually(lambda: texts(app, TICKETS) == sorted(expected))


def test_a_job_whose_message_is_lost_runs(
    planted: App, processes: JobProcesses, broker: str
) -> None:
    use_broker(planted, broker)
    id = queued(planted, note, "once")
    processes.start("scheduler")
    eventually(lambda: is_sent(planted, id))
    with Broker(planted).celery.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(planted.config["JOBS_QUEUE"])
    processes.start("worker")
    assert eventually(lambda: is_over(planted, id)).state == "succeeded"


def is_sent(app: App, id: str) -> bool:
    """Whether a message was sent for a job: the next one is a while off."""
    return bool((row_of(app, id).publish_at - queue.now()).total_seconds() > 60)


def test_each_effect_is_made_once_while_workers_are_killed(
    planted: App, processes: JobProcesses, broker: str
) -> None:
    use_broker(planted, broker)
    expected = [str(number) for number in range(100)]
    for text in expected:
        queued(planted, note, text)
    poison = queued(planted, kill_the_worker)
    processes.start("scheduler")
    for round in range(6):
        worker = processes.start("worker")
        done = count_ended(planted, note, kill_the_worker)
        eventually(
            lambda: count_ended(planted, note, kill_the_worker) > done or round > 3
        )
        processes.kill(worker)
    processes.start("worker")
    check_all_once(planted, expected)
    assert eventually(lambda: is_over(planted, poison)).state == "failed"


def test_each_effect_is_made_once_while_schedulers_are_killed(
    planted: App, processes: JobProcesses, broker: str
) -> None:
    use_broker(planted, broker)
    processes.start("worker")
    pair = [processes.start("scheduler") for _ in range(2)]
    expected: list[str] = []
    for round in range(6):
        for _ in range(20):
            expected.append(str(len(expected)))
            queued(planted, note, expected[-1])
        # In the midst of what it does, sooner or later.
        done, wanted = count_ended(planted, note), 4 * round
        eventually(lambda: count_ended(planted, note) >= done + wanted)
        processes.kill(pair.pop(0))
        pair.append(processes.start("scheduler"))
    check_all_once(planted, expected)


def test_jobs_wait_while_the_broker_is_down(
    planted: App, processes: JobProcesses, broker: str
) -> None:
    use_broker(planted, broker)
    url = make_url(RABBITMQ if broker == "rabbitmq" else planted.config["REDIS_URL"])
    if url.host is None:
        pytest.skip("this Redis has no port")
    client = planted.test_client()
    with Proxy(url.host, url.port or 6379) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(False)
        for kind in ("scheduler", "worker"):
            processes.start(kind, JOBS_BROKER_URL=through)
        first = client.post("/start", expect=202).headers["Location"]
        eventually(lambda: client.get(first).json["state"] == "succeeded")
        proxy.lose = lambda reply: True
        proxy.cut()
        expected = [str(number) for number in range(20)]
        begun = time.monotonic()
        for text in expected:
            queued(planted, note, text)
        ready = eventually(
            lambda: [
                one
                for one in [client.get("/health/ready").json["jobs"]]
                if not one["ok"]
            ]
        )
        assert ready[0]["queue_age"] >= 0
        time.sleep(max(0.0, DOWN - (time.monotonic() - begun)))
        assert count_ended(planted, note) == 1
        proxy.lose = lambda reply: False
        eventually(lambda: count_ended(planted, note) == 21)
        assert texts(planted, TICKETS) == sorted(["of the job", *expected])
        eventually(lambda: client.get("/health/ready").json["jobs"]["ok"])


def test_jobs_go_on_when_the_database_was_down(
    planted: App, processes: JobProcesses
) -> None:
    url = make_url(planted.config[SqlStore.setting])
    if url.host is None:
        pytest.skip("SQLite has no server")
    expected = [str(number) for number in range(60)]
    for text in expected:
        queued(planted, note, text)
    port = 5432 if url.drivername.startswith("postgresql") else 3306
    with Proxy(url.host, url.port or port) as proxy:
        through = url.set(host="127.0.0.1", port=proxy.port).render_as_string(False)
        for kind in ("scheduler", "worker"):
            processes.start(kind, **{SqlStore.setting: through})
        for round in range(2):
            eventually(lambda: count_ended(planted, note) >= 10 * (round + 1))
            proxy.lose = lambda reply: True
            proxy.cut()
            time.sleep(3)
            proxy.lose = lambda reply: False
        check_all_once(planted, expected)


def test_each_tick_starts_one_job_while_schedulers_are_killed(
    planted: App, processes: JobProcesses
) -> None:
    clock = time.time()
    started = [processes.start("scheduler", clock) for _ in range(3)]

    def fired() -> list[Any]:
        with planted.app_context():
            mine = select(TICKS.c.tick).where(TICKS.c.name == tick.name)
            return [row.tick for row in rows(mine.order_by(TICKS.c.tick))]

    for wanted in range(5, 25, 4):
        eventually(lambda: len(fired()) >= wanted)
        processes.kill(started.pop(0))
        started.append(processes.start("scheduler", clock))
    for one in started:
        one.send_signal(signal.SIGTERM)
        one.wait()
    # The first one is when the cron was seen first, and started no job.
    moments = fired()[1:]
    gaps = {(b - a).total_seconds() for a, b in zip(moments, moments[1:])}
    assert gaps == {300.0}
    with planted.app_context():
        jobs = rows(select(JOBS.c.id).where(JOBS.c.name == tick.name))
    assert len(jobs) == len(moments) >= 20


def test_a_worker_takes_ids_in_json_alone(
    planted: App, processes: JobProcesses, broker: str, tmp_path: Path
) -> None:
    use_broker(planted, broker)
    planted_file = tmp_path / "planted"
    body = pickle.dumps(Touch(planted_file))
    celery = Broker(planted).celery
    with celery.producer_or_acquire() as producer:
        for kind in ("application/x-python-serialize", "application/json"):
            producer.publish(
                body,
                routing_key=planted.config["JOBS_QUEUE"],
                declare=[Broker(planted).queue],
                content_type=kind,
                content_encoding="binary",
                headers={"task": "myapp.run", "id": "1", "lang": "py"},
            )
    celery.close()
    processes.start("scheduler")
    processes.start("worker", ENV="development")
    id = queued(planted, note, "a-secret-argument")
    assert eventually(lambda: is_over(planted, id)).state == "succeeded"
    assert not planted_file.exists()
    # The line is written after the commit.
    eventually(lambda: f"job core.note {id} succeeded" in processes.log.read_text())
    log = processes.log.read_text()
    assert "Refusing to deserialize" in log
    assert "a-secret-argument" not in log
    # Celery makes no queues of its own for messages with a delay.
    assert "delayed delivery" not in log


class Touch:
    """A pickle that makes a file when it is read."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return open, (str(self.path), "w")
