"""The changes of a feature outside its folder: its row, its doors, its line in the
map of the README. Each change can be undone."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Doors = set[tuple[str, str]]


class Tree:
    """A checkout of this project.

    :param root: its top folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.package = root / "myapp"
        self.table = self.package / "features.py"
        self.readme = root / "README.md"

    def folder(self, feature: str) -> Path:
        """The folder of a feature."""
        return self.package / feature

    def is_tracked(self, path: Path) -> bool:
        """Whether git tracks a file, so that other checkouts may have it."""
        command = ["git", "ls-files", "--error-unmatch", str(path)]
        try:
            told = subprocess.run(command, cwd=self.root, capture_output=True)
        except FileNotFoundError:
            return False
        return told.returncode == 0

    def untracked(self, feature: str) -> list[Path]:
        """The files of a feature that git does not have as they are, and so would be
        lost; all of them without git."""
        folder = self.folder(feature)
        files = [
            path
            for path in sorted(folder.rglob("*"))
            if path.is_file() and "__pycache__" not in path.parts
        ]
        command = ["git", "status", "--porcelain", "--ignored", "-z", "--", str(folder)]
        command.insert(2, "--untracked-files=all")
        try:
            told = subprocess.run(
                command, cwd=self.root, capture_output=True, text=True
            )
        except FileNotFoundError:
            return files
        if told.returncode:
            return files
        changed = {self.root / line[3:] for line in told.stdout.split("\0") if line}
        return [path for path in files if path in changed]

    def add_row(self, name: str, url_prefix: str, access: str) -> None:
        """Add a row at the end of the mount table."""
        lines, table = self._table("FEATURES")
        words = repr(access) if '"' in access else f'"{access}"'
        row = f'    Feature("{name}", url_prefix="{url_prefix}", access={words}),\n'
        if table.value.elts:
            lines.insert(table.value.elts[-1].end_lineno, row)
        else:
            lines[table.lineno - 1 : table.end_lineno] = ["FEATURES = (\n", row, ")\n"]
        self.table.write_text("".join(lines))

    def remove_row(self, name: str) -> None:
        """Remove a row of the mount table.

        :raises LookupError: when there is no such row.
        """
        lines, table = self._table("FEATURES")
        for row in getattr(table.value, "elts", ()):
            if row.args and getattr(row.args[0], "value", None) == name:
                del lines[row.lineno - 1 : row.end_lineno]
                self.table.write_text("".join(lines))
                return
        raise LookupError(name)

    def doors(self) -> Doors:
        """The pairs of a feature and the feature whose door it may use."""
        _, table = self._table("DOORS")
        nodes = [node for node in ast.walk(table.value) if isinstance(node, ast.Tuple)]
        found = [
            [str(getattr(one, "value", "")) for one in node.elts] for node in nodes
        ]
        return {(user, owner) for user, owner in found}

    def set_doors(self, doors: Doors) -> None:
        """Write the pairs into the mount table."""
        lines, table = self._table("DOORS")
        pairs = "".join(f"\n        {pair!r}," for pair in sorted(doors))
        value = f"frozenset(\n    {{{pairs}\n    }}\n)" if pairs else "frozenset()"
        text = f"DOORS: frozenset[tuple[str, str]] = {value}\n".replace("'", '"')
        lines[table.lineno - 1 : table.end_lineno] = [text]
        self.table.write_text("".join(lines))

    def _table(self, name: str) -> tuple[list[str], Any]:
        """The lines of the mount table, and the statement in it that sets a name."""
        text = self.table.read_text()
        for node in ast.parse(text).body:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            if getattr(targets[0], "id", None) == name:
                return text.splitlines(keepends=True), node
        raise LookupError(f"{self.table} does not set {name}")

    def can_open_door(self, feature: str, name: str) -> bool:
        """Whether the door of a feature shows a name, or is not written by hand, so
        that a command may change it."""
        door = self.folder(feature) / "door.py"
        shown = names_shown(door)
        is_ours = not door.exists() or door.read_text() == door_text(feature, shown)
        return name in shown or is_ours

    def open_door(self, feature: str, module: str, name: str) -> None:
        """Let the door of a feature show a name, if it does not yet."""
        door = self.folder(feature) / "door.py"
        shown = names_shown(door)
        if name not in shown:
            door.write_text(door_text(feature, {**shown, name: module}))

    def close_door(self, feature: str) -> None:
        """Remove the door of a feature if :meth:`open_door` made it, git does not track
        it, and no feature uses it."""
        door = self.folder(feature) / "door.py"
        is_used = any(owner == feature for _, owner in self.doors())
        if is_used or not door.exists() or self.is_tracked(door):
            return
        if door.read_text() == door_text(feature, names_shown(door)):
            door.unlink()

    def add_to_map(self, name: str, about: str) -> None:
        """Add a feature below the last one in the map of the README."""
        lines = self.readme.read_text().splitlines(keepends=True)
        rows = ast.parse(self.table.read_text())
        known = {
            node.value for node in ast.walk(rows) if isinstance(node, ast.Constant)
        }
        places = [
            number
            for number, line in enumerate(lines)
            if (match := MAP_LINE.match(line)) and match[1] in known
        ]
        where = places[-1] + 1 if places else len(lines)
        lines.insert(where, f"  {name + '/':<18} {about}\n")
        self.readme.write_text("".join(lines))

    def remove_from_map(self, name: str) -> None:
        """Remove the line of a feature from the map of the README."""
        lines = self.readme.read_text().splitlines(keepends=True)
        kept = [
            line
            for line in lines
            if not (match := MAP_LINE.match(line)) or match[1] != name
        ]
        self.readme.write_text("".join(kept))

    def format(self, paths: Iterable[Path]) -> bool:
        """Let black format the files of Python.

        :returns: False when black is not installed.
        """
        command = [
            sys.executable,
            "-m",
            "black",
            "--quiet",
            *(str(path) for path in paths if path.suffix == ".py"),
        ]
        return (
            subprocess.run(command, cwd=self.root, capture_output=True).returncode == 0
        )


MAP_LINE = re.compile(r"  ([a-z][a-z0-9_]*)/ +\S")


def names_shown(door: Path) -> dict[str, str]:
    """The names that a door imports to export them, each with its module."""
    if not door.exists():
        return {}
    imports = [
        node
        for node in ast.parse(door.read_text()).body
        if isinstance(node, ast.ImportFrom)
    ]
    return {one.name: node.module or "" for node in imports for one in node.names}


def door_text(feature: str, shown: dict[str, str]) -> str:
    """The text of a door that exports some names."""
    names = sorted(shown)
    imports = "".join(f"from {shown[name]} import {name}\n" for name in names)
    exported = ", ".join(f'"{name}"' for name in names)
    return (
        f'"""What other features may use of {feature}."""\n\n'
        f"{imports}\n__all__ = [{exported}]\n"
    )
