"""``flask add-field``: new fields of a model that is there: its schema, its columns,
its factory and its migration."""

import ast
from collections.abc import Iterator
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.model.model import Model
from myapp.core.rest.api import api_of
from myapp.core.scaffold.cli import this_tree
from myapp.core.scaffold.code import (
    Edit,
    applied,
    at_end,
    edits_of_imports,
    members_of,
    write_all,
)
from myapp.core.scaffold.fields import FieldError, Fields
from myapp.core.scaffold.render import declarations
from myapp.core.scaffold.samples import sample_bodies
from myapp.core.scaffold.store import StoreScaffold, scaffolds
from myapp.core.scaffold.tree import Tree
from myapp.core.schema.names import snake


@click.command("add-field")
@click.argument("model")
@click.argument("fields", nargs=-1, required=True)
@click.option("--value", "values", multiple=True, help="due=2030-01-01, of old rows")
@with_appcontext
def add_field(model: str, fields: tuple[str, ...], values: tuple[str, ...]) -> None:
    """Add fields to a model: schema, column, factory and migration.

    MODEL is a feature, or a feature and a namespace, such as catalog.movies. FIELDS are
    like those of new-feature: 'due:date?'. A required one needs a --value for the rows
    that exist.
    """
    tree = this_tree()
    try:
        changed = model_called(model)
        scaffold = scaffold_of(changed)
        found = gather_new(changed, scaffold, fields)
        source = tree.root.joinpath(*changed.__module__.split(".")).with_suffix(".py")
        edited = {source: edit_models(source, changed, scaffold, found)}
        factory = source.with_name("factories.py")
        edits = list(edits_of_factory(factory, changed, found))
        check_values(found, scaffold, values, has_bodies=bool(edits))
        if edits:
            edited[factory] = applied(factory.read_text(encoding="utf-8"), edits)
    except FieldError as error:
        raise click.ClickException(str(error)) from error
    before = {path: path.read_text(encoding="utf-8") for path in edited}
    write_all(edited)
    tree.format(edited)
    try:
        told = [*edited, *write_change(tree, changed, scaffold, found, values)]
    except click.ClickException:
        write_all(before)
        raise
    for path in told:
        click.echo(path.relative_to(tree.root))
    if not edits:
        click.echo(f"by hand: the bodies in {factory.name}, and the demo data")
    steps = ["make format lint test"]
    steps = ["flask db upgrade", *steps] if len(told) > len(edited) else steps
    click.echo(f"next: {', '.join(steps)}")


def check_values(
    fields: Fields, scaffold: StoreScaffold, values: tuple[str, ...], has_bodies: bool
) -> None:
    """Refuse a required field that records and bodies of before would lack.

    :param has_bodies: whether the bodies of the factory get the field.
    :raises FieldError: it says what to do.
    """
    given = {text.partition("=")[0] for text in values}
    unknown = sorted(given - set(fields.properties))
    if unknown:
        raise FieldError(f"--value names no new field: {', '.join(unknown)}")
    if given and not scaffold.gives_values:
        raise FieldError(f"records in {scaffold.title} that exist get no value")
    for name in fields.required:
        if not scaffold.gives_values or not has_bodies:
            lacks = "the factory" if scaffold.gives_values else "a stored record"
            raise FieldError(f"{lacks} would lack {name}: make it optional, with ?")
        if name not in given:
            raise FieldError(f"say what the rows that exist get: --value {name}=TEXT")


def model_called(name: str) -> type[Model]:
    """The model of a feature, or of one of its namespaces.

    :raises FieldError: when there is none, or there are several.
    """
    feature, _, wanted = name.partition(".")
    if feature not in current_app.extensions["features"]:
        raise FieldError(f"there is no feature {feature}")
    served: dict[str, type[Model]] = {
        namespace.name: namespace.served[0]
        for namespace in api_of(current_app, feature).namespaces
        if getattr(namespace, "served", ())
    }
    found = [served[wanted]] if wanted in served else [*served.values()]
    if len(found) != 1 or wanted and wanted not in served:
        known = ", ".join(f"{feature}.{one}" for one in served)
        raise FieldError(f"{name} is not one model; say one of: {known}")
    return found[0]


def scaffold_of(model: type[Model]) -> StoreScaffold:
    """The scaffold of the store of a model."""
    (found,) = [one for one in scaffolds().values() if issubclass(model, one.base)]
    return found


def gather_new(
    model: type[Model], scaffold: StoreScaffold, texts: tuple[str, ...]
) -> Fields:
    """The new fields.

    :raises FieldError: when one is not valid, or is there already.
    """
    found = Fields(scaffold.base)
    for text in texts:
        found.add_text(text)
    for name in found.properties:
        if name in model.stored_properties or hasattr(model, name):
            raise FieldError(f"{model.__name__} has {name} already")
    return found


def edit_models(
    path: Path, model: type[Model], scaffold: StoreScaffold, fields: Fields
) -> str:
    """The text of the models with the new fields.

    :raises FieldError: when it is not written as ``flask new-feature`` writes it.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    stated = {
        ast.unparse(part.targets[0]): part.value
        for node in classes
        if node.name == model.__name__
        for part in node.body
        if isinstance(part, ast.Assign)
    }
    schema = members_of(stated.get("write_schema"))
    if not isinstance(schema.get("properties"), ast.Dict):
        raise FieldError(f"{path.name} does not state the properties of its schema")
    edits = list(edits_of_schema(schema, fields))
    for name, names in declarations(fields).items():
        new, value = ast.literal_eval(names or "()"), stated.get(name)
        if new and isinstance(value, ast.Tuple):
            edits.append(at_end(value, "".join(f", {one!r}" for one in new)))
    (body,) = [node.body for node in classes if node.name == model.__name__]
    columns = scaffold.columns(fields)
    last = [part for part in body if isinstance(part, (ast.AnnAssign, ast.Assign))][-1]
    lines = "".join(f"    {name}: {column}\n" for name, column in columns.items())
    edits.append(Edit(int(last.end_lineno or 0) + 1, 0, lines))
    return applied(text, [*edits, *edits_of_imports(tree, scaffold.imports(fields))])


def edits_of_schema(schema: dict[str, ast.expr], fields: Fields) -> Iterator[Edit]:
    """The new fields in a write schema, with their examples."""
    for name, field in fields.properties.items():
        yield at_end(schema["properties"], f", {name!r}: {field!r}")
    required = schema.get("required")
    if isinstance(required, ast.List):
        yield at_end(required, "".join(f", {name!r}" for name in fields.required))
    elif fields.required:
        raise FieldError("the schema has no list of required fields")
    examples = getattr(schema.get("examples"), "elts", [])
    for example, values in zip(examples, sample_bodies(fields)):
        for name, value in values.items():
            yield at_end(example, f", {name!r}: {value!r}")


def edits_of_factory(path: Path, model: type[Model], fields: Fields) -> Iterator[Edit]:
    """The new fields in the bodies of a factory: ``ACTOR_BODIES``, or ``BODIES``."""
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else None
    found: dict[str, ast.expr] = {}
    for node in tree.body if tree else ():
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            found[ast.unparse(target)] = node.value
    own = f"{snake(model.__name__).upper()}_BODIES"
    bodies = getattr(found.get(own, found.get("BODIES")), "elts", [])
    for body, values in zip(bodies, sample_bodies(fields)):
        for name, value in values.items():
            yield at_end(body, f", {name!r}: {value!r}")


def write_change(
    tree: Tree,
    model: type[Model],
    scaffold: StoreScaffold,
    fields: Fields,
    values: tuple[str, ...],
) -> list[Path]:
    """Write the migration, where the store has one.

    :param values: of the rows that exist, such as ``due=2030-01-01``.
    """
    table = getattr(model, "__tablename__", "")
    answers = [f"value={table}.{one}" for one in values]
    names = " and ".join(fields.properties)
    return scaffold.change(tree, f"{names} of {table or model.__name__}", answers)
