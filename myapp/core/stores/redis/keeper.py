"""Keeps a redis-server running while a process uses it; started by ``server``.

It runs as a program and imports only the standard library, so that it starts fast:
``python keeper.py REDIS_SERVER FOLDER SOCKET``.
"""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

RESTART_PAUSE = 0.1
# Seconds to wait for a server to end before it is killed.
STOP_TIMEOUT = 10.0


def keep(server: str, folder: Path, path: Path) -> None:
    """Run the server until no process holds a lock on ``users`` in its folder, and
    start it again when it ends before that.

    :param server: the program; ``folder``: its data; ``path``: its unix socket.
    """
    command = [server, "--port", "0", "--unixsocket", str(path)]
    command += ["--unixsocketperm", "700", "--dir", str(folder)]
    command += ["--appendonly", "yes", "--save", "", "--daemonize", "no"]
    unused = threading.Event()
    running = [subprocess.Popen(command)]

    def supervise() -> None:
        running[0].wait()
        while not unused.wait(RESTART_PAUSE):
            running[0] = subprocess.Popen(command)
            running[0].wait()

    supervisor = threading.Thread(target=supervise)
    supervisor.start()
    with open(folder / "users", "ab") as users:
        fcntl.flock(users, fcntl.LOCK_EX)
        unused.set()
        deadline = time.monotonic() + STOP_TIMEOUT
        while supervisor.is_alive():
            hangs = time.monotonic() > deadline
            running[0].kill() if hangs else running[0].terminate()
            supervisor.join(RESTART_PAUSE)
        if path.parent != folder:
            # Remove the temporary folder that was made for a shorter socket path.
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()


if __name__ == "__main__":
    # Only the end of the last user process ends the keeper.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    keeper = open(Path(sys.argv[2]) / "keeper", "ab")
    fcntl.flock(keeper, fcntl.LOCK_EX)
    # A copy goes on, with the lock. So the keeper is no child of the process that has
    # started it, which may wait for its children before it ends, as uWSGI does.
    if os.fork() == 0:
        keep(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
