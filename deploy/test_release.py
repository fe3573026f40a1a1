"""Releases under load, in a short form; the long one is ``make deploy-rehearsal``."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parent
BIN = Path(sys.executable).parent
SHORT = ["--releases", "3", "--broken", "1"]
RELEASE = "20261126-120000-0123abc"


@pytest.mark.external
def test_releases_lose_no_request_and_no_write() -> None:
    command = [sys.executable, HERE / "rehearse.py", *SHORT]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "failed: 0, mixed: 0" in ended.stdout
    assert "lost: 0, doubled: 0" in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "last"),
    [
        (["nowhere.invalid"], "failed: nowhere.invalid: no ssh, or no folder"),
        (["--dry-run", "nowhere.invalid"], "failed: nowhere.invalid: readlink ended"),
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


def test_the_workflows_and_the_shell_scripts_have_no_known_mistake() -> None:
    workflows = sorted((ROOT / ".github" / "workflows").iterdir())
    schema = ["check-jsonschema", "--builtin-schema", "vendor.github-workflows"]
    scripts = [*sorted((HERE / "bin").iterdir()), HERE / "provision", ROOT / ".ci/run"]
    for program, *arguments in ([*schema, *workflows], ["shellcheck", *scripts]):
        ended = subprocess.run([BIN / program, *arguments], capture_output=True)
        assert ended.returncode == 0, ended.stdout.decode()


@pytest.mark.parametrize(
    "arguments", [[], ["start"], ["start", "x"], ["start", f"{RELEASE} x"]]
)
def test_the_command_for_units_takes_the_name_of_a_release_alone(
    arguments: list[str],
) -> None:
    ended = subprocess.run([HERE / "bin" / "myapp-unit", *arguments], timeout=10)
    assert ended.returncode == 2


@pytest.mark.external
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_the_units_are_right_and_sandboxed(tmp_path: Path) -> None:
    for unit in (HERE / "systemd").iterdir():
        name = unit.name.replace("@", f"@{RELEASE}")
        text = unit.read_text().replace("/srv/myapp", str(tmp_path))
        (tmp_path / name).write_text(text)
        program = tmp_path / "releases" / RELEASE / ".venv" / "bin" / "uwsgi"
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        # It ends with 0 where a key is unknown, and says so.
        command = ["systemd-analyze", "verify", str(tmp_path / name)]
        ended = subprocess.run(command, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
        command = ["systemd-analyze", "security", "--offline=true", "--threshold=30"]
        ended = subprocess.run([*command, str(tmp_path / name)], capture_output=True)
        assert ended.returncode == 0, ended.stdout.decode()
