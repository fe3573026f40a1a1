"""The model contract: two JSON Schemas, and what both stores honour.

A model is a class. It states ``write_schema`` and ``read_schema``, and a store
(:class:`~myapp.core.sql_model.SqlModel`, :class:`~myapp.core.redis_model.RedisModel`)
gives it five primitives. All that a client can tell is decided here, above them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import uuid_utils

from myapp.core.errors import Problem
from myapp.core.formats import PARSERS
from myapp.core.query import ListQuery
from myapp.core.schema import JSON, Validator, derive_patch_schema

Document = dict[str, Any]
# Named out here, because the contract has a method called list.
Documents = list[Document]


class Record:
    """One stored record: a document, and what can be done with it.

    :param model: the model class that it belongs to.
    :param document: its fields, hidden ones included, as the store holds them.
    """

    __slots__ = ("model", "document")

    def __init__(self, model: "type[Model]", document: Document) -> None:
        self.model = model
        self.document = document

    def __getitem__(self, field: str) -> Any:
        return self.document[field]

    @property
    def id(self) -> str:
        """Its UUID, version 7."""
        return str(self.document["id"])

    @property
    def version(self) -> int:
        """How often it was written, from 1; shown as the ETag."""
        return int(self.document["version"])

    def as_json(self) -> Document:
        """What a client sees: the fields of the read schema."""
        return self.model.show(self.document)

    def replace(self, from_json: Mapping[str, Any]) -> "Record":
        """Replace what can be written; an optional field left out is reset.

        :param from_json: a body; it is validated against the write schema.
        :raises Problem: 400 as the schema says, 404 when it is deleted meanwhile, 409
            when it changed meanwhile or a constraint is against it.
        """
        self.model.write_validator.check(from_json)
        return self._write(self.model.stored(from_json))

    def update(self, from_json: Mapping[str, Any]) -> "Record":
        """Change the fields that are given, and keep the others.

        :param from_json: some members of a body; validated by the patch schema.
        :raises Problem: as :meth:`replace`.
        """
        self.model.patch_validator.check(from_json)
        fields = self.model.stored(from_json, partial=True)
        return self._write(fields)

    def delete(self) -> None:
        """Delete it.

        :raises Problem: 404 when it is deleted already, 409 when others refer to it.
        """
        if not self.model.remove(self.id):
            raise Problem("not-found")

    def _write(self, fields: Document) -> "Record":
        changed = {
            **self.document,
            **fields,
            "updated_at": datetime.now(UTC),
            "version": self.version + 1,
        }
        if not self.model.write(changed, self.version):
            self.model.get_or_404(self.id)
            raise Problem("conflict", "The record was changed by somebody else.")
        self.document = changed
        return self


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param items: what a client sees of each record.
    :param more: whether records follow.
    """

    items: Documents
    more: bool


class Model:
    """What every model offers, whatever stores it."""

    #: JSON Schema of a body of POST and PUT; its ``$id`` ends in ``.write.json``.
    write_schema: ClassVar[JSON]
    #: JSON Schema of what a record shows.
    read_schema: ClassVar[JSON]

    write_validator: ClassVar[Validator]
    patch_validator: ClassVar[Validator]
    #: The fields that clients see, in order.
    shown: ClassVar[tuple[str, ...]]
    #: What each field is set to when it is left out of a body.
    defaults: ClassVar[Document]
    #: How a string becomes what is stored, for the fields where it matters.
    parsers: ClassVar[dict[str, Callable[[str], Any]]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "write_schema" in cls.__dict__:
            cls.compile_schemas()

    @classmethod
    def compile_schemas(cls) -> None:
        """Derive from the two schemas all that a request needs."""
        properties = cls.write_schema["properties"]
        cls.write_validator = Validator(cls.write_schema)
        cls.patch_validator = Validator(derive_patch_schema(cls.write_schema))
        cls.shown = tuple(cls.read_schema["properties"])
        cls.defaults = {
            name: field.get("default") for name, field in properties.items()
        }
        cls.parsers = {
            name: PARSERS[field["format"]]
            for name, field in properties.items()
            if field.get("format") in PARSERS
        }

    @classmethod
    def get_or_404(cls, id: str) -> Record:
        """The record with an id.

        :raises Problem: 404 when there is none.
        """
        document = cls.read(id)
        if document is None:
            raise Problem("not-found")
        return Record(cls, document)

    @classmethod
    def create(cls, from_json: Mapping[str, Any]) -> Record:
        """Store a new record.

        :param from_json: a body; it is validated against the write schema.
        :raises Problem: 400 as the schema says, 409 or 422 when a constraint is
            against it.
        """
        cls.write_validator.check(from_json)
        now = datetime.now(UTC)
        document = {
            "id": str(uuid_utils.uuid7()),
            "created_at": now,
            "updated_at": now,
            "version": 1,
            **cls.stored(from_json),
        }
        cls.add(document)
        return Record(cls, document)

    @classmethod
    def list(cls, query: ListQuery) -> Page:
        """One page of records, newest first."""
        documents = cls.read_page(query.limit + 1, query.after)
        more = len(documents) > query.limit
        return Page([cls.show(item) for item in documents[: query.limit]], more)

    @classmethod
    def show(cls, document: Document) -> Document:
        """What a client sees of a document."""
        return {name: document.get(name) for name in cls.shown}

    @classmethod
    def stored(cls, body: Mapping[str, Any], partial: bool = False) -> Document:
        """A valid body as the store holds it: typed, and with its defaults unless it
        is ``partial``."""
        fields = {**cls.defaults, **body}
        if partial:
            fields = {
                name: cls.defaults[name] if value is None else value
                for name, value in body.items()
            }
        for name, parse in cls.parsers.items():
            if isinstance(fields.get(name), str):
                fields[name] = parse(fields[name])
        return fields

    # The primitives of a store.

    @classmethod
    def read(cls, id: str) -> Document | None:
        """The document with an id, or ``None``."""
        raise NotImplementedError

    @classmethod
    def read_page(cls, limit: int, after: str | None) -> Documents:
        """At most ``limit`` documents, newest first, older than the id ``after``."""
        raise NotImplementedError

    @classmethod
    def add(cls, document: Document) -> None:
        """Store a new document."""
        raise NotImplementedError

    @classmethod
    def write(cls, document: Document, expected: int) -> bool:
        """Overwrite a document if its version is still ``expected``; whether it was."""
        raise NotImplementedError

    @classmethod
    def remove(cls, id: str, expected: int | None = None) -> bool:
        """Delete a document, if its version is ``expected``; whether it was there."""
        raise NotImplementedError
