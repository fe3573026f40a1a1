"""The resource under test, as every part of the conformance suite sees it."""

from typing import Any

from myapp.core.model.model import Model
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.client import Client


class ResourceCase:
    """A resource under test."""

    #: The URL of the list, with a slash at the end.
    url: str
    #: Its model.
    model: type[Model]
    #: A valid body with every field of the write schema.
    full: JSON
    #: Another valid body with every field; each value differs where possible.
    other: JSON

    def prepare(self, client: Client) -> None:
        """Store the records that the bodies refer to."""

    @property
    def required(self) -> list[str]:
        """The fields that a body must have."""
        return list(self.model.write_schema.get("required", []))

    @property
    def minimal(self) -> JSON:
        """A body with only the required fields."""
        return {name: self.full[name] for name in self.required}

    def make(self, client: Client, **overrides: Any) -> JSON:
        """Store a record."""
        return dict(client.post(self.url, json={**self.full, **overrides}).json)

    def item(self, record: JSON) -> str:
        """The URL of a record."""
        return f"{self.url}{record['id']}"
