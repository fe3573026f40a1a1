"""Every architecture rule fails on trees, routes and schemas that break it, and passes
on the clean tree, which has everything that the rules must accept.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Response
from jsonschema import SchemaError
from referencing.exceptions import Unresolvable

from myapp import create_app
from myapp.core.access.rules import public, stated_access
from myapp.core.errors.problem import PROBLEM_SCHEMA, Problem
from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.http.description import describe, description_of
from myapp.core.http.response import respond
from myapp.core.rest.api import feature_blueprint
from myapp.core.rest.resource import Resource
from myapp.core.schema.registry import Schemas, references
from myapp.core.schema.strict_json import JSON
from myapp.core.schema.validator import DEFAULT_VALIDATOR_CLASS, VALIDATOR_CLASSES
from myapp.core.testing import Client
from myapp.core.wiring import mount
from myapp.test_architecture import RULES

DRAFT_07 = "http://json-schema.org/draft-07/schema#"
# Routes that core adds to every feature.
PAGES = {"docs", "swagger"}
# Flask's own route, for the style sheet of the pages.
STATIC = "/static/<path:filename>"
TABLE = """
FEATURES = (
    Feature("films", url_prefix="/films", access="public"),
    Feature("carts", "/carts", "public"),
)
DOORS = frozenset({("carts", "films")})
"""
CLEAN = {
    "README.md": "films carts USED",
    "docs/core.md": "SECRET_KEY\n  flat --> http\n  http --> errors",
    "default_config.py": "class Config:\n    USED = 1\n    SECRET_KEY = ''\n",
    "wsgi.py": "from myapp import create_app\nfrom myapp.core import config\n",
    "myapp/__init__.py": '''"""A."""
from importlib import import_module

def create_app():
    """A."""
    from myapp.core import wiring
    from myapp.features import FEATURES
    for feature in FEATURES:
        import_module(f"{__name__}.{feature.name}")
''',
    "myapp/features.py": '"""A."""\nfrom myapp.core.feature import Feature\n' + TABLE,
    "myapp/core/__init__.py": '"""A."""\n',
    "myapp/core/config.py": '"""A."""\n',
    "myapp/core/wiring.py": '"""A."""\nfrom . import config, http\n',
    "myapp/core/loading.py": '''"""A."""
from importlib import import_module

def import_when_used(name):
    """A."""
    return import_module(name)
''',
    "myapp/core/cli.py": '''"""A."""
COMMANDS = {"new": "myapp.core.scaffold.cli:new"}
''',
    "myapp/core/scaffold/__init__.py": '"""A."""\n',
    "myapp/core/scaffold/cli.py": '"""A."""\nfrom .. import wiring\n\nnew = 1\n',
    "myapp/core/testing/__init__.py": '''"""A."""
from myapp.core.errors import Problem

__all__ = ["Client"]
Client = Problem
''',
    "myapp/core/http/__init__.py": '''"""A."""
from flask import request
from myapp.core.errors.problem import Problem

def init_app():
    """A."""
''',
    "myapp/core/errors/__init__.py": '''"""A."""
from myapp.core.errors.problem import Problem

__all__ = ["Problem"]
''',
    "myapp/core/errors/problem.py": '''"""A."""

class Problem:
    """A."""
''',
    "myapp/core/stores/__init__.py": '''"""A."""
from myapp.core.stores.transaction import commit

__all__ = ["commit"]
''',
    "myapp/core/stores/redis/__init__.py": '"""A."""\n',
    "myapp/core/stores/redis/store.py": '"""A."""\nsave = lambda u: u.commit()\n',
    "myapp/core/stores/redis/fixture.py": '"""A."""\nfrom myapp.core import testing\n',
    "myapp/core/feature.py": '''"""A."""
import flask

class Feature:
    """A."""
    def __init__(self, *_row, **_named):
        self.USED = lambda value: setattr(flask.g, "x", value)
''',
    "myapp/core/stores/transaction.py": '''"""A."""
from flask import current_app as app

def commit():
    """A."""
    app.session.commit()
    app.config["x"] = 1
''',
    "myapp/core/test_core.py": "from myapp import create_app\nfrom conftest import x\n",
    "myapp/films/__init__.py": '"""A."""\n',
    "myapp/films/door.py": '"""A."""\nfrom myapp.films import models\n',
    "myapp/films/factories.py": '"""A."""\nfrom ..carts import factories\n',
    "myapp/films/cli.py": '''"""A."""
from myapp.core.stores import commit
commit()
''',
    "myapp/films/endpoints.py": '''"""A."""
from myapp.films import models

routes_from_model("films", models.Film, "/films")
routes_from_model("reels", models.Reel)
''',
    "myapp/films/test_films.py": """from myapp.carts.factories import x

x.commit()

class Contract(ResourceContract):
    url = "/films/"

class TestFilms(Contract):
    model = Film

class TestReels(ResourceContract):
    model = Reel
""",
    "myapp/carts/__init__.py": '''"""A."""
from myapp.films.door import price
from myapp.core.errors import Problem

class _Hidden:
    def bare(self): return 404, 200

def view():
    """A."""
    def inner(): raise Problem("not-found")
    session.begin_nested()
    return Response("500 of them", 204, max_age=500)
''',
}

EMPTY = "\0"


def row(name: str, prefix: str) -> str:
    """Code that adds a row to the mount table."""
    return f"FEATURES += (Feature({name!r}, {prefix!r}, 'public'),)"


# What each rule must report: a file, the added code, and words of the report if they
# are not the name of the file.
PLANTS = {
    "the_arrow": [
        ("core/a.py", "from myapp.films import door"),
        ("core/a.py", "import myapp.films.models as models"),
        ("core/a.py", "def f():\n    from myapp.films.models import Film"),
        ("core/a.py", "import importlib as i\ni.import_module('myapp.films')"),
        ("core/a.py", "from importlib import import_module as f\nf('..films', 'x')"),
        ("core/a.py", "film = __import__('myapp.films.models')"),
        ("core/a.py", "COMMANDS = {'a': 'myapp.films.cli:seed'}"),
        ("core/a.py", "from importlib import import_module\nimport_module(NAME)"),
        ("core/a.py", "if TYPE_CHECKING:\n    from ..films import door"),
        ("core/deep/er/a.py", "from ....films.models import Film"),
        ("core/a.py", "from myapp.features import FEATURES"),
        ("core/a.py", "from myapp import create_app"),
        ("core/a.py", "import wsgi"),
        ("core/test_a.py", "from myapp.films.factories import create_film"),
        ("features.py", "from myapp.films import blueprint"),
        ("__init__.py", "from myapp.films import blueprint"),
        ("../wsgi.py", "from myapp.films import blueprint", "wsgi.py:"),
    ],
    "a_fresh_core": [
        ("core/a.py", "from myapp import films", "core loads myapp.films"),
        ("core/a.py", "exec('import myapp.' + 'films')", "core loads myapp.films"),
    ],
    "the_doors": [
        ("carts/a.py", "from myapp.films import models"),
        ("carts/a.py", "import myapp.films"),
        ("carts/a.py", "from myapp.films.doorway import price"),
        ("carts/a.py", "from myapp.films.factories import create_film"),
        ("carts/a.py", "from importlib import import_module\nimport_module(NAME)"),
        ("carts/a.py", "from myapp import create_app"),
        ("carts/a.py", "from myapp.features import FEATURES"),
        ("carts/a.py", "import conftest"),
        ("carts/test_a.py", "from myapp.films.models import Film"),
        ("films/a.py", "from ..carts.door import total"),
        ("features.py", "DOORS |= {('films', 'carts')}", "cycle"),
        ("features.py", "DOORS |= {('films', 'films')}", "cycle"),
        ("features.py", "DOORS |= {('films', 'nothing')}", "without a feature"),
    ],
    "imports_on_top": [
        ("core/a.py", "def f():\n    import json"),
        (
            "films/a.py",
            "class A:\n    async def f(self):\n        from json import loads",
        ),
        ("films/test_a.py", "def f():\n    if True:\n        import json"),
        ("films/a.py", "f = lambda: __import__('json')"),
        ("__init__.py", "def f():\n    import json"),
        ("__init__.py", "def f():\n    import_module('json')"),
        ("__init__.py", "def f():\n    for _ in 'ab':\n        import_module(_)"),
        ("core/loading.py", "def f():\n    import json"),
        ("core/a.py", "def create_app():\n    import json"),
    ],
    "the_rooms": [
        ("core/errors/a.py", "from myapp.core.http import init_app"),
        ("core/stores/a.py", "import myapp.core.http"),
        ("core/stores/redis/a.py", "from ...http import init_app"),
        ("core/errors/a.py", "from myapp.core import wiring"),
        ("core/errors/a.py", "def f():\n    from myapp.core.stores import commit"),
        ("core/errors/a.py", "if TYPE_CHECKING:\n    from myapp.core import http"),
        ("core/http/a.py", "from myapp.core.testing import Client"),
        ("core/wiring.py", "from myapp.core.scaffold.cli import new"),
        ("core/stores/redis/store.py", "from myapp.core.stores.redis import fixture"),
        ("core/cellar/a.py", "", "cellar is not a room"),
    ],
    "a_room_alone": [
        ("core/errors/problem.py", "from myapp.core import http", "errors alone loads"),
        (
            "core/errors/problem.py",
            "exec('import myapp' + '.core.http')",
            "alone loads",
        ),
        ("core/__init__.py", "exec('import myapp' + '.core.wiring')", "alone loads"),
        ("__init__.py", "exec('import myapp' + '.core.wiring')", "alone loads"),
        ("core/wiring.py", "from myapp.core import scaffold", "wiring alone loads"),
        ("core/config.py", "from myapp.core.stores.redis import fixture", "fixture"),
    ],
    "the_doors_of_rooms": [
        ("films/a.py", "from myapp.core.errors.problem import Problem"),
        ("films/a.py", "import myapp.core.errors"),
        ("films/a.py", "from myapp.core import errors"),
        ("films/a.py", "from myapp.core.errors import problem"),
        ("films/test_a.py", "from myapp.core.http import init_app"),
        ("films/a.py", "def f():\n    from myapp.core.config import x"),
    ],
    "the_request": [
        ("core/stores/a.py", "from flask import request"),
        ("core/errors/a.py", "import flask\nflask.request.method"),
        ("core/errors/a.py", "from flask import request as r"),
        ("core/stores/redis/a.py", "from flask import has_request_context"),
    ],
    "one_name": [
        ("core/http/a.py", "class Problem: pass", "Problem is defined in"),
        ("core/http/a.py", "def commit(): pass", "commit is defined in"),
        ("core/http/a.py", "COMMANDS: int = 1", "COMMANDS is defined in"),
    ],
    "the_picture": [
        ("core/errors/a.py", "from myapp.core import stores", "errors --> stores is"),
        (
            "core/http/a.py",
            "from myapp.core import stores",
            "http --> stores is missing",
        ),
        ("../docs/core.md", "\n  http --> schema", "http --> schema is not so"),
        ("core/wiring.py", "from myapp.core import stores", "flat --> stores is"),
    ],
    "the_mount_table": [
        ("ghost/a.py", "", "ghost: row or folder is missing"),
        ("features.py", row("ghost", "/ghost"), "ghost: row or folder is missing"),
        ("features.py", row("core", "/core"), "'core' is not a name"),
        ("features.py", row("Big-Name", "/big"), "'Big-Name' is not a name"),
        ("features.py", row("class", "/class"), "'class' is not a name"),
        ("features.py", row("other", "other"), "'other' is not a prefix"),
        ("features.py", row("other", "/other/"), "'/other/' is not a prefix"),
        ("features.py", row("other", ""), "'' is not a prefix"),
        ("features.py", row("other", "/films"), "is used twice"),
        ("features.py", row("films", "/other"), "is used twice"),
    ],
    "the_transaction": [
        ("films/a.py", "sql.session.commit()"),
        ("films/a.py", "def f(session):\n    session().commit()"),
        ("core/a.py", "save = sql.session.commit"),
        ("core/a.py", "with sql.engine.begin() as connection:\n    pass"),
        ("films/a.py", "from myapp.core import stores\nstores.commit()"),
        ("films/a.py", "from myapp.core.stores.transaction import commit as c\nc()"),
        ("films/a.py", "from myapp.core.stores import commit\ncommit()"),
        ("core/stores/redis/a.py", "unit.commit()"),
        ("core/http/store.py", "unit.commit()"),
        ("films/cli.py", "session.commit()"),
        ("films/a.py", "session.execute(text('commit'))"),
    ],
    "one_error": [
        ("films/a.py", "from flask import abort"),
        ("films/a.py", "import flask\nflask.abort(404)"),
        ("films/a.py", "api.abort(404)"),
        ("films/a.py", "import werkzeug.exceptions"),
        ("films/a.py", "from werkzeug import exceptions"),
        ("films/a.py", "from werkzeug.exceptions import NotFound as N"),
        ("films/a.py", "from werkzeug.utils import NotFound"),
        ("films/a.py", "from myapp.core.errors.problem import HTTPException"),
        ("films/a.py", "from myapp.core.errors import problem as p\np.HTTPException()"),
        ("films/a.py", "from myapp.core.http.response import problem_response"),
        ("films/a.py", "from myapp.core.errors import Problem as P\nclass A(P): pass"),
        ("films/a.py", "def f():\n    return {'message': 'no'}, 404"),
        ("films/a.py", "def f():\n    return 'no', '422 Unprocessable', {}"),
        (
            "films/a.py",
            "from http import HTTPStatus as S\ndef f():\n    return 1, S.GONE",
        ),
        (
            "films/a.py",
            "from http import HTTPStatus\nrespond(1, HTTPStatus.GONE.value)",
        ),
        ("films/a.py", "respond({}, 409)"),
        ("films/a.py", "flask.make_response('no', 400)"),
        ("films/a.py", "Response('no', status=503)"),
        ("films/a.py", "response.status_code = 404"),
        ("films/a.py", "kind = 'application/problem+json'"),
        ("films/a.py", "@blueprint.errorhandler(404)\ndef f(error): pass"),
    ],
    "libraries": [
        ("core/a.py", "import flask_restx\nflask_restx.Api.x = None"),
        ("core/a.py", "import sqlalchemy.orm\nsqlalchemy.orm.Session.x += 1"),
        ("films/a.py", "from flask_restx import Api as A\nA.x: int = 1"),
        ("films/a.py", "from flask_restx import Api\nsetattr(Api, 'x', 1)"),
        ("films/a.py", "from flask_restx import Api\ndel Api.x"),
        ("films/a.py", "import json\ndef f():\n    json.loads, x = 1, 2"),
        ("films/a.py", "import sys\nsys.modules['json'] = None"),
        ("films/test_a.py", "import orjson\norjson.dumps = None"),
        ("core/flask_restx/__init__.py", "", "core/flask_restx: a library"),
        ("films/orjson.py", ""),
        ("core/_vendor/thing.py", "", "core/_vendor: a library"),
        ("core/stores/redis/redis/a.py", "", "core/stores/redis/redis: a library"),
    ],
    "size": [
        ("films/a.py", "x = 1\n" * 300),
        ("__init__.py", "x = 1\n" * 55),
        ("films/a.py", "def f():\n" + "    x = 1\n" * 45),
        ("films/a.py", "class A:\n  async def f(self):\n" + "    x = 1\n" * 45),
    ],
    "docstrings": [
        ("films/a.py", "def f(): pass"),
        ("core/a.py", "async def f(): pass"),
        ("films/a.py", "class A: pass"),
        ("films/a.py", "class A:\n    'A.'\n    def f(self): pass"),
        ("core/__init__.py", "class A:\n    'A.'\n    class B: pass"),
        ("films/empty/__init__.py", EMPTY),
    ],
    "settings": [("../default_config.py", "    LOST: int = 1", "nothing reads LOST")],
    "conformance": [
        (
            "films/endpoints.py",
            "routes_from_model(x, Genre)",
            "Genre has no conformance test",
        ),
        (
            "carts/a.py",
            "a.routes_from_model(x, model=b.Film)",
            "Film has no conformance test",
        ),
    ],
    "the_readme": [
        ("../default_config.py", "    LOST = 1", "no page names LOST"),
        ("../README.md", "\n" * 251, "more than 250 lines"),
        ("../README.md", "[a](docs/gone.md)", "leads to docs/gone.md"),
        ("features.py", row("ghost", "/ghost"), "does not name ghost"),
        ("../README.md", "`core/gone.py`", "README.md names core/gone.py"),
        ("../docs/a.md", "`myapp/core/gone.py`", "a.md names myapp/core/gone.py"),
    ],
}


def write_tree(folder: Path, place: str = "", text: str = "") -> Path:
    """Write the clean tree, with text added to one of its files."""
    files = {Path(name): content for name, content in CLEAN.items()}
    if place:
        path = Path(os.path.normpath(f"myapp/{place}"))
        files[path] = files.get(path, '"""A."""\n') + text if text != EMPTY else ""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder / "myapp"


def test_every_rule_has_a_plant() -> None:
    assert PLANTS.keys() == RULES.keys()


@pytest.mark.parametrize("rule", RULES)
def test_a_clean_tree_breaks_no_rule(rule: str, tmp_path: Path) -> None:
    assert RULES[rule](write_tree(tmp_path)) == []


@pytest.mark.parametrize(
    "rule, plant", [(rule, plant) for rule in PLANTS for plant in PLANTS[rule]]
)
def test_a_plant_is_reported(rule: str, plant: Any, tmp_path: Path) -> None:
    place, text, words = (*plant, plant[0])[:3]
    report = RULES[rule](write_tree(tmp_path, place, text))
    assert any(words in line for line in report), report


STATED = Feature("plant", "/plant", "public")
ANSWER: JSON = {
    "$id": "/schemas/plant.json",
    "type": "object",
    "properties": {"n": {"type": "integer"}},
    "required": ["n"],
    "additionalProperties": False,
}


def resource(
    answer: Callable[[], Any] = dict, schema: JSON = ANSWER, access: str = ""
) -> type[Resource]:
    """A resource with a GET, which states its access if there is any."""

    class Plant(Resource):
        @describe({200: schema, 204: None}, errors=(400,))
        def get(self) -> Any:
            return answer()

    if access:
        Plant.get.access = access  # type: ignore[attr-defined]
    return Plant


def plant_app(resource: type[Resource], feature: Feature = STATED) -> App:
    """An application with one more feature, ``/plant/x``; it does not use a store."""
    app = create_app({})
    blueprint, api = feature_blueprint(feature.name, __name__)
    api.namespace("plants", path="/").route("/x")(resource)
    mount(app, feature, blueprint)
    app.test_client_class = Client
    return app


def silent_routes(app: App) -> list[str]:
    """The routes without a stated access, each with the method."""
    features, found = app.extensions["features"], []
    for rule in app.url_map.iter_rules():
        feature = features.get(rule.endpoint.partition(".")[0])
        for method in rule.methods or ():
            row = feature.access_of(method) if feature else None
            try:
                stated_access(app.view_functions[rule.endpoint], method, row)
            except LookupError:
                found.append(f"{method} {rule}")
    return found


def test_every_route_states_its_access() -> None:
    """Routes outside the features too, except Flask's own route of static files."""
    app = create_app({})
    assert {route.partition(" ")[2] for route in silent_routes(app)} == {STATIC}
    app.add_url_rule("/silent", view_func=lambda: "")
    assert "GET /silent" in silent_routes(app)


@pytest.mark.parametrize("row", ["", None, "anybody"])
def test_a_route_that_states_no_known_access_stops_the_start(row: Any) -> None:
    with pytest.raises(LookupError, match="states access"):
        plant_app(resource(), Feature("plant", "/plant", row))


def test_an_unknown_access_of_a_method_stops_the_start() -> None:
    with pytest.raises(LookupError, match="states access 'anybody'"):
        plant_app(resource(access="anybody"))


@pytest.mark.parametrize("level", ["row", "resource", "method"])
def test_access_is_stated_on_the_row_the_resource_or_the_method(level: str) -> None:
    planted = resource(lambda: {"n": 1}, access="public" if level == "method" else "")
    if level == "resource":
        public(planted)
    row = "public" if level == "row" else ""
    app = plant_app(planted, Feature("plant", "/plant", row))
    assert app.test_client().get("/plant/x").json == {"n": 1}


def descriptions(app: App) -> Iterator[tuple[str, Any]]:
    """Each method of each route of a feature, and its description, if any."""
    for rule in app.url_map.iter_rules():
        feature, _, name = rule.endpoint.partition(".")
        if feature in app.extensions["features"] and name not in PAGES:
            view = app.view_functions[rule.endpoint]
            if getattr(view, "is_undescribed", False):
                continue
            for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
                yield f"{method} {rule}", description_of(view, method)


def undescribed(app: App) -> list[str]:
    return [route for route, found in descriptions(app) if found is None]


def test_every_route_of_a_feature_is_described() -> None:
    """The test client could not check a route that is not described."""
    app = create_app({})
    assert undescribed(app) == []
    blueprint, _ = feature_blueprint("plant", __name__)
    blueprint.add_url_rule("/x", view_func=lambda: "")
    mount(app, STATED, blueprint)
    assert undescribed(app) == ["GET /plant/x"]


def test_every_schema_is_served_under_its_id(app: App, client: Any) -> None:
    by_id = app.extensions["schemas"].by_id
    for name, schema in by_id.items():
        known = VALIDATOR_CLASSES.get(schema.get("$schema", ""))
        (known or DEFAULT_VALIDATOR_CLASS).check_schema(schema)
        assert client.get(name).json == schema
        assert {ref.partition("#")[0] for ref in references(schema)} <= {"", *by_id}
    for _, found in descriptions(app):
        for schema in found.schemas():
            assert by_id[schema["$id"]] == schema


BAD_SCHEMAS: dict[str, tuple[JSON, Any]] = {
    "type": ({"type": "strin"}, SchemaError),
    "pattern": ({"pattern": "("}, SchemaError),
    "inside": ({"properties": {"n": {"minLength": -1}}}, SchemaError),
    "draft-07": ({"$schema": DRAFT_07, "items": 1}, SchemaError),
    "no id": ({"$id": ""}, ValueError),
    "foreign id": ({"$id": "https://example.com/n.json"}, ValueError),
    "taken id": ({"$id": "/schemas/problem.json"}, ValueError),
    "dangling": ({"items": {"$ref": "/schemas/nothing.json"}}, Unresolvable),
    "dangling inside": ({"items": {"$ref": "#/$defs/nothing"}}, Unresolvable),
}


@pytest.mark.parametrize("schema, error", BAD_SCHEMAS.values(), ids=BAD_SCHEMAS)
def test_a_bad_schema_stops_the_start(schema: JSON, error: Any) -> None:
    """The registry of schemas refuses it, and so does mounting a route with it."""
    schema = {"$id": "/schemas/plant.json", "type": "array", **schema}
    schemas = Schemas()
    schemas.add(PROBLEM_SCHEMA)
    with pytest.raises(error):
        schemas.add(schema)
        schemas.check_references()
    with pytest.raises(error):
        plant_app(resource(schema=schema))


def test_a_schema_without_an_id_stops_the_start() -> None:
    with pytest.raises(ValueError, match="id"):
        Schemas().add({"type": "object"})
    with pytest.raises((LookupError, ValueError), match="id"):
        plant_app(resource(schema={"type": "object"}))


def test_a_schema_may_be_named_twice_and_refer_to_another() -> None:
    schemas = Schemas()
    for schema in (PROBLEM_SCHEMA, dict(PROBLEM_SCHEMA)):
        schemas.add(schema)
    schemas.add({"$id": "/schemas/a.json", "items": {"$ref": "/schemas/problem.json"}})
    schemas.check_references()


TEXTS = ("type", "title", "detail", "instance", "request_id")
PROBLEM = {"status": 400, **dict.fromkeys(TEXTS, "/x")}


def refuse(slug: str) -> None:
    raise Problem(slug)


def as_problem(body: Any) -> Response:
    headers = [("Content-Type", "application/problem+json")]
    return respond(body, 400, headers)


# The response of a view function, and the status that its test expects.
ANSWERS_AS_DESCRIBED: dict[str, tuple[Callable[[], Any], int]] = {
    "the schema": (lambda: {"n": 1}, 200),
    "no body": (lambda: respond(None, 204), 204),
    "a described problem": (lambda: refuse("bad-request"), 400),
    "the schema of problems": (lambda: as_problem(PROBLEM), 400),
}
OTHER_ANSWERS: dict[str, tuple[Callable[[], Any], int]] = {
    "another type": (lambda: {"n": "1"}, 200),
    "a fraction": (lambda: {"n": 1.5}, 200),
    "a field too many": (lambda: {"n": 1, "hidden": 2}, 200),
    "a field too few": (lambda: {}, 200),
    "a list": (lambda: [], 200),
    "another status": (lambda: {"n": 1}, 201),
    "a status not described": (lambda: respond({"n": 1}, 202), 202),
    "a problem not described": (lambda: refuse("forbidden"), 403),
    "an error by hand": (lambda: respond({"message": "no"}, 400), 400),
    "a problem as plain JSON": (lambda: respond(PROBLEM, 400), 400),
    "half a problem": (lambda: as_problem({"title": "no"}), 400),
}


@pytest.mark.parametrize(
    "answer, expect", ANSWERS_AS_DESCRIBED.values(), ids=ANSWERS_AS_DESCRIBED
)
def test_the_client_lets_a_described_answer_pass(answer: Any, expect: int) -> None:
    client = plant_app(resource(answer)).test_client()
    assert client.get("/plant/x", expect=expect).status_code == expect


@pytest.mark.parametrize("answer, expect", OTHER_ANSWERS.values(), ids=OTHER_ANSWERS)
def test_the_client_fails_on_any_other_answer(answer: Any, expect: int) -> None:
    client = plant_app(resource(answer)).test_client()
    with pytest.raises(AssertionError):
        client.get("/plant/x", expect=expect)


def test_the_client_fails_on_a_parameter_that_is_not_described() -> None:
    client = plant_app(resource(lambda: {"n": 1})).test_client()
    with pytest.raises(AssertionError, match="does not describe the parameters"):
        client.get("/plant/x?limit=1")
