"""The servers under test: installation, start, CPU time and stop."""

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

BENCH = Path(__file__).resolve().parent
VENVS = BENCH / ".venvs"
LIST = "/catalog/movies/?limit=1"
STARTUP_SECONDS = 30
COMMANDS = {
    "floor": "uwsgi --ini uwsgi.ini",
    "seed": "uwsgi --http 127.0.0.1:{port} --master --processes 2 --module app:app "
    "--add-header 'Connection: close'",
    "fastapi": "uvicorn main:app --host 127.0.0.1 --port {port} --workers 2 "
    "--no-access-log",
    "drf": "gunicorn config.wsgi --bind 127.0.0.1:{port} --workers 2",
}


@dataclass
class Server:
    """One server: its name, its command and, once started, its process."""

    name: str
    folder: Path
    command: list
    port: int
    ready_path: str = LIST
    process: subprocess.Popen = field(default=None, repr=False)
    #: The headers of a session; empty for a server that needs none.
    session: dict = field(default_factory=dict, repr=False)

    def start(self, environment, log):
        """Start the server and wait until it is ready."""
        with open(log, "wb") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env={**os.environ, **environment, "PORT": str(self.port)},
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + STARTUP_SECONDS
        while not self.is_ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                tail = Path(log).read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self.name} did not start:\n{tail}")
            time.sleep(0.1)

    def is_ready(self):
        """Return whether the server responds."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.ready_path)
            return connection.getresponse().status == 200
        except (OSError, HTTPException):
            return False
        finally:
            connection.close()

    def stop(self):
        """Stop the server and all processes that it started."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def cpu_seconds(self):
        """Return the CPU time of the whole process tree so far, None without /proc."""
        if not Path("/proc/self/stat").exists():
            return None
        ticks, children = {}, {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            pid = int(path.parent.name)
            ticks[pid] = sum(int(value) for value in fields[11:15])
            children.setdefault(int(fields[1]), []).append(pid)
        total, waiting = 0, [self.process.pid]
        while waiting:
            pid = waiting.pop()
            total += ticks.get(pid, 0)
            waiting.extend(children.get(pid, []))
        return total / os.sysconf("SC_CLK_TCK")


def free_port():
    """Find a port that is free on the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def install(name):
    """Make the virtual environment of a peer, unless it exists and is current."""
    wanted = (BENCH / "peers" / name / "requirements.txt").read_text()
    folder = VENVS / name
    stamp = folder / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    print(f"Installing {name} into {folder.relative_to(BENCH)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    pip = [folder / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check"]
    requirements = BENCH / "peers" / name / "requirements.txt"
    subprocess.run([*pip, "--requirement", requirements], check=True)
    stamp.write_text(wanted)


def peer(name):
    """Install a peer, and return its server."""
    install(name)
    port = free_port()
    program, *arguments = shlex.split(COMMANDS[name].format(port=port))
    command = [str(VENVS / name / "bin" / program), *arguments]
    return Server(name, BENCH / "peers" / name, command, port)


def migrate(folder, environment):
    """Make the tables with the migrations of the app in a checkout."""
    subprocess.run(
        [str(folder / ".venv" / "bin" / "flask"), "db", "upgrade"],
        cwd=folder,
        env={**os.environ, **environment},
        check=True,
    )


def myapp(folder):
    """Return the server of the app in a checkout, None when a file is missing."""
    program = folder / ".venv" / "bin" / "uwsgi"
    for needed in (folder / "myapp.ini", program):
        if not needed.exists():
            print(f"myapp is left out: {needed} does not exist", file=sys.stderr)
            return None
    command = [str(program), "--ini", "myapp.ini"]
    return Server("myapp", folder, command, free_port(), "/health/live")
