"""What a model states, and what is derived from it when its class is made."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import orjson

from myapp.core.model.changes import Watched
from myapp.core.model.key import UUID_KEY, Key
from myapp.core.model.record import Document, Relation
from myapp.core.query.list_query import Queryable
from myapp.core.schema.derive import (
    SERVER_FIELDS,
    derive_create_schema,
    derive_patch_schema,
    derive_read_schema,
    nullable,
    with_relations,
)
from myapp.core.schema.formats import PARSERS
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import OWNED, SET_BY_SERVER, Validator

# The class methods that write, or make what is written.
WRITERS = (
    "create new_document changed insert overwrite discard add write remove".split()
)


def digest_of(schema: JSON) -> str:
    """Eight characters that differ where schemas differ."""
    text = orjson.dumps(schema, option=orjson.OPT_SORT_KEYS)
    return hashlib.sha256(text).hexdigest()[:8]


@dataclass(frozen=True)
class Computed:
    """A field that is shown, and not stored.

    :param schema: the JSON Schema of its value.
    :param value: computes it from the fields of a record; their values are typed.
    """

    schema: JSON
    value: Callable[[Mapping[str, Any]], Any]


class Declared(Watched):
    """The declarations of a model."""

    #: JSON Schema of a body of POST and PUT; its ``$id`` ends in ``.write.json``.
    write_schema: ClassVar[JSON]
    #: JSON Schema of a record as clients see it; derived when it is not stated.
    read_schema: ClassVar[JSON]
    #: Fields that the list can be filtered by; each has an index.
    filterable: ClassVar[tuple[str, ...]] = ()
    #: Fields that the list can be sorted by; each has an index.
    sortable: ClassVar[tuple[str, ...]] = ()
    #: Fields whose value no two records share; a write of a value that another record
    #: has is a 409. Records in which the field is unset may be many.
    unique: ClassVar[tuple[str, ...]] = ()
    #: Text fields that ``q`` searches.
    searchable: ClassVar[tuple[str, ...]] = ()
    #: Of the times that the server sets, those that the list can be filtered and sorted
    #: by, too; each has an index.
    times: ClassVar[tuple[str, ...]] = ("created_at", "updated_at")
    #: What the ids are; by default UUIDs of version 7 that the server makes.
    key: ClassVar[Key] = UUID_KEY
    #: The records that ``expand`` can embed, by the name of the relation.
    relations: ClassVar[dict[str, Relation]] = {}
    #: The schemas of stored fields that only the server sets: from the scope, in hooks,
    #: or in the feature's code. Clients read them, unless ``hidden`` names them.
    server_properties: ClassVar[dict[str, JSON]] = {}
    #: The fields of ``server_properties`` that clients never see.
    hidden: ClassVar[tuple[str, ...]] = ()
    #: Fields that are not stored: their values are computed from other fields.
    computed: ClassVar[dict[str, Computed]] = {}
    #: Whether its store can write many of its records at once, all or nothing.
    has_batch: ClassVar[bool] = True
    #: Whether PUT, PATCH and DELETE must carry If-Match (428 without).
    requires_if_match: ClassVar[bool] = False

    #: The schema of a body of POST: the write schema, with the id if clients give it.
    create_schema: ClassVar[JSON]
    create_validator: ClassVar[Validator]
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
    #: The fields that clients read and cannot write, with the detail of the error.
    owned: ClassVar[dict[str, str]]
    #: Whether a request for one record writes that record alone: the model has no
    #: writing method of its own, which could write more.
    lone_writes: ClassVar[bool]
    #: A digest of the read schema, which tells one shape of a record from another.
    shape: ClassVar[str]
    #: The fields that have an index.
    indexed: ClassVar[tuple[str, ...]]
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
        id, is_made = cls.key.schema, cls.key.make is not None
        if "read_schema" not in cls.__dict__:
            id = {**id, "readOnly": True} if is_made else id
            added = cls.server_shown()
            cls.read_schema = derive_read_schema(cls.write_schema, added, id)
        shown = cls.read_schema["properties"]
        cls.shown = tuple(name for name in shown if name not in cls.computed)
        cls.writable = tuple(name for name in properties if name in shown)
        related = {name: one.model.read_schema for name, one in cls.relations.items()}
        cls.read_schema = with_relations(cls.read_schema, related)
        cls.shape = digest_of(cls.read_schema)
        owned = {**OWNED, **dict.fromkeys(cls.server_shown(), SET_BY_SERVER)}
        if not is_made:
            owned["id"] = "cannot be changed"
        cls.owned = owned
        cls.write_validator = Validator(cls.write_schema, owned=owned)
        cls.create_schema = cls.write_schema
        cls.create_validator = cls.write_validator
        if not is_made:
            cls.create_schema = derive_create_schema(cls.write_schema, cls.key.schema)
            cls.create_validator = Validator(cls.create_schema, owned=owned)
        patch_schema = derive_patch_schema(cls.write_schema)
        cls.patch_validator = Validator(patch_schema, owned=owned)
        cls.defaults = {
            name: field.get("default") for name, field in properties.items()
        }
        fields = {**SERVER_FIELDS, "id": cls.key.schema}
        stored = {**fields, **cls.server_properties, **properties}
        cls.stored_properties = stored
        cls.compile_query(shown)
        cls.parsers = {
            name: PARSERS[field["format"]]
            for name, field in properties.items()
            if field.get("format") in PARSERS
        }
        cls.has_scope = cls.overrides("scope")
        rules = ("check", "before_write", "after_write", "scope")
        cls.has_rules = cls.audited or any(cls.overrides(name) for name in rules)
        # The classes of this family are the model, its store's base, Model and this.
        store = [one for one in cls.__mro__ if issubclass(one, Declared)][-3]
        cls.lone_writes = not any(cls.overrides(name, store) for name in WRITERS)

    @classmethod
    def overrides(cls, name: str, base: Any = None) -> bool:
        """Whether the model, or a class that it inherits, defines a class method of
        this name anew.

        :param base: the class that defines it; this class by default.
        """
        known = getattr(base or Declared, name)
        return getattr(cls, name).__func__ is not known.__func__

    @classmethod
    def compile_query(cls, shown: JSON) -> None:
        """Collect what the list can be asked for, and the fields that need an index.

        :param shown: the schemas of the fields that clients see.
        """
        cls.check_names(shown)
        times = [name for name in cls.times if name in shown]
        filterable = tuple(dict.fromkeys((*cls.filterable, *times)))
        sortable = tuple(dict.fromkeys((*cls.sortable, *times)))
        cls.queryable = Queryable(
            dict(shown),
            filterable,
            sortable,
            cls.searchable,
            tuple(cls.relations),
            cls.key.by_time,
        )
        indexed = dict.fromkeys((*filterable, *sortable, *cls.scoped_by, *cls.unique))
        # Ids have the index of their key.
        indexed.pop("id", None)
        if cls.key.by_time:
            indexed.pop("created_at", None)
        cls.indexed = tuple(indexed)

    @classmethod
    def check_names(cls, shown: JSON) -> None:
        """Make sure that the declarations name fields.

        :raises TypeError: when one does not.
        """
        relations = [one.field for one in cls.relations.values()]
        for option, names, known, what in (
            ("filterable", cls.filterable, shown, "a field that clients read"),
            ("sortable", cls.sortable, shown, "a field that clients read"),
            ("searchable", cls.searchable, shown, "a field that clients read"),
            ("unaudited", cls.unaudited, shown, "a field that clients read"),
            ("unique", cls.unique, cls.stored_properties, "a stored field"),
            ("scoped_by", cls.scoped_by, cls.stored_properties, "a stored field"),
            ("relations", relations, cls.stored_properties, "a stored field"),
            ("hidden", cls.hidden, cls.server_properties, "in server_properties"),
        ):
            for name in names:
                if name not in known:
                    place = f"{cls.__name__}.{option} names {name!r}"
                    raise TypeError(f"{place}, which is not {what}")

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
