"""Schemas: strict types, formats and patterns; derived schemas; their details."""

from datetime import UTC, datetime
from typing import Any

import pytest

from myapp.core.errors.pointers import pointer
from myapp.core.schema.derive import derive_patch_schema, derive_read_schema, nullable
from myapp.core.schema.formats import parse_datetime
from myapp.core.schema.swagger import downgrade
from myapp.core.schema.validator import Validator

WRITE = {
    "$id": "/schemas/thing.write.json",
    "type": "object",
    "properties": {
        "name": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "kind": {"enum": ["a", "b"]},
        "tags": {"type": "array", "items": {"type": "string"}, "default": []},
        "secret": {"type": "string", "writeOnly": True},
    },
    "required": ["name"],
    "additionalProperties": False,
}


def errors(schema: Any, value: Any) -> list[tuple[str, str]]:
    """The pointer and the detail of each error."""
    found = Validator(schema).errors(value)
    return [(error["pointer"], error["detail"]) for error in found]


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 1.0),
        ({"type": "integer"}, True),
        ({"pattern": "^a$"}, "a\n"),
        ({"pattern": r"^\d$"}, "١"),
        ({"format": "date-time"}, "nope"),
        ({"format": "date-time"}, "2020-01-01T00:00:00"),
        ({"format": "date-time"}, "2020-01-01 00:00:00Z"),
        ({"format": "date-time"}, "2016-12-31T23:59:60Z"),
        ({"format": "date-time"}, "0001-01-01T00:00:00+23:59"),
        ({"format": "date-time"}, "9999-12-31T23:59:59-23:59"),
        ({"format": "date-time"}, "2020-01-01T00:00:00.1234567Z"),
        ({"format": "date"}, "2023-02-29"),
        ({"format": "uuid"}, "01a1fbb01f047797b38870714d177810"),
        ({"format": "decimal"}, "1e3"),
        ({"format": "decimal"}, "NaN"),
        ({"format": "uri"}, "no uri"),
        ({"format": "email"}, "nobody"),
    ],
)
def test_what_is_not_valid(schema: Any, value: Any) -> None:
    assert errors(schema, value)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "integer"}, 2**63 - 1),
        ({"type": "number"}, 1.0),
        ({"pattern": r"[$]\$$"}, "$$"),
        ({"format": "date-time"}, "2020-01-01t00:00:00.123456z"),
        ({"format": "decimal"}, "-0.5"),
        ({"$schema": "http://json-schema.org/draft-07/schema#", "const": 1}, 1),
    ],
)
def test_what_is_valid(schema: Any, value: Any) -> None:
    assert errors(schema, value) == []


def test_details_do_not_repeat_the_input() -> None:
    schema = {"properties": {"password": {"minLength": 40, "pattern": "^x"}}}
    found = str(Validator(schema).errors({"password": "hunter2"}))
    assert "hunter2" not in found and "at least 40" in found


def test_errors_point_at_missing_and_unknown_members() -> None:
    schema = {
        "required": ["a"],
        "properties": {"a": {}, "b": {"additionalProperties": False}},
        "patternProperties": {"^x-": {}},
        "additionalProperties": {"type": "integer"},
    }
    value = {"b": {"c/~": 1}, "x-y": "", "d": "no"}
    assert errors(schema, value) == [
        ("/a", "is required"),
        ("/b/c~1~0", "is not a known field"),
        ("/d", "must be of type integer"),
    ]


def test_a_huge_body_tells_a_hundred_errors_at_most() -> None:
    assert len(errors({"items": {"type": "null"}}, [1] * 100_000)) == 100


def test_the_read_schema_adds_what_the_server_owns() -> None:
    schema = derive_read_schema(WRITE)
    names = [
        "id",
        "created_at",
        "updated_at",
        "version",
        "name",
        "size",
        "kind",
        "tags",
    ]
    assert list(schema["properties"]) == schema["required"] == names
    assert schema["properties"]["size"]["type"] == ["integer", "null"]
    assert schema["properties"]["kind"]["anyOf"]
    assert schema["properties"]["tags"]["type"] == "array"
    assert schema["$id"] == "/schemas/thing.json"


def test_the_patch_schema_requires_nothing_and_keeps_every_bound() -> None:
    schema = derive_patch_schema(WRITE)
    assert errors(schema, {}) == []
    assert errors(schema, {"size": None, "kind": None, "tags": None}) == []
    assert errors(schema, {"name": None, "size": 0, "no": 1}) == [
        ("/name", "must be of type string"),
        ("/no", "is not a known field"),
        ("/size", "must be at least 1"),
    ]
    assert WRITE["required"] == ["name"]


def test_moments_are_kept_in_utc() -> None:
    moment = parse_datetime("2020-01-01T01:30:00.5+01:30")
    assert moment == datetime(2020, 1, 1, microsecond=500000, tzinfo=UTC)


def test_pointers_escape() -> None:
    assert pointer("a/b", 0, "~") == "/a~1b/0/~0"


def test_swagger_leaves_out_what_it_cannot_say() -> None:
    schema = {
        "$id": "/schemas/x.json",
        "type": ["object", "null"],
        "properties": {
            "a": {"const": 1},
            "b": {"anyOf": [{"type": "null"}]},
            "c": {"type": ["string", "null"], "enum": ["x", None]},
            "d": {"type": "array"},
            "e": {"$ref": "/schemas/thing.write.json"},
        },
        "required": [],
        "additionalProperties": {"type": "integer"},
    }
    assert downgrade(schema) == {
        "type": "object",
        "x-nullable": True,
        "properties": {
            "a": {"enum": [1]},
            "b": {},
            "c": {"type": "string", "x-nullable": True, "enum": ["x"]},
            "d": {"type": "array", "items": {}},
            "e": {"$ref": "#/definitions/thing_write"},
        },
        "additionalProperties": {"type": "integer"},
    }


@pytest.mark.parametrize("field", [{"const": "a"}, {"enum": ["a"]}, {}])
def test_a_nullable_field_takes_null_and_what_it_took(field: Any) -> None:
    schema = nullable({"type": "string", "maxLength": 1, **field})
    assert errors(schema, None) == errors(schema, "a") == []
    assert bool(errors(schema, "b")) is bool(field)


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        (r"^\s$", "\u00a0", True),
        (r"^\s$", "\u2028", True),
        (r"^[a\s]$", "\ufeff", True),
        (r"^\S$", "\u3000", False),
        (r"^\S$", "\u200b", True),
        ("^.$", "\u2028", False),
        ("^.$", "\r", False),
        ("^[.]$", "a", False),
        (r"^\cJ$", "\n", True),
        (r"^\u{1F600}$", "😀", True),
        (r"^(?<one>a)\k<one>$", "aa", True),
        (r"^\.$", "a", False),
        (r"^[\]]$", "]", True),
        (r"^\d\w$", "١a", False),
        ("^a$", "a\n", False),
        (r"^a\$$", "a$", True),
    ],
)
def test_a_pattern_means_what_it_means_in_ecma_262(
    pattern: str, text: str, matches: bool
) -> None:
    schema = {"type": "string", "pattern": pattern}
    assert (errors(schema, text) == []) is matches


@pytest.mark.parametrize("pattern", [r"^\p{L}$", r"[\S]", "(", "[^]", r"(?<=a*)b"])
def test_a_schema_that_cannot_be_judged_is_refused_with_its_name(pattern: str) -> None:
    inner = {"type": "object", "properties": {"a": {"pattern": pattern}}}
    with pytest.raises(ValueError, match="/schemas/a.json: the pattern"):
        Validator({"$id": "/schemas/a.json", "items": inner})
    Validator({"examples": [{"pattern": pattern}], "const": {"pattern": pattern}})


@pytest.mark.parametrize("offset", ["+10:60", "-00:99", "+24:00", "+1:00"])
def test_an_offset_that_is_none_is_refused(offset: str) -> None:
    schema = {"type": "string", "format": "date-time"}
    assert errors(schema, f"2026-01-01T00:00:00{offset}")
    assert not errors(schema, "2026-01-01T00:00:00+10:59")


@pytest.mark.parametrize(
    ("kind", "text", "valid"),
    [
        ("iri", "http://ƒøø.ßår/?∂éœ=πîx#πîüx", True),
        ("iri", "http://[2001:db8::1]/é", True),
        ("iri", "urn:x:\U0001f600", True),
        ("iri", "http://a/?\ue000", True),
        ("iri", "http://a/\ue000", False),
        ("iri", "http://a/\ufffe", False),
        ("iri", "http://a/é b", False),
        ("iri", "http://a/%zz", False),
        ("iri", "/é", False),
        ("iri-reference", "/é?a#b", True),
        ("iri-reference", "", True),
        ("iri-reference", "\\é", False),
        ("iri-reference", "#é#", False),
    ],
)
def test_an_iri_is_a_uri_when_it_is_mapped(kind: str, text: str, valid: bool) -> None:
    validator = Validator({"type": "string", "format": kind})
    assert (not list(validator.errors(text))) is valid
