"""A Redis Cluster: redirects, several slots, nodes that end, slots that move."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from myapp import create_app
from myapp.core.errors.startup import ConfigError
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.redis.fixture import flush
from myapp.core.stores.redis.model import RedisModel
from myapp.core.stores.redis.nodes import HOST, Nodes, wait_until
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.store import close_stores
from myapp.core.testing import Client
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import (
    PATIENCE,
    action,
    assert_bare,
    assert_unavailable,
    plant,
    text_schema,
)
from myapp.core.testing.proxy import Proxy
from myapp.core.testing.races import at_once, one_of
from myapp.core.wiring import mount

BODY = {"text": "one"}
SPARE = f"{HOST}:1"


class PlantedAlpha(RedisModel):
    """A text in a third of the slots."""

    name = "alpha"
    write_schema = text_schema("alpha")


class PlantedBeta(RedisModel):
    """A text in another third."""

    name = "beta"
    write_schema = text_schema("beta")


class PlantedDelta(RedisModel):
    """A text in the third of neither."""

    name = "delta"
    write_schema = text_schema("delta")


class PlantedFriend(RedisModel):
    """A text in the slot of another model."""

    name = "friend"
    slot = "alpha"
    write_schema = text_schema("friend")


MODELS = [PlantedAlpha, PlantedBeta, PlantedDelta, PlantedFriend]
URLS = [f"/spread/{model.name}/" for model in MODELS]
ALPHA, BETA, DELTA, FRIEND = URLS


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A cluster that the tests of this module may harm and mend."""
    cluster = Nodes(tmp_path_factory.mktemp("cluster"))
    cluster.start()
    yield cluster
    cluster.stop()


@pytest.fixture
def build(tmp_path: Path) -> Iterator[Callable[..., Any]]:
    """A function that makes a client of an application on a cluster."""
    built: list[App] = []

    def make(url: str, **actions: Callable[[], object]) -> Client:
        database = make_database("sqlite", tmp_path)
        settings = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": url}
        app = create_app({**settings, "REDIS_TIMEOUT": 1.0})
        app.test_client_class = Client
        built.append(app)
        blueprint, api = feature_blueprint("spread", __name__)
        for model in MODELS:
            routes_from_model(api.namespace(model.name), model)
        mount(app, Feature("spread", "/spread", "public"), blueprint)
        return plant(app, **actions).test_client()

    yield make
    for app in built:
        close_stores(app)


@pytest.fixture
def client(build: Callable[..., Any], nodes: Nodes) -> Iterator[Any]:
    """A client of an application on the empty cluster."""
    flush(nodes.url)
    yield build(nodes.url)
    flush(nodes.url)


def test_the_models_lie_on_different_nodes(nodes: Nodes) -> None:
    places = [nodes.node_of(model.prefix()) for model in MODELS]
    assert sorted(places[:3]) == [0, 1, 2]
    assert places[3] == places[0]


@pytest.mark.parametrize("number", range(3))
def test_any_node_leads_to_the_others(
    build: Callable[..., Any], nodes: Nodes, number: int
) -> None:
    flush(nodes.url)
    client = build(nodes.url_of(number))
    for url in URLS:
        record = client.post(url, json=BODY).json
        changed = client.patch(f"{url}{record['id']}", json={"text": "two"}).json
        assert all_records(client, url) == [changed]
        client.delete(f"{url}{record['id']}")
        assert client.get(url).json["items"] == []


def test_a_node_that_is_named_may_be_down(
    build: Callable[..., Any], nodes: Nodes
) -> None:
    _, _, address = nodes.url_of(0).partition("://")
    client = build(f"redis+cluster://{SPARE},{address}")
    client.post(ALPHA, json=BODY)
    assert client.get("/health/ready").json["checks"]["redis"]["ok"] is True


def write_both(first: type[RedisModel], second: type[RedisModel]) -> None:
    """Write to two models in one request."""
    first.create({"text": "one"})
    second.create({"text": "two"})


def test_models_of_one_slot_are_written_together(
    build: Callable[..., Any], nodes: Nodes
) -> None:
    flush(nodes.url)

    def together() -> None:
        write_both(PlantedAlpha, PlantedFriend)

    def apart() -> None:
        write_both(PlantedAlpha, PlantedBeta)

    client = build(nodes.url, together=together, apart=apart)
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    client.post(action("together"), expect=200)
    assert_bare(client.post(action("apart"), expect=500))
    texts = [[one["text"] for one in all_records(client, url)] for url in URLS]
    assert texts == [["one"], [], [], ["two"]]


def test_writes_in_several_slots_are_refused_by_name(
    build: Callable[..., Any], nodes: Nodes
) -> None:
    client = build(nodes.url, apart=lambda: write_both(PlantedAlpha, PlantedBeta))
    client.application.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match=r"alpha, beta.*the same `slot`"):
        client.post(action("apart"))


def test_a_node_that_is_down_stops_its_own_models_alone(
    nodes: Nodes, client: Any
) -> None:
    kept = {url: client.post(url, json=BODY).json for url in URLS}
    number = nodes.node_of("{beta}:")
    nodes.kill(number)
    try:
        started = time.monotonic()
        assert_unavailable(client.get(BETA, expect=503))
        assert_unavailable(client.post(BETA, json=BODY, expect=503))
        assert time.monotonic() - started < PATIENCE
        for url in (ALPHA, DELTA, FRIEND):
            assert all_records(client, url) == [kept[url]]
            client.post(url, json={"text": "two"})
        found = client.get("/health/ready").json
        assert found["checks"]["redis"]["ok"] is False
    finally:
        nodes.run(number)
        wait_until(nodes.is_ready)
    assert all_records(client, BETA) == [kept[BETA]]
    client.post(BETA, json={"text": "two"})


@pytest.mark.parametrize("number", range(3))
def test_a_new_process_serves_the_nodes_that_are_up(
    build: Callable[..., Any], nodes: Nodes, number: int
) -> None:
    """redis-py asks the first node for its commands when its client is made."""
    nodes.kill(number)
    try:
        client = build(nodes.url)
        for url, model in zip(URLS, MODELS):
            is_up = nodes.node_of(model.prefix()) != number
            client.get(url, expect=200 if is_up else 503)
    finally:
        nodes.run(number)
        wait_until(nodes.is_ready)


def test_threads_do_not_wait_one_after_another_for_a_cluster_that_is_down(
    build: Callable[..., Any], tmp_path: Path
) -> None:
    nodes = Nodes(tmp_path / "nodes")
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(HOST, port)) for port in nodes.ports]
        nodes.ports = [proxy.port for proxy in proxies]
        for proxy in proxies:
            proxy.flowing.clear()
        client = build(nodes.url)
        started = time.monotonic()
        ask: Any = lambda mine, _number: mine.get(ALPHA, expect=503)
        at_once(client.application, 12, ask)
        # Each attempt takes a second for each of three nodes.
        assert time.monotonic() - started < PATIENCE


def test_an_application_starts_while_the_cluster_is_down(
    build: Callable[..., Any], nodes: Nodes
) -> None:
    for number in range(3):
        nodes.kill(number)
    try:
        client = build(nodes.url)
        assert_unavailable(client.get(ALPHA, expect=503))
        assert_unavailable(client.post(ALPHA, json=BODY, expect=503))
    finally:
        for number in range(3):
            nodes.run(number)
        wait_until(nodes.is_ready)
    record = client.post(ALPHA, json=BODY).json
    assert client.get(f"{ALPHA}{record['id']}").json == record


def test_a_slot_that_moves_loses_no_write_and_hides_no_record(
    nodes: Nodes, client: Any
) -> None:
    """Each step of the move is tried: between two of them, keys are on both nodes."""
    acknowledged = {}
    for number in range(4):
        record = client.post(ALPHA, json={"text": str(number)}).json
        acknowledged[record["id"]] = record
    source = nodes.node_of("{alpha}:")
    target = (source + 1) % 3
    refused = 0
    for back in (False, True):
        ends = (target, source) if back else (source, target)
        for _ in nodes.move("{alpha}:", *ends):
            found = one_of({200, 503}, client, "GET", ALPHA)
            if found.status_code == 200:
                assert {one["id"] for one in found.json["items"]} == set(acknowledged)
            made = one_of({201, 503}, client, "POST", ALPHA, json=BODY)
            if made.status_code == 201:
                acknowledged[made.json["id"]] = made.json
            id = next(iter(acknowledged))
            read = one_of({200, 503}, client, "GET", f"{ALPHA}{id}")
            assert read.status_code == 503 or read.json == acknowledged[id]
            body = {"json": {"text": "new"}}
            changed = one_of({200, 503}, client, "PATCH", f"{ALPHA}{id}", **body)
            if changed.status_code == 200:
                acknowledged[id] = changed.json
            refused += (made.status_code, changed.status_code).count(503)
        assert {one["id"]: one for one in all_records(client, ALPHA)} == acknowledged
        made = client.post(ALPHA, json={"text": "after"}).json
        acknowledged[made["id"]] = made
    assert refused


@pytest.fixture
def behind(build: Callable[..., Any], tmp_path: Path) -> Iterator[tuple[Any, Proxy]]:
    """A client of an application that reaches each node through a proxy, and the proxy
    of the node of one model."""
    nodes = Nodes(tmp_path / "nodes")
    with ExitStack() as stack:
        proxies = [stack.enter_context(Proxy(HOST, port)) for port in nodes.ports]
        nodes.announced = [proxy.port for proxy in proxies]
        stack.callback(nodes.stop)
        nodes.start()
        client = build(nodes.url)
        client.post(BETA, json=BODY)
        yield client, proxies[nodes.node_of("{beta}:")]


def test_a_lost_reply_of_a_node_does_not_repeat_the_write(
    behind: tuple[Any, Proxy],
) -> None:
    client, proxy = behind
    lost: list[bytes] = []

    def lose(reply: bytes) -> bool:
        # The first integer is the answer of the script.
        if not lost and reply.startswith(b":0"):
            lost.append(reply)
            return True
        return False

    proxy.lose = lose
    sent = {"json": {"text": "lost"}, "headers": {"Idempotency-Key": "mine"}}
    assert_unavailable(client.post(BETA, expect=503, **sent))
    assert lost
    replayed = client.post(BETA, **sent)
    assert replayed.headers["Idempotent-Replayed"] == "true"
    assert [one["text"] for one in all_records(client, BETA)] == ["lost", "one"]


def test_a_node_that_hangs_is_503(behind: tuple[Any, Proxy]) -> None:
    client, proxy = behind
    proxy.flowing.clear()
    started = time.monotonic()
    assert_unavailable(client.get(BETA, expect=503))
    assert_unavailable(client.post(BETA, json=BODY, expect=503))
    assert time.monotonic() - started < PATIENCE
    client.post(ALPHA, json=BODY)
    proxy.flowing.set()
    client.post(BETA, json=BODY)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis+cluster://", "redis\\+cluster://host:port"),
        ("unix+cluster:///tmp/redis.sock", "redis\\+cluster://host:port"),
        ("redis+cluster://127.0.0.1:7000,", "redis\\+cluster://host:port"),
        ("redis+cluster://127.0.0.1:7000/3", "database 0 alone"),
        ("redis+cluster://127.0.0.1:7000?db=3", "database 0 alone"),
        ("redis+cluster://127.0.0.1:port", "not a URL"),
        ("redis+cluster://127.0.0.1:99999", "not a URL"),
        ("redis://127.0.0.1:99999/0", "not a URL"),
        ("redis+cluster://127.0.0.1:0", "not a"),
        ("redis+cluster://:a/b@127.0.0.1:1", "not a URL"),
        ("redis://127.0.0.1:7000/0?nothing=1", "an option that does not work"),
        ("redis://:a+cluster://b@127.0.0.1:7000", "not a URL"),
    ],
)
def test_a_url_that_names_no_cluster_is_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        create_app({"REDIS_URL": url})


def test_an_option_that_the_client_does_not_take_is_refused(
    nodes: Nodes, tmp_path: Path
) -> None:
    database = make_database("sqlite", tmp_path)
    url = f"{nodes.url}?ssl_cert_reqs=none"
    with pytest.raises(ConfigError, match="that does not work"):
        create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": url})


def test_a_server_of_the_other_kind_is_refused(nodes: Nodes, tmp_path: Path) -> None:
    database = make_database("sqlite", tmp_path)
    alone = f"redis://{HOST}:{nodes.ports[0]}/0"
    with pytest.raises(ConfigError, match="write redis\\+cluster:// for it"):
        create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": alone})
