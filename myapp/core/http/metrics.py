"""Metrics for Prometheus at ``/metrics``: requests, the work of the stores, processes.

This module is loaded only when METRICS_TOKEN is set, so it costs nothing otherwise.
"""

import hmac
import logging
import time
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from myapp.core.access.rules import ACCESS, SAFE_METHODS, Rule, Word, access
from myapp.core.errors.startup import ConfigError
from myapp.core.http.headers import WSGI
from myapp.core.http.methods import METHODS
from myapp.core.http.metric_files import ProcessNumber, share_numbers, shared_folder
from myapp.core.http.response import problem_response
from myapp.core.jobs.health import counts, queue_age
from myapp.core.stores.observer import Observer
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.state import request_state

log = logging.getLogger(__name__)

MINIMUM_TOKEN_LENGTH = 16
NO_ROUTE, OTHER_METHOD = "none", "other"
COUNTED_METHODS = frozenset(METHODS) | SAFE_METHODS
# Seconds. A request of this API takes some milliseconds; harakiri ends it after 20 s.
REQUEST_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20)
COMMAND_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5)

blueprint = Blueprint("metrics", __name__)


def has_token(_caller: object) -> bool:
    """Whether this request carries METRICS_TOKEN (RFC 6750 section 2.1)."""
    scheme, _, sent = request.headers.get("Authorization", "").partition(" ")
    token = current_app.config["METRICS_TOKEN"]
    return scheme.lower() == "bearer" and hmac.compare_digest(
        sent.strip().encode(), token.encode()
    )


ACCESS["metrics"] = Rule(
    ((Word("requests that carry METRICS_TOKEN", has_token, challenge="Bearer"),),)
)


@blueprint.get("/metrics")
@access("metrics")
def show() -> Response:
    """The metrics of all processes, in the format that the client prefers."""
    metrics: Metrics | None = current_app.extensions["metrics"]
    if metrics is None:
        return problem_response("unavailable", "Nothing is counted; the log says why.")
    metrics.number.forget_the_dead()
    registry = CollectorRegistry()
    registry.register(metrics.number)
    registry.register(JobMetrics())
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    return Response(encode(registry), content_type=content_type)


class JobMetrics(Collector):
    """The queue of jobs, looked up when it is asked for."""

    def collect(self) -> Iterable[Metric]:
        """How many jobs there are, and how long the oldest one has waited; nothing
        while the database cannot be reached."""
        jobs = GaugeMetricFamily(
            "myapp_jobs", "Jobs that are queued, running or failed.", labels=["state"]
        )
        age = GaugeMetricFamily(
            "myapp_jobs_queue_age_seconds",
            "How long the oldest job that is due has waited.",
        )
        try:
            for state, count in counts().items():
                jobs.add_metric([state], count)
            age.add_metric([], queue_age())
        except SqlStore.errors as error:
            log.warning("the queue of jobs cannot be counted: %s", error)
            return
        yield jobs
        yield age


class Metrics:
    """The metrics of an application: its part of each request, and its observers.

    :param number: of this process.
    :param release: the name of the release that runs, if there is one.
    """

    def __init__(self, number: ProcessNumber, release: str) -> None:
        self.number = number
        #: Whether this process counts; it does not on a full disk.
        self.is_counting = True
        self._counted = -1
        self.requests = Counter(
            "myapp_http_requests",
            "Requests that were answered.",
            ["method", "route", "status"],
            registry=None,
        )
        self.duration = Histogram(
            "myapp_http_request_duration_seconds",
            "How long the requests took.",
            ["method", "route"],
            registry=None,
            buckets=REQUEST_BUCKETS,
        )
        self.commands = Histogram(
            "myapp_store_command_duration_seconds",
            "How long statements, commits and Redis commands took.",
            ["store"],
            registry=None,
            buckets=COMMAND_BUCKETS,
        )
        self.connections = gauge(
            "myapp_store_connections", "Open connections to the stores.", "store"
        )
        self.busy = gauge(
            "myapp_requests_in_progress", "Requests that are being answered."
        )
        self.workers = gauge(
            "myapp_workers", "Running processes that have taken a request."
        )
        self.release = gauge(
            "myapp_release_info", "Processes of the release that runs.", "release"
        )
        self.name_of_release = release
        self.series = cache(self.series_of)

    def series_of(self, method: str, route: str, status: int) -> Any:
        """The functions that count a request, and observe its duration."""
        duration = self.duration.labels(method, route)
        return self.requests.labels(method, route, status).inc, duration.observe

    def count_request(self, response: Response) -> Response:
        """Count this request. Its route is the pattern, not the path, so that the
        number of time series has a limit."""
        if not self.is_counting:
            return response
        # The request behind the proxy, which would look it up again for each attribute.
        sent = request._get_current_object()  # type: ignore[attr-defined]
        method = sent.method if sent.method in COUNTED_METHODS else OTHER_METHOD
        route = sent.url_rule.rule if sent.url_rule else NO_ROUTE
        count, observe = self.series(method, route, response.status_code)
        count()
        observe(time.perf_counter() - request_state().started)
        return response

    def wrap(self, application: WSGI) -> WSGI:
        """A WSGI application that counts its running requests and its processes."""

        def call(
            environ: dict[str, Any], start_response: Callable[..., Any]
        ) -> Iterable[bytes]:
            if self.is_counting and self.counts():
                with self.busy.track_inprogress():
                    return application(environ, start_response)
            return application(environ, start_response)

        return call

    def counts(self) -> bool:
        """Begin to count in this process, or stop when its files cannot be made; return
        whether it counts."""
        try:
            number = self.number()
            if self._counted != number:
                self.workers.set(1)
                self.release.labels(self.name_of_release).set(1)
                self._counted = number
        except OSError as error:
            self.is_counting = False
            log.error("this process counts nothing for /metrics: %s", error)
        return self.is_counting

    def observer_of(self, store: str) -> Observer:
        """The observer that counts the work of a store.

        :param store: its component.
        """
        duration = self.commands.labels(store)

        def count_command(seconds: float) -> None:
            if self.is_counting and self.counts():
                duration.observe(seconds)

        def count_connections(change: int) -> None:
            if self.is_counting and self.counts():
                self.connections.labels(store).inc(change)

        return Observer(count_command, count_connections)


def gauge(name: str, text: str, *labels: str) -> Gauge:
    """A gauge that is the sum over the running processes."""
    return Gauge(name, text, labels, registry=None, multiprocess_mode="livesum")


def init_app(app: Flask, stores: Iterable[str]) -> dict[str, Observer]:
    """Count the requests of an application.

    :param stores: the components of its stores.
    :returns: the observer of each store.
    :raises ConfigError: for a weak token in production, and when the folder of the
        counters cannot be written.
    """
    is_weak = len(app.config["METRICS_TOKEN"]) < MINIMUM_TOKEN_LENGTH
    if app.config["ENV"] == "production" and is_weak:
        raise ConfigError(
            f"METRICS_TOKEN must have at least {MINIMUM_TOKEN_LENGTH} characters"
        )
    app.extensions["metrics"] = None
    try:
        folder = shared_folder(Path(app.instance_path, "metrics"))
    except OSError as error:
        raise ConfigError(
            f"the folder of the metrics cannot be made: {error.strerror}: "
            f"{error.filename}"
        ) from error
    try:
        number = share_numbers(folder)
    except OSError as error:
        log.error("nothing is counted for /metrics: %s", error)
        return {}
    metrics = Metrics(number, app.config["RELEASE"])
    app.extensions["metrics"] = metrics
    app.after_request(metrics.count_request)
    wrapped: Any = metrics.wrap(app.wsgi_app)
    app.wsgi_app = wrapped  # type: ignore[method-assign]
    return {store: metrics.observer_of(store) for store in stores}
