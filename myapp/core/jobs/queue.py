"""The statements on the table of jobs: what puts a job into the queue, claims it, ends
it, and shows it.

The functions that ``write`` are part of the transaction of the request or the job. The
others are a transaction by themselves.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from sqlalchemy import (
    ColumnElement,
    Row,
    bindparam,
    case,
    delete,
    insert,
    literal,
    null,
    select,
)
from sqlalchemy import update as update_of
from sqlalchemy.dialects import mysql, postgresql, sqlite

from myapp.core.jobs.table import (
    CANCELLED,
    ENDED,
    FAILED,
    JOBS,
    QUEUED,
    RUNNING,
    SUCCEEDED,
)
from myapp.core.stores.sql.engine import rows, run_alone, sql, write
from myapp.core.stores.transaction import StaleRead

#: A row of the table of jobs.
JobRow = Row[Any]
# Seconds without a sign of life after which the worker of a job is taken to be lost.
LEASE = 10.0
# The longest pause between two attempts, in seconds.
LONGEST_PAUSE = 600.0
# Seconds by which the clocks of two machines may differ.
SKEW = 5.0
# How many rows one statement deletes, and how many jobs are listed at most.
DELETED_AT_ONCE, MOST_ROWS = 1000, 100_000
# How often a job with a key is inserted whose key another transaction frees.
TRIES = 10
# The states in which nobody will ask for a job again.
DONE = (SUCCEEDED, CANCELLED)

c = JOBS.c
INSERT_JOB = insert(JOBS)
FIND_JOB = select(JOBS).where(c.id == bindparam("job"))


# These run for each job, so they are made once.
CLAIM = (
    update_of(JOBS)
    .where(c.id == bindparam("job"), c.state == QUEUED)
    .where(c.attempt == bindparam("former"), c.due_at <= bindparam("latest"))
    .values(
        state=RUNNING,
        attempt=bindparam("mine"),
        publish_at=bindparam("lease"),
        started_at=bindparam("begun"),
    )
)
SUCCEED = (
    update_of(JOBS)
    .where(c.id == bindparam("job"), c.state == RUNNING)
    .where(c.attempt == bindparam("mine"))
    .values(
        state=SUCCEEDED,
        publish_at=None,
        ended_at=bindparam("ended"),
        result=bindparam("returned"),
        problem=null(),
    )
)


def now() -> datetime:
    """The time of this machine."""
    return datetime.now(UTC)


def unique_key(name: str, key: str) -> str:
    """What no two jobs have: a digest of a job's name and its key."""
    return hashlib.sha256(f"{name}\0{key}".encode()).hexdigest()


def enqueue(
    name: str,
    arguments: Mapping[str, Any],
    due_at: datetime | None = None,
    key: str | None = None,
    owner: str | None = None,
    request_id: str | None = None,
) -> str:
    """Write a job into the transaction of this request.

    :param due_at: when it is to run; now by default.
    :param key: of the jobs with one name and one key, only the first is written.
    :returns: its id, or that of the job with its key.
    """
    moment = now()
    due = due_at or moment
    values: dict[str, Any] = {
        "id": str(uuid_utils.uuid7()),
        "name": name,
        "arguments": arguments,
        "state": QUEUED,
        "attempt": 0,
        "forgiven": 0,
        "created_at": moment,
        "due_at": due,
        "publish_at": due,
    }
    # What is not set is left out: each value costs some time.
    more = {"owner": owner, "request_id": request_id}
    values |= {column: value for column, value in more.items() if value is not None}
    if key is None:
        write(INSERT_JOB, values)
        return str(values["id"])
    return write_once({**values, "unique_key": unique_key(name, key)})


def write_once(values: dict[str, Any]) -> str:
    """Insert a job unless there is one with its key; return the id of the one there."""
    dialect = sql.engine.dialect.name
    statement: Any
    if dialect in ("mysql", "mariadb"):
        statement = mysql.insert(JOBS).on_duplicate_key_update(id=c.id)
    else:
        own: Any = postgresql if dialect == "postgresql" else sqlite
        ignored = {"index_elements": [c.unique_key]}
        statement = own.insert(JOBS).on_conflict_do_nothing(**ignored)
    found = select(c.id).where(c.unique_key == values["unique_key"])
    if dialect in ("mysql", "mariadb"):
        # The snapshot of the transaction may be older than the other row.
        found = found.with_for_update(read=True)
    for _ in range(TRIES):
        write(statement, values)
        there = rows(found)
        if there:
            return str(there[0].id)
        # The key of the other row was freed in between.
    raise StaleRead


def cancel_key(name: str, key: str) -> None:
    """Cancel the job with a key in the transaction of this request, and free the key.
    A job that is running goes on, and one that is over stays as it is."""
    is_queued = c.state == QUEUED
    # One statement, so that a job which is queued meanwhile keeps its key or is
    # cancelled. The state comes last: MariaDB sets one column after the other.
    freed = update_of(JOBS).ordered_values(
        (c.unique_key, null()),
        (c.publish_at, case((is_queued, null()), else_=c.publish_at)),
        (
            c.ended_at,
            case((is_queued, literal(now(), c.ended_at.type)), else_=c.ended_at),
        ),
        (c.state, case((is_queued, CANCELLED), else_=c.state)),
    )
    write(freed.where(c.unique_key == unique_key(name, key)))


def find(id: str) -> JobRow | None:
    """A job by its id."""
    return next(iter(rows(FIND_JOB, {"job": id})), None)


def change(id: str, values: Mapping[str, Any], *conditions: Any) -> bool:
    """Change a job at once, if the conditions hold; return whether they did."""
    statement = update_of(JOBS).where(c.id == id, *conditions).values(values)
    return bool(run_alone(statement, None).rowcount)


def claim(job: JobRow) -> bool:
    """Begin an attempt; return whether this worker may run it. Of several workers at
    once, one may."""
    moment = now()
    begun = {
        "job": job.id,
        "former": job.attempt,
        "latest": moment + timedelta(seconds=SKEW),
        "mine": job.attempt + 1,
        "lease": moment + timedelta(seconds=LEASE),
        "begun": job.started_at or moment,
    }
    return bool(run_alone(CLAIM, begun).rowcount)


def is_mine(attempt: int) -> ColumnElement[bool]:
    """The condition that an attempt is the running one: a worker that was taken to be
    lost has no claim any more."""
    return (c.state == RUNNING) & (c.attempt == attempt)


def extend(id: str, attempt: int) -> bool:
    """Say that the worker of an attempt still runs; return whether it has the claim."""
    lease = {"publish_at": now() + timedelta(seconds=LEASE)}
    return change(id, lease, is_mine(attempt))


class ClaimLost(Exception):
    """This job was taken to be lost, and belongs to another worker."""


def succeed(id: str, attempt: int, result: Any) -> None:
    """End a job in its own transaction, so that its effects and its end are one.

    :raises ClaimLost: when another worker has it; then nothing is stored.
    """
    values = {"job": id, "mine": attempt, "ended": now(), "returned": result}
    if not write(SUCCEED, values).rowcount:
        raise ClaimLost


def fail(id: str, attempt: int, problem: Mapping[str, Any], is_last: bool) -> bool:
    """End an attempt that has failed: the job runs again after a pause, which grows and
    is random, or it is over.

    :returns: whether the attempt was still the running one.
    """
    moment = now()
    values: dict[str, Any] = {"problem": dict(problem)}
    if is_last:
        values |= {"state": FAILED, "publish_at": None, "ended_at": moment}
    else:
        longest = min(2.0**attempt, LONGEST_PAUSE)
        due = moment + timedelta(seconds=random.uniform(longest / 2, longest))
        values |= {"state": QUEUED, "due_at": due, "publish_at": due}
    return change(id, values, is_mine(attempt))


def postpone(id: str, seconds: float) -> None:
    """Send the next message of a queued job later."""
    later = {"publish_at": now() + timedelta(seconds=seconds)}
    change(id, later, c.state == QUEUED)


def retry(id: str) -> bool:
    """Queue a job that has failed or was cancelled, with all its attempts."""
    moment = now()
    values = {
        "state": QUEUED,
        "forgiven": c.attempt,
        "due_at": moment,
        "publish_at": moment,
        "ended_at": None,
    }
    return change(id, values, c.state.in_((FAILED, CANCELLED)))


def cancel(id: str) -> bool:
    """Cancel a queued job at once; return whether it was queued."""
    values = {
        "state": CANCELLED,
        "publish_at": None,
        "unique_key": None,
        "ended_at": now(),
    }
    return change(id, values, c.state == QUEUED)


def listed(most: int, state: str | None, name: str | None) -> Sequence[JobRow]:
    """The newest jobs."""
    statement = select(JOBS).order_by(c.id.desc()).limit(most)
    if state is not None:
        statement = statement.where(c.state == state)
    if name is not None:
        statement = statement.where(c.name == name)
    found: Sequence[JobRow] = rows(statement)
    return found


def purge(before: datetime, states: Sequence[str] = ENDED) -> int:
    """Delete the jobs that were over before a moment; return how many there were."""
    count = 0
    old = select(c.id).where(c.ended_at < before, c.state.in_(states))
    while ids := [row.id for row in rows(old.limit(DELETED_AT_ONCE))]:
        run_alone(delete(JOBS).where(c.id.in_(ids), c.state.in_(states)), None)
        count += len(ids)
    return count
