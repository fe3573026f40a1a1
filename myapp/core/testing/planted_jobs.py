"""Jobs of the planted feature, and the processes that run them in a test."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

from sqlalchemy import select

from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.http.jobs import JOB_SCHEMA, accepted
from myapp.core.jobs import cron, current_job, job, queue
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.job import Job
from myapp.core.jobs.table import JOBS
from myapp.core.rest.resource import ModelResource
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.sql.engine import rows
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.transaction import in_transaction
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import PlantedNote, PlantedTicket, plant

RABBITMQ = "amqp://guest@127.0.0.1:5672//"
# Seconds that a process has to end.
TO_END = 20
# How much faster a fast clock is, and when it begins.
FASTER, FAST_BEGIN = 600, datetime(2026, 3, 1, tzinfo=UTC)
# A worker or a scheduler: settings, which of them, and when its fast clock was started.
PROGRAM = """
import json, sys
from myapp import create_app
from myapp.core.jobs import queue
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.scheduler import Scheduler
from myapp.core.testing.planted import plant
from myapp.core.testing.planted_jobs import fast_clock

app = plant(create_app(json.loads(sys.argv[1])), tables=False)
if float(sys.argv[3]):
    queue.now = fast_clock(float(sys.argv[3]))
if sys.argv[2] == "scheduler":
    Scheduler(app).run()
else:
    Broker(app).worker(2, False).start()
"""


@job
def note(text: str) -> dict[str, Any]:
    """Write to both stores."""
    current_job().progress(0.5, "half")
    PlantedNote.create({"text": text})
    PlantedTicket.create({"text": text})
    return {"attempt": current_job().attempt}


@job(max_attempts=1)
def kill_the_worker() -> None:
    """End the process of the worker."""
    os.kill(os.getpid(), signal.SIGKILL)


@cron("*/5 * * * *", catch_up="all")
@job
def tick() -> None:
    """Do nothing, often."""


def fast_clock(started: float) -> Any:
    """A clock that runs faster, and is the same in each process.

    :param started: the time at which it begins, as of ``time.time``.
    """
    return lambda: FAST_BEGIN + timedelta(seconds=(time.time() - started) * FASTER)


def plant_jobs(app: App) -> App:
    """Plant the models, and a route that starts a job."""

    class Start(ModelResource):
        """Starts a job."""

        model = PlantedNote

        @describe({202: JOB_SCHEMA}, errors=(400, 409, 422))
        def post(self) -> Any:
            """Write a note, and start a job."""
            PlantedNote.create({"text": "of the request"})
            return accepted(note.later("of the job"))

    plant(app)
    # Test processes at the same time share a broker.
    app.config["JOBS_QUEUE"] = f"test-{secrets.token_hex(6)}"
    Start.access = "public"
    app.add_url_rule("/start", view_func=Start.as_view("start"))
    return app


class JobProcesses:
    """Starts workers and schedulers of an application, and ends them.

    :param log: the file of their output.
    """

    def __init__(self, app: App, log: Path) -> None:
        self.app, self.log = app, log
        self.started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def start(
        self, kind: str, clock: float = 0.0, **more: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a worker or a scheduler.

        :param clock: when its fast clock was started; 0 for the usual clock.
        :param more: settings that differ from those of the application.
        """
        names = (SqlStore.setting, RedisStore.setting, "JOBS_QUEUE", "JOBS_BROKER_URL")
        settings = {name: self.app.config[name] for name in names}
        told = json.dumps({**settings, **more})
        command = [sys.executable, "-c", PROGRAM, told, kind, str(clock)]
        env = {**os.environ, "MYAPP_INSTANCE_PATH": self.app.instance_path}
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command, env=env, stdout=log, stderr=log, start_new_session=True
            )
        self.started.append(process)
        return process

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        """End a process and its children at once."""
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def __exit__(self, *_: object) -> None:
        for one in self.started:
            if one.poll() is None:
                one.terminate()
        for one in self.started:
            try:
                one.wait(TO_END)
            except subprocess.TimeoutExpired:
                self.kill(one)
        if self.app.config["JOBS_BROKER_URL"]:
            with Broker(self.app).celery.connection_for_write() as connection:
                connection.default_channel.queue_delete(self.app.config["JOBS_QUEUE"])


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


def count_ended(app: App, *kinds: Job) -> int:
    """The number of jobs of some kinds that are over."""
    mine = JOBS.c.name.in_([kind.name for kind in kinds])
    over = select(JOBS.c.id).where(mine, JOBS.c.ended_at.is_not(None))
    with app.app_context():
        return len(rows(over))


def texts(app: App, url: str) -> list[str]:
    """The texts of the records."""
    return sorted(one["text"] for one in all_records(app.test_client(), url))
