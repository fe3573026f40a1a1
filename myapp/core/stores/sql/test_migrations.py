"""The migrations: numbered, reversible, and equal to the models."""

import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns
from textwrap import indent
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_migrate import downgrade, upgrade
from sqlalchemy import Column, Connection, Index, Integer, MetaData, Table, inspect
from sqlalchemy.exc import IntegrityError

from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.stores.sql.engine import Base, sql
from myapp.core.stores.sql.types import Varchar

ROOT = Path(__file__).parents[4]
MIGRATIONS = ROOT / "migrations"
NAME = re.compile(r"(?P<number>\d{4})_[a-z0-9]+(_[a-z0-9]+)*\.py")
# Tables that tests add to the models, without a migration.
PLANTED = "planted_"


def revisions() -> list[str]:
    """The number of each migration, from its file name."""
    return sorted(path.name[:4] for path in (MIGRATIONS / "versions").glob("*.py"))


@contextmanager
def connected(app: App) -> Iterator[Connection]:
    """A connection to the database of an application, not of its session."""
    with app.app_context(), sql.engine.connect() as connection:
        yield connection


def tables(app: App) -> set[str]:
    """The tables in a database."""
    with connected(app) as connection:
        return set(inspect(connection).get_table_names())


def differences(connection: Connection, metadata: MetaData) -> list[Any]:
    """The changes that autogenerate would write into a migration."""
    options = {"render_as_batch": True, "target_metadata": metadata}
    context = MigrationContext.configure(connection, opts=options)
    return list(compare_metadata(context, metadata))


def models() -> MetaData:
    """A copy of the tables of all models, without those that a test added."""
    copy = MetaData(naming_convention=Base.metadata.naming_convention)
    for table in sql.metadata.sorted_tables:
        if not table.name.startswith(PLANTED):
            table.to_metadata(copy)
    return copy


def test_each_file_is_numbered_and_numbers_have_no_gap() -> None:
    names = [path.name for path in (MIGRATIONS / "versions").glob("*.py")]
    assert names and all(NAME.fullmatch(name) for name in names), names
    assert revisions() == [f"{n:04d}" for n in range(1, len(names) + 1)]


def test_each_revision_is_the_number_of_its_file_and_follows_the_one_before() -> None:
    scripts = ScriptDirectory(str(MIGRATIONS))
    chain = {Path(s.path).name[:4]: s for s in scripts.walk_revisions()}
    assert scripts.get_heads() == revisions()[-1:]
    for before, number in zip([None, *revisions()], revisions()):
        assert chain[number].revision == number
        assert chain[number].down_revision == before


def test_each_migration_goes_up_down_and_up_again(own_app: App) -> None:
    whole = tables(own_app)
    with own_app.app_context():
        downgrade(revision="base")
    assert tables(own_app) == {"alembic_version"}
    for before, number in zip(["base", *revisions()], revisions()):
        with own_app.app_context():
            upgrade(revision=number)
        there = tables(own_app)
        with own_app.app_context():
            downgrade(revision=before)
            upgrade(revision=number)
        assert tables(own_app) == there
    assert tables(own_app) == whole
    with connected(own_app) as connection:
        assert differences(connection, models()) == []


def test_the_migrated_database_equals_the_models(migrated_app: App) -> None:
    with connected(migrated_app) as connection:
        assert differences(connection, models()) == []


def planted(metadata: MetaData, length: int = 10, **column: Any) -> Table:
    """A table without a migration."""
    number = Column("number", Integer, **column)
    text = Column("text", Varchar(length), nullable=False)
    return Table("planted_drift", metadata, Column("id", Integer), number, text)


@pytest.mark.parametrize(
    "drift",
    ["table", "column", "nullable", "length", "index", "unique"],
)
def test_a_change_without_its_migration_is_seen(own_app: App, drift: str) -> None:
    changed = models()
    table = planted(
        changed,
        length=20 if drift == "length" else 10,
        nullable=drift != "nullable",
        unique=drift == "unique",
    )
    if drift == "index":
        Index(None, table.c.number)
    if drift == "column":
        table.append_column(Column("more", Integer))
    with connected(own_app) as connection:
        if drift != "table":
            planted(models()).create(connection)
        assert len(differences(connection, changed)) == 1


def test_migrate_writes_the_next_number_or_nothing(tmp_path: Path) -> None:
    """``flask db migrate``, on a copy of the migrations."""
    ignored = ignore_patterns("__pycache__")
    folder = copytree(MIGRATIONS, tmp_path / "migrations", ignore=ignored)
    database = f"sqlite:///{tmp_path / 'myapp_test_migrate.db'}"
    program = [sys.executable, "-c", MIGRATE, database, str(folder)]
    subprocess.run(program, cwd=ROOT, check=True, capture_output=True, timeout=60)
    made = {path.name for path in (folder / "versions").glob("*.py")}
    kept = {path.name for path in (MIGRATIONS / "versions").glob("*.py")}
    assert kept < made
    names = ("table", "by_hand", "column", "types")
    numbered = {f"{len(kept) + n:04d}_{name}.py" for n, name in enumerate(names, 1)}
    assert made - kept == numbered
    for linter in (["black", "--check"], ["flake8"]):
        lint = [sys.executable, "-m", *linter, str(folder)]
        linted = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True)
        assert linted.returncode == 0, linted.stdout + linted.stderr


# A new process, because tests have added models in this process.
MIGRATE = """
import sys
from flask_migrate import migrate, revision, upgrade
from sqlalchemy import Column, Integer, Table
from myapp import create_app
from myapp.core.stores.sql import Varchar, sql
database, folder = sys.argv[1:]
stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": "unix:///not/asked.sock"}
with create_app(stores).app_context():
    upgrade(directory=folder)
    migrate(directory=folder, message="nothing")
    made = Table("planted_next", sql.metadata, Column("id", Integer, primary_key=True))
    migrate(directory=folder, message="table")
    upgrade(directory=folder)
    revision(directory=folder, message="by hand")
    upgrade(directory=folder)
    made.append_column(Column("stars", Integer, nullable=False))
    migrate(directory=folder, message="column")
    upgrade(directory=folder)
    made.append_column(Column("word", Varchar(20)))
    migrate(directory=folder, message="types")
"""


@contextmanager
def written(app: App, folder: Path, upgrade_code: str) -> Iterator[str]:
    """A folder with the migrations and one more."""
    ignored = ignore_patterns("__pycache__")
    copytree(MIGRATIONS, folder, ignore=ignored)
    number = f"{len(revisions()) + 1:04d}"
    text = MIGRATION.format(number, revisions()[-1], indent(upgrade_code, "    "))
    (folder / "versions" / f"{number}_planted.py").write_text(text)
    with app.app_context():
        yield str(folder)


MIGRATION = """
import time
import sqlalchemy as sa
from alembic import op
revision, down_revision = "{}", "{}"
def upgrade():
{}
"""
ROWS = """
INSERT INTO catalog_directors (id, created_at, updated_at, version, name)
    VALUES ('01900000-0000-7000-8000-000000000001', {0}, {0}, 1, 'Varda');
INSERT INTO catalog_movies
    (id, created_at, updated_at, version, title, year, director_id, genres)
    VALUES ('01900000-0000-7000-8000-000000000002', {0}, {0}, 1, 'Cléo', 1962,
            '01900000-0000-7000-8000-000000000001', '[]');
"""
REFERENCES = "SELECT count(*) FROM catalog_movies WHERE director_id IS NOT NULL"


def fill(app: App) -> None:
    """Store a director and a film that refers to it."""
    with connected(app) as connection:
        for statement in ROWS.format("CURRENT_TIMESTAMP").split(";")[:-1]:
            connection.exec_driver_sql(statement.strip())
        connection.commit()


def count(app: App, statement: str) -> int:
    """The number that a statement counts."""
    with connected(app) as connection:
        return int(connection.exec_driver_sql(statement).scalar_one())


@pytest.mark.parametrize("rule", ["", "SET NULL", "CASCADE"])
def test_a_referenced_table_is_changed_and_keeps_its_references(
    own_app: App, tmp_path: Path, rule: str
) -> None:
    fill(own_app)
    code = f"""
with op.batch_alter_table("catalog_movies") as batch:
    batch.drop_constraint("fk_catalog_movies_director_id", type_="foreignkey")
    batch.create_foreign_key("fk_catalog_movies_director_id", "catalog_directors",
                             ["director_id"], ["id"], ondelete={rule or None!r})
with op.batch_alter_table("catalog_directors") as batch:
    batch.alter_column("name", type_=sa.String(250), existing_type=sa.String(200),
                       existing_nullable=False)
"""
    with written(own_app, tmp_path / "migrations", code) as folder:
        upgrade(directory=folder)
    assert count(own_app, REFERENCES) == 1
    assert count(own_app, "SELECT count(*) FROM catalog_directors") == 1
    if own_app.config["SQLALCHEMY_DATABASE_URI"].startswith("sqlite"):
        assert count(own_app, "PRAGMA foreign_keys") == 1


def test_references_to_nothing_are_refused_and_nothing_is_changed(
    own_app: App, tmp_path: Path
) -> None:
    fill(own_app)
    code = 'op.execute("DELETE FROM catalog_directors")'
    with written(own_app, tmp_path / "migrations", code) as folder:
        with pytest.raises((SystemExit, IntegrityError)):
            upgrade(directory=folder)
    assert count(own_app, REFERENCES) == 1
    assert count(own_app, "SELECT count(*) FROM catalog_directors") == 1
    number = revisions()[-1]
    versions = "SELECT count(*) FROM alembic_version WHERE version_num = '%s'"
    assert count(own_app, versions.replace("%s", number)) == 1


def test_a_required_column_needs_a_value_for_the_rows_that_exist(
    own_app: App, tmp_path: Path
) -> None:
    code = """
op.require_empty("catalog_directors", "stars")
with op.batch_alter_table("catalog_directors") as batch:
    batch.add_column(sa.Column("stars", sa.Integer(), nullable=False))
"""
    fill(own_app)
    with written(own_app, tmp_path / "migrations", code) as folder:
        # Flask-Migrate prints the error in one line.
        with pytest.raises(SystemExit) as raised:
            upgrade(directory=folder)
        assert isinstance(raised.value.__context__, ConfigError)
        assert str(raised.value.__context__).startswith(
            "catalog_directors has rows, and its new column stars is required: make"
        )
        with sql.engine.begin() as connection:
            connection.exec_driver_sql("DELETE FROM catalog_movies")
            connection.exec_driver_sql("DELETE FROM catalog_directors")
        upgrade(directory=folder)


def test_two_upgrades_at_once_run_one_after_the_other(
    own_app: App, tmp_path: Path
) -> None:
    code = 'op.create_table("planted_once", sa.Column("id", sa.Integer()))'
    slow = f"time.sleep(0.5)\n{code}"
    with written(own_app, tmp_path / "migrations", slow) as folder:
        with ThreadPoolExecutor() as pool:
            programs = [pool.submit(run_upgrade, own_app, folder) for _ in range(3)]
        ended = [one.result() for one in programs]
    assert [one.returncode for one in ended] == [0] * 3, [one.stderr for one in ended]
    assert "planted_once" in tables(own_app)


def run_upgrade(app: App, folder: str) -> subprocess.CompletedProcess[str]:
    """Upgrade in a process of its own."""
    database = app.config["SQLALCHEMY_DATABASE_URI"]
    program = [sys.executable, "-c", UPGRADE, database, folder]
    return subprocess.run(program, cwd=ROOT, capture_output=True, text=True, timeout=90)


UPGRADE = """
import sys
from flask_migrate import upgrade
from myapp import create_app
database, folder = sys.argv[1:]
stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": "unix:///not/asked.sock"}
with create_app(stores).app_context():
    upgrade(directory=folder)
"""
