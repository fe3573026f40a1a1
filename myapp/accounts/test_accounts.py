"""Accounts over HTTP: sign-up, sign-in, changes, roles, and what nobody may learn."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from flask.testing import FlaskClient

from myapp.accounts import links, service, sessions
from myapp.accounts.cookies import cookie_name
from myapp.accounts.factories import PASSWORD, create_user, load_demo
from myapp.accounts.models import User, find_user
from myapp.core.http import App
from myapp.core.mail import kept_mails
from myapp.core.model import unscoped
from myapp.core.stores import commit
from myapp.core.stores.redis import redis_store
from myapp.core.testing import Client, run_jobs

ADA, OTHER = "ada@mail.example", "five geese in a field"
OURS = {"Sec-Fetch-Site": "same-origin"}
TOKEN = re.compile(r"^([A-Za-z0-9_-]{43})$", re.MULTILINE)
CROWD = 8


def token_in_mail(app: App, address: str = ADA) -> str:
    """The token of the newest mail to an address."""
    run_jobs(app)
    with app.app_context():
        texts = [one["text"] for one in kept_mails() if one["to"] == address]
    found = [match[1] for text in texts[:1] if (match := TOKEN.search(text))]
    assert found, "the newest mail has no token"
    return found[0]


def subjects(app: App, address: str) -> list[str]:
    """The subjects of the mails to an address, the newest one first."""
    run_jobs(app)
    with app.app_context():
        return [one["subject"] for one in kept_mails() if one["to"] == address]


def make(app: App, email: str = ADA, role: str = "readonly", **more: Any) -> str:
    """Store a user, and return its id."""
    with app.app_context():
        user = create_user(email, role, **more)
        commit()
        return str(user.id)


def signed_in(app: App, email: str = ADA, password: str = PASSWORD) -> Any:
    """A client with the session of a user, and with the header of our pages."""
    client = app.test_client()
    client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    body = {"email": email, "password": password}
    client.post("/accounts/session", json=body)
    return client


def refuse(client: Client, email: str, password: str, expect: int = 401) -> Any:
    """Fail to sign in."""
    body = {"email": email, "password": password}
    return client.post("/accounts/session", json=body, expect=expect)


def test_a_user_signs_up_verifies_signs_in_and_out(client: Client, app: App) -> None:
    body = {"email": ADA, "password": PASSWORD, "name": "Ada"}
    client.post("/accounts/sign-up", json=body, expect=202)
    refuse(client, ADA, PASSWORD)
    token = token_in_mail(app)
    proof = {"token": token, "password": OTHER}
    client.post("/accounts/verification", json=proof, expect=422)
    proof["password"] = PASSWORD
    client.post("/accounts/verification", json=proof, expect=204)
    client.post("/accounts/verification", json=proof, expect=422)
    client.get("/accounts/me", expect=401)
    user = client.post("/accounts/session", json=body | {"name": 1}, expect=400)
    user = client.post("/accounts/session", json={"email": ADA, "password": PASSWORD})
    assert (user.json["email"], user.json["role"]) == (ADA, "readonly")
    assert not {"password_hash", "email_key"} & set(user.json)
    assert client.get("/accounts/me").json == user.json
    client.delete("/accounts/session", headers=OURS)
    client.get("/accounts/me", expect=401)


def test_a_token_is_stored_nowhere_and_lasts_an_hour(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    client.post("/accounts/password-reset", json={"email": ADA}, expect=202)
    token = token_in_mail(app)
    with app.app_context():
        stored = redis_store.keys("*")
        for key in stored:
            if redis_store.type(key) == b"string":
                assert token.encode() not in redis_store.get(key)
    proof = {"token": token, "password": OTHER}
    url = "/accounts/password-reset/confirmation"
    client.post("/accounts/verification", json=proof, expect=422)
    client.post("/accounts/email-change", json={"token": token}, expect=422)
    client.post("/accounts/password-reset", json={"email": ADA}, expect=202)
    newer = token_in_mail(app)
    client.post(url, json=proof, expect=422)
    for wrong in ({}, [], None, 7):
        client.post(url, json=proof | {"token": wrong}, expect=400)
    weak = {"token": newer, "password": "short"}
    client.post(url, json=weak, expect=400)
    client.post(url, json=weak | {"password": OTHER}, expect=204)
    monkeypatch.setitem(app.config, "LINK_LIFETIME", 0.0)
    client.post("/accounts/password-reset", json={"email": ADA}, expect=202)
    proof["token"] = token_in_mail(app)
    client.post(url, json=proof, expect=422)
    with app.app_context():
        assert links.drop_old_links() == 1


def test_a_stranger_who_signs_up_with_an_address_gets_no_account(
    client: Client, app: App
) -> None:
    theirs = {"email": ADA, "password": "the password of a stranger"}
    client.post("/accounts/sign-up", json=theirs, expect=202)
    mine = {"email": ADA.upper(), "password": PASSWORD}
    client.post("/accounts/sign-up", json=mine, expect=202)
    first = token_in_mail(app)
    client.post("/accounts/sign-up", json=theirs, expect=202)
    newest = token_in_mail(app)
    for token in (first, newest):
        proof = {"token": token, "password": PASSWORD}
        client.post("/accounts/verification", json=proof, expect=422)
    client.post("/accounts/password-reset", json={"email": ADA}, expect=202)
    proof = {"token": token_in_mail(app), "password": PASSWORD}
    client.post("/accounts/password-reset/confirmation", json=proof, expect=204)
    refuse(client, ADA, theirs["password"])
    client.post("/accounts/session", json={"email": ADA, "password": PASSWORD})


SPELLINGS = [
    *("ADA@mail.example", "ada@MAIL.example", "\uff41da@mail.example"),
    *(" ada@mail.example", "ada@mail.example "),
]


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_address_has_one_account_however_it_is_written(
    client: Client, app: App, spelling: str
) -> None:
    make(app)
    body = {"email": spelling.strip(), "password": OTHER}
    client.post("/accounts/sign-up", json=body, expect=202)
    assert subjects(app, ADA) == ["You have an account"]
    body["password"] = PASSWORD
    assert client.post("/accounts/session", json=body).json["email"] == ADA


@pytest.mark.parametrize("address", ["ad\u0131@mail.example", "\u00e4@mail.example"])
def test_an_address_that_mail_servers_may_not_take_is_refused(
    client: Client, address: str
) -> None:
    body = {"email": address, "password": PASSWORD}
    client.post("/accounts/sign-up", json=body, expect=422)


def test_sign_ups_at_once_make_one_account(own_app: App) -> None:
    start = threading.Barrier(CROWD)

    def sign_up(number: int) -> int:
        client = own_app.test_client()
        spelling = ADA.upper() if number % 2 else ADA
        body = {"email": spelling, "password": f"{PASSWORD} {number}"}
        start.wait(30)
        return int(client.post("/accounts/sign-up", json=body, expect=202).status_code)

    with ThreadPoolExecutor(CROWD) as pool:
        assert list(pool.map(sign_up, range(CROWD))) == [202] * CROWD
    with own_app.app_context():
        assert len(User.list().items) == 1


def test_answers_do_not_tell_whether_there_is_an_account(
    client: Client, app: App
) -> None:
    make(app)
    make(app, "new@mail.example", is_verified=False)
    make(app, "off@mail.example", role="disabled")
    found = []
    for email, password in (
        *((ADA, OTHER), ("nobody@mail.example", OTHER), ("no address", OTHER)),
        *(("new@mail.example", PASSWORD), ("off@mail.example", PASSWORD)),
    ):
        response = refuse(client, email, password, 401 if "@" in email else 400)
        if "@" in email:
            body = {**response.json, "request_id": ""}
            headers = {
                name: text for name, text in response.headers if "ID" not in name
            }
            found.append((body, headers))
    assert all(one == found[0] for one in found)
    for path, more in (("sign-up", {"password": OTHER}), ("password-reset", {})):
        for email in (ADA, "nobody@mail.example", "off@mail.example"):
            sent = {"email": email, **more}
            assert not client.post(f"/accounts/{path}", json=sent, expect=202).data


@pytest.mark.parametrize(
    "password",
    [
        *("short", "fourteen chars", "a" * 40, "abcabcabcabcabcabc"),
        *("passwordpassword", "Password1234567890", "qwertyuiopasdfghjkl"),
        *("ada@mail.example", "adamailexample1", "correct horse battery staple"),
        *("\uff50\uff41\uff53\uff53\uff57\uff4f\uff52\uff44" * 2, "summer2026summer!!"),
        *(
            "zyxwvutsrqponml",
            "iloveyouforever",
            "myappmyappmyapp",
            "1111122222333334444",
        ),
    ],
)
def test_a_password_that_is_easy_to_guess_is_refused(
    client: Client, password: str
) -> None:
    body = {"email": ADA, "password": password}
    errors = client.post("/accounts/sign-up", json=body, expect=400).json["errors"]
    assert [(one["pointer"], one["keyword"]) for one in errors] == [
        ("/password", "password")
    ]


@pytest.mark.parametrize(
    "password",
    [
        *("four ducks on a pond", "sunshine over the mountains", "x7#kQ!pz9LmWv2@r"),
        *(
            "\u0434\u043b\u0438\u043d\u043d\u044b\u0439 nazidanie",
            "  blanks at both ends ",
        ),
        "\U0001f986 four ducks and a \u00e9",
        "a long one, " + "of many words " * 16,
    ],
)
def test_any_other_long_password_is_taken_in_each_form(
    client: Client, app: App, password: str
) -> None:
    make(app, password=password)
    signed_in(app, ADA, password)
    refuse(client, ADA, password[:-1])
    if "\u00e9" in password:
        signed_in(app, ADA, password.replace("\u00e9", "e\u0301"))


def test_a_password_that_is_too_long_is_refused_before_it_is_hashed(
    client: Client,
) -> None:
    refuse(client, ADA, "x" * 500_000, expect=400)


def test_a_hash_of_a_lower_cost_is_renewed_at_sign_in(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "PASSWORD_COST", "64/1/1")
    make(app)
    monkeypatch.setitem(app.config, "PASSWORD_COST", "128/2/1")
    for _ in range(2):
        signed_in(app)
    with app.app_context():
        user = find_user(ADA)
    assert user is not None and "m=128,t=2,p=1" in user["password_hash"]
    assert user.version == 2


def test_a_change_of_password_ends_all_other_sessions(client: Client, app: App) -> None:
    make(app)
    mine, other = signed_in(app), signed_in(app)
    before = mine.get_cookie(cookie_of(app)).value
    body = {"old_password": OTHER, "new_password": OTHER}
    mine.post("/accounts/me/password", json=body, expect=422)
    body["old_password"] = PASSWORD
    weak = body | {"new_password": "ada@mail.example"}
    mine.post("/accounts/me/password", json=weak, expect=400)
    mine.post("/accounts/me/password", json=body, expect=204)
    assert mine.get_cookie(cookie_of(app)).value != before
    mine.get("/accounts/me")
    other.get("/accounts/me", expect=401)
    client.set_cookie(cookie_of(app), before)
    client.get("/accounts/me", expect=401)
    client.delete_cookie(cookie_of(app))
    refuse(client, ADA, PASSWORD)
    signed_in(app, ADA, OTHER)
    assert subjects(app, ADA)[0] == "Your password was changed"
    mine.get("/accounts/me")


def cookie_of(app: App) -> str:
    """The name of the cookie of a session."""
    with app.app_context():
        return cookie_name()


def test_an_address_is_changed_when_the_new_one_confirms_it(
    client: Client, app: App
) -> None:
    make(app)
    make(app, "taken@mail.example")
    make(app, "left@mail.example", is_verified=False)
    mine = signed_in(app)
    for email, expect in (("taken@mail.example", 409), ("left@mail.example", 204)):
        body = {"email": email, "password": PASSWORD}
        wrong = body | {"password": OTHER}
        mine.post("/accounts/me/email", json=wrong, expect=422)
        mine.post("/accounts/me/email", json=body, expect=202)
        assert subjects(app, ADA)[0] == "Your address is about to change"
        sent = {"token": token_in_mail(app, email)}
        client.post("/accounts/email-change", json=sent, expect=expect)
    assert mine.get("/accounts/me").json["email"] == "left@mail.example"
    for email in (ADA, "left@mail.example"):
        assert subjects(app, email)[0] == "Your address was changed"
    refuse(client, ADA, PASSWORD)
    signed_in(app, "left@mail.example")


def test_a_user_changes_its_name_and_nothing_else(app: App) -> None:
    make(app)
    mine = signed_in(app)
    assert mine.patch("/accounts/me", json={"name": "Ada"}).json["name"] == "Ada"
    for name in ("role", "email", "verified_at", "password_hash", "id", "version"):
        body = {"name": "Eve", name: "superuser"}
        mine.patch("/accounts/me", json=body, expect=400)
    assert mine.patch("/accounts/me", json={"name": None}).json["name"] is None
    stale = {"If-Match": '"1"'}
    mine.patch("/accounts/me", json={"name": "x"}, headers=stale, expect=412)


def test_an_account_is_exported_and_deleted(client: Client, app: App) -> None:
    make(app)
    mine, other = signed_in(app), signed_in(app)
    copy = mine.get("/accounts/me/export").json
    assert copy["user"]["email"] == ADA and len(copy["sessions"]["items"]) == 2
    url = "/accounts/me/deletion"
    mine.post(url, json={"password": OTHER}, expect=422)
    mine.post(url, json={"password": PASSWORD}, expect=204)
    other.get("/accounts/me", expect=401)
    refuse(client, ADA, PASSWORD)
    assert subjects(app, ADA) == ["Your account was deleted"]


def test_an_admin_manages_users_below_itself(client: Client, app: App) -> None:
    ada, boss = make(app), make(app, "boss@mail.example", "superuser")
    peer = make(app, "peer@mail.example", "admin")
    make(app, "admin@mail.example", "admin")
    admin, mine = signed_in(app, "admin@mail.example"), signed_in(app)
    url = "/accounts/users/"
    client.get(url, expect=401)
    mine.get(url, expect=403)
    mine.get(f"{url}{ada}", expect=403)
    assert len(admin.get(url).json["items"]) == 4
    found = admin.get(f"{url}?q=ADA&role=readonly&sort=email").json["items"]
    assert [one["id"] for one in found] == [ada]
    admin.get(f"{url}?password_hash[prefix]=$", expect=400)
    admin.get(f"{url}?email_key=x", expect=400)
    admin.patch(f"{url}{ada}", json={"role": "superuser"}, expect=403)
    admin.patch(f"{url}{boss}", json={"role": "readonly"}, expect=403)
    admin.delete(f"{url}{boss}", expect=403)
    admin.delete(f"{url}{boss}/sessions", expect=403)
    admin.patch(f"{url}{ada}", json={"role": "king"}, expect=403)
    me = admin.get("/accounts/me").json["id"]
    admin.patch(f"{url}{me}", json={"role": "editor"}, expect=403)
    assert admin.patch(f"{url}{ada}", json={"role": "editor"}).json["role"] == "editor"
    mine.get("/accounts/me", expect=401)
    mine = signed_in(app)
    admin.delete(f"{url}{ada}/sessions")
    mine.get("/accounts/me", expect=401)
    mine = signed_in(app)
    admin.patch(f"{url}{ada}", json={"role": "disabled"})
    mine.get("/accounts/me", expect=401)
    refuse(client, ADA, PASSWORD)
    admin.delete(f"{url}{ada}")
    admin.get(f"{url}{ada}", expect=404)
    admin.patch(f"{url}{peer}", json={"role": "readonly"})


def test_the_last_superuser_stays(app: App) -> None:
    boss = make(app, "boss@mail.example", "superuser")
    mine = signed_in(app, "boss@mail.example")
    url, body = "/accounts/me/deletion", {"password": PASSWORD}
    mine.post(url, json=body, expect=409)
    with app.app_context(), unscoped():
        for role in ("disabled", "readonly"):
            with pytest.raises(Exception, match="last user"):
                service.set_role(service.user_of(boss), role)
    make(app, "next@mail.example", "superuser", is_verified=False)
    mine.post(url, json=body, expect=409)
    make(app, "last@mail.example", "superuser")
    mine.post(url, json=body, expect=204)


def test_of_two_superusers_who_change_each_other_at_once_one_stays(
    own_app: App,
) -> None:
    ids = [make(own_app, f"{n}@mail.example", "superuser") for n in "ab"]
    clients = [signed_in(own_app, f"{n}@mail.example") for n in "ab"]
    start = threading.Barrier(2)

    def act(number: int) -> int:
        start.wait(30)
        url, body = f"/accounts/users/{ids[1 - number]}", {"role": "readonly"}
        sent: Any = {"method": "PATCH", "json": body, "buffered": True}
        return FlaskClient.open(clients[number], url, **sent).status_code

    for _ in range(5):
        with ThreadPoolExecutor(2) as pool:
            statuses = sorted(pool.map(act, range(2)))
        assert statuses[0] == 200 and statuses[1] in (401, 403, 409), statuses
        with own_app.app_context(), unscoped():
            users = [service.user_of(id) for id in ids]
            assert [one["role"] for one in users].count("superuser") == 1
            for user in users:
                if user["role"] != "superuser":
                    service.set_role(user, "superuser")
            commit()
        for number, name in enumerate("ab"):
            clients[number] = signed_in(own_app, f"{name}@mail.example")


def test_commands_manage_users(app: App) -> None:
    runner = app.test_cli_runner()

    def run(*arguments: str, text: str = "", status: int = 0) -> str:
        result = runner.invoke(args=["users", *arguments], input=text)
        assert result.exit_code == status, result.output
        return str(result.output)

    assert "at least 15" in run("create", ADA, text="short\n", status=1)
    told = run("create", ADA, "--role", "superuser", text=f"{PASSWORD}\n")
    assert told.endswith(f"  {ADA}  superuser\n")
    assert "already" in run("create", ADA.upper(), text=f"{PASSWORD}\n", status=1)
    assert "must be one of" in run(
        "create", "x@mail.example", "--role", "king", text=f"{OTHER}\n", status=1
    )
    assert "last user" in run("disable", ADA, status=1)
    run("create", "bob@mail.example", text=f"{PASSWORD}\n")
    mine = signed_in(app, "bob@mail.example")
    run("set-role", "bob@mail.example", "editor")
    mine.get("/accounts/me", expect=401)
    assert "bob@mail.example  editor" in run("list", "--role", "editor")
    assert ADA not in run("list", "--role", "editor")
    run("set-password", "bob@mail.example", text=f"{OTHER}\n")
    signed_in(app, "bob@mail.example", OTHER)
    run("disable", "bob@mail.example")
    refuse(app.test_client(), "bob@mail.example", OTHER)
    run("set-role", "nobody@mail.example", "editor", status=1)


def test_the_demo_is_a_user_of_each_role(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        assert load_demo() == 4
        commit()
    editor, password = "editor@demo.example", service.DEMO_PASSWORD
    assert signed_in(app, editor, password).get("/accounts/me").json["role"] == "editor"
    monkeypatch.setitem(app.config, "ENV", "production")
    refuse(client, editor, password)


def test_a_link_asked_for_with_a_former_password_is_not_mailed(
    client: Client, app: App
) -> None:
    make(app)
    mine, other = signed_in(app), "thief@mail.example"
    body = {"email": other, "password": PASSWORD}
    mine.post("/accounts/me/email", json=body, expect=202)
    change = {"old_password": PASSWORD, "new_password": OTHER}
    mine.post("/accounts/me/password", json=change, expect=204)
    assert subjects(app, other) == []


def test_links_of_a_user_who_is_disabled_are_of_no_use(
    client: Client, app: App
) -> None:
    make(app)
    client.post("/accounts/password-reset", json={"email": ADA}, expect=202)
    proof = {"token": token_in_mail(app), "password": OTHER}
    with app.app_context():
        user = find_user(ADA)
        assert user is not None
        service.set_role(user, "disabled")
        commit()
    client.post("/accounts/password-reset/confirmation", json=proof, expect=422)


def test_a_change_that_is_stored_is_told_though_no_session_can_begin(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    mine = signed_in(app)
    monkeypatch.setattr(sessions, "BEGIN", lambda keys, args: 0)
    body = {"old_password": PASSWORD, "new_password": OTHER}
    mine.post("/accounts/me/password", json=body, expect=204)
    mine.get("/accounts/me", expect=401)
    body = {"email": ADA, "password": OTHER}
    mine.post("/accounts/session", json=body, expect=409)
