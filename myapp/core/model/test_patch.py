"""Patches: the examples of RFC 7396 and RFC 6902; nested, nullable and hidden fields
over HTTP. A table has operations as kind, path, value or ``from``, with semicolons."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

import pytest
from sqlalchemy import JSON, MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model.json_patch import apply
from myapp.core.model.patch import merge
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import Varchar
from myapp.core.stores.transaction import StaleRead
from myapp.core.testing.patches import JSON_PATCH, KINDS, MERGE_PATCH, whole
from myapp.core.wiring import mount

PLANTED = MetaData(naming_convention=sql.metadata.naming_convention)
SECRET = "hidden-7c1f"
CHEST = {"label": "tools", "secret": SECRET, "any": {"a": 1}, "mood": None}
# Target, patch and result: RFC 7396, appendix A, and more.
MERGES = """\
{"a": "b"} | {"a": "c"} | {"a": "c"}
{"a": "b"} | {"b": "c"} | {"a": "b", "b": "c"}
{"a": "b"} | {"a": null} | {}
{"a": "b", "b": "c"} | {"a": null} | {"b": "c"}
{"a": ["b"]} | {"a": "c"} | {"a": "c"}
{"a": "c"} | {"a": ["b"]} | {"a": ["b"]}
{"a": {"b": "c"}} | {"a": {"b": "d", "c": null}} | {"a": {"b": "d"}}
{"a": [{"b": "c"}]} | {"a": [1]} | {"a": [1]}
["a", "b"] | ["c", "d"] | ["c", "d"]
{"a": "b"} | ["c"] | ["c"]
{"a": "foo"} | null | null
{"a": "foo"} | "bar" | "bar"
{"e": null} | {"a": 1} | {"e": null, "a": 1}
[1, 2] | {"a": "b", "c": null} | {"a": "b"}
{} | {"a": {"bb": {"ccc": null}}} | {"a": {"bb": {}}}
{"a": 1} | {"a": [null, {"b": null}]} | {"a": [null, {"b": null}]}
{"a": {"b": 1}} | {"a": {}, "": {"": false}} | {"a": {"b": 1}, "": {"": false}}
"""
# Document, patch and result: the successes in RFC 6902, appendix A, and more.
PATCHES = """\
{"a": 1} | add /b 2 | {"a": 1, "b": 2}
{"a": [1, 3]} | add /a/1 2 | {"a": [1, 2, 3]}
{"a": 1, "b": 2} | remove /a | {"b": 2}
{"a": [1, 2, 3]} | remove /a/1 | {"a": [1, 3]}
{"a": 1, "b": 2} | replace /a 3 | {"a": 3, "b": 2}
{"a": {"b": 1, "c": 2}, "d": {}} | move /d/e /a/b | {"a": {"c": 2}, "d": {"e": 1}}
{"a": [1, 2, 3, 4]} | move /a/3 /a/1 | {"a": [1, 3, 4, 2]}
{"a": [1, "b"], "c": 2} | test /a/1 "b"; test /c 2 | {"a": [1, "b"], "c": 2}
{"a": 1} | add /b {"c": {}} | {"a": 1, "b": {"c": {}}}
{"/": 9, "~1": 10} | test /~01 10; remove /~1 | {"~1": 10}
{"a": [1]} | add /a/- [2, 3]; add /a/2 4 | {"a": [1, [2, 3], 4]}
{"a": 1} | add /a null; test /a null | {"a": null}
{"0": 1, "": {"": 1}} | replace /0 2; replace // 3 | {"0": 2, "": {"": 3}}
{"a": []} | copy /b /a; add /b/- 1 | {"a": [], "b": [1]}
{} | add /a []; add /a/- 1; add /a/0 {}; add /a/0/b 2 | {"a": [{"b": 2}, 1]}
{"a": 0} | replace /a {}; add /a/b 1 | {"a": {"b": 1}}
{"a": {"b": 1, "c": 2}} | test /a {"c": 2.0, "b": 1.0} | {"a": {"b": 1, "c": 2}}
{"a": [1, true, [], true]} | remove /a true; remove /a [] | {"a": [1, true]}
{"a": {"b": 1}} | remove /a 9 | {}
"""
NO_INDEXES = ("00", "01", "-1", "+1", "1.0", "1e0", "\t1", "١", "²", "length", "", "3")
NO_INDEXES += ("9" * 5000, str(2**64), "-", "-/0", "0/a", "0/0", "1/01")
# Operations that fail on {"a": 1, "l": [1, [2], 0], "s": "x", "n": null, "t": true}.
CONFLICTS = """\
replace /b 1; remove /b; copy /a /b; move /a /b; test /b 1; test /b null; add /b/c 1
move /l/0 /l; move /l/- /l; move /l/0/0 /l/0; move /a/b /a; remove /__class__
add /l/4 1; replace /t/real 1; add /s/0 1; add /s/- 1; add /n/a 1; add /a/0 1
remove /l 9; remove /l false; remove /l "1"; remove /l null; remove /l [1]
test /a true; test /a "1"; test /a [1]; test /a 1.5; test /l/2 false; test /l/2 null
test /l [[2],1,0]; test /l [1,[2]]; test /l {"0":1}; test /t 1; test /n 0; test /s "X"
"""
BAD = CONFLICTS.strip().replace("\n", "; ").split("; ")
BAD += [f"{kind} /l/{index}" for kind in ("remove", "copy /x") for index in NO_INDEXES]
DEEP, DOWN = "[" * 60 + "]" * 60, "/0" * 59
WRAP = f"add /d {DEEP}; move /d{DOWN}/- /text; move /text /d"
BOMBS = {
    "copied": "; ".join(f"copy /x{n} /text" for n in range(900)) + "; replace  {}",
    "deep by a copy": f"add /d {DEEP}; copy /d{DOWN}/- /d",
    "deep by an add": f"add /d {DEEP}; add /d{DOWN}/- [[[]]]",
    "scanned": f"add /l {[0] * 200_000 + [1] * 200}" + "; remove /l 1" * 200,
    "18,000 deep by moves": "; ".join(300 * [WRAP]),
}
# A value as text, in which 1 and true differ.
exact = partial(json.dumps, sort_keys=True)


def chest_schema(name: str) -> Any:
    """A write schema with every kind of field that a patch can change."""
    text = {"type": "string", "minLength": 1, "maxLength": 40}
    side = {"type": "object", "properties": {"cm": {"type": "integer", "minimum": 1}}}
    side |= {"required": ["cm"], "additionalProperties": False}
    parts = {"sides": {"type": "array", "items": side}, "lid": side}
    fields = {
        "label": text,
        "secret": {**text, "writeOnly": True},
        "any": {},
        "mood": {**text, "type": ["string", "null"], "default": "calm"},
        "box": {**side, "properties": parts, "required": []},
    }
    schema = {"$id": f"/schemas/{name}.write.json", "type": "object"}
    return {**side, **schema, "properties": fields, "required": ["label"]}


class PlantedChest(SqlModel):
    """A chest in SQL."""

    __tablename__ = "planted_chests"
    metadata: ClassVar[MetaData] = PLANTED
    requires_if_match = True
    write_schema = chest_schema("planted-chest")

    label: Mapped[str] = mapped_column(Varchar(40))
    secret: Mapped[str | None] = mapped_column(Varchar(40))
    any: Mapped[dict | None] = mapped_column(JSON)
    mood: Mapped[str | None] = mapped_column(Varchar(40))
    box: Mapped[dict | None] = mapped_column(JSON)


class PlantedTrunk(RedisModel):
    """A chest in Redis."""

    name = "planted-trunk"
    requires_if_match = True
    write_schema = chest_schema("planted-trunk")


@pytest.fixture(scope="module")
def planted(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An application with both models; its records are kept until the last test."""
    for app in build_app(servers, tmp_path_factory.mktemp("patch")):
        blueprint, api = feature_blueprint("planted", __name__)
        for model in (PlantedChest, PlantedTrunk):
            routes_from_model(api.namespace(model.__name__), model)
        mount(app, Feature("planted", "/planted", "public"), blueprint)
        with app.app_context():
            PLANTED.create_all(sql.engine)
        yield app
        with app.app_context():
            redis_store.flushdb()


class Chest:
    """A stored record, and methods to change it."""

    def __init__(self, app: App, model: Any) -> None:
        self.client: Any = app.test_client()
        self.app, self.model = app, model
        self.record = self.client.post(f"/planted/{model.__name__}/", json=CHEST).json
        self.url = f"/planted/{model.__name__}/{self.record['id']}"

    def patch(self, body: Any, expect: int = 200) -> Any:
        """PATCH it: a list is a JSON Patch. A failed patch must change nothing."""
        kind = JSON_PATCH if isinstance(body, list) else MERGE_PATCH
        sent = {"data": json.dumps(body), "content_type": kind, "expect": expect}
        response = self.client.patch(self.url, headers={"If-Match": "*"}, **sent)
        after = self.client.get(self.url).json
        assert after == (response.json if expect == 200 else self.record)
        self.record = after
        return response.json

    @property
    def secret(self) -> Any:
        """The value of the hidden field."""
        with self.app.app_context():
            return self.model.get_or_404(self.record["id"])["secret"]


@pytest.fixture(params=[PlantedChest, PlantedTrunk], ids=["sql", "redis"])
def chest(planted: App, request: pytest.FixtureRequest) -> Chest:
    """A stored record on each store."""
    return Chest(planted, request.param)


def operations(text: str, field: str = "") -> list[Any]:
    """A patch from its short form, with its paths below a field."""
    patch = []
    for kind, path, *rest in (one.split(" ", 2) for one in text.split("; ")):
        operation = {"op": kind, "path": field + path}
        if rest and kind in ("move", "copy"):
            operation["from"] = field + rest[0]
        elif rest:
            operation["value"] = json.loads(rest[0])
        patch.append(operation)
    return patch


@pytest.mark.parametrize("row", MERGES.splitlines())
def test_merge_patches(chest: Chest, row: str) -> None:
    target, patch, result = map(json.loads, row.split(" | "))
    assert exact(merge(target, patch)) == exact(result)
    chest.patch([{"op": "add", "path": "/any", "value": target}])
    assert exact(chest.patch({"any": patch})["any"]) == exact(result)


@pytest.mark.parametrize("row", PATCHES.splitlines())
def test_json_patches(chest: Chest, row: str) -> None:
    target, patch, result = row.split(" | ")
    given = json.loads(target), operations(patch)
    assert exact(apply(*given, max_size=1000)) == exact(json.loads(result))
    assert given == (json.loads(target), operations(patch))
    changed = chest.patch(operations(f"add  {target}; {patch}", "/any"))["any"]
    assert exact(changed) == exact(json.loads(result))


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad[:30])
def test_what_does_not_fit_is_409(chest: Chest, bad: str) -> None:
    value = '{"a": 1, "l": [1, [2], 0], "s": "x", "n": null, "t": true}'
    patch = operations(f"add  {value}; {bad}", "/any")
    assert chest.patch(patch, 409)["errors"][0]["pointer"] == "/1"


@pytest.mark.parametrize("bomb", BOMBS.values(), ids=BOMBS)
def test_what_explodes_is_413(chest: Chest, bomb: str) -> None:
    text = {"op": "add", "path": "/any", "value": {"text": "x" * 2000}}
    chest.patch([text, *operations(bomb, "/any")], 413)
    # A result that is not deep is accepted; MariaDB stores JSON of 32 levels.
    chest.patch(operations(f"add /any/d {DEEP}; remove /any/d"))


def test_what_is_hidden_is_unknown_to_a_json_patch(chest: Chest) -> None:
    told = []
    for name in ("secret", "unheard"):
        patch = [whole(kind, f"/{name}", "/any") for kind in KINDS]
        patch += [whole(kind, "/any", f"/{name}/0") for kind in ("copy", "move")]
        told.append(chest.patch(patch, 400)["errors"])
        root = f'add  {{"label": "x", "{name}": "y"}}'
        told.append(chest.patch(operations(root), 422)["errors"])
    assert told[2:] == json.loads(json.dumps(told[:2]).replace("secret", "unheard"))


def test_what_is_hidden_is_kept_until_a_merge_names_it(chest: Chest) -> None:
    for patch in ({"label": "new"}, operations("copy /any ")):
        changed = chest.patch(patch)
        assert chest.secret == SECRET
    assert set(changed["any"]) == {"label", "any", "mood", "box"}
    for new in ("new", None):
        assert "secret" not in chest.patch({"secret": new})
        assert chest.secret == new


def test_absent_is_not_null(chest: Chest) -> None:
    assert chest.patch({"label": "new"})["mood"] is None
    assert chest.patch({"mood": None})["mood"] == "calm"
    set_null = operations("replace /mood null; test /mood null")
    assert chest.patch(set_null)["mood"] is None
    assert chest.patch(operations("remove /mood"))["mood"] == "calm"
    chest.patch(operations("test /mood null"), 409)
    merged = chest.patch({"any": {"a": None, "b": [None]}, "box": {"lid": None}})
    assert (merged["any"], merged["box"]) == ({"b": [None]}, {})


def test_errors_point_into_the_document(chest: Chest) -> None:
    chest.patch({"box": {"lid": {"cm": 1}}})
    wrong = {"sides": [{"cm": 1}, {"cm": 0}], "lid": {"mm": 1, "cm": None}}
    patch = f"add /box/sides {json.dumps(wrong['sides'])}; move /box/lid/mm /box/lid/cm"
    for body, status in (({"box": wrong}, 400), (operations(patch), 422)):
        pointers = [error["pointer"] for error in chest.patch(body, status)["errors"]]
        assert pointers == ["/box/lid/cm", "/box/lid/mm", "/box/sides/1/cm"]


def test_a_model_may_demand_if_match(chest: Chest) -> None:
    paths = chest.client.get("/openapi.json").json["paths"]
    items = [one.removesuffix("{id}") for one in paths if one.endswith("{id}")]
    (path,) = [f"{one}{{id}}" for one in items if chest.url.startswith(one)]
    for method in ("put", "patch", "delete"):
        (header,) = [
            one
            for one in paths[path][method]["parameters"]
            if one["name"] == "If-Match"
        ]
        assert header["required"] is True
    send, gone = chest.client.open, f"{chest.url[:-12]}{'0' * 12}"
    writes = {"PUT": CHEST, "PATCH": {"label": "new"}, "DELETE": None}
    for version, method in enumerate(writes, 1):
        sent = {"method": method, "json": writes[method]}
        for headers in ({}, {"If-None-Match": '"9"'}):
            send(gone, headers=headers, expect=404, **sent)
            problem = send(chest.url, headers=headers, expect=428, **sent).json
            assert problem["type"] == "/problems/precondition-required"
        send(chest.url, headers={"If-Match": f'"{version}"'}, **sent)


def test_a_patch_may_run_again(chest: Chest, monkeypatch: pytest.MonkeyPatch) -> None:
    write, failures = chest.model.write, [StaleRead()]

    def stale_once(changes: Any) -> None:
        if failures:
            raise failures.pop()
        write(changes)

    monkeypatch.setattr(chest.model, "write", stale_once)
    assert chest.patch(operations("add /any []; add /any/- 1"))["any"] == [1]
    assert not failures
