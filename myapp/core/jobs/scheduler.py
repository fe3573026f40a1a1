"""The scheduler: starts jobs when they are due, by messages to the workers.

Several may run, on several machines. One is the leader and does the work; when it ends,
another one goes on within seconds.
"""

import logging
import signal
import time
from typing import Any

from flask import Flask
from sqlalchemy.exc import SQLAlchemyError

from myapp.core.jobs import hints, messages, ticks
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.health import tell_of_scheduler
from myapp.core.jobs.job import enabled_jobs
from myapp.core.stores.sql.leader import Leader
from myapp.core.stores.store import data_folder, registered_stores

log = logging.getLogger("myapp.scheduler")

# Seconds between two looks at the queue, when no hint comes.
LOOK_EVERY = 0.25
# Seconds between two looks for lost workers, and for the ticks of crons.
TEND_EVERY = 1.0
# Seconds until another try after the database or the broker could not be reached.
PAUSE_AFTER_FAULT = 1.0
# How many messages are sent before they are noted as sent.
MESSAGES_AT_ONCE = 200


class Scheduler:
    """The work of the leader.

    :param app: the application.
    """

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.broker = Broker(app)
        with app.app_context():
            engine = app.extensions["sql_autocommit"]
        self.leader = Leader(engine, data_folder(app))
        #: Whether it is to end.
        self.is_ending = False
        #: What cannot be reached, if anything; logged once.
        self.fault = ""
        self._seen: dict[str, Any] = {}
        self._tended = 0.0

    def run(self) -> None:
        """Work until a signal comes."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.end)
        while not self.is_ending:
            with self.app.app_context():
                found = self.work()
                if not found and not self.is_ending:
                    self.pause()
        self.leader.resign()

    def pause(self) -> None:
        """Wait until there may be something to do."""
        if self.fault:
            time.sleep(PAUSE_AFTER_FAULT)
        else:
            hints.wait(LOOK_EVERY)

    def end(self, *_signal: Any) -> None:
        """End after what is done now."""
        self.is_ending = True

    def work(self) -> int:
        """Do what is due, if this process is the leader.

        :returns: how many messages were sent.
        """
        try:
            if not self.leader.leads():
                self._seen.clear()
                self.told("")
                return 0
            if time.monotonic() - self._tended >= TEND_EVERY:
                self.tend()
                self._tended = time.monotonic()
            count = self.publish()
            self.told("")
            return count
        except SQLAlchemyError as error:
            self.told("the database", error)
        except self.broker.errors as error:
            self.told("the broker", error)
            # The next try has connections of its own.
            self.broker.close()
            self.broker = Broker(self.app)
        tell_of_scheduler(self.fault)
        return 0

    def tend(self) -> None:
        """Start the jobs of crons, queue the jobs of lost workers, and make the writes
        that requests have left to do."""
        count = messages.recover_lost()
        if count:
            log.warning("%d jobs had lost their worker and are queued again", count)
        # A broker may lose messages: Redis those that a worker was just taking when it
        # was killed. While messages wait, a job without a worker only waits too.
        if messages.has_unclaimed() and not self.broker.has_messages():
            messages.publish_unclaimed()
        ticks.start_due(self._seen)
        for store in registered_stores():
            store.complete()
        tell_of_scheduler(self.fault)

    def publish(self) -> int:
        """Send the messages that are due, in order."""
        due = messages.due_messages(MESSAGES_AT_ONCE)
        if due:
            kinds = enabled_jobs()
            self.broker.send((job, kinds.get(job.name)) for job in due)
            messages.mark_published(due)
        return len(due)

    def told(self, fault: str, error: Exception | None = None) -> None:
        """Log what cannot be reached once, and when it can be reached again."""
        if fault and fault != self.fault:
            reason = str(error).strip().partition("\n")[0]
            log.error("%s cannot be reached, jobs wait: %s", fault, reason)
        elif self.fault and not fault:
            log.warning("%s can be reached again", self.fault)
        self.fault = fault
