"""The crons of core: they delete what is not needed any more."""

from datetime import timedelta

from flask import current_app

from myapp.core.jobs import queue
from myapp.core.jobs.job import job
from myapp.core.jobs.table import FAILED
from myapp.core.jobs.ticks import cron, forget_ticks
from myapp.core.stores.store import registered_stores

# How long a job that has failed is kept, for somebody who looks for it.
FAILED_KEPT = timedelta(days=90)


@cron("*/10 * * * *", catch_up="none")
@job(max_attempts=1)
def clean_stores() -> None:
    """Let each store delete what has expired."""
    for store in registered_stores():
        store.clean()


@cron("20 3 * * *")
@job
def clean_jobs() -> int:
    """Delete jobs that were over long ago, and old ticks; return the number of
    jobs."""
    kept = timedelta(seconds=current_app.config["JOBS_KEPT"])
    moment = queue.now()
    forget_ticks()
    failed = queue.purge(moment - max(kept, FAILED_KEPT), (FAILED,))
    return failed + queue.purge(moment - kept, queue.DONE)
