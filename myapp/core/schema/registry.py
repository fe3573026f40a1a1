"""Every schema of an application, by its ``$id``."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import (
    DEFAULT_VALIDATOR_CLASS,
    VALIDATOR_CLASSES,
    Validator,
)


class Schemas:
    """The schemas of one application, by ``$id``.

    Each schema is checked against its meta-schema, and each ``$ref`` must be known.
    """

    def __init__(self) -> None:
        self.by_id: dict[str, JSON] = {}

    def add(self, schema: JSON) -> None:
        """Add a schema.

        :raises ValueError: when it has no ``$id`` under ``/schemas/``, or has the
            ``$id`` of another schema.
        :raises jsonschema.SchemaError: when it is not a valid schema.
        """
        name = schema.get("$id", "")
        if not re.fullmatch(r"/schemas/[a-z0-9_.-]+\.json", name):
            raise ValueError(f"$id {name!r} is not like /schemas/<name>.json")
        known = self.by_id.get(name)
        if known == schema:
            return
        if known is not None:
            raise ValueError(f"two schemas have the $id {name}")
        VALIDATOR_CLASSES.get(
            schema.get("$schema", ""), DEFAULT_VALIDATOR_CLASS
        ).check_schema(schema)
        self.by_id[name] = schema

    def check_references(self) -> None:
        """Resolve every ``$ref``, and validate every example with its schema.

        :raises referencing.exceptions.Unresolvable: when a ``$ref`` is unknown.
        :raises ValueError: when an example does not match its schema.
        """
        resources = [
            (name, Resource.from_contents(schema, DRAFT202012))
            for name, schema in self.by_id.items()
        ]
        registry: Registry[Any] = Registry().with_resources(resources)
        for name, schema in self.by_id.items():
            resolver = registry.resolver(name)
            for reference in references(schema):
                resolver.lookup(reference)
            for example in schema.get("examples", ()):
                errors = Validator(schema, registry).errors(example)
                if errors:
                    raise ValueError(f"{name} has an example with errors: {errors}")


def references(node: Any) -> Iterator[str]:
    """Every ``$ref`` in a schema."""
    if isinstance(node, list):
        for item in node:
            yield from references(item)
    elif isinstance(node, Mapping):
        if isinstance(node.get("$ref"), str):
            yield node["$ref"]
        for item in node.values():
            yield from references(item)
