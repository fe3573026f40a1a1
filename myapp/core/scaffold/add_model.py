"""``flask new-model``: one more model in a feature that is there, with its routes, its
factory, its tests and its migration."""

import ast
from pathlib import Path
from typing import Any

import click
from flask import current_app
from flask.cli import with_appcontext

from myapp.core.scaffold.cli import check_access, check_model, open_doors, this_tree
from myapp.core.scaffold.code import Edit, applied, edits_of_imports, write_all
from myapp.core.scaffold.fields import FieldError, Fields, gather
from myapp.core.scaffold.matrix import HEAD, Row, lines_of, matrix_of
from myapp.core.scaffold.render import Names, render_model, singular

Texts = dict[Path, str]


@click.command("new-model")
@click.argument("feature")
@click.argument("name")
@click.option("--store", required=True, help="sql or redis.")
@click.option("--field", "fields", multiple=True, help="'title:string(200)'")
@click.option("--ref", "references", multiple=True, help="director:catalog.directors")
@click.option("--schema", type=click.Path(path_type=Path), help="A JSON Schema.")
@click.option("--model", default="", help="The class, if the singular is irregular.")
@click.option("--owned", is_flag=True, help="Each record belongs to who makes it.")
@click.option("--access", default="", help="Who may call; by default as the feature.")
@with_appcontext
def new_model(
    feature: str,
    name: str,
    store: str,
    fields: tuple[str, ...],
    references: tuple[str, ...],
    schema: Path | None,
    model: str,
    owned: bool,
    access: str,
) -> None:
    """Write one more model in a feature.

    NAME is a plural, such as actors: the namespace, and the end of the URL. Fields are
    like those of new-feature.
    """
    tree, names = this_tree(), Names(feature, model or singular(name), name)
    access = access or ('owner | role("admin")' if owned else "")
    try:
        scaffold = check_model(tree, names, store)
        words = words_of_feature(feature, access)
        check_access(access or words[0], owned)
        found = gather(scaffold.base, fields, references, schema)
        rendered = render_model(names, scaffold, found, access or words[1], owned)
        texts = merged(tree.folder(feature), names, rendered, access)
    except FieldError as error:
        raise click.ClickException(str(error)) from error
    matrix = tree.folder(feature) / "access.txt"
    texts[matrix] = with_rows(matrix, matrix_of(names.url, *words))
    doors = open_doors(tree, feature, others(found, feature))
    before = {path: path.read_text(encoding="utf-8") for path in texts if path.exists()}
    write_all(texts)
    tree.format(texts)
    try:
        migration = scaffold.change(tree, f"{name} of {feature}", ())
    except click.ClickException:
        for path in texts.keys() - before:
            path.unlink()
        write_all(before)
        raise
    for path in (*doors, *texts, *migration):
        click.echo(path.relative_to(tree.root))
    steps = ["flask db upgrade"] if migration else []
    click.echo(f"next: {', '.join([*steps, 'make format lint test', f'{names.url}/'])}")


def words_of_feature(feature: str, access: str) -> tuple[str, str]:
    """The access words of reading and of writing."""
    row = current_app.extensions["features"][feature]
    return access or row.access, access or row.write_access or row.access


def others(fields: Fields, feature: str) -> Fields:
    """The fields, with the references to other features alone."""
    found = Fields(fields.base)
    found.references = {
        name: model
        for name, model in fields.references.items()
        if not model.__module__.startswith(f"myapp.{feature}.")
    }
    return found


def merged(folder: Path, names: Names, rendered: Texts, access: str) -> Texts:
    """The files of a feature with one more model.

    :param rendered: the files of a feature that had this model alone, by their names.
    :raises FieldError: when the endpoints have no ``api.namespace``.
    """
    own = f"myapp.{names.feature}"
    texts = {
        folder / f"{name}.py": joined(folder / f"{name}.py", rendered[Path(name)], own)
        for name in ("models", "factories")
    }
    path = folder / "endpoints.py"
    texts[path] = with_routes(path, names, access)
    texts[folder / f"test_{names.plural}.py"] = rendered[Path("test")]
    return texts


def joined(path: Path, text: str, own: str) -> str:
    """A file with the imports and the definitions of another one.

    :param own: the package of the feature; a file does not import from itself.
    """
    if not path.exists():
        return text
    before, new = path.read_text(encoding="utf-8"), ast.parse(text)
    imports = {
        (str(node.module), one.name)
        for node in new.body
        if isinstance(node, ast.ImportFrom)
        and node.module not in (f"{own}.{path.stem}", f"{own}.door")
        for one in node.names
    }
    first = next(node for node in new.body[1:] if not isinstance(node, ast.ImportFrom))
    lines = text.splitlines(keepends=True)[first.lineno - 1 :]
    end = Edit(before.count("\n") + 1, 0, "\n\n" + "".join(lines))
    return applied(before, [*edits_of_imports(ast.parse(before), imports), end])


def with_routes(path: Path, names: Names, access: str) -> str:
    """The endpoints with the routes of one more model.

    :raises FieldError: when they have no namespace that they could follow.
    """
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    spaces = [one for one in tree.body if calls(one, "namespace")]
    routes = [one for one in tree.body if calls(one, "routes_from_model")]
    if not spaces:
        raise FieldError(f"{path.name} has no api.namespace")
    last = (routes or spaces)[-1]
    title = names.plural.replace("_", " ").capitalize()
    place = f'"{names.plural}", description="{title}."'
    if "_" in names.plural:
        place += f', path="{names.url.removeprefix(names.url_prefix)}"'
    space = f"{names.plural} = api.namespace({place})"
    stated = f", access={access!r}" if access else ""
    route = f"routes_from_model({names.plural}, {names.model}{stated})"
    edits = [
        Edit(int(spaces[-1].end_lineno or 0) + 1, 0, f"{space}\n"),
        Edit(int(last.end_lineno or 0) + 1, 0, f"{route}\n"),
    ]
    needed = {
        (f"myapp.{names.feature}.models", names.model),
        ("myapp.core.rest", "routes_from_model"),
    }
    return applied(text, [*edits, *edits_of_imports(tree, needed)])


def calls(node: Any, name: str) -> bool:
    """Whether a statement is a call of a function, or gives its result a name."""
    call = getattr(node, "value", None)
    function = getattr(call, "func", None)
    return name in (getattr(function, "attr", ""), getattr(function, "id", ""))


def with_rows(path: Path, made: str) -> str:
    """The table of who may call, with the rows of another one."""
    known = rows_of(path.read_text(encoding="utf-8")) if path.exists() else []
    return lines_of(sorted([*known, *rows_of(made)], key=lambda row: (row[1], row[0])))


def rows_of(text: str) -> list[Row]:
    """The rows of a table of who may call."""
    lines = text.removeprefix(HEAD).splitlines()[1:]
    parts = [line.split() for line in lines]
    return [(method, route, cells) for method, route, *cells in parts]
