"""The model contract: two JSON Schemas, and the rules that every store keeps.

A model is a class. It states ``write_schema`` and ``read_schema``, and the options of
its list query. A store adds a few primitives in a base class of its own, such as
:class:`~myapp.core.stores.sql.SqlModel`. The code here decides what a client sees, for
all stores.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from myapp.core.errors.problem import Problem
from myapp.core.model.declared import Declared
from myapp.core.model.record import Document, Documents, Page, Record
from myapp.core.query.created import created_at
from myapp.core.query.filters import typed
from myapp.core.query.list_query import ListQuery
from myapp.core.schema.json_out import plain
from myapp.core.schema.strict_json import JSON


class Model(Declared):
    """The base class of every model, in any store."""

    @classmethod
    def get_or_404(cls, id: Any) -> Record:
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

        :param from_json: a body, with the id if clients give it; it is validated
            against ``create_schema``.
        :raises Problem: 400 as the schema says, 409 or 422 when a constraint of the
            store is violated.
        """
        cls.create_validator.check(from_json)
        document = cls.new_document(from_json)
        cls.insert([document])
        return Record(cls, document)

    @classmethod
    def list(cls, query: ListQuery | None = None) -> Page:
        """One page of records, with the relations that the query embeds; by default the
        newest records."""
        query = query or ListQuery(sort=cls.queryable.newest)
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
    def new_id(cls, body: Mapping[str, Any]) -> Any:
        """The id of a new record: a new one, or that in a valid body."""
        return cls.key.make() if cls.key.make else cls.key.read(body["id"])

    @classmethod
    def new_document(cls, body: Mapping[str, Any], id: Any = None) -> Document:
        """The document of a new record from a valid body.

        :param id: its id; by default :meth:`new_id`.
        """
        id = cls.new_id(body) if id is None else id
        now = created_at(id) if cls.key.by_time else datetime.now(UTC)
        return {
            "id": id,
            "created_at": now,
            "updated_at": now,
            "version": 1,
            **{**cls.stored(body), "id": id},
            **dict.fromkeys(cls.server_properties),
            **cls.scope_values(),
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
