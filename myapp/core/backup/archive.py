"""The file of a backup: a compressed tar of the parts of all stores, with a manifest;
encrypted by age (https://age-encryption.org/v1) when there is a key."""

import gzip
import hashlib
import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import pyrage
from jsonschema import Draft202012Validator

from myapp.core.backup.part import BackupError

MANIFEST = "manifest.json"
FORMAT = 1
MANIFEST_SCHEMA = {
    "type": "object",
    "properties": {
        "format": {"const": FORMAT},
        "time": {"type": "string", "format": "date-time"},
        "release": {"type": "string"},
        "stores": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {"type": "string"},
            },
        },
        "files": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "required": ["format", "time", "release", "stores", "files"],
}
# What is raised for bytes that no backup has.
DAMAGE = (tarfile.TarError, zlib.error, EOFError, OSError, LookupError, ValueError)
CHUNK = 1024 * 1024
SECRET_KEY = "AGE-SECRET-KEY-"


def recipient_of(key: str) -> Any:
    """Whom a backup is encrypted for.

    :param key: a public key of age, or a secret one.
    :raises BackupError: when it is neither.
    """
    try:
        if key.startswith(SECRET_KEY):
            return pyrage.x25519.Identity.from_str(key).to_public()
        return pyrage.x25519.Recipient.from_str(key)
    except (pyrage.RecipientError, pyrage.IdentityError) as error:
        raise BackupError("BACKUP_KEY is not a key of age") from error


def pack(folder: Path, path: Path, about: Mapping[str, Any], key: str) -> None:
    """Write the file of a backup.

    :param folder: with a folder for each store.
    :param about: what the manifest says.
    :param key: to encrypt with; empty to leave it readable.
    """
    digests = {str(one.relative_to(folder)): digest(one) for one in files_in(folder)}
    manifest = json.dumps({"format": FORMAT, **about, "files": digests}, indent=1)
    plain = path.with_suffix(".plain") if key else path
    with tarfile.open(plain, "w:gz", compresslevel=6) as tar:
        member = tarfile.TarInfo(MANIFEST)
        member.size = len(manifest.encode())
        tar.addfile(member, io.BytesIO(manifest.encode()))
        for name in digests:
            tar.add(folder / name, name, recursive=False)
    if key:
        pyrage.encrypt_file(str(plain), str(path), [recipient_of(key)])
        plain.unlink()


def unpack(path: Path, folder: Path, key: str) -> dict[str, Any]:
    """Read the file of a backup, and compare each part with its digest.

    :param folder: an empty folder for the parts.
    :param key: a secret key of age, when it is encrypted.
    :returns: the manifest.
    :raises BackupError: when it cannot be read, or has been changed.
    """
    plain = path
    if is_encrypted(path):
        plain = folder / "plain"
        decrypt(path, plain, key)
    try:
        read_to_end(plain)
        with tarfile.open(plain, "r:gz") as tar:
            members = {one.name: one for one in tar.getmembers() if one.isfile()}
            manifest = json.load(open_member(tar, members[MANIFEST]))
            if not Draft202012Validator(MANIFEST_SCHEMA).is_valid(manifest):
                raise BackupError(
                    f"{path.name} has no manifest that this code can read"
                )
            for name, wanted in manifest["files"].items():
                extract(tar, members[name], folder, name)
                if digest(folder / name) != wanted:
                    raise BackupError(f"{path.name}: {name} has been changed")
    except DAMAGE as error:
        raise BackupError(f"{path.name} is damaged: {error}") from error
    finally:
        if plain != path:
            plain.unlink(missing_ok=True)
    found: dict[str, Any] = manifest
    return found


def read_to_end(path: Path) -> None:
    """Read a whole gzip file, whose last bytes say whether it is whole: a tar ends
    before them.

    :raises OSError, EOFError, zlib.error: when it is not.
    """
    with gzip.open(path) as file:
        while file.read(CHUNK):
            pass


def is_encrypted(path: Path) -> bool:
    """Whether a file is encrypted by age."""
    with path.open("rb") as file:
        return file.read(21) == b"age-encryption.org/v1"


def decrypt(path: Path, plain: Path, key: str) -> None:
    """Decrypt a file.

    :raises BackupError: when the key is not the one for it.
    """
    if not key.startswith(SECRET_KEY):
        raise BackupError(f"{path.name} is encrypted; name the secret key (--identity)")
    try:
        identity = pyrage.x25519.Identity.from_str(key)
        pyrage.decrypt_file(str(path), str(plain), [identity])
    except (pyrage.IdentityError, pyrage.DecryptError, OSError) as error:
        raise BackupError(f"{path.name} cannot be decrypted: {error}") from error


def open_member(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    """The content of a file in a tar."""
    content = tar.extractfile(member)
    if content is None:
        raise KeyError(member.name)
    return content


def extract(
    tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str
) -> None:
    """Write a file of a tar into a folder, and nowhere else."""
    place = (folder / name).resolve()
    if not place.is_relative_to(folder.resolve()):
        raise BackupError(f"{name} is not a name of a file in a backup")
    place.parent.mkdir(exist_ok=True)
    content = open_member(tar, member)
    with place.open("wb") as file:
        while chunk := content.read(CHUNK):
            file.write(chunk)


def files_in(folder: Path) -> Iterator[Path]:
    """The files below a folder, in order."""
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def digest(path: Path) -> str:
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
