"""Kept responses in SQL, in the table ``idempotency_keys``."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CHAR,
    JSON,
    Column,
    Integer,
    Table,
    bindparam,
    delete,
    insert,
    select,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from myapp.core.model.idempotency_store import KeptResponse, KeyTaken, RequestKey
from myapp.core.stores.sql.engine import Base, rows, sql
from myapp.core.stores.sql.faults import is_lock_timeout
from myapp.core.stores.sql.types import LARGE_BINARY, UtcDateTime
from myapp.core.stores.transaction import commit

# On average one request out of this number also deletes expired rows, at most so many.
CLEAN_EVERY, CLEAN_AT_MOST = 50, 200

RESPONSES = Table(
    "idempotency_keys",
    Base.metadata,
    Column("id", CHAR(64), primary_key=True),
    Column("fingerprint", CHAR(64), nullable=False),
    Column("status", Integer, nullable=False),
    Column("headers", JSON, nullable=False),
    Column("body", LARGE_BINARY, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)
FIND = select(RESPONSES).where(RESPONSES.c.id == bindparam("key"))
INSERT = insert(RESPONSES)


class SqlResponses:
    """Keeps responses in the transaction of the request: the primary key lets one
    request with a key commit, and others wait for it."""

    def find(self, key: RequestKey) -> KeptResponse | None:
        """Read the row of the key; an expired row is deleted."""
        now = datetime.now(UTC)
        found = rows(FIND, {"key": key.id})
        row = found[0] if found and found[0].expires_at > now else None
        if found and row is None:
            delete_expired(now, RESPONSES.c.id == key.id)
            commit()
        elif random.randrange(CLEAN_EVERY) == 0:
            delete_expired(now)
            commit()
        if row is None:
            return None
        return KeptResponse(row.fingerprint, row.status, row.headers, row.body.decode())

    def keep(self, key: RequestKey, response: KeptResponse, life: float) -> None:
        """Insert the row of the key."""
        values = {
            "id": key.id,
            "fingerprint": response.fingerprint,
            "status": response.status,
            "headers": response.headers,
            "body": response.body.encode(),
            "expires_at": datetime.now(UTC) + timedelta(seconds=life),
        }
        try:
            sql.session.connection().execute(INSERT, values)
        except DBAPIError as error:
            if isinstance(error, IntegrityError) or is_lock_timeout(error):
                raise KeyTaken from error
            raise


def guard(key: RequestKey, response: KeptResponse, life: float) -> None:
    """Insert the row of a key whose response is kept in another store.

    :raises KeyTaken: when another request has inserted it.
    """
    now = datetime.now(UTC)
    delete_expired(now, RESPONSES.c.id == key.id)
    if random.randrange(CLEAN_EVERY) == 0:
        delete_expired(now)
    SqlResponses().keep(key, response, life)


def delete_expired(now: datetime, *conditions: Any) -> int:
    """Delete some expired rows; return how many there were.

    :param conditions: which of them; by default the oldest.
    """
    column = RESPONSES.c.expires_at
    expired = select(RESPONSES.c.id).where(column <= now, *conditions)
    ids = [row.id for row in rows(expired.order_by(column).limit(CLEAN_AT_MOST))]
    if ids:
        # The condition again: a row may belong to a new request by now.
        statement = delete(RESPONSES).where(RESPONSES.c.id.in_(ids), column <= now)
        sql.session.connection().execute(statement)
    return len(ids)
