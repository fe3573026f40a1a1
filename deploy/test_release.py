"""Releases under load, in a short form; the long one is ``make deploy-rehearsal``."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
SHORT = ["--releases", "3", "--broken", "1"]
LEFT_OUT = set(
    ".ci .coveragerc .flake8 .flaskenv .gitattributes .github .gitignore "
    ".pre-commit-config.yaml CHANGELOG.md CONTRIBUTING.md Makefile README.md "
    "SECURITY.md bench clients conftest.py deploy docs instance mypy.ini openapi.json "
    "requirements-dev.txt requirements-extras.txt".split()
)
RELEASE = "20261126-120000-0123abc"


@pytest.mark.external
def test_releases_lose_no_request_and_no_write() -> None:
    command = [sys.executable, HERE / "rehearse.py", *SHORT]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "failed: 0, mixed: 0" in ended.stdout
    assert "lost: 0, doubled: 0" in ended.stdout
    found = re.search(r"^(\d+) jobs: 0 lost, 0 doubled$", ended.stdout, re.MULTILINE)
    assert found and int(found[1]) > 0


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["nowhere.invalid"], "failed: nowhere.invalid: no ssh, or no folder"),
        (["--dry-run", "nowhere.invalid"], "failed: nowhere.invalid: sh ended"),
    ],
)
def test_a_release_that_cannot_begin_says_why(
    arguments: list[str], last: str, tmp_path: Path
) -> None:
    fake = tmp_path / "ssh"
    fake.write_text("#!/bin/sh\nexit 255\n")
    fake.chmod(0o755)
    ended = subprocess.run(
        [sys.executable, HERE / "release", *arguments],
        capture_output=True,
        text=True,
        env={"DEPLOY_SSH": str(fake), "PATH": str(tmp_path)},
    )
    assert ended.returncode == 1
    assert last in ended.stderr.strip().splitlines()[-1]


SCHEMA = ["check-jsonschema", "--builtin-schema"]


@pytest.mark.external
@pytest.mark.parametrize(
    ("command", "files"),
    [
        ([*SCHEMA, "vendor.github-workflows"], ".github/workflows/*.yml"),
        ([*SCHEMA, "vendor.compose-spec"], "deploy/container/compose*.yaml"),
        (["hadolint"], "deploy/container/Dockerfile"),
        (["kubernetes-validate", "--strict"], "deploy/kubernetes/*.yaml"),
        (["shellcheck"], "deploy/bin/*"),
        (["shellcheck"], "deploy/provision"),
        (["shellcheck"], ".ci/run"),
    ],
)
def test_each_file_has_no_known_mistake(command: list[str], files: str) -> None:
    found = sorted(ROOT.glob(files))
    assert found
    ended = subprocess.run(
        [BIN / command[0], *command[1:], *found], capture_output=True
    )
    assert ended.returncode == 0, ended.stdout.decode() + ended.stderr.decode()


def test_the_image_has_what_the_application_needs() -> None:
    """Each file of the tree that is not in the image is known to be left out."""
    text = (HERE / "container" / "Dockerfile.dockerignore").read_text()
    taken = {line[1:] for line in text.splitlines() if line.startswith("!")}
    copied = (HERE / "container" / "Dockerfile").read_text()
    assert all(name in copied for name in taken)
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, check=True
    )
    assert listed.stdout, "git lists no file here"
    left = {name.split("/")[0] for name in listed.stdout.decode().split()} - taken
    assert left <= LEFT_OUT, "add it to the image, or to this list"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["start"],
        ["start", "x"],
        ["start", f"{RELEASE} x"],
        ["start", f"{RELEASE}\n/x/evil@1"],
    ],
)
def test_the_command_for_units_takes_the_name_of_a_release_alone(
    arguments: list[str],
) -> None:
    ended = subprocess.run([HERE / "bin" / "myapp-unit", *arguments], timeout=10)
    assert ended.returncode == 2


def test_a_look_from_outside_sees_what_serves(live_server: str) -> None:
    def look(url: str, *arguments: str) -> tuple[int, str]:
        command = [sys.executable, HERE / "smoke", url, *arguments]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
        return ended.returncode, ended.stdout

    status, said = look(live_server)
    assert status == 0 and said.count(" ok") == 3
    status, said = look(live_server, "--release", "0123abc")
    assert status == 1 and said.count("comes from no release, not 0123abc") == 3
    assert look(f"{live_server}/catalog")[0] == 1
    assert look("http://127.0.0.1:1")[0] == 1


@pytest.mark.external
def test_the_units_are_right_and_sandboxed(tmp_path: Path) -> None:
    assert shutil.which("systemd-analyze"), "this needs systemd"
    programs = tmp_path / "releases" / RELEASE / ".venv" / "bin"
    programs.mkdir(parents=True)
    (tmp_path / "current").symlink_to(tmp_path / "releases" / RELEASE)
    for name in ("uwsgi", "flask"):
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    units = []
    for unit in (HERE / "systemd").iterdir():
        units.append(tmp_path / unit.name.replace("@", f"@{RELEASE}"))
        units[-1].write_text(unit.read_text().replace("/srv/myapp", str(tmp_path)))
    for path in units:
        # It ends with 0 where a key is unknown, and says so.
        command = ["systemd-analyze", "verify", str(path)]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
    for path in tmp_path.glob("*.service"):
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=30"]
        ended = subprocess.run([*command, str(path)], capture_output=True)
        assert ended.returncode == 0, ended.stdout.decode()
