"""``flask check-migrations``: refuses a step that breaks the release before it.

While a release is made, the code of before runs on the tables of after. So what it
reads has to stay, and what it does not write must have a default: expand first, and
contract in a later release.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import click
from flask import current_app
from flask.cli import with_appcontext

#: The name in a migration that says why a break of it does no harm.
ACCEPTED = "accepted_break"


@click.command("check-migrations")
@with_appcontext
def check_migrations() -> None:
    """Look for migrations that break the release before them."""
    folder = Path(current_app.root_path).parent / "migrations" / "versions"
    found = [line for path in sorted(folder.glob("*.py")) for line in breaks_in(path)]
    if found:
        raise click.ClickException(
            "\n  ".join(["this breaks the release before it:", *found])
            + "\nAdd the new beside the old, let a release write both, and take the "
            "old away in a later one. Where no release knows it, say so in the "
            f'migration: {ACCEPTED} = "no release has this column"'
        )


def breaks_in(path: Path) -> list[str]:
    """What a migration breaks; empty when it says that this is accepted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    accepted = [
        node
        for node in tree.body
        if isinstance(node, ast.Assign)
        and isinstance(node.targets[0], ast.Name)
        and node.targets[0].id == ACCEPTED
    ]
    steps = [
        node
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name == "upgrade"
    ]
    found = [f"{path.name}: {one}" for step in steps for one in breaks_of(step)]
    return [] if accepted else found


def breaks_of(step: ast.FunctionDef) -> Iterator[str]:
    """The calls of a step that code of before does not expect."""
    for call in ast.walk(step):
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
            continue
        name = call.func.attr
        keywords = {one.arg: one.value for one in call.keywords}
        what = ast.unparse(call.args[0]) if call.args else "?"
        if name == "rename_column":
            yield f"renames column {ast.unparse(call.args[1])}"
        elif name == "alter_column" and "new_column_name" in keywords:
            yield f"renames column {what}"
        elif name in ("drop_table", "drop_column", "rename_table"):
            yield f"{name.replace('_', 's ', 1)} {what}"
        elif name == "alter_column" and is_false(keywords.get("nullable")):
            yield f"makes column {what} required"
        elif name == "add_column" and is_required(call.args[-1]):
            yield f"adds the required column {what} without a server_default"


def is_required(column: ast.expr) -> bool:
    """Whether a new column takes no row without a value."""
    if not isinstance(column, ast.Call):
        return False
    keywords = {one.arg: one.value for one in column.keywords}
    return is_false(keywords.get("nullable")) and "server_default" not in keywords


def is_false(value: ast.expr | None) -> bool:
    """Whether an expression is the constant False."""
    return isinstance(value, ast.Constant) and value.value is False
