"""Access words and records, on each store: owners, readers who may not write, scopes,
and references to records that a caller may not read."""

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from sqlalchemy import MetaData
from sqlalchemy.orm import Mapped, mapped_column

from conftest import build_app, undone
from myapp.core.access import ACCESS
from myapp.core.access.rules import rule_of
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.model import Relation
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.redis import RedisModel
from myapp.core.stores.sql import Id, SqlModel, Varchar, sql
from myapp.core.testing import Client
from myapp.core.testing.callers import ToyAuthenticator, by, caller_of
from myapp.core.testing.planted import PlantedNote, body_schema
from myapp.core.wiring import mount

METADATA = MetaData(naming_convention=sql.metadata.naming_convention)
TEXT = {"type": "string", "minLength": 1, "maxLength": 50}
OWNER = {"owner_id": {"type": "string", "maxLength": 50}}
UUID = {"type": "string", "format": "uuid"}
ALICE, BOB, EVE = by("alice", "readonly"), by("bob", "editor"), by("eve", "admin")
STORES = pytest.mark.parametrize("store", ["sql", "redis"])


class Diary:
    """Each record belongs to the caller who has made it."""

    owner_field = "owner_id"
    scoped_by = ("owner_id",)
    server_properties = OWNER
    filterable = ("text",)


class SqlDiary(Diary, SqlModel):
    """A diary in SQL."""

    __tablename__ = "owner_diaries"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = body_schema("owner-diary", ["text"], text=TEXT)
    text: Mapped[str] = mapped_column(Varchar(50))
    owner_id: Mapped[str | None] = mapped_column(Varchar(50))


class RedisDiary(Diary, RedisModel):
    """A diary in Redis."""

    name = "owner-diary"
    write_schema = body_schema("owner-diary-2", ["text"], text=TEXT)


class SqlPage(SqlModel):
    """A page, which refers to a diary in SQL, and one in Redis."""

    __tablename__ = "owner_pages"
    metadata: ClassVar[MetaData] = METADATA
    relations = {
        "sql": Relation("sql_id", SqlDiary),
        "redis": Relation("redis_id", RedisDiary),
    }
    write_schema = body_schema("owner-page", [], sql_id=UUID, redis_id=UUID)
    sql_id: Mapped[str | None] = mapped_column(Id)
    redis_id: Mapped[str | None] = mapped_column(Id)


class SqlBoard(Diary, SqlModel):
    """What everybody reads, and its owner writes, in SQL."""

    __tablename__ = "owner_boards"
    metadata: ClassVar[MetaData] = METADATA
    write_schema = body_schema("owner-board", ["text"], text=TEXT)
    text: Mapped[str] = mapped_column(Varchar(50))
    owner_id: Mapped[str | None] = mapped_column(Varchar(50))


class RedisBoard(Diary, RedisModel):
    """What everybody reads, and its owner writes, in Redis."""

    name = "owner-board"
    write_schema = body_schema("owner-board-2", ["text"], text=TEXT)


DIARIES = {"sql": SqlDiary, "redis": RedisDiary}
BOARDS = {"sql": SqlBoard, "redis": RedisBoard}


@pytest.fixture(scope="module")
def owner_app(
    servers: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """The application with one more feature, on a database of its own."""
    for app in build_app(servers, tmp_path_factory.mktemp("owners")):
        ToyAuthenticator().add_to(app)
        blueprint, api = feature_blueprint("owners", __name__)
        for store, diary in DIARIES.items():
            namespace = api.namespace(f"{store}-diaries")
            routes_from_model(namespace, diary, access='owner | role("admin")')
        for store, board in BOARDS.items():
            namespace = api.namespace(f"{store}-boards")
            write_access = 'owner & role("editor") | role("superuser")'
            routes_from_model(
                namespace, board, access="signed_in", write_access=write_access
            )
        routes_from_model(api.namespace("pages"), SqlPage, access="signed_in")
        with_scope = api.namespace("notes")
        routes_from_model(
            with_scope, PlantedNote, "", "public", 'role("editor") & scope("notes")'
        )
        mount(app, Feature("owners", "/owners", "public"), blueprint)
        with app.app_context():
            METADATA.create_all(sql.engine)
            PlantedNote.metadata.create_all(sql.engine)
        yield app


@pytest.fixture
def client(owner_app: App) -> Iterator[Any]:
    for app in undone(owner_app):
        yield app.test_client()


def listed(client: Client, url: str, caller: dict[str, str]) -> list[str]:
    """The ids that a caller finds, newest first."""
    found = client.get(f"{url}?count=exact", headers=caller).json
    assert found["total"] == len(found["items"])
    return [item["id"] for item in found["items"]]


@STORES
def test_an_owner_has_its_own_records_and_an_admin_has_all(
    client: Client, store: str
) -> None:
    url = f"/owners/{store}-diaries/"
    client.get(url, expect=401)
    mine = client.post(url, json={"text": "a"}, headers=ALICE).json
    other = client.post(url, json={"text": "b"}, headers=BOB).json
    last = client.post(url, json={"text": "c"}, headers=EVE).json
    assert [one["owner_id"] for one in (mine, other, last)] == ["alice", "bob", "eve"]
    assert listed(client, url, ALICE) == [mine["id"]]
    assert listed(client, url, BOB) == [other["id"]]
    assert listed(client, url, EVE) == [last["id"], other["id"], mine["id"]]
    found = client.get(f"{url}?text=b", headers=ALICE).json["items"]
    assert found == []
    item, batch = f"{url}{other['id']}", f"{url}batch"
    client.get(item, headers=ALICE, expect=404)
    client.put(item, json={"text": "x"}, headers=ALICE, expect=404)
    client.patch(item, json={"text": "x"}, headers=ALICE, expect=404)
    client.delete(item, headers=ALICE, expect=404)
    for part in ({"update": [{"id": other["id"]}]}, {"delete": [other["id"]]}):
        client.post(batch, json=part, headers=ALICE, expect=422)
    client.patch(item, json={"owner_id": "alice"}, headers=BOB, expect=400)
    changed = client.patch(item, json={"text": "by eve"}, headers=EVE).json
    assert (changed["owner_id"], changed["text"]) == ("bob", "by eve")
    client.delete(item, headers=BOB)


@STORES
def test_who_may_read_a_record_may_not_write_it(client: Client, store: str) -> None:
    url = f"/owners/{store}-boards/"
    client.post(url, json={"text": "a"}, headers=ALICE, expect=403)
    record = client.post(url, json={"text": "b"}, headers=BOB).json
    item, carol = f"{url}{record['id']}", by("carol", "editor")
    assert client.get(item, headers=ALICE).json == record
    assert listed(client, url, carol) == [record["id"]]
    client.put(item, json={"text": "x"}, headers=carol, expect=403)
    client.patch(item, json={"text": "x"}, headers=carol, expect=403)
    client.patch(item, json={}, headers=carol, expect=403)
    client.delete(item, headers=carol, expect=403)
    update, create = {"id": record["id"], "text": "x"}, {"text": "y"}
    for batch in ({"update": [update]}, {"delete": [record["id"]]}):
        sent = {"create": [create], **batch}
        problem = client.post(f"{url}batch", json=sent, headers=carol, expect=403)
        assert problem.json["errors"][0]["pointer"].endswith("/0")
    assert listed(client, url, carol) == [record["id"]]
    assert client.get(item, headers=BOB).json == record
    client.patch(item, json={"text": "c"}, headers=by("root", "superuser"))
    client.delete(item, headers=BOB)


@STORES
def test_a_record_that_a_caller_may_not_read_is_none_to_refer_to(
    client: Client, store: str
) -> None:
    diary = {"text": "a"}
    mine = client.post(f"/owners/{store}-diaries/", json=diary, headers=ALICE).json
    body = {f"{store}_id": mine["id"]}
    problem = client.post("/owners/pages/", json=body, headers=BOB, expect=422).json
    assert problem["errors"][0]["pointer"] == f"/{store}_id"
    page = client.post("/owners/pages/", json=body, headers=ALICE).json
    url = f"/owners/pages/{page['id']}?expand={store}"
    assert client.get(url, headers=ALICE).json[store]["text"] == "a"
    assert client.get(url, headers=BOB).json[store] is None
    assert client.get(url, headers=EVE).json[store]["text"] == "a"


def test_a_scope_limits_tokens_alone(client: Client) -> None:
    url, body = "/owners/notes/", {"text": "a"}
    client.get(url)
    client.post(url, json=body, expect=401)
    client.post(url, json=body, headers=ALICE, expect=403)
    own, right = "owners:write", by("bob", "editor", "owners:write", "notes")
    for words in (("editor", own), ("editor", "notes"), ("readonly", own, "notes")):
        client.post(url, json=body, headers=by("bob", *words), expect=403)
    record = client.post(url, json=body, headers=right).json
    client.delete(f"{url}{record['id']}", headers=BOB)


def test_options_and_the_document_tell_the_words(client: Client) -> None:
    url = "/owners/notes/"
    assert client.options(url).headers["Allow"] == "GET, HEAD, OPTIONS"
    assert "POST" in client.options(url, headers=BOB).headers["Allow"]
    paths = client.get("/openapi.json").json["paths"]
    assert "callers with the role editor or a higher one who are also" in (
        paths[url]["post"]["description"]
    )
    told = paths["/owners/sql-diaries/"]["get"]["description"]
    assert "Permissions: the owner of the record, or callers with the role" in told


@pytest.mark.parametrize(
    "words",
    ["", "everybody", "role", "role()", "role(1 + 1)", "role('a', 'b')", "owner or x"]
    + ["role(name='x')", "public()", "__import__('os')", "owner |", "role('a').x"],
)
def test_text_that_is_not_access_words_is_refused(words: str) -> None:
    with pytest.raises(ValueError, match="not access words"):
        rule_of(words)


def test_words_combine_as_logic_does(client: Client) -> None:
    with client.application.app_context():
        callers = [None, *map(caller_of, ("a readonly", "a editor", "a admin s"))]
    assert [rule_of('role("editor")').allows(one) for one in callers] == [
        *(False, False, True, True)
    ]
    both = rule_of('(public | owner) & scope("t")')
    assert [both.allows(one) for one in callers] == [False, True, True, False]
    assert not both.is_public and rule_of("owner | public").is_public
    assert rule_of('owner | role("admin")').wanted(callers[2]) == [{"owner"}]
    assert rule_of('owner | role("admin")').wanted(callers[3]) == [{"owner"}, set()]
    assert set(ACCESS) >= {"public", "signed_in", "owner", "supervisor"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ('role("king")', "king is not in ROLES"),
        ("supervisor", "does not say who is the supervisor"),
        ("owner | supervisor", "does not say who is the supervisor"),
    ],
)
def test_words_that_cannot_be_compared_stop_the_start(
    owner_app: App, words: str, told: str
) -> None:
    blueprint, api = feature_blueprint("wrong", __name__)
    routes_from_model(api.namespace("boards"), SqlBoard, access=words)
    app = App("myapp")
    app.config.from_mapping(owner_app.config)
    app.extensions |= {**owner_app.extensions, "features": {}, "readers": {}}
    with pytest.raises(LookupError, match=told):
        mount(app, Feature("wrong", "/wrong", "public"), blueprint)
