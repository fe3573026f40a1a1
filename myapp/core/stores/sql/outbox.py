"""The outbox: what other stores have still to write for requests that are committed
here.

A request that also writes to a store that commits later puts these writes into the
outbox, in its transaction. Then it makes them. When its process dies between the two,
the scheduler makes them, and so it does not matter which of the two comes first.
"""

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy import Column, Table, delete, insert, select

from myapp.core.model.idempotency_store import KeyTaken
from myapp.core.stores.sql.engine import Base, rows, run_alone, write
from myapp.core.stores.sql.types import LARGE_BINARY, Id, UtcDateTime, Varchar
from myapp.core.stores.store import Promise, Store
from myapp.core.stores.transaction import StaleRead

log = logging.getLogger(__name__)

# Seconds that a request has to make its writes itself, and how many are made at once.
OWN_TIME, AT_ONCE = 1.0, 200

OUTBOX = Table(
    "outbox",
    Base.metadata,
    Column("id", Id, primary_key=True),
    Column("store", Varchar(20), nullable=False),
    Column("payload", LARGE_BINARY, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, index=True),
)
INSERT_PROMISE = insert(OUTBOX)


def add_promise(promise: Promise) -> None:
    """Put writes into the outbox, in the transaction of this request."""
    write(INSERT_PROMISE, {**promise._asdict(), "created_at": datetime.now(UTC)})


def keep_promises(stores: dict[str, Store]) -> int:
    """Make the writes in the outbox that are left to do.

    :param stores: by their names.
    :returns: how many there were; fewer when a store cannot be reached.
    """
    ripe = OUTBOX.c.created_at <= datetime.now(UTC) - timedelta(seconds=OWN_TIME)
    statement = select(OUTBOX).where(ripe).order_by(OUTBOX.c.id).limit(AT_ONCE)
    kept, unreachable = [], set()
    for row in rows(statement):
        store = stores.get(row.store)
        if store is None or store in unreachable:
            continue
        try:
            store.keep_promise(Promise(row.id, row.store, row.payload))
        except (StaleRead, KeyTaken):
            log.error("writes to %s came too late: a record has changed", row.store)
        except store.errors as error:
            log.warning("writes to %s wait: %s", row.store, error)
            unreachable.add(store)
            continue
        kept.append(row.id)
    if kept:
        run_alone(delete(OUTBOX).where(OUTBOX.c.id.in_(kept)), None)
    return len(kept)
