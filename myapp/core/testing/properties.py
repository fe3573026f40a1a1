"""Conformance: what is true for any record that hypothesis draws from the schema; each
run draws the same records.

One transaction spans the whole test with all its examples, so each example reads
only its own records.
"""

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from myapp.core.schema.strict_json import JSON
from myapp.core.stores.sql.model import SqlModel
from myapp.core.testing.case import ResourceCase, meaning
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


def check_kept(case: ResourceCase, body: JSON, record: JSON) -> None:
    """Check that a record has the values of the body that it was made of."""
    for name in case.same(case.model.writable):
        field = case.model.write_schema["properties"][name]
        sent = body.get(name, field.get("default"))
        assert meaning(field, record[name]) == meaning(field, sent), name
        if field.get("format") == "date-time" and record[name] is not None:
            assert record[name].endswith("Z"), name


class Properties(ResourceCase):
    """Every route stores a valid body, and refuses an invalid body."""

    def test_what_is_drawn_is_kept_by_every_route(self, client: Client) -> None:
        """The routes: POST, PUT of the record as it was read, batch and JSON Patch."""

        def is_kept(drawn: JSON) -> None:
            body = self.settled(drawn)
            record = client.post(self.url, json=body).json or {}
            check_kept(self, body, record)
            url, view = self.item(record), self.drawn_view(record)
            assert client.get(url).json == record
            same = {**self.without_id(body), **self.body_of(record)}
            again = client.put(url, json=same, headers=ANY).json
            assert self.rest_of(again) == self.rest_of(record)
            both = [self.fresh(body), self.fresh(self.full)]
            made, other = self.make_all(client, both)
            assert self.drawn_view(made) == view
            known = self.body_of(other)
            if self.broken_by({**known, **self.drawn_view(body)}, other):
                return
            sent = {"json": operations(view, body), "content_type": JSON_PATCH}
            patch = client.patch(self.item(other), headers=ANY, **sent)
            assert self.drawn_view(patch.json) == view
            for stored in (made, patch.json):
                assert client.get(self.item(stored)).json == stored

        bodies = objects(self.model.create_schema, references(self))
        settings(SETTINGS, max_examples=25)(given(bodies)(is_kept))()

    def make_all(self, client: Client, bodies: list[JSON]) -> list[JSON]:
        """Create records, in a batch if there is one; return what the client sees."""
        if self.model.has_batch:
            sent = {"create": bodies}
            made = client.post(f"{self.url}batch", json=sent, expect=200).json or {}
            return list(made["create"])
        return [dict(client.post(self.url, json=body).json or {}) for body in bodies]

    def drawn_view(self, record: JSON) -> JSON:
        """The fields of a record whose values are those that were drawn."""
        view = self.same(name for name in record if name not in self.kept_apart)
        return {name: record[name] for name in view}

    def settled(self, drawn: JSON) -> JSON:
        """A valid body that has the drawn values where the rules of the model and its
        unique fields allow them."""
        fields, body = self.model.create_schema["properties"], dict(drawn)
        unused = self.fresh({**self.full, **body})
        for name in self.kept_apart:
            if name in body:
                value = (name, json.dumps(str(meaning(fields[name], body[name]))))
                if value in self._used:
                    body[name] = unused[name]
                self._used.add(value)
        if not self.broken_by(body):
            return body
        valid = self.fresh(self.full)
        for name in fields:
            tried = {one: valid[one] for one in valid if one != name}
            tried |= {one: body[one] for one in (name,) if one in body}
            if name in self.required and name not in body:
                continue
            valid = valid if self.broken_by(tried) else tried
        return valid

    def test_a_drawn_fault_is_refused_at_its_place(self, client: Client) -> None:
        """POST, PUT and batch refuse it, and nothing is changed."""
        record = self.make(client)

        def is_refused(keyword: str, fault: tuple[str, JSON]) -> None:
            place, body = fault
            created = body
            if self.id_is_sent and isinstance(body, dict):
                created = {"id": self.full["id"], **body}
            batch = {"create": [created]}
            for method, url, sent, where in (
                ("POST", self.url, created, place),
                ("PUT", self.item(record), body, place),
                ("POST", f"{self.url}batch", batch, f"/create/0{place}"),
            )[: 3 if self.model.has_batch else 2]:
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
