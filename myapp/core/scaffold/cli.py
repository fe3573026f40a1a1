"""``flask new-feature`` and ``flask remove-feature``."""

import keyword
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.access.rules import ACCESS, rule_of
from myapp.core.scaffold.fields import FieldError, Fields, gather
from myapp.core.scaffold.render import (
    Names,
    feature_of,
    render_feature,
    singular,
    unused_schema,
)
from myapp.core.scaffold.settings import save_tables
from myapp.core.scaffold.store import StoreScaffold, scaffolds
from myapp.core.scaffold.tree import Tree

NAME = re.compile(r"[a-z][a-z0-9_]*\Z", re.ASCII)
CLASS = re.compile(r"[A-Z][A-Za-z0-9]*\Z", re.ASCII)


def this_tree() -> Tree:
    """The checkout that this application runs from."""
    return Tree(Path(current_app.root_path).parent)


@click.command("new-feature")
@click.argument("name")
@click.option("--store", required=True, help="sql or redis.")
@click.option(
    "--field", "fields", multiple=True, help="'title:string(200)', 'n:integer?'"
)
@click.option("--ref", "references", multiple=True, help="director:catalog.directors")
@click.option("--schema", type=click.Path(path_type=Path), help="A JSON Schema.")
@click.option("--model", default="", help="The class, if the singular is irregular.")
@click.option("--owned", is_flag=True, help="Each record belongs to who makes it.")
@click.option("--access", default="", help="'signed_in', or 'role(\"editor\")'")
@with_appcontext
def new_feature(
    name: str,
    store: str,
    fields: tuple[str, ...],
    references: tuple[str, ...],
    schema: Path | None,
    model: str,
    owned: bool,
    access: str,
) -> None:
    """Write a feature: its folder, its row, its migration, and tests that pass.

    NAME is a plural, such as invoices. Types of a field: string(n), integer, number,
    decimal(digits,scale), boolean, date, datetime, uuid, enum(a|b); with ? it is
    optional.
    """
    tree, names = this_tree(), Names(name, model or singular(name))
    access = access or ('owner | role("admin")' if owned else "public")
    try:
        scaffold = check_names(tree, names, store)
        check_access(access, owned)
        found = gather(scaffold.base, fields, references, schema)
        files = render_feature(names, scaffold, found, access, owned)
    except FieldError as error:
        raise click.ClickException(str(error)) from error
    written = [*open_doors(tree, name, found), tree.table]
    for file, text in files.items():
        path = tree.folder(name) / file
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        written.append(path)
    tree.add_row(name, names.url_prefix, access)
    tree.add_to_map(name, f"{name.replace('_', ' ')}, in {scaffold.title}")
    written += scaffold.add(tree, name)
    if not tree.format(written):
        click.echo("black is not installed: run make format", err=True)
    for path in written:
        click.echo(path.relative_to(tree.root))
    steps = ["make format lint test", f"{names.url_prefix}/docs"]
    if any(tree.root / "migrations" in path.parents for path in written):
        steps.insert(0, "flask db upgrade")
    click.echo(f"next: {', '.join(steps)}")


def check_names(tree: Tree, names: Names, store: str) -> StoreScaffold:
    """Refuse a name that is not valid, or is used already.

    :returns: the scaffold of the store.
    :raises FieldError: with the reason.
    """
    name, known = names.feature, scaffolds()
    check_store(store)
    if not NAME.match(name) or keyword.iskeyword(name):
        raise FieldError(
            f"{name!r} is not a name for a feature; use a plural: invoices"
        )
    if not CLASS.match(names.model) or keyword.iskeyword(names.model):
        raise FieldError(f"{names.model!r} is not a name for a class")
    is_taken = any(scaffold.is_taken(name) for scaffold in known.values())
    if tree.folder(name).exists() or is_taken:
        raise FieldError(f"{name} exists already")
    if name in names_of_core() or tree.folder(name).with_suffix(".py").exists():
        raise FieldError(f"{name} is a name or a URL of the application itself")
    unused_schema(names, current_app.extensions["schemas"].by_id)
    return known[store]


def check_store(store: str) -> StoreScaffold:
    """The scaffold of a store.

    :raises FieldError: when there is no such store.
    """
    known = scaffolds()
    if store not in known:
        raise FieldError(f"{store!r} is not a store; use one of: {', '.join(known)}")
    return known[store]


def check_model(tree: Tree, names: Names, store: str) -> StoreScaffold:
    """Refuse a name of one more model that is not valid, or is used already.

    :returns: the scaffold of the store.
    :raises FieldError: with the reason.
    """
    scaffold = check_store(store)
    if names.feature not in current_app.extensions["features"]:
        raise FieldError(f"there is no feature {names.feature}")
    if not NAME.match(names.plural) or keyword.iskeyword(names.plural):
        raise FieldError(
            f"{names.plural!r} is not a name for models; use a plural of a to z, 0 to "
            "9 and _: actors"
        )
    if not CLASS.match(names.model) or keyword.iskeyword(names.model):
        raise FieldError(f"{names.model!r} is not a name for a class")
    rules = [rule.rule.rstrip("/") for rule in current_app.url_map.iter_rules()]
    is_file = (tree.folder(names.feature) / f"test_{names.plural}.py").exists()
    if scaffold.is_taken(names.place) or names.url in rules or is_file:
        raise FieldError(f"{names.url} exists already")
    unused_schema(names, current_app.extensions["schemas"].by_id)
    return scaffold


def check_access(words: str, owned: bool) -> None:
    """Refuse access words that the new model could not compare.

    :param owned: whether it knows its owner.
    :raises FieldError: with the reason.
    """
    try:
        rule, roles = rule_of(words), current_app.config["ROLES"]
    except ValueError as error:
        raise FieldError(f"{error}; the words are: {', '.join(ACCESS)}") from error
    if not rule.roles <= set(roles):
        raise FieldError(f"{words!r}: the roles are: {', '.join(roles)}")
    unknown = rule.relations - ({"owner"} if owned else set())
    if unknown:
        told = f"a new model does not say who is the {', '.join(sorted(unknown))}"
        raise FieldError(f"{words!r}: {told}" + ("" if owned else "; try --owned"))


def names_of_core() -> set[str]:
    """The first parts of the URLs that belong to no feature, and the blueprints."""
    rules = current_app.url_map.iter_rules()
    return {"core", *current_app.blueprints, *(one.rule.split("/")[1] for one in rules)}


def open_doors(tree: Tree, name: str, fields: Fields) -> list[Path]:
    """Let a feature use the models that it refers to; return the files of their doors.

    :raises ClickException: when a door is written by hand and lacks the model.
    """
    models = [
        (feature_of(model).partition(".")[2], model)
        for model in fields.references.values()
    ]
    for owner, model in models:
        if not tree.can_open_door(owner, model.__name__):
            text = f"myapp/{owner}/door.py does not import {model.__name__}; add it"
            raise click.ClickException(text)
    doors, written = tree.doors(), []
    for owner, model in models:
        tree.open_door(owner, model.__module__, model.__name__)
        doors.add((name, owner))
        written.append(tree.folder(owner) / "door.py")
    if written:
        tree.set_doors(doors)
    return written


@click.command("remove-feature")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask before something is lost.")
@with_appcontext
def remove_feature(name: str, yes: bool) -> None:
    """Remove a feature: its folder, its row, its doors and its tables.

    If only this checkout has the migration of the feature, it is undone and deleted;
    else a new migration drops the tables. Keys in Redis stay. The command asks before
    it deletes a file that git does not track, or a table with rows.
    """
    tree = this_tree()
    if name not in current_app.extensions["features"]:
        raise click.ClickException(f"there is no feature {name}")
    stores = scaffolds().values()
    refuse_used(tree, name, stores)
    lost = [str(path) for path in tree.untracked(name)]
    for scaffold in stores:
        lost += scaffold.filled(name)
    if lost and not yes:
        click.echo("This will be lost:\n  " + "\n  ".join(lost))
        click.confirm(f"Remove {name}?", abort=True)
    left = [scaffold for scaffold in stores if not scaffold.undo(tree, name)]
    doors = tree.doors()
    tree.set_doors({pair for pair in doors if name not in pair})
    for _, owner in sorted(pair for pair in doors if pair[0] == name):
        tree.close_door(owner)
    tree.remove_row(name)
    tree.remove_from_map(name)
    shutil.rmtree(tree.folder(name))
    written = [path for scaffold in left for path in scaffold.drop(tree, name)]
    tree.format([tree.table, *written])
    del current_app.extensions["features"][name]
    save_tables(current_app, tree.root)
    click.echo(f"removed {name}")


def refuse_used(tree: Tree, name: str, stores: Iterable[StoreScaffold]) -> None:
    """Refuse to remove a feature that another feature needs.

    :raises ClickException: with the names of the other features.
    """
    users = {user for user, owner in tree.doors() if owner == name}
    users.update(*(scaffold.users(name) for scaffold in stores))
    if users:
        raise click.ClickException(f"{name} is used by {', '.join(sorted(users))}")
