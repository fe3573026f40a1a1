"""Sign in with others over HTTP, against an issuer of the tests."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest
from flask.testing import FlaskClient
from joserfc.jwk import RSAKey
from sqlalchemy import update

from myapp.accounts import door
from myapp.accounts.factories import PASSWORD, create_reset_link, create_user
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.stores.sql import sql, write
from myapp.openid.factories import create_linked
from myapp.openid.models import drop_linked, find_linked, linked_of
from myapp.openid.providers import refusal_of
from myapp.openid.test_issuer import (
    ADA,
    Issuer,
    issuer,
    key_of,
    providers_of,
    running_issuer,
)

__all__ = ["issuer"]
EMAIL = ADA["email"]


class Browser:
    """A browser that signs in with a provider."""

    def __init__(self, app: App, issuer: Issuer, provider: str = "staff") -> None:
        self.app, self.issuer, self.provider = app, issuer, provider
        self.client: Any = app.test_client()
        self.client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"

    def get(self, url: str) -> Any:
        """The response to a page, which is not followed."""
        return FlaskClient.open(self.client, url, method="GET", buffered=True)

    def begin(self, place: str = "/docs") -> str:
        """The URL at the provider to which the browser is sent."""
        response = self.get(f"/openid/sign-in/{self.provider}?next={place}")
        assert response.status_code == 303, response.text
        return str(response.headers["Location"])

    def back(self, **changes: str) -> Any:
        """The response to the return from the provider."""
        return self.get(self.issuer.back(self.begin(), **changes))

    def confirm(self, step: str, **more: str) -> Any:
        """The response to a decision."""
        url, body = "/openid/confirmation", {"step": step, **more}
        sent: Any = {"method": "POST", "json": body, "buffered": True}
        return FlaskClient.open(self.client, url, **sent)

    def step(self) -> str:
        """What the page asks, after the return from the provider."""
        response = self.back()
        assert response.headers["Location"] == "/openid/confirm", response.text
        page = self.get("/openid/confirm").text
        return page.partition('name="step" value="')[2].partition('"')[0]

    def me(self) -> str:
        """The address of the user who is signed in; empty for nobody."""
        response = self.get("/accounts/me")
        return response.json["email"] if response.status_code == 200 else ""

    def sign_in(self, email: str = EMAIL) -> None:
        """Sign in with a password."""
        body = {"email": email, "password": PASSWORD}
        assert self.client.post("/accounts/session", json=body).status_code == 201


def link(app: App, user_id: str) -> None:
    """Store the identity of the issuer for a user."""
    place = app.extensions["openid"]["staff"].issuer
    create_linked(user_id, provider="staff", issuer=place, subject=ADA["sub"])


def make_user(
    app: App,
    email: str = EMAIL,
    linked: bool = False,
    role: str = "editor",
    secret: str | None = None,
) -> str:
    """Store a user, and the identity of the issuer that is linked to it.

    :param secret: of its second factor.
    """
    with app.app_context():
        user = create_user(email, role, totp_secret=secret)
        if linked:
            link(app, user.id)
        commit()
        return str(user.id)


@pytest.fixture
def browser(app: App, issuer: Issuer) -> Browser:
    """A browser without a session."""
    return Browser(app, issuer)


def test_a_new_user_gets_an_account_and_signs_in_again(browser: Browser) -> None:
    assert browser.step() == "make"
    assert browser.me() == ""
    assert browser.confirm("make").status_code == 204
    assert browser.me() == EMAIL
    found = browser.client.get("/accounts/me").json
    assert found["name"] == "Ada" and found["role"] == "readonly"
    assert found["verified_at"] is not None

    again = Browser(browser.app, browser.issuer)
    response = again.back()
    assert response.headers["Location"] == "/docs"
    assert again.me() == EMAIL


def test_the_list_of_providers_says_where_a_sign_in_begins(browser: Browser) -> None:
    items = browser.client.get("/openid/providers").json["items"]
    assert [one["title"] for one in items] == ["Staff", "GitHub"]
    assert items[0]["url"] == "/openid/sign-in/staff"
    page = browser.get("/accounts/sign-in?next=/docs").text
    assert "/openid/sign-in/staff?next=/docs" in page.replace("%2F", "/")


def test_an_account_with_the_address_is_linked_by_its_password(
    browser: Browser,
) -> None:
    make_user(browser.app)
    assert browser.step() == "prove"
    response = browser.confirm("prove")
    assert response.status_code == 401
    assert response.json["errors"][0]["pointer"] == "/password"
    assert browser.confirm("prove", password="four wrong ducks").status_code == 401
    assert browser.confirm("make").status_code == 409
    assert browser.me() == ""
    assert browser.confirm("prove", password=PASSWORD).status_code == 204
    assert browser.me() == EMAIL
    assert Browser(browser.app, browser.issuer).back().headers["Location"] == "/docs"


def test_a_user_who_is_signed_in_links_an_identity_and_unlinks_it(
    browser: Browser,
) -> None:
    make_user(browser.app)
    browser.sign_in()
    assert browser.step() == "link"
    assert browser.confirm("link").status_code == 204
    items = browser.client.get("/openid/identities/").json["items"]
    assert [(one["provider"], one["email"]) for one in items] == [("staff", EMAIL)]
    assert "staff" in browser.get("/openid/").text
    exported = browser.client.get("/accounts/me/export").json
    assert [one["id"] for one in exported["identities"]] == [items[0]["id"]]
    assert browser.client.delete(f"/openid/identities/{items[0]['id']}").text == ""
    assert Browser(browser.app, browser.issuer).step() == "prove"


def test_another_address_is_not_linked(browser: Browser) -> None:
    make_user(browser.app, "bob@mail.example")
    browser.sign_in("bob@mail.example")
    response = browser.back()
    assert response.status_code == 409
    assert "bob@mail.example" in response.text
    assert browser.confirm("link").status_code == 409


@pytest.mark.parametrize("said", [False, None, "false", 0, "yes"])
def test_an_address_that_is_not_verified_there_is_of_no_use(
    browser: Browser, said: Any
) -> None:
    browser.issuer.user["email_verified"] = said
    response = browser.back()
    assert response.status_code == 403
    assert "has not verified your address" in response.text


def test_a_stranger_who_signed_up_with_the_address_keeps_no_password(
    browser: Browser,
) -> None:
    body = {"email": EMAIL, "password": "four ducks on a pond"}
    browser.client.post("/accounts/sign-up", json=body, expect=202)
    assert browser.step() == "make"
    assert browser.confirm("make").status_code == 204
    browser.app.test_client().post("/accounts/session", json=body, expect=401)


def test_the_second_factor_is_asked_for_also_then(browser: Browser) -> None:
    secret = pyotp.random_base32()
    make_user(browser.app, linked=True, secret=secret)
    assert browser.step() == "enter"
    assert browser.me() == ""
    response = browser.confirm("enter")
    assert response.status_code == 401
    assert response.json["errors"][0]["pointer"] == "/code"
    assert browser.confirm("enter", code="000000").status_code == 401
    code = pyotp.TOTP(secret).now()
    assert browser.confirm("enter", code=code).status_code == 204
    assert browser.me() == EMAIL


def test_a_disabled_user_does_not_sign_in(browser: Browser) -> None:
    make_user(browser.app, linked=True, role="disabled")
    response = browser.back()
    assert response.status_code == 403
    assert browser.me() == ""


def test_an_identity_of_another_account_is_not_taken_over(browser: Browser) -> None:
    make_user(browser.app, linked=True)
    make_user(browser.app, "bob@mail.example")
    browser.sign_in("bob@mail.example")
    assert browser.back().status_code == 409
    assert browser.me() == "bob@mail.example"


def test_a_deleted_account_leaves_no_identity(browser: Browser) -> None:
    make_user(browser.app, linked=True)
    assert browser.back().headers["Location"] == "/docs"
    body = {"password": PASSWORD}
    browser.client.post("/accounts/me/deletion", json=body, expect=204)
    with browser.app.app_context():
        assert find_linked(browser.issuer.url, ADA["sub"]) is None


def test_github_is_asked_who_the_user_is(app: App, issuer: Issuer) -> None:
    browser = Browser(app, issuer, "github")
    assert browser.step() == "make"
    assert browser.confirm("make").status_code == 204
    assert browser.me() == EMAIL
    issuer.user["email_verified"] = False
    issuer.user["email"] = "eve@mail.example"
    assert Browser(app, issuer, "github").back().headers["Location"] == "/docs"


def test_the_claims_of_the_userinfo_endpoint_count_for_the_same_user(
    browser: Browser,
) -> None:
    def leave_out(claims: dict[str, Any]) -> None:
        del claims["email"], claims["email_verified"], claims["name"]

    browser.issuer.spoil = leave_out
    assert browser.step() == "make"

    def another(claims: dict[str, Any]) -> None:
        leave_out(claims)
        claims["sub"] = "another"

    browser.issuer.spoil = another
    assert browser.back().status_code == 400


# What an ID token must not say, by the names of the claims.
WRONG_CLAIMS: dict[str, dict[str, Any]] = {
    "issuer": {"iss": "https://other.example"},
    "no issuer": {"iss": None},
    "audience": {"aud": "another-client"},
    "several audiences": {"aud": ["the-client", "x"], "azp": "x"},
    "expired": {"exp": 1},
    "no end": {"exp": None},
    "nonce": {"nonce": "another"},
    "no nonce": {"nonce": None},
    "no subject": {"sub": None},
    "empty subject": {"sub": ""},
    "long subject": {"sub": "x" * 256},
    "subject of another kind": {"sub": 7},
    "address of another kind": {"email": ["ada@mail.example"]},
}


@pytest.mark.parametrize("name", WRONG_CLAIMS)
def test_an_id_token_that_says_something_wrong_is_refused(
    browser: Browser, name: str
) -> None:
    def spoil(claims: dict[str, Any]) -> None:
        claims.update(WRONG_CLAIMS[name])
        for claim in [claim for claim, value in claims.items() if value is None]:
            del claims[claim]

    browser.issuer.spoil = spoil
    response = browser.back()
    assert response.status_code == 400, response.headers
    assert "could not be checked" in response.text


def test_a_signature_has_to_be_that_of_the_issuer(browser: Browser) -> None:
    issuer = browser.issuer
    issuer.key = RSAKey.import_key(
        {**key_of("two").as_dict(private=True), "kid": "one"}
    )
    assert browser.back().status_code == 400
    for issuer.algorithm in ("HS256", "none"):
        assert browser.back().status_code == 400


def test_new_keys_of_the_issuer_are_fetched(browser: Browser) -> None:
    assert browser.step() == "make"
    browser.issuer.key = browser.issuer.published = key_of("two")
    assert browser.step() == "make"


def test_an_issuer_with_another_name_is_refused_until_it_is_mended(
    browser: Browser,
) -> None:
    browser.issuer.metadata = {"issuer": "https://other.example"}
    assert browser.get("/openid/sign-in/staff").status_code == 400
    browser.issuer.metadata = {}
    assert browser.step() == "make"


@pytest.mark.parametrize("found", [[], "x", {"issuer": 7}, ["issuer"]])
def test_metadata_of_another_form_are_no_500(browser: Browser, found: Any) -> None:
    browser.issuer.metadata = found
    assert browser.get("/openid/sign-in/staff").status_code in (400, 503)


def test_an_issuer_that_does_not_answer_is_a_page(browser: Browser) -> None:
    url = browser.begin()
    place = browser.issuer.back(url)
    browser.issuer.status = 500
    response = browser.get(place)
    assert response.status_code == 503
    assert "does not answer" in response.text


def test_a_state_is_good_once_for_its_browser_and_its_provider(
    app: App, issuer: Issuer
) -> None:
    browser = Browser(app, issuer)
    place = issuer.back(browser.begin())
    stranger = Browser(app, issuer)
    assert stranger.get(place).status_code == 400
    # A state that a stranger has tried is used up.
    assert browser.get(place).status_code == 400

    place = issuer.back(browser.begin())
    assert browser.get(place.replace("/staff?", "/github?")).status_code == 400

    place = issuer.back(browser.begin())
    assert browser.get(place).status_code == 303
    assert browser.get(place).status_code == 400
    state = {"state": "", "code": "x"}
    assert browser.get(issuer.back(browser.begin(), **state)).status_code == 400


def test_two_tabs_may_sign_in_at_once(browser: Browser) -> None:
    first, second = browser.begin(), browser.begin()
    for url in (first, second):
        assert browser.get(browser.issuer.back(url)).status_code == 303


def test_a_code_of_another_sign_in_is_refused(app: App, issuer: Issuer) -> None:
    mallory = Browser(app, issuer)
    stolen = parse_qs(urlsplit(issuer.back(mallory.begin())).query)["code"][0]
    victim = Browser(app, issuer)
    # The verifier of PKCE is another one.
    assert victim.back(code=stolen).status_code == 400


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"code": "", "error": "access_denied"},
        {"code": ""},
        {"code": "unknown"},
    ],
)
def test_an_answer_that_is_none_is_a_page(
    browser: Browser, changes: dict[str, str]
) -> None:
    assert browser.back(**changes).status_code == 400


def test_a_sign_in_leads_to_this_server_alone(browser: Browser) -> None:
    make_user(browser.app, linked=True)
    for place in ("//evil.example", "https://evil.example", "/\\evil.example"):
        response = browser.get(browser.issuer.back(browser.begin(place)))
        assert response.headers["Location"] == "/accounts/"


def test_a_confirmation_needs_this_browser_and_this_site(browser: Browser) -> None:
    assert browser.confirm("make").status_code == 409
    assert browser.step() == "make"
    assert Browser(browser.app, browser.issuer).confirm("make").status_code == 409
    browser.client.environ_base["HTTP_SEC_FETCH_SITE"] = "cross-site"
    assert browser.confirm("make").status_code == 403
    browser.client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    assert browser.confirm("make").status_code == 204
    # It is used up.
    assert browser.confirm("enter").status_code == 409


def test_a_provider_without_a_name_is_a_404(browser: Browser) -> None:
    for path in ("sign-in", "callback"):
        assert browser.get(f"/openid/{path}/nobody").status_code == 404


def test_the_beginnings_are_limited(browser: Browser) -> None:
    statuses = [browser.get("/openid/sign-in/staff").status_code for _ in range(31)]
    assert statuses == [303] * 30 + [429]


def test_two_confirmations_at_once_make_one_account(own_app: App) -> None:
    with running_issuer() as issuer, providers_of(own_app, issuer):
        browsers = [Browser(own_app, issuer) for _ in range(4)]
        assert [one.step() for one in browsers] == ["make"] * 4
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda one: one.confirm("make"), browsers))
        statuses = sorted(one.status_code for one in found)
        assert statuses.count(204) == 1 and set(statuses) == {204, 409}, statuses
        assert sum(one.me() == EMAIL for one in browsers) == 1
        assert Browser(own_app, issuer).back().headers["Location"] == "/docs"


@pytest.mark.parametrize(
    ("name", "fields", "told"),
    [
        ("Staff", {}, "the name"),
        ("staff", "x", "a table"),
        ("staff", {"client_id": "x"}, "issuer"),
        ("staff", {"issuer": "https://id.example"}, "client_id"),
        ("staff", {"client_id": "x", "issuer": "http://id.example"}, "https"),
        ("staff", {"client_id": "x", "issuer": "https://id.example?x"}, "https"),
        ("staff", {"client_id": 7}, "a text"),
        ("staff", {"client": "x"}, "the fields are"),
        ("github", {"client_id": "x", "api": "ftp://x"}, "https"),
        ("google", {"client_id": "x"}, ""),
        ("github", {"client_id": "x"}, ""),
        ("staff", {"client_id": "x", "issuer": "http://[::1]:8080"}, ""),
    ],
)
def test_a_provider_that_cannot_be_used_is_told_at_the_start(
    name: str, fields: Any, told: str
) -> None:
    found = refusal_of(name, fields)
    assert (told in found) if told else found == ""


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("山田\u3000太郎", "山田 太郎"),
        ("👩\u200d💻 Ada", "👩\u200d💻 Ada"),
        (" A\x00d\na ", "Ada"),
        ({"x": 1}, None),
        ("", None),
    ],
)
def test_no_name_stands_in_the_way(browser: Browser, name: Any, shown: Any) -> None:
    browser.issuer.user["name"] = name
    assert browser.step() == "make"
    assert browser.confirm("make").status_code == 204
    assert browser.client.get("/accounts/me").json["name"] == shown


def test_an_unverified_account_keeps_a_valid_name(browser: Browser) -> None:
    with browser.app.app_context():
        create_user(EMAIL, is_verified=False)
        commit()
    browser.issuer.user["name"] = ""
    assert browser.step() == "make"
    assert browser.confirm("make").status_code == 204
    assert browser.client.get("/accounts/me").json["name"] is None


@pytest.mark.parametrize("email", ["ADA@MAIL.example", "ada@münchen.example"])
def test_another_spelling_of_an_address_is_the_same_account(
    browser: Browser, email: str
) -> None:
    known = {"ada@münchen.example": "ada@xn--mnchen-3ya.example"}
    make_user(browser.app, known.get(email, EMAIL))
    browser.issuer.user["email"] = email
    assert browser.step() == "prove"


@pytest.mark.parametrize(
    "email",
    [
        "ａda@mail.example",
        "ada",
        "ada@localhost",
        "ada@mail.example\r\nBcc: x",
        "x" * 300 + "@mail.example",
    ],
)
def test_an_address_that_is_none_is_a_page(browser: Browser, email: str) -> None:
    browser.issuer.user["email"] = email
    response = browser.back()
    assert response.status_code == 400
    assert "cannot be used here" in response.text


def test_an_address_and_its_proof_come_from_one_place(browser: Browser) -> None:
    def only(claim: str) -> Any:
        def spoil(claims: dict[str, Any]) -> None:
            for name in {"email", "email_verified"} - {claim}:
                del claims[name]

        return spoil

    browser.issuer.spoil = only("email")
    assert browser.step() == "make"
    # The proof of the ID token says nothing of the address of the other place.
    browser.issuer.spoil = only("email_verified")
    browser.issuer.userinfo = {"email": "eve@mail.example", "email_verified": False}
    assert browser.back().status_code == 403


@pytest.mark.parametrize("id", [None, [], True, "7", 1.5])
def test_an_id_of_github_is_a_number(app: App, issuer: Issuer, id: Any) -> None:
    issuer.github_id = id
    assert Browser(app, issuer, "github").back().status_code == 400


@pytest.mark.parametrize(
    "place",
    ["javascript:alert(1)//", "/x", "http://\ud800", f"https://{'x' * 70}.example"],
)
def test_an_authorization_endpoint_that_is_no_place_is_a_page(
    browser: Browser, place: str
) -> None:
    browser.issuer.metadata = {"authorization_endpoint": place}
    assert browser.get("/openid/sign-in/staff").status_code == 400


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"expires_in": 1e999}, 400),
        ({"padding": "x" * 2_000_000}, 503),
        ({"id_token": 7}, 400),
    ],
)
def test_a_strange_answer_is_a_page(
    browser: Browser, change: dict[str, Any], status: int
) -> None:
    browser.issuer.answer = change
    assert browser.back().status_code == status


def test_a_redirect_of_a_provider_is_not_followed(browser: Browser) -> None:
    other = f"{browser.issuer.url}/moved"
    browser.issuer.metadata = {"token_endpoint": other}
    assert browser.back().status_code == 400
    assert "/moved" in browser.issuer.asked and "/token" not in browser.issuer.asked


def test_one_request_waits_for_a_provider_a_bounded_time(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(browser.app.config, "OPENID_TIMEOUT", 0.5)
    # One byte at a time, without an end.
    browser.issuer.metadata = {"token_endpoint": f"{browser.issuer.url}/drip"}
    response = browser.back()
    assert response.status_code == 503 and "does not answer" in response.text


def test_what_an_issuer_has_changed_is_seen(browser: Browser) -> None:
    assert browser.step() == "make"
    issuer = browser.issuer
    issuer.key = RSAKey.import_key(
        {**key_of("two").as_dict(private=True), "kid": "one"}
    )
    issuer.published = issuer.key
    assert browser.back().status_code == 400
    assert browser.step() == "make"
    issuer.metadata = {"token_endpoint": f"{issuer.url}/login/oauth/access_token"}
    issuer.gone = {"/token"}
    assert browser.back().status_code in (400, 503)
    assert browser.step() == "make"


def test_a_name_in_the_settings_that_gets_another_issuer_knows_nobody(
    browser: Browser,
) -> None:
    make_user(browser.app, linked=True)
    with running_issuer() as other, providers_of(browser.app, other):
        assert Browser(browser.app, other).step() == "prove"


def test_a_password_that_is_reset_unlinks(browser: Browser) -> None:
    make_user(browser.app, linked=True)
    with browser.app.app_context():
        user = door.verified_user(EMAIL)
        assert user is not None
        token = create_reset_link(user)
        commit()
    body = {"token": token, "password": "five geese in a field"}
    url = "/accounts/password-reset/confirmation"
    browser.client.post(url, json=body, expect=204)
    assert browser.step() == "prove"


def test_an_account_that_changes_after_its_password_was_checked_is_not_linked(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_user(browser.app)
    assert browser.step() == "prove"
    sign_in = door.sign_in

    def change(*arguments: Any) -> Any:
        found = sign_in(*arguments)
        write(update(door.USERS).values(version=door.USERS.c.version + 1))
        return found

    monkeypatch.setattr(door, "sign_in", change)
    assert browser.confirm("prove", password=PASSWORD).status_code == 409
    with browser.app.app_context():
        assert find_linked(browser.issuer.url, ADA["sub"]) is None


def test_an_identity_that_is_linked_during_a_deletion_goes_with_it(
    own_app: App,
) -> None:
    with own_app.app_context():
        user = create_user()
        commit()
        if sql.engine.dialect.name == "sqlite":
            pytest.skip("SQLite has one writer at a time")
        linked_of(user.id)
        with ThreadPoolExecutor(1) as pool:
            pool.submit(link_elsewhere, own_app, user.id).result()
        drop_linked(user.id)
        commit()
    with own_app.app_context():
        assert linked_of(user.id) == []


def link_elsewhere(app: App, user_id: str) -> None:
    """Link an identity in a transaction of its own."""
    with app.app_context():
        create_linked(user_id)
        commit()


@pytest.mark.parametrize(
    ("email", "role", "env"),
    [(EMAIL, "disabled", ""), ("eve@demo.example", "readonly", "production")],
)
def test_who_may_not_sign_in_gets_no_account(
    browser: Browser, monkeypatch: pytest.MonkeyPatch, email: str, role: str, env: str
) -> None:
    with browser.app.app_context():
        create_user(email, role, is_verified=False)
        commit()
    browser.issuer.user["email"] = email
    assert browser.step() == "make"
    if env:
        cookies = {"openid-back": browser.client.get_cookie("openid-back").value}
        monkeypatch.setitem(browser.app.config, "ENV", env)
        browser.client.set_cookie("__Host-openid-back", cookies["openid-back"])
    assert browser.confirm("make").status_code == 403
