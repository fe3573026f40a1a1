"""Conformance: values that no two records share."""

from typing import Any

from myapp.core.http.app import App
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.client import Client, all_records
from myapp.core.testing.races import Races, one_of
from myapp.core.testing.unique import unique_groups

CROWD = 10


class Conflicts(Races):
    """A value that another record has is refused, and nothing is changed."""

    @property
    def groups(self) -> list[list[str]]:
        """The fields of a body that are unique together; the id, if clients give it."""
        ids = [["id"]] if self.id_is_sent else []
        known = [
            [n for n in group if n in self.full] for group in unique_groups(self.model)
        ]
        return [group for group in [*ids, *known] if group]

    def taken(self, record: JSON, group: list[str]) -> JSON:
        """A body with some values of a record."""
        return {**self.fresh(self.other), **{name: record[name] for name in group}}

    def test_a_unique_value_is_taken_once(self, client: Client) -> None:
        for group in self.groups:
            record, second = self.make(client), self.make(client)
            before = all_records(client, self.url)
            body = self.taken(record, group)
            places = {f"/{name}" for name in group}
            problem = client.post(self.url, json=body, expect=409).json
            assert problem and problem["type"] == "/problems/conflict"
            assert places <= {error["pointer"] for error in problem["errors"]}
            if self.model.has_batch:
                batch = {"create": [self.fresh(self.full), body]}
                problem = client.post(f"{self.url}batch", json=batch, expect=409).json
                found = {error["pointer"] for error in (problem or {})["errors"]}
                assert {f"/create/1{place}" for place in places} <= found
            self.check_writes(client, second, self.without_id(body))
            assert all_records(client, self.url) == before

    def test_an_id_is_not_the_path_of_another_route(self, client: Client) -> None:
        if not self.id_is_sent or not self.is_id("batch", in_url=False):
            return
        body = {**self.fresh(self.full), "id": "batch"}
        batch = {"create": [self.fresh(self.full), body]}
        for url, sent, pointer in (
            (self.url, body, "/id"),
            (f"{self.url}batch", batch, "/create/1/id"),
        ):
            (error,) = client.post(url, json=sent, expect=400).json["errors"]
            assert (error["pointer"], error["keyword"]) == (pointer, "reserved")
        assert all_records(client, self.url) == []

    def check_writes(self, client: Client, record: JSON, body: JSON) -> None:
        """Check that no write gives a record the unique values of another one."""
        names = [name for name in self.kept_apart if name in body]
        change = {name: body[name] for name in names}
        changed = {**self.replacement(record, self.other), **change}
        if not change or self.broken_by(changed, record):
            return
        if record["version"] == 1 and not self.model.requires_if_match:
            client.put(self.item(record), json=changed, expect=409)
            client.patch(self.item(record), json=change, expect=409)
            update = {"update": [{"id": record["id"], **change}]}
            client.post(f"{self.url}batch", json=update, expect=409)

    def test_a_record_keeps_its_unique_values(self, client: Client) -> None:
        record = self.make(client)
        kept = {name: record[name] for name in self.kept_apart if name != "id"}
        body = {**self.replacement(record, self.full), **kept}
        again = client.put(self.item(record), json=body, headers={"If-Match": "*"})
        assert again.json and again.json["version"] == 2

    def test_a_unique_value_at_once_is_taken_once(self, own_app: App) -> None:
        client = self.racing(own_app)
        for group in self.groups:
            record = self.fresh(self.full)
            bodies = [self.taken(record, group) for _ in range(CROWD)]
            before = len(all_records(client, self.url))

            def act(mine: Client, number: int) -> int:
                sent: Any = {"json": bodies[number]}
                return one_of({201, 409}, mine, "POST", self.url, **sent).status_code

            ends = self.at_once(CROWD, act)
            assert sorted(ends) == [201, *[409] * (CROWD - 1)]
            assert len(all_records(client, self.url)) == before + 1
