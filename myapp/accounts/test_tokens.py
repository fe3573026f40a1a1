"""Personal access tokens over HTTP."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from myapp.accounts import tokens
from myapp.accounts.models import PersonalToken, User
from myapp.accounts.test_accounts import (
    ADA,
    OTHER,
    PASSWORD,
    make,
    refuse,
    signed_in,
)
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.stores.redis import redis_store
from myapp.core.stores.sql import write
from myapp.core.testing import Client

URL = "/accounts/me/tokens"


def body(*scopes: str, days: float = 30) -> dict[str, Any]:
    """The body of a new token."""
    end = datetime.now(UTC) + timedelta(days=days)
    return {"name": "Script", "scopes": [*scopes], "expires_at": end.isoformat()}


def bearer(token: str) -> dict[str, str]:
    """The header of a request with a token."""
    return {"Authorization": f"Bearer {token}"}


def test_a_token_calls_for_its_user_within_its_scopes(client: Client, app: App) -> None:
    user, mine = make(app, role="editor"), signed_in(app)
    made = mine.post(URL, json=body("accounts:write"))
    assert made.headers["Cache-Control"] == "no-store"
    token = made.json["token"]
    assert token.startswith("myapp_pat_") and "digest" not in made.json
    client.patch("/accounts/me", json={"name": "Ada"}, headers=bearer(token))
    refused = client.get("/accounts/me", headers=bearer(token), expect=403)
    told = refused.headers["WWW-Authenticate"]
    assert told == 'Bearer error="insufficient_scope", scope="accounts:read"'
    reader = mine.post(URL, json=body("accounts:read")).json["token"]
    assert client.get("/accounts/me", headers=bearer(reader)).json["id"] == user


def test_a_text_is_told_once_and_the_last_use_is_shown(
    client: Client, app: App
) -> None:
    make(app)
    mine = signed_in(app)
    token = mine.post(URL, json=body("accounts:read")).json["token"]
    listed = mine.get(URL)
    (one,) = listed.json["items"]
    assert token not in listed.text and one["last_used_at"] is None
    client.get("/accounts/me", headers=bearer(token))
    used = mine.get(URL).json["items"][0]["last_used_at"]
    assert used[:10] == datetime.now(UTC).isoformat()[:10]
    with app.app_context():
        for key in redis_store.keys("*"):
            if redis_store.type(key) == b"string":
                assert token.encode() not in redis_store.get(key)


def test_a_wrong_token_is_a_401_in_the_same_words(client: Client, app: App) -> None:
    make(app)
    mine = signed_in(app)
    over, gone, works = (
        mine.post(URL, json=body("accounts:read")).json for _ in range(3)
    )
    mine.delete(f"{URL}/{gone['id']}")
    mine.delete(f"{URL}/{gone['id']}", expect=404)
    with app.app_context():
        past = datetime.now(UTC) - timedelta(seconds=1)
        old = update(PersonalToken.table()).values(expires_at=past)
        write(old.where(PersonalToken.table().c.id == over["id"]))
        commit()
    wrong = [
        over["token"],
        gone["token"],
        f"{works['token']}x",
        "myapp_pat_",
        "é",
        "myapp_at_x",
    ]
    for token in [*wrong, works["token"][:-1], "myapp_pat_" + "x" * 5000]:
        refused = client.get("/accounts/me", headers=bearer(token), expect=401)
        assert 'error="invalid_token"' in refused.headers["WWW-Authenticate"]
    client.get("/accounts/me", headers=bearer(works["token"]))
    client.get(f"/accounts/me?access_token={works['token']}", expect=401)
    # A public route does not look at it.
    client.get("/", headers=bearer(over["token"]))


@pytest.mark.parametrize(
    "change",
    [
        {"scopes": ["catalog:all"]},
        {"scopes": ["accounts:write", "root"]},
        {"expires_at": "2020-01-01T00:00:00Z"},
        {"expires_at": "2999-01-01T00:00:00Z"},
    ],
)
def test_a_token_has_scopes_that_exist_and_an_end(
    app: App, change: dict[str, Any]
) -> None:
    make(app)
    signed_in(app).post(URL, json=body("accounts:read") | change, expect=422)


def test_a_token_makes_no_token_and_touches_no_password(
    client: Client, app: App
) -> None:
    make(app)
    mine = signed_in(app)
    made = mine.post(URL, json=body("accounts:read", "accounts:write")).json
    sent = bearer(made["token"])
    client.get(URL, headers=sent, expect=403)
    client.post(URL, json=body("accounts:read"), headers=sent, expect=403)
    client.delete(f"{URL}/{made['id']}", headers=sent, expect=403)
    change = {"old_password": PASSWORD, "new_password": OTHER}
    client.post("/accounts/me/password", json=change, headers=sent, expect=403)
    client.delete("/accounts/sessions/", headers=sent, expect=403)


def test_tokens_end_with_what_ends_all_sessions(client: Client, app: App) -> None:
    make(app)
    mine = signed_in(app)
    sent = bearer(mine.post(URL, json=body("accounts:read")).json["token"])
    client.get("/accounts/me", headers=sent)
    change = {"old_password": PASSWORD, "new_password": OTHER}
    mine.post("/accounts/me/password", json=change, expect=204)
    client.get("/accounts/me", headers=sent, expect=401)
    assert mine.get(URL).json == {"items": []}


def test_a_token_of_another_user_is_not_found(client: Client, app: App) -> None:
    make(app)
    make(app, "eve@mail.example")
    made = signed_in(app).post(URL, json=body("accounts:read")).json
    eve = signed_in(app, "eve@mail.example")
    assert eve.get(URL).json == {"items": []}
    eve.delete(f"{URL}/{made['id']}", expect=404)
    sent = bearer(made["token"])
    assert client.get("/accounts/me", headers=sent).json["email"] == ADA
    refuse(client, ADA, OTHER)


def test_a_user_has_so_many_tokens(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    make(app)
    mine = signed_in(app)
    monkeypatch.setattr(tokens, "MOST_TOKENS", 2)
    for _ in range(2):
        mine.post(URL, json=body("accounts:read"))
    mine.post(URL, json=body("accounts:read"), expect=409)


def test_tokens_that_are_over_are_deleted(app: App) -> None:
    make(app)
    mine = signed_in(app)
    for _ in range(2):
        mine.post(URL, json=body("accounts:read"))
    first = mine.get(URL).json["items"][0]["id"]
    with app.app_context():
        table = PersonalToken.table()
        past = datetime.now(UTC) - timedelta(seconds=1)
        write(update(table).values(expires_at=past).where(table.c.id == first))
        assert tokens.drop_old_tokens() == 1
        commit()
    assert len(mine.get(URL).json["items"]) == 1


def test_a_disabled_user_has_no_token_that_works(client: Client, app: App) -> None:
    user, mine = make(app), signed_in(app)
    sent = bearer(mine.post(URL, json=body("accounts:read")).json["token"])
    with app.app_context():
        write(update(User.table()).values(role="disabled").where(User.id == user))
        commit()
    client.get("/accounts/me", headers=sent, expect=401)
