"""Processes that run beside another one: started again when they end, and ended with
it."""

import atexit
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

# Seconds between two looks whether the parent still runs.
LOOK_FOR_PARENT = 0.5
# Seconds until a process that has ended is started again.
RESTART_AFTER = 1.0
# Seconds that a process has to end by itself.
PATIENCE = 5.0
#: The option of the commands that end with their parent.
WITH_PARENT = "--with-parent"


class Beside:
    """Commands of ``flask`` that run while this process does.

    :param commands: each with its arguments.
    """

    def __init__(self, *commands: Sequence[str]) -> None:
        self._is_ending = threading.Event()
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(number, command), daemon=True)
            for number, command in enumerate(commands)
        ]
        for thread in self._threads:
            thread.start()
        atexit.register(self.end)

    def _keep(self, number: int, command: Sequence[str]) -> None:
        line = [sys.executable, "-m", "flask", *command, WITH_PARENT, str(os.getpid())]
        # Of the reloader of the parent, which would take this process for its own.
        mine = ("WERKZEUG_RUN_MAIN", "WERKZEUG_SERVER_FD")
        env = {name: value for name, value in os.environ.items() if name not in mine}
        while not self._is_ending.is_set():
            self._running[number] = subprocess.Popen(line, env=env)
            self._running[number].wait()
            self._is_ending.wait(RESTART_AFTER)

    def end(self) -> None:
        """End them: by a signal, and after some seconds by force."""
        self._is_ending.set()
        for one in self._running.values():
            one.terminate()
        deadline = time.monotonic() + PATIENCE
        for one in self._running.values():
            try:
                one.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                # Its process group, see end_with.
                os.killpg(one.pid, signal.SIGKILL)


def end_with(parent: int) -> None:
    """End this process and those that it has started when its parent has ended: by a
    signal, and after some seconds by force.

    :param parent: the id of the parent.
    """
    if os.getpgrp() != os.getpid():
        os.setpgrp()

    def watch() -> None:
        # No system call that works everywhere reports the end of a parent.
        while os.getppid() == parent:
            time.sleep(LOOK_FOR_PARENT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE)
        os.killpg(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
