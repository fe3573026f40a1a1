"""``docs/settings.md``: every setting with its default and its meaning, made from the
comments in ``default_config.py`` and above the settings of the features."""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

PAGE = "docs/settings.md"
DAY = 24 * 3600
MARK = "<!-- made by flask settings --save -->"
COMMENT = re.compile(r"\s*# ?(.*)")


class Setting(NamedTuple):
    """A setting, as the code states it.

    :ivar default: as it is written.
    """

    name: str
    default: str
    meaning: str


@click.command("settings")
@click.option("--save", is_flag=True, help="Write them into docs/settings.md.")
@with_appcontext
def settings_command(save: bool) -> None:
    """Print every setting with its default and its meaning."""
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    made = tables(app)
    if not save:
        click.echo(made)
    elif save_tables(app, Path(app.root_path).parent):
        click.echo(f"wrote {PAGE}")
    else:
        click.echo(f"{PAGE} is up to date")


def save_tables(app: Flask, root: Path) -> bool:
    """Write the tables into their page, if there is one; return whether it changed.

    :param root: of the project.
    """
    path = root / PAGE
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    after = with_tables(before, tables(app)) if MARK in before else before
    if after == before:
        return False
    path.write_text(after, encoding="utf-8")
    return True


def tables(app: Flask) -> str:
    """The tables of the settings, in Markdown: those of all, and of each feature."""
    root = Path(app.root_path)
    parts = [table("For all features", of_class(root.parent / "default_config.py"))]
    for name in app.extensions["features"]:
        path = root / name / "endpoints.py"
        blueprint: Any = app.blueprints[name]
        if blueprint.settings and path.exists():
            found = of_feature(path, blueprint.settings)
            parts.append(table(f"Of {name}", found))
    return f"{MARK}\n\n" + "\n".join(parts) + f"\n{MARK}"


def with_tables(page: str, made: str) -> str:
    """A page with its tables replaced."""
    first, _, rest = page.partition(MARK)
    last = rest.rpartition(MARK)[2]
    return f"{first}{made}{last}"


def table(title: str, settings: Iterator[Setting]) -> str:
    """One table."""
    lines = [f"## {title}\n", "| setting | default | meaning |", "| --- | --- | --- |"]
    for one in settings:
        cells = (f"`{one.name}`", f"`{one.default}`", one.meaning.replace("|", "\\|"))
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def of_class(path: Path) -> Iterator[Setting]:
    """The settings of the class ``Config``."""
    text = path.read_text(encoding="utf-8")
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef) and node.name == "Config":
            for part in node.body:
                if isinstance(part, (ast.Assign, ast.AnnAssign)) and part.value:
                    target = part.targets[0] if isinstance(part, ast.Assign) else part
                    named = getattr(target, "target", target)
                    name, default = ast.unparse(named), ast.unparse(part.value)
                    yield setting(text, name, default, part.lineno)


def of_feature(path: Path, settings: Mapping[str, Any]) -> Iterator[Setting]:
    """The settings of a feature, which its endpoints state in a dictionary.

    :param settings: the names with their defaults.
    """
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        keys = node.keys if isinstance(node, ast.Dict) else []
        lines = {one.value: one.lineno for one in keys if isinstance(one, ast.Constant)}
        if lines.keys() == settings.keys():
            for name, value in settings.items():
                yield setting(text, name, shown(value), lines[name])
            return


def shown(value: Any) -> str:
    """A default as a person writes it."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if is_number and value and value % DAY == 0:
        return f"{value / DAY:g} * 24 * 3600"
    return f"{value:g}" if is_number else repr(value)


def setting(text: str, name: str, default: str, line: int) -> Setting:
    """A setting with the comment above its line."""
    lines, said = text.splitlines(), []
    for above in reversed(lines[: line - 1]):
        found = COMMENT.fullmatch(above)
        if found is None:
            break
        said.append(found[1])
    return Setting(name, default, " ".join(reversed(said)))
