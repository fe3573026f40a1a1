"""``flask backup``: create, list, check and restore backups of all stores."""

import fcntl
import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import pyrage
from flask import current_app
from flask.cli import AppGroup

from myapp.core.backup.archive import SECRET_KEY, pack, unpack
from myapp.core.backup.part import BackupError, StoreBackup
from myapp.core.backup.places import Place, place_of
from myapp.core.errors.startup import ConfigError
from myapp.core.loading import import_when_used
from myapp.core.stores.store import registered_stores

NEWEST = "newest"
TIME = "myapp-%Y%m%d-%H%M%S-%f"

backup = AppGroup("backup", help="Create, list, check and restore backups.")
identity_option = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the secret key of age, when BACKUP_KEY is the public one.",
)


class LineError(click.ClickException):
    """What failed, in one line."""


@contextmanager
def workshop() -> Iterator[Path]:
    """An empty folder in the instance folder, for one command at a time. What a killed
    command has left there is removed.

    :raises LineError: when another command of this kind runs, or one fails.
    """
    folder = Path(current_app.instance_path) / "backup.tmp"
    errors: tuple[type[Exception], ...] = (
        *(BackupError, ConfigError, OSError),
        *errors_of_stores(),
    )
    # SIGTERM ends a command as Ctrl-C does, so that it leaves no data behind.
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with open(folder.with_suffix(".lock"), "ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise LineError("another backup command runs") from error
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except errors as error:
        raise LineError(str(error).strip().splitlines()[0]) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def parts() -> dict[str, StoreBackup]:
    """The part of each store, by the name of the store."""
    stores = registered_stores()
    return {store.name: import_when_used(store.backup)() for store in stores}


def errors_of_stores() -> tuple[type[Exception], ...]:
    """What the clients of the stores raise."""
    return tuple(error for store in registered_stores() for error in store.errors)


def place() -> Place:
    """Where backups are kept."""
    url = current_app.config["BACKUP_URL"]
    try:
        return place_of(url, Path(current_app.instance_path))
    except (BackupError, OSError) as error:
        raise LineError(str(error)) from error


def secret_key(identity: Path | None) -> str:
    """The key to decrypt with; empty without one."""
    if identity is None:
        return str(current_app.config["BACKUP_KEY"])
    lines = identity.read_text(errors="replace").splitlines()
    return next((line for line in lines if line.startswith(SECRET_KEY)), "")


@backup.command("create")
def create() -> None:
    """Back up every store, and read the backup to its end before it is kept; the
    application may go on meanwhile."""
    target, keep = place(), current_app.config["BACKUP_KEEP"]
    now, key = datetime.now(UTC), current_app.config["BACKUP_KEY"]
    name = f"{now.strftime(TIME)}.tar.gz{'.age' if key else ''}"
    with workshop() as folder:
        facts: dict[str, Any] = {}
        for store, part in parts().items():
            (folder / "parts" / store).mkdir(parents=True)
            facts[store] = part.create(folder / "parts" / store)
            part.check(folder / "parts" / store)
        release = current_app.config["RELEASE"]
        about = {"time": now.isoformat(), "release": release, "stores": facts}
        pack(folder / "parts", folder / name, about, key)
        size = (folder / name).stat().st_size
        try:
            target.put(folder / name)
            # The new one is whole, so the oldest ones may go.
            others = [one for one in target.sizes() if one != name]
            old = others[: len(others) - keep + 1] if keep else []
            for one in old:
                target.remove(one)
        except target.errors as error:
            raise BackupError(f"the backup cannot be kept: {error}") from error
    click.echo(f"{name}: {size:,} bytes" + (f"; removed {len(old)} old" if old else ""))


@backup.command("list")
@click.option("--max-age", type=float, help="Hours; fail when the newest is older.")
def list_backups(max_age: float | None) -> None:
    """Show the backups that are kept, the oldest one first."""
    known = sizes_in(place())
    for name, size in known.items():
        click.echo(f"{name}  {size:,} bytes")
    if max_age is None:
        return
    if not known:
        raise LineError("there is no backup")
    name = next(reversed(known))
    made = datetime.strptime(name.partition(".")[0], TIME).replace(tzinfo=UTC)
    hours = (datetime.now(UTC) - made) / timedelta(hours=1)
    if hours > max_age:
        raise LineError(f"{name} is {hours:.1f} hours old")


def sizes_in(kept: Place) -> dict[str, int]:
    """The size of each backup, by its name."""
    try:
        return kept.sizes()
    except kept.errors as error:
        raise LineError(f"the backups cannot be listed: {error}") from error


def fetch(name: str, folder: Path, identity: Path | None) -> tuple[str, Any]:
    """Unpack a backup into a folder.

    :param name: of the backup; ``newest`` for the last one.
    :returns: its name, and its manifest.
    """
    kept = place()
    known = sizes_in(kept)
    if name == NEWEST:
        name = next(reversed(known), "")
    if name not in known:
        raise BackupError(f"there is no backup {name}".strip())
    try:
        kept.get(name, folder / name)
    except kept.errors as error:
        raise BackupError(f"{name} cannot be read: {error}") from error
    (folder / "parts").mkdir()
    manifest = unpack(folder / name, folder / "parts", secret_key(identity))
    if set(manifest["stores"]) != set(parts()):
        raise BackupError(f"{name} has other stores than this application")
    return name, manifest


@backup.command("check")
@click.argument("name", default=NEWEST)
@identity_option
def check(name: str, identity: Path | None) -> None:
    """Read a backup to its end, without touching the stores."""
    with workshop() as folder:
        name, _ = fetch(name, folder, identity)
        for store, part in parts().items():
            found = part.check(folder / "parts" / store)
            click.echo(f"{store}: {found}")
    click.echo(f"{name} can be restored")


@backup.command("restore")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@identity_option
def restore(name: str, yes: bool, identity: Path | None) -> None:
    """Replace the data of every store by a backup. Stop the application before."""
    with workshop() as folder:
        name, manifest = fetch(name, folder, identity)
        for store, part in parts().items():
            part.check(folder / "parts" / store)
            part.refuse(manifest["stores"][store], folder / "parts" / store)
        targets = " and ".join(part.target() for part in parts().values())
        if not yes:
            click.confirm(f"Replace all data in {targets} by {name}?", abort=True)
        for store, part in parts().items():
            part.restore(folder / "parts" / store)
    click.echo(f"restored {name}; run `flask db upgrade` if the code is newer")


@backup.command("new-key")
def new_key() -> None:
    """Print a new pair of keys: a public one for BACKUP_KEY, a secret one to keep."""
    identity = pyrage.x25519.Identity.generate()
    click.echo(f"# BACKUP_KEY = {str(identity.to_public())!r}\n{identity}")
