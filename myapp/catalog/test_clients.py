"""Clients generated from the OpenAPI document: each is generated again, and used."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from myapp.core.http import App

CLIENTS = Path(__file__).parents[2] / "clients"
BIN = Path(sys.executable).parent
TIMEOUT = 300
EMAIL, PASSWORD = "ed@mail.example", "four ducks on a pond"


def run(*command: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a command, without a check of its exit status."""
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **more}
    return subprocess.run(
        command, cwd=cwd, env=env, text=True, capture_output=True, timeout=TIMEOUT
    )


def said(outcome: subprocess.CompletedProcess[str]) -> str:
    """The output of a command, which must have succeeded."""
    told = outcome.stdout + outcome.stderr
    assert outcome.returncode == 0, told[-3000:]
    return told


@pytest.fixture
def document(own_app: App, tmp_path: Path) -> Path:
    """A file with the OpenAPI document of this application."""
    path = tmp_path / "openapi.json"
    path.write_bytes(own_app.test_client().get("/openapi.json").data)
    return path


@pytest.mark.external
def test_the_python_client_makes_a_round_trip(
    own_app: App, document: Path, live_server: str, tmp_path: Path
) -> None:
    plain = tmp_path / "openapi-python.json"
    said(
        run(
            *(sys.executable, str(CLIENTS / "for_python.py")),
            *(str(document), str(plain)),
            cwd=tmp_path,
        )
    )
    said(
        run(
            *("openapi-python-client", "generate", "--fail-on-warning"),
            *("--meta", "none"),
            *("--path", str(plain), "--config", str(CLIENTS / "python.yml")),
            *("--output-path", str(tmp_path / "made" / "myapp_client")),
            cwd=tmp_path,
        )
    )
    told = own_app.test_cli_runner().invoke(
        args=["users", "create", EMAIL, "--role", "editor"], input=f"{PASSWORD}\n"
    )
    assert told.exit_code == 0, told.output
    script = str(CLIENTS / "round_trip.py")
    trip = run(
        *(sys.executable, "-W", "error", script, live_server, EMAIL, PASSWORD),
        cwd=tmp_path,
        PYTHONPATH=str(tmp_path / "made"),
    )
    assert said(trip) == "all is well\n"


@pytest.mark.external
def test_the_compiler_takes_a_use_of_the_types_and_no_other(
    document: Path, tmp_path: Path
) -> None:
    node_modules = CLIENTS / "node_modules"
    assert node_modules.exists(), "run make clients/node_modules"
    for name in ("tsconfig.json", "use.ts"):
        shutil.copy(CLIENTS / name, tmp_path)
    (tmp_path / "node_modules").symlink_to(node_modules)
    types = str(tmp_path / "typescript" / "schema.d.ts")
    generate = (str(node_modules / ".bin" / "openapi-typescript"), str(document))
    options = ("--default-non-nullable=false", "--output", types)
    said(run(*generate, *options, cwd=tmp_path))
    compiler = str(node_modules / ".bin" / "tsc")
    said(run(compiler, "--project", ".", cwd=tmp_path))
    use = tmp_path / "use.ts"
    right = use.read_text()
    for good, bad in (
        ('"year[gte]"', '"year[from]"'),
        ("MoviePatch = { runtime }", "MoviePatch = { runtimes: runtime }"),
        ("error.detail", "error.details"),
        ("/catalog/directors/", "/catalog/director/"),
    ):
        assert good in right
        use.write_text(right.replace(good, bad))
        outcome = run(compiler, "--project", ".", cwd=tmp_path)
        assert outcome.returncode != 0 and "use.ts" in outcome.stdout
