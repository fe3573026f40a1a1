"""Jobs at times of the clock: each tick starts one job, however many schedulers run.

The row of a tick is inserted together with its job, and its primary key lets one
scheduler commit.
"""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from sqlalchemy import delete, func, insert, select
from sqlalchemy.exc import IntegrityError

from myapp.core.jobs import queue
from myapp.core.jobs.job import Job, enabled_jobs
from myapp.core.jobs.table import TICKS
from myapp.core.stores.sql.engine import rows, run_alone, write
from myapp.core.stores.transaction import in_transaction

#: What happens with ticks at which no scheduler ran: the last one of them is started,
#: all are, or none is.
CatchUp = Literal["last", "all", "none"]
# A tick that is this many seconds old has not been missed; a scheduler is a bit late.
ON_TIME = 60.0
# So many missed ticks are started at most.
MOST_MISSED = 1000
# Days that ticks are kept, beside the last one of each cron.
KEPT_DAYS = 7


@dataclass(frozen=True)
class Cron:
    """When a job is started.

    :param text: five fields: minute, hour, day of the month, month, day of the week
        (crontab(5)).
    :param timezone: whose clock it follows, also when that changes to summer time: a
        time that is skipped comes right after the change, and one that comes twice
        counts once.
    :param catch_up: what happens with missed ticks.
    """

    text: str
    timezone: str
    catch_up: CatchUp

    def ticks(self, after: datetime, until: datetime) -> Iterator[datetime]:
        """The ticks after a moment, and not after another one."""
        zone = ZoneInfo(self.timezone)
        for tick in CronSim(self.text, after.astimezone(zone)):
            if tick > until:
                return
            yield tick.astimezone(UTC)

    def due(self, after: datetime, until: datetime) -> list[datetime]:
        """The ticks to start a job for, given the last one that was seen."""
        if self.catch_up == "none":
            after = max(after, until - timedelta(seconds=ON_TIME))
        most = 1 if self.catch_up == "last" else MOST_MISSED
        return list(deque(self.ticks(after, until), most))


#: The crons by the name of the job.
CRONS: dict[str, Cron] = {}


def cron(
    text: str, timezone: str = "UTC", catch_up: CatchUp = "last"
) -> Callable[[Job], Job]:
    """Start a job at times of the clock; see :class:`Cron`. It stands above ``@job``,
    and the job takes no arguments.

    :raises ValueError: when the text is no cron expression.
    :raises KeyError: when there is no such time zone.
    """
    if catch_up not in get_args(CatchUp):
        raise ValueError(f"catch_up is one of {get_args(CatchUp)}")
    ZoneInfo(timezone)
    try:
        CronSim(text, datetime.now(UTC))
    except CronSimError as error:
        raise ValueError(f"{text!r} is no cron expression: {error}") from error

    def mark(job: Job) -> Job:
        if not isinstance(job, Job):
            raise TypeError("@cron stands above @job")
        job.check_arguments({})
        CRONS[job.name] = Cron(text, timezone, catch_up)
        return job

    return mark


def last_tick(name: str, moment: datetime) -> datetime:
    """The last tick of a cron that was seen; this moment for a new one, of which no
    tick was missed."""
    newest = select(func.max(TICKS.c.tick)).where(TICKS.c.name == name)
    found: datetime | None = rows(newest)[0][0]
    if found is None:
        found = moment
        run_alone(insert(TICKS).values(name=name, tick=moment), None)
    return found


def start_due(seen: dict[str, datetime], moment: datetime | None = None) -> int:
    """Start the jobs whose ticks have come.

    :param seen: the last tick of each cron that this scheduler has seen, which it
        fills.
    :param moment: the time, now by default.
    :returns: how many jobs were started here.
    """
    moment = moment or queue.now()
    count = 0
    for name in CRONS.keys() & enabled_jobs().keys():
        if name not in seen:
            seen[name] = last_tick(name, moment)
        for tick in CRONS[name].due(seen[name], moment):
            count += start(name, tick)
            seen[name] = tick
    return count


def start(name: str, tick: datetime) -> bool:
    """Start the job of a tick, if no other scheduler has done it."""

    def start_once() -> None:
        write(insert(TICKS).values(name=name, tick=tick))
        queue.enqueue(name, {})

    try:
        in_transaction(start_once)
    except IntegrityError:
        return False
    return True


def forget_ticks() -> None:
    """Delete old ticks, but for the last one of each cron."""
    old = queue.now() - timedelta(days=KEPT_DAYS)
    last = select(TICKS.c.name, func.max(TICKS.c.tick)).group_by(TICKS.c.name)
    for name, tick in rows(last):
        mine = (TICKS.c.name == name) & (TICKS.c.tick < min(old, tick))
        write(delete(TICKS).where(mine))


def next_tick(name: str) -> datetime | None:
    """When a cron starts its job the next time."""
    known = CRONS.get(name)
    if known is None:
        return None
    far = queue.now() + timedelta(days=366 * 5)
    return next(known.ticks(queue.now(), far), None)
