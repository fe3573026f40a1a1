"""The part of one store in a backup."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

#: What is known of the data in a backup, such as its migration.
Facts = dict[str, str]


class BackupError(Exception):
    """A backup cannot be made, read or restored; its text is one line."""


class StoreBackup:
    """The part of one store in a backup: files in a folder."""

    def target(self) -> str:
        """Which database this is, without its password."""
        raise NotImplementedError

    def create(self, folder: Path) -> Facts:
        """Write the data of one moment into an empty folder. The application goes on
        reading and writing meanwhile.

        :raises BackupError: when it cannot be read completely.
        """
        raise NotImplementedError

    def check(self, folder: Path) -> str:
        """Read all that :meth:`create` wrote.

        :returns: what is in it, in some words.
        :raises BackupError: when it cannot be restored.
        """
        raise NotImplementedError

    def refuse(self, facts: Facts) -> None:
        """Refuse data that does not fit the database and the code here.

        :raises BackupError: with the reason.
        """

    def restore(self, folder: Path) -> None:
        """Put the data into the database, in the place of all that it holds.

        :raises BackupError: when it fails; its text says what the database holds then.
        """
        raise NotImplementedError


def run(command: Sequence[str], package: str, secrets: Mapping[str, str]) -> None:
    """Run a program of a database server.

    :param package: the package of Debian that has it.
    :param secrets: environment variables; a command line can be seen by other users.
    :raises BackupError: when it is missing or fails, with its last line.
    """
    try:
        subprocess.run(
            command,
            env={**os.environ, **secrets},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=True,
        )
    except FileNotFoundError as error:
        raise BackupError(
            f"{command[0]} is missing; on Debian: apt-get install {package}"
        ) from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().splitlines() or [f"status {error.returncode}"]
        raise BackupError(f"{command[0]}: {told[-1]}") from error
