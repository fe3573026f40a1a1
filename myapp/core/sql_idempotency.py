"""Answers kept for retries in SQL, in a table of core."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    JSON,
    CHAR,
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

from myapp.core.columns import Id, UtcDateTime
from myapp.core.db import Base, rows, sql
from myapp.core.errors import Problem
from myapp.core.idempotency import Claim, Kept
from myapp.core.transaction import commit, rollback

# One claim in so many also removes what has expired.
CLEAN_EVERY = 50
# A BLOB of MySQL and MariaDB would end at 64 KiB.
BODY = LargeBinary().with_variant(MEDIUMBLOB(), "mysql", "mariadb")

ANSWERS = Table(
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


class SqlAnswers:
    """Keeps answers in the transaction of the request."""

    def claim(self, claim: Claim, lease: float) -> Kept | None:
        """Insert a row, in a transaction of its own; or take over an expired one."""
        now = datetime.now(UTC)
        if random.randrange(CLEAN_EVERY) == 0:
            clean(now)
        values = {
            "id": claim.id,
            "fingerprint": claim.fingerprint,
            "owner": claim.owner,
            "status": None,
            "expires_at": now + timedelta(seconds=lease),
        }
        known = read(claim.id)
        try:
            if known is None:
                execute(insert(ANSWERS).values(values))
                return None
            if known.expires_at <= now:
                same = (ANSWERS.c.id == claim.id, ANSWERS.c.owner == known.owner)
                if execute(update(ANSWERS).where(*same).values(values)):
                    return None
        except IntegrityError:
            # Another request has inserted it between the two statements.
            rollback()
        known = read(claim.id)
        if known is None:
            return Kept(claim.fingerprint)
        body = (known.body or b"").decode()
        return Kept(known.fingerprint, known.status, known.headers, body)

    def keep(self, claim: Claim, answer: Kept, life: float) -> None:
        """Update the row of the claim, if it is still ours."""
        mine = (ANSWERS.c.id == claim.id, ANSWERS.c.owner == claim.owner)
        values = {
            "status": answer.status,
            "headers": answer.headers,
            "body": answer.body.encode(),
            "expires_at": datetime.now(UTC) + timedelta(seconds=life),
        }
        statement = update(ANSWERS).where(*mine).values(values)
        if sql.session.connection().execute(statement).rowcount != 1:
            raise Problem("conflict", "This Idempotency-Key is in use.")

    def release(self, claim: Claim) -> None:
        """Delete the row of the claim."""
        rollback()
        mine = (ANSWERS.c.id == claim.id, ANSWERS.c.owner == claim.owner)
        execute(delete(ANSWERS).where(*mine))


def read(id: str) -> Any:
    """The row of a key, ``None`` when there is none."""
    found = rows(select(ANSWERS).where(ANSWERS.c.id == id))
    return found[0] if found else None


def clean(now: datetime) -> None:
    """Delete what has expired."""
    execute(delete(ANSWERS).where(ANSWERS.c.expires_at <= now))


def execute(statement: Any) -> int:
    """Run one statement in a transaction of its own; how many rows it met."""
    result = sql.session.connection().execute(statement)
    count = int(result.rowcount)
    commit()
    return count
