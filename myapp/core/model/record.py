"""Records: what a store gives back, and what can be done with it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from myapp.core.query.list_query import ListQuery
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

Document = dict[str, Any]
# Named out here, because the contract has a method called list.
Documents = list[Document]
#: A document to write or to remove, with the version that it must have.
Versioned = tuple[Document, int]


class Recorded(Protocol):
    """What a record asks of its model class."""

    write_validator: Validator
    patch_validator: Validator
    requires_if_match: bool
    read_schema: JSON
    shown: tuple[str, ...]
    has_scope: bool

    def show(self, document: Document) -> Document:
        """What a client sees of a document."""

    def show_many(self, documents: Documents, query: ListQuery) -> Documents:
        """What a client sees of documents, with what it has selected."""

    def stored(self, body: Mapping[str, Any], partial: bool = False) -> Document:
        """A valid body as the store holds it."""

    def changed(self, document: Document, fields: Document) -> Document:
        """The next version of a document."""

    def read(self, ids: Sequence[str]) -> Documents:
        """The documents with these ids, those in scope."""

    def overwrite(self, pairs: Iterable[tuple[Document, Document]]) -> None:
        """Store changed documents."""

    def discard(self, documents: Documents) -> None:
        """Delete documents."""


class Record:
    """One stored record: a document, and what can be done with it.

    :param model: the model class that it belongs to.
    :param document: its fields, hidden ones included, as the store holds them.
    """

    __slots__ = ("model", "document")

    def __init__(self, model: Recorded, document: Document) -> None:
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
        """How many times it was written, from 1; shown as the ETag."""
        return int(self.document["version"])

    def as_json(self) -> Document:
        """What a client sees: the fields of the read schema."""
        return self.model.show(self.document)

    def replace(self, from_json: Mapping[str, Any]) -> "Record":
        """Replace what can be written; an optional field left out is reset.

        :param from_json: a body; it is validated against the write schema.
        :raises Problem: 400 as the schema says, 409 or 422 when a constraint of the
            store is violated.
        """
        self.model.write_validator.check(from_json)
        return self.write(self.model.stored(from_json))

    def update(self, from_json: Mapping[str, Any]) -> "Record":
        """Change the fields that are given, and keep the others.

        :param from_json: some members of a body; validated by the patch schema.
        :raises Problem: as :meth:`replace`.
        """
        self.model.patch_validator.check(from_json)
        return self.write(self.model.stored(from_json, partial=True))

    def write(self, fields: Document) -> "Record":
        """Store typed fields over its own, as its next version.

        :raises StaleRead: when another request has changed it meanwhile.
        """
        changed = self.model.changed(self.document, fields)
        self.model.overwrite([(self.document, changed)])
        self.document = changed
        return self

    def delete(self) -> None:
        """Delete it.

        :raises Problem: 409 when others refer to it.
        :raises StaleRead: when another request has changed or deleted it meanwhile.
        """
        self.model.discard([self.document])


@dataclass(frozen=True)
class Page:
    """One page of a list.

    :param items: what a client sees of each record.
    :param last: the last document, where the next page begins; ``None`` at the end.
    :param total: how many records match in all, when that was asked for.
    """

    items: Documents
    last: Document | None
    total: int | None = None


@dataclass(frozen=True)
class Relation:
    """A record that others refer to, and that can be embedded in them.

    :param field: the field that holds its id.
    :param model: its model.
    """

    field: str
    model: Recorded
