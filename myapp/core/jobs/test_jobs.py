"""Jobs: what a request queues, what workers do with it, and what crons start."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from myapp.core.errors.problem import Problem
from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.jobs import cron, job, messages, queue, ticks
from myapp.core.jobs.broker import broker_url
from myapp.core.jobs.run import run_job
from myapp.core.jobs.table import JOBS, TICKS
from myapp.core.stores.sql.engine import rows
from myapp.core.stores.sql.faults import is_deadlock
from myapp.core.stores.transaction import in_transaction
from myapp.core.testing.jobs import run_jobs
from myapp.core.testing.planted import NOTES, TICKETS, PlantedNote
from myapp.core.testing.planted_jobs import (
    JobProcesses,
    note,
    plant_jobs,
    queued,
    row_of,
    texts,
    tick,
)
from myapp.core.testing.server import eventually


@job(max_attempts=2)
def fail_with_a_bug() -> None:
    """Write, and fail."""
    PlantedNote.create({"text": "undone"})
    raise ArithmeticError("a secret")


@job
def refuse() -> None:
    """Say that another attempt is of no use."""
    raise Problem("unprocessable", "There is no such film.")


@pytest.fixture
def planted(own_app: App) -> App:
    """An application with the planted models, and a route that starts a job."""
    return plant_jobs(own_app)


@pytest.fixture
def start(planted: App, tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that starts a worker or a scheduler of this application."""
    with JobProcesses(planted, tmp_path / "processes.log") as processes:
        yield processes.start


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
    run_jobs(planted)
    assert row_of(planted, bug).state == "queued"
    assert row_of(planted, final).state == "failed"
    assert row_of(planted, final).problem["detail"] == "There is no such film."
    run_jobs(planted)
    row = row_of(planted, bug)
    assert (row.state, row.attempt) == ("failed", 2)
    assert row.problem["status"] == 500 and "secret" not in str(row.problem)
    assert texts(planted, NOTES) == []
    with planted.app_context():
        assert queue.retry(bug) and not queue.retry(bug)
    run_jobs(planted)
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
    run_jobs(planted)
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


def test_a_key_is_that_of_one_job_while_others_cancel_it(planted: App) -> None:
    def act(number: int) -> None:
        with planted.app_context():
            try:
                if number % 3:
                    in_transaction(lambda: note.later("x", key="k", delay=3600))
                else:
                    in_transaction(lambda: note.cancel("k"))
            except OperationalError as error:
                # Too many deadlocks: a 503, after which a client tries again.
                assert is_deadlock(error)
                act(number)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(act, range(120)))
    with planted.app_context():
        left = queue.listed(999, "queued", note.name)
        assert len(left) <= 1 and all(row.unique_key for row in left)
        in_transaction(lambda: note.cancel("k"))
        assert queue.listed(999, "queued", note.name) == []


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
        jobs = rows(select(JOBS.c.id).where(JOBS.c.name == tick.name))
        assert len(jobs) == 20
        in_transaction(ticks.forget_ticks)
        left = rows(select(TICKS.c.tick).where(TICKS.c.name == tick.name))
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
    assert call("purge", "--days", "0").startswith("1 jobs")
    assert "core.tick" in call("kinds")
    for words in (["run", "no.job"], ["run", "core.note"], ["show", later[:-1]]):
        assert runner.invoke(args=["jobs", *words]).exit_code == 1
