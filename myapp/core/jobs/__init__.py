"""Work behind the answer: jobs that are queued in the transaction of a request, and
jobs at times of the clock.

A feature declares them in its ``jobs.py``: ``@job`` on a function, and ``@cron`` above
it. ``send_reminder.later(invoice["id"])`` queues one.
"""

from myapp.core.jobs.job import Job, QueuedJob, job
from myapp.core.jobs.run import RunningJob, current_job
from myapp.core.jobs.ticks import cron

__all__ = ["Job", "QueuedJob", "RunningJob", "cron", "current_job", "job"]
