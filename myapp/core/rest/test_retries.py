"""Retries and batches that need planted models: each is done once, and completely."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import count
from typing import Any, ClassVar

import pytest
import redis
import uuid_utils
from sqlalchemy import ForeignKey, MetaData, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Mapped, mapped_column

from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model.changes import after_write
from myapp.core.model.record import Relation
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.redis.unit import Writes
from myapp.core.stores.sql import idempotency as sql_idempotency
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.idempotency import RESPONSES
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.outbox import OUTBOX
from myapp.core.stores.sql.store import SqlStore
from myapp.core.stores.sql.types import Id
from myapp.core.stores.transaction import after_commit
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import (
    NOTES,
    TICKETS,
    PlantedNote,
    PlantedTicket,
    plant,
    postgresql_error,
)
from myapp.core.testing.races import one_of
from myapp.core.wiring import mount

DEADLINE = 20.0
KEY = {"Idempotency-Key": "key"}
BODY = {"text": "once"}
MODELS: dict[str, Any] = {NOTES: PlantedNote, TICKETS: PlantedTicket}
BRANCHES, TWIGS = "/forest/branches/", "/forest/twigs/"
ON_EACH_STORE = pytest.mark.parametrize("url", MODELS, ids=["sql", "redis"])


def schema_of(name: str) -> JSON:
    """The write schema of a record that may refer to another of its kind."""
    return {
        "$id": f"/schemas/{name}.write.json",
        "type": "object",
        "properties": {"parent_id": {"type": "string", "format": "uuid"}},
        "additionalProperties": False,
    }


class PlantedBranch(SqlModel):
    """A branch in SQL, where the record that it refers to must exist."""

    __tablename__ = "planted_branches"
    metadata: ClassVar[MetaData] = MetaData(
        naming_convention=sql.metadata.naming_convention
    )
    write_schema = schema_of("planted-branch")

    parent_id: Mapped[str | None] = mapped_column(Id, ForeignKey("planted_branches.id"))


class PlantedTwig(RedisModel):
    """A branch in Redis."""

    name = "planted-twig"
    write_schema = schema_of("planted-twig")


# A model cannot name itself in its own body.
PlantedTwig.relations = {"parent": Relation("parent_id", PlantedTwig)}
PlantedTwig.compile_schemas()


@pytest.fixture
def client(own_app: App) -> Any:
    """A client of the planted models."""
    blueprint, api = feature_blueprint("forest", __name__)
    routes_from_model(api.namespace("branches"), PlantedBranch)
    routes_from_model(api.namespace("twigs"), PlantedTwig)
    mount(own_app, Feature("forest", "/forest", "public"), blueprint)
    with own_app.app_context():
        PlantedBranch.metadata.create_all(sql.engine)
    return plant(own_app).test_client()


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait until a condition returns a true value, and return the value."""
    deadline = time.monotonic() + DEADLINE
    while not (found := condition()):
        assert time.monotonic() < deadline
    return found


class Gate:
    """Stops the first view function that calls a method of a model, before a write."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Any, name: str) -> None:
        self.reached, self.open = threading.Event(), threading.Event()
        method = getattr(model, name)

        def stop(*args: Any) -> Any:
            if not self.reached.is_set():
                self.reached.set()
                assert self.open.wait(DEADLINE)
            return method(*args)

        monkeypatch.setattr(model, name, stop)


@ON_EACH_STORE
@pytest.mark.parametrize("kind", ["post", "patch", "batch"])
def test_of_two_requests_at_once_the_first_to_commit_answers_both(
    client: Any, monkeypatch: pytest.MonkeyPatch, url: str, kind: str
) -> None:
    method, where, body, step = "POST", url, BODY, "new_document"
    if kind == "patch":
        id = client.post(url, json={"text": "before"}).json["id"]
        method, where, step = "PATCH", f"{url}{id}", "writable_fields"
    elif kind == "batch":
        where, body = f"{url}batch", {"create": [BODY]}
    expect = 201 if kind == "post" else 200
    gate = Gate(monkeypatch, MODELS[url], step)

    def send(body: Any, expect: int) -> Any:
        mine: Any = client.application.test_client()
        return mine.open(where, method=method, expect=expect, json=body, headers=KEY)

    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(send, body, expect)
        try:
            assert gate.reached.wait(DEADLINE)
            fast = send(body, expect)
            send({"text": "other"}, 422)
        finally:
            gate.open.set()
        response = slow.result()
    assert "Idempotent-Replayed" not in fast.headers
    assert response.headers["Idempotent-Replayed"] == "true"
    assert response.data == fast.data == send(body, expect).data
    assert len(all_records(client, url)) == 1


def replayed(client: Any, url: str, record: Any) -> None:
    """Check that a retry gets a record, which is the only one."""
    response = client.post(url, json=BODY, headers=KEY)
    assert response.headers["Idempotent-Replayed"] == "true"
    assert all_records(client, url) == [response.json]
    assert record in (None, response.json)


@ON_EACH_STORE
def test_a_retry_after_an_effect_that_failed_writes_nothing(
    client: Any, url: str
) -> None:
    def fail() -> None:
        raise ArithmeticError

    def add(_sender: Any, change: Any) -> None:
        after_commit(fail)

    with after_write.connected_to(add, sender=MODELS[url]):
        client.post(url, json=BODY, headers=KEY, expect=500)
    replayed(client, url, None)


@ON_EACH_STORE
def test_a_retry_after_a_lost_reply_to_the_commit_writes_nothing(
    client: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    place, name = {
        NOTES: (sql.session, "commit"),
        TICKETS: (Writes, "run"),
    }[url]
    commit, lost = getattr(place, name), []

    def commit_and_lose(*args: Any) -> None:
        commit(*args)
        lost.append(url)
        raise redis.exceptions.ConnectionError if url == TICKETS else lost_error()

    with monkeypatch.context() as patch:
        patch.setattr(place, name, commit_and_lose)
        client.post(url, json=BODY, headers=KEY, expect=503)
    assert lost == [url]
    replayed(client, url, None)


def lost_error() -> DBAPIError:
    """The error of a driver whose connection is lost."""
    error = postgresql_error(None)
    error.connection_invalidated = True
    return error


def test_writes_in_two_stores_are_made_once_for_a_key(client: Any) -> None:
    """The line in SQL is committed before the record in Redis."""
    count, barrier = 8, threading.Barrier(8)

    def write(_sender: Any, change: Any) -> None:
        PlantedBranch.create({})
        barrier.wait(DEADLINE)

    def send(_number: int) -> Any:
        mine: Any = client.application.test_client()
        sent: Any = {"json": BODY, "headers": KEY}
        return one_of({201, 409}, mine, "POST", TICKETS, **sent)

    is_sqlite = client.application.config["SQLALCHEMY_DATABASE_URI"].startswith(
        "sqlite"
    )
    if is_sqlite:
        # It has one writer at a time, so that they cannot meet.
        count, barrier = 8, threading.Barrier(1)
    with after_write.connected_to(write, sender=PlantedTicket):
        with ThreadPoolExecutor(count) as pool:
            responses = list(pool.map(send, range(count)))
    made = [one for one in responses if one.status_code == 201]
    assert len({one.data for one in made}) == 1
    assert sum("Idempotent-Replayed" not in one.headers for one in made) == 1
    assert all_records(client, TICKETS) == [made[0].json]
    assert len(all_records(client, BRANCHES)) == 1


# A process that ends between its two commits.
KILLED = """
import json, os, signal, sys
from myapp import create_app
from myapp.core.model.changes import after_write
from myapp.core.rest.test_retries import PlantedBranch
from myapp.core.stores.redis.store import RedisStore
from myapp.core.testing.planted import TICKETS, PlantedTicket, plant

RedisStore.commit = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
app = plant(create_app(json.loads(sys.argv[1])), tables=False)
write = lambda sender, change: PlantedBranch.create({})
with after_write.connected_to(write, sender=PlantedTicket):
    key = {"Idempotency-Key": "key"}
    app.test_client().post(TICKETS, json={"text": "once"}, headers=key)
"""


def test_a_process_that_dies_between_two_commits_loses_nothing(client: Any) -> None:
    """The outbox has what is left to write; until then a retry is told to wait."""

    def write(_sender: Any, change: Any) -> None:
        PlantedBranch.create({})

    app = client.application
    settings = {name: app.config[name] for name in (SqlStore.setting, "REDIS_URL")}
    command = [sys.executable, "-c", KILLED, json.dumps(settings)]
    assert subprocess.run(command, timeout=DEADLINE).returncode == -signal.SIGKILL
    assert len(all_records(client, BRANCHES)) == 1
    with after_write.connected_to(write, sender=PlantedTicket):
        taken = client.post(TICKETS, json=BODY, headers=KEY, expect=409)
        assert taken.headers["Retry-After"] == "1"
        assert all_records(client, TICKETS) == []

        def completed() -> list[Any]:
            with app.app_context():
                SqlStore().complete()
            return all_records(client, TICKETS)

        (record,) = eventually(completed)
        replayed(client, TICKETS, record)
    assert len(all_records(client, BRANCHES)) == 1
    with app.app_context(), sql.engine.connect() as connection:
        assert connection.execute(select(OUTBOX)).all() == []


def kept(app: App) -> dict[str, float]:
    """The keys in both stores, with the seconds until they expire."""
    with app.app_context(), sql.engine.connect() as connection:
        found = connection.execute(select(RESPONSES.c.id, RESPONSES.c.expires_at)).all()
        now = datetime.now(UTC)
        lives = {id: (expires_at - now).total_seconds() for id, expires_at in found}
        for key in redis_store.scan_iter("*:idempotency:*"):
            lives[key.decode()] = redis_store.pttl(key) / 1000
    return lives


@ON_EACH_STORE
def test_an_answer_is_kept_for_a_day_and_an_error_not_at_all(
    client: Any, url: str
) -> None:
    client.post(url, json={}, headers=KEY, expect=400)
    assert kept(client.application) == {}
    client.post(url, json=BODY, headers=KEY)
    (life,) = kept(client.application).values()
    assert 23 * 3600 < life <= 24 * 3600


@ON_EACH_STORE
def test_what_has_expired_is_removed_and_the_rest_stays(
    client: Any, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setattr(sql_idempotency, "CLEAN_EVERY", 1)
    texts = map(str, count())

    def send(life: float) -> set[str]:
        monkeypatch.setitem(client.application.config, "IDEMPOTENCY_TTL", life)
        text = next(texts)
        client.post(url, json={"text": text}, headers={"Idempotency-Key": text})
        return set(kept(client.application))

    (stays,) = send(3600)
    (ends,) = send(0.2) - {stays}
    left = eventually(lambda: left if ends not in (left := send(3600)) else None)
    assert stays in left


def test_a_large_answer_is_kept_whole(client: Any) -> None:
    body = {"create": [{"text": f"{number:>100}"} for number in range(1000)]}
    sent = {"json": body, "headers": KEY, "expect": 200}
    first = client.post(f"{NOTES}batch", **sent)
    assert len(first.data) > 2**16
    assert client.post(f"{NOTES}batch", **sent).data == first.data


@pytest.mark.parametrize("url", [BRANCHES, TWIGS], ids=["sql", "redis"])
def test_a_field_of_a_batch_refers_to_what_it_creates(client: Any, url: str) -> None:
    old = client.post(url, json={}).json["id"]
    body = {
        "create": [{}, {"parent_id": "#/create/0"}, {"parent_id": "#/create/1"}],
        "update": [{"id": old, "parent_id": "#/create/2"}],
    }
    response = client.post(f"{url}batch", json=body, expect=200).json
    root, branch, twig = response["create"]
    parents = [one["parent_id"] for one in (branch, twig, *response["update"])]
    assert parents == [root["id"], branch["id"], twig["id"]]
    assert {one["id"]: one["parent_id"] for one in all_records(client, url)} == {
        one["id"]: one["parent_id"]
        for one in (*response["create"], *response["update"])
    }


def rejected(client: Any, url: str, expect: int, pointer: str, body: JSON) -> None:
    """Send a batch that must change nothing; it has one error, with this pointer."""
    before = all_records(client, url)
    (error,) = client.post(f"{url}batch", json=body, expect=expect).json["errors"]
    assert error["pointer"] == pointer
    assert all_records(client, url) == before


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_batch_stops_at_what_is_taken(client: Any, index: int) -> None:
    taken = client.post(NOTES, json={"text": "taken"}).json
    made = [client.post(NOTES, json={"text": f"old {n}"}).json for n in range(5)]
    create = [{"text": f"new {n}"} for n in range(5)]
    update = [{"id": one["id"], "text": f"changed {n}"} for n, one in enumerate(made)]
    for part, items in (("create", create), ("update", update)):
        bad = [*items[:index], {**items[index], "text": "taken"}, *items[index + 1 :]]
        body = {"create": create, "update": update, part: bad}
        rejected(client, NOTES, 409, f"/{part}/{index}/text", body)
    body = {"create": create, "update": update, "delete": [taken["id"]]}
    client.post(f"{NOTES}batch", json=body, expect=200)


@pytest.mark.parametrize("index", [0, 2, 4])
def test_a_batch_stops_at_a_reference(client: Any, index: int) -> None:
    made = [client.post(BRANCHES, json={}).json["id"] for _ in range(5)]
    nobody = {"parent_id": str(uuid_utils.uuid7())}
    bad: list[JSON] = [{}] * 5
    bad[index] = nobody
    where = f"{index}/parent_id"
    rejected(client, BRANCHES, 422, f"/create/{where}", {"create": bad})
    update = [{"id": id, **(bad[n])} for n, id in enumerate(made)]
    rejected(client, BRANCHES, 422, f"/update/{where}", {"update": update})
    client.post(BRANCHES, json={"parent_id": made[index]})
    body = {"create": [{}], "delete": made}
    rejected(client, BRANCHES, 409, f"/delete/{index}", body)
