"""``flask new-feature`` and ``flask remove-feature``."""

import keyword
import re
import shutil
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.access import ACCESS
from myapp.core.db import sql
from myapp.core.scaffold.fields import FieldError, Fields, gather
from myapp.core.scaffold.migrations import undo_migration, write_migration
from myapp.core.scaffold.render import (
    STORES,
    Names,
    feature_of,
    render_feature,
    singular,
    unused_schema,
)
from myapp.core.scaffold.tree import Tree
from myapp.core.sql_model import SqlModel

NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)
CLASS = re.compile(r"[A-Z][A-Za-z0-9]*\Z", re.ASCII)


def this_tree() -> Tree:
    """The checkout that this application runs from."""
    return Tree(Path(current_app.root_path).parent)


@click.command("new-feature")
@click.argument("name")
@click.option("--store", type=click.Choice(list(STORES)), required=True)
@click.option(
    "--field", "fields", multiple=True, help="'title:string(200)', 'n:integer?'"
)
@click.option("--ref", "references", multiple=True, help="director:catalog.directors")
@click.option("--schema", type=click.Path(path_type=Path), help="A JSON Schema.")
@click.option("--model", default="", help="The class, when the singular is irregular.")
@click.option("--access", type=click.Choice(list(ACCESS)), default="public")
@with_appcontext
def new_feature(
    name: str,
    store: str,
    fields: tuple[str, ...],
    references: tuple[str, ...],
    schema: Path | None,
    model: str,
    access: str,
) -> None:
    """Write a feature: its folder, its row, its migration, and tests that pass.

    NAME is a plural, such as invoices. Types of a field: string(n), integer, number,
    decimal(digits,scale), boolean, date, datetime, uuid, enum(a|b); with ? it is
    optional.
    """
    tree, names = this_tree(), Names(name, model or singular(name))
    try:
        check_names(tree, names)
        found = gather(fields, references, schema)
        files = render_feature(names, store, found)
    except FieldError as error:
        raise click.ClickException(str(error)) from error
    written = [*open_doors(tree, name, found), tree.table]
    for file, text in files.items():
        path = tree.folder(name) / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    tree.add_row(name, names.url_prefix, access)
    tree.add_to_map(name, f"{name.replace('_', ' ')}, in {STORES[store][1]}")
    migration = write_migration(tree, name) if store == "sql" else None
    if migration is not None:
        written.append(migration)
    if not tree.format(written):
        click.echo("black is not installed here: run make format", err=True)
    for path in written:
        click.echo(path.relative_to(tree.root))
    click.echo(f"next: flask db upgrade, make lint test, {names.url_prefix}/docs")


def check_names(tree: Tree, names: Names) -> None:
    """Refuse a name that is taken, or none.

    :raises FieldError: which says why.
    """
    name = names.feature
    if not NAME.match(name) or keyword.iskeyword(name) or name == "core":
        raise FieldError(f"{name!r} is no name for a feature; say a plural: invoices")
    if not CLASS.match(names.model) or keyword.iskeyword(names.model):
        raise FieldError(f"{names.model!r} is no name for a class")
    tables = sql.metadata.tables
    if tree.folder(name).exists() or name in tables:
        raise FieldError(f"{name} is there already")
    unused_schema(names, current_app.extensions["schemas"].by_id)


def open_doors(tree: Tree, name: str, fields: Fields) -> list[Path]:
    """Let a feature use the models that it refers to; the doors that it takes.

    :raises ClickException: when a door is written by hand and lacks the model.
    """
    doors, written = tree.doors(), []
    for model in fields.references.values():
        owner = feature_of(model).partition(".")[2]
        if not tree.open_door(owner, model.__module__, model.__name__):
            text = f"myapp/{owner}/door.py does not import {model.__name__}; add it"
            raise click.ClickException(text)
        doors.add((name, owner))
        written.append(tree.folder(owner) / "door.py")
    if written:
        tree.set_doors(doors)
    return written


@click.command("remove-feature")
@click.argument("name")
@with_appcontext
def remove_feature(name: str) -> None:
    """Remove a feature: its folder, its row, its doors and its tables.

    A migration that only this checkout has is taken back and deleted, with the table;
    else a new one drops the tables. Keys in Redis stay.
    """
    tree = this_tree()
    if name not in current_app.extensions["features"]:
        raise click.ClickException(f"there is no feature {name}")
    refuse_used(tree, name)
    tables = [model.__tablename__ for model in sql_models(name)]
    is_undone = undo_migration(tree, name) if tables else True
    doors = tree.doors()
    tree.set_doors({pair for pair in doors if name not in pair})
    for _, owner in sorted(pair for pair in doors if pair[0] == name):
        tree.close_door(owner)
    tree.remove_row(name)
    tree.remove_from_map(name)
    shutil.rmtree(tree.folder(name))
    written = [tree.table]
    if not is_undone:
        migration = write_migration(tree, f"drop {name}")
        written += [migration] if migration else []
        click.echo("run flask db upgrade to drop its tables")
    tree.format(written)
    click.echo(f"removed {name}")


def refuse_used(tree: Tree, name: str) -> None:
    """Refuse to remove what another feature needs.

    :raises ClickException: which names it.
    """
    users = {user for user, owner in tree.doors() if owner == name}
    mine = {model.__tablename__ for model in sql_models(name)}
    tables = sql.metadata.tables.values()
    users |= {
        table.name
        for table in tables
        if table.name not in mine
        and any(key.column.table.name in mine for key in table.foreign_keys)
    }
    if users:
        raise click.ClickException(f"{name} is used by {', '.join(sorted(users))}")


def sql_models(feature: str) -> list[Any]:
    """The models of a feature that have tables."""
    package = f"myapp.{feature}."
    mapped = [mapper.class_ for mapper in SqlModel.registry.mappers]
    return [model for model in mapped if model.__module__.startswith(package)]
