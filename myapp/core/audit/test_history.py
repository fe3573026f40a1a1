"""The audit and the history of records, on each store."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app, undone
from myapp.core.audit import AuditLine, history_routes
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model import unscoped
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.redis import RedisModel
from myapp.core.stores.sql import SqlModel, Varchar, sql
from myapp.core.testing import Client
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.core.testing.planted import PlantedNote, body_schema
from myapp.core.wiring import mount

METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
TEXT = {"type": "string", "minLength": 1, "maxLength": 50}
FIELDS = {
    "title": TEXT,
    "count": {"type": "integer"},
    "phone": TEXT,
    "pin": {**TEXT, "writeOnly": True},
}
ALICE, BOB, EVE = by("alice", "readonly"), by("bob", "editor"), by("eve", "admin")
SECRET = "pin-5f2a"
BODY = {"title": "one", "phone": "phone-7c41", "pin": SECRET}


class Folder:
    """Each record belongs to the caller who has made it; its phone number and its pin
    are in no line."""

    owner_field = "owner_id"
    scoped_by = ("owner_id",)
    server_properties = {"owner_id": {"type": "string", "maxLength": 50}}
    audited = True
    unaudited = ("phone",)


class SqlFolder(Folder, SqlModel):
    """A folder in SQL."""

    __tablename__ = "audit_folders"
    metadata: ClassVar[MetaData] = METADATA
    unique = ("title",)
    write_schema = body_schema("folder", ["title"], **FIELDS)
    title: Mapped[str] = mapped_column(Varchar(50))
    count: Mapped[int | None]
    phone: Mapped[str | None] = mapped_column(Varchar(50))
    pin: Mapped[str | None] = mapped_column(Varchar(50))
    owner_id: Mapped[str | None] = mapped_column(Varchar(50))


class RedisFolder(Folder, RedisModel):
    """A folder in Redis."""

    name = "audit-folder"
    unique = ("title",)
    write_schema = body_schema("folder-2", ["title"], **FIELDS)


@pytest.fixture(scope="module")
def audited_app(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The application with one more feature, on a database of its own."""
    for app in build_app(servers, tmp_path_factory.mktemp("audit")):
        ToyAuthenticator().add_to(app)
        blueprint, api = feature_blueprint("folders", __name__)
        for store, model in (("sql", SqlFolder), ("redis", RedisFolder)):
            namespace = api.namespace(store)
            routes_from_model(namespace, model)
            history_routes(namespace, model, 'owner | role("admin")')
        words = 'owner | role("admin")'
        mount(app, Feature("folders", "/folders", words), blueprint)
        with app.app_context():
            METADATA.create_all(sql.engine)
        yield app


@pytest.fixture
def client(audited_app: App) -> Iterator[Any]:
    for app in undone(audited_app):
        yield app.test_client()


@pytest.fixture(params=["sql", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    return f"/folders/{request.param}/"


def make(client: Client, url: str, **fields: Any) -> Any:
    """A folder of Alice."""
    return client.post(url, json=BODY | fields, headers=ALICE).json


def history(client: Client, place: str, caller: dict[str, str] = ALICE) -> list[Any]:
    """The lines of a record, oldest first."""
    items = client.get(f"{place}/history", headers=caller).json["items"]
    return list(reversed(items))


def test_a_line_tells_who_what_when_from_where_and_which_fields(
    client: Client, url: str
) -> None:
    headers = {**ALICE, "X-Request-ID": "r-1"}
    sent = {"headers": headers, "environ_base": {"REMOTE_ADDR": "127.0.0.9"}}
    record = client.post(url, json=BODY, **sent).json
    place = f"{url}{record['id']}"
    client.patch(place, json={"count": 2, "pin": SECRET * 2}, headers=EVE)
    client.put(place, json=BODY | {"title": "two"}, headers=ALICE)
    made, patched, put = history(client, place)
    assert made["record"] == {"title": "one", "count": None, "owner_id": "alice"}
    assert (made["record_id"], made["record_version"]) == (record["id"], 1)
    assert (made["action"], made["changes"]) == ("create", [])
    assert (made["caller_id"], made["request_id"]) == ("alice", "r-1")
    assert made["address"] == "127.0.0.9"
    assert made["created_at"] >= record["created_at"]
    assert (patched["caller_id"], patched["record_version"]) == ("eve", 2)
    count = {"field": "count", "before": None, "after": 2}
    assert patched["changes"] == [count, {"field": "pin"}]
    fields = {one["field"] for one in put["changes"]}
    assert (put["action"], fields) == ("update", {"title", "count", "pin"})
    client.delete(place, headers=ALICE)
    with client.application.app_context(), unscoped():
        gone = AuditLine.list().items[0]
    assert (gone["action"], gone["record_version"]) == ("delete", 4)
    assert gone["record"] == put["record"]


def test_no_line_has_what_clients_may_not_read(client: Client, url: str) -> None:
    place = f"{url}{make(client, url)['id']}"
    client.patch(place, json={"pin": SECRET * 2, "phone": "phone-9e02"}, headers=ALICE)
    text = str(history(client, place))
    assert SECRET not in text and "phone-7c41" not in text and "phone-9e02" not in text


def test_lines_are_written_with_the_records_or_not_at_all(
    client: Client, url: str
) -> None:
    folder = make(client, url, title="taken")
    batch = {
        "create": [BODY | {"title": "first"}, BODY | {"title": "taken"}],
        "delete": [],
    }
    client.post(f"{url}batch", json=batch, headers=ALICE, expect=409)
    with client.application.app_context(), unscoped():
        assert len(AuditLine.list().items) == 1
    batch = {
        "create": [BODY | {"title": "first"}],
        "delete": [{"id": folder["id"]}],
    }
    client.post(f"{url}batch", json=batch, headers=ALICE, expect=200)
    with client.application.app_context(), unscoped():
        actions = sorted(one["action"] for one in AuditLine.list().items)
    assert actions == ["create", "create", "delete"]


def test_a_retry_with_a_key_writes_no_second_line(client: Client, url: str) -> None:
    headers = ALICE | {"Idempotency-Key": "once"}
    made = [client.post(url, json=BODY, headers=headers).json for _ in range(2)]
    assert made[0] == made[1]
    assert len(history(client, f"{url}{made[0]['id']}")) == 1
    restore = f"{url}{made[0]['id']}/history/1/restore"
    headers = ALICE | {"Idempotency-Key": "twice"}
    for _ in range(2):
        assert client.post(restore, headers=headers, expect=200).json["version"] == 2


def test_history_is_for_those_who_may_read_it(client: Client, url: str) -> None:
    place = f"{url}{make(client, url)['id']}"
    client.get(f"{place}/history", expect=401)
    for stranger in (BOB, by("ann", "readonly")):
        client.get(f"{place}/history", headers=stranger, expect=404)
        client.post(f"{place}/history/1/restore", headers=stranger, expect=404)
    assert len(history(client, place, EVE)) == 1
    client.delete(place, headers=ALICE)
    client.get(f"{place}/history", headers=BOB, expect=404)
    # Whose it was is not known any more, except to those for whom all records are.
    client.get(f"{place}/history", headers=ALICE, expect=404)
    assert len(history(client, place, EVE)) == 2
    nothing = f"{url}{'0' * 8}-0000-7000-8000-{'0' * 12}/history"
    client.get(nothing, headers=EVE, expect=404)


def test_a_version_is_restored_as_the_next_one(client: Client, url: str) -> None:
    record = make(client, url, count=5)
    place = f"{url}{record['id']}"
    client.put(place, json=BODY | {"title": "two"}, headers=ALICE)
    back = client.post(f"{place}/history/1/restore", headers=ALICE, expect=200)
    changed = {"version", "updated_at"}
    assert {n: v for n, v in back.json.items() if n not in changed} == {
        n: v for n, v in record.items() if n not in changed
    }
    assert back.json["version"] == 3
    assert back.headers["ETag"] == client.get(place, headers=ALICE).headers["ETag"]
    assert [one["record_version"] for one in history(client, place)] == [1, 2, 3]
    old = ALICE | {"If-Match": '"1-0"'}
    client.post(f"{place}/history/2/restore", headers=old, expect=412)
    for version in (0, 4, 99, 2**31, 10**30):
        url_of = f"{place}/history/{version}/restore"
        client.post(url_of, headers=ALICE, expect=404)


def test_a_deleted_record_is_restored_by_those_for_whom_all_are(
    client: Client, url: str
) -> None:
    record = make(client, url, count=5)
    place = f"{url}{record['id']}"
    client.delete(place, headers=ALICE)
    client.post(f"{place}/history/1/restore", headers=ALICE, expect=404)
    client.post(f"{place}/history/2/restore", headers=EVE, expect=404)
    back = client.post(f"{place}/history/1/restore", headers=EVE, expect=200).json
    assert back == client.get(place, headers=ALICE).json
    assert (back["owner_id"], back["count"], back["version"]) == ("alice", 5, 3)
    assert back["created_at"] == record["created_at"]
    actions = [one["action"] for one in history(client, place)]
    assert actions == ["create", "delete", "create"]


def test_what_is_not_valid_any_more_is_not_restored(client: Client, url: str) -> None:
    place = f"{url}{make(client, url)['id']}"
    client.patch(place, json={"title": "two"}, headers=ALICE)
    make(client, url)
    client.post(f"{place}/history/1/restore", headers=ALICE, expect=409)


def test_what_was_written_before_the_audit_is_known_from_the_next_line(
    client: Client,
) -> None:
    app = client.application
    with app.app_context():
        document = SqlFolder.new_document(BODY | {"count": 7}) | {"owner_id": "alice"}
        SqlFolder.add([document])
        sql.session.commit()
    place = f"/folders/sql/{document['id']}"
    client.get(f"{place}/history", headers=ALICE)
    client.patch(place, json={"count": 8, "title": "two"}, headers=ALICE)
    back = client.post(f"{place}/history/1/restore", headers=ALICE, expect=200).json
    assert (back["count"], back["title"], back["phone"]) == (7, "one", "phone-7c41")


def test_lines_are_never_changed_and_other_models_have_none(client: Client) -> None:
    make(client, "/folders/sql/")
    with client.application.app_context(), unscoped():
        line = AuditLine.get_or_404(AuditLine.list().items[0]["id"])
        with pytest.raises(TypeError, match="never changed"):
            line.write({"caller_id": "somebody else"})
        with pytest.raises(TypeError, match="never deleted"):
            line.delete()
    _, api = feature_blueprint("plain", __name__)
    with pytest.raises(TypeError, match="PlantedNote has no history"):
        history_routes(api.namespace("notes"), PlantedNote, "signed_in")


def test_a_record_that_two_bring_back_at_once_is_there_once(own_app: App) -> None:
    ToyAuthenticator().add_to(own_app)
    client: Any = own_app.test_client()
    movie = client.post(
        "/catalog/movies/", json={"title": "Wanda", "year": 1970}, headers=BOB
    ).json
    place = f"/catalog/movies/{movie['id']}"
    client.delete(place, headers=BOB)
    url = f"{place}/history/1/restore"

    def restore(_number: int) -> int:
        mine = own_app.test_client()
        return super(Client, mine).open(url, method="POST", headers=BOB).status_code

    with ThreadPoolExecutor(4) as pool:
        statuses = list(pool.map(restore, range(4)))
    assert set(statuses) <= {200, 409} and 200 in statuses
    versions = [one["record_version"] for one in history(client, place, BOB)]
    assert versions == [*range(1, len(versions) + 1)]
    assert client.get(place).json["version"] == versions[-1]
