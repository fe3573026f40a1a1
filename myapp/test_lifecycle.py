"""Features are added and removed by one command each, and the tests still pass."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = """
.git .venv .venvs .*_cache .hypothesis .coverage* instance __pycache__ node_modules
screenshots
""".split()
# Core does not know the features, but these tests of core read the mount table.
LOOKING = ("docs/test_pages.py", "stores/sql/test_migrations.py")
TIMEOUT = 500
SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1, "maxLength": 80},
        "price": {
            "type": "string",
            "format": "decimal",
            "pattern": "^(0|[1-9][0-9]{0,5})[.][0-9]{3}$",
            "examples": ["0.125", "3.000"],
            "x-digits": [9, 3],
        },
        "sizes": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1, "maximum": 60},
            "maxItems": 5,
            "default": [],
        },
        "box": {
            "type": "object",
            "properties": {"width": {"type": "number", "minimum": 0}},
            "required": ["width"],
            "additionalProperties": False,
        },
        "link": {"type": "string", "format": "uri", "maxLength": 100},
        "rank": {"type": "integer", "minimum": 1, "maximum": 9},
        "note": {"type": ["string", "null"], "maxLength": 300},
    },
    "required": ["name"],
}


class Checkout:
    """A copy of this tree in a git repository, and commands that run in it.

    :param before: what is run before the first commit.
    """

    def __init__(self, root: Path, *before: tuple[str, ...]) -> None:
        self.root = root
        shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (root / "instance").mkdir()
        (root / "instance" / ".gitkeep").touch()
        self.run("git", "init", "--quiet", "--initial-branch", "main")
        for command in before:
            self.python(*command)
        self.commit("all")

    def commit(self, message: str) -> None:
        """Commit all that has changed."""
        self.run("git", "config", "user.name", "test")
        self.run("git", "config", "user.email", "test@example.com")
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def run(self, *command: str, more: dict[str, str] | None = None) -> str:
        """The output of a command, which must succeed."""
        # The command must not get the settings, coverage and engines of this run.
        foreign = ("MYAPP_", "TEST_", "PYTEST_", "COV_", "COVERAGE_", "FLASK_", "GIT_")
        env = {one: v for one, v in os.environ.items() if not one.startswith(foreign)}
        outcome = subprocess.run(
            command,
            cwd=self.root,
            env={**env, **(more or {})},
            text=True,
            capture_output=True,
            timeout=TIMEOUT,
        )
        said = outcome.stdout[-4000:] + outcome.stderr[-2000:]
        assert outcome.returncode == 0, f"{command}: {said}"
        return outcome.stdout

    def python(self, *arguments: str, more: dict[str, str] | None = None) -> str:
        """The output of a Python module, run with ``-m``."""
        return self.run(sys.executable, "-m", *arguments, more=more)

    def test(self, *places: str) -> None:
        """Run the tests in some places, and the tests that read the mount table."""
        look = [f"myapp/core/{name}" for name in LOOKING]
        options = ["-q", "-x", "-p", "no:cacheprovider"]
        whole = ("myapp/test_architecture.py", "myapp/test_matrix.py")
        self.python("pytest", *options, *whole, *look, *places)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    """A copy of this tree."""
    return Checkout(tmp_path / "copy")


@pytest.mark.external
def test_the_suite_passes_without_a_feature(checkout: Checkout) -> None:
    checkout.python("flask", "remove-feature", "carts")
    assert not (checkout.root / "myapp" / "carts").exists()
    left = [path for path in checkout.root.glob("myapp/*/") if path.name != "core"]
    assert left
    checkout.test(*(f"myapp/{path.name}" for path in left))


@pytest.mark.external
def test_new_features_pass_their_tests_and_leave_nothing(
    checkout: Checkout, tmp_path: Path
) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text(json.dumps(SCHEMA))
    new = ("flask", "new-feature")
    fields = "number:string(20) total:decimal issued:date paid:datetime? open:boolean"
    fields += " state:enum(new|sent)? pages:integer? weight:number? code:uuid?"
    options = [part for field in fields.split() for part in ("--field", field)]
    director = ("--ref", "director:catalog.directors")
    checkout.python(*new, "invoices", "--store", "sql", *options, *director)
    checkout.python(*new, "receipts", "--store", "redis", *options, *director)
    for name, store in (("boxes", "sql"), ("crates", "redis")):
        references = ("--ref", "invoice:invoices.invoices?")
        checkout.python(
            *new, name, "--store", store, "--schema", str(schema), *references
        )
    owned = ("--field", "text:string(50)", "--owned")
    checkout.python(*new, "diaries", "--store", "sql", *owned, "--model", "Diary")
    checkout.python(*new, "memos", "--store", "redis", *owned)
    made = ("invoices", "receipts", "boxes", "crates", "diaries", "memos")
    checkout.python("black", "--check", "--quiet", ".")
    checkout.python("flake8")
    checkout.python("mypy")
    checkout.python("flask", "openapi", "--check")
    checkout.test(*(f"myapp/{name}" for name in made))
    # Their migrations run up and down on each engine.
    urls = os.environ.get("TEST_DATABASE_URLS", "")
    migrations = "myapp/core/stores/sql/test_migrations.py"
    checkout.python("pytest", "-q", migrations, more={"TEST_DATABASE_URLS": urls})
    checkout.python("flask", "db", "upgrade")
    for name in reversed(made):
        checkout.python("flask", "remove-feature", name, "--yes")
    assert checkout.run("git", "status", "--porcelain") == ""
    checkout.python("flask", "db", "check")


@pytest.mark.external
def test_a_feature_grows_by_fields_and_passes_its_tests(checkout: Checkout) -> None:
    new, field = ("flask", "new-feature"), ("--field", "text:string(50)")
    grow = ("flask", "add-field")
    checkout.python(*new, "notes", "--store", "sql", *field)
    model = ("flask", "new-model")
    owned = ("--store", "redis", "--owned")
    checkout.python(*model, "carts", "gift_cards", *owned, *field)
    movie = ("--ref", "movie:catalog.movies?")
    checkout.python(*model, "catalog", "actors", "--store", "sql", *field, *movie)
    more = ("due:date?", "state:enum(open|done)?", "price:decimal")
    checkout.python(*grow, "notes", *more, "--value", "price=1.00")
    checkout.python(*grow, "carts.gift_cards", *more[:2])
    checkout.python("black", "--check", "--quiet", ".")
    checkout.python("flake8")
    checkout.python("mypy")
    checkout.python("flask", "check-migrations")
    places = ("myapp/core/stores/sql/test_migrations.py", "myapp/test_matrix.py")
    grown = ("myapp/notes", "myapp/carts/test_gift_cards.py")
    checkout.python(
        "pytest", "-q", "-x", *grown, "myapp/catalog/test_actors.py", *places
    )


@pytest.mark.external
def test_what_others_may_have_run_is_dropped_by_a_migration(
    checkout: Checkout,
) -> None:
    new = ("flask", "new-feature", "notes", "--store", "sql")
    checkout.python(*new, "--field", "text:string")
    checkout.run("git", "add", "--all")
    said = checkout.python("flask", "remove-feature", "notes", "--yes")
    assert "flask db upgrade" in said
    *_, drop = sorted(checkout.root.glob("migrations/versions/*.py"))
    assert drop.name.endswith("_drop_notes.py")
    checkout.python("flask", "db", "upgrade")
    checkout.python("flask", "db", "check")


@pytest.mark.external
def test_a_project_with_features_of_its_own_is_upgraded(tmp_path: Path) -> None:
    # The version before has no feature openid, and no migration of it.
    older = ("flask", "remove-feature", "openid", "--yes")
    upstream = Checkout(tmp_path / "upstream", older, ("flask", "openapi", "--accept"))
    upstream.run("git", "tag", "v0.0.9")
    mine = tmp_path / "mine"
    upstream.run("git", "clone", "--quiet", str(upstream.root), str(mine))
    shutil.copytree(
        ROOT,
        upstream.root,
        ignore=shutil.ignore_patterns(*LEFT_OUT),
        dirs_exist_ok=True,
    )
    upstream.commit("openid")
    upstream.run("git", "tag", "v0.1.0")

    project = Checkout.__new__(Checkout)
    project.root = mine
    for name in ("invoices", "boxes"):
        new = ["flask", "new-feature", name, "--store", "sql"]
        project.python(*new, "--field", "number:string(20)")
    project.python("flask", "openapi", "--save")
    models = mine / "myapp" / "catalog" / "models.py"
    text = models.read_text().replace("A film, as written", "A movie, as written")
    models.write_text(text)
    project.commit("own features")

    more = {"GIT_AUTHOR_NAME": "test", "GIT_COMMITTER_NAME": "test"}
    command = ("myapp.core.scaffold.upgrade", str(upstream.root), "v0.1.0")
    told = project.python(*command, more=more)
    assert "migration 0015_openid.py is 0017_openid.py here" in told
    assert "conflict" not in told, told
    assert "A movie, as written" in models.read_text()
    assert project.run("git", "status", "--porcelain") == ""
    project.python("flask", "settings", "--save")
    project.python("flask", "openapi", "--save")
    refused = subprocess.run(
        [sys.executable, "-m", *command], cwd=mine, capture_output=True, text=True
    )
    assert "not committed" in refused.stderr
    project.commit("made again")
    refused = subprocess.run(
        [sys.executable, "-m", *command], cwd=mine, capture_output=True, text=True
    )
    assert "has v0.1.0 already" in refused.stderr
    project.test("myapp/core/scaffold/test_settings.py")
