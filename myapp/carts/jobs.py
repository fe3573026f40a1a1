"""The jobs of the carts: a cart that nobody changes for a while is marked, and those of
a user that is deleted are deleted."""

from datetime import UTC, datetime
from typing import Any

from flask import current_app

from myapp.accounts import door
from myapp.carts.models import Cart
from myapp.core.jobs import job
from myapp.core.model import Change, Record, after_write

CARTS_A_RUN = 100


@job
def mark_abandoned(id: str, version: int) -> bool:
    """Mark a cart as abandoned.

    :param version: of the cart that was left; a later one is in use.
    :returns: whether it was marked.
    """
    found = Cart.read([id])
    if not found or found[0]["version"] != version:
        return False
    Record(Cart, found[0]).write({"abandoned_at": datetime.now(UTC)})
    return True


@job
def delete_carts(owner_id: str) -> int:
    """Delete the carts of a user that was deleted; those that do not fit into one run
    are deleted by the next one.

    :returns: how many were deleted.
    """
    found = Cart.of_owner(owner_id, CARTS_A_RUN)
    Cart.discard(found)
    if len(found) == CARTS_A_RUN:
        delete_carts.later(owner_id)
    return len(found)


@door.when_deleted
def forget(user_id: str) -> None:
    """Delete the carts of a user after its account."""
    delete_carts.later(user_id)


def watch(_model: Any, change: Change) -> None:
    """Mark the cart later, unless it is changed again; that cancels the job."""
    seconds = current_app.config["CART_ABANDONED_AFTER"]
    id = (change.after or change.before or {})["id"]
    if not seconds:
        return
    if change.before is not None:
        mark_abandoned.cancel(id)
    if change.after is not None and change.after["abandoned_at"] is None:
        version = change.after["version"]
        mark_abandoned.later(id, version, delay=seconds, key=id)


after_write.connect(watch, sender=Cart)
