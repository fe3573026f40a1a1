"""The bodies of the resource under test: made by the factory, kept apart, and changed
as the rules of the model allow."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from myapp.core.http.app import App
from myapp.core.model.model import Model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.transaction import commit
from myapp.core.testing.unique import unique_fields


class Bodies:
    """The bodies of a resource under test, and how they may change."""

    #: Its model.
    model: type[Model]
    #: A function of the feature's ``factories.py``: a valid body of POST with every
    #: field. Each number gives another body: 0 and 1 differ in every field where they
    #: can, and a unique field has another value for every number.
    body: ClassVar[Callable[[int], JSON]]

    app: App
    #: The bodies 0 and 1 of the factory.
    full: JSON
    other: JSON
    numbers: Iterator[int]

    def from_factory(self, number: int) -> JSON:
        """A body of the factory."""
        with self.app.app_context():
            body = dict(type(self).body(number))
            commit()
        return body

    def stop(self, text: str) -> None:
        """Fail, and say what to do."""
        pytest.fail(f"{type(self).__name__}: {text}", pytrace=False)

    @property
    def required(self) -> list[str]:
        """The fields that a body of POST must have."""
        return list(self.model.create_schema.get("required", []))

    @property
    def minimal(self) -> JSON:
        """A body with only the required fields."""
        return {name: self.full[name] for name in self.required}

    @property
    def id_is_sent(self) -> bool:
        """Whether clients give the id."""
        return self.model.key.make is None

    @property
    def kept_apart(self) -> list[str]:
        """The fields of a body whose values no two records share."""
        names = ["id"] if self.id_is_sent else []
        return [*names, *unique_fields(self.model)]

    def missing_id(self) -> Any:
        """An id that no record has."""
        make = self.model.key.make
        return make() if make else self.from_factory(next(self.numbers))["id"]

    def is_id(self, text: str, in_url: bool = True) -> bool:
        """Whether a text, in a URL or in a body, may be an id."""
        key = self.model.key
        try:
            (key.parse if in_url else key.read)(text)
        except ValueError:
            return False
        return True

    def fresh(self, body: JSON) -> JSON:
        """A body with unique values that no record has."""
        names = [name for name in self.kept_apart if name in body]
        if not names:
            return body
        other = self.from_factory(next(self.numbers))
        return {**body, **{name: other[name] for name in names}}

    def without_id(self, body: JSON) -> JSON:
        """The body for a PUT."""
        return {name: body[name] for name in body if name != "id"}

    def body_of(self, record: JSON) -> JSON:
        """The body that writes the values of a record or of another body."""
        fields = self.model.write_schema["properties"]
        return {
            name: value
            for name, value in record.items()
            if name in fields
            and (value is not None or "null" in fields[name].get("type", ()))
        }

    def document(self, body: JSON, known: JSON) -> Any:
        """The document of a record with the values of a body.

        :param known: has the id, if there is one.
        """
        id = known["id"] if "id" in known else self.missing_id()
        return self.model.typed(self.model.new_document(self.body_of(body), id))

    def broken_by(self, body: JSON, before: JSON | None = None) -> set[str]:
        """The fields at which ``check`` of the model refuses a body.

        :param before: the record, or the body, that it replaces.
        """
        if not self.model.overrides("check"):
            return set()
        with self.app.app_context():
            after = self.document(body, {**(before or {}), **body})
            current = before and self.document(before, before)
            errors = list(self.model.check(after, current))
        return {error["pointer"].split("/")[1] for error in errors if error["pointer"]}

    def replacement(self, before: JSON, body: JSON) -> JSON:
        """A body for a PUT of a record: another body, as far as the rules allow it.

        :param before: the record, or the body that made it.
        """
        body = self.fresh(self.without_id(body))
        for _ in body:
            broken = self.broken_by(body, before)
            if not broken:
                return body
            body = {name: body[name] for name in body if name not in broken}
            kept = self.body_of(before)
            body |= {name: kept[name] for name in kept if name in broken}
        return self.body_of(before)

    def change(self, before: JSON) -> JSON:
        """A body of PATCH that changes each field that may change."""
        body = self.replacement(before, self.other)
        return {name: body[name] for name in self.model.writable if name in body}

    def single_change(self, record: JSON, name: str) -> JSON | None:
        """A body of PATCH that changes one field; ``None`` when a rule is against
        it."""
        change = {
            one: self.fresh(self.other)[one] for one in (name,) if one in self.other
        }
        broken = self.broken_by({**self.body_of(record), **change}, record)
        return None if broken else change or None

    def resets(self, record: JSON) -> list[str]:
        """The fields that may be unset, each alone."""
        body = self.body_of(record)
        return [
            name
            for name in self.model.writable
            if name not in self.required
            and not self.broken_by(
                {one: body[one] for one in body if one != name}, record
            )
        ]
