"""The tables of jobs: each job, and each tick of a cron at which it was started.

A job is *queued* until a worker claims it, *running* until it is *succeeded* or
*failed*; it may be *cancelled* while it is queued. The row decides what happens to a
job. A message of the broker only tells a worker to look at it, so a message that is
lost or comes twice does no harm.
"""

from sqlalchemy import CHAR, JSON, Column, Index, Integer, Table

from myapp.core.stores.sql.engine import Base
from myapp.core.stores.sql.types import Id, UtcDateTime, Varchar

QUEUED, RUNNING = "queued", "running"
SUCCEEDED, FAILED, CANCELLED = "succeeded", "failed", "cancelled"
JOB_STATES = (QUEUED, RUNNING, SUCCEEDED, FAILED, CANCELLED)
#: The states in which a job is over.
ENDED = (SUCCEEDED, FAILED, CANCELLED)

JOBS = Table(
    "jobs",
    Base.metadata,
    Column("id", Id, primary_key=True),
    Column("name", Varchar(100), nullable=False),
    Column("arguments", JSON, nullable=False),
    Column("state", Varchar(9), nullable=False),
    # The digest of the name and the key that it was given, if any.
    Column("unique_key", CHAR(64), unique=True),
    # The id of the caller that has started it; empty for a caller that is not known,
    # NULL when it was not started in a request.
    Column("owner", Varchar(255)),
    # The request that has caused it.
    Column("request_id", Varchar(200)),
    # How many times a worker has claimed it.
    Column("attempt", Integer, nullable=False),
    # How many of these do not count, because it was queued again by hand.
    Column("forgiven", Integer, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    # When it is to run.
    Column("due_at", UtcDateTime, nullable=False),
    # While it is queued, when the next message is sent to the broker; while it is
    # running, when its worker is taken to be lost.
    Column("publish_at", UtcDateTime, index=True),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime, index=True),
    Column("result", JSON(none_as_null=True)),
    # Why its last attempt has failed: a problem document.
    Column("problem", JSON(none_as_null=True)),
)
# For the oldest queued job, and for the number of jobs in a state.
Index(None, JOBS.c.state, JOBS.c.due_at)

TICKS = Table(
    "job_ticks",
    Base.metadata,
    Column("name", Varchar(100), primary_key=True),
    Column("tick", UtcDateTime, primary_key=True),
)
