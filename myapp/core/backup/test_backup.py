"""``flask backup`` on every engine: a drill under load, and what may go wrong."""

import io
import os
import random
import re
import resource
import shutil
import signal
import string
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sqlalchemy import text

from conftest import FIXTURES, build_app
from myapp.core.access.caller import authenticators_of
from myapp.core.backup.archive import pack, unpack
from myapp.core.backup.part import BackupError
from myapp.core.backup.places import NAME
from myapp.core.http.app import App
from myapp.core.stores.redis.client import redis_store
from myapp.core.stores.redis.fixture import flush
from myapp.core.stores.redis.server import ensure_redis
from myapp.core.stores.sql.backup import engine_kind
from myapp.core.stores.sql.engine import sql
from myapp.core.testing.callers import ToyAuthenticator, by
from myapp.core.testing.client import Client, all_records
from myapp.core.testing.proxy import Proxy
from myapp.core.testing.server import eventually

ROOT = Path(__file__).parents[3]
DIRECTORS, CARTS = "/catalog/directors/", "/carts/"
GONE = None
CANARY = "s3cr3t-canary"


@pytest.fixture
def app(own_app: App, tmp_path: Path) -> App:
    """An application whose backups are in a folder of the test."""
    own_app.config["BACKUP_URL"] = str(tmp_path / "kept")
    own_app.instance_path = str(tmp_path / "instance")
    return own_app


@pytest.fixture
def other_app(servers: list[str], tmp_path: Path) -> Iterator[App]:
    """Another application, on databases of its own, that finds the same backups."""
    tmp_path.joinpath("other").mkdir()
    url = ensure_redis(tmp_path / "other")
    own = dict(zip(FIXTURES, servers)) | {"redis": url}
    for app in build_app(list(own.values()), tmp_path / "other"):
        app.config["BACKUP_URL"] = str(tmp_path / "kept")
        app.instance_path = str(tmp_path / "other")
        yield app
    flush(url)


def admin_of(app: App) -> Client:
    """A client of an admin."""
    if not any(one.name == "toy" for one in authenticators_of(app)):
        ToyAuthenticator().add_to(app)
    client = app.test_client()
    assert isinstance(client, Client)
    client.environ_base["HTTP_AUTHORIZATION"] = by("ad", "admin")["Authorization"]
    return client


def call(app: App, *arguments: str, expect: int = 0, given: str = "") -> str:
    """Run ``flask backup``, and return what it prints."""
    command: Any = app.test_cli_runner()
    result = command.invoke(args=["backup", *arguments], input=given)
    # Another exception than that of an exit would be a traceback for the user.
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert result.exit_code == expect, result.output
    return str(result.output)


def names(app: App) -> list[str]:
    """The names of the backups that are kept."""
    return [line.split()[0] for line in call(app, "list").splitlines()]


@dataclass
class Entry:
    """A record: each text that it had, with the start and the end of the request that
    wrote it. A deleted record is ``GONE``."""

    url: str
    texts: list[tuple[float, float, str | None]] = field(default_factory=list)

    @property
    def is_gone(self) -> bool:
        """Whether it has been deleted."""
        return self.texts[-1][2] is GONE

    def moments(self, found: str | None) -> list[tuple[float, float]]:
        """The spans in which it may have had a text; none if it never had it."""
        states = [(0.0, 0.0, GONE), *self.texts, (0.0, float("inf"), GONE)]
        spans = zip(states, states[1:])
        return [(one[0], after[1]) for one, after in spans if one[2] == found]


def moments_between(
    start: float, end: float, seen: list[list[tuple[float, float]]]
) -> list[float]:
    """The moments at which something changes, from one moment to another."""
    found = {moment for spans in seen for span in spans for moment in span}
    return sorted({start, end, *(one for one in found if start <= one <= end)})


def write(app: App, number: int, stop: threading.Event, entries: list[Entry]) -> None:
    """Create, change and delete records until told to stop; each was acknowledged."""
    client, source = admin_of(app), random.Random(number)
    count = 0
    while not stop.is_set():
        count += 1
        place = source.choice([DIRECTORS, CARTS])
        key = "name" if place == DIRECTORS else "note"
        body = {key: f"{number} {count}"} | ({"items": []} if key == "note" else {})
        mine = [one for one in entries if one.url.startswith(place)]
        mine = [one for one in mine if not one.is_gone]
        start, written = time.monotonic(), body[key]
        if not mine or source.random() < 0.5:
            entry = Entry(client.post(place, json=body).headers["Location"])
        elif source.random() < 0.8:
            entry = source.choice(mine)
            client.patch(entry.url, json={key: written})
        else:
            entry, written = source.choice(mine), GONE
            client.delete(entry.url)
        entry.texts.append((start, time.monotonic(), written))
        if len(entry.texts) == 1:
            entries.append(entry)


def test_a_drill_under_load_restores_one_moment_of_carts_and_directors(
    app: App, other_app: App
) -> None:
    stop = threading.Event()
    written: list[list[Entry]] = [[] for _ in range(4)]

    def more(count: int) -> None:
        """Wait until each writer has made so many more records."""
        known = [len(one) for one in written]
        eventually(
            lambda: all(len(a) >= b + count for a, b in zip(written, known))
            or any(writer.done() for writer in writers)
        )

    with ThreadPoolExecutor(4) as pool:
        writers = [
            pool.submit(write, app, number, stop, mine)
            for number, mine in enumerate(written)
        ]
        more(20)
        start = time.monotonic()
        call(app, "create")
        end = time.monotonic()
        more(3)
        stop.set()
        for writer in writers:
            writer.result()
    entries = [entry for mine in written for entry in mine]
    assert "can be restored" in call(other_app, "check")
    client = admin_of(other_app)
    client.post(DIRECTORS, json={"name": "what the restore removes"})
    client.post(CARTS, json={"items": [], "note": "what the restore removes"})
    call(other_app, "restore", "newest", "--yes")

    for place, key in ((DIRECTORS, "name"), (CARTS, "note")):
        ours = [one for one in entries if one.url.startswith(place)]
        listed = {one["id"]: one[key] for one in all_records(client, place)}
        seen = []
        for entry in ours:
            found = listed.pop(entry.url.rpartition("/")[2], GONE)
            status = 404 if found is GONE else 200
            assert client.get(entry.url, expect=status).json.get(key) == found
            seen.append(entry.moments(found))
        assert len(ours) > 10 and listed == {}
        # One moment of the backup explains what every record of a store is.
        assert any(
            all(any(since <= one <= until for since, until in spans) for spans in seen)
            for one in moments_between(start, end, seen)
        )

    # It goes on: writes, and the indexes of both stores.
    client.post(DIRECTORS, json={"name": "after"})
    client.post(CARTS, json={"items": [], "note": "after"})
    with other_app.app_context():
        lives = [redis_store.pttl(key) for key in redis_store.keys("carts*:0*")]
        assert all(0 < one <= 7 * 24 * 3_600_000 for one in lives)
        assert sql.session.execute(text("SELECT count(*) FROM alembic_version")).all()


def test_restore_asks(app: App) -> None:
    client = admin_of(app)
    url = client.post(DIRECTORS, json={"name": "kept"}).headers["Location"]
    call(app, "create")
    client.delete(url)
    told = call(app, "restore", "newest", given="n\n", expect=1)
    assert "Replace all data in " in told
    client.get(url, expect=404)
    call(app, "restore", "newest", given="y\n")
    assert client.get(url).json["name"] == "kept"


KEYS = re.compile(r"BACKUP_KEY = '(age1\w+)'\n(AGE-SECRET-KEY-\w+)")


@pytest.mark.parametrize("on_the_machine", ["public", "secret"])
def test_a_backup_is_encrypted_for_a_key(
    app: App, tmp_path: Path, on_the_machine: str
) -> None:
    found = KEYS.search(call(app, "new-key"))
    assert found is not None
    public, secret = found.groups()
    name = "a name that must not be read"
    url = admin_of(app).post(DIRECTORS, json={"name": name}).headers["Location"]
    app.config["BACKUP_KEY"] = public if on_the_machine == "public" else secret
    call(app, "create")
    (kept,) = names(app)
    content = (tmp_path / "kept" / kept).read_bytes()
    assert kept.endswith(".age") and content.startswith(b"age-encryption.org/v1")
    admin_of(app).delete(url)

    identity = tmp_path / "identity"
    identity.write_text(f"# a comment\n{secret}\n")
    if on_the_machine == "public":
        assert "--identity" in call(app, "check", expect=1)
    else:
        call(app, "check")
    call(app, "restore", kept, "--yes", "--identity", str(identity))
    assert admin_of(app).get(url).json["name"] == name

    other = KEYS.search(call(app, "new-key"))
    identity.write_text(other[2] if other else "")
    told = call(app, "check", "--identity", str(identity), expect=1)
    assert f"{kept} cannot be decrypted" in told


def test_a_key_that_is_none_is_refused(app: App) -> None:
    app.config["BACKUP_KEY"] = "age1nothing"
    assert "BACKUP_KEY is not a key of age" in call(app, "create", expect=1)
    assert names(app) == []


def test_the_oldest_backups_are_removed(app: App, tmp_path: Path) -> None:
    app.config["BACKUP_KEEP"] = 2
    other = tmp_path / "kept" / "something-else.tar.gz"
    made = []
    for _ in range(4):
        made.append(call(app, "create").partition(":")[0])
        other.touch()
    assert names(app) == made[-2:]
    assert other.exists()
    # A clock that went back, or was ahead: the new one is never removed.
    tmp_path.joinpath("kept", "myapp-29990101-000000-000000.tar.gz").touch()
    app.config["BACKUP_KEEP"] = 1
    new = call(app, "create").partition(":")[0]
    assert names(app) == [new]


@pytest.mark.parametrize("place", ["start", "middle", "end", "last byte"])
def test_a_damaged_backup_is_refused_before_anything_is_touched(
    app: App, tmp_path: Path, place: str
) -> None:
    client = admin_of(app)
    url = client.post(DIRECTORS, json={"name": "kept"}).headers["Location"]
    call(app, "create")
    path = tmp_path / "kept" / names(app)[0]
    content = bytearray(path.read_bytes())
    if place == "end":
        del content[-50:]
    elif place == "last byte":
        del content[-1]
    else:
        at = 0 if place == "start" else len(content) // 2
        content[at] ^= 0xFF
    path.write_bytes(content)
    for command in (["check"], ["restore", "newest", "--yes"]):
        assert path.name in call(app, *command, expect=1)
    client.get(url)


def test_any_damage_is_one_line(app: App, tmp_path: Path) -> None:
    call(app, "create")
    (name,) = names(app)
    content = (tmp_path / "kept" / name).read_bytes()
    source, damaged = random.Random(1), tmp_path / name
    for _ in range(300):
        wrong = bytearray(content)
        for _ in range(source.randint(1, 3)):
            at = source.randrange(len(wrong))
            wrong[at : at + source.randint(1, 9)] = source.randbytes(4)
        damaged.write_bytes(wrong[: source.randrange(len(wrong)) or None])
        folder = tmp_path / "unpacked"
        folder.mkdir()
        with suppress(BackupError):
            unpack(damaged, folder, "")
        shutil.rmtree(folder)


@pytest.mark.parametrize("wrong", ["[]", "{}", '{"format": 1, "files": []}'])
def test_a_manifest_that_is_none_is_refused(
    app: App, tmp_path: Path, wrong: str
) -> None:
    path = tmp_path / "kept" / "myapp-20261127-000000-000000.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as tar:
        member = tarfile.TarInfo("manifest.json")
        member.size = len(wrong)
        tar.addfile(member, io.BytesIO(wrong.encode()))
    assert "has no manifest that this code can read" in call(app, "check", expect=1)


def test_a_file_outside_its_folder_is_refused(app: App, tmp_path: Path) -> None:
    (tmp_path / "parts" / "sql").mkdir(parents=True)
    (tmp_path / "parts" / "sql" / "x").write_text("x")
    path = tmp_path / "kept" / "myapp-20261127-000000-000000.tar.gz"
    path.parent.mkdir()
    about = {"time": "2026-11-27T00:00:00Z", "release": "", "stores": {}}
    pack(tmp_path / "parts", path, {**about, "files": {}}, "")
    with tarfile.open(path) as tar:
        text = tar.extractfile("manifest.json")
        manifest = text.read().decode() if text else ""
    manifest = manifest.replace("sql/x", "../../evil")
    with tarfile.open(path, "w:gz") as tar:
        for name, content in (("manifest.json", manifest), ("../../evil", "x")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content.encode()))
    assert "is not a name of a file in a backup" in call(app, "check", expect=1)


def test_a_backup_that_is_too_old_fails(app: App) -> None:
    assert "there is no backup" in call(app, "list", "--max-age", "1", expect=1)
    call(app, "create")
    call(app, "list", "--max-age", "1")
    assert "hours old" in call(app, "list", "--max-age", "0", expect=1)


def test_a_missing_backup_is_one_line(app: App) -> None:
    assert "there is no backup" in call(app, "check", expect=1)
    assert "no backup ../x" in call(app, "restore", "../x", "--yes", expect=1)


def test_a_backup_of_a_migration_that_is_not_known_is_refused(app: App) -> None:
    with app.app_context():
        sql.session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        sql.session.commit()
    call(app, "create")
    told = call(app, "restore", "newest", "--yes", expect=1)
    assert "the backup is of migration 9999, which this code does not have" in told


def test_a_store_that_is_down_is_one_line_and_nothing_is_touched(app: App) -> None:
    client = admin_of(app)
    call(app, "create")
    url = client.post(DIRECTORS, json={"name": "after"}).headers["Location"]
    options = app.extensions["redis"].connection_pool.connection_kwargs
    options |= {"path": "/nonexistent"} if "path" in options else {"port": 1}
    app.extensions["redis"].connection_pool.reset()
    told = call(app, "restore", "newest", "--yes", expect=1)
    assert "Connection refused" in told or "No such file" in told
    client.get(url)
    told = call(app, "create", expect=1)
    assert told.startswith("Error: redis sends no snapshot")
    assert len(names(app)) == 1


def test_a_database_without_tables_is_not_backed_up(app: App) -> None:
    with app.app_context():
        sql.session.execute(text("DELETE FROM alembic_version"))
        sql.session.commit()
    assert "has no tables of this application" in call(app, "create", expect=1)


# What a database may have beside the tables of the models.
ODD = """
CREATE VIEW v1 AS SELECT 1 AS a; CREATE VIEW v2 AS SELECT * FROM v1;
CREATE VIEW v0 AS SELECT * FROM v2; CREATE MATERIALIZED VIEW m AS SELECT * FROM v0;
CREATE EXTENSION pg_trgm; CREATE SCHEMA audit;
CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN small AS int CHECK (VALUE < 9);
CREATE TYPE pair AS (a int, b text); CREATE SEQUENCE numbers;
CREATE TABLE audit.entries (id int PRIMARY KEY, mood mood, size small, pair pair);
CREATE FUNCTION audit.note() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER note BEFORE INSERT ON audit.entries FOR EACH ROW
  EXECUTE FUNCTION audit.note();
INSERT INTO audit.entries VALUES (1, 'a', 2, (3, 'four'));
SELECT lo_from_bytea(4242, 'abc'); CREATE PUBLICATION everything FOR ALL TABLES;
GRANT SELECT ON catalog_movies TO PUBLIC;
"""


def test_what_others_have_made_in_the_database_comes_back(app: App) -> None:
    with app.app_context():
        if sql.engine.dialect.name != "postgresql":
            pytest.skip("these are objects of PostgreSQL")
        with sql.engine.connect() as connection:
            driver: Any = connection.connection.driver_connection
            driver.execute(ODD)
    for _ in range(2):
        call(app, "create")
        with app.app_context(), sql.engine.connect() as connection:
            # What is not in the backup goes away, and what refers to it, too.
            connection.exec_driver_sql(
                "CREATE TABLE IF NOT EXISTS later (id int REFERENCES audit.entries)"
            )
            connection.exec_driver_sql("DELETE FROM audit.entries")
            connection.commit()
        call(app, "restore", "newest", "--yes")
        with app.app_context(), sql.engine.connect() as connection:
            entries = connection.exec_driver_sql("SELECT pair FROM audit.entries")
            assert [str(row[0]) for row in entries] == ["(3,four)"]
            grants = connection.exec_driver_sql(
                "SELECT relacl::text FROM pg_class WHERE relname = 'catalog_movies'"
            ).scalar_one()
            assert "=r/" in grants
            later = connection.exec_driver_sql("SELECT to_regclass('later')")
            assert later.scalar_one() is None
            connection.rollback()


def test_a_row_that_the_server_does_not_take_is_refused_first(app: App) -> None:
    with app.app_context():
        if engine_kind() != "mysql":
            pytest.skip("a limit of MySQL and MariaDB")
        with sql.engine.connect() as connection:
            connection.exec_driver_sql("CREATE TABLE big (a longblob)")
            connection.exec_driver_sql("INSERT INTO big VALUES (repeat('x', 9000000))")
            connection.commit()
    url = admin_of(app).post(DIRECTORS, json={"name": "x"}).headers["Location"]
    call(app, "create")
    told = call(app, "restore", "newest", "--yes", expect=1)
    assert "raise its max_allowed_packet" in told
    admin_of(app).get(url)


def test_a_statement_that_fails_is_told(app: App, tmp_path: Path) -> None:
    call(app, "create")
    (name,) = names(app)
    folder, path = tmp_path / "parts", tmp_path / "kept" / name
    folder.mkdir()
    manifest = unpack(path, folder, "")
    dump = folder / "sql" / "database.sql"
    if not dump.exists():
        pytest.skip("a dump of MySQL or MariaDB")
    first, rest = dump.read_text().split("CREATE TABLE", 1)
    dump.write_text(f"{first}SELECT no_such_column;\nCREATE TABLE{rest}")
    pack(folder, path, manifest, "")
    told = call(app, "restore", "newest", "--yes", expect=1)
    assert "no_such_column" in told and "restore it again" in told


def test_a_password_is_not_in_a_command_line_nor_in_the_question(
    app: App, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("pg_dump", "mariadb-dump"):
        real = shutil.which(name)
        script = f'#!/bin/sh\necho "$@" >> {tmp_path}/seen\nexec {real} "$@"\n'
        programs.joinpath(name).write_text(script)
        programs.joinpath(name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with app.app_context():
        if engine_kind() == "sqlite":
            pytest.skip("SQLite has no password")
        url = sql.engine.url
        where = {"query": {"password": CANARY}} if engine_kind() == "postgresql" else {}
        sql.engine.url = url.set(password=CANARY, **where)
    with suppress(AssertionError):
        call(app, "create")
    assert CANARY not in (tmp_path / "seen").read_text()
    with app.app_context():
        sql.engine.url = url
        call(app, "create")
        sql.engine.url = url.set(password=CANARY, **where)
    assert CANARY not in call(app, "restore", "newest", given="n\n", expect=1)
    with app.app_context():
        sql.engine.url = url


SECRET = {"MYAPP_SECRET_KEY": string.ascii_letters}


def program(app: App, *arguments: str) -> list[str]:
    """A command line that runs ``flask backup`` in a process."""
    return [sys.executable, "-m", "flask", "backup", *arguments]


def settings_of(app: App, **more: str) -> dict[str, str]:
    """The environment of such a process."""
    chosen = ["SQLALCHEMY_DATABASE_URI", "REDIS_URL", "BACKUP_URL"]
    own = {f"MYAPP_{name}": str(app.config[name]) for name in chosen}
    folder = {"MYAPP_INSTANCE_PATH": app.instance_path, "MYAPP_ENV": "production"}
    # A command that may write no file could not keep its coverage, either.
    env = {key: value for key, value in os.environ.items() if key[:3] != "COV"}
    return {**env, **own, **folder, **SECRET, **more}


def test_a_full_disk_leaves_no_backup_that_looks_whole(app: App) -> None:
    call(app, "create")
    before = names(app)
    limit = (500, 500)
    done = subprocess.run(
        program(app, "create"),
        cwd=ROOT,
        env=settings_of(app),
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert names(app) == before
    call(app, "create")
    assert len(names(app)) == 2


def test_a_killed_command_leaves_nothing_and_another_one_waits_for_none(
    app: App, tmp_path: Path
) -> None:
    folder = Path(app.instance_path)
    for delay in (0.2, 0.5, 0.9, 1.2):
        running = subprocess.Popen(
            program(app, "create"), cwd=ROOT, env=settings_of(app), text=True
        )
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(delay)
        running.send_signal(signal.SIGKILL)
        running.wait()
    for name in names(app):
        assert NAME.fullmatch(name)
        call(app, "check", name)
    call(app, "create")
    call(app, "check")
    assert not (folder / "backup.tmp").exists()
    assert not list((tmp_path / "kept").glob("*.part"))


def servers_of(folder: Path) -> list[int]:
    """The servers of Redis that read files in a folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"redis-server" in words[0] and os.fsencode(folder) in b" ".join(words):
                found.append(int(path.parent.name))
    return found


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_restore_that_is_ended_leaves_no_server(app: App, number: int) -> None:
    call(app, "create")
    folder = Path(app.instance_path) / "backup.tmp"
    running = subprocess.Popen(
        program(app, "restore", "newest", "--yes"), cwd=ROOT, env=settings_of(app)
    )
    eventually(lambda: servers_of(folder) or running.poll() is not None)
    running.send_signal(number)
    running.wait()
    eventually(lambda: not servers_of(folder))
    if number == signal.SIGTERM:
        assert not folder.exists()


def test_two_commands_at_once_do_not_share_a_folder(app: App) -> None:
    call(app, "create")
    running = subprocess.Popen(
        program(app, "restore", "newest"),
        cwd=ROOT,
        env=settings_of(app),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert running.stdout is not None
    assert running.stdout.read(7) == "Replace"
    assert "another backup command runs" in call(app, "create", expect=1)
    running.communicate("n\n")
    call(app, "create")


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket of a server that speaks S3, on this machine."""
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    boto3.client("s3").create_bucket(Bucket="backups")
    yield "s3://backups/of/myapp"
    server.stop()


def test_backups_are_kept_in_a_bucket(app: App, bucket: str) -> None:
    app.config["BACKUP_URL"], app.config["BACKUP_KEEP"] = bucket, 1
    client = admin_of(app)
    url = client.post(DIRECTORS, json={"name": "kept"}).headers["Location"]
    boto3.client("s3").put_object(Bucket="backups", Key="of/myapp/other", Body=b"x")
    call(app, "create")
    call(app, "create")
    assert len(names(app)) == 1
    client.delete(url)
    call(app, "check")
    call(app, "restore", "newest", "--yes")
    client.get(url)
    app.config["BACKUP_URL"] = "s3://nothing-here"
    assert "the backup cannot be kept" in call(app, "create", expect=1)
    assert "the backups cannot be listed" in call(app, "list", expect=1)


def test_another_kind_of_place_is_refused(app: App) -> None:
    app.config["BACKUP_URL"] = "ftp://host/folder"
    assert "BACKUP_URL is a path, or s3://" in call(app, "create", expect=1)


def test_a_server_that_closes_the_connection_is_one_line(app: App) -> None:
    options = app.extensions["redis"].connection_pool.connection_kwargs
    if "port" not in options:
        pytest.skip("a proxy is for a port")
    with Proxy(options["host"], options["port"]) as proxy:
        proxy.lose = lambda reply: True
        options |= {"host": "127.0.0.1", "port": proxy.port}
        app.extensions["redis"].connection_pool.reset()
        assert "redis sends no snapshot" in call(app, "create", expect=1)
