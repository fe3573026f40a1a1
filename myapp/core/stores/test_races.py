"""Races, deadlocks and killed workers: no write is lost or done twice."""

import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any, ClassVar

import pytest
from sqlalchemy import JSON, MetaData, select, text
from sqlalchemy.orm import Mapped, mapped_column

from myapp import create_app
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model.patch import JSON_PATCH_TYPE
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import Varchar
from myapp.core.stores.store import close_stores
from myapp.core.stores.transaction import after_commit, commit
from myapp.core.testing import Client
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import (
    NOTES,
    PATIENCE,
    TICKETS,
    PlantedNote,
    PlantedTicket,
    action,
    assert_unavailable,
    mysql_error,
    plant,
    postgresql_error,
    text_schema,
)
from myapp.core.testing.races import at_once, crowd, one_of
from myapp.core.wiring import mount

ON_EACH_STORE = pytest.mark.parametrize("url", [NOTES, TICKETS], ids=["sql", "redis"])
BODY = {"text": "once"}
KEY = {"Idempotency-Key": "key"}
# Imports once, then forks a worker for each line that it reads. The worker sends a
# request to itself, and is killed before or after the commit of the view function.
WORKERS = """
import json, os, signal, sys
from myapp import create_app
from myapp.core.stores import transaction
from myapp.core.testing.planted import plant

commit = transaction.commit_stores

def work(order):
    def die():
        if order["after"]:
            commit()
        os.kill(os.getpid(), signal.SIGKILL)
    client = plant(create_app(order["config"]), tables=False).test_client()
    transaction.commit_stores = die
    client.post(order["url"], json=order["body"], headers=order["headers"])

for line in sys.stdin:
    worker = os.fork()
    if not worker:
        work(json.loads(line))
        os._exit(1)
    print(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]), flush=True)
"""
SERIALIZABLE = text("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
ARRAY = {"numbers": {"type": "array", "items": {"type": "integer"}, "default": []}}


class PlantedRow(SqlModel):
    """Numbers in SQL."""

    __tablename__ = "planted_rows"
    metadata: ClassVar[MetaData] = MetaData()
    write_schema = {**text_schema("row"), "properties": ARRAY, "required": []}

    numbers: Mapped[list[Any]] = mapped_column(JSON)


class PlantedValue(RedisModel):
    """Numbers in Redis."""

    name = "planted-value"
    slot = "planted"
    write_schema = {**text_schema("value"), "properties": ARRAY, "required": []}


@pytest.mark.parametrize("plural", ["rows", "values"])
def test_patches_that_add_to_an_array_lose_nothing(own_app: App, plural: str) -> None:
    blueprint, api = feature_blueprint("numbers", __name__)
    routes_from_model(api.namespace("rows"), PlantedRow)
    routes_from_model(api.namespace("values"), PlantedValue)
    mount(own_app, Feature("numbers", "/numbers", "public"), blueprint)
    with own_app.app_context():
        PlantedRow.metadata.create_all(sql.engine)
    client: Any = own_app.test_client()
    url = f"/numbers/{plural}/{client.post(f'/numbers/{plural}/', json={}).json['id']}"

    def act(mine: Any, number: int) -> None:
        patch = [{"op": "add", "path": "/numbers/-", "value": number}]
        mine.patch(url, json=patch, content_type=JSON_PATCH_TYPE)

    at_once(own_app, crowd(own_app), act)
    assert sorted(client.get(url).json["numbers"]) == list(range(crowd(own_app)))


def test_a_view_that_writes_two_models_in_redis_does_each_once(own_app: App) -> None:
    with own_app.app_context():
        id = PlantedValue.create({}).id
        commit()

    def act() -> None:
        PlantedTicket.create(BODY)
        value = PlantedValue.get_or_404(id)
        value.update({"numbers": [*value["numbers"], 1]})

    client: Any = plant(own_app, act=act).test_client()
    at_once(own_app, 16, lambda mine, _number: mine.post(action("act"), expect=200))
    with own_app.app_context():
        assert len(PlantedValue.get_or_404(id)["numbers"]) == 16
    assert len(all_records(client, TICKETS)) == 16


def test_a_deadlock_in_an_insert_of_many_runs_the_view_again(
    own_app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    nested, runs = sql.session.begin_nested, []

    def fail_once() -> Any:
        runs.append("run")
        if len(runs) == 1:
            # MySQL and MariaDB have rolled the whole transaction back by then.
            sql.session.rollback()
            raise mysql_error(1213)
        return nested()

    monkeypatch.setattr(sql.session, "begin_nested", fail_once)

    def act() -> None:
        PlantedNote.create({"text": "first"})
        bodies = [{"text": "second"}, {"text": "third"}]
        PlantedNote.insert([PlantedNote.new_document(body) for body in bodies])

    client: Any = plant(own_app, act=act).test_client()
    client.post(action("act"), expect=200)
    texts = {record["text"] for record in all_records(client, NOTES)}
    assert (texts, len(runs)) == ({"first", "second", "third"}, 2)


def test_batches_at_once_that_want_the_same_are_stored_whole_or_not(
    own_app: App,
) -> None:
    client: Any = plant(own_app).test_client()
    for turn in range(4):
        texts = [f"{turn} {number}" for number in range(30)]

        def act(mine: Any, number: int) -> int:
            mixed = Random(number).sample(texts, len(texts))
            sent: Any = {"json": {"create": [{"text": text} for text in mixed]}}
            ends = {200, 409, 503}
            return one_of(ends, mine, "POST", f"{NOTES}batch", **sent).status_code

        ends = at_once(own_app, 8, act)
        assert ends.count(200) <= 1
        stored = [r for r in all_records(client, NOTES) if r["text"] in texts]
        assert len(stored) == 30 * ends.count(200)


class PlantedPair(SqlModel):
    """A row that is written together with another one."""

    __tablename__ = "planted_pairs"
    metadata: ClassVar[MetaData] = MetaData()
    write_schema = text_schema("pair")

    text: Mapped[str] = mapped_column(Varchar(100))

    @classmethod
    def create(cls, from_json: Any) -> Any:
        """Also store a note."""
        PlantedNote.create(from_json)
        return super().create(from_json)


def test_a_model_whose_create_writes_more_needs_no_word_for_it(own_app: App) -> None:
    blueprint, api = feature_blueprint("pairs", __name__)
    routes_from_model(api.namespace("pairs", path="/"), PlantedPair)
    mount(own_app, Feature("pairs", "/pairs", "public"), blueprint)
    with own_app.app_context():
        PlantedPair.metadata.create_all(sql.engine)
    client: Any = plant(own_app).test_client()
    client.post("/pairs/", json=BODY)
    # The note is taken, so the pair is not stored either.
    client.post("/pairs/", json=BODY, expect=409)
    assert len(all_records(client, "/pairs/")) == len(all_records(client, NOTES)) == 1
    assert PlantedNote.lone_writes and not PlantedPair.lone_writes


def test_of_equal_posts_to_a_unique_field_one_is_stored(own_app: App) -> None:
    client: Any = plant(own_app).test_client()

    def act(mine: Any, _number: int) -> Any:
        return one_of({201, 409}, mine, "POST", NOTES, json=BODY)

    responses = at_once(own_app, 50, act)
    (made,) = [response.json for response in responses if response.status_code == 201]
    assert all_records(client, NOTES) == [made]
    refused = [
        response.json["errors"] for response in responses if response.json != made
    ]
    assert {errors[0]["pointer"] for errors in refused} == {"/text"}


@pytest.mark.parametrize("headers", [{}, KEY], ids=["bare", "with a key"])
def test_sqlite_waits_for_another_writer_before_it_is_503(
    redis_url: str, tmp_path: Path, headers: dict[str, str]
) -> None:
    database = make_database("sqlite", tmp_path)
    stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url}
    app = create_app({**stores, "SQLITE_BUSY_TIMEOUT": 0.3})
    client: Any = Client(plant(app), app.response_class)
    with app.app_context():
        sql.create_all()
    with closing(sqlite3.connect(database.removeprefix("sqlite:///"))) as other:
        other.execute("BEGIN IMMEDIATE")
        start = time.monotonic()
        sent = {"json": BODY, "headers": headers}
        assert_unavailable(client.post(NOTES, expect=503, **sent))
        assert time.monotonic() - start >= 0.3
    made = client.post(NOTES, **sent).json
    assert all_records(client, NOTES) == [made]
    close_stores(app)


class Pair:
    """Two view functions that run at the same time, and wait for each other once. This
    is not possible on SQLite, which has one writer at a time."""

    def __init__(self, app: App, view: Callable[["Pair", str], None]) -> None:
        with app.app_context():
            self.dialect = sql.engine.dialect.name
        self.runs: Counter[str] = Counter()
        self.answered = threading.Event()
        self.barrier = threading.Barrier(1 if self.dialect == "sqlite" else 2)
        views = {name: (lambda name=name: view(self, name)) for name in ("a", "b")}
        self.app = plant(app, **views)
        self.client: Any = app.test_client()
        post = self.client.post
        self.ids = {n: post(NOTES, json={"text": n}).json["id"] for n in views}

    def begin(self, name: str) -> None:
        """Count a run; a second run waits until the other view function has ended."""
        self.runs[name] += 1
        if self.runs[name] > 1:
            self.answered.wait(PATIENCE if self.runs.total() == 3 else 0)

    def meet(self, name: str) -> None:
        """Wait for the other view function, in the first run."""
        if self.runs[name] == 1:
            self.barrier.wait(PATIENCE)

    def send(self, client: Any, number: int) -> None:
        """Send a request to one of the view functions."""
        client.post(action("ab"[number]), expect=200)
        self.answered.set()

    def texts(self) -> set[str]:
        """Send both requests, which must get a 200, and return the stored texts."""
        at_once(self.app, 2, self.send)
        # After they met, the database has aborted one of them.
        assert self.dialect == "sqlite" or self.runs.total() > 2
        return {record["text"] for record in all_records(self.client, NOTES)}


def test_a_deadlock_is_resolved_and_both_are_done(own_app: App) -> None:
    def view(pair: Pair, name: str) -> None:
        pair.begin(name)
        for place in (name, "ba"["ab".index(name)]):
            record = PlantedNote.get_or_404(pair.ids[place])
            record.update({"text": record["text"] + name.upper()})
            if place == name:
                pair.meet(name)

    assert Pair(own_app, view).texts() in ({"aAB", "bAB"}, {"aBA", "bBA"})


def test_views_that_read_what_the_other_writes_run_as_if_in_turn(own_app: App) -> None:
    def view(pair: Pair, name: str) -> None:
        pair.begin(name)
        connection, reading = sql.session.connection(), select(PlantedNote.text)
        if pair.dialect == "postgresql":
            connection.execute(SERIALIZABLE)
        else:
            reading = reading.with_for_update(read=True)
        seen = "".join(sorted(connection.scalars(reading)))
        pair.meet(name)
        PlantedNote.get_or_404(pair.ids[name]).update({"text": f"{name} saw {seen}"})

    in_turn = {"a saw ab", "b saw a saw abb"}, {"b saw ab", "a saw ab saw ab"}
    assert Pair(own_app, view).texts() in in_turn


# Statements that raise a serialization failure; SQLite has no such error.
FAILURES = {
    "postgresql": text("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '40001'; END $$"),
    "mysql": text("SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213"),
}


@pytest.mark.parametrize("failures", [1, 3, 4])
def test_a_serialization_failure_is_retried_three_times(
    own_app: App, failures: int
) -> None:
    runs: list[str] = []
    effects: list[str] = []

    def act() -> None:
        runs.append("run")
        after_commit(lambda: effects.append("effect"))
        PlantedNote.create(BODY)
        if len(runs) <= failures:
            if sql.engine.dialect.name == "sqlite":
                raise postgresql_error("40001")
            sql.session.connection().execute(FAILURES[sql.engine.dialect.name])

    client: Any = plant(own_app, act=act).test_client()
    passes = failures < 4
    response = client.post(action("act"), expect=200 if passes else 503)
    assert len(runs) == min(failures, 3) + 1
    assert len(effects) == len(all_records(client, NOTES)) == int(passes)
    assert passes or int(response.headers["Retry-After"]) >= 1


@pytest.fixture(scope="module")
def workers() -> Iterator[Any]:
    """The process that starts the workers."""
    command, root = [sys.executable, "-c", WORKERS], Path(__file__).parents[3]
    ends: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=root, **ends) as process:
        yield process


def kill_worker(workers: Any, app: App, **order: Any) -> None:
    """Kill a worker during a POST: ``after`` its commit, or before it."""
    names = ("SQLALCHEMY_DATABASE_URI", "REDIS_URL")
    config = {name: app.config[name] for name in names}
    line = json.dumps({"config": config, "body": BODY, **order})
    print(line, file=workers.stdin, flush=True)
    assert int(workers.stdout.readline()) == -SIGKILL


@ON_EACH_STORE
def test_a_worker_killed_before_its_commit_has_written_nothing(
    own_app: App, workers: Any, url: str
) -> None:
    client: Any = plant(own_app).test_client()
    kill_worker(workers, own_app, url=url, after=False, headers=KEY)
    assert all_records(client, url) == []
    response = client.post(url, json=BODY, headers=KEY)
    assert "Idempotent-Replayed" not in response.headers
    assert all_records(client, url) == [response.json]


@ON_EACH_STORE
def test_a_worker_killed_after_its_commit_is_answered_for(
    own_app: App, workers: Any, url: str
) -> None:
    client: Any = plant(own_app).test_client()
    kill_worker(workers, own_app, url=url, after=True, headers=KEY)
    (record,) = all_records(client, url)
    response = client.post(url, json=BODY, headers=KEY)
    assert response.headers["Idempotent-Replayed"] == "true"
    assert response.headers["Location"] == f"{url}{record['id']}"
    assert response.json == record
    assert all_records(client, url) == [record]
