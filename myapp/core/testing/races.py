"""Conformance: clients that write at the same time lose and repeat no write."""

import threading
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from myapp.core.http.app import App
from myapp.core.schema.strict_json import JSON
from myapp.core.testing.callers import ToyAuthenticator
from myapp.core.testing.case import ResourceCase
from myapp.core.testing.client import Client, all_records, check_response

# Seconds after which a test fails; a normal run is faster.
PATIENCE = 30.0

T = TypeVar("T")


def at_once(
    app: App,
    count: int,
    act: Callable[[Any, int], T],
    client_of: Callable[[App], Any] = App.test_client,
) -> list[T]:
    """Call a function in ``count`` threads that start together.

    :param act: called with the client and the number of its thread.
    :param client_of: makes each client.
    :returns: what each call returned.
    """
    start = threading.Barrier(count)

    def run(number: int) -> T:
        client = client_of(app)
        start.wait(PATIENCE)
        return act(client, number)

    with ThreadPoolExecutor(count) as pool:
        calls = [pool.submit(run, number) for number in range(count)]
        return [call.result() for call in calls]


def crowd(app: App) -> int:
    """The number of clients: fewer on SQLite, where writers wait for each other."""
    return 16 if app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite") else 50


def one_of(
    statuses: Collection[int], client: Client, method: str, url: str, **kwargs: Any
) -> TestResponse:
    """Send a request with several allowed statuses, and check the response as the
    client does."""
    response = FlaskClient.open(client, url, method=method, buffered=True, **kwargs)
    assert response.status_code in statuses, f"{method} {url}: {response.text[:500]}"
    check_response(client.application, response)
    return response


class Races(ResourceCase):
    """What a client may rely on while other clients write."""

    def racing(self, app: App) -> Client:
        """A client of the database of this test, which has what the bodies refer to."""
        ToyAuthenticator().add_to(app)
        return self.set_up(app)

    def at_once(self, count: int, act: Callable[[Any, int], T]) -> list[T]:
        """Call a function in threads that start together, each with a client."""
        return at_once(self.app, count, act, self.client_of)

    def test_of_all_who_hold_a_version_one_writes(self, own_app: App) -> None:
        client = self.racing(own_app)
        record = self.make(client)
        url, body = self.item(record), self.change(record)
        count = crowd(own_app)
        all_have_read = threading.Barrier(count)

        def act(mine: Client, _number: int) -> int:
            seen = mine.get(url).headers["ETag"]
            all_have_read.wait(PATIENCE)
            while True:
                sent = {"json": body, "headers": {"If-Match": seen}}
                response = one_of({200, 412}, mine, "PATCH", url, **sent)
                if response.status_code == 200:
                    version = int(response.json["version"])
                    assert seen == self.tag(response.json, version - 1)
                    return version
                seen = mine.get(url).headers["ETag"]

        versions = self.at_once(count, act)
        assert sorted(versions) == list(range(2, count + 2))
        assert client.get(url).json["version"] == count + 1

    def test_patches_at_once_are_all_done(self, own_app: App) -> None:
        client = self.racing(own_app)
        record = self.make(client)
        url, body = self.item(record), self.change(record)
        count = 0 if self.model.requires_if_match else crowd(own_app)
        if not count:
            client.patch(url, json=body, expect=428)
            return

        def act(mine: Client, _number: int) -> int:
            return int(mine.patch(url, json=body).json["version"])

        versions = self.at_once(count, act)
        assert sorted(versions) == list(range(2, count + 2))
        assert client.get(url).json["version"] == count + 1

    def test_one_key_sent_at_once_writes_once(self, own_app: App) -> None:
        client = self.racing(own_app)
        sent = {"json": self.fresh(self.full), "headers": {"Idempotency-Key": "key"}}

        def act(mine: Client, _number: int) -> TestResponse:
            return one_of({201, 409}, mine, "POST", self.url, **sent)

        responses = self.at_once(20, act)
        made = [response for response in responses if response.status_code == 201]
        first = [one for one in made if "Idempotent-Replayed" not in one.headers]
        assert len(first) == 1
        assert {response.data for response in made} == {first[0].data}
        assert all_records(client, self.url) == [first[0].json]
        assert client.post(self.url, **sent).data == first[0].data

    def test_a_delete_and_updates_at_once_agree(self, own_app: App) -> None:
        client = self.racing(own_app)
        conditions: list[JSON] = [{"If-Match": '"1"'}, {}]
        for wanted in conditions[: 1 if self.model.requires_if_match else 2] * 3:
            record = self.make(client)
            headers = self.tagged(record, wanted)
            url = self.item(record)
            requests: Any = (
                ("DELETE", {}),
                ("PATCH", {"json": self.change(record)}),
                ("PUT", {"json": self.replacement(record, self.other)}),
            ) * 2

            def act(mine: Client, number: int) -> int:
                method, more = requests[number]
                ends = {200, 204, 404, 409, 412}
                sent = {**more, "headers": headers}
                return one_of(ends, mine, method, url, **sent).status_code

            ends = self.at_once(len(requests), act)
            written, deleted = ends.count(200), ends.count(204)
            if headers:
                assert written + deleted == 1
            else:
                assert deleted == 1
            left = client.get(url, expect=404 if deleted else 200).json
            assert deleted or left["version"] == 1 + written

    def test_batches_at_once_that_cross_are_all_done(self, own_app: App) -> None:
        client = self.racing(own_app)
        made = [self.make(client) for _ in range(4)]
        update = [{"id": one["id"], **self.change(one)} for one in made]
        if self.model.requires_if_match or not self.model.has_batch:
            return

        def act(mine: Client, number: int) -> None:
            body = {"update": update if number % 2 else update[::-1]}
            mine.post(f"{self.url}batch", json=body, expect=200)

        self.at_once(8, act)
        assert {one["version"] for one in all_records(client, self.url)} == {9}

    def test_pages_have_each_record_once_while_others_write(self, own_app: App) -> None:
        client = self.racing(own_app)
        bodies = [self.fresh(one) for one in (self.full, self.other) * 6]
        kept = {client.post(self.url, json=body).json["id"] for body in bodies}
        done = threading.Event()

        def write(mine: Client) -> None:
            while not done.is_set():
                record = self.make(mine)
                url, tag = self.item(record), {"If-Match": self.tag(record)}
                body = self.change(record)
                changed = mine.patch(url, json=body, headers=tag)
                tag = {"If-Match": changed.headers["ETag"]}
                mine.delete(url, headers=tag)

        def act(mine: Client, number: int) -> None:
            if number:
                write(mine)
                return
            try:
                for sort in self.orders():
                    seen = ids_of_pages(mine, f"{self.url}?limit=3{sort}")
                    # Other records may move to another page meanwhile; these do not.
                    assert sorted(id for id in seen if id in kept) == sorted(kept)
            finally:
                done.set()

        self.at_once(3, act)

    def orders(self) -> list[str]:
        """The orders of the list in which no write moves a record."""
        sortable = self.model.queryable.sortable
        fields = [name for name in sortable if name != "updated_at"]
        return ["", *(f"&sort={sign}{name}" for name in fields for sign in ("", "-"))]


def ids_of_pages(client: Client, url: str) -> list[str]:
    """The ids of all pages of a list."""
    ids: list[Any] = []
    cursor = ""
    while True:
        page = client.get(url + cursor).json
        ids += [item["id"] for item in page["items"]]
        if page["next"] is None:
            return ids
        cursor = f"&cursor={page['next']}"
