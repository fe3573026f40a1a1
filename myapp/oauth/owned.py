"""What a user has here: the clients that it has made, and what it has allowed."""

from typing import Any

from myapp.core.model import equal, unscoped
from myapp.core.query import ListQuery
from myapp.oauth.models import Client, Consent

# How many records the copy of an account has of each kind, the newest ones.
MOST_EXPORTED = 1000


def found(model: Any, field: str, user_id: str) -> list[dict[str, Any]]:
    """The documents of a user, the newest ones first."""
    with unscoped():
        query = ListQuery((equal(field, user_id),), sort=model.queryable.newest)
        documents: list[dict[str, Any]] = model.find(query, MOST_EXPORTED)
        return documents


def clients_of(user_id: str) -> list[dict[str, Any]]:
    """The clients of a user, for the copy of its account."""
    return [Client.show(one) for one in found(Client, "owner_id", user_id)]


def consents_of(user_id: str) -> list[dict[str, Any]]:
    """What a user has allowed clients, for the copy of its account."""
    return [Consent.show(one) for one in found(Consent, "user_id", user_id)]


def drop_clients(user_id: str) -> None:
    """Delete the clients of a user that is deleted."""
    while documents := found(Client, "owner_id", user_id):
        with unscoped():
            Client.discard(documents)
