"""PostgreSQL servers of a test: a primary, and replicas that stream from it."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psycopg

from myapp.core.testing.server import eventually, free_port


def programs() -> Path:
    """The folder of the programs of PostgreSQL.

    :raises AssertionError: when it is not installed.
    """
    known = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    found = known[-1] if known else shutil.which("initdb")
    assert found, "these tests need PostgreSQL; on Debian: apt-get install postgresql"
    return Path(found).resolve().parent


class PostgreSQL:
    """A server on a port of its own. It refuses to run as root, so root runs it as the
    user ``postgres``.

    :param folder: a folder that this user can reach; it must not exist.
    :param primary: the server that it replicates, if it is a replica.
    """

    def __init__(self, folder: Path, primary: "PostgreSQL | None" = None) -> None:
        self.folder, self.port = folder, free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(folder, self.user)
        if primary is None:
            self.run("initdb", "-D", str(folder), "-U", "postgres", "-A", "trust", "-N")
        else:
            source = ["-h", "127.0.0.1", "-p", str(primary.port), "-U", "postgres"]
            self.run("pg_basebackup", *source, "-D", str(folder), "-R", "-c", "fast")
        self.start()

    def run(self, program: str, *arguments: str) -> None:
        """Run a program of PostgreSQL to its end."""
        command = [str(programs() / program), *arguments]
        subprocess.run(command, check=True, capture_output=True, user=self.user)

    def start(self, **settings: str) -> None:
        """Start it, and wait until it takes connections."""
        settings = {"listen_addresses": "127.0.0.1", "fsync": "off", **settings}
        options = [part for one in settings.items() for part in ("-c", "=".join(one))]
        command = [str(programs() / "postgres"), "-D", str(self.folder), "-k", ""]
        self.process = subprocess.Popen(
            [*command, "-p", str(self.port), *options],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self.user,
        )
        eventually(self.is_ready)

    def is_ready(self) -> bool:
        """Whether it takes connections."""
        try:
            psycopg.connect(self.url_of("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """End it at once, without a clean stop."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait()

    def execute(self, statement: str) -> None:
        """Run a statement."""
        url = self.url_of("postgres")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement.encode())

    def url_of(self, database: str) -> str:
        """The URL of a database, for psycopg."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def uri(self, database: str) -> str:
        """The URL of a database, for SQLAlchemy."""
        return self.url_of(database).replace("postgresql", "postgresql+psycopg")
