"""Conformance: a write that is repeated with its Idempotency-Key is done once."""

import time
from typing import Any, NamedTuple

import pytest
from werkzeug.test import TestResponse

from myapp.core.schema.strict_json import JSON
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client, all_records
from myapp.core.testing.races import one_of

REPEATED_HEADERS = ("Content-Type", "ETag", "Location")
KINDS = ("post", "patch", "batch")
MALFORMED_KEYS = {
    "empty": "",
    "blank": " ",
    "a blank inside": "a b",
    "a tab inside": "a\tb",
    "a control character": "a\x7f",
    "256 characters": "k" * 256,
    "not ascii": "clé",
}
WELL_FORMED_KEYS = ("!", "~", "k" * 255, '"quoted"', "a,b;c=d", "01a1fbb0-1f04-7797")
# Seconds after which a test fails; a normal run is faster.
PATIENCE = 10.0


class Write(NamedTuple):
    """A write request that can be repeated.

    :param other: a valid body with other values.
    :param refused: a body with an unknown member.
    :param status: of the response.
    """

    method: str
    url: str
    body: JSON
    other: JSON
    refused: JSON
    status: int
    headers: dict[str, str]

    def send(self, client: Client, key: str, **changes: Any) -> TestResponse:
        """Send it with a key; ``changes`` replace arguments of the client."""
        more = {"json": self.body, "expect": self.status, **changes}
        headers = {**self.headers, "Idempotency-Key": key, **more.pop("headers", {})}
        if "data" in more:
            del more["json"]
        return client.open(self.url, method=self.method, headers=headers, **more)


class Retries(ResourceCase):
    """The effect of an Idempotency-Key on POST, PATCH and batch."""

    def keyed_write(self, client: Client, kind: str) -> Write:
        """A write of one kind; a PATCH gets a new record."""
        full, other = self.fresh(self.full), self.fresh(self.other)
        bad: JSON = {"no such field": 1}
        if kind == "post":
            return Write("POST", self.url, full, other, bad, 201, {})
        if kind == "batch":
            if not self.model.has_batch:
                pytest.skip("this model has no batch")
            full, other, bad = ({"create": [body]} for body in (full, other, bad))
            return Write("POST", f"{self.url}batch", full, other, bad, 200, {})
        record = self.make(client)
        url, full, other = self.item(record), self.body_of(record), self.change(record)
        return Write(
            "PATCH", url, other, full, bad, 200, {"If-Match": self.tag(record)}
        )

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_retry_gets_the_first_answer(self, client: Client, kind: str) -> None:
        write = self.keyed_write(client, kind)
        before = all_records(client, self.url)
        first = write.send(client, "key")
        after = all_records(client, self.url)
        assert after != before
        assert "Idempotent-Replayed" not in first.headers
        for _ in range(2):
            retry = write.send(client, "key")
            assert retry.headers["Idempotent-Replayed"] == "true"
            assert (retry.status, retry.data) == (first.status, first.data)
            for name in REPEATED_HEADERS:
                assert retry.headers.get(name) == first.headers.get(name)
        assert all_records(client, self.url) == after

    def test_a_retry_is_answered_although_the_record_has_gone(
        self, client: Client
    ) -> None:
        write = self.keyed_write(client, "post")
        first = write.send(client, "key")
        headers = {"If-Match": first.headers["ETag"]}
        client.delete(first.headers["Location"], headers=headers)
        assert write.send(client, "key").data == first.data
        assert all_records(client, self.url) == []

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_key_with_another_body_is_422(self, client: Client, kind: str) -> None:
        write = self.keyed_write(client, kind)
        first = write.send(client, "key")
        after = all_records(client, self.url)
        for body in (write.other, write.refused):
            problem = write.send(client, "key", json=body, expect=422).json
            assert problem["type"] == "/problems/unprocessable"
        assert all_records(client, self.url) == after
        assert write.send(client, "key").data == first.data

    def test_a_key_with_another_condition_or_media_type_is_422(
        self, client: Client
    ) -> None:
        write = self.keyed_write(client, "patch")
        write.send(client, "key")
        merge = "application/merge-patch+json"
        write.send(client, "key", headers={"If-Match": '"2"'}, expect=422)
        write.send(client, "key", content_type=merge, expect=422)
        assert all_records(client, self.url)[0]["version"] == 2

    def test_a_key_counts_for_its_route(self, client: Client) -> None:
        writes = [self.keyed_write(client, kind) for kind in (*KINDS, "patch")]
        for write in writes:
            response = write.send(client, "key")
            assert "Idempotent-Replayed" not in response.headers
        versions = sorted(record["version"] for record in all_records(client, self.url))
        assert versions == [1, 1, 2, 2]

    def test_another_key_is_another_write(self, client: Client) -> None:
        ids = {
            self.keyed_write(client, "post").send(client, key).json["id"]
            for key in ("key", "Key", "key2")
        }
        assert ids == {record["id"] for record in all_records(client, self.url)}
        assert len(ids) == 3

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("key", MALFORMED_KEYS.values(), ids=MALFORMED_KEYS)
    def test_a_malformed_key_is_400(self, client: Client, kind: str, key: str) -> None:
        write = self.keyed_write(client, kind)
        before = all_records(client, self.url)
        problem = write.send(client, key, expect=400).json
        assert problem["type"] == "/problems/bad-request"
        assert "Idempotency-Key" in problem["detail"]
        assert all_records(client, self.url) == before

    def test_a_key_of_visible_characters_is_taken(self, client: Client) -> None:
        for key in WELL_FORMED_KEYS:
            write = self.keyed_write(client, "post")
            first, retry = write.send(client, key), write.send(client, key)
            assert retry.data == first.data
        assert len(all_records(client, self.url)) == len(WELL_FORMED_KEYS)

    @pytest.mark.parametrize("kind", KINDS)
    def test_an_error_is_not_kept_for_a_retry(self, client: Client, kind: str) -> None:
        write = self.keyed_write(client, kind)
        before = all_records(client, self.url)
        for expect, change in (
            (400, {"json": write.refused}),
            (400, {"data": b"{", "content_type": "application/json"}),
            (413, {"data": b" " * (2**20 + 1), "content_type": "application/json"}),
            (415, {"data": b"{}", "content_type": "text/plain"}),
        ):
            write.send(client, "key", expect=expect, **change)
        assert all_records(client, self.url) == before
        response = write.send(client, "key")
        assert "Idempotent-Replayed" not in response.headers
        assert write.send(client, "key").data == response.data

    def test_a_failed_condition_is_not_kept_for_a_retry(self, client: Client) -> None:
        write = self.keyed_write(client, "patch")
        write.send(client, "key", headers={"If-Match": '"7"'}, expect=412)
        assert write.send(client, "key").json["version"] == 2

    def test_an_answer_is_kept_for_retries_for_its_time(
        self, client: Client, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(client.application.config, "IDEMPOTENCY_TTL", 0.01)
        if self.kept_apart:
            # A second record with the same body is a conflict.
            return
        write, deadline = self.keyed_write(client, "post"), time.monotonic() + PATIENCE
        first = write.send(client, "key").json["id"]
        sent: Any = {"json": write.body, "headers": {"Idempotency-Key": "key"}}
        last = first
        while last == first:
            # A key in Redis may expire while a request looks for it; that is a 409.
            response: Any = one_of({201, 409}, client, "POST", self.url, **sent).json
            last = response.get("id", first)
            assert time.monotonic() < deadline
        assert len(all_records(client, self.url)) == 2

    def test_put_and_delete_do_not_ask_for_a_key(self, client: Client) -> None:
        record, headers = self.make(client), {"Idempotency-Key": "key"}
        for version in (1, 2):
            headers["If-Match"] = self.tag(record, version)
            body = self.replacement(record, self.full)
            response = client.put(self.item(record), json=body, headers=headers)
            assert response.json["version"] == version + 1
            assert "Idempotent-Replayed" not in response.headers
        headers["If-Match"] = self.tag(record, 3)
        client.delete(self.item(record), headers=headers)
        client.delete(self.item(record), headers=headers, expect=404)
