"""One request is one SQL transaction: all its writes are stored, or none of them, and
effects outside SQL happen only after the commit."""

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, event, select

from myapp.core.errors.problem import Problem
from myapp.core.http.app import App
from myapp.core.query.list_query import ListQuery
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
)


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
