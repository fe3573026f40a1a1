"""Runs a job: one attempt, in a transaction that also marks the job as done."""

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

from flask import Flask, g
from werkzeug.exceptions import HTTPException

from myapp.core.errors.problem import Problem, problem_body
from myapp.core.jobs import queue
from myapp.core.jobs.job import Job, enabled_jobs
from myapp.core.jobs.queue import ClaimLost, JobRow
from myapp.core.jobs.table import FAILED, QUEUED, SUCCEEDED
from myapp.core.stores.redis.keys import RedisKeys
from myapp.core.stores.redis.store import RedisStore
from myapp.core.stores.state import RequestState
from myapp.core.stores.transaction import in_transaction

log = logging.getLogger("myapp.job")

# Seconds between two signs of life of a worker.
BEAT_EVERY = 3.0
# Seconds until a job that this release does not know is looked at again: a worker of
# another release may know it.
UNKNOWN_AGAIN = 5.0
# Seconds that the progress of a job is kept after it was told.
PROGRESS_KEPT = 24 * 3600.0
CONFLICT, SERVER_ERRORS = 409, 500

keys = RedisKeys("core")


@dataclass(frozen=True)
class RunningJob:
    """The job that runs now.

    :param attempt: 1 for the first one.
    """

    id: str
    name: str
    attempt: int

    def progress(self, share: float, message: str = "") -> None:
        """Tell those who wait for the job how far it is, at once and not with the
        commit.

        :param share: from 0 to 1.
        """
        told = {"share": min(max(share, 0.0), 1.0), "message": message}
        with suppress(*RedisStore.errors):
            keys.set(f"progress:{self.id}", told, PROGRESS_KEPT)


_current: ContextVar[RunningJob | None] = ContextVar("current_job", default=None)


def current_job() -> RunningJob:
    """The job that runs now.

    :raises RuntimeError: outside of jobs.
    """
    found = _current.get()
    if found is None:
        raise RuntimeError("no job runs here")
    return found


def progress_of(id: str) -> Any:
    """What a job has last told; ``None`` when it has told nothing, or nobody knows."""
    try:
        return keys.get(f"progress:{id}")
    except RedisStore.errors:
        return None


def run_job(app: Flask, id: str) -> None:
    """Run a job if it is queued and due; otherwise this message came twice, or late.

    What goes wrong in the job is stored in its row, and raised no further. An error of
    the database is raised: then the job is queued again when its claim has run out.
    """
    with app.app_context():
        found = queue.find(id)
        if found is None or found.state != QUEUED:
            return
        kind = enabled_jobs().get(found.name)
        if kind is None:
            log.warning("no code here knows the job %s", found.name)
            queue.postpone(id, UNKNOWN_AGAIN)
            return
        if queue.claim(found):
            run_claimed(app, found, kind)


def run_claimed(app: Any, row: JobRow, kind: Job) -> None:
    """Run the attempt of a job that this worker has claimed."""
    attempt = row.attempt + 1
    used = attempt - row.forgiven
    g.state = state = RequestState()
    state.cause = row.request_id
    start = time.perf_counter()
    token = _current.set(RunningJob(row.id, row.name, attempt))
    try:
        if used > kind.limits.max_attempts:
            raise Problem("internal-error", "Its worker was lost in each attempt.")
        with signs_of_life(app, row.id, attempt):
            in_transaction(
                lambda: kind.run(row.arguments),
                before_commit=lambda result: queue.succeed(row.id, attempt, result),
            )
        outcome = SUCCEEDED
    except ClaimLost:
        outcome = "lost"
    except Exception as error:
        is_last = used >= kind.limits.max_attempts or is_final(error)
        problem = problem_of(error, row.id, row.request_id)
        if not isinstance(error, Problem):
            log.error("the job %s has failed", row.name, exc_info=error)
        is_mine = queue.fail(row.id, attempt, problem, is_last)
        outcome = ("retried", FAILED)[is_last] if is_mine else "lost"
    finally:
        _current.reset(token)
    log_job(row, attempt, outcome, time.perf_counter() - start, state.statements)


def is_final(error: Exception) -> bool:
    """Whether another attempt would fail, too: the job says that its input is wrong. A
    conflict may come from another job that has changed the same record."""
    code = error.code if isinstance(error, HTTPException) else None
    return code is not None and code < SERVER_ERRORS and code != CONFLICT


def problem_of(error: Exception, id: str, request_id: str | None) -> dict[str, Any]:
    """What the caller of a job is told about an error; of a bug only that there is
    one."""
    if isinstance(error, Problem):
        place = f"/jobs/{id}"
        return problem_body(error.slug, error.description or "", place, request_id)
    return problem_body("internal-error", "", f"/jobs/{id}", request_id)


@contextmanager
def signs_of_life(app: Any, id: str, attempt: int) -> Iterator[None]:
    """Extend the claim of this worker while a block runs, from another thread."""
    ended = threading.Event()

    def extend() -> None:
        while not ended.wait(BEAT_EVERY):
            with app.app_context():
                try:
                    if not queue.extend(id, attempt):
                        return
                except Exception as error:
                    # The claim may run out, and another worker take the job.
                    log.warning("the claim of a job was not extended: %s", error)

    thread = threading.Thread(target=extend, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def log_job(
    row: JobRow, attempt: int, outcome: str, seconds: float, statements: int
) -> None:
    """Write the log line of an attempt: without arguments, which may be secret."""
    level = logging.INFO if outcome == SUCCEEDED else logging.WARNING
    fields = {
        "job": row.name,
        "job_id": row.id,
        "attempt": attempt,
        "outcome": outcome,
        "duration_ms": round(seconds * 1000, 3),
        "sql": statements,
    }
    text = f"job {row.name} {row.id} {outcome}, attempt {attempt}"
    log.log(level, text, extra={"fields": fields})


def init_app(app: Flask) -> None:
    """Let requests and commands run jobs themselves."""
    app.extensions["run_job"] = partial(run_job, app)
