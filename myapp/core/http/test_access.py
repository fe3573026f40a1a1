"""Access is asked on every request: with a toy authenticator, over HTTP."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint

from myapp import create_app
from myapp.core.access import access, current_caller, public
from myapp.core.docs import build_document
from myapp.core.feature import Feature
from myapp.core.http.access import known_scopes
from myapp.core.http.app import App
from myapp.core.http.description import describe
from myapp.core.http.response import respond
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.resource import Resource
from myapp.core.rest.verbs import routes_from_model
from myapp.core.stores.sql.engine import sql
from myapp.core.stores.sql.fixture import make_database
from myapp.core.stores.store import close_stores
from myapp.core.testing import Client
from myapp.core.testing.callers import CHALLENGE, ToyAuthenticator, by
from myapp.core.testing.planted import PLANTED, PlantedNote, PlantedTicket
from myapp.core.wiring import complete_routes, mount

ALICE, BOB, EDITOR = by("alice"), by("bob"), by("eve", "editor")
STORES = pytest.mark.parametrize("name", ["notes", "tickets"], ids=["sql", "redis"])


WORDS_SCHEMA = {
    "$id": "/schemas/guarded-words.json",
    "type": "array",
    "items": {"type": "string"},
}


class Mixed(Resource):
    """A resource whose methods state different words."""

    @public
    @describe({200: None})
    def get(self) -> None:
        """Anybody."""

    @access("signed_in")
    @describe({200: None})
    def post(self) -> None:
        """Callers that are known."""

    @access('role("editor")')
    @describe({200: None})
    def put(self) -> None:
        """Editors."""


@pytest.fixture
def toy() -> ToyAuthenticator:
    return ToyAuthenticator()


@pytest.fixture
def app(
    toy: ToyAuthenticator,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[App]:
    """An application with guarded routes of each kind."""
    for model in (PlantedNote, PlantedTicket):
        # Guarded routes change these for the whole process; other tests have open ones.
        monkeypatch.setattr(model, "has_scope", model.has_scope)
        monkeypatch.setattr(model, "has_rules", model.has_rules)
    database = make_database("sqlite", tmp_path)
    app = create_app({"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": redis_url})
    app.test_client_class = Client
    toy.add_to(app)
    blueprint, api = feature_blueprint("guarded", __name__)
    routes_from_model(api.namespace("notes"), PlantedNote)
    routes_from_model(api.namespace("tickets"), PlantedTicket)
    api.namespace("mixed", path="/").route("/mixed")(Mixed)

    @blueprint.get("/function")
    @describe({200: WORDS_SCHEMA})
    def function() -> Any:
        """Say who calls."""
        caller = current_caller()
        return respond(caller and sorted({caller.id, *caller.roles}))

    mount(app, Feature("guarded", "/guarded", "signed_in"), blueprint)
    with app.app_context():
        PLANTED.create_all(sql.engine)
        sql.create_all()
    yield app
    close_stores(app)


@pytest.fixture
def client(app: App) -> Any:
    return app.test_client()


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@STORES
def test_a_caller_that_is_not_known_is_a_401(
    client: Any, name: str, method: str
) -> None:
    response = client.open(f"/guarded/{name}/", method=method, expect=401)
    assert CHALLENGE in response.headers["WWW-Authenticate"]
    if method != "HEAD":
        assert response.json["type"] == "/problems/unauthorized"


def test_access_is_asked_before_the_body_is_read_and_the_record_is_looked_for(
    client: Any,
) -> None:
    client.post("/guarded/notes/", data=b"{", content_type="text/plain", expect=401)
    client.get("/guarded/notes/no-uuid", expect=401)


@STORES
def test_a_known_caller_may_do_what_is_stated(client: Any, name: str) -> None:
    url, headers = f"/guarded/{name}/", ALICE
    record = client.post(url, json={"text": "a"}, headers=headers)
    item = record.headers["Location"]
    assert client.get(item, headers=headers).json["text"] == "a"
    client.patch(item, json={"text": "b"}, headers=headers)
    client.post(f"{url}batch", json={}, headers=headers, expect=200)
    client.delete(item, headers=headers)


def test_a_caller_without_the_grant_is_a_403(client: Any) -> None:
    client.put("/guarded/mixed", expect=401)
    problem = client.put("/guarded/mixed", headers=ALICE, expect=403).json
    assert problem["type"] == "/problems/forbidden"
    client.put("/guarded/mixed", headers=EDITOR)
    client.post("/guarded/mixed", headers=ALICE, expect=200)
    client.get("/guarded/mixed")


def test_wrong_credentials_are_told_by_the_authenticator(client: Any) -> None:
    response = client.put(
        "/guarded/mixed", headers={"Authorization": "Toy"}, expect=401
    )
    assert response.headers["WWW-Authenticate"] == CHALLENGE


@pytest.mark.parametrize(
    ("caller", "allowed"),
    [
        ({}, {"GET", "HEAD", "OPTIONS"}),
        (ALICE, {"GET", "HEAD", "OPTIONS", "POST"}),
        (EDITOR, {"GET", "HEAD", "OPTIONS", "POST", "PUT"}),
    ],
)
def test_options_tells_what_this_caller_may_do(
    client: Any, caller: dict[str, str], allowed: set[str]
) -> None:
    response = client.options("/guarded/mixed", headers=caller)
    assert set(response.headers["Allow"].split(", ")) == allowed


def test_a_function_view_is_guarded_and_knows_its_caller(client: Any) -> None:
    client.get("/guarded/function", expect=401)
    response = client.get("/guarded/function", headers=EDITOR, expect=200)
    assert response.json == ["disabled", "editor", "eve", "readonly"]


@STORES
def test_a_token_needs_the_scope_of_the_feature_and_of_the_method(
    client: Any, name: str
) -> None:
    url = f"/guarded/{name}/"
    item = client.post(url, json={"text": "a"}, headers=ALICE).headers["Location"]
    reads, writes, other = (
        by("alice", "readonly", scope)
        for scope in ("guarded:read", "guarded:write", "catalog:write")
    )
    client.get(item, headers=reads)
    refused = client.patch(item, json={"text": "b"}, headers=reads, expect=403)
    assert refused.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_scope", scope="guarded:write"'
    )
    client.patch(item, json={"text": "b"}, headers=writes)
    client.post(url, json={"text": "c"}, headers=writes)
    client.get(item, headers=writes, expect=403)
    for caller in (reads, other):
        client.delete(item, headers=caller, expect=403)
    client.get(url, headers=other, expect=403)
    allow = client.options(item, headers=reads).headers["Allow"]
    assert allow == "GET, HEAD, OPTIONS"


def test_the_documents_tell_the_scope_of_each_operation(app: App) -> None:
    with app.app_context():
        document = build_document(app)
        assert known_scopes(app)["guarded:write"] == "Change what is below /guarded"
        assert "catalog:read" in known_scopes(app)
    told = document["paths"]["/guarded/notes/"]["post"]["description"]
    assert told.endswith("A token needs the scope guarded:write.")


def test_a_disabled_caller_is_nobody_on_each_route(client: Any) -> None:
    disabled = by("eve", "disabled")
    client.get("/guarded/function", headers=disabled, expect=401)
    response = client.options("/guarded/mixed", headers=disabled)
    assert "POST" not in response.headers["Allow"]


def test_a_route_that_was_added_in_silence_is_refused(app: App) -> None:
    silent = Blueprint("silent", __name__)
    silent.add_url_rule("/silent", view_func=lambda: "open")
    app.register_blueprint(silent)
    app.test_client().get("/silent", headers=EDITOR, expect=403)
    with pytest.raises(LookupError, match="states access None"):
        complete_routes(app, "silent", None)


def test_options_knows_a_public_route_that_was_added_late(app: App) -> None:
    app.add_url_rule("/late", view_func=public(lambda: "open"), endpoint="late")
    response = app.test_client().options("/late")
    assert set(response.headers["Allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}


def test_the_caller_is_asked_once_and_only_where_it_matters(
    client: Any, toy: ToyAuthenticator
) -> None:
    client.get("/health/live", headers=ALICE)
    client.get("/guarded/mixed", headers=ALICE)
    assert toy.asked == 0
    client.get("/guarded/function", headers=ALICE, expect=200)
    assert toy.asked == 1


@STORES
def test_a_cursor_is_of_no_use_to_another_caller(client: Any, name: str) -> None:
    url = f"/guarded/{name}/"
    for text in "ab":
        client.post(url, json={"text": text}, headers=ALICE)
    page = client.get(f"{url}?limit=1", headers=ALICE).json
    more = f"{url}?limit=1&cursor={page['next']}"
    client.get(more, headers=BOB, expect=400)
    assert client.get(more, headers=ALICE).json["items"][0]["text"] == "a"


@STORES
def test_a_key_of_one_caller_is_not_that_of_another(client: Any, name: str) -> None:
    url, sent = f"/guarded/{name}/", {"Idempotency-Key": "key"}
    first = client.post(url, json={"text": "a"}, headers={**ALICE, **sent})
    other = client.post(url, json={"text": "b"}, headers={**BOB, **sent})
    again = client.post(url, json={"text": "a"}, headers={**ALICE, **sent})
    assert again.data == first.data != other.data
    assert again.headers["Idempotent-Replayed"] == "true"


def test_the_documents_say_who_may_call(client: Any) -> None:
    document = client.get("/openapi.json").json
    schemes = document["components"]["securitySchemes"]
    assert schemes["toy"] == {"type": "http", "scheme": "toy"}
    mixed = document["paths"]["/guarded/mixed"]
    assert mixed["get"]["security"] == []
    assert not {"401", "403"} & set(mixed["get"]["responses"])
    for method in ("post", "put"):
        assert mixed[method]["security"][-1] == {"toy": []}
        assert {"401", "403"} <= set(mixed[method]["responses"])
    told = "Permissions: callers with the role editor or a higher one."
    assert told in mixed["put"]["description"]
