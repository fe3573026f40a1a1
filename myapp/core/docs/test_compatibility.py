"""Compatibility: a change that breaks released clients is found; an addition passes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myapp.core.docs.compatibility import find_breaks
from myapp.core.docs.openapi import build_document
from myapp.core.http.app import App

WRITE, READ = "#/components/schemas/write", "#/components/schemas/read"
FIELDS: dict[str, Any] = {
    "title": {"type": "string", "maxLength": 200},
    "kind": {"type": "string", "enum": ["a", "b"]},
    "count": {"type": "integer", "minimum": 0},
    "day": {"type": "string", "format": "date"},
    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 9},
    "owner": {"anyOf": [{"$ref": "#/components/schemas/owner"}, {"type": "null"}]},
    "code": {"type": "string", "pattern": "^(x|y)(,(x|y)){0,3}$"},
}
LIMIT = {"type": "integer", "default": 20}
DOCUMENT: Any = {
    "paths": {
        "/things": {
            "get": {
                "operationId": "list_things",
                "parameters": [
                    {"in": "query", "name": "limit", "schema": LIMIT},
                    {"in": "query", "name": "sort", "schema": FIELDS["code"]},
                ],
                "responses": {
                    "200": {
                        "headers": {"Link": {}, "ETag": {"required": True}},
                        "content": {"application/json": {"schema": {"$ref": READ}}},
                    },
                    "404": {},
                },
            },
            "post": {
                "security": [],
                "requestBody": {
                    "content": {"application/json": {"schema": {"$ref": WRITE}}}
                },
                "responses": {"201": {}},
            },
        }
    },
    "components": {
        "schemas": {
            "write": {"properties": FIELDS, "required": ["title"]},
            "read": {"properties": FIELDS, "required": ["title"]},
            "owner": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"boss": {"$ref": "#/components/schemas/owner"}},
            },
        }
    },
}


def changed(*path: Any, to: Any = None) -> Any:
    """The document with another value at a path; ``None`` removes the value."""
    document = json.loads(json.dumps(DOCUMENT))
    part = document
    for key in path[:-1]:
        part = part[key]
    if to is None:
        del part[path[-1]]
    else:
        part[path[-1]] = to
    return document


def field(of: str, name: str, to: Any = None) -> Any:
    """The document with a changed field in one of its schemas."""
    return changed("components", "schemas", of, "properties", name, to=to)


def renamed() -> Any:
    """The document with another name of a component."""
    document = json.loads(json.dumps(DOCUMENT).replace("schemas/owner", "schemas/boss"))
    components = document["components"]["schemas"]
    components["boss"] = components.pop("owner")
    return document


GET, POST = ("paths", "/things", "get"), ("paths", "/things", "post")
SENT, SHOWN = "POST /things body", "GET /things 200"
JSON_BODY = ("content", "application/json")
OWNERS = FIELDS["owner"]["anyOf"]
NEW_PARAMETER = {"in": "query", "name": "q", "schema": {}}
BREAKS: list[tuple[Any, str, str]] = [
    (changed("paths", "/things"), "GET /things", "is gone"),
    (changed(*POST), "POST /things", "is gone"),
    (changed(*GET, "parameters", 0), "GET /things query limit", "is gone"),
    (changed(*GET, "responses", "404"), "GET /things 404", "is gone"),
    (changed(*GET, "responses", "200", "headers", "Link"), f"{SHOWN} header", "gone"),
    (changed(*GET, "responses", "200", *JSON_BODY), "200 application/json", "is gone"),
    (changed(*POST, "requestBody"), SENT, "is gone"),
    (changed(*POST, "requestBody", "required", to=True), SENT, "is now required"),
    (changed(*POST, "security", to=[{"key": []}]), "POST /things", "credentials"),
    (
        changed(*GET, "parameters", 0, "required", to=True),
        "GET /things query limit",
        "is now required",
    ),
    (
        changed(*GET, "parameters", 1, to={**NEW_PARAMETER, "required": True}),
        "GET /things query q",
        "is new and required",
    ),
    (
        changed(*GET, "parameters", 0, "schema", "maximum", to=9),
        "query limit",
        "maximum is 9, was nothing",
    ),
    *((field(of, "title"), "/title", "is gone") for of in ("write", "read")),
    *(
        (field(of, "kind", {"type": "string", "enum": ["a"]}), "/kind", "'b' is gone")
        for of in ("write", "read")
    ),
    (field("write", "title", {"type": "string", "maxLength": 199}), SENT, "maxLength"),
    (field("write", "title", {"type": "integer"}), SENT, "may no longer be string"),
    (field("write", "count", {"type": "integer", "minimum": 1}), SENT, "minimum is 1"),
    (field("write", "count", {"type": "integer", "multipleOf": 2}), SENT, "multipleOf"),
    (field("write", "tags", {**FIELDS["tags"], "uniqueItems": True}), SENT, "unique"),
    (field("write", "day", {"type": "string", "format": "time"}), SENT, "format"),
    (field("write", "tags", {"type": "array", "items": {"enum": [1]}}), SENT, "but 1"),
    (field("write", "owner", {"type": "null"}), f"{SENT} /owner", "no longer taken"),
    (field("write", "title", {"allOf": [{}], **FIELDS["title"]}), SENT, "allOf"),
    (field("write", "code", {"pattern": "^(x)(,(x)){0,3}$"}), SENT, "takes y"),
    (field("write", "code", {"pattern": "^(x|y)(,(x|y)){0,2}$"}), SENT, "its pattern"),
    (field("write", "code", {"pattern": "^[xy]$"}), SENT, "its pattern"),
    (
        changed("components", "schemas", "write", "required", to=["title", "day"]),
        SENT,
        "/day is now required",
    ),
    (
        changed("components", "schemas", "write", "additionalProperties", to=False),
        SENT,
        "takes no other members now",
    ),
    (
        changed(*GET, "operationId", to="all_things"),
        "GET /things",
        "operationId is all",
    ),
    (changed(*GET, "parameters", 0, "schema", "default", to=50), "limit", "is 50, was"),
    (changed(*GET, "parameters", 0, "schema", "default"), "limit", "is None, was 20"),
    (
        changed(*GET, "responses", "200", "headers", "ETag", "required", to=False),
        f"{SHOWN} header ETag",
        "may now be missing",
    ),
    (
        changed("components", "schemas", "owner", "additionalProperties", to=True),
        f"{SHOWN} /owner",
        "owner is a new alternative",
    ),
    (field("read", "tags", {"type": "array"}), f"{SHOWN} /tags /*", "may now be null"),
    (
        field("read", "title", {"type": "string", "format": "uri"}),
        f"{SHOWN} /title",
        "its format is uri",
    ),
    (renamed(), "component owner", "is gone"),
    (field("read", "day", {"type": ["string", "null"]}), SHOWN, "may now be null"),
    (field("read", "day", {"type": "string"}), f"{SHOWN} /day", "its format is None"),
    (
        field("read", "kind", {"type": "string", "enum": ["a", "b", "c"]}),
        f"{SHOWN} /kind",
        "may now be 'c'",
    ),
    (field("read", "kind", {"type": "string"}), SHOWN, "may now be other than 'a'"),
    (
        field("read", "owner", {"anyOf": [*OWNERS, {"type": "number"}]}),
        f"{SHOWN} /owner",
        "number is a new alternative",
    ),
    (
        changed("components", "schemas", "read", "required", to=[]),
        SHOWN,
        "/title may now be missing",
    ),
]
ADDITIONS = [
    DOCUMENT,
    changed("paths", "/more", to=DOCUMENT["paths"]["/things"]),
    changed("paths", "/things", "delete", to={"responses": {"204": {}}}),
    changed(*GET, "responses", "429", to={}),
    changed(
        *GET, "parameters", 0, "schema", to={**LIMIT, "type": ["integer", "string"]}
    ),
    changed(
        *(*GET, "parameters", 1, "schema"),
        to={"type": "string", "pattern": "^(x|y|z)(,(x|y|z)){0,4}$"},
    ),
    changed(
        *GET, "parameters", to=[*DOCUMENT["paths"]["/things"]["get"]["parameters"]]
    ),
    changed("components", "schemas", "write", "required", to=[]),
    changed("components", "schemas", "read", "required", to=["title", "day"]),
    *(field(of, "new", {"type": "string"}) for of in ("write", "read")),
    field("write", "kind", {"type": "string", "enum": ["a", "b", "c"]}),
    field("write", "title", {"type": ["string", "null"]}),
    field("write", "count", {"type": "number"}),
    field("write", "owner", {}),
    field("read", "title", {"type": "string", "maxLength": 10, "pattern": "^a"}),
    field("read", "count", {"type": "integer"}),
    field("read", "owner", OWNERS[0]),
]


@pytest.mark.parametrize(("new", "where", "what"), BREAKS)
def test_what_breaks_a_client_is_found(new: Any, where: str, what: str) -> None:
    found = find_breaks(DOCUMENT, new)
    assert any(where in place and what in text for place, text in found), found


@pytest.mark.parametrize("new", ADDITIONS)
def test_what_adds_passes(new: Any) -> None:
    assert find_breaks(DOCUMENT, new) == []


@pytest.fixture
def flask(
    own_app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """``flask openapi`` in a temporary tree."""
    monkeypatch.setattr(own_app, "root_path", str(tmp_path / "myapp"))
    return lambda *options: own_app.test_cli_runner().invoke(args=["openapi", *options])


def test_a_release_is_saved_kept_and_replaced(
    flask: Callable[..., Any], own_app: App, tmp_path: Path
) -> None:
    released = tmp_path / "openapi.json"
    assert flask("--check").exit_code == 1
    assert flask("--save").output == "wrote openapi.json\n"
    document = build_document(own_app)
    assert json.loads(flask().output) == json.loads(released.read_text()) == document
    assert (flask("--check").exit_code, flask("--save").output) == (0, "")
    path = next(iter(document["paths"]))
    document["paths"]["/promised"] = document["paths"][path]
    document["paths"].pop(path)
    released.write_text(json.dumps(document))
    for option in ("--check", "--save"):
        answer = flask(option)
        assert answer.exit_code == 1
        assert "  is gone\n" in answer.output and " /promised\n" in answer.output
        assert "flask openapi --accept" in answer.output
    assert flask("--accept").output == "wrote openapi.json\n"
    assert flask("--check").exit_code == 0
