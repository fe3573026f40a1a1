"""Makes the database that a URL names, on a server that does not have it yet."""

from typing import Any

from sqlalchemy import Connection, create_engine, quoted_name, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

# The database of PostgreSQL to connect to meanwhile, which each server has.
MAINTENANCE = "postgres"
LOOK_UP = {
    "postgresql": "SELECT 1 FROM pg_database WHERE datname = :name",
    "mysql": "SELECT 1 FROM information_schema.schemata WHERE schema_name = :name",
}
# Text of any language; template1 may have another encoding.
NEW_OPTIONS = {
    "postgresql": "ENCODING 'UTF8' TEMPLATE template0",
    "mysql": "CHARACTER SET utf8mb4",
}


def make_missing_database(url: URL) -> bool:
    """Make a database, unless it exists.

    :param url: of PostgreSQL, MySQL or MariaDB; its user must be allowed to make
        databases.
    :returns: whether it was made.
    :raises SQLAlchemyError: when the server cannot be reached, or refuses.
    """
    kind = "postgresql" if url.get_backend_name() == "postgresql" else "mysql"
    other = url.set(database=MAINTENANCE if kind == "postgresql" else "")
    engine = create_engine(other, isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            return create(connection, kind, url.database or "")
    finally:
        engine.dispose()


def create(connection: Connection, kind: str, name: str) -> bool:
    """Make a database, unless it exists; return whether it was made."""
    if connection.execute(text(LOOK_UP[kind]), {"name": name}).first():
        return False
    quote: Any = connection.dialect.identifier_preparer.quote
    quoted = quote(quoted_name(name, quote=True))
    # The driver takes a % in a statement for a parameter.
    statement = f"CREATE DATABASE {quoted} {NEW_OPTIONS[kind]}".replace("%%", "%")
    try:
        connection.execution_options(no_parameters=True).exec_driver_sql(statement)
    except DBAPIError:
        # Another process may have made it at the same time.
        if connection.execute(text(LOOK_UP[kind]), {"name": name}).first():
            return False
        raise
    return True
