"""The files in which the processes of this application count, for each other to read.

prometheus-client names the files of a process by its id, so each worker that is
replaced leaves files behind, and every scrape reads them all. Here a process takes the
lowest number that no running process holds, and goes on with its counters.
"""

import fcntl
import json
import os
import re
import sys
from collections.abc import Iterable
from itertools import count
from pathlib import Path
from typing import Any

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FILE_KINDS = ("counter", "gauge_livesum", "histogram")
FILE = re.compile(rf"({'|'.join(FILE_KINDS)})_\d+\.db")
# The bytes of a file. They are taken on the disk before the library maps the file: a
# process that writes into a map when the disk is full is killed (SIGBUS).
SIZE = 1024 * 1024


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
        tells it, because uWSGI forks without the hooks of ``os.register_at_fork``.

        :raises OSError: when its files cannot be made, such as on a full disk.
        """
        if self._owner != os.getpid():
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None
            self._take()
            self._owner = os.getpid()
        return self._number

    def _take(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        for number in count():
            lock = hold(self.folder / f"{number}.lock")
            if lock is None:
                continue
            try:
                forget(number, self.folder)
                for kind in FILE_KINDS:
                    prepare_file(self.folder / f"{kind}_{number}.db")
            except OSError:
                os.close(lock)
                raise
            self._number, self._lock = number, lock
            return

    def forget_the_dead(self) -> None:
        """Remove what processes that have ended have set."""
        for path in self.folder.glob("*.lock"):
            lock = hold(path) if path.stem.isdecimal() else None
            if lock is not None:
                forget(int(path.stem), self.folder)
                os.close(lock)

    def collect(self) -> Iterable[Any]:
        """The metrics of all processes, for a registry; files that cannot be read are
        left out."""
        files = [path for path in self.folder.glob("*.db") if FILE.match(path.name)]
        readable = [str(path) for path in files if is_readable(path)]
        merge: Any = MultiProcessCollector.merge
        found: Iterable[Any] = merge(readable)
        return found


def forget(number: int, folder: Path) -> None:
    """Remove what a process that has ended has set, such as its open connections; what
    it has counted stays."""
    mark_process_dead(number, str(folder))  # type: ignore[no-untyped-call]


def prepare_file(path: Path) -> None:
    """Make a file, or keep the one that is there, unless it is damaged."""
    if path.exists() and not is_readable(path):
        path.unlink()
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, SIZE)
    finally:
        os.close(file)


def is_readable(path: Path) -> bool:
    """Whether a file holds what the library writes."""
    try:
        with path.open("rb") as file:
            used = int.from_bytes(file.read(4), sys.byteorder, signed=True)
        if not 0 <= used <= path.stat().st_size:
            return False
        read: Any = MmapedDict.read_all_values_from_file
        found = read(str(path))
        return all(len(json.loads(key)) == 4 for key, *_ in found)
    except Exception:
        # The library raises whatever comes of bytes that it has not written.
        return False


def hold(path: Path) -> int | None:
    """Lock a file; ``None`` when another process has locked it, or it is no file.
    Closing the number that is returned unlocks it."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except IsADirectoryError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file


def shared_folder(usual: Path) -> Path:
    """The folder of the files; it is made when it is missing.

    :param usual: the folder, unless PROMETHEUS_MULTIPROC_DIR names another one.
    :raises OSError: when it cannot be made.
    """
    folder = Path(os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", str(usual)))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def share_numbers(folder: Path) -> ProcessNumber:
    """Let prometheus-client count in files. It must be called before a metric is made.

    :raises OSError: when the files cannot be made, such as on a full disk.
    """
    number = ProcessNumber(folder)
    # The library names this hook: github.com/prometheus/client_python/issues/509.
    values.ValueClass = values.MultiProcessValue(  # type: ignore[no-untyped-call]
        number
    )
    return number
