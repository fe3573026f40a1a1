"""Where backups are kept: a folder, or a bucket of an S3-compatible service."""

import os
import re
import shutil
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from myapp.core.backup.part import BackupError
from myapp.core.loading import import_when_used

#: The name of a backup: its time in UTC; ``.age`` for an encrypted one.
NAME = re.compile(r"myapp-\d{8}-\d{6}-\d{6}\.tar\.gz(\.age)?")
UNFINISHED, A_DAY = ".part", 24 * 3600
ERRORS_OF_BOTO3 = (
    "boto3.exceptions:Boto3Error",
    "botocore.exceptions:BotoCoreError",
    "botocore.exceptions:ClientError",
)


class Place:
    """Where backups are kept. Each method may raise one of ``errors``."""

    errors: tuple[type[Exception], ...] = (OSError,)

    def sizes(self) -> dict[str, int]:
        """The size of each backup in bytes, by its name, the oldest one first."""
        raise NotImplementedError

    def put(self, path: Path) -> None:
        """Keep a file, under its name; a file that is not whole is never seen."""
        raise NotImplementedError

    def get(self, name: str, path: Path) -> None:
        """Copy a backup into a file."""
        raise NotImplementedError

    def remove(self, name: str) -> None:
        """Remove a backup."""
        raise NotImplementedError


class Folder(Place):
    """A folder of this machine, or one that is mounted.

    :param path: made when it is missing, for this user alone.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def sizes(self) -> dict[str, int]:
        """The size of each backup."""
        found = sorted(one for one in self.path.iterdir() if NAME.fullmatch(one.name))
        return {one.name: one.stat().st_size for one in found if one.is_file()}

    def put(self, path: Path) -> None:
        """Copy it beside its place, and rename it when it is on the disk."""
        for left in self.path.glob(f"*{UNFINISHED}"):
            # Another machine may be writing one just now.
            if time.time() - left.stat().st_mtime > A_DAY:
                left.unlink()
        unfinished = self.path / f"{path.name}{UNFINISHED}"
        try:
            with path.open("rb") as source:
                with open(unfinished, "xb", opener=private) as file:
                    shutil.copyfileobj(source, file)
                    file.flush()
                    os.fsync(file.fileno())
            unfinished.rename(self.path / path.name)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        folder = os.open(self.path, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)

    def get(self, name: str, path: Path) -> None:
        """Copy a backup."""
        shutil.copyfile(self.path / name, path)

    def remove(self, name: str) -> None:
        """Remove a backup."""
        (self.path / name).unlink()


class Bucket(Place):
    """A bucket of an S3-compatible service. The environment has the address and the
    credentials: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY.

    :param bucket: its name.
    :param prefix: what the keys of the backups begin with.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        try:
            self.client: Any = import_when_used("boto3:client")("s3")
            others = [import_when_used(name) for name in ERRORS_OF_BOTO3]
        except ImportError as error:
            raise BackupError(
                "BACKUP_URL names a bucket, for which boto3 is missing: "
                "see requirements-extras.txt"
            ) from error
        self.errors = (OSError, *others)
        self.bucket = bucket
        self.prefix = prefix and f"{prefix}/"

    def sizes(self) -> dict[str, int]:
        """The size of each backup."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=self.prefix
        )
        found = {
            item["Key"].removeprefix(self.prefix): item["Size"]
            for page in pages
            for item in page.get("Contents", ())
        }
        return {name: found[name] for name in sorted(found) if NAME.fullmatch(name)}

    def put(self, path: Path) -> None:
        """Upload it; S3 shows an object when it is whole."""
        self.client.upload_file(str(path), self.bucket, self.prefix + path.name)

    def get(self, name: str, path: Path) -> None:
        """Download a backup."""
        self.client.download_file(self.bucket, self.prefix + name, str(path))

    def remove(self, name: str) -> None:
        """Remove a backup."""
        self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)


def private(path: str, flags: int) -> int:
    """Open a new file that only this user reads."""
    return os.open(path, flags, 0o600)


def place_of(url: str, instance: Path) -> Place:
    """The place that BACKUP_URL names.

    :param url: a path, or ``s3://bucket/prefix``; empty for a folder in the instance
        folder.
    :raises BackupError: when it names another kind of place.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise BackupError(f"BACKUP_URL is not a URL: {error}") from error
    if parts.scheme == "s3" and parts.netloc:
        return Bucket(parts.netloc, parts.path.strip("/"))
    if parts.scheme:
        raise BackupError("BACKUP_URL is a path, or s3://bucket/prefix")
    return Folder(instance / Path(url or "backups").expanduser())
