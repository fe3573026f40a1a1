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
# Tests that start processes, or plant all that they need: none knows a feature.
SLOW = """
test_start.py test_embedded.py test_faults.py test_constraints.py test_delete_feature.py
""".split()
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
    ignored = [f"--ignore-glob=*/{name}" for name in SLOW]
    # Settings of this run, its coverage and its engines are not those of the other.
    foreign = ("MYAPP_", "TEST_", "PYTEST_", "COV_", "COVERAGE_")
    env = {name: v for name, v in os.environ.items() if not name.startswith(foreign)}
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        + [*ignored, "myapp"],
        cwd=copy,
        env=env,
        text=True,
        capture_output=True,
        timeout=TIMEOUT,
    )
    assert outcome.returncode == 0, outcome.stdout[-4000:] + outcome.stderr[-2000:]
