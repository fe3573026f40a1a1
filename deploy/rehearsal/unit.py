"""Stands for ``myapp-unit`` where there is no systemd: runs the ExecStart of a unit.

unit.py FOLDER start|stop RELEASE
"""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

UNIT = Path(__file__).parents[1] / "systemd" / "myapp-web@.service"


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


def start(folder, name):
    """Start the process of a release; it goes on without this one."""
    text = UNIT.read_text().replace("%i", name).replace("/srv/myapp", str(folder))
    (command,) = setting(text, "ExecStart")
    stated = dict(one.split("=", 1) for one in setting(text, "Environment"))
    with open(folder / "run" / f"{name}.log", "ab") as log:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=setting(text, "WorkingDirectory")[0],
            env={**os.environ, **stated, "WEB_CONCURRENCY": "2"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (folder / "run" / f"{name}.pid").write_text(str(process.pid))


def stop(folder, name):
    """End the process of a release, after its last response."""
    path = folder / "run" / f"{name}.pid"
    if not path.exists():
        return
    pid = int(path.read_text())
    deadline = time.monotonic() + float(setting(UNIT.read_text(), "TimeoutStopSec")[0])
    if is_running(pid):
        os.kill(pid, signal.SIGTERM)
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    if is_running(pid):
        os.killpg(pid, signal.SIGKILL)
    path.unlink()


if __name__ == "__main__":
    place, action, release = sys.argv[1:]
    {"start": start, "stop": stop}[action](Path(place), release)
