"""The ways in: a session, and each kind of token, with and without the scope of a
route, and after its end. Each is tried on each route that is not public."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pytest

from myapp.accounts.factories import PASSWORD, let_tokens_expire
from myapp.core.access import Caller, Rule
from myapp.core.http import App, known_scopes
from myapp.core.stores import commit
from myapp.core.testing import ToyAuthenticator, by
from myapp.oauth.test_oauth import ADA, Flow, raw

KINDS = ("personal", "opaque", "jwt", "jwe")
URL = "/accounts/me/tokens"


class Route(NamedTuple):
    """A method of a route that is not public."""

    method: str
    url: str
    rule: Rule

    @property
    def is_in_person(self) -> bool:
        """Whether no token is taken here."""
        everything = Caller("", frozenset(ROLES), frozenset({self.rule.scope}))
        return not self.rule.allows(everything)


ROLES = ("disabled", "readonly", "editor", "admin", "superuser")


def routes_of(app: App) -> Iterator[Route]:
    """The routes of the features that are not public, with an id that nothing has."""
    unknown = "00000000-0000-7000-8000-000000000000"
    for (endpoint, method), rule in app.extensions["access"].items():
        feature = endpoint.partition(".")[0]
        if feature in app.extensions["features"] and not rule.is_public:
            known, *_ = app.url_map.iter_rules(endpoint)
            parts = dict.fromkeys(known.arguments, unknown)
            parts |= {name: "1" for name in known.arguments & {"version"}}
            with app.test_request_context():
                url = app.url_for(endpoint, **parts)
            yield Route(method, url, rule)


class Ways:
    """A user, and what it calls with.

    :ivar flow: the user with a client whose tokens are of a kind.
    """

    def __init__(self, app: App, kind: str) -> None:
        self.app, self.kind = app, kind
        self.scopes = [*known_scopes(app)]
        tokens = "opaque" if kind == "personal" else kind
        self.flow = Flow(app, scopes=self.scopes, access_tokens=tokens)
        self.client = app.test_client()

    def token(self, *scopes: str) -> str:
        """A new token with some scopes."""
        if self.kind != "personal":
            made = self.flow.tokens(scope=" ".join(scopes))
            return made["access_token"]
        end = (datetime.now(UTC) + timedelta(days=1)).isoformat()
        body = {"name": "Script", "scopes": [*scopes], "expires_at": end}
        return str(self.flow.browser.post(URL, json=body).json["token"])

    def call(self, route: Route, headers: dict[str, str]) -> Any:
        """The response to a call, whose body no route wants."""
        sent: dict[str, Any] = {"headers": headers}
        if route.method in ("POST", "PUT", "PATCH"):
            sent["json"] = {"unknown": 1}
        return raw(self.client, route.method, route.url, **sent)

    def bearing(self, route: Route, token: str) -> Any:
        """The response to a call with a token."""
        return self.call(route, {"Authorization": f"Bearer {token}"})

    def toy(self, route: Route) -> int:
        """The status that the user gets when nothing limits it."""
        headers = by(self.flow.user, "editor")
        return int(self.call(route, headers).status_code)


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_opens_what_its_user_and_its_scope_open(app: App, kind: str) -> None:
    with ToyAuthenticator().added_to(app):
        ways, passed = Ways(app, kind), 0
        every = ways.token(*ways.scopes)
        for route in routes_of(app):
            found = ways.bearing(route, every)
            if route.is_in_person:
                assert found.status_code == 403, route
            else:
                assert found.status_code == ways.toy(route), route
                passed += found.status_code != 403
        assert passed > 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_without_the_scope_of_a_route_is_refused(app: App, kind: str) -> None:
    ways, made = Ways(app, kind), {}
    for route in routes_of(app):
        scope = route.rule.scope
        if scope not in made:
            others = [one for one in ways.scopes if one != scope]
            made[scope] = ways.token(*others)
        found = ways.bearing(route, made[scope])
        assert found.status_code == 403, route
        assert f'scope="{scope}"' in found.headers["WWW-Authenticate"], route


def test_a_session_opens_what_its_user_may_open(app: App) -> None:
    with ToyAuthenticator().added_to(app):
        ways = Ways(app, "opaque")
        for route in routes_of(app):
            ways.client = app.test_client()
            ways.client.environ_base["HTTP_SEC_FETCH_SITE"] = "same-origin"
            body = {"email": ADA, "password": PASSWORD}
            raw(ways.client, "POST", "/accounts/session", json=body)
            found = ways.call(route, {}).status_code
            assert found == ways.toy(route), route


def expire(ways: Ways) -> str:
    """A token that is over."""
    if ways.kind == "personal":
        token = ways.token(*ways.scopes)
        with ways.app.app_context():
            let_tokens_expire()
            commit()
        return token
    config = ways.app.config
    names = ("OAUTH_ACCESS_LIFETIME", "OAUTH_SIGNED_LIFETIME")
    before = {name: config[name] for name in names}
    config.update(dict.fromkeys(names, -600.0))
    try:
        return ways.token(*ways.scopes)
    finally:
        config.update(before)


def revoke(ways: Ways) -> str:
    """A token that its user, or its client, has ended."""
    token = ways.token(*ways.scopes)
    if ways.kind == "personal":
        (known,) = ways.flow.browser.get(URL).json["items"]
        ways.flow.browser.delete(f"{URL}/{known['id']}")
    elif ways.kind == "opaque":
        sent = {"data": {"token": token}, "headers": ways.flow.auth}
        assert raw(ways.client, "POST", "/oauth/revoke", **sent).status_code == 200
    else:
        ways.flow.browser.delete("/accounts/session")
    return token


def disable(ways: Ways) -> str:
    """A token of a user that is disabled now."""
    token = ways.token(*ways.scopes)
    with ToyAuthenticator().added_to(ways.app):
        url, headers = f"/accounts/users/{ways.flow.user}", by("root", "superuser")
        ways.client.patch(url, json={"role": "disabled"}, headers=headers)
    return token


def delete_client(ways: Ways) -> str:
    """A token of a client that is deleted now."""
    token = ways.token(*ways.scopes)
    with ToyAuthenticator().added_to(ways.app):
        url = f"/oauth/clients/{ways.flow.id}"
        ways.client.delete(url, headers=by("root", "superuser"))
    return token


def take_back(ways: Ways) -> str:
    """A token of a client that its user does not allow any more."""
    token = ways.token(*ways.scopes)
    (consent,) = ways.flow.browser.get("/oauth/consents/").json["items"]
    ways.flow.browser.delete(f"/oauth/consents/{consent['id']}")
    return token


def sign_out(ways: Ways) -> str:
    """A token of a user who has another password now."""
    token = ways.token(*ways.scopes)
    body = {"old_password": PASSWORD, "new_password": "five geese in a field"}
    ways.flow.browser.post("/accounts/me/password", json=body, expect=204)
    return token


# Nothing ends a signed token before its time, which is short.
ENDS: list[tuple[Callable[[Ways], str], tuple[str, ...]]] = [
    (expire, KINDS),
    (revoke, ("personal", "opaque", "jwe")),
    (disable, ("personal", "opaque", "jwe")),
    (delete_client, ("opaque", "jwe")),
    (take_back, ("opaque", "jwe")),
    (sign_out, ("personal", "opaque", "jwe")),
]


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        pytest.param(end, kind, id=f"{end.__name__}-{kind}")
        for end, kinds in ENDS
        for kind in kinds
    ],
)
def test_a_token_that_is_over_opens_nothing(
    app: App, end: Callable[[Ways], str], kind: str
) -> None:
    ways = Ways(app, kind)
    token = end(ways)
    for route in routes_of(app):
        found = ways.bearing(route, token)
        assert found.status_code == 401, route
        assert found.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
