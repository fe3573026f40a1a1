"""What the scheduler asks of the table of jobs: for which of them a message is to be
sent to the workers, and whose worker or message is lost.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy import update as update_of

from myapp.core.jobs.queue import JobRow, c, now
from myapp.core.jobs.table import JOBS, QUEUED, RUNNING
from myapp.core.stores.sql.engine import rows, run_alone

# Seconds after which a queued job is published again, if it is younger than that; an
# older one after as many seconds as its age.
REPUBLISH = 300.0
# Seconds that a worker has to take a job before its message may be lost.
UNCLAIMED = 5.0


def recover_lost() -> int:
    """Queue the jobs whose workers are lost; return how many there were."""
    moment = now()
    lost = update_of(JOBS).where(c.state == RUNNING, c.publish_at <= moment)
    again = {"state": QUEUED, "publish_at": moment}
    return int(run_alone(lost.values(again), None).rowcount)


def unclaimed() -> tuple[ColumnElement[bool], ...]:
    """The condition that a message was sent for a job, and that no worker has taken the
    job for some seconds."""
    moment = now()
    is_sent = c.publish_at > moment + timedelta(seconds=REPUBLISH / 2)
    is_late = c.due_at <= moment - timedelta(seconds=UNCLAIMED)
    return c.state == QUEUED, is_late, is_sent


def has_unclaimed() -> bool:
    """Whether a message may be lost."""
    return bool(rows(select(c.id).where(*unclaimed()).limit(1)))


def publish_unclaimed() -> None:
    """Let the messages that may be lost be sent again."""
    run_alone(update_of(JOBS).where(*unclaimed()).values(publish_at=now()), None)


def due_messages(most: int) -> Sequence[JobRow]:
    """The queued jobs of which a message is to be sent, in order."""
    due = select(c.id, c.name, c.request_id, c.created_at).where(
        c.state == QUEUED, c.publish_at <= now()
    )
    found: Sequence[JobRow] = rows(due.order_by(c.publish_at, c.id).limit(most))
    return found


def mark_published(published: Sequence[JobRow]) -> None:
    """Note that messages were sent: the next ones are sent only when these seem to be
    lost."""
    moment = now()
    waits: dict[float, list[str]] = {}
    for job in published:
        age = (moment - job.created_at).total_seconds()
        waits.setdefault(max(REPUBLISH, round(age, -2)), []).append(job.id)
    for seconds, ids in waits.items():
        # A worker that was faster has changed its row already.
        waiting = (c.state == QUEUED, c.publish_at <= moment)
        statement = update_of(JOBS).where(c.id.in_(ids), *waiting)
        later = {"publish_at": moment + timedelta(seconds=seconds)}
        run_alone(statement.values(later), None)
