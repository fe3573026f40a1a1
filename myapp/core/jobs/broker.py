"""The broker: Celery, on Redis or RabbitMQ, with messages that say which job to run.

A message has the id of a job and nothing else. It is JSON; no other content is taken.
"""

import warnings
from collections.abc import Iterable
from typing import Any

from celery import Celery, signals
from celery.platforms import SecurityWarning
from celery.worker.consumer import Consumer
from flask import Flask
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from sqlalchemy.engine import make_url

from myapp.core.errors.startup import ConfigError
from myapp.core.jobs.job import Job, Limits
from myapp.core.jobs.queue import JobRow
from myapp.core.jobs.run import run_job
from myapp.core.stores.redis.cluster import is_cluster
from myapp.core.stores.store import read_url

TASK = "myapp.run"
# Seconds to connect to the broker.
CONNECT_TIMEOUT = 2.0
# Seconds between the exception in a job that takes too long and the end of its
# process.
MERCY = 10.0
# On RabbitMQ, how often a message is delivered whose worker dies each time.
DELIVERIES = 20
REDIS_OPTIONS = {
    "global_keyprefix": "myapp:",
    "socket_connect_timeout": CONNECT_TIMEOUT,
    "socket_timeout": 10.0,
    # Seconds after which a message is delivered again that no worker has acknowledged,
    # and between two looks. A second message of a job that runs does nothing.
    "visibility_timeout": 10,
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
}


def broker_url(app: Flask) -> str:
    """The URL of the broker, as Celery takes it.

    :raises ConfigError: for a cluster of Redis, which Celery cannot use; in production,
        also for a default password.
    """
    if app.config["JOBS_BROKER_URL"]:
        read_url(app, "JOBS_BROKER_URL")
    url: str = app.config["JOBS_BROKER_URL"] or app.config["REDIS_URL"]
    if is_cluster(url):
        raise ConfigError(
            "Celery takes no Redis Cluster as its broker: set JOBS_BROKER_URL"
        )
    if url.startswith("unix://"):
        path, _, query = url.removeprefix("unix://").partition("?")
        database = make_url(f"redis://?{query}").query.get("db", "0")
        return f"redis+socket://{path}?virtual_host={database}"
    return url


class JobConsumer(Consumer):  # type: ignore[misc]  # Celery has no types
    """What reads messages in a worker, without the messages with a delay of Celery: the
    scheduler sends a message when its job is due. They would be 28 more queues on
    RabbitMQ."""

    class Blueprint(Consumer.Blueprint):  # type: ignore[misc]
        """Its steps."""

        default_steps = [
            step
            for step in Consumer.Blueprint.default_steps
            if not step.endswith(":DelayedDelivery")
        ]


class Broker:
    """The Celery of an application.

    :param app: the application, whose jobs it runs.
    """

    def __init__(self, app: Flask) -> None:
        url = broker_url(app)
        is_redis = url.startswith("redis")
        name = app.config["JOBS_QUEUE"]
        self.celery = Celery("myapp", broker=url, set_as_current=False)
        arguments = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERIES}
        # kombu has no types.
        self.queue: Any = Queue(  # type: ignore[no-untyped-call]
            name, queue_arguments={} if is_redis else arguments
        )
        self.celery.conf.update(
            accept_content=["json"],
            task_serializer="json",
            task_ignore_result=True,
            task_default_queue=name,
            task_queues=[self.queue],
            task_acks_late=True,
            task_reject_on_worker_lost=True,
            worker_prefetch_multiplier=1,
            worker_enable_remote_control=False,
            worker_hijack_root_logger=False,
            worker_redirect_stdouts=False,
            worker_cancel_long_running_tasks_on_connection_loss=False,
            broker_connection_timeout=CONNECT_TIMEOUT,
            broker_connection_retry_on_startup=True,
            broker_connection_max_retries=None,
            broker_transport_options=(
                REDIS_OPTIONS if is_redis else {"confirm_publish": True}
            ),
        )

        connection = self.celery.connection_for_write()
        #: The errors that say that the broker cannot be reached.
        self.errors: tuple[type[Exception], ...] = (
            OperationalError,
            *connection.connection_errors,
            *connection.channel_errors,
        )

        def run(id: str) -> None:
            run_job(app, id)

        self.task = self.celery.task(run, name=TASK)

    def send(self, jobs: Iterable[tuple[JobRow, Job | None]]) -> None:
        """Send a message for each job.

        :param jobs: their rows, with what is known about them here.
        :raises kombu.exceptions.OperationalError: when the broker cannot be reached.
        """
        with self.celery.producer_or_acquire() as producer:
            for row, kind in jobs:
                limits = kind.limits if kind is not None else Limits()
                self.task.apply_async(
                    (row.id,),
                    producer=producer,
                    retry=False,
                    shadow=row.name,
                    soft_time_limit=limits.timeout,
                    time_limit=limits.timeout + MERCY,
                )

    def has_messages(self) -> bool:
        """Whether messages wait in the queue, beside those that workers have taken."""
        with self.celery.connection_or_acquire() as connection:
            # A queue of Redis without messages does not exist, so it is declared.
            declared = connection.default_channel.queue_declare(
                queue=self.queue.name,
                durable=True,
                auto_delete=False,
                arguments=self.queue.queue_arguments,
            )
            return bool(declared.message_count)

    def close(self) -> None:
        """Close its connections."""
        self.celery.close()

    def worker(self, concurrency: int, has_events: bool) -> Any:
        """A worker, which is to be started.

        :param concurrency: how many processes run jobs.
        :param has_events: whether it tells monitors such as Flower what it does.
        """
        # It warns of root, since a pickle could do harm; only JSON is taken here.
        warnings.simplefilter("ignore", SecurityWarning)
        # The application has set up its logs already.
        signals.setup_logging.connect(keep_logs)
        self.celery.conf.worker_enable_remote_control = has_events
        return self.celery.Worker(
            consumer_cls=JobConsumer,
            pool="prefork",
            concurrency=concurrency,
            task_events=has_events,
            without_gossip=True,
            without_mingle=True,
            without_heartbeat=not has_events,
            optimization="fair",
            quiet=True,
        )


def keep_logs(**_settings: Any) -> None:
    """Celery leaves logging alone while somebody is connected to its signal."""
