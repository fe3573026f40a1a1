"""The model contract: two JSON Schemas, and the rules that every store keeps.

A model is a class. It states ``write_schema`` and ``read_schema``, and the options of
its list query. A store adds a few primitives in a base class of its own, such as
:class:`~myapp.core.stores.sql.SqlModel`. The code here decides what a client sees, for
all stores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import uuid_utils

from myapp.core.errors.problem import Problem
from myapp.core.model.changes import Watched
from myapp.core.model.record import Document, Documents, Page, Record, Relation
from myapp.core.query.filters import typed
from myapp.core.query.list_query import ListQuery, Queryable
from myapp.core.schema.derive import (
    SERVER_FIELDS,
    derive_patch_schema,
    derive_read_schema,
    nullable,
    with_relations,
)
from myapp.core.schema.formats import PARSERS
from myapp.core.schema.json_out import plain
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator


@dataclass(frozen=True)
class Computed:
    """A field that is shown, and not stored.

    :param schema: the JSON Schema of its value.
    :param value: computes it from the fields of a record; their values are typed.
    """

    schema: JSON
    value: Callable[[Mapping[str, Any]], Any]


class Model(Watched):
    """The base class of every model, in any store."""

    #: JSON Schema of a body of POST and PUT; its ``$id`` ends in ``.write.json``.
    write_schema: ClassVar[JSON]
    #: JSON Schema of a record as clients see it; derived when it is not stated.
    read_schema: ClassVar[JSON]
    #: Fields that the list can be filtered by; each has an index.
    filterable: ClassVar[tuple[str, ...]] = ()
    #: Fields that the list can be sorted by; each has an index.
    sortable: ClassVar[tuple[str, ...]] = ()
    #: Text fields that ``q`` searches.
    searchable: ClassVar[tuple[str, ...]] = ()
    #: The records that ``expand`` can embed, by the name of the relation.
    relations: ClassVar[dict[str, Relation]] = {}
    #: The schemas of stored fields that only the server sets: from the scope, in hooks,
    #: or in the feature's code. Clients read them, unless ``hidden`` names them.
    server_properties: ClassVar[dict[str, JSON]] = {}
    #: The fields of ``server_properties`` that clients never see.
    hidden: ClassVar[tuple[str, ...]] = ()
    #: Fields that are not stored: their values are computed from other fields.
    computed: ClassVar[dict[str, Computed]] = {}
    #: Whether a request to its own routes writes one record and nothing else in SQL;
    #: set it to False when ``create`` or another method of the model writes more.
    lone_writes: ClassVar[bool] = True
    #: Whether PUT, PATCH and DELETE must carry If-Match (428 without).
    requires_if_match: ClassVar[bool] = False

    write_validator: ClassVar[Validator]
    patch_validator: ClassVar[Validator]
    queryable: ClassVar[Queryable]
    #: The fields that clients may both read and write.
    writable: ClassVar[tuple[str, ...]]
    #: The fields that clients see, in order.
    shown: ClassVar[tuple[str, ...]]
    #: The value of each field that is left out of a body.
    defaults: ClassVar[Document]
    #: Functions that turn the text of a field into its value, where they differ.
    parsers: ClassVar[dict[str, Callable[[str], Any]]]
    #: The fields that clients read and that only the server sets.
    owned: ClassVar[frozenset[str]]
    #: The schema of each field that is stored.
    stored_properties: ClassVar[dict[str, JSON]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "write_schema" in cls.__dict__:
            cls.compile_schemas()

    @classmethod
    def compile_schemas(cls) -> None:
        """Derive everything that requests need from the schemas and declarations."""
        properties = cls.write_schema["properties"]
        if "read_schema" not in cls.__dict__:
            cls.read_schema = derive_read_schema(cls.write_schema, cls.server_shown())
        shown = cls.read_schema["properties"]
        cls.shown = tuple(name for name in shown if name not in cls.computed)
        cls.writable = tuple(name for name in properties if name in shown)
        related = {name: one.model.read_schema for name, one in cls.relations.items()}
        cls.read_schema = with_relations(cls.read_schema, related)
        cls.owned = owned = frozenset({*cls.server_shown(), *SERVER_FIELDS})
        cls.write_validator = Validator(cls.write_schema, owned=owned)
        patch_schema = derive_patch_schema(cls.write_schema)
        cls.patch_validator = Validator(patch_schema, owned=owned)
        cls.queryable = Queryable(
            dict(shown),
            cls.filterable,
            cls.sortable,
            cls.searchable,
            tuple(cls.relations),
        )
        cls.defaults = {
            name: field.get("default") for name, field in properties.items()
        }
        stored = {**SERVER_FIELDS, **cls.server_properties, **properties}
        cls.stored_properties = stored
        cls.parsers = {
            name: PARSERS[field["format"]]
            for name, field in properties.items()
            if field.get("format") in PARSERS
        }
        cls.has_scope = cls.scope.__func__ is not Model.scope.__func__  # type: ignore
        rules = ("check", "before_write", "after_write", "scope")
        cls.has_rules = any(
            getattr(cls, name).__func__ is not getattr(Model, name).__func__
            for name in rules
        )

    @classmethod
    def server_shown(cls) -> dict[str, JSON]:
        """The schemas of the fields that clients read, and only the server sets."""
        stored = {
            name: nullable(field)
            for name, field in cls.server_properties.items()
            if name not in cls.hidden
        }
        computed = {name: one.schema for name, one in cls.computed.items()}
        return {
            name: {**field, "readOnly": True}
            for name, field in {**stored, **computed}.items()
        }

    @classmethod
    def get_or_404(cls, id: str) -> Record:
        """The record with an id.

        :raises Problem: 404 when it does not exist.
        """
        found = cls.read([id])
        if not found:
            raise Problem("not-found")
        return Record(cls, found[0])

    @classmethod
    def create(cls, from_json: Mapping[str, Any]) -> Record:
        """Store a new record.

        :param from_json: a body; it is validated against the write schema.
        :raises Problem: 400 as the schema says, 409 or 422 when a constraint of the
            store is violated.
        """
        cls.write_validator.check(from_json)
        document = cls.new_document(from_json)
        cls.insert([document])
        return Record(cls, document)

    @classmethod
    def list(cls, query: ListQuery = ListQuery()) -> Page:
        """One page of records, with the relations that the query embeds."""
        scoped = cls.in_scope(query)
        documents = cls.find(scoped, query.limit + 1)
        page = documents[: query.limit]
        return Page(
            items=cls.show_many(page, query),
            last=page[-1] if len(documents) > query.limit else None,
            total=cls.count(scoped) if query.count else None,
        )

    @classmethod
    def show(cls, document: Document, fields: Sequence[str] | None = None) -> Document:
        """The fields of a document that a client sees.

        :param fields: the fields to show; all when it is ``None``.
        """
        if not cls.computed:
            return {name: document[name] for name in fields or cls.shown}
        values = cls.typed(document)
        return {
            name: (
                cls.computed[name].value(values)
                if name in cls.computed
                else document[name]
            )
            for name in fields or (*cls.shown, *cls.computed)
        }

    @classmethod
    def show_many(cls, documents: Documents, query: ListQuery) -> Documents:
        """What a client sees of documents; each relation costs one read in all."""
        items = [cls.show(document, query.fields) for document in documents]
        for name in query.expand:
            relation = cls.relations[name]
            ids = [document[relation.field] for document in documents]
            wanted = list(dict.fromkeys(id for id in ids if id is not None))
            found = relation.model.read(wanted) if wanted else []
            by_id = {one["id"]: relation.model.show(one) for one in found}
            for item, id in zip(items, ids):
                item[name] = by_id.get(id)
        return items

    @classmethod
    def new_document(cls, body: Mapping[str, Any]) -> Document:
        """The document of a new record from a valid body."""
        now = datetime.now(UTC)
        return {
            "id": str(uuid_utils.uuid7()),
            "created_at": now,
            "updated_at": now,
            "version": 1,
            **dict.fromkeys(cls.server_properties),
            **cls.scope_values(),
            **cls.stored(body),
        }

    @classmethod
    def changed(cls, document: Document, fields: Document) -> Document:
        """The next version of a document."""
        return {
            **document,
            **fields,
            "updated_at": datetime.now(UTC),
            "version": document["version"] + 1,
        }

    @classmethod
    def stored(cls, body: Mapping[str, Any], partial: bool = False) -> Document:
        """A valid body as the store holds it: typed, and with defaults. A ``partial``
        body keeps only the fields that it names; ``null`` becomes the default."""
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

    @classmethod
    def typed(cls, document: Document) -> Document:
        """A document with dates, decimals and date-times instead of their strings."""
        properties = cls.stored_properties
        return {
            name: typed(value, properties.get(name, {}))
            for name, value in document.items()
        }

    @classmethod
    def writable_fields(cls, document: Document) -> JSON:
        """The writable fields of a document, as JSON."""
        fields: JSON = plain({name: document[name] for name in cls.writable})
        return fields

    @classmethod
    def completed(cls, record: Record, fields: Any) -> Any:
        """The whole body after writable fields were changed. A field with ``null`` is
        left out, unless its schema allows null. Fields that clients cannot read keep
        their values."""
        if not isinstance(fields, dict):
            return fields
        properties = cls.write_schema["properties"]
        hidden = {name: record[name] for name in properties if name not in cls.writable}
        return {
            name: value
            for name, value in {**plain(hidden), **fields}.items()
            if value is not None or "null" in properties.get(name, {}).get("type", ())
        }
