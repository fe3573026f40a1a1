"""The migration of a new feature, and of one that is gone: written against a database
of its own, so that the one of this machine may be in any state."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from flask import current_app
from flask_migrate import downgrade
from alembic.runtime.migration import MigrationContext

from myapp.core.db import sql
from myapp.core.scaffold.tree import Tree

REVISION = re.compile(r'^revision = "(\d+)"$', re.MULTILINE)
DOWN_REVISION = re.compile(r'^down_revision = "(\d+)"$', re.MULTILINE)


def write_migration(tree: Tree, message: str) -> Path | None:
    """Write the migration that brings the tables to what the code says.

    :returns: its file; None when there is nothing to change.
    """
    before = set(versions(tree))
    with tempfile.TemporaryDirectory() as folder:
        settings = {
            "MYAPP_SQLALCHEMY_DATABASE_URI": f"sqlite:///{folder}/empty.db",
            "MYAPP_REDIS_URL": current_app.config["REDIS_URL"],
        }
        for command in (["upgrade"], ["migrate", "-m", message]):
            run_flask(tree, ["db", *command], settings)
    for path in set(versions(tree)) - before:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(line for line in lines if "# ###" not in line))
        return path
    return None


def run_flask(tree: Tree, arguments: list[str], settings: dict[str, str]) -> None:
    """Run a flask command in a new process, which sees the tree as it is now.

    :raises ClickException: with what it said when it fails.
    """
    told = subprocess.run(
        [sys.executable, "-m", "flask", *arguments],
        cwd=tree.root,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
    )
    if told.returncode:
        raise click.ClickException(
            f"flask {' '.join(arguments)}: {told.stderr[-2000:]}"
        )


def versions(tree: Tree) -> list[Path]:
    """The migrations in the order of their numbers."""
    return sorted(tree.root.glob("migrations/versions/[0-9]*.py"))


def undo_migration(tree: Tree, feature: str) -> bool:
    """Delete the migration that a feature came with, if it is the newest one and git
    does not know it, so that nobody else has run it.

    :returns: False when it has to stay.
    """
    known = versions(tree)
    if not known or known[-1].stem[5:] != feature or tree.is_tracked(known[-1]):
        return False
    text = known[-1].read_text()
    mine, before = REVISION.search(text), DOWN_REVISION.search(text)
    if mine is None or before is None:
        return False
    with sql.engine.connect() as connection:
        is_here = MigrationContext.configure(connection).get_current_revision()
    if is_here == mine[1]:
        downgrade(revision=before[1])
    known[-1].unlink()
    return True
