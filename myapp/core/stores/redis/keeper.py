"""Keeps a redis-server running while anybody uses it; started by ``server``.

Run as a program, with the standard library alone, so that it is up at once:
``python keeper.py REDIS_SERVER FOLDER SOCKET``.
"""

import fcntl
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

RESTART_PAUSE = 0.1
# Seconds that a server has to end by itself.
STOP_TIMEOUT = 10.0


def keep(server: str, folder: Path, path: Path) -> None:
    """Run the server until nobody holds ``users`` in its folder any more, and start
    it again when it ends before that.

    :param server: the program; ``folder``: its data; ``path``: its unix socket.
    """
    command = [server, "--port", "0", "--unixsocket", str(path)]
    command += ["--unixsocketperm", "700", "--dir", str(folder)]
    command += ["--appendonly", "yes", "--save", "", "--daemonize", "no"]
    keeper = open(folder / "keeper", "ab")
    fcntl.flock(keeper, fcntl.LOCK_EX)
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
            # The folder that was made because this one has too long a name.
            with suppress(OSError):
                path.unlink(missing_ok=True)
                path.parent.rmdir()


if __name__ == "__main__":
    # The end of the last user ends the keeper, and nothing before that.
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    keep(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
