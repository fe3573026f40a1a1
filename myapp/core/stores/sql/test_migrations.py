"""The migrations: numbered, reversible, and equal to the models."""

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask_migrate import downgrade, upgrade
from sqlalchemy import Column, Connection, Index, Integer, MetaData, Table, inspect

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
    assert made - kept == {f"{len(kept) + 1:04d}_second.py"}


# A new process, because tests have added models in this process.
MIGRATE = """
import sys
from flask_migrate import migrate, upgrade
from sqlalchemy import Column, Integer, Table
from myapp import create_app
from myapp.core.stores.sql import sql
database, folder = sys.argv[1:]
stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": "unix:///not/asked.sock"}
with create_app(stores).app_context():
    upgrade(directory=folder)
    migrate(directory=folder, message="first")
    Table("planted_next", sql.metadata, Column("id", Integer, primary_key=True))
    migrate(directory=folder, message="second")
"""
