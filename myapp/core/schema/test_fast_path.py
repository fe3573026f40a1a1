"""The compiled schemas accept exactly the values that jsonschema accepts."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myapp.core.http.app import App
from myapp.core.schema.fast_path import compile_schema
from myapp.core.schema.formats import FORMAT_CHECKER
from myapp.core.schema.patterns import ecma_pattern
from myapp.core.schema.validator import Validator

TEXT = st.sampled_from(
    ["", "a", "ab", "abc\n", "2020-02-30", "2020-02-29", "1.50", "é"]
)
NUMBERS = st.sampled_from([0, 1, -1, 2, 3, 1.0, 2.5, True, False, None, 2**63 - 1])
VALUES = st.recursive(
    TEXT | NUMBERS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from("abcd"), inner, max_size=4),
    max_leaves=6,
)
SCHEMAS: dict[str, Any] = {
    "string": {"type": "string", "minLength": 1, "maxLength": 2},
    "pattern": {"type": "string", "pattern": r"^[a-z]+$"},
    "date": {"type": ["string", "null"], "format": "date"},
    "decimal": {"type": "string", "format": "decimal"},
    "integer": {"type": "integer", "minimum": 0, "maximum": 2},
    "number": {"type": ["number", "null"], "minimum": 1},
    "enum": {"type": ["string", "null"], "enum": ["a", "ab", None]},
    "set": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    "list": {"type": "array", "minItems": 1, "maxItems": 2},
    "boolean": {"type": "boolean"},
    "object": {
        "type": "object",
        "properties": {
            "a": {"type": "integer"},
            "b": {"type": "array", "items": {"type": "number"}},
            "c": {
                "type": "object",
                "properties": {"a": {"type": "boolean"}},
                "required": ["a"],
                "additionalProperties": False,
            },
        },
        "required": ["a"],
        "additionalProperties": False,
    },
}
VALID: dict[str, Any] = {
    "string": "ab",
    "pattern": "ab",
    "date": "2020-02-29",
    "decimal": "1.50",
    "integer": 2,
    "number": 1.0,
    "enum": None,
    "set": ["a", "ab"],
    "list": [[]],
    "boolean": False,
    "object": {"a": 1, "b": [1, 2.5], "c": {"a": True}},
}
BEYOND: list[Any] = [
    True,
    {},
    {"type": ["string", "integer"]},
    {"type": "string", "const": "a"},
    {"type": "object", "properties": {}},
    {"type": "integer", "enum": [1]},
    {"type": ["string", "null"], "enum": ["a"]},
    {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    {"anyOf": [{"type": "string"}]},
]


@pytest.mark.parametrize("name", SCHEMAS)
def test_compiled_and_judge_agree(name: str) -> None:
    validator = Validator(SCHEMAS[name])
    accept = validator.accept
    assert accept is not None
    seen = {validator.compiled.is_valid(VALID[name])}
    assert seen == {accept(VALID[name])} == {True}

    @settings(max_examples=200, deadline=None, derandomize=True, database=None)
    @given(VALUES)
    def agree(value: Any) -> None:
        verdict = validator.compiled.is_valid(value)
        seen.add(verdict)
        assert accept(value) is verdict

    agree()
    assert seen == {True, False}


@pytest.mark.parametrize("schema", BEYOND, ids=str)
def test_what_is_not_understood_is_not_compiled(schema: Any) -> None:
    assert compile_schema(schema, FORMAT_CHECKER, ecma_pattern) is None


def test_the_schemas_of_the_features_are_compiled(app: App) -> None:
    schemas = app.extensions["schemas"].by_id
    writes = [
        schema for name, schema in schemas.items() if name.endswith(".write.json")
    ]
    assert writes
    assert all(Validator(schema).accept for schema in writes)
