"""Edits of Python files that people have written, too: at places that ``ast`` finds."""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from myapp.core.scaffold.store import Imports


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


def members_of(node: Any) -> dict[str, ast.expr]:
    """The members of a dictionary in code, by their names."""
    if not isinstance(node, ast.Dict):
        return {}
    return {
        str(key.value): value
        for key, value in zip(node.keys, node.values)
        if isinstance(key, ast.Constant)
    }


def edits_of_imports(tree: ast.Module, wanted: Imports) -> Iterator[Edit]:
    """The imports that a file lacks, as pairs of module and name: in the statement of
    the same module, or as a new one before the next module of its group."""
    statements = [node for node in tree.body if isinstance(node, ast.ImportFrom)]
    for module in sorted({module for module, _ in wanted}):
        names = {name for one, name in wanted if one == module}
        same = [node for node in statements if node.module == module]
        known = {one.name for node in same for one in node.names if not one.asname}
        if names <= known:
            continue
        if same and not any(one.asname for one in same[0].names):
            node, last = same[0], int(same[0].end_lineno or 0)
            yield Edit(node.lineno, 0, import_of(module, names | known), end=last + 1)
        else:
            yield new_import(tree, module, import_of(module, names - known))


def import_of(module: str, names: Iterable[str]) -> str:
    """An import statement: constants first, then classes, then functions."""

    def place(name: str) -> tuple[int, str]:
        return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)

    return f"from {module} import {', '.join(sorted(names, key=place))}\n"


def new_import(tree: ast.Module, module: str, text: str) -> Edit:
    """A new import, in the order of the others: the standard library, libraries, this
    project."""
    kinds = (ast.Import, ast.ImportFrom)
    imports = [node for node in tree.body if isinstance(node, kinds)]
    rank = rank_of(module)
    mine = [node for node in imports if rank_of(name_of_import(node)) == rank]
    for node in mine:
        if isinstance(node, ast.ImportFrom) and name_of_import(node) > module:
            return Edit(node.lineno, 0, text)
    if mine:
        return Edit(int(mine[-1].end_lineno or 0) + 1, 0, text)
    for node in imports:
        if rank_of(name_of_import(node)) > rank:
            return Edit(node.lineno, 0, f"{text}\n")
    last = imports[-1] if imports else tree.body[0]
    return Edit(int(last.end_lineno or 0) + 1, 0, f"\n{text}")


def name_of_import(node: ast.Import | ast.ImportFrom) -> str:
    """The module that a statement imports from."""
    return str(getattr(node, "module", None) or node.names[0].name)


def rank_of(module: str) -> int:
    """The group of an import."""
    top = module.partition(".")[0]
    return 2 if top == "myapp" else int(top not in sys.stdlib_module_names)


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


def write_all(texts: dict[Path, str]) -> None:
    """Write texts into their files."""
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
