"""The rules of the house, held against the tree with the standard library's ``ast``.

Each rule is a function that takes the folder of a package and returns one line for
each breach. ``test_architecture_plants.py`` shows each of them a tree that breaks it.
"""

import ast
import keyword
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from http import HTTPStatus
from importlib.metadata import packages_distributions
from importlib.util import resolve_name
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.exceptions import HTTPException

from myapp.core.errors import Problem
from myapp.core.feature import Feature
from myapp.features import DOORS, FEATURES

ROOT = Path(__file__).parent
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTERS = {"import_module", "__import__", "import_string"}
# Stands for what the code does not tell: a computed import, a local name.
UNKNOWN = "?"
# Our modules beside the package; only its tests may lean on them.
BESIDE = {"conftest", "default_config", "wsgi"}
# Who may commit, and who may ask for it: code that no request runs, and the claim of
# an Idempotency-Key, which must stand before the request begins.
EDGE = "core/transaction.py"
OUTSIDE_REQUESTS = {"cli.py", "jobs.py", "sql_idempotency.py"}
BY_HAND = re.compile(
    r"(^|\.)(abort|problem_response|PROBLEM_TYPE|(app_)?errorhandler"
    r"|register_error_handler)$|^werkzeug\.exceptions\b"
)
RESPONDERS = {"Response", "jsonify", "make_response", "respond", "response_class"}
# To set something on these patches nothing: each stands for a request or a process.
PROXIES = re.compile(r"(flask\.(current_app|g|request|session)|os\.environ)\b")
VENDORED = {"vendor", "_vendor", "vendored", "third_party"}
MAX_FUNCTION, MAX_FILE, MAX_FACTORY = 45, 300, 59


class Module:
    """A python file below the folder of a package, parsed."""

    def __init__(self, root: Path, path: Path) -> None:
        self.place = path.relative_to(root).as_posix()
        self.layer, _, self.inside = self.place.partition("/")
        self.file = path.name
        for_tests = self.file.startswith(("test_", "conftest."))
        self.is_test = for_tests or self.place.startswith("core/testing")
        self.package = ".".join([root.name, *path.relative_to(root).parts[:-1]])
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.place}:{getattr(node, 'lineno', 1)}: {what}"

    def statements(self) -> Iterator[tuple[ast.AST, str, str]]:
        """Each import statement: where, the full name, what it is called here."""
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield node, alias.name, alias.asname or alias.name
            elif isinstance(node, ast.ImportFrom):
                base = resolve_name(
                    "." * node.level + (node.module or ""), self.package
                )
                for alias in node.names:
                    yield node, f"{base}.{alias.name}", alias.asname or alias.name

    @cached_property
    def names(self) -> dict[str, str]:
        """What each imported name stands for; ``import a.b`` brings ``a``."""
        brought = {call: name for _, name, call in self.statements()}
        tops = {call.partition(".")[0] for call in brought}
        return {**{top: top for top in tops}, **brought}

    def dotted(self, node: ast.AST) -> str:
        """The full name of an expression such as ``a.b.c``."""
        if isinstance(node, ast.Attribute):
            return f"{self.dotted(node.value)}.{node.attr}"
        if isinstance(node, ast.Name):
            return self.names.get(node.id, f"{UNKNOWN}.{node.id}")
        return UNKNOWN

    def calls(self, inside: ast.AST | None = None) -> Iterator[tuple[ast.Call, str]]:
        """Each call, with the last part of the name that is called."""
        for node in ast.walk(inside) if inside else self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func).rpartition(".")[2]

    def imports(self) -> Iterator[tuple[ast.AST, str]]:
        """Each import, hidden ones too: where, and the full name."""
        for node, name, _ in self.statements():
            yield node, name
        for call, function in self.calls():
            if function in IMPORTERS:
                name = getattr(call.args[0], "value", None) if call.args else None
                known = isinstance(name, str)
                yield call, resolve_name(name, self.package) if known else UNKNOWN


def modules(root: Path) -> list[Module]:
    return [Module(root, path) for path in sorted(root.rglob("*.py"))]


def code(root: Path) -> list[Module]:
    return [item for item in modules(root) if not item.is_test]


def folders(root: Path) -> set[str]:
    """The features by their folders; one that holds only a cache is none."""
    files = [path.relative_to(root).parts for path in root.rglob("*") if path.is_file()]
    kept = [parts for parts in files if "__pycache__" not in parts]
    return {parts[0] for parts in kept if len(parts) > 1} - {"core"}


def ours(root: Path, name: str) -> tuple[str, str]:
    """Which part of our code a name is in, and where in it; blank for a library."""
    first, second, third = (*name.split("."), "", "")[:3]
    if first == root.name:
        return second or first, third
    return (first, second) if first in BESIDE | {UNKNOWN} else ("", "")


def table(root: Path) -> tuple[list[dict[str, Any]], set[tuple[Any, ...]]]:
    """The rows and the doors of the mount table, read without running it."""
    rows, doors = [], set()
    for node in ast.walk(ast.parse((root / "features.py").read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Feature":
            given = dict(zip(("name", "url_prefix", "access"), node.args))
            given |= {item.arg: item.value for item in node.keywords}
            rows.append({key: getattr(given[key], "value", "") for key in given})
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            if all(isinstance(item, ast.Constant) for item in node.elts):
                doors.add(tuple(item.value for item in node.elts))
    return rows, doors


def violations_of_the_arrow(root: Path) -> list[str]:
    """Core imports core, the mount table too, the factory the table on top, and wsgi
    the factory, hidden imports included. Tests of core use the factory, no feature."""
    reach = {"core": {"core"}, "features.py": {"core"}}
    reach["__init__.py"] = {"core", "features", UNKNOWN}
    reach["wsgi.py"] = {"core", "create_app"}
    features, found = folders(root), []
    for module in [*modules(root), Module(root.parent, root.parent / "wsgi.py")]:
        allowed = reach.get(module.layer)
        for node, name in module.imports() if allowed else ():
            part, _ = ours(root, name)
            excused = module.is_test and part not in features
            if part and part not in allowed and not excused:
                found.append(module.at(node, f"imports {name}"))
    return found


def violations_of_a_fresh_core(root: Path) -> list[str]:
    """A new process that imports all of core has loaded no feature."""
    program = f"""if True:
        import importlib, pkgutil, sys, {root.name}.core as core
        for item in pkgutil.walk_packages(core.__path__, core.__name__ + "."):
            if not item.name.rpartition(".")[2].startswith("test_"):
                importlib.import_module(item.name)
        print(*sys.modules)"""
    command = [sys.executable, "-c", program]
    text = subprocess.check_output(command, cwd=root.parent, text=True, timeout=60)
    features, loaded = folders(root), text.split()
    return [f"core loads {name}" for name in loaded if ours(root, name)[0] in features]


def violations_of_the_doors(root: Path) -> list[str]:
    """A feature imports itself, core and the doors that are open to it; its tests and
    factories also the factories of others. The doors make no circle."""
    rows, doors = table(root)
    features, names = folders(root), {row.get("name") for row in rows}
    found = [f"door of no feature: {door}" for door in doors if not names >= {*door}]
    for module in modules(root):
        for node, name in module.imports() if module.layer in features else ():
            part, place = ours(root, name)
            lenient = module.is_test or module.file == "factories.py"
            opened = (
                part in ("", "core", module.layer)
                or (place == "door" and (module.layer, part) in doors)
                or (place == "factories" and lenient)
                or (module.is_test and part not in features)
            )
            if not opened:
                found.append(module.at(node, f"imports {name}"))
    owners = {
        user: {owner for name, owner in doors if name == user} for user, _ in doors
    }
    try:
        TopologicalSorter(owners).prepare()
    except CycleError as error:
        found.append(f"doors in a circle: {error.args[1]}")
    return found


def violations_of_imports_on_top(root: Path) -> list[str]:
    """No import inside a function, apart from the loop that mounts the features."""
    found = []
    for module in modules(root):
        inside: set[ast.AST] = set()
        for node in module.nodes:
            if isinstance(node, (*DEFINITIONS, ast.Lambda)):
                inside.update(ast.walk(node))
        if module.place == "__init__.py":
            loops = [item for item in module.nodes if isinstance(item, ast.For)]
            for loop in loops:
                if module.dotted(loop.iter).endswith(".FEATURES"):
                    inside.difference_update(call for call, _ in module.calls(loop))
        hidden = [(node, name) for node, name in module.imports() if node in inside]
        found += [module.at(node, f"imports {name} in here") for node, name in hidden]
    return found


def violations_of_the_mount_table(root: Path) -> list[str]:
    """Rows and folders are the same, and a row says its name and prefix in full."""
    rows, _ = table(root)
    names = [row.get("name", "") for row in rows]
    prefixes = [row.get("url_prefix", "") for row in rows]
    found = [f"{name}: row or folder is missing" for name in {*names} ^ folders(root)]
    for name, prefix in zip(names, prefixes):
        valid = re.fullmatch(r"[a-z][a-z0-9_]*", name) and not keyword.iskeyword(name)
        if not valid or name == "core":
            found.append(f"{name!r} is no name for a feature")
        if not re.fullmatch(r"(/[a-z0-9]+(-[a-z0-9]+)*)+", prefix):
            found.append(f"{name}: {prefix!r} is no prefix")
        if names.count(name) > 1 or prefixes.count(prefix) > 1:
            found.append(f"{name}: its name or its prefix is there twice")
    return found


def violations_of_the_transaction(root: Path) -> list[str]:
    """Only the edge commits, and only code that no request runs asks it to."""
    found = []
    for module in code(root):
        for node in module.nodes if module.place != EDGE else ():
            name = module.dotted(node)
            if name == f"{root.name}.core.transaction.commit":
                wrong = module.file not in OUTSIDE_REQUESTS
            else:
                wrong = getattr(node, "attr", "") in ("commit", "begin")
            if wrong:
                found.append(module.at(node, f"commits with {name}"))
        for call, function in module.calls():
            text = getattr(call.args[0], "value", "") if call.args else ""
            if re.match(r"\s*COMMIT\b", str(text), re.IGNORECASE):
                found.append(module.at(call, f"commits with {function}({text!r})"))
    return found


def is_http_error(name: str) -> bool:
    """Whether a name means an HTTP error of a library, wherever it was imported."""
    place, _, last = name.rpartition(".")
    thing = getattr(sys.modules.get(place), last, None)
    is_error = isinstance(thing, type) and issubclass(thing, HTTPException)
    return is_error and thing is not Problem


def is_error_status(module: Module, node: ast.AST) -> bool:
    """Whether a node says 400 or more, as a number, a text or an ``HTTPStatus``."""
    value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
    place, _, name = module.dotted(node).removesuffix(".value").rpartition(".")
    if place == "http.HTTPStatus":
        value = HTTPStatus[name].value
    return re.match(r"[45]\d\d\b", str(value)) is not None


def answers_by_hand(module: Module, node: ast.AST) -> bool:
    """Whether a node makes the response of an error, or another class of errors."""
    parts: list[ast.AST] = []
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        parts = list(node.value.elts[1:])
    elif isinstance(node, ast.Call):
        if module.dotted(node.func).rpartition(".")[2] in RESPONDERS:
            named = [item.value for item in node.keywords if item.arg == "status"]
            parts = [*node.args[1:], *named]
    elif isinstance(node, ast.Assign):
        names = {getattr(target, "attr", "") for target in node.targets}
        parts = [node.value] if names & {"status", "status_code"} else []
    elif isinstance(node, ast.ClassDef):
        return any(module.dotted(base).endswith(".Problem") for base in node.bases)
    elif isinstance(node, ast.Constant):
        return str(node.value).startswith("application/problem+json")
    return any(is_error_status(module, part) for part in parts)


def violations_of_one_error(root: Path) -> list[str]:
    """A feature raises ``Problem``, and makes no error in any other way."""
    features, found = folders(root), []
    for module in code(root):
        if module.layer not in features:
            continue
        names = [(node, module.dotted(node)) for node in module.nodes]
        for node, name in [*names, *module.imports()]:
            if BY_HAND.search(name) or is_http_error(name):
                found.append(module.at(node, f"uses {name}"))
        for node in module.nodes:
            if answers_by_hand(module, node):
                found.append(module.at(node, "makes an error by hand"))
    return found


def changed_by(module: Module, node: ast.AST) -> str:
    """The name of what a node sets or deletes something on, if it does."""
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return "" if isinstance(node.ctx, ast.Load) else module.dotted(node.value)
    if isinstance(node, ast.Call) and node.args:
        if module.dotted(node.func) in (f"{UNKNOWN}.setattr", f"{UNKNOWN}.delattr"):
            return module.dotted(node.args[0])
    return ""


def required_libraries() -> set[str]:
    """The packages that the requirements bring."""
    text = (ROOT.parent / "requirements.txt").read_text(encoding="utf-8")
    pinned = {plain(name) for name in re.findall(r"^[\w.-]+", text, re.MULTILINE)}
    brought = packages_distributions().items()
    return {name for name, owners in brought if pinned & {*map(plain, owners)}}


def plain(distribution: str) -> str:
    """The name of a distribution as the packaging standard normalizes it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def violations_of_libraries(root: Path) -> list[str]:
    """Nothing that was imported from a library is changed, and none is copied in."""
    found = []
    for module in modules(root):
        for node in module.nodes:
            name = changed_by(module, node)
            first = name.partition(".")[0]
            if first not in ("", UNKNOWN, root.name) and not PROXIES.match(name):
                found.append(module.at(node, f"changes {name}"))
    libraries = VENDORED | required_libraries()
    for path in root.rglob("*"):
        is_code = path.is_dir() or path.suffix == ".py"
        if is_code and path.stem in libraries and path.parent != root:
            found.append(f"{path.relative_to(root)}: a library in the tree")
    return found


def violations_of_size(root: Path) -> list[str]:
    """Each file can be read in one sitting, and each function at a glance."""
    found = []
    for module in modules(root):
        if module.file.startswith("test_"):
            continue
        most = MAX_FACTORY if module.place == "__init__.py" else MAX_FILE
        if len(module.text.splitlines()) > most:
            found.append(f"{module.place}: more than {most} lines")
        for node in module.nodes:
            if isinstance(node, DEFINITIONS):
                if (node.end_lineno or 0) - node.lineno >= MAX_FUNCTION:
                    found.append(module.at(node, f"{node.name} is too long"))
    return found


def violations_of_docstrings(root: Path) -> list[str]:
    """Each module, and each public class, method and function, says what it is."""
    found = []
    for module in code(root):
        documented: list[Any] = [module.tree]
        for parent in documented:
            for node in [] if isinstance(parent, DEFINITIONS) else parent.body:
                if isinstance(node, (*DEFINITIONS, ast.ClassDef)):
                    documented += [] if node.name.startswith("_") else [node]
        bare = [node for node in documented if not ast.get_docstring(node)]
        found += [module.at(node, "has no docstring") for node in bare]
    return found


def settings(root: Path) -> set[str]:
    """The names in ``Config``."""
    tree = ast.parse((root.parent / "default_config.py").read_text(encoding="utf-8"))
    (config,) = [item for item in tree.body if getattr(item, "name", "") == "Config"]
    names = [node.id for node in ast.walk(config) if isinstance(node, ast.Name)]
    return {name for name in names if name.isupper()}


def violations_of_settings(root: Path) -> list[str]:
    """Each setting is read, by us or by Flask."""
    words = {word for module in code(root) for word in re.findall(r"\w+", module.text)}
    unused = settings(root) - words - {*Flask.default_config}
    return [f"nothing reads {name}" for name in sorted(unused)]


def violations_of_the_readme(root: Path) -> list[str]:
    """The README, once there is one, names each setting and each feature."""
    readme = root.parent / "README.md"
    if not readme.exists():
        return []
    wanted = settings(root) | {row["name"] for row in table(root)[0]}
    missing = wanted - {
        *re.findall(r"(?:MYAPP_)?(\w+)", readme.read_text(encoding="utf-8"))
    }
    return [f"README.md does not name {name}" for name in sorted(missing)]


RULES = {
    name.removeprefix("violations_of_"): rule
    for name, rule in globals().items()
    if name.startswith("violations_of_")
}


@pytest.mark.parametrize("name", RULES)
def test_the_tree_keeps_the_rule(name: str) -> None:
    assert RULES[name](ROOT) == []


def test_the_mount_table_is_what_its_text_says() -> None:
    """The rules read it without running it, so it has to be literal."""
    rows, doors = table(ROOT)
    assert [Feature(**row) for row in rows] == [*FEATURES]
    assert doors == DOORS
