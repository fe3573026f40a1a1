"""A machine for a rehearsal, on loopback: an sshd, a folder for releases, and nginx."""

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rehearsal.proxy import Nginx, free_port

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from myapp.core.testing.signing import EMAIL, PASSWORD  # noqa: E402

PATIENCE = 30.0
# A developer's load comes from one address.
NO_LIMITS = {"rate=100r/s": "rate=100000r/s", "burst=200": "burst=20000"}
SSHD = """
Port {port}
ListenAddress {address}
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
SetEnv DEPLOY_UNIT={folder}/unit PIP_CONFIG_FILE={pip} PATH={path}
"""
SSH = """
Host {name}
HostName {address}
Port {port}
User {user}
IdentityFile {folder}/key
UserKnownHostsFile {folder}/known
StrictHostKeyChecking yes
BatchMode yes
"""


class Machine:
    """A machine with ssh, where nginx serves what is released.

    :param folder: where all of it is.
    :param settings: the text of ``instance/config.py``.
    :param name: what ssh calls it.
    :param address: where it listens.
    :param enter: a command that runs another one where that address is.
    :param seen: where the folder of the site is for programs that run there.
    """

    def __init__(
        self,
        folder: Path,
        settings: str,
        name: str = "rehearsal",
        address: str = "127.0.0.1",
        enter: Sequence[str] = (),
        seen: Path | None = None,
    ) -> None:
        self.folder, self.site = folder, folder / "srv"
        self.name, self.address, self.enter = name, address, enter
        self.seen = seen or self.site
        for part in ("releases", "run", "instance"):
            (self.site / part).mkdir(parents=True)
        (self.site / "instance" / "config.py").write_text(settings)
        unit = folder / "unit"
        program = Path(__file__).with_name("unit.py")
        unit.write_text(
            f'#!/bin/sh\nexec {sys.executable} {program} {self.seen} "$@"\n'
        )
        unit.chmod(0o755)
        self.nginx = Nginx(self.seen, folder, NO_LIMITS, address, enter)
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start sshd and nginx."""
        for name in ("host", "key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name]
            subprocess.run(command, cwd=self.folder, check=True)
        port = free_port()
        key = (self.folder / "host.pub").read_text()
        (self.folder / "known").write_text(f"[{self.address}]:{port} {key}")
        values: dict[str, Any] = {
            "port": port,
            "name": self.name,
            "address": self.address,
            "folder": self.folder,
            "user": getpass.getuser(),
            "path": os.environ["PATH"],
            "pip": os.environ.get("PIP_CONFIG_FILE", "/etc/pip.conf"),
        }
        (self.folder / "sshd").write_text(SSHD.format(**values))
        (self.folder / "ssh").write_text(SSH.format(**values))
        program = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
        assert program, "this needs sshd; on Debian: apt-get install openssh-server"
        if os.geteuid() == 0:
            os.makedirs("/run/sshd", exist_ok=True)
        sshd = [
            *self.enter,
            program,
            "-D",
            "-f",
            self.folder / "sshd",
            "-E",
            self.folder / "sshd.log",
        ]
        self.running = [subprocess.Popen(sshd), self.nginx.start()]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(
            [*self.ssh, self.name, "true"], capture_output=True
        ).returncode:
            assert time.monotonic() < deadline, (self.folder / "sshd.log").read_text()
            time.sleep(0.05)

    @property
    def ssh(self) -> list[str]:
        """The command that reaches it."""
        return ["ssh", "-F", str(self.folder / "ssh")]

    def release(self, tree: Path, *arguments: str) -> "subprocess.Popen[str]":
        """Start the release of a tree, or what the arguments say."""
        command = [sys.executable, "deploy/release", self.name]
        command += ["--folder", str(self.seen), *arguments]
        return subprocess.Popen(
            command,
            cwd=tree,
            env={**os.environ, "DEPLOY_SSH": " ".join(self.ssh)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def serving(self) -> str:
        """The name of the release that serves."""
        link = self.site / "run" / "app.sock"
        return link.readlink().stem if link.is_symlink() else ""

    def make_user(self) -> None:
        """Make a user for the clients, with the release that serves."""
        current = self.seen / "current"
        told = subprocess.run(
            [
                *self.enter,
                *(str(current / ".venv" / "bin" / "flask"), "users", "create"),
                *(EMAIL, "--role", "admin"),
            ],
            cwd=self.site / "current",
            env={
                **os.environ,
                "MYAPP_ENV": "production",
                "MYAPP_INSTANCE_PATH": str(self.seen / "instance"),
                "FLASK_APP": str(current / "wsgi.py"),
            },
            input=f"{PASSWORD}\n",
            text=True,
            capture_output=True,
        )
        assert told.returncode == 0, told.stderr

    def stop(self) -> None:
        """End all that runs."""
        for path in (self.site / "run").glob("*.pid"):
            with suppress(ProcessLookupError):
                os.killpg(int(path.read_text()), signal.SIGKILL)
        for process in self.running:
            process.terminate()
            process.wait(PATIENCE)


class Tree:
    """A repository with the files of this one, for releases that differ."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
        for name in names.decode().split("\0"):
            if name and (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, folder / name)
        self.git("init", "--quiet")
        self.commit("start")

    def git(self, *arguments: str) -> str:
        """Run git."""
        identity = ["-c", "user.name=rehearsal", "-c", "user.email=rehearsal@localhost"]
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder,
            capture_output=True,
            check=True,
            text=True,
        ).stdout

    def commit(self, message: str) -> None:
        """Commit every file."""
        (self.folder / "docs" / "released").write_text(message)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)

    def change(self, path: str, old: str, new: str) -> None:
        """Replace a part of a file; an empty ``old`` stands for its end."""
        file = self.folder / path
        text = file.read_text() if file.exists() else ""
        assert old in text, f"{old} is not in {path}"
        file.write_text(text.replace(old, new, 1) if old else text + new)

    def undo(self) -> None:
        """Go back to the commit before the last one."""
        self.git("reset", "--quiet", "--hard", "HEAD~1")
