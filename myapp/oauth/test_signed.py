"""Signed access tokens, RFC 9068: read without a look-up, and no other is taken."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import Any

import pytest
from joserfc import jwe, jwt
from joserfc.jwk import OctKey, OKPKey
from sqlalchemy import event

from myapp.core.http import App
from myapp.core.stores.sql import sql
from myapp.oauth import signed
from myapp.oauth.test_oauth import Flow, needs_others, raw

pytestmark = needs_others

MANY_ROUNDS = 2**31 - 1


@pytest.fixture
def flow(app: App) -> Flow:
    return Flow(app, access_tokens="jwt")


def encoded(value: Any) -> str:
    """A part of a token."""
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(text).decode().rstrip("=")


def parts_of(token: str) -> list[Any]:
    """The header and the claims of a token."""
    return [
        json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    ]


def test_a_signed_token_says_who_calls(app: App, flow: Flow) -> None:
    told = flow.tokens()
    header, claims = parts_of(told["access_token"])
    assert header["alg"] == "Ed25519" and header["typ"] == "at+jwt"
    assert claims["sub"] == flow.user and claims["client_id"] == flow.id
    assert claims["iss"] == claims["aud"] == "http://localhost"
    assert claims["exp"] - claims["iat"] == told["expires_in"] == 300
    assert claims["role"] == "editor" and claims["scope"] == told["scope"]
    sent = {"Authorization": f"Bearer {told['access_token']}"}
    movie = {"title": "Metropolis", "year": 1927}
    flow.client.post("/catalog/movies/", json=movie, headers=sent)
    refused = flow.client.post("/carts/", json={"items": []}, headers=sent, expect=403)
    assert 'scope="carts:write"' in refused.headers["WWW-Authenticate"]
    again = flow.refresh(told["refresh_token"]).json
    assert flow.call(again["access_token"]) == 200
    lost = flow.refresh(told["refresh_token"]).json
    assert lost["refresh_token"] == again["refresh_token"]
    assert flow.call(lost["access_token"]) == 200


def test_it_is_read_without_a_look_up(app: App, flow: Flow) -> None:
    token, seen = flow.tokens()["access_token"], []
    with app.app_context():
        engine = sql.engine

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(engine, "before_cursor_execute", see)
    try:
        assert flow.call(token) == 200
    finally:
        event.remove(engine, "before_cursor_execute", see)
    assert seen == []


def test_others_check_it_by_the_published_keys(flow: Flow) -> None:
    token = flow.tokens()["access_token"]
    found = raw(flow.client, "GET", "/.well-known/oauth-authorization-server").json
    assert found["jwks_uri"] == "http://localhost/oauth/jwks"
    (known,) = raw(flow.client, "GET", "/oauth/jwks").json["keys"]
    assert "d" not in known and known["kid"] == parts_of(token)[0]["kid"]
    checked = jwt.decode(token, OKPKey.import_key(known), algorithms=["Ed25519"])
    assert checked.claims["sub"] == flow.user


def test_a_client_knows_its_token_and_cannot_end_it(flow: Flow) -> None:
    token = flow.tokens()["access_token"]
    for url in ("introspect", "revoke", "introspect"):
        sent = {"data": {"token": token}, "headers": flow.auth}
        response = raw(flow.client, "POST", f"/oauth/{url}", **sent)
        assert response.status_code == 200
        assert url == "revoke" or response.json["sub"] == flow.user


def test_a_former_key_is_taken_and_a_removed_one_is_not(app: App, flow: Flow) -> None:
    token, config = flow.tokens()["access_token"], app.config
    former, fallbacks = config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"]
    try:
        config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"] = "x" * 40, [former]
        assert flow.call(token) == 200
        assert len(raw(flow.client, "GET", "/oauth/jwks").json["keys"]) == 2
        newer = flow.token(grant_type="client_credentials").json["access_token"]
        assert parts_of(newer)[0]["kid"] != parts_of(token)[0]["kid"]
        config["SECRET_KEY_FALLBACKS"] = []
        assert flow.call(token) == 401
        assert flow.call(newer) == 200
    finally:
        config["SECRET_KEY"], config["SECRET_KEY_FALLBACKS"] = former, fallbacks


def own_key(app: App) -> OKPKey:
    """The key of the server."""
    return signed.key_of(app.config["SECRET_KEY"])


def signed_by(key: Any, header: Any, claims: Any) -> str:
    """A token by any key."""
    return jwt.encode(header, claims, key, algorithms=[header["alg"]])


def by_own_key(**changes: Any) -> Callable[..., str]:
    """A forgery that the key of the server signs, with other claims or headers."""

    def forge(app: App, header: Any, claims: Any) -> str:
        for name, value in changes.items():
            part = header if name in ("typ", "kid", "crit") else claims
            part[name] = value
            if value is None:
                del part[name]
        return signed_by(own_key(app), header, claims)

    return forge


def public_text(app: App) -> bytes:
    """The public key of the server, as a secret of HMAC."""
    return json.dumps(own_key(app).as_dict(private=False)).encode()


def no_algorithm(_app: App, header: Any, claims: Any) -> str:
    return f"{encoded({**header, 'alg': 'none'})}.{encoded(claims)}."


def no_signature(_app: App, header: Any, claims: Any) -> str:
    return f"{encoded(header)}.{encoded(claims)}.{encoded(b'')}"


def by_hmac(app: App, header: Any, claims: Any) -> str:
    text = f"{encoded({**header, 'alg': 'HS256'})}.{encoded(claims)}"
    made = hmac.new(public_text(app), text.encode(), "sha256").digest()
    return f"{text}.{encoded(made)}"


def by_another_key(_app: App, header: Any, claims: Any) -> str:
    return signed_by(OKPKey.generate_key("Ed25519"), header, claims)


def by_the_key_it_brings(_app: App, header: Any, claims: Any) -> str:
    key = OKPKey.generate_key("Ed25519")
    brought = {**header, "jwk": key.as_dict(private=False)}
    text = f"{encoded(brought)}.{encoded(claims)}"
    signature = key.private_key.sign(text.encode())
    return f"{text}.{encoded(signature)}"


def encrypted(_app: App, _header: Any, claims: Any) -> str:
    key = OctKey.generate_key(256)
    header = {"alg": "dir", "enc": "A256GCM"}
    return jwe.encrypt_compact(header, json.dumps(claims).encode(), key)


def by_many_rounds(_app: App, _header: Any, _claims: Any) -> str:
    header = {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": MANY_ROUNDS}
    return f"{encoded({**header, 'p2s': 'AAAA'})}.AAAA.AAAA.AAAA.AAAA"


def nested(app: App, header: Any, claims: Any) -> str:
    inner = signed_by(own_key(app), dict(header), claims)
    return f"{encoded({**header, 'cty': 'JWT'})}.{encoded(inner.encode())}.AAAA"


FORGERIES = {
    "none": no_algorithm,
    "unsigned": no_signature,
    "hmac": by_hmac,
    "another key": by_another_key,
    "its own key": by_the_key_it_brings,
    "encrypted": encrypted,
    "many rounds": by_many_rounds,
    "nested": nested,
    "over": by_own_key(exp=1),
    "endless": by_own_key(exp=None),
    "text as time": by_own_key(exp="9999999999"),
    "yes as time": by_own_key(exp=True),
    "another issuer": by_own_key(iss="https://evil.example"),
    "no issuer": by_own_key(iss=None),
    "another audience": by_own_key(aud="https://evil.example"),
    "another feature": by_own_key(aud="http://localhost/catalog"),
    "audience that begins alike": by_own_key(aud="http://localhost.evil.example"),
    "list as audience": by_own_key(aud=["http://localhost"]),
    "no kind": by_own_key(typ=None),
    "identity token": by_own_key(typ="JWT"),
    "unknown key": by_own_key(kid="x"),
    "path as key": by_own_key(kid="../../../etc/passwd"),
    "statement as key": by_own_key(kid="' or 1=1 --"),
    "no role": by_own_key(role=None),
    "disabled": by_own_key(role="disabled"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_a_401_in_the_same_words(app: App, flow: Flow, name: str) -> None:
    header, claims = parts_of(flow.tokens()["access_token"])
    forged = FORGERIES[name](app, header, claims)
    headers = {"Authorization": f"Bearer {forged}"}
    response = raw(flow.client, "GET", "/carts/", headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    wrong = raw(flow.client, "GET", "/carts/", headers={"Authorization": "Bearer x"})
    assert response.json["detail"] == wrong.json["detail"]


def test_a_token_with_another_bit_is_refused(flow: Flow) -> None:
    token = flow.tokens()["access_token"]
    ends = [len(part) for part in token.split(".")]
    places = [0, ends[0] // 2, ends[0] + 2, ends[0] + ends[1] // 2, len(token) - 9]
    for place in places:
        other = "A" if token[place] != "A" else "B"
        assert flow.call(token[:place] + other + token[place + 1 :]) == 401
    for other in (f"{token}.{token}", token + "=", token.replace(".", "..", 1), "..."):
        assert flow.call(other) == 401
    assert flow.call("a." + "b" * 100_000 + ".c") in (400, 401, 431)


def test_a_client_calls_for_itself_with_at_most_the_role_of_its_owner(
    app: App, flow: Flow
) -> None:
    own = flow.token(grant_type="client_credentials").json["access_token"]
    claims = parts_of(own)[1]
    assert claims["sub"] == flow.id and claims["role"] == "readonly"


@pytest.mark.parametrize("crit", [["exp"], ["http://x"], [], "x"])
def test_what_is_critical_and_unknown_is_refused(
    app: App, flow: Flow, crit: Any
) -> None:
    header, claims = parts_of(flow.tokens()["access_token"])
    text = f"{encoded({**header, 'crit': crit})}.{encoded(claims)}"
    signature = own_key(app).private_key.sign(text.encode())
    assert flow.call(f"{text}.{encoded(signature)}") == 401
