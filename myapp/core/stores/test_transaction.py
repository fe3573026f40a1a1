"""One request is one SQL transaction: all its writes are stored, or none of them, and
effects outside SQL happen only after the commit."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import request
from flask.testing import FlaskClient
from flask.views import MethodView
from sqlalchemy import Engine, NullPool, create_engine, event, select
from sqlalchemy.exc import DBAPIError

from myapp.core.errors.problem import Problem
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.query.list_query import ListQuery
from myapp.core.rest.api import feature_blueprint
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.transaction import after_commit
from myapp.core.testing.planted import (
    NOTES,
    TICKETS,
    PlantedNote,
    PlantedTicket,
    action,
    assert_bare,
    assert_unavailable,
    driver_of,
    lose_connection,
    plant,
    postgresql_error,
)
from myapp.core.wiring import mount


def write(*texts: str) -> None:
    """Store notes in the transaction of this request."""
    for text in texts:
        PlantedNote.create({"text": text})


def stored(client: Any, where: str = NOTES) -> list[str]:
    """The texts in the list, oldest first."""
    return [item["text"] for item in client.get(where).json["items"]][::-1]


def test_all_that_a_view_writes_is_stored_together(own_app: App) -> None:
    client: Any = plant(own_app, both=lambda: write("one", "two")).test_client()
    client.post(action("both"), expect=200)
    assert stored(client) == ["one", "two"]


@pytest.mark.parametrize("status", [409, 500])
def test_a_view_that_fails_leaves_nothing(own_app: App, status: int) -> None:
    own_app.config["PROPAGATE_EXCEPTIONS"] = False
    happened: list[str] = []

    def fail() -> None:
        after_commit(lambda: happened.append("effect"))
        write("one", "two")
        raise Problem("conflict") if status == 409 else RuntimeError("two is no good")

    client: Any = plant(own_app, fail=fail).test_client()
    response = client.post(action("fail"), expect=status)
    if status == 500:
        assert_bare(response, "no good")
    assert (stored(client), happened) == ([], [])
    client.post(NOTES, json={"text": "one"})


def test_a_constraint_takes_back_what_came_before_it(own_app: App) -> None:
    client: Any = plant(own_app, twice=lambda: write("one", "two", "two")).test_client()
    response = client.post(action("twice"), expect=409)
    assert [error["pointer"] for error in response.json["errors"]] == ["/text"]
    assert stored(client) == []


@pytest.mark.parametrize("refusal", ["problem", "lost"])
def test_a_commit_that_fails_is_answered_and_leaves_nothing(
    own_app: App, refusal: str
) -> None:
    happened: list[str] = []

    def refuse(_session: Any) -> None:
        raise Problem("conflict", "Not at this hour.")

    def lose(session: Any) -> None:
        lose_connection(sql.engine, driver_of(session.connection()))

    def fail() -> None:
        after_commit(lambda: happened.append("effect"))
        write("one")
        act = refuse if refusal == "problem" else lose
        event.listen(sql.session(), "before_commit", act)

    client: Any = plant(own_app, fail=fail).test_client()
    if refusal == "problem":
        response = client.post(action("fail"), expect=409)
        assert response.json["detail"] == "Not at this hour."
    else:
        assert_unavailable(client.post(action("fail"), expect=503))
    assert (stored(client), happened) == ([], [])
    client.post(NOTES, json={"text": "one"})


def test_effects_happen_in_order_after_the_commit(own_app: App) -> None:
    happened: list[Any] = []

    def see() -> None:
        """Record what other clients can read now."""
        with sql.engine.connect() as other:
            happened.extend(other.scalars(select(PlantedNote.text)))

    def act() -> None:
        for effect in (lambda: happened.append("first"), see):
            after_commit(effect)
        write("note")
        after_commit(lambda: happened.append("last"))
        assert happened == []

    client: Any = plant(own_app, act=act).test_client()
    client.post(action("act"), expect=200)
    assert happened == ["first", "note", "last"]
    client.post(NOTES, json={"text": "another"})
    assert len(happened) == 3, "an effect ran again in the next request"


def test_an_effect_that_fails_does_not_undo_the_commit(own_app: App) -> None:
    own_app.config["PROPAGATE_EXCEPTIONS"] = False

    def act() -> None:
        after_commit(lambda: {}["none"])
        write("one")

    client: Any = plant(own_app, act=act).test_client()
    assert_bare(client.post(action("act"), expect=500), "none")
    assert stored(client) == ["one"]


def issue() -> None:
    """Store a ticket in Redis."""
    PlantedTicket.create({"text": "ticket"})


def change() -> None:
    """Write a ticket again in Redis."""
    PlantedTicket.get_or_404(newest()).update({"text": "changed"})


def remove() -> None:
    """Delete a ticket from Redis."""
    PlantedTicket.get_or_404(newest()).delete()


def newest() -> str:
    """The id of the last ticket."""
    return str(PlantedTicket.list(ListQuery(limit=1)).items[0]["id"])


def snapshot() -> dict[bytes, Any]:
    """Every key of Redis, with its value."""
    return {key: redis_store.dump(key) for key in redis_store.keys()}


@pytest.mark.parametrize("how", [lambda effect: effect(), after_commit])
@pytest.mark.parametrize(
    ("effect", "after"),
    [(issue, ["old", "ticket"]), (change, ["changed"]), (remove, [])],
)
def test_redis_is_written_after_the_commit_and_not_before(
    own_app: App, effect: Callable[[], None], after: list[str], how: Any
) -> None:
    seen: list[bool] = []

    def fails() -> None:
        write("early")
        effect()
        raise Problem("conflict")

    def passes() -> None:
        write("late")
        before = snapshot()
        how(effect)
        seen.append(snapshot() == before)

    client: Any = plant(own_app, fails=fails, passes=passes).test_client()
    client.post(TICKETS, json={"text": "old"})
    client.post(action("fails"), expect=409)
    assert (stored(client), stored(client, TICKETS)) == ([], ["old"])
    client.post(action("passes"), expect=200)
    assert (stored(client), stored(client, TICKETS)) == (["late"], after)
    assert seen == [True]


def in_transaction(driver: Any) -> bool:
    """Whether the driver has an open transaction."""
    if hasattr(driver, "in_transaction"):
        return bool(driver.in_transaction)
    if hasattr(driver, "info"):
        return driver.info.transaction_status.name != "IDLE"
    return bool(driver.server_status & IN_TRANSACTION)


# SERVER_STATUS_IN_TRANS of the MySQL protocol.
IN_TRANSACTION = 1


@pytest.fixture
def seen() -> Iterator[list[tuple[str, bool]]]:
    """Each statement of any engine, and whether it ran in a transaction."""
    statements: list[tuple[str, bool]] = []

    def note(_: Any, cursor: Any, statement: str, *_more: Any) -> None:
        statements.append((statement.split()[0], in_transaction(cursor.connection)))

    event.listen(Engine, "after_cursor_execute", note)
    yield statements
    event.remove(Engine, "after_cursor_execute", note)


def test_one_statement_needs_no_transaction_and_two_do(
    own_app: App, seen: list[tuple[str, bool]]
) -> None:
    both = plant(own_app, both=lambda: write("two", "three"))
    client: Any = both.test_client()
    seen.clear()
    record = client.post(NOTES, json={"text": "one"}).json
    assert seen == [("INSERT", False)]
    seen.clear()
    client.post(action("both"), expect=200)
    assert seen == [("BEGIN", True), ("INSERT", True), ("INSERT", True)]
    for method, where in (
        (client.get, f"{NOTES}{record['id']}"),
        (client.head, f"{NOTES}{record['id']}"),
        (client.get, NOTES),
    ):
        seen.clear()
        method(where)
        assert seen == [("SELECT", False)]


@pytest.mark.parametrize("fails", [True, False])
def test_others_never_see_what_is_not_committed(own_app: App, fails: bool) -> None:
    during: list[str] = []

    def look() -> None:
        during.extend(["looked", *stored(own_app.test_client())])

    def act() -> None:
        write("one")
        # In a thread, because a nested request would share the session.
        reader = threading.Thread(target=look)
        reader.start()
        reader.join()
        if fails:
            raise Problem("conflict")

    client: Any = plant(own_app, act=act).test_client()
    client.post(action("act"), expect=409 if fails else 200)
    assert during == ["looked"]
    assert stored(client) == ([] if fails else ["one"])


def test_what_a_get_writes_before_it_fails_is_not_kept(own_app: App) -> None:
    own_app.config["PROPAGATE_EXCEPTIONS"] = False

    def act() -> None:
        write("one")
        raise Problem("conflict")

    client: Any = plant(own_app, act=act).test_client()
    FlaskClient(own_app, own_app.response_class).get(action("act"))
    assert stored(client) == []


def deadlock() -> DBAPIError:
    """The error of a transaction that a database has ended."""
    return postgresql_error("40P01")


@pytest.mark.parametrize("alone", [True, False])
def test_an_effect_writes_in_a_transaction_of_its_own(
    own_app: App, alone: bool
) -> None:
    runs: list[str] = []

    def again() -> None:
        runs.append("effect")
        write("effect", "more")
        if runs.count("effect") == 1:
            raise deadlock()
        after_commit(lambda: write("later"))

    def act() -> None:
        runs.append("view")
        write(*(["one"] if alone else ["one", "two"]))
        for effect in (again, issue, lambda: {}["none"], lambda: write("last")):
            after_commit(effect)

    own_app.config["PROPAGATE_EXCEPTIONS"] = False
    client: Any = plant(own_app, act=act).test_client()
    assert_bare(client.post(action("act"), expect=500), "none")
    assert runs == ["view", "effect", "effect"]
    first = ["one"] if alone else ["one", "two"]
    assert stored(client) == [*first, "effect", "more", "last", "later"]
    assert stored(client, TICKETS) == ["ticket"]


@pytest.mark.parametrize("wanted", [write, issue], ids=["sql", "redis"])
def test_a_lone_write_is_followed_by_effects_that_write(
    own_app: App, wanted: Any
) -> None:
    def listen(*_: Any, **__: Any) -> None:
        after_commit(lambda: wanted("effect") if wanted is write else wanted())

    client: Any = plant(own_app).test_client()
    event.listen(Engine, "after_cursor_execute", listen, once=True)
    client.post(NOTES, json={"text": "one"})
    expected = ["one", "effect"] if wanted is write else ["one"]
    assert stored(client) == expected
    assert stored(client, TICKETS) == ([] if wanted is write else ["ticket"])


def test_the_writes_of_a_plain_view_function_are_committed(own_app: App) -> None:
    blueprint, _ = feature_blueprint("plain", __name__)
    failures = [deadlock()]

    @blueprint.post("/both")
    @blueprint.post("/again")
    def both() -> Any:
        write(request.path)
        issue()
        if failures:
            raise failures.pop()
        return "done"

    @blueprint.post("/no")
    @describe({201: None})
    def no() -> Any:
        write("no")
        raise Problem("conflict")

    class Old(MethodView):
        def put(self) -> Any:
            write("put")
            return "done"

    blueprint.add_url_rule("/old", view_func=Old.as_view("old"))
    blueprint.add_url_rule("/older", view_func=Old.as_view("older"))
    plant(own_app)
    mount(own_app, Feature("plain", "/plain", "public"), blueprint)
    client: Any = own_app.test_client()
    plain = FlaskClient(own_app, own_app.response_class)
    for method, path, status in (
        ("POST", "/plain/both", 200),
        ("POST", "/plain/again", 200),
        ("POST", "/plain/no", 409),
        ("PUT", "/plain/old", 200),
    ):
        assert plain.open(path, method=method).status_code == status
    assert stored(client) == ["/plain/both", "/plain/again", "put"]
    assert stored(client, TICKETS) == ["ticket", "ticket"]


@pytest.mark.parametrize("act", [lambda: write("one"), issue], ids=["sql", "redis"])
def test_a_write_in_a_get_is_a_bug_that_is_told(
    own_app: App, act: Callable[[], None]
) -> None:
    own_app.config["PROPAGATE_EXCEPTIONS"] = False
    client: Any = plant(own_app, act=act).test_client()
    assert_bare(client.get(action("act"), expect=500))
    assert (stored(client), stored(client, TICKETS)) == ([], [])


def test_an_effect_of_a_get_happens(own_app: App) -> None:
    happened: list[str] = []

    def act() -> None:
        after_commit(lambda: happened.append("effect"))

    client: Any = plant(own_app, act=act).test_client()
    client.get(action("act"))
    assert happened == ["effect"]


def test_a_column_that_changes_its_type_is_no_error(own_app: App) -> None:
    """PostgreSQL refuses prepared statements of before the change."""
    client: Any = plant(own_app).test_client()
    note = client.post(NOTES, json={"text": "one"}).json
    url = f"{NOTES}{note['id']}"

    def several(method: str, **more: Any) -> None:
        # psycopg prepares a statement that it has run five times.
        for _ in range(8):
            client.open(url, method=method, **more)

    several("GET")
    several("PATCH", json={"text": "two"})
    with own_app.app_context():
        types = {"postgresql": "ALTER COLUMN text TYPE", "mysql": "MODIFY text"}
        change = types.get(sql.engine.dialect.name)
        if change is not None:
            migration = create_engine(sql.engine.url, poolclass=NullPool)
            with migration.begin() as other:
                change = f"ALTER TABLE planted_notes {change} VARCHAR(200)"
                other.exec_driver_sql(change)
    several("PATCH", json={"text": "three"})
    several("GET")
    assert stored(client) == ["three"]
