"""The resource under test, as every part of the conformance suite sees it."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any, cast

import pytest

from myapp.core.access.caller import Caller
from myapp.core.access.rules import Rule
from myapp.core.http.app import App
from myapp.core.model.context import Context
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.bodies import Bodies
from myapp.core.testing.callers import ToyAuthenticator, by, caller_of
from myapp.core.testing.client import Client, route_of

# The value of a text, for formats that can write one value in several ways.
MEANINGS: dict[str, Callable[[str], Any]] = {
    "date-time": lambda text: datetime.fromisoformat(text.upper()),
    "decimal": Decimal,
    "uuid": str.lower,
}


def meaning(schema: JSON, value: Any) -> Any:
    """A value in which each text of these formats is replaced by its value."""
    if isinstance(value, list):
        return [meaning(schema.get("items", {}), one) for one in value]
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {name: meaning(members.get(name, {}), value[name]) for name in value}
    known = isinstance(value, str) and schema.get("format") in MEANINGS
    return MEANINGS[schema["format"]](value) if known else value


def moment_of(record: Any) -> datetime:
    """When a record was changed; as text, a moment without a fraction sorts after one
    with a fraction."""
    return datetime.fromisoformat(record["updated_at"])


class ResourceCase(Bodies):
    """A resource under test. A subclass states ``url``, ``model`` and ``body``, and the
    rest where it applies."""

    #: The URL of the list, with a slash at the end; :meth:`prepare` may set it, when it
    #: depends on a record.
    url: str
    #: Fields in which hooks store other values than those that were sent.
    set_by_hooks: tuple[str, ...] = ()
    #: The name of the caller, its role, and the scopes of its token, separated by
    #: blanks; by default requests come without credentials.
    caller: str = ""
    #: Another caller, when the scope hides from it what the first one has.
    stranger: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # A function in a class would take the test as its first argument.
        function = cls.__dict__.get("body")
        if function is not None and not isinstance(function, staticmethod):
            setattr(cls, "body", staticmethod(function))

    @pytest.fixture(autouse=True)
    def skip_batches(self, request: pytest.FixtureRequest) -> None:
        """Skip the tests of the module of batches for a model that has none."""
        is_of_batches = request.function.__module__.endswith(".batches")
        if is_of_batches and not self.model.has_batch:
            pytest.skip("this model has no batch")

    @pytest.fixture
    def client(self, app: App) -> Iterator[Client]:
        """A client of the application, for the caller, after :meth:`prepare`."""
        with ExitStack() as stack:
            if self.caller:
                stack.enter_context(ToyAuthenticator().added_to(app))
            yield self.set_up(app)

    def set_up(self, app: App) -> Client:
        """Make the bodies, and store what they need.

        :param app: an application that knows the caller.
        :returns: a client for the caller.
        """
        self.app = app
        client = self.client_of(app)
        self.numbers = count(2)
        self._used: set[tuple[str, str]] = set()
        if not hasattr(type(self), "body"):
            self.stop(
                "set `body` to a function of factories.py that makes a valid body"
            )
        self.full, self.other = self.from_factory(0), self.from_factory(1)
        self.prepare(client)
        self.check_bodies()
        self.check_caller()
        return client

    def client_of(self, app: App) -> Client:
        """A new client for the caller."""
        return self.client_for(app, self.caller)

    def client_for(self, app: App, caller: str) -> Client:
        """A new client for a caller: its name, its role, and the scopes of its
        token."""
        client = cast(Client, app.test_client())
        if caller:
            client.environ_base["HTTP_AUTHORIZATION"] = by(caller)["Authorization"]
        return client

    def prepare(self, client: Client) -> None:
        """Store what the factory does not, and set what depends on it, such as
        ``self.url`` or members of ``self.full`` and ``self.other``."""

    def check_bodies(self) -> None:
        """Check that the factory makes what this suite needs."""
        made = getattr(type(self).body, "__name__", "body")
        fields = self.model.create_schema["properties"]
        for number, body in enumerate((self.full, self.other)):
            for error in self.model.create_validator.errors(body):
                place = error["pointer"] or "the body"
                self.stop(f"{made}({number}) is not valid: {place} {error['detail']}")
            # Rules may forbid a body with every field.
            absent = set() if self.model.overrides("check") else set(fields) - set(body)
            for name in sorted(absent):
                self.stop(f"{made}({number}) needs a value of {name!r}, as each field")
            for name in self.broken_by(body):
                self.stop(f"{made}({number}) breaks check() of the model at {name!r}")
        for name in self.kept_apart:
            if self.full[name] == self.other[name]:
                self.stop(f"{made} must give {name!r} another value for each number")
        if self.full == self.other:
            self.stop(f"{made}(0) and {made}(1) must differ")

    def rule_of(self, url: str, method: str) -> Rule:
        """Who may call a route."""
        return route_of(self.app, url, method)[1]

    def check_caller(self) -> None:
        """Check that the caller may use the list."""
        with self.app.app_context():
            caller = caller_of(self.caller)
        for method in ("GET", "POST"):
            rule = self.rule_of(self.url, method)
            if not rule.allows(caller):
                self.stop(
                    f"{method} is for {rule.meaning}: set `caller` to one of them"
                )
        if self.model.overrides("scope"):
            self.check_scope(caller)

    def check_scope(self, caller: Caller | None) -> None:
        """Check that the scope has its indexes, and that a stranger is known."""
        path = {name: self.missing_id() for name in self.model.scoped_by}
        with self.app.app_context():
            mine = self.model.scope(Context(caller, path))
            other = self.model.scope(Context(Caller("somebody else"), path))
        for condition in mine:
            if condition.operator == "eq":
                if condition.field not in self.model.scoped_by:
                    self.stop(f"scoped_by must name {condition.field!r} of the scope")
        if caller is not None and mine != other and not self.stranger:
            self.stop("the scope depends on the caller: set `stranger` to another one")

    def make(self, client: Client, **overrides: Any) -> JSON:
        """Store a record."""
        body = {**self.fresh(self.full), **overrides}
        return dict(client.post(self.url, json=body).json)

    def item(self, record: JSON) -> str:
        """The URL of a record."""
        return f"{self.url}{record['id']}"

    def tag(self, record: JSON, version: int = 0) -> str:
        """The ETag of a record, or of another version of it."""
        number = str(version or record["version"])
        if self.id_is_sent:
            number += "." + re.sub("[^0-9]", "", record.get("created_at", ""))
        return f'"{number}-{self.model.shape}"'

    def tagged(self, record: JSON, headers: JSON) -> JSON:
        """Headers in which the ETags of a record stand for the numbers of versions."""
        return {
            name: re.sub(
                r'"([1-9][0-9]*)"', lambda found: self.tag(record, int(found[1])), text
            )
            for name, text in headers.items()
        }

    def same(self, names: Any) -> list[str]:
        """Of some fields, those that a record shows with the values that were sent."""
        shown = self.model.writable
        return [
            name for name in names if name in shown and name not in self.set_by_hooks
        ]

    def view_of(self, record: JSON) -> JSON:
        """The writable fields of a record, except those that hooks set."""
        return {name: record[name] for name in self.same(self.model.writable)}

    def rest_of(self, record: JSON, *names: str) -> JSON:
        """A record without some fields, and without those that follow from others."""
        left = {*names, "updated_at", "version", *self.model.computed}
        left |= {*self.set_by_hooks}
        return {name: record[name] for name in record if name not in left}

    def assert_kept(self, record: JSON, body: JSON) -> None:
        """Check that a record has the values of a body."""
        fields = self.model.write_schema["properties"]
        for name in self.same(body):
            found = meaning(fields[name], record[name])
            assert found == meaning(fields[name], body[name]), name
        if "id" in body:
            assert record["id"] == body["id"]
