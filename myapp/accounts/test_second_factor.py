"""The second factor over HTTP."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any

import pyotp
import pytest

from myapp.accounts import totp
from myapp.accounts.factories import PASSWORD, create_user
from myapp.core.audit import AuditLine
from myapp.core.http import App
from myapp.core.model import unscoped
from myapp.core.stores import commit
from myapp.core.testing import Client

ADA = "ada@mail.example"
OURS = {"Origin": "http://localhost"}


def sign_in(client: Client, expect: int = 201, **more: Any) -> Any:
    """Sign in as Ada."""
    body = {"email": ADA, "password": PASSWORD, **more}
    url = "/accounts/session"
    return client.post(url, json=body, headers=OURS, expect=expect).json


def make(app: App, role: str = "readonly") -> None:
    """Store Ada."""
    with app.app_context():
        create_user(ADA, role)
        commit()


def ask(client: Client, path: str, expect: int = 200, **body: Any) -> Any:
    """Call a route of the second factor."""
    url = f"/accounts/me/second-factor{path}"
    return client.post(url, json=body, headers=OURS, expect=expect).json


def turn_on(client: Client) -> tuple[pyotp.TOTP, list[str]]:
    """Turn the second factor of Ada on with the code that came before, so that the
    present one is left; return the app, and the recovery codes."""
    sign_in(client)
    told = ask(client, "", password=PASSWORD)
    app = pyotp.parse_uri(told["uri"])
    assert isinstance(app, pyotp.TOTP) and app.secret == told["secret"]
    assert (app.name, app.issuer) == (ADA, "myapp")
    former = app.generate_otp(app.timecode(now()) - 1)
    return app, ask(client, "/confirmation", code=former)["recovery_codes"]


def now() -> Any:
    """The present time, as an app has it."""
    return datetime.now()


def test_a_code_turns_it_on_and_is_needed_then(client: Client, app: App) -> None:
    make(app)
    assert sign_in(client)["has_second_factor"] is False
    other: Any = app.test_client()
    sign_in(other)
    phone, codes = turn_on(client)
    assert len(set(codes)) == totp.RECOVERY_CODES
    assert client.get("/accounts/me").json["has_second_factor"] is True
    other.get("/accounts/me", expect=401)
    client.delete("/accounts/session", headers=OURS)
    problem = sign_in(client, 401)
    assert problem["errors"][0]["pointer"] == "/code"
    body = {"email": ADA, "password": "not the password at all"}
    wrong = app.test_client().post("/accounts/session", json=body, expect=401).json
    assert "errors" not in wrong
    sign_in(client, 401, code="000000")
    sign_in(client, code=phone.now())


def test_a_code_works_once(client: Client, app: App) -> None:
    make(app)
    phone, codes = turn_on(client)
    code = phone.now()
    sign_in(client, code=code)
    sign_in(client, 401, code=code)
    sign_in(client, code=f" {codes[3].upper()} ")
    sign_in(client, 401, code=codes[3])
    sign_in(client, code=codes[4])
    old = phone.generate_otp(phone.timecode(now()) - 2)
    sign_in(client, 401, code=old)


def test_a_code_works_once_for_many_at_once(own_app: App) -> None:
    make(own_app)
    own_app.config["SIGN_IN_LIMIT"] = "1000/300"
    phone, codes = turn_on(own_app.test_client())
    for code in (phone.now(), codes[0]):
        body = {"email": ADA, "password": PASSWORD, "code": code}

        def send(_number: int) -> int:
            mine: Any = own_app.test_client()
            sent = {"method": "POST", "json": body}
            return int(
                super(Client, mine).open("/accounts/session", **sent).status_code
            )

        with ThreadPoolExecutor(6) as pool:
            statuses = list(pool.map(send, range(6)))
        assert statuses.count(201) == 1, statuses
        assert set(statuses) <= {201, 401, 409}, statuses


def test_wrong_codes_are_tries(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app)
    turn_on(client)
    monkeypatch.setitem(app.config, "SIGN_IN_LIMIT", "3/300")
    client.delete("/accounts/session", headers=OURS)
    stranger: Any = app.test_client()
    place = {"environ_base": {"REMOTE_ADDR": "10.1.2.3"}}
    body = {"email": ADA, "password": PASSWORD, "code": "000000"}
    url = "/accounts/session"
    statuses = [
        super(Client, stranger).open(url, method="POST", json=body, **place).status_code
        for _ in range(5)
    ]
    assert statuses == [401, 401, 401, 429, 429]


def test_a_wrong_password_or_code_changes_nothing(client: Client, app: App) -> None:
    make(app)
    sign_in(client)
    ask(client, "", 422, password="not the password at all")
    ask(client, "/confirmation", 422, code="000000")
    ask(client, "", password=PASSWORD)
    ask(client, "/confirmation", 422, code="000000")
    assert client.get("/accounts/me").json["has_second_factor"] is False
    ask(client, "/removal", 422, password="not the password at all")


def test_it_is_turned_off_by_its_user_and_on_the_command_line(
    client: Client, app: App
) -> None:
    make(app)
    turn_on(client)
    url = "/accounts/me/second-factor/removal"
    body = {"password": PASSWORD}
    client.post(url, json=body, headers=OURS, expect=204)
    sign_in(client)
    turn_on(client)
    command = ["users", "drop-second-factor", ADA]
    assert app.test_cli_runner().invoke(args=command).exit_code == 0
    client.get("/accounts/me", expect=401)
    assert sign_in(client)["has_second_factor"] is False


def test_a_role_that_needs_one_counts_only_with_it(
    client: Client, app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(app, "admin")
    monkeypatch.setitem(app.config, "SECOND_FACTOR_ROLES", ["admin", "superuser"])
    sign_in(client)
    client.get("/accounts/users/", expect=403)
    phone, _ = turn_on(client)
    client.get("/accounts/users/")
    sign_in(client, code=phone.now())
    client.get("/accounts/users/")


def test_secrets_are_shown_and_audited_nowhere(client: Client, app: App) -> None:
    make(app)
    phone, codes = turn_on(client)
    shown = client.get("/accounts/me/export").text + client.get("/accounts/").text
    with app.app_context(), unscoped():
        shown += str(AuditLine.list().items)
    for secret in (phone.secret, codes[0], totp.digest_of_code(codes[0])):
        assert secret not in shown
