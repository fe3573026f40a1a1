"""OAuth 2.0 over HTTP: the grants, what is refused, and what is used once."""

import hashlib
import re
import secrets
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from flask.testing import FlaskClient
from sqlalchemy import update

from myapp.accounts.door import USERS
from myapp.accounts.factories import PASSWORD, create_user
from myapp.core.http import App
from myapp.core.stores import commit
from myapp.core.stores.sql import rows, write
from myapp.core.testing import Client
from myapp.features import FEATURES
from myapp.oauth import tokens
from myapp.oauth.factories import CALLBACK, client_body, create_client
from myapp.oauth.models import digest_of

NEEDED = {"carts", "catalog"}
#: Clients are tried on other features, which may have been removed.
needs_others = pytest.mark.skipif(
    not NEEDED <= {row.name for row in FEATURES}, reason="calls carts and the catalog"
)
pytestmark = needs_others
ADA = "ada@mail.example"
# What the page of consent shows.
SHOWN = re.compile('name="scope" value="([^"]*)"')
FORM = "application/x-www-form-urlencoded"
# RFC 7636 appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


class Flow:
    """A user who is signed in, and a client that asks it.

    :ivar browser: with the session of the user.
    :ivar client: sends what the client itself sends.
    """

    def __init__(self, app: App, of_user: str = "editor", **overrides: Any) -> None:
        with app.app_context():
            user = create_user(ADA, of_user)
            made, self.secret = create_client(**overrides)
            commit()
            self.user, self.id = user.id, made.id
        self.app, self.client = app, app.test_client()
        self.browser: Any = app.test_client()
        self.browser.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
        body = {"email": ADA, "password": PASSWORD}
        self.browser.post("/accounts/session", json=body)
        self.auth = basic(self.id, self.secret) if self.secret else {}

    def query(self, **changes: Any) -> str:
        """The query of an authorization request."""
        asked = {
            "response_type": "code",
            "client_id": self.id,
            "redirect_uri": CALLBACK,
            "scope": "carts:read catalog:write",
            "state": "a state",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
            **changes,
        }
        return urlencode({name: value for name, value in asked.items() if value})

    def answer(self, decision: str = "allow", **changes: Any) -> dict[str, str]:
        """What the client learns from the redirect, after the user has decided."""
        response = self.decide(self.query(**changes), decision)
        assert response.status_code == 302, response.text
        place = urlsplit(response.headers["Location"])
        assert f"{place.scheme}://{place.netloc}{place.path}" == CALLBACK
        return {name: found[0] for name, found in parse_qs(place.query).items()}

    def decide(self, query: str, decision: str) -> Any:
        """The response to the decision of the user, on the page that was shown."""
        url = f"/oauth/authorize?{query}"
        shown = SHOWN.search(raw(self.browser, "GET", url).text)
        data = {"decision": decision, "scope": shown[1] if shown else ""}
        return raw(self.browser, "POST", url, data=data)

    def code(self, **changes: Any) -> str:
        """A code for the client."""
        return self.answer(**changes)["code"]

    def token(self, **form: Any) -> Any:
        """The response of the token endpoint."""
        headers = form.pop("headers", self.auth)
        return raw(self.client, "POST", "/oauth/token", data=form, headers=headers)

    def redeem(self, code: str, **changes: Any) -> Any:
        """The response to a code."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": CALLBACK,
            "code_verifier": VERIFIER,
            **changes,
        }
        return self.token(**{name: one for name, one in form.items() if one})

    def refresh(self, text: str, **changes: Any) -> Any:
        """The response to a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": text, **changes}
        return self.token(**form)

    def tokens(self, **changes: Any) -> dict[str, str]:
        """The tokens that a code brings."""
        response = self.redeem(self.code(**changes))
        assert response.status_code == 200, response.text
        found: dict[str, str] = response.json
        return found

    def call(self, token: str) -> int:
        """The status of a call with an access token: 200, or why not."""
        headers = {"Authorization": f"Bearer {token}"}
        return int(raw(self.client, "GET", "/carts/", headers=headers).status_code)


def raw(client: Any, method: str, url: str, **sent: Any) -> Any:
    """The response to a request, which no test client checks by a description."""
    return FlaskClient.open(client, url, method=method, buffered=True, **sent)


def basic(id: str, secret: str) -> dict[str, str]:
    """The header with the secret of a client, RFC 6749 section 2.3.1."""
    text = b64encode(f"{id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


@pytest.fixture
def flow(app: App) -> Flow:
    return Flow(app)


def test_a_user_allows_a_client_which_calls_within_its_scopes(
    client: Client, flow: Flow
) -> None:
    shown = flow.browser.get(f"/oauth/authorize?{flow.query()}")
    assert "Film club asks for access" in shown.text and ADA in shown.text
    assert "Change what is below /catalog" in shown.text
    policy = shown.headers["Content-Security-Policy"]
    assert "form-action 'self' https://films.example;" in policy
    answer = flow.answer()
    assert answer["state"] == "a state" and answer["iss"] == "http://localhost"
    response = flow.redeem(answer["code"])
    assert response.headers["Cache-Control"] == "no-store"
    told = response.json
    assert told["token_type"] == "Bearer" and 0 < told["expires_in"] <= 3600
    assert told["scope"] == "carts:read catalog:write"
    sent = {"Authorization": f"Bearer {told['access_token']}"}
    movie = {"title": "Metropolis", "year": 1927}
    client.post("/catalog/movies/", json=movie, headers=sent)
    client.get("/carts/", headers=sent)
    refused = client.post("/carts/", json={"items": []}, headers=sent, expect=403)
    assert 'scope="carts:write"' in refused.headers["WWW-Authenticate"]
    client.get("/accounts/me", headers=sent, expect=403)
    client.get("/oauth/clients/", headers=sent, expect=403)


def test_a_stranger_signs_in_first_and_comes_back(client: Client, flow: Flow) -> None:
    place = f"/oauth/authorize?{flow.query()}"
    response = client.get(place, expect=303)
    to = urlsplit(response.headers["Location"])
    assert to.path == "/accounts/sign-in"
    assert parse_qs(to.query)["next"] == [place]
    page = client.get(response.headers["Location"]).text
    assert 'data-next="/oauth/authorize?response_type=code&amp;' in page
    evil = ("//evil.example", "/\\evil.example", "https://evil.example", "/a b")
    for other in evil:
        page = client.get(f"/accounts/sign-in?{urlencode({'next': other})}").text
        assert 'data-next="/accounts/"' in page


def test_who_does_not_allow_it_is_sent_back_with_an_error(flow: Flow) -> None:
    answer = flow.answer("deny")
    assert answer["error"] == "access_denied" and answer["state"] == "a state"
    assert answer["iss"] == "http://localhost" and "code" not in answer


def test_a_page_of_another_site_allows_nothing(flow: Flow) -> None:
    url = f"/oauth/authorize?{flow.query()}"
    sent = {"data": {"decision": "allow"}}
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "none", "Origin": "null"},
        {"Origin": "https://evil"},
    ):
        response = raw(flow.browser, "POST", url, headers=headers, **sent)
        assert response.status_code == 403


WRONG_PLACES = [
    *("https://films.example/callback/", "https://films.example/callback?x=1"),
    *("https://films.example/callbac", "https://films.example/../callback"),
    *("https://films.example:443/callback", "https://FILMS.example/callback"),
    *("https://films.example@evil.example/callback", "https://evil.example/callback"),
    *("//films.example/callback", "http://films.example/callback"),
    *("javascript:alert(1)", "https://films.example/callback#x"),
    *('https://films.example/"callback', "https://films.example/c\u00e4llback"),
]


@pytest.mark.parametrize("place", WRONG_PLACES)
def test_no_other_place_gets_anything(flow: Flow, place: str) -> None:
    for method in ("GET", "POST"):
        url = f"/oauth/authorize?{flow.query(redirect_uri=place)}"
        response = raw(flow.browser, method, url, data={"decision": "allow"})
        assert response.status_code == 400 and "Location" not in response.headers
        assert response.mimetype == "text/html"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"scope": "catalog:all"}, "invalid_scope"),
        ({"scope": "teams:write"}, "invalid_scope"),
        ({"resource": "http://localhost/carts" + "/" * 600}, "invalid_target"),
        ({"resource": "https://evil.example/"}, "invalid_target"),
        ({"response_type": "token"}, "unsupported_response_type"),
    ],
)
def test_a_wrong_request_goes_back_with_an_error(
    flow: Flow, change: dict[str, Any], error: str
) -> None:
    answer = flow.answer(**change)
    assert answer["error"] == error and "code" not in answer
    assert answer["state"] == "a state" and answer["iss"] == "http://localhost"


def test_a_parameter_is_sent_once(flow: Flow) -> None:
    url = f"/oauth/authorize?{flow.query()}&scope=carts:write"
    assert raw(flow.browser, "GET", url).status_code == 400
    body = f"grant_type=client_credentials&grant_type=refresh_token&scope={'x' * 9}"
    sent = {"data": body, "content_type": FORM, "headers": flow.auth}
    response = raw(flow.client, "POST", "/oauth/token", **sent)
    assert response.status_code == 400 and response.json["error"] == "invalid_request"


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"code_verifier": "x" * 43}, "invalid_grant"),
        ({"code_verifier": CHALLENGE}, "invalid_grant"),
        ({"code_verifier": "short"}, "invalid_request"),
        ({"code_verifier": None}, "invalid_request"),
        ({"grant_type": None}, "invalid_request"),
        ({"redirect_uri": "https://films.example/other"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_grant"),
        ({"code": "x" * 43}, "invalid_grant"),
        ({"code": "\u00e9"}, "invalid_request"),
        ({"code": None}, "invalid_request"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"resource": "https://evil.example"}, "invalid_target"),
    ],
)
def test_a_code_is_not_redeemed_by_a_wrong_request(
    flow: Flow, change: dict[str, Any], error: str
) -> None:
    response = flow.redeem(**{"code": flow.code(), **change})
    assert response.status_code == 400, response.text
    assert response.json["error"] == error
    assert "access_token" not in response.json


@pytest.mark.parametrize("way", ["wrong", "none", "post", "twice", "unknown", "url"])
def test_a_client_proves_that_it_is_one(flow: Flow, way: str) -> None:
    form: dict[str, Any] = {"grant_type": "client_credentials"}
    secret = {"client_id": flow.id, "client_secret": flow.secret}
    if way == "wrong":
        form["headers"] = basic(flow.id, f"{flow.secret}x")
    elif way == "unknown":
        form["headers"] = basic(flow.id[::-1], flow.secret)
    elif way in ("none", "url"):
        form |= {"headers": {}, "client_id": flow.id}
    elif way == "post":
        form |= {"headers": {}, **secret}
    else:
        form |= secret
    if way == "url":
        del form["headers"]
        url = f"/oauth/token?{urlencode(secret)}"
        response = raw(flow.client, "POST", url, data=form)
    else:
        response = flow.token(**form)
    expect = {"post": 200, "twice": 400}.get(way, 401)
    assert response.status_code in (expect, 400 if expect == 401 else expect)
    if way != "post":
        error = "invalid_request" if way == "twice" else "invalid_client"
        assert response.json["error"] == error


def test_a_client_calls_for_itself(client: Client, app: App) -> None:
    flow = Flow(app, "readonly", scopes=["catalog:write"], role="editor")
    response = flow.token(grant_type="client_credentials")
    assert "refresh_token" not in response.json
    sent = {"Authorization": f"Bearer {response.json['access_token']}"}
    movie = {"title": "Metropolis", "year": 1927}
    client.post("/catalog/movies/", json=movie, headers=sent)
    refused = flow.token(grant_type="client_credentials", scope="carts:read")
    assert refused.json["error"] == "invalid_scope"


def test_a_code_is_used_once_and_its_second_use_ends_its_tokens(flow: Flow) -> None:
    code = flow.code()
    told = flow.redeem(code).json
    assert flow.call(told["access_token"]) == 200
    assert flow.redeem(code).json["error"] == "invalid_grant"
    assert flow.call(told["access_token"]) == 401
    again = flow.refresh(told["refresh_token"])
    assert again.json["error"] == "invalid_grant"


def test_another_client_does_not_use_up_a_code(app: App, flow: Flow) -> None:
    with app.app_context():
        made, secret = create_client(name="Another")
        commit()
    code = flow.code()
    refused = flow.redeem(code, headers=basic(made.id, secret))
    assert refused.json["error"] == "invalid_grant"
    assert flow.redeem(code).status_code == 200


def test_a_code_lasts_a_minute(app: App, flow: Flow) -> None:
    code = flow.code()
    with app.app_context():
        past = datetime.now(UTC) - timedelta(seconds=1)
        write(update(tokens.CODES).values(expires_at=past))
        commit()
    assert flow.redeem(code).json["error"] == "invalid_grant"


def test_a_refresh_token_is_used_once(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json
    assert flow.call(second["access_token"]) == 200
    # The answer was lost: the same one comes again.
    again = flow.refresh(first["refresh_token"]).json
    for key in ("access_token", "refresh_token", "scope"):
        assert again[key] == second[key]
    third = flow.refresh(second["refresh_token"]).json
    assert third["refresh_token"] not in (first["refresh_token"], second)
    monkeypatch.setattr(tokens, "GRACE", timedelta())
    for text in (first["refresh_token"], third["refresh_token"]):
        assert flow.refresh(text).json["error"] == "invalid_grant"
    assert flow.call(third["access_token"]) == 401


def test_a_used_refresh_token_whose_child_was_used_ends_all(flow: Flow) -> None:
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json
    third = flow.refresh(second["refresh_token"]).json
    assert flow.refresh(first["refresh_token"]).json["error"] == "invalid_grant"
    assert flow.call(third["access_token"]) == 401


def test_a_refresh_narrows_scopes_and_never_widens_them(flow: Flow) -> None:
    first = flow.tokens()
    wide = "carts:read carts:write"
    refused = flow.refresh(first["refresh_token"], scope=wide)
    assert refused.json["error"] == "invalid_scope"
    for blank in (" ", "  "):
        refused = flow.refresh(first["refresh_token"], scope=blank)
        assert refused.json["error"] == "invalid_scope"
    narrow = flow.refresh(first["refresh_token"], scope="catalog:write").json
    assert narrow["scope"] == "catalog:write"
    assert flow.call(narrow["access_token"]) == 403
    # The refresh token stays as it was, RFC 6749 section 6.
    last = flow.refresh(narrow["refresh_token"]).json
    assert last["scope"] == "carts:read catalog:write"


def test_a_refresh_for_one_resource_leaves_the_others(flow: Flow) -> None:
    first = flow.tokens()
    place = "http://localhost/catalog"
    narrow = flow.refresh(first["refresh_token"], resource=place).json
    assert flow.call(narrow["access_token"]) == 401
    assert flow.call(flow.refresh(narrow["refresh_token"]).json["access_token"]) == 200


def test_consents_do_not_live_for_ever(app: App, flow: Flow) -> None:
    first = flow.tokens()
    second = flow.refresh(first["refresh_token"]).json
    with app.app_context():
        table = tokens.TOKENS
        ends = {
            row.digest: row.expires_at
            for row in rows(tokens.select(table).where(table.c.is_refresh))
        }
    known = [ends[digest_of(one["refresh_token"])] for one in (first, second)]
    assert abs((known[0] - known[1]).total_seconds()) < 1


def test_another_client_does_not_refresh(app: App, flow: Flow) -> None:
    with app.app_context():
        made, secret = create_client(name="Another")
        commit()
    told = flow.tokens()
    other = {"headers": basic(made.id, secret)}
    refused = flow.refresh(told["refresh_token"], **other)
    assert refused.json["error"] == "invalid_grant"
    assert flow.refresh(told["access_token"]).json["error"] == "invalid_grant"
    assert flow.refresh(told["refresh_token"]).status_code == 200


def test_a_public_client_has_no_secret(app: App) -> None:
    grants = ["authorization_code", "refresh_token"]
    flow = Flow(app, is_confidential=False, grants=grants)
    assert flow.secret == ""
    named = {"client_id": flow.id}
    told = flow.redeem(flow.code(), **named).json
    assert flow.refresh(told["refresh_token"], **named).status_code == 200
    refused = flow.redeem(flow.code(), client_secret="x", **named)
    assert refused.json["error"] == "invalid_client"


def test_a_token_is_revoked(flow: Flow) -> None:
    told = flow.tokens()

    def revoke(text: str, **sent: Any) -> int:
        sent = {"headers": flow.auth, **sent}
        form = {"token": text, "token_type_hint": "anything"}
        url = "/oauth/revoke"
        return int(raw(flow.client, "POST", url, data=form, **sent).status_code)

    assert revoke(told["access_token"], headers={}) == 401
    assert revoke("unknown") == 200
    assert revoke(told["access_token"]) == 200
    assert flow.call(told["access_token"]) == 401
    second = flow.refresh(told["refresh_token"]).json
    assert revoke(second["refresh_token"]) == 200
    assert flow.call(second["access_token"]) == 401
    assert flow.refresh(second["refresh_token"]).json["error"] == "invalid_grant"


def test_a_client_learns_what_its_own_token_is(app: App, flow: Flow) -> None:
    told = flow.tokens()

    def introspect(text: str, headers: Any = None) -> Any:
        sent: Any = {"data": {"token": text}, "headers": headers or flow.auth}
        return raw(flow.client, "POST", "/oauth/introspect", **sent)

    found = introspect(told["access_token"]).json
    assert found["active"] is True and found["sub"] == flow.user
    assert found["scope"] == "carts:read catalog:write"
    assert introspect(told["refresh_token"]).json["token_type"] == "refresh_token"
    with app.app_context():
        made, secret = create_client(name="Another")
        commit()
    for text, headers in (
        (told["access_token"], basic(made.id, secret)),
        ("unknown", None),
        ("myapp_at_\x00", None),
    ):
        response = introspect(text, headers)
        active = response.json.get("active", False)
        assert active is False and "sub" not in response.json
    flow.refresh(told["refresh_token"])
    assert introspect(told["refresh_token"]).json == {"active": False}
    nobody = raw(flow.client, "POST", "/oauth/introspect", data={"token": "x"})
    assert nobody.status_code == 401


def test_the_metadata_say_what_is_so(app: App, flow: Flow) -> None:
    found = raw(flow.client, "GET", "/.well-known/oauth-authorization-server").json
    assert found["issuer"] == "http://localhost"
    secure = {name: str(one).replace("http:", "https:") for name, one in found.items()}
    checked = AuthorizationServerMetadata(
        {
            name: secure[name] if isinstance(one, str) else one
            for name, one in found.items()
        }
    )
    checked.validate()
    assert found["code_challenge_methods_supported"] == ["S256"]
    assert "password" not in found["grant_types_supported"]
    assert "catalog:write" in found["scopes_supported"]
    for name, url in found.items():
        if name.endswith("_endpoint"):
            path = urlsplit(url).path
            assert raw(flow.client, "POST", path).status_code in (400, 401), name


def test_a_token_for_one_resource_is_for_no_other(flow: Flow) -> None:
    place = "http://localhost/carts"
    told = flow.redeem(flow.code(resource=place), resource=place).json
    assert flow.call(told["access_token"]) == 200
    headers = {"Authorization": f"Bearer {told['access_token']}"}
    body = {"title": "Metropolis", "year": 1927}
    url = "/catalog/movies/"
    other = raw(flow.client, "POST", url, json=body, headers=headers)
    assert other.status_code == 401
    code = flow.code(resource=place)
    wide = flow.redeem(code, resource="http://localhost/")
    assert wide.json["error"] == "invalid_target"


def test_tokens_end_with_their_user_and_their_client(app: App, flow: Flow) -> None:
    changes = {"old_password": PASSWORD, "new_password": "seven geese on the roof"}
    told = flow.tokens()
    flow.browser.post("/accounts/me/password", json=changes, expect=204)
    assert flow.call(told["access_token"]) == 401
    assert flow.refresh(told["refresh_token"]).json["error"] == "invalid_grant"
    told = flow.tokens()
    (consent,) = flow.browser.get("/oauth/consents/").json["items"]
    assert consent["client_name"] == "Film club" and "user_id" not in consent
    flow.browser.delete(f"/oauth/consents/{consent['id']}")
    assert flow.call(told["access_token"]) == 401
    told = flow.tokens()
    with app.app_context():
        tokens.write(tokens.delete(tokens.CLIENTS))
        commit()
    assert flow.call(told["access_token"]) == 401


@pytest.mark.parametrize("what", ["disabled", "unverified"])
def test_a_user_who_may_not_sign_in_has_no_token(
    app: App, flow: Flow, what: str
) -> None:
    told, code = flow.tokens(), flow.code()
    fields: Any = {"role": "disabled"} if what == "disabled" else {"verified_at": None}
    with app.app_context():
        write(update(USERS).values(**fields))
        commit()
    if what == "disabled":
        assert flow.call(told["access_token"]) == 401
    assert flow.redeem(code).json["error"] == "invalid_grant"
    assert flow.refresh(told["refresh_token"]).json["error"] == "invalid_grant"


def test_the_grant_by_password_is_off_unless_two_turn_it_on(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    grants = ["password", "refresh_token"]
    flow = Flow(app, grants=grants, redirect_uris=[])
    form = {"grant_type": "password", "username": ADA, "password": PASSWORD}
    assert flow.token(**form).json["error"] == "unsupported_grant_type"
    monkeypatch.setitem(app.config, "OAUTH_PASSWORDS", True)
    told = flow.token(**form).json
    assert flow.call(told["access_token"]) == 200
    assert flow.refresh(told["refresh_token"]).status_code == 200
    wrong = flow.token(**form | {"password": "seven geese on the roof"})
    assert wrong.json["error"] == "invalid_grant"
    with app.app_context():
        made, secret = create_client(name="Another")
        commit()
    other = flow.token(**form, headers=basic(made.id, secret))
    assert other.json["error"] == "unauthorized_client"


def test_the_tries_of_the_grant_by_password_are_limited(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(app.config, "OAUTH_PASSWORDS", True)
    flow = Flow(app, grants=["password"], redirect_uris=[])
    form = {"grant_type": "password", "username": "eve@mail.example", "password": "x"}
    found = [flow.token(**form).status_code for _ in range(11)]
    assert found == [400] * 10 + [429]


def test_only_digests_are_stored(app: App, flow: Flow) -> None:
    code = flow.code()
    told = flow.redeem(code).json
    with app.app_context():
        tables = (tokens.CLIENTS, tokens.CONSENTS, tokens.CODES, tokens.TOKENS)
        stored = str([rows(tokens.select(table)) for table in tables])
    texts = (code, told["access_token"], told["refresh_token"], flow.secret)
    for text in texts:
        assert text not in stored and digest_of(text) in stored


def test_no_secret_is_in_the_log(flow: Flow, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        code = flow.code()
        told = flow.redeem(code).json
        flow.refresh(told["refresh_token"])
    text = caplog.text + str([vars(record) for record in caplog.records])
    for secret in (code, told["access_token"], told["refresh_token"], flow.secret):
        assert secret not in text


def test_what_is_over_is_deleted(app: App, flow: Flow) -> None:
    flow.tokens()
    told = flow.tokens()
    flow.code()
    with app.app_context():
        past = datetime.now(UTC) - timedelta(seconds=1)
        table = tokens.TOKENS
        kept = table.c.digest == digest_of(told["refresh_token"])
        write(update(table).values(expires_at=past).where(~kept))
        write(update(tokens.CONSENTS).values(expires_at=past))
        assert tokens.drop_old() == 3 + 2
        commit()
    assert flow.refresh(told["refresh_token"]).status_code == 200


def at_once(count: int, act: Any) -> list[Any]:
    """What calls of a function bring that begin together."""
    with ThreadPoolExecutor(count) as pool:
        return [*pool.map(act, range(count))]


@pytest.fixture
def raced(own_app: App) -> Iterator[Flow]:
    yield Flow(own_app)


def test_of_ten_redemptions_at_once_one_succeeds(raced: Flow) -> None:
    for _ in range(3):
        code = raced.code()
        found = at_once(10, lambda _: raced.redeem(code))
        statuses = sorted(one.status_code for one in found)
        assert statuses == [200] + [400] * 9
        # The others have used it a second time, which ends what came of it.
        (told,) = [one.json for one in found if one.status_code == 200]
        assert raced.call(told["access_token"]) == 401


def test_of_twenty_refreshes_at_once_one_branch_lives(raced: Flow) -> None:
    for _ in range(3):
        first = raced.tokens()
        found = at_once(20, lambda _: raced.refresh(first["refresh_token"]))
        assert {one.status_code for one in found} == {200}
        assert len({one.json["refresh_token"] for one in found}) == 1
        assert len({one.json["access_token"] for one in found}) == 1
        with raced.app.app_context():
            table = tokens.TOKENS
            unused = tokens.select(table).where(table.c.used_at.is_(None))
            live = [row for row in rows(unused) if row.is_refresh]
        text = found[0].json["refresh_token"]
        assert digest_of(text) in {row.digest for row in live}
        raced.refresh(text)


def test_a_client_is_made_by_a_user_and_has_its_role(app: App, flow: Flow) -> None:
    response = flow.browser.post("/oauth/clients/", json=client_body())
    made = response.json
    assert response.headers["Cache-Control"] == "no-store"
    assert made["owner_id"] == flow.user and made["role"] == "readonly"
    place = response.headers["Location"]
    assert "client_secret" not in flow.browser.get(place).json
    secret = flow.browser.post(f"{place}/secret", expect=200).json["client_secret"]
    form = {"grant_type": "client_credentials"}
    old, new = (basic(made["id"], one) for one in (made["client_secret"], secret))
    assert flow.token(**form, headers=old).json["error"] == "invalid_client"
    told = flow.token(**form, headers=new).json
    assert flow.call(told["access_token"]) == 200
    refused = flow.browser.put(place, json=client_body(name="x"), expect=200)
    assert refused.json["name"] == "x"
    flow.browser.delete(place)
    assert flow.call(told["access_token"]) == 401


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uris": ["http://films.example/callback"]},
        {"redirect_uris": ["https://films.example/callback#x"]},
        {"redirect_uris": ["https://user@films.example/callback"]},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": ["data:text/html,x"]},
        {"redirect_uris": ["//films.example"]},
        {"redirect_uris": ["https://films.example/\u00e4"]},
        {"redirect_uris": ["https://[films"]},
        {"redirect_uris": ["https://films.example;script-src/cb"]},
        {"redirect_uris": ["https://*/cb"]},
        {"redirect_uris": []},
        {"scopes": ["catalog:all"]},
        {"is_confidential": False},
    ],
)
def test_a_client_that_makes_no_sense_is_refused(
    flow: Flow, change: dict[str, Any]
) -> None:
    flow.browser.post("/oauth/clients/", json=client_body(**change), expect=400)


@pytest.mark.parametrize(
    "place", ["com.films.app:/callback", "http://127.0.0.1:7777/", "http://[::1]/x"]
)
def test_an_application_has_a_place_of_its_own(flow: Flow, place: str) -> None:
    body = client_body(redirect_uris=[place])
    flow.browser.post("/oauth/clients/", json=body)


def test_a_client_is_made_on_the_command_line(app: App) -> None:
    run = app.test_cli_runner().invoke
    words = ["oauth", "create-client", "Robot", "--grant", "client_credentials"]
    told = run(args=[*words, "--scope", "catalog:write", "--role", "editor"])
    found = re.findall(r"client_\w+ +(\S+)", told.output)
    assert told.exit_code == 0 and len(found) == 2, told.output
    form = {"grant_type": "client_credentials"}
    sent = {"data": form, "headers": basic(*found)}
    response = raw(app.test_client(), "POST", "/oauth/token", **sent)
    assert response.json["scope"] == "catalog:write"
    assert run(args=[*words, "--scope", "nothing:write"]).exit_code == 1
    assert run(args=[*words, "--scope", "x", "--role", "king"]).exit_code == 2


def test_a_challenge_is_the_digest_of_its_verifier() -> None:
    digest = hashlib.sha256(VERIFIER.encode()).digest()
    assert urlsafe_b64encode(digest).decode().rstrip("=") == CHALLENGE
    assert len(secrets.token_urlsafe(tokens.SECRET_BYTES)) == 43


@pytest.mark.parametrize("blank", ["%20", "+", "%20%20"])
def test_a_blank_scope_is_not_all_scopes(flow: Flow, blank: str) -> None:
    url = f"/oauth/authorize?{flow.query(scope=None)}&scope={blank}"
    for method in ("GET", "POST"):
        response = raw(flow.browser, method, url, data={"decision": "allow"})
        assert response.status_code == 400
    body = f"grant_type=client_credentials&scope={blank}"
    sent: Any = {"data": body, "content_type": FORM, "headers": flow.auth}
    response = raw(flow.client, "POST", "/oauth/token", **sent)
    assert response.json["error"] == "invalid_scope"


def test_a_refused_refresh_does_not_use_the_token_up(app: App, flow: Flow) -> None:
    told = flow.redeem(flow.code(resource="http://localhost/carts")).json
    for wrong in ("bad", "http://localhost/catalog"):
        refused = flow.refresh(told["refresh_token"], resource=wrong)
        assert refused.json["error"] == "invalid_target"
    with app.app_context():
        fewer = update(tokens.CLIENTS).values(scopes=["carts:read"])
        write(fewer)
        commit()
    refused = flow.refresh(told["refresh_token"], scope="catalog:write")
    assert refused.json["error"] == "invalid_scope"
    assert flow.refresh(told["refresh_token"]).json["scope"] == "carts:read"
    assert flow.call(told["access_token"]) == 200


@pytest.mark.parametrize("text", ["", "\xff\xfe", "/+8=", "OjpA", "AGE6Yg==", "x"])
def test_credentials_that_cannot_be_read_are_refused(flow: Flow, text: str) -> None:
    headers = {"Authorization": f"Basic {text}"}
    for name in ("token", "revoke", "introspect", "device_authorization"):
        form = {"grant_type": "client_credentials", "token": "x"}
        sent: Any = {"data": form, "headers": headers}
        response = raw(flow.client, "POST", f"/oauth/{name}", **sent)
        assert response.status_code in (400, 401), name
        assert response.json["error"] == "invalid_client"
        told = response.headers.get("WWW-Authenticate", "")
        assert (response.status_code == 401) == told.startswith('Basic realm="oauth"')
    both = {"grant_type": "client_credentials", "client_id": "another"}
    assert flow.token(**both).json["error"] == "invalid_request"
    parts = {"data": {"grant_type": "x"}, "content_type": "multipart/form-data"}
    response = raw(flow.client, "POST", "/oauth/token", **parts)
    assert response.json["error"] == "invalid_request"


def test_a_name_with_nul_is_no_name(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(app.config, "OAUTH_PASSWORDS", True)
    flow = Flow(app, grants=["password"], redirect_uris=[])
    form = {"grant_type": "password", "username": f"{ADA}\0", "password": PASSWORD}
    assert flow.token(**form).json["error"] == "invalid_request"


def test_a_user_allows_what_the_page_has_shown(flow: Flow) -> None:
    url = f"/oauth/authorize?{flow.query(scope=None)}"
    data = {"decision": "allow", "scope": "carts:read"}
    response = raw(flow.browser, "POST", url, data=data)
    assert response.status_code == 200 and "asks for access" in response.text


def test_a_client_goes_with_its_owner(app: App, flow: Flow) -> None:
    made = flow.browser.post("/oauth/clients/", json=client_body()).json
    auth = basic(made["id"], made["client_secret"])
    form = {"grant_type": "client_credentials"}
    told = flow.token(**form, headers=auth).json
    copy = flow.browser.get("/accounts/me/export").json
    assert [one["id"] for one in copy["clients"]] == [made["id"]]
    with app.app_context():
        write(update(USERS).values(role="disabled"))
        commit()
    assert flow.token(**form, headers=auth).json["error"] == "invalid_client"
    text = {"token": told["access_token"]}
    sent: Any = {"data": text, "headers": auth}
    response = raw(flow.client, "POST", "/oauth/introspect", **sent)
    assert response.json == {"active": False}
    with app.app_context():
        write(update(USERS).values(role="editor"))
        commit()
    flow.browser.post("/accounts/session", json={"email": ADA, "password": PASSWORD})
    flow.browser.post("/accounts/me/deletion", json={"password": PASSWORD}, expect=204)
    assert flow.token(**form, headers=auth).json["error"] == "invalid_client"


def test_a_token_does_not_see_the_page_of_the_account(flow: Flow) -> None:
    headers = {"Authorization": f"Bearer {flow.tokens()['access_token']}"}
    assert ADA not in raw(flow.client, "GET", "/accounts/", headers=headers).text


def test_what_is_made_while_a_user_is_signed_out_does_not_outlive_it(
    own_app: App,
) -> None:
    flow = Flow(own_app)
    first, second = PASSWORD, "seven geese on the roof"
    end = (datetime.now(UTC) + timedelta(days=3)).isoformat()
    for _ in range(4):
        asked = flow.query()
        change = {"old_password": first, "new_password": second}

        def act(number: int) -> Any:
            if number == 0:
                url = "/accounts/me/password"
                return raw(flow.browser, "POST", url, json=change)
            if number == 1:
                return flow.decide(asked, "allow")
            body = {"name": "x", "scopes": ["carts:read"], "expires_at": end}
            return raw(flow.browser, "POST", "/accounts/me/tokens", json=body)

        changed, _, made = at_once(3, act)
        if changed.status_code == 204:
            first, second = second, first
        flow.browser.post("/accounts/session", json={"email": ADA, "password": first})
        if changed.status_code == 204:
            assert flow.browser.get("/oauth/consents/").json["items"] == []
            assert flow.browser.get("/accounts/me/tokens").json["items"] == []
        assert made.status_code in (201, 401, 409)


def test_a_client_that_is_deleted_meanwhile_is_no_error(own_app: App) -> None:
    flow = Flow(own_app)
    for _ in range(3):
        made = flow.browser.post("/oauth/clients/", json=client_body()).json
        auth = basic(made["id"], made["client_secret"])

        def act(number: int) -> int:
            if number:
                form = {"grant_type": "client_credentials"}
                return int(flow.token(**form, headers=auth).status_code)
            url = f"/oauth/clients/{made['id']}"
            return int(raw(flow.browser, "DELETE", url).status_code)

        found = at_once(4, act)
        assert found[0] == 204 and set(found[1:]) <= {200, 401}, found
