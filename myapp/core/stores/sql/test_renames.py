"""Renames, drops and new required columns: nothing is lost without a word."""

import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from typing import Any

import click
import pytest

from myapp.core.errors.startup import ConfigError
from myapp.core.http.app import App
from myapp.core.scaffold import migration
from myapp.core.stores.sql.renames import answers_of

ROOT = Path(__file__).parents[4]
# A new process for each state of the models. The table of the test has the columns that
# are named; then the code of the test runs.
PROGRAM = """
import sys
from flask_migrate import downgrade, migrate, upgrade
from sqlalchemy import Column, Integer, Table, insert, select
from myapp import create_app
from myapp.core.stores.sql import Varchar, sql
database, folder, columns, code = sys.argv[1:]
stores = {"SQLALCHEMY_DATABASE_URI": database, "REDIS_URL": "unix:///not/asked.sock"}
with create_app(stores).app_context():
    made = [
        Column(name, Varchar(20), nullable=False, index=name == "note" or None)
        for name in columns.split()
    ]
    key = Column("id", Integer, primary_key=True)
    table = Table("planted_next", sql.metadata, key, *made)

    def make(*answers):
        migrate(directory=folder, message="next", x_arg=[*answers])
        upgrade(directory=folder)

    def read():
        with sql.engine.connect() as connection:
            found = connection.execute(select(table)).all()
            print([dict(row._mapping) for row in found])

    exec(code)
"""
FIRST = """
make()
with sql.engine.begin() as connection:
    connection.execute(insert(table).values(id=1, note="kept"))
"""


class Project:
    """A copy of the migrations, and a database."""

    def __init__(self, app: App, folder: Path) -> None:
        self.database = app.config["SQLALCHEMY_DATABASE_URI"]
        self.folder = copytree(
            ROOT / "migrations", folder, ignore=ignore_patterns("__pycache__")
        )

    def run(self, columns: str, code: str) -> subprocess.CompletedProcess[str]:
        """Run code with a table that has some columns."""
        program = [sys.executable, "-c", PROGRAM, self.database, str(self.folder)]
        command = [*program, columns, code]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.fixture
def project(own_app: App, tmp_path: Path) -> Project:
    """A project with a table that has a row."""
    made = Project(own_app, tmp_path / "migrations")
    done = made.run("note", FIRST)
    assert done.returncode == 0, done.stderr
    return made


def test_a_column_that_may_be_renamed_is_asked_for(project: Project) -> None:
    done = project.run("remark", "make()")
    assert done.returncode and "planted_next.note: remark" in done.stderr
    assert "'note': 'kept'" in project.run("note", "read()").stdout


def test_a_rename_keeps_the_values_there_and_back(project: Project) -> None:
    done = project.run("remark", 'make("rename=planted_next.note:remark"); read()')
    assert done.returncode == 0, done.stderr
    assert "renames planted_next.note to remark" in done.stdout
    assert "'remark': 'kept'" in done.stdout
    back = project.run("note", 'downgrade(directory=folder, revision="-1"); read()')
    assert back.returncode == 0, back.stderr
    assert "'note': 'kept'" in back.stdout
    again = project.run("remark", "upgrade(directory=folder); make(); read()")
    assert "No changes." in again.stdout and "'remark': 'kept'" in again.stdout


def test_a_drop_says_what_it_drops(project: Project) -> None:
    done = project.run("", "make(); read()")
    assert done.returncode == 0, done.stderr
    assert "drops planted_next.note, and its values" in done.stdout
    assert "[{'id': 1}]" in done.stdout


def test_another_column_is_no_rename_when_that_is_said(project: Project) -> None:
    said = '"drop=planted_next.note", "value=planted_next.remark=none"'
    done = project.run("remark", f"make({said}); read()")
    assert done.returncode == 0, done.stderr
    assert "drops planted_next.note" in done.stdout
    assert "'remark': 'none'" in done.stdout


def test_the_rows_that_exist_get_a_value(project: Project) -> None:
    without = project.run("note currency", "make()")
    assert without.returncode and "currency is required" in without.stderr
    for path in project.folder.glob("versions/*_next.py"):
        if "currency" in path.read_text():
            path.unlink()
    said = '"value=planted_next.currency=EUR"'
    done = project.run("note currency", f"make({said}); read()")
    assert done.returncode == 0, done.stderr
    assert "'currency': 'EUR'" in done.stdout


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("rename=planted_next.note:other", "cannot be renamed to other"),
        ("rename=planted_next.gone:remark", "nothing changes in planted_next.gone"),
        ("drop=planted_next.gone", "nothing changes in planted_next.gone"),
    ],
)
def test_an_answer_that_fits_nothing_is_refused(
    project: Project, said: str, told: str
) -> None:
    done = project.run("remark", f"make({said!r})")
    assert done.returncode and told in done.stderr


@pytest.mark.parametrize(
    "text", ["", "rename=a.b", "rename=a:b", "drop=a.b=c", "x=a.b"]
)
def test_an_answer_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="is not like"):
        answers_of([text])


@pytest.mark.parametrize(
    ("typed", "answer"),
    [("remark\n", "rename=films.note:remark"), ("-\n", "drop=films.note")],
)
def test_somebody_who_is_there_is_asked(
    app: App,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    typed: str,
    answer: str,
) -> None:
    path = tmp_path / "0099_next.py"
    step = 'op.rename_column("films", "note", "remark")'
    path.write_text(f"def upgrade():\n    {step}\n")
    seen: list[list[str]] = []

    def write(_tree: Any, _message: str, answers: list[str]) -> list[Path]:
        seen.append([*answers])
        if not answers:
            raise click.ClickException(f"{migration.ASKS} films.note: remark")
        return [path]

    monkeypatch.setattr(migration, "write_migration", write)
    runner = app.test_cli_runner()
    refused = runner.invoke(args=["new-migration", "next"])
    assert "say --rename films.note:remark or --drop films.note" in refused.output
    monkeypatch.setattr(migration, "is_terminal", lambda: True)
    done = runner.invoke(args=["new-migration", "next"], input=typed)
    assert done.exit_code == 0, done.output
    assert seen[-1] == [answer]
    assert "0099_next.py" in done.output
    assert "breaks the release before it: 0099_next.py: renames column" in done.output
