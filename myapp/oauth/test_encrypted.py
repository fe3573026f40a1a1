"""Encrypted access tokens that end with a session, RFC 7516."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwe
from joserfc.jwk import OctKey

from myapp.accounts.factories import PASSWORD
from myapp.core.http import App
from myapp.core.stores.redis import redis_store
from myapp.oauth import encrypted, signed
from myapp.oauth.test_oauth import ADA, Flow, needs_others, raw
from myapp.oauth.test_signed import MANY_ROUNDS, encoded

pytestmark = needs_others


@pytest.fixture
def flow(app: App) -> Flow:
    return Flow(app, access_tokens="jwe")


def test_an_encrypted_token_says_who_calls_and_tells_nothing(
    app: App, flow: Flow
) -> None:
    told = flow.tokens()
    token = told["access_token"]
    assert token.count(".") == 4 and told["expires_in"] == 3600
    assert flow.call(token) == 200
    sent = {"Authorization": f"Bearer {token}"}
    movie = {"title": "Metropolis", "year": 1927}
    flow.client.post("/catalog/movies/", json=movie, headers=sent)
    flow.client.post("/carts/", json={"items": []}, headers=sent, expect=403)
    again = flow.refresh(told["refresh_token"]).json
    assert flow.call(again["access_token"]) == 200
    form = {"data": {"token": token}, "headers": flow.auth}
    known = raw(flow.client, "POST", "/oauth/introspect", **form).json
    assert known["active"] is True and known["sub"] == flow.user
    (consent,) = flow.browser.get("/oauth/consents/").json["items"]
    assert "session" not in consent


def test_it_ends_with_the_session_and_so_does_its_refresh(flow: Flow) -> None:
    told = flow.tokens()
    other: Any = flow.app.test_client()
    other.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
    other.post("/accounts/session", json={"email": ADA, "password": PASSWORD})
    other.delete("/accounts/sessions/")
    assert flow.call(told["access_token"]) == 401
    form = {"data": {"token": told["access_token"]}, "headers": flow.auth}
    known = raw(flow.client, "POST", "/oauth/introspect", **form)
    assert known.json == {"active": False}
    assert flow.refresh(told["refresh_token"]).json["error"] == "invalid_grant"


def test_a_client_that_calls_for_itself_gets_opaque_ones(flow: Flow) -> None:
    told = flow.token(grant_type="client_credentials").json
    assert told["access_token"].startswith("myapp_at_")
    assert flow.call(told["access_token"]) == 200


def test_a_former_key_is_taken_and_a_removed_one_is_not(app: App, flow: Flow) -> None:
    token, config = flow.tokens()["access_token"], app.config
    former, fallbacks = config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"]
    try:
        config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"] = "x" * 40, [former]
        assert flow.call(token) == 200
        config["SECRET_KEY_FALLBACKS"] = []
        assert flow.call(token) == 401
    finally:
        config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"] = former, fallbacks


def claims_of(app: App, token: str) -> tuple[OctKey, dict[str, Any], dict[str, Any]]:
    """The key, the header and the claims of a token."""
    key = encrypted.key_of(app.config["SECRET_KEY"])
    found = jwe.decrypt_compact(token, key, algorithms=[*encrypted.ALGORITHMS])
    return key, encrypted.header_with(key.thumbprint()), json.loads(found.plaintext)


def forged(key: OctKey, header: Any, claims: Any) -> str:
    """A token by a key, with any algorithm that joserfc has."""
    text = json.dumps(claims).encode()
    names = [header["alg"], header["enc"], header.get("zip", "DEF")]
    return jwe.encrypt_compact(header, text, key, algorithms=names)


def with_changes(**changes: Any) -> Callable[..., str]:
    """A forgery that the key of the server encrypts, with other claims."""
    return lambda key, header, claims: forged(key, header, {**claims, **changes})


FORGERIES: dict[str, Callable[..., str]] = {
    "another key": lambda _key, header, claims: forged(
        OctKey.generate_key(256), header, claims
    ),
    "compressed": lambda key, header, claims: forged(
        key, {**header, "zip": "DEF"}, {**claims, "x": "0" * 200_000}
    ),
    "more in the header": lambda key, header, claims: forged(
        key, {**header, "cty": "JWT"}, claims
    ),
    "no kind": lambda key, header, claims: forged(
        key, {name: header[name] for name in ("alg", "enc", "kid")}, claims
    ),
    "unknown key": lambda key, header, claims: forged(
        key, {**header, "kid": "../../etc/passwd"}, claims
    ),
    "many rounds": lambda _key, header, _claims: ".".join(
        [
            encoded(
                {
                    **{**header, "alg": "PBES2-HS256+A128KW"},
                    **{"p2s": "AAAA", "p2c": MANY_ROUNDS},
                }
            ),
            *["", "AAAA", "AAAA", "AAAA"],
        ]
    ),
    "over": with_changes(exp=1),
    "another issuer": with_changes(iss="https://evil.example"),
    "another audience": with_changes(aud="https://evil.example"),
    "another feature": with_changes(aud="http://localhost/catalog"),
    "another session": with_changes(sid="0" * 64),
    "another user": with_changes(sub="00000000-0000-7000-8000-000000000001"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_a_401_in_the_same_words(app: App, flow: Flow, name: str) -> None:
    key, header, claims = claims_of(app, flow.tokens()["access_token"])
    headers = {"Authorization": f"Bearer {FORGERIES[name](key, header, claims)}"}
    response = raw(flow.client, "GET", "/carts/", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def test_a_token_with_another_bit_in_each_part_is_refused(app: App, flow: Flow) -> None:
    parts = flow.tokens()["access_token"].split(".")
    for number in (0, 2, 3, 4):
        part = parts[number]
        changed = ("A" if part[3] != "A" else "B").join((part[:3], part[4:]))
        token = ".".join([*parts[:number], changed, *parts[number + 1 :]])
        assert flow.call(token) == 401
    assert flow.call(".".join([parts[0], "AAAA", *parts[2:]])) == 401
    # A signed token is no encrypted one, and neither is text in its form.
    assert flow.call("....") == flow.call("a..b.c.d") == flow.call("a" * 5000) == 401
    with app.app_context():
        assert signed.read(".".join(parts)) is None
        assert parts[4] not in str(redis_store.keys("*"))
