"""Models in an SQL database: SQLite, PostgreSQL, MySQL and MariaDB.

``rows`` and ``write`` run statements; ``sql`` is the Flask-SQLAlchemy object.
"""

from myapp.core.stores.sql.engine import rows, sql, write
from myapp.core.stores.sql.model import SqlModel
from myapp.core.stores.sql.types import ExactDecimal, Id, UtcDateTime, Varchar

__all__ = [
    "ExactDecimal",
    "Id",
    "SqlModel",
    "UtcDateTime",
    "Varchar",
    "rows",
    "sql",
    "write",
]
