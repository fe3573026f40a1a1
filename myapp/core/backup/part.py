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

    def refuse(self, facts: Facts, folder: Path) -> None:
        """Refuse data that cannot be restored here: the code or the database is another
        one, or does not answer.

        :raises BackupError: with the reason.
        """

    def restore(self, folder: Path) -> None:
        """Put the data into the database, in the place of all that it holds.

        :raises BackupError: when it fails; its text says what the database holds then.
        """
        raise NotImplementedError


def run(
    command: Sequence[str],
    package: str,
    more: Mapping[str, str] | None = None,
    given: Path = Path(os.devnull),
) -> None:
    """Run a program of a database server.

    :param package: the package of Debian that has it.
    :param more: environment variables, such as a password: a command line can be seen
        by other users.
    :param given: the file that it reads.
    :raises BackupError: when it is missing or fails, with its last line.
    """
    try:
        with given.open("rb") as file:
            subprocess.run(
                command,
                env={**os.environ, **(more or {})},
                stdin=file,
                capture_output=True,
                text=True,
                errors="replace",
                check=True,
            )
    except FileNotFoundError as error:
        raise BackupError(
            f"{command[0]} is missing; on Debian: apt-get install {package}"
        ) from error
    except subprocess.CalledProcessError as error:
        told = error.stderr.strip().splitlines() or [f"status {error.returncode}"]
        raise BackupError(f"{command[0]}: {told[-1]}") from error
