"""The schemas of a batch: its outer structure, and its documentation."""

from myapp.core.model.key import Key
from myapp.core.model.model import Model
from myapp.core.schema.derive import derive_patch_schema, title_of
from myapp.core.schema.formats import PATTERNS
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator

MAX_ITEMS = 1000
# The keywords that name or show a schema, and do not constrain it.
NAMING = ("$id", "title", "examples")
PARTS = ("create", "update", "delete")
REFERENCE_PATTERN = "#/create/(0|[1-9][0-9]{0,2})"
VERSION_SCHEMA: JSON = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1}


def id_schema(key: Key) -> JSON:
    """The schema of an id in a batch, for documentation; ids are checked with their
    items."""
    if key.is_uuid:
        return {
            "type": "string",
            "pattern": f"^({PATTERNS['uuid']}|{REFERENCE_PATTERN})$",
            "description": "A UUID, or #/create/<index>.",
        }
    reference = {"type": "string", "pattern": f"^{REFERENCE_PATTERN}$"}
    return {
        "anyOf": [key.schema, reference],
        "description": "An id, or #/create/<index>.",
    }


def delete_schema(id: JSON) -> JSON:
    """The schema of an item to delete.

    :param id: the schema of its id.
    """
    item = {
        "type": "object",
        "properties": {"id": id, "version": VERSION_SCHEMA},
        "required": ["id"],
        "additionalProperties": False,
    }
    return {"anyOf": [id, item]}


def shape(id_type: str) -> Validator:
    """The outer structure of a batch; the schemas of the model validate the items."""
    id = {"type": ["string", id_type]}
    update = {
        "type": "object",
        "properties": {"id": id, "version": VERSION_SCHEMA},
        "required": ["id"],
    }
    return Validator(
        {
            "type": "object",
            "properties": {
                "create": {"type": "array"},
                "update": {"type": "array", "items": update},
                "delete": {"type": "array", "items": delete_schema(id)},
            },
            "additionalProperties": False,
        }
    )


# The structures by the type of an id; an integer may be a reference too, as a string.
SHAPES = {"string": shape("string"), "integer": shape("integer")}


def batch_schema(model: type[Model]) -> JSON:
    """The schema of a batch."""
    patch = derive_patch_schema(model.write_schema)
    update = {
        **{key: patch[key] for key in patch if key not in NAMING},
        "properties": {
            **patch["properties"],
            "id": id_schema(model.key),
            "version": VERSION_SCHEMA,
        },
        "required": ["id"],
    }
    bodies = model.create_schema.get("examples", [])[:1]
    return {
        "$id": model.write_schema["$id"].replace(".write.json", ".batch.json"),
        "title": title_of(model.write_schema, ", in a batch"),
        "examples": [{"create": [body]} for body in bodies],
        "type": "object",
        "properties": {
            "create": {
                "type": "array",
                "items": {"$ref": model.create_schema["$id"]},
                "maxItems": MAX_ITEMS,
            },
            "update": {"type": "array", "items": update, "maxItems": MAX_ITEMS},
            "delete": {
                "type": "array",
                "items": delete_schema(id_schema(model.key)),
                "maxItems": MAX_ITEMS,
            },
        },
        "additionalProperties": False,
    }


def batch_response_schema(model: type[Model]) -> JSON:
    """The schema of the response to a batch."""
    shown = model.read_schema.get("examples", [])[:1]
    records = {"type": "array", "items": {"$ref": model.read_schema["$id"]}}
    ids = {"type": "array", "items": model.key.schema}
    return {
        "$id": model.write_schema["$id"].replace(".write.json", ".batch-answer.json"),
        "title": title_of(model.write_schema, ", in the answer to a batch"),
        "examples": [{"create": [one], "update": [], "delete": []} for one in shown],
        "type": "object",
        "properties": {"create": records, "update": records, "delete": ids},
        "required": list(PARTS),
        "additionalProperties": False,
    }
