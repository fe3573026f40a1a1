"""Conformance: bad requests, and the status and the problem that each gets."""

import gzip
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

import pytest

from myapp.core.query.list_query import ListQuery
from myapp.core.rest.cursor import make_cursor
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import Validator
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client

MALFORMED = {
    "empty": b"",
    "truncated": b'{"a": ',
    "trailing comma": b'{"a": 1,}',
    "comment": b'{"a": 1} // yes',
    "two values": b"{} {}",
    "single quotes": b"{'a': 1}",
    "byte order mark": b"\xef\xbb\xbf{}",
    "not utf-8": b'{"a": "\xff"}',
    "overlong utf-8": b'{"a": "\xc0\xaf"}',
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "nested 65 deep": b"[" * 65 + b"]" * 65,
    "nested 100,000 brackets": b"[" * 100_000,
    "nested 100,000 braces": b'{"a":' * 100_000,
    "brackets after a string": b'["[]\\"",' + b"[" * 65 + b"]" * 66,
    "duplicate key": b'{"a": 1, "a": 1}',
    "duplicate key by escape": b'{"a": 1, "\\u0061": 1}',
    "duplicate key inside": b'{"a": [{"b": 1, "b": 2}]}',
    "nan": b'{"a": NaN}',
    "infinity": b'{"a": Infinity}',
    "minus infinity": b'{"a": -Infinity}',
    "beyond a double": b'{"a": 1e400}',
    "2**63": b'{"a": 9223372036854775808}',
    "-2**63 - 1": b'{"a": -9223372036854775809}',
    "5,000 digits": b'{"a": ' + b"9" * 5000 + b"}",
    "leading zero": b'{"a": 01}',
    "nul in a string": b'{"a": "\\u0000"}',
    "nul in a key": b'{"\\u0000": 1}',
    "raw nul": b'{"a": "\x00"}',
    "nul inside": b'{"a": [{"b": "x\\u0000"}]}',
    "lone surrogate": b'{"a": "\\ud800"}',
    "lone surrogate in a key": b'{"\\udfff": 1}',
    "raw newline in a string": b'{"a": "\n"}',
}
WELL_FORMED = {
    "null": b"null",
    "a number": b"1",
    "a string": b'"a"',
    "an array": b"[]",
    "nested 64 deep": b"[" * 64 + b"]" * 64,
    "2**63 - 1": b'{"a": 9223372036854775807}',
}
TYPES = {
    "none": {},
    "text": {"Content-Type": "text/plain"},
    "a form": {"Content-Type": "application/x-www-form-urlencoded"},
    "xml": {"Content-Type": "application/xml"},
    "another charset": {"Content-Type": "application/json; charset=utf-16"},
    "gzip": {"Content-Type": "application/json", "Content-Encoding": "gzip"},
}
IDS = [
    "0",
    "-1",
    "1_000",
    "a",
    "%20",
    "9" * 5000,
    "١٢",
    "'",
    "..",
    "01a1fbb0-1f04-7797-b388-70714d17781",
    "01a1fbb01f047797b38870714d177810",
    "{01a1fbb0-1f04-7797-b388-70714d177810}",
    "01a1fbb0-1f04-7797-b388-70714d17781g",
    "01a1fbb0-1f04-7797-b388-70714d177810%0A",
]
QUERIES = [
    "limit=0",
    "limit=-1",
    "limit=101",
    "limit=1000000000",
    "limit=1_0",
    "limit=%D9%A1",
    "limit=1.0",
    "limit=",
    "limit=1&limit=2",
    "cursor=",
    "cursor=abc",
    "cursor=ImEi.Zm9yZ2Vk",
    "nonsense=1",
    "title[$ne]=1",
    "__proto__=1",
]
BAD_URLS = ["%00", "%FF", "%C0%AF", "%ED%A0%80"]


class BadInput(ResourceCase):
    """Bad input is a problem document, never a 500, and changes nothing."""

    def refused(self, client: Client, expect: int, slug: str, **kwargs: Any) -> JSON:
        """POST and PUT a request that must be refused; return the last problem."""
        record = self.make(client)
        for method, url in (("POST", self.url), ("PUT", self.item(record))):
            response = client.open(url, method=method, expect=expect, **kwargs)
            assert response.json["type"] == f"/problems/{slug}"
            assert response.json["status"] == expect
            assert response.json["instance"] == url
        assert client.get(self.url).json["items"] == [record]
        return dict(response.json)

    @pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
    def test_malformed_json(self, client: Client, body: bytes) -> None:
        problem = self.refused(
            client, 400, "malformed-json", data=body, content_type="application/json"
        )
        assert "errors" not in problem

    @pytest.mark.parametrize("body", WELL_FORMED.values(), ids=WELL_FORMED)
    def test_json_that_is_no_record(self, client: Client, body: bytes) -> None:
        problem = self.refused(
            client, 400, "invalid-body", data=body, content_type="application/json"
        )
        assert problem["errors"]

    @pytest.mark.parametrize("headers", TYPES.values(), ids=TYPES)
    def test_another_media_type(self, client: Client, headers: Any) -> None:
        data = gzip.compress(b"{}") if "Content-Encoding" in headers else b"{}"
        self.refused(client, 415, "unsupported-media-type", data=data, headers=headers)
        response = client.post(self.url, data=data, headers=headers, expect=415)
        assert response.headers["Accept-Post"] == "application/json"

    def test_a_body_over_the_limit(self, client: Client) -> None:
        limit = client.application.config["MAX_CONTENT_LENGTH"]
        body = b'{"a": "' + b"x" * limit + b'"}'
        self.refused(
            client, 413, "too-large", data=body, content_type="application/json"
        )

    def test_an_id_of_another_kind(self, client: Client) -> None:
        for id in IDS:
            url = f"{self.url}{id}"
            refused = {
                "type": "/problems/invalid-parameter",
                "parameter": "id",
            }
            for method in () if self.is_id(unquote(id)) else ("GET", "PUT", "DELETE"):
                body = {"json": self.full} if method == "PUT" else {}
                problem = client.open(url, method=method, expect=400, **body).json
                assert problem is not None
                found = {**problem, **problem["errors"][0]}
                assert {name: found[name] for name in refused} == refused, id

    def test_a_uuid_in_capitals_is_the_same(self, client: Client) -> None:
        record = self.make(client)
        if not self.model.key.is_uuid:
            return
        assert client.get(f"{self.url}{record['id'].upper()}").json == record

    @pytest.mark.parametrize("query", QUERIES)
    def test_a_query_that_is_not_understood(self, client: Client, query: str) -> None:
        response = client.get(f"{self.url}?{query}", expect=400)
        assert response.json["type"] == "/problems/invalid-parameter"
        assert response.json["errors"][0]["parameter"] in query

    @pytest.mark.parametrize("text", BAD_URLS)
    def test_a_url_that_is_not_text(self, client: Client, text: str) -> None:
        # WSGI passes the path as unquoted bytes, decoded as Latin-1.
        path = self.url + unquote_to_bytes(text).decode("latin-1")
        for query, environ in ((f"?limit={text}", {}), ("", {"PATH_INFO": path})):
            url = self.url + query
            response = client.get(url, environ_overrides=environ, expect=400)
            assert response.json["type"] == "/problems/bad-request"

    def test_a_cursor_that_is_forged_or_foreign(self, client: Client) -> None:
        for _ in range(2):
            record = self.make(client)
        cursor = client.get(f"{self.url}?limit=1").json["next"]
        payload, _, signature = cursor.partition(".")
        first = "A" if signature[0] != "A" else "B"
        with client.application.test_request_context("/elsewhere/"):
            foreign = make_cursor(ListQuery(), record)
        for forged in (f"{payload}.{first}{signature[1:]}", payload, foreign):
            client.get(f"{self.url}?cursor={forged}", expect=400)

    def test_a_value_of_another_type(self, client: Client) -> None:
        for name in self.full:
            field = Validator(self.model.create_schema["properties"][name])
            others = ({"a": 1}, [{"a": 1}], 1.5, True, 2**63 - 1)
            refused = [value for value in others if field.errors(value)]
            assert refused, f"{name} takes any type"
            for value in refused:
                body = {**self.full, name: value}
                response = client.post(self.url, json=body, expect=400)
                places = {error["pointer"] for error in response.json["errors"]}
                assert all(f"{place}/".startswith(f"/{name}/") for place in places)
