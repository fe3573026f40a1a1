"""PATCH: JSON Merge Patch (RFC 7396) and JSON Patch (RFC 6902).

Both work on the writable fields of a record: the fields that a client may write and
read, with the values that it reads. Other fields cannot be changed, tested or copied;
they are refused like fields that do not exist. A patch does not change the record
itself: its result is a whole body, which the write schema validates.
"""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from myapp.core.errors.kinds import Slug
from myapp.core.errors.pointers import pointer, problem_at
from myapp.core.errors.problem import Problem
from myapp.core.model.json_patch import apply, split
from myapp.core.model.model import Model
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator, unknown_member

MERGE_TYPES = ("application/merge-patch+json", "application/json")
JSON_PATCH_TYPE = "application/json-patch+json"
PATCH_TYPES = (*MERGE_TYPES, JSON_PATCH_TYPE)
MAX_OPERATIONS = 1000

JSON_PATCH_SCHEMA: JSON = {
    "$id": "/schemas/json-patch.json",
    "title": "A JSON Patch, RFC 6902; remove with a value takes it out of an array",
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "op": {"enum": ["add", "remove", "replace", "move", "copy", "test"]},
            "path": {"type": "string", "pattern": "^(/([^~]|~[01])*)?$"},
            "from": {"type": "string", "pattern": "^(/([^~]|~[01])*)?$"},
            "value": {},
        },
        "required": ["op", "path"],
        "allOf": [
            {
                "if": {"properties": {"op": {"enum": ["add", "replace", "test"]}}},
                "then": {"required": ["value"]},
            },
            {
                "if": {"properties": {"op": {"enum": ["move", "copy"]}}},
                "then": {"required": ["from"]},
            },
        ],
    },
}
JSON_PATCH = Validator(JSON_PATCH_SCHEMA)


class PatchKind(NamedTuple):
    """The meaning of a media type of PATCH.

    :param check: refuses a body that is not such a patch, or that names other fields.
    :param apply: returns the result of a patch on writable fields; its third argument
        is the maximum size of the result, in bytes.
    :param refusal: the problem of a patch with an invalid result. A JSON Patch with an
        invalid result is a 422 (RFC 5789 section 2.2), since its own schema cannot
        exclude it. A merge patch with an invalid result is a 400.
    """

    check: Callable[[Any, type[Model]], None]
    apply: Callable[[JSON, Any, int], Any]
    refusal: Slug


def kind_of(media_type: str) -> PatchKind:
    """The meaning of a media type of :data:`PATCH_TYPES`."""
    if media_type == JSON_PATCH_TYPE:
        return PatchKind(check_operations, apply_operations, "unprocessable")
    return PatchKind(check_members, apply_merge, "invalid-body")


def apply_merge(fields: JSON, patch: Any, _max_size: int) -> Any:
    """The result of a merge patch; it is never larger than fields and patch together.

    A ``null`` for a field that clients cannot read stays in the result, so that the
    field is reset.
    """
    resets = {name: None for name in patch if patch[name] is None}
    hidden = {name: None for name in resets if name not in fields}
    return {**merge(fields, patch), **hidden}


def apply_operations(fields: JSON, patch: Any, max_size: int) -> Any:
    """The result of a JSON Patch on writable fields.

    :raises Problem: 422 when the result has a member that is not a writable field.
    """
    result = apply(fields, patch, max_size)
    unknown = set(result) - set(fields) if isinstance(result, dict) else ()
    if unknown:
        errors = [unknown_member(name) for name in sorted(unknown)]
        raise Problem("unprocessable", errors=errors)
    return result


def merge(target: Any, patch: Any) -> Any:
    """The result of a merge patch, RFC 7396 section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge(result.get(name), value)
    return result


def check_members(patch: Any, model: type[Model]) -> None:
    """Refuse a merge patch that is not an object, or that names other fields.

    :raises Problem: 400 with every mistake.
    """
    if not isinstance(patch, dict):
        raise Problem(
            "invalid-body", errors=[problem_at("", "must be an object", "type")]
        )
    known = model.write_schema["properties"]
    unknown = [name for name in patch if name not in known]
    if unknown:
        raise Problem(
            "invalid-body",
            errors=[unknown_member(name, model.owned) for name in unknown],
        )


def other_bodies(model: type[Model]) -> dict[str, JSON]:
    """The schemas of the bodies of PATCH, except that of ``application/json``."""
    merge_patch = model.patch_validator.schema
    return {MERGE_TYPES[0]: merge_patch, JSON_PATCH_TYPE: json_patch_schema(model)}


def json_patch_schema(model: type[Model]) -> JSON:
    """The schema of a JSON Patch of a model; its paths begin with a writable field."""
    names = "|".join(re.escape(pointer(name)[1:]) for name in model.writable)
    below = {"type": "string", "pattern": f"^(/({names})(/([^~/]|~[01])*)*)?$"}
    members = JSON_PATCH_SCHEMA["items"]["properties"]
    items = {
        **JSON_PATCH_SCHEMA["items"],
        "properties": {**members, "path": below, "from": below},
    }
    return {
        **JSON_PATCH_SCHEMA,
        "$id": model.write_schema["$id"].replace(".write.json", ".json-patch.json"),
        "items": items,
        "examples": [
            [{"op": "replace", "path": pointer(name), "value": value}]
            for body in model.patch_validator.schema.get("examples", ())
            for name, value in body.items()
        ],
        "maxItems": MAX_OPERATIONS,
    }


def check_operations(patch: Any, model: type[Model]) -> None:
    """Refuse a body that is not a JSON Patch, or that uses other than writable fields.

    :raises Problem: 400 with every mistake, 413 for too many operations.
    """
    fields = model.writable
    if isinstance(patch, list) and len(patch) > MAX_OPERATIONS:
        raise Problem("too-large", f"A patch has at most {MAX_OPERATIONS} operations.")
    JSON_PATCH.check(patch)
    errors = []
    for number, operation in enumerate(patch):
        for member in ("path", "from"):
            tokens = split(operation.get(member, ""))
            if tokens and tokens[0] not in fields:
                error = unknown_member(tokens[0], model.owned)
                errors.append({**error, "pointer": pointer(number, member)})
    if errors:
        raise Problem("invalid-body", errors=errors)
