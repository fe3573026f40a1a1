"""The database that all servers share: created for one run, then dropped."""

import json
import random
import secrets
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROWS = 10_000
DIRECTORS = 100
START = datetime(2025, 1, 1, tzinfo=timezone.utc)
LAST = START + timedelta(minutes=ROWS)
GENRES = ("action", "comedy", "drama", "horror", "sci-fi", "western")
INSERT_DIRECTOR = "insert into catalog_directors values (%s, %s, %s, 1, %s, %s, %s)"
INSERT_MOVIE = (
    "insert into catalog_movies values (%s, %s, %s, 1, %s, %s, %s, %s, %s, %s, %s)"
)


def uuid7(moment, source):
    """Make a version 7 UUID for a moment."""
    value = int(moment.timestamp() * 1000) << 80 | source.getrandbits(80)
    return UUID(int=value & ~(0xF << 76 | 0x3 << 62) | 0x7 << 76 | 0x2 << 62)


def movie(number, moment, directors, source):
    """Return the values of one movie row."""
    return (
        uuid7(moment, source),
        moment,
        moment,
        f"Movie number {number}",
        source.randint(1920, 2025),
        source.choice(directors),
        source.randint(60, 240),
        json.dumps(source.sample(GENRES, 2)),
        "A stranger comes to town and nothing is as it was. " * 4,
        Decimal(source.randint(99, 2999)) / 100,
    )


def fill(conninfo):
    """Insert the same rows on every run and return the ids of the movies."""
    source = random.Random(1)
    directors = [
        (uuid7(START, source), START, START, f"Director {number}", "1960-01-01", "GB")
        for number in range(DIRECTORS)
    ]
    keys = [row[0] for row in directors]
    movies = [
        movie(number, START + timedelta(minutes=number), keys, source)
        for number in range(ROWS)
    ]
    with psycopg.connect(conninfo, autocommit=True) as connection:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(INSERT_DIRECTOR, directors)
            cursor.executemany(INSERT_MOVIE, movies)
        connection.execute("alter table catalog_movies set (autovacuum_enabled = off)")
        connection.execute("vacuum analyze catalog_movies")
    return [str(row[0]) for row in movies]


def reset(conninfo):
    """Delete the rows that a run added, and vacuum the table."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("delete from catalog_movies where created_at > %s", (LAST,))
        connection.execute("vacuum analyze catalog_movies")


@contextmanager
def temporary_database(server):
    """Create a database with a random name and drop it at the end."""
    name = f"myapp_bench_{secrets.token_hex(4)}"
    quoted = sql.Identifier(name)
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(quoted))
        connection.execute(
            sql.SQL("alter database {} set timezone to 'UTC'").format(quoted)
        )
    try:
        yield make_conninfo(server, dbname=name)
    finally:
        with psycopg.connect(server, autocommit=True) as connection:
            connection.execute(sql.SQL("drop database {} with (force)").format(quoted))


def url(conninfo):
    """Return the URL of a database for SQLAlchemy."""
    part = conninfo_to_dict(conninfo)
    password = f":{part['password']}" if part.get("password") else ""
    host = f"{part.get('host', '127.0.0.1')}:{part.get('port', 5432)}"
    user = part.get("user", "postgres")
    return f"postgresql+psycopg://{user}{password}@{host}/{part['dbname']}"
