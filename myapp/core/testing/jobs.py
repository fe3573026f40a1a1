"""Runs jobs in a test, without a worker and a broker."""

from sqlalchemy import select

from myapp.core.http.app import App
from myapp.core.jobs import queue
from myapp.core.jobs.run import run_job
from myapp.core.jobs.table import JOBS, QUEUED
from myapp.core.stores.sql.engine import rows, run_alone


def run_jobs(app: App) -> int:
    """Run the jobs that are queued, as a worker does: also those that wait for a moment
    or for another attempt. Jobs that they queue wait for the next call.

    :returns: how many there were.
    """
    with app.app_context():
        run_alone(JOBS.update().values(due_at=queue.now()), None)
        waiting = select(JOBS.c.id).where(JOBS.c.state == QUEUED).order_by(JOBS.c.id)
        found = rows(waiting)
        for row in found:
            run_job(app, row.id)
        return len(found)
