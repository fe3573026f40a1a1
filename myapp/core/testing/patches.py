"""Conformance: PATCH, as JSON Merge Patch (RFC 7396) and as JSON Patch (RFC 6902).

The patches in the tables use a field ``/F``; each resource replaces it by one of its
fields. Each operation only uses values that an earlier operation has written.
"""

import json
from typing import Any, cast

import pytest
import uuid_utils

from myapp.core.errors import KINDS, pointer
from myapp.core.schema import JSON, SERVER_FIELDS
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client

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


class Patches(ResourceCase):
    """A PATCH changes only what it names, or nothing."""

    @pytest.fixture(autouse=True)
    def _prepared(self, client: Client) -> None:
        self.prepare(client)

    @property
    def patched_at(self) -> str:
        """The pointer of the field that replaces ``/F``."""
        return pointer((self.required or self.model.writable)[0])

    def view_of(self, record: JSON) -> JSON:
        """The writable fields of a record."""
        return {name: record[name] for name in self.model.writable}

    def on_field(self, patch: Any) -> bytes:
        """A patch from the tables as a body, for a field of this resource."""
        text = patch.decode() if isinstance(patch, bytes) else json.dumps(patch)
        return text.replace('"/F', f'"{self.patched_at}').encode()

    def send_patch(
        self, client: Client, record: JSON, body: Any, kind: str, expect: int = 200
    ) -> Any:
        """PATCH a record."""
        data = body if isinstance(body, bytes) else json.dumps(body)
        more = {"content_type": kind, "expect": expect}
        return client.patch(self.item(record), data=data, **more)

    def unpatched(
        self, client: Client, body: Any, slug: str, kind: str = JSON_PATCH
    ) -> Any:
        """Send a PATCH that must be refused and change nothing; return the problem."""
        record = self.make(client)
        response = self.send_patch(client, record, body, kind, KINDS[slug].status)
        assert response.json["type"] == f"/problems/{slug}"
        after = client.get(self.item(record))
        assert after.json == record
        assert after.headers["ETag"] == f'"{record["version"]}"'
        return response.json

    def wrong_at(
        self, client: Client, body: Any, kind: str, slug: str = "invalid-body"
    ) -> set[str]:
        """The pointers of the errors in a body, or in the result of a JSON Patch."""
        problem = self.unpatched(client, body, slug, kind)
        return {error["pointer"] for error in problem["errors"]}

    def test_options_and_415_tell_the_types_of_patches(self, client: Client) -> None:
        record = self.make(client)
        url, data = self.item(record), json.dumps(self.other)
        responses = [client.options(url)]
        assert "PATCH" in responses[0].headers["Allow"].split(", ")
        for headers in OTHER_TYPES:
            responses.append(client.patch(url, data=data, headers=headers, expect=415))
            assert responses[-1].json["type"] == "/problems/unsupported-media-type"
        for response in responses:
            types = set(response.headers["Accept-Patch"].split(", "))
            assert types == {MERGE_PATCH, PLAIN, JSON_PATCH}
        assert client.get(url).json == record

    def test_patch_types_take_parameters_and_capitals(self, client: Client) -> None:
        for kind in (f"{PLAIN}; charset=utf-8", f"{MERGE_PATCH.upper()};charset=UTF-8"):
            changed = self.send_patch(client, self.make(client), self.other, kind).json
            assert self.view_of(changed) == self.view_of({**changed, **self.other})
        assert self.wrong_at(client, [{}], JSON_PATCH.title())

    @pytest.mark.parametrize("kind", [MERGE_PATCH, JSON_PATCH])
    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
    def test_malformed_patches(self, client: Client, body: bytes, kind: str) -> None:
        self.unpatched(client, self.on_field(body), "malformed-json", kind)

    def test_a_patch_of_what_is_not_there(self, client: Client) -> None:
        for kind, body in ((MERGE_PATCH, self.other), (PLAIN, {}), (JSON_PATCH, [])):
            for id, expect in ((uuid_utils.uuid7(), 404), ("nobody", 400)):
                self.send_patch(client, {"id": str(id)}, body, kind, expect)

    @pytest.mark.parametrize("kind", [MERGE_PATCH, PLAIN])
    def test_merge_changes_what_it_names(self, client: Client, kind: str) -> None:
        record = self.make(client)
        url = self.item(record)
        for version, name in enumerate(self.other, 2):
            response = self.send_patch(client, record, {name: self.other[name]}, kind)
            expected = {**record, name: self.other[name], "version": version}
            assert response.json["updated_at"] > record["updated_at"]
            record = {**expected, "updated_at": response.json["updated_at"]}
            assert response.json == client.get(url).json == record
            assert response.headers["ETag"] == f'"{version}"'
        assert self.view_of(
            self.send_patch(client, record, {}, kind).json
        ) == self.view_of(record)

    def test_merge_null_resets_what_is_optional(self, client: Client) -> None:
        for name in set(self.model.writable) - set(self.required):
            record = self.make(client)
            changed = self.send_patch(client, record, {name: None}, MERGE_PATCH).json
            expected = {**record, name: self.model.defaults[name]}
            assert self.view_of(changed) == self.view_of(expected)

    def test_patched_null_leaves_a_required_field_missing(self, client: Client) -> None:
        for name in self.required:
            assert self.wrong_at(client, {name: None}, MERGE_PATCH) == {f"/{name}"}
            at = pointer(name)
            for patch in (op("replace", at, value=None), op("remove", at)):
                assert self.wrong_at(client, [patch], *IMPOSSIBLE) == {at}

    def test_all_errors_of_a_merge_come_at_once(self, client: Client) -> None:
        body = {name: {"no": 1} for name in self.model.writable}
        found = self.wrong_at(client, body, MERGE_PATCH)
        assert {where.split("/")[1] for where in found} == set(body)
        strange = {**self.other, "a/b~": 1, **{name: 1 for name in SERVER_FIELDS}}
        expected = {"/a~1b~0", *(f"/{name}" for name in SERVER_FIELDS)}
        assert self.wrong_at(client, strange, MERGE_PATCH) == expected
        for root in ROOTS:
            assert self.wrong_at(client, root, PLAIN) == {""}

    def test_each_operation_of_a_patch_on_each_field(self, client: Client) -> None:
        for name, value in self.view_of(self.other).items():
            record, at = self.make(client), pointer(name)
            patch = [
                op("test", at, value=record[name]),
                op("replace", at, value={"a": [value]}),
                op("copy", f"{at}/b", source=f"{at}/a/0"),
                op("remove", f"{at}/a"),
                op("add", f"{at}/a", value=["x", "y"]),
                op("move", f"{at}/a/1", source=f"{at}/b"),
                op("add", f"{at}/a/-", value="x"),
                op("remove", f"{at}/a", value="x"),
                op("test", at, value={"a": [value, "y", "x"]}),
                op("move", at, source=f"{at}/a/0"),
            ]
            response = self.send_patch(client, record, patch, JSON_PATCH)
            assert self.view_of(response.json) == {**self.view_of(record), name: value}
            assert response.headers["ETag"] == '"2"'
            assert client.get(self.item(record)).json == response.json

    def test_the_root_of_a_patch_is_the_writable_view(self, client: Client) -> None:
        record = self.make(client)
        patch = [op("test", "", value=self.view_of(record))]
        patch += [op("replace", "", value=self.other)]
        changed = self.send_patch(client, record, patch, JSON_PATCH).json
        assert self.view_of(changed) == self.view_of({**changed, **self.other})
        patch = [op("add", "", value=self.minimal)]
        changed = self.send_patch(client, record, patch, JSON_PATCH).json
        defaults = {**self.model.defaults, **self.minimal}
        assert self.view_of(changed) == self.view_of({**changed, **defaults})

    @pytest.mark.parametrize(("patch", "at"), NO_PATCH, ids=readable)
    def test_what_is_no_json_patch(self, client: Client, patch: Any, at: str) -> None:
        assert at in self.wrong_at(client, self.on_field(patch), JSON_PATCH)

    @pytest.mark.parametrize(("patch", "at"), INVALID, ids=readable)
    def test_a_patch_to_no_record(self, client: Client, patch: Any, at: str) -> None:
        found = self.wrong_at(client, self.on_field(patch), *IMPOSSIBLE)
        at = at.replace("/F", self.patched_at)
        assert at in found or at and any(one.startswith(f"{at}/") for one in found)

    def test_patches_have_the_stated_limits(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record = self.make(client)
        same = op("test", "", value=self.view_of(record))
        self.send_patch(client, record, [same] * 1000, JSON_PATCH)
        self.unpatched(client, [same] * 1001, "too-large")
        monkeypatch.setitem(client.application.config, "MAX_CONTENT_LENGTH", 5000)
        patch = [op("add", "/F", value={"a": "x" * 2000})]
        for slug in ("unprocessable", "too-large"):
            patch.append(op("copy", f"/F/{slug}", source="/F/a"))
            self.unpatched(client, self.on_field(patch), slug)

    def test_a_patch_that_explodes_is_stopped(self, client: Client) -> None:
        # After fifty doublings the value would be larger than the memory.
        doubling = [op("copy", f"/F/{number}", source="/F") for number in range(50)]
        patch = self.on_field([op("add", "/F", value={"a": "x" * 2000}), *doubling])
        self.unpatched(client, patch, "too-large")

    def test_a_patch_that_fails_at_last_changes_nothing(self, client: Client) -> None:
        fields = self.view_of(self.other).items()
        changes = [op("replace", pointer(name), value=new) for name, new in fields]
        for last, slug in (
            (op("test", "/F", value={"never": 1}), "conflict"),
            (op("remove", "/F/never"), "conflict"),
            (op("add", "/F", value={"no": 1}), "unprocessable"),
            (op("remove", "/unheard"), "invalid-body"),
        ):
            self.unpatched(client, self.on_field([*changes, last]), slug)

    def test_a_patch_whose_test_fails_shows_nothing(self, client: Client) -> None:
        for name in self.model.writable:
            told = []
            for body in (self.full, self.other):
                record = client.post(self.url, json=body).json
                patch = [op("test", pointer(name), value={"never": 1})]
                response = self.send_patch(client, record, patch, JSON_PATCH, 409)
                id = response.headers["X-Request-ID"]
                text = f"{response.headers}{response.text}"
                told.append(text.replace(id, "").replace(record["id"], ""))
                hidden = json.dumps(record[name], ensure_ascii=False).strip('"')
                assert len(hidden) < 4 or hidden not in told[-1]
            assert told[0] == told[1], "the response depends on the value"

    def test_a_patch_outside_the_view_is_unknown(self, client: Client) -> None:
        fields = set(self.model.write_schema["properties"])
        outside = (fields - set(self.model.writable)) | set(self.model.relations)
        outside |= {*SERVER_FIELDS, "unheard", "", "__class__", "0", "-"}
        outside |= {f"{name}x" for name in fields} | {name[:-1] for name in fields}
        for name in outside - set(self.model.writable):
            for at in (pointer(name), f"{pointer(name)}/0"):
                patch = [whole(kind, at) for kind in OPS]
                patch += [whole(kind, "/F", at) for kind in ("copy", "move")]
                body = self.on_field(patch)
                problem = self.unpatched(client, body, "invalid-body")
                what = "set by the server" if name in SERVER_FIELDS else "not a known"
                assert all(what in error["detail"] for error in problem["errors"])
                found = [error["pointer"] for error in problem["errors"]]
                froms = [f"/{len(OPS)}/from", f"/{len(OPS) + 1}/from"]
                assert found == [*(f"/{n}/path" for n in range(len(OPS))), *froms]
