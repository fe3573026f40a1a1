"""What ``make`` says when it cannot begin: the cause, and what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from myapp.core.ports import port_refusal
from myapp.core.testing.server import free_port

ROOT = Path(__file__).parents[1]


def told(folder: Path, *arguments: str) -> str:
    """What ``make`` says in a folder that has no ``.venv``; it fails."""
    shutil.copy(ROOT / "Makefile", folder)
    folder.joinpath("requirements.txt").touch()
    command = ["make", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode
    return done.stderr.splitlines()[0]


def python_that(folder: Path, script: str) -> str:
    """The setting of a Python that does what a script says."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return f"PYTHON={path}"


def test_a_missing_python_is_called_missing(tmp_path: Path) -> None:
    line = told(tmp_path, "run", "PYTHON=/nowhere/python3")
    assert line.startswith("there is no /nowhere/python3;")


def test_an_old_python_is_called_old(tmp_path: Path) -> None:
    script = 'test "$1" = --version && echo "Python 3.9.2" && exit; exit 1'
    line = told(tmp_path, "run", python_that(tmp_path, script))
    assert "is Python 3.9.2; myapp needs Python 3.11 or newer" in line


def test_a_python_without_venv_is_told_from_that(tmp_path: Path) -> None:
    script = 'case "$2" in *ensurepip*) exit 1;; esac'
    line = told(tmp_path, "run", python_that(tmp_path, script))
    assert "no venv module" in line and "python3-venv" in line


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told_as_one(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    tmp_path.chmod(0o555)
    done = subprocess.run(["make", "run"], cwd=tmp_path, capture_output=True, text=True)
    assert "this folder cannot be written" in done.stderr


def test_a_port_that_cannot_be_used_is_told() -> None:
    port = free_port()
    assert port_refusal("127.0.0.1", port, "make run") == ""
    assert "192.0.2.1" in port_refusal("192.0.2.1", port, "make run")
    assert port_refusal("127.0.0.1", 99999, "make run") == "99999 is no port"


def test_the_help_fits_a_screen() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert len(lines) < 24 and max(map(len, lines)) <= 80
