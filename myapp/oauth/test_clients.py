"""Clients of others get tokens here, and use them."""

import json
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from requests_oauthlib import OAuth2Session

from myapp.core.http import App
from myapp.oauth.test_oauth import CALLBACK, Flow, needs_others

pytestmark = needs_others

SCRIPT = Path(__file__).parents[2] / "clients" / "oauth.mjs"


@pytest.fixture
def flow(own_app: App, live_server: str, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A flow with a server that says by which address clients know it."""
    # The tests run without TLS.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    own_app.config["PUBLIC_URL"] = live_server
    return Flow(own_app)


def allow(flow: Flow, url: str) -> str:
    """Where the browser comes back to when the user allows what a client asks for."""
    response = flow.decide(urlsplit(url).query, "allow")
    return str(response.headers["Location"])


def test_requests_oauthlib(flow: Flow, live_server: str) -> None:
    session = OAuth2Session(
        flow.id, redirect_uri=CALLBACK, scope=["carts:read"], pkce="S256"
    )
    token_url = f"{live_server}/oauth/token"
    url, _ = session.authorization_url(f"{live_server}/oauth/authorize")
    back = allow(flow, url)
    secret: dict[str, Any] = {"client_secret": flow.secret}
    session.fetch_token(token_url, authorization_response=back, **secret)
    assert session.get(f"{live_server}/carts/").status_code == 200
    refused = session.post(f"{live_server}/carts/", json={"items": []})
    assert refused.status_code == 403
    auth = (flow.id, flow.secret)
    told = session.refresh_token(token_url, auth=auth)
    assert told["scope"] == ["carts:read"]
    sent = {"data": {"token": told["refresh_token"]}, "auth": auth}
    url = f"{live_server}/oauth/revoke"
    assert session.post(url, withhold_token=True, **sent).status_code == 200
    assert session.get(f"{live_server}/carts/").status_code == 401


def test_authlib(flow: Flow, live_server: str) -> None:
    session = AuthlibSession(
        flow.id,
        flow.secret,
        redirect_uri=CALLBACK,
        scope="carts:read",
        code_challenge_method="S256",
    )
    verifier = "x" * 48
    url, state = session.create_authorization_url(
        f"{live_server}/oauth/authorize", code_verifier=verifier
    )
    session.fetch_token(
        f"{live_server}/oauth/token",
        authorization_response=allow(flow, url),
        code_verifier=verifier,
        state=state,
    )
    assert session.get(f"{live_server}/carts/").status_code == 200
    token = session.token["refresh_token"]
    session.refresh_token(f"{live_server}/oauth/token", token)
    assert session.get(f"{live_server}/carts/").status_code == 200
    known = session.introspect_token(f"{live_server}/oauth/introspect")
    assert known.json()["active"] is True
    assert session.revoke_token(f"{live_server}/oauth/revoke").status_code == 200
    robot = AuthlibSession(flow.id, flow.secret, scope="carts:read")
    robot.fetch_token(f"{live_server}/oauth/token", grant_type="client_credentials")
    assert robot.get(f"{live_server}/carts/").status_code == 200


@pytest.mark.external
def test_oauth4webapi(flow: Flow, live_server: str) -> None:
    assert (SCRIPT.parent / "node_modules" / "oauth4webapi").is_dir()
    words = [live_server, flow.id, flow.secret, CALLBACK]
    with subprocess.Popen(
        ["node", str(SCRIPT), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout is not None
        url = running.stdout.readline().strip()
        told, _ = running.communicate(allow(flow, url) + "\n", 60)
    assert running.returncode == 0
    assert json.loads(told) == {
        "carts": 200,
        "active": True,
        "refused": "invalid_token",
        "itself": "bearer",
    }
