"""A model whose records lie in several slots: the conformance suite, and the rest."""

from collections.abc import Iterator
from typing import Any

import pytest

from conftest import build_app, undone
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.model.key import Key
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.resource import ModelResource
from myapp.core.rest.verbs import respond_record, routes_from_model
from myapp.core.schema.strict_json import JSON
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.model import RedisModel
from myapp.core.testing import Client, ResourceContract
from myapp.core.testing.client import all_records
from myapp.core.testing.planted import action, body_schema, plant
from myapp.core.wiring import mount

URL = "/wide/events/"


class WideEvent(RedisModel):
    """An event; there are too many of them for one node."""

    name = "wide-event"
    slots = 4
    filterable = ("kind", "size")
    sortable = ("size", "kind")
    searchable = ("kind",)
    write_schema = body_schema(
        "wide-event",
        ["kind"],
        kind={"type": "string", "maxLength": 50},
        size={"type": ["integer", "null"], "minimum": 0, "maximum": 1000},
    )


class EventCopy(ModelResource):
    """A copy of an event: a new record, below the URL of another one."""

    model = WideEvent

    @describe({201: WideEvent.read_schema}, errors=(400, 404, 409, 422))
    def post(self, id: str) -> Any:
        """Create an event like another one."""
        kind = WideEvent.get_or_404(id)["kind"]
        return respond_record(WideEvent.create({"kind": kind}), 201)


def event_body(number: int = 0) -> JSON:
    """The body of an event."""
    return {"kind": ("click", "view")[number % 2], "size": number % 5}


def add_events(app: App) -> App:
    """Mount the model on an application."""
    blueprint, api = feature_blueprint("wide", __name__)
    events = api.namespace("events")
    routes_from_model(events, WideEvent)
    events.route("/<id>/copy")(EventCopy)
    mount(app, Feature("wide", "/wide", "public"), blueprint)
    return app


@pytest.fixture(scope="module")
def planted(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """An application with the model."""
    for app in build_app(servers, tmp_path_factory.mktemp("wide")):
        yield add_events(app)


@pytest.fixture
def app(planted: App) -> Iterator[App]:
    """That application; what a test writes is undone."""
    yield from undone(planted)


@pytest.fixture
def own_app(own_app: App) -> App:
    """An application with the model, on a separate database."""
    return add_events(own_app)


class TestWideEvents(ResourceContract):
    """What a client may rely on."""

    url = URL
    model = WideEvent
    body = event_body


def test_records_and_their_keys_lie_in_every_slot(client: Client) -> None:
    for number in range(40):
        headers = {"Idempotency-Key": f"key-{number}"}
        sent: Any = {"json": event_body(number), "headers": headers}
        made = client.post(URL, **sent)
        assert client.post(URL, **sent).data == made.data
        id = made.json["id"] if made.json else ""
        change: Any = {"json": {"size": 1}, "headers": headers}
        changed = client.patch(f"{URL}{id.upper()}", **change)
        assert client.patch(f"{URL}{id.upper()}", **change).data == changed.data
    with client.application.app_context():
        for prefix in WideEvent.prefixes():
            assert redis_store.zcard(f"{prefix}ids") > 0
    assert len(all_records(client, URL)) == 40
    assert client.get(f"{URL}?count=exact").json["total"] == 40


def test_a_key_on_a_route_of_its_own_works_for_a_new_record(client: Client) -> None:
    for number in range(20):
        made: Any = client.post(URL, json=event_body(number)).json
        headers = {"Idempotency-Key": f"copy-{number}"}
        url = f"{URL}{made['id']}/copy"
        first = client.post(url, headers=headers, expect=201)
        assert client.post(url, headers=headers, expect=201).data == first.data
    assert len(all_records(client, URL)) == 40


def in_pages_of_7(client: Client, sort: str) -> list[JSON]:
    """All records, from pages in an order."""
    items: list[JSON] = []
    cursor = ""
    while True:
        page: Any = client.get(f"{URL}?sort={sort}&limit=7{cursor}").json
        items += page["items"]
        if page["next"] is None:
            return items
        cursor = f"&cursor={page['next']}"


def test_pages_in_any_order_go_through_every_slot(client: Client) -> None:
    for number in range(60):
        client.post(
            URL, json={"kind": "k", "size": None if number > 50 else number % 7}
        )
    for sort in ("id", "-id", "size", "-size,id", "kind,-size", "-created_at"):
        found = in_pages_of_7(client, sort)
        assert len({one["id"] for one in found}) == len(found) == 60
    sizes = [one["size"] for one in in_pages_of_7(client, "size")]
    known = [size for size in sizes if size is not None]
    assert sizes == sorted(known) + [None] * 9


def test_two_records_in_one_request_are_refused(own_app: App) -> None:
    def write_many() -> None:
        for number in range(20):
            WideEvent.create(event_body(number))

    client: Any = plant(own_app, many=write_many).test_client()
    own_app.config["PROPAGATE_EXCEPTIONS"] = True
    with pytest.raises(RuntimeError, match=r"slots \(wide-event\).*write one record"):
        client.post(action("many"))
    assert client.get(URL).json["items"] == []
    client.post(f"{URL}batch", json={}, expect=405)
    document = client.get("/openapi.json").json
    assert "/wide/events/batch" not in document["paths"]


@pytest.mark.parametrize(
    "members",
    [
        {"slot": "one"},
        {"unique": ("kind",)},
        {"key": Key({"type": "integer"})},
        {"name": "a/b"},
        {"slots": 0},
        {"slots": -1},
        {"slots": 2.0},
        {"slots": "4"},
        {"slots": 1, "slot": "}x"},
    ],
)
def test_what_several_slots_cannot_keep_is_refused(members: dict[str, Any]) -> None:
    own = {"name": "wide-odd", "slots": 2, "write_schema": WideEvent.write_schema}
    with pytest.raises(TypeError):
        type("WideOdd", (RedisModel,), {**own, **members})
