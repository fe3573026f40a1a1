"""The pages of the core, and the Swagger page of each feature."""

import re
from itertools import product
from random import Random
from typing import Any

import orjson
import pytest
from openapi_spec_validator import OpenAPIV2SpecValidator, OpenAPIV31SpecValidator
from sqlalchemy.exc import OperationalError

from myapp.core import __version__
from myapp.core.docs import summary
from myapp.core.docs.browsing import problem_page
from myapp.core.docs.components import component
from myapp.core.errors.kinds import KINDS
from myapp.core.http.app import App
from myapp.core.http.description import description_of
from myapp.core.http.methods import METHODS
from myapp.core.http.response import problem_response
from myapp.core.query.parameters import WORDS
from myapp.core.schema.formats import PARSERS, PATTERNS
from myapp.core.schema.names import model_name
from myapp.core.schema.patterns import ecma_pattern
from myapp.core.schema.registry import Schemas, references
from myapp.core.stores.sql.model import SqlModel
from myapp.core.testing import Client, calling

# Parts of texts that are nearly valid.
YEARS = ["0000", "0001", "0004", "1900", "2000", "2023", "2024", "9999"]
DAYS = [YEARS, ["-"], ["00", "01", "02", "04", "12", "13"], ["-"]]
DAYS += [["00", "01", "28", "29", "30", "31", "32"]]
TIMES = [["T", "t", " "], ["00", "23", "24"], [":"], ["00", "59", "60"], [":"]]
TIMES += [["00", "59", "60"], ["", ".1", ".123456", ".1234567", "."], ["Z", "z", ""]]
SHAPES = {
    "date": DAYS,
    "date-time": [["2023"], *DAYS[1:], *TIMES],
    "decimal": [
        ["", "-", "+"],
        ["0", "12", "012", "9" * 28, "9" * 29],
        ["", ".", ".5"],
    ],
    "uuid": [["0" * 8, "F" * 8, "g" * 8], *[["-0aAf", "-1234", "0000"]] * 3]
    + [["-" + "a" * 12, "-" + "a" * 11]],
}
METHODS_OF_OTHERS = ("PUT", "DELETE", "GET", "TRACE")
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def mounted(app: App) -> Any:
    """The rows of the mount table that this application serves."""
    return app.extensions["features"].values()


def test_the_index_lists_every_feature_and_route(client: Client, app: App) -> None:
    features = {found["name"]: found for found in client.get("/").json["features"]}
    assert set(features) == {feature.name for feature in mounted(app)}
    for name, found in features.items():
        assert found["about"]
        assert client.get(found["docs"]).mimetype == "text/html"
        rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"]
        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule))
            for rule in rules
            if rule.endpoint.startswith(f"{name}.")
            for method in rule.methods - {"HEAD", "OPTIONS"}
            if hasattr(app.view_functions[rule.endpoint], "view_class")
        }
        assert {(route["method"], route["path"]) for route in found["routes"]} == served
        assert all(route["about"] for route in found["routes"])


def test_the_index_is_a_page_for_a_browser(client: Client, app: App) -> None:
    page = client.get("/", headers=BROWSER)
    assert page.mimetype == "text/html"
    assert page.headers["Vary"] == client.get("/").headers["Vary"] == "Accept"
    for feature in mounted(app):
        assert f"{feature.url_prefix}/docs" in page.text


def test_live_and_ready(client: Client) -> None:
    assert client.get("/health/live").json == {"status": "ok"}
    ready = client.get("/health/ready").json
    assert ready["status"] == "ok"
    for check in ready["checks"].values():
        assert check["ok"] and check["ms"] >= 0


@pytest.mark.parametrize("slug", KINDS)
def test_each_problem_has_a_page(client: Client, slug: str) -> None:
    told = client.get(f"/problems/{slug}").json
    page = client.get(f"/problems/{slug}", headers=BROWSER)
    assert told["status"] == KINDS[slug].status
    assert KINDS[slug].title in page.text


@pytest.mark.parametrize(
    "url",
    [
        "/nowhere",
        "/problems/none",
        "/schemas/none.json",
        "/swagger-ui/none",
        "/a//b",
        "/.",
    ],
)
def test_an_unknown_url_is_a_problem(client: Client, url: str) -> None:
    response = client.get(url, expect=404)
    assert response.json["type"] == "/problems/not-found"
    assert response.json["instance"] == url
    assert response.headers["Vary"] == "Accept"


def test_an_error_is_a_page_for_a_browser(client: Client, app: App) -> None:
    response = client.get("/nowhere", headers=BROWSER, expect=404)
    assert response.mimetype == "text/html" and response.headers["Vary"] == "Accept"
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert 'href="/problems/not-found"' in response.text
    assert response.headers["X-Request-ID"] in response.text
    for accept in ("*/*", "application/json, text/html"):
        headers = {"Accept": accept}
        assert client.get("/nowhere", headers=headers, expect=404).json["status"] == 404
    with app.test_request_context("/x", headers=BROWSER):
        errors = [{"pointer": "/<b>", "detail": "is wrong"}]
        made = problem_page(problem_response("invalid-body", errors=errors))
        text = made.get_data(as_text=True)
    assert "<code>/&lt;b&gt;</code> is wrong" in text


def test_health_is_a_page_for_a_browser(client: Client, app: App) -> None:
    name = next(iter(mounted(app))).name
    for url in ("/health/ready", f"/health/ready/{name}"):
        page = client.get(url, headers=BROWSER)
        assert page.mimetype == "text/html" and "All is well" in page.text
        assert page.headers["Vary"] == client.get(url).headers["Vary"] == "Accept"
    assert client.get("/health/live", headers=BROWSER).json == {"status": "ok"}


def test_the_index_can_be_searched_and_opened(client: Client, app: App) -> None:
    text = client.get("/", headers=BROWSER).text
    assert f"version {__version__}" in text and " stored</span>" not in text
    for feature in client.get("/").json["features"]:
        for route in feature["routes"]:
            link = f'<a href="{route["path"]}">{route["path"]}</a>'
            assert not route["can_open"] or link in text


def test_in_development_it_counts_the_records(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.test_request_context():
        assert summary.stored() == {}
        monkeypatch.setitem(app.config, "ENV", "development")
        known = summary.stored()
        assert known and set(known.values()) == {0}
        for model in SqlModel.__subclasses__():
            monkeypatch.setattr(model, "count", count_fails)
        assert len(summary.stored()) < len(known)


def count_fails(_query: Any) -> int:
    """What a database without the tables does."""
    raise OperationalError("SELECT", {}, Exception("no such table"))


def test_the_icon_is_there(client: Client) -> None:
    assert client.get("/favicon.ico").mimetype == "image/svg+xml"


def test_options_and_other_methods_beside_features(client: Client) -> None:
    assert client.options("/health/live").headers["Allow"]
    problem = client.delete("/health/live", expect=405)
    assert "GET" in problem.headers["Allow"]


def test_each_swagger_document_is_valid(client: Client, app: App) -> None:
    for feature in mounted(app):
        document = client.get(f"{feature.url_prefix}/swagger.json").json
        OpenAPIV2SpecValidator(document).validate()
        assert document["basePath"] == feature.url_prefix
        paths = {
            f"{feature.url_prefix}{path}": {name.upper() for name in operations}
            for path, operations in document["paths"].items()
        }
        for rule in app.url_map.iter_rules():
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            if path in paths:
                assert rule.methods - {"HEAD", "OPTIONS"} == paths[path] - {
                    "PARAMETERS"
                }
        ids = [
            operation["operationId"]
            for operations in document["paths"].values()
            for name, operation in operations.items()
            if name != "parameters"
        ]
        assert len(ids) == len(set(ids))


def test_the_docs_page_has_nothing_inline_or_foreign(client: Client, app: App) -> None:
    for feature in mounted(app):
        page = client.get(f"{feature.url_prefix}/docs")
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert not re.search(
            r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page.text
        )
        links = re.findall(r"(?:src|href|data-url)=\"([^\"]+)\"", page.text)
        assert f"{feature.url_prefix}/swagger.json" in links
        assert f"/openapi/{feature.name}.json" in links
        for link in links:
            assert link.startswith("/")
            assert client.get(link).data


def test_swagger_ui_is_version_5(client: Client) -> None:
    bundle = client.get("/swagger-ui/swagger-ui-bundle.js")
    assert "public" in bundle.headers["Cache-Control"]
    assert re.match(r"v?5\.", client.get("/swagger-ui/VERSION").text)


def test_the_openapi_document_is_valid_and_whole(client: Client, app: App) -> None:
    response = client.get("/openapi.json")
    document = response.json
    OpenAPIV31SpecValidator(document).validate()
    served = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
        if description_of(app.view_functions[rule.endpoint], method)
    }
    assert ("/health/ready", "get") in served
    operations = {
        (path, method): operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }
    assert set(operations) == served
    ids = [operation["operationId"] for operation in operations.values()]
    assert len(ids) == len(set(ids))
    assert all(re.fullmatch("[a-z][a-z0-9_]*", id) for id in ids)
    assert all(operation["summary"] for operation in operations.values())
    named = {
        f"#/components/schemas/{name}" for name in document["components"]["schemas"]
    }
    named |= {
        f"#/components/headers/{name}" for name in document["components"]["headers"]
    }
    assert set(references(document)) <= named
    again = {"If-None-Match": response.headers["ETag"]}
    assert client.get("/openapi.json", headers=again, expect=304).data == b""
    assert "/openapi.json" in client.get("/docs").text


def test_the_document_of_a_feature_is_a_part_of_the_whole(
    client: Client, app: App
) -> None:
    whole = client.get("/openapi.json").json
    found: dict[str, Any] = {}
    for feature in mounted(app):
        document = client.get(f"/openapi/{feature.name}.json").json
        OpenAPIV31SpecValidator(document).validate()
        assert document["info"]["title"] == feature.name
        schemas = document["components"]["schemas"]
        assert schemas.items() <= whole["components"]["schemas"].items()
        found |= document["paths"]
    others = {path for path in whole["paths"] if path not in found}
    assert found.items() <= whole["paths"].items()
    assert all(path.startswith(("/health", "/jobs")) for path in others), others
    client.get("/openapi/none.json", expect=404)


def test_no_two_schemas_of_a_feature_have_one_title(client: Client, app: App) -> None:
    for feature in mounted(app):
        schemas = client.get(f"/openapi/{feature.name}.json").json["components"]
        told = [one.get("description", "") for one in schemas["schemas"].values()]
        titled = [one for one in told if one and "RFC 6902" not in one]
        assert len(titled) == len(set(titled)), sorted(titled)


def test_the_methods_of_a_path_are_in_one_order(client: Client, app: App) -> None:
    for feature in mounted(app):
        document = client.get(f"{feature.url_prefix}/swagger.json")
        for known in orjson.loads(document.data)["paths"].values():
            names = [name.upper() for name in known if name.upper() in METHODS]
            assert names == [name for name in METHODS if name in names]


def test_definitions_inside_a_schema_get_names_of_their_own() -> None:
    schema = {
        "$id": "/schemas/box.json",
        "$defs": {"size": {"enum": [{"$ref": "data"}]}},
        "properties": {
            "size": {"$ref": "#/$defs/size"},
            "in": {"$ref": "/schemas/box.json"},
        },
    }
    assert component(schema) == {
        "box": {
            "properties": {
                "size": {"$ref": "#/components/schemas/box_size"},
                "in": {"$ref": "#/components/schemas/box"},
            }
        },
        "box_size": {"enum": [{"$ref": "data"}]},
    }


def test_each_example_stands_in_the_document(client: Client, app: App) -> None:
    document = client.get("/openapi.json").json
    schemas = document["components"]["schemas"]
    for blueprint in app.extensions["features"]:
        for namespace in app.blueprints[blueprint].api.namespaces:
            for model in getattr(namespace, "served", ()):
                body = schemas[model_name(model.write_schema)]
                record = schemas[model_name(model.read_schema)]
                assert body["examples"] == model.write_schema["examples"]
                assert record["examples"][0].items() >= body["examples"][0].items()


def test_a_wrong_example_stops_the_start() -> None:
    schemas = Schemas()
    schemas.add({"$id": "/schemas/a.json", "type": "integer", "examples": [1, "x"]})
    with pytest.raises(ValueError, match="/schemas/a.json has an example"):
        schemas.check_references()


def test_what_a_path_takes_is_not_what_its_neighbour_takes(app: App) -> None:
    with calling(app, "root superuser") as client:
        for path in mounted_paths(client, "/batch"):
            for url, method in product((path, f"{path}/"), METHODS_OF_OTHERS):
                response = client.open(url, method=method, expect=405)
                assert response.headers["Allow"] == "OPTIONS, POST"
            assert client.options(path).headers["Allow"] == "OPTIONS, POST"


def mounted_paths(client: Client, end: str) -> list[str]:
    """The paths of the document with an end."""
    paths = client.get("/openapi.json").json["paths"]
    return [path for path in paths if path.endswith(end)]


@pytest.mark.parametrize("kind", ["date", "date-time", "decimal", "uuid"])
def test_a_pattern_takes_what_its_parser_takes(kind: str) -> None:
    pattern = ecma_pattern(f"^{PATTERNS[kind]}$")
    random = Random(kind)
    taken = 0
    for _ in range(20_000):
        text = "".join(random.choice(part) for part in SHAPES[kind])
        try:
            PARSERS[kind](text)
            valid = True
        except ValueError:
            valid = False
        assert bool(pattern.search(text)) == valid, text
        taken += valid
    assert 300 < taken < 19_000


def test_the_words_of_a_search_are_between_blanks() -> None:
    pattern = ecma_pattern(WORDS)
    for number in (*range(0xD800), *range(0xE000, 0x11000)):
        text = f"a{chr(number)}b c d e f g h"
        assert bool(pattern.search(text)) and len(text.split()) <= 8
        assert bool(pattern.search(f"{text} i")) == (len(f"{text} i".split()) <= 8)
        assert bool(pattern.search(chr(number))) == bool(chr(number).split())
