"""Records: the objects that a model returns, with their methods."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from myapp.core.model.key import Key
from myapp.core.query.list_query import ListQuery
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

Document = dict[str, Any]
# Defined at module level, because the model has a method called list.
Documents = list[Document]
#: A document to write or to remove, with the version that it must have.
Versioned = tuple[Document, int]


class Recorded(Protocol):
    """The part of a model class that a record uses."""

    write_validator: Validator
    patch_validator: Validator
    requires_if_match: bool
    key: Key
    shape: str
    read_schema: JSON
    shown: tuple[str, ...]
    has_scope: bool

    def show(self, document: Document) -> Document:
        """The fields of a document that a client sees."""

    def show_many(self, documents: Documents, query: ListQuery) -> Documents:
        """What a client sees of documents, with its selection."""

    def stored(self, body: Mapping[str, Any], partial: bool = False) -> Document:
        """A valid body as the store holds it."""

    def changed(self, document: Document, fields: Document) -> Document:
        """The next version of a document."""

    def read(self, ids: Sequence[Any]) -> Documents:
        """The documents in scope among these ids."""

    def overwrite(self, pairs: Sequence[tuple[Document, Document]]) -> None:
        """Store changed documents."""

    def discard(self, documents: Documents) -> None:
        """Delete documents."""


class Record:
    """One stored record: a document and its methods.

    :param model: its model class.
    :param document: its fields, including hidden ones, as the store holds them.
    """

    __slots__ = ("model", "document")

    def __init__(self, model: Recorded, document: Document) -> None:
        self.model = model
        self.document = document

    def __getitem__(self, field: str) -> Any:
        return self.document[field]

    @property
    def id(self) -> Any:
        """Its id, as the key of its model says: by default a UUID, version 7."""
        return self.document["id"]

    @property
    def version(self) -> int:
        """The number of times it was written, from 1; a part of the ETag."""
        return int(self.document["version"])

    def as_json(self) -> Document:
        """The fields of the read schema."""
        return self.model.show(self.document)

    def replace(self, from_json: Mapping[str, Any]) -> "Record":
        """Replace all fields of the write schema; an optional field left out is reset.

        :param from_json: a body; it is validated against the write schema.
        :raises Problem: 400 as the schema says, 409 or 422 when a constraint of the
            store is violated.
        """
        self.model.write_validator.check(from_json)
        return self.write(self.model.stored(from_json))

    def update(self, from_json: Mapping[str, Any]) -> "Record":
        """Change the fields that are given, and keep the others.

        :param from_json: some members of a body; they are validated against the patch
            schema.
        :raises Problem: as :meth:`replace`.
        """
        self.model.patch_validator.check(from_json)
        return self.write(self.model.stored(from_json, partial=True))

    def write(self, fields: Document) -> "Record":
        """Overwrite its fields with typed fields, as its next version.

        :raises StaleRead: when another request has changed it meanwhile.
        """
        changed = self.model.changed(self.document, fields)
        self.model.overwrite([(self.document, changed)])
        self.document = changed
        return self

    def delete(self) -> None:
        """Delete it.

        :raises Problem: 409 when other records refer to it.
        :raises StaleRead: when another request has changed or deleted it meanwhile.
        """
        self.model.discard([self.document])


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param items: what a client sees of each record.
    :param last: the last document, where the next page begins; ``None`` at the end.
    :param total: the number of records that match, when the query asks for it.
    """

    items: Documents
    last: Document | None
    total: int | None = None


@dataclass(frozen=True)
class Relation:
    """A reference to another record, which ``expand`` can embed.

    :param field: the field that holds the id of the other record.
    :param model: the model of the other record.
    """

    field: str
    model: Recorded
