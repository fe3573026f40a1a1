"""The architecture rules, checked in the tree with the standard library's ``ast``.

Each rule is a function that takes the folder of a package and returns one line for
each violation. ``test_architecture_plants.py`` runs each rule on trees that break it.
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

from myapp.core.errors.problem import Problem
from myapp.core.feature import Feature
from myapp.features import DOORS, FEATURES

ROOT = Path(__file__).parent
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
IMPORTERS = {"import_module", "__import__", "import_string"}
# For a name that is not known from the code: a computed import, a local name.
UNKNOWN = "?"
# Modules of the project outside the package; only tests may import them.
BESIDE = {"conftest", "default_config", "wsgi"}
# The rooms of core from the top; each may import itself and the rooms below. First come
# the modules that only developers need, then the files outside the rooms.
DEVELOPER, FLAT = "developer", "flat"
ROOMS = (
    *(DEVELOPER, FLAT, "docs", "audit", "rest", "http"),
    *("mail", "jobs", "stores", "model", "query", "schema", "errors", "access"),
)
# The modules that only commands and tests need, and a start in production does not.
DEVELOPER_PLACES = re.compile(
    r"core/(backup|scaffold|testing)/|core/stores/\w+/(backup\w*|scaffold|fixture)\.py$"
)
# The functions that may import when they are called: the factory, the loader.
LATE = {("__init__.py", "create_app"), ("core/loading.py", "import_when_used")}
# A name in a module, as the loader takes it: ``module:name``.
OURS_AS_TEXT = re.compile(r"\w+(\.\w+)+:\w+\Z", re.ASCII)
# Names with the same meaning in each module.
COMMON_NAMES = {"blueprint", "init_app", "log"}
# The modules that may commit, and the modules that may ask for it: code outside
# requests, and the claim of an Idempotency-Key, which is stored before the request.
EDGE = re.compile(r"core/stores/(transaction|\w+/(store|fixture))\.py$")
OUTSIDE_REQUESTS = {"cli.py", "jobs.py", "core/stores/sql/idempotency.py"}
TRANSACTION = ("", ".transaction")
BY_HAND = re.compile(
    r"(^|\.)(abort|problem_response|PROBLEM_TYPE|(app_)?errorhandler"
    r"|register_error_handler)$|^werkzeug\.exceptions\b"
)
RESPONDERS = {"Response", "jsonify", "make_response", "respond", "response_class"}
# Setting these does not patch a library: they are context, process, or its own hook.
PROXIES = re.compile(
    r"(flask\.(current_app|g|request|session)|os\.environ"
    r"|prometheus_client\.values)\b"
)
SERVES, CONTRACT = "routes_from_model", "ResourceContract"
VENDORED = {"vendor", "_vendor", "vendored", "third_party"}
MAX_FUNCTION, MAX_FILE, MAX_FACTORY, MAX_README = 45, 300, 59, 250


class Module:
    """A parsed Python file below the folder of a package."""

    def __init__(self, root: Path, path: Path) -> None:
        self.place = path.relative_to(root).as_posix()
        self.layer, _, self.inside = self.place.partition("/")
        self.file = path.name
        for_tests = self.file.startswith(("test_", "conftest."))
        self.is_developer = bool(DEVELOPER_PLACES.match(self.place))
        self.is_test = for_tests or self.place.startswith("core/testing/")
        self.package = ".".join([root.name, *path.relative_to(root).parts[:-1]])
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.nodes = list(ast.walk(self.tree))

    def at(self, node: ast.AST, what: str) -> str:
        return f"{self.place}:{getattr(node, 'lineno', 1)}: {what}"

    def statements(self) -> Iterator[tuple[ast.AST, str, str]]:
        """Each import statement: its node, the full name, and the name in the file."""
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
        """The full name of each imported name; ``import a.b`` imports ``a``."""
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
        """Each call, with the last part of the name of its function."""
        for node in ast.walk(inside) if inside else self.nodes:
            if isinstance(node, ast.Call):
                yield node, self.dotted(node.func).rpartition(".")[2]

    def imports(self) -> Iterator[tuple[ast.AST, str]]:
        """Each import, also a hidden one: its node and the full name."""
        for node, name, _ in self.statements():
            yield node, name
        for node in self.nodes:
            text = getattr(node, "value", "") if isinstance(node, ast.Constant) else ""
            top = f"{self.package.partition('.')[0]}."
            if str(text).startswith(top) and OURS_AS_TEXT.match(str(text)):
                yield node, str(text).replace(":", ".")
        for call, function in self.calls():
            if function in IMPORTERS and self.place != "core/loading.py":
                name = getattr(call.args[0], "value", None) if call.args else None
                known = isinstance(name, str)
                yield call, resolve_name(name, self.package) if known else UNKNOWN


def modules(root: Path) -> list[Module]:
    return [Module(root, path) for path in sorted(root.rglob("*.py"))]


def code(root: Path) -> list[Module]:
    return [item for item in modules(root) if not item.is_test]


def folders(root: Path) -> set[str]:
    """The features by their folders; a folder with only a cache does not count."""
    files = [path.relative_to(root).parts for path in root.rglob("*") if path.is_file()]
    kept = [parts for parts in files if "__pycache__" not in parts]
    return {parts[0] for parts in kept if len(parts) > 1} - {"core"}


def ours(root: Path, name: str) -> tuple[str, str]:
    """The part of the project that a name is in, and the rest; empty for a library."""
    first, second, third = (*name.split("."), "", "")[:3]
    if first == root.name:
        return second or first, third
    return (first, second) if first in BESIDE | {UNKNOWN} else ("", "")


def table(root: Path) -> tuple[list[dict[str, Any]], set[tuple[Any, ...]]]:
    """The rows and the doors of the mount table, read but not run."""
    rows, doors = [], set()
    nodes = list(ast.walk(ast.parse((root / "features.py").read_text())))
    calls = [node for node in nodes if is_row(node)]
    # A row may have pairs of its own, such as the names of two stores.
    inside = {id(part) for call in calls for part in ast.walk(call)}
    for node in nodes:
        if isinstance(node, ast.Call) and is_row(node):
            given = dict(zip(("name", "url_prefix", "access"), node.args))
            given |= {item.arg: item.value for item in node.keywords}
            rows.append({key: literal(given[key]) for key in given})
        elif isinstance(node, ast.Tuple) and len(node.elts) == 2:
            if id(node) in inside:
                continue
            if all(isinstance(item, ast.Constant) for item in node.elts):
                doors.add(tuple(item.value for item in node.elts))
    return rows, doors


def is_row(node: ast.AST) -> bool:
    """Whether a node is a row of the mount table."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Feature"


def literal(node: ast.AST) -> Any:
    """The value of a literal; empty for anything else."""
    try:
        return ast.literal_eval(node)  # type: ignore[arg-type]
    except ValueError:
        return ""


def violations_of_the_arrow(root: Path) -> list[str]:
    """Core and the mount table import only core, the factory also the table, wsgi the
    factory; hidden imports count. Tests of core use the factory, but not a feature."""
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
    """A new process that imports all of core does not load a feature."""
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
    factories also import the factories of others. The doors have no cycle."""
    rows, doors = table(root)
    features, names = folders(root), {row.get("name") for row in rows}
    found = [
        f"door without a feature: {door}" for door in doors if not names >= {*door}
    ]
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
        found.append(f"doors in a cycle: {error.args[1]}")
    return found


def violations_of_imports_on_top(root: Path) -> list[str]:
    """No function imports, except the factory, whose parts can then be loaded alone,
    and the loader of modules that only commands and tests need."""
    found = []
    for module in modules(root):
        inside: set[ast.AST] = set()
        for node in module.nodes:
            if isinstance(node, (*DEFINITIONS, ast.Lambda)):
                if (module.place, getattr(node, "name", "")) not in LATE:
                    inside.update(ast.walk(node))
        for node, name in module.imports():
            if node in inside and not isinstance(node, ast.Constant):
                found.append(module.at(node, f"imports {name} in a function"))
    return found


def room_of(place: str) -> str:
    """The room of a file of core, by its path."""
    if DEVELOPER_PLACES.match(place):
        return DEVELOPER
    parts = place.split("/")
    return parts[1] if len(parts) > 2 else FLAT


def file_of(root: Path, name: str) -> str:
    """The project file that an import of a full name loads; empty for a library."""
    parts = name.split(".")
    if parts[0] != root.name:
        return ""
    for end in range(len(parts), 0, -1):
        path = root.joinpath(*parts[1:end])
        for candidate in (path.with_suffix(".py"), path / "__init__.py"):
            if candidate.is_file():
                return candidate.relative_to(root).as_posix()
    return ""


def violations_of_the_rooms(root: Path) -> list[str]:
    """Each room of core imports itself and the rooms below it. A string that names a
    module of the project counts as an import, except in the table of commands and the
    registration of a store, because these are loaded when they are used."""
    found = []
    for module in code(root):
        room = room_of(module.place)
        if module.layer != "core" or module.place == "core/__init__.py":
            continue
        if room not in ROOMS:
            found.append(f"{module.place}: {room} is not a room")
            continue
        for node, name in module.imports():
            target = file_of(root, name)
            is_late = isinstance(node, ast.Constant)
            if is_late or not target.startswith("core/"):
                continue
            other = room_of(target)
            up = other not in ROOMS or ROOMS.index(other) < ROOMS.index(room)
            if target != "core/__init__.py" and up:
                found.append(module.at(node, f"{room} imports {name}, which is above"))
    return found


def violations_of_a_room_alone(root: Path) -> list[str]:
    """A new process that imports one room does not load a room above it, or a feature;
    a start in production does not load modules that only developers need."""
    found = []
    rooms = [name for name in ROOMS if (root / "core" / name).is_dir()]
    for room in [*rooms, "wiring"]:
        program = f"import sys, {root.name}.core.{room}; print(*sys.modules)"
        command = [sys.executable, "-c", program]
        text = subprocess.check_output(command, cwd=root.parent, text=True, timeout=60)
        level = ROOMS.index(room if room in ROOMS else FLAT)
        for name in text.split():
            place = file_of(root, name)
            if not place.startswith("core/") or place == "core/__init__.py":
                continue
            if ROOMS.index(room_of(place)) < level:
                found.append(f"{room} alone loads {name}")
    return found


def exported(init: Path) -> set[str]:
    """The names that the door of a room exports."""
    for node in ast.parse(init.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign):
            if getattr(node.targets[0], "id", "") == "__all__":
                return set(ast.literal_eval(node.value))
    return set()


def violations_of_the_doors_of_rooms(root: Path) -> list[str]:
    """A feature imports the names that the door of a room exports, not its modules."""
    features, found = folders(root), []
    for module in modules(root):
        for node, name in module.imports() if module.layer in features else ():
            if not name.startswith(f"{root.name}.core"):
                continue
            door, _, last = name.rpartition(".")
            init = root.joinpath(*door.split(".")[1:], "__init__.py")
            if not init.is_file() or last not in exported(init):
                found.append(module.at(node, f"imports {name}, which is not a door"))
    return found


def violations_of_the_request(root: Path) -> list[str]:
    """No room below ``http`` imports the request of Flask."""
    found = []
    for module in code(root):
        room = room_of(module.place) if module.layer == "core" else FLAT
        if room in ROOMS and ROOMS.index(room) > ROOMS.index("http"):
            named = [*module.imports(), *((n, module.dotted(n)) for n in module.nodes)]
            wrong = ("flask.request", "flask.has_request_context", "flask.globals")
            for node, name in named:
                if name in wrong:
                    found.append(module.at(node, f"uses {name}"))
    return found


def is_overload(module: Module, node: ast.AST) -> bool:
    """Whether a function only states types, for another one of the same name."""
    marks = getattr(node, "decorator_list", [])
    return any(module.dotted(mark) == "typing.overload" for mark in marks)


def violations_of_one_name(root: Path) -> list[str]:
    """Each public function, class or constant of core has a unique name."""
    places: dict[str, list[str]] = {}
    for module in code(root):
        if module.layer != "core" or module.is_test or module.is_developer:
            continue
        for node in module.tree.body:
            names: list[str] = []
            if is_overload(module, node):
                continue
            if isinstance(node, (*DEFINITIONS, ast.ClassDef)):
                names = [node.name]
            elif isinstance(node, ast.Assign):
                names = [getattr(target, "id", "_") for target in node.targets]
            elif isinstance(node, ast.AnnAssign):
                names = [getattr(node.target, "id", "_")]
            for name in names:
                if not name.startswith("_") and name not in COMMON_NAMES:
                    places.setdefault(name, []).append(module.place)
    return [
        f"{name} is defined in {' and '.join(found)}"
        for name, found in sorted(places.items())
        if len(found) > 1
    ]


def violations_of_the_mount_table(root: Path) -> list[str]:
    """Each row has a folder and each folder a row, with the full name and prefix."""
    rows, _ = table(root)
    names = [row.get("name", "") for row in rows]
    prefixes = [row.get("url_prefix", "") for row in rows]
    found = [f"{name}: row or folder is missing" for name in {*names} ^ folders(root)]
    for name, prefix in zip(names, prefixes):
        valid = re.fullmatch(r"[a-z][a-z0-9_]*", name) and not keyword.iskeyword(name)
        if not valid or name == "core":
            found.append(f"{name!r} is not a name for a feature")
        if not re.fullmatch(r"(/[a-z0-9]+(-[a-z0-9]+)*)+", prefix):
            found.append(f"{name}: {prefix!r} is not a prefix")
        if names.count(name) > 1 or prefixes.count(prefix) > 1:
            found.append(f"{name}: its name or its prefix is used twice")
    return found


def violations_of_the_transaction(root: Path) -> list[str]:
    """Only the edge commits, and only code outside requests asks for a commit."""
    found = []
    for module in code(root):
        for node in module.nodes if not EDGE.match(module.place) else ():
            name = module.dotted(node)
            if name in [f"{root.name}.core.stores{end}.commit" for end in TRANSACTION]:
                wrong = not {module.file, module.place} & OUTSIDE_REQUESTS
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
    """Whether a name is an HTTP error of a library, from any import."""
    place, _, last = name.rpartition(".")
    thing = getattr(sys.modules.get(place), last, None)
    is_error = isinstance(thing, type) and issubclass(thing, HTTPException)
    return is_error and thing is not Problem


def is_error_status(module: Module, node: ast.AST) -> bool:
    """Whether a node is 400 or more, as a number, a text or an ``HTTPStatus``."""
    value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
    place, _, name = module.dotted(node).removesuffix(".value").rpartition(".")
    if place == "http.HTTPStatus":
        value = HTTPStatus[name].value
    return re.match(r"[45]\d\d\b", str(value)) is not None


def answers_by_hand(module: Module, node: ast.AST) -> bool:
    """Whether a node makes an error response, or a new class of errors."""
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
    """A feature makes errors only with ``raise Problem``."""
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
    """The name of the object of which a node sets or deletes an attribute, if any."""
    if isinstance(node, (ast.Attribute, ast.Subscript)):
        return "" if isinstance(node.ctx, ast.Load) else module.dotted(node.value)
    if isinstance(node, ast.Call) and node.args:
        if module.dotted(node.func) in (f"{UNKNOWN}.setattr", f"{UNKNOWN}.delattr"):
            return module.dotted(node.args[0])
    return ""


def required_libraries() -> set[str]:
    """The packages that the requirements install."""
    text = (ROOT.parent / "requirements.txt").read_text(encoding="utf-8")
    pinned = {plain(name) for name in re.findall(r"^[\w.-]+", text, re.MULTILINE)}
    brought = packages_distributions().items()
    return {name for name, owners in brought if pinned & {*map(plain, owners)}}


def plain(distribution: str) -> str:
    """The normalized name of a distribution, by the packaging standard."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def violations_of_libraries(root: Path) -> list[str]:
    """No imported object of a library is changed, and no library is copied in."""
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
        # The package of a store has the name of its library.
        is_ours = path.parent in (root, root / "core" / "stores")
        if is_code and path.stem in libraries and not is_ours:
            found.append(f"{path.relative_to(root)}: a library in the tree")
    return found


def violations_of_size(root: Path) -> list[str]:
    """Each file and each function is short."""
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
    """Each module, and each public class, method and function, has a docstring."""
    found = []
    for module in code(root):
        documented: list[Any] = [module.tree]
        for parent in documented:
            for node in [] if isinstance(parent, DEFINITIONS) else parent.body:
                if isinstance(node, (*DEFINITIONS, ast.ClassDef)):
                    documented += [] if node.name.startswith("_") else [node]
        bare = [
            node
            for node in documented
            if not (ast.get_docstring(node) or is_overload(module, node))
        ]
        found += [module.at(node, "has no docstring") for node in bare]
    return found


def settings(root: Path) -> set[str]:
    """The names in ``Config``."""
    tree = ast.parse((root.parent / "default_config.py").read_text(encoding="utf-8"))
    (config,) = [item for item in tree.body if getattr(item, "name", "") == "Config"]
    names = [node.id for node in ast.walk(config) if isinstance(node, ast.Name)]
    return {name for name in names if name.isupper()}


def violations_of_settings(root: Path) -> list[str]:
    """Each setting is read, by the project or by Flask."""
    words = {word for module in code(root) for word in re.findall(r"\w+", module.text)}
    unused = settings(root) - words - {*Flask.default_config}
    return [f"nothing reads {name}" for name in sorted(unused)]


def violations_of_the_readme(root: Path) -> list[str]:
    """The README, if it exists, names each feature and fits 250 lines; it and the pages
    in ``docs`` name each setting, only files that exist, and only pages that exist."""
    readme = root.parent / "README.md"
    if not readme.exists():
        return []
    first, pages = readme.read_text(), [readme, *root.parent.glob("docs/**/*.md")]
    wanted = {row["name"] for row in table(root)[0]} - words_of(first)
    found = [f"README.md does not name {name}" for name in sorted(wanted)]
    missing = settings(root).difference(*(words_of(one.read_text()) for one in pages))
    found += [f"no page names {name}" for name in sorted(missing)]
    if first.count("\n") > MAX_README:
        found.append(f"README.md has more than {MAX_README} lines")
    for page in pages:
        for link in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text()):
            if not (page.parent / link).exists():
                found.append(f"{page.name} leads to {link}, which is not there")
        for name in re.findall(r"`((?:myapp/)?core/[\w/]+\.py)`", page.read_text()):
            if not (root / name.removeprefix("myapp/")).is_file():
                found.append(f"{page.name} names {name}")
    return found


def words_of(text: str) -> set[str]:
    """The names in a text; a setting may stand as its environment variable."""
    return {*re.findall(r"(?:MYAPP_)?(\w+)", text)}


def served_models(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Each model for which a module makes routes: the call, and the name."""
    for call, function in module.calls():
        named = [one.value for one in call.keywords if one.arg == "model"]
        for node in [*call.args[1:2], *named] if function == SERVES else []:
            yield call, module.dotted(node).rpartition(".")[2]


def models_with_tests(module: Module) -> set[str]:
    """The models of the conformance classes in a module."""
    classes = [node for node in module.nodes if isinstance(node, ast.ClassDef)]
    contracts, found = {CONTRACT}, set()
    for node in sorted(classes, key=lambda one: one.lineno):
        bases = {module.dotted(base).rpartition(".")[2] for base in node.bases}
        if bases & contracts:
            contracts.add(node.name)
            for part in node.body:
                if isinstance(part, ast.Assign) and "model" in map(
                    name_of, part.targets
                ):
                    found.add(module.dotted(part.value).rpartition(".")[2])
    return found


def name_of(node: ast.AST) -> str:
    """The name of a variable; empty for another expression."""
    return node.id if isinstance(node, ast.Name) else ""


def violations_of_conformance(root: Path) -> list[str]:
    """Each model that a feature serves has a conformance test in the feature."""
    tested: dict[str, set[str]] = {}
    for module in modules(root):
        if module.is_test:
            tested.setdefault(module.layer, set()).update(models_with_tests(module))
    what = f"has no conformance test: a class of {CONTRACT} with model = "
    return [
        module.at(call, f"{model} {what}{model}")
        for module in code(root)
        if module.layer != "core"
        for call, model in served_models(module)
        if model not in tested.get(module.layer, ())
    ]


def arrows_of(root: Path) -> set[tuple[str, str]]:
    """The imports between rooms of core, without the modules for developers."""
    arrows = set()
    for module in code(root):
        if module.layer == "core" and not module.is_developer:
            for node, name in module.imports():
                target = file_of(root, name)
                is_room = target.startswith("core/") and target != "core/__init__.py"
                if is_room and not isinstance(node, ast.Constant):
                    arrows.add((room_of(module.place), room_of(target)))
    return {(room, other) for room, other in arrows if room != other}


def without_shortcuts(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The arrows that do not follow from other arrows."""

    def below(room: str) -> set[str]:
        direct = {other for one, other in arrows if one == room}
        return direct.union(*map(below, direct))

    return {
        (room, other)
        for room, other in arrows
        if not any(one == room and other in below(way) for one, way in arrows)
    }


def violations_of_the_picture(root: Path) -> list[str]:
    """The picture of the rooms shows the real imports, and only these."""
    page = root.parent / "docs" / "core.md"
    if not page.exists():
        return []
    picture = re.findall(r"^ +(\w+)(?:\[.*?\])? --> (\w+)", page.read_text(), re.M)
    drawn, real = set(picture), without_shortcuts(arrows_of(root))
    return [
        f"core.md: {room} --> {other} is {'missing' if arrow in real else 'not so'}"
        for arrow in sorted(drawn ^ real)
        for room, other in [arrow]
    ]


RULES = {
    name.removeprefix("violations_of_"): rule
    for name, rule in globals().items()
    if name.startswith("violations_of_")
}


@pytest.mark.parametrize("name", RULES)
def test_the_tree_keeps_the_rule(name: str) -> None:
    assert RULES[name](ROOT) == []


def test_the_mount_table_is_what_its_text_says() -> None:
    """The rules read it and do not run it, so it must be literal."""
    rows, doors = table(ROOT)
    assert [Feature(**row) for row in rows] == [*FEATURES]
    assert doors == DOORS
