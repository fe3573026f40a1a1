"""``flask add-field``: new fields of a model that is there: its schema, its columns,
its factory and its migration."""

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import click
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.model.model import Model
from myapp.core.rest.api import api_of
from myapp.core.scaffold.cli import this_tree
from myapp.core.scaffold.fields import FieldError, Fields
from myapp.core.scaffold.render import declarations, import_lines
from myapp.core.scaffold.samples import sample_bodies
from myapp.core.scaffold.store import StoreScaffold, scaffolds
from myapp.core.scaffold.tree import Tree


class Edit(NamedTuple):
    """A text that is put into a file.

    :ivar line: from 1.
    :ivar column: from 0, in bytes.
    :ivar end: the line before which a part ends that the text replaces; 0 for none.
    """

    line: int
    column: int
    text: str
    end: int = 0


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
        paths = [Path(str(inspect.getsourcefile(changed)))]
        edited = {paths[0]: edit_models(paths[0], changed, scaffold, found)}
        factory = paths[0].with_name("factories.py")
        edits = list(edits_of_factory(factory, found))
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
        click.echo(f"{factory.name} has no BODIES: add the fields to its bodies")
    click.echo("next: flask db upgrade, make lint test")


def write_all(texts: dict[Path, str]) -> None:
    """Write texts into their files."""
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")


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
    return applied(text, [*edits, *edits_of_imports(tree, scaffold, fields)])


def members_of(node: Any) -> dict[str, ast.expr]:
    """The members of a dictionary in code, by their names."""
    if not isinstance(node, ast.Dict):
        return {}
    return {
        str(key.value): value
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant)
    }


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


def edits_of_imports(
    tree: ast.Module, scaffold: StoreScaffold, fields: Fields
) -> Iterator[Edit]:
    """The imports, with those that the new columns need."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    known = {
        (
            str(node.module),
            one.name if not one.asname else f"{one.name} as {one.asname}",
        )
        for node in imports
        for one in node.names
    }
    new = scaffold.imports(fields) - known
    if new and imports:
        first, last = imports[0].lineno, int(imports[-1].end_lineno or 0)
        yield Edit(first, 0, import_lines(known | new) + "\n", end=last + 1)


def edits_of_factory(path: Path, fields: Fields) -> Iterator[Edit]:
    """The new fields in the bodies of a factory, ``BODIES``."""
    tree = ast.parse(path.read_text(encoding="utf-8")) if path.exists() else None
    for node in tree.body if tree else ():
        target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
        if isinstance(target, ast.Name) and target.id == "BODIES":
            bodies = getattr(getattr(node, "value", None), "elts", [])
            for body, values in zip(bodies, sample_bodies(fields)):
                for name, value in values.items():
                    yield at_end(body, f", {name!r}: {value!r}")


def at_end(node: ast.expr, text: str) -> Edit:
    """A text before the last bracket of a dictionary, a list or a tuple. A comma that
    stands there already is joined."""
    return Edit(int(node.end_lineno or 0), int(node.end_col_offset or 0) - 1, text)


def applied(text: str, edits: list[Edit]) -> str:
    """A text with edits."""
    places: dict[tuple[int, int, int], str] = {}
    for edit in edits:
        place = (edit.line, edit.column, edit.end)
        places[place] = places.get(place, "") + edit.text
    # Places in code are counted in bytes.
    lines = text.encode().splitlines(keepends=True)
    # From the end, so that the places of the others stay.
    for (number, column, end), new in sorted(places.items(), reverse=True):
        if end:
            lines[number - 1 : end - 1] = [new.encode()]
            continue
        line = lines[number - 1] if number <= len(lines) else b""
        before, after = line[:column], line[column:]
        left = (b"".join(lines[: number - 1]) + before).rstrip()
        if column and left.endswith((b",", b"{", b"[", b"(")):
            new = new.removeprefix(", ")
        lines[number - 1 : number] = [before + new.encode() + after]
    return b"".join(lines).decode()


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
