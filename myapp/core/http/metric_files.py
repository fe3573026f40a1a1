"""The files in which the processes of this application count, for each other to read.

prometheus-client names the files of a process by its id, so each worker that is
replaced leaves files behind, and every scrape reads them all. Here a process takes the
lowest number that no running process holds, and goes on with its counters.
"""

import fcntl
import os
from itertools import count
from pathlib import Path

from prometheus_client import values
from prometheus_client.multiprocess import mark_process_dead


class ProcessNumber:
    """The number of this process among those that run; a lock on a file holds it, so
    it is free again when the process ends, however it ends.

    :param folder: where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._owner = 0
        self._number = -1
        self._lock: int | None = None

    def __call__(self) -> int:
        """The number of the process that asks; a fork takes another one. The process id
        tells it, because uWSGI forks without the hooks of ``os.register_at_fork``."""
        if self._owner != os.getpid():
            if self._lock is not None:
                os.close(self._lock)
            self._take()
            self._owner = os.getpid()
        return self._number

    def _take(self) -> None:
        for number in count():
            lock = hold(self.folder / f"{number}.lock")
            if lock is not None:
                forget(number, self.folder)
                self._number, self._lock = number, lock
                return

    def forget_the_dead(self) -> None:
        """Remove what processes that have ended have set."""
        for path in self.folder.glob("*.lock"):
            lock = hold(path)
            if lock is not None:
                forget(int(path.stem), self.folder)
                os.close(lock)


def forget(number: int, folder: Path) -> None:
    """Remove what a process that has ended has set, such as its open connections; what
    it has counted stays."""
    mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]


def hold(path: Path) -> int | None:
    """Lock a file; ``None`` when another process has locked it. Closing the number that
    is returned unlocks it."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def share_numbers(folder: Path) -> ProcessNumber:
    """Let prometheus-client count in files. It must be called before a metric is made.

    :param folder: for the files, unless PROMETHEUS_MULTIPROC_DIR names another one.
    :raises OSError: when the folder cannot be made or written.
    """
    named = os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(folder))
    number = ProcessNumber(Path(named))
    number.folder.mkdir(parents=True, exist_ok=True)
    number()
    # The library names this hook: github.com/prometheus/client_python/issues/509.
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        number
    )
    return number
