"""A store is what it registers: a third one needs a line in ``STORES``, and no more."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from myapp import create_app
from myapp.core import wiring
from myapp.core.errors import ConfigError, Problem
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.loading import import_when_used
from myapp.core.rest.api import feature_blueprint
from myapp.core.scaffold.store import StoreScaffold
from myapp.core.stores.observer import Observer
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.state import RequestState
from myapp.core.stores.store import Store, close_stores
from myapp.core.stores.transaction import StaleRead, after_commit
from myapp.core.testing import Client
from myapp.core.testing.fixture import StoreFixture
from myapp.core.testing.planted import (
    NOTES,
    PlantedTicket,
    action,
    assert_ready,
    plant,
)


class ClientError(Exception):
    """The errors of the client library of the store."""


class RecordingStore(Store):
    """A store that notes what it is asked, and fails when it is told to."""

    name = component = "recording"
    setting = "RECORDING_URL"
    errors = (ClientError,)

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.failing: dict[str, Exception] = {}

    def note(self, call: str) -> bool:
        self.calls.append(call)
        if call in self.failing:
            raise self.failing[call]
        return True

    def check_config(self, app: Flask) -> None:
        self.note("check_config")

    def init_app(self, app: Flask, observer: Observer | None = None) -> None:
        self.note("init_app")

    def begin(self, state: RequestState, lone_write: bool) -> None:
        self.note("begin")

    def commit(self, state: RequestState) -> bool:
        return self.note("commit")

    def rollback(self, state: RequestState) -> None:
        self.calls.append("rollback")

    def ping(self) -> object:
        return self.note("ping")

    def is_retryable(self, error: Exception) -> bool:
        return isinstance(error, ClientError) and "again" in str(error)

    def is_unavailable(self, error: Exception) -> bool:
        return isinstance(error, ClientError) and "down" in str(error)


@pytest.fixture
def store() -> RecordingStore:
    return RecordingStore()


@pytest.fixture
def client(
    store: RecordingStore,
    monkeypatch: pytest.MonkeyPatch,
    redis_url: str,
    tmp_path: Path,
) -> Iterator[Any]:
    """A client of an application with the store after the others."""
    monkeypatch.setattr(wiring, "STORES", (*wiring.STORES, store))
    database = make_database("sqlite", tmp_path)
    stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url}
    app = create_app(stores)
    app.test_client_class = Client
    effect = partial(store.note, "effect")
    plant(app, stores=(store.name,), act=partial(after_commit, effect))
    assert store.calls == ["check_config", "init_app"]
    store.calls.clear()
    yield app.test_client()
    close_stores(app)


def test_a_write_begins_and_commits_in_each_store(
    client: Any, store: RecordingStore
) -> None:
    client.post(NOTES, json={"text": "one"})
    assert store.calls == ["begin", "commit"]


def test_a_read_asks_no_store_to_commit(client: Any, store: RecordingStore) -> None:
    client.get(NOTES)
    assert store.calls == []


def test_an_effect_comes_after_the_commit(client: Any, store: RecordingStore) -> None:
    client.post(action("act"), expect=200)
    assert store.calls == ["begin", "commit", "begin", "effect", "commit"]


def test_a_retryable_error_runs_the_view_function_again(
    client: Any, store: RecordingStore
) -> None:
    store.failing["commit"] = ClientError("again")
    client.post(action("act"), expect=500)
    assert store.calls == ["begin", "commit", "rollback"] * 4


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (ClientError("down"), 503),
        (ClientError("a mistake"), 500),
        (StaleRead(), 409),
        (Problem("conflict"), 409),
    ],
)
def test_an_error_at_the_commit_is_told_by_its_kind(
    client: Any, store: RecordingStore, error: Exception, status: int
) -> None:
    store.failing["commit"] = error
    client.post(action("act"), expect=status)
    assert "effect" not in store.calls
    assert store.calls[-1] == "rollback"


def test_its_health_is_in_the_report(client: Any, store: RecordingStore) -> None:
    assert_ready(client, database=True, redis=True, recording=True)
    store.failing["ping"] = ClientError("down")
    assert_ready(client, database=True, redis=True, recording=False)


def test_a_row_names_stores_that_exist(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = make_database("sqlite", tmp_path)
    app = create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url})
    with pytest.raises(LookupError, match="planted names unknown stores: {'nosuch'}"):
        plant(app, stores=("nosuch",))


def test_a_row_takes_no_path_of_core(own_app: App) -> None:
    blueprint, _ = feature_blueprint("planted", __name__)
    with pytest.raises(ValueError, match="planted: /jobs/mine is a path of core"):
        wiring.mount(own_app, Feature("planted", "/jobs/mine", "public"), blueprint)


def test_settings_that_it_refuses_stop_the_start(
    store: RecordingStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.failing["check_config"] = ConfigError("RECORDING_URL is missing")
    monkeypatch.setattr(wiring, "STORES", (store,))
    with pytest.raises(ConfigError, match="RECORDING_URL"):
        create_app({})
    assert store.calls == ["check_config"]


@pytest.mark.parametrize("store", wiring.STORES, ids=lambda store: store.name)
def test_what_only_developers_need_is_where_the_store_says(store: Store) -> None:
    assert isinstance(import_when_used(store.scaffold)(), StoreScaffold)
    assert isinstance(import_when_used(store.fixture)(), StoreFixture)


def test_two_models_of_one_name_are_refused() -> None:
    members = {"name": PlantedTicket.name, "write_schema": PlantedTicket.write_schema}
    with pytest.raises(TypeError, match="has the name of .*PlantedTicket: planted-"):
        type("Other", (RedisModel,), members)
