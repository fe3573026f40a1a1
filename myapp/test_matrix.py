"""Who may do what, route by route: ``access.txt`` of each feature says it, and each
line is tried, with a record that belongs to the caller called *owner*, and by tokens of
that caller.

A cell is ``ok`` when the route lets the caller pass, whatever it thinks of the body,
``none`` for a list without the record, or the status of a refusal. A route without a
line fails, and so does a line without a route. ``MATRIX=write pytest
myapp/test_matrix.py`` writes the files anew; read what has changed in them.
"""

import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from myapp.core.http.access import access_table, known_scopes
from myapp.core.http.app import App
from myapp.core.http.description import description_of
from myapp.core.http.methods import METHODS
from myapp.core.model import unscoped
from myapp.core.scaffold.matrix import CALLERS, REFUSALS, TOKENS, lines_of
from myapp.core.schema.names import snake
from myapp.core.stores import commit
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.features import FEATURES

ROOT = Path(__file__).parent
PAGES = ("docs", "swagger")
FACTORIES = {
    row.name: import_module(f"myapp.{row.name}.factories")
    for row in FEATURES
    if (ROOT / row.name / "factories.py").exists()
}
IDS = {
    name: f"00000000-0000-7000-8000-{number:012d}"
    for number, name in enumerate(CALLERS, start=1)
}


class Try(NamedTuple):
    """A method of a route."""

    method: str
    rule: Rule
    view: Any


def routes_of(app: App, feature: str) -> Iterator[Try]:
    """The methods of the routes of a feature, but for its pages."""
    found = {}
    for rule in app.url_map.iter_rules():
        owner, _, name = rule.endpoint.partition(".")
        if owner == feature and name not in PAGES:
            for method in METHODS:
                if method in (rule.methods or ()):
                    view = app.view_functions[rule.endpoint]
                    found[rule.rule, method] = Try(method, rule, view)
    yield from (found[key] for key in sorted(found))


def make_record(app: App, feature: str, model: Any) -> str:
    """Store a record of the owner; return its id."""
    factories = FACTORIES[feature]
    with app.app_context(), unscoped():
        if hasattr(factories, "record_for_matrix"):
            record = factories.record_for_matrix(IDS, CALLERS, model)
        else:
            record = getattr(factories, f"create_{snake(model.__name__)}")()
            if model.owner_field:
                record.write({model.owner_field: IDS["owner"]})
        commit()
    return str(record.id)


def outcome(app: App, one: Try, caller: str, record: str) -> str:
    """What a caller gets: ``ok``, or the status of a refusal."""
    described = description_of(one.view, one.method)
    body = described.body if described else None
    url = url_of(one, record)
    headers = {"If-Match": "*"} if one.method in ("PUT", "PATCH", "DELETE") else {}
    if caller in TOKENS:
        scope = access_table(app)[one.rule.endpoint, one.method].scope
        sent_scope = scope if scope and caller == "token" else "another"
        headers |= by(IDS["owner"], CALLERS["owner"], sent_scope)
    elif CALLERS[caller]:
        headers |= by(IDS[caller], CALLERS[caller])
    sent: dict[str, Any] = {"json": body["examples"][0]} if body else {}
    client = app.test_client()
    response = FlaskClient.open(
        client, url, method=one.method, headers=headers, buffered=True, **sent
    )
    status = response.status_code
    assert status < 500, f"{one.method} {url}: {response.text}"
    if status in REFUSALS:
        return str(status)
    is_list = bool(record) and one.method == "GET" and "<" not in one.rule.rule
    items = response.json.get("items") if is_list and response.json else None
    return "none" if items is not None and record not in str(items) else "ok"


def found_in(app: App, feature: str) -> str:
    """The text of ``access.txt``, as the routes of a feature answer."""
    rows = []
    for one in routes_of(app, feature):
        model = getattr(getattr(one.view, "view_class", None), "model", None)
        cells = []
        for caller in (*CALLERS, *TOKENS):
            record = make_record(app, feature, model) if model else ""
            cells.append(outcome(app, one, caller, record))
        rows.append((one.method, one.rule.rule, cells))
    return lines_of(rows)


def url_of(one: Try, record: str) -> str:
    """The path of a route, with ids in the places of its variables."""
    url = one.rule.rule.replace("<id>", record or IDS["owner"])
    url = url.replace("<session_id>", "x").replace("<uuid:user_id>", IDS["owner"])
    return re.sub("<uuid:[a-z_]+>", record, re.sub("<int:[a-z]+>", "1", url))


def test_no_route_lets_a_token_pass_without_its_scope(app: App) -> None:
    scopes, tried = known_scopes(app), 0
    client = app.test_client()
    with ToyAuthenticator().added_to(app):
        for feature in app.extensions["features"]:
            for one in routes_of(app, feature):
                who = access_table(app)[one.rule.endpoint, one.method]
                if who.is_public:
                    continue
                assert who.scope.startswith(f"{feature}:"), one
                url = url_of(one, IDS["owner"])
                others = [scope for scope in scopes if scope != who.scope]
                headers = by(IDS["superuser"], "superuser", *others)
                sent: Any = {"method": one.method, "headers": headers}
                response = FlaskClient.open(client, url, buffered=True, **sent)
                told = response.headers.get("WWW-Authenticate", "")
                assert response.status_code == 403, (one, response.status_code)
                assert told.endswith(f'scope="{who.scope}"'), one
                tried += 1
    assert tried


def test_each_route_lets_pass_whom_its_line_names(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SIGN_IN_LIMIT", "SIGN_UP_LIMIT", "ACCOUNTS_LIMIT"):
        monkeypatch.setitem(app.config, name, "100000/1")
    with ToyAuthenticator().added_to(app):
        for feature in app.extensions["features"]:
            file = ROOT / feature / "access.txt"
            found = found_in(app, feature)
            if os.environ.get("MATRIX") == "write":
                file.write_text(found)
            assert file.exists(), f"{file} is missing; its text is:\n{found}"
            assert found == file.read_text(), feature
