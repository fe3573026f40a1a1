"""What a feature declares in its ``jobs.py``: functions that run behind the answer."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, overload

from flask import current_app

from myapp.core.access.caller import caller_id
from myapp.core.jobs import hints, queue
from myapp.core.jobs.signature import arguments_schema
from myapp.core.schema.json_out import plain
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator
from myapp.core.stores.state import request_state
from myapp.core.stores.transaction import after_commit

#: The jobs of all features by their names, such as ``catalog.report``.
JOB_TYPES: dict[str, "Job"] = {}
# What calls take beside the arguments of the job.
TAKEN = {"delay", "key", "moment"}
# Where the feature stands in the name of a module, such as myapp.catalog.jobs.
FEATURE = 1


@dataclass(frozen=True)
class Limits:
    """How often and how long a job may run.

    :param max_attempts: after so many it is among the failed jobs.
    :param timeout: seconds after which an attempt is ended by an exception; some
        seconds later its process is killed.
    """

    max_attempts: int = 5
    timeout: float = 300.0


@dataclass(frozen=True)
class QueuedJob:
    """A job that was put into the queue."""

    id: str
    name: str


class Job:
    """A function that runs in a worker, in a transaction, after the commit of the
    request that has asked for it.

    It runs at least once, and may run again when its worker or its database fails. Its
    writes to the stores, and the jobs that it queues, happen once.

    :param function: takes JSON, by name; what it returns is the result, and JSON.
    :param schema: of the arguments; by default from the signature.
    """

    def __init__(
        self, function: Callable[..., Any], schema: JSON | None, limits: Limits
    ) -> None:
        self.function = function
        self.limits = limits
        self.signature = inspect.signature(function)
        if TAKEN & {*self.signature.parameters}:
            raise TypeError(f"{function.__qualname__} takes one of {sorted(TAKEN)}")
        feature = function.__module__.split(".")[FEATURE]
        self.name = f"{feature}.{function.__name__}"
        self.validator = Validator(schema or arguments_schema(function), owned={})
        self.__doc__ = function.__doc__
        other = JOB_TYPES.setdefault(self.name, self)
        if other.function.__module__ != function.__module__:
            raise TypeError(f"two jobs are called {self.name}")
        JOB_TYPES[self.name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function now, as a part of this request."""
        return self.function(*args, **kwargs)

    def later(
        self,
        *args: Any,
        delay: float = 0.0,
        key: str | None = None,
        **kwargs: Any,
    ) -> QueuedJob:
        """Run it after the commit of this request, and not when the request fails.

        :param delay: seconds to wait at least.
        :param key: of the jobs with one key, only the first one is queued, until it is
            deleted some time after its end, or its key is freed by :meth:`cancel`.
        :raises TypeError: when the arguments are not those of the function.
        """
        due = queue.now() + timedelta(seconds=delay) if delay else None
        return self._enqueue(due, key, args, kwargs)

    def at(
        self, moment: datetime, *args: Any, key: str | None = None, **kwargs: Any
    ) -> QueuedJob:
        """Run it at a moment, which has a time zone; see :meth:`later`."""
        if moment.tzinfo is None:
            raise ValueError("the moment has no time zone")
        return self._enqueue(moment, key, args, kwargs)

    def cancel(self, key: str) -> None:
        """Cancel the queued job that has a key, and free the key, with the commit of
        this request. A job that is running goes on."""
        queue.cancel_key(self.name, key)

    def _enqueue(
        self,
        due: datetime | None,
        key: str | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> QueuedJob:
        bound = self.signature.bind(*args, **kwargs)
        arguments = self.check_arguments(bound.arguments)
        is_request = request_state().is_request
        id = queue.enqueue(
            self.name,
            arguments,
            due,
            key,
            caller_id() if is_request else None,
            current_app.extensions["current_request_id"](),
        )
        if due is None or due <= queue.now():
            start_soon(id)
        return QueuedJob(id, self.name)

    def check_arguments(self, arguments: Any) -> Any:
        """The arguments as they come back from JSON.

        :raises TypeError: when they do not match the schema. The text has no values,
            which may be secret.
        """
        found = plain(arguments)
        errors = self.validator.errors(found)
        if errors:
            said = "; ".join(f"{one['pointer']} {one['detail']}" for one in errors)
            raise TypeError(f"arguments of {self.name}: {said}")
        return found

    def run(self, arguments: Any) -> Any:
        """Call the function with stored arguments; its result as JSON."""
        return plain(self.function(**self.check_arguments(arguments)))


def start_soon(id: str) -> None:
    """Let a job start right after the commit of this request."""
    if current_app.config["JOBS_EAGER"]:
        after_commit(lambda: current_app.extensions["run_job"](id))
    # One hint is enough for all jobs of a request.
    elif hints.tell not in request_state().effects:
        after_commit(hints.tell)


@overload
def job(function: Callable[..., Any]) -> Job: ...


@overload
def job(
    *, schema: JSON | None = None, max_attempts: int = 5, timeout: float = 300.0
) -> Callable[[Callable[..., Any]], Job]: ...


def job(
    function: Callable[..., Any] | None = None,
    *,
    schema: JSON | None = None,
    max_attempts: int = Limits.max_attempts,
    timeout: float = Limits.timeout,
) -> Job | Callable[[Callable[..., Any]], Job]:
    """Make a function a :class:`Job`.

    :param schema: of its arguments, an object; by default from the signature.
    :param max_attempts: how often it may run.
    :param timeout: seconds that one attempt may take.
    """
    limits = Limits(max_attempts, timeout)
    if function is not None:
        return Job(function, schema, limits)
    return lambda function: Job(function, schema, limits)


def enabled_jobs() -> dict[str, Job]:
    """The jobs of the mounted features and of core, by their names."""
    features = {*current_app.extensions["features"], "core"}
    return {
        name: one
        for name, one in JOB_TYPES.items()
        if name.partition(".")[0] in features
    }
