"""Sessions: cookies, other sites, Redis that is down, limits, and time."""

import pickle
import statistics
import time
from collections.abc import Iterator
from typing import Any

import pytest
from redis.exceptions import ConnectionError as RedisDown

from myapp.accounts import service, sessions, sign_out
from myapp.accounts.cookies import COOKIE_LENGTH, ID_LENGTH, prefix_of
from myapp.accounts.sessions import end_sessions, set_of
from myapp.accounts.test_accounts import (
    ADA,
    OTHER,
    PASSWORD,
    cookie_of,
    make,
    refuse,
    signed_in,
)
from myapp.core.http import App
from myapp.core.model import unscoped
from myapp.core.stores import commit
from myapp.core.stores.redis import redis_store
from myapp.core.testing import Client, run_jobs

SIGN_IN = {"email": ADA, "password": PASSWORD}


def session_keys(app: App, user: str) -> list[bytes]:
    """The keys of the sessions of a user."""
    with app.app_context():
        return list(redis_store.keys(f"session:{{{user}}}:*"))


def test_the_cookie_is_for_this_server_alone(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    sent = client.post("/accounts/session", json=SIGN_IN).headers.getlist("Set-Cookie")
    (cookie,) = [one for one in sent if one.startswith("session=")]
    assert "; HttpOnly" in cookie and "; SameSite=Lax" in cookie
    assert "; Path=/" in cookie and "Max-Age" not in cookie and "Secure" not in cookie
    monkeypatch.setitem(app.config, "ENV", "production")
    body = SIGN_IN | {"remember": True}
    response = client.post("/accounts/session", json=body)
    (cookie,) = [
        one
        for one in response.headers.getlist("Set-Cookie")
        if one.startswith("__Host-session=")
    ]
    assert "; Secure" in cookie and "; Max-Age=7776000" in cookie
    assert "Domain" not in cookie
    assert response.headers["Cache-Control"] == "no-store"


def test_each_sign_in_has_a_new_id_and_ends_the_session_that_it_had(
    client: Client, app: App
) -> None:
    user, name = make(app), cookie_of(app)
    planted = "A" * COOKIE_LENGTH
    client.set_cookie(name, planted)
    client.post("/accounts/session", json=SIGN_IN)
    first = client.get_cookie(name)
    client.post("/accounts/session", json=SIGN_IN)
    second = client.get_cookie(name)
    assert first and second and len({planted, first.value, second.value}) == 3
    assert len(session_keys(app, user)) == 1
    client.get("/accounts/me")
    client.set_cookie(name, first.value)
    client.get("/accounts/me", expect=401)


def test_redis_holds_a_digest_and_json(app: App) -> None:
    user = make(app)
    mine = signed_in(app)
    cookie = mine.get_cookie(cookie_of(app)).value
    (key,) = session_keys(app, user)
    with app.app_context():
        text = redis_store.get(key)
        assert cookie.encode() not in key + text
        assert cookie[ID_LENGTH:].encode() not in key + text
        for planted in (b"", b"x", b"9" * 13 + b" 1 [1]", pickle.dumps({"role": "x"})):
            redis_store.set(key, planted)
            mine.get("/accounts/me", expect=401)
        redis_store.set(key, text)
    mine.get("/accounts/me")


@pytest.mark.parametrize(
    "text", ["", "x", "A" * 64, "A" * 65, "A" * 66, "\u00e4" * 65, "=" * 65, "A" * 4000]
)
def test_a_cookie_that_is_none_of_ours_is_nobody(client: Client, text: str) -> None:
    client.environ_base["HTTP_COOKIE"] = f"session={text}".encode().decode("latin-1")
    client.get("/accounts/me", expect=401)
    client.get("/catalog/movies/?limit=1")


def test_sessions_are_listed_and_ended(client: Client, app: App) -> None:
    make(app)
    make(app, "bob@mail.example")
    mine, other, bob = (
        signed_in(app),
        signed_in(app),
        signed_in(app, "bob@mail.example"),
    )
    url = "/accounts/sessions/"
    items = mine.get(url).json["items"]
    assert [one["is_current"] for one in items] == [False, True]
    assert {one["address"] for one in items} == {"127.0.0.1"}
    bob.delete(f"{url}{items[0]['id']}", expect=404)
    mine.delete(f"{url}{items[0]['id']}")
    mine.delete(f"{url}{items[0]['id']}", expect=404)
    other.get("/accounts/me", expect=401)
    third = signed_in(app)
    mine.delete(url)
    third.get("/accounts/me", expect=401)
    mine.get("/accounts/me")
    bob.get("/accounts/me")


def test_a_session_ends_when_it_is_unused_and_at_its_age(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make(app)
    monkeypatch.setitem(app.config, "SESSION_IDLE", 100.0)
    monkeypatch.setitem(app.config, "SESSION_ABSOLUTE", 1000.0)
    mine = signed_in(app)
    (key,) = session_keys(app, user)
    with app.app_context():
        assert 99_000 < redis_store.pttl(key) <= 100_000
        redis_store.pexpire(key, 60_000)
        mine.get("/accounts/me")
        assert redis_store.pttl(key) <= 60_000
        redis_store.pexpire(key, 10_000)
        mine.get("/accounts/me")
        assert redis_store.pttl(key) > 99_000
        end, rest = redis_store.get(key).split(b" ", 1)
        soon = str(int(end) - 990_000).encode()
        redis_store.set(key, soon + b" " + rest, px=5_000)
        mine.get("/accounts/me")
        assert redis_store.pttl(key) <= 10_000
        past = str(int(end) - 1_000_001).encode()
        redis_store.set(key, past + b" " + rest)
        mine.get("/accounts/me", expect=401)
        assert not redis_store.exists(key)


def test_a_user_has_a_hundred_sessions_at_most(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make(app)
    monkeypatch.setattr(sessions, "MOST_SESSIONS", 3)
    clients = [signed_in(app) for _ in range(5)]
    assert len(session_keys(app, user)) == 3
    for number, one in enumerate(clients):
        one.get("/accounts/me", expect=401 if number < 2 else 200)
    with app.app_context():
        assert redis_store.zcard(set_of(user)) == 3


class CountedRedis:
    """Counts the commands that the application sends to Redis."""

    def __init__(self, app: App, monkeypatch: pytest.MonkeyPatch) -> None:
        self.commands: list[Any] = []
        client = app.extensions["redis"]
        known = client.execute_command

        def count(*args: Any, **options: Any) -> Any:
            self.commands.append(args[0])
            return known(*args, **options)

        monkeypatch.setattr(client, "execute_command", count)


def test_a_session_costs_one_call_and_no_session_none(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    mine = signed_in(app)
    mine.get("/accounts/me")
    counted = CountedRedis(app, monkeypatch)
    client.get("/accounts/me", expect=401)
    client.get("/catalog/movies/?limit=1")
    mine.get("/catalog/movies/?limit=1")
    assert counted.commands == []
    mine.get("/accounts/me")
    assert counted.commands == ["EVALSHA"]


def test_redis_that_is_down_signs_nobody_out(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make(app)
    mine = signed_in(app)

    def down(*_args: Any, **_options: Any) -> None:
        raise RedisDown("down")

    with monkeypatch.context() as patch:
        patch.setattr(app.extensions["redis"], "execute_command", down)
        response = mine.get("/accounts/me", expect=503)
        assert "Set-Cookie" not in response.headers
        mine.patch("/accounts/me", json={"name": "x"}, expect=503)
        client.post("/accounts/session", json=SIGN_IN, expect=503)
        client.get("/accounts/me", expect=401)
        with app.app_context(), unscoped(), pytest.raises(RedisDown):
            service.set_role(service.user_of(user), "disabled")
    assert mine.get("/accounts/me").json["role"] == "readonly"


def test_a_sign_in_that_was_under_way_while_the_role_changed_is_refused(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make(app)
    known = service.sign_in

    def slow(email: str, password: str, code: str | None) -> Any:
        found = known(email, password, code)
        with app.app_context():
            end_sessions(user, found.version + 1)
        return found

    monkeypatch.setattr(service, "sign_in", slow)
    refuse(app.test_client(), ADA, PASSWORD, expect=409)
    assert session_keys(app, user) == []


def test_a_process_that_dies_after_its_commit_ends_the_sessions_all_the_same(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = make(app)
    with app.app_context(), unscoped():
        changed = service.user_of(user)
        monkeypatch.setattr(sign_out, "after_commit", lambda _effect: None)
        service.set_role(changed, "editor")
        between = sessions.BEGIN(
            [prefix_of(user) + "d", set_of(user), sessions.floor_of(user)],
            ["d", 10**9, 10**9, 1, "{}", 100, prefix_of(user)],
        )
        commit()
    assert between and len(session_keys(app, user)) == 1
    run_jobs(app)
    assert session_keys(app, user) == []


FOREIGN = [
    {},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost.evil.example"},
    {"Origin": "https://localhost"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost"},
    {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN, ids=str)
def test_a_write_of_another_site_is_refused(app: App, headers: dict[str, str]) -> None:
    make(app)
    mine = signed_in(app)
    del mine.environ_base["HTTP_SEC_FETCH_SITE"]
    sent: Any = {"json": {"name": "x"}, "headers": headers, "expect": 403}
    mine.patch("/accounts/me", **sent)
    mine.delete("/accounts/session", headers=headers, expect=403)
    mine.delete("/accounts/sessions/", headers=headers, expect=403)
    if headers:
        other = app.test_client()
        other.post("/accounts/session", json=SIGN_IN, headers=headers, expect=403)
    assert mine.get("/accounts/me", headers=headers).json["name"] is None


def test_a_write_of_our_pages_is_taken(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    mine = signed_in(app)
    del mine.environ_base["HTTP_SEC_FETCH_SITE"]
    monkeypatch.setitem(app.config, "PUBLIC_URL", "https://films.example/api")
    for headers in (
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": "https://films.example"},
    ):
        mine.patch("/accounts/me", json={"name": "x"}, headers=headers)
    form = {"data": "name=x", "content_type": "application/x-www-form-urlencoded"}
    ours = {"Origin": "http://localhost"}
    mine.patch("/accounts/me", headers=ours, expect=415, **form)
    text = {"data": '{"name": "x"}', "content_type": "text/plain"}
    mine.patch("/accounts/me", headers=ours, expect=415, **text)


def tries(client: Client, count: int, **environ: Any) -> list[int]:
    """The statuses of sign-ins with a wrong password."""
    found = []
    for _ in range(count):
        response = super(Client, client).open(
            "/accounts/session",
            method="POST",
            json={"email": ADA, "password": OTHER},
            environ_overrides=environ,
        )
        found.append(response.status_code)
    return found


def test_ten_wrong_passwords_are_taken_and_the_right_one_of_a_device(
    client: Client, app: App
) -> None:
    make(app)
    mine = signed_in(app)
    mine.delete("/accounts/session")
    for _ in range(12):
        signed_in(app)
    statuses = [
        tries(client, 1, REMOTE_ADDR=f"192.0.2.{number}")[0] for number in range(12)
    ]
    assert statuses == [401] * 10 + [429] * 2
    there = {"REMOTE_ADDR": "198.51.100.7"}
    stranger = client.post(
        "/accounts/session", json=SIGN_IN, environ_overrides=there, expect=429
    )
    assert 0 < int(stranger.headers["Retry-After"]) <= 30
    mine.post("/accounts/session", json=SIGN_IN, environ_overrides=there)
    client.post("/accounts/session", json=SIGN_IN)
    assert tries(mine, 12, **there)[-1] == 429


def test_tries_of_all_lock_out_nobody_who_has_signed_in_here(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    monkeypatch.setitem(app.config, "ACCOUNTS_LIMIT", "5/300")
    signed_in(app)
    for number in range(6):
        there = {"REMOTE_ADDR": f"192.0.2.{number}"}
        body = {"email": f"{number}@mail.example", "password": OTHER}
        expect = 401 if number < 5 else 429
        client.post(
            "/accounts/session", json=body, environ_overrides=there, expect=expect
        )
    signed_in(app)


@pytest.mark.parametrize(
    "spelling", ["ADA@MAIL.EXAMPLE", "\uff41da@mail.example", "Ada@Mail.Example"]
)
def test_another_spelling_has_no_tries_of_its_own(
    client: Client, app: App, spelling: str
) -> None:
    for number in range(10):
        tries(client, 1, REMOTE_ADDR=f"192.0.2.{number}")
    body = {"email": spelling, "password": OTHER}
    there = {"REMOTE_ADDR": "198.51.100.7"}
    client.post("/accounts/session", json=body, environ_overrides=there, expect=429)


@pytest.mark.parametrize(
    ("place", "near"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::ffff:1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_one_address_has_ten_tries_for_all_accounts(
    client: Client, place: str, near: str
) -> None:
    for number in range(10):
        body = {"email": f"{number}@mail.example", "password": OTHER}
        sent: Any = {"json": body, "environ_overrides": {"REMOTE_ADDR": place}}
        client.post("/accounts/session", expect=401, **sent)
    forged = {"X-Forwarded-For": "203.0.113.9"}
    sent["environ_overrides"] = {"REMOTE_ADDR": near}
    client.post("/accounts/session", headers=forged, expect=429, **sent)


def test_sign_ups_and_resets_are_limited(client: Client, app: App) -> None:
    for number in range(10):
        body = {"email": f"{number}@mail.example"}
        client.post("/accounts/password-reset", json=body, expect=202)
    body["password"] = PASSWORD
    client.post("/accounts/sign-up", json=body, expect=429)
    del body["password"]
    client.post("/accounts/password-reset", json=body, expect=429)


@pytest.fixture
def costly(app: App, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Limits out of the way."""
    for name in ("SIGN_IN_LIMIT", "ACCOUNTS_LIMIT"):
        monkeypatch.setitem(app.config, name, "100000/1")
    yield


def test_the_time_of_a_refusal_does_not_tell_whether_there_is_an_account(
    client: Client, app: App, costly: None
) -> None:
    make(app)
    make(app, "new@mail.example", is_verified=False)
    make(app, "off@mail.example", role="disabled")
    asked = [
        *((ADA, OTHER), ("nobody@mail.example", OTHER)),
        *(("new@mail.example", PASSWORD), ("off@mail.example", PASSWORD)),
    ]
    taken: dict[str, list[float]] = {email: [] for email, _ in asked}
    for _ in range(15):
        for email, password in asked:
            start = time.thread_time()
            refuse(client, email, password)
            taken[email].append(time.thread_time() - start)
    middle = {email: statistics.median(times) for email, times in taken.items()}
    # The hash takes nearly all of the time, so without it there is a factor of ten.
    assert max(middle.values()) < 1.5 * min(middle.values()), middle


def test_secrets_are_not_in_the_log(
    client: Client, app: App, caplog: pytest.LogCaptureFixture
) -> None:
    make(app)
    with caplog.at_level("DEBUG"):
        mine = signed_in(app)
        refuse(client, ADA, "a secret canary of mine")
        mine.get("/accounts/me")
    cookie = mine.get_cookie(cookie_of(app)).value
    text = caplog.text + str([vars(record) for record in caplog.records])
    for secret in (PASSWORD, "a secret canary of mine", cookie):
        assert secret not in text
