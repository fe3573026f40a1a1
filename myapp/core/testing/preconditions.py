"""Conformance: ETags and conditional requests, RFC 9110 sections 8.8 and 13.

Every record of these tests has version 2, so that no tag matches by chance.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from myapp.core.schema.strict_json import JSON
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client

CURRENT = '"2"'
FAILED, BAD = "/problems/precondition-failed", "/problems/bad-request"
# Header values that match the current version by the strong comparison.
STRONG = [
    '"2"',
    "*",
    '"1", "2"',
    '"2","1"',
    'W/"2", "2"',
    '"a,b", "2"',
    '"é" , "2"',
]
# Lists with empty elements, which are ignored (RFC 9110, section 5.6.1.2).
GAPS = ['"2" ,', ', "2"', '"1", , "2"', ',,"2",,']
# Header values that match it by the weak comparison only.
WEAK = ['W/"2"', '"1", W/"2"', 'W/"1",W/"2"']
# Header values that match another version, or no version.
STALE = [
    '"1"',
    'W/"1"',
    '"3"',
    '"02"',
    '"2."',
    '"W/2"',
    '"*"',
    '""',
    '"2,"',
    '"1", "3"',
]
MALFORMED = [
    "",
    ",",
    "2",
    '"2',
    '2"',
    "'2'",
    "W/2",
    'w/"2"',
    'W/ "2"',
    "W/*",
    "**",
    '*, "2"',
    '"2", *',
    '"2" "1"',
    '"1""2"',
    '"2";',
    '"1"2"',
    '"2 "',
    '"2", W/',
    "9" * 5000,
]
SOME_DATES = {
    "If-Modified-Since": "Fri, 31 Dec 9999 23:59:59 GMT",
    "If-Unmodified-Since": "Thu, 01 Jan 1970 00:00:00 GMT",
}
ITEM_METHODS = ("PUT", "merge", "JSON Patch", "DELETE")


class Preconditions(ResourceCase):
    """A conditional write is done only while its condition is true; a conditional read
    is a 304 while the record has not changed."""

    @pytest.fixture(autouse=True)
    def _bodies(self) -> None:
        self._sent: dict[str, JSON] = {}

    def second_version(self, client: Client) -> JSON:
        """Store a record of version 2."""
        record = self.make(client)
        match = {"If-Match": "*"}
        url = self.item(record)
        body = self.replacement(record, self.full)
        return dict(client.put(url, json=body, headers=match).json)

    def write_if(
        self, client: Client, record: JSON, how: str, headers: JSON, expect: int = 0
    ) -> Any:
        """Write a record in one of the ways; by default the write must succeed."""
        url, body = self.item(record), self.sent(record)
        shown = {name: body[name] for name in body if name in self.model.writable}
        root = [{"op": "replace", "path": "", "value": shown}]
        method, kind, data = {
            "PUT": ("PUT", "application/json", json.dumps(body)),
            "merge": ("PATCH", "application/merge-patch+json", json.dumps(body)),
            "JSON Patch": ("PATCH", "application/json-patch+json", json.dumps(root)),
            "DELETE": ("DELETE", None, None),
        }[how]
        expect = expect or (204 if how == "DELETE" else 200)
        return client.open(
            url,
            method=method,
            data=data,
            content_type=kind,
            headers=self.tagged(record, headers),
            expect=expect,
        )

    def sent(self, record: JSON) -> JSON:
        """The body of the writes to a record."""
        key = str(record["id"])
        if key not in self._sent:
            self._sent[key] = self.replacement({**self.full, **record}, self.other)
        return self._sent[key]

    def written(self, client: Client, how: str, headers: JSON) -> None:
        """Write to a new record, and check that it has changed."""
        record = self.second_version(client)
        response = self.write_if(client, record, how, headers)
        if how == "DELETE":
            client.get(self.item(record), expect=404)
            return
        assert response.json["version"] == 3
        assert response.headers["ETag"] == self.tag(record, 3)
        after = client.get(self.item(record))
        assert after.json == response.json
        self.assert_kept(after.json, self.sent(record))

    def not_written(
        self, client: Client, record: JSON, how: str, headers: JSON, expect: int
    ) -> str:
        """Try to write a record, and check that nothing has changed; return the type of
        the problem."""
        response = self.write_if(client, record, how, headers, expect)
        after = client.get(self.item(record))
        assert after.json == record
        assert after.headers["ETag"] == self.tag(record)
        return str(response.json["type"])

    def test_the_etag_is_strong_and_of_the_version(self, client: Client) -> None:
        created = client.post(self.url, json=self.fresh(self.full))
        record, responses = created.json, [created]
        url = self.item(record)
        for how in ITEM_METHODS[:3]:
            responses.append(self.write_if(client, record, how, {"If-Match": "*"}))
        for version, response in enumerate(responses, 1):
            assert response.headers["ETag"] == self.tag(record, version)
            assert response.json["version"] == version
        for read in (client.get, client.head):
            assert read(url).headers.getlist("ETag") == [self.tag(record, 4)]

    def test_the_etag_stays_while_nothing_is_written(self, client: Client) -> None:
        record, other = self.second_version(client), self.second_version(client)
        url, bad = self.item(record), {"unheard": 1}
        client.get(self.url)
        client.options(url)
        match = {"If-Match": "*"}
        client.put(url, json=bad, headers=match, expect=400)
        client.patch(url, json=bad, headers=match, expect=400)
        client.put(url, data=b"{", headers=match, expect=415)
        for how in ITEM_METHODS:
            self.write_if(client, record, how, {"If-Match": '"1"'}, 412)
        self.write_if(client, other, "DELETE", match)
        for read in (client.get, client.head):
            assert read(url).headers["ETag"] == self.tag(record)
        assert client.get(url).json == record

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_if_match_of_this_version_writes(self, client: Client, how: str) -> None:
        for tags in STRONG:
            self.written(client, how, {"If-Match": tags})

    def test_gaps_in_a_list_of_tags_do_not_count(self, client: Client) -> None:
        for tags in GAPS:
            self.written(client, "PUT", {"If-Match": tags})
            self.read_if(client, self.second_version(client), tags, 304)

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_if_match_of_another_is_412(self, client: Client, how: str) -> None:
        record = self.second_version(client)
        for tags in (*STALE, *WEAK):
            for more in ({}, {"If-None-Match": '"1"'}):
                headers = {"If-Match": tags, **more}
                assert self.not_written(client, record, how, headers, 412) == FAILED

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_if_none_match_of_this_is_412(self, client: Client, how: str) -> None:
        record = self.second_version(client)
        for tags in (*STRONG, *WEAK):
            headers = {"If-Match": CURRENT, "If-None-Match": tags}
            assert self.not_written(client, record, how, headers, 412) == FAILED
            del headers["If-Match"]
            if not self.model.requires_if_match:
                assert self.not_written(client, record, how, headers, 412) == FAILED

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_if_none_match_of_another_writes(self, client: Client, how: str) -> None:
        for tags in STALE:
            self.written(client, how, {"If-Match": CURRENT, "If-None-Match": tags})

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_malformed_conditions_are_400(self, client: Client, how: str) -> None:
        record = self.second_version(client)
        for tags in MALFORMED:
            for headers in (
                {"If-Match": tags},
                {"If-Match": CURRENT, "If-None-Match": tags},
            ):
                assert self.not_written(client, record, how, headers, 400) == BAD

    @pytest.mark.parametrize("how", ITEM_METHODS)
    def test_a_stale_etag_never_writes(self, client: Client, how: str) -> None:
        record = self.make(client)
        first = {"If-Match": client.get(self.item(record)).headers["ETag"]}
        stored = self.write_if(client, record, "merge", first).json
        self.write_if(client, record, how, first, 412)
        assert client.get(self.item(record)).json == stored
        self.write_if(client, record, how, {"If-Match": CURRENT})

    def test_what_is_not_there_is_404_before_412(self, client: Client) -> None:
        record = self.second_version(client)
        self.write_if(client, record, "DELETE", {"If-Match": CURRENT})
        for gone in (record, {"id": self.missing_id()}):
            for tags in (CURRENT, '"1"', "*", 'W/"2"'):
                for headers in ({"If-Match": tags}, {"If-None-Match": tags}, {}):
                    for how in ITEM_METHODS:
                        self.write_if(client, gone, how, headers, 404)
                    for read in (client.get, client.head):
                        read(self.item(gone), headers=headers, expect=404)

    def test_a_read_of_what_is_known_is_304(self, client: Client) -> None:
        record = self.second_version(client)
        for tags in (*STRONG, *WEAK):
            get, head = self.read_if(client, record, tags, 304)
            assert get.headers["ETag"] == self.tag(record)
            assert get.data == head.data == b""
            # Content-Length of a 304 must be that of the 200, section 8.6.
            assert "Content-Type" not in get.headers
            assert "Content-Length" not in get.headers
            assert client.get(self.item(record)).json == record

    def test_a_read_of_what_is_new_is_200(self, client: Client) -> None:
        record = self.second_version(client)
        for tags in STALE:
            get, head = self.read_if(client, record, tags, 200)
            assert get.json == record
            assert get.headers["ETag"] == self.tag(record)
            assert head.data == b""
            assert int(head.headers["Content-Length"]) == len(get.data)

    def test_a_read_with_a_malformed_condition_is_400(self, client: Client) -> None:
        record = self.second_version(client)
        for tags in MALFORMED:
            get, _ = self.read_if(client, record, tags, 400)
            assert get.json["type"] == BAD

    def read_if(
        self, client: Client, record: JSON, tags: str, expect: int
    ) -> list[Any]:
        """GET and HEAD with If-None-Match; their headers are the same."""
        url, known = self.item(record), self.tagged(record, {"If-None-Match": tags})
        headers = {**known, "X-Request-ID": "same"}
        reads: list[Callable[..., Any]] = [client.get, client.head]
        get, head = [read(url, headers=headers, expect=expect) for read in reads]
        assert list(get.headers) == list(head.headers)
        return [get, head]

    def test_a_write_ends_what_is_known(self, client: Client) -> None:
        record = self.second_version(client)
        url, known = self.item(record), {"If-None-Match": self.tag(record)}
        client.get(url, headers=known, expect=304)
        changed = self.write_if(client, record, "merge", {"If-Match": CURRENT}).json
        assert client.get(url, headers=known).json == changed
        known = {"If-None-Match": self.tag(record, 3)}
        client.get(url, headers=known, expect=304)
        self.write_if(client, record, "DELETE", {"If-Match": '"3"'})
        client.get(url, headers=known, expect=404)

    def test_an_embedded_record_is_always_sent(self, client: Client) -> None:
        record = self.second_version(client)
        for name in self.model.relations:
            url = f"{self.item(record)}?expand={name}"
            for tags in (CURRENT, "*", 'W/"2"'):
                known = self.tagged(record, {"If-None-Match": tags})
                whole = dict(client.get(url, headers=known, expect=200).json)
                assert name in whole
                assert {field: whole[field] for field in record} == record
                assert client.head(url, headers=known, expect=200).data == b""

    def test_dates_are_no_condition(self, client: Client) -> None:
        record = self.second_version(client)
        response = client.get(self.item(record), headers=SOME_DATES, expect=200)
        assert response.json == record
        assert response.headers.get("Last-Modified") is None
        self.written(client, "PUT", {**SOME_DATES, "If-Match": CURRENT})
