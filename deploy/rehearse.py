"""Rehearse releases: a machine of this run, clients that write, and releases meanwhile.

An sshd, nginx, a PostgreSQL and a Redis of this run stand for the machine. The releases
are made by deploy/release, as on a real one, and run by the command of the systemd
units; some are broken. While clients read and write, no request may fail, no client may
see an older release after a newer one, no acknowledged write may be lost, and each job
that was asked for sends one mail.
"""

import argparse
import os
import random
import re
import secrets
import shutil
import signal
import sys
import tempfile
import threading
import time
from contextlib import ExitStack
from http.client import HTTPSConnection
from pathlib import Path

from rehearsal.jobs import MailServer, Reports
from rehearsal.machine import Machine, Tree

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench"))

import faults  # noqa: E402
import ledger as ledgers  # noqa: E402

from myapp.core.testing.signing import sign_in  # noqa: E402

SETTINGS = """
SECRET_KEY = "{secret}"
SQLALCHEMY_DATABASE_URI = "postgresql+psycopg://postgres@127.0.0.1:{sql}/myapp"
REDIS_URL = "redis://127.0.0.1:{redis}/0"
SMTP_URL = "smtp://127.0.0.1:{smtp}"
MAIL_FROM = "films@mail.example"
"""
BAD_MIGRATION = '''"""A migration that fails."""
from alembic import op

revision, down_revision = "{number:04d}", "{before:04d}"


def upgrade() -> None:
    """Change a table, and fail."""
    op.execute("ALTER TABLE catalog_movies ADD COLUMN half_done integer")
    op.execute("SELECT no_such_column")


def downgrade() -> None:
    """Nothing."""
'''
GOOD_MIGRATION = '''"""A column that the former release does not know."""
from alembic import op

revision, down_revision = "{number:04d}", "{before:04d}"


def upgrade() -> None:
    """Add it."""
    op.execute("ALTER TABLE catalog_movies ADD COLUMN released integer")


def downgrade() -> None:
    """Drop it."""
    op.execute("ALTER TABLE catalog_movies DROP COLUMN released")
'''


def add_migration(tree, text):
    """Add a migration to a tree."""
    files = tree.folder.glob("migrations/versions/0*.py")
    before = max(int(path.name[:4]) for path in files)
    path = f"migrations/versions/{before + 1:04d}_rehearsal.py"
    tree.change(path, "", text.format(number=before + 1, before=before))


# What is broken in a release, and what deploy/release must say.
BROKEN = (
    (
        "an import that fails",
        lambda tree: tree.change(
            "myapp/carts/models.py", "", "import no_such_module\n"
        ),
        "no_such_module",
    ),
    (
        "a migration that fails",
        lambda tree: add_migration(tree, BAD_MIGRATION),
        "no_such_column",
    ),
    (
        "bad health",
        lambda tree: tree.change(
            "myapp/core/http/health.py", "reached = True", "reached = False"
        ),
        "is not healthy",
    ),
)


class Client(ledgers.Client):
    """A client that uses TLS, reads lists as well, and notes which release responds."""

    def __init__(self, number, nginx, ledger, stop):
        super().__init__(number, nginx.port, ledger, stop)
        self.tls = nginx.tls
        #: The releases that responded, each once after another.
        self.releases = []

    def connect(self):
        """Return a connection to nginx."""
        return HTTPSConnection(
            "127.0.0.1", self.port, timeout=ledgers.PATIENCE, context=self.tls
        )

    def send(self, resource, method, path, body=None, headers=None):
        """Send a request, and before every other one read a list."""
        if method != "GET" and self.random.random() < 0.5:
            self.send(resource, "GET", f"{resource.url}?limit=5")
        found = super().send(resource, method, path, body, headers)
        release = found[1].get("X-Release")
        if release and self.releases[-1:] != [release]:
            self.releases.append(release)
        return found


class Rehearsal:
    """The releases of one run, and what they must not do."""

    def __init__(self, machine, tree, ledger):
        self.machine, self.tree, self.ledger = machine, tree, ledger
        #: The names of the releases in the order in which they served.
        self.order, self.wrong = [], []

    def run(self, what, expected="", *arguments):
        """Release the tree, or go back; note when it does not end as it must."""
        before, started = self.machine.serving(), time.monotonic()
        process = self.machine.release(self.tree.folder, *arguments)
        said, _ = process.communicate(timeout=300)
        now, seconds = self.machine.serving(), time.monotonic() - started
        last = (said.strip().splitlines() or [""])[-1]
        print(f"{what}: {seconds:.1f} s: {last[:150]}", flush=True)
        if expected:
            fits = process.returncode == 1 and expected in last and now == before
        else:
            fits = process.returncode == 0 and now != before
            self.order.append(now)
        if not fits:
            self.wrong.append(f"{what} ended with {process.returncode}:\n{said}")

    def release(self, number):
        """Release another good commit."""
        self.tree.commit(f"release {number}")
        self.run(f"release {number}")

    def release_broken(self, what, break_it, expected):
        """Release a broken commit, and take it back."""
        break_it(self.tree)
        self.tree.commit(what)
        self.run(what, expected)
        self.tree.undo()

    def mixed(self, clients):
        """Return the clients that saw an older release after a newer one."""
        found = []
        for client in clients:
            rest = iter(self.order)
            # One that was killed while it handed over may have served, or not.
            seen = [name for name in client.releases if name in self.order]
            if not all(name in rest for name in seen):
                found.append((client.name, client.releases, self.order))
        return found


def releases(rehearsal, count, broken):
    """Make the releases of a run: the broken ones are spread among the good ones."""
    count -= 1
    places = [(number + 1) * count // (broken + 1) for number in range(broken)]
    for number in range(count):
        if number in places:
            rehearsal.release_broken(*BROKEN[places.index(number) % len(BROKEN)])
        else:
            rehearsal.release(number + 1)
    # The release before goes on with this column, under load.
    add_migration(rehearsal.tree, GOOD_MIGRATION)
    rehearsal.release("with a migration")
    rehearsal.run("back to the release before", "", "--rollback")


def collisions(rehearsal):
    """Make two releases at once, and one that is killed while it hands over."""
    tree, machine = rehearsal.tree.folder, rehearsal.machine
    pair = [machine.release(tree), machine.release(tree)]
    said = [one.communicate(timeout=600)[0] for one in pair]
    names = sorted(re.search(r"(\S+) serves$", one.strip()).group(1) for one in said)
    rehearsal.order += names
    waited = sum("another release runs" in one for one in said)
    if [one.returncode for one in pair] != [0, 0] or waited != 1:
        rehearsal.wrong.append(f"two at once: {said}")
    print(f"two at once: one waited: {said[0].strip().splitlines()[-1]}")
    before, killed = machine.serving(), machine.release(tree)
    for line in killed.stdout:
        if "start" in line:
            time.sleep(random.random() * 3)
            os.killpg(killed.pid, signal.SIGKILL)
            break
    killed.communicate()
    rehearsal.release("after one that was killed")
    if machine.serving() == before:
        rehearsal.wrong.append("the release after one that was killed did not serve")


def rehearse(options, machine, stores, mails, folder):
    """Release under load, and return the status of the program."""
    ledger, stop = ledgers.Ledger(), threading.Event()
    (folder / "tree").mkdir()
    rehearsal = Rehearsal(machine, Tree(folder / "tree"), ledger)
    rehearsal.run("first release")
    machine.make_user()
    base = f"https://127.0.0.1:{machine.nginx.port}"
    ledgers.Client.session = sign_in(base, machine.nginx.tls)
    clients = [
        Client(number, machine.nginx, ledger, stop) for number in range(options.clients)
    ]
    reports = Reports(machine.nginx, mails, stop, ledgers.Client.session)
    started = time.monotonic()
    for client in [*clients, reports]:
        client.start()
    try:
        releases(rehearsal, options.releases, options.broken)
        if options.collisions:
            collisions(rehearsal)
    finally:
        stop.set()
        for client in [*clients, reports]:
            client.join()
    seconds = time.monotonic() - started
    lost, doubled = reports.compare()
    print(f"{len(reports.acknowledged)} jobs: {len(lost)} lost, {len(doubled)} doubled")
    rehearsal.wrong += [*lost, *doubled]
    result = ledgers.compare(ledger, faults.stored(*stores))
    return report(rehearsal, ledger, clients, seconds, result)


def report(rehearsal, ledger, clients, seconds, result):
    """Print the figures; return 1 when a promise is broken, else 0."""
    lost, doubled, other = result
    total = sum(ledger.statuses.values())
    failed = sum(
        count for status, count in ledger.statuses.items() if not 200 <= status < 500
    )
    mixed = rehearsal.mixed(clients)
    print(f"{len(set(rehearsal.order))} releases served in {seconds:.0f} s under load")
    print(f"{total:,} requests, {ledger.acknowledged:,} acknowledged writes")
    print(f"responses: {dict(sorted(ledger.statuses.items()))}")
    print(f"failed: {failed}, mixed: {len(mixed)}")
    print(f"lost: {len(lost)}, doubled: {len(doubled)}, other contents: {len(other)}")
    wrong = [*rehearsal.wrong, *mixed, *lost, *doubled, *other, *ledger.wrong]
    for one in wrong[:20]:
        print(f"  {one}")
    return 1 if wrong or failed else 0


def main():
    """Run, and print the figures; the status is 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--releases", type=int, default=20)
    parser.add_argument("--broken", type=int, default=3, help="of the releases")
    parser.add_argument(
        "--collisions", action="store_true", help="two at once, and one that is killed"
    )
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--postgres-bin", help="where initdb and postgres are")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="myapp-rehearsal-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.chmod(0o755)
        for name in ("postgres", "redis", "machine"):
            (folder / name).mkdir()
        postgres = faults.Postgres(
            folder / "postgres", faults.programs(options.postgres_bin)
        )
        stores = postgres, faults.Redis(folder / "redis")
        for store in stores:
            store.start()
            stack.callback(store.end, signal.SIGKILL)
            faults.wait_for(store.is_ready)
        faults.create_database(postgres)
        mails = MailServer()
        stack.callback(mails.stop)
        settings = SETTINGS.format(
            secret=secrets.token_urlsafe(48),
            sql=postgres.port,
            redis=stores[1].port,
            smtp=mails.port,
        )
        machine = Machine(folder / "machine", settings)
        stack.callback(machine.stop)
        machine.start()
        sys.exit(rehearse(options, machine, stores, mails, folder))


if __name__ == "__main__":
    main()
