"""Keys: which are taken, and what is refused although it matches a pattern."""

from typing import Any

import pytest

from myapp.core.model.key import Key
from myapp.core.model.model import Model
from myapp.core.model.unique import taken

SLUG = Key({"type": "string", "pattern": r"^\S{1,60}$", "maxLength": 60})
NUMBER = Key({"type": "integer", "minimum": -5})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "number"}, "a string or an integer"),
        ({"type": ["string", "null"]}, "a string or an integer"),
        ({"type": "string", "maxLength": 9}, "needs a pattern"),
        ({"type": "string", "pattern": "^a$"}, "a maxLength of at most 255"),
        ({"type": "string", "pattern": "^a$", "maxLength": 256}, "at most 255"),
        (
            {"type": "string", "format": "date", "pattern": "^a$", "maxLength": 9},
            "no format",
        ),
    ],
)
def test_a_key_that_cannot_work_is_refused(schema: Any, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        Key(schema)


@pytest.mark.parametrize("text", ["a/b", "/", ".", "..", "ab/cd", "../..", "abcd/", ""])
def test_no_id_that_is_no_last_part_of_a_path(text: str) -> None:
    for read in (SLUG.parse, SLUG.read):
        with pytest.raises(ValueError):
            read(text)


@pytest.mark.parametrize("text", ["...", "a.b", "жжж", "a%2Fb", "a?b", "-0"])
def test_an_id_may_have_odd_characters(text: str) -> None:
    assert SLUG.parse(text) == SLUG.read(text) == text


@pytest.mark.parametrize("text", ["-0", "007", "+5", "1e2", "1.0", "", "٣", str(2**63)])
def test_an_integer_is_written_in_one_way(text: str) -> None:
    with pytest.raises(ValueError):
        NUMBER.parse(text)
    assert NUMBER.parse("-5") == -5
    with pytest.raises(ValueError, match="at least -5"):
        NUMBER.parse("-6")


def test_a_hidden_field_is_not_named_by_a_conflict() -> None:
    errors = taken(["secret", "name"], ["name"]).errors
    assert [error["pointer"] for error in errors] == ["/name"]
    assert taken(["secret"], []).errors[0]["pointer"] == ""


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("filterable", ("due",)),
        ("sortable", ("due",)),
        ("searchable", ("due",)),
        ("unique", ("due",)),
        ("scoped_by", ("due",)),
        ("hidden", ("due",)),
    ],
)
def test_a_declaration_that_names_no_field_is_told(option: str, value: Any) -> None:
    schema = {"$id": "/schemas/x.write.json", "type": "object", "properties": {}}
    with pytest.raises(TypeError, match=f"Bill.{option} names 'due', which is not"):
        type("Bill", (Model,), {option: value, "write_schema": schema})
