"""Stands for ``myapp-unit`` where there is no systemd: runs the ExecStart of the units.

unit.py FOLDER start|work|stop RELEASE
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = Path(__file__).parents[1] / "systemd"
# The kinds of units that an action starts.
STARTED = {"start": ("web",), "work": ("scheduler", "worker")}


def text_of(kind):
    """The text of a unit."""
    return (UNITS / f"myapp-{kind}@.service").read_text()


def setting(text, name):
    """The values of a setting of a unit."""
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def is_running(pid):
    """Whether a process runs; one that waits for its parent has ended."""
    try:
        return (
            Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        )
    except OSError:
        return False


def start(folder, name, kind):
    """Start a process of a release, if it does not run; it goes on without this one."""
    path = folder / "run" / f"{name}.{kind}.pid"
    if path.exists() and is_running(int(path.read_text())):
        return
    text = text_of(kind).replace("%i", name).replace("/srv/myapp", str(folder))
    (command,) = setting(text, "ExecStart")
    stated = dict(one.split("=", 1) for one in setting(text, "Environment"))
    with open(folder / "run" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=setting(text, "WorkingDirectory")[0],
            env={
                **os.environ,
                **stated,
                "WEB_CONCURRENCY": "2",
                "WORKER_CONCURRENCY": "2",
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    path.write_text(str(process.pid))


def stop(folder, name):
    """End the processes of a release, after its last response and its last job."""
    running = {}
    for path in (folder / "run").glob(f"{name}.*.pid"):
        kind = path.suffixes[-2].removeprefix(".")
        limit = float(setting(text_of(kind), "TimeoutStopSec")[0])
        running[path] = int(path.read_text()), time.monotonic() + limit
        if is_running(running[path][0]):
            os.kill(running[path][0], signal.SIGTERM)
    for path, (pid, deadline) in running.items():
        while is_running(pid) and time.monotonic() < deadline:
            time.sleep(0.02)
        if is_running(pid):
            os.killpg(pid, signal.SIGKILL)
        path.unlink()


if __name__ == "__main__":
    place, action, release = sys.argv[1:]
    if action == "stop":
        stop(Path(place), release)
    for one in STARTED.get(action, ()):
        start(Path(place), release, one)
