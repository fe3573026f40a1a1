"""Conformance: many writes in one request, all or nothing."""

from typing import Any

import pytest

from myapp.core.model.batch import REFERENCE
from myapp.core.schema.formats import parse_uuid
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client, all_records

MAX_ITEMS = 1000
BAD = {"no such field": 1}
# No key takes it.
NO_ID = "/"
NO_BATCHES: dict[str, tuple[Any, str]] = {
    "an array": ([], ""),
    "another part": ({"creates": []}, "/creates"),
    "an object for a list": ({"create": {}}, "/create"),
    "an update that is a number": ({"update": [1]}, "/update/0"),
    "an update without an id": ({"update": [{}]}, "/update/0/id"),
    "an id that is a number": ({"update": [{"id": 1}]}, "/update/0/id"),
    "a version that is a string": (
        {"update": [{"id": "#/create/0", "version": "1"}]},
        "/update/0/version",
    ),
    "a delete that is a number": ({"delete": [1]}, "/delete/0"),
    "a delete with more": ({"delete": [{"id": "#/create/0", "x": 1}]}, "/delete/0"),
}
# Those of them that are none only because an id is a string.
NUMBERS = ({"update": [{"id": 1}]}, {"delete": [1]})
# The batch of each has exactly one create.
NO_IDS = (
    "",
    "1",
    "#/create/1",
    "#/create/9999",
    "#/create/-1",
    "#/create/00",
    "#/create/0x",
    "#/create/٠",
    "#/create/",
    "#/update/0",
    "/create/0",
)


class Batches(ResourceCase):
    """What POST on ``batch`` does."""

    def send_batch(self, client: Client, expect: int = 200, **parts: Any) -> JSON:
        """Send a batch; return the body of the response."""
        url = f"{self.url}batch"
        return dict(client.post(url, json=parts, expect=expect).json)

    def creates(self, count: int) -> list[JSON]:
        """Bodies to create records with."""
        return [self.fresh(self.full) for _ in range(count)]

    def rejected(
        self, client: Client, expect: int, pointer: str, **parts: Any
    ) -> list[JSON]:
        """Send a batch that must change nothing; return its errors.

        :param pointer: of the first error.
        """
        before = all_records(client, self.url)
        errors = list(self.send_batch(client, expect=expect, **parts)["errors"])
        assert errors[0]["pointer"] == pointer
        assert all_records(client, self.url) == before
        return errors

    def test_a_batch_creates_updates_and_deletes(self, client: Client) -> None:
        kept, gone = self.make(client), self.make(client)
        bodies = [self.fresh(self.full), self.fresh(self.other)]
        change = self.change(kept)
        response = self.send_batch(
            client,
            create=bodies,
            update=[{"id": kept["id"], "version": 1, **change}],
            delete=[{"id": gone["id"], "version": 1}],
        )
        first, second = response["create"]
        (changed,) = response["update"]
        assert response["delete"] == [gone["id"]]
        assert all_records(client, self.url) == [second, first, changed]
        for record, body in zip((first, second), bodies):
            self.assert_kept(record, body)
            assert record["version"] == 1
        self.assert_kept(changed, change)
        assert (changed["id"], changed["version"]) == (kept["id"], 2)
        assert changed["created_at"] == kept["created_at"]
        client.get(self.item(gone), expect=404)

    def test_an_update_in_a_batch_keeps_what_it_does_not_name(
        self, client: Client
    ) -> None:
        record = self.make(client)
        for name in self.model.writable:
            change = self.single_change(record, name)
            if change is not None:
                item = {"id": record["id"], "version": record["version"], **change}
                (changed,) = self.send_batch(client, update=[item])["update"]
                self.assert_kept(changed, change)
                assert self.rest_of(changed, name) == self.rest_of(record, name)
                record = changed

    def test_null_in_an_update_of_a_batch_resets_a_field(self, client: Client) -> None:
        record = self.make(client)
        for name in self.resets(record):
            item = {"id": record["id"], "version": record["version"], name: None}
            (record,) = self.send_batch(client, update=[item])["update"]
            for field in self.same([name]):
                assert record[field] == self.model.defaults[field]

    def test_a_batch_of_nothing_changes_nothing(self, client: Client) -> None:
        record = self.make(client)
        nothing: JSON = {"create": [], "update": [], "delete": []}
        assert self.send_batch(client) == self.send_batch(client, **nothing) == nothing
        assert all_records(client, self.url) == [record]

    def test_the_largest_batch_comes_back_in_its_order(self, client: Client) -> None:
        bodies = [self.fresh(self.minimal) for _ in range(MAX_ITEMS)]
        made = self.send_batch(client, create=bodies)["create"]
        assert len(made) == MAX_ITEMS
        assert all_records(client, self.url) == made[::-1]
        gone = [{"id": record["id"], "version": 1} for record in made]
        ids = self.send_batch(client, delete=gone)["delete"]
        assert ids == [record["id"] for record in made]
        assert all_records(client, self.url) == []

    def test_a_larger_batch_is_413(self, client: Client) -> None:
        record = self.make(client)
        many = [self.minimal] * (MAX_ITEMS - 1)
        this = {"id": record["id"], "version": 1}
        for parts in (
            {"create": [*many, self.minimal, self.minimal]},
            {"create": many, "update": [this], "delete": ["#/create/0"]},
            {"delete": [record["id"]] * (MAX_ITEMS + 1)},
        ):
            problem = self.send_batch(client, expect=413, **parts)
            assert problem["type"] == "/problems/too-large"
            assert str(MAX_ITEMS) in problem["detail"]
        assert all_records(client, self.url) == [record]

    @pytest.mark.parametrize("index", [0, 3, 6])
    def test_one_bad_item_refuses_the_whole_batch(
        self, client: Client, index: int
    ) -> None:
        made = [self.make(client) for _ in range(7)]
        creates = [self.full] * 7
        updates = [{"id": record["id"], "version": 1} for record in made]
        for part, items in (("create", creates), ("update", updates)):
            bad: list[JSON] = list(items)
            bad[index] = {**items[index], **BAD}
            where = f"/{part}/{index}"
            parts = {"create": creates, "update": updates, part: bad}
            (error,) = self.rejected(client, 400, f"{where}/no such field", **parts)
            assert error["keyword"] == "additionalProperties"
        for name in self.required:
            bad = list(creates)
            bad[index] = {n: self.full[n] for n in self.full if n != name}
            self.rejected(client, 400, f"/create/{index}/{name}", create=bad)
        deletes: list[Any] = [record["id"] for record in made]
        deletes[index] = NO_ID
        self.rejected(client, 400, f"/delete/{index}/id", delete=deletes)

    def test_each_error_of_a_batch_points_at_its_item(self, client: Client) -> None:
        record = self.make(client)
        errors = self.rejected(
            client,
            400,
            "/create/0/no such field",
            create=[{**self.full, **BAD}, self.fresh(self.full), 1],
            update=[{"id": record["id"], "version": 1, **BAD}, {"id": NO_ID}],
            delete=[NO_ID, record["id"]],
        )
        assert [error["pointer"] for error in errors] == [
            "/create/0/no such field",
            "/create/2",
            "/update/0/no such field",
            "/update/1/id",
            "/delete/0/id",
            "/delete/1/id",
        ]

    @pytest.mark.parametrize(("body", "pointer"), NO_BATCHES.values(), ids=NO_BATCHES)
    def test_what_is_no_batch(self, client: Client, body: Any, pointer: str) -> None:
        if self.model.key.schema["type"] == "integer" and body in NUMBERS:
            return
        problem = client.post(f"{self.url}batch", json=body, expect=400).json
        assert problem["type"] == "/problems/invalid-body"
        assert problem["errors"][0]["pointer"] == pointer

    def test_a_batch_refuses_what_the_server_owns(self, client: Client) -> None:
        record = self.make(client)
        for name in set(self.model.owned) - {"id"} | ({"id"} - set(self.full)):
            body = {**self.full, name: record[name]}
            self.rejected(client, 400, f"/create/0/{name}", create=[body])
        for name in ("created_at", "updated_at"):
            item = {"id": record["id"], "version": 1, name: record[name]}
            self.rejected(client, 400, f"/update/0/{name}", update=[item])

    def test_a_reference_in_a_batch_stands_for_what_it_creates(
        self, client: Client
    ) -> None:
        bodies = self.creates(4)
        response = self.send_batch(
            client,
            create=bodies,
            update=[{"id": "#/create/2", "version": 1, **self.change(bodies[2])}],
            delete=["#/create/0", {"id": "#/create/1", "version": 1}][
                self.needs_version :
            ],
        )
        ids = [record["id"] for record in response["create"]]
        (changed,) = response["update"]
        assert (changed["id"], changed["version"]) == (ids[2], 2)
        assert response["delete"] == ids[self.needs_version : 2]
        left = [
            response["create"][3],
            changed,
            *response["create"][: self.needs_version],
        ]
        assert all_records(client, self.url) == left

    @property
    def needs_version(self) -> int:
        """1 if the model demands the version of every item, else 0."""
        return int(self.model.requires_if_match)

    def test_a_batch_needs_versions_where_the_model_demands_it(
        self, client: Client
    ) -> None:
        made = [self.make(client) for _ in range(3)]
        expect = 428 if self.needs_version else 200
        update = [{"id": made[0]["id"], **self.change(made[0])}]
        delete = [made[1]["id"], {"id": made[2]["id"]}]
        self.send_batch(client, expect=expect, update=update, delete=delete)
        assert len(all_records(client, self.url)) == (3 if self.needs_version else 1)

    def test_a_reference_to_nothing_in_a_batch_is_no_id(self, client: Client) -> None:
        parsers = self.model.parsers
        fields = [n for n in self.model.writable if parsers.get(n) is parse_uuid]
        for text in NO_IDS:
            for name in fields:
                body = {**self.full, name: text}
                self.rejected(client, 400, f"/create/0/{name}", create=[body])
            item = {"id": text, "version": 1}
            for part in ("update", "delete"):
                parts = {"create": [self.fresh(self.full)], part: [item]}
                is_missing = REFERENCE.match(text) or self.is_id(text, in_url=False)
                expect = 422 if is_missing else 400
                self.rejected(client, expect, f"/{part}/0/id", **parts)

    @pytest.mark.parametrize("index", [0, 2, 4])
    def test_another_version_in_a_batch_is_412(
        self, client: Client, index: int
    ) -> None:
        made = [self.make(client) for _ in range(5)]
        items: list[JSON] = [{"id": record["id"], "version": 1} for record in made]
        items[index]["version"] = 2
        where = f"{index}/version"
        updates = [{**i, **self.change(one)} for i, one in zip(items, made)]
        create = [self.fresh(self.full)]
        self.rejected(client, 412, f"/update/{where}", update=updates, create=create)
        self.rejected(client, 412, f"/delete/{where}", delete=items, create=create)

    @pytest.mark.parametrize("index", [0, 2, 4])
    def test_a_missing_record_in_a_batch_is_422(
        self, client: Client, index: int
    ) -> None:
        made = [self.make(client) for _ in range(5)]
        items: list[JSON] = [{"id": record["id"], "version": 1} for record in made]
        client.delete(
            self.item(made[index]), headers={"If-Match": self.tag(made[index])}
        )
        updates = [{**i, **self.change(one)} for i, one in zip(items, made)]
        for part, parts in (("update", updates), ("delete", items)):
            sent = {"create": [self.fresh(self.full)], part: parts}
            (error,) = self.rejected(client, 422, f"/{part}/{index}/id", **sent)
            assert error["keyword"] == "reference"

    def test_a_batch_names_a_record_once(self, client: Client) -> None:
        made = [self.make(client) for _ in range(2)]
        is_uuid = self.model.key.is_uuid
        one, two = ({"id": record["id"], "version": 1} for record in made)
        capital = {**one, "id": one["id"].upper() if is_uuid else one["id"]}
        created = {"id": "#/create/0", "version": 1}
        for parts, where in (
            ({"update": [one, two, one]}, "/update/2/id"),
            ({"update": [one, capital]}, "/update/1/id"),
            ({"delete": [two, one, one["id"]]}, "/delete/2/id"),
            ({"update": [one, two], "delete": [two]}, "/delete/0/id"),
            ({"update": [created], "delete": ["#/create/0"]}, "/delete/0/id"),
        ):
            sent = {"create": [self.fresh(self.full)], **parts}
            (error,) = self.rejected(client, 422, where, **sent)
            assert error["keyword"] == "uniqueItems"
