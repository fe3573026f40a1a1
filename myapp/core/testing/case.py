"""What the parts of the conformance suite know of the resource that they test."""

from typing import Any

from myapp.core.model.model import Model
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.client import Client


class ResourceCase:
    """A resource under test."""

    #: Where it is mounted, with a slash at the end.
    url: str
    #: Its model.
    model: type[Model]
    #: A valid body with every field that can be written.
    full: JSON
    #: Another valid body with every field, each different where that is possible.
    other: JSON

    def prepare(self, client: Client) -> None:
        """Store what the bodies refer to."""

    @property
    def required(self) -> list[str]:
        """The fields that a body must have."""
        return list(self.model.write_schema.get("required", []))

    @property
    def minimal(self) -> JSON:
        """A body with the required fields alone."""
        return {name: self.full[name] for name in self.required}

    def make(self, client: Client, **overrides: Any) -> JSON:
        """A stored record."""
        return dict(client.post(self.url, json={**self.full, **overrides}).json)

    def item(self, record: JSON) -> str:
        """The URL of a record."""
        return f"{self.url}{record['id']}"
