"""Jobs: what a request queues, what workers do with it, and what crons start."""

import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.http.jobs import JOB_SCHEMA, accepted
from myapp.core.jobs import cron, current_job, job, messages, queue, ticks
from myapp.core.jobs.broker import Broker, broker_url
from myapp.core.jobs.job import Job
from myapp.core.jobs.run import run_job
from myapp.core.jobs.table import JOBS, TICKS
from myapp.core.rest.resource import ModelResource
from myapp.core.stores.sql.engine import rows, run_alone
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.transaction import in_transaction
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import NOTES, TICKETS, PlantedNote, PlantedTicket, plant
from myapp.core.testing.server import eventually

RABBITMQ = "amqp://guest@127.0.0.1:5672//"


@job
def note(text: str) -> dict[str, Any]:
    """Write to both stores."""
    current_job().progress(0.5, "half")
    PlantedNote.create({"text": text})
    PlantedTicket.create({"text": text})
    return {"attempt": current_job().attempt}


@job(max_attempts=2)
def fail_with_a_bug() -> None:
    """Write, and fail."""
    PlantedNote.create({"text": "undone"})
    raise ArithmeticError("a secret")


@job
def refuse() -> None:
    """Say that another attempt is of no use."""
    raise Problem("unprocessable", "There is no such film.")


@job(max_attempts=1)
def kill_the_worker() -> None:
    """End the process of the worker."""
    os.kill(os.getpid(), signal.SIGKILL)


@cron("*/5 * * * *", catch_up="all")
@job
def tick() -> None:
    """Do nothing, often."""


# A worker or a scheduler in a process of its own: settings, then which of them.
PROGRAM = """
import json, sys
from myapp import create_app
from myapp.core.jobs import test_jobs
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.scheduler import Scheduler
from myapp.core.testing.planted import plant

app = plant(create_app(json.loads(sys.argv[1])), tables=False)
if sys.argv[2] == "scheduler":
    Scheduler(app).run()
else:
    Broker(app).worker(2, False).start()
"""


@pytest.fixture
def planted(own_app: App) -> App:
    """An application with the planted models, and a route that starts a job."""

    class Start(ModelResource):
        """Starts a job."""

        model = PlantedNote

        @describe({202: JOB_SCHEMA}, errors=(400, 409, 422))
        def post(self) -> Any:
            """Write a note, and start a job."""
            PlantedNote.create({"text": "of the request"})
            return accepted(note.later("of the job"))

    app = plant(own_app)
    # Test processes at the same time share a broker.
    app.config["JOBS_QUEUE"] = f"test-{secrets.token_hex(6)}"
    Start.access = "public"
    app.add_url_rule("/start", view_func=Start.as_view("start"))
    return app


@pytest.fixture
def start(planted: App, tmp_path: Any) -> Iterator[Callable[..., Any]]:
    """A function that starts a worker or a scheduler of this application."""
    names = (SqlStore.setting, "REDIS_URL", "JOBS_QUEUE")
    settings = {name: planted.config[name] for name in names}
    started: list[subprocess.Popen[bytes]] = []

    def begin(kind: str, **more: Any) -> subprocess.Popen[bytes]:
        told = json.dumps({**settings, **more})
        command = [sys.executable, "-c", PROGRAM, told, kind]
        env = {**os.environ, "MYAPP_INSTANCE_PATH": planted.instance_path}
        log = open(tmp_path / "processes.log", "ab")
        started.append(
            subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )
        )
        log.close()
        return started[-1]

    yield begin
    for one in started:
        if one.poll() is None:
            one.terminate()
    for one in started:
        try:
            one.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(one.pid, signal.SIGKILL)
            one.wait()
    if planted.config["JOBS_BROKER_URL"]:
        with Broker(planted).celery.connection_for_write() as connection:
            connection.default_channel.queue_delete(planted.config["JOBS_QUEUE"])


def queued(app: App, kind: Job, *args: Any, **more: Any) -> str:
    """Queue a job outside of requests; return its id."""
    with app.app_context():
        found: str = in_transaction(lambda: kind.later(*args, **more)).id
        return found


def row_of(app: App, id: str) -> Any:
    """The row of a job."""
    with app.app_context():
        return queue.find(id)


def is_over(app: App, id: str) -> Any:
    """The row of a job, when it is over."""
    row = row_of(app, id)
    return row if row.ended_at is not None else None


def run_due(app: App) -> None:
    """Run the jobs that are due, and those that wait for another attempt."""
    with app.app_context():
        run_alone(JOBS.update().values(due_at=queue.now()), None)
        for row in rows(select(JOBS.c.id).where(JOBS.c.state == "queued")):
            run_job(app, row.id)


def texts(app: App, url: str) -> list[str]:
    """The texts of the records."""
    return sorted(one["text"] for one in all_records(app.test_client(), url))


def test_a_job_is_followed_to_its_end(planted: App, start: Any) -> None:
    start("scheduler")
    start("worker")
    client = planted.test_client()
    response = client.post("/start", expect=202)
    place = response.headers["Location"]
    assert place == f"/jobs/{response.json['id']}"
    assert response.json["state"] == "queued"
    assert response.headers["Retry-After"] == "1"

    def ended() -> Any:
        found = client.get(place)
        return found if found.json["state"] == "succeeded" else None

    found = eventually(ended)
    assert found.json["result"] == {"attempt": 1}
    assert found.json["progress"] == {"share": 0.5, "message": "half"}
    assert "Retry-After" not in found.headers
    assert texts(planted, NOTES) == ["of the job", "of the request"]
    assert texts(planted, TICKETS) == ["of the job"]
    ready = client.get("/health/ready").json["jobs"]
    assert ready["ok"] is True and ready["queue_age"] == 0


def test_a_request_that_fails_leaves_no_job(planted: App) -> None:
    client = planted.test_client()
    client.post("/start", expect=202)
    client.post("/start", expect=409)
    with planted.app_context():
        assert len(rows(select(JOBS.c.id))) == 1


def test_a_job_of_a_key_is_queued_once(planted: App) -> None:
    client, headers = planted.test_client(), {"Idempotency-Key": "one"}
    first = client.post("/start", headers=headers, expect=202)
    again = client.post("/start", headers=headers, expect=202)
    assert again.json == first.json
    assert again.headers["Location"] == first.headers["Location"]
    with planted.app_context():
        assert len(rows(select(JOBS.c.id))) == 1


def test_a_job_is_shown_to_those_who_have_started_it(planted: App) -> None:
    id = queued(planted, refuse)
    planted.test_client().get(f"/jobs/{id}", expect=404)
    planted.test_client().get("/jobs/nothing", expect=400)


def test_what_fails_runs_again_and_is_told(
    planted: App, caplog: pytest.LogCaptureFixture
) -> None:
    bug, final = queued(planted, fail_with_a_bug), queued(planted, refuse)
    run_due(planted)
    assert row_of(planted, bug).state == "queued"
    assert row_of(planted, final).state == "failed"
    assert row_of(planted, final).problem["detail"] == "There is no such film."
    run_due(planted)
    row = row_of(planted, bug)
    assert (row.state, row.attempt) == ("failed", 2)
    assert row.problem["status"] == 500 and "secret" not in str(row.problem)
    assert texts(planted, NOTES) == []
    with planted.app_context():
        assert queue.retry(bug) and not queue.retry(bug)
    run_due(planted)
    assert (row_of(planted, bug).state, row_of(planted, bug).attempt) == ("queued", 3)


def test_a_worker_that_was_thought_dead_commits_nothing(planted: App) -> None:
    id = queued(planted, note, "once")

    @job
    def steal() -> None:
        """Let another worker take this job while it runs, then write."""
        past = {"publish_at": queue.now() - timedelta(seconds=1)}
        with ThreadPoolExecutor(1) as pool:
            pool.submit(in_context, lambda: queue.change(stolen, past)).result()
            assert pool.submit(in_context, messages.recover_lost).result() == 1
        PlantedNote.create({"text": "late"})

    def in_context(call: Callable[[], Any]) -> Any:
        with planted.app_context():
            return call()

    stolen = queued(planted, steal)
    run_due(planted)
    assert row_of(planted, id).state == "succeeded"
    assert texts(planted, NOTES) == ["once"]
    assert row_of(planted, stolen).state == "queued"


def test_a_message_that_comes_twice_does_nothing(planted: App) -> None:
    id = queued(planted, note, "once")
    with planted.app_context(), ThreadPoolExecutor(4) as pool:

        def run(_number: int) -> None:
            with planted.app_context():
                run_job(planted, id)

        list(pool.map(run, range(4)))
        run_job(planted, id)
    assert texts(planted, NOTES) == texts(planted, TICKETS) == ["once"]


def test_keys_and_cancelling(planted: App) -> None:
    first = queued(planted, note, "one", key="k", delay=3600)
    assert queued(planted, note, "two", key="k") == first
    with planted.app_context():
        in_transaction(lambda: note.cancel("k"))
    assert row_of(planted, first).state == "cancelled"
    second = queued(planted, note, "two", key="k")
    assert second != first
    with planted.app_context():
        assert queue.cancel(second)
        assert queue.purge(queue.now() + timedelta(seconds=1)) == 2


def test_arguments_are_checked_and_not_told() -> None:
    with pytest.raises(TypeError, match="/text must be"):
        note.check_arguments({"text": 1})
    with pytest.raises(TypeError, match="no JSON"):
        job(with_a_date)


def with_a_date(day: datetime) -> None:
    """A function that cannot be a job."""


def test_a_job_that_no_code_knows_waits(planted: App) -> None:
    id = queued(planted, note, "one")
    with planted.app_context():
        queue.change(id, {"name": "gone.job"})
        run_job(planted, id)
        found = queue.find(id)
        assert found is not None
        assert found.state == "queued" and found.publish_at > queue.now()


def test_eager_jobs_run_after_the_commit(
    planted: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(planted.config, "JOBS_EAGER", True)
    client = planted.test_client()
    response = client.post("/start", expect=202)
    assert client.get(response.headers["Location"]).json["state"] == "succeeded"


@pytest.mark.external
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_a_job_whose_message_is_lost_runs(
    planted: App, start: Any, broker: str
) -> None:
    more = {} if broker == "redis" else {"JOBS_BROKER_URL": RABBITMQ}
    planted.config.update(more)
    id = queued(planted, note, "once")
    start("scheduler", **more)

    def is_sent() -> bool:
        return bool(row_of(planted, id).publish_at > queue.now() + timedelta(minutes=1))

    eventually(is_sent)
    with Broker(planted).celery.connection_for_write() as connection:
        assert connection.default_channel.queue_purge(planted.config["JOBS_QUEUE"])
    start("worker", **more)
    assert eventually(lambda: is_over(planted, id)).state == "succeeded"


@pytest.mark.external
@pytest.mark.parametrize("broker", ["redis", "rabbitmq"])
def test_each_effect_is_made_once_while_workers_are_killed(
    planted: App, start: Any, broker: str
) -> None:
    more = {} if broker == "redis" else {"JOBS_BROKER_URL": RABBITMQ}
    planted.config.update(more)
    count = 100
    for number in range(count):
        queued(planted, note, str(number))
    poison = queued(planted, kill_the_worker)
    start("scheduler", **more)

    def number_of_ended() -> int:
        # The scheduler also starts the jobs of crons, which do not count.
        mine = JOBS.c.name.in_((note.name, kill_the_worker.name))
        over = select(JOBS.c.id).where(mine, JOBS.c.ended_at.is_not(None))
        with planted.app_context():
            return len(rows(over))

    for round in range(6):
        worker = start("worker", **more)
        done = number_of_ended()
        eventually(lambda: number_of_ended() > done or round > 3)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()
    start("worker", **more)
    eventually(lambda: number_of_ended() == count + 1)
    with planted.app_context():
        failed = [row for row in queue.listed(count, "failed", "core.note")]
    assert failed == []
    assert texts(planted, NOTES) == sorted(map(str, range(count)))
    # The scheduler makes what a worker that was killed has left to write.
    eventually(lambda: texts(planted, TICKETS) == sorted(map(str, range(count))))
    assert row_of(planted, poison).state == "failed"


def test_crons_fire_once_however_many_schedulers_run(planted: App) -> None:
    begun = datetime(2026, 3, 1, tzinfo=UTC)
    seen: list[dict[str, datetime]] = [{}, {}, {}]

    def fire(number: int, moment: datetime) -> None:
        with planted.app_context():
            ticks.start_due(seen[number], moment)

    fire(0, begun)
    with ThreadPoolExecutor(3) as pool:
        for minute in range(1, 101):
            moment = begun + timedelta(minutes=minute)
            list(pool.map(fire, range(3), [moment] * 3))
    with planted.app_context():
        jobs = rows(select(JOBS.c.id).where(JOBS.c.name == "core.tick"))
        assert len(jobs) == 20
        in_transaction(ticks.forget_ticks)
        left = rows(select(TICKS.c.tick).where(TICKS.c.name == "core.tick"))
        assert [row.tick for row in left] == [begun + timedelta(minutes=100)]


@pytest.mark.parametrize(
    ("catch_up", "expected"), [("last", 1), ("all", 3), ("none", 0)]
)
def test_missed_ticks(catch_up: Any, expected: int) -> None:
    hourly = ticks.Cron("0 * * * *", "UTC", catch_up)
    after = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
    until = after + timedelta(hours=3)
    assert len(hourly.due(after, until)) == expected


def test_ticks_follow_summer_time() -> None:
    daily = ticks.Cron("30 2 * * *", "Europe/Brussels", "all")
    for month, day in ((3, 29), (10, 25)):
        begun = datetime(2026, month, day, tzinfo=ZoneInfo("Europe/Brussels"))
        assert len(daily.due(begun, begun + timedelta(hours=23))) == 1
    with pytest.raises(ValueError, match="no cron expression"):
        cron("every day")


def test_the_broker_is_no_cluster(planted: App, monkeypatch: Any) -> None:
    monkeypatch.setitem(planted.config, "REDIS_URL", "redis+cluster://127.0.0.1:1")
    with pytest.raises(ConfigError, match="JOBS_BROKER_URL"):
        broker_url(planted)
    monkeypatch.setitem(planted.config, "REDIS_URL", "unix:///nowhere/redis.sock?db=3")
    assert broker_url(planted) == "redis+socket:///nowhere/redis.sock?virtual_host=3"


def test_jobs_on_the_command_line(planted: App) -> None:
    runner = planted.test_cli_runner()

    def call(*words: str) -> str:
        found = runner.invoke(args=["jobs", *words])
        assert found.exit_code == 0, found.output
        return found.output.strip()

    assert call("run", "core.note", "--args", '{"text": "x"}') == '{"attempt":1}'
    later = call("run", "core.note", "--args", '{"text": "y"}', "--later")
    assert later in call("list", "--state", "queued")
    assert "arguments: " in call("show", later)
    assert call("cancel", later).startswith("1 of 1")
    assert call("retry", later).startswith("1 of 1")
    assert call("retry", "--dead").startswith("0 of 0")
    assert call("purge").startswith("1 jobs")
    assert "core.tick" in call("kinds")
    for words in (["run", "no.job"], ["run", "core.note"], ["show", later[:-1]]):
        assert runner.invoke(args=["jobs", *words]).exit_code == 1
