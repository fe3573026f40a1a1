"""``flask jobs``, ``flask worker`` and ``flask scheduler``."""

import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

import click
import orjson
from flask import current_app
from flask.cli import AppGroup, with_appcontext

from myapp.core.errors.startup import ConfigError
from myapp.core.jobs import queue
from myapp.core.jobs.broker import Broker
from myapp.core.jobs.job import Job, enabled_jobs
from myapp.core.jobs.processes import WITH_PARENT, Beside, end_with
from myapp.core.jobs.scheduler import Scheduler
from myapp.core.jobs.table import ENDED, FAILED, JOB_STATES, SUCCEEDED
from myapp.core.jobs.ticks import CRONS, next_tick
from myapp.core.schema.json_out import dumps
from myapp.core.stores.transaction import in_transaction

Made = TypeVar("Made")
MOST, DAYS = click.IntRange(1, queue.MOST_ROWS), click.IntRange(0, 36_500)
jobs = AppGroup("jobs", help="Show jobs, and run, retry or cancel them.")
with_parent = click.option(
    WITH_PARENT, type=int, hidden=True, help="End with this parent; 0 is that of now."
)


def configured(make: Callable[[Any], Made]) -> Made:
    """A broker or a scheduler of this application.

    :raises ClickException: when a setting makes it impossible.
    """
    try:
        return make(current_app._get_current_object())  # type: ignore[attr-defined]
    except ConfigError as error:
        raise click.ClickException(str(error)) from error


@click.command("worker")
@click.option(
    "--concurrency",
    type=click.IntRange(1),
    default=os.cpu_count,
    envvar="WORKER_CONCURRENCY",
    help="How many jobs run at once.  [default: the processors]",
)
@click.option("--events", is_flag=True, help="Tell monitors, such as Flower, of tasks.")
@click.option("--scheduler", is_flag=True, help="Run a scheduler beside the worker.")
@with_parent
@with_appcontext
def worker(
    concurrency: int, events: bool, scheduler: bool, with_parent: int | None
) -> None:
    """Run jobs. SIGTERM lets the running ones end; the others stay in the queue."""
    if with_parent is not None:
        end_with(with_parent or os.getppid())
    running = configured(Broker).worker(concurrency, events)
    beside = Beside(["scheduler"]) if scheduler else None
    try:
        running.start()
    finally:
        if beside is not None:
            beside.end()
    raise SystemExit(running.exitcode)


@click.command("scheduler")
@with_parent
@with_appcontext
def scheduler(with_parent: int | None) -> None:
    """Start jobs when they are due, and those of crons. Several schedulers may run, on
    several machines; one of them works."""
    if with_parent is not None:
        end_with(with_parent or os.getppid())
    configured(Scheduler).run()


@jobs.command("list")
@click.option("--state", type=click.Choice(JOB_STATES))
@click.option("--dead", "state", flag_value=FAILED, help="Those that have failed.")
@click.option("--name", help="Such as catalog.report.")
@click.option("--limit", type=MOST, default=50, show_default=True)
def list_jobs(state: str | None, name: str | None, limit: int) -> None:
    """List the newest jobs."""
    for row in queue.listed(limit, state, name):
        due = row.due_at.isoformat(" ", "seconds")
        click.echo(f"{row.id}  {row.state:<9}  {due}  {row.name}")


@jobs.command("kinds")
def list_kinds() -> None:
    """List the jobs that the code declares, and when crons start them next."""
    for name, kind in sorted(enabled_jobs().items()):
        cron, tick = CRONS.get(name), next_tick(name)
        about = (kind.__doc__ or "").partition("\n")[0]
        click.echo(f"{name}  {about}")
        if cron is not None and tick is not None:
            when = tick.isoformat(" ", "minutes")
            click.echo(f"    {cron.text} ({cron.timezone}), next {when}")


@jobs.command("show")
@click.argument("id")
def show_job(id: str) -> None:
    """Show all about a job, its arguments included."""
    row = queue.find(id)
    if row is None:
        raise click.ClickException(f"there is no job {id}")
    for name, value in row._mapping.items():
        text = value if isinstance(value, str) else dumps(value).decode().strip('"')
        click.echo(f"{name}: {text}")


@jobs.command("retry")
@click.argument("ids", nargs=-1)
@click.option("--dead", is_flag=True, help="All that have failed.")
@click.option("--name", help="Of those that have failed, the ones with this name.")
def retry_jobs(ids: tuple[str, ...], dead: bool, name: str | None) -> None:
    """Queue jobs again that have failed or were cancelled."""
    chosen = list(ids)
    if dead or name:
        chosen += [row.id for row in queue.listed(queue.MOST_ROWS, FAILED, name)]
    done = sum(queue.retry(id) for id in chosen)
    click.echo(f"{done} of {len(chosen)} jobs are queued again")


@jobs.command("cancel")
@click.argument("ids", nargs=-1, required=True)
def cancel_jobs(ids: tuple[str, ...]) -> None:
    """Cancel jobs that are queued; one that runs goes on."""
    done = sum(queue.cancel(id) for id in ids)
    click.echo(f"{done} of {len(ids)} jobs are cancelled")


@jobs.command("purge")
@click.option(
    "--days", type=DAYS, required=True, help="Those that were over so many days ago."
)
@click.option("--state", type=click.Choice(ENDED), help="Only those in a state.")
def purge_jobs(days: int, state: str | None) -> None:
    """Delete jobs that are over."""
    states = [state] if state else ENDED
    count = queue.purge(queue.now() - timedelta(days=days), states)
    click.echo(f"{count} jobs are deleted")


@jobs.command("run")
@click.argument("name")
@click.option("--args", "text", default="{}", help="The arguments, a JSON object.")
@click.option("--later", is_flag=True, help="In a worker, instead of here.")
def run_by_hand(name: str, text: str, later: bool) -> None:
    """Run a job here, and show its result."""
    kind = enabled_jobs().get(name)
    if kind is None:
        known = ", ".join(sorted(enabled_jobs()))
        raise click.ClickException(f"{name} is no job; the jobs are: {known}")
    id = enqueued(kind, text)
    if later:
        click.echo(id)
        return
    current_app.extensions["run_job"](id)
    row = queue.find(id)
    if row is None or row.state != SUCCEEDED:
        problem = row and row.problem
        raise click.ClickException(problem["detail"] if problem else "a worker has it")
    click.echo(dumps(row.result).decode())


def enqueued(kind: Job, text: str) -> str:
    """Put a job into the queue; return its id.

    :raises ClickException: when the arguments are wrong.
    """
    try:
        arguments: Any = orjson.loads(text)
        checked = kind.check_arguments(arguments)
    except (ValueError, TypeError) as error:
        raise click.ClickException(f"--args: {error}") from error
    id: str = in_transaction(lambda: queue.enqueue(kind.name, checked))
    return id
