"""A feature can be deleted: its folder and its row, and the rest still works."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
FEATURE = "carts"
LEFT_OUT = (
    ".git",
    ".venv",
    ".venvs",
    "instance",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    ".coverage*",
)
# Core knows no feature; of its tests, these look at what is mounted.
LOOKING = ("test_site.py", "test_migrations.py")
TIMEOUT = 300


def remove_row(mount_table: Path, name: str) -> None:
    """Take the row of a feature out of the mount table."""
    text = mount_table.read_text()
    lines = text.splitlines(keepends=True)
    (row,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call)
        and node.args
        and getattr(node.args[0], "value", None) == name
    ]
    del lines[row.lineno - 1 : row.end_lineno]
    mount_table.write_text("".join(lines))


def test_the_suite_passes_without_a_feature(tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
    (copy / "instance").mkdir()
    shutil.rmtree(copy / "myapp" / FEATURE)
    remove_row(copy / "myapp" / "features.py", FEATURE)
    rest = [path.name for path in copy.glob("myapp/*/") if path.name != "core"]
    tests = [f"myapp/{name}" for name in rest]
    tests += [f"myapp/core/{name}" for name in LOOKING]
    # Settings of this run, its coverage and its engines are not those of the other.
    foreign = ("MYAPP_", "TEST_", "PYTEST_", "COV_", "COVERAGE_")
    env = {name: v for name, v in os.environ.items() if not name.startswith(foreign)}
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        + ["myapp/test_architecture.py", *tests],
        cwd=copy,
        env=env,
        text=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert outcome.returncode == 0, outcome.stdout[-4000:] + outcome.stderr[-2000:]
