"""flask new-feature and remove-feature: they refuse wrong arguments and then write
nothing. ``test_lifecycle.py`` tests what they write."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from myapp.core.feature import Feature
from myapp.core.http.app import App
from myapp.core.rest.api import api_of
from myapp.core.scaffold import samples
from myapp.core.scaffold.fields import (
    DRAWABLE_FORMATS,
    DRAWABLE_KEYWORDS,
    TYPES,
    Fields,
)
from myapp.core.scaffold.render import Names, render_feature, singular
from myapp.core.scaffold.samples import sample_bodies
from myapp.core.scaffold.store import StoreScaffold
from myapp.core.scaffold.tree import Tree
from myapp.core.schema.names import snake
from myapp.core.schema.validator import Validator
from myapp.core.stores.redis.scaffold import RedisScaffold
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.scaffold import SqlScaffold, undo_migration
from myapp.core.testing import draw
from myapp.core.testing.planted import NOTES, plant

TABLE = '''"""The mount table."""

from myapp.core.feature import Feature

FEATURES = (
    Feature("alpha", url_prefix="/alpha", access="public"),
    Feature("beta", url_prefix="/beta", access="public"),
)

# Who may use whose door.
DOORS: frozenset[tuple[str, str]] = frozenset()
'''
README = """# A project

myapp/
  core/              all
  alpha/             the first
  beta/              the second
    models.py        its models
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A tree with two features."""
    for name in ("alpha", "beta"):
        (tmp_path / "myapp" / name).mkdir(parents=True)
    (tmp_path / "myapp" / "features.py").write_text(TABLE)
    (tmp_path / "README.md").write_text(README)
    return Tree(tmp_path)


@pytest.fixture
def flask(
    own_app: App, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """Run a flask command in that tree; it must fail and leave the tree unchanged."""
    monkeypatch.setattr(own_app, "root_path", str(tree.package))

    def run(*arguments: str) -> str:
        before = times(tree)
        answer = own_app.test_cli_runner().invoke(args=list(arguments))
        assert answer.exit_code != 0
        assert times(tree) == before
        return str(answer.output)

    return run


def times(tree: Tree) -> dict[Path, int]:
    """The time of the last write of each file in a tree."""
    return {path: path.stat().st_mtime_ns for path in tree.root.rglob("*")}


NEW = ("new-feature", "gammas", "--store")
GOOD = ("--field", "title:string(20)")


@pytest.mark.parametrize(
    ("field", "why"),
    [
        ("title", "is not like name:type"),
        ("Title:string", "is not like name:type"),
        ("title:text", "is not like name:type"),
        ("title:string(x)", "title:string(x)"),
        ("title:date(3)", "takes no arguments"),
        ("price:decimal(30,2)", "at most 18 digits"),
        ("price:decimal(2,2)", "at most 18 digits"),
        ("state:enum(open)", "write an enum as"),
        ("id:uuid", "cannot be called id"),
        ("version:integer", "cannot be called version"),
        ("class:string", "cannot be called class"),
        ("limit:integer", "cannot be called limit"),
        ("metadata:string", "cannot be called metadata"),
    ],
)
def test_a_field_that_is_none_is_refused(
    flask: Callable[..., Any], field: str, why: str
) -> None:
    assert why in flask(*NEW, "sql", "--field", field)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("sql",), "needs at least one field"),
        (("nosql", *GOOD), "nosql"),
        (("sql", *GOOD, *GOOD), "cannot be called title"),
        (("sql", *GOOD, "--model", "lower"), "not a name for a class"),
        (("sql", *GOOD, "--ref", "owner"), "is not like name:feature.namespace"),
        (("sql", *GOOD, "--ref", "owner:nobody.nothing"), "no model at nobody.nothing"),
        (("sql", *GOOD, "--ref", "title:a.b"), "a relation cannot be called title"),
        (("sql", *GOOD, "--schema", "nowhere.json"), "is not a JSON Schema"),
        (("sql", *GOOD, "--access", "everybody"), "everybody"),
        (("sql", *GOOD, "--access", "owner"), "try --owned"),
        (("sql", *GOOD, "--owned", "--access", "supervisor"), "is the supervisor"),
    ],
)
def test_a_feature_that_is_none_is_refused(
    flask: Callable[..., Any], arguments: tuple[str, ...], why: str
) -> None:
    assert why in flask(*NEW, *arguments)


@pytest.mark.parametrize("name", ["Gammas", "class", "alpha", "1s", "a-b", ""])
def test_a_name_that_is_none_is_refused(flask: Callable[..., Any], name: str) -> None:
    told = flask("new-feature", name, "--store", "redis", *GOOD)
    assert "not a name for a feature" in told or "exists already" in told


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ("no JSON", "is not a JSON Schema"),
        ([], "is not a JSON Schema"),
        ({"type": "object"}, "is not a JSON Schema"),
        ({"properties": {"a": {"type": "strange"}}}, "'strange' is not valid"),
        ({"properties": {"a": {"type": "string"}}}, "a needs a maxLength"),
        ({"properties": {"a": {"anyOf": [{}]}}}, "cannot draw values for anyOf"),
        ({"properties": {"a": {"items": {"format": "ipv4"}}}}, "the format ipv4"),
        (
            {"properties": {"a": {"type": ["integer", "null"]}}, "required": ["a"]},
            "a is required, but may be null",
        ),
        ({"properties": {"a": {"maxLength": 5}}}, "no column type fits a"),
        (
            {"properties": {"a": {"type": "string", "pattern": "^x{3}$"}}},
            "a needs two values in the `examples`",
        ),
        (
            {"properties": {"a": {"type": "string", "format": "decimal"}}},
            'a needs numbers of digits, such as "x-digits"',
        ),
    ],
)
def test_a_schema_that_no_table_holds_is_refused(
    flask: Callable[..., Any], tmp_path: Path, schema: Any, why: str
) -> None:
    path = tmp_path / "schema.json"
    path.write_text(schema if isinstance(schema, str) else json.dumps(schema))
    assert why in flask(*NEW, "sql", "--schema", str(path))


def test_what_is_drawn_is_what_is_taken() -> None:
    words = f"{draw.ANNOTATIONS} {draw.STRUCTURE}".split()
    assert DRAWABLE_KEYWORDS | {"$id", "$schema"} == {*words, *draw.BROKEN}
    assert DRAWABLE_FORMATS == set(draw.FORMATTED) == set(samples.FORMAT_SAMPLES)


def test_what_is_not_there_is_not_removed(flask: Callable[..., Any]) -> None:
    assert "there is no feature gammas" in flask("remove-feature", "gammas")


FIELDS = "a:string(9) b:integer? c:decimal d:boolean e:date? f:datetime g:uuid h:number"


def test_a_feature_is_written_and_taken_back(
    own_app: App, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_app, "root_path", str(tree.package))

    def files() -> dict[Path, bytes]:
        every = [path for path in tree.root.rglob("*.*") if ".db" not in path.name]
        return {path: path.read_bytes() for path in every}

    before = files()
    options = [part for text in FIELDS.split() for part in ("--field", text)]
    new = ["new-feature", "gammas", "--store", "redis", *options]
    said = own_app.test_cli_runner().invoke(args=new)
    assert said.exit_code == 0, said.output
    assert "myapp/gammas/models.py" in said.output
    assert 'Feature("gammas", url_prefix="/gammas"' in tree.table.read_text()
    for path in tree.folder("gammas").glob("*.py"):
        assert ast.get_docstring(ast.parse(path.read_text()))
    feature = Feature("gammas", "/gammas", "public")
    monkeypatch.setitem(own_app.extensions["features"], "gammas", feature)
    run = own_app.test_cli_runner()
    asked = run.invoke(args=["remove-feature", "gammas"], input="n\n")
    assert asked.exit_code == 1
    assert "This will be lost:" in asked.output and "models.py" in asked.output
    assert tree.folder("gammas").exists()
    said = run.invoke(args=["remove-feature", "gammas", "--yes"])
    assert said.output == "removed gammas\n"
    assert files() == before


@pytest.mark.parametrize("name", ["static", "health", "docs", "core", "features"])
def test_a_name_of_the_application_is_refused(
    own_app: App, tree: Tree, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(own_app, "root_path", str(tree.package))
    new = ["new-feature", name, "--store", "redis", "--field", "a:string"]
    said = own_app.test_cli_runner().invoke(args=new)
    assert said.exit_code == 1
    assert f"{name} " in said.output and "Error" in said.output
    assert not tree.folder(name).exists()


def test_rows_that_would_be_lost_are_named(own_app: App) -> None:
    client = plant(own_app).test_client()
    lost = "the rows of planted_notes"
    with own_app.app_context():
        assert lost not in SqlScaffold().filled("core")
    client.post(NOTES, json={"text": "one"})
    with own_app.app_context():
        assert lost in SqlScaffold().filled("core")


def test_a_reference_opens_a_door(
    own_app: App, tree: Tree, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(own_app, "root_path", str(tree.package))
    owner, namespace = next(
        (name, one)
        for name in own_app.extensions["features"]
        for one in api_of(own_app, name).namespaces
        if getattr(one, "served", ())
    )
    model = namespace.served[0]
    tree.folder(owner).mkdir()
    new = ["new-feature", "gammas", "--store", "redis"]
    new += ["--ref", f"one:{owner}.{namespace.name}"]
    refused = own_app.test_cli_runner().invoke(args=new)
    maker = f"create_{snake(model.__name__)}"
    assert f"{owner}.factories has no {maker}" in refused.output
    (tree.folder(owner) / "factories.py").write_text(f"def {maker}(): ...\n")
    said = own_app.test_cli_runner().invoke(args=new)
    assert said.exit_code == 0, said.output
    assert tree.doors() == {("gammas", owner)}
    assert model.__name__ in (tree.folder(owner) / "door.py").read_text()
    assert f"{maker}().id" in (tree.folder("gammas") / "factories.py").read_text()
    monkeypatch.setitem(
        own_app.extensions["features"], owner, Feature(owner, "/", "public")
    )
    used = own_app.test_cli_runner().invoke(args=["remove-feature", owner])
    assert "is used by gammas" in used.output


def test_a_migration_that_git_does_not_know_is_deleted(
    own_app: App, tree: Tree
) -> None:
    versions = tree.root / "migrations" / "versions"
    versions.mkdir(parents=True)
    text = 'revision = "{}"\ndown_revision = "{}"\n'
    (versions / "9998_betas.py").write_text(text.format("9998", "9997"))
    (versions / "9999_gammas.py").write_text(text.format("9999", "9998"))
    with own_app.app_context():
        assert not undo_migration(tree, "betas"), "a newer migration exists"
        assert undo_migration(tree, "gammas")
    assert [path.name for path in versions.iterdir()] == ["9998_betas.py"]


@pytest.mark.parametrize("scaffold", [SqlScaffold(), RedisScaffold()])
def test_an_owned_model_knows_its_owner(own_app: App, scaffold: StoreScaffold) -> None:
    fields = Fields(scaffold.base)
    fields.add_text("text:string(50)")
    words = 'owner | role("admin")'
    with own_app.test_request_context():
        names = Names("diaries", "Diary")
        files = render_feature(names, scaffold, fields, words, True)
    assert '    owner_field = "owner_id"\n' in files["models.py"]
    column = "    owner_id: Mapped[str | None] = mapped_column(Varchar(255))"
    assert (column in files["models.py"]) == isinstance(scaffold, SqlScaffold)
    assert '    stranger = "bob"' in files["test_diaries.py"]
    lines = [line.split() for line in files["access.txt"].splitlines()]
    nobody, rest = ["401", "401", "ok"], ["ok", "ok", "ok", "403"]
    assert ["GET", "/diaries/", *nobody, *["none"] * 4, *rest] in lines
    assert ["PUT", "/diaries/<id>", *nobody, *["404"] * 4, *rest] in lines
    assert ["POST", "/diaries/", *nobody, *["ok"] * 4, *rest] in lines


def test_columns_hold_what_the_fields_say(own_app: App) -> None:
    fields = Fields(SqlModel)
    for text in FIELDS.split():
        fields.add_text(text)
    with own_app.test_request_context():
        text = render_feature(
            Names("gammas", "Gamma"), SqlScaffold(), fields, "public", False
        )["models.py"]
    for line in (
        "a: Mapped[str] = mapped_column(Varchar(9))",
        "b: Mapped[int | None] = mapped_column(BigInteger)",
        "c: Mapped[Decimal] = mapped_column(ExactDecimal(12, 2))",
        "d: Mapped[bool]",
        "e: Mapped[date | None] = mapped_column(Date)",
        "f: Mapped[datetime] = mapped_column(UtcDateTime)",
        "g: Mapped[str] = mapped_column(Id)",
        "h: Mapped[float] = mapped_column(Double)",
    ):
        assert f"    {line}\n" in text


@pytest.mark.parametrize("text", [*TYPES, "string(3)", "decimal(4,0)", "enum(a|b)"])
def test_two_values_of_each_type_are_valid_and_differ(text: str) -> None:
    fields = Fields(SqlModel)
    fields.add_text(f"field:{'enum(x|y)' if text == 'enum' else text}")
    bodies = sample_bodies(fields)
    assert bodies[0] != bodies[1]
    for body in bodies:
        assert Validator(fields.properties["field"]).errors(body["field"]) == []


@pytest.mark.parametrize(
    ("plural", "one"),
    [
        ("invoices", "Invoice"),
        ("order_lines", "OrderLine"),
        ("companies", "Company"),
        ("boxes", "Box"),
        ("classes", "Class"),
        ("news", "New"),
        ("staff", "Staff"),
        ("glass", "Glass"),
    ],
)
def test_the_singular_of_a_plural(plural: str, one: str) -> None:
    assert singular(plural) == one


def test_rows_and_lines_are_taken_back(tree: Tree) -> None:
    tree.add_row("gammas", "/gammas", "public")
    assert '    Feature("gammas", url_prefix="/gammas", access="public"),\n)' in (
        tree.table.read_text()
    )
    tree.add_to_map("gammas", "the third")
    assert "second\n  gammas/            the third\n" in tree.readme.read_text()
    tree.remove_from_map("gammas")
    tree.remove_row("gammas")
    assert (tree.table.read_text(), tree.readme.read_text()) == (TABLE, README)
    with pytest.raises(LookupError):
        tree.remove_row("gammas")
    tree.table.write_text("FEATURES = ()\nDOORS = frozenset()\n")
    tree.add_row("gammas", "/gammas", "public")
    assert tree.table.read_text().splitlines()[::2] == ["FEATURES = (", ")"]
    tree.remove_row("gammas")
    assert "Feature(" not in tree.table.read_text()


def test_doors_open_and_close(tree: Tree) -> None:
    pairs = {("beta", "alpha"), ("gammas", "alpha")}
    tree.set_doors(pairs)
    assert tree.doors() == pairs
    door = tree.folder("alpha") / "door.py"
    for name in ("One", "Two", "One"):
        assert tree.can_open_door("alpha", name)
        tree.open_door("alpha", "myapp.alpha.models", name)
    assert '__all__ = ["One", "Two"]' in door.read_text()
    tree.close_door("alpha")
    assert door.exists(), "others use it"
    tree.set_doors(set())
    assert tree.table.read_text() == TABLE
    tree.close_door("alpha")
    assert not door.exists()


def test_a_door_that_is_written_by_hand_stays(tree: Tree) -> None:
    door = tree.folder("alpha") / "door.py"
    text = '"""By hand."""\n\nfrom myapp.alpha.models import One\n'
    door.write_text(text)
    assert tree.can_open_door("alpha", "One")
    tree.open_door("alpha", "myapp.alpha.models", "One")
    assert not tree.can_open_door("alpha", "Two")
    tree.close_door("alpha")
    assert door.read_text() == text
