"""Schemas derived from a write schema, so that each property is written once."""

from collections.abc import Mapping
from copy import deepcopy

from myapp.core.schema.strict_json import JSON

# The fields that the server sets, in the order in which a record shows them.
SERVER_FIELDS: dict[str, JSON] = {
    "id": {"type": "string", "format": "uuid", "readOnly": True},
    "created_at": {"type": "string", "format": "date-time", "readOnly": True},
    "updated_at": {"type": "string", "format": "date-time", "readOnly": True},
    "version": {"type": "integer", "minimum": 1, "readOnly": True},
}
# The UUIDv7 of RFC 9562, appendix A.6, and its timestamp.
SERVER_EXAMPLE: JSON = {
    "id": "017f22e2-79b0-7cc3-98c4-dc0c0c07398f",
    "created_at": "2022-02-22T19:22:22Z",
    "updated_at": "2022-02-22T19:22:22Z",
    "version": 1,
}


def derive_read_schema(
    write_schema: JSON, added: Mapping[str, JSON] | None = None, id: JSON | None = None
) -> JSON:
    """The schema of a record as clients see it: the fields that the server sets, then
    the fields that clients write. Each is always present; an unset one is ``null``.

    ``writeOnly`` properties are left out.

    :param added: the schemas of further fields.
    :param id: the schema of the id, when it is not a UUID that the server makes.
    """
    required = write_schema.get("required", [])
    properties = deepcopy(SERVER_FIELDS)
    properties["id"] = deepcopy(id or properties["id"])
    for name, field in write_schema["properties"].items():
        if not field.get("writeOnly"):
            optional = name not in required and field.get("default") is None
            properties[name] = nullable(field) if optional else deepcopy(field)
    properties |= deepcopy(dict(added or {}))
    schema = {
        "$id": write_schema["$id"].replace(".write.json", ".json"),
        "title": title_of(write_schema, ""),
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    if "examples" in write_schema:
        examples = [
            record_example(write_schema["properties"], properties, body)
            for body in write_schema["examples"]
        ]
        schema["examples"] = [one for one in examples if one is not None]
    return schema


def title_of(schema: JSON, end: str) -> str:
    """The title of a schema that is made of another one.

    :param end: what tells it from the others.
    """
    title = str(schema.get("title", "")).removesuffix(", as written")
    return title and title + end


def derive_create_schema(write_schema: JSON, id: JSON) -> JSON:
    """The schema of a body that creates a record whose id the client gives.

    :param id: the schema of the id.
    """
    schema = deepcopy(write_schema)
    schema["$id"] = write_schema["$id"].replace(".write.json", ".create.json")
    if "title" in schema:
        schema["title"] = title_of(write_schema, ", as created")
    schema["properties"] = {"id": deepcopy(id), **schema["properties"]}
    schema["required"] = ["id", *schema.get("required", [])]
    ids = id.get("examples", [])
    if "examples" in schema:
        pairs = zip(ids, schema["examples"])
        schema["examples"] = [{"id": one, **body} for one, body in pairs]
    return schema


def record_example(writable: JSON, shown: JSON, body: JSON) -> JSON | None:
    """The record that an example of a body creates; ``None`` when the value of a field
    is not known."""
    unset = {name: field.get("default") for name, field in writable.items()}
    stated = {
        name: field["examples"][0]
        for name, field in shown.items()
        if field.get("examples")
    }
    record = {**SERVER_EXAMPLE, **stated, **unset, **body}
    if shown["id"].get("format") != "uuid" and "id" not in stated:
        del record["id"]
    unknown = set(shown) - set(record)
    nothing = {name: None for name in unknown if "null" in shown[name].get("type", ())}
    if unknown - set(nothing):
        return None
    return {name: {**record, **nothing}[name] for name in shown}


def with_relations(read_schema: JSON, relations: Mapping[str, JSON]) -> JSON:
    """A read schema that also allows the records that ``expand`` embeds.

    :param relations: the read schema of each relation, by the relation's name.
    """
    schema = deepcopy(read_schema)
    for name, related in relations.items():
        reference = {"$ref": related["$id"]}
        schema["properties"][name] = {"anyOf": [reference, {"type": "null"}]}
    return schema


def view_schema(read_schema: JSON) -> JSON:
    """The schema of a record that may show only some fields, as ``fields`` selects."""
    some = {key: read_schema[key] for key in read_schema if key != "required"}
    title = title_of(read_schema, ", or some of its fields")
    id = read_schema["$id"].replace(".json", ".view.json")
    return {**some, "$id": id, "title": title}


def list_schema(read_schema: JSON) -> JSON:
    """The schema of one page of records."""
    view = view_schema(read_schema)
    return {
        "$id": read_schema["$id"].replace(".json", ".list.json"),
        "title": title_of(read_schema, ", in a page of a list"),
        "examples": [
            {"items": [record], "next": None}
            for record in read_schema.get("examples", ())
        ],
        "type": "object",
        "properties": {
            "items": {"type": "array", "items": {"$ref": view["$id"]}},
            "next": {"type": ["string", "null"]},
            "total": {"type": "integer", "minimum": 0},
        },
        "required": ["items", "next"],
        "additionalProperties": False,
    }


def derive_patch_schema(write_schema: JSON) -> JSON:
    """The schema of some members of a body: no member is required, ``null`` resets an
    optional field, and every other constraint holds."""
    required = write_schema.get("required", [])
    schema = deepcopy(write_schema)
    schema.pop("required", None)
    if "examples" in schema:
        schema["examples"] = [
            dict([next(iter(body.items()))]) for body in schema["examples"] if body
        ]
    schema["$id"] = write_schema["$id"].replace(".write.json", ".patch.json")
    schema["title"] = title_of(write_schema, ", as patched")
    schema["properties"] = {
        name: deepcopy(field) if name in required else nullable(field)
        for name, field in write_schema["properties"].items()
    }
    # A field that is not in the patch keeps its value.
    for field in schema["properties"].values():
        field.pop("default", None)
    return schema


def nullable(field: JSON) -> JSON:
    """A copy of a property's schema that also takes ``null``."""
    field = deepcopy(field)
    if "type" not in field:
        return {"anyOf": [field, {"type": "null"}]}
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    if "null" not in types:
        field["type"] = [*types, "null"]
    if "const" in field:
        field["enum"] = [field.pop("const")]
    if "enum" in field and None not in field["enum"]:
        field["enum"] = [*field["enum"], None]
    return field
