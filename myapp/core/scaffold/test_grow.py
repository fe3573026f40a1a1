"""``flask add-field`` and ``flask new-model``, on a copy of the features."""

import ast
import shutil
from pathlib import Path
from typing import Any

import click
import pytest

from myapp.core.http.app import App
from myapp.core.stores.sql.scaffold import SqlScaffold

MOVIE = ("--model", "Movie", "--owned")
PACKAGE = Path(__file__).parents[2]


class Copy:
    """A copy of two features, which commands edit.

    :ivar said: what the scaffold of SQL was told to write.
    """

    def __init__(self, app: App, root: Path) -> None:
        self.app, self.package = app, root / "myapp"
        self.said: list[tuple[str, list[str]]] = []
        for name in ("catalog", "carts"):
            shutil.copytree(PACKAGE / name, self.package / name)
        shutil.copy(PACKAGE / "features.py", self.package)

    def run(self, *arguments: str) -> Any:
        """The outcome of a command."""
        return self.app.test_cli_runner().invoke(args=[*arguments])

    def files(self) -> dict[Path, str]:
        """The texts of the features."""
        found = self.package.rglob("*.*")
        return {path: path.read_text() for path in found if path.suffix != ".pyc"}

    def text(self, place: str) -> str:
        """A file, which is valid Python when its name says so."""
        text = (self.package / place).read_text()
        if place.endswith(".py"):
            ast.parse(text)
        return text


@pytest.fixture
def copy(own_app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Copy:
    """A copy; the migration is not written, which takes a tree that starts."""
    made = Copy(own_app, tmp_path)
    monkeypatch.setattr(own_app, "root_path", str(made.package))

    def change(_self: Any, _tree: Any, message: str, answers: Any) -> list[Path]:
        made.said.append((message, [*answers]))
        return [tmp_path / "migrations" / "versions" / "0099_made.py"]

    monkeypatch.setattr(SqlScaffold, "change", change)
    return made


def test_a_field_is_added_to_a_model_in_redis(copy: Copy) -> None:
    done = copy.run("add-field", "carts", "due:date?", "state:enum(open|sent)?")
    assert done.exit_code == 0, done.output
    assert '"due": {"type": "string", "format": "date"}' in copy.text("carts/models.py")
    assert "by hand: the bodies in factories.py" in done.output
    assert "flask db upgrade" not in done.output and copy.said == []


def test_a_field_is_added_to_a_model_in_sql(copy: Copy) -> None:
    done = copy.run("add-field", "catalog.directors", "died:date?")
    assert done.exit_code == 0, done.output
    text = copy.text("catalog/models.py")
    assert text.count("died: Mapped[date | None] = mapped_column(Date)") == 1
    assert copy.said == [("died of catalog_directors", [])]
    assert "0099_made.py" in done.output and "flask db upgrade" in done.output


@pytest.mark.parametrize(
    "command",
    [
        ("add-field", "catalog.directors", "died:date?"),
        ("new-model", "catalog", "actors", "--store", "sql", "--field", "name:string"),
    ],
)
def test_what_cannot_be_finished_is_taken_back(
    copy: Copy, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    def fail(*_: Any) -> None:
        raise click.ClickException("there is no migration")

    monkeypatch.setattr(SqlScaffold, "change", fail)
    before = copy.files()
    done = copy.run(*command)
    assert done.exit_code == 1 and "there is no migration" in done.output
    assert copy.files() == before


def test_a_model_in_sql_joins_a_feature(copy: Copy) -> None:
    fields = ("--field", "name:string(80)", "--ref", "movie:catalog.movies?")
    done = copy.run("new-model", "catalog", "actors", "--store", "sql", *fields)
    assert done.exit_code == 0, done.output
    models = copy.text("catalog/models.py")
    assert '__tablename__ = "catalog_actors"' in models
    assert 'Relation("movie_id", Movie)' in models and "catalog.door" not in models
    assert "ACTOR_BODIES" in copy.text("catalog/factories.py")
    routes = copy.text("catalog/endpoints.py")
    assert "routes_from_model(actors, Actor)" in routes
    assert "import Actor, Director, Movie" in routes
    assert 'url = "/catalog/actors/"' in copy.text("catalog/test_actors.py")
    rows = copy.text("catalog/access.txt").splitlines()
    assert any(row.startswith("POST    /catalog/actors/ ") for row in rows)
    assert rows[5:] == sorted(rows[5:], key=lambda row: (row.split()[1], row[:7]))
    assert copy.said == [("actors of catalog", [])]


def test_a_model_in_redis_joins_a_feature(copy: Copy) -> None:
    fields = ("--store", "redis", "--field", "code:string(20)")
    refused = copy.run("new-model", "carts", "gift_cards", *fields)
    assert "try --owned" in refused.output
    done = copy.run("new-model", "carts", "gift_cards", *fields, "--owned")
    assert done.exit_code == 0, done.output
    routes = copy.text("carts/endpoints.py")
    assert 'path="/gift-cards"' in routes
    assert "routes_from_model(gift_cards, GiftCard, access=" in routes
    assert "class GiftCard(RedisModel)" in copy.text("carts/models.py")
    assert "flask db upgrade" not in done.output


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("nothing", "actors", "--store", "sql"), "there is no feature nothing"),
        (("catalog", "actors", "--store", "paper"), "is not a store"),
        (("catalog", "Actors", "--store", "sql"), "is not a name for models"),
        (("catalog", "class", "--store", "sql"), "is not a name for models"),
        (("catalog", "actors", "--store", "sql", "--model", "x"), "name for a class"),
        (("catalog", "movies", "--store", "sql"), "/catalog/movies exists already"),
        (("carts", "films", "--store", "redis", *MOVIE), "model is called Movie"),
    ],
)
def test_a_model_that_is_none_is_refused(
    copy: Copy, arguments: tuple[str, ...], told: str
) -> None:
    before = copy.files()
    done = copy.run("new-model", *arguments, "--field", "name:string")
    assert done.exit_code == 1 and told in done.output, done.output
    assert copy.files() == before


def test_endpoints_without_a_namespace_are_refused(copy: Copy) -> None:
    (copy.package / "catalog" / "endpoints.py").write_text('"""Nothing."""\n')
    fields = ("--store", "sql", "--field", "name:string")
    done = copy.run("new-model", "catalog", "actors", *fields)
    assert "endpoints.py has no api.namespace" in done.output
