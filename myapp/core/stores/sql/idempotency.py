"""Kept responses in SQL, in the table ``idempotency_keys``."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    CHAR,
    JSON,
    Column,
    Integer,
    LargeBinary,
    Table,
    delete,
    insert,
    select,
    update,
)
from sqlalchemy.dialects.mysql import MEDIUMBLOB
from sqlalchemy.exc import IntegrityError

from myapp.core.errors.problem import Problem
from myapp.core.model.idempotency_store import Claim, KeptResponse
from myapp.core.stores.sql.engine import Base, rows, sql
from myapp.core.stores.sql.types import Id, UtcDateTime
from myapp.core.stores.transaction import commit, rollback

# On average one claim out of this number also deletes expired rows.
CLEAN_EVERY = 50
# A BLOB of MySQL and MariaDB has at most 64 KiB.
BODY = LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")

RESPONSES = Table(
    "idempotency_keys",
    Base.metadata,
    Column("id", CHAR(64), primary_key=True),
    Column("fingerprint", CHAR(64), nullable=False),
    Column("owner", Id, nullable=False),
    Column("status", Integer),
    Column("headers", JSON),
    Column("body", BODY),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)


class SqlResponses:
    """Keeps responses in the transaction of the request."""

    def claim(self, claim: Claim, lease: float) -> KeptResponse | None:
        """Insert a row, or take over an expired row, in a transaction of its own."""
        now = datetime.now(UTC)
        if random.randrange(CLEAN_EVERY) == 0:
            delete_expired(now)
        values = {
            "id": claim.id,
            "fingerprint": claim.fingerprint,
            "owner": claim.owner,
            "status": None,
            "expires_at": now + timedelta(seconds=lease),
        }
        known = read_key(claim.id)
        try:
            if known is None:
                run_alone(insert(RESPONSES).values(values))
                return None
            if known.expires_at <= now:
                same = (RESPONSES.c.id == claim.id, RESPONSES.c.owner == known.owner)
                if run_alone(update(RESPONSES).where(*same).values(values)):
                    return None
        except IntegrityError:
            # Another request has inserted the row between the two statements.
            rollback()
        known = read_key(claim.id)
        if known is None:
            return KeptResponse(claim.fingerprint)
        body = (known.body or b"").decode()
        return KeptResponse(known.fingerprint, known.status, known.headers, body)

    def keep(self, claim: Claim, response: KeptResponse, life: float) -> None:
        """Update the row of the claim, if this request still owns it."""
        mine = (RESPONSES.c.id == claim.id, RESPONSES.c.owner == claim.owner)
        values = {
            "status": response.status,
            "headers": response.headers,
            "body": response.body.encode(),
            "expires_at": datetime.now(UTC) + timedelta(seconds=life),
        }
        statement = update(RESPONSES).where(*mine).values(values)
        if sql.session.connection().execute(statement).rowcount != 1:
            raise Problem("conflict", "This Idempotency-Key is in use.")

    def release(self, claim: Claim) -> None:
        """Delete the row of the claim."""
        rollback()
        mine = (RESPONSES.c.id == claim.id, RESPONSES.c.owner == claim.owner)
        run_alone(delete(RESPONSES).where(*mine))


def read_key(id: str) -> Any:
    """The row of a key, ``None`` when it does not exist."""
    found = rows(select(RESPONSES).where(RESPONSES.c.id == id))
    return found[0] if found else None


def delete_expired(now: datetime) -> None:
    """Delete expired rows."""
    run_alone(delete(RESPONSES).where(RESPONSES.c.expires_at <= now))


def run_alone(statement: Any) -> int:
    """Run one statement in a transaction of its own; returns the number of changed
    rows."""
    result = sql.session.connection().execute(statement)
    count = int(result.rowcount)
    commit()
    return count
