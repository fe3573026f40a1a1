"""An issuer of OpenID Connect for the tests, on this machine, which can be made to
answer wrongly; it plays GitHub, too."""

import hashlib
import hmac
import json
import secrets
import threading
import time
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from flask import Flask, Response, redirect, request
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

from myapp.core.http import App
from myapp.openid.providers import add_providers

CLIENT, SECRET = "the-client", "the-secret"
ADA: dict[str, Any] = {
    "sub": "ada-1",
    "email": "ada@mail.example",
    "email_verified": True,
    "name": "Ada",
}


class Issuer:
    """An issuer.

    :ivar user: the claims of who signs in next.
    :ivar spoil: changes the claims of an ID token before they are signed.
    :ivar key: with which it signs.
    :ivar algorithm: of the signature; any other one is without its private key: none,
        or HS256 with the public key as the secret.
    :ivar metadata: what it changes in its metadata; anything but a table is sent as it
        is.
    :ivar status: of each answer, for one that is ill.
    :ivar gone: the paths that answer 404.
    :ivar answer: what it changes in the answer to a code.
    :ivar userinfo: what it changes in the claims of the userinfo endpoint.
    :ivar asked: the paths that were asked for.
    """

    def __init__(self) -> None:
        self.user = dict(ADA)
        self.spoil: Callable[[dict[str, Any]], Any] = lambda claims: None
        self.key: Any = key_of("one")
        self.published = self.key
        self.algorithm = "RS256"
        self.metadata: Any = {}
        self.status = 0
        self.gone: set[str] = set()
        self.answer: dict[str, Any] = {}
        self.userinfo: dict[str, Any] = {}
        self.github_id: Any = 7
        self.asked: list[str] = []
        self.codes: dict[str, dict[str, Any]] = {}
        self.tokens: dict[str, dict[str, Any]] = {}
        self.url = ""

    def make_app(self) -> Flask:
        """The application of the issuer."""
        app = Flask("issuer")

        @app.before_request
        def ill() -> Any:
            self.asked.append(request.path)
            status = self.status or (404 if request.path in self.gone else 0)
            return ("ill", status) if status else None

        app.get("/.well-known/openid-configuration")(self.configuration)
        app.get("/jwks")(self.keys)
        for path in ("/authorize", "/login/oauth/authorize"):
            app.get(path, endpoint=path)(self.authorize)
        for path in ("/token", "/login/oauth/access_token"):
            app.post(path, endpoint=path)(self.token)
        app.get("/userinfo")(self.claims)
        app.post("/moved")(lambda: redirect("/token", 307))
        app.post("/drip")(self.drip)
        app.get("/user")(self.github_user)
        app.get("/user/emails")(self.github_emails)
        return app

    def configuration(self) -> Any:
        """Its metadata."""
        if not isinstance(self.metadata, dict):
            return self.metadata
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            **self.metadata,
        }

    def keys(self) -> Any:
        """The keys with which its tokens can be checked."""
        return {"keys": [self.published.as_dict(private=False)]}

    def claims(self) -> Any:
        """What it says of the user of an access token."""
        return {**self.bearer()["user"], **self.userinfo}

    def drip(self) -> Any:
        """An answer that does not end."""

        def drops() -> Iterator[bytes]:
            for _ in range(600):
                yield b" "
                time.sleep(0.05)

        return Response(drops(), mimetype="application/json")

    def authorize(self) -> Any:
        """Sign the user in at once, and send the browser back."""
        place = self.back(request.url)
        return redirect(place)

    def back(self, url: str, **changes: str) -> str:
        """Where the browser goes after an authorization request.

        :param changes: of the parameters.
        """
        asked = {name: one[0] for name, one in parse_qs(urlsplit(url).query).items()}
        assert asked["code_challenge_method"] == "S256" and asked["state"]
        code = secrets.token_urlsafe()
        self.codes[code] = {**asked, "user": dict(self.user)}
        sent = {"code": code, "state": asked["state"], **changes}
        shown = {name: one for name, one in sent.items() if one}
        return f"{asked['redirect_uri']}?{urlencode(shown)}"

    def token(self) -> Any:
        """Exchange a code."""
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        sent = b64decode(text).decode() if scheme == "Basic" else ""
        if sent != f"{CLIENT}:{SECRET}":
            return {"error": "invalid_client"}, 401
        known = self.codes.pop(request.form["code"], None)
        if known is None or known["redirect_uri"] != request.form["redirect_uri"]:
            return {"error": "invalid_grant"}, 400
        digest = hashlib.sha256(request.form["code_verifier"].encode()).digest()
        if in_base64(digest) != known["code_challenge"]:
            return {"error": "invalid_grant"}, 400
        access = secrets.token_urlsafe()
        self.tokens[access] = known
        answer = {"access_token": access, "token_type": "Bearer", "expires_in": 60}
        if "nonce" in known:
            answer["id_token"] = self.id_token(known)
        return {**answer, **self.answer}

    def id_token(self, known: dict[str, Any]) -> str:
        """The ID token of a sign-in."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": CLIENT,
            "iat": now,
            "exp": now + 60,
            "nonce": known["nonce"],
            **known["user"],
        }
        self.spoil(claims)
        header = {"alg": self.algorithm, "kid": self.key.kid}
        if self.algorithm == "RS256":
            return jwt.encode(header, claims, self.key)
        signed = f"{in_base64(json.dumps(header))}.{in_base64(json.dumps(claims))}"
        secret = self.published.as_pem(private=False)
        digest = hmac.digest(secret, signed.encode(), "sha256")
        is_none = self.algorithm == "none"
        return f"{signed}." if is_none else f"{signed}.{in_base64(digest)}"

    def bearer(self) -> dict[str, Any]:
        """What an access token stands for."""
        token = request.headers["Authorization"].removeprefix("Bearer ")
        return self.tokens[token]

    def github_user(self) -> Any:
        """The user, as the API of GitHub tells."""
        user = self.bearer()["user"]
        return {"id": self.github_id, "login": "ada", "name": user["name"]}

    def github_emails(self) -> Any:
        """The addresses of the user, as the API of GitHub tells."""
        user = self.bearer()["user"]
        other = {"email": "old@mail.example", "primary": False, "verified": True}
        own = {"email": user["email"], "primary": True}
        return [other, {**own, "verified": user["email_verified"]}]


@cache
def key_of(kid: str) -> Any:
    """A key pair, which takes a while to be made."""
    return RSAKey.generate_key(2048, {"kid": kid}, auto_kid=False)


def in_base64(text: str | bytes) -> str:
    """A text in base64url, without padding."""
    sent = text.encode() if isinstance(text, str) else text
    return urlsafe_b64encode(sent).decode().rstrip("=")


@contextmanager
def running_issuer() -> Iterator[Issuer]:
    """An issuer that answers on this machine."""
    issuer = Issuer()
    server = make_server("127.0.0.1", 0, issuer.make_app(), threaded=True)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield issuer
    server.shutdown()
    thread.join()
    server.server_close()


@contextmanager
def providers_of(app: App, issuer: Issuer) -> Iterator[None]:
    """Let users of an application sign in with an issuer, as such and as GitHub."""
    own = {"client_id": CLIENT, "client_secret": SECRET}
    before, known = app.config["OPENID_PROVIDERS"], app.extensions["openid"]
    app.config["OPENID_PROVIDERS"] = {
        "staff": {"title": "Staff", "issuer": issuer.url, **own},
        "github": {"site": issuer.url, "api": issuer.url, **own},
    }
    add_providers(app)
    yield
    app.config["OPENID_PROVIDERS"], app.extensions["openid"] = before, known


@pytest.fixture
def issuer(app: App) -> Iterator[Issuer]:
    """An issuer with which users of the application may sign in."""
    with running_issuer() as found, providers_of(app, found):
        yield found
