"""Patches for the conformance suite: malformed ones, and ones that lead to no record.

The patches use a field ``/F``; each resource replaces it by one of its fields.
"""

import json
from typing import Any, cast

from myapp.core.schema.derive import SERVER_FIELDS
from myapp.core.schema.strict_json import JSON

MERGE_PATCH, PLAIN = "application/merge-patch+json", "application/json"
JSON_PATCH = "application/json-patch+json"
IMPOSSIBLE = (JSON_PATCH, "unprocessable")
OTHER_TYPES = [
    {},
    *({"Content-Type": kind} for kind in ("text/plain", "application/vnd.api+json")),
    {"Content-Type": f"{PLAIN}, {JSON_PATCH}"},
    {"Content-Type": f"{JSON_PATCH}; charset=utf-16"},
    {"Content-Type": MERGE_PATCH, "Content-Encoding": "gzip"},
]
MALFORMED = {
    "empty": b"",
    "truncated": b'[{"op": "remove", "path": "/F"}',
    "duplicate op": b'[{"op": "test", "op": "remove", "path": "/F"}]',
    "nan": b'[{"op": "add", "path": "/F", "value": NaN}]',
    "2**63": b'{"F": 9223372036854775808}',
    "a lone surrogate": b'[{"op": "remove", "path": "/\\ud800"}]',
    "nul": b'{"F": "\\u0000"}',
    "nested 65 deep": b'[{"value": %b}]' % (b"[" * 63 + b"]" * 63),
}


def op(kind: str, path: Any, **members: Any) -> JSON:
    """One operation; ``source`` is its ``from``."""
    more = {"from" if name == "source" else name: members[name] for name in members}
    return {"op": kind, "path": path, **more}


def whole(kind: str, path: str = "/F", source: str = "/F") -> JSON:
    """An operation with the members that any kind of operation needs."""
    return op(kind, path, source=source, value=1)


OPS = ("add", "remove", "replace", "move", "copy", "test")
NEEDED = {kind: "value" for kind in ("add", "replace", "test")}
NEEDED |= {"move": "from", "copy": "from"}
NO_PATHS = (None, 0, ["F"], "F", "#/F", "/F/~2", "/F/~", "/F/~/0")
# Documents that are not a JSON Patch, and the pointer of the fault.
NO_PATCH: list[tuple[Any, str]] = [
    *((patch, "") for patch in (None, 5, "/F", {}, {"F": 1}, whole("remove"))),
    *(([one], "/0") for one in cast(tuple[Any, ...], (5, None, "remove", []))),
    *(([{**whole("add"), "op": kind}], "/0/op") for kind in ("ADD", "", None, ["add"])),
    *(([op("remove", path)], "/0/path") for path in NO_PATHS),
    *(([op("copy", "/F", source=path)], "/0/from") for path in NO_PATHS),
    ([{}], "/0/op"),
    ([{"op": "remove"}], "/0/path"),
    *(([op(kind, "/F")], f"/0/{NEEDED[kind]}") for kind in NEEDED),
    ([whole("add"), 5], "/1"),
]
# Patches with an invalid record as result, and the pointer of the fault in it.
ROOTS: tuple[Any, ...] = (None, [], "F", 5)
INVALID: list[tuple[list[JSON], str]] = [
    ([op("remove", "")], ""),
    *(([op("replace", "", value=value)], "") for value in ROOTS),
    ([op("add", "", value={"unheard": 1})], "/unheard"),
    *(([op("add", "", value={name: 1})], f"/{name}") for name in SERVER_FIELDS),
    ([op("replace", "/F", value={"no": 1})], "/F"),
    ([op("add", "/F", value=json.loads("[" * 62 + "]" * 62))], "/F"),
]


def readable(value: Any) -> str:
    """The id of a test: the start of the patch."""
    return json.dumps(value)[:100]
