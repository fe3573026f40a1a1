"""Conformance: what is true for any record that hypothesis draws from the schema; each
run draws the same records.

One transaction spans the whole test with all its examples, so each example reads
only its own records.
"""

import json
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myapp.core.schema.strict_json import JSON
from myapp.core.stores.sql.model import SqlModel
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client
from myapp.core.testing.draw import Known, Values, faults, objects

# The time of a draw depends on the machine, so there is no deadline.
SETTINGS = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# For models that demand a condition.
ANY = {"If-Match": "*"}
JSON_PATCH = "application/json-patch+json"
# The value of a text, for formats that can write one value in several ways.
MEANINGS: dict[str, Callable[[str], Any]] = {
    "date-time": lambda text: datetime.fromisoformat(text.upper()),
    "decimal": Decimal,
    "uuid": str.lower,
}


def meaning(schema: JSON, value: Any) -> Any:
    """A value in which each text of these formats is replaced by its value."""
    if isinstance(value, list):
        return [meaning(schema.get("items", {}), one) for one in value]
    if isinstance(value, dict):
        members = schema.get("properties", {})
        return {name: meaning(members.get(name, {}), value[name]) for name in value}
    known = isinstance(value, str) and schema.get("format") in MEANINGS
    return MEANINGS[schema["format"]](value) if known else value


def references(case: ResourceCase) -> Known:
    """Ids of existing records, if any, for each field that refers to a record."""
    names = {relation.field for relation in case.model.relations.values()}
    if issubclass(case.model, SqlModel):
        columns = case.model.table().columns
        names |= {column.name for column in columns if column.foreign_keys}
    known: dict[str, Values] = {}
    for name in sorted(names & set(case.model.write_schema["properties"])):
        ids = [body[name] for body in (case.full, case.other) if body.get(name)]
        texts = [text for id in ids for text in (id, id.upper())]
        known[name] = st.sampled_from(texts) if texts else st.nothing()
    return known


def view_of(case: ResourceCase, record: JSON) -> JSON:
    """The writable fields of a record, as a client reads them."""
    return {name: record[name] for name in case.model.writable}


def body_of(case: ResourceCase, view: JSON) -> JSON:
    """The body that writes the values of a view. A null is left out where it means that
    the field is unset. Fields that no view shows get the value of the case."""
    fields, shown = case.model.write_schema["properties"], case.model.writable
    body = {name: case.full[name] for name in case.full if name not in shown}
    for name, value in view.items():
        if value is not None or "null" in fields[name].get("type", ()):
            body[name] = value
    return body


def check_kept(case: ResourceCase, body: JSON, record: JSON) -> None:
    """Check that a record has the values of the body that it was made of."""
    for name in case.model.writable:
        field = case.model.write_schema["properties"][name]
        sent = body.get(name, field.get("default"))
        assert meaning(field, record[name]) == meaning(field, sent), name
        if field.get("format") == "date-time" and record[name] is not None:
            assert record[name].endswith("Z"), name


class Properties(ResourceCase):
    """Every route stores a valid body, and refuses an invalid body."""

    def test_what_is_drawn_is_kept_by_every_route(self, client: Client) -> None:
        """The routes: POST, PUT of the record as it was read, batch and JSON Patch."""

        def is_kept(body: JSON) -> None:
            record = client.post(self.url, json=body).json or {}
            check_kept(self, body, record)
            url, view = self.item(record), view_of(self, record)
            assert client.get(url).json == record
            same = {**body, **body_of(self, view)}
            again = client.put(url, json=same, headers=ANY).json
            written = {"version": 2, "updated_at": again["updated_at"]}
            assert again == {**record, **written}
            both = {"create": [body, self.full]}
            response = client.post(f"{self.url}batch", json=both, expect=200)
            made, other = response.json["create"]
            assert view_of(self, made) == view
            sent = {"json": operations(view, body), "content_type": JSON_PATCH}
            patch = client.patch(self.item(other), headers=ANY, **sent)
            assert view_of(self, patch.json) == view
            for stored in (made, patch.json):
                assert client.get(self.item(stored)).json == stored

        bodies = objects(self.model.write_schema, references(self))
        settings(SETTINGS, max_examples=25)(given(bodies)(is_kept))()

    def test_a_drawn_fault_is_refused_at_its_place(self, client: Client) -> None:
        """POST, PUT and batch refuse it, and nothing is changed."""
        record = self.make(client)

        def is_refused(keyword: str, fault: tuple[str, JSON]) -> None:
            place, body = fault
            batch = {"create": [body]}
            for method, url, sent, where in (
                ("POST", self.url, body, place),
                ("PUT", self.item(record), body, place),
                ("POST", f"{self.url}batch", batch, f"/create/0{place}"),
            ):
                response = client.open(
                    url,
                    method=method,
                    data=json.dumps(sent),
                    content_type="application/json",
                    headers=ANY,
                    expect=400,
                )
                errors = response.json["errors"]
                assert {error["pointer"] for error in errors} == {where}
                assert keyword in {error["keyword"] for error in errors}

        for keyword, pairs in faults(self.model.write_schema, references(self)):
            every = given(st.just(keyword), pairs)
            settings(SETTINGS, max_examples=4)(every(is_refused))()
        assert client.get(self.url).json["items"] == [record]


def operations(view: JSON, body: JSON) -> list[JSON]:
    """A JSON Patch that sets each field of a view to its value in a body."""
    return [
        (
            {"op": "replace", "path": f"/{name}", "value": body[name]}
            if name in body
            else {"op": "remove", "path": f"/{name}"}
        )
        for name in view
    ]
