"""Conformance: create, read, list, replace, delete."""

from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, Date, Float, Integer

from myapp.core.schema.derive import SERVER_FIELDS
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import ExactDecimal, Id, UtcDateTime, Varchar
from myapp.core.testing.case import ResourceCase, moment_of
from myapp.core.testing.client import Client


class Crud(ResourceCase):
    """What POST, GET, HEAD, PUT, DELETE and OPTIONS do."""

    def test_post_stores_what_was_sent(self, client: Client) -> None:
        body = self.fresh(self.full)
        response = client.post(self.url, json=body)
        record = response.json
        self.assert_kept(record, body)
        assert record["version"] == 1
        assert record["created_at"] == record["updated_at"]
        assert response.headers["Location"] == self.item(record)
        assert client.get(response.headers["Location"]).json == record

    def test_post_sets_what_is_left_out(self, client: Client) -> None:
        record = client.post(self.url, json=self.fresh(self.minimal)).json
        for name in self.same(set(self.full) - set(self.minimal)):
            assert record[name] == self.model.defaults[name]

    def test_head_is_get_without_a_body(self, client: Client) -> None:
        for url in (self.url, self.item(self.make(client))):
            get, head = client.get(url), client.head(url)
            assert head.data == b""
            mine = {**get.headers, "X-Request-ID": ""}
            assert {**head.headers, "X-Request-ID": ""} == mine

    def test_a_last_slash_is_optional(self, client: Client) -> None:
        record = self.make(client)
        assert client.get(self.url.rstrip("/")).json["items"] == [record]
        other = client.post(self.url.rstrip("/"), json=self.fresh(self.other))
        assert other.headers["Location"] == self.item(other.json)

    def test_list_is_newest_first(self, client: Client) -> None:
        records = [self.make(client) for _ in range(3)]
        page = client.get(self.url)
        assert page.json == {"items": records[::-1], "next": None}
        assert "Link" not in page.headers

    def test_pages_have_each_record_once(self, client: Client) -> None:
        records = [self.make(client) for _ in range(5)]
        seen, url, pages = [], f"{self.url}?limit=2", 0
        while url:
            page = client.get(url)
            seen += page.json["items"]
            pages += 1
            link = page.headers.get("Link", "")
            url = link.partition("<")[2].partition(">")[0]
            assert bool(url) == bool(page.json["next"])
        assert (seen, pages) == (records[::-1], 3)

    def test_pages_stay_whole_while_others_write(self, client: Client) -> None:
        records = [self.make(client) for _ in range(4)]
        first = client.get(f"{self.url}?limit=2").json
        self.make(client)
        client.delete(self.item(records[3]))
        second = client.get(f"{self.url}?limit=2&cursor={first['next']}").json
        assert first["items"] + second["items"] == records[::-1]

    def test_put_replaces(self, client: Client) -> None:
        record = self.make(client)
        body = self.replacement(record, self.other)
        changed = client.put(self.item(record), json=body)
        self.assert_kept(changed.json, body)
        assert changed.json["version"] == 2
        assert changed.json["created_at"] == record["created_at"]
        assert moment_of(changed.json) > moment_of(record)
        assert changed.headers["ETag"] == self.tag(changed.json)
        assert client.get(self.item(record)).json == changed.json

    def test_put_resets_what_is_left_out(self, client: Client) -> None:
        record = self.make(client)
        body = self.replacement(record, self.minimal)
        changed = client.put(self.item(record), json=body).json
        for name in self.same(set(self.full) - set(body)):
            assert changed[name] == self.model.defaults[name]

    def test_delete_removes(self, client: Client) -> None:
        record, kept = self.make(client), self.make(client)
        assert client.delete(self.item(record)).data == b""
        for method in (client.get, client.head, client.delete):
            method(self.item(record), expect=404)
        client.put(self.item(record), json=self.without_id(self.full), expect=404)
        assert client.get(self.url).json["items"] == [kept]

    def test_what_was_never_there_is_404(self, client: Client) -> None:
        url = f"{self.url}{self.missing_id()}"
        assert client.get(url, expect=404).json["type"] == "/problems/not-found"
        client.put(url, json=self.without_id(self.full), expect=404)
        client.delete(url, expect=404)

    def test_options_tells_the_methods(self, client: Client) -> None:
        for url, methods in (
            (self.url, {"GET", "HEAD", "OPTIONS", "POST"}),
            (self.item(self.make(client)), {"GET", "HEAD", "OPTIONS", "PUT", "DELETE"}),
        ):
            response = client.options(url)
            assert response.data == b""
            assert methods <= set(response.headers["Allow"].split(", "))

    @pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "BREW"])
    def test_another_method_is_405(self, client: Client, method: str) -> None:
        for url in (self.url, self.item(self.make(client))):
            response = client.open(url, method=method, expect=405)
            assert response.json["type"] == "/problems/method-not-allowed"
            assert "GET" in response.headers["Allow"].split(", ")

    def test_a_reference_to_nothing_is_422(self, client: Client) -> None:
        record = self.make(client)
        for relation in self.model.relations.values():
            make = relation.model.key.make
            if make is None or relation.field not in self.model.writable:
                continue
            body = {**self.fresh(self.full), relation.field: make()}
            problem = client.post(self.url, json=body, expect=422).json
            (error,) = problem["errors"]
            assert error["pointer"] == f"/{relation.field}"
            assert error["keyword"] == "reference"
            client.put(self.item(record), json=self.without_id(body), expect=422)
            if self.model.has_batch:
                sent = {"create": [self.fresh(self.full), body]}
                problem = client.post(f"{self.url}batch", json=sent, expect=422).json
                assert problem["errors"][0]["pointer"] == f"/create/1/{relation.field}"
        assert client.get(self.url).json["items"] == [record]

    def test_what_the_server_owns_is_refused(self, client: Client) -> None:
        record = self.make(client)
        for name, detail in self.model.owned.items():
            body = {**self.without_id(self.full), name: record[name]}
            keyword = "additionalProperties"
            wrong = [{"pointer": f"/{name}", "detail": detail, "keyword": keyword}]
            response = client.put(self.item(record), json=body, expect=400)
            assert response.json["errors"] == wrong
            if name != "id" or not self.id_is_sent:
                body = {**self.full, name: record[name]}
                response = client.post(self.url, json=body, expect=400)
                assert response.json["errors"] == wrong

    def test_all_errors_come_at_once(self, client: Client) -> None:
        body = {**{name: {"no": 1} for name in self.full}, "a/b~": 1}
        for name in self.required:
            del body[name]
        errors = client.post(self.url, json=body, expect=400).json["errors"]
        members = {error["pointer"].split("/")[1] for error in errors}
        assert members == {*self.full, "a~1b~0"}
        assert {error["pointer"] for error in errors if error["keyword"] == "required"}

    def test_text_comes_back_as_it_was_sent(self, client: Client) -> None:
        fields = self.model.write_schema["properties"].items()
        free = [name for name, field in fields if is_free_text(field)]
        free = [name for name in self.same(free) if name not in self.kept_apart]
        free = [name for name in free if not self.broken_by({**self.full, name: "é"})]
        for text in ("é", "e\u0301", "😀", "a ", " a", "\u202eabc", "A\na", "'\";--"):
            record = self.make(client, **{name: text for name in free})
            stored = client.get(self.item(record)).json
            assert {name: stored[name] for name in free} == {n: text for n in free}

    def test_columns_follow_the_schema(self) -> None:
        if not issubclass(self.model, SqlModel):
            return
        columns = {column.name: column for column in self.model.table().columns}
        properties = self.model.write_schema["properties"]
        stored = {*SERVER_FIELDS, *properties, *self.model.server_properties}
        for name in stored - set(columns):
            self.stop(f"the model has no column for {name!r} of its schema")
        for name in set(columns) - stored:
            place = "write_schema, or in server_properties when only the server sets it"
            self.stop(f"the column {name!r} is not in {place}")
        for name, field in {**self.model.server_properties, **properties}.items():
            self.check_column(name, field, columns[name])

    def check_column(self, name: str, field: Any, column: Any) -> None:
        """Check that a column holds the values of a property, and no others."""
        settled = name in self.required or field.get("default") is not None
        if name in self.model.write_schema["properties"]:
            assert column.nullable is not settled, f"{name}: required is NOT NULL"
        wanted = column_type(field)
        is_right = isinstance(column.type, wanted)
        assert is_right, f"{name}: {field} needs a column of type {wanted.__name__}"
        if type(column.type) is Integer:
            least, most = field.get("minimum"), field.get("maximum")
            bounds = f"{name}: an INTEGER needs bounds of 32 bits; or BigInteger"
            assert least is not None and least >= -(2**31), bounds
            assert most is not None and most < 2**31, bounds
        if isinstance(column.type, Varchar):
            most = field.get("maxLength")
            bounds = f"{name}: maxLength {most} needs a Varchar of the same length"
            assert column.type.length == most, bounds


def is_free_text(field: Any) -> bool:
    """Whether a property takes any short text."""
    bound = {"format", "pattern", "enum", "const"} & set(field)
    return field.get("type") == "string" and not bound and field.get("maxLength", 9) > 8


# The column type for a property, by the format and the type in its schema.
FORMAT_COLUMNS = {
    "date-time": UtcDateTime,
    "date": Date,
    "decimal": ExactDecimal,
    "uuid": Id,
}
TYPE_COLUMNS = {
    "integer": Integer,
    "boolean": Boolean,
    "number": Float,
    "string": Varchar,
    "array": JSON,
    "object": JSON,
}


def column_type(field: Any) -> type[Any]:
    """The column type that a property needs; JSON for one of several types."""
    types = field.get("type", [])
    plain, *more = set([types] if isinstance(types, str) else types) - {"null"} or {""}
    if more or plain not in TYPE_COLUMNS:
        return JSON
    return FORMAT_COLUMNS.get(field.get("format"), TYPE_COLUMNS[plain])
