"""Conformance: PATCH, as JSON Merge Patch (RFC 7396) and as JSON Patch (RFC 6902).

Each operation only uses values that an earlier operation has written.
"""

import json
from typing import Any

import pytest

from myapp.core.errors import KINDS, pointer
from myapp.core.schema import JSON
from myapp.core.testing.case import ResourceCase, moment_of
from myapp.core.testing.client import Client
from myapp.core.testing.patch_cases import (
    IMPOSSIBLE,
    INVALID,
    JSON_PATCH,
    MALFORMED,
    MERGE_PATCH,
    NO_PATCH,
    OPS,
    OTHER_TYPES,
    PLAIN,
    ROOTS,
    op,
    readable,
    whole,
)


class Patches(ResourceCase):
    """A PATCH changes only what it names, or nothing."""

    @property
    def patched_at(self) -> str:
        """The pointer of the field that replaces ``/F``."""
        return pointer([*self.required_in_patch, *self.model.writable][0])

    @property
    def required_in_patch(self) -> list[str]:
        """The fields that a record must have, and that a patch may name."""
        return [name for name in self.required if name in self.model.writable]

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
        assert after.headers["ETag"] == self.tag(record)
        return response.json

    def wrong_at(
        self, client: Client, body: Any, kind: str, slug: str = "invalid-body"
    ) -> set[str]:
        """The pointers of the errors in a body, or in the result of a JSON Patch."""
        problem = self.unpatched(client, body, slug, kind)
        return {error["pointer"] for error in problem["errors"]}

    def test_options_and_415_tell_the_types_of_patches(self, client: Client) -> None:
        record = self.make(client)
        url, data = self.item(record), json.dumps(self.change(record))
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
            record = self.make(client)
            body = self.change(record)
            self.assert_kept(self.send_patch(client, record, body, kind).json, body)
        assert self.wrong_at(client, [{}], JSON_PATCH.title())

    @pytest.mark.parametrize("kind", [MERGE_PATCH, JSON_PATCH])
    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
    def test_malformed_patches(self, client: Client, body: bytes, kind: str) -> None:
        self.unpatched(client, self.on_field(body), "malformed-json", kind)

    def test_a_patch_of_what_is_not_there(self, client: Client) -> None:
        other = self.change(self.full)
        for kind, body in ((MERGE_PATCH, other), (PLAIN, {}), (JSON_PATCH, [])):
            wrong = 404 if self.is_id("nobody") else 400
            for id, expect in ((self.missing_id(), 404), ("nobody", wrong)):
                self.send_patch(client, {"id": id}, body, kind, expect)

    @pytest.mark.parametrize("kind", [MERGE_PATCH, PLAIN])
    def test_merge_changes_what_it_names(self, client: Client, kind: str) -> None:
        record = self.make(client)
        url = self.item(record)
        for name in self.model.writable:
            change = self.single_change(record, name)
            if change is None:
                continue
            response = self.send_patch(client, record, change, kind)
            assert moment_of(response.json) > moment_of(record)
            assert response.headers["ETag"] == self.tag(record, record["version"] + 1)
            self.assert_kept(response.json, change)
            assert self.rest_of(response.json, name) == self.rest_of(record, name)
            record = response.json
            assert client.get(url).json == record
        assert self.view_of(
            self.send_patch(client, record, {}, kind).json
        ) == self.view_of(record)

    def test_merge_null_resets_what_is_optional(self, client: Client) -> None:
        record = self.make(client)
        for name in self.resets(record):
            expected = {**record, name: self.model.defaults[name]}
            record = self.send_patch(client, record, {name: None}, MERGE_PATCH).json
            assert self.view_of(record) == self.view_of(expected)

    def test_patched_null_leaves_a_required_field_missing(self, client: Client) -> None:
        for name in self.required_in_patch:
            assert self.wrong_at(client, {name: None}, MERGE_PATCH) == {f"/{name}"}
            at = pointer(name)
            for patch in (op("replace", at, value=None), op("remove", at)):
                assert self.wrong_at(client, [patch], *IMPOSSIBLE) == {at}

    def test_all_errors_of_a_merge_come_at_once(self, client: Client) -> None:
        body = {name: {"no": 1} for name in self.model.writable}
        found = self.wrong_at(client, body, MERGE_PATCH)
        assert {where.split("/")[1] for where in found} == set(body)
        owned = self.model.owned
        strange = {**self.other, "a/b~": 1, **{name: 1 for name in owned}}
        expected = {"/a~1b~0", *(f"/{name}" for name in owned)}
        assert self.wrong_at(client, strange, MERGE_PATCH) == expected
        for root in ROOTS:
            assert self.wrong_at(client, root, PLAIN) == {""}

    def test_each_operation_of_a_patch_on_each_field(self, client: Client) -> None:
        record = self.make(client)
        for name in self.model.writable:
            change, at = self.single_change(record, name), pointer(name)
            if change is None:
                continue
            value = change[name]
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
            self.assert_kept(response.json, change)
            assert self.rest_of(response.json, name) == self.rest_of(record, name)
            assert response.headers["ETag"] == self.tag(record, record["version"] + 1)
            assert client.get(self.item(record)).json == response.json
            record = response.json

    def test_the_root_of_a_patch_is_the_writable_view(self, client: Client) -> None:
        record = self.make(client)
        view, body = self.whole_view(record), self.change(record)
        patch = [op("test", "", value=view), op("replace", "", value=body)]
        changed = self.send_patch(client, record, patch, JSON_PATCH).json
        self.assert_kept(changed, body)
        body = self.replacement(changed, self.minimal)
        body = {name: body[name] for name in body if name in self.model.writable}
        patch = [op("add", "", value=body)]
        changed = self.send_patch(client, record, patch, JSON_PATCH).json
        defaults = {**self.model.defaults, **body}
        assert self.view_of(changed) == self.view_of({**changed, **defaults})

    def whole_view(self, record: JSON) -> JSON:
        """What a JSON Patch of a record begins with."""
        return {name: record[name] for name in self.model.writable if name in record}

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
        same = op("test", "", value=self.whole_view(record))
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
        fields = self.whole_view(self.other).items()
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
                record = client.post(self.url, json=self.fresh(body)).json
                patch = [op("test", pointer(name), value={"never": 1})]
                response = self.send_patch(client, record, patch, JSON_PATCH, 409)
                id = response.headers["X-Request-ID"]
                text = f"{response.headers}{response.text}"
                told.append(text.replace(id, "").replace(str(record["id"]), ""))
                hidden = json.dumps(record[name], ensure_ascii=False).strip('"')
                assert len(hidden) < 4 or hidden not in told[-1]
            assert told[0] == told[1], "the response depends on the value"

    def test_a_patch_outside_the_view_is_unknown(self, client: Client) -> None:
        fields = set(self.model.write_schema["properties"])
        outside = (fields - set(self.model.writable)) | set(self.model.relations)
        outside |= {*self.model.owned, *self.model.hidden}
        outside |= {"unheard", "", "__class__", "0", "-"}
        outside |= {f"{name}x" for name in fields} | {name[:-1] for name in fields}
        for name in outside - set(self.model.writable):
            for at in (pointer(name), f"{pointer(name)}/0"):
                patch = [whole(kind, at) for kind in OPS]
                patch += [whole(kind, "/F", at) for kind in ("copy", "move")]
                body = self.on_field(patch)
                problem = self.unpatched(client, body, "invalid-body")
                detail = self.model.owned.get(name, "is not a known field")
                assert {error["detail"] for error in problem["errors"]} == {detail}
                found = [error["pointer"] for error in problem["errors"]]
                froms = [f"/{len(OPS)}/from", f"/{len(OPS) + 1}/from"]
                assert found == [*(f"/{n}/path" for n in range(len(OPS))), *froms]
